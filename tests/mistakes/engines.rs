//! Engines that do not come up, and servers that are not as expected: what was tried, what came
//! instead, and what to do.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::bed::{Home, SCENARIO, Told, closed_port, path_text};
use crate::front::{Certificate, Front};

/// A load for engines that never get that far.
const LOAD: &str = "[dataset.d]\nsource = \"random\"\ninput-words = 5\n\
                    [phase.load]\nconcurrency = 1\nrequests = 1\n";

/// Answers every request in one way, until the test's process ends.
fn server(answer: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that has gone away is none of its business.
            drop(serve(stream.unwrap(), answer));
        }
    });
    port
}

fn serve(mut stream: TcpStream, answer: &str) -> std::io::Result<()> {
    // Whatever is asked, as in one packet; a greeting of TLS has no line to end.
    let n = stream.read(&mut [0; 4096])?;
    stream.write_all(if n == 0 { &[] } else { answer.as_bytes() })
}

/// Runs against an engine at a URL, and holds that it is given up in time.
fn attached(url: &str, keys: &str) -> Told {
    let home = Home::of(&format!(
        "[engine.running]\npreset = \"endpoint\"\nmodel = \"llama-3-8\"\nurl = \"{url}\"\n{keys}\n{LOAD}"
    ));
    let begin = Instant::now();
    let told = home.bench(&["run", "s.toml", "--out", "run"]);
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}: {told}");
    told.ends_with(102);
    // The table's row says it, not only the progress.
    assert!(told.out.contains("FAILED"), "{told}");
    told
}

/// Requires texts in the report, which wraps lines.
#[track_caller]
fn reports(told: &Told, texts: &[&str]) {
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let out = flat(&told.out);
    for text in texts {
        assert!(out.contains(text), "{text:?} is not reported by {told}");
    }
}

const JSON: &str = "Content-Type: application/json\r\nConnection: close\r\n";

#[test]
fn a_health_path_that_never_becomes_well_is_told_with_url_status_body_and_how_often() {
    let health = "health = \"/health\"\nready-timeout = \"2s\"";
    for (answer, status, body) in [
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 15\r\n\r\n{\"detail\":\"no\"}",
            "404",
            "{\"detail\":\"no\"}",
        ),
        ("HTTP/1.1 503 Busy\r\nContent-Length: 7\r\n\r\nloading", "503", "loading"),
    ] {
        let port = server(answer);
        let told = attached(&format!("http://127.0.0.1:{port}"), health);
        let url = format!("GET http://127.0.0.1:{port}/health answered {status} (");
        reports(&told, &[&url, " times)", body, "is `url` right?", "`ready-timeout`"]);
    }
    let port = closed_port();
    let told = attached(&format!("http://127.0.0.1:{port}"), health);
    let url = format!("GET http://127.0.0.1:{port}/health: connection refused (");
    reports(&told, &[&url, " times)", "is `url` right?"]);
}

#[test]
fn what_no_wait_mends_is_told_at_once_with_what_to_write() {
    let quick = |url: &str, said: &[&str]| {
        let begin = Instant::now();
        let told = attached(url, "health = \"/health\"\nready-timeout = \"30m\"");
        assert!(begin.elapsed() < Duration::from_secs(10), "{told}");
        reports(&told, said);
    };
    let plain = server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    quick(&format!("https://127.0.0.1:{plain}"), &["speak TLS", "http://"]);
    let moved = server("HTTP/1.1 307 Moved\r\nLocation: /v2/health\r\nContent-Length: 0\r\n\r\n");
    let url = format!("http://127.0.0.1:{moved}");
    quick(&url, &["answered 307", "redirects to", &format!("set `url = \"{url}/v2\"`")]);
    let locked = server("HTTP/1.1 401 No\r\nContent-Length: 6\r\n\r\nno key");
    quick(&format!("http://127.0.0.1:{locked}"), &["answered 401", "no key", "`api-key-env`"]);
    let second = server("\0\0\u{12}\u{4}\0\0\0\0\0");
    quick(&format!("http://127.0.0.1:{second}"), &["HTTP/1.1"]);
    let tls = Front::before(([127, 0, 0, 1], plain).into(), Certificate::Signed);
    quick(&tls.url(), &["trust the certificate", "`ca"]);
    quick(
        "http://no-such-host.invalid:1",
        &["find the host of", "no-such-host.invalid", "is its name right?"],
    );
}

#[test]
fn a_server_that_speaks_tls_on_a_port_that_is_asked_without_is_told_so() {
    let plain = server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    let tls = Front::before(([127, 0, 0, 1], plain).into(), Certificate::SelfSigned);
    let told = attached(&tls.url().replace("https", "http"), "ready-timeout = \"2s\"");
    reports(&told, &["https://"]);
}

#[test]
fn a_server_of_http2_alone_is_told_once_its_certificate_is_trusted() {
    let plain = server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    let tls = Front::before(([127, 0, 0, 1], plain).into(), Certificate::Http2Alone);
    let home = Home::new();
    let ca = home.write("ca.pem", &tls.authority);
    let told = attached(&tls.url(), &format!("ca = \"{}\"", path_text(&ca)));
    reports(&told, &["HTTP/1.1"]);
}

#[test]
fn an_address_without_anybody_is_given_up_within_ten_seconds() {
    // A network for documentation, RFC 5737: no host has such an address.
    let begin = Instant::now();
    let told = attached("http://192.0.2.1:8000", "");
    assert!(begin.elapsed() < Duration::from_secs(13), "{told}");
    reports(&told, &["http://192.0.2.1:8000", "is `url` right?"]);
}

#[test]
fn a_model_that_is_not_served_is_told_with_those_that_are_and_the_nearest() {
    let list = "{\"object\":\"list\",\"data\":[{\"id\":\"llama-3-8b\"},{\"id\":\"qwen\"}]}";
    let answer = format!("HTTP/1.1 200 OK\r\n{JSON}Content-Length: {}\r\n\r\n{list}", list.len());
    let port = server(answer.leak());
    let told = attached(
        &format!("http://127.0.0.1:{port}"),
        "models = \"/v1/models\"\nready-timeout = \"2s\"",
    );
    reports(
        &told,
        &[
            "serves `llama-3-8b`, `qwen` where `llama-3-8` was asked for",
            "did you mean `llama-3-8b`?",
        ],
    );
}

#[test]
fn a_list_of_models_behind_a_key_is_told_with_how_to_give_one() {
    let port = server("HTTP/1.1 401 No\r\nContent-Length: 15\r\n\r\nMissing API key");
    let told = attached(&format!("http://127.0.0.1:{port}"), "models = \"/v1/models\"");
    reports(&told, &["/v1/models answered 401", "Missing API key", "`api-key-env`"]);
}

/// An engine that is a line of shell.
fn started(shell: &str, keys: &str) -> String {
    format!(
        "[engine.mine]\nargv = [\"/bin/sh\", \"-c\", '{shell}', \"{{{{ port }}}}\"]\nmodel = \"m\"\n{keys}\n{LOAD}"
    )
}

#[test]
fn a_port_that_is_taken_is_told_with_the_program_that_holds_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("url = \"http://127.0.0.1:{port}\"");
    let told = Home::of(&started("sleep 60", &url)).bench(&["run", "s.toml", "--out", "run"]);
    told.ends_with(102);
    let holder = format!("port {port} is held by pid {} (", std::process::id());
    reports(&told, &[&holder]);
}

#[test]
fn an_engine_that_exits_at_once_has_its_status_and_last_lines_in_the_tables_row() {
    let shell = "echo loading weights; echo \"ValueError: no such dtype\" >&2; exit 3";
    let told = Home::of(&started(shell, "")).bench(&["run", "s.toml", "--out", "run"]);
    told.ends_with(102);
    reports(&told, &["exit status 3", "ValueError: no such dtype"]);
    let row = told.out.lines().find(|line| line.starts_with("mine") && line.contains("FAILED"));
    assert!(row.is_some(), "{told}");
}

#[test]
fn a_start_that_ends_for_want_of_a_setting_names_it_as_it_is_typed() {
    // As vLLM 0.32 writes it on a CPU.
    let line = "ValueError: Available memory on node 0 (9.1/23.4 GiB) on startup is less than desired CPU \
                memory utilization (0.92, 21.6 GiB). To resolve: decrease `--gpu-memory-utilization`";
    let shell = format!("echo '{line}'; exit 1");
    let scenario = format!(
        "[engine.small]\npreset = \"vllm\"\nmodel = \"m\"\nrequires = []\n\
         argv = [\"/bin/sh\", \"-c\", \"\"\"{shell}\"\"\", \"{{{{ port }}}} {{{{ memory_fraction | default(0.9) }}}}\"]\n{LOAD}"
    );
    let home = Home::of(&scenario);
    let told = home.bench(&["run", "s.toml", "--out", "run"]);
    told.ends_with(102);
    reports(&told, &["--set engine.small.memory-fraction=0.3"]);
    assert!(told.err.contains("way out: --set engine.small.memory-fraction=0.3"), "{told}");
    // What it names can be typed.
    let set = ["--set", "engine.small.memory-fraction=0.3"];
    home.bench(&["check", "s.toml", set[0], set[1]]).ends_with(0);
}

#[test]
fn an_engine_that_hangs_after_a_stack_trace_shows_it_while_it_is_waited_for() {
    let shell =
        "echo \"Traceback (most recent call last):\"; echo \"RuntimeError: no kernel\"; sleep 60";
    let home = Home::of(&started(shell, "ready-timeout = \"4s\"\nstop-grace = \"100ms\""));
    let told = home.bench(&["run", "s.toml", "--out", "run"]);
    told.ends_with(102);
    let waiting = told.err.lines().find(|line| line.contains("waiting for its port to be bound"));
    let waiting = waiting.unwrap_or_else(|| panic!("{told}"));
    assert!(waiting.contains(" s of 4") && waiting.contains("RuntimeError: no kernel"), "{told}");
    reports(&told, &["waited 4", "its port to be bound", "RuntimeError: no kernel"]);
}

#[test]
fn a_missing_directory_is_not_told_as_a_missing_program() {
    let scenario = SCENARIO.replacen("model = \"m\"", "model = \"m\"\ncwd = \"./nowhere\"", 1);
    let home = Home::of(&scenario);
    let told = home.bench(&["run", "s.toml", "--out", "run"]);
    told.ends_with(78).says(&["`cwd` of engine `mine` does not exist", "s.toml:"]);
    assert!(!home.path("run").exists(), "a run was begun");
}

/// A URL that no request can go to, what is wrong with it, and what is offered instead.
type Url<'a> = (&'a str, &'a str, &'a str);

#[test]
fn a_url_that_no_request_can_go_to_is_told_by_check() {
    let scenario =
        |keys: &str| format!("[engine.e]\npreset = \"endpoint\"\nmodel = \"m\"\n{keys}\n{LOAD}");
    let urls: [Url<'_>; 8] = [
        ("http://::1:8000", "no URL", "http://[::1]:8000"),
        ("http://[::1", "no URL", "http://127.0.0.1:8000"),
        ("http://", "no URL", "http://127.0.0.1:8000"),
        ("http://h:99999", "no URL", "http://127.0.0.1:8000"),
        ("http://h:port", "no URL", "http://127.0.0.1:8000"),
        ("http://h h", "no URL", "http://127.0.0.1:8000"),
        ("localhost:8000", "begins with `http://`", "http://localhost:8000"),
        ("HTTP://LOCALHOST:8000", "begins with `http://`", "http://LOCALHOST:8000"),
    ];
    for (url, why, instead) in urls {
        let told = Home::of(&scenario(&format!("url = \"{url}\""))).check();
        let instead = format!("write `url = \"{instead}\"`");
        told.ends_with(78).says(&[why, &instead, "s.toml:4:7"]).has_errors(1);
        // Filled in by a variable it is the same mistake.
        let filled = format!("[vars]\nthere = \"{url}\"\n{}", scenario("url = \"{{ there }}\""));
        Home::of(&filled).check().ends_with(78).says(&[why, &instead]).has_errors(1);
    }
    let there = "url = \"https://h:8000\"";
    for (key, said) in [
        ("ca = \"bad.pem\"", ["`ca` of engine `e`", "no PEM certificate"]),
        ("proxy = \"on off\"", ["`proxy` of engine `e`", "no URL of a proxy"]),
        ("proxy = \"socks5://p:1\"", ["`proxy` of engine `e`", "http://"]),
        ("speculative = \"ngram\"", ["`ngram` is not METHOD:TOKENS", "`ngram:5`"]),
    ] {
        let home = Home::of(&scenario(&format!("{there}\n{key}")));
        home.write("bad.pem", "hi\n");
        let told = home.check();
        told.ends_with(78).says(&said).says(&["s.toml:5:", "help: "]).says_not("\\n").has_errors(1);
    }
}

#[test]
fn an_empty_model_is_no_model_and_weights_that_are_not_there_are_doubtful() {
    for (key, more) in
        [("model", ""), ("model-path", "model = \"m\"\n"), ("program", "model = \"m\"\n")]
    {
        for empty in ["\"\"", "\"{{ nothing }}\""] {
            let text =
                format!("[vars]\nnothing = \"\"\n[engine.vllm]\n{more}{key} = {empty}\n{LOAD}");
            let told = Home::of(&text).check();
            told.ends_with(78).says(&[&format!("`{key}` is empty"), "s.toml:"]).has_errors(1);
        }
    }
    let away = SCENARIO.replace("model = \"m\"", "model = \"./away\"");
    Home::of(&away).check().ends_with(0).says(&["there are no weights at", "/away", "s.toml:"]);
    Home::of(SCENARIO).check().ends_with(0).says_not("weights");
}
