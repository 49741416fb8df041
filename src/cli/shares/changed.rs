//! A changed scenario of a run whose shares are measured apart: what changes, and for which shares.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::requested_run::RequestedRun;
use crate::cli::scenario_file::Planned;
use crate::cli::shares::merged_run;
use crate::cli::shares::progress::{Activity, By, ShareProgress, SharedRun};
use crate::cli::{check_paths, kept_cells, output, run, typed};
use crate::engine::credentials::Credentials;
use crate::ids::CellId;
use crate::plan::Plan;
use crate::plan::share::Share;
use crate::run::conduct;
use crate::run::prepare::Prepared;
use crate::store::reader::RunReader;
use crate::store::run_dir::RunDir;
use crate::store::writer::RunWriter;

/// A scenario that is not the one that a run was begun with.
pub(crate) struct Changed {
    job: RequestedRun,
    prepared: Prepared,
    credentials: Credentials,
    /// Keys that changed.
    changes: Vec<String>,
}

impl Changed {
    /// Holds a scenario against that of a run, and tells each key that differs and what that means;
    /// `None` where nothing does.
    ///
    /// # Errors
    /// 107 when nothing that was measured would be kept, or cells would be of another share.
    pub(crate) fn of(
        run: &SharedRun,
        planned: Planned,
        path: &Path,
        is_quiet: bool,
    ) -> Result<Option<Self>, Failure> {
        let dir = run.dir.path();
        check_paths::refuse_missing(&planned.loaded.scenario, &planned.plan)?;
        let mut job = RequestedRun::of(planned, path);
        job.invocation.slurm = run.by == By::Slurm;
        job.invocation.side_by_side = run.by == By::SideBySide;
        kept_cells::take_day(dir, &mut job)?;
        let credentials = run::credentials(&job.plan)?;
        let redactor = credentials.redactor();
        output::hide(redactor);
        let (_, changes) = kept_cells::scenario_changes(&RunReader::open(dir)?, &job, redactor)?;
        if changes.is_empty() && undated(&run.plan) == undated(&job.plan) {
            return Ok(None);
        }
        let prepared = run::prepare(&job, is_quiet)?;
        prepared.date(&mut job.plan, &job.invocation.template_date);
        // What has been measured by now decides what would be kept.
        merged_run::update(&[dir]);
        let changes = kept_cells::changes(dir, &job, redactor)?;
        refuse_other_shares(run, &job.plan)?;
        Ok(Some(Self { job, prepared, credentials, changes }))
    }

    /// Returns the plan of the scenario.
    pub(crate) fn plan(&self) -> &Plan {
        &self.job.plan
    }

    /// Refuses to change what is being measured.
    pub(crate) fn refuse_running(
        &self,
        run: &SharedRun,
        now: &[ShareProgress],
    ) -> Result<(), Failure> {
        let running: HashMap<&str, &ShareProgress> = now
            .iter()
            .filter(|it| it.activity == Activity::Running)
            .map(|it| (it.share.id.as_str(), it))
            .collect();
        let is_changed = |share: &Share| {
            let before = running.get(share.id.as_str());
            before.is_some_and(|it| measured(&it.share.plan) != measured(&share.plan))
        };
        let shares = run.of_plan(self.job.plan.clone()).shares();
        let Some(share) = shares.iter().find(|share| is_changed(share)) else { return Ok(()) };
        let task =
            running[share.id.as_str()].task.as_ref().map(|task| format!(" by task {}", task.id()));
        let message = format!(
            "what changes is of {}, which is being measured{}",
            share.engines.join(" + "),
            task.unwrap_or_default()
        );
        Err(Failure::new(Exit::TryAgain, message).help(format!(
            "wait for it (`bench status {} --watch`) or cancel it, then type the same again",
            typed::path(run.dir.path())
        )))
    }

    /// Makes it the scenario of the run. Its shares are to [`follow`](super::places::follow).
    pub(crate) fn apply(self, run: &SharedRun) -> Result<(), Failure> {
        let redactor = self.credentials.redactor();
        let mut writer = RunWriter::resume(run.dir.path(), redactor)?;
        let reader = RunReader::open(run.dir.path())?;
        // Golds of cells that keep their trials cannot change any more.
        let done = conduct::done(&reader)?;
        let cells = self.job.plan.cells.iter().filter(|cell| done.n_trials(&cell.id) > 0);
        let in_use: BTreeSet<&str> = cells.map(|cell| cell.dataset.as_str()).collect();
        writer.golds(&self.prepared.golds, &in_use)?;
        writer.questions(&self.prepared.questions)?;
        let before = reader.plan_on_disk()?;
        writer.change(&before, &self.job.new_run(None, redactor), self.changes)?;
        match &self.job.template {
            Some(template) => Ok(writer.template(template)?),
            None => Ok(()),
        }
    }
}

/// Refuses a plan in which cells that were begun would be of another share: their records lie in the
/// directory of theirs.
fn refuse_other_shares(run: &SharedRun, now: &Plan) -> Result<(), Failure> {
    let begun = run.shares();
    let begun = begun.iter().filter(|share| RunDir::at(run.place(share)).manifest().exists());
    let homes: HashMap<&CellId, &str> =
        begun.flat_map(|it| it.plan.cells.iter().map(|cell| (&cell.id, it.id.as_str()))).collect();
    let shares = run.of_plan(now.clone()).shares();
    let moved = shares.iter().find(|share| {
        let mut homes = share.plan.cells.iter().filter_map(|cell| homes.get(&cell.id));
        homes.any(|home| *home != share.id)
    });
    let Some(share) = moved else { return Ok(()) };
    let message = format!(
        "{} would be measured by another process than the one that began",
        share.engines.join(" + ")
    );
    let dir = typed::path(run.dir.path());
    Err(Failure::new(Exit::Corrupt, message).help(format!(
        "go on as it was begun with `bench resume {dir}`, or begin another directory with `--out`"
    )))
}

/// Returns a plan without what the day of its begin and the place of this program are in.
pub(super) fn undated(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    for cell in &mut plan.cells {
        cell.id.0.clear();
    }
    for launch in plan.launches.values_mut() {
        launch.argv.clear();
        launch.stop_argv.clear();
        launch.version_argv.clear();
    }
    plan
}

/// Returns what of a plan shapes what is measured.
fn measured(plan: &Plan) -> impl PartialEq + use<> {
    let mut plan = undated(plan);
    for cell in &mut plan.cells {
        (cell.slo, cell.score) = (None, None);
    }
    let asked = (plan.cells, plan.launches, plan.datasets, plan.seed, plan.search);
    (asked, plan.order, plan.skip_after, plan.budget, plan.prefetch, plan.clients)
}
