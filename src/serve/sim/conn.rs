//! One connection: it reads with the kernel's stamps, and writes as fast as the socket accepts.

use std::io::{self, IoSliceMut, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::sys::time::TimeSpec;
use socket2::SockRef;

use super::engine::Job;
use super::stream::Stream;
use super::tls::Tls;
use super::truth::TruthRow;
use crate::units::Nanos;

/// The state of a connection.
#[derive(Debug)]
pub(crate) enum Work {
    /// The connection is free for its next request.
    Idle,
    /// The request is queued.
    Queued(Box<Job>),
    /// The answer is being streamed.
    Streaming(Box<Stream>, TruthRow),
    /// The response is written whole at its instant.
    Whole(Whole),
    /// The response never ends, and the request keeps its slot.
    Silent(TruthRow),
}

/// A response that is written whole at its instant.
#[derive(Debug)]
pub(crate) struct Whole {
    /// The instant.
    pub due: Nanos,
    /// The response's bytes; empty for a fault that writes nothing.
    pub bytes: Vec<u8>,
    /// How the response ends.
    pub end: super::stream::End,
    /// Tokens of the response.
    pub n_tokens: u32,
    /// The truth row of the request, if it holds a slot.
    pub truth: Option<TruthRow>,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Conn {
    /// The connection's number, unique in this process.
    pub id: u64,
    /// The number of the present request on this connection.
    pub n_requests: u64,
    /// Bytes that were received and not yet used.
    pub inbox: Vec<u8>,
    /// What the connection is doing.
    pub work: Work,
    /// Whether the connection is closed after the response.
    pub close: bool,
    /// Whether `100 Continue` has been sent for the request in the inbox.
    pub continued: bool,
    /// Whether emission waits until the socket has accepted the bytes that are there.
    pub is_blocked: bool,
    /// Whether the reactor reports when the socket accepts bytes again.
    pub wants_write: bool,
    /// Whether a timer will write the next byte of a dripping response.
    pub is_dripping: bool,
    stream: TcpStream,
    tls: Option<Tls>,
    outbox: Vec<u8>,
    n_written: usize,
}

/// The result of one read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// Bytes, with the kernel's stamp (`CLOCK_REALTIME`) of their arrival if there is one.
    Bytes(Option<Nanos>),
    /// No bytes are there at the moment.
    Nothing,
    /// The client has disconnected.
    Gone,
}

impl Conn {
    /// Returns an idle connection, with TLS or without.
    pub(crate) fn new(id: u64, stream: TcpStream, tls: Option<Tls>) -> Self {
        Self {
            id,
            n_requests: 0,
            inbox: Vec::new(),
            work: Work::Idle,
            close: false,
            continued: false,
            is_blocked: false,
            wants_write: false,
            is_dripping: false,
            stream,
            tls,
            outbox: Vec::new(),
            n_written: 0,
        }
    }

    /// Returns the socket.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// Returns the buffer of bytes to be written.
    pub(crate) fn outbox(&mut self) -> &mut Vec<u8> {
        &mut self.outbox
    }

    /// Returns the number of bytes that the socket has not accepted; what TLS has made of them
    /// and still holds counts as one more.
    pub(crate) fn n_unsent(&self) -> usize {
        self.outbox.len() - self.n_written + usize::from(self.has_unsent_tls())
    }

    /// Whether TLS has something to say, of its own or of the answer.
    pub(crate) fn has_unsent_tls(&self) -> bool {
        self.tls.as_ref().is_some_and(Tls::has_unsent)
    }

    /// Reads once.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Read {
        let mut control = cmsg_space!(TimeSpec);
        let mut slices = [IoSliceMut::new(buffer)];
        let received = recvmsg::<()>(
            self.stream.as_raw_fd(),
            &mut slices,
            Some(&mut control),
            MsgFlags::MSG_DONTWAIT,
        );
        let (n_bytes, stamp) = match received {
            Ok(message) => {
                let stamp = message.cmsgs().ok().and_then(|mut control| {
                    control.find_map(|message| match message {
                        ControlMessageOwned::ScmTimestampns(time) => Some(nanos(time)),
                        _ => None,
                    })
                });
                (message.bytes, stamp)
            }
            Err(Errno::EAGAIN | Errno::EINTR) => return Read::Nothing,
            Err(_) => return Read::Gone,
        };
        if n_bytes == 0 {
            return Read::Gone;
        }
        let Some(tls) = &mut self.tls else {
            self.inbox.extend_from_slice(&buffer[..n_bytes]);
            return Read::Bytes(stamp);
        };
        if tls.receive(&buffer[..n_bytes], &mut self.inbox).is_ok() {
            return Read::Bytes(stamp);
        }
        // The alert tells the client why. If it cannot be sent, the client is gone already.
        let _ = tls.send(&mut self.stream);
        Read::Gone
    }

    /// Writes at most `n_pieces` pieces of at most `piece` bytes, as long as the socket accepts
    /// them.
    ///
    /// # Errors
    /// The client has disconnected.
    pub(crate) fn flush(&mut self, piece: usize, n_pieces: usize) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.send(&mut self.stream)?;
        }
        for _ in 0..n_pieces {
            let unsent = &self.outbox[self.n_written..];
            if unsent.is_empty() {
                break;
            }
            let next = &unsent[..unsent.len().min(piece)];
            let taken = match &mut self.tls {
                None => self.stream.write(next),
                Some(tls) => tls.take(next).and_then(|n| tls.send(&mut self.stream).map(|()| n)),
            };
            match taken {
                // TLS has no room before the socket has accepted more.
                Ok(0) => break,
                Ok(n_bytes) => self.n_written += n_bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.n_written == self.outbox.len() {
            self.outbox.clear();
            self.n_written = 0;
            // The buffer of a large response is freed, not kept for the life of the connection.
            if self.outbox.capacity() > 1 << 20 {
                self.outbox.shrink_to(1 << 16);
            }
        }
        Ok(())
    }

    /// Makes the next close a reset.
    ///
    /// # Errors
    /// The socket refuses the option.
    pub(crate) fn reset_on_close(&self) -> io::Result<()> {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))
    }
}

fn nanos(time: TimeSpec) -> Nanos {
    Nanos(time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}
