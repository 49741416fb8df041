//! How many requests may fail before a cell's numbers are no result.

use std::fmt;

use crate::metrics::summary::Counts;
use crate::metrics::totals::{CONN_REUSE_RACE, EMPTY};
use crate::plan::Plan;

/// The share of requests that may fail or never come. More of them and what is left is no sample
/// of what the engine does: failures are fast, and the answered requests are the lucky ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum FailureLimit {
    /// The scenario says nothing: 1 %, and one request, which is no pattern.
    Usual,
    /// As the scenario says.
    Share(f64),
}

const USUAL_SHARE: f64 = 0.01;

/// What a race for a connection is, which the server says no word of, and the way out of it.
const RACE: &str = "the server closed a kept connection as the request was sent: \
                    `quirks = { no-reuse = true }`";

/// What an answer without a token is: it took no time that could be measured.
const SILENCE: &str = "the engine ended its answer without a token: `max-tokens` gives room to one \
                       that hides its reasoning, `max-failures` to one that may be silent";

/// Far below one request of any run, far above the rounding of a share written in decimals.
const ROUNDING: f64 = 1e-9;

impl FailureLimit {
    pub(crate) fn of(plan: &Plan) -> Self {
        plan.max_failures.map_or(Self::Usual, Self::Share)
    }

    /// Whether so many of all are too many.
    pub(crate) fn is_exceeded(self, n_failed: u64, n: u64) -> bool {
        let (share, n_always) = match self {
            Self::Usual => (USUAL_SHARE, 1),
            Self::Share(share) => (share, 0),
        };
        n_failed > n_always && n_failed as f64 > (share + ROUNDING) * n as f64
    }
}

impl fmt::Display for FailureLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usual => write!(f, "one request and {} %", USUAL_SHARE * 100.0),
            Self::Share(share) => write!(f, "max-failures = {share}"),
        }
    }
}

/// Says that no request succeeded, or that too many failed or never came; `None` where neither is so.
pub(crate) fn too_many(counts: &Counts, limit: FailureLimit) -> Option<String> {
    let (n_failed, n) = (counts.n_failed(), counts.scheduled);
    let told = || told(counts.failures(), counts);
    if n_failed > 0 && counts.ok == 0 {
        return Some(format!("none of {n} requests succeeded: {}", told()));
    }
    limit.is_exceeded(n_failed, n).then(|| {
        let percent = n_failed as f64 / n as f64 * 100.0;
        let share = format!("{percent:.1} %, limit {limit}");
        format!("{n_failed} of {n} requests failed or never came ({share}): {}", told())
    })
}

/// Returns how requests failed, the most frequent kind first, each with the first words of its
/// kind: `190 status-503 ("overloaded"), 9 protocol`.
pub(crate) fn told<'a>(
    kinds: impl Iterator<Item = (&'a String, &'a u64)>,
    counts: &Counts,
) -> String {
    let mut kinds: Vec<(&String, &u64)> = kinds.collect();
    kinds.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    let told = kinds.into_iter().map(|(kind, n)| match counts.examples.get(kind) {
        Some(words) => format!("{n} {kind} (\"{words}\")"),
        None if kind == CONN_REUSE_RACE => format!("{n} {kind} ({RACE})"),
        None if kind == EMPTY => format!("{n} {kind} ({SILENCE})"),
        None => format!("{n} {kind}"),
    });
    told.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn one_failure_and_one_in_a_hundred_are_always_allowed_unless_the_scenario_says_less() {
        let exceeded = |limit: FailureLimit, n_failed, n| limit.is_exceeded(n_failed, n);
        for (n_failed, n, expected) in
            [(0, 0, false), (1, 2, false), (2, 200, false), (2, 199, true), (199, 200, true)]
        {
            assert_eq!(exceeded(FailureLimit::Usual, n_failed, n), expected, "{n_failed} of {n}");
        }
        assert!(exceeded(FailureLimit::Share(0.0), 1, 1_000_000));
        assert!(!exceeded(FailureLimit::Share(0.0), 0, 10));
        assert!(!exceeded(FailureLimit::Share(1.0), 10, 10));
    }

    #[test]
    fn a_share_written_in_decimals_is_met_exactly() {
        for percent in 1..=100_u64 {
            let limit =
                FailureLimit::Share(format!("{:.2}", percent as f64 / 100.0).parse().unwrap());
            assert!(!limit.is_exceeded(percent * 1_000, 100_000), "{percent}");
            assert!(limit.is_exceeded(percent * 1_000 + 1, 100_000), "{percent}");
        }
    }

    #[test]
    fn each_kind_is_told_with_the_words_of_its_first_failure() {
        let counts = Counts {
            errors: BTreeMap::from([("protocol".to_owned(), 9), ("status-503".to_owned(), 190)]),
            examples: BTreeMap::from([("status-503".to_owned(), "overloaded".to_owned())]),
            cancelled: BTreeMap::from([("after-time".to_owned(), 5), ("deadline".to_owned(), 1)]),
            ..Counts::default()
        };
        assert_eq!(
            told(counts.failures(), &counts),
            "190 status-503 (\"overloaded\"), 9 protocol, 1 deadline"
        );
        let race = Counts {
            errors: BTreeMap::from([(CONN_REUSE_RACE.to_owned(), 14)]),
            ..Counts::default()
        };
        assert!(told(race.failures(), &race).contains("`quirks = { no-reuse = true }`"));
        let silent =
            Counts { errors: BTreeMap::from([(EMPTY.to_owned(), 4)]), ..Counts::default() };
        assert!(told(silent.failures(), &silent).contains("`max-tokens` gives room"));
        assert_eq!((counts.n_failed(), counts.n_cancelled_as_planned()), (200, 5));
    }
}
