//! A row of a data set, and the request made from it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::record::golds::QUESTION_CHARS;
use crate::units::Nanos;

/// One usable row of a data set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Position in the file, from 0.
    pub row: u64,
    /// The row's own id, if it has one.
    pub id: Option<String>,
    /// Its turns; more than one for a conversation.
    pub turns: Vec<Prompt>,
    /// What is known of the turns behind the first, in their order; empty where nothing is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub later: Vec<Later>,
    /// What stands in front of all questions of its subject, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The gold answer as the data set writes it.
    pub gold: Option<String>,
    /// Output length that the data set prescribes or shows, in tokens.
    pub output_tokens: Option<u32>,
    /// When a trace sent it, from the trace's first row.
    pub at: Option<Nanos>,
    /// Functions that the model may call, as the row defines them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<minijinja::Value>,
}

/// Members of a message by name; those inside them are in the order of the file.
pub type Members = BTreeMap<String, minijinja::Value>;

/// When a turn behind the first is sent, and how long its answer is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Later {
    /// Time from the end of the answer before.
    pub delay: Nanos,
    /// When a trace sent it, from the conversation's first turn; absent where it has a delay alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Nanos>,
    /// Output length that the data set prescribes, in tokens.
    pub output_tokens: Option<u32>,
}

impl Sample {
    /// Returns what it asks, as a person reads it: the last text of its first turn, without what
    /// stands in front of all of its subject.
    pub(crate) fn question(&self) -> Option<String> {
        let text = match self.turns.first()? {
            Prompt::Text(text) => text,
            Prompt::Messages(messages) => messages.last()?.text(),
            Prompt::Tokens(_) | Prompt::OfLength(_) => return None,
        };
        let cut = text.char_indices().nth(QUESTION_CHARS).map_or(text.len(), |(at, _)| at);
        Some(text[..cut].to_owned())
    }
}

/// The prompt of one turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prompt {
    /// Text, sent as it is or as one user message.
    Text(String),
    /// Token ids.
    Tokens(Vec<u32>),
    /// Messages.
    Messages(Vec<Message>),
    /// A length alone. What is sent is made when its time comes: a trace of a million rows has more
    /// tokens than a machine has memory.
    OfLength(Box<PromptLength>),
}

/// The length of a prompt that is to be made, and what of it others share.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PromptLength {
    /// Tokens.
    pub n_tokens: u32,
    /// Blocks that it begins with: equal ids are equal tokens.
    pub blocks: Box<[u64]>,
    /// Tokens of a block.
    pub block_tokens: u32,
}

impl PromptLength {
    /// Whether a part of it is unlike all other prompts.
    pub(super) fn is_unique(&self) -> bool {
        self.blocks.len() as u64 * u64::from(self.block_tokens) < u64::from(self.n_tokens)
    }
}

/// One message of a chat.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// Text; absent where a call of a tool has none. One that is null stands in `more`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// What else is sent of it: `name`, `tool_calls`, `tool_call_id`.
    #[serde(flatten)]
    pub more: Members,
}

impl Message {
    /// Returns a message of a role and a text.
    pub fn new(role: &str, content: impl Into<String>) -> Self {
        Self { role: role.to_owned(), content: Some(content.into()), more: Members::new() }
    }

    /// Returns its text; empty where it has none.
    pub fn text(&self) -> &str {
        self.content.as_deref().unwrap_or_default()
    }
}

/// One request, ready to be sent: nothing is left to compute while the clock runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Index into the trial's phases.
    pub phase: u16,
    /// Position in the schedule of its phase, from 0.
    pub index: u64,
    /// Turn of the conversation, from 0.
    pub turn: u32,
    /// Row of the data set.
    pub sample: u64,
    /// JSON body.
    pub body: Bytes,
    /// The most tokens it asks for.
    pub max_tokens: Option<u32>,
    /// Further turns of the same conversation, sent one after the other on the same stream
    /// with the answers so far put in.
    pub next_turns: Vec<NextTurn>,
}

/// A turn that is sent once the answer before is there.
#[derive(Clone, Debug, PartialEq)]
pub struct NextTurn {
    /// What it asks.
    pub prompt: Prompt,
    /// Time from the end of the answer before.
    pub delay: Nanos,
    /// Time from the instant at which the conversation's last sent turn was due, before which it is
    /// not sent; nothing where its delay alone says when.
    pub not_before: Nanos,
    /// The most tokens it asks for, where that is not as many as the turn before.
    pub max_tokens: Option<u32>,
}
