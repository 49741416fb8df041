//! GSM8K: grade-school word problems, whose answers end in `#### N`.
//!
//! Cobbe and others, "Training Verifiers to Solve Math Word Problems", arXiv:2110.14168.

/// Both files, JSONL of the authors and Parquet of the hub, have these two columns.
pub(super) const COLUMNS: &[(&str, &str)] = &[("prompt", "question"), ("answer", "answer")];
