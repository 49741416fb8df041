//! `[dataset.NAME]`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::scenario::grammar::Kind::{Either, Integer, Number, Text};
use crate::scenario::grammar::{Grammar, Kind, table, words};
use crate::scenario::spec::ONE_UP;
use crate::units::Nanos;

const UP: Kind = Integer(0, 10_000_000);

table! {
    /// `[dataset.NAME]`.
    #[derive(Clone, Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    pub(crate) struct DatasetSpec {
        /// Kind of source.
        pub(crate) source: Source,
        /// Split, where the source has several.
        pub(crate) split: Option<String>,
        /// File, folder, https URL or hub repository; or a list of files that are one set.
        pub(crate) location: Option<Locations>,
        /// Expected SHA-256 of the file.
        pub(crate) sha256: Option<String>,
        /// File used, and reported, when the source cannot be had.
        pub(crate) fallback: Option<String>,
        /// Role → column name or JSON pointer.
        pub(crate) columns [default]: BTreeMap<String, String>,
        /// Template of the prompt over the row's columns.
        pub(crate) prompt: Option<String>,
        /// System message.
        pub(crate) system: Option<String>,
        /// Worked examples in front of each prompt.
        pub(crate) shots: u32 = Integer(0, 1000),
        /// Shuffle rows by the seed.
        pub(crate) shuffle: bool,
        /// Use only that many rows.
        pub(crate) limit: Option<u64> = ONE_UP,
        /// Rows kept for warm-up alone.
        pub(crate) reserve_for_warm_up: Option<u64> = UP,
        /// Start again when rows run out.
        pub(crate) cycle: bool,
        /// Path of a `tokenizer.json` or its directory, or a hub repository.
        pub(crate) tokenizer: Option<String>,
        /// Render prompts by the tokenizer's chat template and send them so, for completions.
        pub(crate) chat_template: Option<PromptForm>,
        /// Name of the chat template, where the model has several.
        pub(crate) template_name: Option<String>,
        /// Variables that the chat template is told, on the chat endpoint too; `tools` and
        /// `documents` may be JSON files.
        pub(crate) chat_template_kwargs [default]: BTreeMap<String, minijinja::Value>,
        /// Day that the chat template is told as today's, such as 2026-11-29; when absent, that on
        /// which the run is begun.
        pub(crate) template_date: Option<String>,
        /// Lengths of generated prompts.
        pub(crate) input_tokens: Option<LengthRange>,
        /// Lengths of generated prompts where there is no tokenizer.
        pub(crate) input_words: Option<LengthRange>,
        /// Lengths of answers.
        pub(crate) output_tokens: Option<LengthRange>,
        /// Tokens all generated prompts share.
        pub(crate) shared_prefix_tokens: u32 = UP,
        /// Prefixes that generated prompts share, one of them each; 1 when absent.
        pub(crate) shared_prefixes: Option<u32> = ONE_UP,
        /// Share of generated prompts that begin with a shared prefix; all when absent. The others
        /// have one of their own.
        pub(crate) warm: Option<f64> = Number(0.0, 1.0),
        /// Unit of a trace's times that are numbers, where the file does not show it.
        pub(crate) time_unit: Option<TimeUnit>,
        /// Prompt tokens that one of a trace's `hash_ids` stands for, where lengths and numbers of ids
        /// do not show it.
        pub(crate) block_tokens: Option<u32> = ONE_UP,
        /// Trace time, from its first row, at which the slice that is replayed begins.
        pub(crate) after: Option<Nanos>,
        /// Trace time, from its first row, at which that slice ends.
        pub(crate) before: Option<Nanos>,
        /// Whole conversations rather than first turns.
        pub(crate) multi_turn: bool,
        /// Two messages of one role in a row: joined, or the row left out.
        pub(crate) turns: SameRole,
        /// What a row that cannot be used does.
        pub(crate) bad_rows: BadRows,
        /// Share of rows that may be left out for being bad; one always may.
        pub(crate) max_bad_rows: f64 = Number(0.0, 1.0),
    }
}

words! {
    /// Kinds of sources.
    pub enum Source {
        /// Grade-school word problems, `question` and `answer` with `#### N`.
        Gsm8k = "gsm8k",
        /// simplescaling/s1K.
        S1k = "s1k",
        /// simplescaling/s1K-1.1.
        S1k11 = "s1k-1.1" / "s1k11",
        /// Multiple choice over 57 subjects: `question`, `choices`, `answer`.
        Mmlu = "mmlu",
        /// Multiple choice of ten, with steps: TIGER-Lab/MMLU-Pro.
        MmluPro = "mmlu-pro",
        /// Multiple choice of grade-school science, the harder part of ARC.
        ArcChallenge = "arc-challenge" / "arc",
        /// The easier part of ARC.
        ArcEasy = "arc-easy",
        /// Five hundred competition problems of MATH.
        Math500 = "math-500",
        /// Problems of the American Invitational Mathematics Examination.
        Aime = "aime",
        /// `ShareGPT` V3 conversations.
        Sharegpt = "sharegpt",
        /// `HuggingFaceH4/ultrachat_200k`.
        Ultrachat = "ultrachat",
        /// Generated prompts of known lengths: tokens, or words without a tokenizer.
        Random = "random",
        /// One JSON object per line.
        Jsonl = "jsonl",
        /// Comma-separated values with a header.
        Csv = "csv",
        /// Apache Parquet.
        Parquet = "parquet",
        /// One prompt per line.
        Text = "text",
        /// Rows with a time each, of any of these formats: prompts, or their lengths alone.
        Trace = "trace",
    }
}

impl Source {
    /// Returns the kind of a file of rows by the ending of its name, without what it is packed by.
    pub(crate) fn of_ending(ending: &str) -> Option<Self> {
        match ending.to_ascii_lowercase().as_str() {
            "jsonl" | "ndjson" | "json" => Some(Self::Jsonl),
            "csv" => Some(Self::Csv),
            "parquet" => Some(Self::Parquet),
            "txt" | "text" => Some(Self::Text),
            _ => None,
        }
    }
}

/// Where a data set lies.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected a place, or a list of files")]
pub(crate) enum Locations {
    One(String),
    Several(Vec<String>),
}

impl Grammar for Locations {
    const KIND: Kind = Either(&[Text, Kind::List(&Text)]);
}

impl Locations {
    /// Returns the places in order.
    pub(crate) fn places(self) -> Vec<String> {
        match self {
            Self::One(place) => vec![place],
            Self::Several(places) => places,
        }
    }
}

words! {
    /// What a row that cannot be used does.
    pub enum BadRows {
        /// Ends the run before any engine starts.
        Stop = "stop",
        /// Is counted by kind and left out.
        Skip = "skip",
    }
}

words! {
    /// What is done with two messages of one role in a row.
    #[derive(Default)]
    pub enum SameRole {
        /// They are sent as one.
        #[default]
        Join = "join",
        /// The row is left out.
        Skip = "skip",
    }
}

words! {
    /// What a trace's numbers of time count.
    pub enum TimeUnit {
        /// Seconds.
        S = "s",
        /// Milliseconds.
        Ms = "ms",
        /// Microseconds.
        Us = "us",
        /// Nanoseconds.
        Ns = "ns",
    }
}

impl Source {
    /// Whether it is a data set of its own, with golds, in columns that are known.
    pub(crate) fn is_task(self) -> bool {
        match self {
            Self::Gsm8k
            | Self::S1k
            | Self::S1k11
            | Self::Mmlu
            | Self::MmluPro
            | Self::ArcChallenge
            | Self::ArcEasy
            | Self::Math500
            | Self::Aime => true,
            Self::Sharegpt
            | Self::Ultrachat
            | Self::Random
            | Self::Jsonl
            | Self::Csv
            | Self::Parquet
            | Self::Text
            | Self::Trace => false,
        }
    }

    /// Whether its rows are conversations, in columns that are known.
    pub(crate) fn is_conversations(self) -> bool {
        matches!(self, Self::Sharegpt | Self::Ultrachat)
    }

    /// Returns the parts that columns of its rows can play, where these are few.
    pub(crate) fn parts(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Sharegpt | Self::Ultrachat => {
                Some(&["messages", "system", "output-length", "id"])
            }
            // `token-ids` in place of a column.
            Self::Random | Self::Text => Some(&["prompt"]),
            _ => None,
        }
    }

    /// Whether its golds are numbers, or formulas that no reader of numbers reads.
    pub(crate) fn has_number_golds(self) -> bool {
        matches!(self, Self::S1k | Self::S1k11 | Self::Math500 | Self::Aime)
    }
}

impl TimeUnit {
    /// Returns the nanoseconds of one.
    pub(crate) const fn nanos(self) -> i128 {
        match self {
            Self::S => 1_000_000_000,
            Self::Ms => 1_000_000,
            Self::Us => 1_000,
            Self::Ns => 1,
        }
    }
}

words! {
    /// How a rendered prompt is sent.
    pub enum PromptForm {
        /// As text, which the engine cuts into tokens.
        Text = "text",
        /// As token ids.
        Tokens = "tokens",
    }
}

/// Token lengths, drawn uniformly from a range with both ends; one number is both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OneOrRange")]
pub struct LengthRange {
    /// Least.
    pub min: u32,
    /// Most.
    pub max: u32,
}

impl Grammar for LengthRange {
    const KIND: Kind = Either(&[ONE_UP, Range::KIND]);
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a length, or `{ min = …, max = … }`")]
enum OneOrRange {
    One(u32),
    Range(Range),
}

table! {
    /// A range with both ends.
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Range {
        /// Least.
        min: u32 = UP,
        /// Most.
        max: u32 = UP,
    }
}

impl From<OneOrRange> for LengthRange {
    fn from(written: OneOrRange) -> Self {
        match written {
            OneOrRange::One(length) => Self { min: length, max: length },
            OneOrRange::Range(Range { min, max }) => Self { min, max },
        }
    }
}
