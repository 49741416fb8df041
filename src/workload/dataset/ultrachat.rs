//! `ultrachat_200k`: synthetic conversations of several turns.
//!
//! Tunstall and others, "Zephyr: Direct Distillation of LM Alignment", arXiv:2310.16944.

use crate::workload::dataset::{Picked, Problem, Reading, turns};
use crate::workload::request::Sample;
use crate::workload::rows::Row;

/// The column of the conversations.
pub(super) const COLUMNS: &[(&str, &str)] = &[("messages", "messages")];

pub(super) fn pick(reading: &Reading<'_>, row: &Row) -> Result<Picked, Problem> {
    let turns = turns::from_messages(reading, row)?;
    let column = || reading.columns.name("messages").map(str::to_owned);
    let first_answer = reading
        .columns
        .get(&row.fields, "messages")
        .and_then(|value| turns::messages(value).ok())
        .and_then(|messages| messages.into_iter().find(|message| message.role == "assistant"));
    let output_tokens = match (first_answer, reading.tokenizer) {
        (Some(answer), Some(_)) => Some(
            reading
                .count(&answer.content)
                .map_err(|message| Problem { column: column(), message })?
                .max(1),
        ),
        _ => None,
    };
    Ok(Picked::Sample(Sample { turns, output_tokens, ..Sample::default() }))
}
