//! `[score.NAME]`.

use serde::{Deserialize, Serialize};
use toml::Value;

use crate::scenario::grammar::Kind::{Choice, Either, Number};
use crate::scenario::grammar::{Grammar, Kind, table, words};

table! {
    /// `[score.NAME]`.
    #[derive(Clone, Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(crate) struct ScoreSpec {
        /// Extractors side by side; the first is the headline. Without it those of the data set's
        /// source.
        pub(crate) extract: Option<Vec<ExtractorSpec>>,
        /// How answers are compared; as for `extract`.
        pub(crate) compare: Option<CompareHow>,
        /// Applied in order to both sides; as for `extract`.
        pub(crate) normalise: Option<Vec<Normalise>>,
        /// How the gold is taken from the data set's answer.
        pub(crate) gold: Option<ExtractorSpec>,
        /// Whether extractors see thinking that stands in an answer, `<think>…</think>`. Without
        /// it `strict`, `flexible`, `answer-is` and `whole` do, and all others do not.
        pub(crate) think: Option<Think>,
        /// Relative difference up to which two numbers are the same; 1e-9, and for two integers
        /// none at all, when absent.
        pub(crate) tolerance: Option<f64> = Number(0.0, 1.0),
    }
}

/// How an answer is found in a text, as a scenario says it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Value")]
pub(crate) enum ExtractorSpec {
    Word(ExtractorWord),
    Regex { pattern: String, name: Option<String>, take: Take },
    JsonField(String),
}

impl Grammar for ExtractorSpec {
    const KIND: Kind =
        Either(&[Kind::Said(ExtractorWord::WORDS, ExtractorWord::MEANINGS), ExtractorTable::KIND]);
}

words! {
    /// Extractors with a name of their own.
    pub(crate) enum ExtractorWord {
        /// The number behind the first `#### `, as GSM8K's strict-match of lm-evaluation-harness.
        Strict = "strict",
        /// The last thing that looks like a number, as its flexible-extract.
        Flexible = "flexible",
        /// The number that is marked as the answer, else the last one, however it is written.
        Number = "number",
        /// The number behind the first "The answer is ", as its task `gsm8k_cot`.
        AnswerIs = "answer-is",
        /// The letter of a choice, in any form in which models give one.
        Choice = "choice",
        /// The first line, as its tasks `mmlu_*_generative`.
        FirstLine = "first-line",
        /// The letter behind "answer is ", as its task `mmlu_pro`.
        AnswerLetter = "answer-letter",
        /// All of the text.
        Whole = "whole",
    }
}

words! {
    /// Which of several matches counts.
    #[derive(Default)]
    pub enum Take {
        /// The first.
        #[default]
        First = "first",
        /// The last.
        Last = "last",
    }
}

table! {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct ExtractorTable {
        /// Pattern: its group `answer`, else its first group, else all of it.
        regex: Option<String>,
        /// Field of a JSON object in the text.
        json_field: Option<String>,
        /// Name in reports.
        name: Option<String>,
        /// Which of several matches; the first when absent.
        take: Option<Take>,
    }
}

impl TryFrom<Value> for ExtractorSpec {
    type Error = toml::de::Error;

    fn try_from(value: Value) -> Result<Self, toml::de::Error> {
        let regex = |pattern, name, take| Self::Regex { pattern, name, take };
        let table: ExtractorTable = match value {
            Value::String(text) => {
                let word = ExtractorWord::deserialize(Value::String(text.clone()));
                return Ok(word.map_or_else(|_| regex(text, None, Take::First), Self::Word));
            }
            table => table.try_into()?,
        };
        match (table.regex, table.json_field) {
            (Some(pattern), None) => Ok(regex(pattern, table.name, table.take.unwrap_or_default())),
            (None, Some(field)) => Ok(Self::JsonField(field)),
            _ => Err(serde::de::Error::custom("an extractor has `regex` or `json-field`")),
        }
    }
}

words! {
    /// Whether thinking in an answer is seen.
    pub enum Think {
        /// What stands behind the last end of thinking is seen.
        Strip = "strip",
        /// All of the text is seen.
        Keep = "keep",
    }
}

words! {
    /// How answers are compared.
    #[derive(Default)]
    pub enum CompareHow {
        /// As text.
        #[default]
        Exact = "exact",
        /// As numbers, when both are numbers; else as text.
        Numeric = "numeric",
        /// As sets of comma-separated parts.
        Set = "set",
    }
}

/// One normalisation of an extracted answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalise {
    /// Delete every match of a pattern.
    Delete(String),
    /// Lower-case.
    Lowercase,
    /// Trim white space.
    Trim,
}

impl Grammar for Normalise {
    const KIND: Kind = Either(&[
        Choice(
            &["lowercase", "trim"],
            &["Capitals become small letters.", "White space at both ends goes."],
        ),
        DeleteTable::KIND,
    ]);
}

table! {
    #[expect(dead_code, reason = "serde reads it as `Normalise::Delete`")]
    struct DeleteTable {
        /// Delete every match of this pattern.
        delete: String,
    }
}
