//! What is sent, and when.

pub mod request;
