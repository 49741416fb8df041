//! What can be seen of data sets before a run: whether they are here, and their first rows.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::chat_template::Told;
use crate::cli::today::today;
use crate::cli::{check_tools, dataset_line};
use crate::datasets::cache::DatasetCache;
use crate::datasets::dataset::{self, DatasetError, Search};
use crate::datasets::known::Known;
use crate::datasets::tokenizer;
use crate::diagnostic::suggest::{did_you_mean, nearest};
use crate::diagnostic::{Diagnostic, Diagnostics, Label, Severity};
use crate::ids::content_hash;
use crate::plan::cell::{Cell, DatasetPlan, OutputLength, Phase, ScorePlan, Source};
use crate::plan::expand::{Expanded, Parts};
use crate::plan::paths::is_path;
use crate::plan::{Plan, data_files};
use crate::record::trial::PhaseKind;
use crate::scenario::Scenario;
use crate::score::scorer::Scorer;
use crate::seed::Seed;
use crate::workload::arrivals::Arrivals;
use crate::workload::body::TOOLS;
use crate::workload::chat::Spoken;
use crate::workload::dataset::{Load, load};
use crate::workload::error::DataError;
use crate::workload::input::Input;
use crate::workload::prompts::Prompts;
use crate::workload::samples::Samples;
use crate::workload::schedule::{self, Workload};
use crate::workload::tokenizer::Tokenizer;

/// Time that a look at one data set may take.
const LIMIT: Duration = Duration::from_secs(1);
/// Rows that are looked at first.
const HEAD: u64 = 64;
/// So many are all rows that there are.
const ALL: u64 = u64::MAX;
/// Cells of one data set whose requests are counted against its rows.
const MAX_CELLS: usize = 16;

/// What a look at one data set needs.
#[derive(Clone)]
struct Look {
    name: String,
    plan: DatasetPlan,
    score: Option<ScorePlan>,
    bases: Vec<PathBuf>,
    seed: Seed,
    /// Whether answers are to be as long as the rows say.
    wants_lengths: bool,
}

/// Why a data set cannot be used as the scenario says.
struct Trouble {
    /// The key that is to blame.
    key: &'static str,
    message: String,
    help: String,
    /// Whether the data set is only unknown: the fault lies elsewhere.
    is_unseen: bool,
}

/// What a look at one data set saw.
struct Looked {
    /// The rows that its requests need, where these are counted and were read in time.
    samples: Option<Samples>,
    /// What is told of it.
    line: String,
    /// Whether its requests have tools.
    has_tools: bool,
}

/// What a look at data sets found.
#[derive(Default)]
pub(crate) struct Seen {
    /// What is wrong with them, and which were not read.
    pub(crate) found: Diagnostics,
    /// A line for each that was read.
    pub(crate) lines: Vec<String>,
}

/// Looks at the head of each data set that is on this machine; says of which it did not.
pub(crate) fn look(
    scenario: &Scenario,
    expanded: &Expanded,
    path: &Path,
    told: &Diagnostics,
) -> Seen {
    look_at(scenario, (&expanded.plan, &expanded.parts), path, told)
}

/// Looks at the data sets of a plan.
pub(crate) fn look_at_plan(scenario: &Scenario, plan: &Plan, path: &Path) -> Seen {
    look_at(scenario, (plan, &Parts::default()), path, &Diagnostics::default())
}

fn look_at(
    scenario: &Scenario,
    (plan, parts): (&Plan, &Parts),
    path: &Path,
    told: &Diagnostics,
) -> Seen {
    let has_errors = told.has_errors();
    let mut seen_all = Seen::default();
    let bases = dataset::bases(path);
    let mut seen = BTreeSet::new();
    let of_cells = plan.cells.iter().filter_map(|cell| {
        let score = cell.score.as_ref().and_then(|score| plan.scores.get(score));
        Some((&cell.dataset, plan.datasets.get(&cell.dataset)?, score))
    });
    let of_parts = parts.datasets.iter();
    let of_parts = of_parts.map(|(name, plan, score)| (name, plan, score.as_ref()));
    for (variant, dataset, score) in of_cells.chain(of_parts) {
        let name = variant.split('~').next().unwrap_or(variant);
        // Where a value is wrong, what the rows are held against is not known.
        if !seen.insert(content_hash(&(dataset, score))) || scenario.is_guess(&["dataset", name]) {
            continue;
        }
        if is_told(scenario, name, told) {
            continue;
        }
        let look = Look {
            name: name.to_string(),
            plan: dataset.clone(),
            // That there are no golds to grade against is told where the two are put together.
            score: score.filter(|_| dataset.has_golds()).cloned(),
            bases: bases.clone(),
            seed: plan.seed,
            // Generated prompts are asked for theirs by the grammar.
            wants_lengths: dataset.source != Source::Random
                && plan.cells.iter().any(|cell| {
                    cell.dataset == *variant && cell.request.output == OutputLength::FromData
                }),
        };
        let needs = if has_errors { None } else { needs(plan, variant) };
        let looked = within_the_limit(&look, needs);
        let trouble = looked.and_then(|Looked { samples, line, has_tools }| {
            seen_all.lines.extend(Some(line).filter(|line| !line.is_empty()));
            if has_tools {
                seen_all.found.extend(check_tools::look(scenario, plan, variant));
            }
            let Some(samples) = samples else { return Ok(()) };
            let ran_out = requests(scenario, plan, variant, &samples)?;
            seen_all.found.extend(ran_out);
            Ok(())
        });
        if let Err(trouble) = trouble {
            seen_all.found.push(trouble.told(scenario, name));
        }
    }
    seen_all
}

/// Whether it is told already that a data set, or its place, is not what it should be: what follows
/// from that is no second mistake.
fn is_told(scenario: &Scenario, name: &str, told: &Diagnostics) -> bool {
    let of_key = |key: &&str| {
        let path = ["dataset", name, *key];
        [scenario.at(&path, ""), scenario.value_at(&path)]
    };
    let keys = ["location", "input-words", "input-tokens", "output-tokens"];
    let mut places: Vec<Option<Label>> = keys.iter().flat_map(of_key).collect();
    places.push(scenario.at(&["dataset", name], ""));
    // A source in which a secret is masked is a copy of its name.
    let is_there = |label: &Label| {
        let is_same =
            |place: &Label| place.source.name == label.source.name && place.span == label.span;
        places.iter().flatten().any(is_same)
    };
    told.iter()
        .filter(|finding| finding.severity == Severity::Error)
        .any(|finding| finding.labels.first().is_some_and(is_there))
}

/// Looks at a data set's head and then, for requests that are counted, at as many rows as they
/// need. What is not read in time is not waited for.
fn within_the_limit(look: &Look, needs: Option<u64>) -> Result<Looked, Trouble> {
    let end = Instant::now() + LIMIT;
    let (to, results) = mpsc::channel();
    let mine = look.clone();
    let reader = std::thread::spawn(move || {
        let head = rows(&mine, HEAD);
        let is_all = head.as_ref().is_ok_and(|samples| samples.n_samples < HEAD);
        let goes_on = head.is_ok() && !is_all;
        let is_enough = is_all || needs.is_some_and(|needs| needs <= HEAD);
        let sent = to.send((head, is_enough, is_all));
        if let (true, true, Some(needs)) = (goes_on, sent.is_ok(), needs.filter(|n| *n > HEAD)) {
            // The receiver may have gone: it waits for its limit alone.
            let _ = to.send((rows(&mine, needs), true, false));
        }
    });
    let (mut samples, mut line) = (None, None);
    let mut has_tools = look.plan.chat_template_kwargs.contains_key(TOOLS);
    loop {
        match results.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok((read, is_enough, is_all)) => {
                let read = read?;
                has_tools |= read.rows().iter().any(|row| row.tools.is_some());
                line.get_or_insert_with(|| dataset_line::told(&look.name, &read, is_all));
                samples = (is_enough && needs.is_some()).then_some(read);
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                // What breaks the reader breaks the check: a scenario is not well for it.
                if let Err(panic) = reader.join() {
                    std::panic::resume_unwind(panic);
                }
                return Ok(Looked { samples, line: line.unwrap_or_default(), has_tools });
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                if let Some(line) = line {
                    return Ok(Looked { samples: None, line, has_tools });
                }
                return Err(Trouble {
                    key: "location",
                    message: format!("its rows could not be read within {} s", LIMIT.as_secs()),
                    help: "`bench run` reads them all before it starts an engine".into(),
                    is_unseen: true,
                });
            }
        }
    }
}

/// Reads the first rows of a data set, and their golds where a score grades them.
fn rows(look: &Look, n: u64) -> Result<Samples, Trouble> {
    let mut cache = DatasetCache::from_env().map_err(|error| Trouble {
        key: "location",
        message: error.to_string(),
        help: String::new(),
        is_unseen: true,
    })?;
    cache.offline = Some("a check only looks");
    let search = Search { bases: &look.bases, cache: &cache, on_progress: None };
    let plan = &look.plan;
    named(plan)?;
    let location = plan.location.as_deref();
    let files = dataset::peek(&look.name, plan, &search)
        .map_err(|error| absent(&error, "location", location))?;
    let variables = tokenizer::variables(plan, &search)
        .map_err(|error| absent(&error, "chat-template-kwargs", None))?;
    let (mut tokenizer, mut spoken) = (None, Spoken::default());
    if let Some(place) = &plan.tokenizer {
        let files = tokenizer::open(place, &search)
            .map_err(|error| absent(&error, "tokenizer", Some(place)))?;
        let read = Tokenizer::from_json(place, &files.tokenizer)
            .map_err(|error| wrong(&error, "tokenizer"))?;
        let told = Told {
            name: plan.template_name.clone(),
            variables,
            day: plan.day(&today()).to_owned(),
        };
        let read = Arc::new(read);
        spoken = Spoken::of(plan, &files.model, &told, &read)
            .map_err(|error| wrong(&error, "chat-template"))?;
        tokenizer = Some(read);
    }
    // In file order, and without the worked examples, whose file may be another one.
    let mut plan = DatasetPlan {
        limit: Some(plan.limit.map_or(n, |limit| limit.min(n))).filter(|limit| *limit < ALL),
        shuffle: false,
        n_shots: 0,
        ..plan.clone()
    };
    let is_table =
        matches!(plan.source, Source::Jsonl | Source::Csv | Source::Parquet | Source::Trace);
    if is_table && look.score.is_some() {
        // Asked for by name, a missing one is told with the columns that there are.
        plan.columns.entry("answer".into()).or_insert_with(|| "answer".into());
    }
    let scorer = look.score.as_ref().and_then(|score| Scorer::new(score).ok());
    let reads_gold = |gold: &str| scorer.as_ref().is_none_or(|scorer| scorer.reads(gold));
    let wanted = Load {
        name: &look.name,
        plan: &plan,
        seed: look.seed,
        needs: None,
        tokenizer: tokenizer.as_ref(),
        chat: spoken.chat.as_ref(),
        reads_gold: plan.source.has_number_golds().then_some(&reads_gold),
        on_progress: None,
    };
    let inputs = files.into_iter().map(|(name, file)| Input::file(name, file)).collect();
    let samples = load(&wanted, inputs).map_err(|error| wrong(&error, "location"))?;
    let has_lengths = || samples.rows().iter().any(|sample| sample.output_tokens.is_some());
    let first = samples.rows().first().filter(|_| look.wants_lengths);
    if let Some(first) = first.filter(|_| !has_lengths()) {
        return Err(wrong(&schedule::lacks_length(&look.name, first), "location"));
    }
    // A pattern that cannot be used is told where it stands.
    if let Some(scorer) = &scorer {
        let golds = samples.rows().iter().map(|sample| (sample.row, sample.gold.as_deref()));
        scorer.golds(golds).map_err(|error| Trouble {
            key: "location",
            message: error.to_string(),
            help: "mend these rows, or set `gold` in the score to a pattern that reads them".into(),
            is_unseen: false,
        })?;
    }
    Ok(samples)
}

/// Finds a split that a known data set does not have, and a fallback that is not there. Whether
/// either is asked for shows only where the data set itself is not here.
fn named(plan: &DatasetPlan) -> Result<(), Trouble> {
    let known = Known::of(plan.source).filter(|_| plan.location.is_none());
    if let (Some(known), Some(split)) = (known, plan.split.as_deref())
        && !known.splits.contains(&split)
    {
        return Err(Trouble {
            key: "split",
            message: format!("`{}` has no split `{split}`", known.name),
            help: did_you_mean(split, known.splits.iter().copied(), "its splits")
                .unwrap_or_default(),
            is_unseen: false,
        });
    }
    if let Some(fallback) = plan.fallback.as_ref().filter(|path| !path.exists()) {
        let near = neighbour(fallback).map(|near| format!("did you mean `{near}`?"));
        return Err(Trouble {
            key: "fallback",
            message: format!("there is no file {}", fallback.display()),
            help: near.unwrap_or_else(|| "a path is relative to the scenario file".to_owned()),
            is_unseen: false,
        });
    }
    Ok(())
}

/// A data set or tokenizer that cannot be opened. A path has to be there; what a run would fetch
/// is only not known yet.
fn absent(error: &DatasetError, key: &'static str, place: Option<&str>) -> Trouble {
    let path = place.filter(|place| is_path(place)).map(Path::new);
    let (message, help) = match (error, path) {
        // A folder that lacks a part, and a pattern that nothing fits, say it themselves.
        (DatasetError::Missing { .. }, Some(path)) if !path.exists() && !is_pattern(path) => {
            let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            if let Ok(target) = std::fs::read_link(path) {
                let message = format!(
                    "{} is a link to {}, which is not there",
                    whole.display(),
                    target.display()
                );
                let help = "fetch the file again: a cache may have been pruned".to_owned();
                return Trouble { key, message, help, is_unseen: false };
            }
            let help = neighbour(&whole).map(|near| format!("did you mean `{near}`?"));
            (format!("there is no file {}", whole.display()), help)
        }
        (DatasetError::Missing { is_remote: true, .. }, None) => {
            let what = place.map_or_else(|| "it".to_string(), |place| format!("{key} `{place}`"));
            let help = "`bench run` fetches it before it starts an engine";
            (format!("{what} is not on this machine"), Some(help.to_string()))
        }
        _ => (error.to_string(), None),
    };
    let is_unseen =
        path.is_none() && matches!(error, DatasetError::Missing { is_remote: true, .. });
    Trouble { key, message, help: help.unwrap_or_else(|| error.help()), is_unseen }
}

fn wrong(error: &DataError, key: &'static str) -> Trouble {
    let key = if error.is_of_prompt() { "prompt" } else { key };
    Trouble { key, message: error.to_string(), help: error.help.clone(), is_unseen: false }
}

fn is_pattern(path: &Path) -> bool {
    path.to_str().is_some_and(data_files::is_pattern)
}

/// Returns the name in a path's directory that is nearest to its own.
pub(crate) fn neighbour(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let entries = std::fs::read_dir(path.parent()?).ok()?.take(1000).flatten();
    let names: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    // An ending that both have makes them no more alike.
    let stem =
        |name: &str| Path::new(name).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let is_like = |other: &str| {
        Path::new(other).extension() != Path::new(name).extension()
            || stem(name).zip(stem(other)).is_some_and(|(a, b)| nearest(&a, [b.as_str()]).is_some())
    };
    let known = names.iter().map(String::as_str).filter(|other| is_like(other));
    nearest(name, known).map(str::to_string)
}

/// Returns the most rows that one of the first cells of a data set sends; none where neither a count
/// nor a clock tells.
fn needs(plan: &Plan, dataset: &str) -> Option<u64> {
    let data = plan.datasets.get(dataset)?;
    let of_phase = |phase: &Phase| match phase.kind {
        // A warm-up goes round its own rows.
        PhaseKind::WarmUp => Some(phase.n_requests.unwrap_or(data.reserve_for_warm_up)),
        PhaseKind::Measure if phase.n_requests.is_some() => phase.n_requests,
        // As many as a run makes, whose number only it knows.
        PhaseKind::Measure if data.source == Source::Random && data.limit.is_none() => {
            Arrivals::n_by_clock(phase, plan.seed).map(|_| ALL)
        }
        PhaseKind::Measure => Arrivals::n_by_clock(phase, plan.seed),
    };
    let cells = plan.cells.iter().filter(|cell| cell.dataset == dataset).take(MAX_CELLS);
    let rows = cells.map(|cell| {
        cell.phases.iter().try_fold(0_u64, |sum, phase| Some(sum.saturating_add(of_phase(phase)?)))
    });
    rows.collect::<Option<Vec<u64>>>()?.into_iter().max()
}

/// Lays out the requests of the first cells; tells the first phase that has fewer rows than its time
/// asks for.
fn requests(
    scenario: &Scenario,
    plan: &Plan,
    dataset: &str,
    samples: &Samples,
) -> Result<Option<Diagnostic>, Trouble> {
    let samples = Arc::new(samples.clone());
    let cells = plan.cells.iter().filter(|cell| cell.dataset == dataset).take(MAX_CELLS);
    let mut ran_out = None;
    for cell in cells {
        let launch = &plan.launches[&cell.launch];
        let prompts = Prompts::new(dataset, Arc::clone(&samples), cell.request.api, None);
        let workload = Workload::new(cell, launch, Arc::new(prompts), plan.seed, 1)
            .map_err(|error| wrong(&error, "limit"))?;
        let mut phases = cell.phases.iter().enumerate();
        ran_out = ran_out.or_else(|| {
            phases.find_map(|(idx, phase)| {
                let n_rows = workload.len(idx).filter(|_| phase.n_requests.is_none())?;
                runs_out(scenario, plan.seed, cell, phase, n_rows)
            })
        });
    }
    Ok(ran_out)
}

/// Says of a phase whose clock sends requests that its time is not over with its rows.
fn runs_out(
    scenario: &Scenario,
    seed: Seed,
    cell: &Cell,
    phase: &Phase,
    n_rows: u64,
) -> Option<Diagnostic> {
    let asked = phase.duration?;
    let outline = Arrivals::new(&phase.arrivals, Some(n_rows), Some(asked), seed, &[]).ok()?;
    let outline = outline.outline();
    let lasts = outline.last.filter(|_| outline.is_cut)?;
    let (name, cell) = (phase.name.as_str(), &cell.name);
    let message = format!(
        "phase `{name}` of cell `{cell}` has {n_rows} rows, and sends the last after {lasts} of {asked}"
    );
    let label = scenario.at(&["phase", name, "duration"], "");
    let diagnostic = Diagnostic::warning("scenario/few-rows", message)
        .label(label.or_else(|| scenario.at(&["phase", name], "")))
        .help("set `cycle = true` on the data set, or give it more rows");
    Some(diagnostic)
}

/// Says of which data set a message is, once.
fn of_dataset(name: &str, message: &str) -> String {
    let lead = format!("data set `{name}`");
    if message.starts_with(&lead) {
        return message.to_owned();
    }
    let message = message.strip_prefix(&format!("{name}: ")).unwrap_or(message);
    format!("{lead}: {message}")
}

impl Trouble {
    fn told(self, scenario: &Scenario, name: &str) -> Diagnostic {
        let Self { key, message, help, is_unseen } = self;
        let label: Option<Label> = scenario
            .value_at(&["dataset", name, key])
            .or_else(|| scenario.at(&["dataset", name], "this data set"));
        let diagnostic = if is_unseen {
            let message = format!("data set `{name}` was not looked at: {message}");
            Diagnostic::warning("scenario/data-unseen", message)
        } else {
            Diagnostic::error("scenario/data", of_dataset(name, &message))
        };
        diagnostic.label(label).maybe_help(Some(help).filter(|help| !help.is_empty()))
    }
}
