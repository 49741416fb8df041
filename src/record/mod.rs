//! Observations, exactly as they are kept on disk.
//!
//! Records hold raw stamps and never a derived number, so every figure can be computed
//! again from the run directory. A change here bumps [`FORMAT_VERSION`].

pub mod environment;
pub mod event;
pub mod gauge;
pub mod golds;
pub mod lock;
pub(crate) mod outcomes;
pub mod request;
mod tagged;
pub mod telemetry;
pub mod trial;

/// The version of the run directory's layout and of every type in this room.
pub const FORMAT_VERSION: u32 = 3;
