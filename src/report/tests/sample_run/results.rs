//! What the sample run measured.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::ids::CellId;
use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;
use crate::metrics::reference_cell::ReferenceComparison;
use crate::metrics::summary::{
    Caveat, CellStatus, CellSummary, Counts, Distribution, Figure, GateResult, Percentile,
    SteadyState, Summary, Validity,
};
use crate::metrics::wall_time::WallTime;
use crate::record::event::{
    CellOutcome, EngineFailure, FailureClass, LoadTimeline, LogStage, PageCache,
};
use crate::report::tests::sample_run::HOSTILE;
use crate::score::Accuracy;
use crate::score::as_published::AsPublishedTinyllama;
use crate::score::fidelity::Fidelity;
use crate::score::pair::PairedAccuracy;
use crate::units::Nanos;

fn figure(value: f64, half_width: f64, unit: &'static str, n: u64) -> Figure {
    Figure {
        value: Some(value),
        unit,
        n,
        interval: Some((value - half_width, value + half_width)),
        note: "bootstrap over trials".into(),
        ..Figure::default()
    }
}

/// The load time of one start.
fn load_time(secs: f64) -> Figure {
    Figure {
        value: Some(secs),
        unit: "s",
        n: 1,
        interval: None,
        note: "one start, page cache as found: no interval".into(),
        ..Figure::default()
    }
}

/// A distribution around `median`, as skewed as latencies are.
pub(crate) fn distribution(median: f64, unit: &'static str, n: u64) -> Distribution {
    let percentile = |p: f64, factor: f64, n_floor: u64| Percentile {
        p,
        value: (n >= n_floor).then_some(median * factor),
        interval: (n >= n_floor).then_some((median * factor * 0.97, median * factor * 1.04)),
        with_failures: (n >= n_floor && p < 99.0).then_some(median * factor * 1.01),
        n_floor,
        ..Percentile::default()
    };
    Distribution {
        unit,
        n,
        mean: (n > 0).then_some(median * 1.08),
        std: (n > 1).then_some(median * 0.3),
        min: (n > 0).then_some(median * 0.6),
        max: (n > 0).then_some(median * 3.2),
        percentiles: vec![
            percentile(50.0, 1.0, 10),
            percentile(90.0, 1.6, 50),
            percentile(95.0, 1.9, 100),
            percentile(99.0, 2.7, 300),
            percentile(99.9, 3.1, 6620),
        ],
        ..Distribution::default()
    }
}

fn accuracy(extractor: &str, correct: u64, n: u64, interval: (f64, f64)) -> Accuracy {
    Accuracy {
        extractor: extractor.to_owned(),
        n,
        correct,
        wrong: n - correct - 7,
        wrong_by_format: 0,
        unparsed: 4,
        truncated: 3,
        empty: 0,
        request_errors: 0,
        degenerate: 1,
        share: Some(correct as f64 / n as f64),
        interval: Some(interval),
    }
}

pub(crate) fn keys(engine: &str, precision: &str) -> IndexMap<String, String> {
    [("engine", engine), ("precision", precision)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into_iter()
        .collect()
}

fn empty_cell(engine: &str, precision: &str, status: CellStatus, reasons: &[&str]) -> CellSummary {
    CellSummary {
        id: CellId(format!("{engine}-{precision}-id")),
        name: format!("{engine}-{precision}"),
        keys: keys(engine, precision),
        phase: None,
        asked: None,
        outcome: None,
        validity: Validity::new(status, reasons.iter().map(|&reason| reason.to_owned())),
        steady: SteadyState::default(),
        n_trials: 0,
        n_gpus: 1,
        load: [].into(),
        engine_version: None,
        counts: Counts::default(),
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

pub(crate) fn measured_cell(
    precision: &str,
    tok_per_s: f64,
    load_secs: f64,
    correct: u64,
) -> CellSummary {
    let median_ttft_ms = 9_000.0 / tok_per_s;
    CellSummary {
        outcome: Some(CellOutcome::Complete),
        n_trials: 3,
        load: [LoadTimeline {
            port_bound: Some(Nanos::from_secs_f64(load_secs * 0.2)),
            healthy: Some(Nanos::from_secs_f64(load_secs * 0.8)),
            first_token: Some(Nanos::from_secs_f64(load_secs)),
            log_stages: vec![LogStage {
                name: "weights".to_owned(),
                at: Nanos::from_secs_f64(load_secs * 0.6),
                took: Some(Nanos::from_secs_f64(load_secs * 0.35)),
            }],
            page_cache: PageCache::AsFound,
        }]
        .into(),
        engine_version: Some("0.1.0".to_owned()),
        counts: Counts { scheduled: 400, ok: 400, ..Counts::default() },
        figures: [
            (MetricId::LoadTime, load_time(load_secs)),
            (MetricId::OutputThroughput, figure(tok_per_s, tok_per_s * 0.021, "tok/s", 52_113)),
            (MetricId::RequestThroughput, figure(tok_per_s / 130.0, 0.11, "req/s", 400)),
        ]
        .map(|(metric, figure)| (metric.into(), figure))
        .into(),
        distributions: [
            (MetricId::E2e, distribution(median_ttft_ms * 30.0, "ms", 400)),
            (MetricId::SendLag, distribution(0.021, "ms", 400)),
            (MetricId::Tpot, distribution(64_000.0 / tok_per_s / 10.0, "ms", 398)),
            (MetricId::Ttft, distribution(median_ttft_ms, "ms", 400)),
            (MetricId::TtftScheduled, distribution(median_ttft_ms * 1.1, "ms", 400)),
        ]
        .into(),
        trials: [
            (Quantity::figure(MetricId::OutputThroughput), tok_per_s),
            (Quantity::percentile(MetricId::Ttft, 50.0), median_ttft_ms),
            (Quantity::percentile(MetricId::Tpot, 50.0), 64_000.0 / tok_per_s / 10.0),
        ]
        .map(|(quantity, value)| (quantity, vec![value * 0.99, value, value * 1.01]))
        .into(),
        as_published: Some(AsPublishedTinyllama {
            n: 400,
            answers_parsed: 3,
            correct: 397,
            correct_by_absence: 397,
            golds_parsed: 0,
        }),
        accuracy: vec![
            accuracy("strict", correct, 400, wilson(correct, 400)),
            accuracy("flexible", correct + 2, 400, wilson(correct + 2, 400)),
        ],
        ..empty_cell("tiny", precision, CellStatus::Ok, &[])
    }
}

/// Wilson, 95 %: the sample run's own, so that its figures belong together.
fn wilson(correct: u64, n: u64) -> (f64, f64) {
    let (z, n) = (1.959_964, n as f64);
    let share = correct as f64 / n;
    let centre = (share + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    (centre - half, centre + half)
}

/// Returns the sample run's summary.
pub(crate) fn summary() -> Summary {
    let skipped = |engine: &str, precision: &str, reason: &str| CellSummary {
        outcome: Some(CellOutcome::Skipped(reason.to_owned())),
        ..empty_cell(engine, precision, CellStatus::Skipped, &[reason])
    };
    let not_on_path = "vllm: not on PATH; pip install vllm";
    let no_python = "python3 cannot import transformers; pip install transformers torch";

    let mut fp16 = measured_cell("fp16", 812.4, 1.43, 284);
    fp16.beside.push(beside("tiny-fp32"));
    fp16.caveats.push(late_sends("3.1 % of requests left more than 5 ms late (p99 lag 41 ms)"));
    let mut fp32 = measured_cell("fp32", 620.9, 2.61, 283);
    fp32.caveats.push(late_sends("1.2 % of requests left more than 5 ms late (p99 lag 12 ms)"));
    fp32.caveats.push(Caveat {
        code: "partial-wave".into(),
        what: "400 requests at concurrency 64 end in a wave of 16".into(),
        advice: "Choose a multiple of the concurrency.".into(),
        metrics: Vec::new(),
    });
    fp32.counts.ok = 397;
    fp32.counts.errors = [("status-500".to_owned(), 2), ("truncated".to_owned(), 1)].into();

    let mut invalid = measured_cell("int8", 1_423.0, 0.98, 251);
    let reasons = ["client: send lag p99 is 41 ms, limit 5 ms", "client: 97 % of its CPU in use"];
    invalid.validity = Validity::new(CellStatus::Invalid, reasons.map(str::to_owned));
    invalid.counts.errors.insert("client-resources".to_owned(), 1);
    invalid.distributions.insert(MetricId::Tpot, distribution(4.1, "ms", 5));
    invalid.distributions.insert_sorted(MetricId::Itl, distribution(0.0, "ms", 0));

    let failed = CellSummary {
        outcome: Some(CellOutcome::Failed(failure())),
        caveats: vec![Caveat {
            code: "foreign-text".into(),
            what: HOSTILE.into(),
            advice: HOSTILE.into(),
            metrics: vec![MetricId::Ttft],
        }],
        ..empty_cell("tiny", HOSTILE, CellStatus::Failed, &[&format!("exited early: {HOSTILE}")])
    };
    Summary {
        searches: Vec::new(),
        gates: vec![GateResult {
            unit: "%".to_owned(),
            value: Some(30.0),
            interval: Some((25.0, 35.0)),
            limit: Some(50.0),
            ..GateResult::missed(HOSTILE, "accuracy >= 0.5", true, "accuracy".to_owned())
        }],
        title: "TinyLlama-1.1B on GSM8K: FP16 against FP32".to_owned(),
        complete: false,
        wall_time: WallTime {
            total: Nanos::from_secs(200),
            starting: Nanos::from_secs(4),
            waiting_for_ready: Nanos::from_secs(30),
            warming_up: Nanos::from_secs(12),
            measuring: Nanos::from_secs(140),
            draining: Nanos::from_secs(2),
            stopping: Nanos::from_secs(3),
            unfinished: Nanos::from_secs(8),
            between: Nanos::from_secs(1),
            measuring_share: Some(0.7),
        },
        cells: vec![
            skipped("vllm", "fp16", not_on_path),
            skipped("vllm", "fp32", not_on_path),
            skipped("transformers", "fp16", no_python),
            skipped("transformers", "fp32", no_python),
            fp16,
            fp32,
            invalid,
            failed,
            empty_cell("tiny", "int4", CellStatus::Incomplete, &[]),
        ],
        caveats: vec![Caveat {
            code: "busy-machine".into(),
            what: "the load average was 3.2 on 2 CPUs when the run began".into(),
            advice: "Measure on an idle machine.".into(),
            metrics: Vec::new(),
        }],
    }
}

fn beside(reference: &str) -> ReferenceComparison {
    ReferenceComparison {
        reference: reference.to_owned(),
        differ_in: vec!["precision".to_owned()],
        accuracy: vec![PairedAccuracy {
            extractor: "strict".to_owned(),
            n: 397,
            both: 279,
            neither: 110,
            gained: vec![7, 31, 88, 120, 391],
            lost: vec![12, 60, 211],
            difference: Some(2.0 / 397.0),
            interval: Some((-0.0098, 0.0198)),
            p_value: 0.727,
        }],
        fidelity: Some(Fidelity {
            n: 397,
            identical: 391,
            first_divergence: vec![3, 17, 18, 22, 41, 90],
            agreement_mean: Some(0.991),
            n_logprobs: 13_684,
            logprob_difference_mean: Some(0.000_83),
            logprob_difference_max: Some(0.021),
        }),
    }
}

fn late_sends(what: &str) -> Caveat {
    Caveat {
        code: "late-sends".into(),
        what: format!("the generator fell behind: {what}").into(),
        advice: "Lower the rate, or give bench its own cores.".into(),
        metrics: vec![MetricId::Ttft, MetricId::TtftScheduled],
    }
}

pub(crate) fn failure() -> EngineFailure {
    EngineFailure {
        class: FailureClass::ExitedEarly,
        message: HOSTILE.to_owned(),
        exit: Some("exit status 1".to_owned()),
        after: Nanos::from_millis(1_240),
        log_tail: vec!["Traceback (most recent call last):".to_owned(), HOSTILE.to_owned()],
    }
}
