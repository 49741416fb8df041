//! Sessions: conversations whose turns have prompts or lengths and delays of their own, as traces of
//! agents have them. One row may hold a session, in a list `turns`, or each of its turns. A turn that
//! has a time in place of a delay is sent then, or when the answer before has come.
//!
//! The forms are those of `AIPerf`'s multi-turn files and of its traces with `session_id` and `delay`
//! (ai-dynamo/aiperf, docs/tutorials/multi-turn.md and docs/benchmark-modes/trace-replay.md).

use std::collections::HashMap;

use serde_json::Value;

use crate::plan::cell::DatasetPlan;
use crate::workload::bad_rows::RowKind;
use crate::workload::columns::{Columns, ROWS};
use crate::workload::dataset::delay::{DELAYS, delay, has_delay};
use crate::workload::dataset::in_order::in_order;
use crate::workload::dataset::table::{self, TraceColumns, hash_ids, text_of, tokens};
use crate::workload::dataset::time::Written;
use crate::workload::dataset::{Candidate, Lengths, Picked, Problem, Reading, traces, turns};
use crate::workload::request::{Later, Prompt, PromptLength, Sample};
use crate::workload::rows::Row;

/// The list of a session's turns, where a row has it.
const TURNS: &str = "turns";
/// The list of messages that a turn may have beside the column that the scenario names.
const MESSAGES: &str = "messages";
/// What a turn's text is called, beside the column that the scenario names.
const TEXTS: [&str; 5] = ["text_input", "text", "prompt", "content", "value"];

/// Puts the rows of one session together, where rows are turns of sessions.
pub(super) struct Sessions {
    /// Whether there may be any: the first row decides.
    may_be: bool,
    /// Column that names the session of each row.
    column: Option<String>,
    /// The chains of rows that name the one before them instead.
    chains: Option<Chains>,
    rows: Vec<(String, Row)>,
    /// Place among the rows by the session's name.
    by_name: HashMap<String, usize>,
}

impl Sessions {
    pub(super) fn new(plan: &DatasetPlan, columns: &Columns) -> Self {
        Self {
            may_be: may_be(plan, columns),
            column: None,
            chains: None,
            rows: Vec::new(),
            by_name: HashMap::new(),
        }
    }

    /// Keeps a turn of a session until all are there; returns a row that is none.
    pub(super) fn take(&mut self, columns: &Columns, file: &str, mut row: Row) -> Option<Row> {
        if !self.may_be {
            return Some(row);
        }
        if let Some(first) = row.fields.get(TURNS).and_then(|turns| turns.get(0)).cloned() {
            // What stands at the first turn is the row's, where the row does not say it itself.
            let own = std::mem::take(&mut row.fields);
            let mut fields = first.as_object().cloned().unwrap_or_default();
            fields.extend(own.as_object().cloned().unwrap_or_default());
            row.fields = Value::Object(fields);
            return Some(row);
        }
        if self.column.is_none() && self.chains.is_none() {
            let asked = columns.name("session").map(str::to_owned);
            // A row that ends with an answer is a conversation of its own, whatever it is called.
            let is_whole = || prompt_list(columns, &row.fields).is_some_and(turns::ends_answered);
            let found = || traces::column(&row.fields, "session").filter(|_| !is_whole());
            self.column = asked.or_else(found);
            self.chains = Chains::of(&row.fields).filter(|_| self.column.is_none());
            self.may_be = self.column.is_some() || self.chains.is_some();
        }
        let name = match &mut self.chains {
            Some(chains) => chains.join(&mut row.fields),
            None => self.column.as_deref().and_then(|column| text_of(row.fields.get(column)?)),
        };
        let Some(name) = name else { return Some(row) };
        let turn = row.fields.clone();
        let at = *self.by_name.entry(name).or_insert_with(|| {
            if let Some(fields) = row.fields.as_object_mut() {
                fields.insert(ROWS.to_owned(), Value::Array(Vec::new()));
            }
            self.rows.push((file.to_owned(), row));
            self.rows.len() - 1
        });
        if let Some(Value::Array(turns)) = self.rows[at].1.fields.get_mut(ROWS) {
            turns.push(turn);
        }
        None
    }

    /// Returns the sessions in the order in which they began, with the files that they stand in.
    pub(super) fn into_rows(self, columns: &Columns) -> Vec<(String, Row)> {
        let mut rows = self.rows;
        for (_, row) in &mut rows {
            let is_whole = prompt_list(columns, &row.fields).is_some()
                && row.fields[ROWS].as_array().is_some_and(|turns| turns.len() == 1);
            // The messages of a session's only row are all of it.
            if let Some(fields) = row.fields.as_object_mut().filter(|_| is_whole) {
                fields.remove(ROWS);
            }
        }
        rows
    }
}

/// Turns that each name the one before, as Qwen-Bailian's traces have them: `parent_chat_id` is a
/// `chat_id`, or none. Their lengths are those of all that was said so far, and a turn adds the rest.
struct Chains {
    id: String,
    parent: String,
    input_length: String,
    output_length: String,
    hash_ids: Option<String>,
    /// The last turn of each chain: the chain's name, and the tokens up to the turn's end.
    open: HashMap<String, (String, u64)>,
}

impl Chains {
    /// Returns the columns of the chains, where a row is a turn of one.
    fn of(row: &Value) -> Option<Self> {
        let column = |role| traces::column(row, role);
        Some(Self {
            id: column("turn")?,
            parent: column("parent")?,
            input_length: column("input-length")?,
            output_length: column("output-length")?,
            hash_ids: column("hash-ids"),
            open: HashMap::new(),
        })
    }

    /// Returns the name of a row's chain, and leaves of its length what it adds to the chain. A row
    /// whose parent is not there, goes on already, or is not all in it begins a chain of its own,
    /// with its whole length.
    fn join(&mut self, row: &mut Value) -> Option<String> {
        let id = text_of(row.get(&self.id)?)?;
        let parent = row.get(&self.parent).and_then(text_of);
        let n_tokens = |column: &str| row.get(column).and_then(Value::as_u64);
        let (input, output) = (n_tokens(&self.input_length)?, n_tokens(&self.output_length)?);
        let end = input.saturating_add(output);
        let is_continued = |(_, before): &(String, u64)| *before < input;
        let before = parent.filter(|parent| self.open.get(parent).is_some_and(is_continued));
        let Some((name, before)) = before.and_then(|parent| self.open.remove(&parent)) else {
            self.open.insert(id.clone(), (id.clone(), end));
            return Some(id);
        };
        let fields = row.as_object_mut()?;
        fields.insert(self.input_length.clone(), (input - before).into());
        // Its blocks are those of the whole, which the answers that came stand in now.
        if let Some(column) = &self.hash_ids {
            fields.remove(column);
        }
        self.open.insert(id, (name.clone(), end));
        Some(name)
    }
}

/// Whether rows of a data set may be sessions, or turns of them.
pub(super) fn may_be(plan: &DatasetPlan, columns: &Columns) -> bool {
    plan.multi_turn && !plan.source.is_conversations() && columns.name("messages").is_none()
}

/// Whether a session, or a turn of one, is read by a column, beside those that any row has.
pub(super) fn reads(column: &str) -> bool {
    column == TURNS || column == MESSAGES || TEXTS.contains(&column) || DELAYS.contains(&column)
}

/// Returns the list of messages that a turn has in the column of its prompt.
fn prompt_list<'r>(columns: &Columns, turn: &'r Value) -> Option<&'r Value> {
    columns.get(turn, "prompt").filter(|value| turns::is_list(value))
}

/// Returns the list of messages that a turn has there, or else under the usual name.
fn messages<'r>(columns: &Columns, turn: &'r Value) -> Option<&'r Value> {
    prompt_list(columns, turn).or_else(|| turn.get(MESSAGES))
}

/// Returns the turns of a row that is a session.
pub(super) fn of<'r>(reading: &Reading<'_>, row: &'r Row) -> Option<&'r [Value]> {
    let turns = row.fields.get(ROWS).or_else(|| row.fields.get(TURNS));
    turns.filter(|_| may_be(reading.plan, &reading.columns))?.as_array().map(Vec::as_slice)
}

pub(super) fn pick(reading: &Reading<'_>, row: &Row, session: &[Value]) -> Result<Picked, Problem> {
    let trace = TraceColumns::of(reading, row);
    let time = table::time(reading, trace, row)?;
    if let [only] = session
        && let Some(list) = messages(&reading.columns, only).filter(|list| turns::is_answered(list))
    {
        return whole(reading, row, list, time);
    }
    let mut prompts = Vec::new();
    let mut later = Vec::new();
    let mut turn_times = Vec::new();
    for (idx, turn) in session.iter().enumerate() {
        let place = Row::new(row.place, turn.clone());
        let output_tokens = match traces::column(turn, "output-length") {
            Some(column) => tokens(&place, &column)?,
            None => None,
        };
        if output_tokens == Some(0) {
            return Ok(Picked::LeftOut(RowKind::SourceFailed));
        }
        prompts.push(asked(reading, trace, &place, idx)?);
        let column = trace.timestamp.as_deref().or_else(|| reading.columns.name("timestamp"));
        let is_timed = column.and_then(|column| turn.get(column)).is_some_and(|it| !it.is_null());
        // A delay says more of a turn than its time does.
        turn_times.push(if is_timed && !has_delay(turn) {
            table::time(reading, trace, &place)?
        } else {
            None
        });
        later.push(Later { delay: delay(reading.plan, turn)?, at: None, output_tokens });
    }
    if prompts.is_empty() {
        return Ok(Picked::LeftOut(RowKind::NoConversation));
    }
    // The first turn is sent at the session's time.
    let output_tokens = later.remove(0).output_tokens;
    turn_times.remove(0);
    let id = table::id(reading, row)?;
    let tools = table::tools(reading, row);
    let sample = Sample { id, turns: prompts, later, output_tokens, tools, ..Sample::default() };
    let (lengths, changed) = (Lengths::Known, Vec::new());
    let candidate = Candidate { sample, lengths, changed, time, turn_times, example: None };
    Ok(Picked::Candidate(Box::new(candidate)))
}

/// Reads a session of one turn whose messages have answers among them: they are turns.
fn whole(
    reading: &Reading<'_>,
    row: &Row,
    list: &Value,
    time: Option<Written>,
) -> Result<Picked, Problem> {
    let read = turns::conversation(list, in_order(row, MESSAGES), reading.plan);
    let read = read.map_err(|unsent| Problem::of(unsent, MESSAGES))?;
    table::of_conversation(reading, row, read, time)
}

/// Returns what a turn asks, or the length of what is to be made for it.
fn asked(
    reading: &Reading<'_>,
    trace: &TraceColumns,
    turn: &Row,
    idx: usize,
) -> Result<Prompt, Problem> {
    let of_turn = |message: &str| format!("turn {}: {message}", idx + 1);
    if let Some(messages) = messages(&reading.columns, &turn.fields) {
        let mut messages =
            turns::messages(messages, None).map_err(|unsent| Problem::of(unsent, MESSAGES))?;
        // Each turn repeats those before: new is what stands behind the last answer.
        let answered = messages.iter().rposition(|message| message.role == "assistant");
        messages.drain(..answered.filter(|_| idx > 0).map_or(0, |at| at + 1));
        if messages.is_empty() {
            return Err(Problem::of_row(RowKind::NoUser, of_turn("nothing is asked")));
        }
        return Ok(Prompt::Messages(messages));
    }
    let mut named = reading.columns.name("prompt").into_iter().chain(TEXTS);
    // MT-bench's turns are texts themselves.
    let bare = turn.fields.as_str().map(str::to_owned);
    let text = bare.or_else(|| named.find_map(|name| text_of(turn.fields.get(name)?)));
    if let Some(text) = text {
        if text.trim().is_empty() {
            return Err(Problem::of_row(RowKind::Empty, of_turn("is empty")));
        }
        return Ok(Prompt::Text(text));
    }
    let column = traces::column(&turn.fields, "input-length");
    let n_tokens = column.map(|column| tokens(turn, &column)).transpose()?.flatten();
    let n_tokens = n_tokens.filter(|n| *n > 0).ok_or_else(|| {
        Problem::of_row(RowKind::NoColumn, of_turn("neither a text nor a length of one"))
    })?;
    if reading.tokenizer.is_none() {
        let message = "the turns have lengths in place of prompts, and no tokenizer is given";
        return Err(Problem::of_row(RowKind::Scenario, message.to_owned()));
    }
    let blocks = match traces::column(&turn.fields, "hash-ids") {
        Some(column) => hash_ids(turn, &column)
            .map_err(|message| Problem::of_row(RowKind::WrongType, message))?,
        None => Vec::new(),
    };
    let (blocks, block_tokens) = (blocks.into(), traces::block_tokens(trace.form));
    Ok(Prompt::OfLength(Box::new(PromptLength { n_tokens, blocks, block_tokens })))
}
