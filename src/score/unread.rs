//! Why an answer cannot be read.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::score::number::Flaw;

/// Why a text gives no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Unread {
    /// The pattern, or the field, is not there, or holds nothing.
    NoMatch,
    /// No digit stands outside of words.
    NoNumber,
    /// Two marked answers have different values.
    Ambiguous,
    /// What is marked as the answer is several numbers.
    Several,
    /// What is marked, or comes last, has a value and is no number: a root, a power, a word.
    Formula,
    /// The text ends inside its thinking.
    Thinking,
    /// The pattern ran into its limit of steps.
    GaveUp,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoMatch => "nothing matches",
            Self::NoNumber => "there is no number in it",
            Self::Ambiguous => "two marked answers have different values",
            Self::Several => "the answer is several",
            Self::Formula => "the marked or last value is not a number",
            Self::Thinking => "it ends inside its thinking",
            Self::GaveUp => "the pattern took too many steps",
        })
    }
}

impl From<Flaw> for Unread {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Missing => Self::NoNumber,
            Flaw::Several => Self::Several,
            Flaw::Formula => Self::Formula,
        }
    }
}
