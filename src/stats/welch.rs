//! The ratio of two samples of positive values, and how many values would decide it; the difference
//! of two where a value is 0.

use crate::stats::interval::Interval;
use crate::stats::mean::Moments;
use crate::stats::special::{student_t_quantile, student_t_two_sided};

/// Least relative deviation that values are taken to have: what is kept of them has six digits,
/// so that equal values are equal to that much and no more.
const RESOLUTION: f64 = 1e-6;

/// Ratio beyond which the end of an interval is told as this.
const FARTHEST: f64 = 1e6;

/// Chance of a decision that [`n_to_decide`] plans for.
pub(crate) const POWER: f64 = 0.8;

/// A sample of positive values on the logarithmic scale, where ratios are differences and the
/// spread of a latency does not grow with the latency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LogSample {
    n: u64,
    mean: f64,
    /// Variance of the logarithms; `None` for one value.
    variance: Option<f64>,
}

impl LogSample {
    /// Takes a sample; `None` when it is empty or a value is not positive.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        if !values.iter().all(|value| *value > 0.0 && value.is_finite()) {
            return None;
        }
        let moments: Moments = values.iter().map(|value| value.ln()).collect();
        let variance = moments.std().map(|std| std.max(RESOLUTION).powi(2));
        Some(Self { n: moments.n(), mean: moments.mean()?, variance })
    }

    /// Returns the number of values.
    pub(crate) fn n(&self) -> u64 {
        self.n
    }

    /// Returns the geometric mean.
    pub(crate) fn geometric_mean(&self) -> f64 {
        self.mean.exp()
    }

    /// Returns the standard deviation of the logarithms, which is about the coefficient of
    /// variation; `None` for one value.
    pub(crate) fn relative_std(&self) -> Option<f64> {
        self.variance.map(f64::sqrt)
    }
}

/// Returns the middle of a sample as comparisons take it: the geometric mean, or the arithmetic one
/// where a value is 0. `None` when it is empty or a value is negative or no number.
pub(crate) fn middle(values: &[f64]) -> Option<f64> {
    let geometric = LogSample::of(values).map(|sample| sample.geometric_mean());
    geometric.or_else(|| PlainSample::of(values).map(|sample| sample.mean()))
}

/// A sample on its own scale, for values of which some are 0: these have no logarithm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PlainSample {
    n: u64,
    mean: f64,
    /// Standard deviation; `None` for one value.
    std: Option<f64>,
}

impl PlainSample {
    /// Takes a sample; `None` when it is empty or a value is negative.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        if !values.iter().all(|value| *value >= 0.0 && value.is_finite()) {
            return None;
        }
        let moments: Moments = values.iter().copied().collect();
        Some(Self { n: moments.n(), mean: moments.mean()?, std: moments.std() })
    }

    /// Returns the number of values.
    pub(crate) fn n(&self) -> u64 {
        self.n
    }

    /// Returns the arithmetic mean.
    pub(crate) fn mean(&self) -> f64 {
        self.mean
    }

    /// Returns the standard deviation as a share of the mean; `None` for one value or a mean of 0.
    pub(crate) fn relative_std(&self) -> Option<f64> {
        self.std.filter(|_| self.mean > 0.0).map(|std| std / self.mean)
    }
}

/// The difference of two independent samples by Welch's test, as [`RatioTest`] is of logarithms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct DifferenceTest {
    /// Second mean minus the first.
    difference: f64,
    /// Its standard error.
    error: f64,
    /// Degrees of freedom by Welch and Satterthwaite.
    dof: f64,
}

impl DifferenceTest {
    /// Compares the second sample with the first; `None` when either has one value, or all are 0.
    pub(crate) fn of(first: &PlainSample, second: &PlainSample) -> Option<Self> {
        let least = RESOLUTION * first.mean.max(second.mean);
        let part = |sample: &PlainSample| Some((sample.std?.max(least).powi(2), sample.n));
        let (error, dof) = welch(part(first)?, part(second)?);
        (error > 0.0).then_some(Self { difference: second.mean - first.mean, error, dof })
    }

    /// Returns the interval of the difference.
    pub(crate) fn interval(&self, level: f64) -> Interval {
        let reach = student_t_quantile(f64::midpoint(1.0, level), self.dof) * self.error;
        Interval::new(self.difference - reach, self.difference + reach)
    }

    /// Returns the two-sided p-value of no difference.
    pub(crate) fn p_value(&self) -> f64 {
        student_t_two_sided(self.difference / self.error, self.dof)
    }
}

/// Returns the standard error of a difference of means, and its degrees of freedom, from the variance
/// and the number of values of each sample.
fn welch(first: (f64, u64), second: (f64, u64)) -> (f64, f64) {
    let part = |(variance, n): (f64, u64)| variance / n as f64;
    let (a, b) = (part(first), part(second));
    let share = |part: f64, n: u64| part * part / (n - 1) as f64;
    ((a + b).sqrt(), (a + b).powi(2) / (share(a, first.1) + share(b, second.1)))
}

/// The ratio of two independent samples by Welch's test, which lets their spreads differ.
///
/// Source: B. L. Welch, "The generalization of 'Student's' problem when several different
/// population variances are involved", Biometrika 34 (1947) 28–35.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RatioTest {
    /// Logarithm of the second geometric mean over the first.
    log_ratio: f64,
    /// Its standard error.
    error: f64,
    /// Degrees of freedom by Welch and Satterthwaite.
    dof: f64,
}

impl RatioTest {
    /// Compares the second sample with the first; `None` when either has one value, of which
    /// nothing says how far another would be from it.
    pub(crate) fn of(first: &LogSample, second: &LogSample) -> Option<Self> {
        let part = |sample: &LogSample| Some((sample.variance?, sample.n));
        let (error, dof) = welch(part(first)?, part(second)?);
        Some(Self { log_ratio: second.mean - first.mean, error, dof })
    }

    /// Returns the interval of the ratio. An end that is more than a millionfold away is told as that:
    /// nobody could tell it from any other, and it remains a number.
    pub(crate) fn interval(&self, level: f64) -> Interval {
        let reach = student_t_quantile(f64::midpoint(1.0, level), self.dof) * self.error;
        let end = |end: f64| end.exp().clamp(1.0 / FARTHEST, FARTHEST);
        let (low, high) = (self.log_ratio - reach, self.log_ratio + reach);
        let ratio = self.log_ratio.exp();
        Interval::new(end(low).min(ratio), end(high).max(ratio))
    }

    /// Returns the two-sided p-value of a ratio of 1.
    pub(crate) fn p_value(&self) -> f64 {
        student_t_two_sided(self.log_ratio / self.error, self.dof)
    }
}

/// Returns how many values of each sample would decide between them with a chance of [`POWER`]:
/// show the difference that was seen, or that it is within `margin`, whichever takes fewer.
///
/// `level` is that of the interval that decides. `None` when neither sample shows a spread, or
/// when more than `most` would be needed. As rough as the spread of a few values is.
pub(crate) fn n_to_decide(
    first: &LogSample,
    second: &LogSample,
    level: f64,
    margin: f64,
    most: u64,
) -> Option<u64> {
    // Where one sample has a spread alone, it stands for the other's too.
    let (a, b) = match (first.variance, second.variance) {
        (Some(a), Some(b)) => (a, b),
        (Some(one), None) | (None, Some(one)) => (one, one),
        (None, None) => return None,
    };
    let difference = (second.mean - first.mean).abs();
    let to_the_margin = margin.ln_1p() - difference;
    // Within the margin both ends must hold, each of which may fail.
    let ways = [(difference, POWER), (to_the_margin, f64::midpoint(1.0, POWER))];
    let is_decided = |n: u64| {
        let error = ((a + b) / n as f64).sqrt();
        let dof = (a + b).powi(2) / (a * a + b * b) * (n - 1) as f64;
        let reach = student_t_quantile(f64::midpoint(1.0, level), dof);
        ways.iter().any(|(distance, chance)| {
            *distance >= (reach + student_t_quantile(*chance, dof)) * error
        })
    };
    // More values than there were, since these did not decide.
    let least = first.n.max(second.n).max(1) + 1;
    let (mut too_few, mut enough) = (least - 1, least);
    while !is_decided(enough) {
        (too_few, enough) = (enough, 2 * enough);
        if too_few >= most {
            return None;
        }
    }
    while enough - too_few > 1 {
        let middle = too_few.midpoint(enough);
        if is_decided(middle) {
            enough = middle;
        } else {
            too_few = middle;
        }
    }
    (enough <= most).then_some(enough)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sleep data: extra hours of sleep under two drugs, as exponents.
    /// Source: "Student", "The probable error of a mean", Biometrika 6 (1908) 1–25.
    fn sleep() -> (LogSample, LogSample) {
        let of = |hours: [f64; 10]| LogSample::of(&hours.map(f64::exp)).unwrap();
        let first = of([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]);
        (first, of([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]))
    }

    #[test]
    fn the_test_is_that_of_r() {
        // R: t.test(extra ~ group, data = sleep): t = -1.8608, df = 17.776, p = 0.07939,
        // 95 % interval -3.3654832 to 0.2054832.
        let (first, second) = sleep();
        let found = RatioTest::of(&first, &second).unwrap();
        assert!((found.dof - 17.776_473_5).abs() < 1e-5, "{found:?}");
        assert!((found.p_value() - 0.079_394_14).abs() < 1e-6, "{}", found.p_value());
        let interval = found.interval(0.95);
        assert!((interval.low.ln() + 0.205_483_2).abs() < 1e-6, "{interval:?}");
        assert!((interval.high.ln() - 3.365_483_2).abs() < 1e-6, "{interval:?}");
        assert!((second.geometric_mean() / first.geometric_mean() - 1.58_f64.exp()).abs() < 1e-9);
    }

    #[test]
    fn values_with_a_zero_are_compared_by_their_difference() {
        // By hand: variances 1 and 1/3, error √(1/3 + 1/9), difference 1/3 - 10, and
        // (4/9)² / ((1/3)²/2 + (1/9)²/2) degrees of freedom.
        let of = |values: &[f64]| PlainSample::of(values).unwrap();
        let found = DifferenceTest::of(&of(&[9.0, 10.0, 11.0]), &of(&[0.0, 0.0, 1.0])).unwrap();
        assert!((found.difference + 29.0 / 3.0).abs() < 1e-12, "{found:?}");
        assert!((found.error - 2.0 / 3.0).abs() < 1e-12, "{found:?}");
        assert!((found.dof - 3.2).abs() < 1e-12, "{found:?}");
        assert!(found.interval(0.99).high < 0.0 && found.p_value() < 0.001, "{found:?}");
        let zeros = of(&[0.0, 0.0]);
        assert!(DifferenceTest::of(&of(&[10.0, 10.0]), &zeros).unwrap().p_value() < 1e-6);
        assert_eq!(DifferenceTest::of(&zeros, &zeros), None);
        assert_eq!(DifferenceTest::of(&of(&[10.0]), &zeros), None);
        assert!((middle(&[2.0, 8.0]).unwrap() - 4.0).abs() < 1e-12);
        assert_eq!(middle(&[0.0, 8.0]), Some(4.0));
        assert_eq!((middle(&[]), middle(&[-1.0])), (None, None));
    }

    #[test]
    fn one_value_says_nothing_of_its_spread() {
        let one = LogSample::of(&[40.0]).unwrap();
        let three = LogSample::of(&[40.0, 41.0, 42.0]).unwrap();
        assert_eq!(RatioTest::of(&one, &three), None);
        assert_eq!(n_to_decide(&one, &one, 0.99, 0.02, 1_000), None);
        assert!(n_to_decide(&one, &three, 0.99, 0.02, 1_000).is_some());
        assert_eq!(LogSample::of(&[1.0, 0.0]), None);
        assert_eq!(LogSample::of(&[]), None);
    }

    #[test]
    fn equal_values_are_equal_to_the_digits_that_are_kept() {
        let same = LogSample::of(&[40.0, 40.0]).unwrap();
        let interval = RatioTest::of(&same, &same).unwrap().interval(0.99);
        assert!(interval.low < 1.0 && interval.high > 1.0 && interval.high < 1.0001);
    }

    #[test]
    fn two_values_far_apart_leave_an_interval_whose_ends_are_numbers() {
        let of = |values: &[f64]| LogSample::of(values).unwrap();
        let test = RatioTest::of(&of(&[50.0, 51.0]), &of(&[50.0, 90.0])).unwrap();
        let interval = test.interval(0.999_95);
        assert_eq!((interval.low, interval.high), (1e-6, 1e6));
    }

    #[test]
    fn as_many_values_as_were_said_decide() {
        // R: power.t.test(delta = 1, sd = 1, sig.level = 0.05, power = 0.8): n = 16.71477.
        let of = |centre: f64| LogSample { n: 5, mean: centre, variance: Some(1.0) };
        let n =
            |difference, margin: f64| n_to_decide(&of(0.0), &of(difference), 0.95, margin, 1_000);
        assert_eq!(n(1.0, 0.0), Some(17));
        // A margin that is as far away takes more, since both of its ends must hold.
        assert!(n(0.0, 1.0_f64.exp() - 1.0).unwrap() > 17);
        assert_eq!(n(50.0, 0.02), Some(6), "five values did not decide");
        assert_eq!(n(0.0, 0.02), None, "a thousand would not");
    }
}
