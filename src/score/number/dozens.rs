//! Numbers of dozens: the one count that people name without a digit.

use crate::score::number::blanks::is_blank;
use crate::score::number::sign::is_equated;
use crate::score::number::token::Token;
use crate::score::number::value::Number;

/// Words for how many, from one on.
const COUNTS: [&str; 10] =
    ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];

/// Returns where "dozen" or "dozens" ends that stands at a place.
pub(super) fn dozens_end(text: &[char], at: usize) -> Option<usize> {
    let word = word_at(text, at);
    matches!(word.as_str(), "dozen" | "dozens").then_some(at + word.len())
}

/// Returns the word that begins at a place, in small letters.
pub(super) fn word_at(text: &[char], at: usize) -> String {
    let word = text.get(at..).unwrap_or_default().iter().take_while(|c| c.is_alphabetic());
    word.flat_map(|c| c.to_lowercase()).collect()
}

/// Reads a number of dozens whose last word begins at a place: "two dozen", "half a dozen". "A dozen"
/// is one where a value stands, and not in "$3 a dozen".
pub(super) fn in_words(text: &[char], at: usize) -> Option<Token> {
    let is_word = at.checked_sub(1).is_some_and(|before| !text[before].is_alphanumeric());
    let end = is_word.then(|| dozens_end(text, at))??;
    let (first, word) = word_before(text, at)?;
    let half = || Number::of_int(1)?.divided(&Number::of_int(2)?);
    let (start, number) = match word.as_str() {
        "half" => (first, half()?),
        "a" => match word_before(text, first) {
            Some((half_at, before)) if before == "half" => (half_at, half()?),
            _ => {
                let before = text[..first].iter().rev().find(|c| !is_blank(**c));
                let stands_alone = matches!(before, None | Some('\n' | '#'));
                (stands_alone || is_equated(&text[..first])).then_some(())?;
                (first, Number::of_int(1)?)
            }
        },
        word => {
            let n = COUNTS.iter().position(|count| *count == word)? + 1;
            (first, Number::of_int(i128::try_from(n).ok()?)?)
        }
    };
    Some(Token { number: number.in_dozens(), start, end, is_clean: true })
}

/// Returns the word in front of a place, behind blanks or a hyphen alone, and where it begins.
fn word_before(text: &[char], at: usize) -> Option<(usize, String)> {
    let before = &text[..at];
    let n_blanks = before.iter().rev().take_while(|c| is_blank(**c) || **c == '-').count();
    let end = at - n_blanks;
    let n = before[..end].iter().rev().take_while(|c| c.is_alphabetic()).count();
    (n > 0 && n_blanks > 0).then(|| (end - n, word_at(&before[..end], end - n)))
}
