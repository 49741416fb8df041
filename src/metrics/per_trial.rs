//! One value of each compared quantity per trial: what a comparison takes for its sample.

use std::collections::BTreeMap;

use crate::metrics::catalogue::MetricId;
use crate::metrics::figures::Figures;
use crate::metrics::latencies::Latencies;
use crate::metrics::quantity::Quantity;

/// Figures that are kept by trial. Rates per GPU and what follows from a rate are left out: their
/// ratios are those of the rates.
const FIGURES: &[MetricId] = &[
    MetricId::RequestThroughput,
    MetricId::OutputThroughput,
    MetricId::TotalThroughput,
    MetricId::Goodput,
    MetricId::EnergyPerToken,
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

/// Adds the values of one trial.
///
/// No percentile is withheld for want of samples: what is compared is how it moves between
/// trials, and that shows how little a few samples say.
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

fn rounded(value: f64) -> f64 {
    format!("{value:.*e}", DIGITS - 1).parse().expect("a printed number can be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_that_mean_nothing_are_not_kept() {
        let check = |value: f64, expected: &str| assert_eq!(rounded(value).to_string(), expected);
        check(40.123_456_789, "40.1235");
        check(123_456_789.0, "123457000");
        check(0.001_234_567_89, "0.00123457");
        check(0.0, "0");
    }
}
