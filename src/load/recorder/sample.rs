//! A bounded uniform sample of what the instrument says of itself.

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
    /// Returns an empty sample. Which values are kept has no bearing on the load: its stream
    /// of chance belongs to no scenario's seed.
    pub(crate) fn new(capacity: usize, name: &str) -> Self {
        Self { kept: Vec::new(), capacity, n_seen: 0, rng: Seed(0).stream(name) }
    }

    /// Takes a value in.
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

    /// Returns what was kept, ascending.
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
        // The standard deviation of the mean is 913; five of them.
        let mean = kept.iter().copied().map(f64::from).sum::<f64>() / 1_000.0;
        assert!((mean - 50_000.0).abs() < 4_600.0, "{mean}");
    }
}
