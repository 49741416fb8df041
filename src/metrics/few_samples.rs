//! Percentiles for which a plan gives too few samples: told before a run, not only after it.

use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::{Quantity, Statistic};
use crate::plan::Plan;
use crate::plan::cell::{ArrivalsPlan, Cell, Phase, RampShape};
use crate::stats::quantile::sample_floor;

/// A measured phase that gives fewer samples than a percentile needs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FewSamples {
    /// The phase's name.
    pub phase: String,
    /// Requests that it sends in all trials of a cell.
    pub n: u64,
    /// Trials.
    pub n_trials: u32,
    /// The percentile that needs most, as people call it.
    pub percentile: String,
    /// Samples that it needs.
    pub n_floor: u64,
}

/// Returns the phases that give fewer samples than what is printed of them needs, each with the
/// cell that has fewest.
///
/// Only latencies with one sample per request are looked at, and only phases of which the number
/// of requests is known before they run.
pub(crate) fn few_samples(plan: &Plan, printed: &[Quantity]) -> Vec<FewSamples> {
    let mut found: Vec<FewSamples> = Vec::new();
    for cell in plan.cells.iter().filter(|cell| cell.skip.is_none()) {
        for phase in cell.measured_phases() {
            let Some(few) = few_in(plan, cell, phase, printed) else { continue };
            match found.iter_mut().find(|known| known.phase == few.phase) {
                Some(known) if few.n < known.n => *known = few,
                Some(_) => {}
                None => found.push(few),
            }
        }
    }
    found
}

fn few_in(plan: &Plan, cell: &Cell, phase: &Phase, printed: &[Quantity]) -> Option<FewSamples> {
    let n = n_requests(plan, cell, phase)? * u64::from(cell.n_trials);
    let is_open = !phase.arrivals.waits_for_answers();
    let needs = printed.iter().filter_map(|quantity| {
        let Statistic::Percentile(percentile) = quantity.statistic else { return None };
        let is_told = match quantity.id() {
            MetricId::Ttft | MetricId::Tpot | MetricId::E2e => true,
            MetricId::TtftScheduled | MetricId::E2eScheduled | MetricId::SendLag => is_open,
            _ => false,
        };
        is_told.then(|| (sample_floor(percentile / 100.0), quantity))
    });
    let (n_floor, quantity) =
        needs.reduce(|most, next| if next.0 > most.0 { next } else { most })?;
    (n < n_floor).then(|| FewSamples {
        phase: phase.name.clone(),
        n,
        n_trials: cell.n_trials,
        percentile: quantity.label(),
        n_floor,
    })
}

/// Returns how many requests a phase sends in one trial, where that is known beforehand: exactly,
/// or as its rate gives them on average.
pub(crate) fn n_requests(plan: &Plan, cell: &Cell, phase: &Phase) -> Option<u64> {
    // A conversation is as many requests as it has turns.
    if plan.datasets.get(&cell.dataset).is_some_and(|dataset| dataset.multi_turn) {
        return None;
    }
    let by_time = phase.duration.and_then(|duration| {
        let per_s = match phase.arrivals {
            ArrivalsPlan::Constant { rate_per_s }
            | ArrivalsPlan::Poisson { rate_per_s }
            | ArrivalsPlan::Gamma { rate_per_s, .. } => rate_per_s,
            ArrivalsPlan::Ramp { from_per_s, to_per_s, shape: RampShape::Linear } => {
                f64::midpoint(from_per_s, to_per_s)
            }
            _ => return None,
        };
        Some((per_s * duration.as_secs_f64()) as u64)
    });
    let by_count = phase.n_requests.or_else(|| {
        let dataset = plan.datasets.get(&cell.dataset)?;
        let all = dataset.limit?.saturating_sub(dataset.reserve_for_warm_up);
        phase.duration.is_none().then_some(all)
    });
    match (by_count, by_time) {
        (Some(count), Some(time)) => Some(count.min(time)),
        (found, None) | (None, found) => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::fixture::{cell, plan};
    use crate::units::Nanos;

    fn told(
        arrivals: ArrivalsPlan,
        n: Option<u64>,
        secs: Option<u64>,
        trials: u32,
    ) -> Option<String> {
        let mut plan = plan(&["a"]);
        plan.cells[0].phases = cell(arrivals).phases;
        plan.cells[0].phases[0].n_requests = n;
        plan.cells[0].phases[0].duration = secs.map(Nanos::from_secs);
        plan.cells[0].n_trials = trials;
        let printed = [
            Quantity::percentile(MetricId::Ttft, 50.0),
            Quantity::percentile(MetricId::Ttft, 99.0),
            Quantity::percentile(MetricId::SendLag, 99.9),
            Quantity::percentile(MetricId::Itl, 99.9),
        ];
        let found = few_samples(&plan, &printed);
        assert!(found.len() < 2);
        found.first().map(|few| format!("{} needs {}, has {}", few.percentile, few.n_floor, few.n))
    }

    #[test]
    fn a_percentile_that_is_printed_needs_its_samples() {
        let closed = || ArrivalsPlan::Closed { concurrency: 4 };
        assert_eq!(told(closed(), Some(661), None, 1).unwrap(), "TTFT p99 needs 662, has 661");
        assert_eq!(told(closed(), Some(662), None, 1), None);
        assert_eq!(told(closed(), Some(331), None, 2), None);
        assert_eq!(told(closed(), None, Some(60), 1), None, "nobody knows how many these are");
        // In an open loop the send lag is printed as well.
        let open = || ArrivalsPlan::Poisson { rate_per_s: 10.0 };
        assert_eq!(told(open(), None, Some(60), 2).unwrap(), "send lag p99.9 needs 6636, has 1200");
        assert_eq!(told(open(), Some(6636), None, 1), None);
    }
}
