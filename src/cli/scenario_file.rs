//! From the command line's scenario file to a plan.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use crate::cli::args::ScenarioArgs;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::{assets, check_data, gate_flags, served_options, until};
use crate::datasets::cache;
use crate::diagnostic::suggest::did_you_mean;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::engine::start::requires;
use crate::ids::LaunchId;
use crate::plan::Plan;
use crate::plan::expand::{Expanded, expand_in_part};
use crate::plan::paths::Host;
use crate::plan::render::Skips;
use crate::published;
use crate::report::template;
use crate::scenario::{self, Input, Loaded, Read, Scenario};
use crate::telemetry::gpu;

/// Largest scenario file; a sweep of thousands of cells is a few kilobytes.
const MAX_BYTES: u64 = 4 << 20;

/// Variables of ours that set no key; the last one is of `scenarios/engines/install.sh`.
const OTHERS: [&str; 5] =
    [cache::ROOT_ENV, cache::OFFLINE_ENV, gpu::LIBRARY_ENV, gpu::OWN_GPUS_ENV, "BENCH_ENGINES"];

/// A scenario and the plan made from it.
pub(crate) struct Planned {
    pub(crate) text: String,
    pub(crate) loaded: Loaded,
    pub(crate) plan: Plan,
}

/// Reads, checks and expands a scenario, with what the command line changes in it.
pub(crate) fn plan(args: &ScenarioArgs) -> Result<Planned, Failure> {
    let text = read(&args.scenario)?;
    let path = place(&args.scenario);
    let mut planned = plan_text(path, &text, args.profile.as_deref(), &args.sets)?;
    if let Some(only) = &args.only {
        keep_only(&mut planned.plan, only)?;
    }
    Ok(planned)
}

/// Checks and expands the text of a scenario that lies at `path`.
pub(crate) fn plan_text(
    path: &Path,
    text: &str,
    profile: Option<&str>,
    sets: &[String],
) -> Result<Planned, Failure> {
    let Examined { scenario, resolved_toml, expanded, found } = examine(path, text, profile, sets);
    let (expanded, warnings) = found.unless_errors(expanded).map_err(Failure::scenario)?;
    let expanded = expanded.expect("a scenario without errors expands");
    let loaded = Loaded { scenario, resolved_toml, warnings };
    Ok(Planned { text: text.to_owned(), loaded, plan: expanded.plan })
}

/// Reads a scenario with what `--set` says of it, and does not expand it.
pub(crate) fn scenario(path: &Path, text: &str, sets: &[String]) -> Result<Scenario, Failure> {
    let Read { scenario, found, .. } = read_text(path, text, None, sets);
    found.unless_errors(scenario).map(|(scenario, _)| scenario).map_err(Failure::scenario)
}

/// A scenario as far as it can be read and expanded, with all that is wrong in it.
pub(crate) struct Examined {
    pub(crate) scenario: Scenario,
    pub(crate) resolved_toml: String,
    /// Absent where the text says too little.
    pub(crate) expanded: Option<Expanded>,
    pub(crate) found: Diagnostics,
}

/// Runs every check of a scenario that needs no look at this machine; no mistake hides another.
pub(crate) fn examine(path: &Path, text: &str, profile: Option<&str>, sets: &[String]) -> Examined {
    let Read { scenario, resolved_toml, mut found, is_whole } =
        read_text(path, text, profile, sets);
    let mut later = Diagnostics::default();
    served_options::check(&scenario, &mut later);
    let mut expanded = is_whole.then(|| expand_in_part(&scenario, &host(), &mut later)).flatten();
    if let Some(expanded) = &mut expanded {
        later.extend(std::mem::take(&mut expanded.found));
        check_names(&scenario, &expanded.plan, &mut later);
        gate_flags::check(&scenario, &expanded.plan, &mut later);
        until::check(&scenario, &expanded.plan, &mut later);
    }
    scenario.add(later, &mut found);
    Examined { scenario, resolved_toml, expanded, found }
}

/// Refuses a report or a published table that does not exist: the default would be shown
/// instead of what was asked for.
fn check_names(scenario: &Scenario, plan: &Plan, found: &mut Diagnostics) {
    match own_template(scenario, plan) {
        None => unknown(scenario, "report", &["report"], &plan.report, &template::names(), found),
        Some(path) => {
            let text = fs::read_to_string(&path).unwrap_or_default();
            if let Err(error) = template::check(&path.display().to_string(), &text) {
                found.push(
                    Diagnostic::error("scenario/template", error.told())
                        .label(scenario.value_at(&["report"]))
                        .help(error.help()),
                );
            }
        }
    }
    if let Some(published) = &plan.published {
        let path = ["published", "table"];
        unknown(scenario, "published table", &path, &published.table, &published::NAMES, found);
    }
}

/// Refuses a name that is not known.
fn unknown(
    scenario: &Scenario,
    what: &str,
    path: &[&str],
    name: &str,
    known: &[&str],
    found: &mut Diagnostics,
) {
    if known.contains(&name) {
        return;
    }
    let help = did_you_mean(name, known.iter().copied(), "known are");
    let message = format!("{what} `{name}` does not exist");
    found.push(
        Diagnostic::error("scenario/unknown-name", message)
            .label(scenario.value_at(path))
            .maybe_help(help),
    );
}

/// Returns the report template beside the scenario, `NAME.md.j2`, where the report is none of the
/// program's and there is one.
pub(crate) fn own_template(scenario: &Scenario, plan: &Plan) -> Option<PathBuf> {
    if template::names().contains(&plan.report.as_str()) {
        return None;
    }
    let path = scenario.dir.join(format!("{}.md.j2", plan.report.trim_end_matches(".md.j2")));
    path.is_file().then_some(path)
}

/// Returns where a scenario lies: that of standard input, `-`, lies in the working directory.
pub(crate) fn place(path: &Path) -> &Path {
    if is_stdin(path) { Path::new("stdin") } else { path }
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// Returns the text of a scenario, `-` being standard input.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    let bytes = if is_stdin(path) { read_stdin() } else { read_bounded(path) };
    let bytes = bytes.map_err(|source| {
        let failure = Failure::input(format!("failed to read {}: {source}", path.display()));
        match way_out(path) {
            Some(help) => failure.help(help),
            None => failure,
        }
    })?;
    scenario::decode(path, bytes).map_err(Failure::scenario)
}

/// Says what to name instead of a path that is no scenario.
fn way_out(path: &Path) -> Option<String> {
    if path.is_dir() {
        return Some(if path.join("run.json").is_file() {
            format!("that is a run: `bench resume {}` goes on with it", path.display())
        } else {
            "name a scenario file in it".to_owned()
        });
    }
    if path.exists() {
        return Some("`-` reads standard input: `bench run - < FILE`".to_owned());
    }
    let with_ending = PathBuf::from(format!("{}.toml", path.display()));
    if with_ending.is_file() {
        return Some(format!("did you mean `{}`?", with_ending.display()));
    }
    let near = check_data::neighbour(&std::path::absolute(path).ok()?)?;
    Some(format!("did you mean `{}`?", path.with_file_name(near).display()))
}

fn read_text(path: &Path, text: &str, profile: Option<&str>, sets: &[String]) -> Read {
    let overrides = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        let is_one = name.starts_with("BENCH_") && !OTHERS.contains(&&*name);
        // A value that is no text is wrong as one.
        is_one.then(|| (name, value.to_string_lossy().into_owned()))
    });
    let env: Vec<(String, String)> = overrides.collect();
    scenario::read(&Input {
        path,
        text,
        read: &|path| {
            let bytes = read_bounded(path)?;
            String::from_utf8(bytes)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
        },
        env: &env,
        sets,
        profile,
        user_preset_dirs: &user_preset_dirs(),
    })
}

/// Returns what a plan needs to know of this machine.
pub(crate) fn host() -> Host {
    Host {
        bench_exe: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("bench")),
        // Only a run needs the files themselves, and it says what is missing.
        assets_dir: assets::dir().unwrap_or_else(|_| PathBuf::from("no-cache-directory")),
    }
}

fn read_stdin() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        let message = format!("it has more than {MAX_BYTES} bytes, the most that are read");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// Reads a regular file of bounded size: a FIFO or a device would never end.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    if metadata.len() > MAX_BYTES {
        let message = format!("it has {} bytes; at most {MAX_BYTES} are read", metadata.len());
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Presets of the user: `~/.config/bench/engines`, or below `XDG_CONFIG_HOME`.
pub(crate) fn user_preset_dirs() -> Vec<PathBuf> {
    let config = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")));
    config.into_iter().map(|config| config.join("bench/engines")).collect()
}

/// Leaves only the cells that match all conditions of `--only`. Several values of one key are
/// alternatives.
fn keep_only(plan: &mut Plan, only: &str) -> Result<(), Failure> {
    let mut wanted: IndexMap<&str, Vec<&str>> = IndexMap::new();
    for condition in only.split(',') {
        let Some((key, value)) = condition.split_once('=') else {
            let message = format!("--only {condition:?} is not KEY=VALUE");
            return Err(
                Failure::new(Exit::Usage, message).help("write --only engine=tiny,precision=fp16")
            );
        };
        wanted.entry(key.trim()).or_default().push(value.trim());
    }
    for (key, values) in wanted {
        if !plan.cells.iter().any(|cell| cell.keys.contains_key(key)) {
            let known: Vec<&str> = plan
                .cells
                .first()
                .into_iter()
                .flat_map(|cell| cell.keys.keys())
                .map(String::as_str)
                .collect();
            return Err(Failure::new(Exit::Usage, format!("--only: no cell has a key {key:?}"))
                .help(format!("keys of this scenario: {}", known.join(", "))));
        }
        let known: BTreeSet<&str> =
            plan.cells.iter().filter_map(|cell| cell.keys.get(key)).map(String::as_str).collect();
        if let Some(unknown) = values.iter().find(|value| !known.contains(*value)) {
            let known: Vec<&str> = known.into_iter().collect();
            let message = format!("--only {only}: no cell is left with {key} = {unknown:?}");
            return Err(Failure::new(Exit::Usage, message)
                .help(format!("values of {key}: {}", known.join(", "))));
        }
        let is_wanted = |found: &String| values.contains(&found.as_str());
        plan.cells.retain(|cell| cell.keys.get(key).is_some_and(is_wanted));
    }
    let used: BTreeSet<&LaunchId> = plan.cells.iter().map(|cell| &cell.launch).collect();
    plan.launches.retain(|id, _| used.contains(id));
    Ok(())
}

/// Returns why engines of the plan cannot run on this machine.
pub(crate) fn skips(plan: &Plan) -> Skips {
    let unmet = |launch| requires::unmet(launch).map(|unmet| unmet.to_string());
    plan.launches.iter().filter_map(|(id, launch)| Some((id.clone(), unmet(launch)?))).collect()
}

/// Renders what is doubtful but not wrong.
pub(crate) fn warnings(warnings: &Diagnostics, colour: bool) -> Option<String> {
    (!warnings.is_empty()).then(|| warnings.render(colour))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_one_key_are_alternatives_and_other_keys_hold_beside_them() {
        let scenario = "[engine.sim]\n[dataset.d]\nsource = \"random\"\ninput-words = 4\n\
             [matrix]\nconcurrency = [1, 4, 8]\nmax-tokens = [1, 2]\n\
             [phase.load]\nrequests = 6\n";
        let only = |only: &str| {
            let mut plan = plan_text(Path::new("s.toml"), scenario, None, &[]).unwrap().plan;
            keep_only(&mut plan, only).map_err(|failure| failure.render(false))?;
            let key = |cell: &crate::plan::cell::Cell, key: &str| cell.keys[key].clone();
            let cells = plan.cells.iter();
            let told = cells.map(|it| key(it, "concurrency") + "/" + &key(it, "max-tokens"));
            Ok::<_, String>(told.collect::<Vec<_>>())
        };
        let both = only("concurrency=1, concurrency=8,max-tokens=2").unwrap();
        assert_eq!(both, ["1/2", "8/2"]);
        assert_eq!(only("concurrency=4").unwrap(), ["4/1", "4/2"]);
        let unknown = only("concurrency=1,concurrency=16").unwrap_err();
        assert!(unknown.contains("no cell is left with concurrency = \"16\""), "{unknown}");
        assert!(unknown.contains("values of concurrency: 1, 4, 8"), "{unknown}");
    }
}
