//! Tests of the simulated engine from outside, and of its streams byte by byte.

mod end_to_end;
mod stream;
