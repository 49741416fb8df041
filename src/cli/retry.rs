//! `--retry`: cells that failed or are INVALID, measured again on request.

use std::collections::BTreeSet;
use std::path::Path;

use crate::analysis::run::RunAnalysis;
use crate::cli::args::Retry;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::ids::CellId;
use crate::metrics::summary::{CellStatus, CellSummary};
use crate::plan::cell::Cell;
use crate::record::event::{EventRecord, RunEvent};
use crate::report::number::counted;
use crate::run::conduct;
use crate::secrets::redact::Redactor;
use crate::store::reader::RunReader;
use crate::store::writer::RunWriter;

/// Times that a cell is measured again. What fails four times fails.
const RETRIES_MAX: usize = 3;

/// Asks it of a run directory that nobody works on.
pub(crate) fn ask_of(dir: &Path, kinds: &[Retry]) -> Result<(), Failure> {
    if kinds.is_empty() {
        return Ok(());
    }
    // What the directory holds had its secrets taken out when it was written.
    ask(&mut RunWriter::resume(dir, &Redactor::default())?, kinds)
}

/// Puts the trials of cells of these kinds aside, so that they are measured again.
pub(crate) fn ask(writer: &mut RunWriter, kinds: &[Retry]) -> Result<(), Failure> {
    if kinds.is_empty() {
        return Ok(());
    }
    let reader = RunReader::open(writer.dir().path())?;
    let done = conduct::done(&reader)?;
    let wanted = wanted(&reader, kinds)?;
    let plan = reader.plan()?;
    let cells = plan.cells.iter().filter(|cell| wanted.contains(&cell.id));
    let (again, given_up): (Vec<&Cell>, Vec<&Cell>) =
        cells.partition(|cell| is_left(&cell.id, &done.events));
    for cell in given_up {
        output::message(&format!(
            "  {} was measured again {RETRIES_MAX} times and stays as it is; a new run measures it anew",
            cell.name
        ));
    }
    if !again.is_empty() {
        output::message(&format!("  measured again: {}", counted(again.len() as u64, "cell")));
        writer.retry(&again)?;
    }
    Ok(())
}

/// Returns the cells with a row that is of these kinds, as the report calls them.
pub(crate) fn wanted(reader: &RunReader, kinds: &[Retry]) -> Result<BTreeSet<CellId>, Failure> {
    if kinds.is_empty() {
        return Ok(BTreeSet::new());
    }
    let is_wanted = |row: &CellSummary| {
        kinds.iter().any(|kind| match kind {
            Retry::Failed => row.validity.status == CellStatus::Failed,
            Retry::Invalid => row.validity.status == CellStatus::Invalid,
        })
    };
    let analysis = RunAnalysis::of(reader)?;
    let rows = analysis.plan.cells.iter().zip(&analysis.summary.cells);
    let rows = rows.filter(|(_, row)| is_wanted(row));
    Ok(rows.map(|(cell, _)| cell.run_id().clone()).collect())
}

/// Whether a cell may be measured again once more.
pub(crate) fn is_left(cell: &CellId, events: &[EventRecord]) -> bool {
    n_retries(cell, events) < RETRIES_MAX
}

fn n_retries(cell: &CellId, events: &[EventRecord]) -> usize {
    let is_of_cell = |record: &&EventRecord| matches!(&record.event, RunEvent::RetryAsked { cells } if cells.contains(cell));
    events.iter().filter(is_of_cell).count()
}
