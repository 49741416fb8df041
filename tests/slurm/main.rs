//! `--slurm`, against commands that misbehave, and against a real Slurm of its own.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "starts the program and a cluster, and reads what they wrote"
)]

#[path = "../resume/bed.rs"]
#[expect(dead_code, reason = "shared with tests of going on, which need more of it")]
mod bed;
mod cluster;
mod fakes;
mod real;
#[path = "../undecided/mod.rs"]
mod undecided;
