//! Gates of the command line: `--fail-if`, `--undecided`, `--baseline`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::analysis::compared::read_summary;
use crate::analysis::run::RunAnalysis;
use crate::cli::args::GateArgs;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::diagnostic::suggest::did_you_mean;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::metrics::catalogue::MetricId;
use crate::metrics::compare;
use crate::metrics::condition::{Condition, ConditionError, Subject};
use crate::metrics::gates::baseline_of;
use crate::metrics::summary::GateResult;
use crate::plan::Plan;
use crate::plan::gate::GatePlan;
use crate::report::untrusted;
use crate::scenario::Scenario;
use crate::score::extract::name_of;
use crate::store::run_dir::RunDir;

/// Where named baselines lie, seen from the working directory: they are there to be committed.
pub(crate) const BASELINES: &str = "baselines";

/// Returns a condition's text as it is when it can be read.
pub(crate) fn readable(text: &str) -> Result<String, String> {
    let told = |error: ConditionError| match help(&error) {
        Some(help) => format!("{error}; {help}"),
        None => error.to_string(),
    };
    Condition::parse(text).map(|_| text.to_owned()).map_err(told)
}

/// Returns a condition's text as it is when a comparison can be held to it.
pub(crate) fn relative(text: &str) -> Result<String, String> {
    readable(text)?;
    compare::gates::relative(text)
        .map(|_| text.to_owned())
        .ok_or_else(|| format!("`{text}` is not relative to a baseline; write 'tpot.p50 > +5%'"))
}

/// Adds to a plan what the command line requires of the numbers. `own` is the directory of the run
/// that is held to it, where there is one: a run is no baseline of itself.
pub(crate) fn add(plan: &mut Plan, args: &GateArgs, own: Option<&Path>) -> Result<(), Failure> {
    for text in &args.fail_if {
        let subject = Condition::parse(text).ok().map(|condition| condition.subject);
        if let Some((why, help)) = subject.and_then(|subject| never_there(plan, &subject)) {
            return Err(Failure::new(Exit::Usage, format!("--fail-if '{text}': {why}")).help(help));
        }
        let must_not = &mut plan.gate.get_or_insert_default().must_not;
        if !must_not.contains(text) {
            must_not.push(text.clone());
        }
    }
    if let Some(undecided) = args.undecided {
        plan.gate.get_or_insert_default().undecided = undecided.into();
    }
    let Some(name) = &args.baseline else { return refuse_relative_to_nothing(plan, args) };
    let path = baseline_path(name, &plan.name, own)?;
    let summary = read_summary(&path)?;
    match &mut plan.gate {
        Some(gate) if is_relative(gate) => {
            gate.baseline = Some(baseline_of(gate, name.clone(), &summary.cells));
            if let Some(other) = scenario_of(&path).filter(|other| *other != plan.name) {
                output::message(&format!(
                    "--baseline {name}: it is a run of `{}`, and this is one of `{}`; what else is not \
                     the same is told by `bench compare`",
                    untrusted::line(&other),
                    plan.name
                ));
            }
            Ok(())
        }
        _ => Err(Failure::new(Exit::Usage, "--baseline: no gate is held against it")
            .help("write --fail-if 'tpot.p50 > +5%', or `must = [\"output_throughput >= 0.95 x baseline\"]` below [gate]")),
    }
}

/// Refuses a condition of the command line that is relative to nothing.
fn refuse_relative_to_nothing(plan: &Plan, args: &GateArgs) -> Result<(), Failure> {
    let is_relative =
        |text: &&String| Condition::parse(text).is_ok_and(|found| found.limit.is_relative());
    let has_none = plan.gate.as_ref().is_none_or(|gate| gate.baseline.is_none());
    match args.fail_if.iter().find(is_relative).filter(|_| has_none) {
        Some(text) => {
            let message = format!("--fail-if '{text}' is relative, and no baseline is named");
            Err(Failure::new(Exit::Usage, message).help("name one: --baseline DIR, or `latest`"))
        }
        None => Ok(()),
    }
}

fn is_relative(gate: &GatePlan) -> bool {
    gate.must
        .iter()
        .chain(&gate.must_not)
        .any(|text| Condition::parse(text).is_ok_and(|found| found.limit.is_relative()))
}

/// Returns the summary that a baseline is: a run directory, a file, `latest` or a saved name.
fn baseline_path(name: &str, scenario: &str, own: Option<&Path>) -> Result<PathBuf, Failure> {
    let path = Path::new(name);
    let summary = if path.is_dir() { path.join("summary.json") } else { path.to_owned() };
    if summary.is_file() || path.is_dir() {
        let dir = summary.parent().unwrap_or(Path::new(""));
        if own.is_some_and(|own| is_same(own, dir) && is_summary(&summary)) {
            let message = format!("--baseline {name}: this is the run itself");
            return Err(Failure::new(Exit::Usage, message)
                .help("name an earlier run, or `latest` for the one before"));
        }
        return Ok(summary);
    }
    if name == "latest" {
        let earlier = own.map_or("", |_| " before this one");
        return latest(Path::new("runs"), scenario, own).ok_or_else(|| {
            let message =
                format!("--baseline latest: runs/ has no finished run of {scenario}{earlier}");
            Failure::input(message).help("run the scenario once without --baseline")
        });
    }
    let saved = Path::new(BASELINES).join(format!("{name}.json"));
    if saved.is_file() {
        return Ok(saved);
    }
    Err(Failure::input(format!(
        "--baseline {name}: there is neither a directory or file of this name nor {}",
        saved.display()
    ))
    .help(format!("save one: bench baseline save {name} RUN_DIRECTORY")))
}

/// Returns the name of the scenario of the run that a summary lies in, where it lies in one.
fn scenario_of(summary: &Path) -> Option<String> {
    let plan = fs::read(RunDir::at(summary.parent()?).plan()).ok()?;
    let plan: serde_json::Value = serde_json::from_slice(&plan).ok()?;
    Some(plan.get("name")?.as_str()?.to_owned())
}

fn is_summary(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "summary.json")
}

/// Whether two directories are one.
fn is_same(one: &Path, other: &Path) -> bool {
    let real = |dir: &Path| {
        let dir = if dir == Path::new("") { Path::new(".") } else { dir };
        dir.canonicalize().ok()
    };
    real(one).is_some_and(|one| real(other) == Some(one))
}

/// Returns the summary of the newest finished run of a scenario below `runs`: of those before `own`,
/// where that lies among them.
fn latest(runs: &Path, scenario: &str, own: Option<&Path>) -> Option<PathBuf> {
    let dirs = || fs::read_dir(runs).ok().into_iter().flatten();
    let dirs = || dirs().filter_map(|entry| Some(entry.ok()?.path()));
    let own = dirs().find(|dir| own.is_some_and(|own| is_same(own, dir)));
    let mut found: Vec<PathBuf> = dirs()
        .filter(|dir| own.as_ref().is_none_or(|own| dir < own))
        .filter(|dir| {
            let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            // The rest is the time: `open_loop-2-…` is another scenario.
            let rest = name.strip_prefix(scenario).and_then(|rest| rest.strip_prefix('-'));
            let day = rest.and_then(|time| time.split_once('T')).map_or("", |(day, _)| day);
            day.len() == 8 && day.bytes().all(|digit| digit.is_ascii_digit())
        })
        .map(|dir| dir.join("summary.json"))
        .collect();
    // Names end with the time; the newest are looked at first, and no older one than is needed.
    found.sort();
    found.into_iter().rev().find(|path| read_summary(path).is_ok_and(|summary| summary.complete))
}

/// Adds what a command line requires to the gates of a run, and judges them again where that makes
/// others of them; returns whether it did.
pub(crate) fn judge(analysis: &mut RunAnalysis, args: &GateArgs) -> Result<bool, Failure> {
    let before = analysis.plan.gate.clone();
    let own = analysis.dir.clone();
    add(&mut analysis.plan, args, Some(&own))?;
    let are_others = analysis.plan.gate != before;
    if are_others {
        analysis.judge_gates();
    }
    Ok(are_others)
}

/// Returns how gates end a command.
pub(crate) fn exit(gates: &[GateResult]) -> Exit {
    if gates.iter().any(GateResult::fails) { Exit::Gate } else { Exit::Ok }
}

/// Finds conditions of `[gate]` that cannot be read or that no cell can have a number for.
pub(crate) fn check(scenario: &Scenario, plan: &Plan, found: &mut Diagnostics) {
    let Some(gate) = &plan.gate else { return };
    let mut tell = |message: String, help: Option<String>| {
        let label = scenario.value_at(&["gate", "must"]).or_else(|| scenario.at(&["gate"], ""));
        found.push(Diagnostic::error("scenario/gate", message).label(label).maybe_help(help));
    };
    // A key that is none, or a table that is none, is told; what it was to require nobody knows.
    let is_told = scenario.mends.are_in(&["gate"]);
    if gate.must.is_empty() && !gate.steady && !is_told {
        tell(
            "`[gate]` requires nothing".into(),
            Some("add a condition such as \"ttft.p99 < 500ms\"".into()),
        );
    }
    for text in &gate.must {
        match Condition::parse(text) {
            Err(error) => tell(format!("gate `{text}`: {error}"), help(&error)),
            Ok(condition) => {
                let subject = &condition.subject;
                if let Some((why, help)) = never_there(plan, subject) {
                    tell(format!("gate `{text}`: {why}"), Some(help));
                }
            }
        }
    }
}

/// Returns why no cell of a plan can have a number, and what to do.
fn never_there(plan: &Plan, subject: &Subject) -> Option<(String, String)> {
    ungraded(plan, subject)
        .or_else(|| unseen(plan, subject))
        .or_else(|| without_table(plan, subject.metric()))
}

/// Returns why no cell of a plan can have a number that a table of the scenario makes, and what to
/// do.
fn without_table(plan: &Plan, metric: MetricId) -> Option<(String, String)> {
    let has_slo = plan.cells.iter().any(|cell| cell.slo.is_some());
    match metric {
        MetricId::Goodput | MetricId::GoodputShare if !has_slo => {
            let help = "add [slo] with what a good answer takes at most: `ttft = \"500ms\"`";
            Some(("no answer is good or not without [slo]".to_owned(), help.to_owned()))
        }
        MetricId::CostPer1mTokens
        | MetricId::CostPerGoodRequest
        | MetricId::CostPerCorrectAnswer
            if plan.gpu_hour_price.is_none() =>
        {
            let help = "add [cost] with `gpu-hour-price`";
            Some(("nothing has a price without [cost]".to_owned(), help.to_owned()))
        }
        _ => None,
    }
}

/// Returns why no cell of a plan can have that accuracy, and what to do.
fn ungraded(plan: &Plan, subject: &Subject) -> Option<(String, String)> {
    if subject.metric() != MetricId::Accuracy {
        return None;
    }
    if plan.scores.is_empty() {
        let help = "add `[score.answer]` with `extract = [\"strict\"]`";
        return Some(("no answer is graded".to_owned(), help.to_owned()));
    }
    let Subject::AccuracyBy(name) = subject else { return None };
    let extractors = plan.scores.values().flat_map(|score| &score.extractors);
    let known: Vec<String> = extractors.map(name_of).collect();
    (!known.contains(name)).then(|| {
        let known = known.iter().map(String::as_str);
        let help = did_you_mean(name, known, "extractors of this scenario");
        (format!("no extractor is named `{name}`"), help.unwrap_or_default())
    })
}

/// Returns why no cell of a plan can have a latency that only streams show, and what to do.
fn unseen(plan: &Plan, subject: &Subject) -> Option<(String, String)> {
    let is_of_streams = [
        MetricId::Ttft,
        MetricId::TtftScheduled,
        MetricId::Ttfr,
        MetricId::Ttfa,
        MetricId::Tpot,
        MetricId::Itl,
    ]
    .contains(&subject.metric());
    let has_none = plan.cells.iter().all(|cell| !cell.request.stream);
    (is_of_streams && has_none && !plan.cells.is_empty()).then(|| {
        let why = "it cannot be seen in answers that are not streamed";
        (why.to_owned(), "set `stream = true` in [request], or use `e2e`".to_owned())
    })
}

fn help(error: &ConditionError) -> Option<String> {
    match error {
        ConditionError::NoOperator(_) => {
            Some("a condition is NUMBER OPERATOR LIMIT: \"ttft.p99 < 500ms\"".to_owned())
        }
        ConditionError::UnknownMetric(word) => {
            did_you_mean(word, MetricId::ALL.iter().map(|metric| metric.tag()), "metrics are")
        }
        ConditionError::Statistic(_) | ConditionError::Limit(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::summary::Summary;
    use crate::report::json;

    #[test]
    fn the_latest_run_is_the_newest_finished_one_before_that_which_is_held_to_it() {
        let home = tempfile::tempdir().unwrap();
        let runs = home.path().join("runs");
        let run = |name: &str, complete: bool| {
            let dir = runs.join(name);
            fs::create_dir_all(&dir).unwrap();
            let summary = Summary { complete, ..Summary::default() };
            fs::write(dir.join("summary.json"), json::render(&summary)).unwrap();
            dir
        };
        let first = run("s-20261201T010000Z", true);
        let second = run("s-20261201T020000Z", true);
        let third = run("s-20261201T030000Z", true);
        run("s-20261201T040000Z", false);
        run("s-2-20261201T050000Z", true);
        let latest = |own: Option<&Path>| {
            super::latest(&runs, "s", own).map(|path| path.parent().unwrap().to_owned())
        };
        assert_eq!(latest(None), Some(third.clone()));
        assert_eq!(latest(Some(&third)), Some(second.clone()));
        assert_eq!(latest(Some(&runs.join("../runs/s-20261201T020000Z"))), Some(first.clone()));
        assert_eq!(latest(Some(&first)), None);
        assert_eq!(latest(Some(home.path())), Some(third), "it lies elsewhere");

        let itself = second.display().to_string();
        let refused = baseline_path(&itself, "s", Some(&second)).unwrap_err();
        assert_eq!(refused.exit, Exit::Usage, "{refused:?}");
        let summary = second.join("summary.json");
        assert!(baseline_path(&summary.display().to_string(), "s", Some(&second)).is_err());
        assert_eq!(baseline_path(&itself, "s", Some(&first)).unwrap(), summary);
        assert_eq!(scenario_of(&summary), None);
        fs::write(RunDir::at(&second).plan(), "{\"name\": \"code\", \"cells\": []}").unwrap();
        assert_eq!(scenario_of(&summary).as_deref(), Some("code"));
    }
}
