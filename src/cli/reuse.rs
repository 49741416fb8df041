//! `bench run --reuse`: begins a run with what another one has measured already.

use std::collections::BTreeSet;
use std::path::Path;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::requested_run::RequestedRun;
use crate::cli::shares::merged_run;
use crate::cli::{kept_cells, output, typed};
use crate::ids::CellId;
use crate::record::event::{EventRecord, RunEvent};
use crate::report::number::counted;
use crate::run::conduct::{self, Done};
use crate::run::prepare::Prepared;
use crate::run::reuse::{Equal, Here, Taken};
use crate::secrets::redact::Redactor;
use crate::store::error::StoreError;
use crate::store::reader::RunReader;
use crate::store::writer::RunWriter;
use crate::telemetry;

/// A finished run from which cells are taken.
pub(crate) struct Source {
    pub(crate) reader: RunReader,
}

impl Source {
    /// Opens it.
    ///
    /// # Errors
    /// 75 while it is not over.
    pub(crate) fn open(from: &Path) -> Result<Self, Failure> {
        let from = typed::absolute(from);
        merged_run::update(&[&from]);
        let reader = RunReader::open(&from)?;
        refuse_unfinished(&reader)?;
        Ok(Self { reader })
    }

    /// Tells what was taken for a job, and what is not the same.
    pub(crate) fn tell(
        &self,
        job: &RequestedRun,
        taken: &Taken,
        redactor: &Redactor,
    ) -> Result<(), Failure> {
        let n_cells = counted(job.plan.cells.len() as u64, "cell");
        let from = self.reader.dir().path().display();
        output::message(&format!("taken from {from}: {} of {n_cells}", taken.cells.len()));
        let ids: BTreeSet<&CellId> = taken.cells.iter().collect();
        for cell in job.plan.cells.iter().filter(|cell| ids.contains(&cell.id)) {
            output::message(&format!("  {}", cell.name));
        }
        let mut unequal: Vec<String> = Vec::new();
        if taken.cells.len() < job.plan.cells.len() {
            let (_, changes) = kept_cells::scenario_changes(&self.reader, job, redactor)?;
            unequal.extend(changes.iter().map(|change| format!("scenario: {change}")));
        }
        unequal.extend(taken.unequal.iter().cloned());
        if !unequal.is_empty() {
            output::message(&format!("not the same as there:\n  {}", unequal.join("\n  ")));
        }
        Ok(())
    }
}

/// Makes a run directory and takes from a finished run what is the same; tells what was taken, and
/// what differs.
pub(crate) fn begin(
    from: &Path,
    out: Option<&Path>,
    job: &RequestedRun,
    prepared: &Prepared,
    redactor: &Redactor,
) -> Result<(RunWriter, Done), Failure> {
    let source = Source::open(from)?;
    let mut writer = RunWriter::create(&job.new_run(out, redactor))?;
    let here = Here { machine: Some(&telemetry::environment()), prepared, redactor };
    let taken = Equal::find(&source.reader, &job.plan, here)?.take(&mut writer)?;
    source.tell(job, &taken, redactor)?;
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
