//! Turns phases and requests as written into the plan of what is sent and when.

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::plan::cell::{
    ArrivalsPlan, OutputLength, Phase, RequestPlan, Sampling, Slo, Until, UntilSteady,
};
use crate::plan::extra_body::refusal;
use crate::plan::search::SearchPlan;
use crate::record::trial::PhaseKind;
use crate::scenario::Scenario;
use crate::scenario::check::kind_by_name;
use crate::scenario::spec::{
    AllRows, ArrivalSpec, CountSpec, FromData, MaxTokensSpec, PhaseSpec, RequestSpec, RoundsSpec,
    SteadySpec, UntilSpec,
};

/// Returns the phases of a cell and its number of trials.
pub(crate) fn phases(
    scenario: &Scenario,
    tree: &Table,
    search: Option<&SearchPlan>,
    top_trials: u32,
    found: &mut Diagnostics,
) -> Option<(Vec<Phase>, u32)> {
    let mut phases = Vec::new();
    let mut iterations = Vec::new();
    let mut trials = None;
    for name in scenario.names("phase") {
        let spec: PhaseSpec = extract(scenario, tree, &["phase", &name], found)?;
        let kind = spec.kind.unwrap_or_else(|| kind_by_name(&name));
        if kind == PhaseKind::Measure {
            trials = trials.max(spec.trials);
        }
        iterations.push(spec.iterations);
        let until = until(scenario, &name, &spec, found);
        phases.push((Phase { until, ..phase(&name, kind, &spec) }, arrivals(&spec)));
    }
    // A warm-up is done at the load that it warms up for.
    let mut next = search.map(|search| search.arrivals(search.from));
    for (phase, own) in phases.iter_mut().rev() {
        match (own, &next) {
            (Some(own), _) if phase.kind == PhaseKind::Measure => {
                let searched = search.map(|search| search.arrivals_like(own, search.from));
                phase.arrivals = searched.unwrap_or_else(|| own.clone());
                next = Some(phase.arrivals.clone());
            }
            (Some(own), _) => phase.arrivals = own.clone(),
            (None, Some(next)) => phase.arrivals = next.clone(),
            // That a measured phase sends nothing has been told.
            (None, None) if phase.kind == PhaseKind::Measure => return None,
            (None, None) => {
                let message = format!("phase `{}` has no load, nor has a later one", phase.name);
                found.push(
                    Diagnostic::error("scenario/no-load", message)
                        .label(scenario.at(&["phase", &phase.name], ""))
                        .help("add `concurrency` or `rate`"),
                );
                return None;
            }
        }
    }
    for ((phase, _), n_rounds) in phases.iter_mut().zip(iterations) {
        let Some(n_rounds) = n_rounds.map(u64::from) else { continue };
        let (ArrivalsPlan::Batch { size } | ArrivalsPlan::Closed { concurrency: size }) =
            phase.arrivals
        else {
            let message = format!("phase `{}` has `iterations` and no size of one", phase.name);
            found.push(
                Diagnostic::error("scenario/contradiction", message)
                    .label(scenario.at(&["phase", &phase.name, "iterations"], "of what?"))
                    .help("`iterations` are batches: add `batch = 8`, or say `requests` instead"),
            );
            return None;
        };
        phase.n_requests = Some(n_rounds * u64::from(size));
    }
    let n_trials = trials.unwrap_or(top_trials);
    Some((phases.into_iter().map(|(phase, _)| phase).collect(), n_trials))
}

fn phase(name: &str, kind: PhaseKind, spec: &PhaseSpec) -> Phase {
    Phase {
        name: name.to_string(),
        kind,
        arrivals: ArrivalsPlan::AllAtOnce,
        max_in_flight: spec.max_in_flight,
        n_requests: match spec.requests {
            Some(CountSpec::Exactly(n)) => Some(n),
            Some(CountSpec::Word(AllRows::All)) | None => None,
        },
        duration: spec.duration,
        drain: spec.drain,
        deadlines: spec.deadlines,
        cancel_after: spec.cancel_after,
        until_steady: match spec.until_steady {
            Some(SteadySpec::Rounds(RoundsSpec { max_rounds })) => Some(UntilSteady { max_rounds }),
            Some(SteadySpec::Plain(_)) | None => None,
        },
        until: None,
        over_saturation: spec.over_saturation,
    }
}

/// Reads what ends a phase once it is known.
fn until(
    scenario: &Scenario,
    name: &str,
    spec: &PhaseSpec,
    found: &mut Diagnostics,
) -> Option<Until> {
    let UntilSpec { metric, half_width } = spec.until.clone()?;
    let percent: Option<f64> = half_width.strip_suffix('%').and_then(|it| it.trim().parse().ok());
    let Some(percent) = percent.filter(|percent| *percent > 0.0 && *percent < 100.0) else {
        let message = format!("`until` of phase `{name}`: `{half_width}` is not a share");
        found.push(
            Diagnostic::error("scenario/range", message)
                .label(scenario.value_at(&["phase", name, "until", "half-width"]))
                .help("write `half-width = \"5%\"`: above 0 % and below 100 %"),
        );
        return None;
    };
    Some(Until { metric, half_width: percent / 100.0 })
}

fn arrivals(spec: &PhaseSpec) -> Option<ArrivalsPlan> {
    if let Some(concurrency) = spec.concurrency {
        return Some(ArrivalsPlan::Closed { concurrency });
    }
    if let Some(rate_per_s) = spec.rate {
        return Some(match spec.arrival.unwrap_or_default() {
            ArrivalSpec::Poisson => ArrivalsPlan::Poisson { rate_per_s },
            ArrivalSpec::Constant => ArrivalsPlan::Constant { rate_per_s },
            ArrivalSpec::Gamma(burstiness) => ArrivalsPlan::Gamma { rate_per_s, burstiness },
        });
    }
    if let Some(ramp) = spec.ramp {
        let (from_per_s, to_per_s) = (ramp.from, ramp.to);
        return Some(ArrivalsPlan::Ramp { from_per_s, to_per_s, shape: ramp.shape });
    }
    if let Some(size) = spec.batch {
        return Some(ArrivalsPlan::Batch { size });
    }
    if spec.all_at_once == Some(true) {
        return Some(ArrivalsPlan::AllAtOnce);
    }
    spec.trace.map(|trace| ArrivalsPlan::Trace { speedup: trace.speedup })
}

/// Returns the form of a cell's requests.
pub(crate) fn request(
    scenario: &Scenario,
    tree: &Table,
    found: &mut Diagnostics,
) -> Option<RequestPlan> {
    let spec: RequestSpec = extract(scenario, tree, &["request"], found)?;
    for (name, value) in &spec.extra_body {
        let Some(why) = refusal(name, value) else { continue };
        let message = format!("`extra-body` must not set `{name} = {value}`");
        found.push(
            Diagnostic::error("scenario/contradiction", message)
                .label(scenario.at(&["request", "extra-body", name], ""))
                .help(why),
        );
    }
    let usual_path = spec.api.usual_path();
    let output = match spec.max_tokens {
        MaxTokensSpec::Word(FromData::FromData) => OutputLength::FromData,
        MaxTokensSpec::Tokens(tokens) if spec.ignore_eos == Some(true) => {
            OutputLength::Fixed { tokens }
        }
        MaxTokensSpec::Tokens(max_tokens) => OutputLength::Natural { max_tokens },
    };
    Some(RequestPlan {
        api: spec.api,
        path: spec.path.unwrap_or_else(|| usual_path.into()),
        stream: spec.stream,
        sampling: Sampling {
            temperature: spec.temperature,
            top_p: spec.top_p,
            seed: spec.seed,
            stop: spec.stop,
        },
        output,
        salt: spec.salt,
        logprobs: spec.logprobs,
        extra_body: spec.extra_body,
    })
}

/// Returns the objectives, if there are any.
pub(crate) fn slo(scenario: &Scenario, tree: &Table, found: &mut Diagnostics) -> Option<Slo> {
    extract(scenario, tree, &["slo"], found)
}

/// Returns the search for the highest load, if one is asked for.
pub(crate) fn search(scenario: &Scenario, found: &mut Diagnostics) -> Option<SearchPlan> {
    extract(scenario, &scenario.tree, &["search"], found)
}

/// Reads the table at a path into its type, where there is one; the documents are checked, so
/// this seldom fails.
pub(crate) fn extract<T: DeserializeOwned>(
    scenario: &Scenario,
    tree: &Table,
    path: &[&str],
    found: &mut Diagnostics,
) -> Option<T> {
    let (first, rest) = path.split_first()?;
    let table = rest.iter().try_fold(tree.get(*first)?, |table, part| table.get(*part))?;
    typed(scenario, table.clone(), path, found)
}

/// Reads a value into its type.
pub(crate) fn typed<T: DeserializeOwned>(
    scenario: &Scenario,
    value: Value,
    path: &[&str],
    found: &mut Diagnostics,
) -> Option<T> {
    let told = |error: toml::de::Error| {
        // The reader of a value names the keys below it last: "in `speculative`".
        let told = error.to_string();
        let below = told.lines().find_map(|line| line.strip_prefix("in `")?.strip_suffix('`'));
        let below = below.into_iter().flat_map(|keys| keys.split('.'));
        let whole: Vec<&str> = path.iter().copied().chain(below).collect();
        let label = (whole.len() > path.len()).then(|| scenario.value_at(&whole)).flatten();
        let why = error.message().lines().next().unwrap_or_default();
        found.push(
            Diagnostic::error("scenario/type", format!("`{}`: {why}", whole.join(".")))
                .label(label.or_else(|| scenario.at(path, "")))
                .help("`bench schema` prints what each key may be"),
        );
    };
    value.try_into().map_err(told).ok()
}
