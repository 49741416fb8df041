//! The number that a text gives as its answer: a marked one, else the last.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::score::next_question::next_question;
use crate::score::number::{
    self, Flaw, Front, Number, Token, in_place, is_between, is_compound, is_dress, is_range, one,
    plain, repeats, scan, separates,
};

/// Why a text gives no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Unread {
    /// The pattern, or the field, is not there, or holds nothing.
    NoMatch,
    /// No digit stands outside of words.
    NoNumber,
    /// Two marked answers have different values.
    Ambiguous,
    /// What is marked as the answer is several numbers.
    Several,
    /// What is marked, or comes last, has a value and is no number: a root, a power, a word.
    Formula,
    /// The text ends inside its thinking.
    Thinking,
    /// The pattern ran into its limit of steps.
    GaveUp,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoMatch => "nothing matches",
            Self::NoNumber => "there is no number in it",
            Self::Ambiguous => "two marked answers have different values",
            Self::Several => "the answer is several",
            Self::Formula => "the marked or last value is not a number",
            Self::Thinking => "it ends inside its thinking",
            Self::GaveUp => "the pattern took too many steps",
        })
    }
}

/// Characters behind a mark in which its number stands.
const MARK_REACH: usize = 200;

/// Tags around an answer.
const TAGS: [(&str, &str); 3] = [
    ("<answer>", "</answer>"),
    ("<final_answer>", "</final_answer>"),
    ("<|begin_of_box|>", "<|end_of_box|>"),
];
/// Names of an answer that begin a line, or are a heading.
const ANSWER: [&str; 5] = ["answer", "final answer", "the answer", "the final answer", "a"];

/// Returns the number that a text gives as its answer.
///
/// A mark counts first: the first `####` with a number behind it, the last `\boxed` and the last
/// pair of tags, "the answer is", and a line "Answer:" that holds one number. Without a mark the last
/// number of the text is the answer. Where a model goes on to a next question, or to another turn,
/// the text ends there, unless no number stands before. A number that stands before, is neither
/// marked nor a result, and another one that is marked behind are two answers: nobody can say
/// whether the question is the next, or the first one in the model's words.
///
/// # Errors
/// Why there is none.
pub(super) fn answer(text: &str) -> Result<Number, Unread> {
    let Some(end) = next_question(text) else { return of_one(text) };
    let before = &text[..end.at];
    match of_one(before) {
        Err(Unread::NoNumber) => of_one(text),
        Ok(first) if !end.is_turn && matches!(marked(before), Ok(None)) => {
            let is_same = |other: &Number| first.is_same(other, number::TOLERANCE);
            match marked(text) {
                Ok(None) => Ok(first),
                Ok(Some(other)) if is_same(&other) => Ok(first),
                _ if is_result(before, &first) => Ok(first),
                _ => Err(Unread::Ambiguous),
            }
        }
        found => found,
    }
}

/// Whether a text gives a number as what something is: behind `=` or "is", as money, in percent, or
/// as all that a line or a clause says, "so 5.".
fn is_result(text: &str, number: &Number) -> bool {
    let text = plain(text);
    let is_same = |token: &&Token| token.number.is_same(number, number::TOLERANCE);
    scan(&text).iter().filter(is_same).any(|token| {
        let is_unit = |c: &char| "$€£%".contains(*c);
        let (before, behind) = (&text[..token.start], &text[token.end..]);
        let ends = |c: &char| matches!(c, ',' | '.' | ';' | ':' | '\n');
        let clause = before.iter().rposition(ends).map_or(before, |at| &before[at + 1..]);
        // `1. Add`
        let begins_line = clause.len() == before.len()
            || before[..before.len() - clause.len()].ends_with(&['\n']);
        let mut rest = behind.iter().take_while(|c| **c != '\n');
        let is_step = begins_line
            && clause.iter().all(|c| !c.is_alphanumeric())
            && rest.any(|c| c.is_alphanumeric());
        number::is_equated(before)
            || text[token.start..token.end].iter().any(is_unit)
            || behind.iter().find(|c| !is_space(**c)).is_some_and(is_unit)
            || !is_step
                && is_dress(clause)
                && behind.iter().take_while(|c| !ends(c)).all(|c| !c.is_alphanumeric())
    })
}

/// Returns the number that a gold is: what it marks as its answer, else the whole of it.
///
/// # Errors
/// Why it is none.
pub(super) fn gold(text: &str) -> Result<Number, Unread> {
    Ok(match marked(text)? {
        Some(number) => number,
        None => one(text, Front::Dress)?,
    })
}

impl From<Flaw> for Unread {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Missing => Self::NoNumber,
            Flaw::Several => Self::Several,
            Flaw::Formula => Self::Formula,
        }
    }
}

/// Returns the answer of a text to one question.
fn of_one(text: &str) -> Result<Number, Unread> {
    if let Some(found) = marked(text).transpose() {
        return found;
    }
    let text = plain(text);
    let tokens = scan(&text);
    match last(&text, &tokens) {
        None if tokens.is_empty() => Err(Unread::NoNumber),
        Some(last) if is_part(&text, &tokens, last) => Err(Unread::Several),
        Some(last) if last.is_clean => Ok(last.number.clone()),
        _ => Err(Unread::Formula),
    }
}

/// Whether a number is one of those that together are a value or a range: `57 feet 6 inches`,
/// "between 57 and 62".
fn is_part(text: &[char], tokens: &[Token], token: &Token) -> bool {
    tokens.windows(2).any(|pair| match pair {
        [first, second] if token.start == second.start => {
            is_compound(text, first, second) || is_between(text, first, second)
        }
        [first, second] => token.start == first.start && is_compound(text, first, second),
        _ => false,
    })
}

/// Brackets that explain what stands before another that does.
const MAX_BRACKETS: usize = 8;

/// Returns the last value of a text; `None` where a computation without a result stands in its
/// place. One that only explains is not it: `15 apples (10 + 5)`, `15 = 10 + 5`.
fn last<'t>(text: &[char], tokens: &'t [Token]) -> Option<&'t Token> {
    last_of(text, tokens, MAX_BRACKETS)
}

fn last_of<'t>(text: &[char], tokens: &'t [Token], n_brackets: usize) -> Option<&'t Token> {
    let last = tokens.last()?;
    let between = |pair: &[Token]| text[pair[0].end..pair[1].start].iter().collect::<String>();
    if let Some(open) = bracket(text, last).filter(|_| n_brackets > 0) {
        let (before, inside) = tokens.split_at(tokens.partition_point(|token| token.start < open));
        let before = last_of(&text[..open], before, n_brackets - 1);
        let repeats = |before: &Token| before.number.is_same(&last.number, number::TOLERANCE);
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

/// Returns where the bracket opens that a number stands in; `None` where it is in none that is
/// closed.
fn bracket(text: &[char], token: &Token) -> Option<usize> {
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
fn closing(text: &[char], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let ends = |c: &char| {
        depth += usize::from(matches!(c, '(' | '['));
        depth -= usize::from(matches!(c, ')' | ']'));
        depth == 0
    };
    Some(open + text[open..].iter().position(ends)?)
}

/// Returns the value that all marks of a text give; `None` where nothing is marked.
fn marked(text: &str) -> Result<Option<Number>, Unread> {
    let mut values: Vec<Number> = Vec::new();
    let mut unread = None;
    let marks = hashes(text).into_iter().chain(boxed(text)).chain(tagged(text));
    let marks = marks.chain(spelt(text)).chain(lines(text));
    for mark in marks {
        match mark {
            Ok(value) => values.push(value),
            Err(why) => unread = unread.or(Some(why)),
        }
    }
    match (values.split_first(), unread) {
        (Some((first, others)), _) => {
            let is_same = |other: &Number| first.is_same(other, number::TOLERANCE);
            if others.iter().all(is_same) {
                Ok(Some(first.clone()))
            } else {
                Err(Unread::Ambiguous)
            }
        }
        (None, Some(why)) => Err(why),
        (None, None) => Ok(None),
    }
}

/// Reads the first `####` with a number behind it. A numbered heading, `#### 2. Then`, is none.
fn hashes(text: &str) -> Option<Result<Number, Unread>> {
    let mut heading = 1;
    text.match_indices("####").find_map(|(at, mark)| {
        let line = text[at + mark.len()..].trim_start();
        let line = line.split('\n').next().unwrap_or_default();
        if is_heading(line, heading) {
            heading += 1;
            return None;
        }
        direct(line)
    })
}

/// Whether a line begins a list of steps: `1. Then`.
fn is_step(line: &str) -> bool {
    let digits: String =
        line.trim_start_matches([' ', '*']).chars().take_while(char::is_ascii_digit).collect();
    digits.parse().is_ok_and(|number| is_heading(line.trim_start(), number))
}

fn is_heading(line: &str, number: u32) -> bool {
    let rest = line.trim_start_matches('*').strip_prefix(&number.to_string());
    let rest = rest.and_then(|rest| rest.strip_prefix(['.', ')', ':']));
    rest.is_some_and(|rest| {
        rest.trim_start_matches([' ', '*']).starts_with(|c: char| c.is_alphabetic())
    })
}

/// Reads every "answer is", and "answers are", with a number right behind it.
fn spelt(text: &str) -> Vec<Result<Number, Unread>> {
    const MARKS: [&str; 2] = ["answer is", "answers are"];
    let bytes = text.as_bytes();
    let places = text.match_indices(['a', 'A']).map(|(at, _)| at);
    places
        .filter_map(|at| {
            MARKS.iter().map(|mark| at + mark.len()).find(|end| {
                let found = bytes.get(at..*end);
                found.is_some_and(|found| {
                    MARKS.iter().any(|mark| found.eq_ignore_ascii_case(mark.as_bytes()))
                })
            })
        })
        .filter_map(|end| direct(text[end..].trim_start()))
        .collect()
}

/// Reads what stands between the last tags of an answer.
fn tagged(text: &str) -> Option<Result<Number, Unread>> {
    let places = TAGS.iter().filter_map(|(open, close)| {
        let at = text.rfind(open)? + open.len();
        let behind = &text[at..];
        Some((at, &behind[..behind.find(close).unwrap_or(behind.len())]))
    });
    let (_, held) = places.max_by_key(|(at, _)| *at)?;
    let text = in_place(held);
    let tokens = scan(&text);
    let begins = tokens.first().is_some_and(|first| is_dress(&text[..first.start]));
    Some(match one(held, Front::Words) {
        Err(Flaw::Several) if begins => Err(Unread::Several),
        found => found.or_else(|_| match (explained(&text, &tokens), tokens.as_slice()) {
            (Some(first), _) if begins => Ok(first.number.clone()),
            (_, [first, second, ..]) if begins && is_range(&text, first, second) => {
                Err(Unread::Several)
            }
            _ => answer(held),
        }),
    })
}

/// Reads every line that is named as the answer and holds one number: one that goes on to compute
/// gives its answer at its end. Under a name that stands alone, it is the next line.
fn lines(text: &str) -> Vec<Result<Number, Unread>> {
    let is_markup = |c: char| c.is_whitespace() || matches!(c, '*' | '#' | '_' | '>' | ':');
    let is_name = |name: &str| ANSWER.iter().any(|known| known.eq_ignore_ascii_case(name));
    let lines = || text.lines().filter(|line| !line.trim_matches(is_markup).is_empty());
    let behind_names = lines().filter_map(|line| {
        let (name, behind) = line.split_once(':')?;
        let is_one = is_name(name.trim_matches(is_markup));
        (is_one && !behind.trim_matches(is_markup).is_empty())
            .then(|| line_of_one(behind, usize::MAX))?
    });
    let below_names = lines().zip(lines().skip(1)).filter_map(|(heading, line)| {
        let name = heading.trim_matches(is_markup);
        // `A` alone is a choice.
        let is_one = is_name(name) && (name.len() > 1 || heading.contains(':'));
        let goes_on = is_step(line) || line.trim_end().ends_with(':');
        (is_one && !goes_on).then(|| line_of_one(&format!("\n{line}"), VALUE_WORDS))?
    });
    behind_names.chain(below_names).collect()
}

/// Reads a line that holds one number, with so many words behind it.
fn line_of_one(line: &str, n_words: usize) -> Option<Result<Number, Unread>> {
    let text = in_place(line);
    let tokens = scan(&text);
    let first = tokens.first().filter(|first| is_dress(&text[..first.start]))?;
    match tokens.as_slice() {
        [_, second] if repeats(&text, first, second) => Some(Ok(first.number.clone())),
        [_, _, ..] if explained(&text, &tokens).is_some() => Some(Ok(first.number.clone())),
        [_, second] if first.is_clean && is_circumstance(&text[first.end..second.start]) => {
            Some(Ok(first.number.clone()))
        }
        [_, second, ..] if is_list(&text, &tokens[..2]) || is_range(&text, first, second) => {
            Some(Err(Unread::Several))
        }
        [_, _, ..] if tokens.windows(2).all(|pair| is_compound(&text, &pair[0], &pair[1])) => {
            Some(Err(Unread::Several))
        }
        [_] if first.is_clean => {
            let words = text[first.end..].split(|c| !c.is_alphanumeric());
            let is_value = words.filter(|word| !word.is_empty()).count() <= n_words;
            is_value.then(|| Ok(first.number.clone()))
        }
        _ => None,
    }
}

/// Words in front of a number that says when or where a value holds: `7 in 12 days`.
const CIRCUMSTANCES: [&str; 11] =
    ["in", "within", "over", "during", "after", "before", "until", "per", "every", "each", "on"];

/// Whether what stands between two numbers, a few words, makes the second a circumstance of the first.
fn is_circumstance(between: &[char]) -> bool {
    let words: Vec<String> = between
        .split(|c| !c.is_alphabetic())
        .filter(|word| !word.is_empty())
        .map(|word| word.iter().collect::<String>().to_lowercase())
        .collect();
    between.iter().all(|c| c.is_alphabetic() || is_space(*c) || matches!(c, '*' | '_' | ','))
        && words.len() <= VALUE_WORDS + 1
        && words.last().is_some_and(|last| CIRCUMSTANCES.contains(&last.as_str()))
}

/// Words behind a value that begin to explain it.
const REASONS: [&str; 6] = ["because", "since", "as", "given", "rounded", "out of"];

/// Returns the first of several numbers where the others only explain it: they stand in one bracket
/// behind it, `7 (since 3 × 4 = 12)`, or behind a word that begins a reason, `7 apples, because`.
fn explained<'t>(text: &[char], tokens: &'t [Token]) -> Option<&'t Token> {
    let (first, others) = tokens.split_first()?;
    let between: String = text[first.end..others.first()?.start].iter().collect();
    let open = bracket(text, &others[0]).filter(|open| *open >= first.end);
    let close = open.and_then(|open| closing(text, open));
    let is_in_bracket = close.zip(others.last()).is_some_and(|(close, last)| last.end <= close);
    let mut words: Vec<&str> = between.split(|c: char| !c.is_alphabetic()).collect();
    words.retain(|word| !word.is_empty());
    let says_why = (0..words.len().min(VALUE_WORDS)).any(|at| {
        let said = words[at..].join(" ") + " ";
        REASONS.iter().any(|why| said.strip_prefix(why).is_some_and(|rest| rest.starts_with(' ')))
    });
    (first.is_clean && (is_in_bracket || says_why)).then_some(first)
}

/// Reads a number that stands right behind a mark, or the end of an equation that does.
fn direct(text: &str) -> Option<Result<Number, Unread>> {
    let reach: String = text.chars().take(MARK_REACH).collect();
    let text = in_place(&reach);
    let tokens = scan(&text);
    let first = tokens.first()?;
    let front = &text[..first.start];
    // `x = 5`
    let is_named = matches!(
        front.iter().filter(|c| !is_dress_of_link(**c)).collect::<Vec<_>>().as_slice(),
        ['=', name, '='] if name.is_alphabetic()
    );
    (is_named || is_dress(front)).then(|| chain(&text, &tokens))
}

/// Reads `16 - 3 = 13` as 13, `3/4 of 100 = 75` as 75, and `3 - 5` as several numbers.
fn chain(text: &[char], tokens: &[Token]) -> Result<Number, Unread> {
    // What would be read if the text ended here, and whether a computation is open since.
    let (mut found, mut open) = (&tokens[0], Open::No);
    let mut n_results = 0;
    for (at, pair) in tokens.windows(2).enumerate() {
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

/// Whether two numbers are members of a list, and nothing is said of the second: `5, 6`, not
/// `5, 3 of which`.
fn is_list(text: &[char], pair: &[Token]) -> bool {
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

/// Signs of a computation.
const SIGNS: &str = "+-*/×÷·x";
/// Words between a value and what it is computed from.
const EXPLAINS: [&str; 6] = ["i.e.", "i.e", "ie", "that is", "namely", "viz."];
/// Words in front of a sign, as the unit of the number before: `square feet`.
const UNIT_WORDS: usize = 2;
/// Words behind a number that is all that its line says.
const VALUE_WORDS: usize = 3;

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\u{1}' | '\u{2009}')
}

/// Whether a character may stand around the sign between two numbers, and says nothing.
fn is_dress_of_link(c: char) -> bool {
    is_space(c) || "()[]$€£%:!".contains(c)
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
    let (unit, sign) = between.trim_end_matches(is_dress).rsplit_once(is_space)?;
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

/// Reads the last `\boxed` or `\fbox`.
fn boxed(text: &str) -> Option<Result<Number, Unread>> {
    let mark = ["\\boxed", "\\fbox"].iter().filter_map(|mark| Some(text.rfind(mark)? + mark.len()));
    let behind = text[mark.max()?..].trim_start();
    let held: String = if behind.starts_with('{') {
        let chars: Vec<char> = behind.chars().collect();
        chars[..=number::closing(&chars)?].iter().collect()
    } else {
        behind.chars().take_while(char::is_ascii_digit).collect()
    };
    Some(one(&held, Front::Words).map_err(|flaw| match flaw {
        Flaw::Missing => Unread::Formula,
        flaw => flaw.into(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, Unread>) {
        let found = answer(text).map(|number| number.to_string());
        assert_eq!(found, expected.map(str::to_owned), "{text}");
    }

    #[test]
    fn a_marked_answer_comes_before_the_last_number() {
        check("3+4=7\n#### 7\n\nthat is 14/2", Ok("7"));
        check("#### 7\n#### 8", Ok("7"));
        check("#### 1. Add\n3+4\n#### 2. Answer\nso 7\n#### 7", Ok("7"));
        check("#### Step 3\nThe answer is 7, as 3 < 9.", Ok("7"));
        check("####\n**$1,250**", Ok("1250"));
        check("#### 16 - 3 = 13", Ok("13"));
        check("#### 5! = 120", Ok("120"));
        check("The answer is 3/4 of 100 = 75", Ok("75"));
        check("#### 20% of 50 = 10", Ok("10"));
        check("The answer is 5 apples + 3 apples = 8 apples. 1 is bad", Ok("8"));
        check("The answer is 5 feet × 3 feet = 15 square feet", Ok("15"));
        check("The answer is **7** (12 - 5).", Ok("7"));
        check("The answer is 2 and a half", Ok("2.5"));
        check("It takes 3 and three quarters of an hour.", Ok("3.75"));
        check("He has 2 and a halfway house", Ok("2"));
        check("The answer is ±5", Err(Unread::Formula));
        check("so it is 10 ± 0.5", Err(Unread::Formula));
        check("The answer is 7 2", Err(Unread::Several));
        check("The answer is 7 of 10", Ok("7"));
        check("The answer is 12 inches = 1 foot", Ok("12"));
        check("The answer is 8 apples - 3 of them red", Ok("8"));
        check("The answer is 7, since 10 - 3 = 7", Ok("7"));
        check(r"first \boxed{5}, better \boxed{\text{about } 7 \text{ m}^2}. 9 of 9", Ok("7"));
        check(r"\boxed{x = \frac{1}{2}}", Ok("0.5"));
        check(r"\boxed 7", Ok("7"));
        check("**The final answer is: $7**, not 9 or 8", Ok("7"));
        check(r"The answer is \boxed{9{,}500} for 3", Ok("9500"));
        check("The answer is not 5 but 6", Ok("6"));
        check("#### 7\n\nQuestion: 9+9?\nThe answer is 18", Ok("7"));
        check("<answer>72</answer> 3", Ok("72"));
        check("<answer>5</answer>, no: <answer>the total is $72</answer> of 3", Ok("72"));
        check("<|begin_of_box|>9,500<|end_of_box|> in 3 days", Ok("9500"));
        check("A: 5\n\nQ: 9+9?\nA: 18", Ok("5"));
        check("**Answer:** 72 apples\nThat took 3 steps.", Ok("72"));
        check("Answer: 5 apples at $2 each are $10", Ok("10"));
        check("Answer: 5 (red) apples × 2 = 10", Ok("10"));
        check("Answer: 5 in 2 boxes are 10", Ok("10"));
        for explained in [
            "Answer: 7 (since 3 × 4 = 12)",
            "**Answer: $7** (because 3 + 4 = 12)",
            "Final answer: 7 (rounded to 2 decimals)",
            "Answer: 7 apples (out of 12)",
            "Answer: 7 [step 3]",
            "Answer: 7, because 3 + 9 = 12",
            "Answer: 7 clips since 12 are in 3 boxes",
            "Answer: 7 out of 12",
            "Answer: 7 in 12 days",
            "**Answer:** 7 apples within 12 hours.",
            "Answer:\n7 per 12 boxes",
            "Answer:\n7 (since 3 × 4 = 12)",
            "<answer>7 out of 12</answer>",
            "<answer>7 (12 - 5)</answer>",
        ] {
            check(explained, Ok("7"));
        }
        check("#### 7\n\n**Q2:** 9+9?\n\\boxed{18}", Ok("7"));
        check("A: 5 / Q: 9+9? / A: 18", Ok("5"));
    }

    #[test]
    fn a_text_ends_where_a_model_goes_on_to_the_next_question() {
        check("18\n\nQuestion: 2+2?\nAnswer: 4", Ok("18"));
        check("9 * 2 = $18\nQ: 2+2?\nA: 4", Ok("18"));
        check("9 * 2 = 18. Question: 2+2? The answer is 4", Ok("18"));
        check("It is 18.\n\n### Instruction:\n2+2\n### Response:\n#### 4", Ok("18"));
        check("18<|im_end|>\n<|im_start|>user\n2+2?", Ok("18"));
        check("18</s> 4", Ok("18"));
        // No number stands before, or the whole text is of questions that it asks itself.
        check("We solve it.\n\nProblem: 9 * 2\nThe answer is 18.", Ok("18"));
        check("Question: how many? 9\nQuestion: at $2? 18\nSo the answer is 18", Ok("18"));
        check("<|im_start|>assistant\n18", Ok("18"));
        check("FAQ: 18", Ok("18"));
    }

    #[test]
    fn a_question_that_is_told_again_does_not_end_a_text() {
        check("Step 1: Restate the Question: how many?\n48+24=72\n#### 72", Ok("72"));
        // It may as well be the next one, so that nobody can say.
        let told = "I'll use 2 steps.\n\n**Problem:** 48+24\n\n";
        check(&format!("{told}#### 72"), Err(Unread::Ambiguous));
        check(&format!("{told}The answer is \\boxed{{72}}"), Err(Unread::Ambiguous));
        check(&format!("{told}#### 2"), Ok("2"));
        check("She has 18 apples.\n\nQuestion: Tom has 3 cats", Ok("18"));
        check("That makes $18 a day.\n\nQuestion: 2+2?\n#### 4", Ok("18"));
        check("5 of them, so 0.\n\nQuestion: 2+2?\n#### 4", Ok("0"));
        check("1. Read it.\n\nProblem: 48+24\n#### 72", Err(Unread::Ambiguous));
    }

    #[test]
    fn without_a_mark_the_last_number_is_the_answer() {
        check("So 72... right?", Ok("72"));
        check("That makes $72. Cost: $.", Ok("72"));
        check("16 - 3 = 13", Ok("13"));
        check("16-3", Ok("3"));
        check("It falls to -5.", Ok("-5"));
        check("It is − 5 degrees", Ok("-5"));
        check("Net: ($1,250)", Ok("-1250"));
        check("We pay the cost ($1,250)", Ok("1250"));
        check("10 - (5)", Ok("5"));
        check("She has 15 apples (10 + 5).", Ok("15"));
        check("That is 30 (3 boxes of 10) in all.", Ok("30"));
        check("That is 30 (3 boxes of 10 = 30 apples).", Ok("30"));
        check("He pays $90 ($45 × 2).", Ok("90"));
        check("It takes 3 hours (180 minutes).", Ok("180"));
        check("That is 15 [10 + 5] in all.", Ok("15"));
        check("He saves 25% (10/40).", Ok("25%"));
        check("Together 15 = 10 + 5.", Ok("15"));
        check("The sum is **15** (= 10 + 5)", Ok("15"));
        check("**10**\n* 5", Ok("5"));
        check("It takes 3-1/2 hours", Ok("3.5"));
        check("- 5 apples", Ok("5"));
        check("on 2024/05/12", Ok("12"));
        check("It has H2O and 7 x2 COVID-19", Ok("7"));
        check("答案是5个。", Ok("5"));
    }

    #[test]
    fn a_text_that_repeats_itself_is_read_in_linear_time() {
        for part in ["1,", "1/", "(5) ", "1 or ", "x^", "{\\over ", "Answer:\n5\n", "5^2/"] {
            let _ = answer(&part.repeat(100_000 / part.len()));
        }
        let _ = answer(&format!("Answer: 5 ({})", "1 ".repeat(50_000)));
    }

    #[test]
    fn a_text_without_an_answer_says_why() {
        check("I cannot say.", Err(Unread::NoNumber));
        check("", Err(Unread::NoNumber));
        check("$.", Err(Unread::NoNumber));
        check("#### 7, that is \\boxed{8}", Err(Unread::Ambiguous));
        check("The answer is 8. The answer is 9.", Err(Unread::Ambiguous));
        check("A: 5\nA: 18", Err(Unread::Ambiguous));
        check("<answer>5</answer> so \\boxed{6}", Err(Unread::Ambiguous));
        check(r"of 9 it is \boxed{3, 4}", Err(Unread::Several));
        check("The answer is 3-5", Err(Unread::Several));
        check(r"of 9 it is \boxed{\text{no solution}}", Err(Unread::Formula));
        check(r"so it is \sqrt{2}", Err(Unread::Formula));
        check("so it is 2π", Err(Unread::Formula));
        check("He has 3 bags. The total (10 + 5).", Err(Unread::Formula));
        check("So it is 10 + 5.", Err(Unread::Formula));
        check("3 * 5 = 10 + 5", Err(Unread::Formula));
        check("It is 15 - (10 + 5)", Err(Unread::Formula));
        check("That is 0.5(20)", Err(Unread::Formula));
    }

    #[test]
    fn a_minus_is_a_sign_behind_currencies_and_letters_and_in_a_marked_place() {
        for text in [
            "Total: €-5.",
            "Total: £−5",
            "₹-5",
            "It is € -5",
            "#### €-5",
            "#### -USD5",
            "#### USD-5",
            "It falls by -USD 5",
            "答案是-5。",
            "结果为−5",
            "第2题的答案是-5",
            "答えは-5です",
            "#### - 5",
            "#### € - 5",
            "The answer is − 5",
            "The answer is: **- 5**",
            "Answer: − 5",
            r"\boxed{- 5}",
            r"\boxed{x = - 5}",
            r"\boxed{\text{minus } 5}",
            r"\boxed{\text{negative }5}",
        ] {
            check(text, Ok("-5"));
        }
        check("10€-5€", Ok("5"));
        check("The answer is:\n- 5 apples", Ok("5"));
        check("10公里-5公里", Ok("5"));
    }

    #[test]
    fn a_list_is_no_decimal_and_where_it_is_marked_several() {
        for text in [
            "#### 5, 6",
            "#### 1,2,3",
            "#### 5 & 6",
            "#### x = 5, y = 6",
            "The answer is x = 5 or x = 6",
            "The answers are 5 and 6",
            "The answer is (5, 6)",
            "The answer is 1, 2, 3 or 4",
            "The answer is 5 and 6.",
            "Answer: 5, 6",
            "<answer>1,2,3</answer>",
            r"\boxed{x = 5 \text{ or } x = 6}",
            r"\boxed{x=5, y=6}",
        ] {
            check(text, Err(Unread::Several));
        }
        check("pages 10,11,12", Ok("12"));
        check("The answer is 5, 3 of which are red", Ok("5"));
        check("Rp18.000,00", Ok("18000"));
        check("so 1,000,00", Err(Unread::Formula));
        check("in version 1.2.3", Err(Unread::Formula));
    }

    #[test]
    fn parts_of_a_measure_and_ends_of_a_range_are_several() {
        for text in [
            "The answer is 20 hours and 30 minutes.",
            "The answer is 57 feet 6 inches.",
            "The answer is 57h 30m.",
            "#### 1 hour, 20 minutes and 30 seconds",
            "Answer: 5 pounds 4 ounces\nThat took 3 steps.",
            "So it takes 57 feet and 6 inches.",
            "So it takes **2 weeks and 3 days**",
            "So it is 57 feet, 6 inches.",
            r"\boxed{57 \text{ to } 62}",
            "The answer is 57 to 62.",
            "The answer is **57** to **62**",
            "The answer is 57 feet to 62 feet.",
            "Answer: 57 to 62\nThat took 3 steps.",
            "The answer is 57 through 62",
            "Answer: 57到62",
            "<answer>57 to 62</answer>",
            "<answer>2 hours and 30 minutes</answer>",
            "The answer is between 57 and 62.",
            "So it is between $57 and $62",
        ] {
            let found = answer(text);
            let is_none = matches!(found, Err(Unread::Several | Unread::Formula));
            assert!(is_none, "{text}: {found:?}");
        }
        check("The answer is 20 hours and 30 minutes.", Err(Unread::Several));
        for (text, value) in [
            ("The answer is 57 dollars and 20 cents.", "57.2"),
            ("It costs 57 dollars and 20 cents", "57.2"),
            ("Answer: $57 and 20 cents", "57.2"),
            ("The answer is 2 hours and 30 minutes = 150 minutes", "150"),
            ("2 hours and 30 minutes = 150 minutes.", "150"),
            ("The answer is 150 minutes = 2 hours and 30 minutes", "150"),
            ("It takes 150 minutes (2 hours and 30 minutes).", "150"),
            ("It takes 2 hours and 30 minutes (150 minutes).", "150"),
            ("#### 3 hours × 2 = 6 hours 30 times", "6"),
            ("between 3 and 5 there are 4", "4"),
            ("20 hours a week for 5 weeks is 100", "100"),
            ("So he works 5 days, 8 hours a day", "8"),
            ("After 3 weeks, 2 days remain.", "2"),
            ("She has 3 days and 2 tickets", "2"),
            ("It takes 30 minutes and 2 hours of sleep", "2"),
            ("The price rose from $57 to $62.", "62"),
            ("Adding 3 to 4 makes 7", "7"),
            ("The answer is 3.14 to 2 decimal places.", "3.14"),
            ("The answer is 7 rounded to 7", "7"),
            ("The answer is 5 days. 3 hours were lost", "5"),
        ] {
            check(text, Ok(value));
        }
    }

    #[test]
    fn what_html_raises_or_lowers_is_a_power_or_an_index() {
        check("The area is 474 m<sup>2</sup>.", Ok("474"));
        check("The answer is 57 × 10<sup>3</sup>.", Ok("57000"));
        check("It is the 5<sup>th</sup>, of H<sub>2</sub>O", Ok("5"));
        check("x<sub>1</sub> = 7", Ok("7"));
        check("so it is 5<sup>2</sup>", Err(Unread::Formula));
        check("5 <sup>is open", Ok("5"));
        check("2 < 5", Ok("5"));
    }

    #[test]
    fn what_a_number_is_a_part_of_is_a_formula() {
        for text in [
            "so it is √2",
            "so it is 1/0",
            "so it is 1e400",
            "so it is 3x-5",
            "so it is 3x - 5",
            "so it is x^2 + 5",
            "The answer is 5x",
            "so it is 5i.",
            "so it is 101_2",
            "so it is 0x1F",
            "so it is 0xff",
            "so it is 101_{two}",
            "so it is log 5",
            "so f(5)",
            "so ∛8",
            "so it is 5^x",
            "x = 15 - 3",
            "at 18:30",
            "from 22:30 to 00:15",
            "The answer is 7:30 PM",
            "Answer: 00:15 the next day",
            "of 5 it is 3:4",
            r"so \sin 30",
            r"\boxed{5x}",
            r"\boxed{7!}",
        ] {
            check(text, Err(Unread::Formula));
        }
        for text in [
            "$5x^{-1}$",
            "2^{1/2}",
            "2^{1.5}",
            "2^(1/2)",
            "2^1/2",
            "2^-1",
            "10^{1/2}",
            "x^{2} + 5",
            "x^2/4",
            r"{10+2 \over 3}",
            r"{5 \choose 2}",
        ] {
            check(&format!("so it is {text}"), Err(Unread::Formula));
        }
        check("It is 5x faster.", Ok("5"));
        check("It is 5 m.", Ok("5"));
        check("It is at max 5.", Ok("5"));
        check("It is 90^\\circ", Ok("90"));
    }

    #[test]
    fn powers_and_indexes_are_read_over_with_all_that_they_hold() {
        check("It moves at 5 m s^{-1}.", Ok("5"));
        check("So the speed is 5 ms⁻¹.", Ok("5"));
        check(r"The speed is $5\,\mathrm{m\,s^{-1}}$.", Ok("5"));
        check("of 9 x_{-1}, a_{1,2}, y^{(3)}, b_{n+1}, c^{2n+1}", Ok("9"));
        check(r"of 9 x^\text{2nd} y^\frac{1}{2} z^\prime.", Ok("9"));
        check("the 5^{th} and 10^{-3}", Ok("0.001"));
        check("e^{-2}", Err(Unread::NoNumber));
        check("#### 2^{4} + 2 = 18", Ok("18"));
        check("x^{2 is 7 and 8", Ok("8"));
        check("^_^ 5 apples", Ok("5"));
        check(r"$$\begin{aligned} x &= 5 \\[4pt] \end{aligned}$$", Ok("5"));
    }

    #[test]
    fn an_answer_may_stand_under_its_name() {
        check("**Answer:**\n72\n\nCheck: 3 friends.", Ok("72"));
        check("### Final Answer\n\n72 clips\n\nShe sold them to 3 friends.", Ok("72"));
        check("**Final Answer:**\n\n$72$\n\n(48 in April and 24 in May.)", Ok("72"));
        check("Answer:\n\n72\n\nNote that May has 31 days.", Ok("72"));
        check("Answer:\n1. Add 48.\n2. That makes 72", Ok("72"));
        check("Answer:\n2 steps are needed for this:\n#### 72", Ok("72"));
        check("A\n5 of them are 72", Ok("72"));
    }

    #[test]
    fn one_value_in_two_forms_is_one_answer() {
        check("#### 3/4 or 0.75", Ok("0.75"));
        check("The answer is 3/5, or 0.6", Ok("0.6"));
        check("The answer is 6/10 or 60%", Ok("0.6"));
        check("Answer: 3/4 or 0.75", Ok("0.75"));
        check(r"\boxed{\dfrac{3}{4} \text{ or } 0.75}", Ok("0.75"));
        check(r"\boxed{x = \frac{1}{3} \approx 0.333}", Ok("1/3"));
        check("#### 1/3 ≈ 0.333", Ok("1/3"));
        check("The answer is 2/3 ≈ 0.667.", Ok("2/3"));
        check("The answer is 44/3 ≈ 15.", Ok("15"));
        check("The answer is 44/3 ≈ $14.67.", Ok("14.67"));
        check("The answer is 3 or 4", Err(Unread::Several));
    }

    #[test]
    fn a_value_in_front_of_its_computation_is_the_answer() {
        check("12 = 15 - 3", Ok("12"));
        check("So there are 8 = 12 − 4 left.", Ok("8"));
        check("So there are 8 apples = 12 apples − 4 apples.", Ok("8"));
        check("12 = 10 + 5 - 3", Ok("12"));
        check("12 = 6 x 2", Ok("12"));
        check("12 = 6x2", Ok("12"));
        check("12 = 20% of 60", Ok("12"));
        check("-1=5-6", Ok("-1"));
        check("8 = √64", Ok("8"));
        check("15, i.e. 3 * 5.", Ok("15"));
        check("15, that is, 3 × 5", Ok("15"));
        check("#### 12 = 15 - 3", Ok("12"));
        check("See [72](http://x.y/3)", Ok("72"));
        check("It is 72, see https://x.y/3?a=4.", Ok("72"));
    }

    #[test]
    fn amounts_are_read_in_more_words_and_currencies() {
        check("1.8 lakhs", Ok("180000"));
        check("2 crores", Ok("20000000"));
        check("5 millions", Ok("5000000"));
        check("20-thousand", Ok("20000"));
        check("2万元", Ok("20000"));
        for text in ["kr18", "AED18", "KSh18", "PKR18", "Ft18", "DM18", "Rp18"] {
            check(text, Ok("18"));
        }
        check(r"\boxed{\frac{-3}{-4}}", Ok("0.75"));
        for mark in ["<|user|>", "<|start_header_id|>user", "[INST]", "<start_of_turn>user"] {
            check(&format!("so 18{mark}\n2+2? 4"), Ok("18"));
        }
        check("<|start_header_id|>assistant<|end_header_id|>18<|eot_id|>\n4", Ok("18"));
    }

    #[test]
    fn a_gold_is_one_number_or_none() {
        let check = |text, expected: Result<&str, Unread>| {
            let found = gold(text).map(|number| number.to_string());
            assert_eq!(found, expected.map(str::to_owned), "{text}");
        };
        check("so 5 of 6\n#### 1,250", Ok("1250"));
        check(r"It is $\boxed{7}$.", Ok("7"));
        check("- 7", Ok("-7"));
        check("of 5 there are 7", Err(Unread::Formula));
        check("Tom has 7", Err(Unread::Formula));
        check("(3,4)", Err(Unread::Several));
        check("seventy", Err(Unread::NoNumber));
    }
}
