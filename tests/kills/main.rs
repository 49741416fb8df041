//! Kills of runner, guardian and engine at any instant: what was complete stays, what was written
//! stays, and `bench resume` measures the rest once.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "starts the program, kills it and reads what it wrote"
)]

mod at_request;
#[path = "../resume/bed.rs"]
#[expect(dead_code, reason = "shared with tests of going on, which need more of it")]
mod bed;
mod evidence;
mod points;
mod random;
#[path = "../undecided/mod.rs"]
mod undecided;
mod victim;
mod window;
