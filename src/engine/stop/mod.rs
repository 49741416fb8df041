//! What must be gone once an engine is: its GPU memory, and what the death of its keepers left.

pub mod orphans;

pub(in crate::engine) mod gpu_memory;
