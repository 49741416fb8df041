//! The trait behind which transports are exchangeable.

use std::sync::Arc;

use bytes::Bytes;

use crate::record::request::{CancelCause, StampSource};
use crate::units::Nanos;

/// Names an exchange: a slot, and a number that grows each time the slot is used.
///
/// An event for an earlier use of the slot is recognised and dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Slot.
    pub slot: u32,
    /// Number of the slot's use.
    pub generation: u32,
}

/// The time of an arrival since the trial's epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The time: that of the last byte.
    pub at: Nanos,
    /// No byte of the read arrived before this.
    pub since: Nanos,
    /// Whether the kernel or bench took the stamp.
    pub source: StampSource,
}

/// Status and the headers that bench reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Status.
    pub status: u16,
    /// `content-type`, lower case.
    pub content_type: String,
    /// `content-encoding`, lower case; empty when there is none.
    pub content_encoding: String,
    /// `location`: where a redirect points to; empty when there is none.
    pub location: String,
}

impl Head {
    /// Whether the response sends the client elsewhere.
    pub(crate) fn is_redirect(&self) -> bool {
        matches!(self.status, 301 | 302 | 303 | 307 | 308)
    }
}

/// Returns what is said of a body in a coding that makes it unreadable.
pub(crate) fn not_asked_for(coding: &str) -> String {
    format!("content-encoding {coding} was not asked for")
}

/// How an exchange ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// HTTP counts the response as complete.
    Complete,
    /// The response was cut off.
    ClosedEarly(String),
    /// The connection ended before the first byte of a response.
    NoResponse {
        /// Whether the connection had served another request before.
        reused: bool,
        /// The reason.
        why: String,
    },
    /// No connection could be opened.
    Connect(String),
    /// This machine ran out of file descriptors or ports.
    ClientResources(String),
    /// The response is not HTTP, or has a form that was not requested.
    Protocol(String),
    /// A deadline passed.
    TimedOut(Deadline),
    /// `bench` cancelled the exchange.
    Cancelled(CancelCause),
    /// The answer exceeds what was requested.
    TooLarge(String),
    /// The body did not end within the time allowed after `[DONE]`.
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

/// Receives the events of exchanges. Bytes are valid only during the call.
pub trait Inbox {
    /// A connection was opened for this exchange.
    fn connected(&mut self, key: Key, at: Nanos);
    /// The request is being handed to the socket.
    fn sent(&mut self, key: Key, at: Nanos);
    /// The request has been handed to the socket to its last byte. `cpu` is the CPU time that
    /// this took, where the thread was kept from running meanwhile.
    fn written(&mut self, key: Key, at: Nanos, cpu: Option<Nanos>);
    /// The head of the response is complete. `first_byte` is the arrival of its first byte.
    fn head(&mut self, key: Key, head: Head, first_byte: Stamp);
    /// Bytes of the body.
    fn body(&mut self, key: Key, bytes: &[u8], stamp: Stamp);
    /// The exchange has ended.
    fn end(&mut self, key: Key, at: Nanos, ending: Ending);
}

/// Wakes a waiting client from another thread.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// Carries requests.
///
/// One thread drives it, and alternates between [`Client::send`] and [`Client::wait`]. It owns the
/// clock, so a simulated client can run a trial without waiting.
pub trait Client {
    /// Returns the time since the trial's epoch.
    fn now(&self) -> Nanos;

    /// Opens connections in advance until `deadline`. Returns how many are open.
    fn warm(&mut self, n_connections: u32, deadline: Nanos) -> u32;

    /// Begins an exchange. Failures are reported through the inbox, now or later.
    fn send(&mut self, key: Key, body: Bytes, inbox: &mut impl Inbox);

    /// Ends an exchange without any further event.
    fn cancel(&mut self, key: Key);

    /// Waits for an event, for `until` or for the waker, whichever comes first.
    fn wait(&mut self, until: Nanos, inbox: &mut impl Inbox);

    /// Returns a function that ends a wait early.
    fn waker(&self) -> Waker;
}
