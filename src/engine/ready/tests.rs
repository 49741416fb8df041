//! Waits in vain: what is told of an engine that runs already, and never becomes ready.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;

use serde_json::Value;

use super::*;
use crate::engine::credentials::Access;
use crate::engine::http::trust;
use crate::plan::cell::Api;
use crate::plan::launch::Readiness;

/// Answers every request with this status line and body, as long as the process lives.
fn server(status: &'static str, body: &'static str) -> String {
    answering(move |_, _| (status.to_owned(), body.to_owned()))
}

/// Answers the n-th request, counted from 0, with the status line and body that `answer` makes of
/// n and the request. The status line may be followed by headers.
fn answering(answer: impl Fn(usize, &str) -> (String, String) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let mut n_requests = 0;
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let Some(request) = read_request(&mut socket) else { continue };
            let (status, body) = answer(n_requests, &request);
            n_requests += 1;
            let n_bytes = body.len();
            let head =
                format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {n_bytes}");
            write!(socket, "{head}\r\n\r\n{body}").unwrap();
        }
    });
    url
}

/// Reads a request to its end; `None` where the other side left.
fn read_request(socket: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let n_bytes = socket.read(&mut piece).ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&piece[..n_bytes]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, rest)) = text.split_once("\r\n\r\n") else { continue };
        let length = |line: &str| line.strip_prefix("content-length: ")?.parse::<usize>().ok();
        if rest.len() >= head.lines().find_map(length).unwrap_or(0) {
            return Some(text);
        }
    }
}

fn attached(base_url: &str, health: Option<&str>, timeout: Nanos) -> Launch {
    Launch {
        engine: "e".to_owned(),
        preset: "endpoint".to_owned(),
        base_url: base_url.to_owned(),
        model: "m".to_owned(),
        readiness: Readiness {
            health: health.map(str::to_owned),
            models: Some("/v1/models".to_owned()),
            timeout,
        },
        ..Launch::default()
    }
}

/// Returns how the wait ended, how long it took, and what was told of it meanwhile.
fn waited(launch: &Launch) -> (Result<Ready, Unready>, Nanos, Vec<StartStep>) {
    waited_with(launch, BTreeMap::new(), None)
}

/// Waits with a probe of a load that sends these fields, and asks for so many tokens.
fn waited_with(
    launch: &Launch,
    fields: BTreeMap<String, Value>,
    max_tokens: Option<u32>,
) -> (Result<Ready, Unready>, Nanos, Vec<StartStep>) {
    let tls = trust::tls(&launch.base_url, None).unwrap();
    let http = Http::new(&launch.base_url, Access::default(), &tls).unwrap();
    let spawned_at = monotonic();
    let mut steps = Vec::new();
    let wait = Wait {
        launch,
        http: &http,
        interrupt: &Interrupt::new(),
        probe: &ProbeRequest {
            api: Api::Completions,
            path: "/v1/completions".to_owned(),
            stream: true,
            fields,
            max_tokens,
        },
        own: None,
        spawned_at,
        stages: LogStages::follow(Path::new("/no/log"), &launch.log_patterns),
        on_step: &mut |step| steps.push(step),
        ready: Ready::default(),
        waiting_for: "its start",
        last: LastAnswer::default(),
        other_models: None,
        told_at: Nanos::ZERO,
    };
    let ended = wait.until_ready();
    (ended, monotonic().saturating_sub(spawned_at), steps)
}

/// Returns why the wait ended in vain, and how long it took.
fn wait(launch: &Launch) -> (FailureClass, String, Nanos) {
    match waited(launch) {
        (Err(Unready::Failed(class, message)), took, _) => (class, message, took),
        (other, ..) => panic!("no failed wait: {other:?}"),
    }
}

#[test]
fn a_dead_url_is_tried_until_the_limit_and_told_with_the_refusals() {
    let url = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let limit = Nanos::from_millis(400);
    let (class, message, took) = wait(&attached(&url, None, limit));
    assert_eq!(class, FailureClass::TimedOut);
    let told = format!("list of models: GET {url}/v1/models: connection refused (");
    assert!(message.contains(&told) && message.contains(" times)"), "{message}");
    assert!(message.contains("`ready-timeout`"), "{message}");
    assert!(took >= limit && took < Nanos::from_secs(10), "{took}");
}

#[test]
fn a_step_that_fails_tells_its_url_and_the_last_answer() {
    let url = server("404 Not Found", "{\n \"detail\": \"no such path\"\n}");
    let (class, message, _) = wait(&attached(&url, Some("/healthy"), Nanos::from_secs(3)));
    assert_eq!(class, FailureClass::TimedOut);
    assert!(message.contains(&format!("GET {url}/healthy answered 404 (")), "{message}");
    assert!(message.contains(" times): { \"detail\": \"no such path\" }"), "{message}");

    let url = server("422 Unprocessable", "{\"detail\": \"no\"}");
    let (class, message, _) = wait(&attached(&url, None, Nanos::from_secs(60)));
    assert_eq!(class, FailureClass::Server);
    let told = format!("GET {url}/v1/models answered 422 (3 times): {{\"detail\"");
    assert!(message.contains(&told), "{message}");
}

const LIST: &str = r#"{"data":[{"id":"served","root":"m"}]}"#;
const CHAT_ANSWER: &str = "data: {\"choices\":[{\"delta\":{\"content\":\" x\"},\"finish_reason\":\"length\"}]}\n\n\
                           data: [DONE]\n\n";
const ANSWER: &str = "data: {\"choices\":[{\"text\":\" x\",\"finish_reason\":\"length\"}]}\n\n\
                      data: [DONE]\n\n";

#[test]
fn what_a_starting_engine_answers_is_waited_for() {
    let url = answering(|n, _| {
        let (status, body) = match n {
            0 => ("404 Not Found", "{}"),
            1 => ("503 Service Unavailable", "loading"),
            2 => ("500 Internal Server Error", ""),
            3 => ("200 OK", r#"{"data":[]}"#),
            4 => ("200 OK", r#"{"data":[{"id":"another"}]}"#),
            5 => ("200 OK", LIST),
            6..10 => ("404 Not Found", r#"{"error":"no route yet"}"#),
            10..14 => ("502 Bad Gateway", "<html>"),
            _ => ("200 OK", ANSWER),
        };
        (status.to_owned(), body.to_owned())
    });
    let (ended, ..) = waited(&attached(&url, None, Nanos::from_secs(30)));
    assert_eq!(ended.unwrap().models, ["served"]);
}

#[test]
fn another_model_is_waited_for_until_the_limit_and_told_with_both_names() {
    let url = server("200 OK", r#"{"data":[{"id":"other"}]}"#);
    let limit = Nanos::from_millis(1_300);
    let (ended, took, steps) = waited(&attached(&url, None, limit));
    let Err(Unready::Failed(class, message)) = ended else { panic!("{ended:?}") };
    assert_eq!(class, FailureClass::WrongModel);
    assert!(message.starts_with("serves `other` where `m` was asked for: waited"), "{message}");
    assert!(took >= limit, "{took}");
    let [StartStep::Waiting { what, last, elapsed, limit: told }] = &steps[..] else {
        panic!("{steps:?}")
    };
    assert_eq!((what.as_str(), *told), ("`m` in its list of models", limit));
    assert!(last.contains("/v1/models answered 200 ("), "{last}");
    assert!(*elapsed >= Nanos::from_secs(1) && *elapsed <= limit, "{elapsed}");
}

#[test]
fn a_list_that_is_none_is_told_with_the_way_out() {
    let limit = Nanos::from_millis(400);
    let way_out = "`models = \"\"` goes on without the list";
    for (body, told) in [
        ("<html>log in", "(the answer is none)"),
        ("", "(the answer is none)"),
        ("{\"data\":{\"models\":[]}}", "(the answer is none)"),
        ("{\"data\":[]}", "serves no model"),
    ] {
        let (_, message, _) = wait(&attached(&server("200 OK", body), None, limit));
        assert!(message.contains(told) && message.contains(way_out), "{message}");
    }
    let missing = server("404 Not Found", "{}");
    let (_, message, _) = wait(&attached(&missing, None, limit));
    assert!(message.contains(way_out), "{message}");
    let other = server("405 Method Not Allowed", "no method");
    let (_, message, _) = wait(&attached(&other, None, Nanos::from_secs(60)));
    assert!(message.starts_with("does not list its models") && message.contains(way_out));
}

#[test]
fn an_engine_that_has_the_other_api_alone_is_told_with_the_way_out() {
    let url = answering(|_, request| {
        let (status, body) = match request.split(' ').nth(1).unwrap() {
            "/v1/models" => ("200 OK", LIST),
            "/v1/chat/completions" => ("200 OK", CHAT_ANSWER),
            _ => ("404 Not Found", "{}"),
        };
        (status.to_owned(), body.to_owned())
    });
    let (class, message, took) = wait(&attached(&url, None, Nanos::from_secs(60)));
    assert_eq!(class, FailureClass::Server);
    assert!(took < Nanos::from_secs(20), "it was waited for: {took}");
    let told = format!(
        "POST {url}/v1/completions answered 404 (once): {{}}; /v1/chat/completions answers: set `api = \"chat\"` in [request]"
    );
    assert_eq!(message, told);
}

#[test]
fn a_field_that_is_refused_is_told_with_the_way_out() {
    let url = answering(|_, request| {
        let refused = "{\"error\":{\"message\":\"Unrecognized request argument supplied: top_p\"}}";
        let is_list = request.starts_with("GET");
        let (status, body) = if is_list { ("200 OK", LIST) } else { ("400 Bad Request", refused) };
        (status.to_owned(), body.to_owned())
    });
    let (_, message, _) = wait(&attached(&url, None, Nanos::from_secs(60)));
    assert!(message.ends_with("`quirks = { omit = [\"top_p\"] }` leaves it out"), "{message}");
}

#[test]
fn every_field_that_a_strict_server_refuses_by_its_place_is_told() {
    let extra = |name: &str| {
        let why = "Extra inputs are not permitted";
        format!("{{\"type\":\"extra_forbidden\",\"loc\":[\"body\",\"{name}\"],\"msg\":\"{why}\"}}")
    };
    let refused = format!("{{\"detail\":[{},{}]}}", extra("stream_options"), extra("top_p"));
    let url = answering(move |_, request| {
        let is_list = request.starts_with("GET");
        let (status, body) = if is_list { ("200 OK", LIST) } else { ("422 No", &refused[..]) };
        (status.to_owned(), body.to_owned())
    });
    let (_, message, _) = wait(&attached(&url, None, Nanos::from_secs(60)));
    let told = "answered 422 (3 times): body.stream_options: Extra inputs are not permitted; \
                body.top_p: Extra inputs are not permitted; `quirks = { omit = [\"stream_options\", \
                \"top_p\"] }` leaves them out";
    assert!(message.ends_with(told), "{message}");
}

#[test]
fn a_field_of_the_scenario_that_is_refused_is_told_with_the_servers_words() {
    let url = answering(|_, request| {
        let refused = "{\"error\":{\"message\":\"unknown field `top_q`, not `seed`\"}}";
        let (status, body) = match request {
            list if list.starts_with("GET") => ("200 OK", LIST),
            odd if odd.contains("\"top_q\":3") => ("400 Bad Request", refused),
            _ => ("200 OK", ANSWER),
        };
        (status.to_owned(), body.to_owned())
    });
    let launch = attached(&url, None, Nanos::from_secs(60));
    let fields = BTreeMap::from([("top_q".to_owned(), Value::from(3))]);
    let (ended, took, _) = waited_with(&launch, fields, None);
    let Err(Unready::Failed(_, message)) = ended else { panic!("{ended:?}") };
    let told = "answered 400 (3 times): unknown field `top_q`, not `seed`; the scenario's `[request]` \
                has it sent: `top_q`";
    assert!(message.ends_with(told), "{message}");
    assert!(took < Nanos::from_secs(10), "{took}");
    let (ended, ..) = waited(&launch);
    assert_eq!(ended.unwrap().models, ["served"]);
}

#[test]
fn a_limit_that_another_field_forbids_is_raised_to_that_of_the_load() {
    let url = answering(|_, request| {
        let refused = "{\"error\":\"max_tokens must be greater than budget_tokens\"}";
        let begun = "data: {\"choices\":[{\"text\":\" x\"}]}\n\n";
        let (status, body) = match request {
            list if list.starts_with("GET") => ("200 OK", LIST),
            short if short.contains("\"max_tokens\":4") => ("400 Bad Request", refused),
            _ => ("200 OK", begun),
        };
        (status.to_owned(), body.to_owned())
    });
    let launch = attached(&url, None, Nanos::from_secs(30));
    let (ended, ..) = waited_with(&launch, BTreeMap::new(), Some(2_048));
    assert!(ended.is_ok(), "{ended:?}");
}

#[test]
fn a_redirect_ends_the_wait_and_is_told_with_its_target() {
    let moved = |request: &str| {
        let path = request.split(' ').nth(1).unwrap();
        (format!("307 Temporary Redirect\r\nlocation: https://new.example{path}"), String::new())
    };
    let limit = Nanos::from_secs(60);
    let of_list = answering(move |_, request| moved(request));
    let (class, message, took) = wait(&attached(&of_list, None, limit));
    assert_eq!(class, FailureClass::Server);
    let told = "answered 307 (once); it redirects to https://new.example/v1/models; set \
                `url = \"https://new.example\"`";
    assert!(message.ends_with(told), "{message}");
    assert!(took < Nanos::from_secs(10), "{took}");

    let of_answers = answering(move |n, request| match n {
        0 => ("200 OK".to_owned(), LIST.to_owned()),
        _ => moved(request),
    });
    let (_, message, _) = wait(&attached(&of_answers, None, limit));
    assert!(message.contains("POST ") && message.contains("`url = \"https://new.example\"`"));
}

#[test]
fn what_does_not_speak_http_1_ends_the_wait_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let _ = socket.read(&mut [0; 4096]).unwrap();
            // An empty SETTINGS frame, the server's preface of HTTP/2 (RFC 9113, section 3.4).
            socket.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).unwrap();
        }
    });
    let (class, message, took) = wait(&attached(&url, None, Nanos::from_secs(60)));
    assert_eq!(class, FailureClass::Server);
    assert!(message.contains("cannot speak HTTP/1.1 with http://127.0.0.1"), "{message}");
    assert!(took < Nanos::from_secs(10), "{took}");
}

#[test]
fn what_closes_without_a_word_may_speak_tls() {
    let told = |said: &'static str| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            for socket in listener.incoming() {
                let mut socket = socket.unwrap();
                read_request(&mut socket);
                socket.write_all(said.as_bytes()).unwrap();
            }
        });
        wait(&attached(&url, None, Nanos::from_millis(400))).1
    };
    let silent = told("");
    assert!(silent.contains("closed without an answer ("), "{silent}");
    assert!(silent.contains("; is it https:// instead?"), "{silent}");
    // What breaks off in the middle has spoken HTTP.
    let cut = told("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{");
    assert!(cut.contains("the answer broke off") && !cut.contains("https://"), "{cut}");
}

#[test]
fn the_probe_reads_the_heads_that_the_load_reads() {
    let fields = |n: usize| (0..n).map(|i| format!("\r\nx-h{i}: v")).collect::<Vec<_>>().concat();
    for more in [fields(140), "\r\nx-fold: a\r\n b".to_owned(), "\r\nx-blank : a".to_owned()] {
        let url = answering(move |_, request| {
            let body = if request.starts_with("GET") { LIST } else { ANSWER };
            (format!("200 OK{more}"), body.to_owned())
        });
        let (ended, ..) = waited(&attached(&url, None, Nanos::from_secs(30)));
        assert_eq!(ended.unwrap().models, ["served"]);
    }
    let url = answering(move |_, _| (format!("200 OK{}", fields(600)), LIST.to_owned()));
    let (_, message, took) = wait(&attached(&url, None, Nanos::from_secs(60)));
    let told = format!("read the answer of {url}/v1/models: a head of more than 512 fields");
    assert!(message.contains(&told), "{message}");
    assert!(took < Nanos::from_secs(10), "{took}");
    let url = server("200 OK\r\nno colon", LIST);
    let (_, message, _) = wait(&attached(&url, None, Nanos::from_secs(60)));
    assert!(message.contains("/v1/models: invalid HTTP header parsed"), "{message}");
}

#[test]
fn what_no_wait_mends_ends_at_once() {
    let limit = Nanos::from_secs(60);
    let url = server("401 Unauthorized", "{\"error\":\"who are you?\"}");
    let (_, message, took) = wait(&attached(&url, None, limit));
    let told = "/v1/models answered 401 (once): {\"error\":\"who are you?\"}";
    assert!(message.contains(told) && message.contains("`api-key-env`"), "{message}");
    assert!(took < Nanos::from_secs(10), "{took}");

    let (class, message, took) = wait(&attached("http://nowhere.invalid", None, limit));
    assert_eq!(class, FailureClass::Server);
    let told = "find the host of http://nowhere.invalid/v1/models";
    assert!(message.contains(told), "{message}");
    assert!(took < Nanos::from_secs(40), "{took}");
}

#[test]
fn a_server_that_answers_for_a_model_that_it_does_not_list_is_known_by_its_list() {
    let listed = |ids: &'static str| {
        let url = answering(move |_, request| {
            let is_list = request.starts_with("GET /v1/models ");
            let kind = "200 OK\r\ncontent-type: text/event-stream".to_owned();
            (kind, if is_list { ids } else { ANSWER }.to_owned())
        });
        let mut launch = attached(&url, None, Nanos::from_secs(30));
        launch.readiness.models = None;
        waited(&launch).0.unwrap().models
    };
    assert_eq!(listed(r#"{"data":[{"id":"a"},{"id":"b"}]}"#), ["a", "b"]);
    assert!(listed(r#"{"data":[{"id":"a"},{"id":"m"}]}"#).is_empty());
    assert!(listed("<html>").is_empty());
}

#[test]
fn an_answer_that_begins_and_never_ends_is_told_with_what_came() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let mut open = Vec::new();
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            read_request(&mut socket);
            socket
                .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n: a\r\n")
                .unwrap();
            open.push(socket);
        }
    });
    let tls = trust::tls(&url, None).unwrap();
    let http = Http::new(&url, Access::default(), &tls).unwrap();
    let request = ProbeRequest {
        api: Api::Completions,
        path: "/v1/completions".to_owned(),
        stream: true,
        fields: BTreeMap::new(),
        max_tokens: None,
    };
    let limit = Duration::from_millis(500);
    let launch = attached(&url, None, Nanos::from_secs(1));
    let mut look = || Ok::<(), std::convert::Infallible>(());
    let ended =
        probe::ask(&http, &launch, &request, probe::PROBE_TEXT, Extent::Short, limit, &mut look)
            .unwrap();
    let told = ended.unwrap_err().to_string();
    let expected = format!(
        "get the whole answer of {url}/v1/completions within 500ms: status 200 came, 3 bytes behind \
         its head, and no end"
    );
    assert_eq!(told, expected);
}
