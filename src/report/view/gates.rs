//! Gates, one line each: what was required, and what the number is.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::metrics::summary::{GateOutcome, GateResult};
use crate::report::number::{counted, is_any, printed};
use crate::report::untrusted::line;

/// Outcome of a gate that is not decided and taken for missed.
pub(crate) const COUNTS_AS_MISSED: &str = "not decided, counts as missed";

/// A gate in one cell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct GateView {
    /// `✓`, `✗` or `?`.
    pub mark: &'static str,
    /// `met`, `missed`, `not decided` or [`COUNTS_AS_MISSED`].
    pub outcome: &'static str,
    /// Name of the cell, after that of its side where there are several.
    pub cell: String,
    /// The condition as written.
    pub condition: String,
    /// What the number is and what it must be.
    pub line: String,
}

/// Returns a line for each gate, of starts that cells share one; those that were not passed come first.
pub(crate) fn gates(results: &[GateResult]) -> Vec<GateView> {
    let mut n_more: BTreeMap<(&str, &str, Option<&str>), u64> = BTreeMap::new();
    for gate in results {
        if let Some(first) = &gate.same_start_as {
            *n_more.entry((&gate.condition, first, gate.side.as_deref())).or_default() += 1;
        }
    }
    let of = |outcome: GateOutcome| {
        let is_told = move |gate: &&GateResult| gate.outcome == outcome;
        results.iter().filter(|gate| gate.same_start_as.is_none()).filter(is_told)
    };
    let view = |gate: &GateResult| {
        let n_more = n_more.get(&(&*gate.condition, &*gate.cell, gate.side.as_deref()));
        view(gate, n_more.copied().unwrap_or_default())
    };
    of(GateOutcome::Missed)
        .chain(of(GateOutcome::Undecided))
        .chain(of(GateOutcome::Met))
        .map(view)
        .collect()
}

/// Shows a gate, of a start that `n_more` cells share.
fn view(gate: &GateResult, n_more: u64) -> GateView {
    let (mark, outcome) = match gate.outcome {
        GateOutcome::Met => ("✓", "met"),
        GateOutcome::Missed => ("✗", "missed"),
        GateOutcome::Undecided if gate.counts_as_missed => ("?", COUNTS_AS_MISSED),
        GateOutcome::Undecided => ("?", "not decided"),
    };
    let cell = cell(gate);
    let place = match n_more {
        0 => cell.clone(),
        n => format!("{cell} and {} of the same start", counted(n, "more cell")),
    };
    let line_of = told(gate, &place);
    GateView { mark, outcome, cell, condition: line(&gate.condition), line: line_of }
}

/// Names the cell of a gate, and its side where there are several.
fn cell(gate: &GateResult) -> String {
    let side = gate.side.as_ref().map_or_else(String::new, |side| format!("{side} "));
    line(&format!("{side}{}", gate.cell))
}

fn told(gate: &GateResult, place: &str) -> String {
    let counts = if gate.counts_as_missed { "; counts as missed" } else { "" };
    format!("{}{counts}", number_and_limit(gate, place))
}

fn number_and_limit(gate: &GateResult, place: &str) -> String {
    let number = gate.value.map(|value| {
        let told = gate.interval.filter(|(low, high)| gate.unit != "×" || !is_any(*low, *high));
        let number = printed(value, told, &gate.unit);
        let spread = match (number.spread.is_empty(), gate.interval.is_some()) {
            (false, _) => format!(" {}", number.spread),
            (true, true) if told.is_none() => " (any)".to_owned(),
            (true, _) => String::new(),
        };
        format!(" is {} {}{spread},", number.value, gate.unit)
    });
    if gate.limit.is_none() && limit_of(gate).is_empty() {
        let why = gate.why.as_ref().map_or_else(String::new, |why| format!("; {}", line(why)));
        return format!("{place}: must be {}{why}", line(&gate.condition));
    }
    let must = if gate.must_hold { "must be" } else { "must not be" };
    let limit = limit_of(gate);
    let is_relative = limit.contains(['+', '-']) || limit.contains("baseline");
    let mut told = format!(
        "{place}: {}{} {must} {}",
        line(&gate.label),
        number.unwrap_or_default(),
        line(limit)
    );
    if let Some(limit) = gate.limit.filter(|_| is_relative) {
        let limit = printed(limit, None, &gate.unit).value;
        told.extend([" = ", &limit, " ", &gate.unit]);
    }
    match (&gate.why, gate.outcome) {
        (Some(why), _) => told.extend(["; ", &line(why)]),
        (None, GateOutcome::Undecided) => told.push_str("; the interval crosses the limit"),
        (None, _) => {}
    }
    told
}

/// Returns operator and limit as written; empty where the condition is a state.
fn limit_of(gate: &GateResult) -> &str {
    gate.condition.find(['<', '>']).map_or("", |at| gate.condition[at..].trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_on_a_start_is_one_line_for_the_cells_that_share_it() {
        let gate = |cell: &str, first: Option<&str>| GateResult {
            unit: "s".to_owned(),
            value: Some(2.0),
            limit: Some(1.0),
            same_start_as: first.map(str::to_owned),
            ..GateResult::missed(cell, "load_time < 1s", true, "load time".to_owned())
        };
        let results =
            [gate("a", None), gate("b", Some("a")), gate("c", Some("a")), gate("d", None)];
        let lines: Vec<String> = gates(&results).into_iter().map(|gate| gate.line).collect();
        let expected = [
            "a and 2 more cells of the same start: load time is 2.00 s, must be < 1s",
            "d: load time is 2.00 s, must be < 1s",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_gate_tells_number_interval_and_limit_and_the_missed_ones_come_first() {
        let gate = |outcome, value: Option<f64>, why: Option<&str>| GateResult {
            unit: "ms".to_owned(),
            value,
            interval: value.map(|value| (value - 0.5, value + 0.5)),
            limit: Some(10.0),
            outcome,
            why: why.map(str::to_owned),
            ..GateResult::missed("fast c=4", "ttft.p50 < 10ms", true, "TTFT p50".to_owned())
        };
        let any = GateResult {
            unit: "×".to_owned(),
            interval: Some((1e-6, 1e6)),
            ..gate(GateOutcome::Undecided, Some(1.33), None)
        };
        assert_eq!(
            gates(&[any])[0].line,
            "fast c=4: TTFT p50 is 1.330 × (any), must be < 10ms; the interval crosses the limit"
        );
        let taken = GateResult {
            counts_as_missed: true,
            side: Some("B".to_owned()),
            ..gate(GateOutcome::Undecided, Some(10.1), None)
        };
        let found = gates(&[
            taken,
            gate(GateOutcome::Met, Some(4.0), None),
            gate(GateOutcome::Undecided, Some(9.8), None),
            gate(GateOutcome::Missed, None, Some("the cell is incomplete")),
            gate(GateOutcome::Missed, Some(90.0), None),
        ]);
        let lines: Vec<String> =
            found.iter().map(|gate| format!("{} {}", gate.mark, gate.line)).collect();
        assert_eq!(
            lines,
            [
                "✗ fast c=4: TTFT p50 must be < 10ms; the cell is incomplete",
                "✗ fast c=4: TTFT p50 is 90.00 ms ± 0.50, must be < 10ms",
                "? B fast c=4: TTFT p50 is 10.10 ms ± 0.50, must be < 10ms; the interval crosses \
                 the limit; counts as missed",
                "? fast c=4: TTFT p50 is 9.80 ms ± 0.50, must be < 10ms; the interval crosses \
                 the limit",
                "✓ fast c=4: TTFT p50 is 4.00 ms ± 0.50, must be < 10ms",
            ]
        );
    }
}
