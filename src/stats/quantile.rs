//! Quantiles of raw samples, their intervals, and how many samples they need.

use crate::stats::interval::Interval;
use crate::stats::special::binomial_cdf;

/// Returns the quantile of ascending samples, Hyndman–Fan type 7.
///
/// `p` is a share between 0 and 1. Type 7 interpolates linearly between the order statistics
/// around `(n - 1) p`; it is what numpy calls "linear" and R's default. `None` for no samples.
///
/// Source: R. J. Hyndman and Y. Fan, "Sample quantiles in statistical packages", The American
/// Statistician 50 (1996) 361–365.
pub(crate) fn quantile(sorted: &[f64], p: f64) -> Option<f64> {
    quantile_by(sorted.len(), p, |rank| sorted[rank])
}

/// Returns the type-7 quantile of `n` samples of which `at(rank)` is the ascending order.
///
/// A rank whose sample is infinite makes the quantile infinite, never undefined.
pub(crate) fn quantile_by(n: usize, p: f64, at: impl Fn(usize) -> f64) -> Option<f64> {
    let position = n.checked_sub(1)? as f64 * p.clamp(0.0, 1.0);
    let below = position.floor();
    let share = position - below;
    let low = at(below as usize);
    if share == 0.0 {
        return Some(low);
    }
    let high = at(below as usize + 1);
    Some(if high.is_finite() { low + (high - low) * share } else { high })
}

/// Returns a confidence interval of a quantile, both ends of it order statistics.
///
/// The number of samples below the true quantile is binomial whatever the distribution, so the
/// interval needs no assumption but independence. The ends are the largest rank and the
/// smallest rank whose one-sided error is at most half of `1 - level`. `None` when the samples
/// are too few for an end on either side.
///
/// Source: W. J. Conover, "Practical Nonparametric Statistics", 3rd ed. (1999), section 3.2.
pub(crate) fn quantile_interval(sorted: &[f64], p: f64, level: f64) -> Option<Interval> {
    let (low, high) = interval_ranks(sorted.len() as u64, p, level)?;
    Some(Interval::new(sorted[low as usize - 1], sorted[high as usize - 1]))
}

/// Returns the ranks, counted from 1, of the order statistics around the quantile `p`.
pub(crate) fn interval_ranks(n: u64, p: f64, level: f64) -> Option<(u64, u64)> {
    let error = (1.0 - level) / 2.0;
    // X(r) lies above the quantile when fewer than r samples are at or below it:
    // P(Bin(n, p) <= r - 1). The lower end is the largest r for which that is rare.
    let low = smallest(0, n, |k| binomial_cdf(k, n, p) > error);
    // X(s) lies below the quantile when at least s samples are: P(Bin(n, p) >= s).
    let high = smallest(0, n, |k| binomial_cdf(k, n, p) >= 1.0 - error) + 1;
    (low >= 1 && high <= n).then_some((low, high))
}

/// Returns the smallest `k` in `low..=high` with a monotone property that `high` has.
fn smallest(mut low: u64, mut high: u64, holds: impl Fn(u64) -> bool) -> u64 {
    while low < high {
        let middle = u64::midpoint(low, high);
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

/// Confidence at which [`sample_floor`] is set.
pub(crate) const FLOOR_CONFIDENCE: f64 = 0.99;

/// Returns the fewest samples from which a percentile may be told as a fact.
///
/// The smallest `n` for which, with 99 % confidence, at least two samples lie beyond the
/// percentile, so that it is not the word of a single outlier:
/// `P(Bin(n, 1 - p) <= 1) <= 0.01`. For p90, p95, p99 and p99.9 that is 64, 130, 662 and 6,636.
/// `p` is a share; for one below a half the samples beyond it are those on its lower side.
///
/// Source: the early-stopping criterion of `MLPerf` Inference's `LoadGen`
/// (`loadgen/early_stopping.cc`), with one sample over the limit left out of account.
pub(crate) fn sample_floor(p: f64) -> u64 {
    let beyond = 1.0 - p.max(1.0 - p);
    let enough = |n: u64| {
        let ln_none = n as f64 * (-beyond).ln_1p();
        let none = ln_none.exp();
        let one = n as f64 * beyond * (ln_none - (-beyond).ln_1p()).exp();
        none + one <= 1.0 - FLOOR_CONFIDENCE
    };
    if beyond <= 0.0 {
        return u64::MAX;
    }
    let mut high = 2;
    while !enough(high) {
        high *= 2;
    }
    smallest(2, high, enough)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_are_those_of_numpy() {
        // numpy.quantile([1, 2, 4, 8, 16], p), method "linear".
        let samples = [1.0, 2.0, 4.0, 8.0, 16.0];
        let check = |p: f64, expected: f64| {
            let found = quantile(&samples, p).unwrap();
            assert!((found - expected).abs() < 1e-12, "p {p}: {found}, expected {expected}");
        };
        check(0.0, 1.0);
        check(0.1, 1.4);
        check(0.5, 4.0);
        check(0.9, 12.8);
        check(0.99, 15.68);
        check(1.0, 16.0);
    }

    #[test]
    fn no_samples_have_no_quantile_and_one_sample_is_all_of_them() {
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[7.0], 0.99), Some(7.0));
    }

    #[test]
    fn a_quantile_next_to_an_infinite_sample_is_infinite_and_not_undefined() {
        assert_eq!(quantile(&[1.0, f64::INFINITY], 0.25), Some(f64::INFINITY));
        assert_eq!(quantile(&[1.0, 2.0, f64::INFINITY], 0.5), Some(2.0));
    }

    #[test]
    fn the_floors_are_those_of_the_readme() {
        assert_eq!(sample_floor(0.9), 64);
        assert_eq!(sample_floor(0.95), 130);
        assert_eq!(sample_floor(0.99), 662);
        assert_eq!(sample_floor(0.999), 6_636);
        assert_eq!(sample_floor(0.5), sample_floor(0.500_000_000_001));
        assert_eq!(sample_floor(0.1), sample_floor(0.9));
    }

    #[test]
    fn interval_ranks_of_the_median_are_those_of_the_sign_test_tables() {
        // Two-sided 95 %, ranks of the sign-test interval of the median:
        // Conover (1999), table A3 with p = 0.5; n = 5 has none.
        assert_eq!(interval_ranks(5, 0.5, 0.95), None);
        assert_eq!(interval_ranks(6, 0.5, 0.95), Some((1, 6)));
        assert_eq!(interval_ranks(10, 0.5, 0.95), Some((2, 9)));
        assert_eq!(interval_ranks(20, 0.5, 0.95), Some((6, 15)));
        assert_eq!(interval_ranks(100, 0.5, 0.95), Some((40, 61)));
    }

    #[test]
    fn an_interval_covers_the_true_quantile_as_often_as_it_says() {
        use rand::RngExt as _;
        let mut rng = crate::seed::Seed(7).stream("coverage");
        let n_rounds = 2_000;
        let covered = (0..n_rounds)
            .filter(|_| {
                let mut samples: Vec<f64> = (0..200).map(|_| rng.random::<f64>()).collect();
                samples.sort_by(f64::total_cmp);
                let (low, high) = quantile_interval(&samples, 0.9, 0.95).unwrap().ends();
                (low..=high).contains(&0.9)
            })
            .count();
        // At least 95 % by construction (order statistics overcover); five standard errors below.
        assert!(covered as f64 / f64::from(n_rounds) > 0.925, "{covered} of {n_rounds}");
        assert!(covered < n_rounds as usize, "an interval that always covers says nothing");
    }

    proptest! {
        #[test]
        fn quantiles_lie_between_the_extremes_and_never_fall(
            mut samples in proptest::collection::vec(-1e9..1e9_f64, 1..50),
            p in 0.0..1.0_f64,
            q in 0.0..1.0_f64,
        ) {
            samples.sort_by(f64::total_cmp);
            let (p, q) = (p.min(q), p.max(q));
            let at_p = quantile(&samples, p).unwrap();
            let at_q = quantile(&samples, q).unwrap();
            prop_assert!(samples[0] <= at_p && at_q <= samples[samples.len() - 1]);
            // Interpolation may lose the last bit.
            prop_assert!(at_p <= at_q + 1e-6);
        }
    }
}
