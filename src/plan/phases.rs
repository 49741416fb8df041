//! From phases and requests as written to what is sent and when.

use toml::{Table, Value};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::plan::cell::{
    Api, ArrivalsPlan, Deadlines, OutputLength, Phase, RampShape, RequestPlan, Sampling, Slo,
    UntilSteady,
};
use crate::plan::search::{SearchOver, SearchPlan};
use crate::record::trial::PhaseKind;
use crate::scenario::Scenario;
use crate::scenario::check::is_warm_up;
use crate::scenario::spec::{
    ApiSpec, ArrivalSpec, CountSpec, MaxTokensSpec, PhaseSpec, RampShapeSpec, RequestSpec, SloSpec,
    Span,
};
use crate::units::Nanos;

/// Longest answer when neither scenario nor defaults say one.
const MAX_TOKENS: u32 = 256;

/// Returns the phases of a cell and its number of trials.
pub(crate) fn phases(
    scenario: &Scenario,
    tree: &Table,
    search: Option<&SearchPlan>,
    found: &mut Diagnostics,
) -> Option<(Vec<Phase>, u32)> {
    let mut phases = Vec::new();
    let mut trials = None;
    for name in scenario.names("phase") {
        let table = tree.get("phase").and_then(|phases| phases.get(&name))?.as_table()?;
        let spec: PhaseSpec = extract(scenario, &["phase", &name], table, found)?;
        let kind = if is_warm_up(&name, table) { PhaseKind::WarmUp } else { PhaseKind::Measure };
        if kind == PhaseKind::Measure {
            trials = trials.max(spec.trials);
        }
        phases.push((phase(&name, kind, &spec), arrivals(&spec)));
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
    let top = tree.get("trials").and_then(Value::as_integer).and_then(|n| u32::try_from(n).ok());
    let n_trials = trials.or(top).unwrap_or(1);
    Some((phases.into_iter().map(|(phase, _)| phase).collect(), n_trials))
}

fn phase(name: &str, kind: PhaseKind, spec: &PhaseSpec) -> Phase {
    let or = |span: Option<Span>, default: Nanos| span.map_or(default, |span| span.0);
    Phase {
        name: name.to_string(),
        kind,
        arrivals: ArrivalsPlan::AllAtOnce,
        max_in_flight: spec.max_in_flight,
        n_requests: match spec.requests {
            Some(CountSpec::Exactly(n)) => Some(n),
            Some(CountSpec::All) | None => None,
        },
        duration: spec.duration.map(|span| span.0),
        drain: or(spec.drain, Nanos::from_secs(300)),
        deadlines: Deadlines {
            connect: or(spec.deadlines.connect, Nanos::from_secs(10)),
            first_token: or(spec.deadlines.first_token, Nanos::from_secs(600)),
            between_tokens: or(spec.deadlines.between_tokens, Nanos::from_secs(300)),
            total: or(spec.deadlines.total, Nanos::from_secs(1800)),
        },
        cancel_after: spec.cancel_after.map(|span| span.0),
        until_steady: spec
            .until_steady
            .and_then(|steady| steady.0)
            .map(|max_rounds| UntilSteady { max_rounds }),
    }
}

fn arrivals(spec: &PhaseSpec) -> Option<ArrivalsPlan> {
    if let Some(concurrency) = spec.concurrency {
        return Some(ArrivalsPlan::Closed { concurrency });
    }
    if let Some(rate_per_s) = spec.rate {
        return Some(match spec.arrival.unwrap_or(ArrivalSpec::Poisson) {
            ArrivalSpec::Poisson => ArrivalsPlan::Poisson { rate_per_s },
            ArrivalSpec::Constant => ArrivalsPlan::Constant { rate_per_s },
            ArrivalSpec::Gamma(burstiness) => ArrivalsPlan::Gamma { rate_per_s, burstiness },
        });
    }
    if let Some(ramp) = spec.ramp {
        let shape = match ramp.shape {
            Some(RampShapeSpec::Exponential) => RampShape::Exponential,
            Some(RampShapeSpec::Linear) | None => RampShape::Linear,
        };
        return Some(ArrivalsPlan::Ramp { from_per_s: ramp.from, to_per_s: ramp.to, shape });
    }
    if let Some(size) = spec.batch {
        return Some(ArrivalsPlan::Batch { size });
    }
    if spec.all_at_once == Some(true) {
        return Some(ArrivalsPlan::AllAtOnce);
    }
    spec.trace.map(|trace| ArrivalsPlan::Trace { speedup: trace.speedup.unwrap_or(1.0) })
}

/// Returns the form of a cell's requests.
pub(crate) fn request(
    scenario: &Scenario,
    tree: &Table,
    found: &mut Diagnostics,
) -> Option<RequestPlan> {
    let empty = Table::new();
    let table = tree.get("request").and_then(Value::as_table).unwrap_or(&empty);
    let spec: RequestSpec = extract(scenario, &["request"], table, found)?;
    let api = match spec.api {
        Some(ApiSpec::Completions) => Api::Completions,
        Some(ApiSpec::Chat) | None => Api::Chat,
    };
    let usual_path = match api {
        Api::Chat => "/v1/chat/completions",
        Api::Completions => "/v1/completions",
    };
    let output = match spec.max_tokens.unwrap_or(MaxTokensSpec::Tokens(MAX_TOKENS)) {
        MaxTokensSpec::FromData => OutputLength::FromData,
        MaxTokensSpec::Tokens(tokens) if spec.ignore_eos == Some(true) => {
            OutputLength::Fixed { tokens }
        }
        MaxTokensSpec::Tokens(max_tokens) => OutputLength::Natural { max_tokens },
    };
    Some(RequestPlan {
        api,
        path: spec.path.unwrap_or_else(|| usual_path.into()),
        stream: spec.stream.unwrap_or(true),
        sampling: Sampling {
            temperature: spec.temperature,
            top_p: spec.top_p.unwrap_or(1.0),
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
    let table = tree.get("slo").and_then(Value::as_table)?;
    let spec: SloSpec = extract(scenario, &["slo"], table, found)?;
    let nanos = |span: Option<Span>| span.map(|span| span.0);
    Some(Slo { ttft: nanos(spec.ttft), tpot: nanos(spec.tpot), e2e: nanos(spec.e2e) })
}

/// Returns the search for the highest load, if one is asked for.
pub(crate) fn search(tree: &Table) -> Option<SearchPlan> {
    let table = tree.get("search").and_then(Value::as_table)?;
    let number = |key: &str| match table.get(key) {
        Some(Value::Integer(number)) => Some(*number as f64),
        Some(Value::Float(number)) => Some(*number),
        _ => None,
    };
    let over = match table.get("over").and_then(Value::as_str) {
        Some("rate") => SearchOver::Rate,
        _ => SearchOver::Concurrency,
    };
    Some(SearchPlan {
        over,
        from: number("from").unwrap_or(1.0),
        to: number("to").unwrap_or(1024.0),
        goodput: number("goodput").unwrap_or(0.99),
        precision: number("precision").unwrap_or(0.05),
        max_points: number("max-points").map_or(20, |points| points as u32),
    })
}

/// Reads a table into its written form; the documents are checked, so this seldom fails.
pub(crate) fn extract<T: serde::de::DeserializeOwned>(
    scenario: &Scenario,
    path: &[&str],
    table: &Table,
    found: &mut Diagnostics,
) -> Option<T> {
    match Value::Table(table.clone()).try_into() {
        Ok(spec) => Some(spec),
        Err(error) => {
            let error: toml::de::Error = error;
            let message = format!("`{}`: {}", path.join("."), error.message());
            found.push(
                Diagnostic::error("scenario/type", message)
                    .label(scenario.at(path, ""))
                    .help("`bench schema` prints what each key may be"),
            );
            None
        }
    }
}
