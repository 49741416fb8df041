//! What was submitted: written down before Slurm is asked, so that nothing is asked for twice.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cli::failure::Failure;
use crate::ids::content_hash;
use crate::scenario::spec::SlurmSpec;
use crate::slurm::answer::Task;
use crate::store::error::StoreError;
use crate::store::run_dir::RunDir;

/// Prefix of the files that hold submissions.
const PREFIX: &str = "submission-";

/// An array that Slurm was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Submission {
    /// In the job's name and comment; no other submission has it.
    pub(super) id: String,
    /// Name of the job.
    pub(super) name: String,
    /// When, nanoseconds since the Unix epoch.
    pub(super) unix_ns: u64,
    /// The shares, in the order of the tasks.
    pub(super) shares: Vec<String>,
    /// The job, as far as it is known that there is one.
    pub(super) job: Option<u64>,
}

impl Submission {
    /// Whether a task is one of this array's.
    pub(super) fn has(&self, task: &Task) -> bool {
        self.job.map_or_else(|| task.is_of(&self.id), |job| job == task.job)
    }

    /// Returns the share that a task of this array measures.
    pub(super) fn share_of(&self, task: &Task) -> Option<&str> {
        if self.has(task) { self.shares.get(task.index).map(String::as_str) } else { None }
    }

    /// Writes it down.
    pub(super) fn write(&self, dir: &RunDir) -> Result<(), StoreError> {
        let json = serde_json::to_vec_pretty(self).expect("a submission is plain data");
        dir.replace(&format!("slurm/{PREFIX}{}.json", self.id), &json).map(drop)
    }

    /// Takes it back: Slurm has said no.
    pub(super) fn withdraw(&self, dir: &RunDir) {
        drop(fs::remove_file(dir.slurm().join(format!("{PREFIX}{}.json", self.id))));
    }

    /// Returns the path of its script.
    pub(super) fn script(&self, dir: &RunDir) -> PathBuf {
        dir.slurm().join(format!("{}.sh", self.id))
    }
}

/// Returns an id that no other submission has.
pub(super) fn new_id(dir: &Path, unix_ns: u64) -> String {
    let mut id = content_hash(&(dir, unix_ns, std::process::id()));
    id.truncate(8);
    id
}

/// Returns what was submitted for a run so far, the oldest first.
pub(super) fn all(dir: &RunDir) -> Result<Vec<Submission>, Failure> {
    let mut all: Vec<Submission> = Vec::new();
    let Ok(entries) = fs::read_dir(dir.slurm()) else { return Ok(all) };
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(PREFIX) && name.ends_with(".json") {
            all.push(read(&path)?);
        }
    }
    all.sort_by_key(|submission| submission.unix_ns);
    Ok(all)
}

/// The settings of a run's tasks, as they were at the last submission.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// `[slurm]`.
    pub(super) slurm: SlurmSpec,
    /// Text of the script's template.
    pub(super) template: String,
    /// Working directory of the command that submitted.
    pub(super) cwd: PathBuf,
}

/// File of the settings, in the run directory.
const SETTINGS: &str = "slurm/settings.json";

impl Settings {
    /// Reads those of a run.
    pub(super) fn of(dir: &RunDir) -> Result<Self, Failure> {
        read(&dir.path().join(SETTINGS))
    }

    /// Writes them down.
    pub(super) fn write(&self, dir: &RunDir) -> Result<(), StoreError> {
        let json = serde_json::to_vec_pretty(self).expect("settings are plain data");
        dir.replace(SETTINGS, &json).map(drop)
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let text = fs::read(path)
        .map_err(|source| Failure::input(format!("failed to read {}: {source}", path.display())))?;
    serde_json::from_slice(&text).map_err(|source| {
        StoreError::Corrupt {
            path: path.to_owned(),
            line: source.line() as u64,
            offset: 0,
            why: source.to_string(),
        }
        .into()
    })
}
