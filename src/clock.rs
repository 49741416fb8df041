//! The clocks of this machine. No other room reads them by itself.

use nix::time::{ClockId, clock_gettime};

use crate::units::Nanos;

/// Returns the monotonic time of this machine, from an epoch that all its processes share.
pub(crate) fn monotonic() -> Nanos {
    read(ClockId::CLOCK_MONOTONIC)
}

/// Returns the wall-clock time, since the Unix epoch.
pub(crate) fn realtime() -> Nanos {
    read(ClockId::CLOCK_REALTIME)
}

/// Two clocks were read at once when no more than this passed meanwhile.
const AT_ONCE: Nanos = Nanos(2_000);

/// One moment on the clock that never steps, and on the clock of the kernel's stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The monotonic time, from an epoch that all processes of this machine share.
    pub monotonic: Nanos,
    /// The wall-clock time, since the Unix epoch.
    pub realtime: Nanos,
}

impl Moment {
    /// Returns this moment. A thread that lost its CPU between the two clocks reads them again,
    /// since stamps would move from one clock to the other wrong by that time.
    pub(crate) fn now() -> Self {
        let mut best: Option<(Nanos, Self)> = None;
        for _ in 0..3 {
            let before = monotonic();
            let realtime = realtime();
            let took = monotonic() - before;
            let moment = Self { monotonic: before + Nanos(took.0 / 2), realtime };
            if best.is_none_or(|(least, _)| took < least) {
                best = Some((took, moment));
            }
            if took < AT_ONCE {
                break;
            }
        }
        best.expect("the clocks were read").1
    }

    /// Returns the monotonic time of a wall-clock stamp not far from this moment.
    pub(crate) fn monotonic_of(&self, realtime: Nanos) -> Nanos {
        (self.monotonic + realtime).saturating_sub(self.realtime)
    }
}

/// Returns the CPU time of the calling thread.
pub(crate) fn thread_cpu() -> Nanos {
    read(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

/// Returns the CPU time of the process.
pub(crate) fn process_cpu() -> Nanos {
    read(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

fn read(clock: ClockId) -> Nanos {
    let time = clock_gettime(clock).expect("these clocks exist on every Linux");
    Nanos(time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_moves_from_one_clock_to_the_other() {
        let moment = Moment { monotonic: Nanos(500), realtime: Nanos(9_000) };
        assert_eq!(moment.monotonic_of(Nanos(8_900)), Nanos(400));
        assert_eq!(moment.monotonic_of(Nanos(9_100)), Nanos(600));
        assert_eq!(moment.monotonic_of(Nanos(1)), Nanos::ZERO, "before this machine began");
    }
}
