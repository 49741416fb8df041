//! `bench doctor`: what this machine has, what limits it, and what killed runs left on it.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use indicatif::BinaryBytes;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

use crate::cli::args::DoctorArgs;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::{output, presets};
use crate::engine::start::requires;
use crate::engine::start::version::{self, Silence};
use crate::engine::stop::orphans;
use crate::plan::launch::Launch;
use crate::record::environment::Environment;
use crate::secrets::literal;
use crate::store::lock::RunLock;
use crate::store::run_dir::RunDir;
use crate::telemetry::environment;

/// Time that an engine whose version no file tells gets to say it.
const VERSION_LIMIT: Duration = Duration::from_secs(5);

/// Programs that presets ask for.
const PROGRAMS: &[&str] = &[
    "vllm",
    "sglang",
    "transformers",
    "llama-server",
    "trtllm-serve",
    "ollama",
    "mistralrs",
    "text-generation-launcher",
    "sbatch",
    "nvidia-smi",
];

/// Looks at this machine, and ends orphans if asked to.
pub(crate) fn doctor(args: &DoctorArgs) -> Result<Exit, Failure> {
    let mut text = machine(&environment());
    text.push_str(&programs());
    text.push_str(&versions());
    text.push_str(&own_presets());
    text.push_str(&limits());
    let runs = run_dirs(args)?;
    let failed = |source: std::io::Error| {
        Failure::new(Exit::InputOutput, format!("failed to look for orphans: {source}"))
    };
    let found = orphans::find(&runs).map_err(failed)?;
    let write = &mut text;
    let _ = writeln!(write, "\norphans of killed runs in {}: {}", args.runs.display(), found.len());
    for orphan in &found {
        let _ = writeln!(
            write,
            "  pid {} of engine {}: {}",
            orphan.id.pid,
            orphan.engine,
            literal::hide_command(&orphan.command)
        );
    }
    let mut exit = Exit::Ok;
    if args.reap {
        let reaped = orphans::reap(&runs).map_err(failed)?;
        if !reaped.ended.is_empty() {
            let _ = writeln!(write, "  ended: {}", reaped.ended.join(", "));
        }
        if !reaped.survivors.is_empty() {
            let _ = writeln!(write, "  still there: {}", reaped.survivors.join(", "));
            exit = Exit::Dirty;
        }
    } else if !found.is_empty() {
        let _ = writeln!(write, "  help: bench doctor --runs {} --reap", args.runs.display());
        exit = Exit::Dirty;
    }
    output::data(&text)?;
    Ok(exit)
}

fn machine(environment: &Environment) -> String {
    let mut text = String::new();
    let write = &mut text;
    let _ = writeln!(write, "bench    {}", environment.bench_version);
    let _ = writeln!(write, "system   {}, kernel {}", environment.os, environment.kernel);
    let virtual_machine = if environment.virtual_machine { ", virtual machine" } else { "" };
    let _ = writeln!(
        write,
        "cpu      {} x {}{virtual_machine}, load {:.1}",
        environment.n_cpus, environment.cpu, environment.load_average
    );
    let _ = writeln!(write, "memory   {}", BinaryBytes(environment.memory_bytes));
    for gpu in &environment.gpus {
        let _ =
            writeln!(write, "gpu {}    {}, {}", gpu.index, gpu.name, BinaryBytes(gpu.memory_bytes));
    }
    if let Some(reason) = &environment.gpu_absent {
        let _ = writeln!(write, "gpu      none: {reason}");
    }
    text
}

fn programs() -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let find = |program: &str| {
        std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
    };
    let mut text = "\nengines and tools on PATH\n".to_owned();
    for program in PROGRAMS {
        let place = find(program).map_or_else(|| "-".to_owned(), |file| file.display().to_string());
        let _ = writeln!(text, "  {program:<26}{place}");
    }
    text
}

/// Compares the engines that are here with the versions that their presets were held against.
fn versions() -> String {
    let held = presets::all().iter().filter_map(presets::Found::held).collect::<Vec<_>>();
    let is_here = |launch: &Launch| {
        let program = launch.version_argv.first();
        program.is_some_and(|program| requires::program_lack(launch, program).is_none())
    };
    let launches: Vec<Launch> = held.into_iter().filter(is_here).collect();
    let told = std::thread::scope(|scope| {
        let asked: Vec<_> = launches.iter().map(|it| scope.spawn(|| version_of(it))).collect();
        asked.into_iter().filter_map(|it| it.join().ok().flatten()).collect::<String>()
    });
    if told.is_empty() {
        return String::new();
    }
    format!("\nversions, beside those that presets were held against\n{told}")
}

/// Returns a line on the installed version; none of an engine that is not there.
fn version_of(launch: &Launch) -> Option<String> {
    let engine = &launch.engine;
    let installed = match version::packaged(launch) {
        Some(version) => version,
        None => match version::asked(launch, VERSION_LIMIT) {
            Ok(version) => version,
            Err(Silence::Failed) => return None,
            Err(Silence::Late) => {
                let command = launch.version_argv.join(" ");
                let seconds = VERSION_LIMIT.as_secs();
                return Some(format!(
                    "  {engine} did not say its version within {seconds} s: `{command}`\n"
                ));
            }
        },
    };
    if version::is_held(launch, &installed) == Some(false) {
        // Some import all of PyTorch for it.
        output::message(&format!("asking {engine} {installed} for its flags"));
    }
    Some(match version::compare(launch, Some(&installed)) {
        Some(other) => format!("  {}\n", other.told()),
        None => format!("  {engine} is {installed}, as its preset was held against\n"),
    })
}

fn own_presets() -> String {
    let mut text = format!("\npresets of your own, in {}\n", presets::places());
    let own: Vec<_> = presets::all().into_iter().filter(presets::Found::is_own).collect();
    for preset in &own {
        let _ = writeln!(text, "  {:<26}{}", preset.name, preset.place());
    }
    if own.is_empty() {
        text.push_str("  none\n");
    }
    text
}

fn limits() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let shown = |limit| match limit {
        RLIM_INFINITY => "unlimited".to_owned(),
        limit => limit.to_string(),
    };
    let files = getrlimit(Resource::RLIMIT_NOFILE).map_or_else(
        |_| "unknown".to_owned(),
        |(soft, hard)| format!("{} (soft), {} (hard)", shown(soft), shown(hard)),
    );
    let ports = read("/proc/sys/net/ipv4/ip_local_port_range");
    let ports: Vec<&str> = ports.split_whitespace().collect();
    format!(
        "\nlimits\n  open files                {files}\n  ephemeral ports           {}\n",
        ports.join(" to ")
    )
}

/// Returns a run directory, and those of its shares where they are measured apart.
fn with_shares(run: PathBuf) -> Vec<PathBuf> {
    let shares = std::fs::read_dir(RunDir::at(&run).jobs()).into_iter().flatten();
    let shares: Vec<PathBuf> = shares.filter_map(Result::ok).map(|entry| entry.path()).collect();
    [vec![run], shares].concat()
}

/// Returns the run directories in the folder, those of shares included; none if it does not exist.
fn run_dirs(args: &DoctorArgs) -> Result<Vec<PathBuf>, Failure> {
    if args.runs.join("run.json").exists() {
        return Ok(with_shares(args.runs.clone()));
    }
    let entries = match std::fs::read_dir(&args.runs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(Failure::input(format!("failed to read {}: {error}", args.runs.display())));
        }
    };
    Ok(entries
        .filter_map(Result::ok)
        .flat_map(|entry| with_shares(entry.path()))
        // Who works on a run ends its engines.
        .filter(|path| path.is_dir() && !RunLock::is_held(&RunDir::at(path)))
        .collect())
}
