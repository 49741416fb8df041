//! Which swept keys are alternatives, and which are the load that alternatives are compared at.

use std::collections::BTreeMap;

use crate::ids::content_hash;
use crate::plan::Plan;
use crate::plan::cell::{ArrivalsPlan, Cell, OutputLength};
use crate::scenario::spec::{LengthRange, section};

/// Key of how requests arrive.
pub(crate) const ARRIVALS: &str = "arrivals";
/// Key of the most requests that are out at once, where that holds arrivals back.
pub(crate) const MAX_IN_FLIGHT: &str = "max-in-flight";

/// Keys outside `[phase]` that say what is asked, and how much.
const ASKED: [&str; 10] = [
    "phase",
    "dataset",
    "score",
    "limit",
    "max-tokens",
    "input-tokens",
    "input-words",
    "output-tokens",
    "shared-prefix-tokens",
    ARRIVALS,
];

/// What says the same in result files of other tools: lengths, and what the harness asks.
const ASKED_ELSEWHERE: [&str; 13] = [
    "task",
    "max_tokens",
    "prompt_tokens",
    "output_tokens",
    "isl.mean",
    "osl.mean",
    "random_input_len",
    "random_output_len",
    "random_range_ratio",
    "sharegpt_output_len",
    "num_prompts",
    "test",
    "n_depth",
];

/// Keys whose values are names that a scenario gives: the same may bear another name elsewhere.
const NAMED: [&str; 3] = ["phase", "dataset", "score"];

/// Keys that say by a name what is asked, here or in other tools. Phases differ in their load.
const ASKED_BY_NAME: [&str; 4] = ["dataset", "score", "task", "test"];

/// Whether a swept key is part of the load. Loads are not compared with each other.
pub(crate) fn is_load(key: &str) -> bool {
    let is_of_phase = || section("phase").iter().any(|field| field.key == last(key));
    !is_of_engine(key) && (is_asked(key) || is_of_phase())
}

/// Whether a swept key says what is asked, which nobody who serves it can choose.
pub(crate) fn is_asked(key: &str) -> bool {
    let is_elsewhere = |asked: &&str| {
        key.strip_suffix(*asked).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let is_of_asked = key.starts_with("dataset.") || key.starts_with("score.");
    let is_here = || ASKED.contains(&last(key)) || ASKED_ELSEWHERE.iter().any(is_elsewhere);
    !is_of_engine(key) && (is_of_asked || is_here())
}

/// Whether a swept key says by a name what is asked, and so not how much of it.
pub(crate) fn is_asked_by_name(key: &str) -> bool {
    ASKED_BY_NAME.contains(&key)
}

fn is_of_engine(key: &str) -> bool {
    key == "engine" || key.starts_with("engine.")
}

fn last(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

/// Whether a value of a key is a load wherever it is said, so that another one is another load even
/// where neither is swept.
pub(crate) fn is_said_load(key: &str) -> bool {
    is_load(key) && !NAMED.contains(&key)
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
    set("model", launch.map(|launch| launch.own_model().to_owned()));
    set(
        "max-tokens",
        match cell.request.output {
            OutputLength::Natural { max_tokens } => Some(max_tokens.to_string()),
            OutputLength::Fixed { tokens } => Some(tokens.to_string()),
            OutputLength::FromData => None,
        },
    );
    if let Some(dataset) = plan.datasets.get(&cell.dataset) {
        let range = |it: LengthRange| match (it.min, it.max) {
            (least, most) if least == most => most.to_string(),
            (least, most) => format!("{least} to {most}"),
        };
        set("input-tokens", dataset.input_tokens.map(range));
        set("input-words", dataset.input_words.map(range));
        set("output-tokens", dataset.output_tokens.map(range));
    }
    let mut measured = cell.measured_phases();
    if let (Some(phase), None) = (measured.next(), measured.next()) {
        set(ARRIVALS, Some(arrivals_word(&phase.arrivals)));
        set(MAX_IN_FLIGHT, cap(&phase.arrivals, phase.max_in_flight).map(|cap| cap.to_string()));
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

/// Returns a hash of what a cell's requests are held to: when they are due, their limits and their
/// lengths. Cells of two runs that bear one name are the same but for their engines where it is equal.
pub(crate) fn asked(plan: &Plan, cell: &Cell) -> String {
    let said: BTreeMap<String, String> =
        constants(plan, cell).into_iter().filter(|(key, _)| is_said_load(key)).collect();
    content_hash(&(load(cell), said))
}

/// Returns when the requests of a cell's measured phases are due, as text that is the same for
/// equal loads.
pub(crate) fn load(cell: &Cell) -> String {
    let phases = cell.measured_phases().map(|phase| (&phase.arrivals, phase.max_in_flight));
    load_of(&phases.collect::<Vec<_>>())
}

/// Returns when requests of measured phases are due, and how many may be out at once, as text that
/// is the same for equal loads.
pub(crate) fn load_of(phases: &[(&ArrivalsPlan, Option<u32>)]) -> String {
    let of = |(arrivals, max_in_flight): &(&ArrivalsPlan, Option<u32>)| {
        let text = serde_json::to_string(arrivals).expect("arrivals are plain data");
        let cap = cap(arrivals, *max_in_flight);
        cap.map_or_else(|| text.clone(), |cap| format!("{text} {MAX_IN_FLIGHT} {cap}"))
    };
    let phases: Vec<String> = phases.iter().map(of).collect();
    format!("[{}]", phases.join(","))
}

/// Returns the most requests that are out at once, where nothing else holds them back.
fn cap(arrivals: &ArrivalsPlan, max_in_flight: Option<u32>) -> Option<u32> {
    max_in_flight.filter(|_| !arrivals.waits_for_answers())
}

/// Whether a word of [`arrivals_word`] is of an open loop, which has a schedule.
pub(crate) fn is_scheduled(word: &str) -> bool {
    !["closed", "batch", "all-at-once"].contains(&word)
}

/// Says how requests arrive: `closed`, `poisson`, `gamma 0.5`.
pub(crate) fn arrivals_word(arrivals: &ArrivalsPlan) -> String {
    let word = match arrivals {
        ArrivalsPlan::Closed { .. } => "closed",
        ArrivalsPlan::Poisson { .. } => "poisson",
        ArrivalsPlan::Constant { .. } => "constant",
        ArrivalsPlan::Gamma { burstiness, .. } => return format!("gamma {burstiness}"),
        ArrivalsPlan::AllAtOnce => "all-at-once",
        ArrivalsPlan::Batch { .. } => "batch",
        ArrivalsPlan::Ramp { .. } => "ramp",
        ArrivalsPlan::Trace { .. } => "trace",
    };
    word.to_owned()
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
            "max-in-flight",
            "arrivals",
            "task",
            "random_input_len",
            "data.output_tokens",
            "datasets.prompts.isl.mean",
        ] {
            check(key, true);
        }
        for key in ["dataset", "dataset.q.shots", "phase", "score", "max-tokens", "task"] {
            assert!(is_asked(key), "{key}");
        }
        for key in ["engine", "precision", "concurrency", "rate", "phase.load.rate"] {
            assert!(!is_asked(key), "{key}");
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
        assert_ne!(asked(&plan, &closed), asked(&plan, &open));
        let mut shorter = closed.clone();
        shorter.request.output = OutputLength::Fixed { tokens: 2 };
        assert_ne!(asked(&plan, &closed), asked(&plan, &shorter));
        let renamed = Cell { dataset: "of another name".to_owned(), ..closed.clone() };
        assert_eq!(asked(&plan, &closed), asked(&plan, &renamed));
        let capped = |mut cell: Cell| {
            cell.phases.iter_mut().for_each(|phase| phase.max_in_flight = Some(2));
            cell
        };
        assert_eq!(load(&capped(closed.clone())), load(&closed), "a closed loop holds itself back");
        assert_ne!(load(&capped(open.clone())), load(&open));
        assert_eq!(constants(&plan, &capped(open))["max-in-flight"], "2");
    }
}
