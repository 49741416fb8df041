//! Stops sampling when an estimate is known well enough.

use crate::stats::interval::Interval;
use crate::stats::mean::Moments;
use crate::stats::quantile::{quantile, quantile_interval, sample_floor};

/// Confidence of the interval that has to be narrow enough for a stop.
const STOP_LEVEL: f64 = 0.975;
/// Samples before the first look, and by which share more there are at each further one.
const FIRST_LOOK: usize = 50;
const LOOK_GROWTH: f64 = 1.1;

/// What is estimated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Estimand {
    /// The arithmetic mean.
    Mean,
    /// The quantile at this share between 0 and 1.
    Quantile(f64),
}

/// Samples that are taken until half the width of the interval of an estimate is at most a share
/// of the estimate.
///
/// The rule is that of a fixed-width sequential interval: looks at sample sizes that grow by a
/// tenth, from fifty or the floor of the percentile on, and a stop at the first at which the
/// interval is narrow enough. Looking often does not lead to a foregone conclusion, as it does with
/// a test of significance: when to stop depends on the width alone, and not on where the estimate
/// lies. What it costs is a stop at a width that is narrow by chance. For that the stop
/// asks an interval of 97.5 % to be narrow, and the interval that is told is that of 95 %: half of
/// the error is spent on looking. It takes 1.3 to 1.6 times the samples of a known width.
///
/// 1,000 runs of log-normal samples with a sigma of 0.5 to 5 % (see the test): the interval covers
/// the mean in at least 93 % of them, and the median.
/// Samples are taken as independent, as those of a queue are not: trials that differ say more.
///
/// Sources: Y. S. Chow and H. Robbins, "On the asymptotic theory of fixed-width sequential
/// confidence intervals for the mean", Annals of Mathematical Statistics 36 (1965) 457–462;
/// P. W. Glynn and W. Whitt, "The asymptotic validity of sequential stopping rules for stochastic
/// simulations", Annals of Applied Probability 2 (1992) 180–198.
#[derive(Clone, Debug)]
pub(crate) struct Sequential {
    estimand: Estimand,
    half_width: f64,
    values: Vec<f64>,
    next_look: usize,
    is_known: bool,
}

impl Sequential {
    /// Begins a sample; `half_width` is a share of the estimate.
    pub(crate) fn new(estimand: Estimand, half_width: f64) -> Self {
        let floor = match estimand {
            Estimand::Mean => 0,
            Estimand::Quantile(p) => usize::try_from(sample_floor(p)).unwrap_or(usize::MAX),
        };
        let next_look = FIRST_LOOK.max(floor);
        Self { estimand, half_width, values: Vec::new(), next_look, is_known: false }
    }

    /// Takes a value in. Returns whether the estimate is known well enough by now.
    pub(crate) fn push(&mut self, value: f64) -> bool {
        self.values.push(value);
        if !self.is_known && self.values.len() >= self.next_look {
            let n = self.values.len();
            self.next_look = (n + 1).max((n as f64 * LOOK_GROWTH).ceil() as usize);
            self.values.sort_by(f64::total_cmp);
            self.is_known =
                self.relative_half_width(STOP_LEVEL).is_some_and(|it| it <= self.half_width);
        }
        self.is_known
    }

    /// Returns half the width of an interval as a share of the estimate. Values are in order.
    fn relative_half_width(&self, level: f64) -> Option<f64> {
        let (estimate, interval) = self.estimate_at(level)?;
        (estimate > 0.0).then(|| (interval.high - interval.low) / 2.0 / estimate)
    }

    fn estimate_at(&self, level: f64) -> Option<(f64, Interval)> {
        match self.estimand {
            Estimand::Mean => {
                let moments: Moments = self.values.iter().copied().collect();
                Some((moments.mean()?, moments.t_interval(level)?))
            }
            Estimand::Quantile(p) => {
                Some((quantile(&self.values, p)?, quantile_interval(&self.values, p, level)?))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use rand_distr::{Distribution as _, LogNormal};

    use super::*;
    use crate::seed::Seed;

    const SIGMA: f64 = 0.5;
    const HALF_WIDTH: f64 = 0.05;
    const N_CELLS: u64 = 1_000;

    /// Runs cells of log-normal samples to their stop. Requires that their median size is between
    /// one and two times that of a fixed sample, and that the interval covers the truth in at
    /// least 93 % of them.
    fn check(estimand: Estimand, truth: f64, n_fixed: f64) {
        let samples = LogNormal::new(0.0, SIGMA).unwrap();
        let mut sizes = Vec::new();
        let mut n_covered = 0;
        for cell in 0..N_CELLS {
            let mut rng = Seed(cell).stream("sequential");
            let mut sample = Sequential::new(estimand, HALF_WIDTH);
            while !sample.push(samples.sample(&mut rng)) {}
            sample.values.sort_by(f64::total_cmp);
            let (estimate, interval) = sample.estimate_at(0.95).unwrap();
            assert!((interval.high - interval.low) / 2.0 <= HALF_WIDTH * estimate);
            sizes.push(sample.values.len() as f64);
            n_covered += u64::from((interval.low..=interval.high).contains(&truth));
        }
        sizes.sort_by(f64::total_cmp);
        let ratio = sizes[sizes.len() / 2] / n_fixed;
        let coverage = n_covered as f64 / N_CELLS as f64;
        assert!((1.0..=2.0).contains(&ratio), "{estimand:?}: {ratio} times {n_fixed}");
        assert!(coverage >= 0.93, "{estimand:?}: {coverage}");
    }

    #[test]
    fn a_mean_is_known_after_one_to_two_times_the_fixed_sample() {
        let variance = (SIGMA * SIGMA).exp() - 1.0;
        check(Estimand::Mean, (SIGMA * SIGMA / 2.0).exp(), variance * (1.96 / HALF_WIDTH).powi(2));
    }

    #[test]
    fn a_median_is_known_after_one_to_two_times_the_fixed_sample() {
        // The density at the median is 1 / (sigma sqrt(2 pi)).
        let n_fixed = (1.96 * 0.5 * SIGMA * TAU.sqrt() / HALF_WIDTH).powi(2);
        check(Estimand::Quantile(0.5), 1.0, n_fixed);
    }

    #[test]
    fn a_percentile_is_not_known_below_its_floor_nor_a_mean_of_nothing() {
        let mut same = Sequential::new(Estimand::Quantile(0.99), 0.5);
        let n_known = (1..1_000).find(|_| same.push(1.0)).unwrap();
        assert_eq!(n_known, 662);
        let mut zeros = Sequential::new(Estimand::Mean, 0.5);
        assert!((0..200).all(|_| !zeros.push(0.0)));
    }
}
