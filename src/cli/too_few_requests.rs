//! Percentiles that a scenario sends too few requests for, told where it is looked at before a run.

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::metrics::condition::{Condition, Subject};
use crate::metrics::few_samples::{FewSamples, few_samples};
use crate::plan::Plan;
use crate::report::view::results;
use crate::scenario::Scenario;

/// Returns a warning for each phase that gives too few samples for a percentile of the main table
/// or of a gate.
pub(crate) fn look(scenario: &Scenario, plan: &Plan) -> Diagnostics {
    let mut found = Diagnostics::default();
    let mut asked = results::printed(plan);
    let gates = plan.gate.iter().flat_map(|gate| gate.must.iter().chain(&gate.must_not));
    asked.extend(gates.filter_map(|text| match Condition::parse(text).ok()?.subject {
        Subject::Quantity(quantity) => Some(quantity),
        Subject::AccuracyBy(_) => None,
    }));
    for few in few_samples(plan, &asked) {
        let FewSamples { phase, n, n_trials, percentile, n_floor } = few;
        let trials = if n_trials == 1 { "1 trial".into() } else { format!("{n_trials} trials") };
        let message = format!("{percentile} needs {n_floor} requests, phase `{phase}` sends {n}");
        let place = ["phase", phase.as_str()];
        let label = scenario
            .at(&[place[0], place[1], "requests"], format!("in {trials}"))
            .or_else(|| scenario.at(&place, format!("in {trials}")));
        let help = format!(
            "the report will say \"n too small\" there; send {} requests in each trial for it",
            n_floor.div_ceil(n_trials.into())
        );
        let warning = Diagnostic::warning("scenario/few-samples", message);
        found.push(warning.label(label).help(help));
    }
    found
}
