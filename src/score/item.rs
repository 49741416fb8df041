//! One answer, graded.

use serde::{Deserialize, Serialize};

use crate::score::unread::Unread;

/// What became of one item by one extractor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Class {
    /// The answer is the gold.
    Correct,
    /// An answer was extracted and is wrong.
    Wrong,
    /// The answer is another text than the gold and has its value: `29.00` for `29`.
    WrongByFormat,
    /// There is text, but no answer in it.
    Unparsed,
    /// Cut off at the length limit, or inside its thinking, and not correct.
    Truncated,
    /// No text, or reasoning alone.
    Empty,
    /// The request failed, so that it has no answer.
    RequestError,
}

impl Class {
    /// Returns the class's word in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Correct => "correct",
            Self::Wrong => "wrong",
            Self::WrongByFormat => "wrong by format",
            Self::Unparsed => "unparsed",
            Self::Truncated => "truncated",
            Self::Empty => "empty",
            Self::RequestError => "request error",
        }
    }
}

/// One item, graded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// Class by each extractor, in the plan's order.
    pub classes: Vec<Class>,
    /// Normalised answer by each extractor, or why there is none.
    pub answers: Vec<Result<String, Unread>>,
    /// Whether the answer repeats itself to the end.
    pub degenerate: bool,
    /// Whether thinking stood in the text.
    pub has_thinking: bool,
}

impl Item {
    /// Whether one of the first two extractors is right and the other is not.
    pub(crate) fn differs(&self) -> bool {
        let is_right = |at: usize| self.classes.get(at).map(|class| *class == Class::Correct);
        is_right(0).zip(is_right(1)).is_some_and(|(first, second)| first != second)
    }
}
