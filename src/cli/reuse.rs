//! `bench run --reuse`: begins a run with what another one has measured already.

use std::collections::BTreeSet;
use std::path::Path;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::job::Job;
use crate::cli::{kept_cells, output, typed};
use crate::ids::CellId;
use crate::record::event::{EventRecord, RunEvent};
use crate::report::number::counted;
use crate::run::conduct::{self, Done};
use crate::run::prepare::Prepared;
use crate::run::reuse::{self, Here, Taken};
use crate::secrets::redact::Redactor;
use crate::store::error::StoreError;
use crate::store::reader::RunReader;
use crate::store::writer::RunWriter;
use crate::telemetry;

/// Makes a run directory and takes from a finished run what is the same; tells what was taken, and
/// what differs.
pub(crate) fn begin(
    from: &Path,
    out: Option<&Path>,
    job: &Job,
    prepared: &Prepared,
    redactor: &Redactor,
) -> Result<(RunWriter, Done), Failure> {
    let from = typed::absolute(from);
    let reader = RunReader::open(&from)?;
    refuse_unfinished(&reader)?;
    let (_, changes) = kept_cells::scenario_changes(&reader, job, redactor)?;
    let mut writer = RunWriter::create(&job.new_run(out, redactor))?;
    let here = Here { machine: &telemetry::environment(), prepared, redactor };
    let taken = reuse::take(&reader, &job.plan, &here, &mut writer)?;
    let mut unequal: Vec<String> = Vec::new();
    if taken.cells.len() < job.plan.cells.len() {
        unequal.extend(changes.iter().map(|change| format!("scenario: {change}")));
    }
    unequal.extend(taken.unequal.iter().cloned());
    tell(&from, job, &taken, &unequal);
    let done = conduct::done(&RunReader::open(writer.dir().path())?)?;
    Ok((writer, done))
}

fn refuse_unfinished(reader: &RunReader) -> Result<(), Failure> {
    let events = reader.events()?.collect::<Result<Vec<EventRecord>, StoreError>>()?;
    let is_over =
        matches!(events.last(), Some(EventRecord { event: RunEvent::RunFinished { .. }, .. }));
    if is_over && !reader.is_in_progress() {
        return Ok(());
    }
    let dir = reader.dir().path();
    let message = format!("{} is not over", dir.display());
    Err(Failure::new(Exit::TryAgain, message)
        .help(format!("reuse it once it is; go on with it by `{}`", typed::resume(dir))))
}

fn tell(from: &Path, job: &Job, taken: &Taken, unequal: &[String]) {
    let n_cells = counted(job.plan.cells.len() as u64, "cell");
    let from = from.display();
    output::message(&format!("taken from {from}: {} of {n_cells}", taken.cells.len()));
    let ids: BTreeSet<&CellId> = taken.cells.iter().collect();
    for cell in job.plan.cells.iter().filter(|cell| ids.contains(&cell.id)) {
        output::message(&format!("  {}", cell.name));
    }
    if !unequal.is_empty() {
        output::message(&format!("not the same as there:\n  {}", unequal.join("\n  ")));
    }
}
