//! What stands between the parts of a plain text and says nothing.

use crate::score::number::notations::{BREAK, FRACTION, THIN};

pub(in crate::score) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | THIN | BREAK)
}

/// Returns where blanks end that begin there.
pub(super) fn skip(text: &[char], at: usize) -> usize {
    at + text[at..].iter().take_while(|c| is_blank(**c)).count()
}

/// Returns the last character in front of a number that is no dress of it.
pub(super) fn before_dress(text: &[char], at: usize) -> Option<usize> {
    (0..at).rev().find(|&place| !matches!(text[place], BREAK | FRACTION))
}
