//! The tiny engine over real sockets, with the toy model.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use clap::Parser;
use tokio::sync::mpsc;

use super::super::batcher::{Batcher, Limits};
use super::super::http::HttpServer;
use super::super::{Server, TinyArgs, listen};
use super::toy;
use crate::openai::body::{ChatChoice, Generation, TextChoice};
use crate::seed::Seed;

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    args: TinyArgs,
}

/// An engine whose network runs in the background of the test.
struct Running {
    address: SocketAddr,
    http_server: Arc<HttpServer>,
    _runtime: tokio::runtime::Runtime,
}

impl Running {
    fn start(is_loaded: bool) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (submit, mut submissions) = mpsc::channel(16);
        let http_server = Arc::new(HttpServer::new("toy".into(), Seed(0), 7, submit));
        if is_loaded {
            let loaded = toy::shared();
            http_server.open(Arc::clone(&loaded));
            let limits = Limits { max_num_seqs: 4, max_num_batched_tokens: 64, n_threads: 1 };
            let counters = http_server.counters();
            runtime.spawn_blocking(move || {
                Batcher::new(loaded, limits, counters).run(&mut submissions);
            });
        }
        let listener = {
            let _guard = runtime.enter();
            listen("127.0.0.1:0".parse().unwrap()).unwrap()
        };
        let address = listener.local_addr().unwrap();
        let (_report, failed) = tokio::sync::oneshot::channel();
        let server = Server { address, listener, http: Arc::clone(&http_server), failed };
        runtime.spawn(async move {
            loop {
                let (stream, _) = server.listener.accept().await.unwrap();
                server.serve_connection(stream);
            }
        });
        Self { address, http_server, _runtime: runtime }
    }

    fn send(&self, path: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let method = if body.is_empty() { "GET" } else { "POST" };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    /// Returns status and body.
    fn ask(&self, path: &str, body: &str) -> (u16, String) {
        let mut bytes = Vec::new();
        self.send(path, body).read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    /// Returns the payloads of a stream's events.
    fn stream(&self, path: &str, body: &str) -> Vec<String> {
        let (status, text) = self.ask(path, body);
        assert_eq!(status, 200, "{text}");
        text.lines().filter_map(|line| line.strip_prefix("data: ")).map(str::to_owned).collect()
    }
}

const PROMPT: &str = r#""prompt":"Hello","max_tokens":12,"temperature":0,"ignore_eos":true"#;

#[test]
fn a_stream_and_a_whole_answer_say_the_same() {
    let engine = Running::start(true);
    let (status, body) = engine.ask("/v1/completions", &format!("{{{PROMPT}}}"));
    let whole: Generation<TextChoice> = serde_json::from_str(&body).unwrap();
    assert_eq!((status, whole.object.as_str()), (200, "text_completion"));
    let usage = whole.usage.unwrap();
    assert_eq!((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens), (5, 12, 17));

    let options = r#""stream":true,"stream_options":{"include_usage":true}"#;
    let mut events = engine.stream("/v1/completions", &format!("{{{PROMPT},{options}}}"));
    assert_eq!(events.pop().as_deref(), Some("[DONE]"));
    let chunks: Vec<Generation<TextChoice>> =
        events.iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    let (last, chunks) = chunks.split_last().unwrap();
    assert!(last.choices.is_empty());
    assert_eq!(last.usage.as_ref().unwrap().completion_tokens, 12);
    let text: String = chunks.iter().map(|chunk| chunk.choices[0].text.as_str()).collect();
    assert_eq!(text, whole.choices[0].text);
    let reasons: Vec<_> =
        chunks.iter().filter_map(|chunk| chunk.choices[0].finish_reason.as_deref()).collect();
    assert_eq!(reasons, ["length"]);
}

#[test]
fn a_chat_is_rendered_by_the_template_and_answered() {
    let engine = Running::start(true);
    let body = r#"{"messages":[{"role":"user","content":"Hi"}],"max_tokens":3,"temperature":0,"ignore_eos":true,"logprobs":true}"#;
    let (_, body) = engine.ask("/v1/chat/completions", body);
    let answer: Generation<ChatChoice> = serde_json::from_str(&body).unwrap();
    // "user: Hi\nassistant:" in bytes.
    assert_eq!(answer.usage.unwrap().prompt_tokens, 19);
    let logprobs = &answer.choices[0].logprobs.as_ref().unwrap().content;
    assert_eq!(logprobs.len(), 3);
    assert!(logprobs.iter().all(|logprob| logprob.logprob < 0.0 && logprob.logprob.is_finite()));
}

#[test]
fn token_ids_are_a_prompt_like_any_other() {
    let engine = Running::start(true);
    let ids = toy::shared().tokenizer.encode_fast("Hello", true).unwrap();
    let by_ids = PROMPT.replace("\"Hello\"", &format!("{:?}", ids.get_ids()));
    let text = |body: &str| {
        let (_, body) = engine.ask("/v1/completions", &format!("{{{body}}}"));
        serde_json::from_str::<Generation<TextChoice>>(&body).unwrap().choices[0].text.clone()
    };
    assert_eq!(text(&by_ids), text(PROMPT));
}

#[test]
fn a_seed_makes_sampling_repeatable() {
    let engine = Running::start(true);
    let text = |seed: &str| {
        let body = format!(r#"{{"prompt":"a","max_tokens":40,"temperature":1.5{seed}}}"#);
        let (_, body) = engine.ask("/v1/completions", &body);
        serde_json::from_str::<Generation<TextChoice>>(&body).unwrap().choices[0].text.clone()
    };
    assert_eq!(text(r#","seed":3"#), text(r#","seed":3"#));
    assert_ne!(text(r#","seed":3"#), text(r#","seed":4"#));
    assert_ne!(text(""), text(""));
}

#[test]
fn what_a_client_does_wrong_is_said() {
    let engine = Running::start(true);
    let check = |path: &str, body: &str, status: u16, part: &str| {
        let answer = engine.ask(path, body);
        assert!(answer.0 == status && answer.1.contains(part), "{answer:?}");
    };
    let completions = "/v1/completions";
    check(completions, "{", 400, "EOF");
    check(completions, "{}", 400, "there is no prompt");
    check(completions, r#"{"prompt":""}"#, 400, "the prompt is empty");
    check(completions, r#"{"prompt":[999]}"#, 400, "token 999");
    check(completions, r#"{"prompt":["a","b"]}"#, 400, "one prompt");
    check(completions, r#"{"prompt":"a","n":2}"#, 400, "\"param\":\"n\"");
    check(completions, r#"{"prompt":"a","temperature":-1}"#, 400, "\"param\":\"temperature\"");
    check(completions, r#"{"prompt":"a","top_p":0}"#, 400, "\"param\":\"top_p\"");
    check(completions, r#"{"prompt":"a","max_tokens":0}"#, 400, "at least 1");
    check(
        completions,
        r#"{"prompt":"abc","max_tokens":126}"#,
        400,
        "maximum context length is 128 tokens. However, you requested 129 tokens (3 in the prompt, 126 in the answer)",
    );
    check(completions, r#"{"prompt":"a","model":"gpt"}"#, 404, "does not exist");
    check("/v1/chat/completions", r#"{"messages":[]}"#, 400, "no messages");
    check("/nowhere", "", 404, "/nowhere");
}

#[test]
fn until_the_model_is_loaded_everything_is_503() {
    let engine = Running::start(false);
    for (path, body) in
        [("/health", ""), ("/v1/models", ""), ("/v1/completions", "{\"prompt\":\"a\"}")]
    {
        let (status, body) = engine.ask(path, body);
        assert!(status == 503 && body.contains("Loading model"), "{path} {status} {body}");
    }
    engine.http_server.open(toy::shared());
    assert_eq!(engine.ask("/health", "").0, 200);
    assert!(
        engine
            .ask("/v1/models", "")
            .1
            .contains(r#""id":"toy","object":"model","owned_by":"bench","max_model_len":128"#)
    );
}

#[test]
fn metrics_count_what_was_done_and_a_client_that_left_is_no_longer_served() {
    let engine = Running::start(true);
    engine.ask("/v1/completions", &format!("{{{PROMPT}}}"));
    let (_, metrics) = engine.ask("/metrics", "");
    assert!(metrics.contains("vllm:generation_tokens_total{model_name=\"toy\"} 12\n"), "{metrics}");
    assert!(metrics.contains("vllm:prompt_tokens_total{model_name=\"toy\"} 5\n"));

    let long = r#"{"prompt":"a","max_tokens":127,"ignore_eos":true,"stream":true}"#;
    let counters = engine.http_server.counters();
    let aborted_or_finished = || {
        let counters = counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.aborted + counters.finished
    };
    let mut stream = engine.send("/v1/completions", long);
    stream.read_exact(&mut [0; 32]).unwrap();
    drop(stream);
    // The answer is short: it may be finished before the engine notices.
    while aborted_or_finished() < 2 {}
    assert_eq!(counters.lock().unwrap_or_else(PoisonError::into_inner).running, 0);
}

#[test]
fn the_command_line_refuses_zeros() {
    let parse = |argument: &str| CommandLine::try_parse_from(["tiny", argument, "0"]);
    assert!(parse("--threads").is_err() && parse("--max-num-seqs").is_err());
    assert_eq!(parse("--port").unwrap().args.port, 0);
}
