//! The load generator against clients and servers whose behaviour is known.

mod dialects;
mod faults;
mod https;
mod shapes;
mod standing_still;

pub(in crate::load) mod fake_client;
pub(in crate::load) mod server;
