//! Patterns that a text is searched for, with a bound on what they cost.

use std::ops::Range;

use fancy_regex::{Regex, RegexBuilder};
use thiserror::Error;

use crate::plan::cell::Take;
use crate::score::unread::Unread;

/// Steps that a pattern with look-around or back references may take on one text. Patterns
/// without them are matched in linear time and never count steps.
const BACKTRACK_LIMIT: usize = 1_000_000;
/// Bytes that a compiled pattern may take: refuses `a{1000000}` in well under a second.
const SIZE_LIMIT: usize = 10 << 20;

/// A pattern that cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("pattern `{pattern}` is not usable: {why}")]
pub(crate) struct PatternError {
    /// The pattern.
    pub pattern: String,
    /// The mistake in it.
    pub why: String,
}

/// A text on which a pattern took too many steps.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the pattern took more than {BACKTRACK_LIMIT} steps on one text")]
pub(crate) struct GaveUp;

/// Compiles a pattern with its limits.
pub(crate) fn compile(pattern: &str) -> Result<Regex, PatternError> {
    RegexBuilder::new(pattern)
        .backtrack_limit(BACKTRACK_LIMIT)
        .delegate_size_limit(SIZE_LIMIT)
        .build()
        .map_err(|error| PatternError { pattern: pattern.to_owned(), why: error.to_string() })
}

/// Returns where the first pattern that matches finds something.
pub(super) fn first_of(
    patterns: &[(Regex, Take)],
    text: &str,
) -> Result<Option<Range<usize>>, Unread> {
    first_meant(patterns, text, &|_| true)
}

/// Returns where the first pattern that matches finds something that is meant.
pub(super) fn first_meant(
    patterns: &[(Regex, Take)],
    text: &str,
    is_meant: &dyn Fn(&Range<usize>) -> bool,
) -> Result<Option<Range<usize>>, Unread> {
    let found =
        patterns.iter().map(|(pattern, take)| find(pattern, *take, text, is_meant).transpose());
    found.flatten().next().transpose().map_err(|GaveUp| Unread::GaveUp)
}

/// Returns where group `answer` is, else the first group that took part, else the whole match.
fn find(
    pattern: &Regex,
    take: Take,
    text: &str,
    is_meant: &dyn Fn(&Range<usize>) -> bool,
) -> Result<Option<Range<usize>>, GaveUp> {
    let mut found = None;
    for captures in pattern.captures_iter(text) {
        let captures = captures.map_err(|_| GaveUp)?;
        let group = captures
            .name("answer")
            .or_else(|| (1..captures.len()).find_map(|group| captures.get(group)))
            .or_else(|| captures.get(0));
        let group = group.map(|group| group.range());
        if !group.as_ref().is_some_and(is_meant) {
            continue;
        }
        found = group;
        if take == Take::First {
            break;
        }
    }
    Ok(found)
}
