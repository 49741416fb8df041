//! The simulated engine's decision about each request, without sockets or timers.

use std::collections::HashSet;
use std::rc::Rc;

use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use sha2::{Digest, Sha256};

use super::answer::{AnswerBook, Words, count_words};
use super::args::{HealthMode, ResponseFaultArgs, SimArgs};
use super::event::Identity;
use super::head::Head;
use super::response::Responses;
use super::slots::Slots;
use super::stream::{Answer, Stream};
use super::timeline::{Pace, Timeline};
use super::truth::{Lateness, TruthRow};
use crate::openai::body::{ChatMessage, ErrorBody, GenerationRequest, ModelList, PromptField};
use crate::seed::Seed;
use crate::serve::counters::Counters;
use crate::units::Nanos;

/// A request that waits for its slot or is being answered.
#[derive(Debug)]
pub(crate) struct Job {
    /// The answer to come.
    pub answer: Answer,
    /// Whether the answer is streamed.
    pub is_stream: bool,
    /// The row of the truth log, as far as it is known.
    pub truth: TruthRow,
}

/// The decision about a request.
#[derive(Debug)]
pub(crate) enum Reply {
    /// This response is sent at this instant.
    At(Nanos, Vec<u8>),
    /// An answer begins as soon as a slot is free.
    Generate(Box<Job>),
    /// The process ends.
    Die,
}

/// The simulated engine.
#[derive(Debug)]
pub(crate) struct Engine {
    args: SimArgs,
    seed: Seed,
    book: AnswerBook,
    faults: Rc<ResponseFaultArgs>,
    responses: Responses,
    timeline: Timeline,
    failures: ChaCha8Rng,
    seen_prompts: HashSet<[u8; 32]>,
    created: u64,
    n_requests: u64,
    n_health_calls: u64,
    /// The requests being served and those that wait, by connection.
    pub slots: Slots<(usize, u64)>,
    /// Totals since the start.
    pub counters: Counters,
    /// Tokens of prompts and answers being served.
    pub n_context_tokens: u64,
    /// How late events were written after their instants.
    pub lateness: Lateness,
}

impl Engine {
    /// Returns an engine that starts at `epoch`; `created` is in seconds since 1970.
    pub(crate) fn new(args: &SimArgs, book: AnswerBook, epoch: Nanos, created: u64) -> Self {
        let seed = Seed(args.seed);
        let slots = Slots::new(
            args.timing.slots.unwrap_or(usize::MAX),
            args.timing.queue_limit.unwrap_or(usize::MAX),
        );
        Self {
            args: args.clone(),
            seed,
            book,
            faults: Rc::new(args.faults.clone()),
            responses: Responses {
                headers_mb: args.faults.headers_mb,
                retry_after: args.faults.retry_after,
            },
            timeline: Timeline { epoch, stalls: args.timing.stalls() },
            failures: seed.stream("failures"),
            seen_prompts: HashSet::new(),
            created,
            n_requests: 0,
            n_health_calls: 0,
            slots,
            counters: Counters::default(),
            n_context_tokens: 0,
            lateness: Lateness::default(),
        }
    }

    /// Returns the format of responses.
    pub(crate) fn responses(&self) -> Responses {
        self.responses
    }

    /// Whether its answers say when they were written.
    pub(crate) fn stamps(&self) -> bool {
        self.args.answers.stamps
    }

    /// Returns the engine's start and stalls.
    pub(crate) fn timeline(&self) -> Timeline {
        self.timeline
    }

    /// Decides about a request that arrived at `arrived`.
    pub(crate) fn decide(
        &mut self,
        head: &Head,
        body: &[u8],
        arrived: Nanos,
        realtime: Nanos,
    ) -> Reply {
        let now = self.timeline.after(arrived, Nanos::ZERO);
        let at_once = |bytes| Reply::At(now, bytes);
        match (head.method.as_str(), head.path.as_str()) {
            ("GET", "/health" | "/ping") => self.health(now),
            ("GET", "/v1/models") => {
                let models = ModelList::of(&self.args.model_id, "bench", None);
                at_once(self.responses.json(200, &models))
            }
            ("GET", "/version") => {
                let version = serde_json::json!({"version": env!("CARGO_PKG_VERSION")});
                at_once(self.responses.json(200, &version))
            }
            ("GET", "/metrics") => {
                let text = self.counters().prometheus(&self.args.model_id);
                at_once(self.responses.whole(200, "text/plain; version=0.0.4", text.as_bytes()))
            }
            ("GET", "/truth") => at_once(self.responses.json(200, &self.truth_totals())),
            ("POST", "/reset_prefix_cache") => {
                self.seen_prompts.clear();
                at_once(self.responses.whole(200, "text/plain", b""))
            }
            ("POST", "/v1/completions") => self.generate(false, body, now, arrived, realtime),
            ("POST", "/v1/chat/completions") => self.generate(true, body, now, arrived, realtime),
            (_, path) => at_once(self.responses.error(404, format!("there is no {path} here"))),
        }
    }

    fn is_ready(&self, now: Nanos) -> bool {
        let ready_after = self.args.process.ready_after.unwrap_or(Nanos::ZERO);
        now.saturating_sub(self.timeline.epoch) >= ready_after
    }

    fn health(&mut self, now: Nanos) -> Reply {
        self.n_health_calls += 1;
        let is_ready = self.is_ready(now);
        let (says_ready, at) = match self.args.process.health {
            HealthMode::Ok => (is_ready, now),
            HealthMode::Lie => (true, now),
            HealthMode::Flap => (is_ready && self.n_health_calls % 2 == 1, now),
            HealthMode::Unavailable => (false, now),
            HealthMode::Slow => (is_ready, now + Nanos::from_secs(5)),
        };
        let response = if says_ready {
            self.responses.whole(200, "application/json", b"{\"status\":\"ok\"}")
        } else {
            self.responses.error(503, "Loading model")
        };
        Reply::At(at, response)
    }

    fn generate(
        &mut self,
        chat: bool,
        body: &[u8],
        now: Nanos,
        arrived: Nanos,
        realtime: Nanos,
    ) -> Reply {
        self.n_requests += 1;
        if self.args.process.die_at_request == Some(self.n_requests) {
            return Reply::Die;
        }
        if !self.is_ready(now) {
            return Reply::At(now, self.responses.error(503, "Loading model"));
        }
        if let Some(response) = self.failure() {
            return Reply::At(now, response);
        }
        let request: GenerationRequest = match serde_json::from_slice(body) {
            Ok(request) => request,
            Err(error) => return Reply::At(now, self.responses.error(400, error.to_string())),
        };
        if request.n.is_some_and(|n| n != 1) {
            let error = ErrorBody::new(400, "one answer per request is all there is").about("n");
            return Reply::At(now, self.responses.json(400, &error));
        }
        let Some(prompt) = Prompt::of(&request, chat) else {
            let error = ErrorBody::new(400, "the request has no prompt, or several");
            return Reply::At(now, self.responses.json(400, &error));
        };
        let is_stream = request.is_stream();
        let answer = self.answer(chat, &request, &prompt);
        let truth = TruthRow {
            request: self.n_requests,
            arrived_ns: arrived.0,
            arrived_realtime_ns: realtime.0,
            prompt_sha256: hex(&prompt.sha256()),
            prompt_tokens: prompt.n_tokens,
            ..TruthRow::default()
        };
        Reply::Generate(Box::new(Job { answer, is_stream, truth }))
    }

    fn failure(&mut self) -> Option<Vec<u8>> {
        if self.args.faults.json_error_200 {
            let error = ErrorBody::new(500, "the simulated engine failed on purpose");
            return Some(self.responses.json(200, &error));
        }
        let rate = match (self.args.faults.fail_rate, self.args.faults.status) {
            (None, None) => return None,
            (None, Some(_)) => 1.0,
            (Some(rate), _) => rate,
        };
        let status = self.args.faults.status.unwrap_or(500);
        self.failures
            .random_bool(rate)
            .then(|| self.responses.error(status, "the simulated engine failed on purpose"))
    }

    fn answer(&mut self, chat: bool, request: &GenerationRequest, prompt: &Prompt) -> Answer {
        let known = prompt.text.as_deref().and_then(|text| self.book.look_up(text));
        let words = known.unwrap_or(Words::Filler(prompt.n_tokens));
        let limit = request.token_limit();
        let (n_tokens, finish_reason) = match (self.args.answers.tokens, words.n_tokens(), limit) {
            (Some(n_tokens), _, _) => (n_tokens, "length"),
            (None, Some(n_words), Some(limit)) if n_words > limit => (limit, "length"),
            (None, Some(n_words), _) => (n_words, "stop"),
            (None, None, Some(limit)) => (limit, "length"),
            (None, None, None) => (self.args.answers.default_tokens, "stop"),
        };
        let n_cached = self.cached_tokens(prompt);
        let kind = if chat { "chatcmpl" } else { "cmpl" };
        Answer {
            identity: Identity {
                chat,
                id: format!("{kind}-{}", self.n_requests),
                created: self.created,
                model: self.args.model_id.clone(),
            },
            words,
            n_tokens: n_tokens.max(1),
            finish_reason,
            n_prompt: prompt.n_tokens,
            n_cached,
            wants_usage: request.wants_usage(),
            wants_continuous_usage: request.wants_continuous_usage(),
        }
    }

    /// Looks the prompt up in the prefix cache, and adds it. The last token of a prompt is always
    /// computed, as in real engines.
    fn cached_tokens(&mut self, prompt: &Prompt) -> u32 {
        if !self.args.timing.prefix_cache {
            return 0;
        }
        let is_new = self.seen_prompts.insert(prompt.sha256());
        let n_cached = if is_new { 0 } else { prompt.n_tokens.saturating_sub(1) };
        self.counters.prefix_cache_queries += u64::from(prompt.n_tokens);
        self.counters.prefix_cache_hits += u64::from(n_cached);
        n_cached
    }

    /// Begins to answer a job that was admitted at `admitted`.
    pub(crate) fn begin(&mut self, job: &mut Job, admitted: Nanos) -> Stream {
        job.truth.admitted_ns = admitted.0;
        self.counters.prompt_tokens += u64::from(job.answer.n_prompt);
        self.n_context_tokens += u64::from(job.answer.n_prompt);
        let pace = Pace {
            latency: self.args.timing.latency_model(),
            timeline: self.timeline,
            rng: self.seed.stream(&format!("latency of request {}", job.truth.request)),
            n_prefilled: job.answer.n_prompt - job.answer.n_cached,
        };
        let stamps = self.stamps();
        Stream::new(job.answer.clone(), Rc::clone(&self.faults), stamps, pace, admitted)
    }

    /// Counts tokens that were handed to a socket.
    pub(crate) fn count_tokens(&mut self, n_tokens: u32) {
        self.counters.generation_tokens += u64::from(n_tokens);
        self.n_context_tokens += u64::from(n_tokens);
    }

    /// Closes the accounts of a request that held a slot.
    pub(crate) fn finish(&mut self, truth: &TruthRow) {
        self.n_context_tokens = self
            .n_context_tokens
            .saturating_sub(u64::from(truth.prompt_tokens) + u64::from(truth.tokens));
        match truth.end {
            "client-gone" => self.counters.aborted += 1,
            "complete" => self.counters.finished += 1,
            _ => {}
        }
    }

    /// Returns the counters with the present state.
    pub(crate) fn counters(&self) -> Counters {
        let used = self.n_context_tokens as f64 / self.args.timing.kv_tokens.max(1) as f64;
        Counters {
            running: self.slots.n_running() as u64,
            waiting: self.slots.n_waiting() as u64,
            kv_cache_usage_ratio: used.min(1.0),
            ..self.counters
        }
    }

    /// Returns the totals that end the truth log and that `GET /truth` returns.
    pub(crate) fn truth_totals(&self) -> serde_json::Value {
        serde_json::json!({
            "requests": self.n_requests,
            "finished": self.counters.finished,
            "client_gone": self.counters.aborted,
            "running": self.slots.n_running(),
            "waiting": self.slots.n_waiting(),
            "prompt_tokens": self.counters.prompt_tokens,
            "tokens": self.counters.generation_tokens,
            "writes": self.lateness.n(),
            "late_p50_ns": self.lateness.quantile_ns(0.5),
            "late_p99_ns": self.lateness.quantile_ns(0.99),
            "late_max_ns": self.lateness.quantile_ns(1.0),
        })
    }
}

/// A request's prompt as the simulated engine reads it.
struct Prompt {
    text: Option<String>,
    ids: Vec<u32>,
    n_tokens: u32,
}

impl Prompt {
    fn of(request: &GenerationRequest, chat: bool) -> Option<Self> {
        let of_text = |text: String| {
            let n_tokens = count_words(&text).max(1);
            Self { text: Some(text), ids: Vec::new(), n_tokens }
        };
        let of_ids =
            |ids: &[u32]| Self { text: None, n_tokens: ids.len() as u32, ids: ids.to_vec() };
        if chat {
            let messages = request.messages.as_deref()?;
            let texts: Vec<String> = messages.iter().map(ChatMessage::text).collect();
            return (!texts.is_empty()).then(|| of_text(texts.join("\n")));
        }
        match request.prompt.as_ref()? {
            PromptField::Text(text) => Some(of_text(text.clone())),
            PromptField::Texts(texts) => match texts.as_slice() {
                [text] => Some(of_text(text.clone())),
                _ => None,
            },
            PromptField::Tokens(ids) if ids.is_empty() => None,
            PromptField::Tokens(ids) => Some(of_ids(ids)),
            PromptField::TokenLists(lists) => match lists.as_slice() {
                [ids] if !ids.is_empty() => Some(of_ids(ids)),
                _ => None,
            },
        }
    }

    fn sha256(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        match &self.text {
            Some(text) => hasher.update(text.as_bytes()),
            None => hasher.update(super::event::json(&self.ids)),
        }
        hasher.finalize().into()
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}
