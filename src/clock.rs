//! The machine's monotonic clock, which the runner and the guardian read alike.

use nix::time::{ClockId, clock_gettime};

use crate::units::Nanos;

/// Returns the monotonic time of this machine, from an epoch that all its processes share.
pub fn monotonic() -> Nanos {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has a monotonic clock");
    Nanos(now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64)
}
