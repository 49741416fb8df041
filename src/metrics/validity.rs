//! Whether a cell's numbers may be believed.

use crate::metrics::evidence::Evidence;
use crate::metrics::failures::{self, FailureLimit};
use crate::metrics::summary::{CellStatus, Counts, Validity};
use crate::plan::cell::Cell;
use crate::record::event::CellOutcome;
use crate::units::Nanos;

/// p99 of send or wake lag that is never held against a cell: what an idle machine keeps at
/// 1,000 requests per second with a wide margin, and less than any engine's TTFT over HTTP.
pub const LAG_FLOOR_MS: f64 = 5.0;
/// Share of a median latency that the p99 of a lag may reach: beyond it the client's lateness
/// is no longer small against what it measures.
pub const LAG_SHARE: f64 = 0.1;
/// CPU time per load thread and wall time beyond which the thread is the bottleneck: queueing
/// for it then multiplies every lag by more than ten.
pub const CLIENT_CPU_MAX: f64 = 0.9;
/// A silence of the sentinel that no scheduler makes by itself: the client was stopped or
/// the machine suspended.
pub const WAKE_GAP_MAX: Nanos = Nanos::from_secs(1);

/// Share of all processors from which programs that belong to neither side are a load of their
/// own: a quarter is half a processor of two.
pub const FOREIGN_CPU_MAX: f64 = 0.25;
/// p99 of a lag that an idle machine keeps: where others take the processors, what lies above
/// it is theirs.
pub const CROWDED_LAG_FLOOR_MS: f64 = 1.0;
/// Share of the median TTFT that the p99 of a lag may reach there.
pub const CROWDED_LAG_SHARE: f64 = 0.01;

/// Returns the lag beyond which a cell is invalid, in milliseconds.
pub fn lag_limit_ms(latency_median_ms: Option<f64>) -> f64 {
    latency_median_ms.map_or(LAG_FLOOR_MS, |latency| LAG_FLOOR_MS.max(latency * LAG_SHARE))
}

/// Whether a late client only lengthens the pause between two requests of a stream: each
/// follows an answer, and every arrival is stamped by the kernel. No latency is coloured then;
/// what suffers is throughput, by the mean lag.
fn only_delays_sends(evidence: &Evidence) -> bool {
    evidence.is_closed && evidence.n_userspace == 0
}

/// Returns what the lags of the client did to the figures.
fn lateness(evidence: &Evidence) -> Vec<String> {
    let lags = &evidence.lags;
    if let Some(foreign) = evidence.foreign_cpu_max.filter(|&share| share > FOREIGN_CPU_MAX) {
        // Others take the processors from the engine as well, whatever the loop is.
        let share = lags.ttft_median_ms.unwrap_or(0.0) * CROWDED_LAG_SHARE;
        let because =
            format!(" while other programs used {:.0} % of all CPU time", foreign * 100.0);
        return late_at_p99(evidence, CROWDED_LAG_FLOOR_MS.max(share), &because);
    }
    if only_delays_sends(evidence) {
        let limit = lag_limit_ms(lags.e2e_median_ms);
        let late = lags.send_mean_ms.filter(|&lag| lag > limit);
        return Vec::from_iter(late.map(|lag| {
            format!("client: requests left {lag:.1} ms late on average, limit {limit:.1} ms")
        }));
    }
    late_at_p99(evidence, lag_limit_ms(lags.ttft_median_ms), "")
}

fn late_at_p99(evidence: &Evidence, limit: f64, because: &str) -> Vec<String> {
    let wake = evidence.lags.wake_p99_ms.map(|lag| ("the sentinel woke", lag));
    // A wait for a place under the cap is no lateness, nor is that for an answer's stream.
    let is_lateness = !evidence.is_capped && (because.is_empty() || !evidence.is_closed);
    let send = evidence.lags.send_p99_ms.filter(|_| is_lateness);
    let send = send.map(|lag| ("requests left", lag));
    let late = [wake, send].into_iter().flatten().filter(|(_, lag)| *lag > limit);
    late.map(|(what, lag)| {
        format!("client: {what} {lag:.1} ms late at p99{because}, limit {limit:.1} ms")
    })
    .collect()
}

/// Returns what speaks against the instrument, one sentence each; empty when nothing does.
pub fn instrument(evidence: &Evidence) -> Vec<String> {
    let mut reasons = lateness(evidence);
    if let Some(share) = evidence.client_cpu_max.filter(|&share| share > CLIENT_CPU_MAX) {
        reasons.push(format!(
            "client: load threads were busy {:.0} % of the time, limit {:.0} %",
            share * 100.0,
            CLIENT_CPU_MAX * 100.0
        ));
    }
    if let Some(why) = &evidence.short_of {
        reasons.push(format!(
            "client: this machine had no port or descriptor for {} requests ({why}); widen \
             net.ipv4.ip_local_port_range, or raise `ulimit -n`",
            evidence.n_short
        ));
    }
    if evidence.wake_gap_max > WAKE_GAP_MAX {
        reasons.push(format!(
            "client: stood still for {}, limit {WAKE_GAP_MAX}",
            evidence.wake_gap_max
        ));
    }
    reasons
}

/// Returns whether a cell's numbers may be believed.
pub(crate) fn of_cell(
    cell: &Cell,
    outcome: Option<&CellOutcome>,
    counts: &Counts,
    limit: FailureLimit,
    n_trials: u32,
    instrument: &[String],
) -> Validity {
    let because = |status, why: String| Validity::new(status, [why]);
    let incomplete = || Validity::new(CellStatus::Incomplete, []);
    match (outcome, &cell.skip) {
        (Some(CellOutcome::Skipped(reason)), _) | (None, Some(reason)) => {
            return because(CellStatus::Skipped, reason.clone());
        }
        (Some(CellOutcome::Failed(failure)), _) => {
            return because(CellStatus::Failed, failure.message.clone());
        }
        (None, None) | (Some(CellOutcome::Interrupted), _) => return incomplete(),
        (Some(CellOutcome::Complete), _) => {}
    }
    // What this machine lacked says nothing about the engine, also where nothing succeeded: what
    // else failed may have failed for the same lack.
    let n_short = counts.errors.get("client-resources").filter(|_| !instrument.is_empty());
    let n_failed = counts.n_failed() - n_short.copied().unwrap_or_default();
    let n = counts.scheduled;
    if n_trials < cell.n_trials {
        incomplete()
    } else if n == 0 {
        because(CellStatus::Failed, "no request was due".to_owned())
    } else if n_failed > 0 && counts.ok == 0 && n_short.is_none() {
        let told = failures::told(counts.failures(), counts);
        because(CellStatus::Failed, format!("none of {n} requests succeeded: {told}"))
    } else if n_short.is_none() && limit.is_exceeded(n_failed, n) {
        let percent = n_failed as f64 / n as f64 * 100.0;
        let told = failures::told(counts.failures(), counts);
        let share = format!("{percent:.1} %, limit {limit}");
        because(
            CellStatus::Failed,
            format!("{n_failed} of {n} requests failed or never came ({share}): {told}"),
        )
    } else if instrument.is_empty() {
        Validity::default()
    } else {
        Validity::new(CellStatus::Invalid, instrument.iter().cloned())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::metrics::evidence::Lags;
    use crate::metrics::tests::fixture::cell;
    use crate::plan::cell::ArrivalsPlan;

    fn with_lags(wake: f64, send: f64, ttft: f64) -> Evidence {
        let lags = Lags {
            wake_p99_ms: Some(wake),
            send_p99_ms: Some(send),
            ttft_median_ms: Some(ttft),
            send_mean_ms: Some(send / 4.0),
            e2e_median_ms: Some(10.0 * ttft),
        };
        Evidence { lags, ..Evidence::default() }
    }

    #[test]
    fn a_client_that_fell_behind_invalidates_its_cell_with_the_measured_lag() {
        let reasons = instrument(&with_lags(43.0, 0.1, 50.0));
        assert_eq!(reasons, ["client: the sentinel woke 43.0 ms late at p99, limit 5.0 ms"]);
        let reasons = instrument(&with_lags(0.1, 41.0, 50.0));
        assert_eq!(reasons, ["client: requests left 41.0 ms late at p99, limit 5.0 ms"]);
    }

    #[test]
    fn a_lag_is_held_against_what_is_measured() {
        assert!(instrument(&with_lags(4.9, 4.9, 1.0)).is_empty());
        assert!(instrument(&with_lags(40.0, 40.0, 500.0)).is_empty());
        assert_eq!(instrument(&with_lags(60.0, 60.0, 500.0)).len(), 2);
        // In a closed loop with kernel stamps a late client only pauses: 10 ms of 500 ms.
        let closed = Evidence { is_closed: true, ..with_lags(40.0, 40.0, 50.0) };
        assert!(instrument(&closed).is_empty());
        let pausing = Evidence { is_closed: true, ..with_lags(40.0, 240.0, 50.0) };
        let expected = "client: requests left 60.0 ms late on average, limit 50.0 ms";
        assert_eq!(instrument(&pausing), [expected]);
        let stamped_here = Evidence { n_userspace: 1, ..closed.clone() };
        assert_eq!(instrument(&stamped_here).len(), 2);
        let nearly_alone = Evidence { foreign_cpu_max: Some(0.2), ..closed.clone() };
        assert!(instrument(&nearly_alone).is_empty());
        let crowded = |wake| {
            let foreign_cpu_max = Some(0.93);
            instrument(&Evidence {
                is_closed: true,
                foreign_cpu_max,
                ..with_lags(wake, 40.0, 50.0)
            })
        };
        let expected = "client: the sentinel woke 3.8 ms late at p99 while other programs used \
                        93 % of all CPU time, limit 1.0 ms";
        assert_eq!(crowded(3.8), [expected]);
        assert!(crowded(0.9).is_empty());
        let capped = Evidence { is_capped: true, ..with_lags(0.1, 60.0, 50.0) };
        assert!(instrument(&capped).is_empty());
    }

    #[test]
    fn a_saturated_or_stopped_client_is_invalid() {
        let busy = Evidence { client_cpu_max: Some(0.97), ..Evidence::default() };
        assert_eq!(instrument(&busy).len(), 1);
        let stopped = Evidence { wake_gap_max: Nanos::from_secs(5), ..Evidence::default() };
        assert_eq!(instrument(&stopped), ["client: stood still for 5.00 s, limit 1.00 s"]);
        assert!(instrument(&Evidence::default()).is_empty());
    }

    #[test]
    fn a_machine_without_ports_is_no_failure_of_the_engine() {
        let why = Some("Cannot assign requested address (os error 99)".to_owned());
        let reasons = instrument(&Evidence { n_short: 3, short_of: why, ..Evidence::default() });
        let expected = "client: this machine had no port or descriptor for 3 requests (Cannot \
                        assign requested address (os error 99)); widen \
                        net.ipv4.ip_local_port_range, or raise `ulimit -n`";
        assert_eq!(reasons, [expected]);
        let errors = BTreeMap::from([("client-resources".to_owned(), 3)]);
        let counts = Counts { scheduled: 3, errors, ..Counts::default() };
        let cell = cell(ArrivalsPlan::AllAtOnce);
        let found =
            of_cell(&cell, Some(&CellOutcome::Complete), &counts, FailureLimit::Usual, 1, &reasons);
        assert_eq!(found, Validity::new(CellStatus::Invalid, reasons));
    }

    #[test]
    fn a_cell_is_valid_only_when_it_is_complete_and_something_succeeded() {
        let check = |outcome: Option<CellOutcome>, counts: &Counts, n_trials, expected| {
            let cell = cell(ArrivalsPlan::AllAtOnce);
            assert_eq!(
                of_cell(&cell, outcome.as_ref(), counts, FailureLimit::Usual, n_trials, &[]),
                expected
            );
        };
        let good = Counts { scheduled: 2, ok: 2, ..Counts::default() };
        let complete = || Some(CellOutcome::Complete);
        check(complete(), &good, 1, Validity::default());
        check(complete(), &good, 0, Validity::new(CellStatus::Incomplete, []));
        check(None, &good, 1, Validity::new(CellStatus::Incomplete, []));
        check(Some(CellOutcome::Interrupted), &good, 1, Validity::new(CellStatus::Incomplete, []));
        let why = "vllm: not on PATH".to_owned();
        check(
            Some(CellOutcome::Skipped(why.clone())),
            &good,
            0,
            Validity::new(CellStatus::Skipped, [why]),
        );
        let bad = Counts {
            scheduled: 3,
            errors: BTreeMap::from([("status-500".to_owned(), 2), ("empty".to_owned(), 1)]),
            ..Counts::default()
        };
        let all_failed = "none of 3 requests succeeded: 2 status-500, 1 empty".to_owned();
        check(complete(), &bad, 1, Validity::new(CellStatus::Failed, [all_failed]));
    }

    #[test]
    fn a_cell_with_more_failures_than_may_be_is_failed_whatever_else_is_said_of_it() {
        let validity = |limit, kind: &str, n_failed, instrument: &[String]| {
            let errors = BTreeMap::from([(kind.to_owned(), n_failed)]);
            let counts = Counts { scheduled: 200, ok: 200 - n_failed, errors, ..Counts::default() };
            let cell = cell(ArrivalsPlan::AllAtOnce);
            of_cell(&cell, Some(&CellOutcome::Complete), &counts, limit, 1, instrument)
        };
        let usual = FailureLimit::Usual;
        assert_eq!(validity(usual, "status-503", 2, &[]), Validity::default());
        let expected = "199 of 200 requests failed or never came (99.5 %, limit one request and \
                        1 %): 199 status-503";
        let failed = Validity::new(CellStatus::Failed, [expected.to_owned()]);
        let late = ["client: late".to_owned()];
        assert_eq!(validity(usual, "status-503", 199, &[]), failed);
        assert_eq!(validity(usual, "status-503", 199, &late), failed);
        assert_eq!(validity(FailureLimit::Share(0.1), "status-503", 20, &[]), Validity::default());
        let expected = "21 of 200 requests failed or never came (10.5 %, limit max-failures = \
                        0.1): 21 status-503";
        let failed = Validity::new(CellStatus::Failed, [expected.to_owned()]);
        assert_eq!(validity(FailureLimit::Share(0.1), "status-503", 21, &[]), failed);
        // What this machine had no port for is no failure of the engine.
        let ours = validity(usual, "client-resources", 199, &late);
        assert_eq!(ours, Validity::new(CellStatus::Invalid, late));
    }

    #[test]
    fn a_request_that_was_cancelled_as_planned_did_not_fail() {
        let validity = |cause: &str| {
            let cancelled = BTreeMap::from([(cause.to_owned(), 10)]);
            let counts = Counts { scheduled: 10, cancelled, ..Counts::default() };
            let cell = cell(ArrivalsPlan::AllAtOnce);
            let complete = Some(CellOutcome::Complete);
            of_cell(&cell, complete.as_ref(), &counts, FailureLimit::Usual, 1, &[])
        };
        assert_eq!(validity("after-time"), Validity::default());
        let never_came = "none of 10 requests succeeded: 10 deadline".to_owned();
        assert_eq!(validity("deadline"), Validity::new(CellStatus::Failed, [never_came]));
    }
}
