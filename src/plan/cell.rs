//! One row of the table to be: an engine, a data set, a load.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::ids::{CellId, LaunchId, content_hash};
use crate::plan::name::cell_name;
use crate::record::trial::PhaseKind;
pub use crate::scenario::spec::{
    Api, BadRows, CompareHow, Deadlines, LengthRange, Normalise, OverSaturation, PromptForm,
    RampShape, SameRole, Slo, Source, Take, Think, TimeUnit, ValidityLimits,
};
use crate::units::Nanos;

/// One combination of the matrix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// Hash of everything that shapes the measurement.
    pub id: CellId,
    /// Contains the value of every swept key; unique in the plan and safe as a directory name.
    pub name: String,
    /// Swept keys and their values, in the order of the matrix, engine first.
    pub keys: IndexMap<String, String>,
    /// The engine that serves it.
    pub launch: LaunchId,
    /// Data set name.
    pub dataset: String,
    /// Score name, if outputs are scored.
    pub score: Option<String>,
    /// Form of the requests.
    pub request: RequestPlan,
    /// Phases in order; at least one is measured.
    pub phases: Vec<Phase>,
    /// Number of trials.
    pub n_trials: u32,
    /// Service-level objectives.
    pub slo: Option<Slo>,
    /// Set when the plan alone shows that the cell cannot run.
    pub skip: Option<String>,
    /// Set in a row that is one measured phase of a cell with several. No plan on disk has it.
    #[serde(skip)]
    pub row: Option<PhaseRow>,
}

/// One measured phase of a cell that has several, told as a row of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhaseRow {
    /// The cell that is run; its records hold the requests of all its phases.
    pub cell: CellId,
    /// That cell's name.
    pub cell_name: String,
    /// The phase whose requests count in this row.
    pub phase: String,
    /// Whether it is the cell's first measured phase.
    pub is_first: bool,
}

impl Cell {
    /// Whether a phase's requests count in this row.
    pub fn measures(&self, kind: PhaseKind, name: &str) -> bool {
        kind == PhaseKind::Measure && self.row.as_ref().is_none_or(|row| row.phase == name)
    }

    /// Returns the phases whose requests count in this row.
    pub fn measured_phases(&self) -> impl Iterator<Item = &Phase> {
        self.phases.iter().filter(|phase| self.measures(phase.kind, &phase.name))
    }

    /// Whether all that it measures is static batches.
    pub(crate) fn sends_batches(&self) -> bool {
        self.measured_phases().all(|phase| matches!(phase.arrivals, ArrivalsPlan::Batch { .. }))
    }

    /// Returns the id of the cell that is run.
    pub fn run_id(&self) -> &CellId {
        self.row.as_ref().map_or(&self.id, |row| &row.cell)
    }

    /// Returns the cell that is run.
    pub fn as_run(&self) -> Cow<'_, Self> {
        let Some(row) = &self.row else { return Cow::Borrowed(self) };
        let (id, name) = (row.cell.clone(), row.cell_name.clone());
        Cow::Owned(Self { id, name, row: None, ..self.clone() })
    }

    /// Whether a cell asks of the same engine all that another asks of it, or more: every measured
    /// load is at least as high, and answers may be as long.
    pub(crate) fn contains(&self, other: &Self) -> bool {
        let most = |cell: &Self| match cell.request.output {
            OutputLength::Natural { max_tokens: n } | OutputLength::Fixed { tokens: n } => n,
            OutputLength::FromData => u32::MAX,
        };
        let (own, others): (Vec<_>, Vec<_>) =
            (self.measured_phases().collect(), other.measured_phases().collect());
        let is_higher =
            |(own, other): (&&Phase, &&Phase)| own.arrivals.is_at_least(&other.arrivals);
        self.launch == other.launch
            && self.dataset == other.dataset
            && most(self) >= most(other)
            && own.len() == others.len()
            && own.iter().zip(&others).all(is_higher)
    }

    /// Returns the rows in which a cell is told: one for each of its measured phases.
    ///
    /// A cell with one measured phase is its own row. The others' rows have ids and names of
    /// their own, and the phase among their keys.
    pub fn rows(&self) -> Vec<Self> {
        let measured: Vec<&Phase> = self.measured_phases().collect();
        if measured.len() < 2 {
            return vec![self.clone()];
        }
        let rows = measured.iter().enumerate().map(|(place, phase)| {
            let mut row = self.clone();
            let key = if self.keys.contains_key("phase") { "measured-phase" } else { "phase" };
            row.keys.insert(key.to_owned(), phase.name.clone());
            row.id = CellId(content_hash(&(&self.id, &phase.name)));
            row.name = cell_name(&row.keys);
            row.row = Some(PhaseRow {
                cell: self.id.clone(),
                cell_name: self.name.clone(),
                phase: phase.name.clone(),
                is_first: place == 0,
            });
            row
        });
        rows.collect()
    }
}

/// Form of a cell's requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestPlan {
    /// Which endpoint is asked.
    pub api: Api,
    /// URL path of the endpoint.
    pub path: String,
    /// Whether the answer is streamed.
    pub stream: bool,
    /// Sampling parameters; always sent.
    pub sampling: Sampling,
    /// Output length.
    pub output: OutputLength,
    /// Adds a unique salt in front of each prompt, so that no prefix cache helps.
    pub salt: bool,
    /// Asks for the log probability of each generated token.
    pub logprobs: bool,
    /// Further body fields, verbatim.
    pub extra_body: BTreeMap<String, serde_json::Value>,
}

/// Sampling parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// 0 is greedy.
    pub temperature: f64,
    /// Nucleus.
    pub top_p: f64,
    /// Seed sent with the request, if any.
    pub seed: Option<u64>,
    /// Stop strings.
    pub stop: Vec<String>,
}

/// How long answers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputLength {
    /// The model stops by itself, at the latest here.
    Natural {
        /// `max_tokens`.
        max_tokens: u32,
    },
    /// Exactly this many tokens (`ignore_eos`).
    Fixed {
        /// `max_tokens` with `ignore_eos`.
        tokens: u32,
    },
    /// As long as the data set's own answer (`ignore_eos`).
    FromData,
}

/// A stretch of load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// Name in the scenario.
    pub name: String,
    /// Whether its requests count.
    pub kind: PhaseKind,
    /// When requests are due.
    pub arrivals: ArrivalsPlan,
    /// At most this many at once; a due request waits and its wait is recorded.
    pub max_in_flight: Option<u32>,
    /// End of the phase by count.
    pub n_requests: Option<u64>,
    /// End of the phase by time.
    pub duration: Option<Nanos>,
    /// Time that responses get after the last send.
    pub drain: Nanos,
    /// Deadlines of each request.
    pub deadlines: Deadlines,
    /// Each request is cancelled after this time.
    pub cancel_after: Option<Nanos>,
    /// A warm-up that repeats itself until there is no trend.
    pub until_steady: Option<UntilSteady>,
    /// A measured phase that ends before its cap, once a number is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Until>,
    /// What is done once its queue only grows; absent where it goes on all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_saturation: Option<OverSaturation>,
}

/// A number that ends a phase once it is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Until {
    /// The number, as in `summary.csv`: `ttft.p99`.
    pub metric: String,
    /// Half the width of its 95 % interval at most, as a share of it.
    pub half_width: f64,
}

impl Until {
    /// Says it behind the cap of its phase: `, or until ttft.p99 is known to 5 %`.
    pub fn words(&self) -> String {
        format!(", or until {} is known to {} %", self.metric, self.half_width * 100.0)
    }
}

/// When requests are due.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArrivalsPlan {
    /// A closed loop: as soon as one of `concurrency` streams is free.
    Closed {
        /// Streams.
        concurrency: u32,
    },
    /// Evenly spaced.
    Constant {
        /// Requests per second.
        rate_per_s: f64,
    },
    /// A Poisson process.
    Poisson {
        /// Requests per second.
        rate_per_s: f64,
    },
    /// Gamma-distributed gaps.
    Gamma {
        /// Requests per second.
        rate_per_s: f64,
        /// Shape: 1 is Poisson, smaller is burstier.
        burstiness: f64,
    },
    /// A rate that changes over the phase.
    Ramp {
        /// Requests per second at the start.
        from_per_s: f64,
        /// Requests per second at the end.
        to_per_s: f64,
        /// How it changes.
        shape: RampShape,
    },
    /// The data set's own time stamps, `speedup` times as fast.
    Trace {
        /// 1 replays in real time.
        speedup: f64,
    },
    /// Static batches: the next one starts when the last answer of this one is over.
    Batch {
        /// Requests at once.
        size: u32,
    },
    /// Everything at once.
    AllAtOnce,
}

impl ArrivalsPlan {
    /// Whether a request waits until others are answered: a closed loop and a batch hold themselves
    /// back, all else sends on a schedule.
    pub(crate) fn waits_for_answers(&self) -> bool {
        matches!(self, Self::Closed { .. } | Self::Batch { .. })
    }

    /// Returns the load as one number, where it is one: streams, requests at once, or requests per
    /// second.
    pub(crate) fn level(&self) -> Option<f64> {
        match *self {
            Self::Closed { concurrency: n } | Self::Batch { size: n } => Some(f64::from(n)),
            Self::Constant { rate_per_s }
            | Self::Poisson { rate_per_s }
            | Self::Gamma { rate_per_s, .. } => Some(rate_per_s),
            Self::Ramp { .. } | Self::Trace { .. } | Self::AllAtOnce => None,
        }
    }

    /// Whether a load of the same kind is as high as another.
    fn is_at_least(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Closed { concurrency: own }, Self::Closed { concurrency: other })
            | (Self::Batch { size: own }, Self::Batch { size: other }) => own >= other,
            (Self::Constant { rate_per_s: own }, Self::Constant { rate_per_s: other })
            | (Self::Poisson { rate_per_s: own }, Self::Poisson { rate_per_s: other }) => {
                own >= other
            }
            (
                Self::Gamma { rate_per_s: own, burstiness: shape },
                Self::Gamma { rate_per_s: other, burstiness: others },
            ) => shape.total_cmp(others).is_eq() && own >= other,
            _ => self == other,
        }
    }
}

/// When a warm-up stops repeating itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UntilSteady {
    /// Most rounds.
    pub max_rounds: u32,
}

/// Variables of chat templates that may be named by a JSON file: lists too long for a scenario,
/// whose order counts.
pub const TEMPLATE_FILES: [&str; 2] = ["tools", "documents"];

/// A data set, as `workload` reads it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetPlan {
    /// Kind of source.
    pub source: Source,
    /// Split, where the source has several.
    pub split: Option<String>,
    /// File, URL (https, with `sha256`) or hub repository; per kind when absent.
    pub location: Option<String>,
    /// Further files of the same set, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_locations: Vec<String>,
    /// Expected SHA-256 of the file.
    pub sha256: Option<String>,
    /// Used, and reported, when the source can be neither found nor reached.
    pub fallback: Option<PathBuf>,
    /// Column or JSON pointer by role: `prompt`, `answer`, `messages`, `system`,
    /// `output-length`, `timestamp`, `id` …
    pub columns: BTreeMap<String, String>,
    /// Template of the prompt over the row's columns.
    pub prompt: Option<String>,
    /// System message.
    pub system: Option<String>,
    /// Worked examples in front of each prompt.
    pub n_shots: u32,
    /// Rows are shuffled by the seed; else in file order.
    pub shuffle: bool,
    /// Use only that many rows.
    pub limit: Option<u64>,
    /// Rows that warm-up takes, disjoint from the measured ones, when there are enough.
    pub reserve_for_warm_up: u64,
    /// Start again at the first row when rows run out.
    pub cycle: bool,
    /// Tokenizer: path to a `tokenizer.json` or its directory, or a hub repository.
    pub tokenizer: Option<String>,
    /// Prompts are rendered by the chat template beside the tokenizer and sent in this form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_template: Option<PromptForm>,
    /// Name of the chat template, where the model has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_name: Option<String>,
    /// Variables that the chat template is told; the [`TEMPLATE_FILES`] among them may be paths.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub chat_template_kwargs: BTreeMap<String, minijinja::Value>,
    /// Day that the chat template is told as today's, where the scenario says one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_date: Option<String>,
    /// Lengths of generated prompts, for `random` and `shapes`.
    pub input_tokens: Option<LengthRange>,
    /// Lengths of generated prompts where there is no tokenizer, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_words: Option<LengthRange>,
    /// Lengths of answers, for `random` and `shapes`.
    pub output_tokens: Option<LengthRange>,
    /// Tokens that all generated prompts begin with.
    pub shared_prefix_tokens: u32,
    /// How many such beginnings there are; 1 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_prefixes: Option<u32>,
    /// Share of generated prompts that begin with one of them; all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm: Option<f64>,
    /// Whether a phase replays its times; only then is there a column of times.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_replayed: bool,
    /// Unit of times that are numbers, where the scenario says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_unit: Option<TimeUnit>,
    /// Prompt tokens that one of a trace's `hash_ids` stands for, where the scenario says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_tokens: Option<u32>,
    /// Start of the slice of a trace, from its first row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Nanos>,
    /// End of that slice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Nanos>,
    /// Whole conversations rather than first turns.
    pub multi_turn: bool,
    /// What is done with two messages of one role in a row.
    #[serde(default = "same_role_before")]
    pub turns: SameRole,
    /// What a row that cannot be used does.
    #[serde(alias = "skip_bad_rows", deserialize_with = "bad_rows")]
    pub bad_rows: BadRows,
    /// Share of rows above which leaving them out is refused.
    #[serde(default = "all_rows")]
    pub max_bad_rows: f64,
}

/// What plans of earlier versions did.
fn same_role_before() -> SameRole {
    SameRole::Join
}

/// The limit of plans of earlier versions, which had none.
fn all_rows() -> f64 {
    1.0
}

/// Reads the word, or the truth value of earlier versions: whether bad rows are left out.
fn bad_rows<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BadRows, D::Error> {
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Bool(true) => Ok(BadRows::Skip),
        serde_json::Value::Bool(false) => Ok(BadRows::Stop),
        word => BadRows::deserialize(word).map_err(serde::de::Error::custom),
    }
}

impl DatasetPlan {
    /// Whether its rows have answers against which others can be graded.
    pub(crate) fn has_golds(&self) -> bool {
        match self.source {
            Source::Sharegpt | Source::Ultrachat | Source::Random | Source::Text => false,
            // Its rows may have an answer too, which has no usual name.
            Source::Trace => self.columns.contains_key("answer"),
            _ => true,
        }
    }

    /// Returns the day that the chat template is told: the scenario's, else that of the run.
    pub(crate) fn day<'a>(&'a self, of_the_run: &'a str) -> &'a str {
        self.template_date.as_deref().unwrap_or(of_the_run)
    }

    /// Returns what a scenario says of the texts that are asked: variants of a data set that differ
    /// in it are meant to send other prompts.
    pub(crate) fn asks(&self) -> impl Ord + '_ {
        let range = |range: LengthRange| (range.min, range.max);
        (
            (&self.location, &self.columns, &self.prompt, &self.system, self.n_shots),
            (&self.template_name, &self.chat_template_kwargs, &self.template_date),
            (self.multi_turn, self.input_words.map(range), self.input_tokens.map(range)),
            (self.shared_prefix_tokens, self.shared_prefixes, self.warm.map(f64::to_bits)),
        )
    }

    /// Returns the plan of a whole data set as its source lays it out.
    pub fn of(
        source: Source,
        split: Option<&str>,
        location: Option<String>,
        sha256: Option<String>,
    ) -> Self {
        Self {
            source,
            split: split.map(str::to_owned),
            location,
            more_locations: Vec::new(),
            sha256,
            fallback: None,
            columns: BTreeMap::new(),
            prompt: None,
            system: None,
            n_shots: 0,
            shuffle: false,
            limit: None,
            reserve_for_warm_up: 0,
            cycle: false,
            tokenizer: None,
            chat_template: None,
            template_name: None,
            chat_template_kwargs: BTreeMap::new(),
            template_date: None,
            input_tokens: None,
            input_words: None,
            output_tokens: None,
            shared_prefix_tokens: 0,
            shared_prefixes: None,
            warm: None,
            is_replayed: false,
            time_unit: None,
            block_tokens: None,
            after: None,
            before: None,
            multi_turn: false,
            turns: SameRole::Join,
            bad_rows: BadRows::Stop,
            max_bad_rows: 0.01,
        }
    }
}

/// How answers are graded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScorePlan {
    /// Extractors side by side; the first one's figure is the headline.
    pub extractors: Vec<ExtractorPlan>,
    /// How the extracted answer is compared with the gold.
    pub compare: CompareHow,
    /// Normalisations, applied in order to both sides.
    pub normalise: Vec<Normalise>,
    /// How the gold is taken from the data set's answer column.
    pub gold: ExtractorPlan,
    /// Whether extractors see thinking; each has its own default where this is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub think: Option<Think>,
    /// Relative difference up to which two numbers are the same; the default where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
}

impl ScorePlan {
    /// Returns how answers to a source's questions are graded where a scenario says nothing else:
    /// as lm-evaluation-harness 0.4 does, and by a reader that forgives more beside it.
    pub(crate) fn of(source: Source) -> Self {
        let letters = |extractors| Self {
            extractors,
            // The harness ignores case and punctuation of both sides.
            normalise: vec![Normalise::Delete(r"[!-/:-@\[-`{-~]".to_owned()), Normalise::Lowercase],
            gold: ExtractorPlan::Whole,
            ..Self::gsm8k()
        };
        match source {
            Source::Gsm8k => Self::gsm8k(),
            Source::Mmlu => letters(vec![ExtractorPlan::FirstLine, ExtractorPlan::Choice]),
            Source::MmluPro => letters(vec![ExtractorPlan::AnswerLetter, ExtractorPlan::Choice]),
            Source::ArcChallenge | Source::ArcEasy => {
                letters(vec![ExtractorPlan::Choice, ExtractorPlan::FirstLine])
            }
            source if source.has_number_golds() => Self {
                extractors: vec![ExtractorPlan::Number],
                compare: CompareHow::Numeric,
                normalise: Vec::new(),
                gold: ExtractorPlan::Number,
                ..Self::gsm8k()
            },
            _ => Self { gold: ExtractorPlan::Whole, ..Self::gsm8k() },
        }
    }

    /// Returns how lm-evaluation-harness 0.4 grades GSM8K.
    pub fn gsm8k() -> Self {
        let delete = [",", r"\$", "(?s).*#### ", r"\.$"];
        let mut normalise: Vec<_> =
            delete.map(|pattern| Normalise::Delete(pattern.to_owned())).into();
        normalise.push(Normalise::Lowercase);
        Self {
            extractors: vec![ExtractorPlan::Strict, ExtractorPlan::Flexible],
            compare: CompareHow::Exact,
            normalise,
            gold: ExtractorPlan::Strict,
            think: None,
            tolerance: None,
        }
    }
}

/// Finds the answer in a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExtractorPlan {
    /// `#### (\-?[0-9\.\,]+)`, first match.
    Strict,
    /// `(-?[$0-9.,]{2,})|(-?[0-9]+)`, last match.
    Flexible,
    /// The marked number, else the last, however it is written.
    Number,
    /// `The answer is (\-?[0-9\.\,]+)`, first match.
    AnswerIs,
    /// Any pattern: its group `answer`, else its first group, else the whole match.
    Regex {
        /// Name in reports.
        name: String,
        /// Pattern; look-around is allowed.
        pattern: String,
        /// Which of several matches.
        take: Take,
    },
    /// A choice letter.
    Choice,
    /// The first line, as the harness's generative MMLU takes it.
    FirstLine,
    /// `answer is \(?([ABCDEFGHIJ])\)?`, first match, as the harness's MMLU-Pro takes it.
    AnswerLetter,
    /// A field of a JSON object in the text.
    JsonField(String),
    /// The whole text.
    Whole,
}
