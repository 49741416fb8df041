//! Shares: their intervals, and the comparison of two on the same items.

use crate::stats::interval::Interval;
use crate::stats::special::{binomial_cdf, normal_quantile};

/// Returns Wilson's score interval of a share.
///
/// Stays inside 0..1 and keeps its level for shares near 0 and 1, where the usual
/// `p ± 1.96 s` fails. `None` for no items.
///
/// Source: E. B. Wilson, "Probable inference, the law of succession, and statistical
/// inference", JASA 22 (1927) 209–212.
pub(crate) fn wilson(n_hits: u64, n: u64, level: f64) -> Option<Interval> {
    if n == 0 {
        return None;
    }
    let z = normal_quantile(f64::midpoint(1.0, level));
    let n_items = n as f64;
    let share = n_hits as f64 / n_items;
    let denominator = 1.0 + z * z / n_items;
    let centre = (share + z * z / (2.0 * n_items)) / denominator;
    let half_width = z / denominator
        * (share * (1.0 - share) / n_items + z * z / (4.0 * n_items * n_items)).sqrt();
    // At the ends the formula gives 0 and 1 but for rounding.
    let low = if n_hits == 0 { 0.0 } else { centre - half_width };
    let high = if n_hits == n { 1.0 } else { centre + half_width };
    Some(Interval::new(low, high))
}

/// Returns the exact two-sided p-value of `McNemar`'s test.
///
/// `n_gained` items are right only in the second sample, `n_lost` only in the first; under
/// the null hypothesis each discordant item falls on either side with probability one half.
///
/// Source: A. Agresti, "Categorical Data Analysis", 3rd ed. (2013), section 11.1.
pub(crate) fn mcnemar_exact(n_gained: u64, n_lost: u64) -> f64 {
    let n = n_gained + n_lost;
    if n == 0 {
        return 1.0;
    }
    (2.0 * binomial_cdf(n_gained.min(n_lost), n, 0.5)).min(1.0)
}

/// Returns the interval of the difference of two shares measured on the same `n` items.
///
/// Wald's interval with the adjustment of Bonett and Price, which adds one to each kind of
/// discordant item and two to `n`. `None` for no items.
///
/// Source: D. G. Bonett and R. M. Price, "Adjusted Wald confidence interval for a difference
/// of binomial proportions based on paired data", J. Educ. Behav. Stat. 37 (2012) 479–488.
pub(crate) fn paired_difference(
    n_gained: u64,
    n_lost: u64,
    n: u64,
    level: f64,
) -> Option<Interval> {
    if n == 0 {
        return None;
    }
    let z = normal_quantile(f64::midpoint(1.0, level));
    let n_items = n as f64 + 2.0;
    let gained = (n_gained as f64 + 1.0) / n_items;
    let lost = (n_lost as f64 + 1.0) / n_items;
    let difference = gained - lost;
    let half_width = z * ((gained + lost - difference * difference) / n_items).sqrt();
    Some(Interval::new((difference - half_width).max(-1.0), (difference + half_width).min(1.0)))
}

/// Returns the interval of the difference of two independent shares, the first minus the second,
/// each given as hits of how many.
///
/// Newcombe's hybrid of both Wilson intervals. `None` when either is of nothing.
///
/// Source: R. G. Newcombe, "Interval estimation for the difference between independent
/// proportions: comparison of eleven methods", Statistics in Medicine 17 (1998) 873–890,
/// method 10.
pub(crate) fn independent_difference(
    (first_hits, first_n): (u64, u64),
    (second_hits, second_n): (u64, u64),
    level: f64,
) -> Option<Interval> {
    let first = wilson(first_hits, first_n, level)?;
    let second = wilson(second_hits, second_n, level)?;
    let (a, b) = (first_hits as f64 / first_n as f64, second_hits as f64 / second_n as f64);
    let low = (a - b) - (a - first.low).hypot(second.high - b);
    let high = (a - b) + (first.high - a).hypot(b - second.low);
    Some(Interval::new(low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(found: Option<Interval>, low: f64, high: f64) {
        let found = found.unwrap();
        assert!((found.low - low).abs() < 5e-5 && (found.high - high).abs() < 5e-5, "{found:?}");
    }

    #[test]
    fn wilson_intervals_are_the_published_ones() {
        // R. G. Newcombe, "Two-sided confidence intervals for the single proportion",
        // Statistics in Medicine 17 (1998) 857–872, table I, method 3.
        check(wilson(81, 263, 0.95), 0.2553, 0.3662);
        check(wilson(15, 148, 0.95), 0.0624, 0.1605);
        check(wilson(0, 20, 0.95), 0.0, 0.1611);
        check(wilson(1, 29, 0.95), 0.0061, 0.1718);
        check(wilson(20, 20, 0.95), 1.0 - 0.1611, 1.0);
        assert_eq!(wilson(0, 0, 0.95), None);
    }

    #[test]
    fn differences_of_independent_shares_are_the_published_ones() {
        // Newcombe's table II, method 10, examples (a), (b) and (e).
        check(independent_difference((56, 70), (48, 80), 0.95), 0.0524, 0.3339);
        check(independent_difference((9, 10), (3, 10), 0.95), 0.1705, 0.8090);
        check(independent_difference((5, 56), (0, 29), 0.95), -0.0381, 0.1926);
        assert_eq!(independent_difference((0, 0), (1, 2), 0.95), None);
    }

    #[test]
    fn mcnemar_is_the_exact_binomial_test() {
        // scipy.stats.binomtest(k, n, 0.5).pvalue.
        let check = |gained, lost, expected: f64| {
            let found = mcnemar_exact(gained, lost);
            assert!((found - expected).abs() < 1e-9, "{gained}, {lost}: {found}");
        };
        check(0, 0, 1.0);
        check(5, 5, 1.0);
        check(2, 10, 0.038_574_218_75);
        check(10, 2, 0.038_574_218_75);
        check(0, 8, 0.007_812_5);
        check(86, 150, 3.715_936_139_571_387e-5);
    }

    #[test]
    fn a_paired_difference_is_the_adjusted_wald_interval() {
        // By hand for n = 100, 10 gained, 4 lost: p12 = 11/102, p21 = 5/102, difference
        // 0.0588235, half width 1.959964 sqrt((16/102 - 0.0034602)/102) = 0.0760095.
        check(paired_difference(10, 4, 100, 0.95), 0.058_823_5 - 0.076_009_5, 0.134_833);
        assert_eq!(paired_difference(0, 0, 0, 0.95), None);
    }
}
