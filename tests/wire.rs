//! From the wire to the report: what engines write, several tokens per event and odd streams.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "starts the program and a server, and reads what was written"
)]

mod summary;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use serde_json::Value;

const QUESTION: &str = "{\"question\":\"2+2?\",\"answer\":\"2+2=4\\n#### 4\"}\n";

/// Counts words, as the simulated engine does.
const WORDS: &str = r#"{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],
    "normalizer":null,"pre_tokenizer":{"type":"WhitespaceSplit"},"post_processor":null,
    "decoder":null,"model":{"type":"WordLevel","vocab":{"[UNK]":0},"unk_token":"[UNK]"}}"#;

/// Runs a scenario in a directory of its own; returns what was said and the summary.
fn run(dir: &Path, scenario: &str) -> (Output, Value) {
    run_with(dir, scenario, &[])
}

/// Runs with further variables in the environment.
fn run_with(dir: &Path, scenario: &str, variables: &[(&str, &str)]) -> (Output, Value) {
    fs::write(dir.join("s.toml"), scenario).unwrap();
    fs::write(dir.join("q.jsonl"), QUESTION).unwrap();
    fs::write(dir.join("words.json"), WORDS).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["run", "--quiet", "--out", "run", "s.toml"])
        .current_dir(dir)
        .env("HOME", dir)
        .env("XDG_CACHE_HOME", dir.join("cache"))
        .env("HF_HUB_OFFLINE", "1")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = fs::read_to_string(dir.join("run/summary.json"));
    let text = text.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (output, summary::parse(&text))
}

fn cell<'s>(summary: &'s Value, engine: &str, dataset: &str) -> &'s Value {
    let is_it = |cell: &&Value| {
        cell["keys"]["engine"] == engine && cell["keys"]["dataset"].as_str() == Some(dataset)
    };
    summary["cells"].as_array().unwrap().iter().find(is_it).unwrap()
}

fn caveat<'s>(cell: &'s Value, code: &str) -> Option<&'s str> {
    let caveats = cell["caveats"].as_array().unwrap();
    caveats.iter().find(|caveat| caveat["code"] == code)?["what"].as_str()
}

#[test]
fn time_per_token_holds_where_events_hold_several_and_is_bounded_where_nobody_counts() {
    let dir = tempfile::tempdir().unwrap();
    let scenario = r#"
        [engine.ids]
        preset     = "sim"
        extra-args = ["--multi-token-chunk", "4", "--token-ids"]
        [engine.continuous]
        preset     = "sim"
        extra-args = ["--multi-token-chunk", "4"]
        quirks     = { continuous-usage = true }
        [engine.final]
        preset     = "sim"
        extra-args = ["--multi-token-chunk", "4"]
        [engine.silent]
        preset     = "sim"
        extra-args = ["--multi-token-chunk", "4", "--usage", "none"]
        [engine.burst]
        preset     = "sim"
        extra-args = ["--late-burst"]

        [dataset.plain]
        source   = "gsm8k"
        location = "./q.jsonl"
        cycle    = true
        [dataset.counted]
        source    = "gsm8k"
        location  = "./q.jsonl"
        cycle     = true
        tokenizer = "./words.json"
        [matrix]
        dataset = ["plain", "counted"]

        [request]
        max-tokens = 28
        [phase.load]
        concurrency = 2
        requests    = 8
    "#;
    let (_, summary) = run(dir.path(), scenario);
    let tpot = |engine: &str, dataset: &str| {
        cell(&summary, engine, dataset)["distributions"]["tpot"]["mean"].as_f64()
    };
    // The simulated engine makes a token in 10 ms, whatever the number that share an event.
    for (engine, dataset) in
        [("ids", "plain"), ("continuous", "plain"), ("final", "counted"), ("silent", "counted")]
    {
        let found = tpot(engine, dataset).unwrap();
        assert!((found / 10.0 - 1.0).abs() < 0.01, "{engine} {dataset}: {found}");
        let itl = cell(&summary, engine, dataset)["distributions"]["itl"]["mean"].as_f64().unwrap();
        assert!((itl / 10.0 - 1.0).abs() < 0.01, "{engine} {dataset}: {itl}");
        assert_eq!(caveat(cell(&summary, engine, dataset), "tpot-bound"), None);
    }
    // 28 tokens in 7 events and 240 ms: at most 22 of them are in the first.
    let bounded = cell(&summary, "final", "plain");
    let what = caveat(bounded, "tpot-bound").unwrap();
    assert!(what.contains("in 8 of 8 answers"), "{what}");
    let (least, most) = what.rsplit_once("between ").unwrap().1.split_once(" and ").unwrap();
    let least: f64 = least.parse().unwrap();
    let most: f64 = most.strip_suffix(" ms").unwrap().parse().unwrap();
    assert!((least - 240.0 / 27.0).abs() < 0.1 && (most - 240.0 / 6.0).abs() < 0.5, "{what}");
    let report = fs::read_to_string(dir.path().join("run/report.html")).unwrap();
    assert!(report.contains(what), "the bound stands in the report");
    // Nobody counts at all: no TPOT, no rate, and not 0.
    let silent = cell(&summary, "silent", "plain");
    assert_eq!(tpot("silent", "plain"), None);
    assert!(silent["figures"]["output_throughput"]["value"].is_null());
    assert!(caveat(silent, "unknown-counts").is_some());
    // All tokens at once, after 320 ms.
    let burst = cell(&summary, "burst", "plain");
    assert_eq!(tpot("burst", "plain"), None);
    let what = caveat(burst, "late-burst").unwrap();
    assert!(what.starts_with("8 of 8 answers came in one late burst, such as 27 tokens"), "{what}");
}

const GOOD: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"#### 4\"}}]}\n\n\
    data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\
    \"usage\":{\"prompt_tokens\":9,\"completion_tokens\":5}}\n\ndata: [DONE]\n\n";

/// Serves one stream to every request but the probe's, which gets a good one. The thread ends with
/// the test's process.
fn serve(content_type: &'static str, body: String) -> String {
    serve_to(content_type, body, false)
}

/// Serves one stream to every request, the probe's too.
fn serve_all(content_type: &'static str, body: String) -> String {
    serve_to(content_type, body, true)
}

fn serve_to(content_type: &'static str, body: String, to_probe: bool) -> String {
    serve_by(move |request| {
        if request.starts_with("GET") {
            ("200 OK", "application/json", LIST.to_owned())
        } else if !to_probe && request.contains("The quick brown fox") {
            ("200 OK", "text/event-stream", GOOD.to_owned())
        } else {
            ("200 OK", content_type, body.clone())
        }
    })
}

const LIST: &str = r#"{"object":"list","data":[{"id":"m","object":"model"}]}"#;

/// Status, content type and body.
type Answer = (&'static str, &'static str, String);

/// Serves what `answer` makes of each request. The threads end with the test's process.
fn serve_by(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), Arc::clone(&answer));
            std::thread::spawn(move || {
                while let Some(request) = read_request(&mut stream) {
                    let (status, kind, body) = answer(&request);
                    let length = body.len();
                    let head = format!(
                        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}"
                    );
                    let answer = format!("{head}\r\n\r\n{body}");
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let n = stream.read(&mut piece).ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&piece[..n]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, rest)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok()
        });
        if rest.len() >= length.unwrap_or(0) {
            return Some(text);
        }
    }
}

/// Measures four requests against a stream; returns the cell, the report and the requests.
fn measure(content_type: &'static str, body: &str) -> (Value, String, String) {
    let dir = tempfile::tempdir().unwrap();
    let url = serve(content_type, body.to_owned());
    let scenario = format!(
        "[engine.fake]\npreset = \"endpoint\"\nurl = \"{url}\"\nmodel = \"m\"\n\
         ready-timeout = \"8s\"\n[dataset.q]\nsource = \"gsm8k\"\nlocation = \"./q.jsonl\"\n\
         cycle = true\n[score.a]\nextract = [\"strict\"]\n\
         [phase.load]\nconcurrency = 1\nrequests = 4\n"
    );
    let (output, summary) = run(dir.path(), &scenario);
    let report = fs::read_to_string(dir.path().join("run/report.md")).unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &report;
    let requests = fs::read_to_string(dir.path().join("run/requests.csv")).unwrap();
    (summary["cells"][0].clone(), said, requests)
}

#[test]
fn an_odd_stream_is_read_and_its_oddity_stands_in_the_report() {
    let odd = GOOD
        .replace("\n\n", "\n")
        .replace("\"#### 4\"", "[{\"type\":\"text\",\"text\":\"#### 4\"}]");
    let odd =
        odd.replace("prompt_tokens", "input_tokens").replace("completion_tokens", "output_tokens");
    let (cell, report, requests) = measure("application/json", &odd);
    assert_eq!((&cell["counts"]["ok"], &cell["accuracy"][0]["correct"]), (&4.into(), &1.into()));
    let what = caveat(&cell, "odd-streams").unwrap();
    for oddity in ["content type", "blank line", "not a string", "named otherwise"] {
        assert!(what.contains(oddity), "{oddity} in {what}");
    }
    assert!(report.contains(what));
    assert_eq!(requests.lines().filter(|row| row.contains(",5,stop,ok,")).count(), 4, "{requests}");
}

#[test]
fn an_answer_that_comes_again_whole_is_counted_and_graded_once() {
    let again = GOOD.replace(
        "\"delta\":{},\"finish_reason\"",
        "\"message\":{\"content\":\"#### 4\"},\"finish_reason\"",
    );
    let (cell, report, requests) = measure("text/event-stream", &again);
    assert_eq!((&cell["counts"]["ok"], &cell["accuracy"][0]["correct"]), (&4.into(), &1.into()));
    assert!(caveat(&cell, "odd-streams").unwrap().contains("had come already"), "{report}");
    assert_eq!(requests.lines().filter(|row| row.contains(",5,stop,ok,")).count(), 4, "{requests}");
}

#[test]
fn an_error_in_an_odd_form_is_a_failure_with_the_servers_words() {
    let error = "error: {\"code\":400,\"message\":\"exceeds the available context size\"}\n\n";
    let (cell, report, requests) =
        measure("text/event-stream", &(error.to_owned() + "data: [DONE]\n\n"));
    assert_eq!(cell["counts"]["errors"]["in-stream"], 4);
    assert!(report.contains("exceeds the available context size"), "{report}");
    assert_eq!(cell["accuracy"][0]["n"], 0, "a failure is not graded");
    assert!(requests.lines().skip(1).all(|row| row.ends_with(",request error,")), "{requests}");
}

#[test]
fn an_answer_in_an_unknown_form_is_a_failure_with_what_came() {
    let odd = GOOD.replace("\"delta\":{\"content\":\"#### 4\"}", "\"generated\":\"#### 4\"");
    let (cell, report, requests) = measure("text/event-stream", &odd);
    assert_eq!(cell["counts"]["errors"]["protocol"], 4, "{cell}");
    assert!(report.contains("no token, but") && report.contains("generated"), "{report}");
    assert_eq!(cell["accuracy"][0]["n"], 0, "a failure is not graded");
    assert!(requests.lines().skip(1).all(|row| row.ends_with(",request error,")), "{requests}");
}

/// Streams, and whether a load takes them for a complete answer.
fn streams() -> Vec<(&'static str, bool, String)> {
    let good = GOOD.to_owned();
    let token = |content: &str| {
        let delta = format!("{{\"index\":0,\"delta\":{{\"content\":{content}}}}}");
        format!("data: {{\"choices\":[{delta}]}}\n\n")
    };
    let end = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    vec![
        ("good", true, good.clone()),
        ("lines", true, good.replace("\n\n", "\n")),
        ("parts", true, good.replace("\"#### 4\"", "[{\"type\":\"text\",\"text\":\"4\"}]")),
        ("spelled", true, good.replace("[DONE]", "[done] ")),
        ("pinged", true, format!("ping\n\ndata: ping\n\n{good}")),
        ("renamed", true, good.replace("completion_tokens", "output_tokens")),
        ("unended", true, good.replace("data: [DONE]\n\n", "")),
        ("again", true, good.replace("\"delta\":{},", "\"message\":{\"content\":\"#### 4\"},")),
        (
            "reasoned",
            true,
            good.replace("\"index\":0,\"delta\":{\"content\"", "\"delta\":{\"reasoning\""),
        ),
        ("surrogate", true, token("\"\\ud83d\"") + end),
        ("unframed", true, good.replace("data: {\"choices\":[],", "{\"choices\":[],")),
        ("error", false, token("\"4\"") + "error: {\"message\":\"out of memory\"}\n\n"),
        ("reasonless", false, token("\"4\"")),
        ("null", false, token("\"4\"") + &end.replace("stop", "null")),
        (
            "whole",
            false,
            r#"{"choices":[{"message":{"content":"4"},"finish_reason":"stop"}]}"#.into(),
        ),
        ("page", false, "<html>busy</html>".to_owned()),
        ("nothing", false, "data: [DONE]\n\n".to_owned()),
    ]
}

#[test]
fn what_the_load_takes_for_an_answer_the_probe_takes_for_one_and_nothing_else() {
    // With the good stream for the probe the load meets each stream; without it the probe does.
    let summary = |serve: &dyn Fn(String) -> String| {
        let dir = tempfile::tempdir().unwrap();
        let mut scenario = String::new();
        for (name, _, body) in streams() {
            let url = serve(body);
            scenario += "[engine.";
            scenario += name;
            scenario +=
                "]\npreset = \"endpoint\"\nmodel = \"m\"\nready-timeout = \"20s\"\nurl = \"";
            scenario += &(url + "\"\n");
        }
        scenario += "[dataset.q]\nsource = \"gsm8k\"\nlocation = \"./q.jsonl\"\ncycle = true\n\
                     [phase.load]\nconcurrency = 1\nrequests = 1\n";
        run(dir.path(), &scenario).1
    };
    let by_load = summary(&|body| serve("text/event-stream", body));
    let by_probe = summary(&|body| serve_all("text/event-stream", body));
    for (name, is_answer, body) in streams() {
        let of = |summary: &Value| {
            let cells = summary["cells"].as_array().unwrap();
            cells.iter().find(|cell| cell["keys"]["engine"] == name).unwrap().clone()
        };
        let (load, probe) = (of(&by_load), of(&by_probe));
        assert_eq!(load["counts"]["ok"], u64::from(is_answer), "{name}: {body}\n{load}");
        let is_ready = probe["counts"]["scheduled"] != 0;
        assert_eq!(is_ready, is_answer, "{name}: {body}\n{probe}");
    }
}

#[test]
fn a_field_of_the_scenario_that_the_server_refuses_ends_the_start_and_no_request_is_sent() {
    let url = serve_by(|request| {
        if request.starts_with("GET") {
            ("200 OK", "application/json", LIST.to_owned())
        } else if request.contains("\"top_q\":") {
            ("400 Bad Request", "application/json", r#"{"error":"no `top_q` here"}"#.to_owned())
        } else {
            ("200 OK", "text/event-stream", GOOD.to_owned())
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let scenario = |request: &str| {
        format!(
            "[engine.fake]\npreset = \"endpoint\"\nurl = \"{url}\"\nmodel = \"m\"\n\
             {request}\n[dataset.q]\nsource = \"gsm8k\"\nlocation = \"./q.jsonl\"\ncycle = true\n\
             [phase.load]\nconcurrency = 1\nrequests = 4\n"
        )
    };
    let (output, summary) = run(dir.path(), &scenario("[request]\nextra-body = { top_q = 0.5 }"));
    assert_eq!(output.status.code(), Some(102), "no engine became ready");
    let cell = &summary["cells"][0];
    let why = cell["outcome"]["failed"]["message"].as_str().unwrap();
    assert!(why.contains("answered 400 (3 times): no `top_q` here"), "{why}");
    assert_eq!(cell["counts"]["scheduled"], 0, "{cell}");

    // One of two cells sends it: the engine serves the other, and the words stand with this one.
    let dir = tempfile::tempdir().unwrap();
    let both = "[matrix]\n\"request.extra-body\" = [{}, { top_q = 0.5 }]";
    let (_, summary) = run(dir.path(), &scenario(both));
    let cells = summary["cells"].as_array().unwrap();
    let n_ok: Vec<_> = cells.iter().map(|cell| cell["counts"]["ok"].as_u64().unwrap()).collect();
    assert_eq!(n_ok, [4, 0], "{summary}");
}

#[test]
fn queries_headers_and_a_bare_key_are_sent_by_probe_and_load_and_kept_nowhere() {
    // As Azure wants it: a version in the query, the key bare in a header of its own.
    let url = serve_by(|request| {
        let (line, head) = request.split_once("\r\n").unwrap();
        let path = line.split(' ').nth(1).unwrap();
        let is_at = |wanted: &str| path == format!("/openai/deployments/d{wanted}api-version=1");
        let head = head.to_ascii_lowercase();
        let has = |header: &str| head.lines().any(|line| line == header);
        let wanted = ["api-key: canary-key-1", "x-org: ours", "x-token: canary-token-2"];
        if !["/models?", "/chat/completions?", "/reset?", "/version?"].into_iter().any(is_at) {
            ("404 Not Found", "text/plain", format!("no {path}"))
        } else if !wanted.into_iter().all(has) || head.contains("authorization") {
            ("401 Unauthorized", "text/plain", head)
        } else if line.starts_with("GET") {
            ("200 OK", "application/json", LIST.to_owned())
        } else {
            ("200 OK", "text/event-stream", GOOD.to_owned())
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let scenario = format!(
        "[engine.azure]\npreset = \"endpoint\"\nmodel = \"m\"\nmodels = \"/models\"\n\
         url = \"{url}/openai/deployments/d?api-version=1\"\ncache-reset = \"POST /reset\"\n\
         api-key-env = \"AZURE_KEY\"\napi-key-header = \"Api-Key\"\n\
         headers = {{ X-Org = \"ours\" }}\nheaders-from = {{ X-Token = \"MY_TOKEN\" }}\n\
         [request]\npath = \"/chat/completions\"\n\
         [dataset.q]\nsource = \"gsm8k\"\nlocation = \"./q.jsonl\"\ncycle = true\n\
         [phase.load]\nconcurrency = 1\nrequests = 4\n"
    );
    let variables = [("AZURE_KEY", "canary-key-1"), ("MY_TOKEN", "canary-token-2")];
    let (output, summary) = run_with(dir.path(), &scenario, &variables);
    assert_eq!(summary["cells"][0]["counts"]["ok"], 4, "{summary}");
    let mut texts = vec![output.stdout, output.stderr];
    let mut open = vec![dir.path().to_owned()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            texts.push(fs::read(path).unwrap());
        }
    }
    for text in texts {
        let text = String::from_utf8_lossy(&text);
        assert!(!text.contains("canary"), "{text}");
        assert!(!text.contains("could not be reset"), "{text}");
    }
}

/// Serves a proxy that is the engine itself; returns its URL, and what it was asked for.
fn serve_proxy() -> (String, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let url = serve_by(move |request| {
        let line = request.lines().next().unwrap().to_owned();
        let is_open =
            request.to_ascii_lowercase().contains("proxy-authorization: basic bwu6y2fuyxj5");
        let answer = if !is_open {
            ("407 Proxy Authentication Required", "text/plain", "who are you?".to_owned())
        } else if line.starts_with("GET") {
            ("200 OK", "application/json", LIST.to_owned())
        } else {
            ("200 OK", "text/event-stream", GOOD.to_owned())
        };
        seen.lock().unwrap().push(line);
        answer
    });
    (url.replace("http://", "http://me:canary@"), asked)
}

#[test]
fn a_proxy_is_used_by_probe_and_load_where_the_scenario_says_so_and_never_for_loopback() {
    let scenario = |url: &str, proxy: &str| {
        format!(
            "[engine.far]\npreset = \"endpoint\"\nmodel = \"m\"\nurl = \"{url}\"\n{proxy}\n\
             [dataset.q]\nsource = \"gsm8k\"\nlocation = \"./q.jsonl\"\ncycle = true\n\
             [phase.load]\nconcurrency = 1\nrequests = 4\n"
        )
    };
    let run = |url: &str, key: &str, proxy: &str| {
        let dir = tempfile::tempdir().unwrap();
        // Both spellings: a shell may have either.
        let variables = [("HTTP_PROXY", proxy), ("http_proxy", proxy), ("NO_PROXY", "")];
        let (output, summary) = run_with(dir.path(), &scenario(url, key), &variables);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("canary"), "{said}");
        summary["cells"][0].clone()
    };
    let key = "proxy = \"environment\"";
    let (proxy, asked) = serve_proxy();
    let cell = run("http://engine.invalid/a", key, &proxy);
    assert_eq!(cell["counts"]["ok"], 4, "{cell}");
    let lines = std::mem::take(&mut *asked.lock().unwrap());
    let n_posts = lines.iter().filter(|line| line.starts_with("POST")).count();
    assert_eq!(n_posts, 5, "the probe and the load: {lines:?}");
    let is_whole = |line: &String| line.contains(" http://engine.invalid/a/");
    assert!(lines.iter().all(is_whole), "{lines:?}");

    // Not asked for: the host has no address, and the proxy hears nothing.
    let cell = run("http://engine.invalid/a", "", &proxy);
    let why = cell["outcome"]["failed"]["message"].as_str().unwrap();
    assert!(why.contains("find the host of http://engine.invalid"), "{why}");
    // Asked for, and the engine is on this machine.
    let here = serve("text/event-stream", GOOD.to_owned());
    let cell = run(&here, key, &proxy);
    assert_eq!(cell["counts"]["ok"], 4, "{cell}");
    assert_eq!(*asked.lock().unwrap(), Vec::<String>::new());
}

#[test]
fn what_a_proxy_refuses_is_told_as_the_proxys() {
    let failed = |url: &str, proxy: &str, variables: &[(&str, &str)]| {
        let dir = tempfile::tempdir().unwrap();
        let scenario = format!(
            "[engine.far]\npreset = \"endpoint\"\nmodel = \"m\"\nurl = \"{url}\"\nproxy = \"{proxy}\"\n\
             ready-timeout = \"2s\"\n\
             [dataset.q]\nsource = \"gsm8k\"\nlocation = \"./q.jsonl\"\ncycle = true\n\
             [phase.load]\nconcurrency = 1\nrequests = 4\n"
        );
        let (_, summary) = run_with(dir.path(), &scenario, variables);
        summary["cells"][0]["outcome"]["failed"]["message"].as_str().unwrap().to_owned()
    };
    // An address of RFC 5737, which is nobody's.
    let far = "http://192.0.2.2:9";
    let why = failed(far, "http://127.0.0.1:9", &[]);
    let expected =
        "GET http://192.0.2.2:9/v1/models by the proxy http://127.0.0.1:9: connection refused";
    assert!(why.contains(expected) && why.contains("are `url` and `proxy` right?"), "{why}");
    let why = failed(far, "http://proxy.invalid:3128", &[]);
    assert!(why.contains("find the host of the proxy http://proxy.invalid:3128"), "{why}");
    let proxy = serve_by(|_| ("403 Forbidden", "text/plain", "blocked".to_owned()));
    let why = failed("https://192.0.2.2:9", &proxy, &[]);
    let expected = format!("the proxy {proxy} open a tunnel to https://192.0.2.2:9/v1/models");
    assert!(why.contains(&expected) && why.contains("HTTP/1.1 403 Forbidden"), "{why}");
    assert!(!why.contains("waited"), "no wait mends it: {why}");
    // What the shell keeps from all proxies is not asked of one.
    let variables = [("HTTP_PROXY", &*proxy), ("http_proxy", &*proxy), ("NO_PROXY", "*")];
    let why = failed(far, "environment", &variables);
    assert!(!why.contains("proxy http") && !why.contains("403"), "{why}");
}
