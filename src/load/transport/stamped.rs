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
use crate::load::transport::turn::Turn;
use crate::record::request::StampSource;
use crate::units::Nanos;

/// The turns of the loop that drives the libraries.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedTurn(Arc<Mutex<Turn>>);

impl SharedTurn {
    pub(crate) fn get(&self) -> MutexGuard<'_, Turn> {
        // A panic in one task says nothing of the turn.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
    turn: SharedTurn,
    stamps: Stamps,
}

impl StampedStream {
    pub(crate) fn new(tcp: TcpStream, epoch: Epoch, turn: SharedTurn) -> Self {
        // Without kernel stamps bench stamps the reads itself, and the record says so.
        let _ = setsockopt(&tcp, sockopt::ReceiveTimestampns, &true);
        let now = epoch.elapsed();
        let read = Stamp { at: now, since: now, source: StampSource::Userspace };
        let stamps = Stamps(Arc::new(Mutex::new(Last { read, written: now })));
        Self { tcp, control: [0; 64], epoch, turn, stamps }
    }

    /// Returns a handle to the stamps.
    pub(crate) fn stamps(&self) -> Stamps {
        self.stamps.clone()
    }

    fn note_read(&self, received: Received) {
        if received.n_bytes == 0 {
            return;
        }
        let now = self.epoch.elapsed();
        let mut last = self.stamps.get();
        let since = self.turn.get().since();
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
            let read = tcp
                .try_io(Interest::READABLE, || receive(tcp, buffer.initialize_unfilled(), control));
            match read {
                Ok(received) => {
                    this.note_read(received);
                    buffer.advance(received.n_bytes);
                    return Poll::Ready(Ok(()));
                }
                // The socket is no longer ready, or a signal came.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    ) => {}
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
