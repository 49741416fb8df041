//! How long a plan takes at least: what is known before an engine has answered.

use crate::plan::Plan;
use crate::plan::cell::{ArrivalsPlan, Phase};
use crate::units::Nanos;

/// The time of a plan as far as the clock bounds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeastTime {
    /// Phases whose end the clock sets, over all trials.
    pub bounded: Nanos,
    /// The same by the GPUs of their engines: what is paid for.
    pub on_gpus: Nanos,
    /// Cells that have a phase which answers end.
    pub n_open: usize,
}

/// Returns how long the phases of a plan take, as far as no engine decides it.
pub fn least_time(plan: &Plan) -> LeastTime {
    let mut time = LeastTime::default();
    for cell in plan.cells.iter().filter(|cell| cell.skip.is_none()) {
        let phases: Vec<Option<Nanos>> = cell.phases.iter().map(length).collect();
        let trial: Nanos = phases.iter().copied().flatten().sum();
        let all = Nanos(trial.0.saturating_mul(u64::from(cell.n_trials)));
        let n_gpus = plan.launches.get(&cell.launch).map_or(1, |launch| launch.n_gpus);
        time.bounded += all;
        time.on_gpus += Nanos(all.0.saturating_mul(u64::from(n_gpus)));
        time.n_open += usize::from(phases.contains(&None));
    }
    time
}

/// Returns the length of a phase that ends by the clock alone.
pub(crate) fn length(phase: &Phase) -> Option<Nanos> {
    if phase.until.is_some() || phase.until_steady.is_some() {
        return None;
    }
    let by_count = phase.n_requests.zip(rate(&phase.arrivals));
    let by_count = by_count.map(|(n, rate)| Nanos::from_secs_f64(n as f64 / rate));
    match (by_count, phase.duration, phase.n_requests) {
        (Some(by_count), duration, _) => Some(duration.map_or(by_count, |it| it.min(by_count))),
        (None, Some(duration), None) => Some(duration),
        (None, ..) => None,
    }
}

fn rate(arrivals: &ArrivalsPlan) -> Option<f64> {
    match arrivals {
        ArrivalsPlan::Constant { rate_per_s }
        | ArrivalsPlan::Poisson { rate_per_s }
        | ArrivalsPlan::Gamma { rate_per_s, .. } => Some(*rate_per_s),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::fixture::{cell, plan};

    #[test]
    fn the_clock_bounds_rates_and_durations_and_answers_bound_the_rest() {
        let secs = Nanos::from_secs;
        let of = |arrivals: ArrivalsPlan, n_requests, duration| {
            let mut plan = plan(&["a"]);
            plan.cells[0].phases = cell(arrivals).phases;
            plan.cells[0].phases[0].n_requests = n_requests;
            plan.cells[0].phases[0].duration = duration;
            plan.cells[0].n_trials = 3;
            let time = least_time(&plan);
            (time.bounded, time.n_open)
        };
        let rate = || ArrivalsPlan::Poisson { rate_per_s: 2.0 };
        let streams = || ArrivalsPlan::Closed { concurrency: 4 };
        assert_eq!(of(rate(), Some(20), None), (secs(30), 0));
        assert_eq!(of(rate(), Some(20), Some(secs(5))), (secs(15), 0));
        assert_eq!(of(rate(), None, Some(secs(60))), (secs(180), 0));
        assert_eq!(of(streams(), None, Some(secs(60))), (secs(180), 0));
        assert_eq!(of(streams(), Some(100), Some(secs(60))), (secs(0), 1));
        assert_eq!(of(streams(), Some(100), None), (secs(0), 1));
    }
}
