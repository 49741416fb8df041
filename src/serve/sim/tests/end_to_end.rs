#![expect(clippy::disallowed_methods, reason = "tests: run a server on a thread and measure it")]
//! The simulated engine over real sockets.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clap::Parser;
use nix::sys::eventfd::EventFd;
use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::ring;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::super::SimArgs;
use super::super::port::listen;
use super::super::reactor::{Reactor, Stopped, WriteFaults};
use crate::clock;
use crate::seed::Seed;
use crate::serve::ServeError;
use crate::serve::sim::answer::AnswerBook;
use crate::serve::sim::engine::Engine;
use crate::serve::sim::tls;

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    args: SimArgs,
}

fn parse(arguments: &str) -> SimArgs {
    let words = std::iter::once("sim").chain(arguments.split_whitespace());
    CommandLine::try_parse_from(words).unwrap().args
}

/// A simulated engine on a thread of its own. Dropping it stops it.
struct Server {
    address: SocketAddr,
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<Stopped>>,
}

impl Server {
    fn start(arguments: &str) -> Self {
        Self::with_book(arguments, "")
    }

    fn with_book(arguments: &str, rows: &str) -> Self {
        let args = parse(arguments);
        let book = AnswerBook::parse(rows, 0.0, Seed(0)).unwrap();
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (send, receive) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let engine = Engine::new(&args, book, clock::monotonic(), 0);
            let write_faults = WriteFaults {
                split_bytes: args.faults.split_bytes,
                drip: args.faults.drip,
                heartbeat: args.faults.heartbeat,
                close_idle: args.faults.close_idle,
                crlf: args.faults.crlf,
            };
            let mut reactor =
                Reactor::new(listener, engine, write_faults, args.timing.spin, None).unwrap();
            if let Some(path) = &args.tls {
                reactor.secure(tls::config(path).unwrap());
            }
            send.send(reactor.stopper()).unwrap();
            reactor.run().unwrap()
        });
        Self { address, stop: receive.recv().unwrap(), thread: Some(thread) }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Sends a request with `Connection: close`, and returns the whole response.
    fn ask(&self, path: &str, body: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request(path, body, "close").as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn truth(&self) -> serde_json::Value {
        let text = self.ask("/truth", "");
        serde_json::from_str(text.split("\r\n\r\n").nth(1).unwrap()).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.write(1).unwrap();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn request(path: &str, body: &str, connection: &str) -> String {
    let method = if body.is_empty() { "GET" } else { "POST" };
    format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: {connection}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

const FAST: &str = "--ttft 0 --itl 0";
const STREAMED: &str =
    r#"{"prompt":"a b c","max_tokens":4,"stream":true,"stream_options":{"include_usage":true}}"#;
const WHOLE: &str = r#"{"prompt":"a b c","max_tokens":4}"#;

fn n_tokens(response: &str) -> usize {
    response.matches("\"text\":\" ").count()
}

#[test]
fn a_stream_has_its_tokens_its_usage_and_its_end() {
    let response = Server::start(FAST).ask("/v1/completions", STREAMED);
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert_eq!(n_tokens(&response), 4);
    assert!(response.contains(r#""prompt_tokens":3,"completion_tokens":4,"total_tokens":7"#));
    assert!(response.ends_with("data: [DONE]\n\n\r\n0\r\n\r\n"), "{response}");
}

#[test]
fn chats_and_answers_in_one_piece_work_too() {
    let server = Server::start(FAST);
    let body =
        r#"{"messages":[{"role":"user","content":"hello there"}],"max_completion_tokens":3}"#;
    let response = server.ask("/v1/chat/completions", body);
    assert!(response.contains(r#""message":{"role":"assistant","content":" "#), "{response}");
    assert!(response.contains(r#""prompt_tokens":2,"completion_tokens":3"#));
    assert!(server.ask("/v1/completions", WHOLE).contains(r#""finish_reason":"length""#));
}

#[test]
fn a_connection_serves_many_requests_also_when_they_arrive_together() {
    let server = Server::start(FAST);
    let mut stream = server.connect();
    let two = request("/v1/completions", STREAMED, "keep-alive").repeat(2);
    stream.write_all(two.as_bytes()).unwrap();
    stream.write_all(request("/v1/completions", WHOLE, "close").as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    assert_eq!(response.matches("HTTP/1.1 200 OK").count(), 3);
    assert_eq!(response.matches("[DONE]").count(), 2);
    assert_eq!(server.truth()["tokens"], 12);
}

#[test]
fn a_request_may_arrive_byte_by_byte() {
    let server = Server::start(FAST);
    let mut stream = server.connect();
    stream.set_nodelay(true).unwrap();
    for byte in request("/v1/completions", STREAMED, "close").bytes() {
        stream.write_all(&[byte]).unwrap();
    }
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    assert_eq!(n_tokens(&response), 4);
}

#[test]
fn known_questions_get_their_answers() {
    let rows = r#"{"question":"One and one?","answer":"It is \"2\".\n#### 2"}"#;
    let server = Server::with_book(FAST, rows);
    let body = r#"{"prompt":"Question: One and one?\nAnswer:","stream":true}"#;
    let response = server.ask("/v1/completions", body);
    assert!(response.contains(r#""text":" \"2\".""#), "{response}");
    assert!(response.contains(r#""finish_reason":"stop""#));
}

#[test]
fn errors_are_answered_with_their_status_and_the_engines_shape() {
    let server = Server::start(FAST);
    let check = |path: &str, body: &str, status: &str| {
        let response = server.ask(path, body);
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
        assert!(response.contains(r#"{"error":{"message":"#), "{response}");
    };
    check("/v1/completions", "{", "400");
    check("/v1/completions", r#"{"max_tokens":3}"#, "400");
    check("/v1/completions", r#"{"prompt":"a","n":2}"#, "400");
    check("/nowhere", "", "404");
    let failing = Server::start("--status 429 --retry-after 3");
    let response = failing.ask("/v1/completions", WHOLE);
    assert!(response.contains("429 Too Many Requests") && response.contains("retry-after: 3"));
}

#[test]
fn the_control_plane_answers() {
    let server = Server::start("--ttft 0 --itl 0 --model-id m");
    assert!(server.ask("/health", "").starts_with("HTTP/1.1 200"));
    assert!(server.ask("/v1/models", "").contains(r#""id":"m""#));
    assert!(server.ask("/version", "").contains("version"));
    server.ask("/v1/completions", WHOLE);
    let metrics = server.ask("/metrics", "");
    assert!(metrics.contains("vllm:generation_tokens_total{model_name=\"m\"} 4\n"), "{metrics}");
}

#[test]
fn a_repeated_prompt_is_cached_until_the_cache_is_reset() {
    let server = Server::start("--ttft 0 --itl 0 --prefix-cache");
    let cached = |expected: u32| {
        let response = server.ask("/v1/completions", WHOLE);
        assert!(response.contains(&format!(r#""cached_tokens":{expected}"#)), "{response}");
    };
    cached(0);
    cached(2);
    server.ask("/reset_prefix_cache", " ");
    cached(0);
}

#[test]
fn health_tells_the_truth_or_lies_or_flaps() {
    let status = |server: &Server| server.ask("/health", "")[9..12].to_owned();
    assert_eq!(status(&Server::start("--ready-after never")), "503");
    assert_eq!(status(&Server::start("--ready-after never --health lie")), "200");
    let flapping = Server::start("--health flap");
    assert_eq!([status(&flapping), status(&flapping), status(&flapping)], ["200", "503", "200"]);
    let loading = Server::start("--ready-after never").ask("/v1/completions", WHOLE);
    assert!(loading.starts_with("HTTP/1.1 503"));
}

#[test]
fn split_and_dripping_responses_are_complete() {
    for faults in ["--split-bytes 1", "--split-bytes 7 --crlf", "--drip 100000"] {
        let response = Server::start(&format!("{FAST} {faults}")).ask("/v1/completions", STREAMED);
        assert_eq!(n_tokens(&response), 4, "{faults}");
        assert!(response.ends_with("\r\n0\r\n\r\n"), "{faults}");
    }
}

#[test]
fn a_reset_and_a_cut_are_seen_by_the_client() {
    let server = Server::start("--ttft 0 --itl 2ms --rst-at 2");
    let mut stream = server.connect();
    stream.write_all(request("/v1/completions", STREAMED, "close").as_bytes()).unwrap();
    let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let cut = Server::start("--ttft 0 --itl 2ms --fin-at 2").ask("/v1/completions", STREAMED);
    assert_eq!(n_tokens(&cut), 2);
    assert!(!cut.contains("[DONE]") && !cut.ends_with("0\r\n\r\n"));
}

#[test]
fn heartbeats_go_on_while_a_stream_is_silent() {
    let server = Server::start("--ttft 0 --itl 0 --stall-at 0 --heartbeat 5ms");
    let mut stream = server.connect();
    stream.write_all(request("/v1/completions", STREAMED, "close").as_bytes()).unwrap();
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while text.matches(": keep-alive").count() < 3 {
        let n_bytes = stream.read(&mut buffer).unwrap();
        text.push_str(&String::from_utf8_lossy(&buffer[..n_bytes]));
    }
    assert_eq!(n_tokens(&text), 0);
}

#[test]
fn an_idle_connection_is_closed_after_its_time() {
    let server = Server::start("--close-idle 5ms");
    let mut stream = server.connect();
    assert_eq!(stream.read(&mut [0; 16]).unwrap(), 0);
}

#[test]
fn a_client_that_leaves_frees_its_slot_for_the_next() {
    let server = Server::start("--ttft 0 --itl 0 --slots 1 --stall-at 1");
    let mut first = server.connect();
    first.write_all(request("/v1/completions", STREAMED, "close").as_bytes()).unwrap();
    first.read_exact(&mut [0; 16]).unwrap();
    let mut second = server.connect();
    second.write_all(request("/v1/completions", STREAMED, "close").as_bytes()).unwrap();
    while server.truth()["waiting"] != 1 {}
    first.shutdown(Shutdown::Both).unwrap();
    second.read_exact(&mut [0; 16]).unwrap();
    let truth = server.truth();
    assert_eq!((&truth["running"], &truth["client_gone"]), (&1.into(), &1.into()));
}

#[test]
fn a_full_queue_refuses() {
    let server = Server::start("--ttft 0 --itl 0 --slots 1 --queue-limit 0 --stall-at 0");
    let mut first = server.connect();
    first.write_all(request("/v1/completions", STREAMED, "close").as_bytes()).unwrap();
    first.read_exact(&mut [0; 16]).unwrap();
    assert!(server.ask("/v1/completions", STREAMED).starts_with("HTTP/1.1 503"));
}

#[test]
fn a_port_that_is_taken_is_an_error_that_names_it() {
    let server = Server::start(FAST);
    let error = listen(server.address).unwrap_err();
    assert!(matches!(error, ServeError::Bind { address, .. } if address == server.address));
}

#[test]
fn events_carry_the_time_of_their_write() {
    let server = Server::start("--ttft 1ms --itl 1ms --stamps");
    let before = clock::monotonic().0;
    let response = server.ask("/v1/completions", STREAMED);
    let after = clock::monotonic().0;
    let stamps: Vec<u64> = response
        .split("\"sent_monotonic_ns\":")
        .skip(1)
        .map(|rest| rest.split('}').next().unwrap().parse().unwrap())
        .collect();
    // Four tokens and the usage, which shares its write with the last.
    assert_eq!(stamps.len(), 5);
    assert!(stamps.is_sorted() && before < stamps[0] && stamps[4] < after);
    // Each token has its own instant, even if the server is late with all of them.
    assert!(stamps[..4].windows(2).all(|pair| pair[0] < pair[1]) && stamps[3] == stamps[4]);
    // The last event tells of the first one: request in, write begun, write over.
    let told: Vec<&str> = response.split("\"first_token_monotonic_ns\":[").collect();
    let [_, told] = told[..] else { panic!("{response}") };
    let told = told.split(']').next().unwrap().split(',');
    let told: Vec<u64> = told.map(|number| number.parse().unwrap()).collect();
    assert!(told.is_sorted() && told[1] == stamps[0] && told[2] < stamps[1], "{told:?} {stamps:?}");
}

/// Requests over TLS, and each with `split` faults, so that the socket takes one answer in pieces.
#[test]
fn a_certificate_and_its_key_make_it_speak_tls() {
    let key = KeyPair::generate().unwrap();
    let names = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let own = names.self_signed(&key).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let pem = dir.path().join("engine.pem");
    std::fs::write(&pem, own.pem() + &key.serialize_pem()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(own.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = Arc::new(config);
    for more in ["", "--split-bytes 7"] {
        let server = Server::start(&format!("{FAST} --tls {} {more}", pem.display()));
        let client = ClientConnection::new(Arc::clone(&config), "localhost".try_into().unwrap());
        let mut stream = StreamOwned::new(client.unwrap(), server.connect());
        let two = request("/v1/completions", STREAMED, "keep-alive").repeat(2);
        stream.write_all(two.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while String::from_utf8_lossy(&answer).matches("[DONE]").count() < 2 {
            let mut part = [0; 4096];
            let n = stream.read(&mut part).unwrap();
            answer.extend_from_slice(&part[..n]);
        }
        assert_eq!(n_tokens(&String::from_utf8_lossy(&answer)), 8);
        // Without TLS there is no answer, and the engine goes on.
        let mut plain = server.connect();
        plain.write_all(request("/health", "", "close").as_bytes()).unwrap();
        let mut told = Vec::new();
        let _ = plain.read_to_end(&mut told);
        assert!(!told.starts_with(b"HTTP"), "{told:?}");
    }
    std::fs::write(&pem, own.pem()).unwrap();
    let why = tls::config(&pem).unwrap_err().to_string();
    assert!(why.contains("no private key"), "{why}");
}

#[test]
fn tokens_are_never_early() {
    let server = Server::start("--ttft 30ms --itl 5ms");
    let start = Instant::now();
    server.ask("/v1/completions", STREAMED);
    assert!(start.elapsed() >= Duration::from_millis(45));
    assert!(server.truth()["late_p50_ns"].as_u64().unwrap() > 0);
}
