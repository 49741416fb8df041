//! What one part of the program writes, another reads: run, verify, report and score on one
//! directory.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "starts the program, changes what it wrote and reads it again"
)]

mod budget;
mod damage;
mod failures;
mod gates;
mod golds;
mod options;
mod over_saturation;
mod phases;
mod place;
mod prefetch;
mod rows;
#[path = "../turns/mod.rs"]
mod turns;
mod until;
mod whole;
