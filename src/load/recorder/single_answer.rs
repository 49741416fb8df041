//! Reads one answer outside of a trial, exactly as the recorder reads those of a load.

use crate::load::recorder::decode::Decoding;
use crate::load::recorder::outcome::{Asked, judge};
use crate::load::spec::Limits;
use crate::load::transport::client::{Ending, Head, Stamp};
use crate::load::transport::exchange::{Block, Signals};
use crate::record::request::{Outcome, RequestError, StampSource, Usage};
use crate::secrets::redact::Redactor;
use crate::units::Nanos;

/// A reader of one answer: of the request that proves an engine ready.
#[derive(Debug)]
pub(crate) struct AnswerReader {
    decoding: Decoding,
    asked: Asked,
    signals: Signals,
    /// Whether nothing behind the first token is wanted.
    until_first_token: bool,
    /// Bytes of the body so far.
    n_bytes: u64,
}

/// How a load would have recorded the answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ReadAnswer {
    pub(crate) outcome: Outcome,
    /// HTTP status; absent when no head of a response came.
    pub(crate) status: Option<u16>,
    /// Stamp of the first token, by the clock of [`AnswerReader::take`].
    pub(crate) first_token_at: Option<Nanos>,
    pub(crate) usage: Option<Usage>,
    /// Where a redirect points to, without the secrets in use.
    pub(crate) location: Option<String>,
}

impl ReadAnswer {
    /// Whether the engine ended an answer of which it counts tokens and shows none: an end marker, or
    /// reasoning that is hidden.
    pub(crate) fn is_counted_unseen(&self) -> bool {
        let is_counted = self.usage.is_some_and(|usage| usage.completion > Some(0));
        is_counted && self.outcome == Outcome::Error(RequestError::Empty)
    }
}

impl AnswerReader {
    /// Returns a reader of an answer that was asked for as a stream or whole. `no_done` says that
    /// the engine's streams end without `[DONE]`.
    pub(crate) fn new(stream: bool, no_done: bool, redactor: Redactor) -> Self {
        let mut decoding = Decoding::new(stream, false, false, Limits::default());
        decoding.answer.redactor = redactor;
        let (asked, signals) = (Asked { stream, no_done }, Signals::default());
        Self { decoding, asked, signals, until_first_token: false, n_bytes: 0 }
    }

    /// Returns a reader of the same answer that wants nothing behind its first token.
    pub(crate) fn until_first_token(self) -> Self {
        Self { until_first_token: true, ..self }
    }

    /// Whether the answer was asked for as a stream.
    pub(crate) fn is_stream(&self) -> bool {
        self.asked.stream
    }

    /// Returns the status that has come, and the bytes behind it.
    pub(crate) fn begun(&self) -> Option<(u16, u64)> {
        self.decoding.head.as_ref().map(|head| (head.status, self.n_bytes))
    }

    /// Takes the head of the response. It comes before the body.
    pub(crate) fn head(&mut self, head: Head) {
        self.decoding.head = Some(head);
    }

    /// Takes bytes of the body that arrived at `at`. Returns whether more of it is wanted: after
    /// `[DONE]`, or beyond the limits of an answer, nothing is.
    pub(crate) fn take(&mut self, bytes: &[u8], at: Nanos) -> bool {
        self.n_bytes += bytes.len() as u64;
        let mut block = Block::default();
        block.push(bytes, Stamp { at, since: at, source: StampSource::Userspace });
        self.decoding.feed(&block, None, &self.signals);
        let answer = &self.decoding.answer;
        let has_enough = self.until_first_token && answer.first_token_at.is_some();
        answer.done_at.is_none() && !has_enough && self.signals.excess().is_none()
    }

    /// Ends the answer at `at`.
    pub(crate) fn finish(mut self, ending: &Ending, at: Nanos) -> ReadAnswer {
        self.decoding.finish(at, *ending == Ending::Complete);
        let head = self.decoding.head.take();
        let answer = &mut self.decoding.answer;
        let outcome = judge(ending, head.as_ref(), answer, self.asked);
        let redirect = head.as_ref().filter(|head| !head.location.is_empty());
        ReadAnswer {
            outcome,
            location: redirect.map(|head| answer.excerpt(&head.location)),
            status: head.map(|head| head.status),
            first_token_at: answer.first_token_at,
            usage: answer.usage,
        }
    }
}
