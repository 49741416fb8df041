//! The directories of a run and of its shares.

use std::path::{Path, PathBuf};

use crate::cli::failure::Failure;
use crate::cli::job::Job;
use crate::cli::scenario_file::Planned;
use crate::cli::shares::progress::{By, SharedRun};
use crate::cli::{check_paths, exit::Exit, output, run, typed};
use crate::plan::Plan;
use crate::plan::share::Share;
use crate::secrets::redact::Redactor;
use crate::store::reader::RunReader;
use crate::store::run_dir::{Invocation, RunDir};
use crate::store::writer::{NewRun, RunWriter};

/// Refuses a scenario whose cells are not those that a run was begun with. Identities are left
/// out: they may hold the day of the begin.
pub(crate) fn refuse_other(run: &SharedRun, now: &Plan) -> Result<(), Failure> {
    let measured = |plan: &Plan| {
        let mut cells = plan.cells.clone();
        for cell in &mut cells {
            cell.id.0.clear();
        }
        let launches: Vec<_> = plan.launches.keys().cloned().collect();
        (cells, launches, plan.datasets.clone(), plan.scores.clone(), plan.seed, plan.order)
    };
    if measured(&run.plan) == measured(now) {
        return Ok(());
    }
    let dir = run.dir.path();
    let (was, to) = match run.by {
        By::Slurm => ("submitted", "submit to"),
        By::SideBySide => ("begun", "measure into"),
    };
    let message = format!("{} was {was} with other cells", dir.display());
    Err(Failure::new(Exit::Corrupt, message).help(format!(
        "go on as it was begun with `bench resume {}`, or {to} another directory with `--out`",
        typed::path(dir)
    )))
}

/// Makes the run directory. Data are read first: what is wrong with them is told here, and not
/// by a process that waited for hours.
pub(crate) fn create(
    planned: Planned,
    path: &Path,
    out: Option<&Path>,
    is_quiet: bool,
    by: By,
) -> Result<PathBuf, Failure> {
    check_paths::refuse_missing(&planned.loaded.scenario, &planned.plan)?;
    let mut job = Job::of(planned, path);
    let credentials = run::credentials(&job.plan)?;
    let redactor = credentials.redactor();
    output::hide(redactor);
    let prepared = run::prepare(&job, is_quiet)?;
    prepared.date(&mut job.plan, &job.invocation.template_date);
    job.invocation.slurm = by == By::Slurm;
    job.invocation.side_by_side = by == By::SideBySide;
    let writer = RunWriter::create(&job.new_run(out, redactor))?;
    let dir = writer.dir().clone();
    writer.golds(&prepared.golds, &std::collections::BTreeSet::new())?;
    writer.questions(&prepared.questions)?;
    Ok(typed::absolute(dir.path()))
}

/// Makes the run directories of shares that have none yet.
pub(crate) fn make(run: &SharedRun, shares: &[&Share]) -> Result<(), Failure> {
    let reader = RunReader::open(run.dir.path())?;
    let (scenario, resolved) = (reader.scenario()?, reader.resolved()?);
    let begun = reader.manifest().invocation.clone().unwrap_or_default();
    let invocation = Invocation { slurm: false, side_by_side: false, ..begun };
    for share in shares {
        let place = run.place(share);
        if RunDir::at(&place).manifest().exists() {
            continue;
        }
        RunWriter::create(&NewRun {
            root: run.dir.path(),
            out: Some(&place),
            plan: &share.plan,
            scenario: &scenario,
            resolved: &resolved,
            template: None,
            // The run's own texts have no secrets any more.
            redactor: &Redactor::default(),
            invocation: &invocation,
        })?;
    }
    Ok(())
}
