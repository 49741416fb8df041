//! Tests of `https`: the libraries' transport over TLS is compared with the own transport without
//! TLS, against the same server.

use std::io::Write as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::load::clock::Epoch;
use crate::load::front::{Certificate, Front};
use crate::load::spec::{Control, Live, LoadError, Transport, TrialSpec};
use crate::load::tests::faults::{Records, gone_after, load, phase, run, run_under, trial};
use crate::load::tests::server::{Act, STREAM_HEAD, Server, serve, stream, token};
use crate::load::transport::client::Client as _;
use crate::load::transport::hyper::HyperClient;
use crate::load::transport::target::Endpoint;
use crate::load::trial::run_trial;
use crate::plan::cell::{ArrivalsPlan, Deadlines};
use crate::record::request::{
    CancelCause, Outcome, OutputRecord, RequestError, RequestRecord, StampSource,
};
use crate::units::Nanos;

const ONE: ArrivalsPlan = ArrivalsPlan::Closed { concurrency: 1 };

/// Returns settings that trust this front's authority and nobody else.
fn trusting(front: &Front) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(front.authority.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// Returns a trial that reaches the server through TLS.
fn secured(front: &Front, plan: ArrivalsPlan, n_requests: u64) -> TrialSpec {
    let mut spec = trial(&front.url(), vec![load(phase(plan, n_requests), 0)]);
    spec.target.transport = Transport::Auto;
    spec.target.tls = Some(trusting(front));
    spec
}

fn front_of(server: &Server) -> Front {
    Front::before(server.address, Certificate::Signed)
}

fn only(records: Records) -> RequestRecord {
    assert_eq!(records.len(), 1);
    records.into_iter().next().unwrap().0
}

#[test]
fn both_transports_tell_the_same_story() {
    let head = || Act::Send(STREAM_HEAD.into());
    let json = |status: &str, body: &str| {
        let n_bytes = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {n_bytes}\r\n\r\n"
        );
        vec![Act::Send((head + body).into_bytes())]
    };
    let odd_head = |fields: &str| {
        let mut acts = stream(1, Duration::ZERO);
        let head = STREAM_HEAD.strip_suffix("\r\n").unwrap();
        acts[0] = Act::Send(format!("{head}{fields}\r\n").into_bytes());
        acts
    };
    let many = |n: usize| (0..n).map(|i| format!("x-h{i}: v\r\n")).collect::<Vec<_>>().concat();
    let stories = move || {
        let a = || Act::Chunk(token("a"));
        let until_close = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        let finish = "data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\n";
        vec![
            stream(5, Duration::from_millis(10)),
            vec![head(), a(), Act::Close],
            vec![head(), a(), Act::Reset],
            vec![Act::Close],
            json("500 No", "oops"),
            json("404 Not Found", "{\"error\":{\"message\":\"no such model\"}}"),
            json("200 OK", "{\"error\":\"full\"}"),
            vec![Act::Send(b"garbage\r\n\r\n".into()), Act::Close],
            vec![head(), a(), Act::Send(b"zz\r\n".into()), Act::Close],
            vec![head(), a(), Act::Send(b"5\r\nab".into()), Act::Close],
            vec![head(), a(), Act::Chunk("data: {\"error\":\"out of memory\"}\n\n".to_owned())],
            vec![head(), Act::Chunk("data: [DONE]\n\n".to_owned()), Act::Send("0\r\n\r\n".into())],
            vec![
                Act::Send((until_close.to_owned() + &token("a") + finish).into_bytes()),
                Act::Close,
            ],
            stream(200, Duration::ZERO),
            odd_head("x-fold: a\r\n b\r\n"),
            odd_head("x-blank : a\r\n"),
            odd_head(&many(140)),
            odd_head(&many(600)),
            odd_head("no colon\r\n"),
            vec![
                Act::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nshort".into()),
                Act::Close,
            ],
        ]
    };
    let n_stories = stories().len() as u64;
    let server = serve(move |body| {
        let n: usize = body.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
        let mut acts = stories().swap_remove(n);
        acts.push(Act::Hang);
        acts
    });
    let story = |mut spec: TrialSpec| {
        // The deadline ends an exchange in which nothing more comes.
        spec.phases[0].plan.deadlines.between_tokens = Nanos::from_millis(500);
        let tell = |(record, output): (RequestRecord, Option<OutputRecord>)| {
            let mut outcome = format!("{:?}", record.outcome);
            // Each transport words the causes differently.
            outcome.truncate(outcome.find("(\"").unwrap_or(outcome.len()));
            let text = output.map(|output| output.text);
            let oddities = record.oddities;
            let kinds = record.events.kind_runs;
            let (usage, finish, n_bytes) = (record.usage, record.finish, record.body_bytes);
            (record.index, outcome, text, kinds, usage, finish, n_bytes, record.status, oddities)
        };
        run(spec).1.into_iter().map(tell).collect::<Vec<_>>()
    };
    let batch = ArrivalsPlan::Batch { size: n_stories as u32 };
    let plain = trial(&server.url, vec![load(phase(batch.clone(), n_stories), 0)]);
    let direct = story(plain);
    assert_eq!(direct[0].2.as_deref(), Some("t0 t1 t2 t3 t4 "));
    let mut unsecured = trial(&server.url, vec![load(phase(batch.clone(), n_stories), 0)]);
    unsecured.target.transport = Transport::Library;
    let front = front_of(&server);
    for spec in [unsecured, secured(&front, batch, n_stories)] {
        for (other, direct) in story(spec).iter().zip(&direct) {
            assert_eq!(other, direct);
        }
    }
}

#[test]
fn connections_are_open_and_secured_before_the_first_request() {
    let server = serve(|_| stream(2, Duration::from_millis(1)));
    let front = front_of(&server);
    let spec = secured(&front, ONE, 1);
    let endpoint = Endpoint::new(&spec.target).unwrap();
    let address = endpoint.address().unwrap();
    let mut client = HyperClient::new(Epoch::now(), &endpoint, address, &spec.target).unwrap();
    assert_eq!(client.warm(40, Nanos::from_secs(10)), 40);
    assert_eq!(client.warm(40, Nanos::from_secs(10)), 40, "what is open stays open");
    // The server ends its side of the last handshakes a little later than the client.
    while front.n_secured.load(Ordering::Relaxed) < 40 {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(front.n_secured.load(Ordering::Relaxed), 40);
    assert_eq!(server.n_requests.load(Ordering::Relaxed), 0);
    drop(client);

    let front = front_of(&server);
    let (_, records) = run(secured(&front, ArrivalsPlan::Closed { concurrency: 4 }, 24));
    for (record, _) in &records {
        assert_eq!((&record.outcome, record.connected), (&Outcome::Ok, None), "{record:?}");
        assert_eq!(record.stamps, StampSource::Kernel);
        let arrived: Vec<Nanos> = record.events.iter().map(|(at, _)| at).collect();
        assert!(record.sent.unwrap() <= record.headers.unwrap() && arrived.is_sorted());
    }
    assert_eq!(front.n_secured.load(Ordering::Relaxed), 4, "connections are used again");
}

#[test]
fn a_new_connection_has_its_stamp_and_a_reused_one_its_race() {
    // The server announces the close: the next request needs a new connection.
    let server = serve(|_| {
        let body = token("a") + "data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\n";
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        vec![Act::Send((head + &body).into_bytes()), Act::Close]
    });
    let (_, records) = run(secured(&front_of(&server), ONE, 3));
    assert_eq!(records[0].0.connected, None);
    for (record, _) in &records[1..] {
        assert_eq!(record.outcome, Outcome::Ok);
        let connected = record.connected.expect("a connection was opened for it");
        assert!(record.scheduled <= connected && connected <= record.sent.unwrap());
    }
    // The server closes without announcing it, and does not answer.
    let server = serve(|body| match body {
        "{\"n\":0}" => stream(1, Duration::ZERO),
        _ => vec![Act::Close],
    });
    let (_, records) = run(secured(&front_of(&server), ONE, 3));
    assert_eq!(records[0].0.outcome, Outcome::Ok);
    assert_eq!(records[1].0.outcome, Outcome::Error(RequestError::ConnReuseRace));
    assert!(
        matches!(&records[2].0.outcome, Outcome::Error(RequestError::Truncated(_))),
        "a new connection is no race: {:?}",
        records[2].0.outcome
    );
    assert_eq!(server.n_requests.load(Ordering::Relaxed), 3, "nothing is sent twice");
    // A target known to close silently gets a new connection for each request.
    let server = serve(|_| stream(1, Duration::ZERO));
    let front = front_of(&server);
    let mut spec = secured(&front, ONE, 5);
    spec.target.no_reuse = true;
    run(spec);
    assert_eq!(front.n_secured.load(Ordering::Relaxed), 5);
}

#[test]
fn each_deadline_fires_alone() {
    use RequestError::{BetweenTokensTimeout, FirstTokenTimeout, TotalTimeout};
    let heartbeats = |first: Vec<Act>| {
        serve(move |_| {
            let mut acts = vec![Act::Send(STREAM_HEAD.into())];
            acts.extend(first.clone());
            for _ in 0..300 {
                acts.push(Act::Wait(Duration::from_millis(10)));
                acts.push(Act::Chunk(": ping\n\n".to_owned()));
            }
            acts
        })
    };
    let before_first = heartbeats(Vec::new());
    let after_first = heartbeats(vec![Act::Chunk(token("a"))]);
    let check = |server: &Server, set: fn(&mut Deadlines, Nanos), expected: RequestError| {
        let mut spec = secured(&front_of(server), ONE, 1);
        set(&mut spec.phases[0].plan.deadlines, Nanos::from_millis(200));
        assert_eq!(only(run(spec).1).outcome, Outcome::Error(expected));
    };
    check(&before_first, |deadlines, short| deadlines.first_token = short, FirstTokenTimeout);
    check(&after_first, |deadlines, short| deadlines.between_tokens = short, BetweenTokensTimeout);
    check(&after_first, |deadlines, short| deadlines.total = short, TotalTimeout);
    // The server accepts connections but never begins TLS. Connections that cannot be opened in
    // advance must not delay the trial for long.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = serve(|_| Vec::new());
    let mut spec = secured(&front_of(&server), ONE, 1);
    spec.target.base_url = format!("https://{}", silent.local_addr().unwrap());
    spec.phases[0].plan.deadlines.connect = Nanos::from_millis(200);
    let record = only(run(spec).1);
    assert_eq!(record.outcome, Outcome::Error(RequestError::ConnectTimeout));
    assert_eq!(record.sent, None);
}

#[test]
fn a_cancelled_request_ends_at_once_and_its_connection_with_it() {
    let server = serve(|body| match body {
        "{\"n\":0}" => vec![Act::Send(STREAM_HEAD.into()), Act::Chunk(token("a")), Act::Hang],
        _ => stream(1, Duration::ZERO),
    });
    let mut spec = secured(&front_of(&server), ONE, 2);
    spec.phases[0].plan.cancel_after = Some(Nanos::from_millis(100));
    let (_, records) = run(spec);
    assert_eq!(records[0].0.outcome, Outcome::Cancelled(CancelCause::AfterTime));
    assert_eq!(records[0].0.events.len(), 1, "what came before is kept");
    assert_eq!(records[1].0.outcome, Outcome::Ok);
    assert!(records[1].0.connected.is_some(), "the cancelled one's connection is not used again");

    let server = serve(|_| vec![Act::Hang]);
    let spec = secured(&front_of(&server), ArrivalsPlan::Constant { rate_per_s: 100.0 }, 1000);
    let control = gone_after(&server, 5);
    let (_, records) = run_under(spec, &control);
    assert!((5..1000).contains(&records.len()), "{}", records.len());
    for (record, _) in records {
        assert_eq!(record.outcome, Outcome::Cancelled(CancelCause::EngineGone));
    }
}

#[test]
fn a_certificate_that_is_not_trusted_is_a_connect_error_that_says_so() {
    let server = serve(|_| stream(1, Duration::ZERO));
    let trusted = front_of(&server);
    let check = |url: &str, expected: &str| {
        let mut spec = secured(&trusted, ONE, 2);
        url.clone_into(&mut spec.target.base_url);
        for (record, _) in run(spec).1 {
            let Outcome::Error(RequestError::Connect(why)) = &record.outcome else {
                panic!("{:?}", record.outcome)
            };
            assert!(why.contains(expected), "{why}");
            assert_eq!(record.sent, None);
        }
    };
    check(&front_of(&server).url(), "not trusted");
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", plain.local_addr().unwrap());
    std::thread::spawn(move || {
        for connection in plain.incoming() {
            connection.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        }
    });
    check(&url, "no TLS");
    assert_eq!(server.n_requests.load(Ordering::Relaxed), 0);
    // An empty trust store is not the engine's fault.
    let mut spec = secured(&trusted, ONE, 1);
    spec.target.tls = None;
    let error = run_trial(spec, &mut |_, _| Ok(()), &Control::default(), &Live::default());
    assert!(matches!(error, Err(LoadError::BadUrl { .. })), "{error:?}");
}
