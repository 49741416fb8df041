//! Whether a further trial fits into the part of a run's budget that one session of an engine has.

use std::time::{Duration, Instant};

/// The time of one session.
pub(super) struct SessionBudget {
    end: Instant,
    /// When the trial before was begun.
    begun: Option<Instant>,
    /// How long the longest trial took, with all that came behind it.
    longest: Duration,
    /// How long the longest start of the engine took: it is not paid again while the engine is up.
    start: Duration,
}

impl SessionBudget {
    pub(super) fn new(now: Instant, share: Duration) -> Self {
        Self { end: now + share, begun: None, longest: Duration::ZERO, start: Duration::ZERO }
    }

    /// Whether a further trial is to be begun: one as long as the longest so far fits, behind a start
    /// of the engine where it is not up. The first always is, unless the time is over.
    pub(super) fn has_room(&mut self, now: Instant, is_up: bool) -> bool {
        if let Some(begun) = self.begun.take() {
            self.longest = self.longest.max(now - begun);
        }
        let start = if is_up { Duration::ZERO } else { self.start };
        now + start + self.longest <= self.end
    }

    /// Takes note of a start that began then.
    pub(super) fn started(&mut self, began: Instant, now: Instant) {
        self.start = self.start.max(now - began);
    }

    /// Takes note that a trial begins.
    pub(super) fn begin(&mut self, now: Instant) {
        self.begun = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_paid_once_and_every_trial_that_fits_is_begun() {
        let begin = Instant::now();
        let at = |secs: f64| begin + Duration::from_secs_f64(secs);
        let mut budget = SessionBudget::new(begin, Duration::from_secs(11));
        assert!(budget.has_room(at(0.0), false));
        budget.started(at(0.0), at(5.0));
        let mut now = 5.0;
        let mut n_trials = 0;
        loop {
            budget.begin(at(now));
            now += 0.5;
            n_trials += 1;
            if !budget.has_room(at(now), true) {
                break;
            }
        }
        // Six seconds are left behind the start.
        assert_eq!(n_trials, 12);
        // An engine that has to be started again needs room for that, too.
        let mut budget = SessionBudget::new(begin, Duration::from_secs(11));
        assert!(budget.has_room(at(0.0), false));
        budget.started(at(0.0), at(5.0));
        budget.begin(at(5.0));
        assert!(!budget.has_room(at(6.0), false));
        assert!(budget.has_room(at(6.0), true));
    }
}
