//! Wakes ahead of a send by the time that this machine wakes late.

use crate::units::Nanos;

/// The largest lead of a wake-up.
const MAX_LEAD: Nanos = Nanos(100_000);
/// How much one wake-up changes the lead. A wake-up that was later than the lead counts three
/// times, so three in four wake-ups come in time.
const STEP: Nanos = Nanos(1_000);
/// The share of time that may be spent waiting awake, as one in so many. The engine may need the
/// CPU.
const AWAKE_ONE_IN: u64 = 20;

/// The lateness of wake-ups, learned from those that were asked for.
///
/// A timer wakes a thread about 60 µs late. Without a lead, two sends due within that time would
/// leave together, and arrivals would differ from the schedule. So the thread wakes early and
/// waits awake for the rest.
#[derive(Debug)]
pub(crate) struct WakeAhead {
    /// The lateness that three in four wake-ups do not exceed.
    late: Nanos,
    since: Nanos,
    awake: Nanos,
    /// The send for which the thread waits awake.
    awake_for: Option<Nanos>,
}

impl WakeAhead {
    pub(crate) fn new(now: Nanos) -> Self {
        Self { late: Nanos::ZERO, since: now, awake: Nanos::ZERO, awake_for: None }
    }

    /// Returns when to wake for a send that is due later. The present instant means: wait awake.
    pub(crate) fn wake_for(&mut self, due: Nanos, now: Nanos) -> Nanos {
        if self.awake_for == Some(due) {
            return now;
        }
        if self.awake.0 > now.saturating_sub(self.since).0 / AWAKE_ONE_IN {
            return due;
        }
        let wake = due.saturating_sub(self.late);
        if wake > now {
            return wake;
        }
        self.awake_for = Some(due);
        self.awake += due.saturating_sub(now);
        now
    }

    /// Learns from one wake-up: when it was asked for, for which instant, and when it came.
    pub(crate) fn learn(&mut self, asked_at: Nanos, asked: Nanos, came: Nanos) {
        // A wake-up that was not slept for, or that an arrival caused, says nothing about timers.
        if asked <= asked_at || came < asked {
            return;
        }
        self.late = if came.saturating_sub(asked) > self.late {
            (self.late + Nanos(3 * STEP.0)).min(MAX_LEAD)
        } else {
            self.late.saturating_sub(STEP)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Nanos = Nanos::from_millis(1);

    /// Returns a lead that has learned from wake-ups of these latenesses.
    fn learned(lateness: impl IntoIterator<Item = Nanos>) -> (WakeAhead, Nanos) {
        let (mut lead, mut now) = (WakeAhead::new(Nanos::ZERO), Nanos::ZERO);
        for late in lateness {
            lead.learn(now, now + MILLI, now + MILLI + late);
            now = now + MILLI + late;
        }
        (lead, now)
    }

    #[test]
    fn a_punctual_machine_is_not_waited_for_awake() {
        let (mut lead, now) = learned([Nanos::ZERO; 100]);
        assert_eq!(lead.wake_for(now + MILLI, now), now + MILLI);
    }

    #[test]
    fn three_in_four_wake_ups_come_in_time_and_the_rest_is_waited_awake() {
        let late = (0..4_000_u64).map(|i| Nanos(20_000 * (i % 4 + 1) - 5_000));
        let (mut lead, now) = learned(late);
        let due = now + MILLI;
        let ahead = due.saturating_sub(lead.wake_for(due, now));
        assert!((55_000..=75_000).contains(&ahead.0), "{ahead}");
        assert_eq!(lead.wake_for(due, due.saturating_sub(Nanos(9))), due.saturating_sub(Nanos(9)));
    }

    #[test]
    fn a_late_machine_is_not_trusted_beyond_the_limit() {
        let (mut lead, now) = learned([MILLI; 1000]);
        assert_eq!(lead.wake_for(now + MILLI, now), now + MILLI.saturating_sub(MAX_LEAD));
    }

    #[test]
    fn waiting_awake_takes_a_twentieth_of_the_time_at_most() {
        let (mut lead, begin) = learned([MAX_LEAD; 1000]);
        let (mut now, mut awake) = (begin, Nanos::ZERO);
        for _ in 0..100_000 {
            let due = now + MAX_LEAD;
            if lead.wake_for(due, now) == now {
                awake += MAX_LEAD;
            }
            now = due;
        }
        let share = awake.0 as f64 / now.0 as f64;
        assert!((0.045..0.051).contains(&share), "{share}");
    }

    #[test]
    fn arrivals_that_wake_early_teach_nothing() {
        let (mut lead, now) = learned([]);
        lead.learn(now, now + MILLI, now + Nanos(5));
        lead.learn(now, now, now + MILLI);
        assert_eq!(lead.wake_for(now + MILLI, now), now + MILLI);
    }
}
