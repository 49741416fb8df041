//! A run made by hand that has one of everything: measured, skipped, failed, invalid and
//! unfinished cells, empty distributions, and text that attacks every face.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::ids::{CellId, LaunchId};
use crate::metrics::reference::BesideReference;
use crate::metrics::summary::{
    Caveat, CellSummary, Counts, Distribution, Figure, Percentile, Summary, Validity,
};
use crate::plan::cell::{
    Api, ArrivalsPlan, Cell, Deadlines, OutputLength, Phase, RequestPlan, Sampling,
};
use crate::plan::launch::{Launch, LogPatterns, Quirks, Readiness};
use crate::plan::{Plan, PublishedPlan, TrialOrder};
use crate::record::environment::Environment;
use crate::record::event::{
    CellOutcome, EngineFacts, EngineFailure, FailureClass, LoadTimeline, LogStage, PageCache,
};
use crate::record::trial::{DatasetRecord, PhaseKind};
use crate::report::input::{CellSeries, EngineStart, GpuSeries, Input, RunFacts};
use crate::report::published::Published;
use crate::report::view::ReportView;
use crate::score::Accuracy;
use crate::score::fidelity::Fidelity;
use crate::score::missing::MissingEqualsMissing;
use crate::score::pair::PairedAccuracy;
use crate::seed::Seed;
use crate::units::Nanos;

/// Attacks HTML, Markdown, CSV, the terminal and the direction of writing.
pub(crate) const HOSTILE: &str =
    "<script>alert(1)</script> </script> {{ 7*7 }} | `x` [a](b) =cmd() \u{1b}[2J \u{202e}fdp";

/// Returns the view of the specimen.
pub(crate) fn view() -> ReportView {
    with_input(ReportView::new)
}

/// Returns the view of a run that ended before its first cell.
pub(crate) fn empty_view() -> ReportView {
    let summary = Summary { title: "Nothing".to_owned(), ..Summary::default() };
    let plan = Plan { cells: Vec::new(), launches: IndexMap::new(), published: None, ..plan() };
    ReportView::new(&Input {
        summary: &summary,
        plan: &plan,
        environment: &Environment::default(),
        run: &RunFacts::default(),
        engines: &[],
        datasets: &[],
        published: None,
        series: &BTreeMap::new(),
    })
}

/// Returns the view of a run with many cells that differ in name alone.
pub(crate) fn large_view(n_cells: usize) -> ReportView {
    let mut summary = summary();
    let cell = summary.cells.remove(4);
    let numbered = |at: usize| CellSummary {
        id: CellId(at.to_string()),
        name: format!("cell-{at}"),
        keys: [("engine".to_owned(), format!("cell-{at}"))].into_iter().collect(),
        ..cell.clone()
    };
    summary.cells = (0..n_cells).map(numbered).collect();
    with_input(|input| {
        let plan_cell = &input.plan.cells[4];
        let numbered = |cell: &CellSummary| Cell { name: cell.name.clone(), ..plan_cell.clone() };
        let cells = summary.cells.iter().map(numbered).collect();
        let plan = Plan { cells, published: None, ..input.plan.clone() };
        ReportView::new(&Input { summary: &summary, plan: &plan, published: None, ..*input })
    })
}

/// Calls `use_it` with the specimen as input.
pub(crate) fn with_input<T>(use_it: impl FnOnce(&Input<'_>) -> T) -> T {
    let run = RunFacts {
        name: "specimen-20261122-093000".to_owned(),
        started_unix_ns: 1_795_339_800_000_000_000,
        report_at: "runs/specimen-20261122-093000/report.html".to_owned(),
    };
    use_it(&Input {
        summary: &summary(),
        plan: &plan(),
        environment: &environment(),
        run: &run,
        engines: &engines(),
        datasets: &datasets(),
        published: Some(&published()),
        series: &series(),
    })
}

/// Calls `use_it` with a sweep over concurrency of two engines, one point of it missing.
pub(crate) fn with_sweep<T>(use_it: impl FnOnce(&Input<'_>) -> T) -> T {
    let mut cells = Vec::new();
    for (engine, rate_at_one) in [("alpha", 60.0), ("beta", 75.0)] {
        for concurrency in [1, 4, 16, 64] {
            if (engine, concurrency) == ("beta", 16) {
                continue;
            }
            let load = f64::from(concurrency);
            let mut cell =
                measured_cell("fp16", rate_at_one * load / (1.0 + load / 24.0), 1.5, 284);
            cell.id = CellId(format!("{engine}-{concurrency}"));
            cell.name = format!("{engine}-c{concurrency}");
            cell.keys = [("engine", engine.to_owned()), ("concurrency", concurrency.to_string())]
                .map(|(key, value)| (key.to_owned(), value))
                .into_iter()
                .collect();
            cell.distributions
                .insert("ttft".to_owned(), distribution(20.0 + load * load / 3.0, "ms", 400));
            cells.push(cell);
        }
    }
    let summary = Summary { cells, complete: true, ..summary() };
    let plan = Plan { published: None, ..plan() };
    use_it(&Input {
        summary: &summary,
        plan: &plan,
        environment: &environment(),
        run: &RunFacts::default(),
        engines: &[],
        datasets: &[],
        published: None,
        series: &BTreeMap::new(),
    })
}

fn figure(value: f64, half_width: f64, unit: &str, n: u64) -> Figure {
    Figure {
        value: Some(value),
        unit: unit.to_owned(),
        n,
        interval: Some((value - half_width, value + half_width)),
        note: "bootstrap over trials".to_owned(),
    }
}

/// A distribution around `median`, as skewed as latencies are.
fn distribution(median: f64, unit: &str, n: u64) -> Distribution {
    let percentile = |p: f64, factor: f64, n_floor: u64| Percentile {
        p,
        value: (n >= n_floor).then_some(median * factor),
        interval: (n >= n_floor).then_some((median * factor * 0.97, median * factor * 1.04)),
        with_failures: (n >= n_floor && p < 99.0).then_some(median * factor * 1.01),
        n_floor,
    };
    Distribution {
        unit: unit.to_owned(),
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
        note: None,
    }
}

fn accuracy(extractor: &str, correct: u64, n: u64, interval: (f64, f64)) -> Accuracy {
    Accuracy {
        extractor: extractor.to_owned(),
        n,
        correct,
        wrong: n - correct - 7,
        unparsed: 4,
        truncated: 3,
        empty: 0,
        request_errors: 0,
        degenerate: 1,
        share: Some(correct as f64 / n as f64),
        interval: Some(interval),
    }
}

fn keys(engine: &str, precision: &str) -> IndexMap<String, String> {
    [("engine", engine), ("precision", precision)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into_iter()
        .collect()
}

fn empty_cell(engine: &str, precision: &str, verdict: Validity) -> CellSummary {
    CellSummary {
        id: CellId(format!("{engine}-{precision}-id")),
        name: format!("{engine}-{precision}"),
        keys: keys(engine, precision),
        outcome: None,
        verdict,
        n_trials: 0,
        n_gpus: 1,
        load: Vec::new(),
        engine_version: None,
        counts: Counts::default(),
        figures: BTreeMap::new(),
        distributions: BTreeMap::new(),
        accuracy: Vec::new(),
        as_published: None,
        beside: Vec::new(),
        caveats: Vec::new(),
    }
}

fn measured_cell(precision: &str, tok_per_s: f64, load_secs: f64, correct: u64) -> CellSummary {
    let median_ttft_ms = 9_000.0 / tok_per_s;
    CellSummary {
        outcome: Some(CellOutcome::Complete),
        n_trials: 3,
        load: vec![LoadTimeline {
            port_bound: Some(Nanos::from_secs_f64(load_secs * 0.2)),
            healthy: Some(Nanos::from_secs_f64(load_secs * 0.8)),
            first_token: Some(Nanos::from_secs_f64(load_secs)),
            log_stages: vec![LogStage {
                name: "weights".to_owned(),
                at: Nanos::from_secs_f64(load_secs * 0.6),
                took: Some(Nanos::from_secs_f64(load_secs * 0.35)),
            }],
            page_cache: PageCache::AsFound,
        }],
        engine_version: Some("0.1.0".to_owned()),
        counts: Counts { scheduled: 400, ok: 400, ..Counts::default() },
        figures: [
            ("output_throughput", figure(tok_per_s, tok_per_s * 0.021, "tok/s", 52_113)),
            ("request_throughput", figure(tok_per_s / 130.0, 0.11, "req/s", 400)),
        ]
        .map(|(tag, figure)| (tag.to_owned(), figure))
        .into(),
        distributions: [
            ("ttft", distribution(median_ttft_ms, "ms", 400)),
            ("ttft_scheduled", distribution(median_ttft_ms * 1.1, "ms", 400)),
            ("tpot", distribution(64_000.0 / tok_per_s / 10.0, "ms", 398)),
            ("e2e", distribution(median_ttft_ms * 30.0, "ms", 400)),
            ("send_lag", distribution(0.021, "ms", 400)),
        ]
        .map(|(tag, distribution)| (tag.to_owned(), distribution))
        .into(),
        as_published: Some(MissingEqualsMissing {
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
        ..empty_cell("tiny", precision, Validity::Valid)
    }
}

/// Wilson, 95 %: the specimen's own, so that its figures belong together.
fn wilson(correct: u64, n: u64) -> (f64, f64) {
    let (z, n) = (1.959_964, n as f64);
    let share = correct as f64 / n;
    let centre = (share + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    (centre - half, centre + half)
}

/// Returns the specimen's summary.
pub(crate) fn summary() -> Summary {
    let skipped = |engine: &str, precision: &str, reason: &str| CellSummary {
        outcome: Some(CellOutcome::Skipped(reason.to_owned())),
        ..empty_cell(engine, precision, Validity::Skipped(reason.to_owned()))
    };
    let not_on_path = "vllm: not on PATH; pip install vllm";
    let no_python = "python3 cannot import transformers; pip install transformers torch";

    let mut fp16 = measured_cell("fp16", 812.4, 1.43, 284);
    fp16.beside.push(beside("tiny-fp32"));
    fp16.caveats.push(late_sends("3.1 % of requests left more than 5 ms late (p99 lag 41 ms)"));
    let mut fp32 = measured_cell("fp32", 620.9, 2.61, 283);
    fp32.caveats.push(late_sends("1.2 % of requests left more than 5 ms late (p99 lag 12 ms)"));
    fp32.caveats.push(Caveat {
        code: "partial-wave".to_owned(),
        what: "400 requests at concurrency 64 end in a wave of 16".to_owned(),
        advice: "Choose a multiple of the concurrency.".to_owned(),
        metrics: Vec::new(),
    });
    fp32.counts.ok = 397;
    fp32.counts.errors = [("status-500".to_owned(), 2), ("truncated".to_owned(), 1)].into();

    let mut invalid = measured_cell("int8", 1_423.0, 0.98, 251);
    invalid.verdict = Validity::Invalid(vec![
        "client: send lag p99 is 41 ms, limit 5 ms".to_owned(),
        "client: 97 % of its CPU in use".to_owned(),
    ]);
    invalid.distributions.insert("tpot".to_owned(), distribution(4.1, "ms", 5));
    invalid.distributions.insert("itl".to_owned(), distribution(0.0, "ms", 0));

    let failed = CellSummary {
        outcome: Some(CellOutcome::Failed(failure())),
        caveats: vec![Caveat {
            code: "foreign-text".to_owned(),
            what: HOSTILE.to_owned(),
            advice: HOSTILE.to_owned(),
            metrics: vec!["ttft".to_owned()],
        }],
        ..empty_cell("tiny", HOSTILE, Validity::Failed(format!("exited early: {HOSTILE}")))
    };
    Summary {
        searches: Vec::new(),
        format: 1,
        title: "TinyLlama-1.1B on GSM8K: FP16 against FP32".to_owned(),
        complete: false,
        cells: vec![
            skipped("vllm", "fp16", not_on_path),
            skipped("vllm", "fp32", not_on_path),
            skipped("transformers", "fp16", no_python),
            skipped("transformers", "fp32", no_python),
            fp16,
            fp32,
            invalid,
            failed,
            empty_cell("tiny", "int4", Validity::Incomplete),
        ],
        caveats: vec![Caveat {
            code: "busy-machine".to_owned(),
            what: "the load average was 3.2 on 2 CPUs when the run began".to_owned(),
            advice: "Measure on an idle machine.".to_owned(),
            metrics: Vec::new(),
        }],
    }
}

fn beside(reference: &str) -> BesideReference {
    BesideReference {
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
        code: "late-sends".to_owned(),
        what: format!("the generator fell behind: {what}"),
        advice: "Lower the rate, or give bench its own cores.".to_owned(),
        metrics: vec!["ttft".to_owned(), "ttft_scheduled".to_owned()],
    }
}

fn failure() -> EngineFailure {
    EngineFailure {
        class: FailureClass::ExitedEarly,
        message: HOSTILE.to_owned(),
        exit: Some("exit status 1".to_owned()),
        after: Nanos::from_millis(1_240),
        log_tail: vec!["Traceback (most recent call last):".to_owned(), HOSTILE.to_owned()],
    }
}

pub(crate) fn plan() -> Plan {
    let summary = summary();
    let cells = summary.cells.iter().map(plan_cell).collect();
    let launches = summary.cells.iter().map(|cell| (launch_id(cell), launch(cell))).collect();
    let row = |name: &str, engine: &str, precision: &str| {
        let conditions = keys(engine, precision).into_iter().collect();
        (name.to_owned(), conditions)
    };
    Plan {
        title: summary.title.clone(),
        description: "Does half the precision cost accuracy, and what does it buy?".to_owned(),
        name: "specimen".to_owned(),
        report: "accuracy_vs_speed".to_owned(),
        seed: Seed(42),
        order: TrialOrder::Grouped,
        launches,
        cells,
        datasets: BTreeMap::new(),
        scores: BTreeMap::new(),
        published: Some(PublishedPlan {
            table: "tinyllama_gsm8k".to_owned(),
            rows: [
                row("vLLM FP16", "vllm", "fp16"),
                row("vLLM FP32", "vllm", "fp32"),
                row("Hugging Face FP16", "transformers", "fp16"),
                row("Hugging Face FP32", "transformers", "fp32"),
            ]
            .into_iter()
            .collect(),
        }),
        reference: BTreeMap::new(),
        search: None,
        gpu_hour_price: None,
    }
}

fn launch_id(cell: &CellSummary) -> LaunchId {
    LaunchId(format!("launch-{}", cell.name))
}

fn plan_cell(cell: &CellSummary) -> Cell {
    let phase = |name: &str, kind: PhaseKind, n_requests: u64| Phase {
        name: name.to_owned(),
        kind,
        arrivals: ArrivalsPlan::Closed { concurrency: 64 },
        max_in_flight: None,
        n_requests: Some(n_requests),
        duration: None,
        drain: Nanos::from_secs(60),
        deadlines: Deadlines {
            connect: Nanos::from_secs(5),
            first_token: Nanos::from_secs(60),
            between_tokens: Nanos::from_secs(30),
            total: Nanos::from_secs(600),
        },
        cancel_after: None,
        until_steady: None,
    };
    Cell {
        id: cell.id.clone(),
        name: cell.name.clone(),
        keys: cell.keys.clone(),
        launch: launch_id(cell),
        dataset: "questions".to_owned(),
        score: Some("answer".to_owned()),
        request: RequestPlan {
            api: Api::Chat,
            path: "/v1/chat/completions".to_owned(),
            stream: true,
            sampling: Sampling { temperature: 0.0, top_p: 1.0, seed: None, stop: Vec::new() },
            output: OutputLength::Natural { max_tokens: 192 },
            salt: false,
            logprobs: false,
            extra_body: BTreeMap::new(),
        },
        phases: vec![
            phase("warm_up", PhaseKind::WarmUp, 16),
            phase("load", PhaseKind::Measure, 400),
        ],
        n_trials: 3,
        slo: None,
        skip: None,
    }
}

fn launch(cell: &CellSummary) -> Launch {
    let words = ["bench", "serve", "tiny", "--port", "$PORT", "--dtype", &cell.keys["precision"]];
    Launch {
        engine: cell.keys["engine"].clone(),
        preset: cell.keys["engine"].clone(),
        argv: words.map(str::to_owned).to_vec(),
        env: [("HF_TOKEN".to_owned(), "canary-secret".to_owned())].into(),
        env_recorded: Vec::new(),
        cwd: None,
        base_url: "http://127.0.0.1:$PORT".to_owned(),
        ca: None,
        api_key_env: None,
        model: "tiny-word-problems".to_owned(),
        model_path: None,
        precision: Some(cell.keys["precision"].clone()),
        readiness: Readiness {
            health: Some("/health".to_owned()),
            models: Some("/v1/models".to_owned()),
            timeout: Nanos::from_secs(60),
        },
        stop_grace: Nanos::from_secs(10),
        requires: Vec::new(),
        log_patterns: LogPatterns::default(),
        metrics: None,
        cache_reset: None,
        version_argv: Vec::new(),
        configuration: IndexMap::new(),
        n_gpus: 0,
        cold_page_cache: false,
        extra_starts: 0,
        quirks: Quirks::default(),
    }
}

fn environment() -> Environment {
    Environment {
        calibration: None,
        bench_version: "0.1.0".to_owned(),
        bench_commit: Some("7baba15".to_owned()),
        kernel: "6.18.0".to_owned(),
        os: "Debian GNU/Linux 12 (bookworm)".to_owned(),
        cpu: "AMD EPYC 9B14".to_owned(),
        n_cpus: 2,
        memory_bytes: 8_000_000_000,
        load_average: 3.2,
        cpu_governor: None,
        virtual_machine: true,
        gpus: Vec::new(),
        gpu_absent: Some("libnvidia-ml.so.1 is not installed".to_owned()),
        gpu_driver: None,
    }
}

fn engines() -> Vec<EngineStart> {
    let start = |precision: &str| EngineStart {
        launch: format!("launch-tiny-{precision}"),
        engine: "tiny".to_owned(),
        attempt: 1,
        argv: ["bench", "serve", "tiny", "--port", "34117", "--dtype", precision]
            .map(str::to_owned)
            .to_vec(),
        log: format!("engines/launch-tiny-{precision}/log.txt"),
        ..EngineStart::default()
    };
    let facts = EngineFacts {
        version: Some("0.1.0".to_owned()),
        models: vec!["tiny-word-problems".to_owned()],
        configuration: [("context-length".to_owned(), "512".to_owned())].into(),
        model_files: [("model.safetensors".to_owned(), "ab12".repeat(16))].into(),
        probe_prompt_tokens: Some(12),
        ..EngineFacts::default()
    };
    vec![
        EngineStart { facts: Some(facts.clone()), ..start("fp16") },
        EngineStart { facts: Some(facts), ..start("fp32") },
        EngineStart { failure: Some(failure()), ..start(HOSTILE) },
    ]
}

fn datasets() -> Vec<DatasetRecord> {
    vec![DatasetRecord {
        name: "questions".to_owned(),
        origin: "fixtures/datasets/word_problems.jsonl".to_owned(),
        fallback: Some("gsm8k is not in the cache and the hub cannot be reached".to_owned()),
        sha256: "cd34".repeat(16),
        n_samples: 500,
        n_distinct: 500,
        left_out: vec![("no gold answer".to_owned(), 1)],
        prompts_hash: "0123456789ab".to_owned(),
        n_shared_with_warm_up: 0,
    }]
}

fn published() -> Published {
    let description = r#"
        title = "TinyLlama-1.1B-Chat on GSM8K, test split"
        source = "blog post; one T4, 1,319 questions"
        row = ["model_variant"]
        row-label = "model variant"
        notes = [
            "Accuracy is the share of outputs without an answer: the pattern never matched the gold. The true accuracy of this model is 1 to 3 %.",
            "Load time of vLLM FP16 is a misprint for 110.62 s.",
        ]
        [[column]]
        csv = "inference_speed_tokens_per_sec"
        label = "speed"
        unit = "tok/s"
        beside = "output_throughput"
        [[column]]
        csv = "load_time_s"
        label = "load time"
        unit = "s"
        beside = "load_time"
        [[column]]
        csv = "accuracy_pct"
        label = "accuracy"
        unit = "%"
        beside = "accuracy"
    "#;
    let rows = "\
model_variant,inference_speed_tokens_per_sec,load_time_s,accuracy_pct
vLLM FP16,1109.08,119.62,99.7
vLLM FP32,365.46,71.31,99.7
Hugging Face FP16,384.89,6.43,99.9
Hugging Face FP32,314.19,14.06,99.9
";
    Published::read(description, rows).expect("the specimen's table is well formed")
}

fn series() -> BTreeMap<CellId, CellSeries> {
    let of = |scale: f64| CellSeries {
        samples: [
            ("ttft".to_owned(), skewed(scale * 11.0)),
            ("tpot".to_owned(), skewed(scale * 8.0)),
        ]
        .into(),
        over_time: [("output_throughput".to_owned(), wavy(800.0 / scale))].into(),
        gpus: vec![GpuSeries {
            name: "GPU 0".to_owned(),
            power_w: wavy(310.0 / scale),
            utilisation_pct: wavy(93.0 / scale),
        }],
    };
    [("tiny-fp16-id", 1.0), ("tiny-fp32-id", 1.3)]
        .map(|(id, scale)| (CellId(id.to_owned()), of(scale)))
        .into()
}

/// Quantiles of a log-logistic distribution: skewed, without randomness.
fn skewed(median: f64) -> Vec<f64> {
    (1..400)
        .map(|rank| f64::from(rank) / 400.0)
        .map(|u| median * (u / (1.0 - u)).powf(0.3))
        .collect()
}

fn wavy(level: f64) -> Vec<(f64, f64)> {
    (0..60)
        .map(|sec| (f64::from(sec), level * (1.0 + 0.05 * (f64::from(sec) / 3.0).sin())))
        .collect()
}
