//! `ultrachat_200k`: synthetic conversations of several turns.
//!
//! Tunstall and others, "Zephyr: Direct Distillation of LM Alignment", arXiv:2310.16944.

use crate::workload::dataset::turns::{self, Conversation};
use crate::workload::dataset::{Candidate, Lengths, Picked, Problem, Reading, table};
use crate::workload::request::Sample;
use crate::workload::rows::Row;

/// The column of the conversations, and the one that fine-tuning tools put beside it.
pub(super) const COLUMNS: &[(&str, &str)] = &[("messages", "messages"), ("system", "system")];

pub(super) fn pick(reading: &Reading<'_>, row: &Row) -> Result<Picked, Problem> {
    let Conversation { turns, later, answer, changed } = turns::from_messages(reading, row)?;
    let turns = table::with_system(reading, row, turns)?;
    let (id, output_tokens) = (table::id(reading, row)?, table::output_length(reading, row)?);
    let lengths = match (output_tokens, answer, reading.tokenizer) {
        (None, Some(answer), Some(_)) => Lengths::OfAnswer(answer),
        _ => Lengths::Known,
    };
    let tools = table::tools(reading, row);
    let sample = Sample { id, turns, later, output_tokens, tools, ..Sample::default() };
    let (time, turn_times) = (None, Vec::new());
    let candidate = Candidate { sample, lengths, changed, time, turn_times, example: None };
    Ok(Picked::Candidate(Box::new(candidate)))
}
