//! A bounded uniform sample of the instrument's own measurements.

use rand::RngExt;
use rand::rngs::ChaCha8Rng;

use crate::seed::Seed;

/// Keeps every value up to its capacity, and a uniform sample of all of them beyond.
#[derive(Debug)]
pub(crate) struct Sample<T> {
    kept: Vec<T>,
    capacity: usize,
    n_seen: usize,
    rng: ChaCha8Rng,
}

impl<T: Ord> Sample<T> {
    /// Returns an empty sample. Its random stream is not a scenario's: which values are kept does
    /// not affect the load.
    pub(crate) fn new(capacity: usize, name: &str) -> Self {
        Self { kept: Vec::new(), capacity, n_seen: 0, rng: Seed(0).stream(name) }
    }

    /// Adds a value.
    pub(crate) fn push(&mut self, value: T) {
        self.n_seen += 1;
        if self.kept.len() < self.capacity {
            self.kept.push(value);
        } else {
            let place = self.rng.random_range(0..self.n_seen);
            if let Some(kept) = self.kept.get_mut(place) {
                *kept = value;
            }
        }
    }

    /// Returns the kept values, ascending.
    pub(crate) fn into_sorted(mut self) -> Vec<T> {
        self.kept.sort_unstable();
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_keeps_all_that_fits_and_stays_uniform_beyond() {
        let of = |n: u32| {
            let mut sample = Sample::new(1_000, "test");
            (0..n).rev().for_each(|value| sample.push(value));
            sample.into_sorted()
        };
        assert_eq!(of(10), (0..10).collect::<Vec<_>>());
        let kept = of(100_000);
        assert_eq!(kept.len(), 1_000);
        // The tolerance is five standard deviations of the mean, 913 each.
        let mean = kept.iter().copied().map(f64::from).sum::<f64>() / 1_000.0;
        assert!((mean - 50_000.0).abs() < 4_600.0, "{mean}");
    }
}
