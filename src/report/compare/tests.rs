//! All faces of one comparison.

use std::collections::BTreeMap;
use std::rc::Rc;

use indexmap::IndexMap;

use super::*;
use crate::metrics::bounds::UNLIMITED;
use crate::metrics::compare::{Rules, Side, SideCell, compare};
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::{
    Caveat, CellStatus, CellSummary, Distribution, GateOutcome, GateResult, NumberState,
    Percentile, Validity,
};
use crate::metrics::tests::fixture::{measured_cell, with_accuracy};

/// A cell at so many streams, `slower` than 40 ms and 5 ms, of three trials that move by 1 %.
fn cell(streams: u32, slower: f64, correct: u64) -> CellSummary {
    let mut cell = measured_cell(&format!("engine=x,concurrency={streams}"), "fp16");
    cell.n_trials = 3;
    let mut set = |quantity: Quantity, value: f64| {
        cell.trials.insert(quantity, [0.99, 1.0, 1.01].map(|noise| value * noise).to_vec());
    };
    set(Quantity::percentile(MetricId::Ttft, 50.0), 40.0 * slower);
    set(Quantity::percentile(MetricId::Tpot, 50.0), 5.0);
    set(Quantity::figure(MetricId::OutputThroughput), f64::from(streams) * 190.0 / slower);
    with_accuracy(cell, correct, 200)
}

fn side<'a>(name: &str, cells: &'a [CellSummary]) -> Side<'a> {
    let cells = cells.iter().map(|cell| SideCell {
        cell,
        keys: IndexMap::from([(
            "concurrency".to_owned(),
            cell.name.rsplit('=').next().unwrap().to_owned(),
        )]),
        constants: BTreeMap::new(),
        load: None,
        length: None,
        counted_by: None,
        asked: Rc::default(),
        launch: String::new(),
    });
    Side { name: name.to_owned(), cells: cells.collect() }
}

fn comparison() -> Comparison {
    let mut before = vec![cell(1, 1.0, 190), cell(8, 1.0, 190), cell(64, 1.0, 190)];
    let mut now = vec![cell(1, 1.9, 190), cell(8, 1.005, 150), cell(64, 1.9, 190)];
    before[0].caveats.push(Caveat {
        code: "machine-busy".into(),
        what: "others used 40 % of a CPU".into(),
        advice: "Leave the machine alone.".into(),
        metrics: vec![MetricId::Ttft],
    });
    now[2].validity = Validity::new(CellStatus::Failed, ["the engine died".to_owned()]);
    now.push(cell(128, 1.0, 190));
    let mut found = compare(
        &[side("A", &before), side("B", &now)],
        &|_| true,
        &|_, _, _| None,
        Rules { alpha: 0.01, margin: 0.05 },
    );
    found.differences.push(Difference {
        side: 1,
        what: "engine version".to_owned(),
        baseline: "0.9.0".to_owned(),
        candidate: "0.9.1 <b>".to_owned(),
    });
    found
}

fn view() -> ComparisonView {
    ComparisonView::new(&comparison(), &["runs/before".to_owned(), "runs/now".to_owned()])
}

#[test]
fn the_answer_comes_first_and_everything_that_qualifies_it_below() {
    insta::assert_snapshot!(terminal::render(&view(), None, false));
}

#[test]
fn a_terminal_of_eighty_columns_keeps_change_and_verdict() {
    let text = terminal::render(&view(), Some(80), false);
    let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(widest <= 80, "{widest} columns:\n{text}");
    assert!(text.contains("verdict") && text.contains("change"), "{text}");
    let coloured = terminal::render(&view(), Some(80), true);
    assert!(coloured.contains("\u{1b}[31mworse\u{1b}[0m"), "{coloured}");
}

#[test]
fn a_pull_request_gets_thirty_lines_and_is_told_what_is_left_out() {
    let text = markdown::render(&view(), true);
    insta::assert_snapshot!(text);
    let mut long = comparison();
    for streams in 0..40 {
        let mut cells = long.cells[0].clone();
        cells.keys.insert("concurrency".to_owned(), streams.to_string());
        long.cells.push(cells);
        let (cell, load) = (format!("concurrency={streams}"), IndexMap::new());
        long.unmatched.push(Place { side: 0, cell, other: 1, load });
    }
    let view = ComparisonView::new(&long, &["runs/before".to_owned(), "runs/now".to_owned()]);
    let text = markdown::render(&view, false);
    assert!(text.lines().count() <= 30, "{text}");
    assert!(text.contains("rows left out") && text.contains("more; `--all`"), "{text}");
    assert!(markdown::render(&view, true).lines().count() > 150);
    for n_gates in [4, 40] {
        let gate = |at: usize| {
            let cell = format!("concurrency={at}");
            let outcome = if at == 3 { GateOutcome::Missed } else { GateOutcome::Met };
            let gate = GateResult::missed(&cell, "ttft.p50 > +5%", false, "TTFT p50".to_owned());
            GateResult { outcome, ..gate }
        };
        let gates: Vec<GateResult> = (0..n_gates).map(gate).collect();
        let mut long = ComparisonView { gates: super::gates(&gates), ..view.clone() };
        for n_sentences in [1, 25] {
            long.sentences = vec!["B is B.".to_owned(); n_sentences];
            let text = markdown::render(&long, false);
            assert!(text.lines().count() <= 30, "{n_gates} and {n_sentences}:\n{text}");
            assert!(text.contains("- ✗ concurrency=3") && text.contains("verdict"), "{text}");
            let is_folded = text.contains("- … and 35 more gates, 35 of them met; `--all`");
            assert_eq!(is_folded, n_gates == 40, "{text}");
        }
    }
}

#[test]
fn groups_of_other_verdicts_have_them_beside_them_and_none_is_that_of_all() {
    // Three cells are worse and one is better, which comes last.
    let slower = [1.2, 1.2, 1.2, 0.8];
    let cells = |of: [f64; 4]| -> Vec<CellSummary> {
        [1, 8, 64, 128].into_iter().zip(of).map(|(streams, it)| cell(streams, it, 190)).collect()
    };
    let (before, now) = (cells([1.0; 4]), cells(slower));
    let output = Quantity::figure(MetricId::OutputThroughput);
    let rules = Rules { alpha: 0.01, margin: 0.05 };
    let sides = [side("A", &before), side("B", &now)];
    let found = compare(&sides, &|it| *it == output, &|_, _, _| None, rules);
    assert_eq!(
        sentence::sentences(&found).concat(),
        "B has 1.25× (1.18–1.32, better) the output throughput of A at 128 streams, 0.83× \
         (0.79–0.88, worse) from 1 to 64."
    );
    let half = cells([1.2, 1.2, 1.2, 1.04]);
    let sides = [side("A", &before), side("B", &half)];
    let found = compare(&sides, &|it| *it == output, &|_, _, _| None, rules);
    let told = sentence::sentences(&found).concat();
    assert!(told.contains(", worse) the output") && !told.contains(": worse"), "{told}");
    let sides = [side("A", &before), side("B", &now[..3])];
    let found = compare(&sides, &|it| *it == output, &|_, _, _| None, rules);
    assert!(sentence::sentences(&found)[0].ends_with(": worse."));
}

#[test]
fn what_is_asked_by_a_name_is_no_load() {
    let told = |key: &str| {
        let mut found = comparison();
        for cells in &mut found.cells {
            let value = cells.keys.shift_remove("concurrency").unwrap();
            cells.keys.insert(key.to_owned(), format!("t{value}"));
        }
        sentence::sentences(&found).concat()
    };
    assert!(told("task").contains(" of 2 tasks"), "{}", told("task"));
    assert!(told("test").contains(" of 2 cells"), "{}", told("test"));
    assert!(told("phase").contains(" of 2 loads"), "{}", told("phase"));
}

#[test]
fn a_cell_without_a_counterpart_says_which_side_lacks_it_and_what_of_its_load_is_other() {
    let mut found = comparison();
    found.unmatched.clear();
    let mut place = |side, cell: &str, other, load: &[(&str, &str)]| {
        let load = load.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        found.unmatched.push(Place { side, cell: cell.to_owned(), other, load: load.collect() });
    };
    place(0, "rate=4", 1, &[("arrivals", "poisson")]);
    place(1, "rate=4", 0, &[("arrivals", "gamma 0.5")]);
    let told = |found: &Comparison| super::unmatched(found).collect::<Vec<_>>();
    let expected =
        ["only in A: rate=4 (arrivals=poisson)", "only in B: rate=4 (arrivals=gamma 0.5)"];
    assert_eq!(told(&found), expected);
    found.sides.push("C".to_owned());
    found.unmatched[1] = Place { side: 0, ..found.unmatched[0].clone() };
    found.unmatched[1].other = 2;
    assert_eq!(told(&found), expected[..1], "once where no other side has it");
    found.unmatched.remove(1);
    assert_eq!(told(&found), ["in A, not in B: rate=4 (arrivals=poisson)"]);
}

#[test]
fn a_value_of_zero_is_told_with_what_it_was_before() {
    let goodput = Quantity::figure(MetricId::Goodput);
    let with = |value: f64| {
        let mut cell = cell(1, 1.0, 190);
        cell.trials.insert(goodput.clone(), vec![value; 3]);
        [cell]
    };
    let (before, now) = (with(10.0), with(0.0));
    let rules = Rules { alpha: 0.01, margin: 0.05 };
    let sides = [side("A", &before), side("B", &now)];
    let found = compare(&sides, &|it| *it == goodput, &|_, _, _| None, rules);
    let sentence = sentence::sentences(&found).concat();
    assert_eq!(sentence, "B against A: goodput worse: 0 against 10.00 req/s.");
    let view = ComparisonView::new(&found, &["a".to_owned(), "b".to_owned()]);
    insta::assert_snapshot!(markdown::render(&view, true));
    assert_eq!(serde_json::from_str::<Comparison>(&json::render(&found)).unwrap(), found);
}

/// A cell whose queue only grew: of its TTFT a lower bound is known.
fn over_saturated(streams: u32, ttft: f64) -> CellSummary {
    let mut cell = cell(streams, ttft / 40.0, 190);
    cell.trials.retain(|quantity, _| quantity.id() == MetricId::Ttft);
    let least = Percentile {
        p: 50.0,
        value: Some(ttft),
        bound: Some((ttft * 0.985, UNLIMITED)),
        state: Some(NumberState::Doubtful),
        ..Percentile::default()
    };
    let found = Distribution { unit: "ms", n: 300, percentiles: vec![least], ..Default::default() };
    cell.distributions.insert(MetricId::Ttft, found);
    cell
}

#[test]
fn of_a_lower_bound_no_more_is_told_than_that_it_is_one() {
    let mut full = cell(8, 7.85, 190);
    full.trials.retain(|quantity, _| quantity.id() == MetricId::Ttft);
    let (a, b) = ([full.clone(), full.clone()], [over_saturated(8, 662.0), full]);
    let a = [CellSummary { name: "concurrency=16".to_owned(), ..a[0].clone() }, a[1].clone()];
    let b = [b[0].clone(), CellSummary { name: "concurrency=16".to_owned(), ..b[1].clone() }];
    let rules = Rules { alpha: 0.01, margin: 0.05 };
    let ttft = Quantity::percentile(MetricId::Ttft, 50.0);
    let against = |sides: &[Side<'_>]| compare(sides, &|it| *it == ttft, &|_, _, _| None, rules);
    let found = against(&[side("a", &a), side("b", &b)]);
    let view = ComparisonView::new(&found, &["a".to_owned(), "b".to_owned()]);
    let faces = [
        terminal::render(&view, None, false),
        markdown::render(&view, true),
        junit::render(&found),
        json::render(&found),
    ];
    let is_long = |text: &String| {
        text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > 30)
            || text.contains("e30")
    };
    assert!(!faces.iter().any(is_long), "{faces:#?}");
    let [screen, _, junit, json] = &faces;
    for told in ["≥ 662", "≥ 1.98×", "worse"] {
        assert!(screen.contains(told) && junit.contains(told), "{told}: {screen}\n{junit}");
    }
    assert!(!screen.contains("≥ 662 ±") && !screen.contains("2.11×"), "{screen}");
    let sentence = "b has ≥ 1.98× (worse) the TTFT p50 of a at 8 streams, ";
    assert!(view.sentences[0].starts_with(sentence), "{}", view.sentences[0]);
    assert_eq!(serde_json::from_str::<Comparison>(json).unwrap(), found);
    // The mean over cells is a bound too.
    let mean = screen.lines().find(|line| line.contains("geomean")).expect("two cells");
    assert_eq!(mean.matches('≥').count(), 2, "{mean}");
    // From the other side it is the most that it can be.
    let turned = found.cells.iter().flat_map(|cells| &cells.rows).map(Compared::turned);
    let told: Vec<String> = turned.map(|row| change(&row)).collect();
    assert!(told.iter().any(|change| change.starts_with("≤ 0.50")), "{told:?}");
    assert!(told.iter().all(|change| change.len() < 30), "{told:?}");
}

#[test]
fn a_cell_that_was_not_measured_to_the_end_has_not_failed() {
    let before = [cell(1, 1.0, 190)];
    let mut now = [cell(1, 1.0, 190)];
    now[0].validity = Validity::new(CellStatus::Incomplete, ["it was interrupted".to_owned()]);
    let rules = Rules { alpha: 0.01, margin: 0.05 };
    let found = compare(&[side("A", &before), side("B", &now)], &|_| true, &|_, _, _| None, rules);
    let told = sentence::sentences(&found).concat();
    assert_eq!(told, "B against A: not measured to the end in 1 of 1 cell.");
    let junit = junit::render(&found);
    assert!(junit.contains("failures=\"0\" skipped=\"1\""), "{junit}");
}

#[test]
fn a_ci_server_sees_what_is_worse_as_a_failure() {
    insta::assert_snapshot!(junit::render(&comparison()));
}

#[test]
fn a_change_has_the_digits_of_its_interval_and_lies_within_it() {
    let told = |change: f64, interval| {
        let row = Compared { change, interval, ..comparison().cells[0].rows[0].clone() };
        super::change(&row)
    };
    assert_eq!(told(1.1052, Some((1.1031, 1.1072))), "1.105× (1.103–1.107)");
    assert_eq!(told(0.9968, Some((0.9951, 0.9984))), "0.997× (0.995–0.998)");
    assert_eq!(told(1.9012, Some((1.85, 1.95))), "1.90× (1.85–1.95)");
    assert_eq!(told(3.0, Some((0.001, 9_000.0))), "3.00× (any)");
    assert_eq!(told(409.2, Some((383.2, 435.8))), "409× (383–436)");
    assert_eq!(told(92.88, Some((88.66, 99.95))), "92.9× (88.7–100.0)");
    assert_eq!(told(0.0106, Some((0.009_44, 0.011_95))), "0.0106× (0.0094–0.0120)");
    let points = Compared {
        scale: Scale::Points,
        change: -0.01,
        interval: Some((-8.9, 8.9)),
        ..comparison().cells[0].rows[0].clone()
    };
    assert_eq!(super::change(&points), "+0.0 points (-8.9 to +8.9)");
    assert_eq!(told(0.5263, None), "0.526×");
}

#[test]
fn what_was_written_as_json_reads_back() {
    let text = json::render(&comparison());
    assert_eq!(serde_json::from_str::<Comparison>(&text).unwrap(), comparison());
    assert!(text.starts_with("{\n  \"format\": 1,"), "{text}");
}
