//! `results/ENGINE/MODEL-concurrency-N/`: the tree of the comparison of vLLM and SGLang.
//!
//! Source: `staru09/llm_infra_bench`, `results/`, commit 367a969. What it counts otherwise is
//! counted here as `bench` does: tokens by the engine, TTFT at the first token event.

use serde::Serialize;

use crate::analysis::request_rows::RequestRow;
use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;
use crate::report::input::Input;
use crate::report::original::{
    Measured, OriginalFile, base_name, csv_text, field, rounded, started,
};
use crate::stats::quantile::quantile;

const COLUMNS: [&str; 25] = [
    "timestamp",
    "backend",
    "concurrency",
    "total_requests",
    "duration_sec",
    "ttft_mean_ms",
    "ttft_p99_ms",
    "e2e_mean_ms",
    "e2e_p99_ms",
    "itl_mean_ms",
    "itl_p99_ms",
    "tpot_mean_ms",
    "system_tps",
    "system_rps",
    "prefill_speed",
    "gpu_name",
    "gpu_util_mean",
    "gpu_util_max",
    "mem_used_mean_mb",
    "mem_used_max_mb",
    "mem_total_mb",
    "power_mean_w",
    "power_max_w",
    "temp_mean_c",
    "temp_max_c",
];

#[derive(Debug, Serialize)]
struct Document {
    metadata: Metadata,
    summary: Totals,
    gpu: Gpu,
    per_request: Vec<OneRequest>,
}

#[derive(Debug, Serialize)]
struct Metadata {
    backend: String,
    timestamp: String,
    concurrency: u64,
    dataset: String,
    total_duration_sec: Option<f64>,
    total_requests: u64,
}

#[derive(Debug, Serialize)]
struct Totals {
    ttft_mean_ms: Option<f64>,
    ttft_p99_ms: Option<f64>,
    e2e_mean_ms: Option<f64>,
    e2e_p99_ms: Option<f64>,
    itl_mean_ms: Option<f64>,
    itl_p99_ms: Option<f64>,
    tpot_mean_ms: Option<f64>,
    system_tps: Option<f64>,
    system_rps: Option<f64>,
    mean_prefill_speed_tokens_per_sec: Option<f64>,
}

/// What is not sampled is null here, and empty in the CSV.
#[derive(Debug, Serialize)]
struct Gpu {
    #[serde(rename = "gpu_name")]
    name: Option<String>,
    #[serde(rename = "gpu_util_mean")]
    util_mean: Option<f64>,
    #[serde(rename = "gpu_util_max")]
    util_max: Option<f64>,
    memory_used_mean_mb: Option<f64>,
    memory_used_max_mb: Option<f64>,
    memory_total_mb: Option<f64>,
    power_mean_watts: Option<f64>,
    power_max_watts: Option<f64>,
    temp_mean_c: Option<f64>,
    temp_max_c: Option<f64>,
}

#[derive(Debug, Serialize)]
struct OneRequest {
    request_id: String,
    input_tokens: Option<u32>,
    output_tokens: Option<u32>,
    ttft_ms: Option<f64>,
    e2e_ms: Option<f64>,
    tpot_ms: Option<f64>,
}

/// Makes three files for each cell; two cells of one folder have different stamps behind them.
pub(super) fn files(input: &Input<'_>, measured: &[Measured<'_>]) -> Vec<OriginalFile> {
    let mut files: Vec<OriginalFile> = Vec::new();
    for it in measured {
        let document = document(input, it);
        let Metadata { backend, timestamp, concurrency, .. } = &document.metadata;
        let model = base_name(it.launch.own_model());
        let folder = format!("results/{}/{model}-concurrency-{concurrency}", base_name(backend));
        let is_of_it =
            |path: &str| path.starts_with(&format!("{folder}/")) && path.ends_with("_requests.csv");
        let n_before = files.iter().filter(|file| is_of_it(&file.path)).count();
        // A second cell of the same folder, at another precision for one, is told apart.
        let stamp = match n_before {
            0 => timestamp.clone(),
            n => format!("{timestamp}_{}", n + 1),
        };
        let stem = format!("{folder}/{}_{stamp}", base_name(backend));
        let summary = format!("{folder}/benchmark_summary.csv");
        match files.iter_mut().find(|file| file.path == summary) {
            Some(file) => file.text.push_str(without_header(&summary_csv(&document))),
            None => files.push(OriginalFile { path: summary, text: summary_csv(&document) }),
        }
        let text = serde_json::to_string_pretty(&document).expect("plain data") + "\n";
        files.push(OriginalFile { path: format!("{stem}.json"), text });
        files.push(OriginalFile {
            path: format!("{stem}_requests.csv"),
            text: requests_csv(&document.per_request),
        });
    }
    files
}

fn without_header(csv: &str) -> &str {
    csv.split_once('\n').map_or("", |(_, rows)| rows)
}

fn document(input: &Input<'_>, it: &Measured<'_>) -> Document {
    let figure = |metric| Quantity::figure(metric).value(it.cell);
    let mean = |metric| rounded(Quantity::mean(metric).value(it.cell), 3);
    let rows = it.requests.iter().map(|request| &request.row);
    let completed: Vec<&RequestRow> = rows.filter(|row| row.outcome == "ok").collect();
    let p99 = |of: fn(&RequestRow) -> Option<f64>| {
        let mut values: Vec<f64> = completed.iter().filter_map(|request| of(request)).collect();
        values.sort_by(f64::total_cmp);
        rounded(quantile(&values, 0.99), 3)
    };
    let speeds: Vec<f64> = (completed.iter())
        .filter_map(|request| {
            let secs = request.ttft_ms.filter(|ms| *ms > 0.0)? / 1e3;
            Some(f64::from(request.prompt_tokens?) / secs)
        })
        .collect();
    let n = speeds.len() as f64;
    let prefill = (n > 0.0).then(|| speeds.iter().sum::<f64>() / n);
    let gpu = input.environment.gpus.first();
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    Document {
        metadata: Metadata {
            backend: it.launch.engine.clone(),
            timestamp: started(input, "%Y%m%d_%H%M%S"),
            concurrency: it.cell.keys.get("concurrency").and_then(|n| n.parse().ok()).unwrap_or(0),
            dataset: it.planned.dataset.clone(),
            total_duration_sec: rounded(figure(MetricId::WholeRun), 3),
            total_requests: it.cell.counts.ok,
        },
        summary: Totals {
            ttft_mean_ms: mean(MetricId::Ttft),
            ttft_p99_ms: p99(|request| request.ttft_ms),
            e2e_mean_ms: mean(MetricId::E2e),
            e2e_p99_ms: p99(|request| request.e2e_ms),
            itl_mean_ms: mean(MetricId::Itl),
            itl_p99_ms: rounded(Quantity::percentile(MetricId::Itl, 99.0).value(it.cell), 3),
            tpot_mean_ms: mean(MetricId::Tpot),
            system_tps: rounded(figure(MetricId::OutputThroughputWhole), 3),
            system_rps: rounded(figure(MetricId::RequestThroughputWhole), 3),
            mean_prefill_speed_tokens_per_sec: rounded(prefill, 3),
        },
        gpu: Gpu {
            name: gpu.map(|gpu| gpu.name.clone()),
            util_mean: rounded(figure(MetricId::GpuUtilisation), 2),
            util_max: figure(MetricId::GpuUtilisationMax),
            memory_used_mean_mb: rounded(
                figure(MetricId::GpuMemoryMean).map(|gib| gib * 1024.0),
                1,
            ),
            memory_used_max_mb: rounded(figure(MetricId::GpuMemoryMax).map(|gib| gib * 1024.0), 1),
            memory_total_mb: gpu.map(|gpu| mib(gpu.memory_bytes as f64)),
            power_mean_watts: rounded(figure(MetricId::PowerMean), 1),
            power_max_watts: rounded(figure(MetricId::PowerMax), 1),
            temp_mean_c: rounded(figure(MetricId::TemperatureMean), 1),
            temp_max_c: figure(MetricId::TemperatureMax),
        },
        per_request: (completed.iter().zip(0_u64..))
            .map(|(request, number)| OneRequest {
                request_id: number.to_string(),
                input_tokens: request.prompt_tokens,
                output_tokens: request.output_tokens,
                ttft_ms: rounded(request.ttft_ms, 3),
                e2e_ms: rounded(request.e2e_ms, 3),
                tpot_ms: rounded(request.tpot_ms, 3),
            })
            .collect(),
    }
}

fn summary_csv(document: &Document) -> String {
    let Document { metadata, summary, gpu, .. } = document;
    let row = vec![
        metadata.timestamp.clone(),
        metadata.backend.clone(),
        metadata.concurrency.to_string(),
        metadata.total_requests.to_string(),
        field(metadata.total_duration_sec),
        field(summary.ttft_mean_ms),
        field(summary.ttft_p99_ms),
        field(summary.e2e_mean_ms),
        field(summary.e2e_p99_ms),
        field(summary.itl_mean_ms),
        field(summary.itl_p99_ms),
        field(summary.tpot_mean_ms),
        field(summary.system_tps),
        field(summary.system_rps),
        field(summary.mean_prefill_speed_tokens_per_sec),
        gpu.name.clone().unwrap_or_default(),
        field(gpu.util_mean),
        field(gpu.util_max),
        field(gpu.memory_used_mean_mb),
        field(gpu.memory_used_max_mb),
        field(gpu.memory_total_mb),
        field(gpu.power_mean_watts),
        field(gpu.power_max_watts),
        field(gpu.temp_mean_c),
        field(gpu.temp_max_c),
    ];
    csv_text(&COLUMNS.map(str::to_owned), [row])
}

fn requests_csv(requests: &[OneRequest]) -> String {
    let columns = ["request_id", "input_tokens", "output_tokens", "ttft_ms", "e2e_ms", "tpot_ms"];
    let tokens = |n: Option<u32>| n.map_or_else(String::new, |n| n.to_string());
    let rows = requests.iter().map(|request| {
        vec![
            request.request_id.clone(),
            tokens(request.input_tokens),
            tokens(request.output_tokens),
            field(request.ttft_ms),
            field(request.e2e_ms),
            field(request.tpot_ms),
        ]
    });
    csv_text(&columns.map(str::to_owned), rows)
}
