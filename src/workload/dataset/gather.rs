//! Gathers the samples that a run needs from a data set's rows, in one pass.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use rand::Rng as _;
use serde_json::Value;

use crate::chat_template::TemplateError;
use crate::plan::cell::Api;
use crate::record::trial::TraceRecord;
use crate::units::Nanos;
use crate::workload::bad_rows::{RowKind, Tally, told_kinds};
use crate::workload::body::{Asked, asked};
use crate::workload::columns::columns_of;
use crate::workload::dataset::blocks::BlockSizes;
use crate::workload::dataset::generated::{Maker, TOKEN_IDS};
use crate::workload::dataset::time::{Clock, Misplaced, Unit};
use crate::workload::dataset::turns;
use crate::workload::dataset::{
    Candidate, Lengths, Load, PROGRESS_EVERY, Picked, Problem, Reading, base_name, hash_turns,
    n_distinct_prompts,
};
use crate::workload::error::DataError;
use crate::workload::request::{Prompt, Sample};
use crate::workload::rows::Row;
use crate::workload::samples::{Least, Samples, n_distinct};

/// The state of the reading.
pub(super) struct Gathered<'a> {
    load: &'a Load<'a>,
    order: rand::rngs::ChaCha8Rng,
    pub(super) n_read: u64,
    n_usable: u64,
    /// Rows that were not looked at closely, as they come behind all that the run needs.
    n_passed_over: u64,
    /// Hash of each row's prompt, within the plan's limit.
    pool: Least<u64>,
    kept: Least<Sample>,
    ids: HashSet<u64>,
    /// Worked examples by subject; all under one where rows have none.
    shots: BTreeMap<String, Vec<String>>,
    /// Whether they have files of their own.
    has_shots: bool,
    pub(super) tally: Tally,
    /// The trace's clock, from its first timed row on.
    clock: Option<Clock>,
    /// Columns of the first row, and the parts that they play.
    columns: Vec<String>,
    roles: Vec<(&'static str, String)>,
    /// What to do where the first row is the whole file in another layout.
    layout: Option<String>,
    /// Whether the slice of time is over.
    is_over: bool,
    /// What is known of the blocks that prompts begin with, where rows have ids of them.
    blocks: Option<BlockSizes>,
}

impl<'a> Gathered<'a> {
    pub(super) fn new(load: &'a Load<'a>) -> Self {
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
            shots: BTreeMap::new(),
            has_shots: false,
            tally: Tally::new(load.plan),
            clock: None,
            columns: Vec::new(),
            roles: Vec::new(),
            layout: None,
            is_over: false,
            blocks: None,
        }
    }

    pub(super) fn take(&mut self, reading: &Reading<'_>, row: &Row) -> Result<(), Problem> {
        if let Some(report) = self.load.on_progress
            && self.n_read.is_multiple_of(PROGRESS_EVERY)
        {
            report(self.n_read);
        }
        let picked = reading.pick(row);
        if let (true, Some(fields)) = (self.columns.is_empty(), row.fields.as_object()) {
            self.columns = columns_of(fields).map(|(name, _)| name.clone()).collect();
            self.roles = reading.roles(row);
            let lacks = [RowKind::NoColumn, RowKind::Template, RowKind::NoTime];
            let is_lacking = picked.as_ref().is_err_and(|problem| lacks.contains(&problem.kind));
            self.layout = layout(fields, is_lacking);
        }
        let mut candidate = match picked? {
            Picked::Candidate(candidate) => candidate,
            Picked::LeftOut(kind) => {
                self.tally.count(kind);
                return Ok(());
            }
        };
        if !self.is_in_time(reading, &mut candidate)? {
            self.tally.count(RowKind::OutsideSlice);
            return Ok(());
        }
        let sample = &mut candidate.sample;
        self.check_id(sample)?;
        if self.lacks_shots(sample.subject.as_deref()) {
            if self.has_shots {
                let message = "its subject has too few worked examples: ask for fewer with `shots`";
                return Err(Problem::of_row(RowKind::Scenario, message.to_owned()));
            }
            let text = shot(&candidate)?;
            self.add_shot(candidate.sample.subject, text);
            return Ok(());
        }
        if let (Some(reads), Some(gold)) = (self.load.reads_gold, &sample.gold)
            && !reads(gold)
        {
            self.tally.count(RowKind::GoldNotRead);
            return Ok(());
        }
        sample.row = self.n_read - 1;
        let number = if reading.plan.shuffle { self.order.next_u64() } else { sample.row };
        let key = (number, sample.row);
        let is_sent = self.kept.takes(key);
        // In the order of the file, no row behind the last one that is sent changes anything.
        let changes_nothing =
            !reading.plan.shuffle || matches!(candidate.lengths, Lengths::ToFilter { .. });
        if !is_sent && changes_nothing {
            self.n_passed_over += 1;
            return Ok(());
        }
        self.see_blocks(sample);
        let mut hasher = DefaultHasher::new();
        hash_turns(sample, &mut hasher);
        let changed = std::mem::take(&mut candidate.changed);
        if is_sent {
            match reading.measured(*candidate)? {
                Ok(sample) => {
                    self.check_template(&sample)?;
                    self.kept.push(key, sample);
                }
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

    pub(super) fn take_shot(
        &mut self,
        reading: &Reading<'_>,
        file: &str,
        row: &Row,
    ) -> Result<(), DataError> {
        if let Picked::Candidate(candidate) =
            reading.pick(row).map_err(|problem| problem.at(file, row, reading.plan.bad_rows))?
        {
            self.has_shots = true;
            if self.lacks_shots(candidate.sample.subject.as_deref()) {
                let text = shot(&candidate)
                    .map_err(|problem| problem.at(file, row, reading.plan.bad_rows))?;
                self.add_shot(candidate.sample.subject, text);
            }
        }
        Ok(())
    }

    fn add_shot(&mut self, subject: Option<String>, text: String) {
        self.shots.entry(subject.unwrap_or_default()).or_default().push(text);
    }

    fn lacks_shots(&self, subject: Option<&str>) -> bool {
        let n = self.shots.get(subject.unwrap_or_default()).map_or(0, Vec::len);
        n < self.load.plan.n_shots as usize
    }

    /// Whether no further row of examples is wanted; of subjects, more may come.
    pub(super) fn has_all_shots(&self) -> bool {
        self.shots.contains_key("") && !self.lacks_shots(None)
    }

    /// Whether the examples are enough for some rows.
    pub(super) fn shots_suffice(&self) -> bool {
        self.shots.keys().any(|subject| !self.lacks_shots(Some(subject)))
    }

    /// Finds out whether the chat template takes the messages of a row.
    fn check_template(&self, sample: &Sample) -> Result<(), Problem> {
        let (Some(chat), Some(first)) = (self.load.chat, sample.turns.first()) else {
            return Ok(());
        };
        let system = self.load.plan.system.as_deref();
        let asked = asked(Api::Chat, system, "", first, sample.tools.as_ref());
        // What no chat can be asked is told of the cell that asks it.
        let Ok(Asked::Messages(messages, tools)) = asked else { return Ok(()) };
        let refused = |error: TemplateError| {
            Problem::of_row(RowKind::ChatTemplate, format!("the chat template refuses it: {error}"))
        };
        chat.text(&messages, tools.as_ref()).map(drop).map_err(refused)
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

    /// Notes how many ids of blocks prompts have for their lengths.
    fn see_blocks(&mut self, sample: &Sample) {
        for turn in &sample.turns {
            let Prompt::OfLength(length) = turn else { continue };
            if !length.blocks.is_empty() {
                let asked = self.load.plan.block_tokens;
                let new = || BlockSizes::new(asked, length.block_tokens);
                let blocks = self.blocks.get_or_insert_with(new);
                blocks.observe(length.n_tokens, length.blocks.len());
            }
        }
    }

    /// Counts a trace's time from its first row, and from the beginning of the slice; `false`
    /// for a row outside it.
    fn is_in_time(
        &mut self,
        reading: &Reading<'_>,
        candidate: &mut Candidate,
    ) -> Result<bool, Problem> {
        let Some(written) = candidate.time else { return Ok(true) };
        let plan = self.load.plan;
        let clock = self.clock.get_or_insert_with(|| {
            let columns = reading.trace.get();
            let form = columns.and_then(|columns| columns.form);
            let unit = match (plan.time_unit, form.and_then(|form| Some((form.unit?, form.name)))) {
                (Some(unit), _) => Unit::Asked(unit),
                (None, Some((unit, name))) => Unit::Known(unit, name),
                (None, None) => Unit::Unsaid,
            };
            let column = columns.and_then(|columns| columns.timestamp.as_deref());
            Clock::new(unit, column.unwrap_or("timestamp"))
        });
        let problem = |kind, message: &str| Problem::of_row(kind, message.to_owned());
        let misplaced = |misplaced| match misplaced {
            Misplaced::GoesBack => {
                problem(RowKind::TimeGoesBack, "its time is before that of an earlier row")
            }
            Misplaced::TooFar => {
                problem(RowKind::TooFar, "its time is more than 584 years from the first one")
            }
            Misplaced::OtherKind { its, first } => {
                let message = format!("its time is {its}, and that of the first row {first}");
                problem(RowKind::OtherTime, &message)
            }
        };
        let since_first = clock.since_first(written).map_err(misplaced)?;
        let mut before = written;
        for (later, time) in candidate.sample.later.iter_mut().zip(&candidate.turn_times) {
            let Some(time) = *time else { continue };
            clock.between(before, time).map_err(misplaced)?;
            later.at = Some(clock.between(written, time).map_err(misplaced)?);
            before = time;
        }
        let from = plan.after.unwrap_or(Nanos::ZERO);
        self.is_over |= plan.before.is_some_and(|end| since_first >= end);
        candidate.sample.at = since_first.checked_sub(from);
        Ok(candidate.sample.at.is_some() && !self.is_over)
    }

    /// Whether no later row can change the kept samples.
    pub(super) fn is_complete(&self) -> bool {
        self.is_over || !self.load.plan.shuffle && (self.pool.is_full() || self.n_passed_over > 0)
    }

    pub(super) fn finish(self, file: &str) -> Result<Samples, DataError> {
        let plan = self.load.plan;
        self.tally.judge(self.n_read)?;
        let left_out = self.tally.left_out();
        if self.n_usable == 0 {
            if let Some(first) = self.tally.first_bad() {
                let rows = told_kinds(&left_out);
                let message = format!("{}; no row is left: {rows}", first.message);
                let help = self.layout.filter(|_| self.n_read == 1);
                let help = help.unwrap_or_else(|| first.help.clone());
                return Err(DataError { message, help, ..first.clone() });
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
            let is_kind = |kind: RowKind| left_out.iter().any(|(told, _)| told == kind.words());
            let help = if is_kind(RowKind::NoConversation) && !self.columns.is_empty() {
                format!(
                    "say which column holds them: `columns = {{ messages = \"…\" }}`; the first \
                     row has `{}`",
                    self.columns.join("`, `").escape_debug()
                )
            } else if let Some(clock) = self.clock.filter(|_| is_kind(RowKind::OutsideSlice)) {
                clock.unit(file)?;
                format!(
                    "`after` and `before` count from the first row, and the last one read is {} \
                     behind it",
                    clock.read_up_to()
                )
            } else {
                "give a file with more rows".to_owned()
            };
            return Err(DataError::new(file, message, help));
        }
        let pool = self.pool.into_sorted();
        let mut rows = self.kept.into_sorted();
        let blocks = self.blocks.map(|blocks| blocks.agreed(file)).transpose()?;
        let blocks = blocks.filter(|size| put_block_size(&mut rows, *size));
        let trace =
            self.clock.as_ref().map(|clock| trace_of(&rows, clock, blocks, file)).transpose()?;
        let subjects: BTreeSet<&str> =
            rows.iter().filter_map(|sample| sample.subject.as_deref()).collect();
        let examples = |subject: &str| -> String {
            let shots = self.shots.get(subject).into_iter().flatten();
            shots.fold(String::new(), |text, shot| text + shot + "\n\n")
        };
        let prefixes = subjects.into_iter().map(|subject| {
            // A subject stands in front of its own examples.
            (subject.to_owned(), format!("{subject}{}", examples(subject)))
        });
        let (prefixes, prefix) = (prefixes.collect(), examples(""));
        let as_ids = plan.columns.get("prompt").is_some_and(|column| column == TOKEN_IDS);
        let maker = self.load.tokenizer.map(|tokenizer| {
            Arc::new(Maker::new(tokenizer, self.load.seed, base_name(self.load.name), as_ids))
        });
        Ok(Samples {
            maker,
            trace,
            reserve: usize::try_from(plan.reserve_for_warm_up).unwrap_or(usize::MAX / 2),
            prefix,
            prefixes,
            system: plan.system.clone(),
            cycle: plan.cycle,
            chat: None,
            template: None,
            variables: BTreeMap::new(),
            n_samples: pool.len() as u64,
            n_distinct: if blocks.is_some() && rows.len() == pool.len() {
                n_distinct_prompts(&rows)
            } else {
                n_distinct(&pool)
            },
            left_out,
            first_bad: self.tally.first_bad().map(ToString::to_string),
            columns: self.columns,
            roles: self.roles,
            changed: self.tally.changed(),
            n_looked_at: (self.n_passed_over > 0).then(|| self.n_read - self.n_passed_over),
            recipe_sha256: None,
            rows,
        })
    }
}

/// Returns what the trace of these rows is: how many requests at times of their own, over which span.
fn trace_of(
    rows: &[Sample],
    clock: &Clock,
    blocks: Option<u32>,
    file: &str,
) -> Result<TraceRecord, DataError> {
    let turns = rows.iter().flat_map(|sample| sample.later.iter().filter_map(|it| it.at));
    let n = rows.len() + turns.count();
    let ends = rows.iter().filter_map(|sample| {
        let last = sample.later.iter().filter_map(|turn| turn.at).max();
        Some(Nanos(sample.at?.0.saturating_add(last.unwrap_or_default().0)))
    });
    let first = rows.first().and_then(|sample| sample.at);
    let span = ends.max().zip(first);
    let span = span.map_or(Nanos::ZERO, |(last, first)| last.saturating_sub(first));
    let mut unit = clock.unit(file)?;
    let n_turns: usize = rows.iter().map(|sample| sample.turns.len()).sum();
    if n_turns > n {
        write!(unit, "; {} more when the answers before them have come", n_turns - n)
            .expect("a string takes all text");
    }
    if let Some(size) = blocks {
        write!(unit, "; `hash_ids` of {size} tokens").expect("a string takes all text");
    }
    Ok(TraceRecord { n: n as u64, span, unit })
}

/// Gives the blocks of all prompts their size; `false` where they had it before.
fn put_block_size(rows: &mut [Sample], size: u32) -> bool {
    let mut is_new = false;
    for turn in rows.iter_mut().flat_map(|sample| &mut sample.turns) {
        if let Prompt::OfLength(length) = turn {
            is_new |= length.block_tokens != size && !length.blocks.is_empty();
            length.block_tokens = size;
        }
    }
    is_new
}

/// Says how to make rows of an object that is all of them: a list inside it, or a value of all rows
/// in each column. What it lacks of a row may be in that list.
fn layout(fields: &serde_json::Map<String, Value>, is_lacking: bool) -> Option<String> {
    // Messages of one conversation are no rows.
    let is_rows = |value: &Value| {
        value.get(0).is_some_and(|first| first.is_object() && !turns::is_message(first))
    };
    let inside = columns_of(fields).find(|(_, value)| is_lacking && is_rows(value));
    if let Some((name, _)) = inside {
        return Some(format!(
            "the rows are those of its list `{name}`: write them one per line, `jq -c '.{name}[]' FILE`"
        ));
    }
    let is_by_column = |value: &Value| value.is_array() || value.is_object();
    (fields.len() > 1 && fields.values().all(is_by_column)).then(|| {
        "its columns hold all rows: write one object per row, as pandas does with \
         `to_json(FILE, orient=\"records\", lines=True)`"
            .to_owned()
    })
}

/// A worked example as lm-evaluation-harness writes it: the prompt, a space, the gold text.
fn shot(candidate: &Candidate) -> Result<String, Problem> {
    let sample = &candidate.sample;
    let problem = |message: &str| Problem::of_row(RowKind::WrongType, message.to_owned());
    let [Prompt::Text(prompt)] = sample.turns.as_slice() else {
        return Err(problem("a worked example needs a prompt of one text"));
    };
    let answer = candidate.example.as_deref().or(sample.gold.as_deref());
    let answer = answer.ok_or_else(|| problem("a worked example needs an answer"))?;
    Ok(format!("{prompt} {answer}"))
}
