//! How a request is carried: the one trait behind which transports are exchangeable.

use std::sync::Arc;

use bytes::Bytes;

use crate::record::request::{CancelCause, StampSource};
use crate::units::Nanos;

/// Names an exchange: a slot that is used again, and the number of its use.
///
/// What arrives for an earlier use of a slot is recognised and dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Slot.
    pub slot: u32,
    /// Use of the slot.
    pub generation: u32,
}

/// A moment of arrival, since the trial's epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// When.
    pub at: Nanos,
    /// Who says so.
    pub source: StampSource,
}

/// Status line and headers, as far as anybody asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Status.
    pub status: u16,
    /// `content-type`, lower case.
    pub content_type: String,
    /// `content-encoding`, lower case; empty when there is none.
    pub content_encoding: String,
}

/// How an exchange ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The response is complete as HTTP counts.
    Complete,
    /// The engine stopped in the middle of the response.
    ClosedEarly(String),
    /// The connection ended before the first byte of a response.
    NoResponse {
        /// Whether the connection had served another request before.
        reused: bool,
        /// Why.
        why: String,
    },
    /// No connection could be opened.
    Connect(String),
    /// This machine ran out of file descriptors or ports.
    ClientResources(String),
    /// The response is not HTTP, or not in a form that was asked for.
    Protocol(String),
    /// A deadline passed.
    TimedOut(Deadline),
    /// `bench` ended it.
    Cancelled(CancelCause),
    /// More came than was asked for.
    TooLarge(String),
    /// `[DONE]` came long ago, the end of the body did not.
    LeftOpen,
}

/// The deadlines of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// Until the connection is open.
    Connect,
    /// From sending to the first token.
    FirstToken,
    /// Between two tokens.
    BetweenTokens,
    /// From sending to the end.
    Total,
}

/// Receives what a client observes. Bytes are only valid during the call.
pub trait Inbox {
    /// A connection was opened for this exchange.
    fn connected(&mut self, key: Key, at: Nanos);
    /// The request is being handed to the socket.
    fn sent(&mut self, key: Key, at: Nanos);
    /// The head of the response is complete; `first_byte` is when its first byte arrived.
    fn head(&mut self, key: Key, head: Head, first_byte: Stamp);
    /// Bytes of the body.
    fn body(&mut self, key: Key, bytes: &[u8], stamp: Stamp);
    /// Nothing more will come.
    fn end(&mut self, key: Key, at: Nanos, ending: Ending);
}

/// Wakes a waiting client from another thread.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// Carries requests.
///
/// It is driven by one thread, which alternates between [`Client::send`] and [`Client::wait`].
/// It owns the clock, so that a simulated one can run a trial in no time.
pub trait Client {
    /// Returns the time since the trial's epoch.
    fn now(&self) -> Nanos;

    /// Opens connections in advance, as many as can be had before `deadline`; returns how many
    /// are open.
    fn warm(&mut self, n_connections: u32, deadline: Nanos) -> u32;

    /// Begins an exchange. Failures come through the inbox, now or later.
    fn send(&mut self, key: Key, body: Bytes, inbox: &mut impl Inbox);

    /// Ends an exchange; nothing more is said about it.
    fn cancel(&mut self, key: Key);

    /// Waits until something happened, `until` is reached or the waker was called.
    fn wait(&mut self, until: Nanos, inbox: &mut impl Inbox);

    /// Returns what ends a wait early.
    fn waker(&self) -> Waker;
}
