//! The clocks of this machine. No other room reads them by itself.

use nix::time::{ClockId, clock_gettime};

use crate::units::Nanos;

/// Returns the monotonic time of this machine, from an epoch that all its processes share.
pub fn monotonic() -> Nanos {
    read(ClockId::CLOCK_MONOTONIC)
}

/// Returns the wall-clock time, since the Unix epoch.
pub fn realtime() -> Nanos {
    read(ClockId::CLOCK_REALTIME)
}

/// Returns the CPU time of the calling thread.
pub fn thread_cpu() -> Nanos {
    read(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

/// Returns the CPU time of the process.
pub fn process_cpu() -> Nanos {
    read(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

fn read(clock: ClockId) -> Nanos {
    let time = clock_gettime(clock).expect("these clocks exist on every Linux");
    Nanos(time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}
