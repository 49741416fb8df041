//! The wire: JSON bodies and server-sent events, both ways.

pub(crate) mod body;
pub(crate) mod chunk;
pub(crate) mod finish;
mod generated;
mod lenient;
pub(crate) mod mend;
pub(crate) mod parse;
pub(crate) mod sse;
pub(crate) mod unread;
