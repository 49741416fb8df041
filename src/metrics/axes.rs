//! Which swept keys are alternatives, and which are the load that alternatives are compared at.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::ids::content_hash;
use crate::metrics::few_samples::n_requests;
use crate::plan::Plan;
use crate::plan::cell::{ArrivalsPlan, Cell, OutputLength, Phase};
use crate::scenario::spec::{LengthRange, section};

/// Key of how requests arrive.
pub(crate) const ARRIVALS: &str = "arrivals";
/// Key of the most requests that are out at once, where that holds arrivals back.
pub(crate) const MAX_IN_FLIGHT: &str = "max-in-flight";
/// Key of how many requests are sent at once, where all are.
pub(crate) const REQUESTS: &str = "requests";
/// Keys of the mean prompt and output tokens of a request, of tools that do not say what was asked.
pub(crate) const MEAN_LENGTHS: [&str; 2] = ["mean-prompt-tokens", "mean-output-tokens"];

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
const ASKED_ELSEWHERE: [&str; 9] = [
    "task",
    "max_tokens",
    "prompt_tokens",
    "output_tokens",
    "isl.mean",
    "osl.mean",
    "random_range_ratio",
    "test",
    "n_depth",
];

/// Ends of names of other tools' lengths, `random_input_len` and `prefix_repetition_num_prefixes`.
const LENGTHS_ELSEWHERE: [&str; 5] =
    ["input_len", "output_len", "prefix_len", "suffix_len", "num_prefixes"];

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
    // Tools that take options from a file take them with dashes too.
    let is_length = || {
        let key = key.replace('-', "_");
        LENGTHS_ELSEWHERE.iter().any(|end| key.ends_with(end))
    };
    let is_here = || ASKED.contains(&last(key)) || MEAN_LENGTHS.contains(&key);
    let is_known = || ASKED_ELSEWHERE.iter().any(is_elsewhere) || is_length();
    !is_of_engine(key) && (is_of_asked || is_here() || is_known())
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

/// Returns the swept keys that say what is asked by what a plan makes of them, and not by their name:
/// cells that differ in one of them alone ask the same engine other prompts, or for other lengths.
pub(crate) fn asked_by_plan(plan: &Plan) -> BTreeSet<String> {
    let is_same_data = |one: &Cell, other: &Cell| {
        let [one, other] = [one, other].map(|cell| plan.datasets.get(&cell.dataset));
        one.zip(other).is_none_or(|(one, other)| {
            (one.source, &one.split) == (other.source, &other.split) && one.asks() == other.asks()
        })
    };
    let is_same = |one: &Cell, other: &Cell| {
        (&one.score, one.request.output) == (&other.score, other.request.output)
            && (one.dataset == other.dataset || is_same_data(one, other))
    };
    let keys: BTreeSet<&String> = plan.cells.iter().flat_map(|cell| cell.keys.keys()).collect();
    let chooses = |key: &&String| {
        let mut known: HashMap<Vec<&str>, &Cell> = HashMap::new();
        plan.cells.iter().any(|cell| {
            let others = cell.keys.iter().filter(|(other, _)| other != key);
            let mut place = vec![cell.launch.0.as_str()];
            place.extend(others.flat_map(|(key, value)| [key.as_str(), value.as_str()]));
            !is_same(known.entry(place).or_insert(cell), cell)
        })
    };
    let unknown = keys.into_iter().filter(|key| !is_load(key));
    unknown.filter(chooses).cloned().collect()
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
        let n = at_once(&phase.arrivals, n_requests(plan, cell, phase));
        set(REQUESTS, n.map(|n| n.to_string()));
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
    content_hash(&(load(plan, cell), said))
}

/// Returns when the requests of a cell's measured phases are due, as text that is the same for
/// equal loads.
pub(crate) fn load(plan: &Plan, cell: &Cell) -> String {
    let of = |phase: &Phase| {
        load_of(&phase.arrivals, phase.max_in_flight, n_requests(plan, cell, phase))
    };
    let phases: Vec<String> = cell.measured_phases().map(of).collect();
    loads(&phases)
}

/// Returns the load of a cell of measured phases, of [`load_of`] each.
pub(crate) fn loads(phases: &[String]) -> String {
    format!("[{}]", phases.join(","))
}

/// Returns when requests of a measured phase are due, how many may be out at once, and how many are
/// sent at once, as text that is the same for equal loads.
pub(crate) fn load_of(
    arrivals: &ArrivalsPlan,
    max_in_flight: Option<u32>,
    n_requests: Option<u64>,
) -> String {
    let text = serde_json::to_string(arrivals).expect("arrivals are plain data");
    let cap = cap(arrivals, max_in_flight);
    let cap = cap.map_or_else(String::new, |cap| format!(" {MAX_IN_FLIGHT} {cap}"));
    let n = at_once(arrivals, n_requests);
    let n = n.map_or_else(String::new, |n| format!(" {REQUESTS} {n}"));
    format!("{text}{cap}{n}")
}

/// Returns the number of requests where all are sent at once: then it is the load.
pub(crate) fn at_once(arrivals: &ArrivalsPlan, n_requests: Option<u64>) -> Option<u64> {
    n_requests.filter(|n| *n > 0 && *arrivals == ArrivalsPlan::AllAtOnce)
}

/// Returns how long the schedules of a cell's measured phases are, as text that is the same for equal
/// lengths; `None` where something else than a schedule sends.
pub(crate) fn length(cell: &Cell) -> Option<String> {
    let of = |phase: &Phase| {
        let is_scheduled = is_scheduled(&arrivals_word(&phase.arrivals));
        is_scheduled.then(|| format!("{:?} {:?}", phase.n_requests, phase.duration))
    };
    cell.measured_phases().map(of).collect::<Option<Vec<_>>>().map(|phases| phases.join(","))
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
    use crate::ids::LaunchId;
    use crate::metrics::tests::fixture::{cell, plan};
    use crate::plan::cell::{DatasetPlan, Source};

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
            "prefix_repetition_prefix_len",
            "random-output-len",
            "mean-output-tokens",
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
    fn a_key_of_any_name_that_chooses_the_data_of_one_engine_says_what_is_asked() {
        let mut plan = plan(&["a", "b", "c", "d"]);
        let values = [("short", "1"), ("short", "4"), ("long", "1"), ("long", "4")];
        let (name, dataset) = ("q", DatasetPlan::of(Source::Jsonl, None, None, None));
        for (file, _) in values {
            let dataset = DatasetPlan { location: Some(file.to_owned()), ..dataset.clone() };
            plan.datasets.insert(format!("{name}~{file}"), dataset);
        }
        for (cell, (file, heat)) in plan.cells.iter_mut().zip(values) {
            cell.dataset = format!("{name}~{file}");
            let keys = [("file", file), ("temperature", heat)];
            cell.keys = keys.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
            cell.launch = LaunchId("one".to_owned());
        }
        assert_eq!(asked_by_plan(&plan), BTreeSet::from(["file".to_owned()]));
        // Rows that are kept for warm-up are no other question.
        for (reserved, dataset) in (0..).zip(plan.datasets.values_mut()) {
            dataset.location = Some("short".to_owned());
            dataset.reserve_for_warm_up = reserved;
        }
        assert_eq!(asked_by_plan(&plan), BTreeSet::new());
    }

    #[test]
    fn a_load_that_is_not_swept_is_known_from_the_plan() {
        let plan = plan(&["a"]);
        let closed = cell(ArrivalsPlan::Closed { concurrency: 8 });
        assert_eq!(constants(&plan, &closed)["concurrency"], "8");
        let open = cell(ArrivalsPlan::Poisson { rate_per_s: 4.0 });
        assert_eq!(constants(&plan, &open)["rate"], "4");
        assert_ne!(load(&plan, &closed), load(&plan, &open));
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
        let load = |cell: &Cell| load(&plan, cell);
        assert_eq!(load(&capped(closed.clone())), load(&closed), "a closed loop holds itself back");
        assert_ne!(load(&capped(open.clone())), load(&open));
        assert_eq!(constants(&plan, &capped(open))["max-in-flight"], "2");
        let at_once = |n: u64| {
            let mut cell = cell(ArrivalsPlan::AllAtOnce);
            cell.phases.iter_mut().for_each(|phase| phase.n_requests = Some(n));
            cell
        };
        assert_eq!(constants(&plan, &at_once(20))["requests"], "20");
        assert_ne!(asked(&plan, &at_once(20)), asked(&plan, &at_once(80)));
        assert_eq!(load(&at_once(20)), r#"["all-at-once" requests 20]"#);
    }
}
