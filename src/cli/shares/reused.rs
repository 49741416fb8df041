//! `--reuse` for a run whose shares are measured apart: each begins with what another run has
//! measured of it already, and where nothing is missing nobody measures it.

use std::collections::BTreeSet;

use crate::analysis::run::RunAnalysis;
use crate::cli::failure::Failure;
use crate::cli::reuse::Source;
use crate::cli::run_report;
use crate::cli::shares::places::{self, NewShared};
use crate::cli::shares::progress::{By, SharedRun};
use crate::plan::share::Share;
use crate::record::environment::Environment;
use crate::record::event::{CellOutcome, RunEvent};
use crate::run::reuse::{Equal, Here, Taken};
use crate::store::reader::RunReader;
use crate::store::writer::RunWriter;
use crate::telemetry;

/// Takes from a finished run what is the same; tells what was taken, and what differs.
pub(crate) fn take(source: &Source, new: &NewShared, run: &SharedRun) -> Result<(), Failure> {
    let machine = machine(run.by);
    let mut all = Taken::default();
    for share in run.shares() {
        let equal = Equal::find(&source.reader, &share.plan, here(new, machine.as_ref()))?;
        if equal.cells().next().is_none() {
            add(&mut all, equal.into_taken());
            continue;
        }
        let mut writer = places::make_one(run, &share)?;
        new.write_data(&writer)?;
        // What goes on with it elsewhere says in what its machine is another one.
        writer.environment(&source.reader.environment()?.unwrap_or_default())?;
        let taken = equal.take(&mut writer)?;
        if taken.cells.len() == share.plan.cells.len() {
            end(writer, &share)?;
        }
        add(&mut all, taken);
    }
    source.tell(&new.job, &all, new.redactor())
}

/// Returns the names of the cells that would be taken, and tells of them.
pub(crate) fn look(
    source: &Source,
    new: &NewShared,
    run: &SharedRun,
) -> Result<BTreeSet<String>, Failure> {
    let machine = machine(run.by);
    let (mut all, mut names) = (Taken::default(), BTreeSet::new());
    for share in run.shares() {
        let equal = Equal::find(&source.reader, &share.plan, here(new, machine.as_ref()))?;
        names.extend(equal.cells().map(|cell| cell.name.clone()));
        add(&mut all, equal.into_taken());
    }
    source.tell(&new.job, &all, new.redactor())?;
    Ok(names)
}

/// Returns the machine that measures; of a cluster's nodes nothing is known where it is submitted.
fn machine(by: By) -> Option<Environment> {
    match by {
        By::SideBySide => Some(telemetry::environment()),
        By::Slurm => None,
    }
}

fn here<'a>(new: &'a NewShared, machine: Option<&'a Environment>) -> Here<'a> {
    Here { machine, prepared: &new.prepared, redactor: new.redactor() }
}

fn add(all: &mut Taken, taken: Taken) {
    all.cells.extend(taken.cells);
    for why in taken.unequal {
        if !all.unequal.contains(&why) {
            all.unequal.push(why);
        }
    }
}

/// Ends a share of which nothing is missing.
fn end(mut writer: RunWriter, share: &Share) -> Result<(), Failure> {
    let n_cells = share.plan.cells.len() as u32;
    writer.event(RunEvent::RunStarted { resumed: false, n_cells })?;
    for cell in &share.plan.cells {
        let (cell, outcome) = (cell.id.clone(), CellOutcome::Complete);
        writer.event(RunEvent::CellFinished { cell, outcome })?;
    }
    writer.event(RunEvent::RunFinished { code: 0 })?;
    writer.sync()?;
    let place = writer.dir().path().to_owned();
    drop(writer);
    let analysis = RunAnalysis::of(&RunReader::open(&place)?)?;
    run_report::write_files(&analysis, &run_report::view(&analysis))
}
