//! What the sample run was to measure, where, and from what.

use std::collections::BTreeMap;

use crate::analysis::input::EngineStart;
use crate::ids::LaunchId;
use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::CellSummary;
use crate::metrics::tests::fixture::limits;
use crate::plan::cell::{
    Api, ArrivalsPlan, Cell, Deadlines, OutputLength, Phase, RequestPlan, Sampling,
};
use crate::plan::launch::{Launch, Readiness};
use crate::plan::{Plan, PublishedPlan, TrialOrder};
use crate::published::{Column, Note, PublishedTable};
use crate::record::environment::Environment;
use crate::record::event::EngineFacts;
use crate::record::trial::{DatasetRecord, PhaseKind};
use crate::report::tests::sample_run::HOSTILE;
use crate::report::tests::sample_run::results::{failure, keys, summary};
use crate::seed::Seed;
use crate::units::Nanos;

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
        name: "sample_run".to_owned(),
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
            names: BTreeMap::new(),
            stand_ins: false,
        }),
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
        until: None,
        over_saturation: None,
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
        row: None,
    }
}

fn launch(cell: &CellSummary) -> Launch {
    let words = ["bench", "serve", "tiny", "--port", "$PORT", "--dtype", &cell.keys["precision"]];
    Launch {
        engine: cell.keys["engine"].clone(),
        preset: cell.keys["engine"].clone(),
        argv: words.map(str::to_owned).to_vec(),
        env: [("HF_TOKEN".to_owned(), "canary-secret".to_owned())].into(),
        base_url: "http://127.0.0.1:$PORT".to_owned(),
        model: "tiny-word-problems".to_owned(),
        precision: Some(cell.keys["precision"].clone()),
        readiness: Readiness {
            health: Some("/health".to_owned()),
            models: Some("/v1/models".to_owned()),
            timeout: Nanos::from_secs(60),
        },
        stop_grace: Nanos::from_secs(10),
        ..Launch::default()
    }
}

pub(crate) fn environment() -> Environment {
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

pub(crate) fn engines() -> Vec<EngineStart> {
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

pub(crate) fn datasets() -> Vec<DatasetRecord> {
    vec![DatasetRecord {
        name: "questions".to_owned(),
        origin: "fixtures/datasets/word_problems.jsonl".to_owned(),
        fallback: Some("gsm8k is not in the cache and the hub cannot be reached".to_owned()),
        sha256: "cd34".repeat(16),
        n_samples: 500,
        n_distinct: 500,
        n_looked_at: None,
        left_out: vec![("no gold answer".to_owned(), 1)],
        changed: Vec::new(),
        trace: None,
        prompts_hash: "0123456789ab".to_owned(),
        engine_tokens: Vec::new(),
        n_shared_with_warm_up: 0,
    }]
}

pub(crate) fn published() -> PublishedTable {
    PublishedTable {
        name: "sample_run",
        title: "TinyLlama-1.1B-Chat on GSM8K, test split",
        setting: "blog post; one T4, 1,319 questions",
        key_columns: vec![Column::name("model_variant", "model variant")],
        columns: vec![
            Column::figure(
                "inference_speed_tokens_per_sec",
                "speed",
                "tok/s",
                Some(Quantity::figure(MetricId::OutputThroughput)),
            ),
            Column::figure(
                "load_time_s",
                "load time",
                "s",
                Some(Quantity::figure(MetricId::LoadTime)),
            ),
            Column::figure(
                "accuracy_pct",
                "accuracy",
                "%",
                Some(Quantity::figure(MetricId::Accuracy)),
            ),
        ],
        rows: Vec::new(),
        derivations: &[],
        row_value: None,
        notes: &[
            Note {
                column: "",
                text: "Accuracy is the share of outputs without an answer: the pattern never matched the gold. The true accuracy of this model is 1 to 3 %.",
            },
            Note { column: "", text: "Load time of vLLM FP16 is a misprint for 110.62 s." },
        ],
    }
    .with_rows(
        "\
model_variant,inference_speed_tokens_per_sec,load_time_s,accuracy_pct
vLLM FP16,1109.08,119.62,99.7
vLLM FP32,365.46,71.31,99.7
Hugging Face FP16,384.89,6.43,99.9
Hugging Face FP32,314.19,14.06,99.9
",
    )
}
