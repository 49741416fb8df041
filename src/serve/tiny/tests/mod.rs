//! Tests of the tiny engine from outside, with a model small enough to check by hand.

mod end_to_end;

pub(in crate::serve::tiny) mod toy;
