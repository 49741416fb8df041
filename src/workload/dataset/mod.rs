//! Reads a data set: rows in, samples out; memory grows with the kept samples alone.

mod gsm8k;
mod random;
mod s1k;
mod sharegpt;
mod table;
mod turns;
mod ultrachat;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use rand::Rng as _;

use crate::plan::cell::{DatasetPlan, Source};
use crate::seed::Seed;
use crate::units::Nanos;
use crate::workload::bad_rows::{RowKind, Tally, told_kinds};
use crate::workload::columns::Columns;
use crate::workload::dataset::turns::Unsent;
use crate::workload::error::DataError;
use crate::workload::input::{Format, Input};
use crate::workload::prompt::PromptTemplate;
use crate::workload::request::{Prompt, Sample};
use crate::workload::rows::{self, Row};
use crate::workload::samples::{Least, Samples, n_distinct};
use crate::workload::tokenizer::Tokenizer;

/// The samples that a run needs of a data set.
#[derive(Clone, Copy)]
pub struct Load<'a> {
    /// The data set's name in the scenario; names its random order.
    pub name: &'a str,
    /// How it is read.
    pub plan: &'a DatasetPlan,
    /// The run's seed.
    pub seed: Seed,
    /// Rows that the plan uses at most, warm-up included; `None` keeps them all.
    pub needs: Option<u64>,
    /// The data set's tokenizer, if it has one.
    pub tokenizer: Option<&'a Tokenizer>,
    /// Called now and then with the number of rows read.
    pub on_progress: Option<&'a dyn Fn(u64)>,
}

/// Rows between two reports of progress.
const PROGRESS_EVERY: u64 = 1 << 14;

/// Reads a data set from its files, in order.
///
/// # Errors
/// [`DataError`] names file, line or row, and column of the first row that cannot be used,
/// unless the plan leaves such rows out.
pub fn load(load: &Load<'_>, inputs: Vec<Input>) -> Result<Samples, DataError> {
    load_with_shots(load, inputs, Vec::new())
}

/// Reads a data set whose worked examples come from files of their own.
///
/// The first rows of `shots` are the examples; without any, the first rows of the data set
/// are, and are not asked then.
///
/// # Errors
/// As [`load`]; also when `shots` has too few rows.
pub fn load_with_shots(
    load: &Load<'_>,
    inputs: Vec<Input>,
    shots: Vec<Input>,
) -> Result<Samples, DataError> {
    let plan = load.plan;
    if plan.source == Source::Random {
        return random::generate(load);
    }
    let reading = Reading::new(load)?;
    let file = inputs.first().map_or_else(|| load.name.to_owned(), |input| input.name().to_owned());
    let mut gathered = Gathered::new(load);
    if !shots.is_empty() {
        let examples = shots.first().map(|input| input.name().to_owned()).unwrap_or_default();
        each_row(shots, plan, |file, row| {
            gathered.take_shot(&reading, file, &row?)?;
            Ok(gathered.n_shots_missing() == 0)
        })?;
        if gathered.n_shots_missing() > 0 {
            return Err(DataError::new(
                &examples,
                format!("{} worked examples are wanted and it has fewer rows", plan.n_shots),
                "ask for fewer with `shots`",
            ));
        }
    }
    each_row(inputs, plan, |file, row| {
        gathered.n_read += 1;
        let read = match row {
            Ok(row) => gathered
                .take(&reading, &row)
                .map_err(|problem| (problem.kind, problem.at(file, &row))),
            Err(error) => Err((RowKind::NotReadable, error)),
        };
        if let Err((kind, error)) = read {
            gathered.tally.bad(kind, error, gathered.n_read)?;
        }
        Ok(gathered.is_complete())
    })?;
    gathered.finish(&file)
}

/// Shows each row to `see`, until it is done or returns that it has seen enough.
fn each_row(
    inputs: Vec<Input>,
    plan: &DatasetPlan,
    mut see: impl FnMut(&str, Result<Row, DataError>) -> Result<bool, DataError>,
) -> Result<(), DataError> {
    for mut input in inputs {
        let name = input.name().to_owned();
        let format = match plan.source {
            Source::Text => Format::Text,
            Source::Csv => Format::Csv,
            Source::Parquet => Format::Parquet,
            _ => input.format().map_err(|error| {
                DataError::new(&name, format!("cannot be read: {error}"), "check the file")
            })?,
        };
        for row in rows::open(input, format)? {
            let is_enough = match row {
                Ok(row) => see(&name, Ok(row))?,
                Err(bad) if bad.can_go_on => see(&name, Err(bad.error))?,
                Err(bad) => return Err(bad.error),
            };
            if is_enough {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Returns the name that a scenario gives a data set, without what tells its variants apart.
fn base_name(name: &str) -> &str {
    name.split('~').next().unwrap_or(name)
}

/// How rows of one data set become samples.
struct Reading<'a> {
    plan: &'a DatasetPlan,
    columns: Columns,
    template: Option<PromptTemplate>,
    tokenizer: Option<&'a Tokenizer>,
}

/// Why a row is not usable: its kind, the column, if one is to blame, and one sentence.
struct Problem {
    kind: RowKind,
    column: Option<String>,
    message: String,
}

impl Problem {
    fn of(unsent: Unsent, column: &str) -> Self {
        let Unsent { kind, message } = unsent;
        Self { kind, column: Some(column.to_owned()), message }
    }

    fn of_row(kind: RowKind, message: String) -> Self {
        Self { kind, column: None, message }
    }

    fn at(self, file: &str, row: &Row) -> DataError {
        let error = DataError::new(
            file,
            self.message,
            "`columns` in the scenario says which column plays which part; \
             `bad-rows = \"skip\"` leaves such rows out, up to a share of `max-bad-rows`",
        );
        match self.column {
            Some(column) => error.at(format_args!("{}, column `{column}`", row.place)),
            None => error.at(row.place),
        }
    }
}

/// A row after reading.
enum Picked {
    Candidate(Candidate),
    /// Left out by the data set's own rule.
    LeftOut(RowKind),
}

/// A row that may be sent, before its texts are cut into tokens: that takes far longer than
/// reading, and most rows of a long file are not sent.
struct Candidate {
    sample: Sample,
    lengths: Lengths,
    /// What was changed in it.
    changed: Vec<RowKind>,
}

/// Texts whose tokens are still to be counted.
enum Lengths {
    /// Nothing.
    Known,
    /// The row's own answer: the model's is to be as long.
    OfAnswer(String),
    /// A conversation, which may be left out by its lengths.
    ToFilter { prompt: String, answer: String },
}

impl<'a> Reading<'a> {
    fn new(load: &Load<'a>) -> Result<Self, DataError> {
        let plan = load.plan;
        if plan.source == Source::Sharegpt && load.tokenizer.is_none() {
            return Err(DataError::new(
                load.name,
                "ShareGPT is filtered by lengths in tokens, and no tokenizer is given",
                "set `tokenizer` on the data set",
            ));
        }
        let known = match plan.source {
            Source::Gsm8k => gsm8k::COLUMNS,
            Source::S1k | Source::S1k11 => s1k::COLUMNS,
            Source::Sharegpt => sharegpt::COLUMNS,
            Source::Ultrachat => ultrachat::COLUMNS,
            Source::Text => &[("prompt", "text")],
            _ => table::COLUMNS,
        };
        let columns = Columns::new(known, &plan.columns)?;
        let template = plan.prompt.as_deref().map(PromptTemplate::new).transpose()?;
        Ok(Self { plan, columns, template, tokenizer: load.tokenizer })
    }

    fn pick(&self, row: &Row) -> Result<Picked, Problem> {
        match self.plan.source {
            Source::Sharegpt => sharegpt::pick(self, row),
            Source::Ultrachat => ultrachat::pick(self, row),
            _ => table::candidate(self, row).map(Picked::Candidate),
        }
    }

    /// Counts these tokens; the error inside is the reason to leave the row out.
    fn measured(&self, candidate: Candidate) -> Result<Result<Sample, RowKind>, Problem> {
        let Candidate { mut sample, lengths, .. } = candidate;
        let count = |text: &str| {
            self.count(text).map_err(|message| Problem::of_row(RowKind::WrongType, message))
        };
        match lengths {
            Lengths::Known => {}
            Lengths::OfAnswer(answer) => sample.output_tokens = Some(count(&answer)?.max(1)),
            Lengths::ToFilter { prompt, answer } => {
                let (n_prompt, n_answer) = (count(&prompt)?, count(&answer)?);
                if let Some(reason) = sharegpt::left_out(n_prompt, n_answer) {
                    return Ok(Err(reason));
                }
                sample.output_tokens = Some(n_answer);
            }
        }
        Ok(Ok(sample))
    }

    /// Returns the number of tokens of a text; the error is one sentence.
    fn count(&self, text: &str) -> Result<u32, String> {
        match self.tokenizer {
            Some(tokenizer) => tokenizer.count(text).map_err(|error| error.message),
            None => Err("tokens cannot be counted without a tokenizer".to_owned()),
        }
    }
}

/// The state of the reading.
struct Gathered<'a> {
    load: &'a Load<'a>,
    order: rand::rngs::ChaCha8Rng,
    n_read: u64,
    n_usable: u64,
    /// Rows whose lengths were not counted, as they come behind all that the run needs.
    n_passed_over: u64,
    /// Hash of each row's prompt, within the plan's limit.
    pool: Least<u64>,
    kept: Least<Sample>,
    ids: HashSet<u64>,
    shots: Vec<String>,
    tally: Tally,
    first_at: Option<Nanos>,
    last_at: Nanos,
}

impl<'a> Gathered<'a> {
    fn new(load: &'a Load<'a>) -> Self {
        let limit = load.plan.limit;
        let keep = match (limit, load.needs) {
            (Some(limit), Some(needs)) => Some(limit.min(needs)),
            (limit, needs) => limit.or(needs),
        };
        Self {
            load,
            // Variants of one data set, `name~a1b2c3`, share an order: their rows can be paired.
            order: load.seed.stream(&format!("dataset/{}/order", base_name(load.name))),
            n_read: 0,
            n_usable: 0,
            n_passed_over: 0,
            pool: Least::new(limit),
            kept: Least::new(keep),
            ids: HashSet::new(),
            shots: Vec::new(),
            tally: Tally::new(load.plan),
            first_at: None,
            last_at: Nanos::ZERO,
        }
    }

    fn take(&mut self, reading: &Reading<'_>, row: &Row) -> Result<(), Problem> {
        if let Some(report) = self.load.on_progress
            && self.n_read.is_multiple_of(PROGRESS_EVERY)
        {
            report(self.n_read);
        }
        let mut candidate = match reading.pick(row)? {
            Picked::Candidate(candidate) => candidate,
            Picked::LeftOut(kind) => {
                self.tally.count(kind);
                return Ok(());
            }
        };
        let sample = &mut candidate.sample;
        self.check_id(sample)?;
        self.set_time(sample)?;
        if self.n_shots_missing() > 0 {
            self.shots.push(shot(sample)?);
            return Ok(());
        }
        sample.row = self.n_read - 1;
        let number = if reading.plan.shuffle { self.order.next_u64() } else { sample.row };
        let key = (number, sample.row);
        let mut hasher = DefaultHasher::new();
        hash_turns(&sample.turns, &mut hasher);
        let is_sent = self.kept.takes(key);
        if !is_sent && matches!(candidate.lengths, Lengths::ToFilter { .. }) {
            self.n_passed_over += 1;
            return Ok(());
        }
        let changed = std::mem::take(&mut candidate.changed);
        if is_sent {
            match reading.measured(candidate)? {
                Ok(sample) => self.kept.push(key, sample),
                Err(kind) => {
                    self.tally.count(kind);
                    return Ok(());
                }
            }
        }
        for kind in changed {
            self.tally.count(kind);
        }
        self.n_usable += 1;
        self.pool.push(key, hasher.finish());
        Ok(())
    }

    fn take_shot(&mut self, reading: &Reading<'_>, file: &str, row: &Row) -> Result<(), DataError> {
        if let Picked::Candidate(candidate) =
            reading.pick(row).map_err(|problem| problem.at(file, row))?
        {
            self.shots.push(shot(&candidate.sample).map_err(|problem| problem.at(file, row))?);
        }
        Ok(())
    }

    fn n_shots_missing(&self) -> usize {
        (self.load.plan.n_shots as usize).saturating_sub(self.shots.len())
    }

    fn check_id(&mut self, sample: &Sample) -> Result<(), Problem> {
        let Some(id) = &sample.id else { return Ok(()) };
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        if self.ids.insert(hasher.finish()) {
            return Ok(());
        }
        let message = format!("the id `{}` occurs twice", id.escape_debug());
        Err(Problem::of_row(RowKind::IdTwice, message))
    }

    /// Counts a trace's time from its first row.
    fn set_time(&mut self, sample: &mut Sample) -> Result<(), Problem> {
        let Some(at) = sample.at else { return Ok(()) };
        let first = *self.first_at.get_or_insert(at);
        let Some(since_first) = at.checked_sub(first).filter(|at| *at >= self.last_at) else {
            let message = "its time is before that of an earlier row".to_owned();
            return Err(Problem::of_row(RowKind::TimeGoesBack, message));
        };
        self.last_at = since_first;
        sample.at = Some(since_first);
        Ok(())
    }

    /// Whether no later row can change the kept samples.
    fn is_complete(&self) -> bool {
        !self.load.plan.shuffle && (self.pool.is_full() || self.n_passed_over > 0)
    }

    fn finish(self, file: &str) -> Result<Samples, DataError> {
        let plan = self.load.plan;
        self.tally.judge(self.n_read)?;
        let left_out = self.tally.left_out();
        if self.n_usable == 0 {
            if let Some(first) = self.tally.first_bad() {
                let rows = told_kinds(&left_out);
                let message = format!("{}; no row is left: {rows}", first.message);
                return Err(DataError { message, ..first.clone() });
            }
            let n_left_out: u64 = left_out.iter().map(|(_, n)| n).sum();
            let message = match (self.n_read, n_left_out) {
                (0, _) => "no row".to_owned(),
                (n_read, 0) => format!("{n_read} rows, all of them used as worked examples"),
                (n_read, n_left_out) => format!(
                    "no usable row: {n_left_out} of {n_read} left out: {}",
                    told_kinds(&left_out)
                ),
            };
            return Err(DataError::new(file, message, "give a file with more rows"));
        }
        let pool = self.pool.into_sorted();
        let mut prefix = self.shots.join("\n\n");
        if !prefix.is_empty() {
            prefix.push_str("\n\n");
        }
        Ok(Samples {
            rows: self.kept.into_sorted(),
            reserve: usize::try_from(plan.reserve_for_warm_up).unwrap_or(usize::MAX / 2),
            prefix,
            system: plan.system.clone(),
            cycle: plan.cycle,
            chat: None,
            n_samples: pool.len() as u64,
            n_distinct: n_distinct(&pool),
            left_out,
            changed: self.tally.changed(),
            n_looked_at: (self.n_passed_over > 0).then(|| self.n_read - self.n_passed_over),
            recipe_sha256: None,
        })
    }
}

/// A worked example as lm-evaluation-harness writes it: the prompt, a space, the gold text.
fn shot(sample: &Sample) -> Result<String, Problem> {
    let problem = |message: &str| Problem::of_row(RowKind::WrongType, message.to_owned());
    let [Prompt::Text(prompt)] = sample.turns.as_slice() else {
        return Err(problem("a worked example needs a prompt of one text"));
    };
    let gold = sample.gold.as_deref().ok_or_else(|| problem("a worked example needs an answer"))?;
    Ok(format!("{prompt} {gold}"))
}

fn n_distinct_prompts(samples: &[Sample]) -> u64 {
    let hashes: Vec<u64> = samples
        .iter()
        .map(|sample| {
            let mut hasher = DefaultHasher::new();
            hash_turns(&sample.turns, &mut hasher);
            hasher.finish()
        })
        .collect();
    n_distinct(&hashes)
}

fn hash_turns(turns: &[Prompt], hasher: &mut DefaultHasher) {
    for turn in turns {
        match turn {
            Prompt::Text(text) => text.hash(hasher),
            Prompt::Tokens(tokens) => tokens.hash(hasher),
            Prompt::Messages(messages) => {
                for message in messages {
                    message.role.hash(hasher);
                    message.content.hash(hasher);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
