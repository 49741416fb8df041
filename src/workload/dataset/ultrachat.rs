//! `ultrachat_200k`: synthetic conversations of several turns.
//!
//! Tunstall and others, "Zephyr: Direct Distillation of LM Alignment", arXiv:2310.16944.

use crate::workload::dataset::{Candidate, Lengths, Picked, Problem, Reading, turns};
use crate::workload::request::Sample;
use crate::workload::rows::Row;

/// The column of the conversations.
pub(super) const COLUMNS: &[(&str, &str)] = &[("messages", "messages")];

pub(super) fn pick(reading: &Reading<'_>, row: &Row) -> Result<Picked, Problem> {
    let turns = turns::from_messages(reading, row)?;
    let first_answer = reading
        .columns
        .get(&row.fields, "messages")
        .and_then(|value| turns::messages(value).ok())
        .and_then(|messages| messages.into_iter().find(|message| message.role == "assistant"));
    let lengths = match (first_answer, reading.tokenizer) {
        (Some(answer), Some(_)) => Lengths::OfAnswer(answer.content),
        _ => Lengths::Known,
    };
    Ok(Picked::Candidate(Candidate { sample: Sample { turns, ..Sample::default() }, lengths }))
}
