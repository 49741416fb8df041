//! The epoch of a trial's stamps, and waits that end on time.

use std::time::{Duration, Instant};

use nix::libc::{SYS_sched_getattr, SYS_sched_setattr, sched_attr, syscall};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_nanosleep};

use crate::clock::{Moment, monotonic};
use crate::units::Nanos;

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
        let Moment { monotonic, realtime } = Moment::now();
        Self { monotonic_ns: monotonic.0, unix_ns: realtime.0, instant: Instant::now() }
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
        let Moment { monotonic, realtime } = Moment::now();
        realtime.saturating_sub(monotonic.saturating_sub(Nanos(self.monotonic_ns))).0
    }

    /// Returns how much further than the monotonic clock the wall clock has moved since the epoch.
    pub(super) fn wall_drift_ns(&self) -> i64 {
        let Moment { monotonic, realtime } = Moment::now();
        let wall = i128::from(realtime.0) - i128::from(self.unix_ns);
        (wall - (i128::from(monotonic.0) - i128::from(self.monotonic_ns))) as i64
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

/// Asks the kernel to wake this thread on time: not up to 50 µs after a timer, and not behind the
/// slices of threads that only compute.
pub(super) fn wake_on_time() {
    // Every kernel that bench runs on supports this. Without it timers are 50 µs late, and the lag
    // figures show that.
    let _ = nix::sys::prctl::set_timerslack(1);
    shorten_slice();
}

/// The shortest slice that Linux grants. A thread that computes little is then first in line when
/// it wakes: two tokens that wait in a socket together lose the stamp of the first.
const SLICE: Nanos = Nanos(100_000);

/// Asks for [`SLICE`], which Linux grants to every thread from 6.12 on. Older ones ignore it, and
/// a refusal leaves the slice that the thread has: late wake-ups show in the bounds.
fn shorten_slice() {
    if let Some(mut attributes) = scheduling() {
        attributes.sched_runtime = SLICE.0;
        set_scheduling(&attributes);
    }
}

#[expect(unsafe_code, reason = "a system call without the C library's wrapper")]
fn scheduling() -> Option<sched_attr> {
    // SAFETY: the structure is integers alone, for which zero is a value.
    let mut attributes: sched_attr = unsafe { std::mem::zeroed() };
    let (size, calling_thread, flags) = (size_of::<sched_attr>(), 0, 0);
    // SAFETY: the kernel fills at most `size` bytes.
    let answer =
        unsafe { syscall(SYS_sched_getattr, calling_thread, &raw mut attributes, size, flags) };
    (answer == 0).then_some(attributes)
}

#[expect(unsafe_code, reason = "a system call without the C library's wrapper")]
fn set_scheduling(attributes: &sched_attr) {
    let (calling_thread, flags) = (0, 0);
    // SAFETY: the kernel reads the size that the structure names.
    unsafe { syscall(SYS_sched_setattr, calling_thread, &raw const *attributes, flags) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_must_wake_on_time_has_the_shortest_slice() {
        let slice = std::thread::spawn(|| {
            wake_on_time();
            scheduling().map(|attributes| attributes.sched_runtime)
        });
        // A kernel before 6.12 knows no slices of threads, and says 0.
        let slice = slice.join().unwrap();
        assert!(matches!(slice, None | Some(0 | 100_000)), "{slice:?}");
    }
}
