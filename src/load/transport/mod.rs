//! Transports: one trait, with one implementation each for `http` and `https`.

pub mod client;
pub mod proxy;
pub mod target;
pub mod url;

pub(crate) mod connection;
pub(in crate::load) mod epoll;
pub(in crate::load) mod exchange;
pub(crate) mod http1_framing;
pub(in crate::load) mod hyper;
pub(in crate::load) mod socket;
pub(in crate::load) mod stamped;
pub(in crate::load) mod turn;
