//! A number where it stands in a text.

use crate::score::number::notations::FORMULA;
use crate::score::number::value::Number;

/// One number in a text.
#[derive(Clone, Debug)]
pub(in crate::score) struct Token {
    pub number: Number,
    /// Where it begins: its sign and currency in front belong to it.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// Whether it is a value of its own: not the 2 of a root of 2, of 2π or of 5^2.
    pub is_clean: bool,
}

impl Token {
    /// Whether it is a root or another formula without a number of its own in front.
    pub(in crate::score) fn is_symbol(&self, text: &[char]) -> bool {
        text.get(self.start) == Some(&FORMULA)
    }
}
