//! `bench bundle`: a run as one archive, with all that has to be the same for the same numbers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::analysis::run::RunAnalysis;
use crate::cli::args::BundleArgs;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::{output, resume, run, run_report};
use crate::engine::installed;
use crate::plan::Plan;
use crate::record::environment::Environment;
use crate::record::lock::{BUNDLE_FORMAT, Installed, Lock};
use crate::store::bundle;
use crate::store::reader::RunReader;
use crate::telemetry;

/// Packs a run.
pub(crate) fn pack(args: &BundleArgs) -> Result<Exit, Failure> {
    let reader = RunReader::open(&args.dir)?;
    if reader.is_in_progress() {
        let message = format!("{} is being measured", args.dir.display());
        return Err(Failure::new(Exit::TryAgain, message).help("bundle it once it is over"));
    }
    let analysis = RunAnalysis::of(&reader)?;
    // What is packed beside the records follows from them.
    run_report::bring_up_to_date(&analysis, &run_report::view(&analysis))?;
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("{}.bench.tar.zst", reader.manifest().name)));
    let lock = measured(&reader, &analysis)?;
    // Relative paths of the plan begin elsewhere from here on.
    let (dir, out) = (std::path::absolute(&args.dir)?, std::path::absolute(&out)?);
    let data = if args.with_data { data_files(&dir)? } else { Vec::new() };
    bundle::pack(reader.dir(), &lock, &data, &out)?;
    output::message(&format!("written: {}", out.display()));
    Ok(Exit::Ok)
}

/// Returns what a run was measured with.
fn measured(reader: &RunReader, analysis: &RunAnalysis) -> Result<Lock, Failure> {
    let mut machine = analysis.environment.clone();
    machine.calibration = None;
    let here = telemetry::environment();
    let is_here = machine.differs_in(&here).iter().all(|what| what.starts_with("bench"));
    if !is_here {
        output::message(
            "note: this is not the machine that measured; packages of its engines are left out",
        );
    }
    let plan = reader.first_plan()?;
    let mut lock = Lock { run: reader.manifest().name.clone(), ..of_plan(&plan, machine) };
    for engine in lock.engines.values_mut().filter(|_| !is_here) {
        engine.installed = Installed::default();
        engine.model_files.clear();
    }
    for start in &analysis.engines {
        let (Some(facts), Some(engine)) = (&start.facts, lock.engines.get_mut(&start.launch))
        else {
            continue;
        };
        engine.version.clone_from(&facts.version);
        engine.env.clone_from(&facts.env);
        engine.model_files.clone_from(&facts.model_files);
    }
    let data = analysis.datasets.iter();
    lock.data = data.map(|data| (data.name.clone(), data.sha256.clone())).collect();
    Ok(lock)
}

/// Returns what this machine has of a plan's engines.
pub(crate) fn of_plan(plan: &Plan, machine: Environment) -> Lock {
    let engines = plan.launches.iter().map(|(id, launch)| (id.0.clone(), installed::look(launch)));
    Lock {
        format: BUNDLE_FORMAT,
        run: plan.name.clone(),
        machine,
        engines: engines.collect(),
        data: BTreeMap::new(),
        files: BTreeMap::new(),
    }
}

/// Returns the files of the run's data sets that lie on this machine.
fn data_files(dir: &Path) -> Result<Vec<(String, PathBuf)>, Failure> {
    let job = resume::stored(dir)?;
    Ok(run::prepare(&job, true)?.data_files())
}
