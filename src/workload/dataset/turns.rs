//! Conversations: lists of messages, and the turns that `bench` sends of them.

use minijinja::value::Serde;
use serde_json::Value;

use crate::plan::cell::{DatasetPlan, SameRole};
use crate::units::Nanos;
use crate::workload::bad_rows::RowKind;
use crate::workload::dataset::delay::{DELAYS, delay};
use crate::workload::dataset::in_order::in_order;
use crate::workload::dataset::{Problem, Reading};
use crate::workload::request::{Later, Members, Message, Prompt};
use crate::workload::rows::Row;

/// A conversation as it is sent.
#[derive(Debug)]
pub(super) struct Conversation {
    /// At least one. The first is everything before the first answer; each later one is what
    /// stands between two answers.
    pub(super) turns: Vec<Prompt>,
    /// What is known of the turns behind the first; empty where nothing is.
    pub(super) later: Vec<Later>,
    /// Text of the first answer, which is not sent.
    pub(super) answer: Option<String>,
    /// What was changed in it.
    pub(super) changed: Vec<RowKind>,
}

impl Conversation {
    /// Returns the conversation of one prompt.
    pub(super) fn of(prompt: Prompt) -> Self {
        Self { turns: vec![prompt], later: Vec::new(), answer: None, changed: Vec::new() }
    }
}

/// Why a conversation is not sent.
#[derive(Debug)]
pub(super) struct Unsent {
    pub(super) kind: RowKind,
    pub(super) message: String,
}

/// What says who speaks, in the order in which it is looked for.
const ROLES: [&str; 4] = ["role", "from", "speaker", "sender"];
/// What holds a message's text, likewise.
const CONTENTS: [&str; 4] = ["content", "value", "text", "message"];
/// By what a model calls tools.
const CALLS: [&str; 2] = ["tool_calls", "function_call"];
/// What of a conversation's message is sent beside role and text: data sets have members of their own
/// there, which endpoints refuse.
///
/// Source: `OpenAI`'s API reference, "Create chat completion", `messages`; `reasoning_content` of vLLM,
/// `SGLang` and llama-server.
const SENT: [&str; 5] =
    ["name", "tool_calls", "tool_call_id", "function_call", "reasoning_content"];

/// Who speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaker {
    /// A user, or what is set before one: `system`, `developer`.
    Asks(&'static str),
    /// A model, to people.
    Answers,
    /// A model that calls a tool, or the tool: neither asks or answers people.
    Works(&'static str),
}

impl Speaker {
    fn of(role: &str) -> Option<Self> {
        Some(match role {
            "human" | "user" | "prompter" => Self::Asks("user"),
            "system" => Self::Asks("system"),
            "developer" => Self::Asks("developer"),
            "gpt" | "chatgpt" | "bing" | "bard" | "assistant" | "model" | "bot" | "chatbot"
            | "ai" => Self::Answers,
            "function_call" | "tool_call" => Self::Works("assistant"),
            "tool" | "function" | "observation" | "function_response" | "tool_response"
            | "ipython" => Self::Works("tool"),
            _ => return None,
        })
    }
}

/// Reads the conversation of a row whose column of the part `messages` holds one.
pub(super) fn from_messages(reading: &Reading<'_>, row: &Row) -> Result<Conversation, Problem> {
    let column = reading.columns.name("messages").unwrap_or("messages").to_owned();
    let problem = |kind, message: String| Problem { kind, column: Some(column.clone()), message };
    let value = reading
        .columns
        .get(&row.fields, "messages")
        .ok_or_else(|| problem(RowKind::NoColumn, "missing or null".to_owned()))?;
    let members = in_order(row, &column);
    conversation(value, members, reading.plan)
        .map_err(|Unsent { kind, message }| problem(kind, message))
}

/// Reads a conversation, in OpenAI's form or in `ShareGPT`'s, up to the last message that is
/// sent: one turn alone unless all are wanted. What stands behind is not judged. `members` is the
/// same list in the order of the file, where that is known.
pub(super) fn conversation(
    value: &Value,
    members: Option<minijinja::Value>,
    plan: &DatasetPlan,
) -> Result<Conversation, Unsent> {
    let written = written(value);
    let items = items(written.as_ref().unwrap_or(value))?;
    let multi_turn = plan.multi_turn;
    let mut reader = Reader { same_role: plan.turns, members, ..Reader::default() };
    for (index, item) in items.iter().enumerate() {
        let speaker = speaker(item, index);
        // Of one turn alone, only the length of its answer is still wanted.
        let is_over = !multi_turn && !reader.turns.is_empty();
        if is_over && !matches!(speaker, Ok(Speaker::Answers)) {
            break;
        }
        match speaker {
            Ok(speaker) => {
                reader.take(speaker, item, index)?;
                if matches!(speaker, Speaker::Asks("user") | Speaker::Works("tool")) {
                    reader.wait(delay(plan, item));
                }
            }
            Err(unsent) => drop(reader.damage.get_or_insert(unsent)),
        }
    }
    if reader.is_asked {
        // A call that nothing follows is what the model is to say.
        while reader.current.pop_if(|last| last.role == "assistant").is_some() {}
        reader.finish_turn()?;
    }
    let Reader { turns, delays, answer, changed, damage, .. } = reader;
    if turns.is_empty() {
        let message = "the conversation has no message of a user".to_owned();
        return Err(damage.unwrap_or(Unsent { kind: RowKind::NoUser, message }));
    }
    let waits = delays.iter().any(|delay| *delay > Nanos::ZERO);
    let of_turn = |delay: &Nanos| Later { delay: *delay, ..Later::default() };
    let later = delays[1..].iter().filter(|_| waits).map(of_turn).collect();
    Ok(Conversation { turns, later, answer, changed })
}

/// The state of reading a conversation.
#[derive(Default)]
struct Reader {
    same_role: SameRole,
    /// The messages with members in the order of the file, where that is known.
    members: Option<minijinja::Value>,
    turns: Vec<Prompt>,
    /// The time in front of each.
    delays: Vec<Nanos>,
    /// That in front of the turn that is read.
    delay: Nanos,
    /// Messages of the turn that is read.
    current: Vec<Message>,
    /// Whether that turn asks something.
    is_asked: bool,
    /// What is wrong with that turn. It matters only if the turn is sent.
    damage: Option<Unsent>,
    before: Option<Speaker>,
    answer: Option<String>,
    changed: Vec<RowKind>,
}

impl Reader {
    fn take(&mut self, speaker: Speaker, item: &Value, index: usize) -> Result<(), Unsent> {
        let repeats = self.before.replace(speaker) == Some(speaker);
        let has_begun = self.is_asked || !self.turns.is_empty();
        match speaker {
            // A conversation begins with a user.
            Speaker::Answers | Speaker::Works(_) if !has_begun => {
                self.change(RowKind::LedByAssistant);
            }
            Speaker::Answers if self.is_asked => {
                self.finish_turn()?;
                if self.turns.len() == 1 {
                    self.answer = text(item);
                }
            }
            Speaker::Answers => {
                if repeats && self.turns.len() == 1 {
                    let both = self.answer.take().zip(text(item));
                    self.answer = both.map(|(one, other)| join(&one, &other));
                }
            }
            Speaker::Asks(role) | Speaker::Works(role) => {
                let joins = repeats && speaker == Speaker::Asks("user");
                let content = sent_text(item, index).unwrap_or_else(|unsent| {
                    self.damage.get_or_insert(unsent);
                    None
                });
                let more = more(item, (self.members.as_ref(), index), |name| SENT.contains(&name));
                self.is_asked |= matches!(speaker, Speaker::Asks("user") | Speaker::Works("tool"));
                match self.current.last_mut() {
                    Some(_) if joins && self.same_role == SameRole::Skip => {
                        let message = format!("messages {index} and {} are a user's", index + 1);
                        let kind = RowKind::SameRoleInARow;
                        self.damage.get_or_insert(Unsent { kind, message });
                    }
                    Some(last) if joins => {
                        let both = join(last.text(), &content.unwrap_or_default());
                        last.content = Some(both);
                        self.change(RowKind::Joined);
                    }
                    _ => self.current.push(message(role, content, more, item)),
                }
            }
        }
        Ok(())
    }

    /// Notes that the turn that is read waits, for the messages of a user and of tools together.
    fn wait(&mut self, delay: Result<Nanos, Problem>) {
        match delay {
            Ok(delay) => self.delay = Nanos(self.delay.0.saturating_add(delay.0)),
            Err(Problem { kind, message, .. }) => {
                self.damage.get_or_insert(Unsent { kind, message });
            }
        }
    }

    fn change(&mut self, kind: RowKind) {
        if !self.changed.contains(&kind) {
            self.changed.push(kind);
        }
    }

    fn finish_turn(&mut self) -> Result<(), Unsent> {
        if let Some(unsent) = self.damage.take() {
            return Err(unsent);
        }
        let messages = std::mem::take(&mut self.current);
        self.is_asked = false;
        self.delays.push(std::mem::take(&mut self.delay));
        self.turns.push(match messages.as_slice() {
            [Message { role, content: Some(text), more }] if role == "user" && more.is_empty() => {
                Prompt::Text(text.clone())
            }
            _ => Prompt::Messages(messages),
        });
        Ok(())
    }
}

/// Members by which an assistant's last message asks to be gone on with (Mistral, Kimi, Qwen).
const GOES_ON: [&str; 2] = ["prefix", "partial"];

/// Reads a prompt that is a list: a conversation, or the texts of its turns, where all turns are
/// wanted; else messages that are sent as they stand, up to what the model is to say.
pub(super) fn prompt(
    value: &Value,
    members: Option<minijinja::Value>,
    plan: &DatasetPlan,
) -> Result<Conversation, Unsent> {
    let texts = || value.as_array()?.iter().map(Value::as_str).collect::<Option<Vec<_>>>();
    if plan.multi_turn {
        return match texts() {
            Some(texts) => of_texts(&texts),
            None => conversation(value, members, plan),
        };
    }
    let mut messages = messages(value, members.as_ref())?;
    let is_answer = |last: &mut Message| {
        last.role == "assistant" && !GOES_ON.iter().any(|name| last.more.contains_key(*name))
    };
    let mut answers = Vec::new();
    while let Some(last) = messages.pop_if(is_answer) {
        answers.push(last);
    }
    if messages.is_empty() {
        let message = "all messages are an assistant's".to_owned();
        return Err(Unsent { kind: RowKind::NoUser, message });
    }
    let changed = if answers.is_empty() { Vec::new() } else { vec![RowKind::Answered] };
    let answer = answers.pop().and_then(|first| first.content);
    Ok(Conversation { answer, changed, ..Conversation::of(Prompt::Messages(messages)) })
}

fn of_texts(texts: &[&str]) -> Result<Conversation, Unsent> {
    if let Some(at) = texts.iter().position(|text| text.trim().is_empty()) {
        return Err(Unsent { kind: RowKind::Empty, message: format!("turn {} is empty", at + 1) });
    }
    let turns = texts.iter().map(|text| Prompt::Text((*text).to_owned())).collect();
    Ok(Conversation { turns, later: Vec::new(), answer: None, changed: Vec::new() })
}

/// Reads a list of messages that is sent as it stands, with all their members.
pub(super) fn messages(
    value: &Value,
    members: Option<&minijinja::Value>,
) -> Result<Vec<Message>, Unsent> {
    let written = written(value);
    let items = items(written.as_ref().unwrap_or(value))?;
    let read = items.iter().enumerate().map(|(index, item)| {
        let (role, content) = match speaker(item, index)? {
            Speaker::Asks(role) | Speaker::Works(role) => (role, sent_text(item, index)?),
            Speaker::Answers => ("assistant", text(item).or_else(|| Some(String::new()))),
        };
        Ok(message(role, content, more(item, (members, index), |_| true), item))
    });
    read.collect()
}

/// Returns the list that a text holds as JSON: so tables of texts alone have it.
fn written(value: &Value) -> Option<Value> {
    let text = value.as_str().filter(|text| text.trim_start().starts_with('['))?;
    serde_json::from_str(text).ok()
}

fn items(value: &Value) -> Result<&[Value], Unsent> {
    let message = || "not a list of messages".to_owned();
    let items = value.as_array();
    items.map(Vec::as_slice).ok_or_else(|| Unsent { kind: RowKind::WrongType, message: message() })
}

/// Whether a value is a list of messages, or a text that holds one as JSON.
pub(super) fn is_list(value: &Value) -> bool {
    let written = written(value);
    written.as_ref().unwrap_or(value).get(0).is_some_and(is_message)
}

/// Whether a list of messages has a model's answer in it.
pub(super) fn is_answered(value: &Value) -> bool {
    let written = written(value);
    let items = items(written.as_ref().unwrap_or(value)).unwrap_or_default();
    items.iter().any(is_answer)
}

/// Whether a list of messages ends with a model's answer.
pub(super) fn ends_answered(value: &Value) -> bool {
    let written = written(value);
    items(written.as_ref().unwrap_or(value)).is_ok_and(|items| items.last().is_some_and(is_answer))
}

fn is_answer(item: &Value) -> bool {
    matches!(speaker(item, 0), Ok(Speaker::Answers))
}

/// Whether something says who speaks.
pub(super) fn is_message(item: &Value) -> bool {
    ROLES.iter().any(|key| item.get(key).is_some_and(Value::is_string))
}

/// Returns the first of these members that holds something, and its name: tables that were made of
/// messages of two forms have the members of both, and those of the other are null.
fn held<'v>(item: &'v Value, keys: &[&'static str]) -> Option<(&'static str, &'v Value)> {
    let found = keys.iter().map(|key| Some((*key, item.get(key)?)));
    found.flatten().find(|(_, value)| !value.is_null())
}

fn speaker(item: &Value, index: usize) -> Result<Speaker, Unsent> {
    let role = held(item, &ROLES).and_then(|(_, role)| role.as_str());
    let Some(role) = role else {
        let message = format!("message {} has no `role`", index + 1);
        return Err(Unsent { kind: RowKind::DamagedTurn, message });
    };
    let unknown = || {
        let message = format!(
            "message {} is by `{}`; system, developer, user, assistant, function_call and tool \
             are known",
            index + 1,
            role.escape_debug()
        );
        Unsent { kind: RowKind::UnknownRole, message }
    };
    match Speaker::of(&role.to_ascii_lowercase()).ok_or_else(unknown)? {
        Speaker::Answers if calls_tools(item) => Ok(Speaker::Works("assistant")),
        speaker => Ok(speaker),
    }
}

/// Whether a message has calls of tools in a member of their own.
fn calls_tools(item: &Value) -> bool {
    let calls = |name: &&str| match item.get(*name) {
        Some(Value::Array(calls)) => !calls.is_empty(),
        Some(Value::Object(call)) => !call.is_empty(),
        _ => false,
    };
    CALLS.iter().any(calls)
}

/// Returns a message as it is sent. One whose text is null is not one without a text.
fn message(role: &str, content: Option<String>, mut more: Members, item: &Value) -> Message {
    if content.is_none() && item.get("content").is_some_and(Value::is_null) {
        more.insert("content".to_owned(), ().into());
    }
    Message { role: role.to_owned(), content, more }
}

/// Returns the members of a message that are sent beside role and text; in the order of the file
/// where the list of all messages is known in it.
fn more(
    item: &Value,
    (ordered, index): (Option<&minijinja::Value>, usize),
    is_sent: impl Fn(&str) -> bool,
) -> Members {
    let Some(members) = item.as_object() else { return Members::new() };
    let ordered = ordered.and_then(|list| list.get_item_by_index(index).ok());
    let read = |names: &[&'static str]| held(item, names).map(|(name, _)| name);
    let (role, content) = (read(&ROLES), read(&CONTENTS));
    let members = members.iter().filter(|(name, value)| {
        let is_other = ![role, content].contains(&Some(name.as_str()));
        is_other && !DELAYS.contains(&name.as_str()) && !value.is_null() && is_sent(name)
    });
    let in_order = |name: &str| {
        let member = ordered.as_ref()?.get_attr(name).ok()?;
        (!member.is_undefined()).then_some(member)
    };
    let told = |(name, value): (&String, &Value)| {
        let value = in_order(name).unwrap_or_else(|| minijinja::Value::from(Serde(value)));
        (name.clone(), value)
    };
    members.map(told).collect()
}

/// Returns the text of a message that is sent; a call of a tool needs none.
fn sent_text(item: &Value, index: usize) -> Result<Option<String>, Unsent> {
    if calls_tools(item) {
        return Ok(text(item));
    }
    let unsent =
        |kind, message: &str| Unsent { kind, message: format!("message {} {message}", index + 1) };
    let text = text(item).ok_or_else(|| match other_part(item) {
        None => unsent(RowKind::DamagedTurn, "has no text"),
        Some(part) => {
            let part = part.escape_debug();
            let message = format!("has a part of type `{part}`; only texts are sent");
            unsent(RowKind::OtherPart, &message)
        }
    })?;
    if text.trim().is_empty() {
        return Err(unsent(RowKind::Empty, "is empty"));
    }
    Ok(Some(text))
}

/// Returns the text of a message: a text, or parts that are all texts, a line each.
fn text(item: &Value) -> Option<String> {
    let (_, content) = held(item, &CONTENTS)?;
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) if !parts.is_empty() => {
            let texts =
                parts.iter().map(|part| part.as_str().or_else(|| part.get("text")?.as_str()));
            Some(texts.collect::<Option<Vec<_>>>()?.join("\n"))
        }
        _ => None,
    }
}

/// Returns the type of a part of a message that is no text.
fn other_part(item: &Value) -> Option<&str> {
    let (_, parts) = held(item, &CONTENTS)?;
    let parts = parts.as_array()?;
    let is_text =
        |part: &&Value| part.is_string() || part.get("text").is_some_and(Value::is_string);
    parts.iter().find(|part| !is_text(part))?.get("type")?.as_str()
}

fn join(one: &str, other: &str) -> String {
    format!("{one}\n\n{other}")
}

/// Whether a turn begins with a system message.
pub(super) fn brings_system(turn: &Prompt) -> bool {
    matches!(turn, Prompt::Messages(own) if own.first().is_some_and(|first| first.role == "system"))
}

/// Puts a system message in front of a turn.
pub(super) fn behind_system(system: &str, turn: Prompt) -> Result<Prompt, String> {
    let system = Message::new("system", system);
    Ok(Prompt::Messages(match turn {
        Prompt::Text(content) => vec![system, Message::new("user", content)],
        Prompt::Messages(messages) => std::iter::once(system).chain(messages).collect(),
        Prompt::Tokens(_) | Prompt::OfLength(_) => {
            return Err("token ids cannot stand behind a system message".to_owned());
        }
    }))
}
