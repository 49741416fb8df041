//! The texts with which the simulated engine answers.

use std::collections::HashMap;
use std::sync::Arc;

use rand::RngExt;
use serde::Deserialize;

use crate::seed::Seed;

/// Filler: short common words that need no escaping in JSON.
const FILLER: [&str; 32] = [
    " the", " light", " of", " an", " early", " day", " falls", " on", " stone", " and", " water",
    " while", " people", " walk", " to", " work", " under", " tall", " trees", " that", " hold",
    " some", " birds", " and", " wind", " in", " their", " green", " leaves", " all", " year",
    " long",
];

/// The tokens of one answer.
#[derive(Clone, Debug)]
pub(crate) enum Words {
    /// Filler words, beginning with this one.
    Filler(u32),
    /// The words of a known answer.
    Known(Arc<[String]>),
}

impl Words {
    /// Returns the token at a position. A known answer starts again after its end.
    pub(crate) fn token(&self, idx: u32) -> &str {
        match self {
            Self::Filler(first) => FILLER[first.wrapping_add(idx) as usize % FILLER.len()],
            Self::Known(words) => {
                words.get(idx as usize % words.len().max(1)).map_or("", |word| word)
            }
        }
    }

    /// Returns the number of tokens that complete the answer; `None` for filler, which has no end.
    pub(crate) fn n_tokens(&self) -> Option<u32> {
        match self {
            Self::Filler(_) => None,
            Self::Known(words) => Some(words.len() as u32),
        }
    }
}

/// Splits a text into words, each with the white space before it. Joined, they give the text.
pub(crate) fn split_words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut in_word = false;
    for character in text.chars() {
        let is_space = character.is_whitespace();
        match words.last_mut() {
            Some(word) if !(is_space && in_word) => word.push(character),
            _ => words.push(character.to_string()),
        }
        in_word = !is_space;
    }
    words
}

/// Counts the words of a text: the simulated engine's tokens.
pub(crate) fn count_words(text: &str) -> u32 {
    text.split_whitespace().count() as u32
}

/// Questions whose answers are known.
#[derive(Debug, Default)]
pub(crate) struct AnswerBook {
    rows: Vec<(String, Arc<[String]>)>,
    by_question: HashMap<String, usize>,
}

#[derive(Deserialize)]
struct Row {
    question: String,
    answer: String,
}

impl AnswerBook {
    /// Reads rows of `question` and `answer`, and makes a share of the answers wrong.
    ///
    /// The seed and the row alone decide which answers are wrong, so an item keeps its answer.
    ///
    /// # Errors
    /// The number of the first line that is not such a row, and why.
    pub(crate) fn parse(jsonl: &str, wrong_rate: f64, seed: Seed) -> Result<Self, String> {
        let mut book = Self::default();
        for (line_idx, line) in
            jsonl.lines().enumerate().filter(|(_, line)| !line.trim().is_empty())
        {
            let row: Row = serde_json::from_str(line)
                .map_err(|error| format!("line {}: {error}", line_idx + 1))?;
            let is_wrong = seed.stream(&format!("wrong answer {line_idx}")).random_bool(wrong_rate);
            let answer = if is_wrong { with_wrong_number(&row.answer) } else { row.answer };
            let question = row.question.trim().to_owned();
            book.by_question.insert(question.clone(), book.rows.len());
            book.rows.push((question, split_words(&answer).into()));
        }
        Ok(book)
    }

    /// Returns the answer to the known question that begins last in a prompt: examples come before
    /// the question that is asked.
    pub(crate) fn look_up(&self, prompt: &str) -> Option<Words> {
        let found = self.by_question.get(prompt.trim()).copied().or_else(|| {
            let positions = self.rows.iter().enumerate().filter_map(|(row_idx, (question, _))| {
                Some((prompt.rfind(question.as_str())?, question.len(), row_idx))
            });
            positions.max().map(|(_, _, row_idx)| row_idx)
        })?;
        Some(Words::Known(self.rows[found].1.clone()))
    }
}

/// Adds one to the last number of a text.
fn with_wrong_number(text: &str) -> String {
    let Some(end) = text.rfind(|c: char| c.is_ascii_digit()).map(|last| last + 1) else {
        return format!("{text} 1");
    };
    let start = text[..end]
        .rfind(|c: char| !c.is_ascii_digit())
        .map_or(0, |before| before + text[before..].chars().next().map_or(1, char::len_utf8));
    let number: u64 = text[start..end].parse().unwrap_or(0);
    format!("{}{}{}", &text[..start], number.wrapping_add(1), &text[end..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROWS: &str = "{\"question\":\"What is 1 + 1?\",\"answer\":\"It is 2.\\n#### 2\"}\n\n{\"question\":\"And 2 + 2?\",\"answer\":\"#### 4\"}\n";

    #[test]
    fn words_keep_the_white_space_before_them() {
        assert_eq!(split_words("It is 2.\n#### 2"), ["It", " is", " 2.", "\n####", " 2"]);
        assert_eq!(split_words("  a  b "), ["  a", "  b", " "]);
        assert!(split_words("").is_empty());
    }

    proptest! {
        #[test]
        fn joined_words_are_the_text(text in "[a-z \n\u{e9}]{0,40}") {
            prop_assert_eq!(split_words(&text).concat(), text);
        }
    }

    #[test]
    fn the_last_known_question_of_a_prompt_is_answered() {
        let book = AnswerBook::parse(ROWS, 0.0, Seed(0)).unwrap();
        let text = |words: Words| -> String {
            (0..words.n_tokens().unwrap()).map(|idx| words.token(idx)).collect()
        };
        let answer = |prompt: &str| book.look_up(prompt).map(text);
        assert_eq!(answer("What is 1 + 1?").as_deref(), Some("It is 2.\n#### 2"));
        let few_shot = "Q: What is 1 + 1?\nA: 2\n\nQ: And 2 + 2?\nA:";
        assert_eq!(answer(few_shot).as_deref(), Some("#### 4"));
        assert_eq!(answer("Something else"), None);
    }

    #[test]
    fn a_wrong_answer_has_another_last_number() {
        let check = |text: &str, expected: &str| assert_eq!(with_wrong_number(text), expected);
        check("It is 2.\n#### 19", "It is 2.\n#### 20");
        check("é7", "é8");
        check("none", "none 1");
    }

    #[test]
    fn the_share_of_wrong_answers_is_the_one_asked_for() {
        let rows = (0..1_000)
            .map(|row| format!("{{\"question\":\"q{row}?\",\"answer\":\"#### 5\"}}"))
            .collect::<Vec<_>>()
            .join("\n");
        let book = AnswerBook::parse(&rows, 0.2, Seed(3)).unwrap();
        let n_wrong = book.rows.iter().filter(|(_, words)| words[1] != " 5").count();
        // Binomial(1000, 0.2): four standard deviations are 51.
        assert!((149..=251).contains(&n_wrong), "{n_wrong}");
    }

    #[test]
    fn a_bad_row_is_named() {
        let error = AnswerBook::parse("{\"question\":\"a\",\"answer\":\"b\"}\n{}", 0.0, Seed(0))
            .unwrap_err();
        assert!(error.starts_with("line 2: "), "{error}");
    }
}
