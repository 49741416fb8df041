//! The number that a text gives as its answer: a marked one, else the last.

use crate::score::computation::{
    bracket, chain, closing, is_dress_of_link, is_list, is_part, last,
};
use crate::score::next_question::next_question;
use crate::score::number::{
    self, Flaw, Front, Number, Token, in_place, is_blank, is_compound, is_dress,
    is_in_another_unit, is_range, one, plain, repeats, scan,
};
use crate::score::unread::Unread;

/// Characters behind a mark in which its number stands.
const MARK_REACH: usize = 200;

/// Tags around an answer.
const TAGS: [(&str, &str); 3] = [
    ("<answer>", "</answer>"),
    ("<final_answer>", "</final_answer>"),
    ("<|begin_of_box|>", "<|end_of_box|>"),
];
/// Names of an answer in a JSON object.
const KEYS: [&str; 7] = [
    "\"answer\"",
    "\"final_answer\"",
    "\"finalAnswer\"",
    "\"final answer\"",
    "\"Answer\"",
    "'answer'",
    "'final_answer'",
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
            || behind.iter().find(|c| !is_blank(**c)).is_some_and(is_unit)
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

/// Returns the value that all marks of a text give; `None` where nothing is marked.
fn marked(text: &str) -> Result<Option<Number>, Unread> {
    let mut values: Vec<Number> = Vec::new();
    let mut unread = None;
    let marks = hashes(text).into_iter().chain(boxed(text)).chain(tagged(text));
    let marks = marks.chain(keyed(text)).chain(spelt(text)).chain(lines(text));
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
        // No more than can be read: a text of nothing but marks is one line of a million.
        let behind = &text[at + mark.len()..];
        let end = behind.char_indices().nth(MARK_REACH).map_or(behind.len(), |(end, _)| end);
        let line = behind[..end].trim_start();
        let line = line.split('\n').next().unwrap_or_default();
        // The next mark finds the same.
        if line.starts_with(mark) {
            return None;
        }
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

/// Reads the last value of a JSON object that is named as the answer.
fn keyed(text: &str) -> Option<Result<Number, Unread>> {
    let at = KEYS.iter().filter_map(|key| Some(text.rfind(key)? + key.len())).max()?;
    let value = text[at..].trim_start().strip_prefix(':')?.trim_start();
    let held = match value.strip_prefix(['"', '\'']) {
        Some(quoted) => quoted.split(['"', '\'', '\n']).next(),
        None => value.split([',', '}', '\n']).next(),
    };
    line_of_one(held?, usize::MAX)
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
        found => found.or_else(|_| line_of_one(held, usize::MAX).unwrap_or_else(|| answer(held))),
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
        [_, second, parts @ ..]
            if !parts.is_empty()
                && is_in_another_unit(&text, first, second)
                && tokens[1..].windows(2).all(|pair| is_compound(&text, &pair[0], &pair[1])) =>
        {
            Some(Ok(first.number.clone()))
        }
        [_, _, ..] if explained(&text, &tokens).is_some() => Some(Ok(first.number.clone())),
        [_, second] if first.is_clean && is_circumstance(&text[first.end..second.start]) => {
            Some(Ok(first.number.clone()))
        }
        [_, second, ..] if first.is_clean && is_other_name(&text[first.end..second.start]) => {
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

/// Whether what stands between two numbers names the second as something else:
/// `18, confidence: 0.95`.
fn is_other_name(between: &[char]) -> bool {
    let said: String = between.iter().filter(|c| !is_blank(**c) && !"*_$".contains(**c)).collect();
    let name = said.strip_prefix([',', ';']).and_then(|rest| rest.strip_suffix(':'));
    name.is_some_and(|name| !name.is_empty() && name.chars().all(char::is_alphabetic))
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
    between.iter().all(|c| c.is_alphabetic() || is_blank(*c) || matches!(c, '*' | '_' | ','))
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

/// Words behind a number that is all that its line says.
const VALUE_WORDS: usize = 3;

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
