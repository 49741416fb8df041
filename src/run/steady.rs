//! When an extending warm-up may end.

use crate::load::spec::{RoundStats, SteadyTest};
use crate::scenario::spec::MIN_ROUNDS;
use crate::stats::steady::{RoundMedian, goes_on_changing};
use crate::units::Nanos;

/// Returns the test that ends an extending warm-up, whether its rounds are counted or timed:
/// neither the time to first token nor the rate of tokens goes on changing over the last rounds.
pub(super) fn steady_test() -> SteadyTest {
    Box::new(|rounds: &[RoundStats]| {
        let enough = rounds.len().checked_sub(MIN_ROUNDS as usize);
        let Some(recent) = enough.map(|from| &rounds[from..]) else { return false };
        let medians = |samples: fn(&RoundStats) -> Vec<f64>| {
            recent.iter().map(|round| RoundMedian::of(samples(round))).collect::<Option<Vec<_>>>()
        };
        let ttfts =
            medians(|round| round.ttfts.iter().copied().map(Nanos::as_millis_f64).collect());
        let rates = medians(|round| round.token_rates.clone());
        // A round without an answer shows nothing.
        [ttfts, rates].iter().all(|series| series.as_deref().is_some_and(|s| !goes_on_changing(s)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds whose answers take these times to their first token and have these rates, ms and 1/s.
    fn rounds<const N: usize>(times: [(u64, f64); N]) -> [RoundStats; N] {
        times.map(|(ttft, rate)| RoundStats {
            n_ok: 3,
            ttfts: [0, 1, 2].map(|more| Nanos(ttft * 1_000_000 + more)).to_vec(),
            token_rates: vec![rate; 3],
            ..RoundStats::default()
        })
    }

    #[test]
    fn a_warm_up_ends_when_neither_rate_nor_ttft_goes_on_changing() {
        let is_steady = steady_test();
        let level = [(20, 100.0), (20, 101.0), (20, 100.0), (20, 99.0)];
        assert!(is_steady(&rounds(level)));
        assert!(!is_steady(&rounds(level)[..3]), "three rounds show nothing");
        assert!(!is_steady(&rounds([(20, 100.0), (22, 99.0), (24, 100.0), (26, 100.0)])));
        assert!(!is_steady(&rounds([(20, 60.0), (20, 75.0), (20, 90.0), (20, 110.0)])));
        // What came before the last rounds was the warm-up's work.
        let warmed = [(90, 50.0), (20, 100.0), (20, 101.0), (20, 99.0), (20, 100.0)];
        assert!(is_steady(&rounds(warmed)));
    }

    #[test]
    fn rounds_without_an_answer_are_not_steady() {
        assert!(!steady_test()(&std::array::from_fn::<_, 4, _>(|_| RoundStats::default())));
    }
}
