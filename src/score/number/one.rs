//! Reads a text that is one number, and nothing else of value.

use crate::score::number::currency::{is_currency, is_symbol};
use crate::score::number::notations::{BREAK, FRACTION, THIN};
use crate::score::number::scan::{FUNCTIONS, UNIT_LETTERS, repeats, scan, script_end};
use crate::score::number::sign::is_of_words;
use crate::score::number::value::Number;
use crate::score::number::{DRESS_WORDS, in_place};

/// Why a text is not one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::score) enum Flaw {
    /// There is no number.
    Missing,
    /// It is a list, a point, an interval, or several equations.
    Several,
    /// It has a number in it, and another value or none.
    Formula,
}

/// What may stand in front of the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::score) enum Front {
    /// Its dress: currencies, "about".
    Dress,
    /// Any words.
    Words,
}

/// Words between the members of a list.
const AND: [&str; 6] = ["and", "or", "und", "oder", "et", "ou"];

/// Reads a text that is one number in its dress, or an equation that says its value: `x = 5`,
/// `16 - 3 = 13`, `12 = 15 - 3`.
///
/// # Errors
/// Why it is none.
pub(in crate::score) fn one(text: &str, front: Front) -> Result<Number, Flaw> {
    let mut text = in_place(text.trim().trim_matches(['"', '\'', '“', '”']));
    let mut tokens = scan(&text);
    tokens.first().ok_or(Flaw::Missing)?;
    // The last value may be said twice.
    if let [.., first, second] = tokens.as_slice()
        && repeats(&text, first, second)
        && is_behind(&text[second.end..])
    {
        text.truncate(first.end);
        tokens.pop();
    }
    if tokens.windows(2).any(|pair| separates(&text[pair[0].end..pair[1].start])) {
        return Err(Flaw::Several);
    }
    let places = text.iter().enumerate().filter(|(_, c)| matches!(c, '=' | '≈'));
    let equals: Vec<usize> = places.map(|(at, _)| at).collect();
    let value = |from: usize, to: usize| {
        let mut inside = tokens.iter().filter(|token| (from..to).contains(&token.start));
        match (inside.next(), inside.next()) {
            (Some(token), None)
                if token.is_clean
                    && is_front(&text[from..begin(&text, token.start)], front)
                    && is_behind(&text[token.end..to]) =>
            {
                Ok(token.number.clone())
            }
            _ => Err(Flaw::Formula),
        }
    };
    let end = text.len();
    match *equals.as_slice() {
        [.., before, at] if is_open(&text[before + 1..at]) => Err(Flaw::Formula),
        [first, at] if !is_open(&text[at + 1..]) => {
            value(at + 1, end).or_else(|_| value(first + 1, at))
        }
        [.., at] => value(at + 1, end),
        [] => Err(Flaw::Formula),
    }
}

/// Whether what stands between two numbers makes a list of them.
pub(in crate::score) fn separates(between: &[char]) -> bool {
    let mut words =
        between.split(|c| !c.is_alphabetic()).map(|word| word.iter().collect::<String>());
    between.iter().any(|c| matches!(c, ',' | ';' | '、' | '&'))
        || words.any(|word| AND.contains(&word.as_str()))
}

/// Whether a side of an equation has a variable in a computation: it is a line, or asks for its
/// variable.
fn is_open(text: &[char]) -> bool {
    let is_letter = |c: Option<&char>| c.is_some_and(|c| c.is_alphabetic());
    let before = |at: usize| text[..at].iter().rev().find(|c| **c != BREAK);
    let is_variable = |at: usize| {
        let is_alone = is_letter(text.get(at)) && !is_letter(text.get(at + 1));
        let mut behind = text[at + 1..].iter().filter(|c| !matches!(**c, ' ' | BREAK | THIN | '$'));
        let is_times = text[at] == 'x' && behind.next().is_some_and(char::is_ascii_digit);
        is_alone && !is_letter(before(at)) && !is_times && !UNIT_LETTERS.contains(text[at])
    };
    let has_sign = text.iter().any(|c| "+-*/^·×<>".contains(*c));
    let is_factor = |at: usize| before(at).is_some_and(char::is_ascii_digit);
    (0..text.len()).any(|at| is_variable(at) && (has_sign || is_factor(at)))
}

/// Returns where a number begins with the country of its dollar: `A$18`, `HK$18`.
fn begin(text: &[char], start: usize) -> usize {
    let n = text[..start].iter().rev().take_while(|c| c.is_ascii_uppercase()).count();
    if n <= 2 && is_symbol(text[start]) { start - n } else { start }
}

fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, BREAK | THIN | FRACTION)
}

/// Returns what stands behind the letter of a choice that a text begins with: `(C) 18`, as the answers
/// of AMC are written.
fn without_label(text: &[char]) -> &[char] {
    let from = text.iter().take_while(|c| is_space(**c)).count();
    match &text[from..] {
        ['(', 'A'..='E', ')', behind @ ..] => behind,
        _ => text,
    }
}

fn is_front(text: &[char], front: Front) -> bool {
    let text = if front == Front::Words { without_label(text) } else { text };
    let is_mark = |c: char| {
        is_space(c)
            || "*_`$~:.([+".contains(c)
            || is_symbol(c)
            || front == Front::Words && ",;!?\"'-".contains(c)
    };
    let is_part = |c: char| c.is_alphabetic() || c == '\'';
    let words = text.split(|c| !is_part(*c)).map(|word| word.iter().collect::<String>());
    text.iter().all(|c| c.is_alphabetic() || is_mark(*c))
        && words.filter(|word| !word.is_empty()).all(|word| {
            let small = word.to_lowercase();
            DRESS_WORDS.contains(&small.as_str())
                || is_currency(&word)
                || front == Front::Words
                    && (word.chars().count() > 1
                        || is_of_words(word.chars().next().unwrap_or('a'))
                        || word == "I")
                    && !FUNCTIONS.contains(&small.as_str())
        })
}

/// Whether what stands behind a number is a unit, or says nothing.
fn is_behind(text: &[char]) -> bool {
    let mut at = 0;
    let mut n_words = 0;
    // `10!` is a product, and 10 with an exclamation: nobody can say which.
    if text.first() == Some(&'!') {
        return false;
    }
    while let Some(&c) = text.get(at) {
        let next = text.get(at + 1).copied();
        if c.is_alphabetic() {
            let n = text[at..].iter().take_while(|c| c.is_alphabetic()).count();
            let is_variable = n == 1
                && n_words == 0
                && !UNIT_LETTERS.contains(c)
                && !is_of_words(c)
                && !(c == 'a' && next == Some(' '));
            if is_variable || text.get(at + n) == Some(&'(') {
                return false;
            }
            // `m2`
            at += n + text[at + n..].iter().take_while(|c| c.is_ascii_digit()).count();
            n_words += 1;
            continue;
        }
        let is_said = match c {
            c if is_space(c) || is_symbol(c) => true,
            '.' | ',' | ';' | ':' | '!' | '?' | ')' | ']' | '%' | '‰' | '°' | '\'' | '"' | '`'
            | '¢' | '″' => true,
            '*' => next.is_none_or(|c| !c.is_alphanumeric()) && !(at > 0 && is_space(text[at - 1])),
            '_' => next.is_none_or(|c| !c.is_alphanumeric()),
            // Degrees, and the power of a unit.
            '^' => {
                let raised = text[at + 1..].iter().find(|c| !matches!(**c, BREAK | '-'));
                at = script_end(text, at) - 1;
                n_words > 0 || raised.is_some_and(|c| *c == '°' || c.is_alphabetic())
            }
            '-' | '/' => next.is_some_and(|c| c.is_alphabetic() || c == BREAK),
            '·' => n_words > 0,
            '(' => {
                n_words > 0
                    || matches!(text[..at], [.., ' '])
                        && text[at + 1..].iter().take(2).all(|c| c.is_alphabetic())
            }
            _ => false,
        };
        if !is_said {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_other_values_than_one_number_is_not_one() {
        use Flaw::{Formula, Missing, Several};
        let check =
            |text: &str, expected| assert_eq!(one(text, Front::Dress), Err(expected), "{text}");
        for text in [
            r"\left( 3, 4 \right)",
            "(6,31,-1)",
            "[-2,7]",
            "[-2,7)",
            r"\{3,4\}",
            "1,2,3",
            "x=5, y=6",
            r"x = 5 \text{ or } x = 6",
            "5 and 6",
        ] {
            check(text, Several);
        }
        for text in [
            "6 - 5i",
            "4210_5",
            "1F_{16}",
            "0x1F",
            "2n+1",
            "3R^2",
            r"(-\infty, 5]",
            "10!",
            "5!!",
            r"\begin{pmatrix} 1/5 \\ -18/5 \end{pmatrix}",
            r"\text{June 20}",
            "5x",
            "5n",
            "5 x",
            "5 + x",
            "x^2 + 5",
            "5^x",
            r"\frac{1}{2}x",
            r"\frac{1}{0}",
            r"\pm 5",
            r"x \le 5",
            r"\log 5",
            r"\log_2 8",
            r"\sin 30^\circ",
            r"5\theta",
            "f(5)",
            "5(x+1)",
            r"\binom{5}{2}",
            r"\lfloor 5.3 \rfloor",
            "|5|",
            "x - y - 7 = 0",
            "2x = 10",
            "10 = 2x",
            "1e400",
            "1,000,00",
            r#"{"a":1}"#,
        ] {
            check(text, Formula);
        }
        check("seventy", Missing);
        check("[]", Missing);
        check("true", Missing);
    }

    #[test]
    fn an_equation_and_units_leave_one_number() {
        let check = |text: &str, expected: &str| {
            let found = one(text, Front::Dress).map(|number| number.to_string());
            assert_eq!(found.as_deref(), Ok(expected), "{text}");
        };
        check("- 7", "-7");
        check("x = - 5", "-5");
        check("f(3) = 7", "7");
        check("2^4 + 2 = 18", "18");
        check("5 (approx.)", "5");
        check("16 - 3 = 13", "13");
        check("6 x 2 = 12", "12");
        check("12 = 15 - 3", "12");
        check(r"\sqrt{64} = 8", "8");
        check(r"\text{minus } 5", "-5");
        check(r"\frac{-3}{-4}", "0.75");
        check(r"90^\circ", "90");
        check(r"28 \text{ cm}^2", "28");
        check(r"15\mbox{ cm}^2", "15");
        check("5 cm", "5");
        check("5cm", "5");
        check("5m", "5");
        check("5 km/h", "5");
        check("5^{th}", "5");
        check("5个", "5");
        check("18 dollars a day", "18");
        check("A$18", "18");
        check("HK$18", "18");
    }

    #[test]
    fn words_in_front_are_read_over_where_they_may_be() {
        let text = r"\text{Janet's total is } 18 \text{ dollars}";
        assert_eq!(one(text, Front::Words).unwrap().to_string(), "18");
        assert_eq!(one(text, Front::Dress), Err(Flaw::Formula));
        assert_eq!(one("sin 30", Front::Words), Err(Flaw::Formula));
    }
}
