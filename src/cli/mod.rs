//! The face: arguments, progress, exit codes.
#![expect(
    clippy::disallowed_methods,
    reason = "edge: reads files that the command line names, the environment and the clock"
)]

mod args;
mod assets;
mod baseline;
mod bundle;
mod calibrate;
mod check;
mod check_data;
mod check_paths;
mod check_preset;
mod check_tools;
mod compare;
mod data;
mod dataset_line;
mod decide;
mod doctor;
mod download_progress;
mod exit;
mod explain;
mod export;
mod failure;
mod flag_places;
mod gate_flags;
mod help;
mod history;
mod import;
mod init;
mod kept_cells;
mod killed_session;
mod new_scenario;
mod output;
mod pace;
mod presets;
mod progress;
mod progress_line;
mod quick;
mod replay;
mod report;
mod report_files;
mod requested_run;
mod resume;
mod retry;
mod reuse;
mod run;
mod run_command;
mod run_report;
mod scenario_file;
mod score;
mod scores;
mod screen;
mod served_options;
mod shares;
mod side_by_side;
mod signals;
mod slurm;
mod status;
#[cfg(test)]
mod tests;
mod today;
mod too_few_descriptors;
mod too_few_requests;
mod typed;
mod until;
mod verify;

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Termination as _};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Parser as _};

use crate::cli::args::{Cli, Colour, Command, PlanArgs, SchemaOf, ServeCommand};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::shares::merged_run;
use crate::engine::process::port;
use crate::run::clients;
use crate::secrets::redact::Redactor;
use crate::serve::ServeError;
use crate::workload::damage;
use crate::{engine, scenario, serve};

/// Runs the program.
pub fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    match arguments.nth(1).as_deref().and_then(OsStr::to_str) {
        Some(engine::guardian::SUBCOMMAND) => {
            return engine::guardian::main(&arguments.collect::<Vec<_>>());
        }
        Some(engine::prefetch::SUBCOMMAND) => {
            return engine::prefetch::main(&arguments.collect::<Vec<_>>());
        }
        Some(clients::SUBCOMMAND) => return clients::client::main(),
        _ => {}
    }
    std::panic::set_hook(Box::new(|panic| {
        if damage::is_caught() {
            return;
        }
        output::message(&format!(
            "error: bench has a defect: {panic}\n  help: please report this with the command and the scenario"
        ));
    }));
    if let Some(failure) = not_text() {
        output::message(&failure.render(false));
        return failure.exit.report();
    }
    let cli = Cli::try_parse().unwrap_or_else(|error| with_set(error).exit());
    let colour = cli.color;
    output::choose(colour);
    output::hide(&Redactor::new(output::usual_secrets()));
    let run = std::panic::catch_unwind(|| dispatch(cli));
    let exit = match run {
        Ok(Ok(exit)) => exit,
        Ok(Err(failure)) => {
            output::message(&failure.render(output::is_coloured(colour, &std::io::stderr())));
            failure.exit
        }
        Err(_) => Exit::Internal,
    };
    exit.report()
}

/// Refuses arguments, and a working directory, that no record and no order to a guardian can hold.
fn not_text() -> Option<Failure> {
    let cwd = std::env::current_dir().map(PathBuf::into_os_string).ok();
    let word = std::env::args_os().skip(1).chain(cwd).find(|word| word.to_str().is_none())?;
    let message = format!("{} is not UTF-8", word.to_string_lossy());
    Some(
        Failure::new(Exit::Usage, message)
            .help("records hold paths as text: give it a name in UTF-8, or a link that has one"),
    )
}

/// Says how a key of a scenario is given where somebody writes it as an option of its own.
fn with_set(mut error: clap::Error) -> clap::Error {
    let option = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(option)) if error.kind() == ErrorKind::UnknownArgument => {
            option.trim_start_matches('-').to_owned()
        }
        _ => return error,
    };
    let takes_sets = std::env::args_os().nth(1).is_some_and(|command| {
        let command = Cli::command().find_subcommand(command).cloned();
        command.is_some_and(|it| it.get_arguments().any(|known| known.get_id() == "sets"))
    });
    let way = scenario::overrides::way_to(&option).filter(|_| takes_sets);
    if let Some(way) = way {
        error.remove(ContextKind::SuggestedArg);
        let tip = format!("a scenario's key is given as '--set {way}=…'");
        let tip = ContextValue::StyledStrs(vec![tip.into()]);
        error.insert(ContextKind::Suggested, tip);
    }
    error
}

fn dispatch(cli: Cli) -> Result<Exit, Failure> {
    let colour = cli.color;
    merged_run::update(&read_by(&cli.command));
    match cli.command {
        Command::Run(args) if args.slurm => slurm::submit::run(&args, colour),
        Command::Run(args) => run_command::run(&args, colour),
        Command::Quick(args) => quick::quick(args, colour),
        Command::Resume(args) => resume::resume(&args, colour),
        Command::Bundle(args) => bundle::pack(&args),
        Command::Replay(args) => replay::replay(&args, colour),
        Command::Status(args) => status::status(&args),
        Command::Plan(args) => plan(&args, colour),
        Command::Check(args) => check::check(&args, colour),
        Command::Report(args) => report::report(&args, colour),
        Command::Baseline(command) => baseline::baseline(&command),
        Command::Compare(args) => compare::compare_runs(&args, colour),
        Command::Decide(args) => decide::recommend(&args, colour),
        Command::Export(args) => export::export(&args),
        Command::Import(args) => import::import(&args, colour),
        Command::History(args) => history::show(&args, colour),
        Command::Score(args) => score::score(&args),
        Command::Verify(args) => verify::verify(&args),
        Command::Calibrate(args) => calibrate::calibrate(&args, colour),
        Command::Doctor(args) => doctor::doctor(&args),
        Command::Data(command) => data::data(&command),
        Command::Presets(args) => presets::presets(&args),
        Command::Serve(engine) => serve(&engine),
        Command::Init(args) => init::init(args),
        Command::Explain(args) => explain::explain(&args),
        Command::Help(args) => help::help(&args),
        Command::Schema { of: SchemaOf::Scenario } => {
            print(&crate::scenario::json_schema::json_schema())
        }
        Command::Schema { of: SchemaOf::Summary } => {
            print(&format!("{:#}\n", crate::report::json::schema()))
        }
        Command::Schema { of: SchemaOf::Python } => {
            print(&crate::report::python::reader(&crate::report::json::schema()))
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "bench", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
        Command::Man => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            print(&String::from_utf8_lossy(&page))
        }
    }
}

/// Returns the run directories that a command reads.
fn read_by(command: &Command) -> Vec<&Path> {
    match command {
        Command::Report(args) => vec![&args.dir],
        Command::Compare(args) => args.dirs.iter().map(PathBuf::as_path).collect(),
        Command::Decide(args) => vec![&args.dir],
        Command::Bundle(args) => vec![&args.dir],
        Command::Export(args) => vec![&args.dir],
        Command::History(args) => args.dirs.iter().map(PathBuf::as_path).collect(),
        Command::Score(args) => vec![&args.path],
        Command::Verify(args) => vec![&args.dir],
        _ => Vec::new(),
    }
}

fn print(text: &str) -> Result<Exit, Failure> {
    output::data(text)?;
    Ok(Exit::Ok)
}

fn plan(args: &PlanArgs, colour: Colour) -> Result<Exit, Failure> {
    let mut planned = scenario_file::plan(&args.scenario)?;
    let loaded = &mut planned.loaded;
    let mut seen = too_few_requests::look(&loaded.scenario, &planned.plan);
    seen.extend(too_few_descriptors::look(&loaded.scenario, &planned.plan));
    loaded.scenario.add(seen, &mut loaded.warnings);
    let on_stderr = output::is_coloured(colour, &std::io::stderr());
    if let Some(warnings) = scenario_file::warnings(&loaded.warnings, on_stderr) {
        output::message(&warnings);
    }
    if args.resolved {
        return print(&planned.loaded.resolved_toml);
    }
    if args.json {
        let json = serde_json::to_string_pretty(&planned.plan).expect("a plan is plain data");
        return print(&(json + "\n"));
    }
    let plan = crate::plan::render::render(&planned.plan, &scenario_file::skips(&planned.plan));
    let scenario = &planned.loaded.scenario;
    let data = check_data::look_at_plan(scenario, &planned.plan, &args.scenario.scenario);
    let not_read = data.found.iter().map(|found| found.message.clone());
    let lines = data.lines.into_iter().chain(not_read).map(|line| line + "\n");
    print(&(plan + &side_by_side::lines(&planned.plan) + &lines.collect::<String>()))
}

fn serve(engine: &ServeCommand) -> Result<Exit, Failure> {
    let served = match engine {
        ServeCommand::Sim(args) => serve::sim::run(args),
        ServeCommand::Tiny(args) => {
            serve::tiny::run(&serve::tiny::TinyArgs { day: today::today(), ..args.clone() })
        }
    };
    served.map(|()| Exit::Ok).map_err(|error| {
        let failure = Failure::new(Exit::Unavailable, format!("failed to serve: {error}"));
        match error {
            ServeError::Bind { address, source } if source.kind() == io::ErrorKind::AddrInUse => {
                let other = "take another port; --port 0 takes any free one";
                failure.help(match port::holder(address.port()) {
                    Some(holder) => format!("{holder} listens there: end it, or {other}"),
                    None => format!("{other}; `sudo ss -ltnp` names the program of another user"),
                })
            }
            _ => failure,
        }
    })
}
