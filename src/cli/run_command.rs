//! `bench run`: what the command line asks for.

use crate::cli::args::{Colour, RunArgs};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::run::{self, Begin};
use crate::cli::shares::merged_run;
use crate::cli::{gate_flags, output, scenario_file, side_by_side};
use crate::plan::render::render;
use crate::store::run_dir::RunDir;

/// Measures a scenario and reports.
pub(crate) fn run(args: &RunArgs, colour: Colour) -> Result<Exit, Failure> {
    let mut planned = scenario_file::plan(&args.scenario)?;
    if args.dry_run {
        run::warn(&planned, colour);
        gate_flags::add(&mut planned.plan, &args.ends.gates, args.resume.as_deref())?;
        output::data(&render(&planned.plan, &scenario_file::skips(&planned.plan)))?;
        output::data(&side_by_side::lines(&planned.plan))?;
        return Ok(Exit::Ok);
    }
    let begin = match (&args.resume, &args.out) {
        // Killed before it began, it holds nothing to go on with.
        (Some(dir), _) if RunDir::at(dir).is_unfinished().unwrap_or(false) => Begin::New(Some(dir)),
        (Some(dir), _) => {
            merged_run::refuse_here(dir)?;
            Begin::GoOn(dir, &args.retry)
        }
        (None, out) => match &args.reuse {
            Some(from) => Begin::Reusing(out.as_deref(), from),
            None => Begin::New(out.as_deref()),
        },
    };
    let path = scenario_file::place(&args.scenario.scenario);
    side_by_side::carry_out(planned, path, begin, &args.ends, colour).map(|(exit, _)| exit)
}
