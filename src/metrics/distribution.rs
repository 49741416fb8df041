//! Samples in, a distribution with percentiles out.

use crate::metrics::summary::{Distribution, Note, PERCENTILES, Percentile};
use crate::stats::mean::Moments;
use crate::stats::quantile::{interval_ranks, quantile_by, sample_floor};

/// Confidence level of every interval.
pub(crate) const LEVEL: f64 = 0.95;

/// The high end of a value that nothing limits: the largest that samples keep.
pub(crate) const NO_END: f64 = f32::MAX as f64;

/// What no value is that has a high end, nor one between two of which one has.
const LIMITED_MAX: f64 = 1e30;

/// Samples of one quantity, kept for exact percentiles.
///
/// Kept in single precision: its relative error of 6e-8 is 3 ns of 50 ms, below what any
/// stamp can tell, and a million requests take half the memory. Moments are in double.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples {
    values: Vec<f32>,
    moments: Moments,
    ends: Ends,
}

/// The ends between which the true values lie. No distribution is assumed: a quantile of the true
/// values lies between that of the low ends and that of the high ones.
///
/// A side is kept once one of its ends differs from the value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ends {
    low: Option<Side>,
    high: Option<Side>,
    /// Values came with their ends.
    is_known: bool,
    /// Values came without.
    is_unknown: bool,
    /// Ends of values of which nothing else is known; they count in no statistic before they are
    /// taken in among the others.
    unseen: Vec<(f32, f32)>,
}

#[derive(Clone, Debug)]
struct Side {
    values: Vec<f32>,
    /// Sum of the distances from the values.
    off: f64,
    /// Sum of the ends of values that nobody saw.
    unseen: f64,
}

impl Side {
    fn new(values: &[f32]) -> Self {
        Self { values: values.to_vec(), off: 0.0, unseen: 0.0 }
    }

    fn push(&mut self, value: f64, end: f64) {
        self.values.push(end as f32);
        self.off += end - value;
    }

    /// Returns a quantile; the values are in order from then on.
    fn quantile(&mut self, p: f64) -> Option<f64> {
        self.values.sort_unstable_by(f32::total_cmp);
        quantile_by(self.values.len(), p, |rank| f64::from(self.values[rank]))
    }
}

impl Ends {
    /// Returns the ends of values that were kept apart, each side with the sum of its distances
    /// from the values; no side where none differs from its value.
    pub(crate) fn of(sides: Option<[(Vec<f32>, f64); 2]>) -> Self {
        let [low, high] = sides.map_or([None, None], |sides| {
            sides.map(|(values, off)| Some(Side { values, off, unseen: 0.0 }))
        });
        Self { low, high, is_known: true, ..Self::default() }
    }

    /// Takes in the ends of a value that comes after `values`.
    fn push(&mut self, values: &[f32], value: f64, ends: Option<(f64, f64)>) {
        self.is_known |= ends.is_some();
        self.is_unknown |= ends.is_none();
        let (low, high) = ends.unwrap_or((value, value));
        for (side, end, differs) in
            [(&mut self.low, low, low < value), (&mut self.high, high, high > value)]
        {
            if differs || side.is_some() {
                side.get_or_insert_with(|| Side::new(values)).push(value, end);
            }
        }
    }

    /// Lets the ends of values that nobody saw count among those of `values`.
    fn take_unseen(&mut self, values: &[f32]) {
        let (lows, highs): (Vec<_>, Vec<_>) = self.unseen.drain(..).unzip();
        for (side, unseen) in [(&mut self.low, lows), (&mut self.high, highs)] {
            let side = side.get_or_insert_with(|| Side::new(values));
            side.unseen += unseen.iter().copied().map(f64::from).sum::<f64>();
            side.values.extend(unseen);
        }
    }

    /// Returns both ends of a statistic, from its value and from each side.
    fn around(
        &mut self,
        value: Option<f64>,
        mut of: impl FnMut(&mut Side) -> Option<f64>,
    ) -> Option<(f64, f64)> {
        let value = value?;
        if !self.is_known || self.is_unknown {
            // Of a value that is at least so much that is known, whatever is not of the others.
            let high = self.high.as_mut().and_then(of).filter(|high| *high > LIMITED_MAX)?;
            return Some((value, high));
        }
        let low = self.low.as_mut().map_or(Some(value), &mut of)?;
        let high = self.high.as_mut().map_or(Some(value), &mut of)?;
        // Values are kept in single precision.
        Some((low.min(value), high.max(value)))
    }
}

impl Samples {
    /// Returns samples that were gathered elsewhere, with the moments of all that were seen.
    pub(crate) fn of(values: Vec<f32>, moments: Moments) -> Self {
        Self { values, moments, ends: Ends::default() }
    }

    /// Takes one value in, in the unit that the distribution is told in.
    pub(crate) fn push(&mut self, value: f64) {
        self.push_within(value, None);
    }

    /// Takes one value in whose true value lies between two ends, where they are known.
    pub(crate) fn push_within(&mut self, value: f64, ends: Option<(f64, f64)>) {
        self.ends.push(&self.values, value, ends);
        self.values.push(value as f32);
        self.moments.push(value);
    }

    /// Takes values in, each with the ends between which the true one lies.
    pub(crate) fn extend_within(&mut self, values: &[(f64, (f64, f64))]) {
        for (value, ends) in values {
            self.push_within(*value, Some(*ends));
        }
    }

    /// Takes in that there is another value, of which nothing but its ends is known.
    pub(crate) fn push_unseen(&mut self, (low, high): (f64, f64)) {
        self.ends.unseen.push((low as f32, high as f32));
    }

    /// Returns how many values there are of which nothing but their ends is known.
    pub(crate) fn n_unseen(&self) -> u64 {
        self.ends.unseen.len() as u64
    }

    /// Returns the same samples with bounds in which values that nobody saw count too, if there
    /// are any.
    pub(crate) fn with_unseen(&self) -> Option<Self> {
        (self.n_unseen() > 0).then(|| {
            let mut samples = self.clone();
            samples.ends.take_unseen(&self.values);
            samples
        })
    }

    /// Raises the low end of the value that was pushed at a place, up to the value at most.
    pub(crate) fn raise_low(&mut self, place: u32, by: f64) {
        let Some(side) = &mut self.ends.low else { return };
        if let Some(low) = side.values.get_mut(place as usize) {
            *low = (f64::from(*low) + by) as f32;
            side.off += by;
        }
    }

    /// Returns the values, in no order.
    pub(crate) fn values(&self) -> impl Iterator<Item = f64> {
        self.values.iter().copied().map(f64::from)
    }

    /// Returns the number of samples.
    pub(crate) fn n(&self) -> u64 {
        self.moments.n()
    }

    /// Returns the least sample.
    pub(crate) fn min(&self) -> Option<f64> {
        self.moments.min()
    }

    /// Returns the mean.
    pub(crate) fn mean(&self) -> Option<f64> {
        self.moments.mean()
    }

    /// Returns a quantile however few the samples are: for judging, never for printing.
    pub(crate) fn quantile(&mut self, p: f64) -> Option<f64> {
        self.values.sort_unstable_by(f32::total_cmp);
        quantile_by(self.values.len(), p, |rank| f64::from(self.values[rank]))
    }

    /// Returns the distribution, with `n_failed` requests that have no value counted as
    /// slower than all others in the failure-inflated percentiles.
    pub(crate) fn distribution(
        mut self,
        unit: &'static str,
        n_failed: u64,
        note: Option<Note>,
    ) -> Distribution {
        self.values.sort_unstable_by(f32::total_cmp);
        let mut found = described(&self.values, self.moments, unit, note, |sorted, p| {
            percentile(sorted, p, Some(n_failed), true)
        });
        bounded(&mut found, &mut self.ends);
        found
    }
}

/// Returns the distribution of values that depend on each other, such as the gaps of one
/// stream: percentiles without intervals, which would assume independence.
pub(crate) fn dependent(
    mut values: Vec<f32>,
    moments: Moments,
    mut ends: Ends,
    unit: &'static str,
    note: Option<Note>,
) -> Distribution {
    values.sort_unstable_by(f32::total_cmp);
    let mut found =
        described(&values, moments, unit, note, |sorted, p| percentile(sorted, p, None, false));
    bounded(&mut found, &mut ends);
    found
}

/// Puts the bounds of its statistics to a distribution.
fn bounded(found: &mut Distribution, ends: &mut Ends) {
    let n = found.n as f64;
    let mean = found.mean;
    found.mean_bound = ends.around(mean, |side| {
        Some((mean? * n + side.off + side.unseen) / side.values.len().max(n as usize) as f64)
    });
    for percentile in &mut found.percentiles {
        let share = percentile.p / 100.0;
        percentile.bound = ends.around(percentile.value, |side| side.quantile(share));
    }
}

fn described(
    sorted: &[f32],
    moments: Moments,
    unit: &'static str,
    note: Option<Note>,
    percentile: impl Fn(&[f32], f64) -> Percentile,
) -> Distribution {
    Distribution {
        unit,
        n: moments.n(),
        mean: moments.mean(),
        mean_bound: None,
        mean_state: None,
        std: moments.std(),
        // Of all values: the sorted ones may be a sample of them, which misses the extremes.
        min: moments.min(),
        max: moments.max(),
        percentiles: PERCENTILES.iter().map(|&p| percentile(sorted, p)).collect(),
        note,
    }
}

fn percentile(sorted: &[f32], p: f64, n_failed: Option<u64>, with_interval: bool) -> Percentile {
    let n = sorted.len();
    let share = p / 100.0;
    let at = |rank: usize| sorted.get(rank).map_or(f64::INFINITY, |&value| f64::from(value));
    let n_floor = sample_floor(share);
    let is_enough = n as u64 >= n_floor;
    let interval = || {
        let (low, high) = interval_ranks(n as u64, share, LEVEL)?;
        Some((at(low as usize - 1), at(high as usize - 1)))
    };
    let inflated = |n_failed: u64| {
        quantile_by(n + n_failed as usize, share, at).filter(|value| value.is_finite())
    };
    Percentile {
        p,
        value: if is_enough { quantile_by(n, share, at) } else { None },
        interval: if is_enough && with_interval { interval() } else { None },
        bound: None,
        state: None,
        with_failures: if is_enough { n_failed.and_then(inflated) } else { None },
        n_floor,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hundred() -> Samples {
        let mut samples = Samples::default();
        (1..=100).rev().for_each(|i| samples.push(f64::from(i)));
        samples
    }

    #[test]
    fn a_distribution_is_that_of_numpy() {
        // numpy over 1..=100: mean 50.5, std(ddof=1) 29.011491975882016, percentiles 50.5, 90.1.
        let found = hundred().distribution("ms", 0, None);
        assert_eq!(
            (found.n, found.mean, found.min, found.max),
            (100, Some(50.5), Some(1.0), Some(100.0))
        );
        assert!((found.std.unwrap() - 29.011_491_975_882_016).abs() < 1e-9);
        assert_eq!(found.percentiles[0].value, Some(50.5));
        // Ranks 40 and 61, as in the tables of the sign test.
        assert_eq!(found.percentiles[0].interval, Some((40.0, 61.0)));
        assert!((found.percentiles[1].value.unwrap() - 90.1).abs() < 1e-5);
    }

    #[test]
    fn a_percentile_below_its_floor_is_not_told() {
        let found = hundred().distribution("ms", 0, None);
        let p95 = &found.percentiles[2];
        assert_eq!((p95.p, p95.value, p95.interval, p95.n_floor), (95.0, None, None, 130));
        let nothing = Samples::default().distribution("ms", 3, None);
        assert_eq!((nothing.n, nothing.mean, nothing.std, nothing.min), (0, None, None, None));
        assert!(nothing.percentiles.iter().all(|p| p.value.is_none() && p.with_failures.is_none()));
        let one = {
            let mut one = Samples::default();
            one.push(3.0);
            one.distribution("ms", 0, None)
        };
        assert_eq!((one.mean, one.std, one.percentiles[0].value), (Some(3.0), None, None));
    }

    #[test]
    fn a_quantile_lies_between_that_of_the_low_ends_and_that_of_the_high_ones() {
        let mut samples = Samples::default();
        for i in 1..=100 {
            let value = f64::from(i);
            // The ten largest may be 5 less, the three smallest 50 more.
            let (low, high) = (if i > 90 { value - 5.0 } else { value }, value);
            samples.push_within(value, Some((low, if i <= 3 { high + 50.0 } else { high })));
        }
        let found = samples.distribution("ms", 0, None);
        let bound = |p: f64| found.percentile(p).unwrap().bound;
        assert_eq!(bound(50.0), Some((50.5, 52.0)));
        assert!((bound(90.0).unwrap().0 - 88.0).abs() < 2.0, "{:?}", bound(90.0));
        let (low, high) = found.mean_bound.unwrap();
        assert!((low - 50.0).abs() < 1e-9 && (high - 52.0).abs() < 1e-9, "{low} {high}");
        assert_eq!(bound(99.0), None, "below its floor");
        // What nobody saw may stand at either end.
        samples = Samples::default();
        (1..=100)
            .for_each(|i| samples.push_within(f64::from(i), Some((f64::from(i), f64::from(i)))));
        (0..20).for_each(|_| samples.push_unseen((0.0, 200.0)));
        let with_unseen = samples.with_unseen().unwrap();
        let seen = samples.distribution("ms", 0, None).percentiles[0].bound;
        assert_eq!(seen, Some((50.5, 50.5)));
        let found = with_unseen.distribution("ms", 0, None);
        assert_eq!((found.n, found.percentiles[0].value), (100, Some(50.5)));
        assert_eq!(found.percentiles[0].bound, Some((40.5, 60.5)));
        let (low, high) = found.mean_bound.unwrap();
        assert!((low - 5_050.0 / 120.0).abs() < 1e-9 && (high - 9_050.0 / 120.0).abs() < 1e-9);
        // One value without ends, and nothing is known.
        samples = Samples::default();
        (0..100).for_each(|i| samples.push_within(1.0, (i > 0).then_some((1.0, 1.0))));
        assert_eq!(samples.distribution("ms", 0, None).percentiles[0].bound, None);
    }

    #[test]
    fn failed_requests_count_as_slower_than_all_others() {
        // 100 answers and 25 failures: the median is rank 62 of 124, value 63; p90 is a failure.
        let found = hundred().distribution("ms", 25, None);
        assert_eq!(found.percentiles[0].with_failures, Some(63.0));
        assert_eq!(found.percentiles[1].with_failures, None);
        assert!(found.percentiles[1].value.is_some());
    }
}
