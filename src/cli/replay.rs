//! `bench replay`: measures a bundle again, here, and holds the two against each other.

use std::path::{Path, PathBuf};

use crate::analysis::run::RunAnalysis;
use crate::cli::args::{Colour, CompareArgs, CompareFormat, ReplayArgs, UndecidedAs};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::requested_run::RequestedRun;
use crate::cli::run::Begin;
use crate::cli::typed;
use crate::cli::{bundle, compare, gate_flags, output, resume, run, run_report, verify};
use crate::plan::Plan;
use crate::report::number::counted;
use crate::store::bundle::{Unpacked, unpack};
use crate::store::reader::RunReader;
use crate::store::run_dir::RunDir;
use crate::telemetry;

/// Ending of a bundle's name.
const ENDING: &str = ".bench.tar.zst";

/// Unpacks a bundle, names what is not the same here, measures and compares.
pub(crate) fn replay(args: &ReplayArgs, colour: Colour) -> Result<Exit, Failure> {
    let place = typed::absolute(&args.out.clone().unwrap_or_else(|| place_of(&args.bundle)));
    let unpacked = unpack(&typed::absolute(&args.bundle), &place.join("original"))?;
    let original = RunReader::open(&unpacked.run)?;
    verify::refuse_damaged(&original)?;
    if unpacked.lock.files.is_empty() {
        // Nothing vouches for figures of format 1 but the records themselves.
        let analysis = RunAnalysis::of(&original)?;
        run_report::write_files(&analysis, &run_report::view(&analysis))?;
    }
    let mut job = job(&unpacked)?;
    gate_flags::add(&mut job.plan, &args.ends.gates, None)?;
    tell_changes(&unpacked, &original, &job, args)?;
    let measured = place.join("run");
    let (exit, _) = run::measure(job, Begin::New(Some(&measured)), &args.ends, colour)?;
    if matches!(exit, Exit::Signal(_)) {
        return Ok(exit);
    }
    let compared = CompareArgs {
        dirs: vec![unpacked.run, measured],
        by: None,
        alpha: None,
        margin: None,
        all: false,
        fail_if: Vec::new(),
        undecided: UndecidedAs::Pass,
        format: CompareFormat::Terminal,
    };
    let words = ["as it was bundled", "as it was measured here"];
    Ok(exit.worse(compare::compare_as(&compared, &words, colour)?))
}

/// Returns the directory that a bundle is replayed in when none is named.
fn place_of(bundle: &Path) -> PathBuf {
    let name = bundle.file_name().unwrap_or_default().to_string_lossy();
    PathBuf::from("runs").join(format!("replay-{}", name.trim_end_matches(ENDING)))
}

/// Returns what the bundled run did, as this machine can do it.
fn job(unpacked: &Unpacked) -> Result<RequestedRun, Failure> {
    let mut job = resume::stored(&unpacked.run)?;
    job.invocation.slurm = false;
    job.invocation.side_by_side = false;
    job.invocation.calibrates = false;
    job.template = std::fs::read_to_string(RunDir::at(&unpacked.run).template()).ok();
    take_data(&mut job.plan, &unpacked.data);
    Ok(job)
}

/// Lets data sets be read from the files that came with the bundle.
fn take_data(plan: &mut Plan, files: &[(String, PathBuf)]) {
    for (name, dataset) in &mut plan.datasets {
        let mut mine = files.iter().filter(|(of, _)| of == name).map(|(_, path)| path);
        let Some(first) = mine.next() else { continue };
        dataset.location = Some(first.display().to_string());
        dataset.more_locations = mine.map(|path| path.display().to_string()).collect();
    }
}

/// Names each hash and version that is not what the bundle says, before anything is started.
fn tell_changes(
    unpacked: &Unpacked,
    original: &RunReader,
    job: &RequestedRun,
    args: &ReplayArgs,
) -> Result<(), Failure> {
    let mut here = bundle::of_plan(&job.plan, telemetry::environment());
    let prepared = run::prepare(job, args.ends.quiet)?;
    here.data = prepared.data_sums();
    let mut changes = unpacked.lock.changes(&here);
    for cell in &job.plan.cells {
        let trials = original.trials_on_disk(cell)?;
        let before = trials.first().and_then(|trial| trial.record.dataset.as_ref());
        let Some(what) = before.and_then(|before| prepared.changed_prompts(cell, before)) else {
            continue;
        };
        let told = format!("data set {}: {what}", cell.dataset);
        changes.extend((!changes.contains(&told)).then_some(told));
    }
    if changes.is_empty() {
        output::message("all that is known of engines, data and machine is as in the bundle");
        return Ok(());
    }
    let what = counted(changes.len() as u64, "thing");
    let told = format!("{what} not as in the bundle:\n  {}", changes.join("\n  "));
    if args.exact {
        return Err(Failure::new(Exit::Corrupt, told)
            .help("make them the same, or leave `--exact` out to measure all the same"));
    }
    output::message(&told);
    Ok(())
}
