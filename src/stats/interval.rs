//! A confidence interval, and the interval of a ratio of two estimates.

use serde::{Deserialize, Serialize};

/// A confidence interval with both ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Returns the interval between two numbers.
    pub(crate) fn new(low: f64, high: f64) -> Self {
        Self { low, high }
    }

    /// Returns both ends.
    pub(crate) fn ends(self) -> (f64, f64) {
        (self.low, self.high)
    }
}

impl From<(f64, f64)> for Interval {
    fn from((low, high): (f64, f64)) -> Self {
        Self { low, high }
    }
}

/// An estimate with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    /// Point estimate.
    pub value: f64,
    /// Its interval.
    pub interval: Interval,
}

/// Returns the ratio `a / b` with an interval made from the intervals of both.
///
/// MOVER on the logarithms: the distances of each estimate from the ends of its own interval
/// are added in quadrature, so skewed intervals stay skewed. The two estimates must be
/// independent and at the same confidence level, which is also that of the result.
/// `None` unless both estimates and the ends of both intervals are positive.
///
/// Source: G. Y. Zou and A. Donner, "Construction of confidence limits about effect measures:
/// a general approach", Statistics in Medicine 27 (2008) 1693–1702.
pub(crate) fn ratio_of_estimates(a: Estimate, b: Estimate) -> Option<Estimate> {
    let all_positive = [a, b].iter().all(|estimate| {
        estimate.interval.low > 0.0
            && estimate.interval.low <= estimate.value
            && estimate.value <= estimate.interval.high
            && estimate.interval.high.is_finite()
    });
    if !all_positive {
        return None;
    }
    let below = |estimate: Estimate| (estimate.value / estimate.interval.low).ln();
    let above = |estimate: Estimate| (estimate.interval.high / estimate.value).ln();
    let centre = (a.value / b.value).ln();
    let low = centre - below(a).hypot(above(b));
    let high = centre + above(a).hypot(below(b));
    Some(Estimate { value: centre.exp(), interval: Interval::new(low.exp(), high.exp()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(value: f64, low: f64, high: f64) -> Estimate {
        Estimate { value, interval: Interval::new(low, high) }
    }

    #[test]
    fn a_ratio_of_log_normal_estimates_is_the_textbook_interval() {
        // For symmetric intervals on the log scale MOVER is the usual quadrature: with half
        // widths ln 1.1 and ln 1.2 the ratio's is sqrt(0.0953102² + 0.1823216²) = 0.2057315,
        // a factor of 1.2284256.
        let ratio = ratio_of_estimates(
            estimate(200.0, 200.0 / 1.1, 220.0),
            estimate(100.0, 100.0 / 1.2, 120.0),
        )
        .unwrap();
        assert!((ratio.value - 2.0).abs() < 1e-12);
        assert!((ratio.interval.high - 2.0 * 1.228_425_6).abs() < 1e-5, "{ratio:?}");
        assert!((ratio.interval.low - 2.0 / 1.228_425_6).abs() < 1e-5, "{ratio:?}");
    }

    #[test]
    fn a_ratio_needs_positive_ends() {
        assert_eq!(ratio_of_estimates(estimate(1.0, -0.1, 2.0), estimate(1.0, 0.9, 1.1)), None);
        assert_eq!(
            ratio_of_estimates(estimate(1.0, 0.9, f64::INFINITY), estimate(1.0, 0.9, 1.1)),
            None
        );
    }
}
