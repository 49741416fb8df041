//! How far the cells of a run are, by the directories of its shares.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::cli::failure::Failure;
use crate::cli::slurm::commands;
use crate::cli::slurm::submission::{self, Submission};
use crate::ids::CellId;
use crate::plan::Plan;
use crate::record::event::{CellOutcome, EventRecord, RunEvent};
use crate::run::conduct;
use crate::slurm::answer::Task;
use crate::slurm::share::{Share, shares};
use crate::store::error::StoreError;
use crate::store::reader::RunReader;
use crate::store::run_dir::RunDir;

/// How far a cell is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CellState {
    /// All its trials are there.
    Complete,
    /// Its engine failed.
    Failed(String),
    /// The node could not run it.
    Skipped(String),
    /// Trials are missing.
    Missing,
}

/// A cell, and what is there of it.
#[derive(Clone, Debug)]
pub(super) struct CellProgress {
    pub(super) name: String,
    pub(super) state: CellState,
    pub(super) n_done: u32,
    pub(super) n_trials: u32,
}

/// A share, and what is there of it.
#[derive(Clone, Debug)]
pub(super) struct ShareProgress {
    pub(super) share: Share,
    pub(super) cells: Vec<CellProgress>,
    /// The newest task that measures it.
    pub(super) task: Option<Task>,
    /// Seconds of wall time that one of its trials took.
    pub(super) secs_per_trial: Option<f64>,
}

impl ShareProgress {
    /// Whether a task may still measure it.
    pub(super) fn is_live(&self) -> bool {
        self.task.as_ref().is_some_and(Task::is_live)
    }

    /// Whether every cell of it came to an end of its own.
    pub(super) fn is_over(&self) -> bool {
        let is_over =
            |cell: &CellProgress| matches!(cell.state, CellState::Complete | CellState::Failed(_));
        self.cells.iter().all(is_over)
    }

    /// Returns the trials that are missing.
    pub(super) fn trials_left(&self) -> u32 {
        let missing = self.cells.iter().filter(|cell| cell.state == CellState::Missing);
        missing.map(|cell| cell.n_trials - cell.n_done).sum()
    }
}

/// A run of Slurm's tasks.
pub(super) struct SlurmRun {
    pub(super) dir: RunDir,
    pub(super) plan: Plan,
    pub(super) submissions: Vec<Submission>,
}

impl SlurmRun {
    /// Opens a run directory; `None` where its cells are not measured by tasks.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, Failure> {
        // What is wrong with a directory that is none is told by whoever reads it.
        let Ok(reader) = RunReader::open(path) else { return Ok(None) };
        if !reader.manifest().invocation.as_ref().is_some_and(|begun| begun.slurm) {
            return Ok(None);
        }
        let dir = reader.dir().clone();
        let submissions = submission::all(&dir)?;
        Ok(Some(Self { dir, plan: reader.first_plan()?, submissions }))
    }

    /// Returns the directory of a share.
    pub(super) fn place(&self, share: &Share) -> PathBuf {
        self.dir.jobs().join(&share.id)
    }

    /// Asks Slurm for the tasks of this run, and notes the jobs of submissions whose answer got
    /// lost.
    pub(super) fn live_tasks(&mut self) -> Result<Vec<Task>, Failure> {
        if self.submissions.is_empty() {
            return Ok(Vec::new());
        }
        let tasks = commands::squeue()?;
        for submission in self.submissions.iter_mut().filter(|it| it.job.is_none()) {
            let Some(task) = tasks.iter().find(|task| task.is_of(&submission.id)) else { continue };
            submission.job = Some(task.job);
            submission.write(&self.dir)?;
        }
        Ok(tasks)
    }

    /// Returns what is there of each share, beside the newest task of it.
    pub(super) fn progress(&self, tasks: &[Task]) -> Result<Vec<ShareProgress>, Failure> {
        shares(&self.plan).into_iter().map(|share| self.of_share(share, tasks)).collect()
    }

    fn of_share(&self, share: Share, tasks: &[Task]) -> Result<ShareProgress, Failure> {
        let is_of_share = |task: &&Task| {
            self.submissions.iter().any(|known| known.share_of(task) == Some(&share.id))
        };
        // A task that lives comes before any that ended, else the newest.
        let task = tasks.iter().filter(is_of_share).max_by_key(|task| (task.is_live(), task.job));
        let task = task.cloned();
        let reader = match RunReader::open(&self.place(&share)) {
            Err(StoreError::NotARun { .. }) => None,
            opened => Some(opened?),
        };
        let Some(reader) = reader else {
            let cells = share.plan.cells.iter().map(|cell| CellProgress {
                name: cell.name.clone(),
                state: CellState::Missing,
                n_done: 0,
                n_trials: cell.n_trials,
            });
            return Ok(ShareProgress { cells: cells.collect(), share, task, secs_per_trial: None });
        };
        let done = conduct::done(&reader)?;
        let plan = reader.plan()?;
        let mut states = last_words(&done.events);
        let cells = plan.cells.iter().map(|cell| {
            let n_done = done.n_trials(&cell.id);
            let state = states.remove(&cell.id).unwrap_or(CellState::Missing);
            let state = if n_done >= cell.n_trials { CellState::Complete } else { state };
            CellProgress { name: cell.name.clone(), state, n_done, n_trials: cell.n_trials }
        });
        let cells = cells.collect();
        let secs_per_trial = secs_per_trial(&done.events);
        Ok(ShareProgress { share, cells, task, secs_per_trial })
    }
}

/// Returns how cells stand by the last word on each; what is not in it is missing.
fn last_words(events: &[EventRecord]) -> HashMap<&CellId, CellState> {
    let mut states = HashMap::new();
    for record in events {
        match &record.event {
            RunEvent::CellFinished { cell, outcome: CellOutcome::Failed(failure) } => {
                states.insert(cell, CellState::Failed(failure.message.clone()));
            }
            RunEvent::CellFinished { cell, outcome: CellOutcome::Skipped(reason) } => {
                states.insert(cell, CellState::Skipped(reason.clone()));
            }
            RunEvent::CellFinished { cell, .. } | RunEvent::TrialStarted { cell, .. } => {
                states.remove(cell);
            }
            RunEvent::RetryAsked { cells } => states.retain(|cell, _| !cells.contains(*cell)),
            _ => {}
        }
    }
    states
}

/// Returns the wall time of a trial, its share of starts included: from the begin of the session
/// that measured last to its last trial.
fn secs_per_trial(events: &[EventRecord]) -> Option<f64> {
    let is_start = |record: &EventRecord| matches!(record.event, RunEvent::RunStarted { .. });
    let begin = events.iter().rposition(is_start)?;
    let is_end = |record: &&EventRecord| matches!(record.event, RunEvent::TrialFinished { .. });
    let ends: Vec<&EventRecord> = events[begin..].iter().filter(is_end).collect();
    let took = ends.last()?.unix_ns.saturating_sub(events[begin].unix_ns);
    Some(took as f64 / 1e9 / ends.len() as f64)
}
