//! Runs that end early and go on: Ctrl-C, a full disk, a changed scenario, another directory.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "starts the program, reads what it wrote and says what it skips"
)]

mod anywhere;
mod bed;
mod disk;
mod limits;
mod retry;
mod reuse;
mod rule;
mod signals;
mod status;
