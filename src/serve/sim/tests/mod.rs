//! The simulated engine from outside, and its streams byte by byte.

mod end_to_end;
mod stream;
