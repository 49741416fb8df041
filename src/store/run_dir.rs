//! The paths of a run directory.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::ids::LaunchId;
use crate::store::atomic;
use crate::store::error::StoreError;

/// Directory of the gold answers.
pub(super) const GOLDS: &str = "golds";

/// Directory of the questions to them.
const QUESTIONS: &str = "questions";

/// The content of `run.json`. The file marks a directory as a run, and names its format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunManifest {
    /// [`crate::record::FORMAT_VERSION`] of the program that made it.
    pub format: u32,
    /// Name of the run: scenario and time.
    pub name: String,
    /// When it was made, nanoseconds since the Unix epoch.
    pub created_unix_ns: u64,
    /// The same time, for people.
    pub created: String,
    /// Version of `bench`.
    pub bench_version: String,
    /// SHA-256 of the files that say what the run does and where, by path in the directory.
    pub sha256: std::collections::BTreeMap<String, String>,
    /// The command that began the run; absent in directories of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation: Option<Invocation>,
}

/// Facts that a resume needs besides the plan: where the plan's relative paths begin, and the name
/// of this program in the plan's command lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Invocation {
    /// Whether `bench calibrate` began the run. Its result is then kept for later reports.
    pub calibrates: bool,
    /// Whether its cells are measured by tasks of Slurm, into directories of their own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub slurm: bool,
    /// Whether its cells are measured by processes of this machine, side by side, into directories
    /// of their own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub side_by_side: bool,
    /// The scenario file, as the user named it.
    pub scenario: PathBuf,
    /// Working directory.
    pub cwd: PathBuf,
    /// This program.
    pub program: PathBuf,
    /// Directory of the files that belong to presets.
    pub assets: PathBuf,
    /// Day that chat templates are told as today's, in UTC, as 2026-11-29. It stays that of the
    /// run's begin. Empty in directories of earlier versions.
    #[serde(default)]
    pub template_date: String,
}

/// The paths of a run directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// Returns the paths of a run directory, which need not exist.
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Returns the directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// `run.json`. It is written last when a run directory is made.
    pub(crate) fn manifest(&self) -> PathBuf {
        self.path.join("run.json")
    }

    /// The scenario as its author wrote it.
    pub(crate) fn scenario(&self) -> PathBuf {
        self.path.join("scenario.toml")
    }

    /// The scenario with all layers applied.
    pub(crate) fn resolved(&self) -> PathBuf {
        self.path.join("resolved.toml")
    }

    /// The plan.
    pub(crate) fn plan(&self) -> PathBuf {
        self.path.join("plan.json")
    }

    /// The scenario's own template of the report.
    pub(crate) fn template(&self) -> PathBuf {
        self.path.join("template.md.j2")
    }

    /// Whether the directory is empty, or holds only files that precede the manifest. Its run was
    /// then killed while the directory was made, and has measured nothing.
    pub(crate) fn is_unfinished(&self) -> std::io::Result<bool> {
        let files = [
            self.lock(),
            self.scenario(),
            self.resolved(),
            self.plan(),
            self.template(),
            self.events(),
        ];
        let folders = [self.cells(), self.path.join("engines")];
        let is_empty = |folder: &Path| {
            std::fs::read_dir(folder).is_ok_and(|mut inside| inside.next().is_none())
        };
        if is_empty(&self.path) {
            return Ok(true);
        }
        // A directory without the lock file does not come from bench, since the lock is made
        // first.
        if !self.lock().exists() || std::fs::metadata(self.events()).is_ok_and(|it| it.len() > 0) {
            return Ok(false);
        }
        for entry in std::fs::read_dir(&self.path)? {
            let path = entry?.path();
            let is_ours = files.contains(&path) || folders.contains(&path) && is_empty(&path);
            if !is_ours && !atomic::is_temporary(&path) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Facts of the machine.
    pub(crate) fn environment(&self) -> PathBuf {
        self.path.join("environment.json")
    }

    /// Raw gold answers of a data set.
    ///
    /// # Errors
    /// [`StoreError::BadName`] for a name that would lead elsewhere.
    pub(crate) fn golds(&self, dataset: &str) -> Result<PathBuf, StoreError> {
        check_name(dataset)?;
        Ok(self.path.join(GOLDS).join(format!("{dataset}.json")))
    }

    /// What was asked of a data set that is graded.
    ///
    /// # Errors
    /// As [`Self::golds`].
    pub(crate) fn questions(&self, dataset: &str) -> Result<PathBuf, StoreError> {
        check_name(dataset)?;
        Ok(self.path.join(QUESTIONS).join(format!("{dataset}.json")))
    }

    /// Returns a path as `run.json` names it: relative to the directory.
    pub(crate) fn name_of(&self, path: &Path) -> String {
        path.strip_prefix(&self.path).unwrap_or(path).display().to_string()
    }

    /// Events of the run, in order.
    pub(crate) fn events(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// The lock.
    pub(crate) fn lock(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// Directory of the shares of a run that are measured apart, by tasks of a cluster or side by
    /// side, a run directory each.
    pub(crate) fn jobs(&self) -> PathBuf {
        self.path.join("jobs")
    }

    /// Directory of what was submitted to Slurm: scripts, logs, settings.
    pub(crate) fn slurm(&self) -> PathBuf {
        self.path.join("slurm")
    }

    /// Directory of all cells.
    pub(crate) fn cells(&self) -> PathBuf {
        self.path.join("cells")
    }

    /// Directory of one cell.
    ///
    /// # Errors
    /// [`StoreError::BadName`] for a name that would lead out of the directory.
    pub(crate) fn cell(&self, name: &str) -> Result<PathBuf, StoreError> {
        check_name(name)?;
        Ok(self.cells().join(name))
    }

    /// Directory of one trial, from 1.
    pub(crate) fn trial(&self, cell_name: &str, trial: u32) -> Result<PathBuf, StoreError> {
        Ok(self.cell(cell_name)?.join(Self::trial_name(trial)))
    }

    pub(super) fn trial_name(trial: u32) -> String {
        format!("trial-{trial}")
    }

    /// Log of one start of an engine, relative to the run directory.
    ///
    /// The first start writes `engines/<id>/log.txt`, the n-th `engines/<id>/log-n.txt`.
    pub(crate) fn engine_log(launch: &LaunchId, attempt: u32) -> PathBuf {
        let file = match attempt {
            0 | 1 => "log.txt".to_owned(),
            _ => format!("log-{attempt}.txt"),
        };
        Path::new("engines").join(&launch.0).join(file)
    }

    /// Replaces a derived file such as `summary.json` or `report.md` as a whole.
    ///
    /// # Errors
    /// [`StoreError::Io`]; the old file then stays as it is.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, StoreError> {
        self.replace_with(name, |file| file.write_all(bytes))
    }

    /// Does so with what `write` writes, part by part.
    pub(crate) fn replace_with(
        &self,
        name: &str,
        write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
    ) -> Result<PathBuf, StoreError> {
        let path = self.path.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)
                .map_err(|source| StoreError::CannotCreate { path: parent.to_owned(), source })?;
        }
        atomic::write_with(&path, write)?;
        Ok(path)
    }
}

fn check_name(name: &str) -> Result<(), StoreError> {
    let is_safe = !name.is_empty()
        && !name.starts_with('.')
        && name.len() + ".json".len() <= 255
        && !name.chars().any(|c| c == '/' || c.is_control());
    if is_safe { Ok(()) } else { Err(StoreError::BadName { name: name.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_name_that_leads_elsewhere_is_refused() {
        let dir = RunDir::at("runs/x");
        for name in ["", ".", "..", "a/b", "/etc", "a\0b", "a\nb"] {
            assert!(matches!(dir.cell(name), Err(StoreError::BadName { .. })), "{name:?}");
        }
        assert_eq!(dir.trial("tiny fp16", 2).unwrap(), Path::new("runs/x/cells/tiny fp16/trial-2"));
    }

    #[test]
    fn later_starts_of_an_engine_have_logs_of_their_own() {
        let launch = LaunchId("abc".to_owned());
        assert_eq!(RunDir::engine_log(&launch, 1), Path::new("engines/abc/log.txt"));
        assert_eq!(RunDir::engine_log(&launch, 3), Path::new("engines/abc/log-3.txt"));
    }
}
