//! The run that the tasks make, brought up to date before it is read.

use std::path::Path;

use crate::analysis::run::RunAnalysis;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::slurm::progress::SlurmRun;
use crate::cli::{output, publish};
use crate::slurm::share::shares;
use crate::store::error::StoreError;
use crate::store::gather::gather;
use crate::store::reader::RunReader;

/// Brings run directories up to date whose cells are measured by tasks. What cannot be brought up
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

/// Refuses to measure cells of such a run here, beside its tasks.
pub(crate) fn refuse_here(dir: &Path) -> Result<(), Failure> {
    if SlurmRun::open(dir)?.is_none() {
        return Ok(());
    }
    let message = format!("the cells of {} are measured by tasks of Slurm", dir.display());
    Err(Failure::new(Exit::Usage, message).help("add `--slurm`: what is missing is submitted"))
}

fn update_one(dir: &Path) -> Result<(), Failure> {
    let Some(run) = SlurmRun::open(dir)? else { return Ok(()) };
    let places: Vec<_> = shares(&run.plan).iter().map(|share| run.place(share)).collect();
    let has_changed = match gather(&run.dir, &places) {
        // Whoever holds it gathers or submits; what it makes of the shares is the same.
        Err(StoreError::Locked { .. }) => false,
        gathered => gathered?,
    };
    if !has_changed {
        return Ok(());
    }
    let analysis = RunAnalysis::of(&RunReader::open(dir)?)?;
    publish::write_files(&analysis, &publish::view(&analysis))
}
