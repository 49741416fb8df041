//! The machine, the engines and the data that stand behind the numbers.

use indicatif::BinaryBytes;
use serde::Serialize;

use crate::analysis::input::EngineStart;
use crate::plan::Plan;
use crate::plan::launch::Launch;
use crate::plan::render::shell_word;
use crate::record::environment::Environment;
use crate::record::event::EngineFacts;
use crate::record::trial::DatasetRecord;
use crate::report::number::{counted, rounded};
use crate::report::untrusted::line;
use crate::report::view::conditions::Fact;
use crate::secrets::literal;

/// One engine launch with what is known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct EngineView {
    /// Engine name in the scenario, with its precision.
    pub title: String,
    /// The exact command line of its first start, ready to paste; `$PORT` where it never started.
    pub command: String,
    /// Facts in order.
    pub facts: Vec<Fact>,
    /// Last lines of the log of a failed start.
    pub log_tail: Vec<String>,
}

/// One data set as it was used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct DatasetView {
    /// Name in the scenario.
    pub name: String,
    /// Facts in order.
    pub facts: Vec<Fact>,
    /// Why the asked-for source was not used; empty when it was.
    pub fallback: String,
}

/// Says what machine measured.
pub(crate) fn environment(environment: &Environment, instrument: &str) -> Vec<Fact> {
    let mut facts = vec![Fact::new("bench", &environment.bench_version)];
    if let Some(commit) = &environment.bench_commit {
        facts.push(Fact::new("commit", commit));
    }
    let cpu = format!("{}, {}", environment.cpu, counted(environment.n_cpus.into(), "CPU"));
    facts.push(Fact::new("CPU", cpu));
    facts.push(Fact::new("memory", BinaryBytes(environment.memory_bytes).to_string()));
    facts.push(Fact::new("system", format!("{}, kernel {}", environment.os, environment.kernel)));
    if environment.virtual_machine {
        facts.push(Fact::new("virtual machine", "yes"));
    }
    if let Some(governor) = &environment.cpu_governor {
        facts.push(Fact::new("CPU governor", governor));
    }
    facts.push(Fact::new("load average at the start", rounded(environment.load_average)));
    facts.push(Fact::new("instrument", instrument));
    for gpu in &environment.gpus {
        let words = [
            Some(format!("{}, {}", gpu.name, BinaryBytes(gpu.memory_bytes))),
            gpu.compute_capability.as_ref().map(|at| format!("compute capability {at}")),
            gpu.power_limit_w.map(|watts| format!("power limit {} W", rounded(watts))),
        ];
        let words: Vec<String> = words.into_iter().flatten().collect();
        facts.push(Fact::new(format!("GPU {}", gpu.index), words.join(", ")));
    }
    if let Some(driver) = &environment.gpu_driver {
        facts.push(Fact::new("GPU driver", driver));
    }
    if environment.gpus.is_empty() {
        let why = environment.gpu_absent.as_deref().unwrap_or("the machine lists none");
        facts.push(Fact::new("GPU", format!("none: {why}")));
    }
    facts
}

/// Says how each engine of the plan was started and what it said of itself.
///
/// Of environment variables only names are shown, and values only where the run recorded
/// them by its allow-list: a launch's own values may be secrets.
pub(crate) fn engines(plan: &Plan, starts: &[EngineStart]) -> Vec<EngineView> {
    plan.launches
        .iter()
        .map(|(id, launch)| {
            let own: Vec<&EngineStart> =
                starts.iter().filter(|start| start.launch == id.0).collect();
            engine(launch, &own)
        })
        .collect()
}

/// Says which version an engine has, or that the command which tells it did not.
fn version(launch: &Launch, facts: &EngineFacts) -> Option<Fact> {
    if let Some(version) = &facts.version {
        return Some(Fact::new("version", version));
    }
    (!launch.version_argv.is_empty()).then(|| {
        let command = command_line(&launch.version_argv);
        Fact::new("version", format!("unknown: `{command}` failed, or printed no number"))
    })
}

fn command_line(argv: &[String]) -> String {
    let words = literal::hide_argv(argv).into_iter().map(|argument| shell_word(&line(&argument)));
    words.collect::<Vec<String>>().join(" ")
}

fn engine(launch: &Launch, starts: &[&EngineStart]) -> EngineView {
    let argv = starts.first().map_or(&launch.argv, |start| &start.argv);
    let title = match &launch.precision {
        Some(precision) => format!("{} {}", line(&launch.engine), line(precision)),
        None => line(&launch.engine),
    };
    let mut facts = vec![Fact::new("model", launch.own_model())];
    if launch.model_name.is_some() {
        facts.push(Fact::new("served as", &launch.model));
    }
    if !launch.is_started() {
        facts.push(Fact::new("attached to", literal::hide(&launch.base_url)));
    } else if starts.is_empty() {
        facts.push(Fact::new("starts", "never started"));
    } else {
        facts.push(Fact::new("starts", starts.len().to_string()));
    }
    if launch.n_gpus > 0 {
        facts.push(Fact::new("devices", launch.n_gpus.to_string()));
    }
    if !launch.env.is_empty() {
        let names: Vec<&str> = launch.env.keys().map(String::as_str).collect();
        facts.push(Fact::new("environment set", names.join(" ")));
    }
    facts.extend(starts.iter().rev().find_map(|start| start.facts.as_ref()).map_or_else(
        Vec::new,
        |facts| {
            let mut known = Vec::new();
            known.extend(version(launch, facts));
            let pairs = facts.configuration.iter().chain(&facts.env);
            known.extend(pairs.map(|(name, value)| Fact::new(line(name), value)));
            let files = facts.model_files.iter();
            known.extend(files.map(|(name, hash)| Fact::new(line(name), format!("sha256 {hash}"))));
            known.extend(
                facts
                    .probe_prompt_tokens
                    .map(|n| Fact::new("probe prompt", counted(n.into(), "token"))),
            );
            known
        },
    ));
    facts.extend(starts.iter().map(|start| Fact::new("log", &start.log)));
    for stop in starts.iter().filter_map(|start| start.stop.as_ref()) {
        if !stop.killed.is_empty() {
            facts.push(Fact::new("needed SIGKILL", stop.killed.join(", ")));
        }
        if !stop.survivors.is_empty() {
            facts.push(Fact::new("still running", stop.survivors.join(", ")));
        }
    }
    let failure = starts.iter().rev().find_map(|start| start.failure.as_ref());
    if let Some(failure) = failure {
        let exit = failure.exit.as_ref().map_or_else(String::new, |exit| format!(" ({exit})"));
        facts.push(Fact::new(
            "failed",
            format!("{}{exit} after {}", failure.message, failure.after),
        ));
    }
    EngineView {
        title,
        command: command_line(argv),
        facts,
        log_tail: failure.map_or_else(Vec::new, |failure| {
            failure.log_tail.iter().map(|text| line(text)).collect()
        }),
    }
}

fn rows(record: &DatasetRecord) -> String {
    let rows = format!("{} usable, {} distinct prompts", record.n_samples, record.n_distinct);
    match record.n_looked_at {
        Some(n) => format!("{rows}, among the {n} that were looked at: the run sends no others"),
        None => rows,
    }
}

/// Says which data were used.
pub(crate) fn datasets(records: &[DatasetRecord]) -> Vec<DatasetView> {
    records
        .iter()
        .map(|record| {
            let mut facts = vec![
                Fact::new("origin", literal::hide(&record.origin)),
                Fact::new("rows", rows(record)),
                Fact::new("sha256", &record.sha256),
                Fact::new("prompts sent", format!("hash {}", record.prompts_hash)),
            ];
            for (reason, n) in &record.left_out {
                facts.push(Fact::new("left out", format!("{}: {reason}", counted(*n, "row"))));
            }
            facts.extend(record.trace.as_ref().map(|trace| Fact::new("trace", trace.to_string())));
            for (change, n) in &record.changed {
                facts.push(Fact::new("changed", format!("{}: {change}", counted(*n, "row"))));
            }
            DatasetView {
                name: line(&record.name),
                facts,
                fallback: line(record.fallback.as_deref().unwrap_or_default()),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_command_that_told_nothing_is_said() {
        let check = |version_argv: &[&str], version: Option<&str>, expected: Option<&str>| {
            let version_argv = version_argv.iter().map(|word| (*word).to_owned()).collect();
            let launch = Launch { version_argv, ..Launch::default() };
            let facts =
                EngineFacts { version: version.map(str::to_owned), ..EngineFacts::default() };
            let start = EngineStart { facts: Some(facts), ..EngineStart::default() };
            let view = engine(&launch, &[&start]);
            let told = view.facts.iter().find(|fact| fact.label == "version");
            assert_eq!(told.map(|fact| fact.value.as_str()), expected);
        };
        let failed = "unknown: `mine --version` failed, or printed no number";
        check(&["mine", "--version"], Some("2.0"), Some("2.0"));
        check(&["mine", "--version"], None, Some(failed));
        check(&[], None, None);
    }
}
