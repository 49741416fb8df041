//! `ShareGPT` V3: conversations of people with a chat service, filtered as serving benchmarks do.
//!
//! The filter is that of vLLM's and SGLang's serving benchmarks: at least two turns; prompt
//! (turn 0) and answer (turn 1) of at least 4 tokens each; at most 1024 tokens of prompt and
//! 2048 in all.

use serde_json::Value;

use crate::workload::dataset::{Candidate, Lengths, Picked, Problem, Reading, turns};
use crate::workload::request::{Prompt, Sample};
use crate::workload::rows::Row;

const TOKENS_MIN: u32 = 4;
const PROMPT_TOKENS_MAX: u32 = 1024;
const TOKENS_MAX: u32 = 2048;

/// The column of the conversations.
pub(super) const COLUMNS: &[(&str, &str)] = &[("messages", "conversations")];

pub(super) fn pick(reading: &Reading<'_>, row: &Row) -> Result<Picked, Problem> {
    let column = reading.columns.name("messages").unwrap_or("conversations");
    let problem =
        |message: &str| Problem { column: Some(column.to_owned()), message: message.to_owned() };
    let value = reading.columns.get(&row.fields, "messages");
    let value = value.ok_or_else(|| problem("missing or null"))?;
    let items = value.as_array().ok_or_else(|| problem("not a list of turns"))?;
    let [first, second, ..] = items.as_slice() else {
        return Ok(Picked::LeftOut("fewer than two turns"));
    };
    let text = |item: &Value| {
        let text = item.get("value").or_else(|| item.get("content")).and_then(Value::as_str);
        text.map(str::to_owned).ok_or_else(|| problem("a turn has no `value` of text"))
    };
    let (prompt, answer) = (text(first)?, text(second)?);
    let turns = if reading.plan.multi_turn {
        turns::split(turns::messages(value).map_err(|message| problem(&message))?)
    } else {
        vec![Prompt::Text(prompt.clone())]
    };
    if turns.is_empty() {
        return Ok(Picked::LeftOut("no message of a user"));
    }
    let sample = Sample { turns, ..Sample::default() };
    Ok(Picked::Candidate(Candidate { sample, lengths: Lengths::ToFilter { prompt, answer } }))
}

/// Returns why a conversation of such lengths is left out, if it is.
pub(super) fn left_out(n_prompt: u32, n_answer: u32) -> Option<&'static str> {
    if n_prompt < TOKENS_MIN || n_answer < TOKENS_MIN {
        Some("a prompt or answer of fewer than 4 tokens")
    } else if n_prompt > PROMPT_TOKENS_MAX {
        Some("a prompt of more than 1024 tokens")
    } else if n_prompt + n_answer > TOKENS_MAX {
        Some("more than 2048 tokens of prompt and answer")
    } else {
        None
    }
}
