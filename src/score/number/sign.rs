//! Whether a number is negative: signs, words, and minuses that take away.

use crate::score::number::blanks::{before_dress, is_blank};
use crate::score::number::currency::{currency, is_symbol};
use crate::score::number::notations::{BREAK, FRACTION, THIN};

/// Letters that count things between a number and a minus: 5公里-3公里.
const COUNTER: usize = 3;
/// Chinese, Japanese and Korean for "is".
const COPULAS: &str = "是为為はが得於于은는이";

/// Returns whether a number is negative, where it begins with its sign and currency, and whether
/// it has a currency in front.
pub(super) fn sign(text: &[char], at: usize) -> (bool, usize, bool) {
    let is_gap = |c: char| matches!(c, BREAK | FRACTION | THIN);
    let mut start = at;
    let mut is_money = false;
    while let Some(&c) = start.checked_sub(1).and_then(|before| text.get(before)) {
        if !is_gap(c) && !is_symbol(c) {
            break;
        }
        is_money |= is_symbol(c);
        start -= 1;
    }
    let Some(before) = start.checked_sub(1) else { return (false, start, is_money) };
    // `-USD18`
    let word = text[..start].iter().rev().take_while(|c| is_blank(**c)).count();
    if let Some(minus) = currency(text, start - word).and_then(|word| word.checked_sub(1))
        && text[minus] == '-'
        && is_sign(text, minus)
    {
        return (true, minus, is_money);
    }
    if text[before] == '-' {
        let is_negative = is_sign(text, before);
        return (is_negative, if is_negative { before } else { start }, is_money);
    }
    let blank = text[..start].iter().rev().take_while(|c| is_blank(**c)).count();
    let word_end = start - blank;
    // `= - 5`, `it is − 5`; elsewhere a minus with a space behind it is an operator or a bullet.
    if blank > 0 && word_end > 0 && text[word_end - 1] == '-' {
        let is_sign = is_equated(&text[..word_end - 1]);
        return (is_sign, if is_sign { word_end - 1 } else { start }, is_money);
    }
    let n = text[..word_end].iter().rev().take_while(|c| c.is_alphabetic()).count();
    let word: String = text[word_end - n..word_end].iter().collect();
    let is_negative = word_end < at
        && match word.to_lowercase().as_str() {
            "negative" => true,
            // Behind a number it is an operator: "10 minus 5".
            "minus" => is_sign(text, word_end - n),
            _ => false,
        };
    if is_negative { (true, word_end - n, is_money) } else { (false, start, is_money) }
}

/// Whether a minus is a sign: what stands in front of it has no value that it could be taken from.
pub(super) fn is_sign(text: &[char], minus: usize) -> bool {
    let Some(before) = before_dress(text, minus) else { return true };
    let is_amount = |end: usize| {
        text[..end].iter().rev().find(|c| !is_blank(**c)).is_some_and(char::is_ascii_digit)
    };
    let is_value = |place: usize| match text[place] {
        c if is_symbol(c) => c != '$' && is_amount(place),
        c => c.is_ascii_digit() || matches!(c, ')' | '%' | ']'),
    };
    let c = text[before];
    if c.is_whitespace() || c == THIN {
        return !text[..minus].iter().rposition(|c| !is_blank(*c)).is_some_and(is_value);
    }
    if let Some(word) = currency(text, before + 1) {
        return !is_amount(word);
    }
    if is_of_words(c) {
        let n = text[..=before].iter().rev().take_while(|c| is_of_words(**c)).count();
        return n > COUNTER || COPULAS.contains(c) || !is_amount(before + 1 - n);
    }
    !(is_value(before) || c.is_alphanumeric() || c == '-')
}

/// Whether a text ends with what sets two values equal: a sign, or a word for it.
pub(in crate::score) fn is_equated(text: &[char]) -> bool {
    let is_dress =
        |c: char| is_blank(c) || is_symbol(c) || matches!(c, '*' | '_' | '`' | ':' | '(');
    let end = text.len() - text.iter().rev().take_while(|c| is_dress(**c)).count();
    let n = text[..end].iter().rev().take_while(|c| c.is_alphabetic()).count();
    let word: String = text[end - n..end].iter().collect();
    matches!(word.to_lowercase().as_str(), "is" | "be" | "was" | "equals")
        || n == 0 && end > 0 && matches!(text[end - 1], '=' | '≈')
}

/// Whether a letter is of a script that sets no blanks between words, or has no capitals.
pub(super) fn is_of_words(c: char) -> bool {
    c.is_alphabetic() && !c.is_lowercase() && !c.is_uppercase()
}
