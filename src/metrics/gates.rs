//! Gates: what a scenario and a command line require of the numbers.

use std::collections::BTreeMap;

use crate::metrics::bounds::is_unlimited;
use crate::metrics::by_name::accuracy_by;
use crate::metrics::catalogue::MetricId;
use crate::metrics::condition::{Condition, Limit, Operator, Subject};
use crate::metrics::load_search;
use crate::metrics::per_trial;
use crate::metrics::summary::{
    CellStatus, CellSummary, Figure, GateOutcome, GateResult, NumberState, SteadyStatus,
};
use crate::plan::Plan;
use crate::plan::gate::{BaselineNumber, BaselinePlan, GatePlan};
use crate::scenario::spec::Undecided;
use crate::stats::interval::{Estimate, Interval, ratio_of_estimates};
use crate::stats::welch::LogSample;

/// Judges every gate of a plan in every cell that this machine can run, in the order of the gates.
///
/// A search has to try loads that are too high: gates are about those up to the load that it found.
pub(crate) fn results(plan: &Plan, cells: &[CellSummary]) -> Vec<GateResult> {
    let Some(gate) = &plan.gate else { return Vec::new() };
    let beyond = load_search::beyond(plan, cells);
    let cells: Vec<&CellSummary> = cells.iter().filter(|cell| !beyond.contains(&cell.id)).collect();
    judge(gate, &cells)
}

/// Judges gates in every cell that was not skipped.
pub(crate) fn judge(gate: &GatePlan, cells: &[&CellSummary]) -> Vec<GateResult> {
    let must = gate.must.iter().map(|text| (text, true));
    let must_not = gate.must_not.iter().map(|text| (text, false));
    let is_judged = |cell: &&CellSummary| cell.validity.status != CellStatus::Skipped;
    let judged = || cells.iter().copied().filter(is_judged);
    let steady = judged().filter(|_| gate.steady).map(steadiness);
    let numbers = must.chain(must_not).flat_map(|(text, must_hold)| {
        let condition = Condition::parse(text);
        let result = |cell: &CellSummary| match &condition {
            Ok(condition) => {
                let label = condition.subject.label();
                let result = GateResult::missed(&cell.name, text, must_hold, label);
                let base = || of_baseline(gate.baseline.as_ref(), cell, text);
                of_cell(result, condition, &base, cell)
            }
            // A plan that was edited by hand.
            Err(error) => GateResult {
                why: Some(error.to_string()),
                ..GateResult::missed(&cell.name, text, must_hold, text.clone())
            },
        };
        let results = judged().map(|cell| (cell, result(cell)));
        once_per_start(condition.as_ref().ok(), results.collect())
    });
    let results: Vec<GateResult> = steady.chain(numbers).collect();
    taken(results, gate.undecided)
}

/// Marks the results of a condition about starts that tell of the same one: cells that differ in load
/// alone share their engine's starts.
pub(crate) fn once_per_start(
    condition: Option<&Condition>,
    mut found: Vec<(&CellSummary, GateResult)>,
) -> Vec<GateResult> {
    if condition.is_some_and(|condition| condition.subject.metric().is_of_start()) {
        let told = |it: &GateResult| (it.outcome, it.interval, it.limit, it.why.clone());
        let mut by_value: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for at in 0..found.len() {
            let (cell, result) = &found[at];
            let Some(value) = result.value else { continue };
            let of_value = by_value.entry(value.to_bits()).or_default();
            let is_same = |other: &&usize| {
                let (first, other) = &found[**other];
                first.load == cell.load && told(other) == told(result)
            };
            if let Some(first) = of_value.iter().find(is_same) {
                found[at].1.same_start_as = Some(found[*first].1.cell.clone());
            } else {
                of_value.push(at);
            }
        }
    }
    found.into_iter().map(|(_, result)| result).collect()
}

/// Says of results what those that are not decided are taken for.
pub(crate) fn taken(mut results: Vec<GateResult>, undecided: Undecided) -> Vec<GateResult> {
    for result in &mut results {
        result.counts_as_missed =
            undecided == Undecided::Fail && result.outcome == GateOutcome::Undecided;
    }
    results
}

/// Judges whether a cell is known to have been steady: what nothing looked at is not.
fn steadiness(cell: &CellSummary) -> GateResult {
    let why = match cell.steady.status {
        SteadyStatus::Steady => None,
        SteadyStatus::NotSteady => Some(cell.steady.reasons.join("; ")),
        SteadyStatus::Unknown => Some(
            "no warm-up looked for a steady state, and too few requests show a trend".to_owned(),
        ),
    };
    let outcome = if why.is_none() { GateOutcome::Met } else { GateOutcome::Missed };
    let result = GateResult::missed(&cell.name, "steady", true, "steady state".to_owned());
    GateResult { outcome, why, ..result }
}

/// Returns the number that a condition is about; `None` where the cell does not have it at all.
fn figure(subject: &Subject, cell: &CellSummary) -> Option<Figure> {
    match subject {
        // A cell of another tool has its numbers by trial alone.
        Subject::Quantity(quantity) => quantity.read(cell).or_else(|| {
            let sample = LogSample::of(cell.trials.get(quantity)?)?;
            let unit = quantity.id().unit();
            Some(Figure {
                value: Some(sample.geometric_mean()),
                n: sample.n(),
                unit,
                ..Figure::default()
            })
        }),
        Subject::AccuracyBy(extractor) => {
            cell.accuracy.iter().find(|found| found.extractor == *extractor).map(accuracy_by)
        }
    }
}

/// Whether a cell has the number that a condition is about, be it one without a value.
pub(crate) fn has(subject: &Subject, cell: &CellSummary) -> bool {
    figure(subject, cell).is_some()
}

/// Judges a condition in a cell; `base` finds the baseline's number where the condition is relative.
pub(crate) fn of_cell(
    mut result: GateResult,
    condition: &Condition,
    base: &dyn Fn() -> Result<BaselineNumber, String>,
    cell: &CellSummary,
) -> GateResult {
    condition.subject.metric().unit().clone_into(&mut result.unit);
    if let Limit::Value(limit) = condition.limit {
        result.limit = Some(limit);
    }
    if !cell.validity.status.is_measured() {
        let (status, reasons) = (cell.validity.status.word(), cell.validity.reasons.join("; "));
        let why = format!("the cell is {status}: {reasons}");
        return GateResult { why: Some(why.trim_end_matches(": ").to_owned()), ..result };
    }
    // Only what was shown passes a gate: a number that is not there is within no limit.
    let Some(figure) = figure(&condition.subject, cell) else {
        return GateResult { why: Some(absent(&condition.subject, cell)), ..result };
    };
    let Some(value) = figure.value.filter(|value| value.is_finite()) else {
        let is_known = figure.n > 0 && condition.subject.metric() != MetricId::Accuracy;
        result.outcome = if is_known { GateOutcome::Undecided } else { GateOutcome::Missed };
        return GateResult { why: Some(no_value(&condition.subject, &figure, cell)), ..result };
    };
    let interval = with_bound(value, &figure);
    (result.value, result.interval) = (Some(value), interval);
    if figure.state == Some(NumberState::Invalid) {
        result.outcome = GateOutcome::Undecided;
        let why = "the number is INVALID: bench may have added more than the limit".to_owned();
        return GateResult { why: Some(why), ..result };
    }
    let decided = match condition.limit {
        Limit::Value(limit) => Ok((holds(condition.operator, value, interval, limit), None)),
        Limit::OfBaseline(times) => {
            let base = base();
            result.limit = base.as_ref().ok().map(|base| times * base.value);
            base.and_then(|base| repeated(&condition.subject, cell, base))
                .map(|base| over_baseline(condition.operator, value, interval, base, times))
        }
        Limit::Points(points) => {
            let base = base();
            result.limit = base.as_ref().ok().map(|base| base.value + points);
            base.and_then(|base| repeated(&condition.subject, cell, base)).map(|base| {
                let (change, interval) = difference(value, interval, base);
                let why = interval.map(|(low, high)| {
                    format!("it lies between {low:.2} and {high:.2} points from the baseline's")
                });
                (holds(condition.operator, change, interval, points), why)
            })
        }
    };
    match decided {
        Ok((Some(holds), _)) if holds == result.must_hold => result.outcome = GateOutcome::Met,
        Ok((Some(_), _)) => {}
        Ok((None, why)) => (result.outcome, result.why) = (GateOutcome::Undecided, why),
        Err(why) => (result.outcome, result.why) = (GateOutcome::Undecided, Some(why)),
    }
    result
}

/// Returns the baseline's number where a change from it can be decided: as in a comparison, one trial
/// of either says nothing of how far another would be from it.
fn repeated(
    subject: &Subject,
    cell: &CellSummary,
    base: BaselineNumber,
) -> Result<BaselineNumber, String> {
    match subject {
        Subject::Quantity(quantity) if per_trial::is_single(cell, quantity) => {
            Err(per_trial::not_repeated(quantity).to_owned())
        }
        Subject::Quantity(quantity) if base.is_single => {
            Err(format!("of the baseline {}", per_trial::not_repeated(quantity)))
        }
        _ => Ok(base),
    }
}

/// Returns the interval of a number, widened to what bench itself may have added to it.
fn with_bound(value: f64, figure: &Figure) -> Option<(f64, f64)> {
    let (Some((low, high)), interval) = (figure.bound, figure.interval) else {
        return figure.interval;
    };
    let (from, to) = interval.unwrap_or((value, value));
    Some((from.min(low), to.max(high)))
}

/// Whether a condition holds; `None` when the interval crosses the limit. Without an interval the
/// value alone decides.
pub(crate) fn holds(
    operator: Operator,
    value: f64,
    interval: Option<(f64, f64)>,
    limit: f64,
) -> Option<bool> {
    let (low, high) = interval.unwrap_or((value, value));
    let (at_low, at_high) = (operator.holds(low, limit), operator.holds(high, limit));
    (at_low == at_high).then_some(at_low)
}

/// Returns the baseline's number for a condition in the cell of that name.
fn of_baseline(
    baseline: Option<&BaselinePlan>,
    cell: &CellSummary,
    condition: &str,
) -> Result<BaselineNumber, String> {
    let baseline =
        baseline.ok_or_else(|| "there is no baseline: name one with --baseline DIR".to_owned())?;
    let numbers = baseline
        .cells
        .get(&cell.name)
        .ok_or_else(|| format!("the baseline, {}, has no cell of this name", baseline.from))?;
    let asked = baseline.asked.get(&cell.name).zip(cell.asked.as_ref());
    if asked.is_some_and(|(before, now)| before != now) {
        return Err(format!(
            "the baseline, {}, measured this cell at another load, limit or length",
            baseline.from
        ));
    }
    let number = numbers.get(condition).copied();
    number.ok_or_else(|| {
        format!(
            "the baseline, {}, has no such number to go by: it is absent, INVALID or of a cell that \
             was not measured to its end",
            baseline.from
        )
    })
}

/// Returns the number of a baseline's cell that a condition is held against.
pub(crate) fn base_of(condition: &Condition, cell: &CellSummary) -> Result<BaselineNumber, String> {
    if !cell.takes_part() {
        return Err(format!("the baseline's cell is {}", cell.validity.status.word()));
    }
    let figure = figure(&condition.subject, cell).ok_or("the baseline has no such number")?;
    if figure.state == Some(NumberState::Invalid) {
        return Err("the baseline's number is INVALID".to_owned());
    }
    // A share can fall or rise by points from 0 too.
    let is_divisor = !matches!(condition.limit, Limit::Points(_));
    let is_usable = |value: &f64| value.is_finite() && (*value > 0.0 || !is_divisor);
    let value = figure.value.filter(is_usable);
    let value = value.ok_or("the baseline's number has no value above 0")?;
    let is_single = match &condition.subject {
        Subject::Quantity(quantity) => per_trial::is_single(cell, quantity),
        Subject::AccuracyBy(_) => false,
    };
    Ok(BaselineNumber { value, interval: with_bound(value, &figure), is_single })
}

/// Whether a condition holds of a number over that of the baseline, and where that lies. Where one of
/// them has no interval, it is taken as it stands.
fn over_baseline(
    operator: Operator,
    value: f64,
    interval: Option<(f64, f64)>,
    base: BaselineNumber,
    times: f64,
) -> (Option<bool>, Option<String>) {
    if interval.or(base.interval).is_none() {
        return (holds(operator, value / base.value, None, times), None);
    }
    let open = |(low, high)| (low, if is_unlimited(high) { f64::INFINITY } else { high });
    let interval = interval.map(open);
    let base = BaselineNumber { interval: base.interval.map(open), ..base };
    let estimate = |value, ends: Option<(f64, f64)>| {
        let ends = ends.unwrap_or((value, value));
        Estimate { value, interval: Interval::from(ends) }
    };
    let both = (estimate(value, interval), estimate(base.value, base.interval));
    let Some(ratio) = ratio_of_estimates(both.0, both.1) else {
        // The ratio has no interval then. What is left over the limit has one.
        let limit = BaselineNumber {
            value: times * base.value,
            interval: base.interval.map(|(low, high)| (times * low, times * high)),
            ..base
        };
        let (over, interval) = difference(value, interval, limit);
        let why = "its interval or that of the baseline reaches 0 or has no end";
        return (holds(operator, over, interval, 0.0), Some(why.to_owned()));
    };
    let (low, high) = ratio.interval.ends();
    // The baseline has an interval of its own, which the number's does not show.
    let why = format!("it lies between {low:.3} and {high:.3} times the baseline's");
    (holds(operator, ratio.value, Some((low, high)), times), Some(why))
}

/// Returns a number minus that of the baseline, with an interval where either has one.
///
/// Source: G. Y. Zou and A. Donner, "Construction of confidence limits about effect measures: a
/// general approach", Statistics in Medicine 27 (2008) 1693–1702.
fn difference(
    value: f64,
    interval: Option<(f64, f64)>,
    base: BaselineNumber,
) -> (f64, Option<(f64, f64)>) {
    let change = value - base.value;
    let ends = interval.or(base.interval).map(|_| {
        let (low, high) = interval.unwrap_or((value, value));
        let (base_low, base_high) = base.interval.unwrap_or((base.value, base.value));
        let below = (value - low).hypot(base_high - base.value);
        let above = (high - value).hypot(base.value - base_low);
        (change - below, change + above)
    });
    (change, ends)
}

fn absent(subject: &Subject, cell: &CellSummary) -> String {
    match subject {
        Subject::AccuracyBy(extractor) if !cell.accuracy.is_empty() => {
            let known: Vec<&str> = cell.accuracy.iter().map(|a| a.extractor.as_str()).collect();
            format!("no extractor is named {extractor}; there are {}", known.join(", "))
        }
        subject if subject.metric() == MetricId::Accuracy => "no answer was graded".to_owned(),
        _ => "the cell has no such number".to_owned(),
    }
}

fn no_value(subject: &Subject, figure: &Figure, cell: &CellSummary) -> String {
    if subject.metric() == MetricId::Accuracy
        && let Some(accuracy) = cell.accuracy.first()
    {
        let n_items = accuracy.n + accuracy.request_errors;
        return format!("{} of {n_items} items were answered, too few", accuracy.n);
    }
    if figure.note.is_empty() { "it has no value".to_owned() } else { figure.note.to_string() }
}

/// Returns the numbers of a run that gates with a baseline need, by cell and by condition.
pub(crate) fn baseline_of(gate: &GatePlan, from: String, cells: &[CellSummary]) -> BaselinePlan {
    let conditions = gate.must.iter().chain(&gate.must_not);
    let relative: Vec<(&String, Condition)> = conditions
        .filter_map(|text| Some((text, Condition::parse(text).ok()?)))
        .filter(|(_, condition)| condition.limit.is_relative())
        .collect();
    let of_cell = |cell: &CellSummary| {
        let number = |(text, condition): &(&String, Condition)| {
            Some(((*text).clone(), base_of(condition, cell).ok()?))
        };
        relative.iter().filter_map(number).collect()
    };
    let asked = cells.iter().filter_map(|cell| Some((cell.name.clone(), cell.asked.clone()?)));
    let asked = asked.collect();
    let cells = cells.iter().map(|cell| (cell.name.clone(), of_cell(cell))).collect();
    BaselinePlan { from, cells, asked }
}
