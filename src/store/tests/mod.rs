//! Tests of a run directory that is written, read back and damaged.

mod directory;
mod fixture;
mod going_on;
mod round_trip;
mod scale;
