//! GPU, host and engine counters; facts of the machine.

pub mod gpu;
