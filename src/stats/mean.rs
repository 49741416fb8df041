//! Means, deviations and the interval of a mean.

use crate::stats::interval::Interval;
use crate::stats::special::student_t_quantile;

/// Mean, variance and extremes of a stream of numbers, kept without the numbers.
///
/// Source: B. P. Welford, "Note on a method for calculating corrected sums of squares and
/// products", Technometrics 4 (1962) 419–420.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Moments {
    n: u64,
    mean: f64,
    squares: f64,
    min: f64,
    max: f64,
}

impl Moments {
    /// Takes one number in.
    pub(crate) fn push(&mut self, value: f64) {
        let is_first = self.n == 0;
        self.min = if is_first { value } else { self.min.min(value) };
        self.max = if is_first { value } else { self.max.max(value) };
        self.n += 1;
        let before = value - self.mean;
        self.mean += before / self.n as f64;
        self.squares += before * (value - self.mean);
    }

    /// Returns how many numbers were taken in.
    pub(crate) fn n(&self) -> u64 {
        self.n
    }

    /// Returns the arithmetic mean.
    pub(crate) fn mean(&self) -> Option<f64> {
        (self.n > 0).then_some(self.mean)
    }

    /// Returns the standard deviation of the sample (divided by `n - 1`).
    pub(crate) fn std(&self) -> Option<f64> {
        (self.n > 1).then(|| (self.squares / (self.n - 1) as f64).sqrt())
    }

    /// Returns the smallest number.
    pub(crate) fn min(&self) -> Option<f64> {
        (self.n > 0).then_some(self.min)
    }

    /// Returns the largest number.
    pub(crate) fn max(&self) -> Option<f64> {
        (self.n > 0).then_some(self.max)
    }

    /// Returns Student's interval of the mean.
    ///
    /// Assumes independent values with a roughly normal mean; meant for figures of repeated
    /// trials. `None` for fewer than two.
    pub(crate) fn t_interval(&self, level: f64) -> Option<Interval> {
        let std = self.std()?;
        let quantile = student_t_quantile(f64::midpoint(1.0, level), (self.n - 1) as f64);
        let half_width = quantile * std / (self.n as f64).sqrt();
        Some(Interval::new(self.mean - half_width, self.mean + half_width))
    }
}

impl FromIterator<f64> for Moments {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut moments = Self::default();
        values.into_iter().for_each(|value| moments.push(value));
        moments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_interval_are_those_of_scipy() {
        // numpy: mean 5.0, std(ddof=1) 2.138089935299395;
        // scipy.stats.t.interval(0.95, 7, loc=5, scale=2.1380899/sqrt(8)).
        let moments: Moments = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0].into_iter().collect();
        assert_eq!(moments.mean(), Some(5.0));
        assert_eq!((moments.min(), moments.max()), (Some(2.0), Some(9.0)));
        assert!((moments.std().unwrap() - 2.138_089_935_299_395).abs() < 1e-12);
        let interval = moments.t_interval(0.95).unwrap();
        assert!((interval.low - 3.212_512_5).abs() < 1e-6, "{interval:?}");
        assert!((interval.high - 6.787_487_5).abs() < 1e-6, "{interval:?}");
    }

    #[test]
    fn one_value_has_a_mean_and_no_spread() {
        let moments: Moments = [3.0].into_iter().collect();
        assert_eq!(moments.mean(), Some(3.0));
        assert_eq!(moments.std(), None);
        assert_eq!(moments.t_interval(0.95), None);
        assert_eq!((moments.min(), moments.max()), (Some(3.0), Some(3.0)));
        let nothing = Moments::default();
        assert_eq!((nothing.mean(), nothing.min(), nothing.max()), (None, None, None));
    }
}
