//! Mistakes that people make, played from outside: each message names the place, the cause and
//! the way out, and one mistake is one message.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "writes scenarios, starts the program and servers that misbehave"
)]

#[expect(dead_code, reason = "tests of TLS use the rest")]
#[path = "../front/mod.rs"]
mod front;
#[path = "../undecided/mod.rs"]
mod undecided;

mod bed;
mod data;
mod engines;
mod keys;
mod runs;
mod values;
