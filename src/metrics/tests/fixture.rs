//! Small records for this room's tests.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::ids::{CellId, LaunchId};
use crate::metrics::catalogue::MetricId;
use crate::metrics::distribution::Samples;
use crate::metrics::summary::{CellSummary, Counts, Figure, SteadyState, Validity};
use crate::plan::cell::{
    Api, ArrivalsPlan, Cell, Deadlines, OutputLength, Phase, RequestPlan, Sampling, ValidityLimits,
};
use crate::plan::launch::Launch;
use crate::plan::{Plan, TrialOrder};
use crate::record::event::CellOutcome;
use crate::record::telemetry::TelemetryRecord;
use crate::record::trial::{Idle, PhaseKind, PhaseRecord, SentinelRecord, Stalls, TrialRecord};
use crate::score::Accuracy;
use crate::seed::Seed;
use crate::stats::interval::Interval;
use crate::stats::proportion::wilson;
use crate::units::Nanos;

/// A cell with one measured phase.
pub(crate) fn cell(arrivals: ArrivalsPlan) -> Cell {
    Cell {
        id: CellId("c0".to_owned()),
        name: "tiny-fp16".to_owned(),
        keys: IndexMap::from([("engine".to_owned(), "tiny".to_owned())]),
        launch: LaunchId("l0".to_owned()),
        dataset: "questions".to_owned(),
        score: None,
        request: RequestPlan {
            api: Api::Chat,
            path: "/v1/chat/completions".to_owned(),
            stream: true,
            sampling: Sampling { temperature: 0.0, top_p: 1.0, seed: None, stop: Vec::new() },
            output: OutputLength::Natural { max_tokens: 100 },
            salt: false,
            logprobs: false,
            extra_body: BTreeMap::new(),
        },
        phases: vec![phase(arrivals)],
        n_trials: 1,
        slo: None,
        skip: None,
        row: None,
    }
}

fn phase(arrivals: ArrivalsPlan) -> Phase {
    let second = Nanos::from_secs(1);
    Phase {
        name: "load".to_owned(),
        kind: PhaseKind::Measure,
        arrivals,
        max_in_flight: None,
        n_requests: None,
        duration: None,
        drain: second,
        deadlines: Deadlines {
            connect: second,
            first_token: second,
            between_tokens: second,
            total: second,
        },
        cancel_after: None,
        until_steady: None,
        until: None,
        over_saturation: None,
    }
}

/// A trial of the cell `c0`.
pub(crate) fn trial(phases: &[PhaseRecord]) -> TrialRecord {
    TrialRecord {
        cell: CellId("c0".to_owned()),
        trial: 1,
        epoch_unix_ns: 0,
        phases: phases.to_vec(),
        clients: Vec::new(),
        sentinel: SentinelRecord::default(),
        dataset: None,
        aborted: None,
        idle: Idle::default(),
        telemetry: TelemetryRecord::default(),
    }
}

/// A phase from `started` to `stopped`, drained at `drained`, in milliseconds.
pub(crate) fn phase_record(
    kind: PhaseKind,
    started: u64,
    stopped: u64,
    drained: u64,
) -> PhaseRecord {
    PhaseRecord {
        name: "load".to_owned(),
        kind,
        started: Nanos::from_millis(started),
        stopped: Nanos::from_millis(stopped),
        drained: Nanos::from_millis(drained),
        n_scheduled: 0,
        steadiness: None,
        stalls: Stalls::default(),
        schedule_hash: String::new(),
        ran_out: false,
        over_saturation: None,
        earlier: Vec::new(),
    }
}

/// The limits that a scenario has by default.
pub(crate) fn limits() -> ValidityLimits {
    ValidityLimits { ok_share: 0.01, ok_time: Nanos(100_000), doubtful_share: 0.1 }
}

/// A plan with one cell and one launch per name.
pub(crate) fn plan(names: &[&str]) -> Plan {
    let cell_of = |name: &&str| Cell {
        id: CellId((*name).to_owned()),
        name: (*name).to_owned(),
        launch: LaunchId(format!("launch-{name}")),
        ..cell(ArrivalsPlan::Closed { concurrency: 4 })
    };
    Plan {
        title: "A scenario".to_owned(),
        description: String::new(),
        name: "scenario".to_owned(),
        report: "default".to_owned(),
        seed: Seed(1),
        order: TrialOrder::Grouped,
        launches: IndexMap::new(),
        cells: names.iter().map(cell_of).collect(),
        datasets: BTreeMap::new(),
        scores: BTreeMap::new(),
        published: None,
        reference: BTreeMap::new(),
        search: None,
        max_failures: None,
        skip_after: None,
        budget: None,
        prefetch: false,
        parallel: None,
        clients: None,
        gate: None,
        compare: None,
        validity: limits(),
        gpu_hour_price: None,
    }
}

/// The summary of a valid cell with ten answers and no figure.
pub(crate) fn measured_cell(name: &str, precision: &str) -> CellSummary {
    CellSummary {
        id: CellId(name.to_owned()),
        name: name.to_owned(),
        keys: IndexMap::from([
            ("engine".to_owned(), "tiny".to_owned()),
            ("precision".to_owned(), precision.to_owned()),
        ]),
        phase: None,
        asked: None,
        outcome: Some(CellOutcome::Complete),
        validity: Validity::default(),
        steady: SteadyState::default(),
        n_trials: 1,
        n_gpus: 1,
        load: [].into(),
        engine_version: None,
        counts: Counts { scheduled: 10, ok: 10, ..Counts::default() },
        figures: IndexMap::new(),
        distributions: IndexMap::new(),
        trials: BTreeMap::new(),
        accuracy: Vec::new(),
        as_published: None,
        beside: Vec::new(),
        prompt_ids: BTreeMap::new(),
        caveats: Vec::new(),
    }
}

/// The same cell with one more figure.
pub(crate) fn with_figure(
    mut cell: CellSummary,
    metric: MetricId,
    value: f64,
    interval: Option<(f64, f64)>,
) -> CellSummary {
    let unit = metric.unit();
    let figure = Figure { value: Some(value), unit, n: 10, interval, ..Figure::default() };
    cell.figures.insert(metric.into(), figure);
    cell
}

/// The same cell with an accuracy by `strict`.
pub(crate) fn with_accuracy(mut cell: CellSummary, correct: u64, n: u64) -> CellSummary {
    cell.accuracy.push(Accuracy {
        extractor: "strict".to_owned(),
        n,
        correct,
        wrong: n - correct,
        share: Some(correct as f64 / n as f64),
        interval: wilson(correct, n, 0.95).map(Interval::ends),
        ..Accuracy::default()
    });
    cell
}

/// The same cell with a distribution of which only the mean is known.
pub(crate) fn with_mean(mut cell: CellSummary, metric: MetricId, mean: f64) -> CellSummary {
    let mut samples = Samples::default();
    samples.push(mean);
    cell.distributions.insert(metric, samples.distribution(metric.unit(), 0, None));
    cell
}

/// A launch of an engine on that many GPUs.
pub(crate) fn launch(n_gpus: u32) -> Launch {
    Launch {
        engine: "tiny".to_owned(),
        preset: "tiny".to_owned(),
        model: "tiny".to_owned(),
        n_gpus,
        ..Launch::default()
    }
}
