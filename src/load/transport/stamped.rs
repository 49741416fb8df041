//! A socket under the libraries: it knows when bytes arrived and when the last ones left.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::load::clock::Epoch;
use crate::load::transport::client::Stamp;
use crate::load::transport::socket::{Control, Received, receive};
use crate::record::request::StampSource;
use crate::units::Nanos;

/// What a socket knows of its last read and of its last write.
#[derive(Clone, Copy, Debug)]
struct Last {
    read: Stamp,
    written: Nanos,
}

/// The stamps of a socket, for who holds the libraries above it.
#[derive(Clone, Debug)]
pub(crate) struct Stamps(Arc<Mutex<Last>>);

impl Stamps {
    fn get(&self) -> MutexGuard<'_, Last> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the stamp of the last read.
    pub(crate) fn read(&self) -> Stamp {
        self.get().read
    }

    /// Returns when the last write was over.
    pub(crate) fn written(&self) -> Nanos {
        self.get().written
    }
}

/// A TCP connection that stamps.
pub(crate) struct StampedStream {
    tcp: TcpStream,
    control: Control,
    epoch: Epoch,
    stamps: Stamps,
    /// The kernel was asked for bytes then, and had no more: what comes later arrived later. The
    /// libraries read when they like, so no turn of theirs says that.
    empty_since: Nanos,
}

impl StampedStream {
    pub(crate) fn new(tcp: TcpStream, epoch: Epoch) -> Self {
        // Without kernel stamps bench stamps the reads itself, and the record says so.
        let _ = setsockopt(&tcp, sockopt::ReceiveTimestampns, &true);
        let now = epoch.elapsed();
        let read = Stamp { at: now, since: now, source: StampSource::Userspace };
        let stamps = Stamps(Arc::new(Mutex::new(Last { read, written: now })));
        Self { tcp, control: [0; 64], epoch, stamps, empty_since: now }
    }

    /// Returns a handle to the stamps.
    pub(crate) fn stamps(&self) -> Stamps {
        self.stamps.clone()
    }

    /// Stamps a read for which the kernel was asked at `asked`, with room for `room` bytes.
    fn note_read(&mut self, received: Received, asked: Nanos, room: usize) {
        if received.n_bytes == 0 {
            return;
        }
        let now = self.epoch.elapsed();
        let mut last = self.stamps.get();
        let since = self.empty_since;
        if received.n_bytes < room {
            self.empty_since = asked;
        }
        last.read = match received.unix_ns {
            Some(unix_ns) => {
                // A step of the wall clock moves no arrival into the future or before another.
                let at = Nanos(unix_ns.saturating_sub(self.epoch.wall_offset_ns()));
                let at = at.min(now).max(last.read.at);
                let since = since.max(last.read.at).min(at);
                Stamp { at, since, source: StampSource::Kernel }
            }
            None => Stamp { at: now, since, source: StampSource::Userspace },
        };
    }
}

impl AsyncRead for StampedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            ready!(this.tcp.poll_read_ready(context))?;
            let (tcp, control) = (&this.tcp, &mut this.control);
            let (epoch, room, mut asked) = (this.epoch, buffer.remaining(), this.empty_since);
            let read = tcp.try_io(Interest::READABLE, || {
                asked = epoch.elapsed();
                receive(tcp, buffer.initialize_unfilled(), control)
            });
            match read {
                Ok(received) => {
                    this.note_read(received, asked, room);
                    buffer.advance(received.n_bytes);
                    return Poll::Ready(Ok(()));
                }
                // The socket is no longer ready.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    this.empty_since = asked;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for StampedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.tcp).poll_write(context, bytes));
        this.stamps.get().written = this.epoch.elapsed();
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.tcp).poll_write_vectored(context, slices));
        this.stamps.get().written = this.epoch.elapsed();
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::time::Duration;

    use tokio::io::AsyncReadExt as _;

    use super::*;
    use crate::load::transport::socket::stamping;

    #[test]
    fn what_a_read_brings_arrived_after_the_socket_was_seen_empty() {
        let _stamping = stamping();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (mut server, _) = listener.accept().unwrap();
            let epoch = Epoch::now();
            let mut stream = StampedStream::new(tcp, epoch);
            server.write_all(b"one").unwrap();
            stream.read_exact(&mut [0; 3]).await.unwrap();
            // The loop goes round, and nobody reads what comes meanwhile.
            let before = epoch.elapsed();
            server.write_all(b"two").unwrap();
            let arrived = epoch.elapsed();
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            server.write_all(b"three").unwrap();
            assert_eq!(stream.read(&mut [0; 64]).await.unwrap(), 8);
            let stamp = stream.stamps().read();
            assert!(stamp.since < arrived && arrived < stamp.at, "{stamp:?}, {arrived:?}");
            // It was drained, so the next bytes are younger.
            server.write_all(b"four").unwrap();
            stream.read_exact(&mut [0; 4]).await.unwrap();
            let next = stream.stamps().read();
            assert!(before < next.since && stamp.at <= next.since, "{stamp:?}, {next:?}");
        });
    }
}
