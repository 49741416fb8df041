//! The load generator: sends requests when they are due, and stamps what arrives.
//!
//! A load thread runs one loop for every shape of load (`driver`). An iterator of instants decides
//! *when* to send, and a [`transport::client::Client`] decides *how*. The thread sends, receives and stamps,
//! and does nothing else. Bytes go in blocks to the recorder thread, which decodes them and hands
//! finished records to the caller. The design is blocking: a plain thread calls
//! [`trial::run_trial`].

#![expect(clippy::disallowed_methods, reason = "edge: sockets, clocks and load threads")]

pub mod clock;
pub mod spec;
pub mod transport;
pub mod trial;

mod assignment;
mod driver;
mod feeder;
#[cfg(test)]
#[path = "../../tests/front/mod.rs"]
mod front;
mod in_flight;
pub(crate) mod recorder;
mod sentinel;
#[cfg(test)]
mod tests;
mod wake_ahead;
