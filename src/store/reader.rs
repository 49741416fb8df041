//! Reads a run directory without changing it, also while it is being written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::ids::sha256_hex;
use crate::plan::Plan;
use crate::plan::cell::Cell;
use crate::record::FORMAT_VERSION;
use crate::record::environment::Environment;
use crate::record::event::{EventRecord, RunEvent};
use crate::record::request::{OutputRecord, RequestRecord};
use crate::record::telemetry::TelemetrySample;
use crate::record::trial::TrialRecord;
use crate::store::error::StoreError;
use crate::store::file_sum::FileSum;
use crate::store::line;
use crate::store::lock::RunLock;
use crate::store::records::{Expect, Records};
use crate::store::run_dir::{RunDir, RunManifest};
use crate::store::trial_file::{OUTPUTS, REQUESTS, TELEMETRY, TRIAL, TrialFile};

/// The reader of a run directory.
#[derive(Clone, Debug)]
pub struct RunReader {
    dir: RunDir,
    manifest: RunManifest,
}

impl RunReader {
    /// Opens a run directory.
    ///
    /// # Errors
    /// [`StoreError::NotARun`]; [`StoreError::NewerFormat`] or [`StoreError::OlderFormat`] for one
    /// that another version wrote.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        #[derive(Deserialize)]
        struct FormatAlone {
            format: u32,
        }
        let dir = RunDir::at(path);
        let file = dir.manifest();
        let text = match fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::NotARun { path: path.to_owned() });
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
        Ok(Self { dir, manifest })
    }

    /// Returns the paths of the run directory.
    pub fn dir(&self) -> &RunDir {
        &self.dir
    }

    /// Returns the content of `run.json`.
    pub fn manifest(&self) -> &RunManifest {
        &self.manifest
    }

    /// Whether a process works on the run now.
    pub fn is_in_progress(&self) -> bool {
        RunLock::is_held(&self.dir)
    }

    /// Returns the plan with which the run began.
    pub fn first_plan(&self) -> Result<Plan, StoreError> {
        read_json(&self.dir.plan())
    }

    /// Returns the plan with the cells that searches added.
    pub fn plan(&self) -> Result<Plan, StoreError> {
        let mut plan = self.first_plan()?;
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

    /// Refuses a plan that is not the one the run was begun or last changed with.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub fn check_plan(&self) -> Result<(), StoreError> {
        let path = self.dir.plan();
        let text =
            fs::read(&path).map_err(|source| StoreError::Missing { path: path.clone(), source })?;
        match self.manifest.sha256.get("plan.json") {
            Some(expected) if *expected != sha256_hex(&text) => Err(StoreError::Corrupt {
                path,
                line: 1,
                offset: 0,
                why: "its SHA-256 is not the one that run.json holds".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// Returns the scenario with all layers applied, as TOML.
    pub fn resolved(&self) -> Result<String, StoreError> {
        let path = self.dir.resolved();
        fs::read_to_string(&path).map_err(|source| StoreError::Missing { path, source })
    }

    /// Returns the scenario as written.
    pub fn scenario(&self) -> Result<String, StoreError> {
        let path = self.dir.scenario();
        fs::read_to_string(&path).map_err(|source| StoreError::Missing { path, source })
    }

    /// Returns the facts of the machine, once they are recorded.
    pub fn environment(&self) -> Result<Option<Environment>, StoreError> {
        match read_json(&self.dir.environment()) {
            Err(StoreError::Missing { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(None)
            }
            found => found.map(Some),
        }
    }

    /// Returns the events, in order.
    pub fn events(&self) -> Result<Records<EventRecord>, StoreError> {
        Records::open(&self.dir.events(), Expect::Unfinished)
    }

    /// Returns the complete trials of a cell, by number.
    ///
    /// A trial of another configuration under the cell's name is left out.
    pub fn trials(&self, cell: &Cell) -> Result<Vec<TrialReader>, StoreError> {
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
    pub fn unfinished_trials(&self, cell: &Cell) -> Result<Vec<UnfinishedTrial>, StoreError> {
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
pub struct TrialReader {
    path: PathBuf,
    /// The trial's observations besides its requests.
    pub record: TrialRecord,
    file: TrialFile,
}

impl TrialReader {
    fn open(path: PathBuf) -> Result<Option<Self>, StoreError> {
        let file_path = path.join(TRIAL);
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
        Ok(Some(Self { path, record: file.record.clone(), file }))
    }

    /// Returns the trial's directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the request records, in the order in which the requests ended.
    pub fn requests(&self) -> Result<Records<RequestRecord>, StoreError> {
        self.records(REQUESTS)
    }

    /// Returns the answers' texts.
    pub fn outputs(&self) -> Result<Records<OutputRecord>, StoreError> {
        self.records(OUTPUTS)
    }

    /// Returns the samples of the machine.
    pub fn telemetry(&self) -> Result<Records<TelemetrySample>, StoreError> {
        self.records(TELEMETRY)
    }

    fn records<T: DeserializeOwned>(&self, name: &str) -> Result<Records<T>, StoreError> {
        let sum = self.file.files.get(name).copied().unwrap_or_default();
        Records::open(&self.path.join(name), Expect::Finished(sum))
    }

    /// Returns the sums written at the end of the trial, by file name.
    pub(super) fn sums(&self) -> impl Iterator<Item = (&str, FileSum)> {
        self.file.files.iter().map(|(name, sum)| (name.as_str(), *sum))
    }
}

/// A trial that is in progress or was interrupted.
#[derive(Clone, Debug)]
pub struct UnfinishedTrial {
    path: PathBuf,
}

impl UnfinishedTrial {
    /// Returns the trial's directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the requests that ended so far.
    pub fn requests(&self) -> Result<Records<RequestRecord>, StoreError> {
        Records::open(&self.path.join(REQUESTS), Expect::Unfinished)
    }

    /// Returns the answers so far.
    pub fn outputs(&self) -> Result<Records<OutputRecord>, StoreError> {
        Records::open(&self.path.join(OUTPUTS), Expect::Unfinished)
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, StoreError> {
    let text =
        fs::read(path).map_err(|source| StoreError::Missing { path: path.to_owned(), source })?;
    parse(path, &text)
}

fn parse<T: DeserializeOwned>(path: &Path, text: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(text).map_err(|source| StoreError::Corrupt {
        path: path.to_owned(),
        line: source.line() as u64,
        offset: 0,
        why: source.to_string(),
    })
}
