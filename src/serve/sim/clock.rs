//! The two clocks that truth is told by.

use nix::time::{ClockId, clock_gettime};

use super::event::SentStamp;
use crate::units::Nanos;

/// Returns the time of `CLOCK_MONOTONIC`.
pub fn monotonic() -> Nanos {
    read(ClockId::CLOCK_MONOTONIC)
}

/// Returns the time of `CLOCK_REALTIME`, since 1970.
pub fn realtime() -> Nanos {
    read(ClockId::CLOCK_REALTIME)
}

/// Returns both, as near to each other as two readings are.
pub fn both() -> SentStamp {
    SentStamp { realtime: realtime().0, monotonic: monotonic().0 }
}

fn read(clock: ClockId) -> Nanos {
    let time = clock_gettime(clock).expect("Linux has both clocks");
    Nanos(time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}
