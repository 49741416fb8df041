//! Whether a request met its objectives.

use crate::metrics::request::RequestMetrics;
use crate::plan::cell::Slo;
use crate::units::Nanos;

/// Whether a complete answer met all objectives.
///
/// TTFT and E2E count from the schedule: a user waits from the moment of asking, whatever the
/// client did meanwhile. An answer of one token has no TPOT and cannot miss it; an answer
/// without a first token has missed everything.
pub(crate) fn is_good(slo: &Slo, metrics: &RequestMetrics) -> bool {
    let within = |limit: Option<Nanos>, found: Option<Nanos>| {
        limit.is_none_or(|limit| found.is_some_and(|found| found <= limit))
    };
    metrics.is_ok
        && within(slo.ttft, metrics.ttft_scheduled)
        && within(slo.e2e, metrics.e2e_scheduled)
        && slo.tpot.is_none_or(|limit| metrics.tpot_ns.is_none_or(|found| found <= limit.0 as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::request::tests::request;
    use crate::record::request::{Outcome, RequestError};

    #[test]
    fn a_request_is_good_when_it_meets_every_objective() {
        let record = request(0, 0, 20, &[60, 70, 80]);
        let good = |slo: Slo| is_good(&slo, &RequestMetrics::of(&record));
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
        assert!(is_good(&slo, &RequestMetrics::of(&record)));
        record.outcome = Outcome::Error(RequestError::TotalTimeout);
        assert!(!is_good(&slo, &RequestMetrics::of(&record)));
    }
}
