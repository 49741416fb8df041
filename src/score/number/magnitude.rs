//! Words and letters behind a number that multiply it: million, 万, k.

use crate::score::number::blanks::skip;

/// Words that multiply the number in front of them, as powers of ten, without the `s` of several.
const MAGNITUDES: [(&str, i32); 45] = [
    ("hundred", 2),
    ("thousand", 3),
    ("tausend", 3),
    ("тыс", 3),
    ("тысяча", 3),
    ("тысячи", 3),
    ("тысяч", 3),
    ("tys", 3),
    ("ألف", 3),
    ("हजार", 3),
    ("lakh", 5),
    ("lac", 5),
    ("लाख", 5),
    ("million", 6),
    ("mio", 6),
    ("mln", 6),
    ("millionen", 6),
    ("millón", 6),
    ("millone", 6),
    ("milione", 6),
    ("milioni", 6),
    ("milhão", 6),
    ("milhõe", 6),
    ("млн", 6),
    ("миллион", 6),
    ("миллиона", 6),
    ("миллионов", 6),
    ("مليون", 6),
    ("crore", 7),
    ("billion", 9),
    ("mrd", 9),
    ("bn", 9),
    ("mld", 9),
    ("milliard", 9),
    ("milliarde", 9),
    ("milliarden", 9),
    ("miliardo", 9),
    ("miliardi", 9),
    ("млрд", 9),
    ("миллиард", 9),
    ("миллиарда", 9),
    ("миллиардов", 9),
    ("مليار", 9),
    ("trillion", 12),
    ("billionen", 12),
];
/// The same in Chinese, Japanese and Korean, where their unit goes on without a blank.
const HAN_MAGNITUDES: [(char, i32); 12] = [
    ('百', 2),
    ('백', 2),
    ('千', 3),
    ('천', 3),
    ('万', 4),
    ('萬', 4),
    ('만', 4),
    ('亿', 8),
    ('億', 8),
    ('억', 8),
    ('兆', 12),
    ('조', 12),
];
/// What goes on behind a hundred or a thousand that is a prefix of a unit, as in 千克.
const HAN_UNITS: &str = "克米瓦卡升焦帕伏安赫字分貫";
/// Letters that do so behind an amount of money.
const MONEY_MAGNITUDES: [(&str, i32); 6] =
    [("k", 3), ("K", 3), ("m", 6), ("M", 6), ("b", 9), ("B", 9)];

/// Reads a magnitude behind a number, and a larger one behind it: `3 hundred million`, 5千万.
pub(super) fn magnitude(text: &[char], end: usize, is_money: bool) -> Option<(i32, usize)> {
    let (mut power, mut end) = single(text, end, is_money)?;
    let mut largest = power;
    while let Some((more, after)) = single(text, end, false).filter(|(more, _)| *more > largest) {
        (power, largest, end) = (power + more, more, after);
    }
    Some((power, end))
}

fn single(text: &[char], end: usize, is_money: bool) -> Option<(i32, usize)> {
    let at = if text.get(end) == Some(&'-') { end + 1 } else { skip(text, end) };
    let n = text[at..].iter().take_while(|c| c.is_alphabetic()).count();
    let word: String = text[at..at + n].iter().collect();
    let small = word.to_lowercase();
    let one = small.strip_suffix('s').unwrap_or(&small);
    let named = MAGNITUDES.iter().find(|(name, _)| *name == one);
    let of_money = MONEY_MAGNITUDES.iter().find(|(name, _)| is_money && at == end && *name == word);
    let of_first = text.get(at).and_then(|c| HAN_MAGNITUDES.iter().find(|(han, _)| han == c));
    let is_prefix = text.get(at + 1).is_some_and(|c| HAN_UNITS.contains(*c));
    let of_first = of_first.filter(|(_, power)| *power > 3 || !is_prefix);
    let named = named.or(of_money).map(|(_, power)| (*power, at + n));
    named.or(of_first.map(|(_, power)| (*power, at + 1)))
}
