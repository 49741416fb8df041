//! `ultrachat_200k`: synthetic conversations of several turns.
//!
//! Tunstall and others, "Zephyr: Direct Distillation of LM Alignment", arXiv:2310.16944.

use crate::workload::dataset::{Picked, Problem, Reading, table, turns};
use crate::workload::rows::Row;

/// The column of the conversations, and the one that fine-tuning tools put beside it.
pub(super) const COLUMNS: &[(&str, &str)] = &[("messages", "messages"), ("system", "system")];

pub(super) fn pick(reading: &Reading<'_>, row: &Row) -> Result<Picked, Problem> {
    let mut conversation = turns::from_messages(reading, row)?;
    conversation.turns = table::with_system(reading, row, conversation.turns)?;
    table::of_conversation(reading, row, conversation, None)
}
