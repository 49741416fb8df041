//! `bench run`: the main job.

use std::io::IsTerminal as _;
use std::path::Path;

use crate::analysis::run::RunAnalysis;
use crate::cli::args::{Colour, FailOn, RunArgs};
use crate::cli::download::DownloadBar;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::progress::Progress;
use crate::cli::scenario_file::{self, Planned};
use crate::cli::{assets, publish, say};
use crate::datasets::cache::DatasetCache;
use crate::engine::credentials::Credentials;
use crate::engine::interrupt::Interrupt;
use crate::ids::LaunchId;
use crate::metrics::summary::{Summary, Validity};
use crate::plan::Plan;
use crate::record::event::RunEvent;
use crate::report::terminal;
use crate::run::conduct::{self, Conducted, Done};
use crate::run::prepare::{self, Listener, Prepared, Taking};
use crate::secrets::redact::Redactor;
use crate::store::calibration;
use crate::store::reader::RunReader;
use crate::store::writer::{NewRun, RunWriter};
use crate::telemetry;

/// Measures a scenario and reports.
pub(crate) fn run(args: &RunArgs, colour: Colour) -> Result<Exit, Failure> {
    let planned = scenario_file::plan(&args.scenario)?;
    let on_stderr = say::is_coloured(colour, &std::io::stderr());
    if let Some(warnings) = scenario_file::warnings(&planned.loaded.warnings, on_stderr) {
        say::talk(&warnings);
    }
    if args.dry_run {
        say::data(&crate::plan::render::render(
            &planned.plan,
            &scenario_file::skips(&planned.plan),
        ))?;
        return Ok(Exit::Ok);
    }
    measure(args, &planned, colour).map(|(exit, _)| exit)
}

/// Carries out a plan, writes and prints its report; returns the exit code and the numbers.
pub(crate) fn measure(
    args: &RunArgs,
    planned: &Planned,
    colour: Colour,
) -> Result<(Exit, RunAnalysis), Failure> {
    let interrupt = Interrupt::install().map_err(|source| {
        Failure::new(Exit::SystemLimit, format!("failed to watch for signals: {source}"))
    })?;
    // Everything that can be wrong with keys and data is found before an engine is started.
    let credentials = credentials(&planned.plan)?;
    say::hide(credentials.redactor());
    let prepared = prepare(args, planned)?;
    assets::unpack(&planned.plan)?;
    let (writer, done) = open(args, planned, credentials.redactor())?;
    let dir = writer.dir().path().to_owned();
    let conducted = conduct(args, planned, &prepared, writer, &done, &interrupt, &credentials)
        .map_err(|failure| {
            failure.kept(format!("what was measured so far is in {}", dir.display()))
        })?;
    conclude(args, colour, conducted)
}

/// Reads the secrets of every engine that this machine can start.
fn credentials(plan: &Plan) -> Result<Credentials, Failure> {
    let skips = scenario_file::skips(plan);
    let is_used = |id: &LaunchId| {
        let mut cells = plan.cells.iter().filter(|cell| cell.launch == *id);
        !skips.contains_key(id) && cells.any(|cell| cell.skip.is_none())
    };
    let launches = plan.launches.iter().filter(|(id, _)| is_used(id));
    Ok(Credentials::read(launches, say::hub_token())?)
}

fn prepare(args: &RunArgs, planned: &Planned) -> Result<Prepared, Failure> {
    let bar = DownloadBar::new();
    let on_taking = |taking: Taking<'_>| {
        if args.quiet {
            return;
        }
        match taking {
            Taking::Download(progress) => bar.show(&progress),
            Taking::Rows { dataset, n } => bar.rows(dataset, n),
            Taking::Prompts { dataset, n, n_all } => bar.prompts(dataset, n, n_all),
        }
    };
    let mut tell = |what: &str| {
        if !args.quiet {
            say::talk(&format!("  {what}"));
        }
    };
    let mut listener = Listener { tell: &mut tell, on_taking: &on_taking };
    let prepared = prepare::prepare(&planned.plan, &args.scenario.scenario, &mut listener);
    bar.finish();
    prepared.map_err(Failure::data)
}

/// Makes the run directory, or opens that of the run to go on with.
fn open(
    args: &RunArgs,
    planned: &Planned,
    redactor: &Redactor,
) -> Result<(RunWriter, Done), Failure> {
    let Some(dir) = &args.resume else {
        let writer = RunWriter::create(&NewRun {
            root: Path::new("runs"),
            out: args.out.as_deref(),
            plan: &planned.plan,
            scenario: &planned.text,
            resolved: &planned.loaded.resolved_toml,
            redactor,
        })?;
        return Ok((writer, Done::default()));
    };
    let reader = RunReader::open(dir)?;
    let changed = conduct::changed_cells(&reader.first_plan()?, &planned.plan);
    if !changed.is_empty() {
        let message =
            format!("the scenario is no longer that of {}: {}", dir.display(), changed.join("; "));
        return Err(Failure::new(Exit::Corrupt, message)
            .help("start a new run; results are never attributed to another configuration"));
    }
    let done = conduct::done(&reader)?;
    Ok((RunWriter::resume(dir, redactor)?, done))
}

fn conduct(
    args: &RunArgs,
    planned: &Planned,
    prepared: &Prepared,
    writer: RunWriter,
    done: &Done,
    interrupt: &Interrupt,
    credentials: &Credentials,
) -> Result<Conducted, Failure> {
    let mut environment = telemetry::environment();
    environment.calibration = calibration::of(&DatasetCache::from_env()?.root, &environment);
    writer.environment(&environment)?;
    let progress = Progress::start(&planned.plan, args.quiet);
    let conducted = conduct::conduct(
        &planned.plan,
        prepared,
        writer,
        done,
        interrupt.clone(),
        credentials,
        &|notice| {
            progress.tell(notice);
        },
    )?;
    Ok(conducted)
}

/// Writes and prints the report, and finds the exit code.
fn conclude(
    args: &RunArgs,
    colour: Colour,
    conducted: Conducted,
) -> Result<(Exit, RunAnalysis), Failure> {
    let Conducted { mut writer, interrupted, left_behind } = conducted;
    let dir = writer.dir().path().to_owned();
    let mut analysis = RunAnalysis::of(&RunReader::open(&dir)?)?;
    let mut exit = exit_code(&analysis.summary, &analysis, args);
    if let Some(signal) = interrupted {
        exit = exit.worse(Exit::Signal(signal as u8));
        say::talk(&format!(
            "interrupted; go on with: bench run {} --resume {}",
            args.scenario.scenario.display(),
            dir.display()
        ));
    }
    if !left_behind.is_empty() {
        exit = exit.worse(Exit::Dirty);
        say::talk(&format!(
            "error: an engine left behind: {}\n  help: bench doctor --runs {} --reap",
            left_behind.join(", "),
            dir.parent().unwrap_or(Path::new(".")).display()
        ));
    }
    writer.event(RunEvent::RunFinished { code: exit.code() })?;
    writer.sync()?;
    drop(writer);
    if interrupted.is_none() {
        analysis.finished();
    }
    let view = publish::view(&analysis);
    publish::write_files(&analysis, &view, None)?;
    let on_stdout = say::is_coloured(colour, &std::io::stdout());
    let width = std::io::stdout().is_terminal().then(say::width).flatten();
    say::data(&terminal::render(&view, width, on_stdout))?;
    Ok((exit, analysis))
}

/// Finds the exit code that the cells deserve.
fn exit_code(summary: &Summary, analysis: &RunAnalysis, args: &RunArgs) -> Exit {
    let fails = |kind: FailOn| args.fail_on.contains(&kind);
    let mut exit = Exit::Ok;
    for cell in &summary.cells {
        exit = exit.worse(match &cell.verdict {
            Validity::Failed(_) | Validity::Incomplete if fails(FailOn::Failed) => Exit::CellFailed,
            Validity::Invalid(_) if fails(FailOn::Invalid) => Exit::CellInvalid,
            Validity::Skipped(_) if args.strict || fails(FailOn::Skipped) => Exit::CellFailed,
            _ => Exit::Ok,
        });
    }
    let tried =
        || summary.cells.iter().filter(|cell| !matches!(cell.verdict, Validity::Skipped(_)));
    if exit == Exit::CellFailed && tried().count() > 0 && !analysis.any_engine_was_ready() {
        exit = exit.worse(Exit::EngineStart);
    }
    if fails(FailOn::Gate) && analysis.failed_gates().next().is_some() {
        exit = exit.worse(Exit::Gate);
    }
    exit
}
