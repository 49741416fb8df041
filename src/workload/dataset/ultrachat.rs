//! `ultrachat_200k`: synthetic conversations of several turns.
//!
//! Tunstall and others, "Zephyr: Direct Distillation of LM Alignment", arXiv:2310.16944.

use crate::workload::dataset::turns::{self, Conversation};
use crate::workload::dataset::{Candidate, Lengths, Picked, Problem, Reading};
use crate::workload::request::Sample;
use crate::workload::rows::Row;

/// The column of the conversations.
pub(super) const COLUMNS: &[(&str, &str)] = &[("messages", "messages")];

pub(super) fn pick(reading: &Reading<'_>, row: &Row) -> Result<Picked, Problem> {
    let Conversation { turns, later, answer, changed } = turns::from_messages(reading, row)?;
    let lengths = match (answer, reading.tokenizer) {
        (Some(answer), Some(_)) => Lengths::OfAnswer(answer),
        _ => Lengths::Known,
    };
    let sample = Sample { turns, later, ..Sample::default() };
    let candidate = Candidate { sample, lengths, changed, time: None, example: None };
    Ok(Picked::Candidate(Box::new(candidate)))
}
