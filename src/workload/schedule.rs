//! Which request of a trial is made from which row: the requests of each phase, built lazily.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use rand::Rng as _;
use sha2::{Digest as _, Sha256};

use crate::ids::hex;
use crate::plan::cell::{Api, Cell, OutputLength, Phase};
use crate::plan::launch::Launch;
use crate::record::trial::PhaseKind;
use crate::seed::Seed;
use crate::units::Nanos;
use crate::workload::body::{Asked, BodyTemplate, asked};
use crate::workload::error::DataError;
use crate::workload::request::{Request, Sample};
use crate::workload::samples::Samples;
use crate::workload::tokenizer::Tokenizer;

/// All requests of one trial. Cheap to clone; bodies are written when they are asked for.
#[derive(Clone, Debug)]
pub struct Workload {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    samples: Arc<Samples>,
    template: BodyTemplate,
    output: OutputLength,
    phases: Vec<PhaseRows>,
    /// Rows kept for warm-up that measured phases need all the same.
    n_shared: u64,
    /// Present when each prompt is to be unlike any other: the seed and the trial.
    salt: Option<(Seed, String)>,
}

/// The rows of one phase: from a slice of the samples, beginning at `start`, going round.
#[derive(Clone, Copy, Debug)]
struct PhaseRows {
    kind: PhaseKind,
    start: usize,
    /// Requests that the phase can send; `None` without end.
    n: Option<u64>,
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
    /// When rows are too few and the data set does not `cycle`, when the endpoint cannot take
    /// this kind of prompt, or when a row lacks the output length that the cell wants from it.
    pub fn new(
        cell: &Cell,
        launch: &Launch,
        samples: Arc<Samples>,
        seed: Seed,
        trial: u32,
    ) -> Result<Self, DataError> {
        let template = BodyTemplate::new(&cell.request, launch)?;
        if samples.rows().is_empty() {
            let help = "give the data set more rows, or a larger `limit`";
            return Err(DataError::new(&cell.dataset, "no row to make requests from", help));
        }
        let n_shared = n_shared(cell, &samples);
        let phases = lay_out(cell, n_measured(&samples, n_shared), samples.cycle)?;
        let salt = cell.request.salt.then(|| (seed, format!("salt/{}/{trial}", cell.id)));
        let output = cell.request.output;
        let inner = Inner { samples, template, output, phases, n_shared, salt };
        inner.check_rows(&cell.dataset)?;
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
            bodies: (goes_round && self.inner.salt.is_none()).then(HashMap::new),
        }
    }

    /// Returns the trace's instants of a phase's requests, from the phase's first one.
    ///
    /// `None` when a row has no time.
    pub fn trace_times(&self, phase: usize) -> Option<Vec<Nanos>> {
        let n = usize::try_from(self.len(phase)?).ok()?;
        let rows = self.inner.phases[phase];
        let slice = self.inner.slice(rows.kind);
        let times: Vec<Nanos> =
            slice.iter().skip(rows.start).take(n).map(|sample| sample.at).collect::<Option<_>>()?;
        let first = *times.first()?;
        Some(times.into_iter().map(|at| at.saturating_sub(first)).collect())
    }

    /// Returns the number of rows that warm-up and measured phases both send.
    pub fn n_shared_with_warm_up(&self) -> u64 {
        self.inner.n_shared
    }

    /// Returns the prompt tokens of each row by a tokenizer, where the endpoint takes prompts as
    /// they are: a chat endpoint adds what its template says, and a salt differs each time.
    ///
    /// # Errors
    /// When a prompt cannot be encoded.
    pub fn prompt_tokens(&self, tokenizer: &Tokenizer) -> Result<HashMap<u64, u32>, DataError> {
        let mut counts = HashMap::new();
        if self.inner.salt.is_some() {
            return Ok(counts);
        }
        for sample in self.inner.samples.rows() {
            let asked = self.inner.asked(sample).and_then(|asked| self.inner.rendered(asked));
            let n_tokens = match asked {
                Ok(Asked::Text(text)) => tokenizer.count(&text)?,
                Ok(Asked::Tokens(tokens)) => tokens.len() as u32,
                // Rows that cannot be sent have been refused before.
                Ok(Asked::Messages(_)) | Err(_) => continue,
            };
            counts.insert(sample.row, n_tokens);
        }
        Ok(counts)
    }

    /// Returns the first twelve digits of the SHA-256 over all prompts in the order sent.
    ///
    /// Each prompt counts as JSON and a line end, without salt, so that trials and engines
    /// can be compared. A phase that only time ends counts with one round of its rows.
    pub fn prompts_hash(&self) -> String {
        let mut hasher = Sha256::new();
        for rows in &self.inner.phases {
            let slice = self.inner.slice(rows.kind);
            let n = rows.n.unwrap_or(slice.len() as u64);
            for position in 0..n {
                let sample = self.inner.sample(*rows, position);
                let asked = self.inner.asked(sample).and_then(|asked| self.inner.rendered(asked));
                if let Ok(asked) = asked {
                    asked.hash_into(&mut hasher);
                }
            }
        }
        let mut digits = hex(&hasher.finalize());
        digits.truncate(12);
        digits
    }
}

impl Inner {
    fn slice(&self, kind: PhaseKind) -> &[Sample] {
        match kind {
            PhaseKind::WarmUp => self.samples.warm_up(),
            PhaseKind::Measure => &self.samples.rows()[..n_measured(&self.samples, self.n_shared)],
        }
    }

    fn sample(&self, rows: PhaseRows, position: u64) -> &Sample {
        let slice = self.slice(rows.kind);
        let index = (rows.start as u64 + position) % slice.len() as u64;
        &slice[index as usize]
    }

    /// Returns what a row asks; as messages when they are rendered here, whatever the endpoint.
    fn asked(&self, sample: &Sample) -> Result<Asked, String> {
        let api = self.template.api();
        let api = match (&self.samples.chat, api) {
            (None, api) => api,
            (Some(_), Api::Completions) => Api::Chat,
            (Some(_), Api::Chat) => {
                return Err("the chat endpoint renders messages itself; `chat-template` is for \
                            api = \"completions\""
                    .to_owned());
            }
        };
        let first = sample.turns.first().ok_or("a row asks nothing")?;
        asked(api, self.samples.system.as_deref(), &self.samples.prefix, first)
            .map_err(str::to_owned)
    }

    fn rendered(&self, asked: Asked) -> Result<Asked, String> {
        match &self.samples.chat {
            Some(chat) => chat.rendered(asked),
            None => Ok(asked),
        }
    }

    fn max_tokens(&self, sample: &Sample) -> Option<u32> {
        match self.output {
            OutputLength::Natural { max_tokens } => Some(max_tokens),
            OutputLength::Fixed { tokens } => Some(tokens),
            OutputLength::FromData => sample.output_tokens,
        }
    }

    /// Finds out before anything starts whether every row can be sent.
    fn check_rows(&self, dataset: &str) -> Result<(), DataError> {
        for sample in self.samples.rows() {
            let place = format!("row {}", sample.row + 1);
            if let Err(message) = self.asked(sample).and_then(|asked| self.rendered(asked)) {
                return Err(DataError::new(dataset, message, "").at(place));
            }
            if sample.turns.len() > 1 && self.template.api() != Api::Chat {
                let help = "set api = \"chat\", or multi-turn = false";
                let message = "a conversation of several turns needs the chat endpoint";
                return Err(DataError::new(dataset, message, help).at(place));
            }
            if self.max_tokens(sample).is_none() {
                let help = "name the column with `columns.output-length`, give the data set a \
                            `tokenizer`, or fix the length";
                let message = "the output length is to come from the data, and the row has none";
                return Err(DataError::new(dataset, message, help).at(place));
            }
        }
        Ok(())
    }
}

/// The requests of one phase, in order.
#[derive(Debug)]
pub struct Requests {
    inner: Arc<Inner>,
    phase: usize,
    next: u64,
    bodies: Option<HashMap<u64, Bytes>>,
}

impl Requests {
    fn body(&mut self, sample: &Sample, position: u64, max_tokens: Option<u32>) -> Bytes {
        if let Some(body) = self.bodies.as_ref().and_then(|bodies| bodies.get(&sample.row)) {
            return body.clone();
        }
        let mut asked = self.inner.asked(sample).expect("all rows were checked when it was made");
        if let Some((seed, name)) = &self.inner.salt {
            let mut rng = seed.stream(&format!("{name}/{}/{position}", self.phase));
            add_salt(&mut asked, &mut rng);
        }
        let asked =
            self.inner.rendered(asked).expect("a salt does not change what can be rendered");
        let body = self.inner.template.body(&asked, max_tokens);
        if let Some(bodies) = &mut self.bodies {
            bodies.insert(sample.row, body.clone());
        }
        body
    }
}

impl Iterator for Requests {
    type Item = Request;

    fn next(&mut self) -> Option<Request> {
        let inner = Arc::clone(&self.inner);
        let rows = inner.phases[self.phase];
        if rows.n.is_some_and(|n| self.next >= n) {
            return None;
        }
        let position = self.next;
        self.next += 1;
        let sample = inner.sample(rows, position);
        let max_tokens = inner.max_tokens(sample);
        Some(Request {
            phase: self.phase as u16,
            index: position,
            turn: 0,
            sample: sample.row,
            body: self.body(sample, position, max_tokens),
            max_tokens,
            next_turns: sample.turns[1..].to_vec(),
        })
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
    if cell.phases.iter().all(|phase| phase.kind == PhaseKind::Measure) {
        return 0;
    }
    let (n_rows, n_measured) = (samples.rows().len() as u64, samples.measured().len() as u64);
    if !samples.warm_up_is_disjoint() {
        return n_rows;
    }
    let counts = cell.phases.iter().filter(|phase| phase.kind == PhaseKind::Measure);
    let needed: u64 = counts.filter_map(|phase| phase.n_requests).sum();
    if samples.cycle || needed > n_rows { 0 } else { needed.saturating_sub(n_measured) }
}

/// Returns the length of the slice that measured phases draw from.
fn n_measured(samples: &Samples, n_shared: u64) -> usize {
    let n = samples.measured().len() as u64 + n_shared;
    n.min(samples.rows().len() as u64) as usize
}

fn lay_out(cell: &Cell, n_rows: usize, cycle: bool) -> Result<Vec<PhaseRows>, DataError> {
    let n_rows = n_rows as u64;
    let mut start = 0;
    let mut phases = Vec::new();
    for phase in &cell.phases {
        if phase.kind == PhaseKind::WarmUp {
            phases.push(PhaseRows { kind: phase.kind, start: 0, n: warm_up_requests(phase) });
            continue;
        }
        let rows = match (phase.n_requests, phase.duration) {
            (Some(n), _) => {
                if start + n > n_rows && !cycle {
                    return Err(too_few(cell, phase, start + n, n_rows));
                }
                let rows = PhaseRows { kind: phase.kind, start: start as usize, n: Some(n) };
                start = (start + n) % if cycle { n_rows } else { u64::MAX };
                rows
            }
            (None, Some(_)) => PhaseRows {
                kind: phase.kind,
                start: start as usize,
                n: (!cycle).then_some(n_rows.saturating_sub(start)),
            },
            (None, None) => PhaseRows { kind: phase.kind, start: 0, n: Some(n_rows) },
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

fn too_few(cell: &Cell, phase: &Phase, needed: u64, n_rows: u64) -> DataError {
    DataError::new(
        &cell.dataset,
        format!(
            "{n_rows} rows for measuring, phase `{}` of cell `{}` needs {needed}",
            phase.name, cell.name
        ),
        "ask for fewer requests, give more rows, or set `cycle = true` on the data set",
    )
}

/// Makes a prompt unlike any other from its first token on.
fn add_salt(asked: &mut Asked, rng: &mut rand::rngs::ChaCha8Rng) {
    let salt = rng.next_u64();
    let text = format!("[{salt:016x}]\n");
    match asked {
        Asked::Text(prompt) => prompt.insert_str(0, &text),
        Asked::Messages(messages) => {
            if let Some(first) = messages.first_mut() {
                first.content.insert_str(0, &text);
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
