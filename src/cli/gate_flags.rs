//! Gates of the command line: `--fail-if`, `--undecided`, `--baseline`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::analysis::compared::read_summary;
use crate::analysis::run::RunAnalysis;
use crate::cli::args::GateArgs;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::diagnostic::suggest::did_you_mean;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::metrics::catalogue::MetricId;
use crate::metrics::compare;
use crate::metrics::condition::{Condition, ConditionError, Limit, Subject};
use crate::metrics::gates::baseline_of;
use crate::metrics::summary::{GateOutcome, GateResult, Summary};
use crate::plan::Plan;
use crate::plan::gate::GatePlan;
use crate::scenario::Scenario;
use crate::scenario::spec::Undecided;
use crate::score::extract::name_of;

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

/// Adds to a plan what the command line requires of the numbers.
pub(crate) fn add(plan: &mut Plan, args: &GateArgs) -> Result<(), Failure> {
    for text in &args.fail_if {
        let subject = Condition::parse(text).ok().map(|condition| condition.subject);
        if let Some((why, help)) = subject.and_then(|subject| ungraded(plan, &subject)) {
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
    let Some(name) = &args.baseline else { return Ok(()) };
    let path = baseline_path(name, &plan.name)?;
    let summary = read_summary(&path)?;
    match &mut plan.gate {
        Some(gate) if is_relative(gate) => {
            gate.baseline = Some(baseline_of(gate, name.clone(), &summary.cells));
            Ok(())
        }
        _ => Err(Failure::new(Exit::Usage, "--baseline: no gate is held against it")
            .help("write --fail-if 'tpot.p50 > +5%', or `must = [\"output_throughput >= 0.95 x baseline\"]` below [gate]")),
    }
}

fn is_relative(gate: &GatePlan) -> bool {
    gate.must.iter().chain(&gate.must_not).any(|text| {
        Condition::parse(text).is_ok_and(|found| matches!(found.limit, Limit::OfBaseline(_)))
    })
}

/// Returns the summary that a baseline is: a run directory, a file, `latest` or a saved name.
fn baseline_path(name: &str, scenario: &str) -> Result<PathBuf, Failure> {
    let path = Path::new(name);
    if path.is_dir() {
        return Ok(path.join("summary.json"));
    }
    if path.is_file() {
        return Ok(path.to_owned());
    }
    if name == "latest" {
        return latest(scenario).ok_or_else(|| {
            Failure::input(format!("--baseline latest: runs/ has no finished run of {scenario}"))
                .help("run the scenario once without --baseline")
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

/// Returns the summary of the newest finished run of a scenario below `runs`.
fn latest(scenario: &str) -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir("runs")
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|dir| {
            let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            // The rest is the time: `open_loop-2-…` is another scenario.
            name.strip_prefix(scenario).and_then(|rest| rest.strip_prefix('-')).is_some_and(
                |time| time.starts_with(|c: char| c.is_ascii_digit()) && time.contains('T'),
            )
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
    add(&mut analysis.plan, args)?;
    let are_others = analysis.plan.gate != before;
    if are_others {
        analysis.judge_gates();
    }
    Ok(are_others)
}

/// Returns how a run or a report ends by its gates.
pub(crate) fn exit(summary: &Summary, gate: Option<&GatePlan>) -> Exit {
    let undecided = gate.map_or(Undecided::Pass, |gate| gate.undecided);
    exit_of(&summary.gates, undecided)
}

/// Returns how gates end a command.
pub(crate) fn exit_of(gates: &[GateResult], undecided: Undecided) -> Exit {
    let undecided_fails = undecided == Undecided::Fail;
    let fails = gates.iter().any(|gate| match gate.outcome {
        GateOutcome::Met => false,
        GateOutcome::Missed => true,
        GateOutcome::Undecided => undecided_fails,
    });
    if fails { Exit::Gate } else { Exit::Ok }
}

/// Finds conditions of `[gate]` that cannot be read or that no cell can have a number for.
pub(crate) fn check(scenario: &Scenario, plan: &Plan, found: &mut Diagnostics) {
    let Some(gate) = &plan.gate else { return };
    let mut tell = |message: String, help: Option<String>| {
        found.push(
            Diagnostic::error("scenario/gate", message)
                .label(scenario.value_at(&["gate", "must"]))
                .maybe_help(help),
        );
    };
    if gate.must.is_empty() && !gate.steady {
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
                if let Some((why, help)) = ungraded(plan, subject).or_else(|| unseen(plan, subject))
                {
                    tell(format!("gate `{text}`: {why}"), Some(help));
                }
            }
        }
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
