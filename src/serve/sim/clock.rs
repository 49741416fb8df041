//! The two clocks of the truth log.

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

/// Returns both times, read one right after the other.
pub fn both() -> SentStamp {
    SentStamp { realtime: realtime().0, monotonic: monotonic().0 }
}

fn read(clock: ClockId) -> Nanos {
    let time = clock_gettime(clock).expect("Linux has both clocks");
    Nanos(time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}
