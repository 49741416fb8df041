//! How far the cells of a run are, by the directories of its shares.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::analysis::compared::read_summary;
use crate::cli::failure::Failure;
use crate::cli::shares::times::Times;
use crate::ids::CellId;
use crate::metrics::summary::CellStatus;
use crate::plan::Plan;
use crate::plan::share::{self, Share};
use crate::record::event::{CellOutcome, EventRecord, RunEvent};
use crate::record::outcomes::outcomes;
use crate::run::conduct;
use crate::slurm;
use crate::slurm::answer::Task;
use crate::store::error::StoreError;
use crate::store::lock::RunLock;
use crate::store::reader::RunReader;
use crate::store::run_dir::RunDir;

/// How far a cell is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CellState {
    /// All its trials are there.
    Complete,
    /// Its engine failed.
    Failed(String),
    /// The machine could not run it.
    Skipped(String),
    /// Trials are missing.
    Missing,
}

/// A cell, and what is there of it.
#[derive(Clone, Debug)]
pub(crate) struct CellProgress {
    pub(crate) name: String,
    pub(crate) state: CellState,
    pub(crate) n_done: u32,
    pub(crate) n_trials: u32,
}

/// Whether somebody measures a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    /// Nobody does or will.
    None,
    /// Somebody will.
    Waiting,
    /// Somebody does.
    Running,
    /// Slurm does not say.
    Unknown,
}

/// A share, and what is there of it.
#[derive(Clone, Debug)]
pub(crate) struct ShareProgress {
    pub(crate) share: Share,
    pub(crate) cells: Vec<CellProgress>,
    /// The newest task of Slurm that measures it.
    pub(crate) task: Option<Task>,
    pub(crate) activity: Activity,
    /// Whether it has a directory.
    pub(crate) is_begun: bool,
    /// Whether its last session came to its end.
    pub(crate) has_ended: bool,
    /// Whether its last session was ended by a signal before any trial of it was complete.
    pub(crate) is_stopped_early: bool,
    /// When its sessions were, and what the last of them was at.
    pub(crate) times: Times,
}

impl ShareProgress {
    fn not_begun(share: Share) -> Self {
        let cells = share.plan.cells.iter().map(|cell| CellProgress {
            name: cell.name.clone(),
            state: CellState::Missing,
            n_done: 0,
            n_trials: cell.n_trials,
        });
        Self {
            cells: cells.collect(),
            share,
            task: None,
            activity: Activity::None,
            is_begun: false,
            has_ended: false,
            is_stopped_early: false,
            times: Times::default(),
        }
    }

    /// Returns what is there of a run whose cells one process measures, or did.
    pub(crate) fn of_run(reader: &RunReader, is_running: bool) -> Result<Self, Failure> {
        let progress = Self::read(reader, share::whole(&reader.first_plan()?))?;
        let activity = if is_running { Activity::Running } else { Activity::None };
        Ok(Self { activity, ..progress })
    }

    /// Reads the directory of a share.
    fn read(reader: &RunReader, share: Share) -> Result<Self, Failure> {
        let done = conduct::done(reader)?;
        // Its directory follows a changed plan when it is measured; points of searches are there.
        let plan = match share.plan.search {
            Some(_) => share::whole(&reader.plan()?).plan,
            None => share.plan.clone(),
        };
        let mut states = last_words(&done.events);
        let mut failed = failed_by_report(reader, &plan);
        let cells = plan.cells.iter().map(|cell| {
            let n_done = done.n_trials(&cell.id);
            let state = states.remove(&cell.id).unwrap_or(CellState::Missing);
            let state = match failed.remove(&cell.id) {
                _ if n_done < cell.n_trials => state,
                Some(why) => CellState::Failed(why),
                None => CellState::Complete,
            };
            CellProgress { name: cell.name.clone(), state, n_done, n_trials: cell.n_trials }
        });
        let is_end = |record: &EventRecord| matches!(record.event, RunEvent::RunFinished { .. });
        Ok(Self {
            cells: cells.collect(),
            share,
            task: None,
            activity: Activity::None,
            is_begun: true,
            has_ended: done.events.last().is_some_and(is_end),
            is_stopped_early: is_stopped_early(&done.events),
            times: Times::of(&plan, &done),
        })
    }

    /// Whether it may still be measured without a further command.
    pub(crate) fn is_live(&self) -> bool {
        self.activity != Activity::None
    }

    /// Whether every cell of it came to an end of its own.
    pub(crate) fn is_over(&self) -> bool {
        let is_over =
            |cell: &CellProgress| matches!(cell.state, CellState::Complete | CellState::Failed(_));
        self.cells.iter().all(is_over)
    }
}

/// Who measures the shares of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// Tasks of Slurm.
    Slurm,
    /// Processes of this machine.
    SideBySide,
}

/// A run whose shares are measured apart.
pub(crate) struct SharedRun {
    pub(crate) dir: RunDir,
    pub(crate) plan: Plan,
    pub(crate) by: By,
}

impl SharedRun {
    /// Opens a run directory; `None` where its cells are measured into it.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, Failure> {
        // What is wrong with a directory that is none is told by whoever reads it.
        let Ok(reader) = RunReader::open(path) else { return Ok(None) };
        let by = match reader.manifest().invocation.as_ref() {
            Some(begun) if begun.slurm => By::Slurm,
            Some(begun) if begun.side_by_side => By::SideBySide,
            _ => return Ok(None),
        };
        Ok(Some(Self { dir: reader.dir().clone(), plan: reader.first_plan()?, by }))
    }

    /// Returns the run as it is with another plan.
    pub(crate) fn of_plan(&self, plan: Plan) -> Self {
        Self { dir: self.dir.clone(), plan, by: self.by }
    }

    /// Returns the shares.
    pub(crate) fn shares(&self) -> Vec<Share> {
        match self.by {
            By::Slurm => slurm::share::shares(&self.plan),
            By::SideBySide => share::shares(&self.plan),
        }
    }

    /// Returns the directory of a share.
    pub(crate) fn place(&self, share: &Share) -> PathBuf {
        self.dir.jobs().join(&share.id)
    }

    /// Returns the directories of all shares.
    pub(crate) fn places(&self) -> Vec<PathBuf> {
        self.shares().iter().map(|share| self.place(share)).collect()
    }

    /// Returns what is there of each share that is measured on this machine.
    pub(crate) fn progress(&self) -> Result<Vec<ShareProgress>, Failure> {
        let is_in_progress = RunLock::is_held(&self.dir);
        let activity = |share: &Share| match is_in_progress {
            true if RunLock::is_held(&RunDir::at(self.place(share))) => Activity::Running,
            true => Activity::Waiting,
            false => Activity::None,
        };
        let shares = self.shares().into_iter().map(|share| {
            let activity = activity(&share);
            let progress = self.of_share(share)?;
            let is_over = progress.is_over() && activity == Activity::Waiting;
            Ok(ShareProgress {
                activity: if is_over { Activity::None } else { activity },
                ..progress
            })
        });
        shares.collect()
    }

    /// Returns what is there of a share.
    pub(crate) fn of_share(&self, share: Share) -> Result<ShareProgress, Failure> {
        match RunReader::open(&self.place(&share)) {
            Err(StoreError::NotARun { .. }) => Ok(ShareProgress::not_begun(share)),
            opened => ShareProgress::read(&opened?, share),
        }
    }
}

/// Whether the last session was ended by a signal before any trial of it was complete.
fn is_stopped_early(events: &[EventRecord]) -> bool {
    let is_begin = |record: &EventRecord| matches!(record.event, RunEvent::RunStarted { .. });
    let last = &events[events.iter().rposition(is_begin).unwrap_or(0)..];
    let has = |is: fn(&RunEvent) -> bool| last.iter().any(|record| is(&record.event));
    has(|event| matches!(event, RunEvent::TrialStarted { .. }))
        && has(|event| matches!(event, RunEvent::Interrupted { .. }))
        && !has(|event| matches!(event, RunEvent::TrialFinished { .. }))
}

/// Returns how many cells of a share came to an end of their own, by its events alone: no trial is
/// read for it.
pub(crate) fn n_over(place: &RunDir) -> Result<usize, StoreError> {
    let events = RunReader::open(place.path())?.events()?.collect::<Result<Vec<_>, _>>()?;
    let outcomes = outcomes(events.iter().map(|record| &record.event));
    Ok(outcomes.values().filter(|outcome| ***outcome != CellOutcome::Interrupted).count())
}

/// Returns the cells that the report of a share calls FAILED, and why. As long as it has none, its
/// events alone tell.
fn failed_by_report(reader: &RunReader, plan: &Plan) -> HashMap<CellId, String> {
    let Ok(summary) = read_summary(&reader.dir().path().join("summary.json")) else {
        return HashMap::new();
    };
    let rows = plan.clone().by_row();
    let ids: HashMap<&CellId, &CellId> =
        rows.cells.iter().map(|row| (&row.id, row.run_id())).collect();
    let failed = summary.cells.iter().filter(|row| row.validity.status == CellStatus::Failed);
    failed
        .filter_map(|row| Some(((*ids.get(&row.id)?).clone(), row.validity.reasons.join("; "))))
        .collect()
}

/// Returns how cells stand by the last word on each; what is not in it is missing.
fn last_words(events: &[EventRecord]) -> HashMap<&CellId, CellState> {
    let outcomes = outcomes(events.iter().map(|record| &record.event));
    let states = outcomes.into_iter().filter_map(|(cell, outcome)| match outcome {
        CellOutcome::Failed(failure) => Some((cell, CellState::Failed(failure.message.clone()))),
        CellOutcome::Skipped(reason) => Some((cell, CellState::Skipped(reason.clone()))),
        CellOutcome::Complete | CellOutcome::Interrupted => None,
    });
    states.collect()
}
