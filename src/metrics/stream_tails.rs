//! How an engine ends its streams: how long before the end the last token was written.

use std::collections::BTreeMap;

use crate::metrics::catalogue::MetricId;
use crate::units::Nanos;

/// What the streams of a cell show of the time between their last token and their end.
///
/// The kernel stamps the last byte of a read. A stream whose last token was read apart from its
/// end shows how long that took. Where one read held both, the token is up to its slack older than
/// the stamp; but a look falls between the two with the chance that their distance has in that
/// slack. So streams that were looked at often enough tell which distance would have been seen.
#[derive(Debug, Default)]
pub(crate) struct Tails {
    /// Distances that were seen.
    apart: Spread,
    /// Slacks of last tokens that were read with their end.
    together: Spread,
    late: BTreeMap<MetricId, Vec<Late>>,
}

/// A value that ends with a last token of some slack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Late {
    /// The value's place among its samples.
    pub place: u32,
    /// Slack of the last token, in milliseconds.
    pub slack_ms: f32,
    /// By how much the value is less per millisecond by which the token is older.
    pub share: f32,
}

/// Streams that must have been looked at: where one in thirty has a longer distance, one of so
/// many shows it with 97 % certainty.
const ENOUGH: f64 = 100.0;
/// Streams among which one may have shown a longer distance.
const ONE_IN: f64 = 100.0;

impl Tails {
    /// Takes in a stream that ended `distance` after its last token.
    pub(crate) fn saw_apart(&mut self, distance: Nanos) {
        self.apart.push(distance);
    }

    /// Takes in a stream whose last token was read with its end, and came up to `slack` before.
    pub(crate) fn saw_together(&mut self, slack: Nanos) {
        self.together.push(slack);
    }

    /// Keeps a value whose low end depends on how old the last token can be.
    pub(crate) fn keep(&mut self, metric: MetricId, late: Late) {
        self.late.entry(metric).or_default().push(late);
    }

    /// Returns the least distance of which it is known that few streams have a longer one.
    fn longest(&self) -> Option<Nanos> {
        (0..Spread::N).map(Spread::upper).find(|&distance| {
            let n_apart = self.apart.n() as f64;
            let n_looks = n_apart + self.together.chances(distance);
            n_looks >= ENOUGH && self.apart.n_above(distance) as f64 * ONE_IN <= n_looks
        })
    }

    /// Returns by how much the low ends of values are to be raised, by metric and place, for what
    /// is known of all streams together.
    pub(crate) fn raised(&self) -> impl Iterator<Item = (MetricId, u32, f64)> {
        let longest = self.longest().map(Nanos::as_millis_f64);
        let late = self.late.iter().flat_map(|(metric, late)| late.iter().map(|at| (*metric, at)));
        late.filter_map(move |(metric, late)| {
            let by = f64::from(late.slack_ms) - longest?;
            (by > 0.0).then(|| (metric, late.place, by * f64::from(late.share)))
        })
    }
}

/// Counts of durations, four classes to each doubling.
#[derive(Debug)]
struct Spread(Box<[u64; Spread::N]>);

impl Default for Spread {
    fn default() -> Self {
        Self(Box::new([0; Self::N]))
    }
}

impl Spread {
    /// Up to 2^40 ns, which is 18 minutes.
    const N: usize = 4 * 40 + 1;

    /// Returns the longest duration of a class.
    fn upper(class: usize) -> Nanos {
        Nanos((class as f64 / 4.0).exp2() as u64)
    }

    fn class(duration: Nanos) -> usize {
        let class = (4.0 * (duration.0.max(1) as f64).log2()).ceil() as usize;
        class.min(Self::N - 1)
    }

    fn push(&mut self, duration: Nanos) {
        self.0[Self::class(duration)] += 1;
    }

    fn n(&self) -> u64 {
        self.0.iter().sum()
    }

    fn n_above(&self, duration: Nanos) -> u64 {
        self.0.iter().skip(Self::class(duration) + 1).sum()
    }

    /// Returns how many of the durations would hold an instant that lies `distance` before their
    /// end, or less, were it anywhere in them: each counts with its share.
    fn chances(&self, distance: Nanos) -> f64 {
        let share = |class| (distance.0 as f64 / Self::upper(class).0 as f64).min(1.0);
        self.0.iter().enumerate().map(|(class, &n)| n as f64 * share(class)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tails(together: &[(usize, u64)], apart: &[(usize, u64)]) -> Tails {
        let mut tails = Tails::default();
        for &(n, micros) in together {
            (0..n).for_each(|_| tails.saw_together(Nanos(micros * 1_000)));
        }
        for &(n, micros) in apart {
            (0..n).for_each(|_| tails.saw_apart(Nanos(micros * 1_000)));
        }
        tails
    }

    fn longest_micros(together: &[(usize, u64)], apart: &[(usize, u64)]) -> Option<f64> {
        Some(tails(together, apart).longest()?.0 as f64 / 1e3)
    }

    #[test]
    fn a_distance_that_would_have_been_seen_is_not_there() {
        assert_eq!(longest_micros(&[], &[]), None);
        assert_eq!(longest_micros(&[(99, 10)], &[]), None, "too few");
        let near = |found: Option<f64>, expected: f64| {
            let ratio = found.unwrap() / expected;
            assert!((0.99..1.25).contains(&ratio), "{found:?} is not about {expected}");
        };
        // Each of a hundred shows what is longer than its slack.
        near(longest_micros(&[(100, 10)], &[]), 10.0);
        // Ten times as many show it at a tenth of that.
        near(longest_micros(&[(1_000, 8_000)], &[]), 800.0);
        near(longest_micros(&[(1_000, 8_000), (100, 90)], &[]), 90.0);
    }

    #[test]
    fn a_distance_that_was_seen_counts_unless_it_is_rare() {
        let near = |apart: &[(usize, u64)], expected: f64| {
            let found = longest_micros(&[(300, 10)], apart).unwrap();
            assert!((0.99..1.25).contains(&(found / expected)), "{found} is not about {expected}");
        };
        near(&[(100, 700)], 700.0);
        near(&[(97, 700), (3, 5_000)], 700.0);
        near(&[(80, 700), (20, 5_000)], 5_000.0);
    }

    #[test]
    fn low_ends_rise_to_the_longest_distance() {
        let mut tails = tails(&[(200, 1_000)], &[]);
        let longest = tails.longest().unwrap().as_millis_f64();
        tails.keep(MetricId::E2e, Late { place: 7, slack_ms: 9.0, share: 0.5 });
        tails.keep(MetricId::E2e, Late { place: 8, slack_ms: 0.1, share: 1.0 });
        let raised: Vec<_> = tails.raised().collect();
        assert_eq!(raised, [(MetricId::E2e, 7, (9.0 - longest) * 0.5)]);
    }
}
