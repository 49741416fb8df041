//! The wire: JSON bodies and server-sent events, both ways.

pub mod body;
pub mod chunk;
pub mod sse;
