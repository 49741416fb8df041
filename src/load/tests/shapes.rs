//! Tests of the loop in virtual time: every shape of load, to the nanosecond.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::load::assignment::{Due, PhaseAssignment, Tally};
use crate::load::driver::Driver;
use crate::load::recorder::{Reading, Recorder};
use crate::load::spec::{Control, Live};
use crate::load::tests::fake_client::{Answers, Arrival, FakeClient, InlineDesk, Ready};
use crate::plan::cell::{ArrivalsPlan, Deadlines};
use crate::record::request::{
    CancelCause, Outcome, OutputRecord, RequestError, RequestRecord, StampSource,
};
use crate::seed::Seed;
use crate::units::Nanos;
use crate::workload::arrivals::{Arrivals, Gate};
use crate::workload::request::Request;

const TOKEN: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
const LAST: &str =
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

fn ms(millis: u64) -> Nanos {
    Nanos::from_millis(millis)
}

/// A stream whose tokens arrive at these times after the request.
fn tokens_at(times: &[u64]) -> Vec<(Nanos, Arrival)> {
    let mut arrivals = vec![(ms(0), Arrival::Head)];
    arrivals.extend(times.iter().map(|at| (ms(*at), Arrival::Body(TOKEN.to_owned()))));
    let end = ms(times.last().copied().unwrap_or_default());
    arrivals.extend([(end, Arrival::Body(LAST.to_owned())), (end, Arrival::End)]);
    arrivals
}

fn always(times: &'static [u64]) -> Answers {
    Box::new(move |_, _| tokens_at(times))
}

fn share() -> PhaseAssignment {
    let long = Nanos::from_secs(1000);
    PhaseAssignment {
        round: 1,
        start: ms(1000),
        gate: Gate::Open,
        stop_at: None,
        no_turn_from: None,
        last_due: None,
        is_closed: false,
        until_known: None,
        drain: long,
        deadlines: Deadlines {
            connect: long,
            first_token: long,
            between_tokens: long,
            total: long,
        },
        cancel_after: None,
    }
}

struct Run {
    tally: Tally,
    records: Vec<RequestRecord>,
    n_open_max: usize,
}

/// Runs a phase. The share is filled in from the plan, as in a trial.
fn run(
    plan: &ArrivalsPlan,
    cap: Option<u32>,
    n: u64,
    answers: Answers,
    share: PhaseAssignment,
) -> Run {
    let mut records = Vec::new();
    let mut sink = |record: RequestRecord, _: Option<OutputRecord>| {
        records.push(record);
        Ok(())
    };
    let (tally, n_open_max) = run_into(plan, cap, n, answers, share, &mut sink);
    records.sort_by_key(RequestRecord::key);
    Run { tally, records, n_open_max }
}

#[expect(clippy::needless_pass_by_value, reason = "the rest of the share goes into the new one")]
fn run_into(
    plan: &ArrivalsPlan,
    cap: Option<u32>,
    n: u64,
    answers: Answers,
    share: PhaseAssignment,
    sink: &mut dyn crate::load::spec::RecordSink,
) -> (Tally, usize) {
    let arrivals = Arrivals::new(plan, Some(n), None, Seed(3), &[]).unwrap();
    let share = PhaseAssignment {
        gate: Gate::new(plan, cap),
        is_closed: matches!(plan, ArrivalsPlan::Closed { .. }),
        last_due: arrivals.outline().last,
        ..share
    };
    let live = Live::default();
    let recorder = Recorder::new(Reading::of_streams(), sink, &live);
    let recorder = InlineDesk { recorder, follow_ups: VecDeque::new() };
    let mut driver = Driver::new(FakeClient::new(answers), recorder, &live, 0);
    let mut supply = Ready(arrivals.enumerate().map(|(index, offset)| {
        let request = Request {
            phase: 0,
            index: index as u64,
            turn: 0,
            sample: index as u64,
            body: Bytes::from(index.to_string()),
            max_tokens: None,
            next_turns: Vec::new(),
        };
        Due { offset, request }
    }));
    let tally = driver.run_phase(&share, &mut supply, &[&Control::default()]);
    (tally, driver.client.n_open_max)
}

fn sent_ms(run: &Run) -> Vec<u64> {
    run.records.iter().map(|record| record.sent.unwrap().0 / 1_000_000).collect()
}

fn all_ok(run: &Run) -> bool {
    run.records.iter().all(|record| record.outcome == Outcome::Ok)
}

#[test]
fn a_closed_loop_keeps_its_streams_busy_and_no_more() {
    let plan = ArrivalsPlan::Closed { concurrency: 2 };
    let run = run(&plan, None, 5, always(&[10, 30]), share());
    assert_eq!(sent_ms(&run), [1000, 1000, 1030, 1030, 1060]);
    assert_eq!((run.n_open_max, run.tally.n_scheduled, all_ok(&run)), (2, 5, true));
    // A request of a closed loop is due when its stream becomes free.
    assert!(run.records.iter().all(|record| Some(record.scheduled) == record.sent));
    assert_eq!(run.tally.drained, ms(1090));
}

#[test]
fn an_open_loop_sends_on_time_whatever_the_engine_does() {
    let plan = ArrivalsPlan::Constant { rate_per_s: 100.0 };
    let slow = always(&[5000]);
    let run = run(&plan, None, 4, slow, share());
    assert_eq!(sent_ms(&run), [1000, 1010, 1020, 1030]);
    assert_eq!((run.n_open_max, all_ok(&run)), (4, true));
}

#[test]
fn a_cap_delays_and_the_delay_is_recorded_but_nothing_is_dropped() {
    let plan = ArrivalsPlan::Constant { rate_per_s: 100.0 };
    let run = run(&plan, Some(1), 4, always(&[25]), share());
    assert_eq!(sent_ms(&run), [1000, 1025, 1050, 1075]);
    let due: Vec<_> = run.records.iter().map(|record| record.scheduled.0 / 1_000_000).collect();
    assert_eq!(due, [1000, 1010, 1020, 1030]);
    assert_eq!(run.n_open_max, 1);
}

#[test]
fn a_batch_waits_for_the_last_answer_of_the_one_before() {
    let answers: Answers = Box::new(|_, body| match body {
        b"1" => tokens_at(&[50]),
        _ => tokens_at(&[10]),
    });
    let run = run(&ArrivalsPlan::Batch { size: 2 }, None, 5, answers, share());
    assert_eq!(sent_ms(&run), [1000, 1000, 1050, 1050, 1060]);
    assert_eq!(run.records[3].scheduled, ms(1050));
    assert_eq!(run.n_open_max, 2);
}

#[test]
fn everything_at_once_is_everything_at_once() {
    let run = run(&ArrivalsPlan::AllAtOnce, None, 300, always(&[10]), share());
    assert_eq!(run.n_open_max, 300);
    assert!(sent_ms(&run).iter().all(|sent| *sent == 1000) && all_ok(&run));
}

/// An engine that stands still for the last second of every ten, at 100 requests per second. A
/// tenth of all requests meets the stall and waits between 0 and 1 s for its end, so the 95th
/// percentile is 0.5 s and the 99th 0.9 s. A loop that waits with the engine misses the stall.
#[test]
fn queueing_that_a_stall_causes_is_not_omitted() {
    let stalling = || -> Answers {
        Box::new(|now, _| {
            let in_period = (now.0 - ms(1000).0) % Nanos::from_secs(10).0;
            let stalled_until = Nanos::from_secs(10).0;
            let begins = Nanos::from_secs(9).0;
            let wait = if in_period >= begins { stalled_until - in_period } else { 0 };
            let at = wait / 1_000_000 + 1;
            tokens_at(&[at])
        })
    };
    let percentiles = |run: &Run, from: fn(&RequestRecord) -> Nanos| {
        let mut ttfts: Vec<_> = run
            .records
            .iter()
            .map(|record| (record.events.iter().next().unwrap().0 - from(record)).as_secs_f64())
            .collect();
        ttfts.sort_unstable_by(f64::total_cmp);
        [0.95, 0.99].map(|share| ttfts[(ttfts.len() as f64 * share) as usize])
    };
    let open = ArrivalsPlan::Constant { rate_per_s: 100.0 };
    let run_open = run(&open, None, 10_000, stalling(), share());
    let [p95, p99] = percentiles(&run_open, |record| record.scheduled);
    assert!((p95 - 0.5).abs() < 0.025 && (p99 - 0.9).abs() < 0.045, "{p95} {p99}");
    // With one request at a time, the sends wait as well. Only the scheduled time shows the stall.
    let run_capped = run(&open, Some(1), 10_000, stalling(), share());
    let [p95, p99] = percentiles(&run_capped, |record| record.scheduled);
    assert!((p95 - 0.5).abs() < 0.1 && (p99 - 0.9).abs() < 0.1, "{p95} {p99}");
    let [p95, p99] = percentiles(&run_capped, |record| record.sent.unwrap());
    assert!(p95 < 0.01 && p99 < 0.01, "{p95} {p99}");
}

#[test]
fn deadlines_look_at_tokens_and_not_at_bytes() {
    let deadlines = Deadlines { first_token: ms(100), between_tokens: ms(50), ..share().deadlines };
    let strict = || PhaseAssignment { deadlines, ..share() };
    let outcome = |answers: Answers| {
        let plan = ArrivalsPlan::Closed { concurrency: 1 };
        run(&plan, None, 1, answers, strict()).records.remove(0)
    };
    let error = |record: &RequestRecord| record.outcome.clone();
    assert_eq!(error(&outcome(always(&[99, 148, 197]))), Outcome::Ok);
    let late = outcome(always(&[300]));
    assert_eq!(error(&late), Outcome::Error(RequestError::FirstTokenTimeout));
    let gap = outcome(always(&[10, 200]));
    assert_eq!(error(&gap), Outcome::Error(RequestError::BetweenTokensTimeout));
    assert_eq!(gap.events.len(), 1);
    let heartbeats = outcome(Box::new(|_, _| {
        let mut arrivals = vec![(ms(0), Arrival::Head)];
        arrivals.extend((1..200).map(|i| (ms(i * 5), Arrival::Body(": ping\n\n".to_owned()))));
        arrivals
    }));
    assert_eq!(error(&heartbeats), Outcome::Error(RequestError::FirstTokenTimeout));
    assert!(heartbeats.body_bytes > 0 && heartbeats.stamps == StampSource::Kernel);
}

#[test]
fn a_cancellation_comes_to_the_moment_and_what_arrives_later_is_dropped() {
    let share = PhaseAssignment { cancel_after: Some(Nanos(33_300_000)), ..share() };
    let plan = ArrivalsPlan::Closed { concurrency: 1 };
    let run = run(&plan, None, 2, always(&[20, 40, 60]), share);
    for (record, sent) in run.records.iter().zip([1000.0, 1033.3]) {
        assert_eq!(record.outcome, Outcome::Cancelled(CancelCause::AfterTime));
        assert_eq!(record.events.len(), 1, "only the token at 20 ms");
        assert!((record.sent.unwrap().as_millis_f64() - sent).abs() < 1e-6);
    }
}

#[test]
fn time_bounds_a_closed_loop_and_its_drain() {
    let plan = ArrivalsPlan::Closed { concurrency: 1 };
    let bounded = |drain| PhaseAssignment { stop_at: Some(ms(1070)), drain, ..share() };
    let drained = run(&plan, None, 100, always(&[30]), bounded(ms(30)));
    assert_eq!(sent_ms(&drained), [1000, 1030, 1060]);
    assert!(all_ok(&drained) && drained.tally.drained == ms(1090));
    let cut = run(&plan, None, 100, always(&[30]), bounded(ms(10)));
    assert_eq!(cut.records.len(), 3);
    assert_eq!(cut.records[2].outcome, Outcome::Cancelled(CancelCause::Deadline));
}

#[test]
fn requests_that_were_due_but_never_sent_are_recorded_too() {
    let plan = ArrivalsPlan::Constant { rate_per_s: 100.0 };
    let share = PhaseAssignment { drain: ms(50), ..share() };
    let run = run(&plan, Some(1), 10, always(&[40]), share);
    assert_eq!((run.records.len(), run.tally.n_scheduled), (10, 10));
    let n_sent = run.records.iter().filter(|record| record.sent.is_some()).count();
    assert_eq!(n_sent, 4);
    for record in &run.records[4..] {
        assert_eq!(record.outcome, Outcome::Cancelled(CancelCause::Deadline));
    }
}

#[test]
fn two_hundred_thousand_requests_leave_as_many_records_and_nothing_else() {
    let mut seen = vec![false; 200_000];
    let mut n_bad = 0;
    let mut sink = |record: RequestRecord, _: Option<OutputRecord>| {
        n_bad += u64::from(record.outcome != Outcome::Ok);
        n_bad += u64::from(std::mem::replace(&mut seen[record.index as usize], true));
        Ok(())
    };
    let plan = ArrivalsPlan::Poisson { rate_per_s: 10_000.0 };
    let (tally, n_open_max) = run_into(&plan, None, 200_000, always(&[3, 4]), share(), &mut sink);
    assert_eq!(tally.n_scheduled, 200_000);
    assert!(n_open_max < 200, "{n_open_max}");
    assert!(n_bad == 0 && seen.iter().all(|seen| *seen));
}
