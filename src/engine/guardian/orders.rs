//! Reads the runner's orders. No read waits longer than a tick.

use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::engine::guardian::protocol::Order;
use crate::engine::guardian::signals;

/// The result of waiting for an order.
pub(super) enum Next {
    /// An order.
    Order(Order),
    /// No order came within the tick.
    Nothing,
    /// The runner is gone, or a signal asked the guardian to end.
    Gone,
}

/// The reading end of the pipe from the runner.
pub(super) struct Orders {
    buffer: Vec<u8>,
    is_closed: bool,
}

impl Orders {
    pub(super) fn new() -> Self {
        Self { buffer: Vec::new(), is_closed: false }
    }

    /// Waits for the next order, but at most for a tick.
    pub(super) fn next(&mut self, tick_millis: u16) -> io::Result<Next> {
        if let Some(order) = self.buffered()? {
            return Ok(Next::Order(order));
        }
        if self.is_closed || signals::end_is_asked() {
            return Ok(Next::Gone);
        }
        let stdin = io::stdin();
        let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::from(tick_millis)) {
            Ok(0) | Err(Errno::EINTR) => return Ok(Next::Nothing),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut bytes = [0; 8_192];
        // `Stdin` is not used, since its buffer would hide bytes from `poll`.
        match nix::unistd::read(stdin.as_fd(), &mut bytes) {
            Ok(0) => self.is_closed = true,
            Ok(n_bytes) => self.buffer.extend_from_slice(&bytes[..n_bytes]),
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.buffered()?.map_or(Next::Nothing, Next::Order))
    }

    /// Whether the runner has ended the grace.
    pub(super) fn kill_is_asked(&mut self) -> bool {
        if self.is_closed {
            return false;
        }
        matches!(self.next(0), Ok(Next::Order(Order::Kill)))
    }

    fn buffered(&mut self) -> io::Result<Option<Order>> {
        let Some(end) = memchr::memchr(b'\n', &self.buffer) else { return Ok(None) };
        let line: Vec<u8> = self.buffer.drain(..=end).collect();
        Ok(Some(serde_json::from_slice(&line[..])?))
    }
}
