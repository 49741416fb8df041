//! Under which conditions cells were measured: requests, load, data, in words.

use indexmap::IndexMap;
use serde::Serialize;

use crate::plan::Plan;
use crate::plan::cell::{
    Api, ArrivalsPlan, Cell, OutputLength, Phase, RampShape, RequestPlan, Slo, Until,
};
use crate::record::trial::PhaseKind;
use crate::report::number::{counted, rounded};
use crate::report::untrusted;

/// One set of conditions and the cells that share it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Conditions {
    /// Names of the cells.
    pub cells: Vec<String>,
    /// What holds for them: label and value.
    pub facts: Vec<Fact>,
}

/// A label and its value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub(crate) struct Fact {
    /// What.
    pub label: String,
    /// Its value, as printed.
    pub value: String,
}

impl Fact {
    /// Makes a fact of foreign or own text.
    pub(crate) fn new(label: impl Into<String>, value: impl AsRef<str>) -> Self {
        Self { label: label.into(), value: untrusted::line(value.as_ref()) }
    }
}

/// Groups the cells of a plan by their conditions, in the order of the plan.
pub(crate) fn conditions(plan: &Plan) -> Vec<Conditions> {
    let mut groups: IndexMap<Vec<Fact>, Vec<String>> = IndexMap::new();
    for cell in &plan.cells {
        groups.entry(facts_of(cell)).or_default().push(untrusted::line(&cell.name));
    }
    groups.into_iter().map(|(facts, cells)| Conditions { cells, facts }).collect()
}

/// Whether any measured phase sends on a schedule, whatever the engine does.
pub(crate) fn is_open_loop(cell: &Cell) -> bool {
    cell.measured_phases().any(|phase| !phase.arrivals.waits_for_answers())
}

fn facts_of(cell: &Cell) -> Vec<Fact> {
    let mut facts = vec![Fact::new("data set", &cell.dataset)];
    if let Some(score) = &cell.score {
        facts.push(Fact::new("score", score));
    }
    facts.push(Fact::new("request", request_words(&cell.request)));
    for phase in &cell.phases {
        let label = match phase.kind {
            PhaseKind::WarmUp => "warm-up",
            PhaseKind::Measure if !cell.measures(phase.kind, &phase.name) => "other row",
            PhaseKind::Measure => "measured",
        };
        facts.push(Fact::new(label, phase_words(phase)));
    }
    facts.push(Fact::new("trials", cell.n_trials.to_string()));
    if let Some(slo) = &cell.slo {
        facts.push(Fact::new("objectives", slo_words(slo)));
    }
    facts
}

fn request_words(request: &RequestPlan) -> String {
    let api = match request.api {
        Api::Chat => "chat",
        Api::Completions => "completions",
    };
    let stream = if request.stream { "streamed" } else { "not streamed" };
    let output = match request.output {
        OutputLength::Natural { max_tokens } => {
            format!("natural stop, at most {max_tokens} tokens")
        }
        OutputLength::Fixed { tokens } => format!("exactly {tokens} tokens (ignore_eos)"),
        OutputLength::FromData => "as long as the data set's answer (ignore_eos)".to_owned(),
    };
    let mut words = format!(
        "{api}, {stream}, {output}, temperature {}, top_p {}",
        request.sampling.temperature, request.sampling.top_p
    );
    if request.salt {
        words.push_str(", each prompt salted");
    }
    words
}

fn phase_words(phase: &Phase) -> String {
    let words = [
        Some(format!("{}: {}", phase.name, arrivals_words(&phase.arrivals))),
        phase.n_requests.map(|n| counted(n, "request")),
        phase.duration.map(|duration| duration.to_string()),
        phase.max_in_flight.map(|cap| format!("at most {cap} in flight")),
        phase.until_steady.map(|steady| {
            format!("until steady, at most {}", counted(steady.max_rounds.into(), "round"))
        }),
        phase.cancel_after.map(|after| format!("each cancelled after {after}")),
    ];
    let until = phase.until.as_ref().map(Until::words).unwrap_or_default();
    words.into_iter().flatten().collect::<Vec<_>>().join(", ") + &until
}

fn arrivals_words(arrivals: &ArrivalsPlan) -> String {
    match arrivals {
        ArrivalsPlan::Closed { concurrency } => {
            format!("closed loop, {}", counted((*concurrency).into(), "stream"))
        }
        ArrivalsPlan::Constant { rate_per_s } => format!("constant, {}/s", rounded(*rate_per_s)),
        ArrivalsPlan::Poisson { rate_per_s } => format!("Poisson, {}/s", rounded(*rate_per_s)),
        ArrivalsPlan::Gamma { rate_per_s, burstiness } => {
            format!("Gamma, {}/s, burstiness {}", rounded(*rate_per_s), rounded(*burstiness))
        }
        ArrivalsPlan::Ramp { from_per_s, to_per_s, shape } => {
            let shape = match shape {
                RampShape::Linear => "linear",
                RampShape::Exponential => "exponential",
            };
            format!("{shape} ramp, {} to {}/s", rounded(*from_per_s), rounded(*to_per_s))
        }
        ArrivalsPlan::Trace { speedup } => format!("trace, {}× as fast", rounded(*speedup)),
        ArrivalsPlan::Batch { size } => format!("static batches of {size}"),
        ArrivalsPlan::AllAtOnce => "all at once".to_owned(),
    }
}

fn slo_words(slo: &Slo) -> String {
    let parts = [("TTFT (scheduled)", slo.ttft), ("TPOT", slo.tpot), ("E2E (scheduled)", slo.e2e)];
    let words: Vec<String> = parts
        .iter()
        .filter_map(|(name, limit)| limit.map(|limit| format!("{name} ≤ {limit}")))
        .collect();
    words.join(", ")
}
