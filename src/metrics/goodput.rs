//! Whether a request met its objectives.

use crate::metrics::request::RequestMetrics;
use crate::plan::cell::Slo;
use crate::units::Nanos;

/// Tokens of an answer in one event that has no time per token and needs none: one, and the end of
/// the text, which engines count and do not send.
const TOKENS_WITHOUT_TPOT: u32 = 2;

/// Whether a complete answer met all objectives; `None` where it met those that are known, and
/// nobody knows its time per token.
///
/// TTFT and E2E count from the schedule: a user waits from the moment of asking, whatever the
/// client did meanwhile. An answer of one token has no TPOT and cannot miss it; an answer
/// without a first token has missed everything.
pub(crate) fn is_good(slo: &Slo, metrics: &RequestMetrics) -> Option<bool> {
    let within = |limit: Option<Nanos>, found: Option<Nanos>| {
        limit.is_none_or(|limit| found.is_some_and(|found| found <= limit))
    };
    let meets_others = metrics.is_ok
        && within(slo.ttft, metrics.ttft_scheduled)
        && within(slo.e2e, metrics.e2e_scheduled);
    if !meets_others {
        return Some(false);
    }
    slo.tpot.map_or(Some(true), |limit| meets_tpot(limit.0 as f64, metrics))
}

/// Whether an answer met an objective of its time per token, in nanoseconds.
fn meets_tpot(limit: f64, metrics: &RequestMetrics) -> Option<bool> {
    if let Some(found) = metrics.tpot_ns {
        return Some(found <= limit);
    }
    if let Some((least, most)) = metrics.tpot_unseen_ns {
        return if most <= limit { Some(true) } else { (least > limit).then_some(false) };
    }
    let n_tokens = metrics.output.tokens?;
    (metrics.n_token_events <= 1 && n_tokens <= TOKENS_WITHOUT_TPOT).then_some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::request::tests::request;
    use crate::record::request::{Outcome, RequestError};

    #[test]
    fn a_request_is_good_when_it_meets_every_objective() {
        let record = request(0, 0, 20, &[60, 70, 80]);
        let good = |slo: Slo| is_good(&slo, &RequestMetrics::of(&record)).unwrap();
        let ms = |millis| Some(Nanos::from_millis(millis));
        assert!(good(Slo { ttft: ms(60), tpot: ms(10), e2e: ms(80) }));
        // 40 ms after sending, but 60 ms after it was due.
        assert!(!good(Slo { ttft: ms(50), ..Slo::default() }));
        assert!(!good(Slo { tpot: ms(9), ..Slo::default() }));
        assert!(!good(Slo { e2e: ms(79), ..Slo::default() }));
        assert!(good(Slo::default()));
    }

    #[test]
    fn a_failed_request_is_never_good_and_one_token_cannot_miss_tpot() {
        let slo = Slo { tpot: Some(Nanos(1)), ..Slo::default() };
        let mut record = request(0, 0, 0, &[50]);
        assert_eq!(is_good(&slo, &RequestMetrics::of(&record)), Some(true));
        record.outcome = Outcome::Error(RequestError::TotalTimeout);
        assert_eq!(is_good(&slo, &RequestMetrics::of(&record)), Some(false));
    }

    #[test]
    fn a_time_per_token_that_nobody_knows_is_not_met() {
        let slo = Slo { ttft: Some(Nanos::from_secs(1)), tpot: Some(Nanos(1)), ..Slo::default() };
        let mut record = request(0, 0, 0, &[50, 250, 450]);
        assert_eq!(is_good(&slo, &RequestMetrics::of(&record)), Some(false));
        // Nobody counted the tokens.
        record.usage = None;
        record.events.tokens.clear();
        assert_eq!(is_good(&slo, &RequestMetrics::of(&record)), None);
        // All in one event.
        let mut record = request(0, 0, 0, &[50]);
        record.usage.as_mut().unwrap().completion = Some(20);
        assert_eq!(is_good(&slo, &RequestMetrics::of(&record)), None);
    }
}
