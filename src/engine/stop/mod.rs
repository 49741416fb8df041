//! Checks after an engine's end: its GPU memory has returned, and no process of it remains.

pub mod orphans;

pub(in crate::engine) mod gpu_memory;
