//! Digits with their separators: groups of thousands, a decimal point or comma, a period that recurs.

use crate::score::number::currency::has_decimal_comma;
use crate::score::number::magnitude::magnitude;
use crate::score::number::notations::{BREAK, FRACTION, RECURRING, THIN};
use crate::score::number::value::Number;

/// Groups of digits that a number has at most: more, of three digits each, are beyond a double.
const MAX_GROUPS: usize = 128;
/// Periods that are written out often enough to be seen: one digit three times, more of them twice.
const REPEATS: [usize; 2] = [3, 2];

/// Digits with their separators.
pub(super) struct Numeral {
    pub(super) number: Number,
    pub(super) end: usize,
    /// Whether the separators say which digits are whole: not those of `1,000,00` and `1.2.3`.
    pub(super) is_clean: bool,
}

/// Reads digits with their separators: groups of thousands, and a decimal point or comma.
pub(super) fn numeral(text: &[char], at: usize) -> Option<Numeral> {
    let mut groups: Vec<(char, usize, usize)> = Vec::new();
    let mut end = at;
    if text[at] == '.' {
        let stop = run(text, at + 1);
        let digits: String = text[at + 1..stop].iter().collect();
        let number = Number::decimal(false, &digits, 0)?;
        return Some(Numeral { number, end: stop, is_clean: true });
    }
    let mut separator = '\0';
    loop {
        let stop = run(text, end);
        groups.push((separator, end, stop));
        end = stop;
        match text.get(end..end + 2) {
            // A list of thousands of numbers is read once, not once for each of them.
            Some(&[next, digit])
                if is_separator(next) && digit.is_ascii_digit() && groups.len() < MAX_GROUPS =>
            {
                (separator, end) = (next, end + 1);
            }
            _ => break,
        }
    }
    let (n_whole, has_part) = layout(text, &groups);
    let digits = |groups: &[(char, usize, usize)]| -> String {
        groups.iter().flat_map(|(_, from, to)| &text[*from..*to]).collect()
    };
    let n_groups = n_whole + usize::from(has_part);
    let (whole, part) = (digits(&groups[..n_whole]), digits(&groups[n_whole..n_groups]));
    let last = groups[n_groups - 1].0;
    let n_more = groups[n_groups..].iter().take_while(|more| more.0 == last).count();
    let is_clean = n_more == 0 || !matches!(last, '.' | ',');
    let end = groups[n_groups - 1 + if is_clean { 0 } else { n_more }].2;
    let point = i32::try_from(whole.len()).ok()?;
    Some(Numeral { number: Number::decimal(false, &(whole + &part), point)?, end, is_clean })
}

/// Returns how many groups of digits are the whole part, and whether the next is the part
/// behind the decimal point or comma.
fn layout(text: &[char], groups: &[(char, usize, usize)]) -> (usize, bool) {
    let length = |place: usize| groups[place].2 - groups[place].1;
    let Some(&(separator, ..)) = groups.get(1) else { return (1, false) };
    let starts_with_zero = text[groups[0].1] == '0';
    // The 2 of `1,2,3` is not one with the 3.
    if separator == ',' && matches!(text[..groups[0].1], [.., '0'..='9', ',']) {
        return (1, false);
    }
    let n_same = groups[1..].iter().take_while(|group| group.0 == separator).count();
    let is_decimal = |place: usize, grouping: char| {
        groups.get(place).is_some_and(|group| matches!(group.0, '.' | ',') && group.0 != grouping)
    };
    let n_thousands = (1..=n_same).take_while(|place| length(*place) == 3).count();
    if length(0) <= 3 && !starts_with_zero && n_thousands > 0 {
        let n_whole = 1 + n_thousands;
        let has_part = n_thousands == n_same && is_decimal(n_whole, separator);
        let is_grouping = match separator {
            // One group behind a point is a decimal part, unless a comma follows or nobody who
            // writes that currency has a point before decimals; `€1.234 million` is not theirs.
            '.' => {
                let (from, to) = (groups[0].1, groups[1].2);
                let is_amount =
                    || has_decimal_comma(text, from, to) && magnitude(text, to, true).is_none();
                n_thousands > 1 || has_part || n_same == 1 && is_amount()
            }
            // `5 100,000` are two numbers.
            ' ' => !(has_part && groups[n_whole].0 == ',' && length(n_whole) == 3),
            _ => true,
        };
        if is_grouping {
            return (n_whole, has_part);
        }
    }
    // Indian: the last group has three digits, all before it two.
    let is_indian = separator == ','
        && n_same > 1
        && length(0) <= 2
        && !starts_with_zero
        && length(n_same) == 3
        && (1..n_same).all(|place| length(place) == 2);
    if is_indian {
        return (1 + n_same, is_decimal(1 + n_same, ','));
    }
    match separator {
        '.' => (1, true),
        // `(3,4)` is a pair, and `1,2,3` a list.
        ',' => (1, n_same == 1 && !is_bracketed(text, groups[0].1, groups[1].2)),
        _ => (1, false),
    }
}

fn is_bracketed(text: &[char], from: usize, to: usize) -> bool {
    let before = text[..from].iter().rev().find(|c| !matches!(**c, BREAK | FRACTION | '-'));
    let after = text[to..].iter().find(|c| **c != BREAK);
    matches!(before, Some('(' | '[' | '{')) && matches!(after, Some(')' | ']' | '}'))
}

fn is_separator(c: char) -> bool {
    matches!(c, ',' | '.' | '\'' | '_' | ' ' | THIN)
}

/// Whether the last digits of a decimal come again and again.
pub(super) enum Recurring {
    No,
    Is(Number, usize),
    /// `0.5(20)` is as well a product. The place is where its bracket ends.
    MayBe(usize),
}

/// Reads what marks the digits that come again: a line or dots above them, brackets, `0.333...`.
pub(super) fn recurring(text: &[char], number: &Number, at: usize, end: usize) -> Recurring {
    let read: String = text[at..end].iter().collect();
    // The point of `0.(3)` is not yet read.
    let is_point = matches!(text.get(end), Some('.' | ','))
        && matches!(text.get(end + 1), Some(&RECURRING | '('))
        && number.is_int();
    let (whole, once) = match read.rsplit_once(['.', ',']) {
        Some(parts) if !is_point => parts,
        _ => (read.as_str(), ""),
    };
    let whole: String = whole.chars().filter(char::is_ascii_digit).collect();
    let point = i32::try_from(whole.len()).unwrap_or(i32::MAX);
    // `1,333...` is no decimal.
    if Number::decimal(false, &format!("{whole}{once}"), point).as_ref() != Some(number) {
        return Recurring::No;
    }
    let of = |once: &str, again: &str, end: usize| {
        let number = Number::recurring(&whole, once, again);
        number.map_or(Recurring::No, |number| Recurring::Is(number, end))
    };
    let mark = if is_point { end + 1 } else { end };
    let behind = text.get(mark + 1..).unwrap_or_default();
    let again: String = behind.iter().take_while(|c| c.is_ascii_digit()).collect();
    let stop = mark + 1 + again.len();
    match text.get(mark) {
        Some(&RECURRING) if !again.is_empty() => of(once, &again, stop),
        Some('(') if !again.is_empty() && text.get(stop) == Some(&')') => match (is_point, once) {
            (true, _) => of("", &again, stop + 1),
            (false, "") => Recurring::No,
            (false, _) => Recurring::MayBe(stop + 1),
        },
        Some('.') if text[mark..].starts_with(&['.', '.']) && !is_point => {
            let n = text[mark..].iter().take_while(|c| **c == '.').count();
            period(once).map_or(Recurring::No, |(once, again)| of(once, again, mark + n))
        }
        _ => Recurring::No,
    }
}

/// Returns the digits in front of the shortest period that the last ones are of, and the period.
fn period(digits: &str) -> Option<(&str, &str)> {
    (1..=digits.len() / 2).find_map(|n| {
        let (rest, again) = digits.split_at(digits.len() - n);
        let once = rest.trim_end_matches(again);
        let n_times = (digits.len() - once.len()) / n;
        (n_times >= if n == 1 { REPEATS[0] } else { REPEATS[1] }).then_some((once, again))
    })
}

pub(super) fn run(text: &[char], at: usize) -> usize {
    at + text[at..].iter().take_while(|c| c.is_ascii_digit()).count()
}

/// Returns where digits end with all separators between them.
pub(super) fn numeral_end(text: &[char], at: usize) -> usize {
    let mut end = at + 1;
    while let Some(c) = text.get(end) {
        let goes_on = matches!(c, '.' | ',') && text.get(end + 1).is_some_and(char::is_ascii_digit);
        if !c.is_ascii_digit() && !goes_on {
            break;
        }
        end += 1;
    }
    end
}
