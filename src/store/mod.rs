//! The run directory. Only this room reads and writes it.
#![expect(
    clippy::disallowed_methods,
    reason = "edge: reads and writes the files and the lock of a run directory"
)]

pub(crate) mod bundle;
pub(crate) mod calibration;
pub(crate) mod error;
mod events;
pub(crate) mod gather;
pub(crate) mod lock;
pub(crate) mod reader;
pub(crate) mod records;
pub(crate) mod reused;
pub(crate) mod run_dir;
pub(crate) mod trial_sync;
pub(crate) mod verify;
pub(crate) mod writer;

pub(crate) mod atomic;
mod file_sum;
mod going_on;
mod journal;
mod line;
mod recover;
mod renamed;
mod trial_file;

#[cfg(test)]
mod tests;
