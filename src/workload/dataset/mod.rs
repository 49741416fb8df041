//! Reads a data set: rows in, samples out; memory grows with the kept samples alone.

mod blocks;
mod delay;
mod gather;
pub(super) mod generated;
mod gsm8k;
mod in_order;
mod random;
mod s1k;
pub(crate) mod schema;
mod sessions;
mod sharegpt;
mod table;
mod tasks;
mod time;
mod traces;
mod turns;
mod ultrachat;

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use crate::plan::cell::{BadRows, DatasetPlan, Source};
use crate::seed::Seed;
use crate::workload::bad_rows::{RowKind, way_around};
use crate::workload::body::TOOLS;
use crate::workload::chat::Chat;
use crate::workload::columns::{Columns, ROLES, lookup};
use crate::workload::dataset::gather::Gathered;
use crate::workload::dataset::sessions::Sessions;
use crate::workload::dataset::table::{TRACE_ROLES, TraceColumns};
use crate::workload::dataset::time::{DateOrder, Written};
use crate::workload::dataset::turns::Unsent;
use crate::workload::error::DataError;
use crate::workload::input::{Format, Input};
use crate::workload::prompt::PromptTemplate;
use crate::workload::request::{Prompt, Sample};
use crate::workload::rows::{self, Row};
use crate::workload::samples::{Samples, n_distinct};
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
    pub tokenizer: Option<&'a Arc<Tokenizer>>,
    /// The template that prompts are rendered by, when they are to be sent so.
    pub chat: Option<&'a Chat>,
    /// Whether the scores read a gold, where rows that they do not read are left out.
    pub reads_gold: Option<&'a dyn Fn(&str) -> bool>,
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
    let mut reading = Reading::new(load)?;
    reading.see_date_order(&inputs);
    let file = inputs.first().map_or_else(|| load.name.to_owned(), |input| input.name().to_owned());
    let mut gathered = Gathered::new(load);
    if !shots.is_empty() {
        let examples = shots.first().map(|input| input.name().to_owned()).unwrap_or_default();
        each_row(shots, &reading, |file, row| {
            gathered.take_shot(&reading, file, &row?)?;
            Ok(gathered.has_all_shots())
        })?;
        if !gathered.shots_suffice() {
            return Err(DataError::new(
                &examples,
                format!("{} worked examples are wanted and it has fewer rows", plan.n_shots),
                "ask for fewer with `shots`",
            ));
        }
    }
    let mut sessions = Sessions::new(plan, &reading.columns);
    let mut take = |file: &str, row: Result<Row, DataError>| {
        gathered.n_read += 1;
        let read = match row {
            Ok(row) => gathered
                .take(&reading, &row)
                .map_err(|problem| (problem.kind, problem.at(file, &row, plan.bad_rows))),
            Err(mut error) => {
                error.help = format!("{}; {}", error.help, way_around(plan.bad_rows));
                Err((RowKind::NotReadable, error))
            }
        };
        if let Err((kind, error)) = read {
            gathered.tally.bad(kind, error, gathered.n_read)?;
        }
        Ok(gathered.is_complete())
    };
    each_row(inputs, &reading, |file, row| match row {
        Ok(row) => match sessions.take(&reading.columns, file, row) {
            Some(row) => take(file, Ok(row)),
            None => Ok(false),
        },
        Err(error) => take(file, Err(error)),
    })?;
    for (file, row) in sessions.into_rows(&reading.columns) {
        if take(&file, Ok(row))? {
            break;
        }
    }
    gathered.finish(&file)
}

/// Shows each row to `see`, until it is done or returns that it has seen enough.
fn each_row(
    inputs: Vec<Input>,
    reading: &Reading<'_>,
    mut see: impl FnMut(&str, Result<Row, DataError>) -> Result<bool, DataError>,
) -> Result<(), DataError> {
    for input in inputs {
        let name = input.name().to_owned();
        for row in rows::open(input, format(reading.plan.source), &|name| reading.reads(name))? {
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

/// Returns the format that a source asks for.
fn format(source: Source) -> Option<Format> {
    match source {
        Source::Jsonl => Some(Format::Jsonl),
        Source::Text => Some(Format::Text),
        Source::Csv => Some(Format::Csv),
        Source::Parquet => Some(Format::Parquet),
        _ => None,
    }
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
    tokenizer: Option<&'a Arc<Tokenizer>>,
    /// Columns of a trace, found by the first row.
    trace: OnceCell<TraceColumns>,
    /// The order of day and month in its dates, where some row shows it.
    date_order: Option<DateOrder>,
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

    fn at(self, file: &str, row: &Row, bad_rows: BadRows) -> DataError {
        let error = DataError::new(file, self.message, self.kind.help(bad_rows));
        match self.column {
            Some(column) => error.at(format_args!("{}, column `{column}`", row.place)),
            None => error.at(row.place),
        }
    }
}

/// A row after reading.
enum Picked {
    Candidate(Box<Candidate>),
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
    /// The row's time, where it is replayed.
    time: Option<Written>,
    /// Those of its turns behind the first that have one.
    turn_times: Vec<Option<Written>>,
    /// The answer that it has as a worked example, where that is not its gold.
    example: Option<String>,
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
        let tokenizer = load.tokenizer;
        let trace = OnceCell::new();
        Ok(Self { plan, columns, template, tokenizer, trace, date_order: None })
    }

    /// Looks through a trace for a date that shows whether days or months come first, where the first
    /// row leaves it open. Among dates of one day, either order will do.
    fn see_date_order(&mut self, inputs: &[Input]) {
        if !self.plan.is_replayed {
            return;
        }
        let again = inputs.iter().map_while(|input| input.again().ok()).collect();
        let (mut days, mut order) = (BTreeSet::new(), None);
        // What cannot be read is told by whoever reads in earnest.
        let looked = each_row(again, self, |_, row| {
            let Ok(row) = row else { return Ok(false) };
            let column = TraceColumns::of(self, &row).timestamp.as_deref();
            let time = column.and_then(|column| lookup(&row.fields, column)?.as_str());
            let time = time.unwrap_or_default().trim();
            let orders = DateOrder::of(time);
            if orders.is_empty() {
                return Ok(days.is_empty());
            }
            if days.len() < 2 {
                days.insert(time.split(' ').next().unwrap_or_default().to_owned());
            }
            order = DateOrder::only(&orders);
            Ok(order.is_some())
        });
        drop(looked);
        self.trace = OnceCell::new();
        self.date_order = order.or((days.len() == 1).then_some(DateOrder::Month));
    }

    /// Whether something is read of a column: it plays a part by what the scenario, the data set or
    /// traces call it, or the template names it. Tasks, and turns of sessions, have names of their own.
    fn reads(&self, column: &str) -> bool {
        let Self { plan, columns, template, .. } = self;
        let may_be_turn = sessions::may_be(plan, columns);
        let plays = |part: &str| match part {
            "timestamp" => plan.is_replayed,
            "prompt" => template.is_none(),
            "turn" | "parent" => may_be_turn,
            _ => true,
        };
        let is_named = template.as_ref().is_some_and(|template| template.may_read(column));
        is_named
            || columns.reads(column, plays)
            || traces::part(column).is_some_and(plays)
            || plan.source == Source::Sharegpt && sharegpt::ALSO.contains(&column)
            || plan.source == Source::Trace && column == table::TRACE_TEXT
            || column == TOOLS
            || tasks::columns(plan.source).contains(&column)
            || may_be_turn && sessions::reads(column)
    }

    fn pick(&self, row: &Row) -> Result<Picked, Problem> {
        match self.plan.source {
            Source::Sharegpt => sharegpt::pick(self, row),
            Source::Ultrachat => ultrachat::pick(self, row),
            _ => match sessions::of(self, row) {
                Some(session) => sessions::pick(self, row, session),
                None => table::pick(self, row),
            },
        }
    }

    /// Returns the parts that columns of a row play.
    fn roles(&self, row: &Row) -> Vec<(&'static str, String)> {
        let trace = self.trace.get();
        let of_trace = trace.map(TraceColumns::roles).unwrap_or_default();
        let is_known = |role: &str| of_trace.iter().any(|(known, _)| *known == role);
        let plain = ROLES.into_iter().filter(|role| !is_known(role) && !TRACE_ROLES.contains(role));
        let plain = plain.filter_map(|role| {
            self.columns.get(&row.fields, role)?;
            Some((role, self.columns.name(role)?.to_owned()))
        });
        let plain = plain.filter(|(role, _)| match *role {
            // A template makes the prompt of any columns, and messages stand in its place.
            "prompt" => self.template.is_none() && self.columns.name("messages").is_none(),
            "session" => self.plan.multi_turn,
            _ => true,
        });
        let plain: Vec<_> = plain.collect();
        let tools = table::tools(self, row).map(|_| (TOOLS, TOOLS.to_owned()));
        plain.into_iter().chain(of_trace).chain(tools).collect()
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
                sample.output_tokens.get_or_insert(n_answer);
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

fn n_distinct_prompts(samples: &[Sample]) -> u64 {
    let hashes: Vec<u64> = samples
        .iter()
        .map(|sample| {
            let mut hasher = DefaultHasher::new();
            hash_turns(sample, &mut hasher);
            hasher.finish()
        })
        .collect();
    n_distinct(&hashes)
}

fn hash_turns(sample: &Sample, hasher: &mut DefaultHasher) {
    if let Some(tools) = &sample.tools {
        tools.hash(hasher);
    }
    for turn in &sample.turns {
        match turn {
            Prompt::Text(text) => text.hash(hasher),
            Prompt::Tokens(tokens) => tokens.hash(hasher),
            Prompt::Messages(messages) => {
                messages.hash(hasher);
            }
            Prompt::OfLength(length) => {
                length.hash(hasher);
                // What blocks do not cover is unlike all other rows.
                if length.is_unique() {
                    sample.row.hash(hasher);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
