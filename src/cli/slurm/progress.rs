//! What Slurm says of the shares of a run.

use std::path::Path;

use crate::cli::failure::Failure;
use crate::cli::shares::progress::{Activity, By, ShareProgress, SharedRun};
use crate::cli::slurm::commands;
use crate::cli::slurm::submission::{self, Submission};
use crate::plan::share::Share;
use crate::report::number::counted;
use crate::slurm::answer::Task;

/// What to do where Slurm does not tell how far a run is.
const LOOK_AGAIN: &str =
    "nothing is lost: look again when `squeue` answers, or with `--watch`, which waits for it";

/// A run of Slurm's tasks.
pub(crate) struct SlurmRun {
    pub(crate) shared: SharedRun,
    pub(super) submissions: Vec<Submission>,
}

/// How far a run is, by its directories and by Slurm.
pub(crate) struct Seen {
    pub(crate) shares: Vec<ShareProgress>,
    /// Why it is not known how some of its tasks ended.
    pub(crate) note: Option<String>,
    /// Why Slurm does not tell what waits and runs, where it does not and something may.
    pub(crate) silent: Option<Failure>,
}

impl SlurmRun {
    /// Opens a run directory; `None` where its cells are not measured by tasks.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, Failure> {
        let shared = SharedRun::open(path)?.filter(|shared| shared.by == By::Slurm);
        shared.map(Self::of).transpose()
    }

    /// Reads what was submitted of a run.
    pub(crate) fn of(shared: SharedRun) -> Result<Self, Failure> {
        let submissions = submission::all(&shared.dir)?;
        Ok(Self { shared, submissions })
    }

    /// Asks Slurm for the tasks of this run, and notes the jobs of submissions whose answer got
    /// lost. `help` says what it means for the command where Slurm does not answer.
    pub(super) fn live_tasks(&mut self, help: &str) -> Result<Vec<Task>, Failure> {
        if self.submissions.is_empty() {
            return Ok(Vec::new());
        }
        let tasks = commands::squeue(help)?;
        for submission in self.submissions.iter_mut().filter(|it| it.job.is_none()) {
            let Some(task) = tasks.iter().find(|task| task.is_of(&submission.id)) else { continue };
            submission.job = Some(task.job);
            submission.write(&self.shared.dir)?;
        }
        Ok(tasks)
    }

    /// Returns what is there of each share, beside the newest task of it.
    pub(crate) fn progress(&self, tasks: &[Task]) -> Result<Vec<ShareProgress>, Failure> {
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

    /// Returns what is there of each share beside its task, those that have ended included.
    pub(crate) fn look(&mut self) -> Result<Seen, Failure> {
        let (mut tasks, silent) = match self.live_tasks(LOOK_AGAIN) {
            Ok(tasks) => (tasks, None),
            Err(failure) => (Vec::new(), Some(failure)),
        };
        let note = self.add_ended(&mut tasks);
        let mut shares = self.progress(&tasks)?;
        let mut is_unknown = false;
        if silent.is_some() {
            // What accounts call ended may wait again, as a task that was requeued does.
            for share in shares.iter_mut().filter(|share| !share.is_live() && !share.is_over()) {
                share.activity = Activity::Unknown;
                is_unknown = true;
            }
        }
        Ok(Seen { shares, note, silent: silent.filter(|_| is_unknown) })
    }

    /// Adds the tasks that the controller has forgotten, from accounts; returns why there are none
    /// where some are missing.
    fn add_ended(&self, tasks: &mut Vec<Task>) -> Option<String> {
        let is_known = |job: u64| tasks.iter().any(|task| task.job == job);
        let forgotten: Vec<_> =
            self.submissions.iter().filter(|it| it.job.is_some_and(|job| !is_known(job))).collect();
        let oldest = forgotten.iter().map(|it| it.unix_ns).min()?;
        let names: Vec<String> = forgotten.iter().map(|it| it.name.clone()).collect();
        match commands::sacct(&names, &day(oldest)) {
            Ok(ended) => {
                tasks.extend(ended);
                None
            }
            Err(why) => Some(format!(
                "note: how {} of earlier submissions ended is not known, as Slurm keeps no accounts \
                 that can be read ({why}); their logs are in {}",
                counted(forgotten.len() as u64, "job"),
                self.shared.dir.slurm().display()
            )),
        }
    }
}

/// Returns the day before a time, as `sacct` reads it: clocks and zones differ.
fn day(unix_ns: u64) -> String {
    const DAY_NS: u64 = 86_400_000_000_000;
    let before = i128::from(unix_ns.saturating_sub(DAY_NS));
    jiff::Timestamp::from_nanosecond(before)
        .map_or_else(|_| "now-7days".to_owned(), |at| at.strftime("%Y-%m-%d").to_string())
}
