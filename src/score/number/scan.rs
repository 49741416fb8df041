//! Finds the numbers of a text that `plain` has made plain.

use crate::score::number::notations::{BREAK, FORMULA, FRACTION, RECURRING, THIN};
use crate::score::number::value::{Number, TOLERANCE};

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

/// Whether the second of two numbers says the first one in another form: `3/4 or 0.75`,
/// `1/3 ≈ 0.333`. An amount of money is one that a rounding was asked for.
pub(in crate::score) fn repeats(text: &[char], first: &Token, second: &Token) -> bool {
    let is_dress = |c: &&char| is_blank(**c) || "$()[],*".contains(**c);
    let between: String = text[first.end..second.start].iter().filter(|c| !is_dress(c)).collect();
    let is_money = text[second.start..second.end].iter().any(|c| is_symbol(*c));
    first.is_clean
        && second.is_clean
        && match between.as_str() {
            "or" => first.number.is_same(&second.number, TOLERANCE),
            "≈" => !is_money && first.number.is_written_out_by(&second.number),
            _ => false,
        }
}

/// Currencies as they stand right in front of a number.
const CURRENCIES: [&str; 61] = [
    "USD", "US", "EUR", "GBP", "INR", "RS", "JPY", "CNY", "RMB", "CHF", "AUD", "CAD", "NZD", "SGD",
    "HKD", "RM", "KRW", "BRL", "R", "ZAR", "MXN", "SEK", "NOK", "DKK", "PLN", "AED", "SAR", "QAR",
    "KWD", "PKR", "LKR", "NPR", "BDT", "TK", "IDR", "RP", "MYR", "PHP", "THB", "VND", "TWD", "NT",
    "KES", "KSH", "TSH", "USH", "NGN", "GHS", "EGP", "ILS", "TRY", "TL", "RUB", "UAH", "CZK",
    "HUF", "FT", "RON", "DM", "FR", "KR",
];
/// Those that are written in small letters.
const SMALL_CURRENCIES: [&str; 4] = ["kr", "lei", "din", "dh"];
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
/// Groups of digits that a number has at most: more, of three digits each, are beyond a double.
const MAX_GROUPS: usize = 128;
/// Larger powers of ten are no answers.
const MAX_EXPONENT: i32 = 308;

/// Letters that are units behind a number; others stand for values, as in `5n`.
pub(super) const UNIT_LETTERS: &str = "mgshlLWVNJACFµ";

/// Names of functions, as words.
pub(super) const FUNCTIONS: [&str; 10] =
    ["log", "ln", "exp", "sin", "cos", "tan", "sqrt", "max", "min", "mod"];

/// Whether a word is a currency, as it is written in front of a number.
pub(super) fn is_currency(word: &str) -> bool {
    let is_known = || CURRENCIES.contains(&word.to_uppercase().as_str());
    SMALL_CURRENCIES.contains(&word) || word.starts_with(char::is_uppercase) && is_known()
}

/// Returns the numbers of a plain text, in order.
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
        if !c.is_ascii_digit() && !is_leading_point(text, at) {
            at += 1;
            continue;
        }
        if is_glued(text, at) {
            at = numeral_end(text, at);
            continue;
        }
        // What is no number, as 1/0 or of 400 digits, has its place all the same.
        let token = read_at(text, at).unwrap_or_else(|| {
            let end = numeral_end(text, at);
            Token { end: quotient_end(text, end).unwrap_or(end), ..formula(at) }
        });
        at = token.end.max(at + 1);
        tokens.push(token);
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

pub(super) fn is_symbol(c: char) -> bool {
    matches!(c, '$' | '€' | '£' | '¥' | '¢' | '₩' | '₽' | '₺' | '฿' | '\u{20a0}'..='\u{20c0}')
}

/// Returns the last character in front of a number that is no dress of it.
fn before_dress(text: &[char], at: usize) -> Option<usize> {
    (0..at).rev().find(|&place| !matches!(text[place], BREAK | FRACTION))
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
    n > 0 && !is_currency(&word) && !is_times
        // `COVID-19`, `GPT-4`: a hyphen inside a word.
        || matches!(text[..at], [.., before, '-'] if before.is_ascii_alphabetic())
            && currency(text, at - 1).is_none()
}

/// Whether a text ends with a zero of its own, as in front of the digits of `0x1F`.
fn is_zero(text: &[char]) -> bool {
    matches!(text, [.., '0'])
        && !matches!(text, [.., before, _] if before.is_alphanumeric() || matches!(before, '.' | ','))
}

/// Returns where a currency begins that ends there, of two letters or more: `USD-18`.
fn currency(text: &[char], end: usize) -> Option<usize> {
    let n = text[..end].iter().rev().take_while(|c| c.is_ascii_alphabetic()).count();
    let word: String = text[end - n..end].iter().collect();
    (n > 1 && word != "US" && is_currency(&word)).then_some(end - n)
}

/// Returns where digits end with all separators between them.
fn numeral_end(text: &[char], at: usize) -> usize {
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
    }
    let behind = text[end..].iter().find(|c| !matches!(**c, BREAK | THIN | ' ' | '·' | '*'));
    is_clean &= !matches!(behind, Some('α'..='ω' | &FORMULA)) && !is_factor(text, end);
    is_clean &= !is_term(text, start) && !is_operand(text, start);
    // Two values, or a tolerance.
    let before = text[..start].iter().rev().find(|c| !is_blank(**c));
    is_clean &= !matches!(before, Some('±' | '∓'));
    let number = if is_negative { number.negated() } else { number };
    Some(Token { number, start, end, is_clean })
}

/// Returns the end of a time or a ratio: `18:30`, `3:4`.
fn time(text: &[char], end: usize) -> Option<usize> {
    let mut after = end;
    while text.get(after) == Some(&':') && text.get(after + 1)?.is_ascii_digit() {
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

/// Digits with their separators.
struct Numeral {
    number: Number,
    end: usize,
    /// Whether the separators say which digits are whole: not those of `1,000,00` and `1.2.3`.
    is_clean: bool,
}

/// Reads digits with their separators: groups of thousands, and a decimal point or comma.
fn numeral(text: &[char], at: usize) -> Option<Numeral> {
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

/// Whether the last digits of a decimal come again and again.
enum Recurring {
    No,
    Is(Number, usize),
    /// `0.5(20)` is as well a product. The place is where its bracket ends.
    MayBe(usize),
}

/// Periods that are written out often enough to be seen: one digit three times, more of them twice.
const REPEATS: [usize; 2] = [3, 2];

/// Reads what marks the digits that come again: a line or dots above them, brackets, `0.333...`.
fn recurring(text: &[char], number: &Number, at: usize, end: usize) -> Recurring {
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

fn run(text: &[char], at: usize) -> usize {
    at + text[at..].iter().take_while(|c| c.is_ascii_digit()).count()
}

fn is_separator(c: char) -> bool {
    matches!(c, ',' | '.' | '\'' | '_' | ' ' | THIN)
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
            // One group behind a point is a decimal part, unless a comma follows.
            '.' => n_thousands > 1 || has_part,
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

/// Reads `e3`, `× 10^3` and the like.
fn power_of_ten(text: &[char], end: usize) -> Option<(i32, usize)> {
    if matches!(text.get(end), Some('e' | 'E')) {
        let (power, after) = signed(text, end + 1)?;
        let goes_on = text.get(after).is_some_and(char::is_ascii_alphanumeric);
        return (!goes_on).then_some((power, after));
    }
    let times = skip(text, end);
    if !matches!(text.get(times), Some('×' | '·' | '*' | 'x')) {
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

fn skip(text: &[char], at: usize) -> usize {
    at + text[at..].iter().take_while(|c| matches!(**c, BREAK | THIN | ' ')).count()
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

/// Reads a magnitude behind a number.
fn magnitude(text: &[char], end: usize, is_money: bool) -> Option<(i32, usize)> {
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

/// Reads the hundredths of an amount of money behind its whole: "57 dollars and 20 cents".
fn cents(text: &[char], end: usize, is_money: bool) -> Option<(Number, usize)> {
    let word = |at: usize| {
        let from = skip(text, at);
        let n = text[from..].iter().take_while(|c| c.is_alphabetic()).count();
        (text[from..from + n].iter().collect::<String>(), from + n)
    };
    let (mut said, mut at) = word(end);
    let is_named = matches!(said.trim_end_matches('s'), "dollar" | "euro" | "pound");
    (is_named || is_money).then_some(())?;
    if is_named {
        (said, at) = word(at);
    }
    let from = skip(text, if said == "and" { at } else { at - said.len() });
    let to = run(text, from);
    let hundredths = text[from..to].iter().collect::<String>().parse().ok()?;
    let (unit, after) = word(to);
    let is_part = hundredths < 100 && from > end && matches!(&*unit, "cent" | "cents" | "pence");
    let cents = Number::of_int(hundredths)?.divided(&Number::of_int(100)?)?;
    is_part.then_some((cents, after))
}

/// Returns whether a number is negative, where it begins with its sign and currency, and whether
/// it has a currency in front.
fn sign(text: &[char], at: usize) -> (bool, usize, bool) {
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

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | THIN | BREAK)
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
    text.get(at) == Some(&'%') || matches!(word.as_str(), "percent" | "pct")
}

/// Whether a minus is a sign: what stands in front of it has no value that it could be taken from.
fn is_sign(text: &[char], minus: usize) -> bool {
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

/// Letters that count things between a number and a minus: 5公里-3公里.
const COUNTER: usize = 3;
/// Chinese, Japanese and Korean for "is".
const COPULAS: &str = "是为為はが得於于은는이";

/// Whether a letter is of a script that sets no blanks between words, or has no capitals.
pub(super) fn is_of_words(c: char) -> bool {
    c.is_alphabetic() && !c.is_lowercase() && !c.is_uppercase()
}
