//! Tests of whole trials over real sockets: each fault of an engine has its own outcome.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use crate::load::clock::Epoch;
use crate::load::spec::{
    Control, Limits, Live, LoadReport, PhaseLoad, Target, Transport, TrialSpec,
};
use crate::load::tests::server::{Act, STREAM_HEAD, Server, serve, stream, token};
use crate::load::trial::run_trial;
use crate::plan::cell::{ArrivalsPlan, Deadlines, Phase, UntilSteady};
use crate::record::request::{
    CancelCause, EventKind, Oddity, Outcome, OutputRecord, RequestError, RequestRecord, StampSource,
};
use crate::record::trial::PhaseKind;
use crate::secrets::redact::Redactor;
use crate::seed::Seed;
use crate::units::Nanos;
use crate::workload::arrivals::Arrivals;
use crate::workload::request::{NextTurn, Prompt, Request};

pub(crate) fn phase(arrivals: ArrivalsPlan, n_requests: u64) -> Phase {
    let second = Nanos::from_secs(1);
    Phase {
        name: "main".to_owned(),
        kind: PhaseKind::Measure,
        arrivals,
        max_in_flight: None,
        n_requests: Some(n_requests),
        duration: None,
        drain: Nanos::from_secs(10),
        deadlines: Deadlines {
            connect: second,
            first_token: Nanos::from_secs(10),
            between_tokens: Nanos::from_secs(10),
            total: Nanos::from_secs(20),
        },
        cancel_after: None,
        until_steady: None,
        until: None,
        over_saturation: None,
    }
}

fn request(index: u64, phase: u16) -> Request {
    let n = u64::from(phase) * 10 + index;
    Request {
        phase,
        index,
        turn: 0,
        sample: n,
        body: Bytes::from(format!("{{\"n\":{n}}}")),
        max_tokens: None,
        next_turns: Vec::new(),
    }
}

pub(crate) fn load(plan: Phase, phase: u16) -> PhaseLoad {
    let arrivals =
        Arrivals::new(&plan.arrivals, plan.n_requests, plan.duration, Seed(1), &[]).unwrap();
    PhaseLoad { plan, arrivals, requests: Box::new((0..).map(move |index| request(index, phase))) }
}

pub(crate) fn trial(url: &str, phases: Vec<PhaseLoad>) -> TrialSpec {
    TrialSpec {
        epoch: Epoch::now(),
        target: Target {
            base_url: url.to_owned(),
            path: "/v1/chat/completions".to_owned(),
            headers: Vec::new(),
            proxy: None,
            stream: true,
            no_done: false,
            no_reuse: false,
            tls: None,
            transport: Transport::Direct,
        },
        phases,
        n_threads: Some(1),
        keep_outputs: true,
        token_counter: None,
        next_turn: None,
        is_steady: None,
        reads_truth: false,
        limits: Limits::default(),
        redactor: Redactor::default(),
    }
}

pub(crate) type Records = Vec<(RequestRecord, Option<OutputRecord>)>;

pub(crate) fn run(spec: TrialSpec) -> (LoadReport, Records) {
    run_under(spec, &Control::default())
}

pub(crate) fn run_under(spec: TrialSpec, control: &Control) -> (LoadReport, Records) {
    let mut records = Vec::new();
    let mut sink = |record, output| {
        records.push((record, output));
        Ok(())
    };
    let live = Live::default();
    let report = run_trial(spec, &mut sink, control, &live).unwrap();
    let n_records = records.len() as u64;
    assert_eq!(report.phases.iter().map(|phase| phase.n_scheduled).sum::<u64>(), n_records);
    assert_eq!(live.done.load(Ordering::Relaxed), n_records);
    records.sort_by_key(|(record, _)| record.key());
    (report, records)
}

/// Sends one request and returns its record.
fn one(server: &Server, change: impl FnOnce(&mut TrialSpec)) -> RequestRecord {
    let mut spec =
        trial(&server.url, vec![load(phase(ArrivalsPlan::Closed { concurrency: 1 }, 1), 0)]);
    change(&mut spec);
    let (_, mut records) = run(spec);
    assert_eq!(records.len(), 1);
    records.remove(0).0
}

fn check(acts: Vec<Act>, expected: &Outcome) {
    let server = serve(move |_| acts.clone());
    let record = one(&server, |_| ());
    assert_eq!(record.outcome, *expected);
    assert_eq!(server.n_requests.load(Ordering::Relaxed), 1, "nothing is sent twice");
}

fn truncated(why: &str) -> Outcome {
    Outcome::Error(RequestError::Truncated(why.to_owned()))
}

#[test]
fn a_stream_is_recorded_with_kernel_stamps_and_its_text() {
    let server = serve(|_| stream(3, Duration::from_millis(20)));
    let plan = phase(ArrivalsPlan::Closed { concurrency: 1 }, 1);
    let (report, records) = run(trial(&server.url, vec![load(plan, 0)]));
    let (record, output) = &records[0];
    assert_eq!(record.outcome, Outcome::Ok);
    assert_eq!(record.stamps, StampSource::Kernel);
    assert_eq!(record.status, Some(200));
    assert_eq!(record.finish.as_deref(), Some("stop"));
    assert_eq!(
        record.usage.map(|usage| (usage.prompt, usage.completion)),
        Some((Some(3), Some(3)))
    );
    assert_eq!(
        record.events.kind_runs,
        [(EventKind::Content, 3), (EventKind::Other, 1), (EventKind::Done, 1)]
    );
    assert_eq!(output.as_ref().unwrap().text, "t0 t1 t2 ");
    // Stamps ascend, and tokens are at least as far apart as the server wrote them.
    let stamps: Vec<_> = record.events.iter().map(|(at, _)| at).collect();
    assert!(stamps.is_sorted());
    let sent = record.sent.unwrap();
    assert!(record.scheduled <= sent && sent < stamps[0]);
    for (earlier, later) in stamps.iter().zip(&stamps[1..3]) {
        assert!(*later - *earlier >= Nanos::from_millis(15), "{stamps:?}");
    }
    assert_eq!(record.connected, None, "the connection was open before");
    assert_eq!(report.phases[0].n_scheduled, 1);
    assert!(report.phases[0].drained >= record.done.unwrap());
}

#[test]
fn truncation_has_its_own_outcome_wherever_it_happens() {
    let head = || Act::Send(STREAM_HEAD.into());
    let a = || Act::Chunk(token("a"));
    check(vec![head(), a(), a(), Act::Close], &truncated("connection closed after 2 token events"));
    check(vec![Act::Close], &truncated("no response: connection closed"));
    let end = Act::Send("0\r\n\r\n".into());
    check(vec![head(), a(), end], &truncated("no finish reason"));
    let short = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 999\r\n\r\n";
    let what = truncated("connection closed after 0 token events");
    check(vec![Act::Send(short.into()), Act::Close], &what);
    let reset = serve(|_| vec![Act::Send(STREAM_HEAD.into()), Act::Chunk(token("a")), Act::Reset]);
    let record = one(&reset, |_| ());
    let Outcome::Error(RequestError::Truncated(why)) = &record.outcome else {
        panic!("{:?}", record.outcome)
    };
    assert!(why.contains("reset"), "{why}");
    assert_eq!(record.events.len(), 1, "what came before is kept");
}

#[test]
fn each_deadline_fires_alone() {
    let heartbeats = |before: Vec<Act>| {
        let mut acts = before;
        for _ in 0..300 {
            acts.push(Act::Wait(Duration::from_millis(10)));
            acts.push(Act::Chunk(": ping\n\n".to_owned()));
        }
        serve(move |_| acts.clone())
    };
    let head = || Act::Send(STREAM_HEAD.into());
    let short = Nanos::from_millis(200);
    let silent = serve(|_| vec![Act::Hang]);
    let before_first = heartbeats(vec![
        head(),
        Act::Chunk("data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n".to_owned()),
    ]);
    let after_first = heartbeats(vec![head(), Act::Chunk(token("a"))]);
    let outcome = |server: &Server, set: fn(&mut Deadlines, Nanos)| {
        let record = one(server, |spec| set(&mut spec.phases[0].plan.deadlines, short));
        record.outcome
    };
    let first: fn(&mut Deadlines, Nanos) = |deadlines, short| deadlines.first_token = short;
    let between: fn(&mut Deadlines, Nanos) = |deadlines, short| deadlines.between_tokens = short;
    let total: fn(&mut Deadlines, Nanos) = |deadlines, short| deadlines.total = short;
    let error = Outcome::Error;
    assert_eq!(outcome(&silent, first), error(RequestError::FirstTokenTimeout));
    assert_eq!(outcome(&before_first, first), error(RequestError::FirstTokenTimeout));
    assert_eq!(outcome(&after_first, between), error(RequestError::BetweenTokensTimeout));
    assert_eq!(outcome(&after_first, total), error(RequestError::TotalTimeout));
}

#[test]
fn a_connection_that_closes_between_requests_is_a_race_or_is_opened_anew() {
    // The server closes instead of answering the second request. The client cannot have known.
    let server =
        serve(
            |body| {
                if body == "{\"n\":0}" { stream(1, Duration::ZERO) } else { vec![Act::Close] }
            },
        );
    let plan = phase(ArrivalsPlan::Closed { concurrency: 1 }, 2);
    let (_, records) = run(trial(&server.url, vec![load(plan, 0)]));
    assert_eq!(records[0].0.outcome, Outcome::Ok);
    assert_eq!(records[1].0.outcome, Outcome::Error(RequestError::ConnReuseRace));
    assert_eq!(server.n_requests.load(Ordering::Relaxed), 2, "nothing is sent twice");
    // The server announces the close: a new connection serves the next request.
    for announced in
        ["connection: close", "connection: keep-alive\r\nconnection: close", "Connection: x, Close"]
    {
        let server = serve(move |_| {
            let body = format!(
                "{}data: {{\"choices\":[{{\"index\":0,\"finish_reason\":\"stop\"}}]}}\n\n",
                token("a")
            );
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{announced}\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            vec![Act::Send((head + &body).into_bytes()), Act::Close]
        });
        let plan = phase(ArrivalsPlan::Closed { concurrency: 1 }, 3);
        let (_, records) = run(trial(&server.url, vec![load(plan, 0)]));
        for (record, _) in &records {
            let found = (&record.outcome, &record.oddities[..]);
            assert_eq!(found, (&Outcome::Ok, &[Oddity::NoDone][..]), "{announced}");
        }
        assert!(records[1].0.connected.is_some());
        assert_eq!(server.n_connections.load(Ordering::Relaxed), 3);
    }
}

#[test]
fn a_server_that_is_not_there_is_a_connect_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let plan = phase(ArrivalsPlan::Closed { concurrency: 1 }, 2);
    let (_, records) = run(trial(&url, vec![load(plan, 0)]));
    for (record, _) in records {
        assert!(matches!(record.outcome, Outcome::Error(RequestError::Connect(_))), "{record:?}");
        assert_eq!(record.sent, None);
    }
}

#[test]
fn endless_and_huge_answers_are_cut() {
    let endless = serve(|_| {
        let mut acts = vec![Act::Send(STREAM_HEAD.into())];
        acts.extend((0..100_000).map(|_| Act::Chunk(token("again"))));
        acts
    });
    let record = one(&endless, |spec| {
        spec.phases[0].requests =
            Box::new(std::iter::once(Request { max_tokens: Some(8), ..request(0, 0) }));
    });
    let Outcome::Error(RequestError::TooLarge(_)) = record.outcome else {
        panic!("{:?}", record.outcome)
    };
    let huge = serve(|_| {
        let mut acts = vec![Act::Send(STREAM_HEAD.into())];
        acts.extend((0..10_000).map(|_| Act::Chunk("x".repeat(10_000))));
        acts
    });
    let record = one(&huge, |spec| spec.limits.event_bytes = 100_000);
    let Outcome::Error(RequestError::TooLarge(_)) = record.outcome else {
        panic!("{:?}", record.outcome)
    };
}

/// Returns a control that reports the engine gone after `n_requests` requests.
pub(crate) fn gone_after(server: &Server, n_requests: u64) -> Arc<Control> {
    let control = Arc::new(Control::default());
    let later = Arc::clone(&control);
    let seen = Arc::clone(&server.n_requests);
    std::thread::spawn(move || {
        while seen.load(Ordering::Relaxed) < n_requests {
            std::thread::sleep(Duration::from_millis(5));
        }
        later.engine_gone();
    });
    control
}

#[test]
fn an_interrupt_ends_every_request_with_its_cause() {
    let server = serve(|_| vec![Act::Hang]);
    let plan = phase(ArrivalsPlan::Constant { rate_per_s: 100.0 }, 1000);
    let spec = trial(&server.url, vec![load(plan, 0)]);
    let control = gone_after(&server, 5);
    let (report, records) = run_under(spec, &control);
    assert_eq!(report.aborted.as_deref(), Some("the engine is gone"));
    assert!((5..1000).contains(&records.len()), "{}", records.len());
    for (record, _) in records {
        assert_eq!(record.outcome, Outcome::Cancelled(CancelCause::EngineGone));
    }
}

#[test]
fn requests_that_outlive_the_drain_are_cancelled_and_never_reach_the_next_phase() {
    let server = serve(|body| {
        if body == "{\"n\":0}" {
            let mut acts = vec![Act::Send(STREAM_HEAD.into())];
            acts.extend([Act::Wait(Duration::from_millis(300)), Act::Chunk(token("late"))]);
            acts
        } else {
            stream(2, Duration::from_millis(100))
        }
    });
    let closed = ArrivalsPlan::Closed { concurrency: 1 };
    let short = Phase {
        duration: Some(Nanos::from_millis(50)),
        drain: Nanos::from_millis(100),
        ..phase(closed.clone(), 1)
    };
    let (report, records) =
        run(trial(&server.url, vec![load(short, 0), load(phase(closed, 2), 1)]));
    assert_eq!(records[0].0.outcome, Outcome::Cancelled(CancelCause::Deadline));
    for (record, output) in &records[1..] {
        assert_eq!((record.phase, &record.outcome), (1, &Outcome::Ok));
        assert_eq!(output.as_ref().unwrap().text, "t0 t1 ");
    }
    assert!(report.phases[0].drained <= report.phases[1].started);
}

/// Returns a trial of one conversation of three turns, each of which echoes what came before; its
/// further turns are due `delay` after the answer before, and the last not before its time.
fn conversation(url: &str, plan: Phase, delay: Nanos, last: Nanos) -> TrialSpec {
    let mut spec = trial(url, vec![load(plan, 0)]);
    let next_turn = |text: &str| {
        let prompt = Prompt::Text(text.to_owned());
        let is_last = text == "c";
        let not_before = if is_last { last } else { Nanos::ZERO };
        NextTurn { prompt, delay, not_before, max_tokens: is_last.then_some(9) }
    };
    let next_turns = ["b", "c"].map(next_turn).to_vec();
    spec.phases[0].requests =
        Box::new(std::iter::once(Request { next_turns, body: "a".into(), ..request(7, 0) }));
    spec.next_turn = Some(Arc::new(|body, answer, next| {
        let Prompt::Text(next) = &next.prompt else { return Err("a text".to_owned()) };
        Ok(Bytes::from(format!("{}{answer}{next}", String::from_utf8_lossy(body))))
    }));
    spec
}

#[test]
fn a_turn_with_a_time_of_its_own_is_sent_then() {
    let server = serve(|_| stream(1, Duration::ZERO));
    let (delay, at) = (Nanos::from_millis(5), Nanos::from_millis(400));
    let plan = phase(ArrivalsPlan::Closed { concurrency: 1 }, 1);
    let spec = conversation(&server.url, plan, delay, at);
    let mut due = Vec::new();
    let mut sink = |record: RequestRecord, _: Option<OutputRecord>| {
        due.push((record.scheduled, record.done.unwrap()));
        Ok(())
    };
    run_trial(spec, &mut sink, &Control::default(), &Live::default()).unwrap();
    let [first, second, last] = due[..] else { panic!("three turns: {due:?}") };
    assert!(second.0 >= first.1 + delay, "{due:?}");
    // From the first turn on, however late the one before was; later where that had not ended.
    let is_late = second.1 + delay > first.0 + at;
    assert!(last.0 == first.0 + at || is_late && last.0 >= second.1 + delay, "{due:?}");
}

#[test]
fn conversations_go_on_with_the_answers_they_got() {
    let server = serve(|body| {
        let mut acts = stream(1, Duration::ZERO);
        acts[2] = Act::Chunk(token(&format!("<{}>", body.replace('"', ""))));
        acts
    });
    let delay = Nanos::from_millis(30);
    let plan = phase(ArrivalsPlan::Closed { concurrency: 1 }, 1);
    let spec = conversation(&server.url, plan, delay, Nanos::ZERO);
    let mut records = Vec::new();
    let mut sink = |record: RequestRecord, output: Option<OutputRecord>| {
        let output = output.unwrap();
        assert_eq!(output.key(), record.key());
        records.push((record, output.text));
        Ok(())
    };
    let report = run_trial(spec, &mut sink, &Control::default(), &Live::default()).unwrap();
    assert_eq!(report.phases[0].n_scheduled, 3);
    let texts: Vec<_> = records.iter().map(|(record, text)| (record.turn, text.as_str())).collect();
    assert_eq!(texts, [(0, "<a>"), (1, "<a<a>b>"), (2, "<a<a>b<a<a>b>c>")]);
    assert!(records.iter().all(|(record, _)| (record.phase, record.index) == (0, 7)));
    let first = records[0].0.max_tokens;
    let limits: Vec<_> = records.iter().map(|(record, _)| record.max_tokens).collect();
    assert_eq!(limits, [first, first, Some(9)]);
    for pair in records.windows(2) {
        let [(before, _), (turn, _)] = pair else { panic!("two turns") };
        // Due its delay after the answer before ended, and sent then.
        assert!(turn.scheduled >= before.done.unwrap() + delay, "{turn:?}");
        assert!(turn.scheduled < before.done.unwrap() + delay + Nanos::from_secs(1), "{turn:?}");
        assert!(turn.sent.unwrap() >= turn.scheduled, "{turn:?}");
    }
}

#[test]
fn a_phase_of_a_duration_sends_no_turn_behind_its_end() {
    let server = serve(|_| stream(1, Duration::ZERO));
    let duration = Nanos::from_millis(500);
    let plan = Phase {
        duration: Some(duration),
        ..phase(ArrivalsPlan::Constant { rate_per_s: 100.0 }, 1)
    };
    // The second turn is due in the phase, the third would be behind its end.
    let (report, records) =
        run(conversation(&server.url, plan, Nanos::from_millis(300), Nanos::ZERO));
    assert_eq!(records.iter().map(|(record, _)| record.turn).collect::<Vec<_>>(), [0, 1]);
    let phase = &report.phases[0];
    assert_eq!(phase.stopped, phase.started + duration);
}

#[test]
fn a_closed_loop_of_a_duration_ends_with_its_last_answer_where_its_requests_run_out() {
    let server = serve(|_| stream(1, Duration::from_millis(20)));
    let of = |n_requests| {
        let duration = Some(Nanos::from_millis(400));
        let plan = Phase { duration, ..phase(ArrivalsPlan::Closed { concurrency: 2 }, n_requests) };
        let (report, records) = run(trial(&server.url, vec![load(plan, 0)]));
        let phase = &report.phases[0];
        (phase.stopped - phase.started, phase.drained - phase.started, records.len())
    };
    let (stopped, drained, n) = of(4);
    assert!(stopped == drained && drained < Nanos::from_millis(400), "{stopped:?} {drained:?}");
    assert_eq!(n, 4);
    let (stopped, drained, _) = of(1_000);
    assert!(stopped == Nanos::from_millis(400) && drained >= stopped, "{stopped:?} {drained:?}");
}

#[test]
fn a_warm_up_goes_on_until_it_is_steady() {
    let server = serve(|_| stream(1, Duration::ZERO));
    let plan = Phase {
        kind: PhaseKind::WarmUp,
        until_steady: Some(UntilSteady { max_rounds: 9 }),
        ..phase(ArrivalsPlan::Closed { concurrency: 2 }, 4)
    };
    let mut spec = trial(&server.url, vec![load(plan, 0)]);
    spec.is_steady = Some(Box::new(|rounds| {
        assert!(rounds.iter().all(|round| (round.n_ok, round.ttfts.len()) == (4, 4)));
        rounds.len() == 3
    }));
    let (report, records) = run(spec);
    let steadiness = report.phases[0].steadiness.unwrap();
    assert_eq!((steadiness.rounds, steadiness.steady, records.len()), (3, true, 12));
}

#[test]
fn a_warm_up_that_the_engine_refuses_ends_the_trial_with_its_words() {
    let server = serve(|_| {
        let body = r#"{"error":{"message":"no such model"}}"#;
        let head = format!(
            "HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        vec![Act::Send((head + body).into_bytes())]
    });
    let closed = ArrivalsPlan::Closed { concurrency: 1 };
    let warm_up = Phase { kind: PhaseKind::WarmUp, ..phase(closed.clone(), 2) };
    let phases = vec![load(warm_up, 0), load(phase(closed, 2), 1)];
    let (report, records) = run(trial(&server.url, phases));
    let why = "the engine refused every warm-up request: status 404: no such model";
    assert_eq!((report.aborted.as_deref(), records.len()), (Some(why), 2));
}

#[test]
fn a_sink_that_fails_ends_the_trial() {
    let server = serve(|_| stream(1, Duration::from_millis(5)));
    let plan = phase(ArrivalsPlan::Closed { concurrency: 1 }, 100_000);
    let spec = trial(&server.url, vec![load(plan, 0)]);
    let mut sink = |_, _| Err(std::io::Error::other("disk full"));
    let error = run_trial(spec, &mut sink, &Control::default(), &Live::default()).unwrap_err();
    assert_eq!(error.to_string(), "a record could not be stored: disk full");
}

#[test]
fn a_disk_that_stalls_shows_in_the_phase_as_long_as_nothing_is_sent() {
    let text = "x".repeat(100_000);
    let server = serve(move |_| {
        let mut acts = stream(0, Duration::ZERO);
        acts.insert(1, Act::Chunk(token(&text)));
        acts
    });
    // More bytes than fit between load thread and recorder.
    let plan = phase(ArrivalsPlan::Closed { concurrency: 4 }, 1_300);
    let spec = trial(&server.url, vec![load(plan, 0)]);
    let live = Live::default();
    let mut sent = Vec::new();
    let mut sink = |record: RequestRecord, _| {
        if sent.len() == 5 {
            // The disk hangs until the load has stood still for half a second.
            let mut n_sent = 0;
            while n_sent != live.sent.load(Ordering::Relaxed) {
                n_sent = live.sent.load(Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(500));
            }
        }
        sent.extend(record.sent);
        Ok(())
    };
    let report = run_trial(spec, &mut sink, &Control::default(), &live).unwrap();
    sent.sort_unstable();
    let silent = sent.windows(2).map(|pair| (pair[1] - pair[0], pair[0])).max().unwrap();
    let stalls = report.phases[0].stalls;
    assert!(stalls.n > 0 && stalls.longest >= Nanos::from_millis(300), "{stalls:?}");
    // Between the last send before it and the first after it lies the stall and little else.
    assert!(stalls.longest <= silent.0 && silent.1 <= stalls.longest_from, "{stalls:?} {silent:?}");
}

#[test]
fn several_load_threads_share_one_load_and_its_gate() {
    let check = |arrivals: ArrivalsPlan, at_once: usize| {
        let server = serve(|_| stream(3, Duration::from_millis(2)));
        let mut spec = trial(&server.url, vec![load(phase(arrivals, 60), 0)]);
        spec.n_threads = Some(3);
        let (report, records) = run(spec);
        assert_eq!((report.phases[0].n_scheduled, report.sentinel.n_load_threads), (60, 3));
        let indices: Vec<u64> = records.iter().map(|(record, _)| record.index).collect();
        assert_eq!(indices, (0..60).collect::<Vec<_>>());
        let spans: Vec<(Nanos, Nanos)> = records
            .iter()
            .map(|(record, _)| (record.sent.unwrap(), record.events.iter().last().unwrap().0))
            .collect();
        assert!(records.iter().all(|(record, _)| record.outcome == Outcome::Ok));
        let under_way =
            |at: Nanos| spans.iter().filter(|(from, to)| *from <= at && at < *to).count();
        let most = spans.iter().map(|(sent, _)| under_way(*sent)).max().unwrap();
        assert!(most <= at_once, "{most} at once");
    };
    check(ArrivalsPlan::Closed { concurrency: 7 }, 7);
    check(ArrivalsPlan::Constant { rate_per_s: 500.0 }, 60);
}
