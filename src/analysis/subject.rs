//! What is compared: a run directory, or result files of another tool.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::analysis::compared::{ComparedRun, told_apart};
use crate::importers::{self, BY_USAGE, ImportError, Lengths, ResultFile, Results};
use crate::metrics::catalogue::MetricId;
use crate::metrics::compare::{Comparison, Difference, LeftOut, Side};
use crate::metrics::per_trial;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::CellSummary;
use crate::store::error::StoreError;
use crate::store::run_dir::RunDir;

/// What stands on one side of a comparison.
pub(crate) enum Subject {
    /// A run.
    Run(Box<ComparedRun>),
    /// What another tool wrote.
    Results(Results),
}

/// Why nothing can be compared with it.
#[derive(Debug, Error)]
pub(crate) enum SubjectError {
    /// It is a run directory that cannot be read.
    #[error(transparent)]
    Run(#[from] StoreError),
    /// It is a file that cannot be read.
    #[error("failed to read {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// It is no result file.
    #[error("failed to read {path} as results of another tool: {source}")]
    Import {
        /// The file or folder.
        path: PathBuf,
        /// What it lacks.
        source: ImportError,
    },
}

/// Who counted prompts; result files of one tool may differ in it.
const PROMPT_TOKENS_BY: &str = "prompt tokens by";
/// What the numbers of a run mean, where other tools' may mean something else.
const OURS: [(&str, &str); 5] = [
    ("TTFT from", "the first write of the request to the kernel's stamp of the first token"),
    ("output tok/s over", "the beginning of the phase to the last answer"),
    (PROMPT_TOKENS_BY, BY_USAGE),
    ("output tokens by", BY_USAGE),
    ("TPOT", "over HTTP, as a client sees it"),
];

impl Subject {
    /// Opens a run directory or the summary in it, a result file, or a folder of result files of one
    /// tool. `lengths` are those of all sides.
    pub(crate) fn open(path: &Path, lengths: &mut Lengths) -> Result<Self, SubjectError> {
        let failed = |source| SubjectError::Import { path: path.to_owned(), source };
        if path.is_file() {
            if let Some(dir) = run_of_summary(path) {
                return Ok(Self::Run(Box::new(ComparedRun::open(dir)?)));
            }
            let file = importers::read(&name(path), &read(path)?).map_err(failed)?;
            let results = Results::of(vec![file], Vec::new(), lengths).map_err(failed)?;
            return Ok(Self::Results(results));
        }
        if path.is_dir() && !RunDir::at(path).manifest().is_file() {
            let (files, left_out) = result_files(path)?;
            if !files.is_empty() {
                let results = Results::of(files, left_out, lengths).map_err(failed)?;
                return Ok(Self::Results(results));
            }
        }
        Ok(Self::Run(Box::new(ComparedRun::open(path)?)))
    }

    /// Returns the run, if it is one.
    pub(crate) fn run(&self) -> Option<&ComparedRun> {
        match self {
            Self::Run(run) => Some(run),
            Self::Results(_) => None,
        }
    }

    /// Returns all cells as one side.
    pub(crate) fn side(&self, name: String) -> Side<'_> {
        match self {
            Self::Run(run) => run.side(name),
            Self::Results(results) => Side { name, cells: results.side_cells() },
        }
    }

    /// Whether another tool told the quantity, of those that runs keep by trial too or as all that it
    /// measured in a cell.
    pub(crate) fn tells(&self, quantity: &Quantity) -> bool {
        match self {
            Self::Run(_) => false,
            Self::Results(results) => {
                let is_kept = per_trial::quantities().contains(quantity);
                let is_told = |cell: &CellSummary| {
                    cell.trials.contains_key(quantity) && (is_kept || cell.trials.len() == 1)
                };
                results.cells().any(is_told)
            }
        }
    }

    /// Returns what of a side is no part of it.
    pub(crate) fn left_out(&self, side: usize) -> impl Iterator<Item = LeftOut> {
        let told = match self {
            Self::Run(_) => &[],
            Self::Results(results) => results.left_out(),
        };
        told.iter().map(move |what| LeftOut { side, what: what.clone() })
    }

    fn cell(&self, name: &str) -> Option<&CellSummary> {
        match self {
            Self::Run(run) => run.measured(name),
            Self::Results(results) => results.cell(name),
        }
    }

    fn measured_by(&self) -> String {
        match self {
            Self::Run(run) => format!("bench {}", run.version()),
            Self::Results(results) => results.written_by(),
        }
    }

    fn model(&self, cell: &str) -> String {
        let found = match self {
            Self::Run(run) => run.model(cell),
            Self::Results(results) => results.model(cell),
        };
        found.unwrap_or_default().to_owned()
    }

    /// Returns what the answers of a cell were graded on; `None` where none were.
    fn graded(&self, cell: &str) -> Option<String> {
        let found = self.cell(cell)?;
        let n = found.accuracy.first()?.n;
        match self {
            Self::Run(run) => Some(format!("data set {} ({n} items)", run.dataset(cell)?)),
            Self::Results(results) => {
                let task = found.keys.get("task").map_or("unsaid", String::as_str);
                let shots = results.config(cell).find(|(name, _)| *name == "shots");
                let shots = shots.map_or_else(String::new, |(_, n)| format!(", {n} shots"));
                Some(format!("{task} ({n} items{shots})"))
            }
        }
    }

    fn meaning(&self, of: &str) -> &'static str {
        let notes = match self {
            Self::Run(_) => &OURS[..],
            Self::Results(results) if of == PROMPT_TOKENS_BY => return results.prompt_tokens_by(),
            Self::Results(results) => results.notes(),
        };
        notes.iter().find(|(what, _)| *what == of).map_or("", |(_, meaning)| meaning)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, SubjectError> {
    fs::read(path).map_err(|source| SubjectError::File { path: path.to_owned(), source })
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Returns the run directory whose summary a file is.
fn run_of_summary(path: &Path) -> Option<&Path> {
    let dir = path.parent().map(|dir| if dir == Path::new("") { Path::new(".") } else { dir })?;
    (name(path) == "summary.json" && RunDir::at(dir).manifest().is_file()).then_some(dir)
}

/// Folders in a folder that are looked into: a sweep's, of its server's settings, of its client's.
const DEPTH_MAX: usize = 4;

/// Returns the files of a folder that a known tool wrote, and what else of its JSON files is left out.
/// Where none of it is in the folder itself, those of the folders in it are, as sweeps write them.
fn result_files(folder: &Path) -> Result<(Vec<ResultFile>, Vec<String>), SubjectError> {
    let (mut folders, mut left_out) = (vec![folder.to_owned()], Vec::new());
    for _ in 0..DEPTH_MAX {
        let (mut paths, mut below) = (Vec::new(), Vec::new());
        for folder in &folders {
            let failed = |source| SubjectError::File { path: folder.clone(), source };
            for entry in fs::read_dir(folder).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                // A link may lead back to where it is.
                let is_folder = entry.file_type().map_err(failed)?.is_dir();
                if is_folder && !RunDir::at(entry.path()).manifest().is_file() {
                    below.push(entry.path());
                } else {
                    paths.push(entry.path());
                }
            }
        }
        paths.sort();
        let (files, others) = files_among(folder, paths)?;
        left_out.extend(others);
        if !files.is_empty() || below.is_empty() {
            return Ok((files, left_out));
        }
        folders = below;
    }
    Ok((Vec::new(), left_out))
}

/// Returns the files of these that a known tool wrote, and what else of JSON files is left out, by the
/// names that they have in `folder`.
fn files_among(
    folder: &Path,
    paths: Vec<PathBuf>,
) -> Result<(Vec<ResultFile>, Vec<String>), SubjectError> {
    let is_json = |path: &PathBuf| {
        path.is_file() && path.extension().is_some_and(|it| it == "json" || it == "jsonl")
    };
    let (mut left_out, mut lacking) = (Vec::new(), None);
    let mut files: Vec<(String, ResultFile)> = Vec::new();
    for path in paths.into_iter().filter(is_json) {
        let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
        match importers::read(&name, &read(&path)?) {
            Ok(file) => {
                let (file, told) = without_copies(file, &files);
                left_out.extend(told.map(|told| format!("{name}: {told}")));
                files.extend(file.map(|file| (name, file)));
            }
            Err(ImportError::Unknown) => left_out.push(format!("{name}: no known tool wrote it")),
            Err(source) => {
                left_out.push(format!("{name}: {source}"));
                if matches!(source, ImportError::Lacks { .. }) {
                    lacking = lacking.or(Some(SubjectError::Import { path, source }));
                }
            }
        }
    }
    match lacking.filter(|_| files.is_empty()) {
        Some(error) => Err(error),
        None => Ok((files.into_iter().map(|(_, file)| file).collect(), left_out)),
    }
}

/// Takes what files before it tell too out of a file, such as the single runs of a sweep out of its
/// summary; says which do, where any does.
fn without_copies(
    file: ResultFile,
    known: &[(String, ResultFile)],
) -> (Option<ResultFile>, Option<String>) {
    let (mut rest, mut tellers, mut n_told) = (Some(file), Vec::new(), 0);
    for (name, other) in known {
        let Some(file) = rest.take() else { break };
        let (left, n) = file.without(other);
        rest = left;
        n_told += n;
        if n > 0 {
            tellers.push(name.as_str());
        }
    }
    let tellers = tellers.join(", ");
    let told = match (n_told, &rest) {
        (0, _) => None,
        (_, None) => Some(format!("the same as {tellers}")),
        (n, Some(_)) => Some(format!("{n} of its results, the same as {tellers}")),
    };
    (rest, told)
}

/// Tells what else is not the same on the sides of a comparison.
///
/// `subjects` has the subject of each side; a run compared by one of its keys is that of every side.
pub(crate) fn differences(
    comparison: &Comparison,
    subjects: &[&Subject],
) -> Result<Vec<Difference>, StoreError> {
    let mut found = Vec::new();
    for side in 1..subjects.len() {
        let (one, other) = (subjects[0], subjects[side]);
        let mut told = |what: &str, baseline: String, candidate: String| {
            let difference = Difference { side, what: what.to_owned(), baseline, candidate };
            let is_new =
                difference.baseline != difference.candidate && !found.contains(&difference);
            if is_new {
                found.push(difference);
            }
        };
        let cells = || comparison.cells.iter().filter(move |cells| cells.side == side);
        let pairs = || cells().map(|cells| (cells.baseline.as_str(), cells.candidate.as_str()));
        if let (Some(one), Some(other)) = (one.run(), other.run()) {
            told_apart(one, other, pairs(), &mut told)?;
            for (baseline, candidate) in pairs() {
                if let Some(cells) = one.measured(baseline).zip(other.measured(candidate)) {
                    lengths_apart(cells, RUNS_APART, &mut told);
                }
            }
            continue;
        }
        told("measured by", one.measured_by(), other.measured_by());
        for (what, _) in OURS {
            if [one, other].iter().any(|it| it.run().is_none() && !it.meaning(what).is_empty()) {
                told(what, one.meaning(what).to_owned(), other.meaning(what).to_owned());
            }
        }
        for (baseline, candidate) in pairs() {
            told("model", one.model(baseline), other.model(candidate));
            if let (Subject::Results(one), Subject::Results(other)) = (one, other) {
                configs_apart((one, baseline), (other, candidate), &mut told);
            } else if let Some((one, other)) = one.graded(baseline).zip(other.graded(candidate)) {
                told("task", one, other);
            }
            if let Some(cells) = one.cell(baseline).zip(other.cell(candidate)) {
                lengths_apart(cells, 0.0, &mut told);
            }
        }
    }
    Ok(found)
}

/// Tells what two cells were not configured alike in. Of one tool a setting that one file alone has is
/// one that the other left at its default; a switch that is off is no setting.
fn configs_apart(
    (one, baseline): (&Results, &str),
    (other, candidate): (&Results, &str),
    told: &mut dyn FnMut(&str, String, String),
) {
    let is_of_one_tool = one.tool_name() == other.tool_name();
    let before: BTreeMap<_, _> = one.config(baseline).collect();
    let now: BTreeMap<_, _> = other.config(candidate).collect();
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).copied().collect();
    for name in names {
        match (before.get(name), now.get(name)) {
            (Some(before), Some(now)) => told(name, (*before).clone(), (*now).clone()),
            (Some(alone), None) if is_of_one_tool && *alone != OFF => {
                told(name, (*alone).clone(), String::new());
            }
            (None, Some(alone)) if is_of_one_tool && *alone != OFF => {
                told(name, String::new(), (*alone).clone());
            }
            _ => {}
        }
    }
}

/// A switch that is off, as files have it.
const OFF: &str = "false";

/// Share by which the lengths of prompts or answers of two runs' cells differ beyond what the rows
/// that each got to, and where answers end by themselves, make of it.
const RUNS_APART: f64 = 0.05;

/// Tells the mean tokens of prompts and answers of two cells, where they differ by more than a share.
fn lengths_apart(
    (one, other): (&CellSummary, &CellSummary),
    share: f64,
    told: &mut dyn FnMut(&str, String, String),
) {
    for (what, metric) in [
        ("prompt tokens of a request", MetricId::PromptTokens),
        ("output tokens of a request", MetricId::OutputTokens),
    ] {
        let mean = |cell: &CellSummary| cell.distributions.get(&metric).and_then(|it| it.mean);
        let (one, other) = (mean(one), mean(other));
        let is_apart =
            one.zip(other).is_none_or(|(one, other)| (other - one).abs() > share * one.min(other));
        let text = |mean: Option<f64>| mean.map_or_else(String::new, |mean| format!("{mean:.1}"));
        if is_apart {
            told(what, text(one), text(other));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::compare::{self, Rules};

    #[test]
    fn a_copy_of_a_result_file_is_no_trial_of_its_own() {
        let text = include_str!("../../fixtures/results/vllm-0.33.0.json");
        let home = tempfile::tempdir().unwrap();
        for name in ["a.json", "b.json", "c.json"] {
            fs::write(home.path().join(name), text).unwrap();
        }
        let (files, left_out) = result_files(home.path()).unwrap();
        assert_eq!(files.len(), 1);
        assert_eq!(left_out, ["b.json: the same as a.json", "c.json: the same as a.json"]);
    }

    #[test]
    fn a_sweep_of_vllm_is_its_runs_once_without_its_warm_up() {
        // As `run_comb` of vllm/benchmarks/sweep/serve.py of vLLM 0.33 writes a folder.
        let text = include_str!("../../fixtures/results/vllm-0.33.0.json");
        let run = |number: i32, ttft: &str| {
            let mut run: serde_json::Value = serde_json::from_str(text).unwrap();
            run["run_number"] = number.into();
            run["median_ttft_ms"] = ttft.parse::<f64>().unwrap().into();
            run["max_num_seqs"] = 64.into();
            run
        };
        let runs = [run(0, "50.0"), run(1, "51.0"), run(2, "52.0")];
        let home = tempfile::tempdir().unwrap();
        let write = |name: &str, document: &serde_json::Value| {
            fs::write(home.path().join(name), serde_json::to_vec_pretty(document).unwrap())
                .unwrap();
        };
        write("run=0.json", &runs[0]);
        write("run=1.json", &runs[1]);
        write("warmup.json", &run(-1, "90.0"));
        write("summary.json", &serde_json::Value::from(runs.to_vec()));
        let side = Subject::open(home.path(), &mut Lengths::default()).unwrap();
        let Subject::Results(results) = &side else { panic!("a run") };
        let [cell] = results.cells().collect::<Vec<_>>()[..] else { panic!("{results:?}") };
        let ttft = Quantity::percentile(MetricId::Ttft, 50.0);
        assert_eq!(cell.trials[&ttft], [50.0, 51.0, 52.0]);
        let told = [
            "summary.json: 2 of its results, the same as run=0.json, run=1.json",
            "warmup.json: it is of vllm bench serve, but it is the warm-up of a sweep",
        ];
        assert_eq!(results.left_out(), told);
        // As it lies in the folders of a sweep, and beside a run.
        let sweep = tempfile::tempdir().unwrap();
        for (folder, number) in [("SERVE--a/BENCH--b", 0), ("SERVE--a/BENCH--c", 1), ("run", 2)] {
            let folder = sweep.path().join(folder);
            fs::create_dir_all(&folder).unwrap();
            let text = serde_json::to_vec(&runs[number]).unwrap();
            fs::write(folder.join("run=0.json"), text).unwrap();
        }
        fs::write(sweep.path().join("run/run.json"), "{}").unwrap();
        let (files, left_out) = result_files(sweep.path()).unwrap();
        assert_eq!((files.len(), left_out.len()), (2, 0), "{left_out:?}");
        let alone = Subject::open(&home.path().join("summary.json"), &mut Lengths::default());
        assert!(matches!(alone, Ok(Subject::Results(it)) if it.cells().count() == 1));
    }

    #[test]
    fn a_setting_that_one_of_two_files_has_alone_is_told() {
        let text = include_str!("../../fixtures/results/vllm-0.33.0.json");
        let home = tempfile::tempdir().unwrap();
        let open = |name: &str, settings: &str| {
            let label = "\"label\":null";
            assert!(text.contains(label), "the fixture has a label");
            let path = home.path().join(name);
            fs::write(&path, text.replacen(label, &format!("{label}{settings}"), 1)).unwrap();
            Subject::open(&path, &mut Lengths::default()).unwrap()
        };
        let plain = open("a.json", "");
        let tuned = open("b.json", ",\"gpu\":\"H100\",\"eager\":false");
        let told = |one: &Subject, other: &Subject| {
            let sides = [one.side("A".to_owned()), other.side("B".to_owned())];
            let rules = Rules::of(None);
            let found = compare::compare(&sides, &|_| true, &|_, _, _| None, rules);
            let told = differences(&found, &[one, other]).unwrap();
            told.into_iter().map(|it| (it.what, it.baseline, it.candidate)).collect::<Vec<_>>()
        };
        let text = |words: [&str; 3]| words.map(str::to_owned).into();
        let expected: (String, String, String) = text(["gpu", "", "H100"]);
        assert_eq!(told(&plain, &tuned), [expected]);
        assert_eq!(told(&tuned, &plain), [text(["gpu", "H100", ""])]);
        assert_eq!(told(&tuned, &tuned), []);
    }

    #[test]
    fn what_answers_were_graded_on_is_the_task_with_its_items_and_shots() {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/results/lm-eval-0.4.13.json");
        let side = Subject::open(&path, &mut Lengths::default()).unwrap();
        let Subject::Results(results) = &side else { panic!("a run") };
        let graded: Vec<String> =
            results.cells().filter_map(|cell| side.graded(&cell.name)).collect();
        let is_whole = |it: &String| it.contains(" items, ") && it.ends_with(" shots)");
        assert!(!graded.is_empty() && graded.iter().all(is_whole), "{graded:?}");
        assert!(!graded.iter().any(|it| it.contains("unsaid")), "{graded:?}");
    }
}
