//! A uniform sample of a stream too long to keep.

use rand::RngExt;
use rand::rngs::ChaCha8Rng;

/// Keeps every value up to its capacity, and a uniform sample of all of them beyond.
///
/// Algorithm L: the number of values to skip is drawn, so the cost of a value that is not kept
/// is one comparison.
///
/// Source: K.-H. Li, "Reservoir-sampling algorithms of time complexity O(n(1 + log(N/n)))",
/// ACM TOMS 20 (1994) 481–493.
#[derive(Debug)]
pub(crate) struct Reservoir<T> {
    kept: Vec<T>,
    capacity: usize,
    n_seen: u64,
    next: u64,
    weight: f64,
    rng: ChaCha8Rng,
}

impl<T> Reservoir<T> {
    /// Creates an empty reservoir.
    ///
    /// # Panics
    /// If `capacity` is 0.
    pub(crate) fn new(capacity: usize, rng: ChaCha8Rng) -> Self {
        assert!(capacity > 0, "a reservoir holds at least one value");
        Self { kept: Vec::new(), capacity, n_seen: 0, next: 0, weight: 1.0, rng }
    }

    /// Takes one value in. Returns its place among the kept ones, if it is kept for now.
    pub(crate) fn push(&mut self, value: T) -> Option<usize> {
        self.n_seen += 1;
        if self.kept.len() < self.capacity {
            self.kept.push(value);
            if self.kept.len() == self.capacity {
                self.next = self.n_seen;
                self.skip();
            }
            return Some(self.kept.len() - 1);
        }
        if self.n_seen != self.next {
            return None;
        }
        let place = self.rng.random_range(0..self.capacity);
        self.kept[place] = value;
        self.skip();
        Some(place)
    }

    /// Draws which value is the next to be kept.
    fn skip(&mut self) {
        // 1 - u is in (0, 1], so both logarithms are finite or the skip is without end.
        let mut uniform = || 1.0 - self.rng.random::<f64>();
        self.weight *= (uniform().ln() / self.capacity as f64).exp();
        let gap = (uniform().ln() / (-self.weight).ln_1p()).floor();
        self.next = self.next.saturating_add(gap as u64).saturating_add(1);
    }

    /// Whether values had to be left out.
    pub(crate) fn is_sampled(&self) -> bool {
        self.n_seen > self.kept.len() as u64
    }

    /// Returns the values that were kept, in no useful order.
    pub(crate) fn into_kept(self) -> Vec<T> {
        self.kept
    }

    /// Returns the values that were kept so far.
    pub(crate) fn kept(&self) -> &[T] {
        &self.kept
    }
}

impl<T: Ord> Reservoir<T> {
    /// Returns the values that were kept, ascending.
    pub(crate) fn into_sorted(mut self) -> Vec<T> {
        self.kept.sort_unstable();
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    fn sample(n: u32, capacity: usize, seed: u64) -> Vec<f32> {
        let mut reservoir = Reservoir::new(capacity, Seed(seed).stream("test"));
        (0..n).for_each(|i| {
            let place = reservoir.push(i as f32);
            assert!(
                place.is_none_or(|place| reservoir.kept()[place].total_cmp(&(i as f32)).is_eq())
            );
        });
        assert_eq!(reservoir.n_seen, u64::from(n));
        assert_eq!(reservoir.is_sampled(), n as usize > capacity);
        reservoir.into_kept()
    }

    #[test]
    fn a_short_stream_is_kept_whole() {
        assert_eq!(sample(4, 4, 1), [0.0, 1.0, 2.0, 3.0]);
    }

    #[test]
    fn every_value_of_a_long_stream_is_as_likely_to_be_kept() {
        // Each of ten tenths of the stream should hold a tenth of what is kept. Over 200 seeds
        // of 100 kept values a tenth expects 2,000 with a standard deviation of 42.
        let mut counts = [0_u32; 10];
        for seed in 0..200 {
            let kept = sample(10_000, 100, seed);
            assert_eq!(kept.len(), 100);
            for value in kept {
                counts[value as usize / 1_000] += 1;
            }
        }
        assert!(counts.iter().all(|&count| count.abs_diff(2_000) < 5 * 42), "{counts:?}");
    }
}
