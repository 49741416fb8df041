//! The run that its shares make, brought up to date before it is read.

use std::path::Path;

use crate::analysis::run::RunAnalysis;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::shares::progress::{By, SharedRun};
use crate::cli::{output, run_report};
use crate::store::error::StoreError;
use crate::store::gather::gather;
use crate::store::lock::RunLock;
use crate::store::reader::RunReader;

/// Brings run directories up to date whose shares are measured apart. What cannot be brought up
/// to date is read as it is, and the reason is told.
pub(crate) fn update(dirs: &[&Path]) {
    for dir in dirs {
        if let Err(failure) = update_one(dir) {
            output::message(&format!(
                "note: {} is read as it was gathered last\n{}",
                dir.display(),
                failure.render(false)
            ));
        }
    }
}

/// Refuses to measure cells of a run here whose tasks do so.
pub(crate) fn refuse_here(dir: &Path) -> Result<(), Failure> {
    if SharedRun::open(dir)?.is_none_or(|run| run.by != By::Slurm) {
        return Ok(());
    }
    let message = format!("the cells of {} are measured by tasks of Slurm", dir.display());
    Err(Failure::new(Exit::Usage, message).help("add `--slurm`: what is missing is submitted"))
}

fn update_one(dir: &Path) -> Result<(), Failure> {
    let Some(run) = SharedRun::open(dir)? else { return Ok(()) };
    let has_changed = match RunLock::take(&run.dir) {
        // Whoever holds it gathers or submits; what it makes of the shares is the same.
        Err(StoreError::Locked { .. }) => false,
        lock => gather(&run.dir, &lock?, &run.places())?,
    };
    if !has_changed {
        return Ok(());
    }
    let analysis = RunAnalysis::of(&RunReader::open(dir)?)?;
    run_report::write_files(&analysis, &run_report::view(&analysis))
}
