//! Reads a run directory without changing it, also while it is being written.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;
use std::sync::OnceLock;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::ids::{CellId, sha256_hex};
use crate::plan::Plan;
use crate::plan::cell::Cell;
use crate::record::FORMAT_VERSION;
use crate::record::environment::Environment;
use crate::record::event::RunEvent;
use crate::record::golds::{GoldsRecord, QuestionsRecord};
use crate::record::request::{OutputRecord, RequestRecord};
use crate::record::telemetry::TelemetrySample;
use crate::record::trial::TrialRecord;
use crate::store::error::StoreError;
use crate::store::events::Events;
use crate::store::file_sum::FileSum;
use crate::store::line;
use crate::store::lock::RunLock;
use crate::store::records::{Expect, Records};
use crate::store::run_dir::{RunDir, RunManifest};
use crate::store::trial_file::{OUTPUTS, PENDING, REQUESTS, TELEMETRY, TRIAL, TrialFile};

/// The reader of a run directory.
#[derive(Clone, Debug)]
pub(crate) struct RunReader {
    dir: RunDir,
    manifest: RunManifest,
    finished: OnceLock<Finished>,
}

/// Complete trials by cell and number, each with the line of its event.
type Finished = BTreeMap<CellId, BTreeMap<u32, u64>>;

impl RunReader {
    /// Opens a run directory.
    ///
    /// # Errors
    /// [`StoreError::NotARun`]; [`StoreError::NewerFormat`] or [`StoreError::OlderFormat`] for one
    /// that another version wrote.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        #[derive(Deserialize)]
        struct FormatAlone {
            format: u32,
        }
        let dir = RunDir::at(path);
        let file = dir.manifest();
        let text = match fs::read(&file) {
            Ok(text) => text,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                let exists = path.exists();
                return Err(StoreError::NotARun { path: path.to_owned(), exists });
            }
            Err(source) => return Err(StoreError::Missing { path: file, source }),
        };
        // The format is read first, since a later one may have other fields.
        let FormatAlone { format } = parse(&file, &text)?;
        if format > FORMAT_VERSION {
            return Err(StoreError::NewerFormat {
                path: path.to_owned(),
                found: format,
                known: FORMAT_VERSION,
            });
        }
        if format < FORMAT_VERSION {
            return Err(StoreError::OlderFormat {
                path: path.to_owned(),
                found: format,
                known: FORMAT_VERSION,
            });
        }
        let manifest = parse(&file, &text)?;
        Ok(Self { dir, manifest, finished: OnceLock::new() })
    }

    /// Returns the paths of the run directory.
    pub(crate) fn dir(&self) -> &RunDir {
        &self.dir
    }

    /// Returns the content of `run.json`.
    pub(crate) fn manifest(&self) -> &RunManifest {
        &self.manifest
    }

    /// Whether a process works on the run now.
    pub(crate) fn is_in_progress(&self) -> bool {
        RunLock::is_held(&self.dir)
    }

    /// Returns the plan with which the run began, or was last changed.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it names something that it does not hold, or is not the
    /// plan that was written: who goes on can look up whatever a plan names.
    pub(crate) fn first_plan(&self) -> Result<Plan, StoreError> {
        let path = self.dir.plan();
        let text = read_input(&path)?;
        let plan: Plan = parse(&path, &text)?;
        if let Err(dangling) = plan.check_references() {
            let line = line_with(&text, &dangling.text);
            let why = dangling.to_string();
            return Err(StoreError::Corrupt { path, line, offset: 0, why });
        }
        self.check_sum(&path, &text)?;
        Ok(plan)
    }

    /// Returns the plan as it lies there, of which nothing can be believed but what its cells
    /// are called: for one that is about to be replaced.
    pub(crate) fn plan_on_disk(&self) -> Result<Plan, StoreError> {
        let path = self.dir.plan();
        parse(&path, &read_input(&path)?)
    }

    /// Returns the plan with the cells that searches added.
    pub(crate) fn plan(&self) -> Result<Plan, StoreError> {
        self.with_points(self.first_plan()?)
    }

    /// Returns a plan of the run with the cells that searches added.
    pub(crate) fn with_points(&self, mut plan: Plan) -> Result<Plan, StoreError> {
        if plan.search.is_none() {
            return Ok(plan);
        }
        let mut homeless = None;
        for event in self.events()? {
            match event?.event {
                RunEvent::PointAdded { first, load } if plan.add_point(&first, load).is_none() => {
                    homeless.get_or_insert(first);
                }
                // A changed scenario may have removed the searches before it, with their cells.
                RunEvent::ScenarioChanged { .. } => homeless = None,
                _ => {}
            }
        }
        match homeless {
            None => Ok(plan),
            Some(first) => Err(StoreError::Corrupt {
                path: self.dir.events(),
                line: 1,
                offset: 0,
                why: format!("plan.json has no search that begins with cell {first}"),
            }),
        }
    }

    /// Returns the scenario with all layers applied, as TOML.
    pub(crate) fn resolved(&self) -> Result<String, StoreError> {
        self.text(&self.dir.resolved())
    }

    /// Returns the scenario as written.
    pub(crate) fn scenario(&self) -> Result<String, StoreError> {
        self.text(&self.dir.scenario())
    }

    /// Returns the scenario with all layers applied as it lies there: for one that is about to be
    /// replaced.
    pub(crate) fn resolved_on_disk(&self) -> Result<String, StoreError> {
        let path = self.dir.resolved();
        fs::read_to_string(&path).map_err(|source| StoreError::Missing { path, source })
    }

    /// Requires that scenario and plan are those that were written.
    pub(crate) fn check_scenario(&self) -> Result<(), StoreError> {
        self.scenario()?;
        self.resolved()?;
        self.first_plan().map(drop)
    }

    fn text(&self, path: &Path) -> Result<String, StoreError> {
        let bytes = read_input(path)?;
        self.check_sum(path, &bytes)?;
        let not_text = |why: FromUtf8Error| io::Error::new(io::ErrorKind::InvalidData, why);
        String::from_utf8(bytes)
            .map_err(|why| StoreError::Missing { path: path.to_owned(), source: not_text(why) })
    }

    /// Returns the raw gold answers of a data set.
    pub(crate) fn golds(&self, dataset: &str) -> Result<GoldsRecord, StoreError> {
        let path = self.dir.golds(dataset)?;
        let text = read_input(&path)?;
        self.check_sum(&path, &text)?;
        parse(&path, &text)
    }

    /// Returns what was asked of a graded data set; nothing in runs of earlier versions.
    pub(crate) fn questions(&self, dataset: &str) -> Result<QuestionsRecord, StoreError> {
        let path = self.dir.questions(dataset)?;
        if !self.manifest.sha256.contains_key(&self.dir.name_of(&path)) {
            return Ok(QuestionsRecord::new());
        }
        let text = read_input(&path)?;
        self.check_sum(&path, &text)?;
        parse(&path, &text)
    }

    /// Returns the facts of the machine, if they were recorded yet.
    pub(crate) fn environment(&self) -> Result<Option<Environment>, StoreError> {
        let path = self.dir.environment();
        if !self.manifest.sha256.contains_key(&self.dir.name_of(&path)) {
            return Ok(None);
        }
        let text = read_input(&path)?;
        self.check_sum(&path, &text)?;
        parse(&path, &text).map(Some)
    }

    /// Holds a file that says what the run does against its sum in `run.json`.
    fn check_sum(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let found = sha256_hex(bytes);
        let why = match self.manifest.sha256.get(&self.dir.name_of(path)) {
            Some(expected) if *expected == found => return Ok(()),
            Some(expected) => {
                format!("its SHA-256 is {found}; when it was written it was {expected}")
            }
            None => "run.json does not know it".to_owned(),
        };
        Err(StoreError::Corrupt { path: path.to_owned(), line: 1, offset: 0, why })
    }

    /// Holds every file that says what the run does against its sum; returns the damage.
    pub(super) fn check_inputs(&self) -> Vec<StoreError> {
        let names = self.manifest.sha256.keys();
        let checks = names.map(|name| {
            let path = self.dir.path().join(name);
            read_input(&path).and_then(|bytes| self.check_sum(&path, &bytes))
        });
        checks.filter_map(Result::err).collect()
    }

    /// Returns the events, in order.
    pub(crate) fn events(&self) -> Result<Events, StoreError> {
        Events::open(&self.dir.events())
    }

    /// Returns the complete trials of a cell, by number.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when one is not there that is complete by the events.
    pub(crate) fn trials(&self, cell: &Cell) -> Result<Vec<TrialReader>, StoreError> {
        let trials = self.trials_on_disk(cell)?;
        for (&trial, line) in self.finished()?.get(&cell.id).into_iter().flatten() {
            if !trials.iter().any(|found| found.record.trial == trial) {
                let path = self.dir.trial(&cell.name, trial)?.join(TRIAL);
                return Err(gone(&path, &format!("line {line} of events.jsonl")));
            }
        }
        Ok(trials)
    }

    /// Returns the trials that the events call complete, with the lines that say so.
    fn finished(&self) -> Result<&Finished, StoreError> {
        if let Some(finished) = self.finished.get() {
            return Ok(finished);
        }
        let mut finished = Finished::new();
        for (line, event) in (1..).zip(self.events()?) {
            match event?.event {
                RunEvent::TrialFinished { cell, trial } => {
                    finished.entry(cell).or_default().insert(trial, line);
                }
                // Measured again: the first one was lost, or put aside.
                RunEvent::TrialStarted { cell, trial, .. } => {
                    finished.entry(cell).or_default().remove(&trial);
                }
                RunEvent::RetryAsked { cells } => {
                    for cell in cells {
                        finished.remove(&cell);
                    }
                }
                _ => {}
            }
        }
        Ok(self.finished.get_or_init(|| finished))
    }

    /// Returns the complete trials of a cell that are there, by number.
    ///
    /// A trial of another configuration under the same name is not this cell's.
    pub(crate) fn trials_on_disk(&self, cell: &Cell) -> Result<Vec<TrialReader>, StoreError> {
        let mut trials = Vec::new();
        for path in self.trial_dirs(cell)? {
            if let Some(trial) = TrialReader::open(path)?
                && trial.record.cell == cell.id
            {
                trials.push(trial);
            }
        }
        trials.sort_by_key(|trial| trial.record.trial);
        Ok(trials)
    }

    /// Returns the cell's trials that have begun but are not complete, because they are in
    /// progress or were interrupted.
    pub(crate) fn unfinished_trials(
        &self,
        cell: &Cell,
    ) -> Result<Vec<UnfinishedTrial>, StoreError> {
        Ok(self
            .trial_dirs(cell)?
            .into_iter()
            .filter(|path| !path.join(TRIAL).exists())
            .map(|path| UnfinishedTrial { path })
            .collect())
    }

    fn trial_dirs(&self, cell: &Cell) -> Result<Vec<PathBuf>, StoreError> {
        let path = self.dir.cell(&cell.name)?;
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(StoreError::Missing { path, source }),
        };
        let mut dirs = Vec::new();
        for entry in entries {
            let entry = entry.map_err(StoreError::io("read", &path))?;
            if entry.file_name().to_string_lossy().starts_with("trial-") {
                dirs.push(entry.path());
            }
        }
        dirs.sort();
        Ok(dirs)
    }
}

/// A complete trial.
#[derive(Clone, Debug)]
pub(crate) struct TrialReader {
    path: PathBuf,
    /// The trial's observations besides its requests.
    pub record: TrialRecord,
    file: TrialFile,
}

impl TrialReader {
    fn open(path: PathBuf) -> Result<Option<Self>, StoreError> {
        Self::read(path, TRIAL)
    }

    /// Reads a trial that has ended but may not be on the disk.
    pub(super) fn pending(path: &Path) -> Result<Option<Self>, StoreError> {
        Self::read(path.to_owned(), PENDING)
    }

    fn read(path: PathBuf, name: &str) -> Result<Option<Self>, StoreError> {
        let file_path = path.join(name);
        let mut text = match fs::read(&file_path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::Missing { path: file_path, source }),
        };
        let corrupt =
            |why: String| StoreError::Corrupt { path: file_path.clone(), line: 1, offset: 0, why };
        text.pop_if(|byte| *byte == b'\n')
            .ok_or_else(|| corrupt("the line has no end".to_owned()))?;
        line::unseal(&mut text).map_err(|why| corrupt(why.to_owned()))?;
        let file: TrialFile = parse(&file_path, &text)?;
        let number = file.record.trial;
        if path.file_name().is_none_or(|name| name != &*RunDir::trial_name(number)) {
            return Err(corrupt(format!("it is the record of trial {number}")));
        }
        Ok(Some(Self { path, record: file.record.clone(), file }))
    }

    /// Returns the trial's directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the request records, in the order in which the requests ended.
    pub(crate) fn requests(&self) -> Result<Records<RequestRecord>, StoreError> {
        self.records(REQUESTS)
    }

    /// Returns the answers' texts.
    pub(crate) fn outputs(&self) -> Result<Records<OutputRecord>, StoreError> {
        self.records(OUTPUTS)
    }

    /// Returns where the answers' texts are.
    pub(crate) fn outputs_path(&self) -> PathBuf {
        self.path.join(OUTPUTS)
    }

    /// Returns the samples of the machine.
    pub(crate) fn telemetry(&self) -> Result<Records<TelemetrySample>, StoreError> {
        self.records(TELEMETRY)
    }

    fn records<T: DeserializeOwned>(&self, name: &str) -> Result<Records<T>, StoreError> {
        let sum = self.file.files.get(name).copied().unwrap_or_default();
        let path = self.path.join(name);
        Records::open(&path, Expect::Finished(sum)).map_err(|error| match error {
            StoreError::Missing { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                gone(&path, TRIAL)
            }
            error => error,
        })
    }

    /// Returns the sums written at the end of the trial, by file name.
    pub(super) fn sums(&self) -> impl Iterator<Item = (&str, FileSum)> {
        self.file.files.iter().map(|(name, sum)| (name.as_str(), *sum))
    }
}

/// A trial that is in progress or was interrupted.
#[derive(Clone, Debug)]
pub(crate) struct UnfinishedTrial {
    path: PathBuf,
}

impl UnfinishedTrial {
    /// Returns the trial's directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the requests that ended so far.
    pub(crate) fn requests(&self) -> Result<Records<RequestRecord>, StoreError> {
        Records::open(&self.path.join(REQUESTS), Expect::Unfinished)
    }
}

/// Reads a file that says what the run does: it was written when the run began.
fn read_input(path: &Path) -> Result<Vec<u8>, StoreError> {
    fs::read(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => gone(path, "run.json"),
        _ => StoreError::Missing { path: path.to_owned(), source },
    })
}

/// Returns the error for a file that was written, by the word of another, and is not there.
fn gone(path: &Path, witness: &str) -> StoreError {
    StoreError::Corrupt {
        path: path.to_owned(),
        line: 1,
        offset: 0,
        why: format!("it is not there, but {witness} says that it was written"),
    }
}

/// Returns the first line that holds a text, from 1; the first one when none does.
fn line_with(bytes: &[u8], text: &str) -> u64 {
    let at = memchr::memmem::find(bytes, text.as_bytes()).unwrap_or(0);
    memchr::memchr_iter(b'\n', &bytes[..at]).count() as u64 + 1
}

fn parse<T: DeserializeOwned>(path: &Path, text: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(text).map_err(|source| StoreError::Corrupt {
        path: path.to_owned(),
        line: source.line() as u64,
        offset: 0,
        why: source.to_string(),
    })
}
