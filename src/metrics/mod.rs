//! Records in, numbers out: every definition of the README's "Metrics" section lives here.

pub mod summary;
