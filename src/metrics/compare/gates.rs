//! Gates of a comparison: what must hold in no pair of cells, such as `tpot.p50 > +5%`.

use crate::metrics::compare::{ComparedCells, Comparison, Scale};
use crate::metrics::condition::{Condition, Limit, Subject};
use crate::metrics::gates::holds;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::{GateOutcome, GateResult};

/// Returns the quantity that a condition relative to a baseline is about; `None` for any other.
pub(crate) fn relative(text: &str) -> Option<(Quantity, Condition)> {
    let condition = Condition::parse(text).ok()?;
    match (&condition.subject, condition.limit) {
        (Subject::Quantity(quantity), Limit::OfBaseline(_)) => Some((quantity.clone(), condition)),
        _ => None,
    }
}

/// Judges conditions in every pair of cells, and in cells of the baseline without a counterpart.
pub(crate) fn judge(comparison: &Comparison, conditions: &[String]) -> Vec<GateResult> {
    let without = comparison.unmatched.iter().filter(|place| place.side == 0);
    let of = |text: &String| {
        let Some((quantity, condition)) = relative(text) else { return Vec::new() };
        let pairs = comparison
            .cells
            .iter()
            .map(|cells| of_pair(result(text, &quantity, &cells.candidate), &condition, cells));
        let alone = without.clone().map(|place| GateResult {
            outcome: GateOutcome::Undecided,
            why: Some("the cell has no counterpart".to_owned()),
            ..result(text, &quantity, &place.cell)
        });
        pairs.chain(alone).collect()
    };
    conditions.iter().flat_map(of).collect()
}

fn result(text: &str, quantity: &Quantity, cell: &str) -> GateResult {
    GateResult::missed(cell, text, false, quantity.label())
}

fn of_pair(result: GateResult, condition: &Condition, cells: &ComparedCells) -> GateResult {
    let (Subject::Quantity(quantity), Limit::OfBaseline(times)) =
        (&condition.subject, condition.limit)
    else {
        return result;
    };
    // What cannot be compared has not shown that it is no worse.
    if let Some(why) = &cells.not_compared {
        return GateResult { why: Some(why.clone()), ..result };
    }
    let open = |why: &str, result| GateResult {
        outcome: GateOutcome::Undecided,
        why: Some(why.to_owned()),
        ..result
    };
    let Some(row) = cells.rows.iter().find(|row| row.quantity == *quantity) else {
        return open("not both cells have this number", result);
    };
    let (unit, limit) = match row.scale {
        Scale::Ratio => ("×", times),
        // A share of right answers falls by points: -2% are two of a hundred.
        Scale::Points => ("points", (times - 1.0) * 100.0),
    };
    let result = GateResult {
        unit: unit.to_owned(),
        value: Some(row.change),
        interval: row.interval,
        limit: Some(limit),
        ..result
    };
    if row.interval.is_none() {
        return open(&row.note, result);
    }
    let outcome = match holds(condition.operator, row.change, row.interval, limit) {
        Some(true) => GateOutcome::Missed,
        Some(false) => GateOutcome::Met,
        None => GateOutcome::Undecided,
    };
    GateResult { outcome, ..result }
}
