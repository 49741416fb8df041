//! The run directory. Only this room reads and writes it.
#![expect(
    clippy::disallowed_methods,
    reason = "edge: reads and writes the files and the lock of a run directory"
)]

pub mod calibration;
pub mod error;
pub mod lock;
pub mod reader;
pub mod records;
pub mod run_dir;
pub mod verify;
pub mod writer;

pub(crate) mod atomic;
mod file_sum;
mod journal;
mod line;
mod recover;
mod renamed;
mod trial_file;

#[cfg(test)]
mod tests;
