//! Outputs in, correctness out.
//!
//! [`scorer::Scorer`] is made from a [`crate::plan::cell::ScorePlan`]; it takes the gold answers
//! out of the data set before any engine starts, and grades stored outputs afterwards.

pub(crate) mod agree;
pub(crate) mod answer;
pub(crate) mod as_published;
mod choice;
pub(crate) mod classes;
mod computation;
pub(crate) mod extract;
pub(crate) mod fidelity;
pub(crate) mod final_number;
pub(crate) mod findings;
pub(crate) mod grade;
pub(crate) mod item;
mod next_question;
pub(crate) mod normalise;
pub(crate) mod number;
pub(crate) mod pair;
pub(crate) mod pattern;
pub(crate) mod repeat;
pub(crate) mod scorer;
pub(crate) mod tally;
#[cfg(test)]
mod tests;
pub(crate) mod thinking;
pub(crate) mod unread;

use serde::{Deserialize, Serialize};

/// Correctness of one cell's answers by one extractor. Shares are of `n`, not percentages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub(crate) struct Accuracy {
    /// Extractor name.
    pub extractor: String,
    /// Items that were answered: all but request errors.
    pub n: u64,
    /// Correct items.
    pub correct: u64,
    /// An answer was extracted and is wrong.
    pub wrong: u64,
    /// Other text than the gold, and its value: wrong by format alone.
    #[serde(default)]
    pub wrong_by_format: u64,
    /// No answer could be extracted.
    pub unparsed: u64,
    /// Cut off at the length limit or inside its thinking, whatever was extracted and not correct.
    pub truncated: u64,
    /// No text, or reasoning alone.
    pub empty: u64,
    /// Requests that failed: not in `n`, and shown.
    pub request_errors: u64,
    /// Answers that repeat themselves to the end.
    pub degenerate: u64,
    /// `correct / n`; absent when `n` is 0.
    pub share: Option<f64>,
    /// Wilson interval, 95 %.
    pub interval: Option<(f64, f64)>,
}
