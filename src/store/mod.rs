//! The run directory and the data-set cache: the only room that touches the disk for them.
#![expect(
    clippy::disallowed_methods,
    reason = "edge: reads and writes files, locks and the data-set cache"
)]

pub mod cache;
pub mod calibration;
pub mod catalogue;
pub mod dataset;
pub mod download;
pub mod error;
pub mod hub;
pub mod known;
pub mod lock;
pub mod reader;
pub mod records;
pub mod run_dir;
pub mod tokenizer;
pub mod verify;
pub mod writer;

mod atomic;
mod bundled;
mod journal;
mod line;
mod recover;

#[cfg(test)]
mod hub_cases;
#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod scale_cases;
