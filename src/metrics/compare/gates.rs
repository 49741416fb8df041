//! Gates of a comparison: what must hold in no pair of cells, such as `tpot.p50 > +5%`.

use crate::metrics::catalogue::MetricId;
use crate::metrics::compare::{Compared, ComparedCells, Comparison, Scale, Side, is_same_start};
use crate::metrics::condition::{Condition, Limit, Subject};
use crate::metrics::gates::{base_of, has, holds, of_cell, once_per_start, taken};
use crate::metrics::per_trial;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::{CellSummary, GateOutcome, GateResult, NumberState};
use crate::scenario::spec::Undecided;

/// Why a condition is missed that was held against nothing: an engine that bears another name, or a
/// sweep of other loads, would pass it for ever.
const NOTHING_HELD: &str = "no cell has a counterpart: nothing was held against the condition";

/// Returns a condition that is relative to a baseline; `None` for any other.
pub(crate) fn relative(text: &str) -> Option<Condition> {
    Condition::parse(text).ok().filter(|condition| condition.limit.is_relative())
}

/// Judges conditions in every pair of cells, and in cells of the baseline without a counterpart.
///
/// What both cells have by trial is decided by the interval of its change between trials; any other
/// number as `--baseline` of a run decides it. A condition is not about cells of which neither side has
/// the number, unless none has it at all. Where no cell has a counterpart it is missed. What is not decided counts as missed where `undecided` says
/// so.
pub(crate) fn judge(
    comparison: &Comparison,
    sides: &[Side<'_>],
    conditions: &[String],
    undecided: Undecided,
) -> Vec<GateResult> {
    let by_name: Vec<_> = sides.iter().map(Side::by_name).collect();
    let without = comparison.unmatched.iter().filter(|place| place.side == 0);
    let of = |text: &String| {
        let Some(condition) = relative(text) else { return Vec::new() };
        let result = |side: usize, cell: &str| GateResult {
            side: (sides.len() > 2).then(|| sides[side].name.clone()),
            ..GateResult::missed(cell, text, false, condition.subject.label())
        };
        let pairs = comparison.cells.iter().filter_map(|cells| {
            let pair = [by_name[0][&*cells.baseline], by_name[cells.side][&*cells.candidate]];
            let found = of_pair(result(cells.side, &cells.candidate), &condition, cells, pair)?;
            // Of cells that failed nobody knows what they would have had.
            let is_about = cells.not_compared.is_some() || found.value.is_some();
            let is_about = is_about || pair.iter().any(|cell| has(&condition.subject, cell));
            Some((is_about, pair[1], found))
        });
        let alone = without.clone().map(|place| {
            let is_held = comparison.cells.iter().any(|cells| cells.side == place.other);
            let (outcome, why) = if is_held {
                (GateOutcome::Undecided, "the cell has no counterpart")
            } else {
                (GateOutcome::Missed, NOTHING_HELD)
            };
            let found = GateResult {
                outcome,
                why: Some(why.to_owned()),
                ..result(place.other, &place.cell)
            };
            let cell = by_name[0][&*place.cell];
            (has(&condition.subject, cell), cell, found)
        });
        let mut all: Vec<(bool, &CellSummary, GateResult)> = pairs.chain(alone).collect();
        if all.iter().any(|(is_about, ..)| *is_about) {
            all.retain(|(is_about, ..)| *is_about);
        }
        let all = all.into_iter().map(|(_, cell, found)| (cell, found)).collect();
        once_per_start(Some(&condition), all)
    };
    taken(conditions.iter().flat_map(of).collect(), undecided)
}

/// Judges a pair of cells; `None` where another pair tells the same starts.
fn of_pair(
    result: GateResult,
    condition: &Condition,
    cells: &ComparedCells,
    [baseline, candidate]: [&CellSummary; 2],
) -> Option<GateResult> {
    // What came to nothing where the baseline was measured has not shown that it is no worse. Of what
    // was never measured, or not in the baseline, nobody knows.
    if let Some(why) = &cells.not_compared {
        let outcome = if cells.is_lost { result.outcome } else { GateOutcome::Undecided };
        return Some(GateResult { why: Some(why.clone()), outcome, ..result });
    }
    let row = cells.rows.iter().find(|row| is_about(condition, row, baseline));
    let subject = row.and_then(|row| row.extractor.clone()).map(Subject::AccuracyBy);
    let condition =
        &Condition { subject: subject.unwrap_or(condition.subject.clone()), ..condition.clone() };
    let result = GateResult { label: condition.subject.label(), ..result };
    let (row, unit, limit) = match (row, condition.limit) {
        (Some(row), Limit::OfBaseline(times)) if row.scale == Scale::Ratio => (row, "×", times),
        (Some(row), Limit::Points(points)) if row.scale == Scale::Points => (row, "points", points),
        (None, _)
            if is_start_told(condition, baseline)
                && is_start_told(condition, candidate)
                && !is_same_start(baseline, candidate) =>
        {
            return None;
        }
        _ => {
            let base = || base_of(condition, baseline);
            return Some(of_cell(result, condition, &base, candidate));
        }
    };
    let decided = row.interval.map(|_| holds(condition.operator, row.change, row.interval, limit));
    let outcome = match decided {
        Some(Some(true)) => GateOutcome::Missed,
        Some(Some(false)) => GateOutcome::Met,
        Some(None) | None => GateOutcome::Undecided,
    };
    Some(GateResult {
        unit: unit.to_owned(),
        value: Some(row.change),
        interval: row.interval,
        limit: Some(limit),
        why: decided.is_none().then(|| row.note.to_string()),
        outcome,
        ..result
    })
}

/// Whether a row is of what a condition is about.
fn is_about(condition: &Condition, row: &Compared, baseline: &CellSummary) -> bool {
    match &condition.subject {
        Subject::Quantity(quantity) => row.quantity == *quantity,
        Subject::AccuracyBy(name) => {
            let headline = || baseline.accuracy.first().map(|it| &it.extractor);
            let is_accuracy = row.quantity == Quantity::figure(MetricId::Accuracy);
            is_accuracy && row.extractor.as_ref().or_else(headline) == Some(name)
        }
    }
}

/// Whether a condition is about the start of a cell that has one: starts that loads share are compared
/// once.
fn is_start_told(condition: &Condition, cell: &CellSummary) -> bool {
    let Subject::Quantity(quantity) = &condition.subject else { return false };
    let is_invalid =
        || quantity.read(cell).is_some_and(|it| it.state == Some(NumberState::Invalid));
    quantity.id() == MetricId::LoadTime
        && !per_trial::values(cell, quantity).is_empty()
        && !is_invalid()
}
