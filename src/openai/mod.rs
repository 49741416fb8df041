//! The wire: JSON bodies and server-sent events, both ways.
