//! All cells of a run, and what only shows when they are seen together.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::ids::{CellId, LaunchId};
use crate::metrics::axes::is_load;
use crate::metrics::catalogue::MetricId;
use crate::metrics::caveats::caveat;
use crate::metrics::gates;
use crate::metrics::load_search::searches;
use crate::metrics::summary::{Caveat, CellSummary, SearchSummary, Summary};
use crate::metrics::wall_time::{TimesByTrial, WallTime};
use crate::plan::Plan;
use crate::plan::cell::{Cell, DatasetPlan};
use crate::record::event::EngineFacts;

/// Difference of mean prompt tokens between cells of one data set that is more than a special
/// token on each prompt.
const PROMPT_TOKENS_DIFFER: f64 = 0.02;
/// Difference of mean output tokens that shows in times of whole answers and rates of requests.
pub(crate) const OUTPUT_TOKENS_DIFFER: f64 = 0.05;

/// Puts the cells of a run together.
///
/// `facts` is what each engine said of itself at its last start, `times` when each trial was
/// measured; `run_caveats` are those of the whole run (`RunEvent::Caveat`).
pub(crate) fn summary(
    plan: &Plan,
    complete: bool,
    mut cells: Vec<CellSummary>,
    facts: &BTreeMap<LaunchId, EngineFacts>,
    times: &TimesByTrial,
    run_caveats: Vec<Caveat>,
) -> Summary {
    let mut caveats = run_caveats;
    caveats.extend(configuration_differs(plan, &cells, facts));
    caveats.extend(prompt_tokens_differ(plan, &cells));
    caveats.extend(output_tokens_differ(plan, &cells));
    caveats.extend(prompt_ids_differ(plan, &cells));
    // They have told what they can.
    for cell in &mut cells {
        cell.prompt_ids = BTreeMap::new();
    }
    caveats.extend(fixed_sentence_differs(plan, &cells, facts));
    caveats.extend(not_interleaved(plan, &cells, times));
    let searches = searches(plan, &cells);
    caveats.extend(searches.iter().filter_map(search_ended_by_client));
    let gates = gates::results(plan, &cells);
    let title = plan.title.clone();
    let wall_time = WallTime::default();
    Summary { title, complete, cells, searches, gates, wall_time, caveats }
}

/// Returns the doubt that an event of the run expresses.
pub(crate) fn run_caveat(what: &str, advice: &str) -> Caveat {
    caveat("run", what.to_owned(), advice.to_owned(), &[])
}

/// Returns cells that were measured, each with its engine's facts.
fn measured<'a>(
    plan: &Plan,
    cells: &'a [CellSummary],
    facts: &'a BTreeMap<LaunchId, EngineFacts>,
) -> Vec<(&'a CellSummary, &'a EngineFacts)> {
    let planned = plan.cells_by_id();
    cells
        .iter()
        .filter(|cell| is_measured(cell))
        .filter_map(|cell| Some((cell, facts.get(&planned.get(&cell.id)?.launch)?)))
        .collect()
}

fn is_measured(cell: &CellSummary) -> bool {
    cell.validity.status.is_measured() && cell.counts.ok > 0
}

/// Names settings that engines do not share and that the scenario does not sweep.
fn configuration_differs(
    plan: &Plan,
    cells: &[CellSummary],
    facts: &BTreeMap<LaunchId, EngineFacts>,
) -> Vec<Caveat> {
    let measured = measured(plan, cells, facts);
    let names: BTreeSet<&String> =
        measured.iter().flat_map(|(_, facts)| facts.configuration.keys()).collect();
    let found = names.into_iter().filter(|name| !is_swept(name, cells)).filter_map(|name| {
        let values = grouped(measured.iter().filter_map(|(cell, facts)| {
            Some((facts.configuration.get(name)?.clone(), cell.name.as_str()))
        }));
        (values.len() > 1).then(|| {
            let what = format!("`{name}` is not the same everywhere: {}", told(&values));
            let advice = "Set it alike in all engines, or read the rows as different things.";
            caveat("configuration-differs", what, advice, &[])
        })
    });
    found.collect()
}

/// Whether the scenario sweeps a setting, perhaps under the name that people use for it.
fn is_swept(name: &str, cells: &[CellSummary]) -> bool {
    let is_dtype = matches!(name, "dtype" | "quantization" | "quantisation");
    cells.iter().any(|cell| {
        cell.keys.contains_key(name) || (is_dtype && cell.keys.contains_key("precision"))
    })
}

/// What cells were asked: a data set, the phase of a load, what else of the load is swept, and how
/// many rows were sent. Cells that differ in any of it were not sent the same rows.
type Asked<'a> = (&'a str, Option<&'a str>, Vec<(&'a str, &'a str)>, u64);

fn asked<'a>(planned: &'a Cell, cell: &'a CellSummary) -> Asked<'a> {
    let load = cell.keys.iter().filter(|(key, _)| is_load(key));
    let load = load.map(|(key, value)| (key.as_str(), value.as_str())).collect();
    (&planned.dataset, cell.phase.as_deref(), load, cell.counts.scheduled)
}

fn prompt_tokens_differ(plan: &Plan, cells: &[CellSummary]) -> Vec<Caveat> {
    let found = apart(plan, cells, MetricId::PromptTokens, PROMPT_TOKENS_DIFFER, asked);
    let told = found.into_iter().map(|((dataset, ..), [low, high])| {
        let what = format!(
            "prompts of `{dataset}` are {:.1} tokens in {} and {:.1} in {}",
            low.1, low.0.name, high.1, high.0.name
        );
        let advice = "Templates or tokenizers differ: compare rates per request too.";
        let touched = [MetricId::PromptThroughput, MetricId::Ttft];
        caveat("prompt-tokens-differ", what, advice, &touched)
    });
    told.collect()
}

/// Answers that are longer in one cell than in another that was asked the same: the times of whole
/// answers and the rates of requests are then of other work.
fn output_tokens_differ(plan: &Plan, cells: &[CellSummary]) -> Vec<Caveat> {
    // Lengths are compared however many rows each cell got to.
    let asked = |planned: &'_ Cell, cell: &'_ CellSummary| {
        let (dataset, phase, load, _) = asked(planned, cell);
        let load = load.into_iter().map(|(key, value)| format!("{key}={value}"));
        let output = format!("{:?}", planned.request.output);
        (dataset.to_owned(), phase.map(str::to_owned), load.collect::<Vec<_>>(), output)
    };
    let found = apart(plan, cells, MetricId::OutputTokens, OUTPUT_TOKENS_DIFFER, asked);
    let told = found.into_iter().map(|((dataset, ..), [low, high])| {
        let what = format!(
            "answers to `{dataset}` have {:.1} tokens in the mean in {} and {:.1} in {}",
            low.1, low.0.name, high.1, high.0.name
        );
        let advice = "Whole answers and requests are then other work in each: compare TTFT, TPOT and \
                      tokens per second, or fix the length with `ignore-eos`.";
        let touched = [MetricId::E2e, MetricId::RequestThroughput];
        caveat("output-tokens-differ", what, advice, &touched)
    });
    told.collect()
}

/// Returns, of all measured cells that were asked the same, the two whose means of a metric are
/// furthest apart, the lower one first, if they are by more than a share of it.
fn apart<'a, Asked: Ord>(
    plan: &'a Plan,
    cells: &'a [CellSummary],
    metric: MetricId,
    share: f64,
    asked: impl Fn(&'a Cell, &'a CellSummary) -> Asked,
) -> Vec<(Asked, [(&'a CellSummary, f64); 2])> {
    let by_id = plan.cells_by_id();
    let mut by_asked: BTreeMap<Asked, Vec<(&CellSummary, f64)>> = BTreeMap::new();
    for cell in cells.iter().filter(|cell| is_measured(cell)) {
        let planned = by_id.get(&cell.id);
        let mean = cell.distributions.get(&metric).and_then(|found| found.mean);
        if let (Some(planned), Some(mean)) = (planned, mean) {
            by_asked.entry(asked(planned, cell)).or_default().push((cell, mean));
        }
    }
    let found = by_asked.into_iter().filter_map(|(asked, cells)| {
        let by_mean = |a: &&(&CellSummary, f64), b: &&(&CellSummary, f64)| a.1.total_cmp(&b.1);
        let low = *cells.iter().min_by(by_mean)?;
        let high = *cells.iter().max_by(by_mean)?;
        (low.1 > 0.0 && high.1 / low.1 - 1.0 > share).then_some((asked, [low, high]))
    });
    found.collect()
}

/// The same rows in other tokens, and later turns behind other answers: the first cell of each data
/// set, in all its variants that are to ask the same, against the one that differs most from it.
///
/// A later turn holds the answers that its engine gave. It is compared where both cells sent it and
/// the first turn is the same in both.
fn prompt_ids_differ(plan: &Plan, cells: &[CellSummary]) -> Vec<Caveat> {
    let by_id = plan.cells_by_id();
    let mut by_asked: BTreeMap<_, Vec<&CellSummary>> = BTreeMap::new();
    for cell in cells.iter().filter(|cell| is_measured(cell) && !cell.prompt_ids.is_empty()) {
        let Some(planned) = by_id.get(&cell.id) else { continue };
        let (name, _) = planned.dataset.split_once('~').unwrap_or((&planned.dataset, ""));
        let asks = plan.datasets.get(&planned.dataset).map(DatasetPlan::asks);
        by_asked.entry((name, asks)).or_default().push(cell);
    }
    let found = by_asked.into_iter().flat_map(|((dataset, _), cells)| {
        let metrics = [MetricId::PromptThroughput, MetricId::Ttft, MetricId::Accuracy];
        let first = cells[0].name.as_str();
        let of_first_turns = most_differing(&cells, |turn, _| turn == 0).map(|(n_others, n, other)| {
            let what = format!(
                "{n_others} of {n} prompts of `{dataset}` are other tokens in {other} than in {first}"
            );
            let advice = "Their tokenizers or chat templates differ: accuracy and lengths are of \
                          other prompts.";
            caveat("prompts-differ", what, advice, &metrics)
        });
        let of_later = most_differing(&cells, |turn, begins_alike| turn > 0 && begins_alike);
        let of_later = of_later.map(|(n_others, n, other)| {
            let what = format!(
                "{n_others} of {n} later turns of `{dataset}` go on from other answers in {other} \
                 than in {first}"
            );
            let advice = "Each engine goes on from its own answers: compare first turns, or rates \
                          per token, where prompts must be the same.";
            caveat("later-turns-differ", what, advice, &metrics)
        });
        [of_first_turns, of_later]
    });
    found.flatten().collect()
}

/// Finds the cell whose prompts differ most from the first one's, among the turns that `counts`
/// takes: it is told which one it is, and whether both begin the conversation alike. Returns how
/// many differ, of how many, and the cell's name.
fn most_differing<'a>(
    cells: &[&'a CellSummary],
    counts: impl Fn(u32, bool) -> bool,
) -> Option<(usize, usize, &'a str)> {
    let (first, others) = cells.split_first()?;
    let beside = others.iter().map(|other| {
        let begins_alike =
            |row: u64| first.prompt_ids.get(&(row, 0)) == other.prompt_ids.get(&(row, 0));
        let counted =
            first.prompt_ids.iter().filter(|((row, turn), _)| counts(*turn, begins_alike(*row)));
        let both = counted.filter_map(|(at, hash)| Some((hash, other.prompt_ids.get(at)?)));
        let both: Vec<_> = both.collect();
        let n_others = both.iter().filter(|(hash, its)| hash != its).count();
        (n_others, both.len(), other.name.as_str())
    });
    beside.filter(|(n, ..)| *n > 0).max()
}

/// The same sentence in other numbers of tokens: another chat template or tokenizer.
fn fixed_sentence_differs(
    plan: &Plan,
    cells: &[CellSummary],
    facts: &BTreeMap<LaunchId, EngineFacts>,
) -> Vec<Caveat> {
    let counts = grouped(measured(plan, cells, facts).iter().filter_map(|(cell, facts)| {
        Some((facts.probe_prompt_tokens?.to_string(), cell.name.as_str()))
    }));
    if counts.len() < 2 {
        return Vec::new();
    }
    let what = format!("one fixed sentence is not as many tokens everywhere: {}", told(&counts));
    let advice = "Chat templates differ; send raw prompts to compare engines alone.";
    vec![caveat(
        "template-differs",
        what,
        advice,
        &[MetricId::PromptThroughput, MetricId::Ttft, MetricId::Accuracy],
    )]
}

/// A search whose upper bound is a miss for which the client may be to blame.
fn search_ended_by_client(search: &SearchSummary) -> Option<Caveat> {
    let missed = search.missed.as_ref().filter(|point| point.doubtful)?;
    let unit = search.over.unit();
    let what = format!("the miss at {} {unit} may be the client's: it fell behind", missed.load);
    let advice = "Give the client CPUs of its own and search again; the true limit may be higher.";
    Some(caveat("search-by-client", what, advice, &[MetricId::Goodput, MetricId::GoodputShare]))
}

/// Engines of which one was measured before another began, whatever the plan says now: trials may be
/// of earlier sessions, or of another run.
fn not_interleaved(plan: &Plan, cells: &[CellSummary], times: &TimesByTrial) -> Vec<Caveat> {
    let is_told = |cell: &CellSummary| cell.caveats.iter().any(|it| &*it.code == "beside-engines");
    let spans = spans(plan, cells, times);
    let last_begin = spans.values().map(|(begin, _)| *begin).max();
    let first_end = spans.values().map(|(_, end)| *end).min();
    let (Some(last_begin), Some(first_end)) = (last_begin, first_end) else { return Vec::new() };
    let mut apart = spans;
    apart.retain(|_, (begin, end)| *end <= last_begin || first_end <= *begin);
    if apart.len() < 2 || cells.iter().any(is_told) {
        return Vec::new();
    }
    let name_of = |launch: &&LaunchId| plan.launches.get(*launch).map(|it| it.engine.as_str());
    let engines: BTreeSet<&str> = apart.keys().filter_map(name_of).collect();
    let who = match engines.len() {
        n if n == apart.len() || n == 0 => format!("{} engines", apart.len()),
        1 => format!("{} configurations of {}", apart.len(), told_all(&engines)),
        n => format!("{} configurations of {n} engines", apart.len()),
    };
    let what = format!("{who} were measured one after the other");
    let advice = "Slow changes of the machine fall on one of them: set order = \"interleaved\" and \
                  two trials or more.";
    vec![caveat("not-interleaved", what, advice, &[])]
}

/// Returns when each engine was measured: from the begin of its first trial to the end of its last.
fn spans<'a>(
    plan: &'a Plan,
    cells: &[CellSummary],
    times: &TimesByTrial,
) -> BTreeMap<&'a LaunchId, (u64, u64)> {
    let measured: HashSet<&CellId> =
        cells.iter().filter(|cell| is_measured(cell)).map(|cell| &cell.id).collect();
    let planned = plan.cells.iter().filter(|planned| measured.contains(&planned.id));
    let launches: HashMap<&CellId, &LaunchId> =
        planned.map(|planned| (planned.run_id(), &planned.launch)).collect();
    let mut spans = BTreeMap::new();
    for ((cell, _), times) in times {
        let Some(launch) = launches.get(cell) else { continue };
        let (begin, end) = times.span();
        let span = spans.entry(*launch).or_insert((begin, end));
        *span = (span.0.min(begin), span.1.max(end));
    }
    spans
}

/// Groups cell names by value.
fn grouped<'a>(pairs: impl Iterator<Item = (String, &'a str)>) -> BTreeMap<String, Vec<&'a str>> {
    let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (value, name) in pairs {
        groups.entry(value).or_default().push(name);
    }
    groups
}

fn told_all(names: &BTreeSet<&str>) -> String {
    names.iter().copied().collect::<Vec<_>>().join(", ")
}

fn told(groups: &BTreeMap<String, Vec<&str>>) -> String {
    let told: Vec<String> = groups
        .iter()
        .map(|(value, names)| match names.as_slice() {
            [first, _, ..] => format!("{value} in {first} and {} more", names.len() - 1),
            _ => format!("{value} in {}", names.join(", ")),
        })
        .collect();
    told.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::fixture::{
        launch, measured_cell, phase_record, plan, trial, with_mean,
    };
    use crate::metrics::wall_time::TrialTimes;
    use crate::plan::TrialOrder;
    use crate::plan::cell::{OutputLength, Source};
    use crate::plan::launch::Launch;
    use crate::record::trial::{PhaseKind, TrialRecord};

    fn facts(context_length: &str, probe_tokens: u32) -> EngineFacts {
        EngineFacts {
            configuration: BTreeMap::from([
                ("context-length".to_owned(), context_length.to_owned()),
                ("dtype".to_owned(), context_length.to_owned()),
            ]),
            probe_prompt_tokens: Some(probe_tokens),
            ..EngineFacts::default()
        }
    }

    fn caveats(ends: [&[(u64, u64)]; 2], facts_b: EngineFacts) -> Vec<String> {
        let plan = plan(&["a", "b"]);
        let facts = BTreeMap::from([
            (plan.cells[0].launch.clone(), facts("4096", 12)),
            (plan.cells[1].launch.clone(), facts_b),
        ]);
        let cells = vec![measured_cell("a", "fp16"), measured_cell("b", "fp32")];
        let times = measured_at(&plan, &ends);
        summary(&plan, true, cells, &facts, &times, Vec::new())
            .caveats
            .into_iter()
            .map(|c| c.what.into_owned())
            .collect()
    }

    /// Returns the times of the trials of each cell, which begin and end at these seconds.
    fn measured_at(plan: &Plan, trials: &[&[(u64, u64)]]) -> TimesByTrial {
        let of_cell = |(cell, trials): (&Cell, &&[(u64, u64)])| {
            let times = (1..).zip(*trials).map(|(number, (begin, end))| {
                let load = phase_record(PhaseKind::Measure, 0, 0, (end - begin) * 1_000);
                let epoch_unix_ns = begin * 1_000_000_000;
                let record = TrialRecord { epoch_unix_ns, ..trial(&[load]) };
                ((cell.run_id().clone(), number), TrialTimes::of(&record, cell))
            });
            times.collect::<Vec<_>>()
        };
        plan.cells.iter().zip(trials).flat_map(of_cell).collect()
    }

    /// Two engines whose trials alternate.
    const ALTERNATING: [&[(u64, u64)]; 2] = [&[(0, 1), (4, 5)], &[(2, 3), (6, 7)]];

    #[test]
    fn prompts_differ_between_rows_that_are_asked_the_same() {
        let found = |phases: [Option<&str>; 2]| {
            let cells = [("a", 10.0), ("b", 20.0)].into_iter().zip(phases);
            let cells = cells.map(|((name, mean), phase)| {
                let phase = phase.map(str::to_owned);
                let cell = CellSummary { phase, ..measured_cell(name, "fp16") };
                with_mean(cell, MetricId::PromptTokens, mean)
            });
            prompt_tokens_differ(&plan(&["a", "b"]), &cells.collect::<Vec<_>>()).len()
        };
        assert_eq!(found([None, None]), 1);
        assert_eq!(found([Some("burst"), Some("burst")]), 1);
        assert_eq!(found([Some("one"), Some("burst")]), 0);
    }

    #[test]
    fn answers_of_other_lengths_are_told_where_the_same_length_was_asked_for() {
        let found = |means: [f64; 2], scheduled: [u64; 2], limits: [u32; 2]| {
            let mut plan = plan(&["a", "b"]);
            for (cell, max_tokens) in plan.cells.iter_mut().zip(limits) {
                cell.request.output = OutputLength::Natural { max_tokens };
            }
            let cells = ["a", "b"].into_iter().zip(means.into_iter().zip(scheduled));
            let cells = cells.map(|(name, (mean, scheduled))| {
                let mut cell = measured_cell(name, "fp16");
                cell.counts.scheduled = scheduled;
                with_mean(cell, MetricId::OutputTokens, mean)
            });
            let found = output_tokens_differ(&plan, &cells.collect::<Vec<_>>());
            found.into_iter().map(|caveat| caveat.what).collect::<Vec<_>>()
        };
        let told = "answers to `questions` have 10.0 tokens in the mean in a and 200.0 in b";
        assert_eq!(found([10.0, 200.0], [10, 10], [300, 300]), [told]);
        assert_eq!(found([10.0, 200.0], [10, 30], [300, 300]), [told]);
        assert!(found([100.0, 104.0], [10, 10], [300, 300]).is_empty());
        // Other limits are swept on purpose.
        assert!(found([10.0, 200.0], [10, 10], [10, 200]).is_empty());
    }

    #[test]
    fn prompts_of_other_tokens_are_told_where_the_same_rows_were_sent() {
        let found = |ids: [&[((u64, u32), u64)]; 2], datasets: [&str; 2]| {
            let mut plan = plan(&["a", "b"]);
            for (cell, dataset) in plan.cells.iter_mut().zip(datasets) {
                dataset.clone_into(&mut cell.dataset);
                let mut asked = DatasetPlan::of(Source::Jsonl, None, None, None);
                if dataset.ends_with("thinks") {
                    asked.chat_template_kwargs = [("thinks".to_owned(), true.into())].into();
                }
                plan.datasets.insert(dataset.to_owned(), asked);
            }
            let cells = ["a", "b"].into_iter().zip(ids);
            let cells = cells.map(|(name, ids)| {
                let prompt_ids = ids.iter().copied().collect();
                CellSummary { prompt_ids, ..measured_cell(name, "fp16") }
            });
            let found = prompt_ids_differ(&plan, &cells.collect::<Vec<_>>());
            found.into_iter().map(|caveat| caveat.what).collect::<Vec<_>>()
        };
        let first = |row| (row, 0);
        let ids = [
            &[(first(0), 7), (first(1), 8), (first(2), 9)][..],
            &[(first(1), 5), (first(2), 9), (first(3), 1)],
        ];
        assert_eq!(
            found(ids, ["q~a", "q~b"]),
            ["1 of 2 prompts of `q` are other tokens in b than in a"]
        );
        assert!(found(ids, ["q", "r"]).is_empty());
        // One that tells the template something else is meant to send other prompts.
        assert!(found(ids, ["q~a", "q~thinks"]).is_empty());
        assert!(found([ids[0], ids[0]], ["q", "q"]).is_empty());
        assert!(found([ids[0], &[]], ["q", "q"]).is_empty());
        // Of the conversations that begin alike, rows 2 and 3, one has got another answer.
        let longer = |hash| [((1, 1), hash), ((2, 1), hash), ((3, 1), 4), (first(3), 1)];
        let [one, other] = [[ids[0], &longer(5)].concat(), [ids[1], &longer(6)].concat()];
        assert_eq!(
            found([&one, &other], ["q", "q"]),
            [
                "1 of 3 prompts of `q` are other tokens in b than in a",
                "1 of 2 later turns of `q` go on from other answers in b than in a",
            ]
        );
    }

    #[test]
    fn rows_that_were_not_sent_the_same_say_nothing_of_tokenizers() {
        let found = |loads: [&str; 2], scheduled: [u64; 2]| {
            let cells =
                [("a", 10.0), ("b", 20.0)].into_iter().zip(loads.into_iter().zip(scheduled));
            let cells = cells.map(|((name, mean), (load, scheduled))| {
                let mut cell = measured_cell(name, "fp16");
                cell.keys.insert("input-tokens".to_owned(), load.to_owned());
                cell.counts.scheduled = scheduled;
                with_mean(cell, MetricId::PromptTokens, mean)
            });
            prompt_tokens_differ(&plan(&["a", "b"]), &cells.collect::<Vec<_>>()).len()
        };
        assert_eq!(found(["64", "64"], [10, 10]), 1);
        assert_eq!(found(["64", "512"], [10, 10]), 0);
        // A faster engine gets further through the rows in the same time.
        assert_eq!(found(["64", "64"], [10, 30]), 0);
    }

    #[test]
    fn one_engine_in_two_precisions_is_not_two_engines() {
        let found = |engines: [&str; 3]| {
            let mut plan = plan(&["a", "b", "c"]);
            for (cell, engine) in plan.cells.iter().zip(engines) {
                let launch = Launch { engine: engine.to_owned(), ..launch(1) };
                plan.launches.insert(cell.launch.clone(), launch);
            }
            let cells = ["a", "b", "c"].map(|name| measured_cell(name, "fp16"));
            let times = measured_at(&plan, &[&[(0, 1)], &[(1, 2)], &[(2, 3)]]);
            not_interleaved(&plan, &cells, &times)[0].what.clone()
        };
        let after = "were measured one after the other";
        assert_eq!(found(["tiny"; 3]), format!("3 configurations of tiny {after}"));
        assert_eq!(
            found(["tiny", "vllm", "vllm"]),
            format!("3 configurations of 2 engines {after}")
        );
        assert_eq!(found(["x", "y", "z"]), format!("3 engines {after}"));
    }

    #[test]
    fn engines_that_are_set_alike_raise_no_doubt() {
        assert!(caveats(ALTERNATING, facts("4096", 12)).is_empty());
    }

    #[test]
    fn what_was_measured_says_whether_engines_were_interleaved_and_not_what_the_plan_asks_for() {
        let found = |trials: &[&[(u64, u64)]]| {
            let mut plan = plan(&["a", "b", "c"]);
            let cells = ["a", "b", "c"].map(|name| measured_cell(name, "fp16"));
            let times = measured_at(&plan, trials);
            let mut found = Vec::new();
            for order in [TrialOrder::Interleaved, TrialOrder::Grouped] {
                plan.order = order;
                found.extend(not_interleaved(&plan, &cells, &times).into_iter().map(|it| it.what));
            }
            assert!(found.is_empty() || found[0] == found[1], "{found:?}");
            found.first().map(|what| what.split_once(' ').unwrap().0.to_owned())
        };
        let told = |n: &str| Some(n.to_owned());
        assert_eq!(found(&[&[(0, 1), (1, 2)], &[(3, 4), (4, 5)], &[(6, 7)]]), told("3"));
        assert_eq!(found(&[&[(0, 1), (6, 7)], &[(2, 3), (8, 9)], &[(4, 5), (10, 11)]]), None);
        assert_eq!(found(&[&[(0, 1), (10, 11)], &[(2, 3), (8, 9)], &[(4, 5), (6, 7)]]), None);
        // One trial each is one after the other, whatever the order is called; at once is not.
        assert_eq!(found(&[&[(0, 1)], &[(1, 2)], &[]]), told("2"));
        assert_eq!(found(&[&[(0, 4)], &[(1, 5)], &[(2, 6)]]), None);
        // Two that alternate, and one that came a day later.
        assert_eq!(found(&[&[(0, 1), (4, 5)], &[(2, 3), (6, 7)], &[(90, 91)]]), told("3"));
        // The first one has the others between its trials, and they are apart.
        assert_eq!(found(&[&[(0, 1), (6, 7)], &[(2, 3)], &[(4, 5)]]), told("2"));
        assert_eq!(found(&[&[(0, 1)], &[], &[]]), None);
        assert_eq!(found(&[]), None);
    }

    #[test]
    fn differences_that_make_rows_unfair_are_named() {
        // The number format differs because the scenario sweeps it.
        let found = caveats([&[(0, 1)], &[(1, 2)]], facts("8192", 30));
        assert_eq!(
            found,
            [
                "`context-length` is not the same everywhere: 4096 in a; 8192 in b",
                "one fixed sentence is not as many tokens everywhere: 12 in a; 30 in b",
                "2 engines were measured one after the other",
            ]
        );
    }
}
