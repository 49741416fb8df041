//! One request, from the moment it was due to its terminal outcome.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::units::Nanos;

/// Everything observed of one request. All stamps are monotonic nanoseconds from the trial's epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestRecord {
    /// Index into the trial's phases.
    pub phase: u16,
    /// Position in the schedule of its phase, from 0; all turns of a conversation have the same.
    pub index: u64,
    /// Turn of the conversation, from 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub turn: u32,
    /// Row of the data set that the prompt was made from.
    pub sample: u64,
    /// When the arrival process wanted it sent. In a closed loop, when a stream was free for it.
    pub scheduled: Nanos,
    /// When it was handed to the socket, before its first write; absent if it never was.
    pub sent: Option<Nanos>,
    /// When the last write of it had returned: the kernel had all of it by then. Absent where it
    /// was not written to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<Nanos>,
    /// CPU time of the thread from `sent` to `written`, where much more time than that passed
    /// because others took its CPU. A system call gives its CPU away when it is over, so the kernel
    /// had the request when this time had been used. Absent where the thread waited, or stood still
    /// with its CPU: nobody knows when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_cpu: Option<Nanos>,
    /// When the connection was ready, if one had to be opened for this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected: Option<Nanos>,
    /// When the first byte of the response arrived.
    pub headers: Option<Nanos>,
    /// The arrived events, in order.
    pub events: Events,
    /// When `[DONE]` or the end of the body arrived.
    pub done: Option<Nanos>,
    /// When it ended without that: it was cancelled, broke off or ran out of time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Nanos>,
    /// HTTP status, if a response began.
    pub status: Option<u16>,
    /// Source of the stamps of arrival.
    pub stamps: StampSource,
    /// What the engine says it counted, if it said so.
    pub usage: Option<Usage>,
    /// Why the engine stopped generating, in the API's words: `stop`, `length` …; a word of its
    /// own where nobody knows what it means.
    pub finish: Option<String>,
    /// The most tokens that the request asked for; absent where it named no limit.
    pub max_tokens: Option<u32>,
    /// Tokens of the generated text by the pinned tokenizer, if one is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens_counted: Option<u32>,
    /// Tokens of the prompt by the pinned tokenizer, if one is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens_counted: Option<u32>,
    /// First 48 bits of the SHA-256 over the ids of the prompt's tokens, each in four bytes, the
    /// least first: the same for the same prompt as a model reads it. A salt is left out.
    ///
    /// A later turn of a conversation goes on from the answers that came. Its hash is one over that
    /// of the turn before, the answer to it, and what is asked now: the same where both turns and
    /// all answers before are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_ids_hash: Option<u64>,
    /// TTFT as the simulated engine saw it, at least and at most: from its kernel's stamp of the
    /// request to just before and just after the write of the first token. Absent where it was not
    /// asked to stamp (`--stamps`), and of other engines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub true_ttft: Option<(Nanos, Nanos)>,
    /// Bytes of the response body.
    pub body_bytes: u64,
    /// How it ended: exactly one per request.
    pub outcome: Outcome,
    /// Oddities of the stream that did not make it fail, such as data after `[DONE]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub oddities: Vec<Oddity>,
}

/// Why generation stops, in the API's words.
pub(crate) const FINISH_REASONS: [&str; 5] =
    ["stop", "length", "tool_calls", "function_call", "content_filter"];

fn is_zero(turn: &u32) -> bool {
    *turn == 0
}

/// What names a request within its trial: no two records of a trial have the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestKey {
    /// Index into the trial's phases.
    pub phase: u16,
    /// Position in the schedule of its phase.
    pub index: u64,
    /// Turn of the conversation.
    pub turn: u32,
}

impl fmt::Display for RequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "request {} of phase {}", self.index, self.phase)?;
        if self.turn > 0 { write!(f, ", turn {}", self.turn) } else { Ok(()) }
    }
}

impl RequestRecord {
    /// Returns what names the request within its trial.
    pub fn key(&self) -> RequestKey {
        RequestKey { phase: self.phase, index: self.index, turn: self.turn }
    }
}

impl RequestRecord {
    /// Returns when it ended, however it did.
    pub(crate) fn end(&self) -> Option<Nanos> {
        self.done.or(self.ended)
    }

    /// Returns why the engine stopped, if it said so in a word that nobody knows.
    pub(crate) fn unknown_finish(&self) -> Option<&str> {
        self.finish.as_deref().filter(|word| !FINISH_REASONS.contains(word))
    }

    /// Returns the last moment of which the record tells.
    pub(crate) fn last_stamp(&self) -> Nanos {
        let event = self.events.iter().last().map(|(at, _)| at);
        let stamps = [self.sent, self.written, self.connected, self.headers, self.end(), event];
        stamps.into_iter().flatten().fold(self.scheduled, Nanos::max)
    }

    /// Turns stamps from another epoch into those from one that is `by` nanoseconds earlier.
    pub(crate) fn shift(&mut self, by: i64) {
        let move_to = |at: &mut Nanos| at.0 = at.0.saturating_add_signed(by);
        move_to(&mut self.scheduled);
        for at in [
            &mut self.sent,
            &mut self.written,
            &mut self.connected,
            &mut self.headers,
            &mut self.done,
            &mut self.ended,
        ] {
            at.iter_mut().for_each(move_to);
        }
        // The other events are told by their distance from the one before.
        if let Some(first) = self.events.at_deltas.first_mut() {
            *first = first.saturating_add_signed(by);
        }
    }
}

impl OutputRecord {
    /// Returns the key of the request that was answered.
    pub fn key(&self) -> RequestKey {
        RequestKey { phase: self.phase, index: self.index, turn: self.turn }
    }
}

/// The server-sent events of one response, in order of arrival.
///
/// Three parallel columns. An event's stamp is that of the read that brought its last byte;
/// equal neighbours came in one read, whose stamp is that of its last byte.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Events {
    /// Nanoseconds since the previous event; the first one's since the trial's epoch.
    #[serde(rename = "at")]
    pub at_deltas: Vec<u64>,
    /// What each event carried, as runs: `(kind, how many in a row)`.
    #[serde(rename = "kinds")]
    pub kind_runs: Vec<(EventKind, u32)>,
    /// Generated tokens in each event, where token ids, log probabilities, running counts of the
    /// engine or a tokenizer tell those of all; else empty. An event without text may hold some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<u32>,
    /// Events that may have arrived before their stamp, as runs: the place of the first, how many,
    /// and by how many nanoseconds at most. They stood before the last byte of a read, or bench
    /// took the stamp. All others arrived when their stamp says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slack: Vec<(u32, u32, u64)>,
}

/// What one event carried. When it carried several things, the first that applies counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// Answer text (`content` or `text`), not empty.
    #[serde(rename = "c")]
    Content,
    /// Reasoning text, not empty.
    #[serde(rename = "r")]
    Reasoning,
    /// Part of a tool or function call.
    #[serde(rename = "t")]
    ToolCall,
    /// A whole answer that was not streamed: when its first token came cannot be seen.
    #[serde(rename = "w")]
    Whole,
    /// An error object.
    #[serde(rename = "e")]
    Error,
    /// A JSON chunk without a generated token: role, usage, finish reason.
    #[serde(rename = "o")]
    Other,
    /// `[DONE]`.
    #[serde(rename = "d")]
    Done,
}

impl EventKind {
    /// Whether the event carries at least one generated token.
    pub fn is_token(self) -> bool {
        matches!(self, Self::Content | Self::Reasoning | Self::ToolCall | Self::Whole)
    }
}

impl Events {
    /// Appends an event that arrived at `at`, counted from the trial's epoch.
    ///
    /// `last` is the stamp of the event before it, [`Nanos::ZERO`] for the first.
    pub fn push(&mut self, last: Nanos, at: Nanos, kind: EventKind) {
        self.at_deltas.push(at.saturating_sub(last).0);
        match self.kind_runs.last_mut() {
            Some((run_kind, length)) if *run_kind == kind => *length += 1,
            _ => self.kind_runs.push((kind, 1)),
        }
    }

    /// Notes that the events are those of an answer that came whole.
    pub fn be_whole(&mut self) {
        let of_tokens = self.kind_runs.iter_mut().filter(|(kind, _)| kind.is_token());
        of_tokens.for_each(|(kind, _)| *kind = EventKind::Whole);
    }

    /// Notes that `n` events from a place on may have arrived up to `slack` before their stamp.
    pub fn slacken(&mut self, from: usize, n: usize, slack: Nanos) {
        if n == 0 || slack == Nanos::ZERO {
            return;
        }
        let run = (from as u32, n as u32, slack.0);
        match self.slack.last_mut() {
            // The same read, of which more is known now.
            Some(last) if last.0 == run.0 => *last = run,
            _ => self.slack.push(run),
        }
    }

    /// Returns by how much each event may have arrived before its stamp.
    pub fn slacks(&self) -> impl Iterator<Item = Nanos> {
        let mut runs = self.slack.iter().peekable();
        (0..self.len() as u32).map(move |place| {
            while runs.next_if(|(from, n, _)| from + n <= place).is_some() {}
            let run = runs.peek().filter(|(from, ..)| *from <= place);
            run.map_or(Nanos::ZERO, |(.., slack)| Nanos(*slack))
        })
    }

    /// Returns stamps and kinds, one pair per event.
    pub fn iter(&self) -> impl Iterator<Item = (Nanos, EventKind)> {
        let kinds = self
            .kind_runs
            .iter()
            .flat_map(|&(kind, length)| std::iter::repeat_n(kind, length as usize));
        self.at_deltas
            .iter()
            .scan(0, |at, delta| {
                *at += delta;
                Some(Nanos(*at))
            })
            .zip(kinds)
    }

    /// Returns the number of events.
    pub fn len(&self) -> usize {
        self.at_deltas.len()
    }

    /// Whether nothing arrived.
    pub fn is_empty(&self) -> bool {
        self.at_deltas.is_empty()
    }
}

/// Source of the stamps of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StampSource {
    /// The kernel, when the segment was received (`SO_TIMESTAMPNS`).
    Kernel,
    /// This program, when its read returned.
    Userspace,
}

/// Token counts as the engine reports them. What it does not say is absent, never 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// `usage.prompt_tokens`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<u32>,
    /// `usage.completion_tokens`, the end-of-sequence token included where the engine counts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion: Option<u32>,
    /// Prompt tokens that came from the prefix cache, where the engine says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached: Option<u32>,
    /// Reasoning tokens among the completion, where the engine says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<u32>,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// A complete answer with at least one token.
    Ok,
    /// It failed, and why.
    Error(RequestError),
    /// `bench` ended it, and why.
    Cancelled(CancelCause),
}

/// Why a request failed. The text is a short sanitised excerpt of what the engine said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestError {
    /// The connection was refused or could not be opened.
    Connect(String),
    /// No connection within the deadline.
    ConnectTimeout,
    /// No token within the deadline.
    FirstTokenTimeout,
    /// No further token within the deadline.
    BetweenTokensTimeout,
    /// Not finished within the deadline.
    TotalTimeout,
    /// A status other than 2xx, with the beginning of the body.
    Status(u16, String),
    /// An error object inside a stream or a 200 response.
    InStream(String),
    /// A response that the engine ended without a generated token.
    Empty,
    /// The stream ended before it was complete.
    Truncated(String),
    /// Something that is not the protocol: bad JSON, bad UTF-8, bad framing.
    Protocol(String),
    /// More output than was asked for, or an event larger than the cap.
    TooLarge(String),
    /// A reused connection was closed by the engine before it answered.
    ConnReuseRace,
    /// This machine ran out of file descriptors or ports: never the engine's fault.
    ClientResources(String),
}

impl RequestError {
    /// Returns the words that came with the failure, if there are any.
    pub fn words(&self) -> Option<&str> {
        let words = match self {
            Self::Connect(words)
            | Self::Status(_, words)
            | Self::InStream(words)
            | Self::Truncated(words)
            | Self::Protocol(words)
            | Self::TooLarge(words)
            | Self::ClientResources(words) => words,
            Self::ConnectTimeout
            | Self::FirstTokenTimeout
            | Self::BetweenTokensTimeout
            | Self::TotalTimeout
            | Self::Empty
            | Self::ConnReuseRace => return None,
        };
        Some(words.as_str()).filter(|words| !words.is_empty())
    }
}

/// Why `bench` ended a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CancelCause {
    /// The phase's time was over and its drain too.
    Deadline,
    /// The scenario cancels requests after a time.
    AfterTime,
    /// The user interrupted the run.
    Signal,
    /// The engine died.
    EngineGone,
    /// The queue before the engine only grew, and its phase ended.
    OverSaturated,
}

/// Something odd in an answer that did not make the request fail by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Oddity {
    /// The stream ended without `[DONE]`, after a finish reason.
    NoDone,
    /// More data after `[DONE]`.
    DataAfterDone,
    /// Two finish reasons.
    TwoFinishReasons,
    /// The engine's count and the tokenizer's differ.
    CountsDiffer,
    /// The content type is missing, or is another than the body's form; or a content coding is
    /// named that the body does not have.
    ContentType,
    /// No blank line stands between two events.
    BlankLine,
    /// A chunk, an error or text without a field in front of it.
    Unframed,
    /// A field's name is spelled otherwise than the standard has it.
    FieldName,
    /// An event that keeps the connection alive by other means than a comment.
    KeepAlive,
    /// Text that is not a chunk.
    StrayText,
    /// The end marker is spelled otherwise than `[DONE]`.
    EndMarker,
    /// The choice has no index, or another than 0.
    ChoiceIndex,
    /// Generated text comes as something else than a string.
    TextForm,
    /// A number is missing or not finite.
    Number,
    /// Half of a surrogate pair.
    Surrogate,
    /// Bytes that are not UTF-8.
    Utf8,
    /// JSON that breaks the grammar and could be mended.
    Json,
    /// A field of another type than the API's; it was dropped.
    Field,
    /// A finish reason that is empty or outside the API's words.
    FinishReason,
    /// Token counts that are missing, contradict themselves or bear other names.
    Usage,
    /// The answer was complete without a finish reason.
    NoFinish,
    /// What had come came once more, whole or at the beginning of a frame; it was left out.
    Repeated,
    /// The body went on behind `[DONE]`, without data, until bench waited no longer for its end.
    LeftOpen,
}

impl Oddity {
    /// Returns the oddity in words.
    pub fn told(self) -> &'static str {
        match self {
            Self::NoDone => "no [DONE]",
            Self::DataAfterDone => "data after [DONE]",
            Self::TwoFinishReasons => "two finish reasons",
            Self::CountsDiffer => "another count than the tokenizer's",
            Self::ContentType => "wrong or no content type or coding",
            Self::BlankLine => "no blank line between events",
            Self::Unframed => "lines without a field",
            Self::FieldName => "misspelled fields",
            Self::KeepAlive => "keep-alives in events",
            Self::StrayText => "text that is no chunk",
            Self::EndMarker => "another end marker than [DONE]",
            Self::ChoiceIndex => "choices without index or with another than 0",
            Self::TextForm => "text that is not a string",
            Self::Number => "numbers that are missing or not finite",
            Self::Surrogate => "halves of surrogate pairs",
            Self::Utf8 => "bytes that are not UTF-8",
            Self::Json => "broken JSON",
            Self::Field => "fields of another type, dropped",
            Self::FinishReason => "finish reasons outside the API's words",
            Self::Usage => "token counts that are missing, contradictory or named otherwise",
            Self::NoFinish => "no finish reason",
            Self::Repeated => "text that had come already, once more, left out",
            Self::LeftOpen => "bodies left open behind [DONE], for whose end a stream waits 1 s",
        }
    }
}

/// The text of one answer, kept apart from its timing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputRecord {
    /// The request's phase.
    pub phase: u16,
    /// The request's position in the schedule of its phase.
    pub index: u64,
    /// The request's turn.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub turn: u32,
    /// Row of the data set.
    pub sample: u64,
    /// The answer; never contains reasoning.
    pub text: String,
    /// Reasoning text, if the engine separates it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reasoning: String,
    /// Log probability of each generated token, where they were asked for and returned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logprobs: Vec<f32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_survive_the_columns() {
        let events = [
            (Nanos(100), EventKind::Other),
            (Nanos(150), EventKind::Content),
            (Nanos(150), EventKind::Content),
            (Nanos(200), EventKind::Done),
        ];
        let mut columns = Events::default();
        let mut last = Nanos::ZERO;
        for (at, kind) in events {
            columns.push(last, at, kind);
            last = at;
        }
        assert_eq!(columns.iter().collect::<Vec<_>>(), events);
        assert_eq!(
            serde_json::to_string(&columns).unwrap(),
            r#"{"at":[100,50,0,50],"kinds":[["o",1],["c",2],["d",1]]}"#
        );
        columns.slacken(1, 1, Nanos(30));
        columns.slacken(3, 1, Nanos(20));
        columns.slacken(3, 0, Nanos(20));
        assert_eq!(columns.slacks().map(|slack| slack.0).collect::<Vec<_>>(), [0, 30, 0, 20]);
        columns.slacken(3, 1, Nanos(40));
        assert_eq!(columns.slack, [(1, 1, 30), (3, 1, 40)]);
    }
}
