//! Carries out a plan in this process: the main job.

use std::io::IsTerminal as _;
use std::path::Path;

use crate::analysis::run::RunAnalysis;
use crate::cli::args::{Colour, EndArgs, FailOn, ProgressAs, Retry};
use crate::cli::download_progress::DownloadBar;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::progress::Progress;
use crate::cli::progress_line::folded;
use crate::cli::requested_run::RequestedRun;
use crate::cli::scenario_file::{self, Planned};
use crate::cli::screen::{self, Stage};
use crate::cli::signals::LastWords;
use crate::cli::{assets, check_paths, gate_flags, kept_cells, output, reuse, run_report, typed};
use crate::datasets::cache::DatasetCache;
use crate::engine::credentials::Credentials;
use crate::engine::interrupt::Interrupt;
use crate::ids::LaunchId;
use crate::metrics::summary::{CellStatus, Summary};
use crate::plan::Plan;
use crate::plan::cell::Cell;
use crate::record::event::RunEvent;
use crate::report::terminal;
use crate::run::Notice;
use crate::run::conduct::{self, Conducted, Done};
use crate::run::prepare::{self, Begun, Listener, Prepared, Taking};
use crate::store::calibration;
use crate::store::reader::RunReader;
use crate::store::writer::RunWriter;
use crate::telemetry;

pub(crate) fn warn(planned: &Planned, colour: Colour) {
    let on_stderr = output::is_coloured(colour, &std::io::stderr());
    if let Some(warnings) = scenario_file::warnings(&planned.loaded.warnings, on_stderr) {
        output::message(&warnings);
    }
}

/// Carries out the plan of a scenario that lies at `path`, with what the command line requires of
/// its numbers.
pub(crate) fn carry_out(
    mut planned: Planned,
    path: &Path,
    begin: Begin<'_>,
    ends: &EndArgs,
    colour: Colour,
) -> Result<(Exit, RunAnalysis), Failure> {
    let own = match begin {
        Begin::GoOn(dir, _) => Some(dir),
        Begin::New(_) | Begin::Reusing(..) => None,
    };
    gate_flags::add(&mut planned.plan, &ends.gates, own)?;
    warn(&planned, colour);
    check_paths::refuse_missing(&planned.loaded.scenario, &planned.plan)?;
    let mut job = RequestedRun::of(planned, path);
    if let Begin::GoOn(dir, _) | Begin::Reusing(_, dir) = begin {
        kept_cells::take_day(dir, &mut job)?;
    }
    measure(job, begin, ends, colour)
}

/// Where the records go.
#[derive(Clone, Copy)]
pub(crate) enum Begin<'a> {
    /// Into a new directory, named or not.
    New(Option<&'a Path>),
    /// Into a new directory, with what the run in the other one has measured already.
    Reusing(Option<&'a Path>, &'a Path),
    /// Into that of the run to go on with, measuring again what is of these kinds.
    GoOn(&'a Path, &'a [Retry]),
}

/// Carries out a plan, writes and prints its report; returns the exit code and the numbers.
pub(crate) fn measure(
    mut job: RequestedRun,
    begin: Begin<'_>,
    ends: &EndArgs,
    colour: Colour,
) -> Result<(Exit, RunAnalysis), Failure> {
    if ends.tui {
        screen::refuse_without_terminal()?;
    }
    let last_words = LastWords::default();
    let interrupt = last_words.install()?;
    // Everything that can be wrong with keys and data is found before an engine is started.
    let credentials = credentials(&job.plan)?;
    let redactor = credentials.redactor();
    output::hide(redactor);
    let prepared = prepare(&job, ends.quiet || ends.progress == ProgressAs::Json)?;
    if !job.is_dated {
        prepared.date(&mut job.plan, &job.invocation.template_date);
    }
    let job = &job;
    let changes = match begin {
        Begin::New(_) | Begin::Reusing(..) => Vec::new(),
        Begin::GoOn(dir, _) => kept_cells::changes(dir, job, redactor)?,
    };
    if let Begin::GoOn(dir, kinds) = begin
        && kept_cells::is_over(dir, job, &changes, kinds, &prepared.golds)?
    {
        let analysis = RunAnalysis::of(&RunReader::open(dir)?)?;
        report(&analysis, colour)?;
        return Ok((exit_code(&analysis.summary, &analysis, ends), analysis));
    }
    assets::unpack(&job.plan)?;
    let (writer, done) = match begin {
        Begin::New(out) => (RunWriter::create(&job.new_run(out, redactor))?, Done::default()),
        Begin::Reusing(out, from) => reuse::begin(from, out, job, &prepared, redactor)?,
        Begin::GoOn(dir, retry) => kept_cells::open(dir, job, changes, retry, redactor)?,
    };
    let dir = writer.dir().path().to_owned();
    last_words.are(format!("what is complete is kept; go on with: {}", typed::resume(&dir)));
    let ways_out = (&interrupt, &last_words);
    let shown = (ends.told_as(), colour);
    let conducted = conduct(job, &prepared, writer, &done, ways_out, &credentials, shown)
        .map_err(|failure| failure.kept(kept_cells::kept(&dir)))?;
    if conducted.interrupted.is_none() {
        last_words.are(format!(
            "all is measured; make the report with: bench report {}",
            typed::path(&dir)
        ));
    }
    interrupt.no_longer_noticed();
    conclude(ends, colour, conducted)
}

/// Reads the secrets of every engine that this machine can start.
pub(crate) fn credentials(plan: &Plan) -> Result<Credentials, Failure> {
    let skips = scenario_file::skips(plan);
    let cells = plan.cells_by_launch();
    let is_used = |id: &LaunchId| {
        let mut served = cells.get(id).into_iter().flatten();
        !skips.contains_key(id) && served.any(|cell| cell.skip.is_none())
    };
    let launches = plan.launches.iter().filter(|(id, _)| is_used(id));
    Ok(Credentials::read(launches, output::hub_token())?)
}

pub(crate) fn prepare(job: &RequestedRun, quiet: bool) -> Result<Prepared, Failure> {
    let bar = DownloadBar::new();
    let on_taking = |taking: Taking<'_>| {
        if quiet {
            return;
        }
        match taking {
            Taking::Download(progress) => bar.show(&progress),
            Taking::Rows { dataset, n } => bar.rows(dataset, n),
            Taking::Prompts { dataset, n, n_all } => bar.prompts(dataset, n, n_all),
        }
    };
    let mut tell = |what: &str| {
        if !quiet {
            let what = format!("  {what}");
            let columns = output::width().filter(|_| std::io::stderr().is_terminal());
            output::message(&columns.map_or(what.clone(), |width| folded(&what, width.into())));
        }
    };
    let mut listener = Listener { tell: &mut tell, on_taking: &on_taking };
    let begun =
        Begun { scenario: &job.invocation.scenario, template_date: &job.invocation.template_date };
    let prepared = prepare::prepare(&job.plan, begun, &mut listener);
    bar.finish();
    prepared.map_err(Failure::data)
}

fn conduct(
    job: &RequestedRun,
    prepared: &Prepared,
    mut writer: RunWriter,
    done: &Done,
    (interrupt, last_words): (&Interrupt, &LastWords),
    credentials: &Credentials,
    (told_as, colour): (Option<ProgressAs>, Colour),
) -> Result<Conducted, Failure> {
    let mut environment = telemetry::environment();
    environment.calibration = calibration::of(&DatasetCache::from_env()?.root, &environment);
    writer.environment(&environment)?;
    // Golds of cells that keep their trials cannot change any more.
    let keeps = |cell: &&Cell| done.n_trials(&cell.id) > 0;
    let in_use = job.plan.cells.iter().filter(keeps).map(|cell| cell.dataset.as_str()).collect();
    writer.golds(&prepared.golds, &in_use)?;
    writer.questions(&prepared.questions)?;
    let dir = writer.dir().path().to_owned();
    let is_coloured = output::is_coloured(colour, &std::io::stdout());
    let redactor = credentials.redactor();
    let stage = Stage { dir: &dir, redactor, is_coloured, interrupt };
    let progress = Progress::start(&job.plan, done, told_as, &stage)?;
    let conducted = conduct::conduct(
        &job.plan,
        prepared,
        writer,
        done,
        interrupt.clone(),
        credentials,
        &|notice| match notice {
            Notice::DiskHangs { path, silent } => last_words.leave_hanging_disk(&path, silent),
            notice => progress.tell(notice),
        },
    )?;
    Ok(conducted)
}

/// Writes and prints the report, and finds the exit code.
fn conclude(
    args: &EndArgs,
    colour: Colour,
    conducted: Conducted,
) -> Result<(Exit, RunAnalysis), Failure> {
    let Conducted { mut writer, interrupted, left_behind } = conducted;
    let dir = writer.dir().path().to_owned();
    let mut analysis = RunAnalysis::of(&RunReader::open(&dir)?)?;
    let mut exit = exit_code(&analysis.summary, &analysis, args);
    if let Some(signal) = interrupted {
        exit = exit.worse(Exit::Signal(signal as u8));
    }
    if !left_behind.is_empty() {
        exit = exit.worse(Exit::Dirty);
        output::message(&format!(
            "error: an engine left behind: {}\n  help: bench doctor --runs {} --reap",
            left_behind.join(", "),
            dir.parent()
                .filter(|above| !above.as_os_str().is_empty())
                .unwrap_or(Path::new("."))
                .display()
        ));
    }
    writer.event(RunEvent::RunFinished { code: exit.code() })?;
    writer.sync()?;
    drop(writer);
    if interrupted.is_none() {
        analysis.finished();
    }
    report(&analysis, colour)?;
    if interrupted.is_some() {
        tell_interrupted(&analysis);
    }
    Ok((exit, analysis))
}

/// Says what is kept of a run that was interrupted, and how to go on.
pub(crate) fn tell_interrupted(analysis: &RunAnalysis) {
    let (n_measured, n_cells) = analysis.summary.progress();
    output::message(&format!(
        "interrupted; {n_measured} of {n_cells} cells are kept; go on with: {}",
        typed::resume(&analysis.dir)
    ));
}

/// Writes the report and prints it.
pub(crate) fn report(analysis: &RunAnalysis, colour: Colour) -> Result<(), Failure> {
    let view = run_report::view(analysis);
    run_report::bring_up_to_date(analysis, &view)?;
    let (width, is_coloured) = output::stdout_form(colour);
    output::data(&terminal::render(&view, width, is_coloured))?;
    Ok(())
}

/// Finds the exit code that the cells deserve.
pub(crate) fn exit_code(summary: &Summary, analysis: &RunAnalysis, args: &EndArgs) -> Exit {
    let fails = |kind: FailOn| args.fail_on.contains(&kind);
    let mut exit = Exit::Ok;
    for cell in &summary.cells {
        exit = exit.worse(match cell.validity.status {
            CellStatus::Failed | CellStatus::Incomplete if fails(FailOn::Failed) => {
                Exit::CellFailed
            }
            CellStatus::Invalid if fails(FailOn::Invalid) => Exit::CellInvalid,
            CellStatus::Skipped if args.strict || fails(FailOn::Skipped) => Exit::CellFailed,
            _ => Exit::Ok,
        });
    }
    let any_was_tried =
        summary.cells.iter().any(|cell| cell.validity.status != CellStatus::Skipped);
    if exit == Exit::CellFailed && any_was_tried && !analysis.any_engine_was_ready() {
        exit = exit.worse(Exit::EngineStart);
    }
    if fails(FailOn::Gate) {
        exit = exit.worse(gate_flags::exit(&summary.gates));
    }
    exit
}
