//! Whether rounds of the same work have settled.

use crate::stats::interval::Interval;
use crate::stats::quantile::{quantile, quantile_interval};
use crate::stats::trend::{TREND_CHANGE, Trend};

/// p-value below which the order of a few rounds counts as one direction. Four rounds that all
/// rise have 0.09.
const DIRECTION_P: f64 = 0.10;
/// Confidence of the interval around each round's median.
const LEVEL: f64 = 0.95;

/// The median of one round's samples, and how far chance may have moved it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RoundMedian {
    median: f64,
    interval: Interval,
}

impl RoundMedian {
    /// Returns the median of samples in any order; `None` when there is none.
    pub(crate) fn of(mut samples: Vec<f64>) -> Option<Self> {
        samples.sort_by(f64::total_cmp);
        let median = quantile(&samples, 0.5)?;
        // So few samples bound no median: chance is then not made responsible for anything.
        let bounds = quantile_interval(&samples, 0.5, LEVEL);
        Some(Self { median, interval: bounds.unwrap_or(Interval::new(median, median)) })
    }
}

/// Whether rounds go on changing: all in one direction, by more than [`TREND_CHANGE`], and by
/// more than chance, so that the intervals of the first and the last round do not meet.
///
/// Ranks alone call one of twelve quadruples of equal rounds a trend. Both intervals of 95 %
/// have to be apart as well, which leaves one in some hundred.
pub(crate) fn goes_on_changing(rounds: &[RoundMedian]) -> bool {
    let medians: Vec<f64> = rounds.iter().map(|round| round.median).collect();
    let (Some(first), Some(last)) = (rounds.first(), rounds.last()) else { return false };
    let is_apart =
        first.interval.high < last.interval.low || last.interval.high < first.interval.low;
    is_apart
        && Trend::of(&medians).is_some_and(|trend| {
            trend.p_value < DIRECTION_P && trend.relative_change.abs() > TREND_CHANGE
        })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;
    use rand_distr::{Distribution, LogNormal};

    use super::*;

    /// Four rounds of log-normal samples, each `growth` times as slow as the one before.
    fn rounds(rng: &mut ChaCha8Rng, n: usize, sigma: f64, growth: f64) -> Vec<RoundMedian> {
        let noise = LogNormal::new(0.0, sigma).unwrap();
        (0..4)
            .map(|round| {
                let level = 50.0 * growth.powi(round);
                RoundMedian::of((0..n).map(|_| level * noise.sample(rng)).collect()).unwrap()
            })
            .collect()
    }

    fn share_changing(n: usize, sigma: f64, growth: f64) -> f64 {
        const SERIES: usize = 1000;
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let n_changing =
            (0..SERIES).filter(|_| goes_on_changing(&rounds(&mut rng, n, sigma, growth))).count();
        n_changing as f64 / SERIES as f64
    }

    #[test]
    fn equal_rounds_are_hardly_ever_called_changing() {
        for (n, sigma) in [(8, 0.3), (20, 1.0), (100, 0.02), (100, 0.3), (100, 1.0)] {
            let share = share_changing(n, sigma, 1.0);
            assert!(share <= 0.01, "{share} of rounds of {n} with sigma {sigma}");
        }
    }

    #[test]
    fn rounds_that_grow_are_called_changing() {
        for (n, sigma, growth) in [(100, 0.02, 1.03), (100, 0.3, 1.2), (4, 0.02, 1.1)] {
            let share = share_changing(n, sigma, growth);
            assert!(share >= 0.95, "{share} of rounds of {n} with sigma {sigma}, {growth}");
            assert!(share_changing(n, sigma, 1.0 / growth) >= 0.95);
        }
    }

    #[test]
    fn a_change_too_small_to_matter_is_none() {
        assert!(share_changing(1000, 0.01, 1.01) < 0.01);
    }
}
