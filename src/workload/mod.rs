//! What is sent, and when.

pub mod arrivals;
pub mod request;
