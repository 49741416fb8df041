//! The directories of a run and of its shares.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::analysis::run::RunAnalysis;
use crate::cli::failure::Failure;
use crate::cli::requested_run::RequestedRun;
use crate::cli::scenario_file::Planned;
use crate::cli::shares::changed::undated;
use crate::cli::shares::progress::{Activity, By, ShareProgress, SharedRun};
use crate::cli::{check_paths, kept_cells, output, run, run_report, typed};
use crate::engine::credentials::Credentials;
use crate::plan::Plan;
use crate::plan::share::Share;
use crate::record::event::{EventRecord, RunEvent};
use crate::run::prepare::Prepared;
use crate::secrets::redact::Redactor;
use crate::store::reader::RunReader;
use crate::store::run_dir::{Invocation, RunDir};
use crate::store::writer::{NewRun, RunWriter};

/// A run of shares that is about to begin. Data are read first: what is wrong with them is told
/// here, and not by a process that waited for hours.
pub(crate) struct NewShared {
    pub(crate) job: RequestedRun,
    pub(crate) prepared: Prepared,
    credentials: Credentials,
}

impl NewShared {
    /// Prepares it; cells of the run in `reused` are to be taken.
    pub(crate) fn prepare(
        planned: Planned,
        path: &Path,
        is_quiet: bool,
        by: By,
        reused: Option<&Path>,
    ) -> Result<Self, Failure> {
        check_paths::refuse_missing(&planned.loaded.scenario, &planned.plan)?;
        let mut job = RequestedRun::of(planned, path);
        if let Some(dir) = reused {
            kept_cells::take_day(dir, &mut job)?;
        }
        let credentials = run::credentials(&job.plan)?;
        output::hide(credentials.redactor());
        let prepared = run::prepare(&job, is_quiet)?;
        prepared.date(&mut job.plan, &job.invocation.template_date);
        job.invocation.slurm = by == By::Slurm;
        job.invocation.side_by_side = by == By::SideBySide;
        Ok(Self { job, prepared, credentials })
    }

    /// Returns what hides its secrets.
    pub(crate) fn redactor(&self) -> &Redactor {
        self.credentials.redactor()
    }

    /// Makes the run directory.
    pub(crate) fn create(&self, out: Option<&Path>) -> Result<PathBuf, Failure> {
        let writer = RunWriter::create(&self.job.new_run(out, self.redactor()))?;
        self.write_data(&writer)?;
        Ok(typed::absolute(writer.dir().path()))
    }

    /// Writes the golds and the questions into a directory of the run.
    pub(crate) fn write_data(&self, writer: &RunWriter) -> Result<(), Failure> {
        writer.golds(&self.prepared.golds, &BTreeSet::new())?;
        Ok(writer.questions(&self.prepared.questions)?)
    }
}

/// What the directories of all shares have in common.
struct Common {
    scenario: String,
    resolved: String,
    invocation: Invocation,
}

impl Common {
    fn of(run: &SharedRun) -> Result<Self, Failure> {
        let reader = RunReader::open(run.dir.path())?;
        let begun = reader.manifest().invocation.clone().unwrap_or_default();
        Ok(Self {
            scenario: reader.scenario()?,
            resolved: reader.resolved()?,
            invocation: Invocation { slurm: false, side_by_side: false, ..begun },
        })
    }

    fn new_run<'a>(
        &'a self,
        share: &'a Share,
        place: &'a Path,
        redactor: &'a Redactor,
    ) -> NewRun<'a> {
        NewRun {
            root: place,
            out: Some(place),
            plan: &share.plan,
            scenario: &self.scenario,
            resolved: &self.resolved,
            template: None,
            redactor,
            invocation: &self.invocation,
        }
    }
}

/// Makes the run directories of shares that have none yet.
pub(crate) fn make(run: &SharedRun, shares: &[&Share]) -> Result<(), Failure> {
    let is_there = |share: &&Share| RunDir::at(run.place(share)).manifest().exists();
    for share in shares.iter().copied().filter(|share| !is_there(share)) {
        make_one(run, share)?;
    }
    Ok(())
}

/// Makes the run directory of a share.
pub(crate) fn make_one(run: &SharedRun, share: &Share) -> Result<RunWriter, Failure> {
    let (common, place) = (Common::of(run)?, run.place(share));
    // The run's own texts have no secrets any more.
    Ok(RunWriter::create(&common.new_run(share, &place, &Redactor::default()))?)
}

/// Gives the directories of shares the plan that the run has now. What is being measured goes on with
/// its own until it is over.
pub(crate) fn follow(run: &SharedRun, shares: &[ShareProgress]) -> Result<(), Failure> {
    let common = Common::of(run)?;
    for ShareProgress { share, .. } in
        shares.iter().filter(|it| it.is_begun && it.activity != Activity::Running)
    {
        let place = run.place(share);
        let before = RunReader::open(&place)?.plan_on_disk()?;
        if undated(&before) != undated(&share.plan) {
            follow_one(run, share, &common.new_run(share, &place, &Redactor::default()), &before)?;
        }
    }
    Ok(())
}

fn follow_one(
    run: &SharedRun,
    share: &Share,
    now: &NewRun<'_>,
    before: &Plan,
) -> Result<(), Failure> {
    let place = run.place(share);
    let reader = RunReader::open(&place)?;
    let (_, changes) = kept_cells::scenario_differences(&reader.resolved_on_disk()?, now.resolved)?;
    let changes = changes.iter().map(ToString::to_string).collect();
    let last = reader.events()?.last().transpose()?;
    let mut writer = RunWriter::resume(&place, now.redactor)?;
    writer.change(before, now, changes)?;
    // Where nothing is missing nobody goes on with it: it stays over.
    if let Some(EventRecord { event: end @ RunEvent::RunFinished { .. }, .. }) = last
        && run.of_share(share.clone())?.is_over()
    {
        writer.event(end)?;
        drop(writer);
        let analysis = RunAnalysis::of(&RunReader::open(&place)?)?;
        run_report::write_files(&analysis, &run_report::view(&analysis))?;
    }
    Ok(())
}
