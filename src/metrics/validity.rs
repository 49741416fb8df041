//! Whether a cell's numbers may be believed.

use crate::metrics::evidence::Evidence;
use crate::metrics::failures::{self, FailureLimit};
use crate::metrics::summary::{CellStatus, Counts, Validity};
use crate::metrics::totals::CLIENT_RESOURCES;
use crate::plan::cell::Cell;
use crate::record::event::{CellOutcome, EngineFailure};

/// Characters of a log's last line beside a failure.
const LOG_CHARS: usize = 160;

/// Returns what this machine lacked, if it lacked anything: what was measured then is not the load
/// that was asked for.
pub(crate) fn shortage(evidence: &Evidence) -> Option<String> {
    let why = evidence.short_of.as_ref()?;
    Some(format!(
        "client: this machine had no port or descriptor for {} requests ({why}); widen \
         net.ipv4.ip_local_port_range, or raise `ulimit -n`",
        evidence.n_short
    ))
}

/// What speaks against the numbers of a cell that was measured, one sentence each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Doubts {
    /// What this machine lacked.
    pub(crate) shortage: Option<String>,
    /// Numbers of the main table whose bound leaves too much open.
    pub(crate) invalid: Vec<String>,
    /// Those whose bound leaves something open.
    pub(crate) doubtful: Vec<String>,
}

impl Doubts {
    fn validity(&self) -> Validity {
        let worst: Vec<String> = self.shortage.iter().chain(&self.invalid).cloned().collect();
        match (worst.is_empty(), self.doubtful.is_empty()) {
            (true, true) => Validity::default(),
            (true, false) => Validity::new(CellStatus::Doubtful, self.doubtful.clone()),
            (false, _) => Validity::new(CellStatus::Invalid, worst),
        }
    }
}

/// Returns whether a cell's numbers may be believed.
pub(crate) fn of_cell(
    cell: &Cell,
    outcome: Option<&CellOutcome>,
    counts: &Counts,
    limit: FailureLimit,
    n_trials: u32,
    doubts: &Doubts,
) -> Validity {
    let because = |status, why: String| Validity::new(status, [why]);
    let incomplete = || Validity::new(CellStatus::Incomplete, []);
    match (outcome, &cell.skip) {
        (Some(CellOutcome::Skipped(reason)), _) | (None, Some(reason)) => {
            return because(CellStatus::Skipped, reason.clone());
        }
        (Some(CellOutcome::Failed(failure)), _) => {
            return because(CellStatus::Failed, told(failure));
        }
        (None, None) | (Some(CellOutcome::Interrupted), _) => return incomplete(),
        (Some(CellOutcome::Complete), _) => {}
    }
    // What this machine lacked says nothing about the engine, also where nothing succeeded: what
    // else failed may have failed for the same lack.
    let is_short = doubts.shortage.is_some() && counts.errors.contains_key(CLIENT_RESOURCES);
    let too_many = || failures::too_many(counts, limit).filter(|_| !is_short);
    if n_trials < cell.n_trials {
        incomplete()
    } else if counts.scheduled == 0 {
        because(CellStatus::Failed, "no request was due".to_owned())
    } else if let Some(why) = too_many() {
        because(CellStatus::Failed, why)
    } else {
        doubts.validity()
    }
}

/// Returns why an engine failed, with the last word of its log where that may say more.
fn told(failure: &EngineFailure) -> String {
    let last = failure
        .log_tail
        .iter()
        .rev()
        .map(String::as_str)
        .map(str::trim)
        .find(|line| !line.is_empty() && !is_pointer(line));
    match last.filter(|line| !failure.message.contains(line)) {
        Some(line) => {
            let line: String = line.chars().take(LOG_CHARS).collect();
            format!("{}; its log ends: {line}", failure.message)
        }
        None => failure.message.clone(),
    }
}

/// Whether a line only says where help is: command lines end so what they say of a wrong option.
fn is_pointer(line: &str) -> bool {
    let line = line.to_lowercase();
    ["usage:", "tip:", "for more information", "try '", "run with '--help'"]
        .iter()
        .any(|start| line.starts_with(start))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::metrics::tests::fixture::cell;
    use crate::plan::cell::ArrivalsPlan;
    use crate::record::event::FailureClass;
    use crate::units::Nanos;

    #[test]
    fn a_cell_is_as_good_as_the_worst_number_that_it_stands_with() {
        let open = |n: usize| vec!["TTFT p99 may be up to 1.3 ms high".to_owned(); n];
        let check = |n_invalid, n_doubtful, expected, n_reasons: usize| {
            let (invalid, doubtful) = (open(n_invalid), open(n_doubtful));
            let found = Doubts { shortage: None, invalid, doubtful }.validity();
            assert_eq!((found.status, found.reasons.len()), (expected, n_reasons));
        };
        check(0, 0, CellStatus::Ok, 0);
        check(0, 2, CellStatus::Doubtful, 2);
        check(1, 2, CellStatus::Invalid, 1);
    }

    #[test]
    fn a_failure_is_told_with_the_last_word_of_the_log() {
        let check = |log: &[&str], expected: &str| {
            let failure = EngineFailure {
                class: FailureClass::ExitedEarly,
                message: "the engine ended with exit status 3".to_owned(),
                exit: Some("exit status 3".to_owned()),
                after: Nanos::ZERO,
                log_tail: log.iter().map(|&line| line.to_owned()).collect(),
            };
            assert_eq!(told(&failure), format!("{}{expected}", failure.message));
        };
        check(&[], "");
        check(&["loading", "ValueError: no kernel", " "], "; its log ends: ValueError: no kernel");
        let of_clap = "error: unexpected argument '--sots' found";
        let told = format!("; its log ends: {of_clap}");
        let for_more = "For more information, try '--help'.";
        check(&[of_clap, "", "  tip: a similar one exists: '--slots'", "", for_more], &told);
        check(&[of_clap, "", "Usage: serve [OPTIONS]", "", for_more], &told);
    }

    #[test]
    fn a_machine_without_ports_is_no_failure_of_the_engine() {
        let why = Some("Cannot assign requested address (os error 99)".to_owned());
        let evidence = Evidence { n_short: 3, short_of: why, ..Evidence::default() };
        let shortage = shortage(&evidence);
        let expected = "client: this machine had no port or descriptor for 3 requests (Cannot \
                        assign requested address (os error 99)); widen \
                        net.ipv4.ip_local_port_range, or raise `ulimit -n`";
        assert_eq!(shortage.as_deref(), Some(expected));
        let doubts = Doubts { shortage: shortage.clone(), ..Doubts::default() };
        let errors = BTreeMap::from([("client-resources".to_owned(), 3)]);
        let counts = Counts { scheduled: 3, errors, ..Counts::default() };
        let cell = cell(ArrivalsPlan::AllAtOnce);
        let found =
            of_cell(&cell, Some(&CellOutcome::Complete), &counts, FailureLimit::Usual, 1, &doubts);
        assert_eq!(found, Validity::new(CellStatus::Invalid, shortage));
    }

    #[test]
    fn a_cell_is_valid_only_when_it_is_complete_and_something_succeeded() {
        let check = |outcome: Option<CellOutcome>, counts: &Counts, n_trials, expected| {
            let cell = cell(ArrivalsPlan::AllAtOnce);
            assert_eq!(
                of_cell(
                    &cell,
                    outcome.as_ref(),
                    counts,
                    FailureLimit::Usual,
                    n_trials,
                    &Doubts::default()
                ),
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
            errors: BTreeMap::from([("status-500".to_owned(), 2), ("truncated".to_owned(), 1)]),
            ..Counts::default()
        };
        let all_failed = "none of 3 requests succeeded: 2 status-500, 1 truncated".to_owned();
        check(complete(), &bad, 1, Validity::new(CellStatus::Failed, [all_failed]));
    }

    #[test]
    fn a_cell_with_more_failures_than_may_be_is_failed_whatever_else_is_said_of_it() {
        let validity = |limit, kind: &str, n_failed, doubts: &Doubts| {
            let errors = BTreeMap::from([(kind.to_owned(), n_failed)]);
            let counts = Counts { scheduled: 200, ok: 200 - n_failed, errors, ..Counts::default() };
            let cell = cell(ArrivalsPlan::AllAtOnce);
            of_cell(&cell, Some(&CellOutcome::Complete), &counts, limit, 1, doubts)
        };
        let usual = FailureLimit::Usual;
        assert_eq!(validity(usual, "status-503", 2, &Doubts::default()), Validity::default());
        let expected = "199 of 200 requests failed or never came (99.5 %, limit one request and \
                        1 %): 199 status-503";
        let failed = Validity::new(CellStatus::Failed, [expected.to_owned()]);
        let short = "client: no port".to_owned();
        let late = Doubts { shortage: Some(short.clone()), ..Doubts::default() };
        assert_eq!(validity(usual, "status-503", 199, &Doubts::default()), failed);
        assert_eq!(validity(usual, "status-503", 199, &late), failed);
        assert_eq!(
            validity(FailureLimit::Share(0.1), "status-503", 20, &Doubts::default()),
            Validity::default()
        );
        let expected = "21 of 200 requests failed or never came (10.5 %, limit max-failures = \
                        0.1): 21 status-503";
        let failed = Validity::new(CellStatus::Failed, [expected.to_owned()]);
        assert_eq!(
            validity(FailureLimit::Share(0.1), "status-503", 21, &Doubts::default()),
            failed
        );
        // What this machine had no port for is no failure of the engine.
        let ours = validity(usual, "client-resources", 199, &late);
        assert_eq!(ours, Validity::new(CellStatus::Invalid, [short]));
    }

    #[test]
    fn a_request_that_was_cancelled_as_planned_did_not_fail() {
        let validity = |cause: &str| {
            let cancelled = BTreeMap::from([(cause.to_owned(), 10)]);
            let counts = Counts { scheduled: 10, cancelled, ..Counts::default() };
            let cell = cell(ArrivalsPlan::AllAtOnce);
            let complete = Some(CellOutcome::Complete);
            of_cell(&cell, complete.as_ref(), &counts, FailureLimit::Usual, 1, &Doubts::default())
        };
        assert_eq!(validity("after-time"), Validity::default());
        let never_came = "none of 10 requests succeeded: 10 deadline".to_owned();
        assert_eq!(validity("deadline"), Validity::new(CellStatus::Failed, [never_came]));
    }
}
