//! Finds the numbers of a text that `plain` has made plain.

use crate::score::number::blanks::{before_dress, is_blank, skip};
use crate::score::number::currency::{currency, is_currency, is_symbol};
use crate::score::number::dozens::{dozens_end, in_words, word_at};
use crate::score::number::magnitude::magnitude;
use crate::score::number::measures::{is_in_another_unit, is_smaller_unit, says_exactness};
use crate::score::number::notations::{BREAK, FORMULA, FRACTION, THIN};
use crate::score::number::numeral::{Numeral, Recurring, numeral, numeral_end, recurring, run};
use crate::score::number::sign::{is_equated, sign};
use crate::score::number::token::Token;
use crate::score::number::value::{Number, TOLERANCE};

/// Whether the second of two numbers says the first one in another form: `3/4 or 0.75`,
/// `1/3 ≈ 0.333`, `90 minutes = 1.5 hours`. An amount of money is one that a rounding was asked for.
pub(in crate::score) fn repeats(text: &[char], first: &Token, second: &Token) -> bool {
    let is_dress = |c: &&char| is_blank(**c) || "$()[],*".contains(**c);
    let between: String = text[first.end..second.start].iter().filter(|c| !is_dress(c)).collect();
    let is_money = text[second.start..second.end].iter().any(|c| is_symbol(*c));
    let is_decimal = || !is_money && first.number.is_written_out_by(&second.number);
    first.is_clean
        && second.is_clean
        && match between.strip_prefix("or").unwrap_or(&between) {
            "" if between == "or" => first.number.is_same(&second.number, TOLERANCE),
            "≈" | "about" | "approximately" | "around" | "roughly" => is_decimal(),
            _ => is_in_another_unit(text, first, second),
        }
}

/// Larger powers of ten are no answers.
const MAX_EXPONENT: i32 = 308;

/// Letters that are units behind a number; others stand for values, as in `5n`.
pub(super) const UNIT_LETTERS: &str = "mgshlLWVNJACFµ";

/// Names of functions, as words.
pub(super) const FUNCTIONS: [&str; 10] =
    ["log", "ln", "exp", "sin", "cos", "tan", "sqrt", "max", "min", "mod"];

/// Returns the numbers of a plain text, in order; none begins in front of where another ends.
pub(in crate::score) fn scan(text: &[char]) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut at = 0;
    while let Some(&c) = text.get(at) {
        if c == FORMULA {
            tokens.push(formula(at));
            at += 1;
            continue;
        }
        // An exponent changes what stands in front of it; an index names it.
        if c == '^' || c == '_' && is_index(text, at) {
            let end = script_end(text, at);
            let is_power = c == '^' && text[at..end].iter().any(char::is_ascii_digit);
            let divided = power_quotient_end(text, end).filter(|_| is_power);
            let after = divided.unwrap_or(end);
            match tokens.last_mut().filter(|base| is_power && touches(text, base.end, at)) {
                Some(base) => (base.is_clean, base.end) = (false, after),
                // `x^2/4`
                None if divided.is_some() => tokens.push(Token { end: after, ..formula(at) }),
                None => {}
            }
            at = after;
            continue;
        }
        if matches!(c, 'd' | 'D')
            && let Some(token) = in_words(text, at)
            && tokens.last().is_none_or(|last| last.end <= token.start)
        {
            at = token.end;
            tokens.push(token);
            continue;
        }
        if !c.is_ascii_digit() && !is_leading_point(text, at) {
            at += 1;
            continue;
        }
        if is_glued(text, at) {
            at = numeral_end(text, at);
            continue;
        }
        // What is no number, as 1/0 or of 400 digits, has its place all the same.
        let mut token = read_at(text, at).unwrap_or_else(|| {
            let end = numeral_end(text, at);
            Token { end: quotient_end(text, end).unwrap_or(end), ..formula(at) }
        });
        at = token.end.max(at + 1);
        // `2^{3}5` is a product: its 5 does not begin in front of where the power ends.
        if let Some(last) = tokens.last()
            && token.start < last.end
        {
            (token.start, token.is_clean) = (last.end, false);
        }
        if !says_exactness(text, &token) {
            tokens.push(token);
        }
    }
    tokens
}

fn formula(at: usize) -> Token {
    Token { number: Number::zero(), start: at, end: at + 1, is_clean: false }
}

fn quotient_end(text: &[char], end: usize) -> Option<usize> {
    let slash = skip(text, end);
    (text.get(slash) == Some(&'/')).then_some(())?;
    let below = skip(text, slash + 1);
    text.get(below)?.is_ascii_digit().then(|| numeral_end(text, below))
}

/// Whether a point begins a number: `.5` does, the last point of `so...5` does not.
fn is_leading_point(text: &[char], at: usize) -> bool {
    text[at] == '.'
        && text.get(at + 1).is_some_and(char::is_ascii_digit)
        && at.checked_sub(1).is_none_or(|before| {
            matches!(text[before], BREAK | THIN | '(' | '[' | '=' | '-' | '+' | '*' | '"')
                || text[before].is_whitespace()
                || is_symbol(text[before])
        })
}

fn touches(text: &[char], end: usize, caret: usize) -> bool {
    caret >= end && text[end..caret].iter().all(|c| matches!(*c, BREAK | ' ' | ')'))
}

/// Whether an underscore makes an index, `x_1`, `x_{-1}`, and is no emphasis, `_72_`.
fn is_index(text: &[char], underscore: usize) -> bool {
    matches!(text.get(underscore + 1), Some(&BREAK | '0'..='9'))
        && before_dress(text, underscore)
            .is_some_and(|place| text[place].is_alphanumeric() || text[place] == ')')
}

/// Returns where a power or an index ends whose sign stands at `at`: a group between two breaks,
/// round brackets, or a number.
pub(super) fn script_end(text: &[char], at: usize) -> usize {
    let close = |from: usize, is_close: &dyn Fn(char) -> bool| {
        let n = text[from..].iter().take_while(|c| **c != '\n').position(|c| is_close(*c))?;
        Some(from + n + 1)
    };
    if text.get(at + 1) == Some(&BREAK) {
        return close(at + 2, &|c| c == BREAK).unwrap_or(at + 2);
    }
    let has_base = text[..at].last().is_some_and(|c| c.is_alphanumeric() || ")]".contains(*c));
    let from = if has_base { skip(text, at + 1) } else { at + 1 };
    let from = from + usize::from(matches!(text.get(from), Some('-' | '+')));
    match text.get(from) {
        Some('(') => close(from, &|c| c == ')').unwrap_or(from + 1),
        Some('0'..='9') => numeral_end(text, from),
        _ => at + 1,
    }
}

/// Returns where the denominator of a power ends: `2^1/2`.
fn power_quotient_end(text: &[char], end: usize) -> Option<usize> {
    let is_quotient = matches!(text.get(end..end + 2), Some(['/', '0'..='9']));
    is_quotient.then(|| numeral_end(text, end + 1))
}

/// Whether a number is part of a word, as in `x2` or `H2O`; a currency is no such word.
fn is_glued(text: &[char], at: usize) -> bool {
    let n = text[..at].iter().rev().take_while(|c| c.is_ascii_alphabetic()).count();
    let word: String = text[at - n..at].iter().collect();
    let is_times = matches!(text[..at], [.., before, 'x'] if before.is_ascii_digit())
        && !is_zero(&text[..at - 1]);
    // `1h30m`
    let is_part = || {
        text[..at - n].last().is_some_and(char::is_ascii_digit)
            && is_smaller_unit(&word, &text[numeral_end(text, at)..])
    };
    n > 0 && !is_currency(&word) && !is_times && !is_part()
        // `COVID-19`, `GPT-4`: a hyphen inside a word.
        || matches!(text[..at], [.., before, '-'] if before.is_ascii_alphabetic())
            && currency(text, at - 1).is_none()
}

/// Whether a text ends with a zero of its own, as in front of the digits of `0x1F`.
fn is_zero(text: &[char]) -> bool {
    matches!(text, [.., '0'])
        && !matches!(text, [.., before, _] if before.is_alphanumeric() || matches!(before, '.' | ','))
}

/// Reads the number that begins with the digit, or point, at `at`.
fn read_at(text: &[char], at: usize) -> Option<Token> {
    let Numeral { mut number, mut end, mut is_clean } = numeral(text, at)?;
    is_clean &= !follows_slash(text, at);
    match recurring(text, &number, at, end) {
        Recurring::Is(decimal, after) => (number, end) = (decimal, after),
        Recurring::MayBe(after) => (is_clean, end) = (false, after),
        Recurring::No => {}
    }
    if let Some((power, after)) = power_of_ten(text, end) {
        (number, end) = (number.shifted(power)?, after);
    } else if let Some((power, after)) = caret(text, end).filter(|_| number.is_ten()) {
        // 10^5 is a number in its own right; other powers are formulas.
        (number, end) = (Number::decimal(false, "1", 1)?.shifted(power)?, after);
    } else if let Some((whole, after)) = mixed(text, &number, end) {
        (number, end) = (whole, after);
    } else if let Some((quotient, after)) = quotient(text, &number, at, end) {
        (number, end) = (quotient?, after);
    } else if let Some(after) = time(text, end) {
        (is_clean, end) = (false, after);
    }
    let (mut is_negative, mut start, is_money) = sign(text, at);
    if let Some((power, after)) = magnitude(text, end, is_money) {
        (number, end) = (number.shifted(power)?, after);
        match smaller_part(text, power, end) {
            SmallerPart::Is(part, after) => (number, end) = (number.plus(&part)?, after),
            SmallerPart::MayBe => is_clean = false,
            SmallerPart::No => {}
        }
    }
    if let Some((cents, after)) = cents(text, end, is_money).filter(|_| number.is_int()) {
        (number, end) = (number.plus(&cents)?, after);
    }
    if let Some((open, close)) = brackets(text, start, end) {
        let (is_negated, sign_at, _) = sign(text, open);
        if is_negated {
            (is_negative, start, end) = (!is_negative, sign_at, close);
        } else if is_money && !is_negative && stands_for_value(text, open) {
            (is_negative, start, end) = (true, open, close);
        }
    }
    if is_percent(text, end) {
        number = number.in_percent();
    } else if dozens_end(text, skip(text, end)).is_some() {
        number = number.in_dozens();
    }
    // A million in English, a thousand in Spanish and Portuguese, and a unit of thickness.
    is_clean &= word_at(text, skip(text, end)) != "mil";
    let behind = text[end..].iter().find(|c| !matches!(**c, BREAK | THIN | ' ' | '·' | '*'));
    is_clean &= !matches!(behind, Some('α'..='ω' | &FORMULA)) && !is_factor(text, end);
    is_clean &= !is_term(text, start) && !is_operand(text, start);
    // Two values, or a tolerance.
    let before = text[..start].iter().rev().find(|c| !is_blank(**c));
    is_clean &= !matches!(before, Some('±' | '∓'));
    let number = if is_negative { number.negated() } else { number };
    Some(Token { number, start, end, is_clean })
}

/// What stands behind a number and its magnitude: `1万2千`, `3 million 500 thousand`.
enum SmallerPart {
    No,
    Is(Number, usize),
    /// `1万2` is 12,000 to who says it, and 10,002 to who writes it.
    MayBe,
}

/// Reads the rest of a number that is given by magnitudes, the largest first. Behind a blank it has
/// a magnitude of its own; right behind a sign that needs no blank it may be all the digits left.
fn smaller_part(text: &[char], power: i32, end: usize) -> SmallerPart {
    let blank = skip(text, end);
    let at = if text[blank..].starts_with(&['a', 'n', 'd', ' ']) {
        skip(text, blank + 3)
    } else {
        blank
    };
    let is_digit = text.get(at).is_some_and(char::is_ascii_digit);
    let Some(part) = is_digit.then(|| numeral(text, at)).flatten() else { return SmallerPart::No };
    if let Some((smaller, after)) = magnitude(text, part.end, false) {
        let found = part.number.shifted(smaller).filter(|_| smaller < power && part.is_clean);
        let Some(found) = found else { return SmallerPart::No };
        return match smaller_part(text, smaller, after) {
            SmallerPart::Is(last, after) => {
                found.plus(&last).map_or(SmallerPart::MayBe, |all| SmallerPart::Is(all, after))
            }
            SmallerPart::MayBe => SmallerPart::MayBe,
            SmallerPart::No => SmallerPart::Is(found, after),
        };
    }
    if at > end {
        return SmallerPart::No;
    }
    let n_digits = usize::try_from(power).unwrap_or(0);
    if part.number.is_int() && part.end - at == n_digits {
        SmallerPart::Is(part.number, part.end)
    } else {
        SmallerPart::MayBe
    }
}

/// Returns the end of a time or a ratio: `18:30`, `3:4`.
fn time(text: &[char], end: usize) -> Option<usize> {
    let mut after = end;
    while matches!(text.get(after..after + 2), Some([':', '0'..='9'])) {
        after = numeral_end(text, after + 1);
    }
    (after > end).then_some(after)
}

/// Whether a number is a part of a formula or a name by what stands right behind it: `5n`, `5i`,
/// `3x - 5`, `5^x`, `101_2`, `0x1F`, `1e400`. Units are not, nor is the sign of `6x2` and of
/// "5x faster".
fn is_factor(text: &[char], end: usize) -> bool {
    let breaks = text[end..].iter().take_while(|c| **c == BREAK).count();
    let behind = &text[end + breaks..];
    let word: Vec<char> = behind.iter().take_while(|c| c.is_alphabetic()).copied().collect();
    let next = behind.iter().skip(word.len()).find(|c| **c != BREAK);
    let is_index = next.is_some_and(|c| *c == '_' || c.is_ascii_digit() && word != ['m']);
    match word.as_slice() {
        [] if next == Some(&'_') => {
            behind[1..].iter().find(|c| **c != BREAK).is_some_and(|c| c.is_alphanumeric())
        }
        // Degrees, and the letters of `5^{th}`, are raised and no power.
        [] if next == Some(&'^') => {
            let raised = behind[1..].iter().filter(|c| !matches!(**c, BREAK | '(' | '-'));
            let raised: String = raised.take_while(|c| c.is_alphabetic()).collect();
            !matches!(raised.as_str(), "" | "th" | "st" | "nd" | "rd" | "o")
        }
        [] => false,
        ['x' | 'X', ..] if is_zero(&text[..end]) => true,
        ['x'] if next.is_some_and(char::is_ascii_digit) => false,
        ['x'] => !matches!(behind, ['x', ' ', word, ..] if word.is_lowercase()),
        [letter] if letter.is_lowercase() || letter.is_uppercase() => {
            is_index || !UNIT_LETTERS.contains(*letter)
        }
        _ => word.len() <= 3 && word.iter().all(|c| matches!(c, 'a'..='c' | 'n' | 'x'..='z')),
    }
}

/// Whether a function is taken of a number: `log 5`, `f(5)`.
fn is_operand(text: &[char], start: usize) -> bool {
    let is_gap = |c: &char| is_blank(*c) || *c == '(';
    let end = start - text[..start].iter().rev().take_while(|c| is_gap(c)).count();
    let n = text[..end].iter().rev().take_while(|c| c.is_alphabetic()).count();
    match text[end - n..start] {
        ['b'..='z', '('] => true,
        [] => false,
        _ => {
            let word: String = text[end - n..end].iter().collect();
            // "at max 5" takes none of a number.
            let is_sure = text[end..start].contains(&'(') || !matches!(&*word, "max" | "min");
            is_sure && FUNCTIONS.contains(&word.as_str())
        }
    }
}

/// Whether a number is added to a formula, or taken from one: `3x - 5`, `x^2 + 5`.
fn is_term(text: &[char], start: usize) -> bool {
    let before = |end: usize| text[..end].iter().rposition(|c| !is_blank(*c));
    let sign = if text[start] == '-' { Some(start) } else { before(start) };
    let Some(end) = sign.filter(|at| matches!(text[*at], '+' | '-' | '×' | '·' | '÷')) else {
        return false;
    };
    let Some(last) = before(end) else { return false };
    let is_raised = |c: &&char| c.is_ascii_digit() || matches!(**c, '-' | '.' | '/' | BREAK);
    let raised = text[..=last].iter().rev().take_while(is_raised).count();
    match text[..=last] {
        [.., before, 'b'..='z'] => !before.is_alphabetic() && before != '\'',
        ['b'..='z'] => true,
        _ => raised > 0 && text[..=last - raised.min(last)].ends_with(&['^']),
    }
}

/// Whether a number is the denominator of something that is no number, as in `x/2`.
fn follows_slash(text: &[char], at: usize) -> bool {
    let Some(slash) = before_dress(text, at).filter(|place| text[*place] == '/') else {
        return false;
    };
    before_dress(text, slash)
        .is_some_and(|place| text[place].is_ascii_alphabetic() || text[place] == ')')
}

/// Reads `e3`, `× 10^3` and the like.
fn power_of_ten(text: &[char], end: usize) -> Option<(i32, usize)> {
    if matches!(text.get(end), Some('e' | 'E')) {
        let (power, after) = signed(text, end + 1)?;
        let goes_on = text.get(after).is_some_and(char::is_ascii_alphanumeric);
        return (!goes_on).then_some((power, after));
    }
    let times = skip(text, end);
    if !matches!(text.get(times), Some('×' | '·' | '*' | 'x' | 'X' | '•')) {
        return None;
    }
    let ten = skip(text, times + 1);
    (text.get(ten..ten + 2)? == ['1', '0']).then(|| caret(text, ten + 2))?
}

/// Reads `^3` or `^{-3}`, and nothing of `^{1/2}`.
fn caret(text: &[char], end: usize) -> Option<(i32, usize)> {
    let at = skip(text, end);
    (text.get(at) == Some(&'^')).then_some(())?;
    let (power, after) = signed(text, skip(text, at + 1))?;
    let end = script_end(text, at);
    let is_all = text[after..end.max(after)].iter().all(|c| *c == BREAK);
    (is_all && power_quotient_end(text, end).is_none()).then_some((power, after))
}

fn signed(text: &[char], at: usize) -> Option<(i32, usize)> {
    let (is_negative, from) = match text.get(at)? {
        '-' => (true, at + 1),
        '+' => (false, at + 1),
        _ => (false, at),
    };
    let to = run(text, from);
    let power: i32 = text[from..to].iter().collect::<String>().parse().ok()?;
    (power <= MAX_EXPONENT).then_some((if is_negative { -power } else { power }, to))
}

/// Fractions in words behind a whole number and "and".
const FRACTION_WORDS: [(&str, i128, i128); 11] = [
    ("half", 1, 2),
    ("a half", 1, 2),
    ("one half", 1, 2),
    ("one-half", 1, 2),
    ("a third", 1, 3),
    ("one third", 1, 3),
    ("one-third", 1, 3),
    ("a quarter", 1, 4),
    ("one quarter", 1, 4),
    ("one-quarter", 1, 4),
    ("three quarters", 3, 4),
];

/// Reads the fraction of a mixed number: `3 1/2`, `3½`, `3-1/2`, `3 and 1/2`, "3 and a half".
fn mixed(text: &[char], whole: &Number, end: usize) -> Option<(Number, usize)> {
    let is_hyphened = text.get(end) == Some(&'-');
    let mut at = if is_hyphened { end + 1 } else { skip(text, end) };
    if text[at..].starts_with(&['a', 'n', 'd', ' ']) {
        at = skip(text, at + 3);
        if let Some(said) = whole.is_int().then(|| fraction_in_words(text, at)).flatten() {
            let (above, below, end) = said;
            let part = Number::of_int(above)?.divided(&Number::of_int(below)?)?;
            return Some((whole.plus(&part)?, end));
        }
    }
    let is_marked = text.get(at) == Some(&FRACTION);
    if !whole.is_int() || !(is_marked || at > end) {
        return None;
    }
    let from = at + usize::from(is_marked);
    let above_end = run(text, from);
    (text.get(above_end) == Some(&'/') && above_end > from).then_some(())?;
    let below_end = run(text, above_end + 1);
    let part =
        |from: usize, to: usize| text[from..to].iter().collect::<String>().parse::<i128>().ok();
    let (above, below) = (part(from, above_end)?, part(above_end + 1, below_end)?);
    // `3-1/2 = 2.5` takes away.
    let is_taken_away = is_hyphened && matches!(text.get(skip(text, below_end)), Some('=' | '≈'));
    let proper = above < below && !is_taken_away && text.get(below_end) != Some(&'/');
    let part = Number::of_int(above)?.divided(&Number::of_int(below)?)?;
    proper.then(|| Some((whole.plus(&part)?, below_end)))?
}

fn fraction_in_words(text: &[char], at: usize) -> Option<(i128, i128, usize)> {
    FRACTION_WORDS.iter().find_map(|(words, above, below)| {
        let end = at + words.len();
        let is_said = text.get(at..end)?.iter().copied().eq(words.chars())
            && !text.get(end).is_some_and(|c| c.is_alphanumeric());
        is_said.then_some((*above, *below, end))
    })
}

/// Reads the denominator of a fraction; a date of three parts is none. The inner value is absent
/// for a division by zero.
fn quotient(
    text: &[char],
    above: &Number,
    at: usize,
    end: usize,
) -> Option<(Option<Number>, usize)> {
    let before = before_dress(text, at).map(|place| text[place]);
    (before != Some('/')).then_some(())?;
    let slash = skip(text, end);
    (text.get(slash) == Some(&'/')).then_some(())?;
    let from = skip(text, slash + 1);
    text.get(from).filter(|c| c.is_ascii_digit())?;
    let Numeral { number: below, end: after, is_clean } = numeral(text, from)?;
    let is_date = text.get(after) == Some(&'/');
    (!is_date).then(|| (above.divided(&below).filter(|_| is_clean), after))
}

/// Names of the hundredths of a currency.
const HUNDREDTHS: [&str; 9] =
    ["cent", "cents", "pence", "paise", "paisa", "centime", "centimes", "céntimos", "centavos"];

/// Reads the hundredths of an amount of money behind its whole: "57 dollars and 20 cents".
fn cents(text: &[char], end: usize, is_money: bool) -> Option<(Number, usize)> {
    let word = |at: usize| {
        let from = skip(text, at);
        let n = text[from..].iter().take_while(|c| c.is_alphabetic()).count();
        (text[from..from + n].iter().collect::<String>().to_lowercase(), from + n)
    };
    let (mut said, mut at) = word(end);
    let is_named = matches!(said.trim_end_matches('s'), "dollar" | "euro" | "pound" | "rupee");
    (is_named || is_money).then_some(())?;
    if is_named {
        (said, at) = word(at);
    }
    let is_joined = matches!(said.as_str(), "and" | "und" | "et" | "y" | "con" | "e");
    let from = skip(text, if is_joined { at } else { at - said.chars().count() });
    let to = run(text, from);
    let hundredths = text[from..to].iter().collect::<String>().parse().ok()?;
    let (unit, after) = word(to);
    let is_part = hundredths < 100 && from > end && HUNDREDTHS.contains(&unit.as_str());
    let cents = Number::of_int(hundredths)?.divided(&Number::of_int(100)?)?;
    is_part.then_some((cents, after))
}

/// Returns the round brackets right around a number: the first, and where the last ends.
fn brackets(text: &[char], start: usize, end: usize) -> Option<(usize, usize)> {
    let open = before_dress(text, start).filter(|place| text[*place] == '(')?;
    let close = end + text[end..].iter().take_while(|c| **c == BREAK).count();
    (text.get(close) == Some(&')')).then_some((open, close + 1))
}

/// Whether what begins there is a value of its own, as in `Net: ($1,250)`, which accountants take
/// for less than nothing; behind other words the brackets explain.
fn stands_for_value(text: &[char], at: usize) -> bool {
    let before = text[..at].iter().rev().find(|c| !is_blank(**c));
    is_equated(&text[..at]) || matches!(before, None | Some(':' | '\n'))
}

/// Whether a percent sign, or the word, stands behind a number.
fn is_percent(text: &[char], end: usize) -> bool {
    let at = skip(text, end);
    let word: String = text[at..].iter().take_while(|c| c.is_alphabetic()).collect();
    let is_two_words = text[at..].starts_with(&['p', 'e', 'r', ' ', 'c', 'e', 'n', 't'])
        && !text.get(at + "per cent".len()).is_some_and(|c| c.is_alphanumeric());
    text.get(at) == Some(&'%') || is_two_words || matches!(word.as_str(), "percent" | "pct")
}
