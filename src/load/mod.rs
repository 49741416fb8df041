//! The load generator: sends requests at their time and stamps what returns.
//!
//! A load thread runs one loop for every shape of load (`driver`): *when* is an iterator of
//! instants, *how* is a [`client::Client`]. It sends, receives and stamps, nothing else; bytes
//! go in blocks to the recorder thread, which decodes them and hands finished records to the
//! caller. Blocking by design: a plain thread calls [`trial::run_trial`].

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
mod recorder;
mod sentinel;
#[cfg(test)]
mod tests;
mod wake_ahead;
