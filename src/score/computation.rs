//! Numbers that are computed from one another, and which of them is the result.

use crate::score::number::{
    Number, TOLERANCE, Token, is_between, is_blank, is_compound, is_in_another_unit, is_range,
    repeats, separates,
};
use crate::score::unread::Unread;

/// Signs of a computation.
const SIGNS: &str = "+-*/×÷·x";
/// Words between a value and what it is computed from.
const EXPLAINS: [&str; 6] = ["i.e.", "i.e", "ie", "that is", "namely", "viz."];
/// Words in front of a sign, as the unit of the number before: `square feet`.
const UNIT_WORDS: usize = 2;
/// Brackets that explain what stands before another that does.
const MAX_BRACKETS: usize = 8;

/// Returns the last value of a text; `None` where a computation without a result stands in its
/// place. One that only explains is not it: `15 apples (10 + 5)`, `15 = 10 + 5`.
pub(super) fn last<'t>(text: &[char], tokens: &'t [Token]) -> Option<&'t Token> {
    last_of(text, tokens, MAX_BRACKETS)
}

fn last_of<'t>(text: &[char], tokens: &'t [Token], n_brackets: usize) -> Option<&'t Token> {
    let last = tokens.last()?;
    let between = |pair: &[Token]| text[pair[0].end..pair[1].start].iter().collect::<String>();
    // One that opens inside of a number, as in `2^{(3} 4)`, is no bracket around others.
    let is_apart =
        |open: &usize| !tokens.iter().any(|token| (token.start..token.end).contains(open));
    if let Some(open) = bracket(text, last).filter(|_| n_brackets > 0).filter(is_apart) {
        let (before, inside) = tokens.split_at(tokens.partition_point(|token| token.start < open));
        let before = last_of(&text[..open], before, n_brackets - 1);
        let repeats = |before: &Token| before.number.is_same(&last.number, TOLERANCE);
        let is_computed = |pair: &[Token]| {
            matches!(link(&between(pair)), Some(Link::Computes | Link::ComputesInWords))
                || is_compound(text, &pair[0], &pair[1])
        };
        if inside.len() > 1 && inside.windows(2).all(is_computed) {
            let before = before?;
            let between = &text[before.end..open];
            let ends = |c: &char| matches!(c, '.' | '!' | '?' | ';' | ':' | '\n');
            // Two stars end an emphasis.
            let between = between.strip_prefix(&['*', '*']).unwrap_or(between);
            let is_operand = between.iter().rev().find(|c| !c.is_whitespace());
            let is_operand = is_operand.is_some_and(|c| "+-*/×÷·=^".contains(*c));
            return (!is_operand && !between.iter().any(ends)).then_some(before);
        }
        // `25% (10/40)`
        if inside.len() == 1 && before.is_some_and(repeats) {
            return before;
        }
    }
    // `15, i.e. 3 * 5` and `8 = √64` explain as `15 = 3 * 5` does.
    let is_equal = |pair: &[Token]| {
        let between = between(pair);
        let words = between.trim_matches([' ', ',', ';', ':', '-', '(', '$', '*']);
        matches!(link(&between), Some(Link::Equals | Link::EqualsInWords))
            || EXPLAINS.iter().any(|word| word.eq_ignore_ascii_case(words))
    };
    let computes = |pair: &[Token]| {
        let between = between(pair);
        let sign = between.trim_end_matches(is_dress_of_link);
        let is_signed = sign.ends_with(|c| SIGNS.contains(c)) || sign.ends_with(" of");
        is_signed && matches!(link(&between), Some(Link::Computes | Link::ComputesInWords))
    };
    let n_open = tokens.windows(2).rev().take_while(|pair| computes(pair)).count();
    let first = tokens.len() - 1 - n_open;
    if let Some(before) = first.checked_sub(1)
        && (n_open > 0 || last.is_symbol(text))
        && is_equal(&tokens[before..=first])
    {
        let is_alone =
            before.checked_sub(1).is_none_or(|at| link(&between(&tokens[at..=before])).is_none());
        return is_alone.then_some(&tokens[before]);
    }
    let before = |text: &'_ [char]| text.iter().rev().find(|c| !is_dress_of_link(**c)).copied();
    // `10 + 5` has no result, and neither has `x = 10 - 5`; `10-5` may be a range.
    let adds = |pair: &[Token]| {
        let sign = between(pair).replace(is_dress_of_link, "");
        matches!(sign.as_str(), "+" | "×" | "÷" | "·" | "*")
    };
    let is_computed = tokens[first..].windows(2).any(adds)
        || n_open > 0 && before(&text[..tokens[first].start]) == Some('=');
    (!is_computed).then_some(last)
}

/// Reads `16 - 3 = 13` as 13, `3/4 of 100 = 75` as 75, and `3 - 5` as several numbers.
pub(super) fn chain(text: &[char], tokens: &[Token]) -> Result<Number, Unread> {
    // What would be read if the text ended here, and whether a computation is open since.
    let (mut found, mut open) = (&tokens[0], Open::No);
    let mut n_results = 0;
    for (at, pair) in tokens.windows(2).enumerate() {
        if open == Open::No && is_in_another_unit(text, &pair[0], &pair[1]) {
            break;
        }
        if open == Open::No && repeats(text, &pair[0], &pair[1]) {
            continue;
        }
        if is_list(text, pair) || is_range(text, &pair[0], &pair[1]) {
            return Err(Unread::Several);
        }
        let between: String = text[pair[0].end..pair[1].start].iter().collect();
        // `7 2` is nobody's number; a box would begin with a mark of its own.
        let is_blank = !between.is_empty() && between.chars().all(|c| c == ' ');
        if open == Open::No && is_blank && text[pair[1].start].is_ascii_digit() {
            return Err(Unread::Several);
        }
        // Stars that end an emphasis multiply nothing: `**7** (12 - 5)`.
        let is_emphasis = text[..pair[0].start].ends_with(&['*', '*']);
        let between = between.strip_prefix("**").filter(|_| is_emphasis).unwrap_or(&between);
        // Parts of a measure are a sum that may have a result: `2 hours 30 minutes = 150 minutes`.
        let is_sum = is_compound(text, &pair[0], &pair[1]);
        let linked = if is_sum { Some(Link::Computes) } else { link(between) };
        match linked {
            Some(Link::Equals) => {
                (found, open) = (&pair[1], Open::No);
                n_results += if at == 0 { 1 } else { 2 };
            }
            Some(Link::Computes) if open != Open::InWords => open = Open::InSigns,
            Some(Link::Computes | Link::ComputesInWords) => open = Open::InWords,
            // `12 inches = 1 foot` computes nothing: it says the same in another unit.
            Some(Link::EqualsInWords) if open != Open::No => (found, open) = (&pair[1], Open::No),
            Some(Link::EqualsInWords) | None => break,
        }
    }
    // `12 = 15 - 3`, `8 = √64`
    let is_first = n_results == 1 && (open == Open::InSigns || found.is_symbol(text));
    match (open, found.is_clean) {
        _ if is_first && tokens[0].is_clean => Ok(tokens[0].number.clone()),
        (Open::InSigns, _) => Err(Unread::Several),
        (_, true) => Ok(found.number.clone()),
        (_, false) => Err(Unread::Formula),
    }
}

/// Whether a number is one of those that together are a value or a range: `57 feet 6 inches`,
/// "between 57 and 62".
pub(super) fn is_part(text: &[char], tokens: &[Token], token: &Token) -> bool {
    tokens.windows(2).any(|pair| match pair {
        [first, second] if token.start == second.start => {
            is_compound(text, first, second)
                || is_between(text, first, second)
                || is_alternative(text, first, second)
        }
        [first, second] => token.start == first.start && is_compound(text, first, second),
        _ => false,
    })
}

/// Whether two numbers are two values of one variable: `x = 2 or x = 3`.
fn is_alternative(text: &[char], first: &Token, second: &Token) -> bool {
    let between = text[first.end..second.start].iter().filter(|c| !is_dress_of_link(**c));
    let mut before = text[..first.start].iter().rev().filter(|c| !is_dress_of_link(**c));
    match *between.collect::<Vec<_>>().as_slice() {
        ['o', 'r', name, '='] if name.is_alphabetic() => {
            before.next() == Some(&'=') && before.next() == Some(name)
        }
        _ => false,
    }
}

/// Whether two numbers are members of a list, and nothing is said of the second: `5, 6`, not
/// `5, 3 of which`.
pub(super) fn is_list(text: &[char], pair: &[Token]) -> bool {
    let between = &text[pair[0].end..pair[1].start];
    let is_bare = |c: &char| is_dress_of_link(*c) || matches!(c, '*' | ',' | ';' | '&');
    let words: String = between.iter().filter(|c| !is_bare(c)).collect();
    // `x = 5, y = 6`
    let words = words
        .strip_suffix('=')
        .map_or(&*words, |named| named.strip_suffix(char::is_alphabetic).unwrap_or(named));
    let behind = text[pair[1].end..].iter().skip_while(|c| is_dress_of_link(**c) || **c == '*');
    let next: String = behind.clone().take_while(|c| c.is_alphabetic()).collect();
    let goes_on = |c: &char| c.is_ascii_digit() || "=+-×".contains(*c);
    matches!(words, "" | "and" | "or")
        && separates(between)
        && matches!(next.as_str(), "" | "and" | "or")
        && !behind.clone().next().is_some_and(goes_on)
}

/// Whether a computation goes on to a result. One with words may be none at all: `7 of 10`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    No,
    InSigns,
    InWords,
}

/// What stands between two numbers of a computation.
enum Link {
    Equals,
    Computes,
    /// The same with units: ` apples = `.
    EqualsInWords,
    ComputesInWords,
}

fn link(between: &str) -> Option<Link> {
    let equals = |c: char| matches!(c, '=' | '≈');
    let is_dress = is_dress_of_link;
    if between.trim() == "or" {
        return Some(Link::Computes);
    }
    let is_bare = |c: char| is_dress(c) || SIGNS.contains(c) || equals(c);
    if between.chars().all(is_bare) {
        return match (between.contains(equals), between.contains(|c| SIGNS.contains(c))) {
            (true, _) => Some(Link::Equals),
            (false, is_open) => (is_open || between.contains(':')).then_some(Link::Computes),
        };
    }
    let (unit, sign) = between.trim_end_matches(is_dress).rsplit_once(is_blank)?;
    let is_unit = |word: &str| word.chars().all(|c| c.is_alphabetic() || c == '%');
    let words: Vec<&str> = unit.split(is_dress).filter(|word| !word.is_empty()).collect();
    if words.len() > UNIT_WORDS || !words.iter().all(|word| is_unit(word)) {
        return None;
    }
    let is_one_of =
        |signs: &dyn Fn(char) -> bool| sign.chars().count() == 1 && sign.chars().all(signs);
    if is_one_of(&equals) {
        Some(Link::EqualsInWords)
    } else if sign == "of" || is_one_of(&|c| SIGNS.contains(c)) {
        Some(Link::ComputesInWords)
    } else {
        None
    }
}

/// Whether a character may stand around the sign between two numbers, and says nothing.
pub(super) fn is_dress_of_link(c: char) -> bool {
    is_blank(c) || "()[]$€£%:!".contains(c)
}

/// Returns where the bracket opens that a number stands in; `None` where it is in none that is
/// closed.
pub(super) fn bracket(text: &[char], token: &Token) -> Option<usize> {
    let depth = |depth: &mut usize, c: char, (deeper, higher): ([char; 2], [char; 2])| {
        if deeper.contains(&c) {
            *depth += 1;
        } else if higher.contains(&c) {
            match depth.checked_sub(1) {
                Some(less) => *depth = less,
                None => return Some(true),
            }
        }
        Some(false)
    };
    let (opening, closing) = (['(', '['], [')', ']']);
    let mut open =
        text[..token.start].iter().rev().scan(0, |n, c| depth(n, *c, (closing, opening)));
    let mut close = text[token.end..].iter().scan(0, |n, c| depth(n, *c, (opening, closing)));
    close.position(|is_it| is_it)?;
    open.position(|is_it| is_it).map(|n_behind| token.start - 1 - n_behind)
}

/// Returns where the bracket closes that opens there.
pub(super) fn closing(text: &[char], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let ends = |c: &char| {
        depth += usize::from(matches!(c, '(' | '['));
        depth -= usize::from(matches!(c, ')' | ']'));
        depth == 0
    };
    Some(open + text[open..].iter().position(ends)?)
}
