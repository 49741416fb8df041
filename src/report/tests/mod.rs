//! A run that has one of everything, for every face.

pub(in crate::report) mod sample_run;
