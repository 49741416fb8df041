//! Gates are passed by numbers alone.

use crate::metrics::bounds::UNLIMITED;
use crate::metrics::catalogue::{MetricId, MetricKey};
use crate::metrics::gates::{baseline_of, judge};
use crate::metrics::summary::{
    CellStatus, CellSummary, GateOutcome, GateResult, NumberState, SteadyState, SteadyStatus,
    Validity,
};
use crate::metrics::tests::fixture::{measured_cell, with_accuracy, with_figure};
use crate::plan::gate::GatePlan;
use crate::record::event::LoadTimeline;
use crate::scenario::spec::Undecided;
use crate::units::Nanos;

fn must(condition: &str) -> GatePlan {
    GatePlan { must: vec![condition.to_owned()], ..GatePlan::default() }
}

fn judged(gate: &GatePlan, cell: &CellSummary) -> GateResult {
    judge(gate, &[cell]).remove(0)
}

fn why(gate: &GatePlan, cell: &CellSummary) -> (GateOutcome, String) {
    let found = judged(gate, cell);
    (found.outcome, found.why.unwrap_or_default())
}

/// A cell of three trials.
fn fast(output_throughput: f64, interval: Option<(f64, f64)>) -> CellSummary {
    let cell = CellSummary { n_trials: 3, ..measured_cell("a", "fp16") };
    with_figure(cell, MetricId::OutputThroughput, output_throughput, interval)
}

#[test]
fn a_gate_is_decided_when_the_whole_interval_is_on_one_side() {
    let outcome = |value, interval| {
        judged(&must("output_throughput >= 100 tok/s"), &fast(value, interval)).outcome
    };
    assert_eq!(outcome(120.0, Some((110.0, 130.0))), GateOutcome::Met);
    assert_eq!(outcome(90.0, Some((85.0, 95.0))), GateOutcome::Missed);
    assert_eq!(outcome(101.0, Some((95.0, 107.0))), GateOutcome::Undecided);
    assert_eq!(outcome(101.0, None), GateOutcome::Met, "without an interval the value decides");
    let not = GatePlan {
        must_not: vec!["output_throughput < 100 tok/s".to_owned()],
        ..GatePlan::default()
    };
    assert_eq!(judged(&not, &fast(90.0, Some((85.0, 95.0)))).outcome, GateOutcome::Missed);
    assert_eq!(judged(&not, &fast(120.0, Some((110.0, 130.0)))).outcome, GateOutcome::Met);
}

#[test]
fn only_a_number_passes_a_gate() {
    let gate = must("accuracy >= 0.5");
    let of = |cell: CellSummary| why(&gate, &cell);
    assert_eq!(
        judged(&gate, &with_accuracy(measured_cell("a", "fp16"), 80, 100)).outcome,
        GateOutcome::Met
    );
    assert_eq!(
        judged(&gate, &with_accuracy(measured_cell("a", "fp16"), 20, 100)).outcome,
        GateOutcome::Missed
    );
    let mut withheld = with_accuracy(measured_cell("a", "fp16"), 1, 1);
    withheld.accuracy[0].share = None;
    withheld.accuracy[0].request_errors = 199;
    let expected = "1 of 200 items were answered, too few".to_owned();
    assert_eq!(of(withheld), (GateOutcome::Missed, expected));
    let ungraded = (GateOutcome::Missed, "no answer was graded".to_owned());
    assert_eq!(of(measured_cell("a", "fp16")), ungraded);
    let in_state = |status, reason: &str| CellSummary {
        validity: Validity { status, reasons: vec![reason.to_owned()] },
        ..measured_cell("a", "fp16")
    };
    let failed = in_state(CellStatus::Failed, "it died");
    assert_eq!(of(failed), (GateOutcome::Missed, "the cell is failed: it died".to_owned()));
    let skipped = in_state(CellStatus::Skipped, "not here");
    assert!(judge(&gate, &[&skipped]).is_empty());
}

#[test]
fn a_baseline_gives_the_limit_and_its_own_doubt() {
    let mut gate = must("output_throughput >= 0.95 x baseline");
    let (outcome, reason) = why(&gate, &fast(100.0, None));
    assert_eq!(outcome, GateOutcome::Undecided);
    assert_eq!(reason, "there is no baseline: name one with --baseline DIR");
    let before = |interval| [fast(100.0, interval)];
    gate.baseline = Some(baseline_of(&gate, "old".to_owned(), &before(None)));
    let found = judged(&gate, &fast(96.0, None));
    assert_eq!((found.outcome, found.limit), (GateOutcome::Met, Some(95.0)));
    assert_eq!(judged(&gate, &fast(90.0, None)).outcome, GateOutcome::Missed);
    // A baseline without an interval is a constant: 95 lies within 96 ± 2.
    assert_eq!(judged(&gate, &fast(96.0, Some((94.0, 98.0)))).outcome, GateOutcome::Undecided);
    assert_eq!(judged(&gate, &fast(98.0, Some((96.0, 99.0)))).outcome, GateOutcome::Met);
    // 96 ± 1 against 100 ± 5: the ratio may be 0.91.
    gate.baseline = Some(baseline_of(&gate, "old".to_owned(), &before(Some((95.0, 105.0)))));
    assert_eq!(judged(&gate, &fast(96.0, Some((95.0, 97.0)))).outcome, GateOutcome::Undecided);
    let other = CellSummary { name: "other".to_owned(), ..fast(96.0, None) };
    let expected = "the baseline, old, has no cell of this name".to_owned();
    assert_eq!(why(&gate, &other), (GateOutcome::Undecided, expected));
}

#[test]
fn one_trial_of_either_decides_no_change_from_a_baseline() {
    let cost = |n_trials| {
        let cell = CellSummary { n_trials, ..measured_cell("a", "fp16") };
        with_figure(cell, MetricId::CostPer1mTokens, 9.0, None)
    };
    let output = |n_trials| CellSummary { n_trials, ..fast(90.0, Some((89.0, 91.0))) };
    let start = |n: usize| {
        let cell = with_figure(measured_cell("a", "fp16"), MetricId::LoadTime, 2.0, None);
        CellSummary { load: vec![LoadTimeline::default(); n].into(), ..cell }
    };
    let check = |condition: &str, before: CellSummary, now: CellSummary, expected: &str| {
        let mut gate = GatePlan { must_not: vec![condition.to_owned()], ..GatePlan::default() };
        gate.baseline = Some(baseline_of(&gate, "old".to_owned(), &[before]));
        let (outcome, why) = why(&gate, &now);
        assert_eq!(outcome == GateOutcome::Undecided, !expected.is_empty(), "{condition}: {why}");
        assert!(why.contains(expected), "{why}");
    };
    let trial = "one trial: nothing is known of the spread between trials";
    check("output_throughput < +5%", output(3), output(1), trial);
    check("output_throughput < +5%", output(1), output(3), &format!("of the baseline {trial}"));
    check("output_throughput < +5%", output(3), output(3), "");
    check("cost_per_1m_tokens > +10%", cost(3), cost(1), trial);
    check("cost_per_1m_tokens > +10%", cost(3), cost(3), "");
    let one_start = "one start: nothing is known of the spread between starts";
    check("load_time > +10%", start(2), start(1), one_start);
    check("load_time > +10%", start(2), start(2), "");
    // Items are many in one trial.
    let graded = || with_accuracy(measured_cell("a", "fp16"), 95, 100);
    check("accuracy < -50%", graded(), graded(), "");
}

#[test]
fn cells_that_share_a_start_name_the_first_of_them_in_a_gate_on_it() {
    let start = |name: &str, secs: f64| {
        let first_token = Some(Nanos((secs * 1e9) as u64));
        let cell = with_figure(measured_cell(name, "fp16"), MetricId::LoadTime, secs, None);
        CellSummary { load: [LoadTimeline { first_token, ..Default::default() }].into(), ..cell }
    };
    let mut broken = start("d", 2.0);
    broken.validity.status = CellStatus::Failed;
    let cells = [start("a", 2.0), start("b", 2.0), start("c", 3.0), broken, start("e", 2.0)];
    let cells: Vec<&CellSummary> = cells.iter().collect();
    let found = judge(&must("load_time < 1s"), &cells);
    assert_eq!(found.len(), cells.len(), "each cell has its outcome");
    let first: Vec<Option<&str>> = found.iter().map(|gate| gate.same_start_as.as_deref()).collect();
    assert_eq!(first, [None, Some("a"), None, None, Some("a")]);
    let found = judge(&must("output_throughput > 1"), &cells);
    assert!(found.iter().all(|gate| gate.same_start_as.is_none()), "{found:?}");
}

#[test]
fn a_number_that_may_be_0_or_has_no_end_is_not_judged_by_its_middle() {
    let check = |base: Option<(f64, f64)>, value, interval, expected: GateOutcome| {
        let must_not = vec!["output_throughput < 0.95 x baseline".to_owned()];
        let mut gate = GatePlan { must_not, ..GatePlan::default() };
        gate.baseline = Some(baseline_of(&gate, "old".to_owned(), &[fast(100.0, base)]));
        let found = judged(&gate, &fast(value, interval));
        assert_eq!(found.outcome, expected, "{found:?}");
        let is_open = expected == GateOutcome::Undecided;
        assert_eq!(found.why.is_some_and(|why| why.contains("reaches 0")), is_open);
    };
    let base = Some((80.0, 120.0));
    check(base, 79.0, Some((-91.0, 249.0)), GateOutcome::Undecided);
    check(base, 140.0, Some((-30.0, 310.0)), GateOutcome::Undecided);
    check(base, 140.0, Some((130.0, UNLIMITED)), GateOutcome::Met);
    check(None, 140.0, Some((0.0, UNLIMITED)), GateOutcome::Undecided);
    check(Some((-20.0, 220.0)), 300.0, Some((290.0, 310.0)), GateOutcome::Met);
    check(None, 20.0, Some((-10.0, 50.0)), GateOutcome::Missed);
    check(None, 0.0, None, GateOutcome::Missed);
}

#[test]
fn a_gate_on_the_accuracy_by_an_extractor_reads_no_other_ones_number() {
    let cell = with_accuracy(measured_cell("a", "fp16"), 95, 100);
    let name = cell.accuracy[0].extractor.clone();
    for sign in ['.', '/'] {
        let found = judged(&must(&format!("accuracy{sign}{name} > 0.8")), &cell);
        assert_eq!((found.outcome, found.value), (GateOutcome::Met, Some(95.0)));
        let (outcome, why) = why(&must(&format!("accuracy{sign}nope > 0.8")), &cell);
        assert_eq!(outcome, GateOutcome::Missed);
        assert_eq!(why, format!("no extractor is named nope; there are {name}"));
    }
}

#[test]
fn a_baseline_that_was_asked_something_else_or_did_not_end_decides_nothing() {
    let mut gate = must("output_throughput >= 0.95 x baseline");
    let asked = |hash: &str| CellSummary { asked: Some(hash.to_owned()), ..fast(100.0, None) };
    gate.baseline = Some(baseline_of(&gate, "old".to_owned(), &[asked("four streams")]));
    assert_eq!(judged(&gate, &asked("four streams")).outcome, GateOutcome::Met);
    assert_eq!(judged(&gate, &fast(100.0, None)).outcome, GateOutcome::Met, "nobody knows");
    let (outcome, reason) = why(&gate, &asked("16 streams"));
    assert_eq!(outcome, GateOutcome::Undecided);
    assert!(reason.ends_with("at another load, limit or length"), "{reason}");
    for status in [CellStatus::Failed, CellStatus::Incomplete] {
        let validity = Validity { status, reasons: Vec::new() };
        let before = CellSummary { validity, ..asked("four streams") };
        gate.baseline = Some(baseline_of(&gate, "old".to_owned(), &[before]));
        let (outcome, reason) = why(&gate, &asked("four streams"));
        assert_eq!(outcome, GateOutcome::Undecided);
        assert!(reason.contains("was not measured to its end"), "{reason}");
    }
}

#[test]
fn a_share_is_held_by_points_to_its_baseline_and_by_times_where_times_are_written() {
    let check = |condition: &str, correct: u64, expected: (GateOutcome, f64)| {
        let must_not = vec![condition.to_owned()];
        let mut gate = GatePlan { must_not, ..GatePlan::default() };
        let of = |correct| with_accuracy(measured_cell("a", "fp16"), correct, 20_000);
        gate.baseline = Some(baseline_of(&gate, "old".to_owned(), &[of(2_000)]));
        let found = judged(&gate, &of(correct));
        let limit = found.limit.map(|limit| (limit * 1e6).round() / 1e6);
        assert_eq!((found.outcome, limit), (expected.0, Some(expected.1)), "{condition}");
    };
    // 10 % before. 7 % are 3 points less, and 0.7 ×.
    check("accuracy < -2%", 1_400, (GateOutcome::Missed, 8.0));
    check("accuracy < -5%", 1_400, (GateOutcome::Met, 5.0));
    check("accuracy < 0.9 x baseline", 1_400, (GateOutcome::Missed, 9.0));
    check("accuracy < 0.5 x baseline", 1_400, (GateOutcome::Met, 5.0));
    check("accuracy < -2%", 1_600, (GateOutcome::Undecided, 8.0));
}

#[test]
fn what_is_not_decided_counts_as_missed_where_the_plan_says_so() {
    let mut gate = must("output_throughput >= 100 tok/s");
    let open = || fast(101.0, Some((95.0, 107.0)));
    assert!(!judged(&gate, &open()).fails());
    gate.undecided = Undecided::Fail;
    let found = judged(&gate, &open());
    assert!(found.fails() && found.outcome == GateOutcome::Undecided);
    assert!(!judged(&gate, &fast(120.0, None)).fails());
}

#[test]
fn a_cell_that_has_to_be_steady_must_be_known_to_be() {
    let outcome = |status, reasons: &[&str]| {
        let reasons = reasons.iter().map(|&reason| reason.to_owned()).collect();
        let steady = SteadyState { status, reasons };
        let gate = GatePlan { steady: true, ..GatePlan::default() };
        why(&gate, &CellSummary { steady, ..measured_cell("a", "fp16") })
    };
    assert_eq!(outcome(SteadyStatus::Steady, &[]).0, GateOutcome::Met);
    let drifts = (GateOutcome::Missed, "it drifts".to_owned());
    assert_eq!(outcome(SteadyStatus::NotSteady, &["it drifts"]), drifts);
    assert_eq!(outcome(SteadyStatus::Unknown, &[]).0, GateOutcome::Missed);
}

#[test]
fn what_bench_may_have_added_leaves_a_gate_open() {
    let outcome = |bound, state| {
        let mut cell = fast(101.0, None);
        let figure = cell.figures.get_mut(&MetricKey::from(MetricId::OutputThroughput)).unwrap();
        (figure.bound, figure.state) = (Some(bound), Some(state));
        judged(&must("output_throughput <= 102 tok/s"), &cell).outcome
    };
    assert_eq!(outcome((101.0, 101.5), NumberState::Ok), GateOutcome::Met);
    assert_eq!(outcome((101.0, 106.0), NumberState::Doubtful), GateOutcome::Undecided);
    assert_eq!(outcome((101.0, 101.5), NumberState::Invalid), GateOutcome::Undecided);
}
