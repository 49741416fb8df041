//! Waits in vain: what is told of an engine that runs already, and never becomes ready.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::thread;

use indexmap::IndexMap;

use super::*;
use crate::engine::credentials::Access;
use crate::engine::http::trust;
use crate::plan::cell::Api;
use crate::plan::launch::{LogPatterns, Quirks, Readiness};

/// Answers every request with this status line and body, as long as the process lives.
fn server(status: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            if socket.read(&mut [0; 4096]).unwrap() == 0 {
                continue;
            }
            let n_bytes = body.len();
            let head =
                format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {n_bytes}");
            write!(socket, "{head}\r\n\r\n{body}").unwrap();
        }
    });
    url
}

fn attached(base_url: &str, health: Option<&str>, timeout: Nanos) -> Launch {
    Launch {
        engine: "e".to_owned(),
        preset: "endpoint".to_owned(),
        argv: Vec::new(),
        env: BTreeMap::new(),
        env_from: BTreeMap::new(),
        env_recorded: Vec::new(),
        cwd: None,
        base_url: base_url.to_owned(),
        ca: None,
        api_key_env: None,
        model: "m".to_owned(),
        model_path: None,
        precision: None,
        readiness: Readiness {
            health: health.map(str::to_owned),
            models: Some("/v1/models".to_owned()),
            timeout,
        },
        stop_grace: Nanos::ZERO,
        requires: Vec::new(),
        log_patterns: LogPatterns::default(),
        metrics: None,
        cache_reset: None,
        version_argv: Vec::new(),
        configuration: IndexMap::new(),
        n_gpus: 0,
        cold_page_cache: false,
        extra_starts: 0,
        quirks: Quirks::default(),
    }
}

/// Returns why the wait ended, and how long it took.
fn wait(launch: &Launch) -> (FailureClass, String, Nanos) {
    let tls = trust::tls(&launch.base_url, None).unwrap();
    let http = Http::new(&launch.base_url, Access::default(), &tls).unwrap();
    let spawned_at = monotonic();
    let wait = Wait {
        launch,
        http: &http,
        interrupt: &Interrupt::new(),
        probe: &ProbeRequest { api: Api::Completions, path: "/v1/completions".to_owned() },
        own: None,
        spawned_at,
        stages: LogStages::follow(Path::new("/no/log"), &launch.log_patterns),
        on_step: &mut |_| {},
        ready: Ready::default(),
        waiting_for: "its start",
        last: LastAnswer::default(),
    };
    let Err(Unready::Failed(class, message)) = wait.until_ready() else {
        panic!("no failed wait");
    };
    (class, message, monotonic().saturating_sub(spawned_at))
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

    let (class, message, _) = wait(&attached(&url, None, Nanos::from_secs(60)));
    assert_eq!(class, FailureClass::Server);
    let told = format!("GET {url}/v1/models answered 404 (3 times): {{ \"detail\"");
    assert!(message.contains(&told), "{message}");
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
fn model_ids_are_read_from_both_kinds_of_lists() {
    assert_eq!(model_ids(r#"{"object":"list","data":[{"id":"a"},{"id":"b"}]}"#), ["a", "b"]);
    assert_eq!(model_ids(r#"{"models":[{"name":"llama3:8b"}]}"#), ["llama3:8b"]);
    assert!(model_ids("<html>").is_empty());
}
