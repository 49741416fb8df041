//! What bench's own lateness did to a request: when it could have left.

use crate::metrics::request::RequestMetrics;
use crate::plan::cell::{ArrivalsPlan, Cell, Phase};
use crate::record::request::RequestRecord;
use crate::record::trial::{BEAT, GATHER, TrialRecord};
use crate::units::Nanos;

/// What bench's own lateness did to a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnLag {
    /// By how much earlier it would have left, had bench sent it when it was due and there was
    /// room for it. Nothing where answers drive the loop: there nothing is due before it is sent.
    pub late: Nanos,
    /// Streams of the loop, one of which stood still between an answer and this request.
    pub n_streams: Option<u32>,
}

impl OwnLag {
    /// Returns what is known of a measured request.
    ///
    /// A wait for a place under a cap is not bench's doing, and the record does not tell it from
    /// a wait for bench: there the lag counts as far as bench was late at any time of the trial.
    pub(crate) fn of(
        phase: Option<&Phase>,
        record: &RequestRecord,
        metrics: &RequestMetrics,
        lateness: Nanos,
    ) -> Self {
        let lag = metrics.send_lag.unwrap_or_default();
        let Some(phase) = phase else { return Self { late: lag, n_streams: None } };
        let cap = phase.max_in_flight.unwrap_or(u32::MAX);
        match phase.arrivals {
            ArrivalsPlan::Closed { concurrency: n } | ArrivalsPlan::Batch { size: n } => {
                Self { late: Nanos::ZERO, n_streams: Some(n.min(cap).max(1)) }
            }
            // Later turns follow an answer and wait for nothing else.
            _ if phase.max_in_flight.is_some() && record.turn == 0 => {
                Self { late: lag.min(lateness), n_streams: None }
            }
            _ => Self { late: lag, n_streams: None },
        }
    }
}

/// Returns how late bench was at most in a trial, by what it saw of itself: the sentinel's lags,
/// its longest silence, and the times in which load threads stood still.
pub(crate) fn lateness(record: &TrialRecord) -> Nanos {
    let stalls = record.phases.iter().map(|phase| phase.stalls.longest);
    let seen = record.sentinels().flat_map(|sentinel| {
        let silence = sentinel.wake_gap_max.saturating_sub(BEAT);
        sentinel.wake_lag.last().copied().into_iter().chain([silence])
    });
    stalls.chain(seen).fold(Nanos::ZERO, Nanos::max)
}

/// Returns for how long at most something that had arrived in a trial waited to be read: a load
/// thread sleeps until the first arrival, lets others gather behind it, and was never later than
/// that by all that bench saw of itself.
pub(crate) fn longest_wait(record: &TrialRecord) -> Nanos {
    lateness(record) + GATHER
}

/// Returns the phase of a cell that a request belongs to.
pub(crate) fn phase_of<'a>(cell: &'a Cell, record: &RequestRecord) -> Option<&'a Phase> {
    cell.phases.get(usize::from(record.phase))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::request::tests::request;
    use crate::metrics::tests::fixture::{cell, phase_record, trial};
    use crate::record::trial::PhaseKind;

    #[test]
    fn what_a_cap_or_an_answer_holds_back_is_not_late() {
        let record = request(0, 100, 140, &[200]);
        let late = |arrivals, cap| {
            let mut cell = cell(arrivals);
            cell.phases[0].max_in_flight = cap;
            let metrics = RequestMetrics::of(&record);
            OwnLag::of(phase_of(&cell, &record), &record, &metrics, Nanos::from_millis(3))
        };
        let ms = Nanos::from_millis;
        let open = || ArrivalsPlan::Poisson { rate_per_s: 1.0 };
        assert_eq!(late(open(), None), OwnLag { late: ms(40), n_streams: None });
        assert_eq!(late(open(), Some(8)), OwnLag { late: ms(3), n_streams: None });
        let closed = ArrivalsPlan::Closed { concurrency: 64 };
        assert_eq!(late(closed, Some(8)), OwnLag { late: ms(0), n_streams: Some(8) });
    }

    #[test]
    fn bench_was_as_late_as_it_ever_saw_itself() {
        let mut record = trial(&[phase_record(PhaseKind::Measure, 0, 1, 2)]);
        record.sentinel.wake_lag = vec![Nanos(10), Nanos(200)];
        assert_eq!(lateness(&record), Nanos(200));
        record.sentinel.wake_gap_max = BEAT + Nanos(300);
        assert_eq!(lateness(&record), Nanos(300));
        record.phases[0].stalls.longest = Nanos(400);
        assert_eq!(lateness(&record), Nanos(400));
    }
}
