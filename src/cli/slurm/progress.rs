//! What Slurm says of the shares of a run.

use std::path::Path;

use crate::cli::failure::Failure;
use crate::cli::shares::progress::{Activity, By, ShareProgress, SharedRun};
use crate::cli::slurm::commands;
use crate::cli::slurm::submission::{self, Submission};
use crate::plan::share::Share;
use crate::slurm::answer::Task;

/// A run of Slurm's tasks.
pub(super) struct SlurmRun {
    pub(super) shared: SharedRun,
    pub(super) submissions: Vec<Submission>,
}

impl SlurmRun {
    /// Opens a run directory; `None` where its cells are not measured by tasks.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, Failure> {
        let shared = SharedRun::open(path)?.filter(|shared| shared.by == By::Slurm);
        shared.map(Self::of).transpose()
    }

    /// Reads what was submitted of a run.
    pub(super) fn of(shared: SharedRun) -> Result<Self, Failure> {
        let submissions = submission::all(&shared.dir)?;
        Ok(Self { shared, submissions })
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
            submission.write(&self.shared.dir)?;
        }
        Ok(tasks)
    }

    /// Returns what is there of each share, beside the newest task of it.
    pub(super) fn progress(&self, tasks: &[Task]) -> Result<Vec<ShareProgress>, Failure> {
        self.shared.shares().into_iter().map(|share| self.of_share(share, tasks)).collect()
    }

    fn of_share(&self, share: Share, tasks: &[Task]) -> Result<ShareProgress, Failure> {
        let is_of_share = |task: &&Task| {
            self.submissions.iter().any(|known| known.share_of(task) == Some(&share.id))
        };
        // A task that lives comes before any that ended, else the newest.
        let task = tasks.iter().filter(is_of_share).max_by_key(|task| (task.is_live(), task.job));
        let task = task.cloned();
        let activity = match &task {
            Some(task) if task.state == "RUNNING" => Activity::Running,
            Some(task) if task.is_live() => Activity::Waiting,
            _ => Activity::None,
        };
        Ok(ShareProgress { task, activity, ..self.shared.of_share(share)? })
    }
}
