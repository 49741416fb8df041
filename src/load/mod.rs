//! The load generator: sends requests at their time and stamps what returns.
//!
//! A load thread runs one loop for every shape of load (`driver`): *when* is an iterator of
//! instants, *how* is a [`client::Client`]. It sends, receives and stamps, nothing else; bytes
//! go in blocks to the recorder thread, which decodes them and hands finished records to the
//! caller. Blocking by design: a plain thread calls [`trial::run_trial`].

#![expect(clippy::disallowed_methods, reason = "edge: sockets, clocks and load threads")]

pub mod client;
pub mod clock;
pub mod spec;
pub mod target;
pub mod trial;

mod connection;
mod decode;
mod desk;
mod direct;
mod driver;
mod exchange;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod faults;
mod feeder;
mod floor;
#[cfg(test)]
#[path = "../../tests/front/mod.rs"]
mod front;
mod http1;
mod lead;
mod library;
mod recorder;
mod sample;
#[cfg(test)]
mod secure;
mod sentinel;
#[cfg(test)]
mod shapes;
mod share;
mod socket;
#[cfg(test)]
mod testbed;
mod truth;
mod verdict;
