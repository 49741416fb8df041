//! Tests of a run directory that is written, read back and damaged.

mod directory;
mod fixture;
mod round_trip;
mod scale;
