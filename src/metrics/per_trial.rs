//! One value of each compared quantity per trial: what a comparison takes for its sample.

use std::collections::BTreeMap;

use crate::metrics::catalogue::MetricId;
use crate::metrics::figures::Figures;
use crate::metrics::latencies::Latencies;
use crate::metrics::quantity::{Quantity, Statistic};
use crate::metrics::summary::{CellSummary, Note};
use crate::units::Nanos;

/// Figures that are kept by trial. Rates per GPU and what follows from a rate are left out: their
/// ratios are those of the rates.
const FIGURES: &[MetricId] = &[
    MetricId::RequestThroughput,
    MetricId::OutputThroughput,
    MetricId::TotalThroughput,
    MetricId::Goodput,
    MetricId::EnergyPerToken,
    MetricId::RequestThroughputWhole,
    MetricId::OutputThroughputWhole,
    MetricId::TotalThroughputWhole,
];

/// Distributions whose mean and percentiles are kept by trial.
const DISTRIBUTIONS: &[MetricId] = &[
    MetricId::Ttft,
    MetricId::TtftScheduled,
    MetricId::Tpot,
    MetricId::Itl,
    MetricId::E2e,
    MetricId::E2eScheduled,
];

/// Percentiles that are kept by trial.
const PERCENTILES: [f64; 2] = [50.0, 99.0];

/// Digits that are kept. The clock and the kernel tell a latency to no more, and a summary of
/// thousands of cells stays small.
const DIGITS: usize = 6;

/// Values by quantity, one for each trial that has the quantity.
pub(crate) type TrialValues = BTreeMap<Quantity, Vec<f64>>;

/// Says that a number was measured once, so that no change of it can be decided.
pub(crate) fn not_repeated(quantity: &Quantity) -> &'static str {
    if quantity.id().is_of_start() {
        "one start: nothing is known of the spread between starts"
    } else {
        "one trial: nothing is known of the spread between trials"
    }
}

/// Whether a number of a cell was measured once, though trials or starts have it each anew.
pub(crate) fn is_single(cell: &CellSummary, quantity: &Quantity) -> bool {
    if quantity.id().is_of_start() {
        return cell.load.len() == 1;
    }
    if quantities_of(cell).contains(quantity) {
        return values(cell, quantity).len() == 1;
    }
    // Shares have intervals of their items, which are many in one trial.
    let has_interval = || quantity.read(cell).is_some_and(|it| it.interval.is_some());
    cell.n_trials == 1 && !has_interval()
}

/// Returns every quantity that can be compared trial by trial, in the order of documents.
pub(crate) fn quantities() -> Vec<Quantity> {
    let of = |metric: &MetricId| {
        let percentiles = PERCENTILES.map(|p| Quantity::percentile(*metric, p));
        percentiles.into_iter().chain([Quantity::mean(*metric)])
    };
    let mut all: Vec<Quantity> = DISTRIBUTIONS.iter().flat_map(of).collect();
    all.extend(FIGURES.iter().map(|metric| Quantity::figure(*metric)));
    all.push(Quantity::figure(MetricId::LoadTime));
    all
}

/// Adds the values of one trial.
///
/// Percentiles are kept however few samples there are; [`values`] tells them where the samples of all
/// trials are enough.
pub(crate) fn push(values: &mut TrialValues, figures: &Figures, latencies: Latencies) {
    let mut set = |quantity: Quantity, value: Option<f64>| {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            values.entry(quantity).or_default().push(rounded(value));
        }
    };
    for metric in FIGURES {
        set(Quantity::figure(*metric), figures.value(*metric));
    }
    let mut samples = latencies.into_samples();
    for metric in DISTRIBUTIONS {
        let Some(samples) = samples.get_mut(metric) else { continue };
        set(Quantity::mean(*metric), samples.mean());
        for p in PERCENTILES {
            set(Quantity::percentile(*metric, p), samples.quantile(p / 100.0));
        }
    }
}

/// Returns the values of a quantity by trial, or by start for the load time.
///
/// A cell of one trial has its figures alone, and each is that trial's. A percentile that the cell
/// does not tell for want of samples has no value by trial either.
pub(crate) fn values(cell: &CellSummary, quantity: &Quantity) -> Vec<f64> {
    if too_few(cell, quantity).is_some() {
        return Vec::new();
    }
    if quantity.id() == MetricId::LoadTime {
        let starts = cell.load.iter().filter_map(|start| start.first_token);
        return starts.map(Nanos::as_secs_f64).collect();
    }
    match cell.trials.get(quantity) {
        Some(values) => values.clone(),
        None if cell.n_trials == 1 => quantity.value(cell).into_iter().collect(),
        None => Vec::new(),
    }
}

/// Says why a cell does not tell a percentile of samples that it has; `None` for any other number, and
/// for a percentile that a tool never told.
pub(crate) fn too_few(cell: &CellSummary, quantity: &Quantity) -> Option<Note> {
    let is_kept = cell.trials.is_empty() || cell.trials.contains_key(quantity);
    let is_percentile = is_kept && matches!(quantity.statistic, Statistic::Percentile(_));
    let found = quantity.read(cell).filter(|found| is_percentile && found.n > 0)?;
    found.value.is_none().then_some(found.note)
}

/// Returns the quantities that a cell may have by trial, in the order of documents: another tool tells
/// more of a trial than runs keep.
pub(crate) fn quantities_of(cell: &CellSummary) -> Vec<Quantity> {
    let mut known = quantities();
    let more = cell.trials.keys().filter(|told| !known.contains(told)).cloned();
    known.extend(more.collect::<Vec<_>>());
    known
}

fn rounded(value: f64) -> f64 {
    format!("{value:.*e}", DIGITS - 1).parse().expect("a printed number can be read")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::summary::{Distribution, Percentile};
    use crate::metrics::tests::fixture::{measured_cell, with_figure};

    #[test]
    fn digits_that_mean_nothing_are_not_kept() {
        let check = |value: f64, expected: &str| assert_eq!(rounded(value).to_string(), expected);
        check(40.123_456_789, "40.1235");
        check(123_456_789.0, "123457000");
        check(0.001_234_567_89, "0.00123457");
        check(0.0, "0");
    }

    #[test]
    fn a_percentile_below_its_floor_has_no_value_by_trial() {
        let cell = |n: u64, value: Option<f64>| {
            let mut cell = measured_cell("a", "fp16");
            cell.n_trials = 2;
            for (quantity, values) in [(50.0, [40.0, 41.0]), (99.0, [80.0, 60.0])] {
                cell.trials.insert(Quantity::percentile(MetricId::Ttft, quantity), values.into());
            }
            let percentiles = vec![
                Percentile { p: 50.0, value: Some(40.5), n_floor: 11, ..Percentile::default() },
                Percentile { p: 99.0, value, n_floor: 662, ..Percentile::default() },
            ];
            let ttft = Distribution { n, percentiles, ..Distribution::default() };
            cell.distributions.insert(MetricId::Ttft, ttft);
            cell
        };
        let [p50, p99] = [50.0, 99.0].map(|p| Quantity::percentile(MetricId::Ttft, p));
        let few = cell(144, None);
        assert_eq!(values(&few, &p99), [0.0; 0]);
        assert_eq!(too_few(&few, &p99).unwrap(), *"n too small: p99 needs 662, has 144");
        assert_eq!((values(&few, &p50).len(), too_few(&few, &p50)), (2, None));
        let many = cell(700, Some(70.0));
        assert_eq!((values(&many, &p99).len(), too_few(&many, &p99)), (2, None));
    }

    #[test]
    fn a_single_trial_is_told_by_its_figures() {
        let mut cell =
            with_figure(measured_cell("a", "fp16"), MetricId::OutputThroughput, 100.0, None);
        let rate = Quantity::figure(MetricId::OutputThroughput);
        assert_eq!(values(&cell, &rate), [100.0]);
        cell.n_trials = 2;
        assert!(values(&cell, &rate).is_empty(), "a merged figure is no trial's");
        cell.trials.insert(rate.clone(), vec![99.0, 101.0]);
        assert_eq!(values(&cell, &rate), [99.0, 101.0]);
    }
}
