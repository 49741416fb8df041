//! The wire: JSON bodies and server-sent events, both ways.

pub mod body;
pub mod chunk;
pub mod finish;
mod lenient;
pub mod mend;
pub mod parse;
pub mod sse;
