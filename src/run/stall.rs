//! Tells an engine that hangs from one request that does.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::load::spec::Live;
use crate::units::Nanos;

/// What the counts of a load lag behind by, and the watch's own pace: a request's own deadline
/// comes before the watch's.
const MARGIN: Nanos = Nanos::from_secs(1);

/// What a load has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Tokens that came.
    pub(super) tokens: u64,
    /// Requests that were sent.
    pub(super) sent: u64,
    /// Requests that are over.
    pub(super) done: u64,
    /// Requests among them that failed.
    pub(super) failed: u64,
}

impl Progress {
    /// Returns what a load has counted.
    pub(super) fn of(live: &Live) -> Self {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Self {
            tokens: count(&live.tokens),
            sent: count(&live.sent),
            done: count(&live.done),
            failed: count(&live.failed),
        }
    }

    fn n_out(self) -> u64 {
        self.sent.saturating_sub(self.done)
    }
}

/// A silence that is the engine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stall {
    /// How long it has lasted.
    pub(super) silent: Nanos,
    /// Requests in flight.
    pub(super) n_out: u64,
}

/// Finds that no token comes for longer than one request may wait for one, while several wait.
///
/// One request that waits in vain is one failed request, by its own deadline. The silence counts
/// anew from its end: who is sent next has its own time.
#[derive(Clone, Copy, Debug)]
pub(super) struct StallWatch {
    limit: Nanos,
    since: Nanos,
    /// As it was when the silence began.
    begun: Progress,
    n_failed: u64,
    /// Whether no more than one request waited at the last look.
    was_alone: bool,
}

impl StallWatch {
    /// Watches requests that may wait for a token for no longer than `deadline`.
    pub(super) fn new(deadline: Nanos, now: Nanos) -> Self {
        let begun = Progress::default();
        Self { limit: deadline + MARGIN, since: now, begun, n_failed: 0, was_alone: true }
    }

    /// Looks at the load; `is_excused` where something else than the engine holds tokens up.
    pub(super) fn look(&mut self, found: Progress, now: Nanos, is_excused: bool) -> Option<Stall> {
        let n_out = found.n_out();
        if found.tokens != self.begun.tokens || n_out == 0 || is_excused {
            (self.begun, self.since) = (found, now);
        }
        if found.failed > self.n_failed && self.was_alone {
            self.since = now;
        }
        let n_failed = found.failed.saturating_sub(self.begun.failed);
        (self.n_failed, self.was_alone) = (found.failed, n_out + n_failed <= 1);
        let silent = now.saturating_sub(self.since);
        (!self.was_alone && silent > self.limit).then_some(Stall { silent, n_out })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Nanos = Nanos::from_secs(1);

    /// Looks every 50 ms for so long at what a load has done by then, in milliseconds. Returns the
    /// time of the first stall and the requests in flight.
    fn stalls(millis: u64, load: impl Fn(u64) -> Progress) -> Option<(u64, u64)> {
        let mut watch = StallWatch::new(DEADLINE, Nanos::ZERO);
        (0..millis).step_by(50).find_map(|at| {
            let stall = watch.look(load(at), Nanos::from_millis(at), false)?;
            Some((at, stall.n_out))
        })
    }

    fn progress(tokens: u64, sent: u64, done: u64, failed: u64) -> Progress {
        Progress { tokens, sent, done, failed }
    }

    #[test]
    fn one_request_that_hangs_is_no_stall() {
        // A closed loop of one: the tenth request waits from 500 ms on for its own deadline, and
        // its end is counted late; the one behind it takes almost as long.
        for counted in [1_500, 1_550, 2_300] {
            let found = stalls(10_000, |at| match at {
                _ if at < 500 => progress(at, 1 + at / 50, at / 50, 0),
                _ if at < counted => progress(500, 11, 10, 0),
                _ if at < counted + 950 => progress(500, 12, 11, 1),
                _ => progress(501, 12, 12, 1),
            });
            assert_eq!(found, None, "{counted}");
        }
        // The last of a phase, beside one that has ended, with a deadline of its own.
        assert_eq!(stalls(60_000, |at| progress(at.min(300), 20, 19, 0)), None);
    }

    #[test]
    fn an_engine_that_hangs_is_a_stall_however_many_wait() {
        // Eight at a time; the deadlines end each of them, and the next are sent.
        let found = stalls(60_000, |at| {
            let n_failed = 8 * (at.saturating_sub(400) / 1_000);
            progress(at.min(300), 20 + n_failed, 12 + n_failed, n_failed)
        });
        assert_eq!(found, Some((2_350, 8)));
        // One at a time: the second that waits in vain.
        let found = stalls(60_000, |at| {
            let n_failed = at.saturating_sub(400) / 1_000;
            progress(at.min(300), 6 + n_failed, 5 + n_failed, n_failed)
        });
        assert_eq!(found, Some((3_450, 1)));
        // An open loop: ever more.
        let found = stalls(60_000, |at| progress(at.min(300), 1 + at / 25, at.min(300) / 25, 0));
        assert_eq!(found.map(|(at, _)| at), Some(2_350));
    }

    #[test]
    fn nothing_in_flight_and_a_slow_disk_are_no_silence() {
        assert_eq!(stalls(60_000, |_| progress(7, 3, 3, 0)), None);
        let mut watch = StallWatch::new(DEADLINE, Nanos::ZERO);
        let found = (0..100)
            .find_map(|at| watch.look(progress(7, 9, 3, 0), Nanos::from_millis(50 * at), true));
        assert_eq!(found, None);
    }
}
