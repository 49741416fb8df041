//! `bench quick` from outside: from a URL to a table, and what it says of servers that are not
//! as expected.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "starts the program and small servers, and reads what it wrote"
)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A server whose every answer is made by a function: path and body in, status and text out.
fn server(answer: impl Fn(&str, &Value) -> (u16, String) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that has gone away is none of its business.
            drop(serve(stream.unwrap(), &answer));
        }
    });
    url
}

/// How a server says where its answer ends; it closes the connection in either case.
#[derive(Clone, Copy, PartialEq)]
enum Framing {
    /// By a length, and a word on the end of the connection.
    Length,
    /// In chunks, and without a word.
    Chunked,
}

fn serve(
    stream: TcpStream,
    answer: &impl Fn(&str, &Value) -> (u16, String),
) -> std::io::Result<()> {
    serve_as(stream, answer, Framing::Length)
}

fn serve_as(
    mut stream: TcpStream,
    answer: &impl Fn(&str, &Value) -> (u16, String),
    framing: Framing,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut n_bytes = 0;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let header = line.to_ascii_lowercase();
        if let Some(length) = header.strip_prefix("content-length:") {
            n_bytes = length.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; n_bytes];
    reader.read_exact(&mut body)?;
    let (status, text) = answer(&path, &serde_json::from_slice(&body).unwrap_or_default());
    let kind = if text.starts_with("data:") { "text/event-stream" } else { "application/json" };
    if framing == Framing::Chunked {
        let n = text.len();
        // As llama-server does: a head of its own that ends as a chunked body does.
        write!(
            stream,
            "HTTP/1.1 {status} Said\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\
             Keep-Alive: timeout=5, max=100\r\n\r\n"
        )?;
        std::thread::sleep(Duration::from_millis(20));
        return write!(stream, "{n:x}\r\n{text}\r\n0\r\n\r\n");
    }
    write!(
        stream,
        "HTTP/1.1 {status} Said\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{text}",
        text.len()
    )
}

/// A server that points elsewhere whatever it is asked for.
fn moved(location: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            write!(
                stream,
                "HTTP/1.1 307 Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\
                 Connection: close\r\n\r\n"
            )
            .unwrap();
        }
    });
    url
}

fn models(ids: &[&str]) -> (u16, String) {
    let list: Vec<Value> = ids.iter().map(|id| json!({"id": id, "object": "model"})).collect();
    (200, json!({"object": "list", "data": list}).to_string())
}

/// The stream of an answer of that many words, by the chat or the completions endpoint.
fn streamed(is_chat: bool, n: u64) -> (u16, String) {
    let mut text = String::new();
    for _ in 0..n {
        let choice = if is_chat {
            json!({"index": 0, "delta": {"content": "word "}})
        } else {
            json!({"index": 0, "text": "word "})
        };
        text.push_str(&event(&json!({"choices": [choice]})));
    }
    let usage = json!({"prompt_tokens": 9, "completion_tokens": n, "total_tokens": 9 + n});
    text.push_str(&event(&json!({"choices": [], "usage": usage})));
    text.push_str("data: [DONE]\n\n");
    (200, text)
}

fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

fn quick(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bench"))
        .arg("quick")
        .args(args)
        .current_dir(dir)
        .env("HOME", dir)
        .env("XDG_CACHE_HOME", dir.join("cache"))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn told(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Holds what `bench quick URL --dry-run` finds out of a server against what it must hold and
/// must not; the scenario must pass `bench check`.
fn finds(url: &str, args: &[&str], has: &[&str], has_not: &[&str]) {
    let home = home();
    let output = quick(home.path(), &[&[url, "--dry-run"], args].concat());
    let text = told(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for part in has {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    for part in has_not {
        assert!(!text.contains(part), "{part:?} is in:\n{text}");
    }
    let mut check = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["check", "-"])
        .current_dir(home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    check.stdin.take().unwrap().write_all(&output.stdout).unwrap();
    let checked = check.wait_with_output().unwrap();
    assert!(told(&checked).contains("stdin: ok, "), "{}", told(&checked));
}

/// Holds what `bench quick` says of a server that it cannot measure.
fn refuses(args: &[&str], code: i32, has: &[&str]) {
    let home = home();
    let begin = Instant::now();
    let output = quick(home.path(), args);
    let text = told(&output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for part in has {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}: {text}", begin.elapsed());
    assert!(!home.path().join("runs").exists(), "nothing was begun");
}

#[test]
fn a_running_server_is_measured_by_its_url_alone_and_the_scenario_runs_again() {
    let url = server(|path, body| match path {
        "/v1/models" => models(&["small"]),
        "/v1/chat/completions" => streamed(true, body["max_tokens"].as_u64().unwrap()),
        _ => (404, "{}".to_owned()),
    });
    let home = home();
    let args =
        [&url[..], "--concurrency", "1,2", "--seconds", "1", "--output", "4", "--out", "run"];
    let output = quick(home.path(), &args);
    let text = told(&output);
    // What others do to this machine makes rows doubtful, never absent.
    assert!(matches!(output.status.code(), Some(0 | 103)), "{text}");
    for part in ["small", "TTFT", "TPOT", "tok/s", "run/scenario.toml"] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    let written = home.path().join("run/scenario.toml");
    let scenario = fs::read_to_string(&written).unwrap();
    assert!(scenario.starts_with("# Written by: bench quick "), "{scenario}");
    let again = Command::new(env!("CARGO_BIN_EXE_bench"))
        .arg("plan")
        .arg(&written)
        .current_dir(home.path())
        .output()
        .unwrap();
    assert!(told(&again).contains("concurrency=2"), "{}", told(&again));
}

#[test]
fn a_file_is_read_by_the_form_of_its_first_row() {
    let home = home();
    let check = |name: &str, row: &str, more: &[&str], has: &[&str]| {
        fs::write(home.path().join(name), format!("{row}\n")).unwrap();
        let args = [&["sim", "--dry-run", "--data", name], more].concat();
        let output = quick(home.path(), &args);
        let text = told(&output);
        assert_eq!(output.status.code(), Some(0), "{text}");
        for part in has {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
    };
    let chat =
        r#"{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Ho"}]}"#;
    check(
        "chat.jsonl",
        chat,
        &[],
        &["chat.jsonl: prompt from `messages`", r#"columns       = { prompt = "messages" }"#],
    );
    check(
        "sharegpt.json",
        r#"[{"conversations":[{"from":"human","value":"Hi"},{"from":"gpt","value":"Ho"}]}]"#,
        &[],
        &[r#"{ messages = "conversations" }"#],
    );
    check("q.csv", "question,answer\nWhy?,So", &[], &[r#"{ prompt = "question" }"#]);
    check(
        "alpaca.jsonl",
        r#"{"instruction":"Add","input":"1 and 2","output":"3"}"#,
        &[],
        &["{{ instruction }}"],
    );
    let words = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/models/word-problems-1m");
    let lengths = r#"{"input_length":20,"output_length":5}"#;
    check(
        "lengths.jsonl",
        lengths,
        &["--tokenizer", words],
        &[
            r#"{ input-length = "input_length", output-length = "output_length" }"#,
            r#"max-tokens    = "from-data""#,
        ],
    );
    let refused = |name: &str, row: &str, has: &str| {
        fs::write(home.path().join(name), format!("{row}\n")).unwrap();
        let output = quick(home.path(), &["sim", "--dry-run", "--data", name]);
        let text = told(&output);
        assert!(!output.status.success() && text.contains(has), "{text}");
    };
    refused("lengths.jsonl", lengths, "add --tokenizer");
    refused("other.jsonl", r#"{"a":"b"}"#, "no column is known to hold prompts: `a`");
}

#[test]
fn rows_of_a_chat_are_sent_with_their_history_and_their_tools() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let sent = std::sync::Arc::clone(&seen);
    let url = server(move |path, body| match path {
        "/v1/models" => models(&["small"]),
        "/v1/chat/completions" => {
            sent.lock().unwrap().push(body.clone());
            streamed(true, 4)
        }
        _ => (404, "{}".to_owned()),
    });
    let home = home();
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {}}}]);
    let row = json!({
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Ho"},
            {"role": "user", "content": "And now?"},
            {"role": "assistant", "content": "Nothing"},
        ],
        "tools": tools,
    });
    fs::write(home.path().join("chat.jsonl"), format!("{row}\n")).unwrap();
    let args = [&url[..], "--data", "chat.jsonl", "--concurrency", "1", "--seconds", "1"];
    let output = quick(home.path(), &[&args[..], &["--output", "4", "--out", "run"]].concat());
    let text = told(&output);
    assert!(matches!(output.status.code(), Some(0 | 103)), "{text}");
    let seen = seen.lock().unwrap();
    let is_row = |body: &&Value| body["messages"].as_array().is_some_and(|it| it.len() == 3);
    let body = seen.iter().find(is_row).unwrap_or_else(|| panic!("{text}"));
    assert_eq!(body["tools"], tools);
    let last = body["messages"][2]["content"].as_str().unwrap();
    assert!(last.ends_with("And now?"), "{body}");
}

#[test]
fn what_a_server_does_not_take_is_left_out() {
    let answers = |path: &str, body: &Value| match path {
        "/v1/models" => models(&["m"]),
        "/v1/chat/completions" => {
            let limit = body.get("max_tokens").or_else(|| body.get("max_completion_tokens"));
            streamed(true, limit.and_then(Value::as_u64).unwrap())
        }
        _ => (404, "{}".to_owned()),
    };
    finds(&server(answers), &[], &["ignore-eos", "model         = \"m\""], &["api ", "quirks"]);
    let strict = server(move |path, body| match body.get("ignore_eos") {
        Some(_) => (400, json!({"error": {"message": "unknown ignore_eos"}}).to_string()),
        None => answers(path, body),
    });
    finds(&strict, &[], &["answers may be shorter"], &["ignore-eos    =", "quirks"]);
    let stricter = server(move |path, body| match body.get("stream_options") {
        Some(_) => (422, json!({"detail": "stream_options"}).to_string()),
        None => answers(path, body),
    });
    let none_of = &["api ", "answers may be shorter"];
    finds(&stricter, &[], &["omit = [\"stream_options\"]", "ignore-eos    ="], none_of);
    let newer = server(move |path, body| match body.get("max_tokens") {
        Some(_) => (400, json!({"error": {"message": "use 'max_completion_tokens'"}}).to_string()),
        None => answers(path, body),
    });
    finds(&newer, &[], &["{ max-completion-tokens = true }"], &["omit"]);
}

#[test]
fn fields_of_the_sampling_that_a_server_refuses_are_not_sent_to_it() {
    // With the field's name, as OpenAI's models that think do, and without a word of it.
    for (fields, names_them) in
        [(&["top_p"][..], true), (&["top_p"], false), (&["temperature", "top_p"], true)]
    {
        let url = server(move |path, body| {
            let refused = fields.iter().find(|field| body.get(field).is_some());
            match (path, refused) {
                ("/v1/models", _) => models(&["m"]),
                ("/v1/chat/completions", Some(field)) => {
                    let why = if names_them { *field } else { "a field" };
                    let message = format!("Unrecognized request argument supplied: {why}");
                    (400, json!({"error": {"message": message}}).to_string())
                }
                ("/v1/chat/completions", None) => {
                    streamed(true, body["max_tokens"].as_u64().unwrap())
                }
                _ => (404, "{}".to_owned()),
            }
        });
        let mut sorted = fields.to_vec();
        sorted.sort_unstable_by_key(|field| *field != "top_p");
        let omit = format!("{{ omit = {sorted:?} }}");
        finds(&url, &[], &[&omit, "ignore-eos    =", "it takes no `top_p`"], &[]);
    }
    let home = home();
    let url = server(|path, body| match (path, body.get("top_p")) {
        ("/v1/models", _) => models(&["m"]),
        ("/v1/chat/completions", None) => streamed(true, body["max_tokens"].as_u64().unwrap()),
        _ => (400, json!({"error": {"message": "no top_p"}}).to_string()),
    });
    let args = [&url[..], "--concurrency", "1", "--seconds", "1", "--output", "4"];
    let output = quick(home.path(), &args);
    assert!(matches!(output.status.code(), Some(0 | 103)), "{}", told(&output));
}

#[test]
fn a_server_that_demands_more_tokens_than_a_probe_asks_for_is_found() {
    let url = server(|path, body| match (path, body["max_tokens"].as_u64()) {
        ("/v1/models", _) => models(&["m"]),
        ("/v1/chat/completions", Some(n)) if n >= 16 => streamed(true, n),
        ("/v1/chat/completions", _) => {
            let message = "Invalid 'max_output_tokens': integer below minimum value.";
            (400, json!({"error": {"message": message}}).to_string())
        }
        _ => (404, "{}".to_owned()),
    });
    finds(&url, &["--output", "64"], &["answers  chat, streamed"], &["quirks"]);
}

#[test]
fn an_answer_of_not_yet_decides_nothing() {
    let n_asked = AtomicUsize::new(0);
    let url = server(move |path, body| match path {
        "/v1/models" => models(&["m"]),
        "/v1/chat/completions" if n_asked.fetch_add(1, Ordering::Relaxed) == 0 => {
            (429, json!({"error": {"message": "rate limited, retry"}}).to_string())
        }
        "/v1/chat/completions" => streamed(true, body["max_tokens"].as_u64().unwrap()),
        "/v1/completions" => streamed(false, body["max_tokens"].as_u64().unwrap()),
        _ => (404, "{}".to_owned()),
    });
    finds(&url, &[], &["answers  chat, streamed"], &["api           ="]);
    let loading = server(|path, _| match path {
        "/v1/models" => models(&["m"]),
        _ => (503, json!({"error": {"message": "Loading model"}}).to_string()),
    });
    refuses(&[&loading], 69, &["answered 503", "Loading model", "wait until it is ready"]);
}

#[test]
fn a_model_that_hides_its_reasoning_is_found_by_what_it_counts() {
    let hiding = server(|path, body| match (path, body["max_tokens"].as_u64()) {
        ("/v1/models", _) => models(&["m"]),
        ("/v1/chat/completions", Some(n)) if n < 16 => {
            let choice = json!({"index": 0, "delta": {"role": "assistant"}});
            let end = json!({"index": 0, "delta": {}, "finish_reason": "length"});
            let usage = json!({"prompt_tokens": 9, "completion_tokens": n, "total_tokens": 9 + n,
                "completion_tokens_details": {"reasoning_tokens": n}});
            let events = [
                json!({"choices": [choice], "obfuscation": "XyZ123"}),
                json!({"choices": [end], "obfuscation": "ab"}),
                json!({"choices": [], "usage": usage, "obfuscation": "abc"}),
            ];
            (200, events.iter().map(event).collect::<String>() + "data: [DONE]\n\n")
        }
        ("/v1/chat/completions", Some(n)) => streamed(true, n),
        _ => (404, "{}".to_owned()),
    });
    finds(&hiding, &["--output", "64"], &["[engine.server]"], &["api           = \"completions\""]);
}

#[test]
fn the_api_that_answers_is_found_and_no_list_of_models_needs_a_name() {
    let completions = server(|path, body| match path {
        "/v1/completions" => streamed(false, body["max_tokens"].as_u64().unwrap()),
        _ => (404, "{}".to_owned()),
    });
    finds(
        &completions,
        &["--model", "m"],
        &["api           = \"completions\"", "models        = \"\"", "answered 404"],
        &[],
    );
    let came = "/v1/models answered 404 {}, which lists no model";
    refuses(&[&completions], 69, &[came, "--model NAME"]);
}

#[test]
fn what_the_command_line_lacks_is_told_before_anything_is_asked() {
    let keyless = ["http://localhost:1", "--api-key-env", "BENCH_TEST_NO_SUCH_KEY"];
    refuses(&keyless, 2, &["BENCH_TEST_NO_SUCH_KEY is not set", "export BENCH_TEST_NO_SUCH_KEY="]);
    refuses(&["http://me:secret@localhost:1"], 2, &["holds a password", "--api-key-env"]);
    refuses(&["vllm"], 2, &["which model vllm serves", "bench quick vllm MODEL"]);
    refuses(&["endpoint"], 2, &["endpoint starts nothing", "bench quick http://localhost:8000"]);
    refuses(&["endpoint", "http://localhost:1"], 69, &["http://localhost:1/v1/models"]);
    refuses(&["vllm", "http://localhost:1"], 2, &["vllm is started", "quick http://localhost:1"]);
    refuses(&["vllm", "m", "--model", "n"], 2, &["named twice"]);
    refuses(&["http://::1:8000"], 2, &["http://[::1]:8000"]);
    refuses(&["sim", "--data", "mnlu"], 2, &["did you mean `mmlu`?"]);
    let locked = server(|_, _| (401, json!({"error": {"message": "no"}}).to_string()));
    // Any variable that is set: it is not the key of this server.
    refuses(&[&locked, "--api-key-env", "PATH"], 69, &["it was sent the key in PATH"]);
    refuses(&[&locked], 69, &["--api-key-env OPENAI_API_KEY"]);
}

#[test]
fn a_model_that_is_not_on_the_list_is_told_to_be_none() {
    let url = server(|path, body| match path {
        "/v1/models" => models(&["big", "small"]),
        "/v1/chat/completions" => streamed(true, body["max_tokens"].as_u64().unwrap()),
        _ => (404, "{}".to_owned()),
    });
    finds(
        &url,
        &["--model", "smal"],
        &["it lists `big`, `small`, and answers for `smal`", "did you mean `small`?"],
        &[],
    );
    finds(&url, &["--model", "small"], &[], &["it lists"]);
    // The doubt stands beside the numbers, too.
    let home = home();
    let args = [&url, "--model", "other", "--concurrency", "1", "--seconds", "1", "--out", "run"];
    let output = quick(home.path(), &args);
    let summary = fs::read_to_string(home.path().join("run/summary.json")).unwrap();
    let doubt = "server lists `big`, `small`, and answers for `other` all the same";
    assert!(summary.contains(doubt), "{}\n{summary}", told(&output));
}

#[test]
fn a_mistake_is_told_in_words_of_the_command_line_before_a_server_is_waited_for() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let begin = Instant::now();
    refuses(&[&url, "--data", "no.jsonl"], 66, &["--data no.jsonl: there is no such file"]);
    refuses(&[&url, "--tokenizer", "./no"], 66, &["--tokenizer ./no: there is no such file"]);
    refuses(&["sim", "--precision", "fp64"], 2, &["--precision fp64", "it has: `fp16`, `fp32`"]);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    let fails = server(|path, _| match path {
        "/v1/models" => models(&["m"]),
        "/v1/chat/completions" => (500, json!({"error": "CUDA out of memory"}).to_string()),
        _ => (404, "{}".to_owned()),
    });
    refuses(&[&fails], 69, &["CUDA out of memory", "its log says why"]);
    let closes = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", closes.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in closes.incoming() {
            // As a port of TLS does that is asked without.
            let _ = stream.unwrap().read(&mut [0; 4096]).unwrap();
        }
    });
    refuses(&[&url], 69, &["the connection ended before it", "is it https:// instead?"]);
}

#[test]
fn a_mistake_in_the_scenario_that_is_made_is_told_as_the_flag_it_comes_from() {
    for (args, place, found) in [
        (&["sim", "--rate", "1e300"][..], "--> --rate:", "1e300"),
        (&["sim", "--concurrency", "4,4"], "--> --concurrency:", "[4, 4]"),
        (&["sim", "--set", "phase.load.rate=x"], "--> --set:", "phase.load.rate"),
    ] {
        refuses(args, 78, &[place, found]);
        let told = told(&quick(home().path(), args));
        assert!(!told.contains("quick.toml"), "{told}");
    }
}

#[test]
fn prompts_have_the_tokens_that_the_server_counts() {
    // A word is two tokens here, as in some vocabulary of characters.
    let url = server(|path, body| match path {
        "/v1/models" => models(&["m"]),
        "/tokenize" => {
            let n = body["prompt"].as_str().unwrap().split_whitespace().count() * 2;
            (200, json!({"count": n}).to_string())
        }
        "/v1/chat/completions" => streamed(true, body["max_tokens"].as_u64().unwrap()),
        _ => (404, "{}".to_owned()),
    });
    // 42 of the data set's words and 8 of salt.
    finds(
        &url,
        &["--input", "100"],
        &["input-words   = 42 ", "100 tokens with the salt, by the"],
        &[],
    );
}

#[test]
fn a_server_that_closes_connections_unannounced_gets_a_new_one_for_each_request() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // A name that has an IPv6 address as well, where nobody listens.
    let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let answer = |path: &str, body: &Value| match path {
                "/v1/models" => models(&["m"]),
                "/v1/chat/completions" => streamed(true, body["max_tokens"].as_u64().unwrap()),
                _ => (404, "{}".to_owned()),
            };
            drop(serve_as(stream.unwrap(), &answer, Framing::Chunked));
        }
    });
    finds(&url, &[], &["quirks        = { no-reuse = true }"], &["omit"]);
}

#[test]
fn several_models_are_listed_to_choose_from() {
    let url = server(|path, body| match (path, body["model"].as_str()) {
        ("/v1/models", _) => models(&["big", "small"]),
        ("/v1/chat/completions", Some("big" | "small")) => {
            streamed(true, body["max_tokens"].as_u64().unwrap())
        }
        _ => (404, json!({"error": "no such model"}).to_string()),
    });
    refuses(&[&url], 2, &["`big`, `small`", "--model big"]);
    finds(&url, &["--model", "small"], &["model         = \"small\""], &["models "]);
    refuses(&[&url, "--model", "smal"], 69, &["no such model", "smal", "did you mean `small`"]);
}

#[test]
fn a_server_that_is_not_there_or_wants_a_key_is_told_at_once() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    refuses(
        &[&closed.to_string()],
        69,
        &["connection refused", "/v1/models", "does the server run"],
    );
    refuses(&["http://no-such-host.invalid:1"], 69, &["find the host of"]);
    let locked = server(|_, _| (401, json!({"error": "no key"}).to_string()));
    refuses(&[&locked], 69, &["answered 401", "no key", "--api-key-env"]);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    refuses(&[&url], 69, &["/v1/models within 8s"]);
    refuses(
        &[&moved("https://f.invalid/b/v1/models")],
        69,
        &["redirects to https://f.invalid/b/v1/models: bench quick https://f.invalid/b\n"],
    );
    refuses(&[&moved("/login")], 69, &["/login: give the URL below which its /v1/… lies"]);
    refuses(&["vlm"], 2, &["neither a URL nor an engine", "did you mean `vllm`"]);
}

#[test]
fn an_engine_is_started_by_its_name() {
    let home = home();
    let args = ["sim", "--concurrency", "2", "--seconds", "1", "--output", "4", "--out", "run"];
    let output = quick(home.path(), &[&args[..], &["--set", "engine.sim.ttft=1ms"]].concat());
    assert!(matches!(output.status.code(), Some(0 | 103)), "{}", told(&output));
    let scenario = fs::read_to_string(home.path().join("run/scenario.toml")).unwrap();
    assert!(scenario.contains("[engine.sim]"), "{scenario}");
}

#[test]
fn what_is_set_stands_in_the_scenario_that_is_written() {
    let sets = [
        "request.temperature=0.7",
        "engine.sim.ttft=5ms",
        "phase.load.duration=2s",
        "slo.ttft=1s",
        "request.extra-body={ min_p = 0.1 }",
    ];
    let args: Vec<&str> = ["sim", "--dry-run"]
        .into_iter()
        .chain(sets.iter().flat_map(|set| ["--set", set]))
        .collect();
    let output = quick(home().path(), &args);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let scenario: toml::Table = String::from_utf8(output.stdout).unwrap().parse().unwrap();
    let text = |table: &str, key: &str| scenario[table][key].to_string();
    assert_eq!(text("request", "temperature"), "0.7");
    assert_eq!(text("slo", "ttft"), "\"1s\"");
    assert_eq!(scenario["engine"]["sim"]["ttft"].as_str(), Some("5ms"));
    assert_eq!(scenario["phase"]["load"]["duration"].as_str(), Some("2s"));
    assert_eq!(scenario["request"]["extra-body"]["min_p"].as_float(), Some(0.1));
    let output = quick(home().path(), &["sim", "--dry-run", "--set", "request.tempreture=1"]);
    assert_eq!(output.status.code(), Some(78), "{}", told(&output));
}

#[test]
fn a_preset_of_ones_own_is_found_again_from_the_scenario_that_was_written() {
    let home = home();
    let bench = |args: &[&str]| {
        let mut bench = Command::new(env!("CARGO_BIN_EXE_bench"));
        bench.args(args).current_dir(home.path()).output().unwrap()
    };
    fs::create_dir(home.path().join("engines")).unwrap();
    fs::write(home.path().join("engines/own.toml"), bench(&["presets", "sim"]).stdout).unwrap();
    for (nth, target) in ["own", "engines/own.toml"].into_iter().enumerate() {
        let dir = format!("run-{nth}");
        let args = [target, "--concurrency", "1", "--seconds", "1", "--out", &dir];
        let output = quick(home.path(), &args);
        assert!(matches!(output.status.code(), Some(0 | 103)), "{}", told(&output));
        let planned = bench(&["plan", &format!("{dir}/scenario.toml")]);
        assert_eq!(planned.status.code(), Some(0), "{}", told(&planned));
        assert!(told(&planned).contains("own"), "{}", told(&planned));
    }
    let made = bench(&["init", "--engine", "own", "elsewhere/s.toml"]);
    assert_eq!(made.status.code(), Some(0), "{}", told(&made));
    let checked = bench(&["check", "elsewhere/s.toml"]);
    assert_eq!(checked.status.code(), Some(0), "{}", told(&checked));
    let output = quick(home.path(), &["engines/none.toml"]);
    assert_eq!(output.status.code(), Some(66), "{}", told(&output));
    assert!(told(&output).contains("engines/none.toml"), "{}", told(&output));
}

#[test]
fn the_built_in_model_takes_the_prompts_that_quick_and_init_make_for_it() {
    let home = home();
    let args = ["tiny", "--concurrency", "1", "--seconds", "1", "--output", "4", "--out", "run"];
    let output = quick(home.path(), &args);
    assert!(matches!(output.status.code(), Some(0 | 103)), "{}", told(&output));
    let made = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["init", "--engine", "tiny", "-"])
        .output()
        .unwrap();
    let made = String::from_utf8(made.stdout).unwrap();
    let scenario = fs::read_to_string(home.path().join("run/scenario.toml")).unwrap();
    let words =
        |text: &str| text.lines().find(|line| line.starts_with("input-words")).unwrap().to_owned();
    assert_eq!(words(&made), words(&scenario));
}

#[test]
fn an_engine_is_not_asked_for_what_its_preset_says_it_refuses() {
    for (preset, takes) in [("transformers", false), ("vllm", true)] {
        let output = quick(home().path(), &[preset, "org/name", "--dry-run"]);
        let text = told(&output);
        assert_eq!(output.status.code(), Some(0), "{text}");
        assert_eq!(text.contains("ignore-eos"), takes, "{text}");
        let made = Command::new(env!("CARGO_BIN_EXE_bench"))
            .args(["init", "--engine", preset, "--model", "org/name", "-"])
            .output()
            .unwrap();
        assert_eq!(told(&made).contains("ignore-eos"), takes, "{}", told(&made));
    }
}

#[test]
fn progress_for_programs_is_json_lines_and_nothing_else() {
    let home = home();
    let args = ["sim", "--concurrency", "1", "--seconds", "1", "--output", "4", "--out", "run"];
    let output = quick(home.path(), &[&args[..], &["--progress", "json"]].concat());
    assert!(matches!(output.status.code(), Some(0 | 103)), "{}", told(&output));
    let lines = String::from_utf8(output.stderr).unwrap();
    assert!(lines.contains("{\"running\":"), "{lines}");
    for line in lines.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok_and(|it| it.is_object()), "{line:?}");
    }
}

#[test]
fn an_engine_that_cannot_run_here_fails_the_command() {
    let home = home();
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["quick", "vllm", "org/name", "--seconds", "1"])
        .current_dir(home.path())
        .env("PATH", "/nowhere")
        .output()
        .unwrap();
    let text = told(&output);
    assert_eq!(output.status.code(), Some(69), "{text}");
    assert!(text.contains("vllm: not on PATH") && text.contains("pip install vllm"), "{text}");
    let nothing = "error: tiny cannot run here: nomodel: no such file or directory\n  \
                   help: leave `model` out for the bundled one";
    refuses(&["tiny", "nomodel"], 69, &[nothing]);
}
