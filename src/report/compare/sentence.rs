//! A comparison in one sentence for each side.

use crate::metrics::axes::is_load;
use crate::metrics::catalogue::MetricId;
use crate::metrics::compare::{Compared, Comparison, Scale};
use crate::metrics::quantity::Quantity;
use crate::report::compare::{by_quantity, key_names, one_change, range};
use crate::report::untrusted;
use crate::stats::verdict::Verdict;

/// Says of each side after the first what it is to the baseline.
pub(super) fn sentences(comparison: &Comparison) -> Vec<String> {
    let mut blocks = by_quantity(comparison);
    // What an engine delivers comes before how long each answer takes.
    blocks.sort_by_key(|(first, _)| first.quantity.id() != MetricId::OutputThroughput);
    let is_of_loads = key_names(comparison).into_iter().all(|key| is_load(key));
    let noun = if is_of_loads { "load" } else { "cell" };
    let sentence = |side: usize| {
        let (name, baseline) = (&comparison.sides[side], &comparison.sides[0]);
        let of_side = blocks.iter().map(|(first, block)| {
            let rows = block.iter().filter(|(cells, _)| cells.side == side).map(|(_, row)| *row);
            (&first.quantity, rows.collect::<Vec<&Compared>>())
        });
        let of_side: Vec<_> = of_side.filter(|(_, rows)| !rows.is_empty()).collect();
        let lead =
            of_side.first().and_then(|(quantity, rows)| lead(name, baseline, quantity, rows, noun));
        let rest = of_side.iter().skip(usize::from(lead.is_some()));
        let (open, told): (Vec<_>, Vec<_>) =
            rest.partition(|(_, rows)| rows.iter().all(|row| row.verdict == Verdict::Inconclusive));
        let mut clauses: Vec<String> =
            told.into_iter().map(|(quantity, rows)| clause(quantity, rows, noun)).collect();
        if !open.is_empty() {
            let open: Vec<String> = open.into_iter().map(|(of, rows)| seen(of, rows)).collect();
            clauses.push(format!("not decided: {}", open.join(", ")));
        }
        untrusted::line(&match (lead, clauses.is_empty()) {
            (None, true) => format!("{name} and {baseline} have nothing that can be compared."),
            (None, false) => format!("{name} against {baseline}: {}.", clauses.join("; ")),
            (Some(lead), true) => format!("{lead}."),
            (Some(lead), false) => format!("{lead}; {}.", clauses.join("; ")),
        })
    };
    (1..comparison.sides.len()).map(sentence).collect()
}

/// Says the first thing in whole words where it is the same verdict everywhere.
fn lead(
    name: &str,
    baseline: &str,
    quantity: &Quantity,
    rows: &[&Compared],
    noun: &str,
) -> Option<String> {
    let verdict = rows[0].verdict;
    let is_called = matches!(verdict, Verdict::Better | Verdict::Worse);
    let is_one = is_called && rows.iter().all(|row| row.verdict == verdict);
    (is_one && rows[0].scale == Scale::Ratio).then(|| {
        let (change, ends) = changes(rows);
        let at = at(rows.len(), rows.len(), noun);
        format!(
            "{name} has {change} the {} of {baseline} ({ends}){at}, {verdict}",
            quantity.label()
        )
    })
}

/// Says what is known of one quantity: each verdict with its range, in the order in which it
/// matters.
fn clause(quantity: &Quantity, rows: &[&Compared], noun: &str) -> String {
    let order = [Verdict::Worse, Verdict::Better, Verdict::Equivalent, Verdict::Inconclusive];
    let parts = order.iter().filter_map(|verdict| {
        let of = rows.iter().copied().filter(|row| row.verdict == *verdict);
        let of: Vec<&Compared> = of.collect();
        (!of.is_empty()).then(|| part(*verdict, &of, rows.len(), noun))
    });
    let parts: Vec<String> = parts.collect();
    format!("{} {}", quantity.label(), parts.join(", "))
}

/// Names a quantity of which nothing is decided, with the change where that is all there is.
fn seen(quantity: &Quantity, rows: &[&Compared]) -> String {
    match changes(rows) {
        (change, ends) if ends.is_empty() => format!("{} ({change} seen)", quantity.label()),
        _ => quantity.label(),
    }
}

fn at(n: usize, n_all: usize, noun: &str) -> String {
    match n {
        _ if n_all == 1 => String::new(),
        n if n == n_all => format!(" at each of {n_all} {noun}s"),
        n => format!(" at {n} of {n_all} {noun}s"),
    }
}

fn part(verdict: Verdict, rows: &[&Compared], n_all: usize, noun: &str) -> String {
    let at = at(rows.len(), n_all, noun);
    let (change, ends) = changes(rows);
    match verdict {
        Verdict::Equivalent => format!("equivalent{at}"),
        Verdict::Inconclusive => format!("not decided{at}"),
        Verdict::Better | Verdict::Worse => format!("{verdict}{at} ({change}, {ends})"),
    }
}

/// Returns the least and the greatest change, and the interval that holds all intervals, which is
/// empty where a row has none.
fn changes(rows: &[&Compared]) -> (String, String) {
    let least = |of: &dyn Fn(&Compared) -> f64| {
        rows.iter().map(|row| of(row)).fold(f64::INFINITY, f64::min)
    };
    let most = |of: &dyn Fn(&Compared) -> f64| -least(&|row| -of(row));
    let scale = rows[0].scale;
    let (low, high) = (least(&|row| row.change), most(&|row| row.change));
    let one = one_change(scale, low);
    let unit = if scale == Scale::Ratio { "×" } else { " points" };
    let told = if one == one_change(scale, high) {
        one
    } else {
        format!("{}{unit}", range(scale, low, high))
    };
    if rows.iter().any(|row| row.interval.is_none()) {
        return (told, String::new());
    }
    let ends = |row: &Compared| row.interval.unwrap_or((row.change, row.change));
    (told, range(scale, least(&|row| ends(row).0), most(&|row| ends(row).1)))
}
