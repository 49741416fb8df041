//! Everything that can be known before an engine is started: data, golds, token counts.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use indexmap::IndexMap;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::chat_template::Told;
use crate::datasets::cache::{DatasetCache, NoCacheDir};
use crate::datasets::dataset::{self, DatasetError, Opened, Search};
use crate::datasets::download::Progress;
use crate::datasets::tokenizer;
use crate::ids::CellId;
use crate::load::spec::{NextTurnBody, PhaseLoad, TokenCounter};
use crate::plan::Plan;
use crate::plan::cell::{Api, ArrivalsPlan, Cell, Phase};
use crate::plan::launch::Launch;
use crate::record::golds::{GoldsRecord, QuestionsRecord};
use crate::record::request::{Outcome, RequestRecord};
use crate::record::trial::DatasetRecord;
use crate::run::{RunError, prompts};
use crate::score::pattern::PatternError;
use crate::score::scorer::{GoldError, Scorer};
use crate::seed::Seed;
use crate::telemetry::busy_programs::ProgramTimes;
use crate::workload::arrivals::Arrivals;
use crate::workload::chat::Spoken;
use crate::workload::dataset::{Load, load_with_shots};
use crate::workload::error::DataError;
use crate::workload::input::Input;
use crate::workload::prompts::{Prompts, Question};
use crate::workload::request::{Message, Prompt};
use crate::workload::samples::Samples;
use crate::workload::schedule::{Workload, shared_fields};
use crate::workload::tokenizer::Tokenizer;

/// Prompts that an engine's tokenizer is asked for before each trial.
const QUESTIONS: usize = 10;

/// The data of a plan, read and checked.
pub(crate) struct Prepared {
    datasets: BTreeMap<String, PreparedDataset>,
    /// Hash of the prompts of each cell that can be measured.
    prompts: BTreeMap<CellId, String>,
    /// Raw gold answers by data set, for cells that are scored.
    pub golds: BTreeMap<String, GoldsRecord>,
    /// The questions to them.
    pub questions: BTreeMap<String, QuestionsRecord>,
    /// The scenario file, and the day that chat templates are told, for other clients.
    pub(super) begun: (PathBuf, String),
    /// A look at all programs, taken when all of it was there.
    pub(super) programs: ProgramTimes,
}

struct PreparedDataset {
    samples: Arc<Samples>,
    opened: Opened,
    tokenizer: Option<Arc<Tokenizer>>,
    /// Whether its prompts depend on the day that their template is told.
    asks_for_day: bool,
    /// By the endpoint that they are made for.
    prompts: Vec<(Api, Arc<Prompts>)>,
}

impl PreparedDataset {
    fn prompts(&self, api: Api) -> Option<&Arc<Prompts>> {
        self.prompts.iter().find(|(known, _)| *known == api).map(|(_, prompts)| prompts)
    }
}

/// Why the data cannot be used. No engine has been started then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareError {
    /// Fetched files have no place to go.
    #[error(transparent)]
    NoCacheDir(#[from] NoCacheDir),
    /// The data set cannot be opened.
    #[error(transparent)]
    Open(#[from] DatasetError),
    /// It cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Its gold answers cannot be read.
    #[error("score `{score}` on data set `{dataset}`: {source}")]
    Gold {
        /// Name of the score in the scenario.
        score: String,
        /// Name of the data set in the scenario.
        dataset: String,
        /// Which rows.
        source: Box<GoldError>,
    },
    /// Requests cannot be made from it.
    #[error("cell {cell}: {source}")]
    Requests {
        /// Name of the cell.
        cell: String,
        /// Why.
        source: DataError,
    },
    /// A pattern of the score is not usable.
    #[error("score `{score}`: {source}")]
    Pattern {
        /// Name in the scenario.
        score: String,
        /// Why.
        source: PatternError,
    },
}

/// What takes a while before the first engine starts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Taking<'a> {
    /// A file comes over the network.
    Download(Progress<'a>),
    /// A long file is read.
    Rows {
        /// Data set.
        dataset: &'a str,
        /// Rows so far.
        n: u64,
    },
    /// Prompts are made: rendered, and cut into tokens.
    Prompts {
        /// Data set.
        dataset: &'a str,
        /// Prompts so far.
        n: usize,
        /// All of them.
        n_all: usize,
    },
}

/// The receivers of progress.
pub(crate) struct Listener<'a> {
    /// Gets what was replaced.
    pub tell: &'a mut dyn FnMut(&str),
    /// Told now and then of what takes a while.
    pub on_taking: &'a (dyn Fn(Taking<'_>) + Sync),
}

/// Facts of a run's begin that its data depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun<'a> {
    /// The scenario file, as the user named it.
    pub scenario: &'a Path,
    /// Day that chat templates are told where a data set says none; empty for no day.
    pub template_date: &'a str,
}

/// Reads all data that the plan's cells use.
pub(crate) fn prepare(
    plan: &Plan,
    begun: Begun<'_>,
    listener: &mut Listener<'_>,
) -> Result<Prepared, PrepareError> {
    let mut prepared = Prepared {
        datasets: BTreeMap::new(),
        prompts: BTreeMap::new(),
        golds: BTreeMap::new(),
        questions: BTreeMap::new(),
        begun: (begun.scenario.to_owned(), begun.template_date.to_owned()),
        programs: ProgramTimes::now(),
    };
    let mut scored = BTreeSet::new();
    for cell in &plan.cells {
        if !prepared.datasets.contains_key(&cell.dataset) {
            let dataset = prepare_dataset(plan, &cell.dataset, begun, listener)?;
            prepared.datasets.insert(cell.dataset.clone(), dataset);
        }
        let Some(score) = &cell.score else { continue };
        let golds = prepared.golds.entry(cell.dataset.clone()).or_insert_with(|| {
            let rows = prepared.datasets[&cell.dataset].samples.rows();
            rows.iter().map(|sample| (sample.row, sample.gold.clone())).collect()
        });
        prepared.questions.entry(cell.dataset.clone()).or_insert_with(|| {
            let rows = prepared.datasets[&cell.dataset].samples.rows();
            rows.iter().filter_map(|sample| Some((sample.row, sample.question()?))).collect()
        });
        // Each score reads golds in its own way: all are tried before an engine is started.
        if scored.insert((&cell.dataset, score)) {
            check_golds(plan, score, &cell.dataset, golds)?;
        }
    }
    for cell in plan.cells.iter().filter(|cell| cell.skip.is_none()) {
        make_prompts(plan, cell, &mut prepared, listener)
            .map_err(|source| PrepareError::Requests { cell: cell.name.clone(), source })?;
    }
    prepared.programs = ProgramTimes::now();
    Ok(prepared)
}

/// Makes the prompts that a cell sends, once for all cells that send the same.
///
/// An engine that has started then waits for no prompt. What one trial can send, all can.
fn make_prompts(
    plan: &Plan,
    cell: &Cell,
    prepared: &mut Prepared,
    listener: &Listener<'_>,
) -> Result<(), DataError> {
    let api = cell.request.api;
    let dataset = prepared.datasets.get_mut(&cell.dataset).expect("all data sets were read");
    if dataset.prompts(api).is_none() {
        let (samples, tokenizer) = (Arc::clone(&dataset.samples), dataset.tokenizer.clone());
        let prompts = Prompts::new(&cell.dataset, samples, api, tokenizer);
        dataset.prompts.push((api, Arc::new(prompts)));
    }
    let prompts = dataset.prompts(api).expect("they were added");
    let launch = &plan.launches[&cell.launch];
    let workload = Workload::new(cell, launch, Arc::clone(prompts), plan.seed, 1)?;
    prompts::make(prompts, workload.positions(), &|n, n_all| {
        (listener.on_taking)(Taking::Prompts { dataset: &cell.dataset, n, n_all });
    })?;
    prepared.prompts.insert(cell.id.clone(), workload.prompts_hash()?);
    Ok(())
}

fn prepare_dataset(
    plan: &Plan,
    name: &str,
    begun: Begun<'_>,
    listener: &mut Listener<'_>,
) -> Result<PreparedDataset, PrepareError> {
    let dataset = &plan.datasets[name];
    let on_taking = listener.on_taking;
    let on_download = |progress: Progress<'_>| on_taking(Taking::Download(progress));
    let on_rows = |n| on_taking(Taking::Rows { dataset: name, n });
    let search = Search {
        bases: &dataset::bases(begun.scenario),
        cache: &DatasetCache::from_env()?,
        on_progress: Some(&on_download),
    };
    let mut opened = dataset::open(name, dataset, &search)?;
    let inputs = |files: Vec<(String, File)>| {
        files.into_iter().map(|(name, file)| Input::file(name, file)).collect::<Vec<_>>()
    };
    let rows = inputs(std::mem::take(&mut opened.files));
    let shots = inputs(std::mem::take(&mut opened.shots));
    if let Some(reason) = &opened.fallback {
        (listener.tell)(&format!("data set `{name}`: {reason}; using {}", opened.origin));
    }
    let told = Told {
        name: dataset.template_name.clone(),
        variables: tokenizer::variables(dataset, &search)?,
        day: dataset.day(begun.template_date).to_owned(),
    };
    let mut spoken = Spoken { variables: told.variables.clone(), ..Spoken::default() };
    let mut tokenizer = None;
    if let Some(location) = &dataset.tokenizer {
        let files = tokenizer::open(location, &search)?;
        let read = Arc::new(Tokenizer::from_json(location, &files.tokenizer)?);
        spoken = Spoken::of(dataset, &files.model, &told, &read)?;
        tokenizer = Some(read);
    }
    let asks_for_day = spoken.asks_for_day();
    let scorers = scorers(plan, name);
    let reads_gold = |gold: &str| scorers.iter().all(|scorer| scorer.reads(gold));
    let wanted = Load {
        name,
        plan: dataset,
        seed: plan.seed,
        needs: needs(plan, name),
        tokenizer: tokenizer.as_ref(),
        chat: spoken.chat.as_ref(),
        reads_gold: dataset.source.has_number_golds().then_some(&reads_gold),
        on_progress: Some(&on_rows),
    };
    let samples = load_with_shots(&wanted, rows, shots)?;
    if let Some(trace) = &samples.trace {
        (listener.tell)(&format!("data set `{name}`: {trace}"));
    }
    if let Some(remarks) = samples.remarks() {
        (listener.tell)(&format!("data set `{name}`: rows {remarks}"));
    }
    let samples = Arc::new(samples.told(spoken));
    Ok(PreparedDataset { samples, opened, tokenizer, asks_for_day, prompts: Vec::new() })
}

/// Returns what grades the answers to a data set; a pattern that cannot be used is told later.
fn scorers(plan: &Plan, dataset: &str) -> Vec<Scorer> {
    let cells = plan.cells.iter().filter(|cell| cell.dataset == dataset);
    let scores: BTreeSet<&str> = cells.filter_map(|cell| cell.score.as_deref()).collect();
    scores.into_iter().filter_map(|score| Scorer::new(&plan.scores[score]).ok()).collect()
}

/// Returns the rows that any cell sends at most, warm-up included; `None` when all are sent
/// or time alone ends a phase.
fn needs(plan: &Plan, dataset: &str) -> Option<u64> {
    let cells = plan.cells.iter().filter(|cell| cell.dataset == dataset);
    let reserved = plan.datasets[dataset].reserve_for_warm_up;
    let rows = cells.map(|cell| {
        let all = cell.phases.iter().map(|phase| phase.n_requests).sum::<Option<u64>>()?;
        // More may be kept for the warm-up than one round of it sends.
        let measured: u64 = cell.measured_phases().filter_map(|phase| phase.n_requests).sum();
        Some(all.max(measured + reserved))
    });
    rows.collect::<Option<Vec<u64>>>()?.into_iter().max()
}

fn check_golds(
    plan: &Plan,
    score: &str,
    dataset: &str,
    golds: &GoldsRecord,
) -> Result<(), PrepareError> {
    let scorer = Scorer::new(&plan.scores[score])
        .map_err(|source| PrepareError::Pattern { score: score.to_owned(), source })?;
    scorer.golds(golds.iter()).map(drop).map_err(|source| PrepareError::Gold {
        score: score.to_owned(),
        dataset: dataset.to_owned(),
        source: Box::new(source),
    })
}

impl Prepared {
    /// Makes the day a part of the identity of cells whose prompts depend on it; `day` is that of
    /// the run's begin.
    pub(crate) fn date(&self, plan: &mut Plan, day: &str) {
        for (name, _) in self.datasets.iter().filter(|(_, dataset)| dataset.asks_for_day) {
            let day = plan.datasets[name].day(day).to_owned();
            plan.date(name, &day);
        }
    }

    /// Returns what the data depend on beside the plan.
    pub(super) fn begun(&self) -> Begun<'_> {
        Begun { scenario: &self.begun.0, template_date: &self.begun.1 }
    }

    /// Returns the SHA-256 of each data set, of the recipe where it is generated.
    pub(crate) fn data_sums(&self) -> BTreeMap<String, String> {
        let names = self.datasets.keys();
        names.filter_map(|name| Some((name.clone(), self.data_sum(name)?))).collect()
    }

    /// Returns in what the prompts of a cell differ from those of an earlier trial although its rows
    /// are the same: what renders them is another. Nothing of a cell that cannot be measured.
    pub(crate) fn changed_prompts(&self, cell: &Cell, before: &DatasetRecord) -> Option<String> {
        let (before_hash, now) = (&before.prompts_hash, self.prompts.get(&cell.id)?);
        if before_hash == now || self.data_sum(&cell.dataset)? != before.sha256 {
            return None;
        }
        Some(format!(
            "what renders its prompts (tokenizer, chat template, variables): hash of the prompts \
             {before_hash} -> {now}"
        ))
    }

    fn data_sum(&self, name: &str) -> Option<String> {
        let PreparedDataset { samples, opened, .. } = self.datasets.get(name)?;
        Some(samples.record(name, &opened.origin, None, &opened.sha256, String::new()).sha256)
    }

    /// Returns the files of each data set, in order; none of one that is generated or comes with
    /// the program.
    pub(crate) fn data_files(&self) -> Vec<(String, PathBuf)> {
        let files = self.datasets.iter().flat_map(|(name, dataset)| {
            dataset.opened.paths.iter().map(|path| (name.clone(), path.clone()))
        });
        files.collect()
    }

    /// Returns the fields that all requests of a cell share, by name.
    pub(super) fn shared_fields(&self, cell: &Cell, launch: &Launch) -> BTreeMap<String, Value> {
        shared_fields(cell, launch, &self.datasets[&cell.dataset].samples)
    }

    /// Lays out what one trial of a cell sends.
    pub(super) fn workload(
        &self,
        cell: &Cell,
        launch: &Launch,
        seed: Seed,
        trial: u32,
    ) -> Result<CellWorkload, RunError> {
        let dataset = &self.datasets[&cell.dataset];
        let in_cell = |why: String| RunError::Workload { cell: cell.name.clone(), why };
        let in_data = |error: DataError| in_cell(error.to_string());
        let prompts = dataset.prompts(cell.request.api).expect("all cells were prepared");
        let workload =
            Workload::new(cell, launch, Arc::clone(prompts), seed, trial).map_err(in_data)?;
        let record = dataset.samples.record(
            &cell.dataset,
            &dataset.opened.origin,
            dataset.opened.fallback.clone(),
            &dataset.opened.sha256,
            workload.prompts_hash().map_err(in_data)?,
        );
        let record =
            DatasetRecord { n_shared_with_warm_up: workload.n_shared_with_warm_up(), ..record };
        let mut phases = Vec::new();
        for (idx, phase) in cell.phases.iter().enumerate() {
            let arrivals = arrivals(&workload, idx, phase, seed).map_err(&in_cell)?;
            phases.push(PhaseLoad {
                plan: phase.clone(),
                arrivals,
                requests: Box::new(workload.requests(idx)),
            });
        }
        let n_requests = (0..cell.phases.len()).map(|idx| workload.len(idx)).collect();
        let tokenizer = dataset.tokenizer.clone();
        let positions: BTreeSet<usize> = workload.positions().take(QUESTIONS).collect();
        let questions = positions.into_iter().filter_map(|at| prompts.question(at)).collect();
        let known = Some(KnownPrompts {
            prompts: Arc::clone(prompts),
            salted: cell.request.salt,
            next_turns: HashMap::new(),
        });
        Ok(CellWorkload {
            phases,
            n_requests,
            record,
            questions,
            known,
            tokenizer,
            requests: workload,
        })
    }
}

/// Prompts whose tokens are known by the data set's tokenizer.
pub(super) struct KnownPrompts {
    prompts: Arc<Prompts>,
    /// Whether each is sent behind a salt, whose tokens are not among them.
    salted: bool,
    /// The hash of the next turn of each conversation that goes on, by phase and index.
    next_turns: HashMap<(u16, u64), u64>,
}

impl KnownPrompts {
    /// Writes into a record what is known of its prompt; `answer` is what came. A salt is another
    /// one in each cell and trial: without it the same rows can be compared, and their number of
    /// tokens is not what was sent.
    pub(super) fn tell(&mut self, record: &mut RequestRecord, answer: Option<&str>) {
        let conversation = (record.phase, record.index);
        if record.turn == 0 {
            let ids = self.prompts.ids_of(record.sample);
            record.prompt_tokens_counted = ids.filter(|_| !self.salted).map(|ids| ids.n);
            record.prompt_ids_hash = ids.map(|ids| ids.hash);
        } else {
            record.prompt_ids_hash = self.next_turns.remove(&conversation);
        }
        let next = record.prompt_ids_hash.zip(answer).and_then(|(hash, answer)| {
            self.prompts.hash_of_next(record.sample, record.turn, hash, answer)
        });
        if let Some(next) = next.filter(|_| record.outcome == Outcome::Ok) {
            self.next_turns.insert(conversation, next);
        }
    }
}

/// What one trial of a cell sends.
pub(super) struct CellWorkload {
    pub(super) phases: Vec<PhaseLoad>,
    /// Requests of each phase; `None` where time alone ends it.
    pub(super) n_requests: Vec<Option<u64>>,
    pub(super) record: DatasetRecord,
    /// Some of the prompts, as an engine's tokenizer is asked for them.
    pub(super) questions: Vec<Question>,
    /// What is known of the prompts; the first trial to end takes it.
    pub(super) known: Option<KnownPrompts>,
    tokenizer: Option<Arc<Tokenizer>>,
    requests: Workload,
}

impl CellWorkload {
    /// Returns where all its requests are made, which says why they ended before their time.
    pub(super) fn requests(&self) -> Workload {
        self.requests.clone()
    }

    /// Returns how many requests a phase has, where not its time alone ends it.
    pub(super) fn n_requests_of(&self, phase: u16) -> Option<u64> {
        self.n_requests.get(usize::from(phase)).copied().flatten()
    }

    /// Leaves out requests of a phase that an earlier attempt sent: answers drive it, so that none
    /// has an instant of its own.
    pub(super) fn leave_out(&mut self, phase: u16, sent: BTreeSet<u64>) {
        if sent.is_empty() {
            return;
        }
        let place = usize::from(phase);
        let load = &mut self.phases[place];
        let n_left = self.n_requests[place].map(|n| n.saturating_sub(sent.len() as u64));
        (self.n_requests[place], load.plan.n_requests) = (n_left, n_left);
        let all = std::mem::replace(&mut load.requests, Box::new(std::iter::empty()));
        load.requests = Box::new(all.filter(move |request| !sent.contains(&request.index)));
    }

    /// Returns what counts the tokens of answers, if the data set names a tokenizer.
    pub(super) fn token_counter(&self) -> Option<TokenCounter> {
        let tokenizer = Arc::clone(self.tokenizer.as_ref()?);
        Some(Arc::new(move |text: &str| {
            tokenizer.ends(text).expect("a tokenizer that has encoded the prompts encodes text")
        }))
    }
}

fn arrivals(
    workload: &Workload,
    idx: usize,
    phase: &Phase,
    seed: Seed,
) -> Result<Arrivals, String> {
    let times = match phase.arrivals {
        ArrivalsPlan::Trace { .. } => workload.trace_times(idx).unwrap_or_default(),
        _ => Vec::new(),
    };
    // A warm-up that repeats itself has requests for all its rounds; each round sends its own.
    let n_requests = phase.n_requests.or(workload.len(idx));
    Arrivals::new(&phase.arrivals, n_requests, phase.duration, seed, &times)
        .map_err(|error| error.to_string())
}

/// Returns what makes the body of a conversation's next turn: the history grows by the answer
/// and by what is asked next.
pub(super) fn next_turn() -> NextTurnBody {
    Arc::new(|body, answer, turn| {
        let failed = |error: serde_json::Error| error.to_string();
        // What was sent before is sent again to the byte: an engine may hold its prefix.
        let mut body: IndexMap<String, Box<RawValue>> =
            serde_json::from_slice(body).map_err(failed)?;
        let sent = body.get("messages").ok_or("a conversation needs the chat endpoint")?;
        let mut messages: Vec<Box<RawValue>> = serde_json::from_str(sent.get()).map_err(failed)?;
        let asked = match &turn.prompt {
            Prompt::Text(text) => vec![Message::new("user", text)],
            Prompt::Messages(own) => own.clone(),
            Prompt::Tokens(_) | Prompt::OfLength(_) => {
                return Err("a turn of a conversation cannot be token ids".into());
            }
        };
        for message in [Message::new("assistant", answer)].iter().chain(&asked) {
            messages.push(to_raw_value(message).map_err(failed)?);
        }
        body.insert("messages".to_owned(), to_raw_value(&messages).map_err(failed)?);
        // Only where the engine takes that field; `quirks.omit` leaves it out.
        if let (Some(limit), Some(field)) = (turn.max_tokens, body.get_mut("max_tokens")) {
            *field = to_raw_value(&limit).map_err(failed)?;
        }
        serde_json::to_vec(&body).map(Bytes::from).map_err(failed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Nanos;
    use crate::workload::request::NextTurn;

    fn next(text: &str, max_tokens: Option<u32>) -> NextTurn {
        let prompt = Prompt::Text(text.to_owned());
        NextTurn { prompt, delay: Nanos::ZERO, not_before: Nanos::ZERO, max_tokens }
    }

    #[test]
    fn the_next_turn_holds_the_answers_so_far() {
        let turn = |body: &str, answer: &str, asked: &str| {
            let asked = next(asked, Some(7));
            let body = next_turn()(body.as_bytes(), answer, &asked).unwrap();
            String::from_utf8(body.to_vec()).unwrap()
        };
        let first =
            r#"{"messages":[{"role":"user","content":"Who?"}],"max_tokens":5,"temperature":0.0}"#;
        let third = turn(&turn(first, "Ann.", "Why?"), "So.", "Since when?");
        insta::assert_snapshot!(third, @r#"{"messages":[{"role":"user","content":"Who?"},{"role":"assistant","content":"Ann."},{"role":"user","content":"Why?"},{"role":"assistant","content":"So."},{"role":"user","content":"Since when?"}],"max_tokens":7,"temperature":0.0}"#);
    }

    #[test]
    fn a_conversation_needs_the_chat_endpoint() {
        let error = next_turn()(br#"{"prompt":"Who?"}"#, "Ann.", &next("", None));
        assert_eq!(error.unwrap_err(), "a conversation needs the chat endpoint");
    }
}
