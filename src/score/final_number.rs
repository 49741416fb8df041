//! The number that a text gives as its answer: a marked one, else the last.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::score::number::{self, Number, Token, is_dress, plain, scan};

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
            Self::Several => "the marked answer is several numbers",
            Self::Formula => "the marked or last value is not a number",
            Self::Thinking => "it ends inside its thinking",
            Self::GaveUp => "the pattern took too many steps",
        })
    }
}

/// Characters behind a mark in which its number stands.
const MARK_REACH: usize = 200;
/// Words that begin the next question, which a model without an end goes on to.
const NEXT_QUESTION: [&str; 6] = ["question", "q", "problem", "human", "user", "instruction"];
/// The same in the middle of a line, and marks of the end of a model's turn: where
/// lm-evaluation-harness stops the generation of GSM8K, and what chat templates write.
const NEXT_TURN: [&str; 9] = [
    "Question:",
    "Q:",
    "</s>",
    "<|im_end|>",
    "<|eot_id|>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<end_of_turn>",
];

/// Tags around an answer.
const TAGS: [(&str, &str); 3] = [
    ("<answer>", "</answer>"),
    ("<final_answer>", "</final_answer>"),
    ("<|begin_of_box|>", "<|end_of_box|>"),
];
/// Names of an answer that begin a line.
const ANSWER: [&str; 3] = ["answer", "a", "final answer"];

/// Returns the number that a text gives as its answer.
///
/// A mark counts first: the first `####` with a number behind it, the last `\boxed` and the last
/// pair of tags, "the answer is", and a line "Answer:" that holds one number. Without a mark the last
/// number of the text is the answer. Where a model goes on to a next question, or to another turn,
/// the text ends there, unless no number stands before.
///
/// # Errors
/// Why there is none.
pub(super) fn answer(text: &str) -> Result<Number, Unread> {
    let first = next_question(text).map(|at| of_one(&text[..at]));
    first.filter(|found| *found != Err(Unread::NoNumber)).unwrap_or_else(|| of_one(text))
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
        Some(last) if last.is_clean => Ok(last.number.clone()),
        _ => Err(Unread::Formula),
    }
}

/// Returns the last value of a text; `None` where a computation without a result stands in its
/// place. One that only explains is not it: `15 apples (10 + 5)`, `15 = 10 + 5`.
fn last<'t>(text: &[char], tokens: &'t [Token]) -> Option<&'t Token> {
    let last = tokens.last()?;
    let between = |pair: &[Token]| text[pair[0].end..pair[1].start].iter().collect::<String>();
    if let Some(open) = bracket(text, last) {
        let (before, inside) = tokens.split_at(tokens.partition_point(|token| token.start < open));
        let before = self::last(&text[..open], before);
        let repeats = |before: &Token| before.number.is_same(&last.number, number::TOLERANCE);
        let mut links = inside.windows(2).map(|pair| link(&between(pair)));
        let is_computed = |link| matches!(link, Some(Link::Computes | Link::ComputesInWords));
        if inside.len() > 1 && links.all(is_computed) {
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
    let is_open = |pair: &[Token]| {
        let sign = between(pair).replace(is_dress_of_link, "");
        matches!(sign.as_str(), "+" | "×" | "÷" | "·" | "*")
    };
    let n_open = tokens.windows(2).rev().take_while(|pair| is_open(pair)).count();
    if n_open == 0 {
        return Some(last);
    }
    let first = tokens.len() - 1 - n_open;
    let pair = tokens.get(first.checked_sub(1)?..=first)?;
    let is_result = matches!(link(&between(pair)), Some(Link::Equals));
    let is_alone =
        first.checked_sub(2).is_none_or(|before| link(&between(&tokens[before..first])).is_none());
    (is_result && is_alone).then_some(&pair[0])
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

/// Returns where the next question begins. A text that begins with one asks itself, and goes on
/// with its own.
fn next_question(text: &str) -> Option<usize> {
    let text_begins = text.len() - text.trim_start().len();
    let is_word = |at: usize| !text[..at].ends_with(|c: char| c.is_alphanumeric());
    let turns = NEXT_TURN.iter().filter_map(|mark| {
        let mut places = text.match_indices(mark).map(|(at, _)| at);
        places.find(|at| mark.starts_with('<') || is_word(*at))
    });
    let mut at = 0;
    let lines = text.split_inclusive('\n').filter_map(|line| {
        at += line.len();
        begins_question(line).then_some(at - line.len())
    });
    let first = turns.chain(lines).min()?;
    (first > text_begins).then_some(first)
}

fn begins_question(line: &str) -> bool {
    let words =
        line.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '*' | '#' | '['));
    let name = words.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    let behind = words[name.len()..]
        .trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, ' ' | '*' | '#'));
    behind.starts_with(':') && NEXT_QUESTION.iter().any(|word| word.eq_ignore_ascii_case(name))
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

fn is_heading(line: &str, number: u32) -> bool {
    let rest = line.trim_start_matches('*').strip_prefix(&number.to_string());
    let rest = rest.and_then(|rest| rest.strip_prefix(['.', ')', ':']));
    rest.is_some_and(|rest| {
        rest.trim_start_matches([' ', '*']).starts_with(|c: char| c.is_alphabetic())
    })
}

/// Reads every "answer is" with a number right behind it.
fn spelt(text: &str) -> Vec<Result<Number, Unread>> {
    const MARK: &[u8] = b"answer is";
    let bytes = text.as_bytes();
    let places = text.match_indices(['a', 'A']).map(|(at, _)| at);
    places
        .filter(|at| {
            bytes.get(*at..at + MARK.len()).is_some_and(|found| found.eq_ignore_ascii_case(MARK))
        })
        .filter_map(|at| direct(text[at + MARK.len()..].trim_start()))
        .collect()
}

/// Reads what stands between the last tags of an answer.
fn tagged(text: &str) -> Option<Result<Number, Unread>> {
    let places = TAGS.iter().filter_map(|(open, close)| {
        let at = text.rfind(open)? + open.len();
        let behind = &text[at..];
        Some((at, &behind[..behind.find(close).unwrap_or(behind.len())]))
    });
    places.max_by_key(|(at, _)| *at).map(|(_, held)| answer(held))
}

/// Reads every line that is named as the answer and holds one number: one that goes on to compute
/// gives its answer at its end.
fn lines(text: &str) -> Vec<Result<Number, Unread>> {
    let is_markup = |c: char| c.is_whitespace() || matches!(c, '*' | '#' | '_' | '>');
    let of_line = |line: &str| {
        let (name, behind) = line.split_once(':')?;
        let name = name.trim_matches(is_markup);
        ANSWER.iter().find(|known| known.eq_ignore_ascii_case(name))?;
        let text = plain(behind);
        match scan(&text).as_slice() {
            [only] if only.is_clean && is_dress(&text[..only.start]) => {
                Some(Ok(only.number.clone()))
            }
            _ => None,
        }
    };
    text.lines().filter_map(of_line).collect()
}

/// Reads a number that stands right behind a mark, or the end of an equation that does.
fn direct(text: &str) -> Option<Result<Number, Unread>> {
    let reach: String = text.chars().take(MARK_REACH).collect();
    let text = plain(&reach);
    let tokens = scan(&text);
    let first = tokens.first()?;
    is_dress(&text[..first.start]).then(|| chain(&text, &tokens))
}

/// Reads `16 - 3 = 13` as 13, `3/4 of 100 = 75` as 75, and `3 - 5` as several numbers.
fn chain(text: &[char], tokens: &[Token]) -> Result<Number, Unread> {
    // What would be read if the text ended here, and whether a computation is open since.
    let mut found = &tokens[0];
    let mut open = Open::No;
    for pair in tokens.windows(2) {
        let between: String = text[pair[0].end..pair[1].start].iter().collect();
        match link(&between) {
            Some(Link::Equals) => (found, open) = (&pair[1], Open::No),
            Some(Link::Computes) if open != Open::InWords => open = Open::InSigns,
            Some(Link::Computes | Link::ComputesInWords) => open = Open::InWords,
            // `12 inches = 1 foot` computes nothing: it says the same in another unit.
            Some(Link::EqualsInWords) if open != Open::No => (found, open) = (&pair[1], Open::No),
            Some(Link::EqualsInWords) | None => break,
        }
    }
    match (open, found.is_clean) {
        (Open::InSigns, _) => Err(Unread::Several),
        (_, true) => Ok(found.number.clone()),
        (_, false) => Err(Unread::Formula),
    }
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

/// Words in front of a sign, as the unit of the number before: `square feet`.
const UNIT_WORDS: usize = 2;

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\u{1}' | '\u{2009}')
}

/// Whether a character may stand around the sign between two numbers, and says nothing.
fn is_dress_of_link(c: char) -> bool {
    is_space(c) || "()[]$€£%:!".contains(c)
}

fn link(between: &str) -> Option<Link> {
    const SIGNS: &str = "+-*/×÷·x";
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
        chars[1..number::closing(&chars)?].iter().collect()
    } else {
        behind.chars().take_while(char::is_ascii_digit).collect()
    };
    let text = plain(&held);
    let from = text.iter().rposition(|c| matches!(c, '=' | '≈')).map_or(0, |at| at + 1);
    let tokens = scan(&text[from..]);
    Some(match tokens.as_slice() {
        [token] if token.is_clean => Ok(token.number.clone()),
        [] | [_] => Err(Unread::Formula),
        _ => Err(Unread::Several),
    })
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
}
