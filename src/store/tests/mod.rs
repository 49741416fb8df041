//! A run directory written, read back, and damaged.

mod round_trip;
mod scale;
