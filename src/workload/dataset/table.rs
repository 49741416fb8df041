//! A row of any table whose columns the scenario names.

use serde_json::Value;

use crate::record::golds::written;
use crate::units::Nanos;
use crate::workload::bad_rows::RowKind;
use crate::workload::dataset::turns::{self, Conversation};
use crate::workload::dataset::{Candidate, Lengths, Problem, Reading};
use crate::workload::request::{Prompt, Sample};
use crate::workload::rows::Row;

/// Columns that are tried when the scenario names none.
pub(super) const COLUMNS: &[(&str, &str)] = &[
    ("prompt", "prompt"),
    ("answer", "answer"),
    ("output-length", "output_length"),
    ("input-length", "input_length"),
    ("timestamp", "timestamp"),
];

pub(super) fn candidate(reading: &Reading<'_>, row: &Row) -> Result<Candidate, Problem> {
    let (turns, changed, answer) = match reading.columns.name("messages") {
        Some(_) => {
            let Conversation { turns, changed, answer } = turns::from_messages(reading, row)?;
            (turns, changed, answer)
        }
        None => (vec![prompt(reading, row)?], Vec::new(), None),
    };
    let gold = gold(reading, row)?;
    let output_tokens = count(reading, row, "output-length")?;
    // The length that the row prescribes, or else that of its own answer.
    let lengths = match (output_tokens, gold.clone().or(answer), reading.tokenizer) {
        (None, Some(answer), Some(_)) => Lengths::OfAnswer(answer),
        _ => Lengths::Known,
    };
    let sample = Sample {
        row: 0,
        id: optional(reading, row, "id")?.map(|id| text_of(id).unwrap_or_else(|| id.to_string())),
        turns: with_system(reading, row, turns)?,
        output_tokens,
        gold,
        at: time(reading, row)?,
    };
    Ok(Candidate { sample, lengths, changed })
}

fn prompt(reading: &Reading<'_>, row: &Row) -> Result<Prompt, Problem> {
    if let Some(template) = &reading.template {
        return template.render(&row.fields).map(Prompt::Text).map_err(|message| {
            let message = with_columns(&message, row);
            Problem { kind: RowKind::Template, column: None, message }
        });
    }
    let column = reading.columns.name("prompt").unwrap_or("prompt");
    let problem =
        |kind, message: String| Problem { kind, column: Some(column.to_owned()), message };
    let value = reading.columns.get(&row.fields, "prompt");
    let absent = || problem(RowKind::NoColumn, with_columns("missing or null", row));
    let value = value.ok_or_else(absent)?;
    let wrong = |message: String| problem(RowKind::WrongType, message);
    let empty = || problem(RowKind::Empty, "is empty".to_owned());
    match value {
        Value::Array(items) if items.first().is_some_and(Value::is_number) => items
            .iter()
            .map(|item| item.as_u64().and_then(|token| u32::try_from(token).ok()))
            .collect::<Option<_>>()
            .map(Prompt::Tokens)
            .ok_or_else(|| wrong("token ids are whole numbers from 0 to 4294967295".to_owned())),
        Value::Array(items) if items.is_empty() => Err(empty()),
        Value::Array(_) => turns::messages(value)
            .map(Prompt::Messages)
            .map_err(|unsent| Problem::of(unsent, column)),
        _ => {
            let text = text_of(value)
                .ok_or_else(|| wrong(format!("is {}, not a text", kind_of(value))))?;
            if text.trim().is_empty() {
                return Err(empty());
            }
            Ok(Prompt::Text(match reading.plan.n_shots {
                0 => text,
                // The form of lm-evaluation-harness's task `gsm8k`.
                _ => format!("Question: {text}\nAnswer:"),
            }))
        }
    }
}

/// A system message of the row's own goes in front of its first turn.
fn with_system(
    reading: &Reading<'_>,
    row: &Row,
    mut turns: Vec<Prompt>,
) -> Result<Vec<Prompt>, Problem> {
    let Some(system) = optional(reading, row, "system")?.and_then(text_of) else {
        return Ok(turns);
    };
    if let Some(first) = turns.first_mut() {
        *first = turns::behind_system(&system, first.clone()).map_err(|message| Problem {
            kind: RowKind::WrongType,
            column: reading.columns.name("system").map(str::to_owned),
            message,
        })?;
    }
    Ok(turns)
}

fn gold(reading: &Reading<'_>, row: &Row) -> Result<Option<String>, Problem> {
    let Some(value) = optional(reading, row, "answer")? else { return Ok(None) };
    let list = || value.as_array().and_then(|list| written(list));
    // A list of accepted answers; anything else as the data set writes it.
    Ok(Some(text_of(value).or_else(list).unwrap_or_else(|| value.to_string())))
}

fn count(reading: &Reading<'_>, row: &Row, role: &str) -> Result<Option<u32>, Problem> {
    let Some(value) = optional(reading, row, role)? else { return Ok(None) };
    let number = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    match number.and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0) {
        Some(number) => Ok(Some(number)),
        None => Err(Problem {
            kind: RowKind::WrongType,
            column: reading.columns.name(role).map(str::to_owned),
            message: format!("`{}` is not a number of tokens from 1", shown(value)),
        }),
    }
}

/// The row's time since the Unix epoch, or since whatever its numbers count from.
fn time(reading: &Reading<'_>, row: &Row) -> Result<Option<Nanos>, Problem> {
    let Some(value) = optional(reading, row, "timestamp")? else { return Ok(None) };
    let problem = |message: String| Problem {
        kind: RowKind::WrongType,
        column: reading.columns.name("timestamp").map(str::to_owned),
        message,
    };
    let unit_ns = match reading.columns.name("timestamp-unit") {
        Some("s") => 1e9,
        // Mooncake's traces count milliseconds.
        Some("ms") | None => 1e6,
        Some("us") => 1e3,
        Some("ns") => 1.0,
        Some(other) => {
            return Err(problem(format!("`timestamp-unit` is `{other}`; s, ms, us and ns exist")));
        }
    };
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.trim().parse() {
            Ok(number) => Some(number),
            Err(_) => return date(text).map(Some).map_err(problem),
        },
        _ => None,
    };
    match number.filter(|number: &f64| number.is_finite() && *number >= 0.0) {
        Some(number) => Ok(Some(Nanos((number * unit_ns).round() as u64))),
        None => Err(problem(format!("`{}` is not a time", shown(value)))),
    }
}

fn date(text: &str) -> Result<Nanos, String> {
    let text = text.trim();
    let stamp = text.parse::<jiff::Timestamp>().or_else(|error| {
        // A date without a zone, as in Azure's traces, is taken as UTC: only differences count.
        let date: jiff::civil::DateTime = text.parse().map_err(|_| error)?;
        date.to_zoned(jiff::tz::TimeZone::UTC).map(|zoned| zoned.timestamp())
    });
    stamp
        .ok()
        .and_then(|stamp| u64::try_from(stamp.as_nanosecond()).ok())
        .map(Nanos)
        .ok_or_else(|| format!("`{}` is not a time", text.escape_debug()))
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

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn shown(value: &Value) -> String {
    value.to_string().escape_debug().take(60).collect()
}

fn with_columns(message: &str, row: &Row) -> String {
    let names = match &row.fields {
        Value::Object(fields) => fields.keys().take(12).cloned().collect::<Vec<_>>().join("`, `"),
        _ => String::new(),
    };
    format!("{message}; the row has `{}`", names.escape_debug())
}
