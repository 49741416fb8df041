//! Which swept keys are alternatives, and which are the load that alternatives are compared at.

use std::collections::BTreeMap;

use crate::plan::Plan;
use crate::plan::cell::{ArrivalsPlan, Cell, OutputLength};
use crate::scenario::spec::section;

/// Keys outside `[phase]` that say what is asked, and how much.
const ASKED: [&str; 9] = [
    "phase",
    "dataset",
    "score",
    "limit",
    "max-tokens",
    "input-tokens",
    "input-words",
    "output-tokens",
    "shared-prefix-tokens",
];

/// Whether a swept key is part of the load. Loads are not compared with each other.
pub(crate) fn is_load(key: &str) -> bool {
    if key == "engine" || key.starts_with("engine.") {
        return false;
    }
    if key.starts_with("dataset.") || key.starts_with("score.") {
        return true;
    }
    let name = key.rsplit('.').next().unwrap_or(key);
    ASKED.contains(&name) || section("phase").iter().any(|field| field.key == name)
}

/// Returns what a cell's plan says of keys that are not swept.
pub(crate) fn constants(plan: &Plan, cell: &Cell) -> BTreeMap<String, String> {
    let mut known = BTreeMap::from([("dataset".to_owned(), cell.dataset.clone())]);
    let mut set = |key: &str, value: Option<String>| {
        known.extend(value.map(|value| (key.to_owned(), value)));
    };
    set("score", cell.score.clone());
    let launch = plan.launches.get(&cell.launch);
    set("precision", launch.and_then(|launch| launch.precision.clone()));
    set("model", launch.map(|launch| launch.model.clone()));
    set(
        "max-tokens",
        match cell.request.output {
            OutputLength::Natural { max_tokens } => Some(max_tokens.to_string()),
            OutputLength::Fixed { tokens } => Some(tokens.to_string()),
            OutputLength::FromData => None,
        },
    );
    let mut measured = cell.measured_phases();
    if let (Some(phase), None) = (measured.next(), measured.next()) {
        match &phase.arrivals {
            ArrivalsPlan::Closed { concurrency } => {
                set("concurrency", Some(concurrency.to_string()));
            }
            ArrivalsPlan::Constant { rate_per_s }
            | ArrivalsPlan::Poisson { rate_per_s }
            | ArrivalsPlan::Gamma { rate_per_s, .. } => set("rate", Some(rate_per_s.to_string())),
            ArrivalsPlan::Batch { size } => set("batch", Some(size.to_string())),
            ArrivalsPlan::Ramp { .. } | ArrivalsPlan::Trace { .. } | ArrivalsPlan::AllAtOnce => {}
        }
    }
    known
}

/// Returns when the requests of a cell's measured phases are due, as text that is the same for
/// equal loads.
pub(crate) fn load(cell: &Cell) -> String {
    load_of(&cell.measured_phases().map(|phase| &phase.arrivals).collect::<Vec<_>>())
}

/// Returns when requests of measured phases are due, as text that is the same for equal loads.
pub(crate) fn load_of(arrivals: &[&ArrivalsPlan]) -> String {
    serde_json::to_string(arrivals).expect("arrivals are plain data")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::fixture::{cell, plan};

    #[test]
    fn engines_and_their_options_are_alternatives_and_phases_are_load() {
        let check = |key: &str, expected: bool| assert_eq!(is_load(key), expected, "{key}");
        for key in ["engine", "precision", "engine.vllm.eager", "tensor-parallel", "temperature"] {
            check(key, false);
        }
        for key in [
            "concurrency",
            "rate",
            "batch",
            "phase.load.rate",
            "dataset",
            "score",
            "dataset.q.shots",
            "max-tokens",
        ] {
            check(key, true);
        }
    }

    #[test]
    fn a_load_that_is_not_swept_is_known_from_the_plan() {
        let plan = plan(&["a"]);
        let closed = cell(ArrivalsPlan::Closed { concurrency: 8 });
        assert_eq!(constants(&plan, &closed)["concurrency"], "8");
        let open = cell(ArrivalsPlan::Poisson { rate_per_s: 4.0 });
        assert_eq!(constants(&plan, &open)["rate"], "4");
        assert_ne!(load(&closed), load(&open));
    }
}
