//! Scripts for `sbatch`, rendered from a template.

use std::collections::BTreeMap;
use std::path::Path;

use minijinja::{Environment, UndefinedBehavior, Value, context};

use crate::plan::render::shell_word;
use crate::plan::share::Share;
use crate::scenario::spec::SlurmSpec;
use crate::units::Nanos;

/// The program's template: `scenarios/slurm/array.sh.j2`.
pub(crate) const TEMPLATE: &str = include_str!("../../scenarios/slurm/array.sh.j2");

/// Instructions that one rendering may take: loops over the tasks of an array are short.
const FUEL: u64 = 1_000_000;

/// What one array is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Array<'a> {
    /// Name that no other submission has.
    pub(crate) id: &'a str,
    /// Title of the scenario.
    pub(crate) title: &'a str,
    /// The run directory, absolute.
    pub(crate) dir: &'a Path,
    /// Working directory of the command that submits.
    pub(crate) cwd: &'a Path,
    /// This program.
    pub(crate) bench: &'a Path,
    /// The shares, in the order of the tasks.
    pub(crate) shares: &'a [&'a Share],
    /// GPUs of each task.
    pub(crate) n_gpus: u32,
}

impl Array<'_> {
    /// Returns the name of the job in Slurm: that of the run, and the submission's id.
    pub(crate) fn job_name(&self) -> String {
        let run = self.dir.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
        format!("{}-{}", run.chars().map(plain).collect::<String>(), self.id)
    }
}

/// What `[slurm]` says that no script can hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ScriptError {
    /// A value would begin another line, or another option.
    #[error("{key} = {value:?} has no place in a script: {why}")]
    Value {
        /// The key of `[slurm]`.
        key: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A template cannot be rendered.
    #[error("the template of the script: {0}")]
    Template(String),
}

/// Renders the script of one array.
pub(crate) fn render(
    template: &str,
    settings: &SlurmSpec,
    array: &Array<'_>,
) -> Result<String, ScriptError> {
    let failed = |error: minijinja::Error| {
        let line = error.line().unwrap_or(1);
        let text = template.lines().nth(line.saturating_sub(1)).unwrap_or_default().trim();
        let why = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
        ScriptError::Template(format!("{why} in line {line}: {text}"))
    };
    for line in &settings.setup {
        plain("setup", line)?;
    }
    for word in &settings.container {
        plain("container", word)?;
    }
    let path = |path: &Path| path.display().to_string();
    let values = context! {
        options => options(settings, array)?,
        title => array.title.replace(char::is_control, " "),
        id => array.id,
        name => array.job_name(),
        dir => path(array.dir),
        jobs => path(&array.dir.join("jobs")),
        bench => path(array.bench),
        shares => array.shares.iter().map(|share| share.id.clone()).collect::<Vec<_>>(),
        setup => settings.setup.clone(),
        container => settings.container.clone(),
    };
    let mut env = environment();
    env.add_filter("shell", |word: &str| shell_word(word));
    let rendered = env.template_from_str(template).and_then(|it| it.render(&values));
    // The renderer takes the last line break of a template away.
    rendered.map(|script| script.trim_end().to_owned() + "\n").map_err(failed)
}

fn environment() -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_fuel(Some(FUEL));
    env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    env
}

/// Returns what stands behind `#SBATCH`, in a fixed order.
fn options(settings: &SlurmSpec, array: &Array<'_>) -> Result<Vec<String>, ScriptError> {
    let dir = array.dir.display().to_string();
    let tasks = match (array.shares.len().saturating_sub(1), settings.max_jobs) {
        (last, Some(at_once)) => format!("0-{last}%{at_once}"),
        (last, None) => format!("0-{last}"),
    };
    let mut options = Vec::new();
    let mut add = |key: &'static str, option: &str, value: Option<&str>| {
        let Some(value) = value else { return Ok(()) };
        options.push(format!("--{option}={}", quoted(key, value)?));
        Ok(())
    };
    add("the name", "job-name", Some(&array.job_name()))?;
    add("the id", "comment", Some(&format!("bench:{}", array.id)))?;
    add("max-jobs", "array", Some(&tasks))?;
    add("the working directory", "chdir", Some(&array.cwd.display().to_string()))?;
    // `%` begins a pattern in the names of these files.
    let log = format!("{}/slurm/{}_%a.log", dir.replace('%', "%%"), array.id);
    add("the run directory", "output", Some(&log))?;
    add("the log", "open-mode", Some("append"))?;
    add("partition", "partition", settings.partition.as_deref())?;
    add("account", "account", settings.account.as_deref())?;
    add("qos", "qos", settings.qos.as_deref())?;
    add("constraint", "constraint", settings.constraint.as_deref())?;
    add("time", "time", settings.time.map(time_limit).as_deref())?;
    match &settings.gres {
        Some(gres) => add("gres", "gres", Some(&with_gpus(gres, array.n_gpus)?))?,
        None if array.n_gpus > 0 => add("gpus", "gpus", Some(&array.n_gpus.to_string()))?,
        None => {}
    }
    add("nodes", "nodes", settings.n_nodes().map(|n| n.to_string()).as_deref())?;
    add("cpus", "cpus-per-task", settings.cpus.map(|n| n.to_string()).as_deref())?;
    if let Some(memory) = settings.memory.as_ref().filter(|memory| !is_memory(memory)) {
        let why = "memory is a whole number with K, M, G or T behind it, such as 128G";
        return Err(ScriptError::Value { key: "memory", value: memory.clone(), why });
    }
    add("memory", "mem", settings.memory.as_deref())?;
    if settings.time.is_some_and(|time| time <= settings.end_before) {
        let value = format!("{} s", settings.end_before.as_secs_f64());
        let why = "it is no shorter than `time`: each task would end as it begins";
        return Err(ScriptError::Value { key: "end-before", value, why });
    }
    let signal = format!("B:USR1@{}", settings.end_before.as_secs_f64().ceil());
    add("end-before", "signal", Some(&signal))?;
    let names = match settings.export.as_slice() {
        [] => "ALL".to_owned(),
        names => exported(names)?,
    };
    add("export", "export", Some(&names))?;
    options.push("--requeue".to_owned());
    for argument in &settings.extra {
        plain("extra", argument)?;
        if !argument.starts_with('-') {
            let why = "an argument of sbatch begins with `-`, its value behind `=`";
            return Err(ScriptError::Value { key: "extra", value: argument.clone(), why });
        }
        options.push(argument.clone());
    }
    Ok(options)
}

/// Returns a time limit as Slurm reads it, in days, hours, minutes and seconds.
fn time_limit(time: Nanos) -> String {
    let secs = time.as_secs_f64().ceil() as u64;
    let (days, rest) = (secs / 86_400, secs % 86_400);
    format!("{days}-{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

/// Whether Slurm reads a text as memory. Source: sbatch(1), `--mem`.
fn is_memory(text: &str) -> bool {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_unit = ["", "K", "M", "G", "T", "KB", "MB", "GB", "TB"]
        .iter()
        .any(|known| unit.eq_ignore_ascii_case(known));
    unit.len() < text.len() && is_unit
}

fn with_gpus(gres: &str, n_gpus: u32) -> Result<String, ScriptError> {
    let values = BTreeMap::from([("gpus", Value::from(n_gpus))]);
    environment()
        .render_str(gres, values)
        .map_err(|error| ScriptError::Template(format!("gres = {gres:?}: {error}")))
}

/// Returns names of variables: a value behind one would be a secret's way into the script.
fn exported(names: &[String]) -> Result<String, ScriptError> {
    let is_name = |name: &&String| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    match names.iter().find(|name| !is_name(name)) {
        Some(odd) => Err(ScriptError::Value {
            key: "export",
            value: odd.split('=').next().unwrap_or_default().to_owned(),
            why: "it lists names of variables, whose values stay in your environment",
        }),
        // Slurm sets its own variables in any case; a shell needs these.
        None => Ok(["HOME", "PATH", "USER"]
            .into_iter()
            .chain(names.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join(",")),
    }
}

fn plain(key: &'static str, value: &str) -> Result<(), ScriptError> {
    if value.chars().any(char::is_control) {
        let why = "it has a line break or another control character";
        return Err(ScriptError::Value { key, value: value.to_owned(), why });
    }
    Ok(())
}

/// Returns a value as `#SBATCH` lines take it: bare, or in quotes.
fn quoted(key: &'static str, value: &str) -> Result<String, ScriptError> {
    plain(key, value)?;
    let is_bare = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%[]&|*()".contains(c);
    if !value.is_empty() && value.chars().all(is_bare) {
        return Ok(value.to_owned());
    }
    if value.contains(['"', '\\']) {
        let why = "it has a quotation mark or a backslash";
        return Err(ScriptError::Value { key, value: value.to_owned(), why });
    }
    Ok(format!("\"{value}\""))
}
