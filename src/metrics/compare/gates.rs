//! Gates of a comparison: what must hold in no pair of cells, such as `tpot.p50 > +5%`.

use std::collections::HashMap;

use crate::metrics::catalogue::MetricId;
use crate::metrics::compare::{ComparedCells, Comparison, Scale, Side};
use crate::metrics::condition::{Condition, Limit, Subject};
use crate::metrics::gates::{base_of, holds, of_cell};
use crate::metrics::per_trial;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::{CellSummary, GateOutcome, GateResult, NumberState};

/// Returns the quantity that a condition relative to a baseline is about; `None` for any other.
pub(crate) fn relative(text: &str) -> Option<(Quantity, Condition)> {
    let condition = Condition::parse(text).ok()?;
    match (&condition.subject, condition.limit) {
        (Subject::Quantity(quantity), Limit::OfBaseline(_)) => Some((quantity.clone(), condition)),
        _ => None,
    }
}

/// Judges conditions in every pair of cells, and in cells of the baseline without a counterpart.
///
/// What both cells have by trial is decided by the interval of its change between trials; any other
/// number as `--baseline` of a run decides it.
pub(crate) fn judge(
    comparison: &Comparison,
    sides: &[Side<'_>],
    conditions: &[String],
) -> Vec<GateResult> {
    let by_name: Vec<_> = sides.iter().map(by_name).collect();
    let without = comparison.unmatched.iter().filter(|place| place.side == 0);
    let of = |text: &String| {
        let Some((quantity, condition)) = relative(text) else { return Vec::new() };
        let pairs = comparison.cells.iter().filter_map(|cells| {
            let pair = [by_name[0][&*cells.baseline], by_name[cells.side][&*cells.candidate]];
            let result = result(text, &quantity, &cells.candidate);
            of_pair(result, &quantity, &condition, cells, pair)
        });
        let alone = without.clone().map(|place| GateResult {
            outcome: GateOutcome::Undecided,
            why: Some("the cell has no counterpart".to_owned()),
            ..result(text, &quantity, &place.cell)
        });
        pairs.chain(alone).collect()
    };
    conditions.iter().flat_map(of).collect()
}

fn by_name<'a>(side: &Side<'a>) -> HashMap<&'a str, &'a CellSummary> {
    side.cells.iter().map(|it| (it.cell.name.as_str(), it.cell)).collect()
}

fn result(text: &str, quantity: &Quantity, cell: &str) -> GateResult {
    GateResult::missed(cell, text, false, quantity.label())
}

/// Judges a pair of cells; `None` where another pair tells the same starts.
fn of_pair(
    result: GateResult,
    quantity: &Quantity,
    condition: &Condition,
    cells: &ComparedCells,
    [baseline, candidate]: [&CellSummary; 2],
) -> Option<GateResult> {
    // What cannot be compared has not shown that it is no worse.
    if let Some(why) = &cells.not_compared {
        return Some(GateResult { why: Some(why.clone()), ..result });
    }
    let Some(row) = cells.rows.iter().find(|row| row.quantity == *quantity) else {
        let is_told = |cell| is_start_told(quantity, cell);
        let base = || base_of(condition, baseline);
        let is_shared = is_told(baseline) && is_told(candidate);
        return (!is_shared).then(|| of_cell(result, condition, &base, candidate));
    };
    let Limit::OfBaseline(times) = condition.limit else { return Some(result) };
    let (unit, limit) = match row.scale {
        Scale::Ratio => ("×", times),
        // A share of right answers falls by points: -2% are two of a hundred.
        Scale::Points => ("points", (times - 1.0) * 100.0),
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

/// Whether a quantity is the start of a cell that has one: starts that loads share are compared once.
fn is_start_told(quantity: &Quantity, cell: &CellSummary) -> bool {
    let is_invalid =
        || quantity.read(cell).is_some_and(|it| it.state == Some(NumberState::Invalid));
    quantity.id() == MetricId::LoadTime
        && !per_trial::values(cell, quantity).is_empty()
        && !is_invalid()
}
