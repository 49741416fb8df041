//! What a comparison says in one word.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::stats::interval::Interval;

/// What an interval on a ratio says about a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// The whole interval is on the good side of 1.
    Better,
    /// The whole interval is on the bad side of 1.
    Worse,
    /// The whole interval lies within the margin around 1.
    Equivalent,
    /// The data do not say.
    Inconclusive,
}

/// Ratio by which two figures may differ and still count as equivalent, unless the user says
/// otherwise. Single-run differences of 2 % are common on one machine with one binary.
pub(crate) const EQUIVALENCE_MARGIN: f64 = 0.02;

impl Verdict {
    /// Judges the ratio of the new to the old figure by its interval.
    ///
    /// `margin` is a share: 0.02 calls ratios between 1/1.02 and 1.02 equivalent. Equivalence
    /// goes first: a difference that is real and too small to matter is no win. With a 95 %
    /// interval it is the two one-sided tests at 2.5 %.
    ///
    /// Source: D. J. Schuirmann, "A comparison of the two one-sided tests procedure and the
    /// power approach", J. Pharmacokinet. Biopharm. 15 (1987) 657–680.
    pub(crate) fn of(ratio: Interval, margin: f64, larger_is_better: bool) -> Self {
        let logarithms = Interval::new(ratio.low.ln(), ratio.high.ln());
        Self::of_difference(logarithms, margin.ln_1p(), larger_is_better)
    }

    /// Judges the difference of the new from the old figure by its interval, in the same way;
    /// differences of at most `margin` are equivalent.
    pub(crate) fn of_difference(difference: Interval, margin: f64, larger_is_better: bool) -> Self {
        let (low, high) = difference.ends();
        match (low > 0.0, high < 0.0) {
            _ if low >= -margin && high <= margin => Self::Equivalent,
            (true, _) if larger_is_better => Self::Better,
            (true, _) => Self::Worse,
            (_, true) if larger_is_better => Self::Worse,
            (_, true) => Self::Better,
            (false, false) => Self::Inconclusive,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Equivalent => "equivalent",
            Self::Inconclusive => "inconclusive",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_follows_from_where_the_interval_lies() {
        let check = |low, high, expected_if_larger_is_better, expected_otherwise| {
            let ratio = Interval::new(low, high);
            assert_eq!(Verdict::of(ratio, 0.02, true), expected_if_larger_is_better);
            assert_eq!(Verdict::of(ratio, 0.02, false), expected_otherwise);
        };
        check(1.05, 1.10, Verdict::Better, Verdict::Worse);
        check(0.90, 0.95, Verdict::Worse, Verdict::Better);
        check(0.99, 1.01, Verdict::Equivalent, Verdict::Equivalent);
        check(0.95, 1.05, Verdict::Inconclusive, Verdict::Inconclusive);
        // Real, yet too small to matter.
        check(1.001, 1.01, Verdict::Equivalent, Verdict::Equivalent);
        // Real, and perhaps large enough to matter.
        check(1.01, 1.05, Verdict::Better, Verdict::Worse);
    }
}
