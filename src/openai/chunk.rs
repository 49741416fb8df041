//! What engines answer: chunks of a stream and whole JSON answers.

use std::borrow::Cow;

use crate::openai::finish::{Finish, finish_of};
use crate::openai::mend::Halves;
use crate::record::request::{EventKind, Oddity, Usage};

/// What one chunk, or one whole answer, carried.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Chunk<'a> {
    /// Answer text; empty when there is none.
    pub text: Cow<'a, str>,
    /// Reasoning text; empty when there is none.
    pub reasoning: Cow<'a, str>,
    /// Halves of surrogate pairs at the ends of the answer text.
    pub halves: Halves,
    /// Whether it carries part of a tool or function call.
    pub tool_call: bool,
    /// Index of the choice that the chunk belongs to; absent without a choice.
    pub index: Option<u32>,
    /// Whether it may be a whole answer: a `message` instead of a `delta`, or a `text` beside one.
    pub is_whole: bool,
    /// Why generation stopped, in the API's words.
    pub finish: Option<&'static str>,
    /// A finish reason that nobody knows.
    pub unknown_finish: Option<Cow<'a, str>>,
    /// Token counts.
    pub usage: Option<Usage>,
    /// Whether reasoning was added to their completion because their total adds up with it alone.
    pub reasoning_is_added: bool,
    /// An error, as the engine put it.
    pub error: Option<Cow<'a, str>>,
    /// Whether only words make it one, or a code, in an object of no known form: an answer that ends
    /// as it should had none.
    pub is_error_guessed: bool,
    /// Words that are no part of an answer. They explain an answer that does not come.
    pub aside: Option<Aside>,
    /// Log probabilities of its tokens.
    pub logprobs: Vec<f32>,
    /// Whether one of them is not a finite number: none is kept then.
    pub has_bad_logprobs: bool,
    /// Tokens in it, where token ids or log probabilities tell.
    pub n_tokens: Option<u32>,
    /// Its oddities.
    pub oddities: Vec<Oddity>,
}

/// Words of an object that is neither part of an answer nor surely an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Aside {
    /// Its message, or all of it.
    pub words: String,
    /// Whether it is a message.
    pub is_message: bool,
}

impl Chunk<'_> {
    /// Returns what the chunk counts as.
    pub(crate) fn kind(&self) -> EventKind {
        if self.error.is_some() {
            EventKind::Error
        } else if !self.text.is_empty() {
            EventKind::Content
        } else if !self.reasoning.is_empty() {
            EventKind::Reasoning
        } else if self.tool_call {
            EventKind::ToolCall
        } else {
            EventKind::Other
        }
    }

    /// Takes counts in, whose completion then holds the reasoning. Some engines (xAI's Grok) count it
    /// apart: a part that is larger than its whole, or a total that adds up with it alone, tells them.
    ///
    /// A total that adds up with neither is odd: Gemini's thoughts are in it alone.
    pub(super) fn count(&mut self, usage: Usage, total: Option<u32>) {
        self.usage = Some(usage);
        let Some(completion) = usage.completion else { return };
        let reasoning = usage.reasoning.unwrap_or_default();
        let both = completion.saturating_add(reasoning);
        let adds_up = |part: u32| usage.prompt.is_some_and(|it| total == it.checked_add(part));
        self.reasoning_is_added = (1..=completion).contains(&reasoning) && adds_up(both);
        if reasoning > completion || self.reasoning_is_added {
            self.usage = Some(Usage { completion: Some(both), ..usage });
        }
        let is_told = usage.prompt.is_some() && total.is_some_and(|total| total > 0);
        if is_told && !adds_up(completion) && !adds_up(both) {
            self.oddities.push(Oddity::Usage);
        }
    }

    /// Takes a finish reason in.
    pub(super) fn finish_with(&mut self, reason: &str) {
        let (finish, is_ours) = finish_of(reason);
        if !is_ours {
            self.oddities.push(Oddity::FinishReason);
        }
        match finish {
            Finish::Ended(word) => self.finish = Some(word),
            Finish::Failed => {
                let words = || Cow::Owned(format!("finish reason `{reason}`"));
                self.error.get_or_insert_with(words);
            }
            Finish::NotYet => {}
            Finish::Unknown => self.unknown_finish = Some(Cow::Owned(reason.to_owned())),
        }
    }
}

/// Bytes that are not a chunk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub(crate) struct NotAChunk {
    /// What is wrong with them, without an excerpt.
    pub why: String,
}

/// The form that the chunks of one stream have in common: all bytes but the generated text.
///
/// An engine's chunks differ in their text alone, as a rule. A chunk that begins and ends like
/// one that was parsed, with a plain string between, has the same structure; so it need not be
/// parsed again, whatever the engine or its field order.
#[derive(Clone, Debug)]
pub(crate) struct ChunkShape {
    prefix: Vec<u8>,
    suffix: Vec<u8>,
    /// What such a chunk carries.
    pub kind: EventKind,
    /// Tokens in it, where token ids tell.
    pub n_tokens: Option<u32>,
}

impl ChunkShape {
    /// Returns the form of a chunk that was parsed from `data`, if it carries nothing but text.
    pub(crate) fn of(data: &[u8], chunk: &Chunk<'_>) -> Option<Self> {
        let carries_more = chunk.usage.is_some()
            || chunk.finish.is_some()
            || chunk.unknown_finish.is_some()
            || chunk.error.is_some()
            || !chunk.logprobs.is_empty();
        let (kind, text) = match (&chunk.text, &chunk.reasoning) {
            _ if carries_more => return None,
            (Cow::Borrowed(text), reasoning) if !text.is_empty() && reasoning.is_empty() => {
                (EventKind::Content, *text)
            }
            (text, Cow::Borrowed(reasoning)) if text.is_empty() && !reasoning.is_empty() => {
                (EventKind::Reasoning, *reasoning)
            }
            _ => return None,
        };
        let start = text.as_ptr().addr().checked_sub(data.as_ptr().addr())?;
        let (prefix, rest) = data.split_at_checked(start)?;
        let suffix = rest.strip_prefix(text.as_bytes())?;
        Some(Self {
            prefix: prefix.to_vec(),
            suffix: suffix.to_vec(),
            kind,
            n_tokens: chunk.n_tokens,
        })
    }

    /// Returns the text of a chunk that has this form; `None` if it has not, or if its text
    /// needs more than a look.
    pub(crate) fn text<'a>(&self, data: &'a [u8]) -> Option<&'a str> {
        let text = data.strip_prefix(&self.prefix[..])?.strip_suffix(&self.suffix[..])?;
        let is_plain = !text.is_empty()
            && text.iter().all(|&byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
        if is_plain { std::str::from_utf8(text).ok() } else { None }
    }
}
