//! Whether a cell was in a steady state: before its window, and inside it.

use crate::metrics::evidence::Evidence;
use crate::metrics::summary::{SteadyState, SteadyStatus};
use crate::metrics::totals::OutputSteps;
use crate::stats::trend::Trend;
use crate::units::Nanos;

/// Returns what the records of a cell show.
pub(crate) fn steady_state(evidence: &Evidence) -> SteadyState {
    let reasons =
        [over_saturated(evidence), warm_up_not_steady(evidence), window_not_steady(evidence)];
    let reasons: Vec<String> = reasons.into_iter().flatten().collect();
    let is_known = evidence.n_judged_warm_ups > 0 || evidence.n_judged_windows > 0;
    let status = match (reasons.is_empty(), is_known) {
        (false, _) => SteadyStatus::NotSteady,
        (true, true) => SteadyStatus::Steady,
        (true, false) => SteadyStatus::Unknown,
    };
    SteadyState { status, reasons }
}

/// Says that warm-ups ended at their last round.
pub(crate) fn warm_up_not_steady(evidence: &Evidence) -> Option<String> {
    let n = evidence.n_unsteady_warm_ups;
    (n > 0).then(|| {
        format!("the warm-up of {n} of {} trials found no steady state", evidence.n_trials)
    })
}

/// Says that a phase was ended because its queue only grew.
pub(crate) fn over_saturated(evidence: &Evidence) -> Option<String> {
    let (found, started, ended) = evidence.over_saturation?;
    let span_s = found.until.saturating_sub(found.since).as_secs_f64();
    let n_over = (found.n_due + found.n_open_before).saturating_sub(found.n_open_after);
    let at = |at: Nanos| at.saturating_sub(started);
    Some(format!(
        "the queue only grew, from {} to {}: between {} and {} of the phase {:.1} requests per s were \
         due and {:.1} answered; it was ended at {}",
        found.n_open_before,
        found.n_open_after,
        at(found.since),
        at(found.until),
        found.n_due as f64 / span_s,
        n_over as f64 / span_s,
        at(ended),
    ))
}

/// Names the largest trends and steps inside the window.
pub(crate) fn window_not_steady(evidence: &Evidence) -> Option<String> {
    let found: Vec<String> = [
        largest(&evidence.output_trends)
            .map(|trend| told("output throughput", trend))
            .or_else(|| steps_told(&evidence.output_steps)),
        largest(&evidence.ttft_trends).map(|trend| told("TTFT", trend)),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!found.is_empty()).then(|| format!("not steady inside the window: {}", found.join(", ")))
}

fn largest(trends: &[Trend]) -> Option<Trend> {
    let by_size =
        |a: &Trend, b: &Trend| a.relative_change.abs().total_cmp(&b.relative_change.abs());
    trends.iter().copied().max_by(by_size)
}

/// Levels of one window that are told.
const LEVELS_MAX: usize = 4;

/// Tells the levels of the window that steps moved most.
fn steps_told(found: &[OutputSteps]) -> Option<String> {
    let by_change = |a: &&OutputSteps, b: &&OutputSteps| a.change.abs().total_cmp(&b.change.abs());
    let steps = found.iter().max_by(by_change)?;
    let level = |(at, level): &(f64, f64)| format!("{level:.1} tok/s at {:.0} % of it", at * 100.0);
    let levels: Vec<String> = steps.levels_per_s.iter().take(LEVELS_MAX).map(level).collect();
    let more = if steps.levels_per_s.len() > LEVELS_MAX { " …" } else { "" };
    let first = steps.first_per_s;
    Some(format!("output throughput went from {first:.1} to {}{more}", levels.join(", to ")))
}

fn told(name: &str, trend: Trend) -> String {
    let p = if trend.p_value < 0.0001 {
        "< 0.0001".to_owned()
    } else {
        format!("= {:.4}", trend.p_value)
    };
    format!("{name} changed by {:+.0} % (p {p})", trend.relative_change * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(evidence: Evidence, status: SteadyStatus, reasons: &[&str]) {
        let found = steady_state(&Evidence { n_trials: 2, ..evidence });
        assert_eq!(found.status, status);
        assert_eq!(found.reasons, reasons);
    }

    #[test]
    fn what_nothing_looked_at_is_unknown_and_what_failed_is_told() {
        check(Evidence::default(), SteadyStatus::Unknown, &[]);
        let judged = Evidence { n_judged_warm_ups: 2, ..Evidence::default() };
        check(judged.clone(), SteadyStatus::Steady, &[]);
        check(Evidence { n_judged_windows: 1, ..Evidence::default() }, SteadyStatus::Steady, &[]);
        let at_its_end = "the warm-up of 1 of 2 trials found no steady state";
        let unsteady = Evidence { n_unsteady_warm_ups: 1, ..judged };
        check(unsteady.clone(), SteadyStatus::NotSteady, &[at_its_end]);
        let rising: Vec<f64> = (0..20).map(|i| 100.0 + 5.0 * f64::from(i)).collect();
        let ttft_trends = Trend::of(&rising).into_iter().collect();
        let inside = "not steady inside the window: TTFT changed by +64 % (p < 0.0001)";
        check(Evidence { ttft_trends, ..unsteady }, SteadyStatus::NotSteady, &[at_its_end, inside]);
        let stood = OutputSteps {
            first_per_s: 798.2,
            levels_per_s: vec![(0.35, 0.0), (0.75, 801.0)],
            change: -0.4,
        };
        let output_steps = vec![OutputSteps { change: 0.1, ..stood.clone() }, stood];
        let inside = "not steady inside the window: output throughput went from 798.2 to 0.0 tok/s at \
                      35 % of it, to 801.0 tok/s at 75 % of it";
        check(Evidence { output_steps, ..Evidence::default() }, SteadyStatus::NotSteady, &[inside]);
    }
}
