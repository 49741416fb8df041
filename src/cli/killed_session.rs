//! What a killed session of a run left: its guardian, which ends the engine, or the engine alone.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::engine::guardian::longest_end;
use crate::engine::process;
use crate::engine::stop::orphans;
use crate::plan::Plan;
use crate::store::lock::RunLock;
use crate::store::run_dir::RunDir;
use crate::units::Nanos;

/// How often the lock is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Waits until the guardian of a killed session has ended its engine: so long it holds the run.
/// Whoever else holds it is not waited for.
pub(crate) fn wait_for_guardian(dir: &Path, plan: &Plan) {
    let dir = RunDir::at(dir);
    let grace = plan.launches.values().map(|it| it.stop_grace).max().unwrap_or(Nanos::ZERO);
    let limit = longest_end(grace);
    let deadline = Instant::now() + Duration::from(limit);
    let mut is_told = false;
    while Instant::now() < deadline
        && let Some(pid) = RunLock::taken_by(&dir)
        && process::read(pid.cast_signed()).is_none_or(|it| !it.is_alive())
    {
        if !is_told {
            output::message(&format!(
                "  waiting for the engine of process {pid}, which was killed: 0 s of {limit}"
            ));
        }
        is_told = true;
        thread::sleep(LOOK_EVERY);
    }
}

/// Ends what the run left behind when its runner and its guardian were both killed. Nobody else
/// works on it now, and a guardian that lives keeps its engine.
pub(crate) fn end_orphans(dir: &Path) -> Result<(), Failure> {
    let reaped = orphans::reap(&[dir.to_owned()]).map_err(|source| {
        let message = format!("failed to look for orphans in {}: {source}", dir.display());
        Failure::new(Exit::InputOutput, message)
    })?;
    if !reaped.ended.is_empty() {
        let ended = reaped.ended.join(", ");
        output::message(&format!("  ended what a killed session of the run left: {ended}"));
    }
    if reaped.survivors.is_empty() {
        return Ok(());
    }
    let left = reaped.survivors.join("; ");
    let message = format!("a killed session of {} left processes: {left}", dir.display());
    Err(Failure::new(Exit::Dirty, message)
        .help("nothing is measured beside them; end them by hand"))
}
