//! Decodes one response, block by block, into what its record needs.

use crate::load::recorder::engine_stamps::sent_ns;
use crate::load::spec::Limits;
use crate::load::transport::client::Head;
use crate::load::transport::exchange::{Block, Excess, Signals};
use crate::openai::chunk::{Chunk, ChunkShape, parse};
use crate::openai::sse::SseDecoder;
use crate::record::request::{EventKind, Events, Oddity, Usage};
use crate::secrets::redact::Redactor;
use crate::units::Nanos;

/// Longest excerpt of an engine's words in a record, in characters.
const EXCERPT_CHARS: usize = 200;
/// Bytes of an error body that are kept.
const ERROR_BODY_BYTES: usize = 4 << 10;

/// A response as far as it is decoded.
#[derive(Debug)]
pub(crate) struct Decoding {
    form: Form,
    wants_stream: bool,
    keeps_text: bool,
    limits: Limits,
    shape: Option<ChunkShape>,
    last_event_at: Nanos,
    /// Body of an answer that is not a stream.
    body: Vec<u8>,
    pub(crate) head: Option<Head>,
    pub(crate) answer: Answer,
}

/// What the response has told so far.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) events: Events,
    pub(crate) n_token_events: u64,
    pub(crate) first_token_at: Option<Nanos>,
    pub(crate) text: String,
    pub(crate) reasoning: String,
    pub(crate) logprobs: Vec<f32>,
    pub(crate) usage: Option<Usage>,
    pub(crate) finish: Option<String>,
    pub(crate) done_at: Option<Nanos>,
    /// An error object, as the engine put it.
    pub(crate) error: Option<String>,
    /// Something that is not the protocol.
    pub(crate) violation: Option<String>,
    pub(crate) too_large: Option<String>,
    pub(crate) oddities: Vec<Oddity>,
    /// Set when the engine's own stamps are to be compared: the epoch on its clock.
    pub(crate) truth_epoch_ns: Option<u64>,
    /// Takes the secrets in use out of what is kept of the engine's words.
    pub(crate) redactor: Redactor,
    /// How much later than the engine's own stamp each event's stamp is.
    pub(crate) added_ns: Vec<i64>,
    /// Tokens of each event, and whether every token event came with its count.
    tokens: Vec<u32>,
    has_uncounted: bool,
    n_tokens: u64,
}

#[derive(Debug)]
enum Form {
    /// No byte of the body has come.
    Unknown,
    Stream(Box<SseDecoder>),
    Json,
    /// A status other than 2xx.
    ErrorBody,
    /// Nothing further is looked at.
    Given,
}

impl Decoding {
    pub(crate) fn new(wants_stream: bool, keeps_text: bool, limits: Limits) -> Self {
        Self {
            form: Form::Unknown,
            wants_stream,
            keeps_text,
            limits,
            shape: None,
            last_event_at: Nanos::ZERO,
            body: Vec::new(),
            head: None,
            answer: Answer::default(),
        }
    }

    /// Takes further bytes.
    pub(crate) fn feed(&mut self, block: &Block, max_tokens: Option<u32>, signals: &Signals) {
        let n_before = self.answer.n_token_events;
        for (bytes, at) in block.iter() {
            self.feed_read(bytes, at);
        }
        if self.answer.n_token_events > n_before {
            signals.note_token(self.last_event_at);
        }
        if let Some(at) = self.answer.done_at {
            signals.note_done(at);
        }
        if self.answer.too_large.is_some() {
            signals.note_excess(Excess::Event);
        }
        let most = max_tokens.map_or(self.limits.tokens, |max| {
            max.saturating_mul(2).max(self.limits.excess_tokens_floor)
        });
        if self.answer.n_tokens > u64::from(most) {
            signals.note_excess(Excess::Tokens);
        }
        signals.note_decoded();
    }

    fn feed_read(&mut self, bytes: &[u8], at: Nanos) {
        if matches!(self.form, Form::Unknown) {
            self.form = self.form_of(bytes);
        }
        match &mut self.form {
            Form::Unknown | Form::Given => {}
            Form::Stream(sse) => {
                let (answer, shape, last) =
                    (&mut self.answer, &mut self.shape, &mut self.last_event_at);
                let keeps_text = self.keeps_text;
                let fed = sse.feed(bytes, |event| {
                    answer.take_event(event.data, event.is_error, at, last, shape, keeps_text);
                });
                if let Err(error) = fed {
                    self.answer.too_large = Some(error.to_string());
                    self.form = Form::Given;
                }
            }
            Form::Json => {
                self.body.extend_from_slice(bytes);
                if self.body.len() > self.limits.event_bytes {
                    let limit = self.limits.event_bytes;
                    self.answer.too_large = Some(format!("an answer exceeds {limit} bytes"));
                    self.body = Vec::new();
                    self.form = Form::Given;
                }
            }
            Form::ErrorBody => {
                let room = ERROR_BODY_BYTES.saturating_sub(self.body.len());
                self.body.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
        }
    }

    /// The content type decides; where it says nothing useful, the first bytes do.
    fn form_of(&self, bytes: &[u8]) -> Form {
        let stream = || Form::Stream(Box::new(SseDecoder::new(self.limits.event_bytes)));
        let Some(head) = &self.head else { return Form::Json };
        if !(200..300).contains(&head.status) {
            return Form::ErrorBody;
        }
        if head.content_type.contains("event-stream") {
            return stream();
        }
        if head.content_type.contains("json") {
            return Form::Json;
        }
        let begins = |with: &[u8]| bytes.starts_with(with);
        if begins(b"data:") || begins(b":") || begins(b"event:") || begins(b"\xef\xbb\xbf") {
            return stream();
        }
        Form::Json
    }

    /// Ends the response at `at`; `is_complete` when HTTP says that nothing is missing.
    pub(crate) fn finish(&mut self, at: Nanos, is_complete: bool) {
        if let Some(head) = &self.head
            && !head.content_encoding.is_empty()
            && head.content_encoding != "identity"
        {
            let coding = self.answer.excerpt(&head.content_encoding);
            self.answer.violate(format!("content-encoding {coding} was not asked for"));
        }
        match std::mem::replace(&mut self.form, Form::Given) {
            Form::Stream(mut sse) => {
                let (answer, shape, last) =
                    (&mut self.answer, &mut self.shape, &mut self.last_event_at);
                let keeps_text = self.keeps_text;
                sse.finish(|event| {
                    // What is cut off in the middle is no violation: it is a truncation.
                    let is_whole = event.data == b"[DONE]" || parse(event.data).is_ok();
                    if is_whole {
                        answer.take_event(event.data, event.is_error, at, last, shape, keeps_text);
                    }
                });
                self.answer.settle_counts();
            }
            Form::Json if is_complete => self.finish_json(at),
            Form::ErrorBody => {
                let text = String::from_utf8_lossy(&self.body);
                let message = parse(&self.body).ok().and_then(|chunk| chunk.error);
                self.answer.error = Some(self.answer.excerpt(message.as_deref().unwrap_or(&text)));
            }
            Form::Json | Form::Unknown | Form::Given => {}
        }
    }

    fn finish_json(&mut self, at: Nanos) {
        let body = std::mem::take(&mut self.body);
        match parse(&body) {
            Ok(chunk) if chunk.error.is_none() && self.wants_stream => {
                let what = self.head.as_ref().map_or("", |head| &head.content_type);
                let what = self.answer.excerpt(what);
                self.answer.violate(format!("asked for a stream, got one answer of type {what:?}"));
            }
            Ok(chunk) => {
                let kind = chunk.kind();
                self.answer.take_chunk(&chunk, self.keeps_text);
                self.answer.note(kind, at, &mut self.last_event_at, None);
                self.answer.done_at = Some(at);
            }
            Err(error) => {
                let text = self.answer.excerpt(&String::from_utf8_lossy(&body));
                self.answer.violate(format!("{error} in {text:?}"));
            }
        }
    }
}

impl Answer {
    /// Returns the beginning of the engine's words; half a key would be known to no redaction.
    fn excerpt(&self, text: &str) -> String {
        excerpt(&self.redactor.text(text))
    }

    fn take_event(
        &mut self,
        data: &[u8],
        is_error: bool,
        at: Nanos,
        last: &mut Nanos,
        shape: &mut Option<ChunkShape>,
        keeps_text: bool,
    ) {
        if self.done_at.is_some() {
            // The first end counts.
            self.note_oddity(Oddity::DataAfterDone);
            return;
        }
        if let Some(epoch_ns) = self.truth_epoch_ns
            && let Some(sent_ns) = sent_ns(data)
        {
            let ours = i128::from(epoch_ns) + i128::from(at.0);
            self.added_ns.push((ours - i128::from(sent_ns)) as i64);
        }
        if let Some(known) = shape
            && !is_error
            && let Some(text) = known.text(data)
        {
            if keeps_text {
                match known.kind {
                    EventKind::Reasoning => self.reasoning.push_str(text),
                    _ => self.text.push_str(text),
                }
            }
            return self.note(known.kind, at, last, known.n_tokens);
        }
        if data == b"[DONE]" {
            self.done_at = Some(at);
            return self.note(EventKind::Done, at, last, None);
        }
        match parse(data) {
            Ok(mut chunk) => {
                if let Some(new) = ChunkShape::of(data, &chunk) {
                    *shape = Some(new);
                }
                if is_error && chunk.error.is_none() {
                    chunk.error = Some(String::from_utf8_lossy(data));
                }
                let (kind, n_tokens) = (chunk.kind(), chunk.n_tokens);
                self.take_chunk(&chunk, keeps_text);
                self.note(kind, at, last, n_tokens);
            }
            Err(_) if is_error => {
                let error = self.excerpt(&String::from_utf8_lossy(data));
                self.error.get_or_insert(error);
                self.note(EventKind::Error, at, last, None);
            }
            Err(error) => {
                let text = self.excerpt(&String::from_utf8_lossy(data));
                self.violate(format!("{error} in {text:?}"));
                self.note(EventKind::Other, at, last, None);
            }
        }
    }

    fn take_chunk(&mut self, chunk: &Chunk<'_>, keeps_text: bool) {
        if let Some(error) = &chunk.error {
            let error = self.excerpt(error);
            self.error.get_or_insert(error);
        }
        if let Some(finish) = &chunk.finish {
            if self.finish.is_some() {
                self.note_oddity(Oddity::TwoFinishReasons);
            } else {
                self.finish = Some(self.excerpt(finish));
            }
        }
        if chunk.usage.is_some() {
            self.usage = chunk.usage;
        }
        if keeps_text {
            self.text.push_str(&chunk.text);
            self.reasoning.push_str(&chunk.reasoning);
            self.logprobs.extend_from_slice(&chunk.logprobs);
        }
    }

    /// Notes an event. An error event's stamp counts like any other's.
    fn note(&mut self, kind: EventKind, at: Nanos, last: &mut Nanos, n_tokens: Option<u32>) {
        self.events.push(*last, at, kind);
        *last = at;
        if kind.is_token() {
            self.n_token_events += 1;
            self.first_token_at.get_or_insert(at);
            self.n_tokens += u64::from(n_tokens.unwrap_or(1));
            self.has_uncounted |= n_tokens.is_none();
        }
        if !self.has_uncounted {
            self.tokens.push(if kind.is_token() { n_tokens.unwrap_or(0) } else { 0 });
        }
    }

    /// Keeps token counts only if every token event came with one.
    fn settle_counts(&mut self) {
        if !self.has_uncounted && self.n_token_events > 0 {
            self.events.tokens = std::mem::take(&mut self.tokens);
        }
    }

    fn violate(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    fn note_oddity(&mut self, oddity: Oddity) {
        if !self.oddities.contains(&oddity) {
            self.oddities.push(oddity);
        }
    }
}

/// Returns the beginning of a text, fit to be printed: one line, no control characters.
pub(crate) fn excerpt(text: &str) -> String {
    let mut chars = text.chars();
    let mut short: String =
        chars.by_ref().take(EXCERPT_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if chars.next().is_some() {
        short.push('…');
    }
    short
}
