//! Which request of a trial is made from which row: the requests of each phase, built lazily.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use rand::Rng as _;
use serde_json::Value;

use crate::plan::cell::{ArrivalsPlan, Cell, OutputLength, Phase};
use crate::plan::launch::Launch;
use crate::record::trial::PhaseKind;
use crate::seed::Seed;
use crate::units::Nanos;
use crate::workload::bad_rows::told_kinds;
use crate::workload::body::{Asked, BodyTemplate};
use crate::workload::error::DataError;
use crate::workload::prompts::{Prompts, Stretch, needs_chat};
use crate::workload::request::{NextTurn, Request, Sample};
use crate::workload::samples::Samples;
use crate::workload::words;

/// All requests of one trial. Cheap to clone; bodies are written when they are asked for.
#[derive(Clone, Debug)]
pub struct Workload {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    prompts: Arc<Prompts>,
    template: BodyTemplate,
    output: OutputLength,
    phases: Vec<PhaseRows>,
    /// Rows kept for warm-up that measured phases need all the same.
    n_shared: u64,
    /// Present when each prompt is to be unlike any other: the seed and the trial.
    salt: Option<(Seed, String)>,
    /// Why requests ended before their time: a prompt that could not be made.
    failure: OnceLock<DataError>,
}

/// The rows of one phase: from a slice of the samples, beginning at `start`, going round.
#[derive(Clone, Copy, Debug)]
struct PhaseRows {
    kind: PhaseKind,
    start: usize,
    /// Requests that the phase can send; `None` without end.
    n: Option<u64>,
    /// How much faster than its data the phase is: delays within conversations shrink as the
    /// times of a trace do.
    speedup: f64,
}

/// Returns the fields that all requests of a cell share, by name: those but the prompt and its limit.
pub(crate) fn shared_fields(
    cell: &Cell,
    launch: &Launch,
    samples: &Samples,
) -> BTreeMap<String, Value> {
    BodyTemplate::new(&cell.request, launch, &samples.variables).shared_fields()
}

impl Workload {
    /// Lays out the requests of one trial of a cell.
    ///
    /// Every trial sends the same prompts in the same order; a salt, when the cell asks for
    /// one, differs between trials. Counted measured phases go on where the one before
    /// stopped; a phase that ends neither by count nor by time sends each row once. Warm-up
    /// goes round its own rows.
    ///
    /// # Errors
    /// When rows are too few and the data set does not `cycle`, or when a row lacks the output
    /// length that the cell wants from it.
    pub fn new(
        cell: &Cell,
        launch: &Launch,
        prompts: Arc<Prompts>,
        seed: Seed,
        trial: u32,
    ) -> Result<Self, DataError> {
        let samples = prompts.samples();
        let template = BodyTemplate::new(&cell.request, launch, &samples.variables);
        if samples.rows().is_empty() {
            let help = "give the data set more rows, or a larger `limit`";
            return Err(DataError::new(&cell.dataset, "no row to make requests from", help));
        }
        let n_shared = n_shared(cell, samples);
        let phases = lay_out(cell, n_measured(samples, n_shared), samples)?;
        let salt = cell.request.salt.then(|| (seed, format!("salt/{}/{trial}", cell.id)));
        let output = cell.request.output;
        let failure = OnceLock::new();
        let inner = Inner { prompts, template, output, phases, n_shared, salt, failure };
        inner.check_turns(&cell.dataset)?;
        inner.check_lengths(&cell.dataset)?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Returns the number of requests that a phase can send; `None` when its time alone ends it.
    pub fn len(&self, phase: usize) -> Option<u64> {
        self.inner.phases[phase].n
    }

    /// Returns the requests of a phase.
    pub fn requests(&self, phase: usize) -> Requests {
        let rows = self.inner.slice(self.inner.phases[phase].kind).len();
        let goes_round = self.inner.phases[phase].n.is_none_or(|n| n > rows as u64);
        Requests {
            inner: Arc::clone(&self.inner),
            phase,
            next: 0,
            // Bodies are kept only where rows come again and nothing makes them differ.
            bodies: (goes_round && self.inner.salt.is_none()).then(Bodies::default),
        }
    }

    /// Returns the trace's instants of a phase's requests, from the phase's first one.
    ///
    /// `None` when a row has no time.
    pub fn trace_times(&self, phase: usize) -> Option<Vec<Nanos>> {
        let n = usize::try_from(self.len(phase)?).ok()?;
        let rows = self.inner.phases[phase];
        let slice = &self.inner.samples().rows()[self.inner.slice(rows.kind)];
        let times: Vec<Nanos> =
            slice.iter().skip(rows.start).take(n).map(|sample| sample.at).collect::<Option<_>>()?;
        let first = *times.first()?;
        Some(times.into_iter().map(|at| at.saturating_sub(first)).collect())
    }

    /// Returns the number of rows that warm-up and measured phases both send.
    pub fn n_shared_with_warm_up(&self) -> u64 {
        self.inner.n_shared
    }

    /// Returns the positions, among the samples' rows, of what can be sent: all that a phase
    /// which time alone ends might come to.
    pub fn positions(&self) -> impl Iterator<Item = usize> {
        self.inner.stretches().into_iter().flat_map(|stretch| stretch.positions()).flatten()
    }

    /// Returns why requests ended before their time, if they did: a prompt of a length alone could
    /// not be made.
    pub fn failure(&self) -> Option<&DataError> {
        self.inner.failure.get()
    }

    /// Returns the first twelve digits of the SHA-256 over all prompts in the order sent.
    ///
    /// Each prompt counts as JSON and a line end, without salt, so that trials and engines
    /// can be compared. A phase that only time ends counts with one round of its rows.
    ///
    /// # Errors
    /// When a prompt cannot be made.
    pub fn prompts_hash(&self) -> Result<String, DataError> {
        self.inner.prompts.hash(&self.inner.stretches())
    }
}

impl Inner {
    fn samples(&self) -> &Samples {
        self.prompts.samples()
    }

    /// Returns the positions of the rows that phases of a kind draw from.
    fn slice(&self, kind: PhaseKind) -> Range<usize> {
        let n_rows = self.samples().rows().len();
        match kind {
            PhaseKind::WarmUp => n_rows - self.samples().warm_up().len()..n_rows,
            PhaseKind::Measure => 0..n_measured(self.samples(), self.n_shared),
        }
    }

    /// Returns what a phase sends; one round of its rows when time alone ends it.
    fn stretch(&self, phase: PhaseRows) -> Stretch {
        let rows = self.slice(phase.kind);
        Stretch { start: phase.start, n: phase.n.unwrap_or(rows.len() as u64), rows }
    }

    fn stretches(&self) -> Vec<Stretch> {
        self.phases.iter().map(|phase| self.stretch(*phase)).collect()
    }

    fn max_tokens(&self, sample: &Sample) -> Option<u32> {
        match self.output {
            OutputLength::Natural { max_tokens } => Some(max_tokens),
            OutputLength::Fixed { tokens } => Some(tokens),
            OutputLength::FromData => sample.output_tokens,
        }
    }

    /// Returns the turns behind a row's first.
    fn next_turns(&self, sample: &Sample, speedup: f64) -> Result<Vec<NextTurn>, DataError> {
        let of_turn = |idx: usize| {
            let later = sample.later.get(idx).copied().unwrap_or_default();
            let max_tokens = match self.output {
                OutputLength::FromData => later.output_tokens,
                _ => None,
            };
            let faster = |time: Nanos| Nanos::from_secs_f64(time.as_secs_f64() / speedup);
            let (delay, not_before) = (faster(later.delay), faster(later.at.unwrap_or_default()));
            let prompt = self.samples().prompt(sample, idx + 1)?.into_owned();
            Ok(NextTurn { prompt, delay, not_before, max_tokens })
        };
        (0..sample.turns.len() - 1).map(of_turn).collect()
    }

    /// Finds out before anything starts whether the endpoint takes conversations, where rows are such.
    fn check_turns(&self, dataset: &str) -> Result<(), DataError> {
        if self.prompts.takes_conversations() {
            return Ok(());
        }
        let sent = self.stretches().into_iter().flat_map(|stretch| stretch.positions()).flatten();
        let mut rows = sent.map(|position| &self.samples().rows()[position]);
        rows.find(|sample| sample.turns.len() > 1)
            .map_or(Ok(()), |sample| Err(needs_chat(dataset, sample)))
    }

    /// Finds out before anything starts whether every row has the length that it is sent with.
    fn check_lengths(&self, dataset: &str) -> Result<(), DataError> {
        if self.output != OutputLength::FromData {
            return Ok(());
        }
        for position in self.stretches().iter().flat_map(Stretch::positions).flatten() {
            let sample = &self.samples().rows()[position];
            if sample.output_tokens.is_none() {
                return Err(lacks_length(dataset, sample));
            }
        }
        Ok(())
    }
}

/// Says that a row has no length, where answers are to be as long as the data's.
pub(crate) fn lacks_length(dataset: &str, sample: &Sample) -> DataError {
    let help = "name the column with `columns.output-length`, give the data set a `tokenizer`, or \
                fix the length";
    let message = "the output length is to come from the data, and the row has none";
    DataError::new(dataset, message, help).at(format_args!("row {}", sample.row + 1))
}

/// The requests of one phase, in order.
#[derive(Debug)]
pub struct Requests {
    inner: Arc<Inner>,
    phase: usize,
    next: u64,
    bodies: Option<Bodies>,
}

/// Bodies of rows that come again, as far as there is room for them.
#[derive(Debug, Default)]
struct Bodies {
    by_position: HashMap<usize, Bytes>,
    n_bytes: usize,
}

impl Bodies {
    /// Bytes that one phase keeps at most.
    const ROOM: usize = 64 << 20;

    fn keep(&mut self, position: usize, body: &Bytes) {
        if self.n_bytes < Self::ROOM {
            self.n_bytes += body.len();
            self.by_position.insert(position, body.clone());
        }
    }
}

impl Requests {
    fn body(
        &mut self,
        at: usize,
        number: u64,
        max_tokens: Option<u32>,
    ) -> Result<Bytes, DataError> {
        if let Some(body) = self.bodies.as_ref().and_then(|bodies| bodies.by_position.get(&at)) {
            return Ok(body.clone());
        }
        let prompts = &self.inner.prompts;
        let asked = match &self.inner.salt {
            None => prompts.sent(at)?,
            Some((seed, name)) => {
                let mut rng = seed.stream(&format!("{name}/{}/{number}", self.phase));
                let mut asked = prompts.unrendered(at)?;
                add_salt(&mut asked, &mut rng);
                let rendered = prompts.rendered(asked);
                Cow::Owned(rendered.expect("a salt does not change what can be rendered"))
            }
        };
        let body = self.inner.template.body(&asked, max_tokens);
        if let Some(bodies) = &mut self.bodies {
            bodies.keep(at, &body);
        }
        Ok(body)
    }

    fn request(&mut self, position: u64) -> Result<Request, DataError> {
        let inner = Arc::clone(&self.inner);
        let rows = inner.phases[self.phase];
        let at = inner.stretch(rows).position(position);
        let sample = &inner.samples().rows()[at];
        let max_tokens = inner.max_tokens(sample);
        Ok(Request {
            phase: self.phase as u16,
            index: position,
            turn: 0,
            sample: sample.row,
            body: self.body(at, position, max_tokens)?,
            max_tokens: inner.template.limit(max_tokens),
            next_turns: inner.next_turns(sample, rows.speedup)?,
        })
    }
}

impl Iterator for Requests {
    type Item = Request;

    fn next(&mut self) -> Option<Request> {
        if self.inner.phases[self.phase].n.is_some_and(|n| self.next >= n) {
            return None;
        }
        let position = self.next;
        self.next += 1;
        self.request(position).inspect_err(|error| drop(self.inner.failure.set(error.clone()))).ok()
    }

    /// Passes over requests without making their bodies.
    fn nth(&mut self, n: usize) -> Option<Request> {
        self.next = self.next.saturating_add(n as u64);
        self.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self.inner.phases[self.phase].n {
            Some(n) => {
                let left = usize::try_from(n - self.next.min(n)).unwrap_or(usize::MAX);
                (left, Some(left))
            }
            None => (usize::MAX, None),
        }
    }
}

/// Returns how many rows warm-up and measured phases both send.
fn n_shared(cell: &Cell, samples: &Samples) -> u64 {
    if cell.measured_phases().count() == cell.phases.len() {
        return 0;
    }
    let (n_rows, n_measured) = (samples.rows().len() as u64, samples.measured().len() as u64);
    if !samples.warm_up_is_disjoint() {
        return n_rows;
    }
    let needed: u64 = cell.measured_phases().filter_map(|phase| phase.n_requests).sum();
    if samples.cycle || needed > n_rows { 0 } else { needed.saturating_sub(n_measured) }
}

/// Returns the length of the slice that measured phases draw from.
fn n_measured(samples: &Samples, n_shared: u64) -> usize {
    let n = samples.measured().len() as u64 + n_shared;
    n.min(samples.rows().len() as u64) as usize
}

fn lay_out(cell: &Cell, n_rows: usize, samples: &Samples) -> Result<Vec<PhaseRows>, DataError> {
    let n_rows = n_rows as u64;
    let mut start = 0;
    let mut phases = Vec::new();
    for phase in &cell.phases {
        let kind = phase.kind;
        let speedup = match phase.arrivals {
            ArrivalsPlan::Trace { speedup } if speedup > 0.0 => speedup,
            _ => 1.0,
        };
        // A trace's times end with its rows.
        let is_trace = matches!(phase.arrivals, ArrivalsPlan::Trace { .. });
        let cycle = samples.cycle && !is_trace;
        if kind == PhaseKind::WarmUp {
            phases.push(PhaseRows { kind, start: 0, n: warm_up_requests(phase), speedup });
            continue;
        }
        let rows = match (phase.n_requests, phase.duration) {
            (Some(n), _) => {
                if start + n > n_rows && !cycle {
                    return Err(too_few(cell, phase, start + n, n_rows, samples));
                }
                let rows = PhaseRows { kind, start: start as usize, n: Some(n), speedup };
                start = (start + n) % if cycle { n_rows } else { u64::MAX };
                rows
            }
            (None, Some(_)) => {
                let n = (!cycle).then_some(n_rows.saturating_sub(start));
                PhaseRows { kind, start: start as usize, n, speedup }
            }
            (None, None) => PhaseRows { kind, start: 0, n: Some(n_rows), speedup },
        };
        phases.push(rows);
    }
    Ok(phases)
}

/// A warm-up that repeats itself needs as many requests as its most rounds.
fn warm_up_requests(phase: &Phase) -> Option<u64> {
    let rounds = phase.until_steady.map_or(1, |until| u64::from(until.max_rounds.max(1)));
    phase.n_requests.map(|n| n * rounds)
}

fn too_few(cell: &Cell, phase: &Phase, needed: u64, n_rows: u64, samples: &Samples) -> DataError {
    let mut left_out = match told_kinds(&samples.left_out) {
        kinds if kinds.is_empty() => kinds,
        kinds => format!("; left out: {kinds}"),
    };
    if let Some(first) = &samples.first_bad {
        left_out = format!("{left_out}, the first: {first}");
    }
    let rows = if n_rows == 1 { "row" } else { "rows" };
    let help = match phase.arrivals {
        ArrivalsPlan::Trace { .. } => {
            "ask for fewer requests, or give more rows: a trace is sent once, also with `cycle`"
        }
        _ => "ask for fewer requests, give more rows, or set `cycle = true` on the data set",
    };
    DataError::new(
        &cell.dataset,
        format!(
            "{n_rows} {rows} for measuring, phase `{}` of cell `{}` needs {needed}{left_out}",
            phase.name, cell.name
        ),
        help,
    )
}

/// Makes a prompt unlike any other from its first token on.
fn add_salt(asked: &mut Asked, rng: &mut rand::rngs::ChaCha8Rng) {
    let text = words::salt(rng);
    match asked {
        Asked::Text(prompt) => prompt.insert_str(0, &text),
        Asked::Messages(messages, _) => {
            if let Some(first) = messages.first_mut() {
                first.content.get_or_insert_default().insert_str(0, &text);
            }
        }
        // Other tokens of the same prompt in front: its length and vocabulary stay.
        Asked::Tokens(tokens) => {
            let length = tokens.len() as u64;
            for index in 0..tokens.len().min(8) {
                let other = rng.next_u64() % length.max(1);
                tokens.swap(index, other as usize);
            }
        }
    }
}
