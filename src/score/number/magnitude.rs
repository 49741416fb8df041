//! Words and letters behind a number that multiply it: million, 万, k.

use crate::score::number::blanks::skip;

/// Words that multiply the number in front of them, as powers of ten.
const MAGNITUDES: [(&str, i32); 11] = [
    ("hundred", 2),
    ("thousand", 3),
    ("lakh", 5),
    ("lac", 5),
    ("million", 6),
    ("mio", 6),
    ("crore", 7),
    ("billion", 9),
    ("mrd", 9),
    ("bn", 9),
    ("trillion", 12),
];
/// The same in Chinese, Japanese and Korean, where their unit goes on without a blank.
const HAN_MAGNITUDES: [(char, i32); 6] =
    [('万', 4), ('萬', 4), ('만', 4), ('亿', 8), ('億', 8), ('억', 8)];
/// Letters that do so behind an amount of money.
const MONEY_MAGNITUDES: [(&str, i32); 6] =
    [("k", 3), ("K", 3), ("m", 6), ("M", 6), ("b", 9), ("B", 9)];

/// Reads a magnitude behind a number.
pub(super) fn magnitude(text: &[char], end: usize, is_money: bool) -> Option<(i32, usize)> {
    let at = if text.get(end) == Some(&'-') { end + 1 } else { skip(text, end) };
    let n = text[at..].iter().take_while(|c| c.is_alphabetic()).count();
    let word: String = text[at..at + n].iter().collect();
    let small = word.to_lowercase();
    let one = small.strip_suffix('s').unwrap_or(&small);
    let named = MAGNITUDES.iter().find(|(name, _)| *name == one);
    let of_money = MONEY_MAGNITUDES.iter().find(|(name, _)| is_money && at == end && *name == word);
    let of_first = text.get(at).and_then(|c| HAN_MAGNITUDES.iter().find(|(han, _)| han == c));
    let named = named.or(of_money).map(|(_, power)| (*power, at + n));
    named.or(of_first.map(|(_, power)| (*power, at + 1)))
}
