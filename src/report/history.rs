//! The faces of a history: what changed for good, with which run, and each metric over all runs.

use std::collections::BTreeMap;

use crate::metrics::catalogue::MetricId;
use crate::metrics::history::{History, RunPoint, Series, SeriesDrift, SeriesStep, Unmeasured};
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::CellStatus;
use crate::report::markdown::escape::escaped;
use crate::report::markdown::table;
use crate::report::number::{self, AT_LEAST, counted, rounded};
use crate::report::terminal::{Ink, Screen};
use crate::report::untrusted::line;
use crate::report::view::table::{Column, Table, TableCell, Tone};
use crate::stats::change_point::N_LEAST;
use crate::stats::verdict::Verdict;

/// Heights of a line of text, the least first.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// What stands for a run without the number.
const GAP: char = '·';
/// Changes that are told in sentences; the table has all.
const SENTENCES_MAX: usize = 8;
/// What is told where nothing changed.
const NO_CHANGE: &str =
    "No step and no drift: each metric keeps its level, as far as these runs tell.";
/// Largest step that runs may overlook and still be said to show that nothing changed.
const OVERLOOKED_MAX: f64 = 1.5;
/// Steps from which on their size says nothing.
const STEP_MAX: f64 = 10.0;
/// Cells that are named in a sentence.
const NAMES_MAX: usize = 4;
/// What stands for the number of a last run that does not have the cell.
const NOT_THERE: &str = "-";

/// Renders a history as JSON.
pub(crate) fn json(history: &History) -> String {
    let mut text = serde_json::to_string_pretty(history).expect("a history is plain data");
    text.push('\n');
    text
}

/// Renders a history for a terminal of `width` columns; `None` for a pipe.
pub(crate) fn terminal(history: &History, width: Option<u16>, colour: bool) -> String {
    let screen = Screen::new(width, colour);
    let mut out = String::new();
    screen.table(&mut out, &runs(history));
    out.push('\n');
    screen.table(&mut out, &series(history));
    screen.prose(&mut out, "", &rules(history), Ink::Faint);
    for text in left_out(history) {
        screen.prose(&mut out, "", &text, Ink::Plain);
    }
    out.push('\n');
    for (verdict, sentence) in sentences(history) {
        let ink = if verdict == Some(Verdict::Worse) { Ink::Bad } else { Ink::Plain };
        screen.prose(&mut out, "", &sentence, ink);
    }
    out
}

/// Renders a history as Markdown.
pub(crate) fn markdown(history: &History) -> String {
    let sentences = sentences(history).into_iter().map(|(_, it)| format!("{}  ", escaped(&it)));
    let mut lines: Vec<String> = vec!["### History".to_owned(), String::new()];
    lines.extend(sentences);
    for part in [series(history), runs(history)] {
        lines.push(String::new());
        lines.extend(table::lines(&part));
    }
    let left_out = left_out(history).into_iter().map(|it| format!("- {}", escaped(&it)));
    lines.push(String::new());
    lines.extend(left_out);
    lines.extend([String::new(), format!("<sub>{}</sub>", escaped(&rules(history)))]);
    lines.dedup_by(|next, before| next.is_empty() && before.is_empty());
    lines.join("\n") + "\n"
}

/// Says what could not be measured, each step and each drift, those that are worse first.
fn sentences(history: &History) -> Vec<(Option<Verdict>, String)> {
    let unmeasured = history.unmeasured.iter().map(|it| {
        let lasts = it.since.map(|_| Verdict::Worse);
        (lasts, unmeasured_sentence(history, it))
    });
    let steps = history.series.iter().flat_map(|one| one.steps.iter().map(move |it| (one, it)));
    let drifts = history.series.iter().filter_map(|one| Some((one, one.drift.as_ref()?)));
    let steps = steps.map(|(one, step)| (Some(step.verdict), sentence(history, one, step)));
    let drifts = drifts.map(|(one, drift)| (Some(drift.verdict), drift_sentence(one, drift)));
    let mut told: Vec<(Option<Verdict>, String)> = steps.chain(drifts).collect();
    let has_changes = !told.is_empty();
    told.splice(0..0, unmeasured);
    told.sort_by_key(|(verdict, _)| *verdict != Some(Verdict::Worse));
    let n_more = told.len().saturating_sub(SENTENCES_MAX);
    told.truncate(SENTENCES_MAX);
    if n_more > 0 {
        let more = counted(n_more as u64, "more change");
        told.push((None, format!("{more} in the table, and in `--format json`.")));
    }
    if !has_changes {
        told.push((None, no_change(history)));
    }
    told.extend(gone(history).into_iter().map(|it| (None, it)));
    told
}

/// Says that nothing changed, or that so few runs could not show it.
fn no_change(history: &History) -> String {
    let n_runs = counted(history.runs.len() as u64, "run");
    let nobody = format!("{n_runs} cannot show whether metrics keep their level");
    match history.least_step {
        None => format!("{nobody}: a step takes {N_LEAST} runs or more that have the number."),
        Some(least) if least > OVERLOOKED_MAX => {
            format!("No step and no drift is found, but {nobody}: {}.", least_told(least))
        }
        Some(_) if history.unmeasured.is_empty() && gone(history).is_empty() => {
            NO_CHANGE.to_owned()
        }
        Some(_) => "No step and no drift in what was measured.".to_owned(),
    }
}

/// Says how large a step has to be to be shown.
fn least_told(least: f64) -> String {
    let (more, least) = if least > STEP_MAX { ("more than ", STEP_MAX) } else { ("", least) };
    format!("half of them show a step at the last run from {more}{} on", number::times(least))
}

fn unmeasured_sentence(history: &History, it: &Unmeasured) -> String {
    let numbers: Vec<String> = it.quantities.iter().map(Quantity::label).collect();
    let of = if numbers.is_empty() { String::new() } else { format!("{} of ", numbers.join(", ")) };
    let n_runs = history.runs.len();
    let when = match (it.since, it.runs.as_slice()) {
        (Some(run), runs) => {
            let earlier = runs.iter().filter(|other| **other < run).count();
            let earlier = match earlier {
                0 => String::new(),
                n => format!(", and in {} before", counted(n as u64, "run")),
            };
            format!("from run {} on ({}){earlier}", run + 1, history.runs[run].started)
        }
        (None, [run]) => format!("in run {} of {n_runs}", run + 1),
        (None, runs) => format!("in {} of {n_runs} runs", runs.len()),
    };
    let why = if it.why.is_empty() { String::new() } else { format!(": {}", it.why) };
    line(&format!("{of}{}: {} {when}{why}.", it.cell, state(it.state)))
}

fn state(status: CellStatus) -> String {
    status.word().to_uppercase()
}

/// Names the cells of earlier runs that the last one of their scenario does not have, and the numbers
/// of those that it has.
fn gone(history: &History) -> Vec<String> {
    let is_there = |one: &Series| one.values[one.last].is_some() || one.states[one.last].is_some();
    let mut there = BTreeMap::<&str, bool>::new();
    for one in history.series.iter().filter(|one| one.quantity.id() != MetricId::LoadTime) {
        *there.entry(&one.cell).or_default() |= is_there(one);
    }
    let is_gone = |one: &&Series| !is_there(one) && there.get(&*one.cell) == Some(&true);
    let number = |one: &Series| format!("{} of {}", one.quantity.label(), one.cell);
    let numbers = history.series.iter().filter(is_gone).map(number).collect();
    let cells = there.iter().filter(|(_, is_there)| !**is_there);
    let cells = cells.map(|(cell, _)| (*cell).to_owned()).collect();
    [("cell", cells), ("number", numbers)].into_iter().filter_map(not_in_last).collect()
}

/// Counts and names what the last run lacks; `None` where it lacks nothing.
fn not_in_last((what, mut names): (&str, Vec<String>)) -> Option<String> {
    let n = names.len();
    let more = match n.saturating_sub(NAMES_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    names.truncate(NAMES_MAX);
    let what = counted(n as u64, what);
    (n > 0).then(|| line(&format!("Not in the last run: {what}, {}{more}.", names.join(", "))))
}

/// Names the runs and numbers that are no part of it.
fn left_out(history: &History) -> Vec<String> {
    let all = &history.left_out;
    let told = all.iter().take(SENTENCES_MAX);
    let mut told: Vec<String> =
        told.map(|it| line(&format!("Left out: {}: {}.", it.what, it.why))).collect();
    if all.len() > SENTENCES_MAX {
        let n_more = all.len() - SENTENCES_MAX;
        told.push(format!("Left out: {n_more} more; `--format json` has all."));
    }
    told
}

fn sentence(history: &History, one: &Series, step: &SeriesStep) -> String {
    let word = step.verdict;
    let (before, now) = (&history.runs[step.after], &history.runs[step.run]);
    let what = format!("{} of {}", one.quantity.label(), one.cell);
    let changed = changed(one, step, before, now);
    line(&format!(
        "{what}: {word}, {} from run {} on ({}{changed}).",
        number::times_before(step.ratio),
        step.run + 1,
        now.started,
    ))
}

fn drift_sentence(one: &Series, drift: &SeriesDrift) -> String {
    let what = format!("{} of {}", one.quantity.label(), one.cell);
    let in_all = drift.ratio.map(|ratio| format!(", {} in all", number::times(ratio)));
    let word = drift.verdict;
    line(&format!(
        "{what}: drifts, {word}: {} over {} runs{}.",
        number::per_run(drift.ratio_per_run),
        one.n(),
        in_all.unwrap_or_default(),
    ))
}

/// Names what else changed with the step, as far as it is recorded.
fn changed(one: &Series, step: &SeriesStep, before: &RunPoint, now: &RunPoint) -> String {
    let version = |run: usize| one.versions[run].clone().unwrap_or_default();
    let pairs = [
        ("engine", version(step.after), version(step.run)),
        ("commit", before.commit.clone(), now.commit.clone()),
    ];
    let told = pairs.into_iter().filter(|(_, before, now)| before != now);
    told.map(|(what, before, now)| format!("; {what} {before} -> {now}"))
        .collect::<Vec<_>>()
        .concat()
}

fn runs(history: &History) -> Table {
    let columns = vec![
        Column::numbers("#", "", 0),
        Column::words("run", 0),
        Column::words("started", 2),
        Column::words("commit", 1),
    ];
    let row = |(at, run): (usize, &RunPoint)| {
        let texts = [(at + 1).to_string(), line(&run.name), run.started.clone(), line(&run.commit)];
        texts.map(TableCell::text).to_vec()
    };
    let rows = history.runs.iter().enumerate().map(row).collect();
    Table { columns, rows, left_out: String::new() }.without_empty_columns()
}

fn series(history: &History) -> Table {
    let columns = vec![
        Column::words("quantity", 0),
        Column::words("cell", 0),
        Column::numbers("first", "", 2),
        Column::numbers("last", "", 1),
        Column::words("over runs", 3),
        Column::words("changes", 0),
        Column::numbers("n", "", 4),
    ];
    let row = |one: &Series| {
        let n_known = one.values.iter().flatten().count();
        let first = (0..one.values.len()).find_map(|at| value(one, at));
        let (text, tone) = changes(one);
        vec![
            TableCell::text(format!("{}, {}", one.quantity.label(), one.unit)),
            TableCell::text(line(&one.cell)),
            TableCell::text(first.unwrap_or_default()),
            last_cell(one),
            TableCell::text(drawn(&one.values)),
            TableCell { tone, ..TableCell::text(text) },
            TableCell::text(n_known.to_string()),
        ]
    };
    let rows = history.series.iter().map(row).collect();
    Table { columns, rows, left_out: String::new() }
}

/// Returns the number of a run: `662`, `≥ 662`.
fn value(one: &Series, run: usize) -> Option<String> {
    let least = if one.at_least.contains(&run) { AT_LEAST } else { "" };
    Some(format!("{least}{}", rounded(one.values[run]?)))
}

/// Returns the number of the last run of its scenario, or what that run has in its place.
fn last_cell(one: &Series) -> TableCell {
    match (value(one, one.last), one.states[one.last]) {
        (Some(value), _) => TableCell::text(value),
        (None, Some(status)) => TableCell { tone: Tone::Bad, ..TableCell::text(state(status)) },
        (None, None) => TableCell::text(NOT_THERE.to_owned()),
    }
}

fn changes(one: &Series) -> (String, Tone) {
    let told = one.steps.iter().map(|step| {
        let word = step.verdict;
        format!("{word} {} at {}", number::times_before(step.ratio), step.run + 1)
    });
    let drift = one.drift.iter();
    let drift = drift
        .map(|drift| format!("drifts {}, {}", drift.verdict, number::per_run(drift.ratio_per_run)));
    let text = told.chain(drift).collect::<Vec<_>>().join(", ");
    // What holds now is what the last step made of it.
    let last = one.steps.last().map(|step| step.verdict);
    let tone = match last.or(one.drift.map(|drift| drift.verdict)) {
        Some(Verdict::Worse) => Tone::Bad,
        Some(_) => Tone::Good,
        None => Tone::Plain,
    };
    (text, tone)
}

/// Draws values as heights between the least and the greatest.
fn drawn(values: &[Option<f64>]) -> String {
    let known = values.iter().flatten();
    let low = known.clone().copied().fold(f64::INFINITY, f64::min);
    let high = known.copied().fold(f64::NEG_INFINITY, f64::max);
    let height = |value: f64| {
        // Values that are the same to 1 % are told so.
        let range = (high - low).max(0.01 * high.abs());
        let share = if range > 0.0 { (value - low) / range } else { 0.0 };
        HEIGHTS[((share * (HEIGHTS.len() - 1) as f64).round() as usize).min(HEIGHTS.len() - 1)]
    };
    values.iter().map(|value| value.map_or(GAP, height)).collect()
}

fn rules(history: &History) -> String {
    format!(
        "Geometric means over the trials of each run. Steps are found by a t-test at the likeliest \
         run, in {N_LEAST} runs or more, drifts by the test of Mann and Kendall; of both the one is told \
         that explains the runs better. {} series share a chance of error of {} %{}.",
        history.series.len(),
        history.alpha * 100.0,
        history.least_step.map(|least| format!("; {}", least_told(least))).unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::history::LeftOut;
    use crate::report::figure;

    fn history() -> History {
        let run = |at: usize| RunPoint {
            name: format!("chat-2026110{at}"),
            scenario: "chat".to_owned(),
            started: format!("2026-11-0{at}T03:00:00Z"),
            commit: if at < 3 { "abc123" } else { "def456" }.to_owned(),
        };
        let step = SeriesStep {
            run: 2,
            after: 1,
            ratio: Some(1.15),
            p_value: 1e-6,
            verdict: Verdict::Worse,
        };
        let ttft = Series {
            alternative: "fast".to_owned(),
            cell: "sim concurrency=4".to_owned(),
            last: 4,
            quantity: Quantity::percentile(MetricId::Ttft, 50.0),
            unit: "ms".to_owned(),
            values: vec![Some(40.0), Some(40.2), Some(46.0), None, Some(46.1)],
            at_least: Vec::new(),
            states: vec![None; 5],
            versions: ["1.0", "1.0", "1.1", "1.1", "1.1"].map(|it| Some(it.to_owned())).to_vec(),
            steps: vec![step],
            drift: None,
        };
        let flat = Series {
            quantity: Quantity::figure(MetricId::OutputThroughput),
            unit: "tok/s".to_owned(),
            values: [100.0, 100.1, 100.0, 100.2, 99.9].map(Some).to_vec(),
            steps: Vec::new(),
            ..ttft.clone()
        };
        History {
            format: 1,
            alpha: 0.01,
            runs: (1..6).map(run).collect(),
            series: vec![ttft, flat],
            least_step: Some(1.02),
            unmeasured: Vec::new(),
            left_out: Vec::new(),
        }
    }

    #[test]
    fn a_step_is_told_with_the_run_and_what_changed_with_it() {
        insta::assert_snapshot!(terminal(&history(), Some(100), false));
    }

    #[test]
    fn a_lower_bound_is_told_as_one() {
        let mut history = history();
        history.series[0].at_least = vec![4];
        let wide = terminal(&history, Some(120), false);
        assert!(wide.contains("40.0  ≥ 46.1  "), "{wide}");
        assert!(markdown(&history).contains("| 40.0 | ≥ 46.1 |"), "{}", markdown(&history));
    }

    #[test]
    fn a_drift_is_told_with_its_size_in_each_face() {
        let mut history = history();
        history.series[0].steps.clear();
        history.series[0].drift = Some(SeriesDrift {
            ratio_per_run: Some(1.036),
            ratio: Some(1.152),
            p_value: 1e-6,
            verdict: Verdict::Worse,
        });
        let sentence = "TTFT p50 of sim concurrency=4: drifts, worse: +3.60 % a run over 4 runs, \
                        1.15× in all.";
        let wide = terminal(&history, Some(120), false);
        assert!(wide.contains(sentence) && wide.contains("drifts worse, +3.60 % a run"), "{wide}");
        assert!(markdown(&history).contains("drifts worse, +3.60 % a run |"));
        assert!(json(&history).contains("\"ratio_per_run\": 1.036"));
        let drawn = &figure::history::figures(&history)[0];
        assert!(drawn.svg.contains(">drifts, +3.60 % a run, worse</text>"), "{}", drawn.svg);
        history.series[0].drift = None;
        assert!(terminal(&history, None, false).contains(NO_CHANGE));
    }

    #[test]
    fn what_the_last_run_did_not_measure_is_told_and_no_earlier_number_stands_for_it() {
        let mut history = history();
        for one in &mut history.series {
            one.steps.clear();
            (one.values[4], one.states[4]) = (None, Some(CellStatus::Failed));
        }
        history.unmeasured = vec![Unmeasured {
            cell: "sim concurrency=4".to_owned(),
            quantities: Vec::new(),
            state: CellStatus::Failed,
            runs: vec![1, 4],
            since: Some(4),
            why: "it ended with exit code 1".to_owned(),
        }];
        let wide = terminal(&history, Some(120), false);
        assert!(wide.contains(
            "sim concurrency=4: FAILED from run 5 on (2026-11-05T03:00:00Z), and in 1 run before: it \
             ended with exit code 1."
        ), "{wide}");
        assert!(wide.contains("No step and no drift in what was measured."), "{wide}");
        assert!(!wide.contains(NO_CHANGE) && wide.contains("100.0  FAILED  "), "{wide}");
        assert!(markdown(&history).contains("| 100.0 | FAILED |"), "{}", markdown(&history));
        let invalid = Unmeasured {
            quantities: vec![Quantity::percentile(MetricId::Ttft, 50.0)],
            state: CellStatus::Invalid,
            since: None,
            ..history.unmeasured[0].clone()
        };
        history.unmeasured = vec![invalid];
        let wide = terminal(&history, Some(120), false);
        let expected = "TTFT p50 of sim concurrency=4: INVALID in 2 of 5 runs: it ended";
        assert!(wide.contains(expected), "{wide}");
        for one in &mut history.series {
            one.states[4] = None;
        }
        let wide = terminal(&history, Some(120), false);
        assert!(wide.contains("\nNot in the last run: 1 cell, sim concurrency=4.\n"), "{wide}");
        // A number of a cell that is there.
        history.unmeasured = Vec::new();
        history.series[0].values[4] = Some(100.0);
        let lost = Series {
            quantity: Quantity::percentile(MetricId::E2e, 50.0),
            values: [vec![Some(300.0); 4], vec![None]].concat(),
            ..history.series[0].clone()
        };
        history.series.push(lost);
        let wide = terminal(&history, Some(120), false);
        let expected = "\nNot in the last run: 2 numbers, output throughput of sim concurrency=4, E2E \
                        latency p50 of sim concurrency=4.\n";
        assert!(wide.contains(expected) && !wide.contains(NO_CHANGE), "{wide}");
    }

    #[test]
    fn runs_that_can_show_no_change_are_not_said_to_show_that_there_is_none() {
        let mut history = history();
        history.series[0].steps.clear();
        let mut told = |least_step: Option<f64>| {
            history.least_step = least_step;
            sentences(&history).into_iter().map(|(_, text)| text).collect::<Vec<_>>()
        };
        assert_eq!(told(Some(1.1)), [NO_CHANGE]);
        let cannot = "5 runs cannot show whether metrics keep their level";
        let few = format!("{cannot}: a step takes 3 runs or more that have the number.");
        assert_eq!(told(None), [few]);
        let step = "half of them show a step at the last run from 2.50× on";
        let found = format!("No step and no drift is found, but {cannot}: {step}.");
        assert_eq!(told(Some(2.5)), [found]);
        assert!(told(Some(1e9))[0].ends_with(" from more than 10.0× on."), "{:?}", told(Some(1e9)));
    }

    #[test]
    fn what_is_left_out_is_named_in_each_face() {
        let mut history = history();
        let run = |at: usize| LeftOut { what: format!("r{at}"), why: "it has no end".to_owned() };
        history.left_out = (0..10).map(run).collect();
        let wide = terminal(&history, Some(120), false);
        assert!(wide.contains("\nLeft out: r0: it has no end.\n"), "{wide}");
        assert!(wide.contains("\nLeft out: 2 more; `--format json` has all.\n"), "{wide}");
        assert!(markdown(&history).contains("\n\n- Left out: r0: it has no end.\n- Left out: r1"));
        assert!(json(&history).contains("\"what\": \"r9\""));
    }

    #[test]
    fn a_history_is_drawn_with_the_run_at_which_a_level_changes() {
        let figures = figure::history::figures(&history());
        let ids: Vec<&str> = figures.iter().map(|figure| figure.id.as_str()).collect();
        assert_eq!(ids, ["history-ttft-p50", "history-output-throughput"]);
        let drawn = &figures[0];
        insta::assert_snapshot!(drawn.caption);
        assert!(drawn.svg.contains(">1.15× worse</text>"), "{}", drawn.svg);
        assert_eq!(drawn.svg.matches("class=\"limit\"").count(), 1, "{}", drawn.svg);
        assert_eq!(
            drawn.svg.matches("<circle").count(),
            4,
            "a run without the number has no point"
        );
        assert!(!figures[1].svg.contains("class=\"limit\""), "{}", figures[1].svg);
    }

    #[test]
    fn cells_of_one_alternative_have_its_colour_in_every_figure() {
        let mut history = history();
        let of = |at: usize, cell: &str, alternative: &str| Series {
            cell: cell.to_owned(),
            alternative: alternative.to_owned(),
            ..history.series[at].clone()
        };
        let series = vec![
            of(0, "fast concurrency=1", "fast"),
            of(0, "fast concurrency=4", "fast"),
            of(0, "slow concurrency=1", "slow"),
            of(1, "slow concurrency=1", "slow"),
        ];
        history.series = series;
        let colours = |svg: &str| {
            let lines = svg.split("<polyline").skip(1);
            let class = lines.filter_map(|it| it.split("class=\"").nth(1)?.split('"').next());
            class.map(|it| it.split(' ').next().unwrap_or(it).to_owned()).collect::<Vec<_>>()
        };
        let figures = figure::history::figures(&history);
        let first = colours(&figures[0].svg);
        assert_eq!((first.len(), first[0] == first[1]), (3, true), "{}", figures[0].svg);
        assert_ne!(first[0], first[2]);
        assert_eq!(colours(&figures[1].svg), [first[2].clone()]);
    }

    #[test]
    fn a_history_fits_a_pull_request() {
        insta::assert_snapshot!(markdown(&history()));
    }

    #[test]
    fn runs_that_are_the_same_to_a_hundredth_are_drawn_flat() {
        assert_eq!(drawn(&[Some(1.0), None, Some(2.0), Some(1.5)]), "▁·█▅");
        assert_eq!(drawn(&[Some(100.0), Some(100.04)]), "▁▁");
    }
}
