//! Two cells, metric by metric: ratio, interval, verdict.

use serde::{Deserialize, Serialize};

use crate::metrics::catalogue::{MetricId, Shape};
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::{CellStatus, CellSummary, Summary};
use crate::score::classes::ItemClasses;
use crate::score::pair::{PairedAccuracy, pair};
use crate::stats::interval::{Estimate, Interval, ratio_of_estimates};
use crate::stats::verdict::Verdict;

/// Two cells compared: the second against the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// Name of the first cell: what is compared with.
    pub baseline: String,
    /// Name of the second cell.
    pub candidate: String,
    /// Ratio within which figures count as equivalent, as a share.
    pub margin: f64,
    /// One per metric that both cells have, in the catalogue's order.
    pub rows: Vec<Compared>,
    /// Correctness on the same items by extractor, when both cells' grades are given.
    pub accuracy: Vec<PairedAccuracy>,
    /// Why the comparison itself is in doubt: a cell that is not valid, say.
    pub doubts: Vec<String>,
}

/// One metric of two cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compared {
    /// What is compared: `output_throughput`, `ttft.p50`.
    pub quantity: Quantity,
    /// Unit of both values.
    pub unit: String,
    /// Value of the first cell.
    pub baseline: f64,
    /// Value of the second cell.
    pub candidate: f64,
    /// Second over first.
    pub ratio: f64,
    /// Interval of the ratio, 95 %; absent when one of the figures has none.
    pub interval: Option<(f64, f64)>,
    /// What follows. Inconclusive without an interval.
    pub verdict: Verdict,
    /// Estimator of the interval, or the reason of its absence.
    pub note: String,
}

/// Percentiles that are compared.
const COMPARED_PERCENTILES: [f64; 2] = [50.0, 99.0];

/// Compares two cells by their figures and percentiles.
///
/// The interval of a ratio is made from those of both sides, so two runs can be compared by
/// their summaries alone. `classes` are those of the items of the first and of the second cell.
pub fn compare(
    baseline: &CellSummary,
    candidate: &CellSummary,
    classes: Option<(&ItemClasses, &ItemClasses)>,
    margin: f64,
) -> Comparison {
    let rows = MetricId::ALL
        .iter()
        .filter(|metric| !metric.row().describes_the_run)
        .flat_map(|&metric| quantities(metric))
        .filter_map(|quantity| compared(quantity, baseline, candidate, margin))
        .collect();
    let accuracy = classes.map_or_else(Vec::new, |(first, second)| {
        first.extractors().iter().filter_map(|name| pair(first, second, name)).collect()
    });
    Comparison {
        baseline: baseline.name.clone(),
        candidate: candidate.name.clone(),
        margin,
        rows,
        accuracy,
        doubts: [baseline, candidate].into_iter().filter_map(doubt).collect(),
    }
}

/// Compares two runs: cells of the same name, in the order of the second run, and the names
/// that only one of them has.
pub fn compare_runs(
    baseline: &Summary,
    candidate: &Summary,
    margin: f64,
) -> (Vec<Comparison>, Vec<String>) {
    let find =
        |summary: &Summary, name: &str| summary.cells.iter().position(|cell| cell.name == name);
    let mut comparisons = Vec::new();
    let mut unmatched = Vec::new();
    for cell in &candidate.cells {
        match find(baseline, &cell.name) {
            Some(place) => {
                comparisons.push(compare(&baseline.cells[place], cell, None, margin));
            }
            None => unmatched.push(cell.name.clone()),
        }
    }
    let only_before = baseline.cells.iter().filter(|cell| find(candidate, &cell.name).is_none());
    unmatched.extend(only_before.map(|cell| cell.name.clone()));
    (comparisons, unmatched)
}

fn doubt(cell: &CellSummary) -> Option<String> {
    let how = match cell.validity.status {
        CellStatus::Ok => return None,
        CellStatus::Doubtful => "is doubtful",
        CellStatus::Invalid => "is invalid",
        CellStatus::Failed => "failed",
        CellStatus::Skipped => "was skipped",
        CellStatus::Incomplete => "is incomplete",
    };
    Some(match cell.validity.reasons.join("; ") {
        why if why.is_empty() => format!("{} {how}", cell.name),
        why => format!("{} {how}: {why}", cell.name),
    })
}

/// Returns what is compared of a metric; of graded answers the pairs are.
fn quantities(metric: MetricId) -> Vec<Quantity> {
    match metric.row().shape {
        Shape::Figure => vec![Quantity::figure(metric)],
        Shape::Distribution => COMPARED_PERCENTILES.map(|p| Quantity::percentile(metric, p)).into(),
        Shape::Graded => Vec::new(),
    }
}

fn compared(
    quantity: Quantity,
    baseline: &CellSummary,
    candidate: &CellSummary,
    margin: f64,
) -> Option<Compared> {
    let larger_is_better = quantity.larger_is_better()?;
    let (a, b) = (quantity.read(baseline)?, quantity.read(candidate)?);
    let (a_value, b_value) = (a.value.filter(|value| *value > 0.0)?, b.value?);
    let estimate = |value: f64, interval: Option<(f64, f64)>| {
        interval.map(|ends| Estimate { value, interval: Interval::from(ends) })
    };
    let both = estimate(b_value, b.interval).zip(estimate(a_value, a.interval));
    let ratio = both.and_then(|(b, a)| ratio_of_estimates(b, a));
    let note = match (both, ratio) {
        (_, Some(_)) => "MOVER on the logarithms of both intervals, 95 %",
        (Some(_), None) => "an interval reaches 0: repeat trials",
        (None, None) => "a figure has no interval: repeat trials",
    };
    Some(Compared {
        unit: quantity.id().unit().to_owned(),
        quantity,
        baseline: a_value,
        candidate: b_value,
        ratio: b_value / a_value,
        interval: ratio.map(|ratio| ratio.interval.ends()),
        verdict: ratio.map_or(Verdict::Inconclusive, |ratio| {
            Verdict::of(ratio.interval, margin, larger_is_better)
        }),
        note: note.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::summary::Validity;
    use crate::metrics::tests::fixture::{measured_cell, with_figure};

    fn verdict_of(a: (f64, Option<(f64, f64)>), b: (f64, Option<(f64, f64)>)) -> Compared {
        let cell = |(value, interval)| {
            with_figure(measured_cell("a", "fp16"), MetricId::OutputThroughput, value, interval)
        };
        compare(&cell(a), &cell(b), None, 0.02).rows.remove(0)
    }

    #[test]
    fn a_difference_outside_the_noise_is_better() {
        let found = verdict_of((100.0, Some((99.0, 101.0))), (110.0, Some((109.0, 111.0))));
        assert_eq!(
            (found.quantity.id(), found.verdict),
            (MetricId::OutputThroughput, Verdict::Better)
        );
        assert!((found.ratio - 1.1).abs() < 1e-9);
        let back = verdict_of((110.0, Some((109.0, 111.0))), (100.0, Some((99.0, 101.0))));
        assert_eq!(back.verdict, Verdict::Worse);
    }

    #[test]
    fn two_per_cent_from_single_runs_are_no_win() {
        let found = verdict_of((100.0, None), (102.0, None));
        assert_eq!(found.verdict, Verdict::Inconclusive);
        assert_eq!(found.note, "a figure has no interval: repeat trials");
        let wide = verdict_of((100.0, Some((-5.0, 205.0))), (102.0, Some((101.0, 103.0))));
        assert_eq!(wide.note, "an interval reaches 0: repeat trials");
    }

    #[test]
    fn runs_are_compared_cell_by_cell_and_strangers_named() {
        let run = |names: &[&str]| Summary {
            cells: names.iter().map(|name| measured_cell(name, "fp16")).collect(),
            ..Summary::default()
        };
        let (comparisons, unmatched) = compare_runs(&run(&["a", "b"]), &run(&["b", "c"]), 0.02);
        assert_eq!(comparisons.len(), 1);
        assert_eq!(unmatched, ["c", "a"]);
    }

    #[test]
    fn a_cell_that_is_not_valid_puts_the_comparison_in_doubt() {
        let mut bad = measured_cell("b", "fp16");
        bad.validity = Validity::new(CellStatus::Invalid, ["client: slow".to_owned()]);
        let found = compare(&measured_cell("a", "fp16"), &bad, None, 0.02);
        assert_eq!(found.doubts, ["b is invalid: client: slow"]);
    }
}
