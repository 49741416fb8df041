//! One answer as a sequence of events, each due at its instant.

use std::rc::Rc;

use super::answer::Words;
use super::args::{ResponseFaultArgs, UsageMode};
use super::event::{
    Framing, Identity, TextKind, TextTemplate, json, write_chunk, write_first_token,
    write_token_ids, write_usage,
};
use super::response::Responses;
use super::timeline::Pace;
use super::truth::TruthRow;
use crate::clock::Moment;
use crate::openai::body::{
    ChatChoice, ChatDelta, CompletionTokensDetails, ErrorBody, Generation, TextChoice, UsageBody,
};
use crate::units::Nanos;

/// Events due at the same instant go out in one write of at most about this size.
const WRITE_BYTES: usize = 64 << 10;

/// The answer to one request.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// What all chunks of the answer share.
    pub identity: Identity,
    /// The tokens.
    pub words: Words,
    /// How many tokens are sent.
    pub n_tokens: u32,
    /// `stop` or `length`.
    pub finish_reason: &'static str,
    /// Tokens of the prompt.
    pub n_prompt: u32,
    /// Prompt tokens that were in the prefix cache.
    pub n_cached: u32,
    /// Whether the request asks for token counts.
    pub wants_usage: bool,
    /// Whether the request asks for token counts in every event.
    pub wants_continuous_usage: bool,
}

/// An answer that is being sent. It knows neither sockets nor clocks.
#[derive(Debug)]
pub(crate) struct Stream {
    answer: Answer,
    faults: Rc<ResponseFaultArgs>,
    stamps: bool,
    pace: Pace,
    templates: Templates,
    phase: Phase,
    due: Nanos,
    n_tokens_sent: u32,
    n_events_sent: u32,
}

#[derive(Debug)]
struct Templates {
    answer: TextTemplate,
    reasoning: TextTemplate,
    last: TextTemplate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Head,
    Tokens,
    HugeLine { bytes_left: usize },
}

/// What follows the events just written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Further events follow at this instant.
    At(Nanos),
    /// The response has ended.
    Ended(End),
}

/// How a response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The response ends properly.
    Complete,
    /// The response never ends: the connection stays open in silence.
    Silence,
    /// The connection is reset.
    Reset,
    /// The connection is closed in the middle of the body.
    Cut,
}

impl Stream {
    /// Returns the stream of an answer whose request was admitted at `admitted`.
    pub(crate) fn new(
        answer: Answer,
        faults: Rc<ResponseFaultArgs>,
        stamps: bool,
        pace: Pace,
        admitted: Nanos,
    ) -> Self {
        let template = |kind, finish| TextTemplate::new(&answer.identity, kind, finish);
        let templates = Templates {
            answer: template(TextKind::Answer, None),
            reasoning: template(TextKind::Reasoning, None),
            last: template(TextKind::Answer, Some(answer.finish_reason)),
        };
        let due = pace.timeline.after(admitted, Nanos::ZERO);
        Self {
            answer,
            faults,
            stamps,
            pace,
            templates,
            phase: Phase::Head,
            due,
            n_tokens_sent: 0,
            n_events_sent: 0,
        }
    }

    /// Returns when the next events are due.
    pub(crate) fn due(&self) -> Nanos {
        self.due
    }

    /// Returns the number of tokens sent.
    pub(crate) fn n_tokens_sent(&self) -> u32 {
        self.n_tokens_sent
    }

    /// Appends the events that are due at [`due`](Self::due), and no later ones.
    /// `truth` is what is known of the request by now.
    pub(crate) fn emit(
        &mut self,
        now: Moment,
        truth: &TruthRow,
        responses: Responses,
        out: &mut Vec<u8>,
    ) -> Next {
        let start = out.len();
        loop {
            let next = match self.phase {
                Phase::Head => self.emit_head(responses, out),
                Phase::Tokens => self.emit_token_event(now, truth, out),
                Phase::HugeLine { bytes_left } => self.emit_huge_piece(bytes_left, out),
            };
            match next {
                Next::At(due) if due == self.due && out.len() - start < WRITE_BYTES => {}
                Next::At(due) => {
                    self.due = due;
                    return next;
                }
                Next::Ended(_) => return next,
            }
        }
    }

    fn framing(&self) -> Framing {
        Framing { crlf: self.faults.crlf }
    }

    fn emit_head(&mut self, responses: Responses, out: &mut Vec<u8>) -> Next {
        responses.write_stream_head(out);
        if self.faults.bom {
            write_chunk("\u{feff}".as_bytes(), out);
        }
        if self.faults.empty_200 {
            out.extend_from_slice(b"0\r\n\r\n");
            return Next::Ended(End::Complete);
        }
        self.phase = Phase::Tokens;
        let first = self.pace.first_token(self.due);
        if self.faults.late_burst && self.answer.n_tokens > 1 {
            return Next::At(self.pace.step(first, self.answer.n_tokens - 1));
        }
        Next::At(first)
    }

    fn emit_token_event(&mut self, now: Moment, truth: &TruthRow, out: &mut Vec<u8>) -> Next {
        let here = Some(self.n_events_sent);
        if self.faults.stall_at == here {
            return Next::Ended(End::Silence);
        }
        if self.faults.rst_at == here {
            return Next::Ended(End::Reset);
        }
        if self.faults.fin_at == here {
            return Next::Ended(End::Cut);
        }
        let stamp = self.stamps.then_some(now);
        if self.faults.error_event_at == here {
            let error = json(&ErrorBody::new(500, "the simulated engine failed on purpose"));
            self.framing().write_event(stamp, out, |out| out.extend_from_slice(&error));
            self.emit_tail(out);
            return Next::Ended(End::Complete);
        }
        if self.n_events_sent == 0 && self.answer.identity.chat {
            let role = self.answer.identity.role_chunk();
            self.framing().write_event(stamp, out, |out| out.extend_from_slice(&role));
        }
        let n_tokens = self.n_next();
        let first = self.n_tokens_sent;
        let is_last = !self.faults.endless && first + n_tokens >= self.answer.n_tokens;
        let is_reasoning = self.answer.identity.chat && first < self.faults.reasoning_first;
        let template = match (is_last, is_reasoning) {
            (true, _) => &self.templates.last,
            (false, true) => &self.templates.reasoning,
            (false, false) => &self.templates.answer,
        };
        self.framing().write_event(stamp, out, |out| {
            let words = &self.answer.words;
            template.write((first..first + n_tokens).map(|idx| words.token(idx)), out);
            if self.faults.token_ids {
                write_token_ids(first..first + n_tokens, out);
            }
            if self.answer.wants_continuous_usage && self.faults.usage != UsageMode::None {
                let usage =
                    UsageBody::new(self.answer.n_prompt, first + n_tokens, self.answer.n_cached);
                write_usage(&usage, out);
            }
            if self.stamps && is_last && truth.first_written_ns > 0 {
                write_first_token(truth, out);
            }
        });
        self.n_tokens_sent += n_tokens;
        self.n_events_sent += 1;
        if self.n_events_sent == 1 {
            self.emit_garbage(out);
        }
        if is_last {
            self.emit_usage(stamp, out);
            self.emit_tail(out);
            return Next::Ended(End::Complete);
        }
        if self.faults.late_burst {
            return Next::At(self.due);
        }
        let n_next = self.n_next();
        Next::At(self.pace.step(self.due, n_next))
    }

    /// Returns the number of tokens of the next event. An event never mixes reasoning and answer.
    fn n_next(&self) -> u32 {
        let sent = self.n_tokens_sent;
        let end = if self.faults.endless { u32::MAX } else { self.answer.n_tokens };
        let bound = if sent < self.faults.reasoning_first {
            end.min(self.faults.reasoning_first)
        } else {
            end
        };
        self.faults.multi_token_chunk.clamp(1, bound.saturating_sub(sent).max(1))
    }

    fn emit_garbage(&mut self, out: &mut Vec<u8>) {
        if self.faults.bad_json {
            let bytes = br#"{"id": "cmpl-0", "choices": [{"index": 0, "text": "#;
            self.framing().write_event(None, out, |out| out.extend_from_slice(bytes));
        }
        if self.faults.bad_utf8 {
            let template = &self.templates.answer;
            self.framing().write_event(None, out, |out| {
                template.write(std::iter::once("?"), out);
                if let Some(mark) = memchr::memrchr(b'?', out) {
                    out[mark] = 0xff;
                }
            });
        }
        if let Some(n_mb) = self.faults.huge_line {
            self.phase = Phase::HugeLine { bytes_left: n_mb as usize * 1_000_000 };
            write_chunk(b"data: ", out);
        }
    }

    fn emit_huge_piece(&mut self, bytes_left: usize, out: &mut Vec<u8>) -> Next {
        if bytes_left == 0 {
            write_chunk(b"\n\n", out);
            self.phase = Phase::Tokens;
            return Next::At(self.due);
        }
        let n_bytes = bytes_left.min(1_000_000);
        write_chunk(&vec![b'a'; n_bytes], out);
        self.phase = Phase::HugeLine { bytes_left: bytes_left - n_bytes };
        Next::At(self.due)
    }

    fn emit_usage(&self, stamp: Option<Moment>, out: &mut Vec<u8>) {
        let is_sent = match self.faults.usage {
            UsageMode::None => false,
            UsageMode::Last => true,
            UsageMode::Asked | UsageMode::Lie => self.answer.wants_usage,
        };
        if is_sent {
            let chunk = self.answer.identity.usage_chunk(self.usage());
            self.framing().write_event(stamp, out, |out| out.extend_from_slice(&chunk));
        }
    }

    fn usage(&self) -> UsageBody {
        let lie = if self.faults.usage == UsageMode::Lie { 7 } else { 0 };
        let mut usage =
            UsageBody::new(self.answer.n_prompt, self.n_tokens_sent + lie, self.answer.n_cached);
        if self.answer.identity.chat && self.faults.reasoning_first > 0 {
            let reasoning_tokens = self.faults.reasoning_first.min(self.n_tokens_sent);
            usage.completion_tokens_details = Some(CompletionTokensDetails { reasoning_tokens });
        }
        usage
    }

    fn emit_tail(&self, out: &mut Vec<u8>) {
        let n_done = match (self.faults.no_done, self.faults.dup_done) {
            (true, _) => 0,
            (false, false) => 1,
            (false, true) => 2,
        };
        for _ in 0..n_done {
            self.framing().write_event(None, out, |out| out.extend_from_slice(b"[DONE]"));
        }
        out.extend_from_slice(b"0\r\n\r\n");
    }

    /// Returns the answer as one response: its instant, its body and its number of tokens.
    pub(crate) fn into_whole(mut self) -> (Nanos, Vec<u8>, u32) {
        let mut due = self.pace.first_token(self.due);
        if self.answer.n_tokens > 1 {
            due = self.pace.step(due, self.answer.n_tokens - 1);
        }
        self.n_tokens_sent = self.answer.n_tokens;
        let n_reasoning = if self.answer.identity.chat {
            self.faults.reasoning_first.min(self.answer.n_tokens)
        } else {
            0
        };
        let text_of = |from: u32, to: u32| -> String {
            (from..to).map(|idx| self.answer.words.token(idx)).collect()
        };
        let text = text_of(n_reasoning, self.answer.n_tokens);
        let usage = (self.faults.usage != UsageMode::None).then(|| self.usage());
        let identity = &self.answer.identity;
        let finish_reason = Some(self.answer.finish_reason.to_owned());
        let body = if identity.chat {
            let message = ChatDelta {
                role: Some("assistant".to_owned()),
                content: Some(text),
                reasoning_content: (n_reasoning > 0).then(|| text_of(0, n_reasoning)),
            };
            let choice = ChatChoice { index: 0, message, logprobs: None, finish_reason };
            json(&whole(identity, "chat.completion", choice, usage))
        } else {
            let choice = TextChoice { index: 0, text, logprobs: None, finish_reason };
            json(&whole(identity, "text_completion", choice, usage))
        };
        (due, body, self.n_tokens_sent)
    }

    /// Returns how a response ends that is not streamed, according to the faults that have a
    /// position.
    pub(crate) fn whole_end(&self) -> End {
        let within = |at: Option<u32>| at.is_some_and(|at| at < self.answer.n_tokens);
        match () {
            () if within(self.faults.stall_at) => End::Silence,
            () if within(self.faults.rst_at) => End::Reset,
            () if within(self.faults.fin_at) => End::Cut,
            () => End::Complete,
        }
    }
}

fn whole<C>(
    identity: &Identity,
    object: &str,
    choice: C,
    usage: Option<UsageBody>,
) -> Generation<C> {
    Generation {
        id: identity.id.clone(),
        object: object.to_owned(),
        created: identity.created,
        model: identity.model.clone(),
        choices: vec![choice],
        usage,
    }
}
