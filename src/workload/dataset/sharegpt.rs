//! `ShareGPT` V3: conversations of people with a chat service, filtered as serving benchmarks do.
//!
//! The filter is that of vLLM's and SGLang's serving benchmarks: at least two turns; prompt
//! (turn 0) and answer (turn 1) of at least 4 tokens each; at most 1024 tokens of prompt and
//! 2048 in all.

use serde_json::Value;

use crate::workload::dataset::{Picked, Problem, Reading, turns};
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
    let count = |text: &str| reading.count(text).map_err(|message| problem(&message));
    let (n_prompt, n_answer) = (count(&prompt)?, count(&answer)?);
    if n_prompt < TOKENS_MIN || n_answer < TOKENS_MIN {
        return Ok(Picked::LeftOut("a prompt or answer of fewer than 4 tokens"));
    }
    if n_prompt > PROMPT_TOKENS_MAX {
        return Ok(Picked::LeftOut("a prompt of more than 1024 tokens"));
    }
    if n_prompt + n_answer > TOKENS_MAX {
        return Ok(Picked::LeftOut("more than 2048 tokens of prompt and answer"));
    }
    let turns = if reading.plan.multi_turn {
        turns::split(turns::messages(value).map_err(|message| problem(&message))?)
    } else {
        vec![Prompt::Text(prompt)]
    };
    if turns.is_empty() {
        return Ok(Picked::LeftOut("no message of a user"));
    }
    Ok(Picked::Sample(Sample { turns, output_tokens: Some(n_answer), ..Sample::default() }))
}
