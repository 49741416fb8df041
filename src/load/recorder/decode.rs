//! Decodes one response, block by block, into what its record needs.

use std::borrow::Cow;

use crate::load::recorder::answer::Answer;
use crate::load::spec::Limits;
use crate::load::transport::client::{Head, not_asked_for};
use crate::load::transport::exchange::{Block, BlockRead, Excess, Signals};
use crate::openai::parse::parse;
use crate::openai::sse::{SseDecoder, is_end_marker};
use crate::record::request::Oddity;
use crate::units::Nanos;

/// Bytes of an error body that are kept.
const ERROR_BODY_BYTES: usize = 4 << 10;

/// A response as far as it is decoded.
#[derive(Debug)]
pub(crate) struct Decoding {
    form: Form,
    wants_stream: bool,
    limits: Limits,
    /// Tokens that the request asked for; absent where it named no limit.
    max_tokens: Option<u32>,
    /// Body of an answer that is not a stream.
    body: Vec<u8>,
    /// Bytes of the body so far, and the read that brought the last of them.
    n_bytes: u64,
    last_read: Option<BlockRead>,
    pub(crate) head: Option<Head>,
    pub(crate) answer: Answer,
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
    pub(crate) fn new(
        wants_stream: bool,
        keeps_text: bool,
        marks_text: bool,
        limits: Limits,
    ) -> Self {
        Self {
            form: Form::Unknown,
            wants_stream,
            limits,
            max_tokens: None,
            body: Vec::new(),
            n_bytes: 0,
            last_read: None,
            head: None,
            answer: Answer::new(keeps_text, marks_text),
        }
    }

    /// Takes further bytes.
    pub(crate) fn feed(&mut self, block: &Block, max_tokens: Option<u32>, signals: &Signals) {
        let n_before = self.answer.n_token_events;
        for (bytes, read) in block.iter() {
            self.feed_read(bytes, read.at);
            self.n_bytes += bytes.len() as u64;
            self.last_read = Some(read);
            // A line ends with its CR; the LF behind it is no part of an event.
            let end = self.n_bytes - u64::from(bytes.ends_with(b"\r\n"));
            self.answer.end_read(read, end);
        }
        if self.answer.n_token_events > n_before {
            signals.note_token(self.answer.last_event_at);
        }
        if let Some(at) = self.answer.done_at {
            signals.note_done(at);
        }
        if self.answer.too_large.is_some() {
            signals.note_excess(Excess::Event);
        }
        self.max_tokens = max_tokens;
        if self.answer.n_tokens > u64::from(self.most_tokens()) {
            signals.note_excess(Excess::Tokens);
        }
        signals.note_decoded();
    }

    /// Returns how many tokens an answer to the request can hold. Engines exceed what they are asked
    /// for by a few; an answer of twice as many is cut off, and a count of more is not believed.
    fn most_tokens(&self) -> u32 {
        self.max_tokens.map_or(self.limits.tokens, |max| {
            max.saturating_mul(2).max(self.limits.excess_tokens_floor)
        })
    }

    fn feed_read(&mut self, bytes: &[u8], at: Nanos) {
        if matches!(self.form, Form::Unknown) {
            self.form = self.form_of(bytes);
        }
        match &mut self.form {
            Form::Unknown | Form::Given => {}
            Form::Stream(sse) => {
                let answer = &mut self.answer;
                if let Err(error) = sse.feed(bytes, at, |event| answer.take_event(event)) {
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

    /// What was asked for decides; where no stream was, the content type and the first bytes do.
    fn form_of(&mut self, bytes: &[u8]) -> Form {
        let Some(head) = &self.head else { return Form::Json };
        if !(200..300).contains(&head.status) {
            return Form::ErrorBody;
        }
        let says_stream = head.content_type.contains("event-stream");
        let is_stream = self.wants_stream || says_stream || begins_like_a_stream(bytes);
        if is_stream && !(self.wants_stream && says_stream) {
            self.answer.note_oddity(Oddity::ContentType);
        }
        if is_stream {
            Form::Stream(Box::new(SseDecoder::new(self.limits.event_bytes)))
        } else {
            Form::Json
        }
    }

    /// Ends the response at `at`; `is_complete` when HTTP says that nothing is missing.
    pub(crate) fn finish(&mut self, at: Nanos, is_complete: bool) {
        if let Some(read) = self.last_read.filter(|read| read.at == at) {
            // The end of the body came with the last event, and the stamp is the end's.
            self.answer.end_body(read);
        }
        match std::mem::replace(&mut self.form, Form::Given) {
            Form::Stream(mut sse) => {
                self.finish_stream(&mut sse);
            }
            Form::Json if is_complete => self.finish_json(at),
            Form::ErrorBody => {
                let text = String::from_utf8_lossy(&self.body);
                let message = parse(&self.body).ok().and_then(|chunk| {
                    let message = chunk.aside.filter(|aside| aside.is_message);
                    chunk.error.map(Cow::into_owned).or(message.map(|aside| aside.words))
                });
                self.answer.error = Some(self.answer.excerpt(message.as_deref().unwrap_or(&text)));
            }
            Form::Json | Form::Unknown | Form::Given => {}
        }
        self.judge_coding();
        self.answer.settle(self.most_tokens(), self.limits.tokens);
    }

    /// Judges a content coding by the body: what could be read is not coded, whatever the field
    /// says, and a name that no coding has says nothing.
    fn judge_coding(&mut self) {
        let Some(head) = &self.head else { return };
        let coding = head.content_encoding.as_str();
        if matches!(coding, "" | "identity") {
            return;
        }
        let is_read = self.answer.n_token_events > 0
            || self.answer.finish.is_some()
            || self.answer.error.is_some();
        let known = ["gzip", "deflate", "br", "zstd", "compress", "lz4", "snappy", "bzip2", "xz"];
        let is_known = coding.split(',').any(|part| {
            let part = part.trim();
            known.contains(&part.strip_prefix("x-").unwrap_or(part))
        });
        if is_read || !is_known {
            self.answer.note_oddity(Oddity::ContentType);
        } else {
            let coding = self.answer.excerpt(coding);
            self.answer.violation = Some(not_asked_for(&coding));
        }
    }

    fn finish_stream(&mut self, sse: &mut SseDecoder) {
        let answer = &mut self.answer;
        sse.finish(|event| {
            // What is cut off in the middle is no violation: it is a truncation.
            let is_cut = event.data.trim_ascii_start().starts_with(b"{")
                && !is_end_marker(event.data)
                && parse(event.data).is_err()
                && !event.data.contains(&b'\n');
            if !is_cut || event.is_error {
                answer.take_event(event);
            }
        });
        // A stream of one line, and that a whole answer, is no stream: its stamps say nothing.
        let is_one = answer.n_framed == 0 && answer.n_unframed == 1 && answer.done_at.is_none();
        if self.wants_stream && is_one && answer.error.is_none() && answer.n_token_events > 0 {
            let what = self.head.as_ref().map_or("", |head| &head.content_type);
            let what = self.answer.excerpt(what);
            self.answer.violate(format!("asked for a stream, got one answer of type {what:?}"));
        }
    }

    fn finish_json(&mut self, at: Nanos) {
        let body = std::mem::take(&mut self.body);
        match parse(&body) {
            Ok(mut chunk) => {
                self.answer.take_chunk(&mut chunk, at);
                self.answer.keep_unread(&body);
                self.answer.events.be_whole();
                self.answer.first_token_at = None;
                self.answer.done_at = Some(at);
                self.answer.is_one_object = true;
            }
            // A stream that did not look like one.
            Err(_) if memchr::memmem::find(&body, b"data:").is_some() => {
                self.answer.note_oddity(Oddity::ContentType);
                let mut sse = SseDecoder::new(self.limits.event_bytes);
                let answer = &mut self.answer;
                if let Err(error) = sse.feed(&body, at, |event| answer.take_event(event)) {
                    answer.too_large = Some(error.to_string());
                }
                self.finish_stream(&mut sse);
            }
            Err(error) => {
                let text = self.answer.excerpt(&String::from_utf8_lossy(&body));
                self.answer.violate(format!("{error} in {text:?}"));
            }
        }
    }
}

/// Whether the first bytes of a body are those of an event stream.
fn begins_like_a_stream(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    [&b"data:"[..], b":", b"event:", b"id:", b"retry:", b"error:"]
        .iter()
        .any(|field| bytes.starts_with(field))
}
