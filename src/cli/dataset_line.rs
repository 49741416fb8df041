//! What a look at the head of a data set saw, in one line.

use crate::workload::request::{Prompt, Sample};
use crate::workload::samples::Samples;

/// Columns that are named.
const COLUMNS_MAX: usize = 12;

/// Says what was seen: rows, columns and their parts, lengths, times.
pub(crate) fn told(name: &str, samples: &Samples, is_all: bool) -> String {
    let rows = samples.rows();
    let n = rows.len();
    let which = match (is_all, n) {
        (true, 1) => "1 row".to_owned(),
        (true, n) => format!("{n} rows"),
        (false, n) => format!("the first {n} rows"),
    };
    let mut parts = vec![format!("data set `{name}`: {which}")];
    if !samples.columns.is_empty() {
        let mut names: Vec<String> = samples
            .columns
            .iter()
            .take(COLUMNS_MAX)
            .map(|name| format!("`{}`", name.escape_debug()))
            .collect();
        if samples.columns.len() > COLUMNS_MAX {
            names.push(format!("{} more", samples.columns.len() - COLUMNS_MAX));
        }
        parts.push(format!("columns {}", names.join(", ")));
    }
    let roles = samples.roles.iter().map(|(role, column)| format!("{role} from `{column}`"));
    let roles: Vec<String> = roles.collect();
    if !roles.is_empty() {
        parts.push(roles.join(", "));
    }
    parts.extend(range(rows.iter().filter_map(tokens)).map(|it| format!("prompts of {it} tokens")));
    parts.extend(
        range(rows.iter().filter_map(characters)).map(|it| format!("prompts of {it} characters")),
    );
    let answers = rows.iter().filter_map(|row| row.output_tokens.map(u64::from));
    parts.extend(range(answers).map(|it| format!("answers of {it} tokens")));
    let turns = range(rows.iter().map(|row| row.turns.len() as u64));
    parts.extend(turns.filter(|turns| turns != "1").map(|it| format!("{it} turns")));
    parts.extend(samples.trace.as_ref().map(ToString::to_string));
    parts.extend(samples.remarks().map(|remarks| format!("rows {remarks}")));
    parts.join("; ")
}

/// Returns the tokens of a prompt that is made of them.
fn tokens(row: &Sample) -> Option<u64> {
    match row.turns.first()? {
        Prompt::Tokens(tokens) => Some(tokens.len() as u64),
        Prompt::OfLength(length) => Some(u64::from(length.n_tokens)),
        _ => None,
    }
}

/// Returns the characters of a first turn that is text.
fn characters(row: &Sample) -> Option<u64> {
    match row.turns.first()? {
        Prompt::Text(text) => Some(text.chars().count() as u64),
        Prompt::Messages(messages) => {
            Some(messages.iter().map(|message| message.text().chars().count() as u64).sum())
        }
        Prompt::Tokens(_) | Prompt::OfLength(_) => None,
    }
}

/// Returns the least and the most, `12 to 50`; nothing of nothing.
fn range(values: impl Iterator<Item = u64>) -> Option<String> {
    let (least, most) = values.fold(None, |ends: Option<(u64, u64)>, value| {
        Some(ends.map_or((value, value), |(least, most)| (least.min(value), most.max(value))))
    })?;
    Some(if least == most { least.to_string() } else { format!("{least} to {most}") })
}
