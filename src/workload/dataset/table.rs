//! A row of any table whose columns the scenario names.

use minijinja::value::Serde;
use serde_json::Value;

use crate::ids::sha256_hex;
use crate::plan::cell::Source;
use crate::record::golds::written;
use crate::workload::bad_rows::RowKind;
use crate::workload::body::TOOLS;
use crate::workload::columns::{columns_of, lookup};
use crate::workload::dataset::generated::TOKEN_IDS;
use crate::workload::dataset::in_order::in_order;
use crate::workload::dataset::tasks::{self, Task};
use crate::workload::dataset::time::{self, DateOrder, Written};
use crate::workload::dataset::traces::{self, Form};
use crate::workload::dataset::turns::{self, Conversation};
use crate::workload::dataset::{Candidate, Lengths, Picked, Problem, Reading};
use crate::workload::request::{Prompt, PromptLength, Sample};
use crate::workload::rows::Row;
use crate::workload::rows::lenient_json::Unsayable;

/// Columns that are tried when the scenario names none.
pub(super) const COLUMNS: &[(&str, &str)] = &[
    ("prompt", "prompt"),
    ("answer", "answer"),
    ("output-length", "output_length"),
    ("input-length", "input_length"),
    ("timestamp", "timestamp"),
];

/// Columns of a trace, found by its first row.
#[derive(Debug)]
pub(super) struct TraceColumns {
    /// The published form that it has.
    pub(super) form: Option<&'static Form>,
    /// Column of the times, where they are replayed.
    pub(super) timestamp: Option<String>,
    /// Column of the prompts' lengths, where rows have no other prompt.
    input_length: Option<String>,
    output_length: Option<String>,
    hash_ids: Option<String>,
}

/// Column of a trace's prompts, where no other is named.
pub(super) const TRACE_TEXT: &str = "text_input";

/// Parts that only rows of traces have, found in a way of their own.
pub(super) const TRACE_ROLES: [&str; 3] = ["timestamp", "input-length", "hash-ids"];

impl TraceColumns {
    /// Returns the parts that its columns play.
    pub(super) fn roles(&self) -> Vec<(&'static str, String)> {
        let parts = [
            ("timestamp", &self.timestamp),
            ("input-length", &self.input_length),
            ("output-length", &self.output_length),
            ("hash-ids", &self.hash_ids),
        ];
        let parts = parts.into_iter();
        parts.filter_map(|(role, column)| Some((role, column.clone()?))).collect()
    }

    pub(super) fn of<'r>(reading: &'r Reading<'_>, row: &Row) -> &'r Self {
        reading.trace.get_or_init(|| {
            let columns = &reading.columns;
            let find = |role: &str| {
                if columns.is_asked(role) {
                    return columns.name(role).map(str::to_owned);
                }
                traces::column(&row.fields, role)
            };
            let has_prompt = reading.template.is_some()
                || columns.name("messages").is_some()
                || prompt_value(reading, row).is_some()
                || columns.is_asked("prompt") && columns.name("prompt") != Some(TOKEN_IDS);
            let asks_length = columns.is_asked("input-length") && !columns.is_asked("prompt");
            let has_length_alone = asks_length || !has_prompt;
            let input_length = has_length_alone.then(|| find("input-length")).flatten();
            let is_trace = input_length.is_some() || reading.plan.source == Source::Trace;
            Self {
                form: traces::form(&row.fields),
                timestamp: reading.plan.is_replayed.then(|| find("timestamp")).flatten(),
                output_length: if is_trace { find("output-length") } else { None },
                hash_ids: input_length.is_some().then(|| find("hash-ids")).flatten(),
                input_length,
            }
        })
    }
}

pub(super) fn pick(reading: &Reading<'_>, row: &Row) -> Result<Picked, Problem> {
    let trace = TraceColumns::of(reading, row);
    let time = time(reading, trace, row)?;
    if let Some(input_length) = &trace.input_length {
        return of_lengths(reading, trace, input_length, row, time);
    }
    let plan = reading.plan;
    let worded = tasks::wording(plan.source).map(|read| read(&row.fields, plan.n_shots > 0));
    let worded = worded.transpose()?;
    let Task { prompt: of_task, gold: its_gold, example, subject } = worded.unwrap_or_default();
    let Conversation { turns, later, changed, answer } =
        match (reading.columns.name("messages"), of_task) {
            (Some(_), _) => turns::from_messages(reading, row)?,
            (None, Some(text))
                if reading.template.is_none() && !reading.columns.is_asked("prompt") =>
            {
                Conversation::of(Prompt::Text(text))
            }
            (None, _) => prompt(reading, row)?,
        };
    let gold = match its_gold.filter(|_| !reading.columns.is_asked("answer")) {
        Some(gold) => Some(gold),
        None => gold(reading, row)?,
    };
    let output_tokens = match &trace.output_length {
        Some(column) => match tokens(row, column)? {
            Some(0) => return Ok(Picked::LeftOut(RowKind::SourceFailed)),
            length => length,
        },
        None => output_length(reading, row)?,
    };
    let lengths = lengths(reading, output_tokens, gold.clone().or(answer));
    let sample = Sample {
        id: id(reading, row)?,
        turns: with_system(reading, row, turns)?,
        later,
        output_tokens,
        gold,
        subject,
        tools: tools(reading, row),
        ..Sample::default()
    };
    Ok(Picked::Candidate(Box::new(Candidate {
        sample,
        lengths,
        changed,
        time,
        turn_times: Vec::new(),
        example,
    })))
}

/// Takes a row of which nothing but its conversation is asked.
pub(super) fn of_conversation(
    reading: &Reading<'_>,
    row: &Row,
    conversation: Conversation,
    time: Option<Written>,
) -> Result<Picked, Problem> {
    let Conversation { turns, later, answer, changed } = conversation;
    let (id, output_tokens) = (id(reading, row)?, output_length(reading, row)?);
    let lengths = lengths(reading, output_tokens, answer);
    let tools = tools(reading, row);
    let sample = Sample { id, turns, later, output_tokens, tools, ..Sample::default() };
    let turn_times = Vec::new();
    let candidate = Candidate { sample, lengths, changed, time, turn_times, example: None };
    Ok(Picked::Candidate(Box::new(candidate)))
}

/// Returns the length of the answer that the row prescribes, or else that of its own.
fn lengths(reading: &Reading<'_>, output_tokens: Option<u32>, answer: Option<String>) -> Lengths {
    match (output_tokens, answer, reading.tokenizer) {
        (None, Some(answer), Some(_)) => Lengths::OfAnswer(answer),
        _ => Lengths::Known,
    }
}

/// Returns the functions that a row's own column defines, as rows of fine-tuning data do beside their
/// messages; none where `chat-template-kwargs` has some for all rows.
pub(super) fn tools(reading: &Reading<'_>, row: &Row) -> Option<minijinja::Value> {
    if reading.plan.chat_template_kwargs.contains_key(TOOLS) {
        return None;
    }
    let plain = row.fields.get(TOOLS)?;
    let tools = in_order(row, TOOLS).unwrap_or_else(|| minijinja::Value::from(Serde(plain)));
    let has = |tool: &minijinja::Value, name: &str| {
        tool.get_attr(name).is_ok_and(|member| !member.is_undefined())
    };
    let first = tools.get_item_by_index(0).ok()?;
    if has(&first, "function") {
        return Some(tools);
    }
    if !has(&first, "name") || !has(&first, "parameters") {
        return None;
    }
    // Functions that are defined bare, as in the data of xLAM and Hermes: a request has each in a
    // definition of a tool.
    let of_function = |function| {
        let kind = minijinja::Value::from("function");
        minijinja::Value::from_pairs([("type", kind), ("function", function)])
    };
    Some(tools.try_iter().ok()?.map(of_function).collect())
}

/// Returns the length that a row prescribes for its answer, in tokens from 1.
pub(super) fn output_length(reading: &Reading<'_>, row: &Row) -> Result<Option<u32>, Problem> {
    let Some(value) = optional(reading, row, "output-length")? else { return Ok(None) };
    let column = reading.columns.name("output-length");
    match count(value, column)? {
        Some(0) => Err(Problem {
            kind: RowKind::WrongType,
            column: column.map(str::to_owned),
            message: "`0` is not a number of tokens from 1".to_owned(),
        }),
        length => Ok(length),
    }
}

pub(super) fn id(reading: &Reading<'_>, row: &Row) -> Result<Option<String>, Problem> {
    let id = optional(reading, row, "id")?;
    Ok(id.map(|id| text_of(id).unwrap_or_else(|| id.to_string())))
}

/// A row that has lengths and no text.
fn of_lengths(
    reading: &Reading<'_>,
    trace: &TraceColumns,
    input_length: &str,
    row: &Row,
    time: Option<Written>,
) -> Result<Picked, Problem> {
    let problem = |kind, column: &str, message: String| Problem {
        kind,
        column: Some(column.to_owned()),
        message,
    };
    if reading.tokenizer.is_none() {
        let message = "the rows have lengths in place of prompts, and no tokenizer is given";
        return Err(problem(RowKind::Scenario, input_length, message.to_owned()));
    }
    let n_tokens = tokens(row, input_length)?
        .ok_or_else(|| problem(RowKind::NoColumn, input_length, "missing or null".to_owned()))?;
    if n_tokens == 0 {
        return Err(problem(RowKind::Empty, input_length, "a prompt of 0 tokens".to_owned()));
    }
    let output_tokens = match &trace.output_length {
        Some(column) => tokens(row, column)?,
        None => None,
    };
    if output_tokens == Some(0) {
        return Ok(Picked::LeftOut(RowKind::SourceFailed));
    }
    let blocks = match &trace.hash_ids {
        Some(column) => {
            hash_ids(row, column).map_err(|message| problem(RowKind::WrongType, column, message))?
        }
        None => Vec::new(),
    };
    let (blocks, block_tokens) = (blocks.into(), traces::block_tokens(trace.form));
    let turns = vec![Prompt::OfLength(Box::new(PromptLength { n_tokens, blocks, block_tokens }))];
    let sample = Sample { id: id(reading, row)?, turns, output_tokens, ..Sample::default() };
    let (lengths, changed) = (Lengths::Known, Vec::new());
    let turn_times = Vec::new();
    let candidate = Candidate { sample, lengths, changed, time, turn_times, example: None };
    Ok(Picked::Candidate(Box::new(candidate)))
}

/// Returns the ids of the blocks that a prompt begins with.
pub(super) fn hash_ids(row: &Row, column: &str) -> Result<Vec<u64>, String> {
    let wrong = || "is not a list of ids".to_owned();
    let Some(value) = lookup(&row.fields, column).filter(|value| !value.is_null()) else {
        return Ok(Vec::new());
    };
    let parsed: Value;
    let list = match value {
        Value::String(text) => {
            parsed = serde_json::from_str(text).map_err(|_| wrong())?;
            &parsed
        }
        list => list,
    };
    let id = |id: &Value| match id {
        Value::Number(number) => number.as_u64().or_else(|| Some(number.as_i64()? as u64)),
        // The first bytes of a digest name a text as well as the text does.
        Value::String(text) => u64::from_str_radix(&sha256_hex(text.as_bytes())[..16], 16).ok(),
        _ => None,
    };
    let ids = list.as_array().ok_or_else(wrong)?.iter().map(id);
    ids.collect::<Option<_>>().ok_or_else(wrong)
}

/// Returns the column of a row's prompt: that of the scenario or, in a trace, the usual one or
/// `AIPerf`'s, as in its sessions.
fn prompt_column<'r>(reading: &'r Reading<'_>, row: &Row) -> Option<&'r str> {
    let columns = &reading.columns;
    let is_aiperfs = reading.plan.source == Source::Trace
        && !columns.is_asked("prompt")
        && columns.get(&row.fields, "prompt").is_none()
        && row.fields.get(TRACE_TEXT).is_some();
    if is_aiperfs { Some(TRACE_TEXT) } else { columns.name("prompt") }
}

fn prompt_value<'r>(reading: &Reading<'_>, row: &'r Row) -> Option<&'r Value> {
    let column = prompt_column(reading, row)?;
    lookup(&row.fields, column).filter(|value| !value.is_null())
}

/// Returns what a row asks: one prompt, or the conversation that its column holds.
fn prompt(reading: &Reading<'_>, row: &Row) -> Result<Conversation, Problem> {
    if let Some(template) = &reading.template {
        let text = template.render(&row.fields).map_err(|message| {
            let message = with_columns(&message, row);
            Problem { kind: RowKind::Template, column: None, message }
        })?;
        // A template writes any value: what stands for one that cannot be read is no such.
        let fields = row.fields.as_object().into_iter().flatten();
        let unsayable = fields.filter_map(|(name, it)| Some((name, Unsayable::of(it)?)));
        for (name, what) in unsayable {
            if template.names(name) {
                let message = format!("column `{}` {}", name.escape_debug(), what.words());
                return Err(Problem { kind: RowKind::Template, column: None, message });
            }
        }
        return Ok(Conversation::of(Prompt::Text(text)));
    }
    let column = prompt_column(reading, row).unwrap_or("prompt");
    let problem =
        |kind, message: String| Problem { kind, column: Some(column.to_owned()), message };
    let value = prompt_value(reading, row);
    let absent = || problem(RowKind::NoColumn, with_columns("missing or null", row));
    let value = value.ok_or_else(absent)?;
    let wrong = |message: String| problem(RowKind::WrongType, message);
    let empty = || problem(RowKind::Empty, "is empty".to_owned());
    match value {
        Value::Array(items) if items.first().is_some_and(Value::is_number) => items
            .iter()
            .map(|item| item.as_u64().and_then(|token| u32::try_from(token).ok()))
            .collect::<Option<_>>()
            .map(|tokens| Conversation::of(Prompt::Tokens(tokens)))
            .ok_or_else(|| wrong("token ids are whole numbers from 0 to 4294967295".to_owned())),
        Value::Array(items) if items.is_empty() => Err(empty()),
        Value::Array(_) => turns::prompt(value, in_order(row, column), reading.plan)
            .map_err(|unsent| Problem::of(unsent, column)),
        _ => {
            let text = text_of(value).ok_or_else(|| wrong(no_text(value)))?;
            if text.trim().is_empty() {
                return Err(empty());
            }
            Ok(Conversation::of(Prompt::Text(match reading.plan.n_shots {
                0 => text,
                // The form of lm-evaluation-harness's task `gsm8k`.
                _ => format!("Question: {text}\nAnswer:"),
            })))
        }
    }
}

/// A system message of the row's own goes in front of its first turn. A row whose column is null or
/// empty has none.
pub(super) fn with_system(
    reading: &Reading<'_>,
    row: &Row,
    mut turns: Vec<Prompt>,
) -> Result<Vec<Prompt>, Problem> {
    let Some(column) = reading.columns.name("system") else { return Ok(turns) };
    let is_asked = reading.columns.is_asked("system");
    let problem = |kind, message| Problem { kind, column: Some(column.to_owned()), message };
    let system = match lookup(&row.fields, column) {
        None if is_asked => {
            return Err(problem(RowKind::NoColumn, with_columns("missing", row)));
        }
        None | Some(Value::Null) => return Ok(turns),
        Some(value) => match text_of(value) {
            Some(text) => text,
            None if is_asked => {
                return Err(problem(RowKind::WrongType, no_text(value)));
            }
            None => return Ok(turns),
        },
    };
    let Some(first) = turns.first_mut().filter(|_| !system.trim().is_empty()) else {
        return Ok(turns);
    };
    // What a conversation says itself stays as it is, unless the scenario names the column.
    if is_asked || !turns::brings_system(first) {
        *first = turns::behind_system(&system, first.clone())
            .map_err(|message| problem(RowKind::WrongType, message))?;
    }
    Ok(turns)
}

fn gold(reading: &Reading<'_>, row: &Row) -> Result<Option<String>, Problem> {
    let Some(value) = optional(reading, row, "answer")? else { return Ok(None) };
    if Unsayable::of(value).is_some() {
        let column = reading.columns.name("answer").map(str::to_owned);
        return Err(Problem { kind: RowKind::WrongType, column, message: no_text(value) });
    }
    let list = || value.as_array().and_then(|list| written(list));
    // A list of accepted answers; anything else as the data set writes it.
    Ok(Some(text_of(value).or_else(list).unwrap_or_else(|| value.to_string())))
}

/// Returns the number of tokens in a column, if it is not null.
pub(super) fn tokens(row: &Row, column: &str) -> Result<Option<u32>, Problem> {
    match lookup(&row.fields, column).filter(|value| !value.is_null()) {
        Some(value) => count(value, Some(column)),
        None => Ok(None),
    }
}

fn count(value: &Value, column: Option<&str>) -> Result<Option<u32>, Problem> {
    // Data frames with a gap write whole numbers as 374.0.
    let whole = |number: f64| (number.fract() == 0.0 && number >= 0.0).then_some(number as u64);
    let number = match value {
        Value::Number(number) => number.as_u64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => {
            let text = text.trim();
            text.parse().ok().or_else(|| whole(text.parse().ok()?))
        }
        _ => None,
    };
    match number.and_then(|number| u32::try_from(number).ok()) {
        Some(number) => Ok(Some(number)),
        None => Err(Problem {
            kind: RowKind::WrongType,
            column: column.map(str::to_owned),
            message: format!("`{}` is not a number of tokens from 1", shown(value)),
        }),
    }
}

/// The row's time, where a trace is replayed.
pub(super) fn time(
    reading: &Reading<'_>,
    trace: &TraceColumns,
    row: &Row,
) -> Result<Option<Written>, Problem> {
    if !reading.plan.is_replayed {
        return Ok(None);
    }
    let column = trace.timestamp.as_deref().or_else(|| reading.columns.name("timestamp"));
    let problem = |kind, message| Problem { kind, column: column.map(str::to_owned), message };
    let value = column.and_then(|column| lookup(&row.fields, column));
    let value = value.filter(|value| !value.is_null());
    let value = value
        .ok_or_else(|| problem(RowKind::NoTime, with_columns("no time: missing or null", row)))?;
    let read = time::read_in(value, reading.date_order);
    let wrong = || {
        let orders = value.as_str().map(|text| DateOrder::of(text.trim())).unwrap_or_default();
        let shown = shown(value);
        if let Some(unsayable) = Unsayable::of(value) {
            return problem(RowKind::NoTime, unsayable.words().to_owned());
        }
        if orders.len() > 1 {
            let message =
                format!("no row shows whether the day or the month is first in `{shown}`");
            return problem(RowKind::DayOrMonth, message);
        }
        problem(RowKind::NoTime, format!("`{shown}` is not a time"))
    };
    read.map(Some).ok_or_else(wrong)
}

/// Returns a column's value; it may be absent unless the scenario names the column itself.
fn optional<'r>(
    reading: &Reading<'_>,
    row: &'r Row,
    role: &str,
) -> Result<Option<&'r Value>, Problem> {
    let value = reading.columns.get(&row.fields, role);
    let must_be = reading.columns.is_asked(role)
        || (role == "answer" && reading.plan.source == crate::plan::cell::Source::Gsm8k);
    if value.is_none() && must_be {
        return Err(Problem {
            kind: RowKind::NoColumn,
            column: reading.columns.name(role).map(str::to_owned),
            message: with_columns("missing or null", row),
        });
    }
    Ok(value)
}

pub(super) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Says what stands where a text is asked for.
fn no_text(value: &Value) -> String {
    if let Some(unsayable) = Unsayable::of(value) {
        return unsayable.words().to_owned();
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    format!("is {kind}, not a text")
}

fn shown(value: &Value) -> String {
    value.to_string().escape_debug().take(60).collect()
}

fn with_columns(message: &str, row: &Row) -> String {
    let names = match &row.fields {
        Value::Object(fields) => {
            let names: Vec<_> = columns_of(fields).map(|(name, _)| name.clone()).take(12).collect();
            names.join("`, `")
        }
        _ => String::new(),
    };
    format!("{message}; the row has `{}`", names.escape_debug())
}
