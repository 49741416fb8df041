//! One answer, graded.

use serde::{Deserialize, Serialize};

/// What became of one item by one extractor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The answer is the gold.
    Correct,
    /// An answer was extracted and is wrong.
    Wrong,
    /// There is text, but no answer in it.
    Unparsed,
    /// Cut off at the length limit and not correct.
    Truncated,
    /// No text, or reasoning alone.
    Empty,
    /// The request failed, so that it has no answer.
    RequestError,
}

impl Class {
    /// Returns the class's word in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Correct => "correct",
            Self::Wrong => "wrong",
            Self::Unparsed => "unparsed",
            Self::Truncated => "truncated",
            Self::Empty => "empty",
            Self::RequestError => "request error",
        }
    }
}

/// One item, graded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Class by each extractor, in the plan's order.
    pub classes: Vec<Class>,
    /// Normalised answer by each extractor.
    pub answers: Vec<Option<String>>,
    /// Whether the answer repeats itself to the end.
    pub degenerate: bool,
}
