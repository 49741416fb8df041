//! `bench calibrate`: what this program adds on this machine.

use std::path::PathBuf;

use crate::analysis::run::RunAnalysis;
use crate::cli::args::{CalibrateArgs, Colour, EndArgs, FailOn, GateArgs, ProgressAs};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::requested_run::RequestedRun;
use crate::cli::run::Begin;
use crate::cli::today::today;
use crate::cli::{run, scenario_file};
use crate::datasets::cache::DatasetCache;
use crate::record::environment::Calibration;
use crate::report::view::client_overhead;
use crate::store::calibration;

/// Loads in which requests follow answers.
const CLOSED: &str = include_str!("../../scenarios/calibrate.toml");
/// Loads in which they follow a clock.
const OPEN: &str = include_str!("../../scenarios/calibrate_open_loop.toml");

/// Measures the instrument, prints the table and keeps it for later reports.
pub(crate) fn calibrate(args: &CalibrateArgs, colour: Colour) -> Result<Exit, Failure> {
    let path = PathBuf::from("scenarios/calibrate.toml");
    let sets = vec![format!("phase.load.duration={}s", args.seconds)];
    let mut planned = scenario_file::plan_text(&path, CLOSED, None, &sets)?;
    let open = scenario_file::plan_text(&path, OPEN, None, &sets)?.plan;
    planned.plan.cells.extend(open.cells);
    planned.plan.launches.extend(open.launches);
    let mut job = RequestedRun::of(planned, &path);
    job.invocation.calibrates = true;
    let ends = EndArgs {
        strict: false,
        fail_on: vec![FailOn::Failed, FailOn::Invalid],
        gates: GateArgs::default(),
        quiet: args.quiet,
        progress: ProgressAs::Auto,
        tui: false,
    };
    let (exit, analysis) = run::measure(job, Begin::New(args.out.as_deref()), &ends, colour)?;
    keep(exit, &analysis)?;
    Ok(exit)
}

/// Keeps what a calibration found, if it came to its end.
pub(crate) fn keep(exit: Exit, analysis: &RunAnalysis) -> Result<(), Failure> {
    if matches!(exit, Exit::Ok | Exit::CellInvalid) {
        calibration::keep(&DatasetCache::from_env()?.root, &of(analysis))?;
    }
    Ok(())
}

fn of(analysis: &RunAnalysis) -> Calibration {
    let environment = analysis.environment.clone();
    Calibration {
        at: today(),
        bench_version: environment.bench_version,
        kernel: environment.kernel,
        cpu: environment.cpu,
        n_cpus: environment.n_cpus,
        rows: analysis.summary.cells.iter().map(client_overhead::row).collect(),
    }
}
