//! Takes what another run has measured: its files are linked, or copied where the file system has no
//! links.

use crate::ids::LaunchId;
use crate::plan::cell::Cell;
use crate::store::atomic;
use crate::store::error::StoreError;
use crate::store::gather::{link_logs_of, link_trial};
use crate::store::reader::{RunReader, TrialReader};
use crate::store::run_dir::RunDir;
use crate::store::verify::check_sum;

/// Whether the files of a trial are what they were when it ended.
///
/// # Errors
/// [`StoreError::Corrupt`] or [`StoreError::Missing`] if not.
pub(crate) fn check(trial: &TrialReader) -> Result<(), StoreError> {
    trial.sums().try_for_each(|(name, sum)| check_sum(&trial.path().join(name), sum))
}

/// Makes trials those of a cell of another run.
///
/// # Errors
/// [`StoreError::Io`] or [`StoreError::CannotCreate`] when they cannot be linked.
pub(crate) fn take(dir: &RunDir, cell: &Cell, trials: &[TrialReader]) -> Result<(), StoreError> {
    let place = dir.cell(&cell.name)?;
    for trial in trials {
        let name = RunDir::trial_name(trial.record.trial);
        link_trial(trial.path(), &place, &name)?;
        atomic::sync_parent(&place.join(name))?;
    }
    Ok(())
}

/// Takes the logs of an engine.
///
/// # Errors
/// As [`take`].
pub(crate) fn take_logs(
    dir: &RunDir,
    from: &RunReader,
    launch: &LaunchId,
) -> Result<(), StoreError> {
    let of = |dir: &RunDir| dir.path().join("engines").join(&launch.0);
    link_logs_of(&of(from.dir()), &of(dir))
}
