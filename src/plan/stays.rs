//! Which finished requests stay when an interrupted trial goes on.

use crate::plan::Plan;
use crate::plan::cell::{ArrivalsPlan, Cell};

/// The phase of a trial whose finished requests stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stays {
    /// Its place among the cell's phases.
    pub(crate) phase: u16,
    /// Requests of one static batch, of which all stay or none; 1 where each stays by itself.
    pub(crate) together: u32,
}

impl Plan {
    /// Returns what stays of an interrupted trial of a cell; `None` where the trial starts anew.
    ///
    /// An answer stays where it does not matter when it was given: in a cell that is scored. A
    /// static batch stays where it was whole, since each begins with an idle engine. Both need one
    /// measured phase that requests end, not time, and requests that wait for no earlier answer.
    /// A latency is never told from before and after an interruption together, so a closed loop
    /// without a score, an open loop, a timed window, and whatever latencies decide (`slo`, `until`,
    /// a search) start anew.
    pub(crate) fn stays(&self, cell: &Cell) -> Option<Stays> {
        let mut measured =
            (0..).zip(&cell.phases).filter(|(_, it)| cell.measures(it.kind, &it.name));
        let (Some((phase, load)), None) = (measured.next(), measured.next()) else { return None };
        let is_timed = load.duration.is_some() || load.cancel_after.is_some();
        let is_decided_by_latencies =
            load.until.is_some() || cell.slo.is_some() || self.search.is_some();
        let is_apart = self.clients.is_none()
            && self.datasets.get(&cell.dataset).is_some_and(|dataset| !dataset.multi_turn);
        if is_timed || is_decided_by_latencies || !is_apart {
            return None;
        }
        let together = match load.arrivals {
            ArrivalsPlan::Batch { size } if load.max_in_flight.is_none() => size,
            ArrivalsPlan::Closed { .. } | ArrivalsPlan::AllAtOnce if cell.score.is_some() => 1,
            _ => return None,
        };
        Some(Stays { phase, together })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::fixture::{cell, plan};
    use crate::plan::cell::{DatasetPlan, Slo, Source, Until};
    use crate::units::Nanos;

    /// Asks of a plan with one cell, which is scored or not and was changed in some way.
    fn stays(arrivals: ArrivalsPlan, scored: bool, change: fn(&mut Plan)) -> Option<Stays> {
        let mut all = plan(&["a"]);
        let dataset = DatasetPlan::of(Source::Jsonl, None, None, None);
        let score = scored.then(|| "s".to_owned());
        all.cells = vec![Cell { score, slo: None, ..cell(arrivals) }];
        all.datasets.insert(all.cells[0].dataset.clone(), dataset);
        for phase in &mut all.cells[0].phases {
            (phase.duration, phase.n_requests) = (None, Some(100));
        }
        change(&mut all);
        all.stays(&all.cells[0])
    }

    const CLOSED: ArrivalsPlan = ArrivalsPlan::Closed { concurrency: 8 };

    #[test]
    fn answers_stay_where_they_are_scored_and_batches_where_they_are_whole() {
        let each = Some(Stays { phase: 0, together: 1 });
        let unchanged: fn(&mut Plan) = |_| {};
        assert_eq!(stays(CLOSED, true, unchanged), each);
        assert_eq!(stays(ArrivalsPlan::AllAtOnce, true, unchanged), each);
        assert_eq!(stays(CLOSED, false, unchanged), None);
        assert_eq!(stays(ArrivalsPlan::AllAtOnce, false, unchanged), None);
        let whole = Some(Stays { phase: 0, together: 4 });
        assert_eq!(stays(ArrivalsPlan::Batch { size: 4 }, false, unchanged), whole);
        assert_eq!(stays(ArrivalsPlan::Batch { size: 4 }, true, unchanged), whole);
        assert_eq!(stays(ArrivalsPlan::Poisson { rate_per_s: 4.0 }, true, unchanged), None);
    }

    #[test]
    fn what_is_timed_or_decided_by_latencies_starts_anew() {
        let changes: [fn(&mut Plan); 7] = [
            |plan| plan.cells[0].phases[0].duration = Some(Nanos::from_secs(60)),
            |plan| plan.cells[0].phases[0].cancel_after = Some(Nanos::from_secs(60)),
            |plan| {
                let until = Until { metric: "ttft.p50".to_owned(), half_width: 0.05 };
                plan.cells[0].phases[0].until = Some(until);
            },
            |plan| plan.cells[0].slo = Some(Slo::default()),
            |plan| {
                let second = plan.cells[0].phases[0].clone();
                plan.cells[0].phases.push(second);
            },
            |plan| plan.datasets.values_mut().for_each(|dataset| dataset.multi_turn = true),
            |plan| plan.datasets.clear(),
        ];
        for (n, change) in changes.into_iter().enumerate() {
            assert_eq!(stays(CLOSED, true, change), None, "change {n}");
        }
    }
}
