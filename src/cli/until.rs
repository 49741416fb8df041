//! Checks of `until`: the number must be one that each request adds to.

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::metrics::quantity::{Quantity, Statistic};
use crate::metrics::request::LATENCIES;
use crate::metrics::summary::PERCENTILES;
use crate::plan::Plan;
use crate::scenario::Scenario;

/// Finds numbers of `until` that do not exist, or that no request adds to.
pub(crate) fn check(scenario: &Scenario, plan: &Plan, found: &mut Diagnostics) {
    let mut told: Vec<(&str, &str)> = Vec::new();
    for phase in plan.cells.iter().flat_map(|cell| &cell.phases) {
        let Some(until) = &phase.until else { continue };
        let key = (phase.name.as_str(), until.metric.as_str());
        if told.contains(&key) {
            continue;
        }
        told.push(key);
        if let Err(why) = readable(&until.metric) {
            let known: Vec<&str> = LATENCIES.iter().map(|metric| metric.row().tag).collect();
            found.push(
                Diagnostic::error("scenario/until", format!("`until` of phase `{}`: {why}", key.0))
                    .label(scenario.value_at(&["phase", key.0, "until"]))
                    .help(format!(
                        "name `.mean` or a percentile of one of {}: \"ttft.p99\"",
                        known.join(", ")
                    )),
            );
        }
    }
}

fn readable(text: &str) -> Result<(), String> {
    let quantity = Quantity::try_from(text.to_owned())?;
    if !LATENCIES.contains(&quantity.id()) {
        return Err(format!("`{text}` is not a number that each request adds to"));
    }
    match quantity.statistic {
        Statistic::Value => Err(format!("`{text}` does not say what of it")),
        Statistic::Percentile(p) if p <= 0.0 || p >= 100.0 => {
            Err(format!("`{text}` is an extreme, which no sample size makes known"))
        }
        Statistic::Percentile(p) if !PERCENTILES.contains(&p) => {
            let known = PERCENTILES.map(|p| format!("p{p}")).join(", ");
            Err(format!("`{text}` stands in no report: these have {known}"))
        }
        Statistic::Mean | Statistic::Percentile(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_means_and_percentiles_of_requests_can_be_waited_for() {
        for text in ["ttft.p99", "tpot.mean", "e2e_scheduled.p50"] {
            assert_eq!(readable(text), Ok(()), "{text}");
        }
        for text in [
            "ttft",
            "ttft.p0",
            "ttft.p100",
            "ttft.p97",
            "output_throughput",
            "accuracy.mean",
            "x.p9",
        ] {
            assert!(readable(text).is_err(), "{text}");
        }
    }
}
