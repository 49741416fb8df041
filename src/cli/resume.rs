//! `bench resume`: goes on with a run from its directory alone.

use std::path::Path;

use crate::cli::args::{Colour, ResumeArgs};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::requested_run::RequestedRun;
use crate::cli::run::Begin;
use crate::cli::typed;
use crate::cli::{calibrate, gate_flags, output, run, scenario_file, side_by_side, slurm};
use crate::engine::process::end_with;
use crate::plan::Plan;
use crate::plan::paths::Host;
use crate::store::error::StoreError;
use crate::store::reader::RunReader;
use crate::store::run_dir::{Invocation, RunDir};

/// Goes on with a run as it was begun, from its directory alone.
pub(crate) fn resume(args: &ResumeArgs, colour: Colour) -> Result<Exit, Failure> {
    if let Some(parent) = args.with_parent {
        end_with(parent).map_err(|source| {
            let message = format!("failed to bind this process to {parent}: {source}");
            Failure::new(Exit::Internal, message)
        })?;
    }
    let dir = typed::absolute(&args.dir);
    if let Some(exit) = slurm::submit::resume(&dir, &args.retry)? {
        return Ok(exit);
    }
    if let Some(exit) = side_by_side::resume(&dir, &args.retry, &args.ends, colour)? {
        return Ok(exit);
    }
    let mut job = stored(&dir)?;
    gate_flags::add(&mut job.plan, &args.ends.gates, Some(&dir))?;
    let calibrates = job.invocation.calibrates;
    let (exit, analysis) = run::measure(job, Begin::GoOn(&dir, &args.retry), &args.ends, colour)?;
    if calibrates {
        calibrate::keep(exit, &analysis)?;
    }
    Ok(exit)
}

/// Reads what a run is to do, and makes it what it means on this machine now.
pub(crate) fn stored(dir: &Path) -> Result<RequestedRun, Failure> {
    let reader = match RunReader::open(dir) {
        Err(error @ StoreError::NotARun { .. }) => return Err(not_a_run(dir, error)),
        opened => opened?,
    };
    let changed = |error: StoreError| {
        Failure::from(error).help(format!(
            "go on with the scenario instead: bench run SCENARIO.toml --resume {}",
            typed::path(dir)
        ))
    };
    let mut plan = reader.first_plan().map_err(changed)?;
    let text = reader.scenario().map_err(changed)?;
    let resolved = reader.resolved().map_err(changed)?;
    let begun = reader.manifest().invocation.clone().unwrap_or_default();
    enter(&begun.cwd);
    let Host { bench_exe, assets_dir } = scenario_file::host();
    move_program(&mut plan, &begun, &bench_exe, &assets_dir);
    let invocation = Invocation { program: bench_exe, assets: assets_dir, ..begun };
    // The template, if it has one of its own, is in the directory already.
    Ok(RequestedRun { plan, text, resolved, invocation, template: None, is_dated: true })
}

fn not_a_run(dir: &Path, error: StoreError) -> Failure {
    if !dir.exists() || !RunDir::at(dir).is_unfinished().unwrap_or(false) {
        return error.into();
    }
    let message = format!("{} holds a run that ended before it began", dir.display());
    Failure::new(Exit::NoInput, message).help(format!(
        "nothing was measured; begin it again: bench run SCENARIO.toml --out {}",
        typed::path(dir)
    ))
}

/// Goes where the run was begun: relative paths of its plan are relative to that.
fn enter(cwd: &Path) {
    if cwd.as_os_str().is_empty() {
        return;
    }
    if let Err(source) = std::env::set_current_dir(cwd) {
        output::message(&format!(
            "note: the run was begun in {}, which cannot be entered ({source}); its relative \
             paths are taken from here",
            cwd.display()
        ));
    }
}

/// Puts this program and its files where the plan names those that began the run: they may
/// have moved since.
fn move_program(plan: &mut Plan, begun: &Invocation, program: &Path, assets: &Path) {
    let moves = [(&begun.program, program), (&begun.assets, assets)];
    for argument in plan.launches.values_mut().flat_map(|launch| &mut launch.argv) {
        for (before, now) in moves {
            let rest = Path::new(argument.as_str()).strip_prefix(before);
            if let (Ok(rest), false) = (rest, before.as_os_str().is_empty()) {
                // `join` of nothing would leave a slash behind a file.
                let is_all = rest.as_os_str().is_empty();
                let place = if is_all { now.to_owned() } else { now.join(rest) };
                *argument = place.display().to_string();
                break;
            }
        }
    }
}
