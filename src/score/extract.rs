//! Finds the answer in a text.

use fancy_regex::Regex;
use serde_json::Value;

use crate::plan::cell::{ExtractorPlan, Take, Think};
use crate::score::choice::Choice;
use crate::score::final_number;
use crate::score::pattern::{PatternError, compile, first_of};
use crate::score::thinking::Spoken;
use crate::score::unread::Unread;

/// The answer after `#### `, as the GSM8K task of lm-evaluation-harness 0.4 takes it.
const STRICT: &str = r"#### (\-?[0-9\.\,]+)";
/// Anything that looks like a number, likewise.
const FLEXIBLE: &str = r"(-?[$0-9.,]{2,})|(-?[0-9]+)";
/// The answer in the words of the chain-of-thought prompt of Wei et al. (2022), likewise.
const ANSWER_IS: &str = r"The answer is (\-?[0-9\.\,]+)";

/// The first line, as the task `mmlu_*_generative` of lm-evaluation-harness 0.4 takes it.
const FIRST_LINE: &str = r"\A([^\n]*)";
/// The letter of a choice, as its task `mmlu_pro` takes it.
const ANSWER_LETTER: &str = r"answer is \(?([ABCDEFGHIJ])\)?";

/// Places at which a JSON object is looked for, so that a text of a million braces is not
/// parsed a million times.
const MAX_JSON_PLACES: usize = 256;

/// Finds the answer in a text.
#[derive(Debug)]
pub(crate) struct Extractor {
    name: String,
    how: How,
    think: Think,
    gives_letters: bool,
}

#[derive(Debug)]
enum How {
    /// Patterns in order; the first that matches counts.
    Patterns(Vec<(Regex, Take)>),
    Choice(Box<Choice>),
    Number,
    /// A gold is its number: what else it holds makes it another answer.
    NumberOfGold,
    JsonField(String),
    Whole,
}

impl Extractor {
    /// Creates the extractor of golds. What a data set's author thought belongs to no gold, and
    /// nobody asks to see it.
    ///
    /// # Errors
    /// If a pattern does not compile or is too large.
    pub(crate) fn of_golds(plan: &ExtractorPlan) -> Result<Self, PatternError> {
        let extractor = Self::new(plan, None)?;
        let is_number = extractor.gives_numbers();
        let how = if is_number { How::NumberOfGold } else { extractor.how };
        Ok(Self { how, ..extractor })
    }

    /// Creates an extractor.
    ///
    /// # Errors
    /// If a pattern does not compile or is too large.
    pub(crate) fn new(plan: &ExtractorPlan, think: Option<Think>) -> Result<Self, PatternError> {
        let one = |pattern, take| Ok(How::Patterns(vec![(compile(pattern)?, take)]));
        let how = match plan {
            ExtractorPlan::Strict => one(STRICT, Take::First)?,
            ExtractorPlan::Flexible => one(FLEXIBLE, Take::Last)?,
            ExtractorPlan::Number => How::Number,
            ExtractorPlan::AnswerIs => one(ANSWER_IS, Take::First)?,
            ExtractorPlan::Regex { pattern, take, .. } => one(pattern, *take)?,
            ExtractorPlan::Choice => How::Choice(Box::new(Choice::new()?)),
            ExtractorPlan::FirstLine => one(FIRST_LINE, Take::First)?,
            ExtractorPlan::AnswerLetter => one(ANSWER_LETTER, Take::First)?,
            ExtractorPlan::JsonField(field) => How::JsonField(field.clone()),
            ExtractorPlan::Whole => How::Whole,
        };
        let think = think.unwrap_or_else(|| default_think(plan));
        let gives_letters = matches!(plan, ExtractorPlan::Choice | ExtractorPlan::AnswerLetter);
        Ok(Self { name: name_of(plan), how, think, gives_letters })
    }

    /// Returns the name in reports.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether answers are numbers, to be compared as such.
    pub(crate) fn gives_numbers(&self) -> bool {
        matches!(self.how, How::Number | How::NumberOfGold)
    }

    /// Whether answers are letters of choices.
    pub(crate) fn gives_choices(&self) -> bool {
        matches!(self.how, How::Choice(_))
    }

    /// Whether answers are letters, read as choices or in the form of one pattern.
    pub(crate) fn gives_letters(&self) -> bool {
        self.gives_letters
    }

    /// Whether thinking in a text is hidden from it.
    pub(crate) fn strips_thinking(&self) -> bool {
        self.think == Think::Strip
    }

    /// Returns the answer in a text, trimmed and never blank; `spoken` is the text told apart.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn extract(&self, text: &str, spoken: &Spoken<'_>) -> Result<String, Unread> {
        self.extract_among(&[], text, spoken)
    }

    /// Returns the same where the texts of the choices are known that the question offers.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn extract_among(
        &self,
        offers: &[String],
        text: &str,
        spoken: &Spoken<'_>,
    ) -> Result<String, Unread> {
        let text = if self.strips_thinking() { spoken.text } else { text };
        let found = self.find(text, offers);
        match found {
            Err(_) if self.strips_thinking() && spoken.is_open => Err(Unread::Thinking),
            found => found,
        }
    }

    fn find(&self, text: &str, offers: &[String]) -> Result<String, Unread> {
        let found = match &self.how {
            How::Patterns(patterns) => first_of(patterns, text)?.map(|at| text[at].to_owned()),
            How::Choice(choice) => choice.find(text, offers)?,
            How::Number => return final_number::answer(text).map(|number| number.to_string()),
            How::NumberOfGold => return final_number::gold(text).map(|number| number.to_string()),
            How::JsonField(field) => json_field(text, field),
            How::Whole => Some(text.to_owned()),
        };
        found
            .map(|answer| answer.trim().to_owned())
            .filter(|answer| !answer.is_empty())
            .ok_or(Unread::NoMatch)
    }
}

/// Returns whether thinking is hidden from an extractor of which a score says nothing: those of
/// lm-evaluation-harness see what it sees, and `whole` is all.
fn default_think(plan: &ExtractorPlan) -> Think {
    match plan {
        ExtractorPlan::Strict
        | ExtractorPlan::Flexible
        | ExtractorPlan::AnswerIs
        | ExtractorPlan::FirstLine
        | ExtractorPlan::AnswerLetter
        | ExtractorPlan::Whole => Think::Keep,
        ExtractorPlan::Number
        | ExtractorPlan::Regex { .. }
        | ExtractorPlan::Choice
        | ExtractorPlan::JsonField(_) => Think::Strip,
    }
}

/// Returns the name of an extractor in reports.
pub(crate) fn name_of(plan: &ExtractorPlan) -> String {
    match plan {
        ExtractorPlan::Strict => "strict".to_owned(),
        ExtractorPlan::Flexible => "flexible".to_owned(),
        ExtractorPlan::AnswerIs => "answer-is".to_owned(),
        ExtractorPlan::Regex { name, .. } => name.clone(),
        ExtractorPlan::Number => "number".to_owned(),
        ExtractorPlan::Choice => "choice".to_owned(),
        ExtractorPlan::FirstLine => "first-line".to_owned(),
        ExtractorPlan::AnswerLetter => "answer-letter".to_owned(),
        ExtractorPlan::JsonField(field) => format!("json:{field}"),
        ExtractorPlan::Whole => "whole".to_owned(),
    }
}

/// Returns a field, by its name or by a JSON pointer, of the first JSON object in the text that has
/// it.
fn json_field(text: &str, field: &str) -> Option<String> {
    text.match_indices('{').take(MAX_JSON_PLACES).find_map(|(place, _)| {
        let mut values = serde_json::Deserializer::from_str(&text[place..]).into_iter::<Value>();
        let value = values.next()?.ok()?;
        let is_pointer = field.starts_with('/');
        match if is_pointer { value.pointer(field) } else { value.get(field) }? {
            Value::String(answer) => Some(answer.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::thinking::spoken;

    fn check(plan: &ExtractorPlan, text: &str, expected: Option<&str>) {
        let found = Extractor::new(plan, None).unwrap().extract(text, &spoken(text)).ok();
        assert_eq!(found.as_deref(), expected, "{plan:?} on {text:?}");
    }

    fn regex(pattern: &str, take: Take) -> ExtractorPlan {
        ExtractorPlan::Regex { name: "mine".to_owned(), pattern: pattern.to_owned(), take }
    }

    #[test]
    fn strict_takes_the_first_marked_answer() {
        let check = |text, expected| check(&ExtractorPlan::Strict, text, expected);
        check("so 2\n#### 1,234.5 then #### 7", Some("1,234.5"));
        check("#### -3", Some("-3"));
        check("####3", None);
        check("the answer is 3", None);
    }

    #[test]
    fn flexible_takes_the_last_number() {
        let check = |text, expected| check(&ExtractorPlan::Flexible, text, expected);
        check("from 3 to $1,250.", Some("$1,250."));
        check("there are 7", Some("7"));
        check("minus -12 it is", Some("-12"));
        check("none at all", None);
    }

    #[test]
    fn thinking_is_hidden_from_all_but_the_harness_extractors() {
        let text = "<think>#### 5? No, 6</think>#### 7";
        check(&ExtractorPlan::Strict, text, Some("5"));
        check(&ExtractorPlan::Number, text, Some("7"));
        check(&regex(r"#### (\d)", Take::First), text, Some("7"));
        let see = |plan, think| {
            let extractor = Extractor::new(plan, Some(think)).unwrap();
            extractor.extract(text, &spoken(text)).unwrap()
        };
        assert_eq!(see(&ExtractorPlan::Strict, Think::Strip), "7");
        assert_eq!(see(&ExtractorPlan::Number, Think::Keep), "5");
        let open = "#### x <think>#### 5";
        let number = Extractor::new(&ExtractorPlan::Number, None).unwrap();
        assert_eq!(number.extract(open, &spoken(open)), Err(Unread::Thinking));
    }

    #[test]
    fn answer_is_takes_the_first_such_sentence() {
        let check = |text, expected| check(&ExtractorPlan::AnswerIs, text, expected);
        check("The answer is 8. The answer is 9.", Some("8."));
        check("the answer is 8", None);
    }

    #[test]
    fn a_pattern_of_the_user_gives_its_named_group_before_its_first() {
        check(&regex(r"(\w+)=(?<answer>\d+)", Take::First), "x=1 y=2", Some("1"));
        check(&regex(r"(\w+)=(?<answer>\d+)", Take::Last), "x=1 y=2", Some("2"));
        check(&regex(r"(\w+)=\d+", Take::Last), "x=1 y=2", Some("y"));
        check(&regex(r"\d+", Take::Last), "x=1 y=2", Some("2"));
        check(&regex(r"(?<=\$)\d+", Take::First), "5 or $6", Some("6"));
    }

    #[test]
    fn a_json_field_is_found_in_prose() {
        let plan = ExtractorPlan::JsonField("answer".to_owned());
        check(&plan, r#"Sure {x}: {"answer": "42", "why": "so"} done"#, Some("42"));
        check(&plan, r#"{"answer": 4.5}"#, Some("4.5"));
        check(&plan, r#"{"other": 1}"#, None);
        let pointer = ExtractorPlan::JsonField("/result/answer".to_owned());
        check(&pointer, r#"So: {"result": {"answer": "42"}}"#, Some("42"));
        check(&plan, r#"{"answer": null}"#, None);
        check(&plan, &"{".repeat(100_000), None);
    }

    #[test]
    fn a_pattern_that_is_too_large_or_wrong_is_an_error() {
        assert!(Extractor::new(&regex("(", Take::First), None).is_err());
        assert!(Extractor::new(&regex(r"(\w{500}){500}", Take::First), None).is_err());
    }

    #[test]
    fn a_pattern_that_explodes_gives_up() {
        let evil = Extractor::new(&regex(r"(x+x+)+y\1z", Take::First), None).unwrap();
        let text = "x".repeat(40) + "ywz";
        assert_eq!(evil.extract(&text, &spoken(&text)), Err(Unread::GaveUp));
    }
}
