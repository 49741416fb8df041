//! The epoch of a trial's stamps, and waits that end on time.

use std::time::{Duration, Instant};

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_nanosleep};

use crate::clock::{monotonic, realtime};
use crate::units::Nanos;

/// Two clocks were read at once when no more than this passed meanwhile.
const AT_ONCE_NS: u64 = 2_000;

/// The zero of a trial's stamps, on the monotonic clock and the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Epoch {
    monotonic_ns: u64,
    unix_ns: u64,
    instant: Instant,
}

impl Epoch {
    /// Returns this moment.
    pub fn now() -> Self {
        Self { monotonic_ns: monotonic().0, unix_ns: realtime().0, instant: Instant::now() }
    }

    /// Returns the time since the epoch.
    pub fn elapsed(&self) -> Nanos {
        monotonic().saturating_sub(Nanos(self.monotonic_ns))
    }

    /// Returns the epoch's wall-clock time, nanoseconds since the Unix epoch.
    pub fn unix_ns(&self) -> u64 {
        self.unix_ns
    }

    /// Returns the epoch as an instant, for other rooms that stamp against it.
    pub fn instant(&self) -> Instant {
        self.instant
    }

    /// Returns the epoch on the kernel's monotonic clock.
    pub fn monotonic_ns(&self) -> u64 {
        self.monotonic_ns
    }

    /// Returns the number that turns a wall-clock stamp into time since the epoch when it is
    /// subtracted.
    ///
    /// Each batch of stamps needs a new measurement, since the wall clock is slewed and may step.
    pub(super) fn wall_offset_ns(&self) -> u64 {
        let mut best = (u64::MAX, 0);
        // A thread that loses its CPU between two clocks would move all arrivals by that time.
        for _ in 0..3 {
            let before = self.elapsed().0;
            let wall = realtime().0;
            let took = self.elapsed().0 - before;
            best = best.min((took, wall.saturating_sub(before + took / 2)));
            if took < AT_ONCE_NS {
                break;
            }
        }
        best.1
    }

    /// Returns how much further than the monotonic clock the wall clock has moved since the epoch.
    pub(super) fn wall_drift_ns(&self) -> i64 {
        let wall = i128::from(realtime().0) - i128::from(self.unix_ns);
        (wall - i128::from(self.elapsed().0)) as i64
    }

    /// Returns an instant as a time of the kernel's monotonic clock.
    pub(super) fn absolute(&self, at: Nanos) -> TimeSpec {
        let ns = self.monotonic_ns + at.0;
        TimeSpec::from_duration(Duration::from_nanos(ns))
    }

    /// Sleeps until an instant. Returns at once if the instant has passed.
    pub(super) fn sleep_until(&self, at: Nanos) {
        let until = self.absolute(at);
        // A signal handler may interrupt the sleep; the loop then sleeps again.
        while clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &until)
            == Err(nix::Error::EINTR)
        {}
    }
}

/// Asks the kernel to wake this thread on time instead of up to 50 µs later.
pub(super) fn wake_on_time() {
    // Every kernel that bench runs on supports this. Without it timers are 50 µs late, and the lag
    // figures show that.
    let _ = nix::sys::prctl::set_timerslack(1);
}
