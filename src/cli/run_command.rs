//! `bench run`: what the command line asks for.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;

use crate::analysis::run::RunAnalysis;
use crate::cli::args::{Colour, RunArgs};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::run::{self, Begin};
use crate::cli::shares::merged_run;
use crate::cli::{gate_flags, output, scenario_file, side_by_side};
use crate::ids::CellId;
use crate::plan::Plan;
use crate::plan::cell::Cell;
use crate::plan::render::render;
use crate::report::number::counted;
use crate::store::reader::RunReader;
use crate::store::run_dir::RunDir;

/// Measures a scenario and reports.
pub(crate) fn run(args: &RunArgs, colour: Colour) -> Result<Exit, Failure> {
    let mut planned = scenario_file::plan(&args.scenario)?;
    if !args.retry.is_empty() && args.resume.is_none() {
        let message = "--retry is for a run that goes on";
        return Err(Failure::new(Exit::Usage, message).help("add `--resume DIR`"));
    }
    if args.dry_run {
        run::warn(&planned, colour);
        gate_flags::add(&mut planned.plan, &args.ends.gates, args.resume.as_deref())?;
        let before = args.resume.as_deref().or(args.reuse.as_deref());
        let before = before.map(|dir| RunReader::open(dir).map(|reader| (dir, reader)));
        let before = before.transpose()?;
        output::data(&render(&planned.plan, &scenario_file::skips(&planned.plan)))?;
        output::data(&side_by_side::lines(&planned.plan))?;
        if let Some((dir, reader)) = before {
            output::data(&already(&planned.plan, dir, &RunAnalysis::of(&reader)?))?;
        }
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

/// Says which cells of a plan another run has measured.
fn already(plan: &Plan, dir: &Path, before: &RunAnalysis) -> String {
    let measured = before.summary.cells.iter().filter(|it| it.validity.status.is_measured());
    let measured: HashSet<&CellId> = measured.map(|it| &it.id).collect();
    let (there, left): (Vec<&Cell>, Vec<&Cell>) =
        plan.cells.iter().partition(|cell| measured.contains(&cell.id));
    let mut text = format!(
        "{} of {} are in {}",
        there.len(),
        counted(plan.cells.len() as u64, "cell"),
        dir.display()
    );
    for cell in left {
        let _ = write!(text, "\n  to be measured: {}", cell.name);
    }
    text + "\n"
}
