//! The lineup's CSV, in the columns of its source's analysis.
//!
//! Source: huggingface/datatrove, `examples/inference/benchmark/analyze_results.py`. Rates are
//! divided by all GPUs, data parallel ones included, where the source leaves those out.

use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::CellStatus;
use crate::published::billion_tokens::{Lineup, LineupRow};
use crate::report::original::{Measured, OriginalFile, csv_text};

const COLUMNS: [&str; 17] = [
    "model",
    "tp",
    "pp",
    "dp",
    "spec_config",
    "gpus_for_1b_tokens_per_hour",
    "node_days_to_process_1b_tokens",
    "gpu_days_to_process_1b_tokens",
    "input_tps_per_gpu",
    "output_tps_per_gpu",
    "tokens_input_per_sec",
    "tokens_output_per_sec",
    "prompt_tokens_total",
    "completion_tokens_total",
    "successful_requests",
    "path",
    "comment",
];

/// Makes the file: one row per cell.
pub(super) fn file(measured: &[Measured<'_>]) -> OriginalFile {
    let rows = measured.iter().map(|it| {
        fields(
            &LineupRow::of(it.cell, Some(it.launch)),
            format!("cells/{}", it.planned.as_run().name),
        )
    });
    of_rows(rows)
}

/// Makes it of rows that lie at paths.
pub(super) fn of_lineup(lineup: &Lineup<'_>, paths: &[String]) -> OriginalFile {
    of_rows(lineup.rows.iter().zip(paths).map(|(row, path)| fields(row, path.clone())))
}

fn of_rows(rows: impl Iterator<Item = Vec<String>>) -> OriginalFile {
    OriginalFile {
        path: "benchmarking_results.csv".to_owned(),
        text: csv_text(&COLUMNS.map(str::to_owned), rows),
    }
}

fn fields(row: &LineupRow<'_>, path: String) -> Vec<String> {
    let figure = |metric| {
        let value = Quantity::figure(metric).value(row.cell);
        value.map_or_else(String::new, |value| format!("{value:.6}"))
    };
    let total = |metric| row.cell.total(metric).map_or_else(String::new, |sum| format!("{sum:.0}"));
    let n_failed = row.cell.counts.n_failed();
    let mut fields = vec![row.model.clone()];
    fields.extend(row.parallel.map(|size| size.map_or_else(String::new, |size| size.to_string())));
    fields.push(row.speculative.clone());
    fields.extend(
        [
            MetricId::GpusFor1bTokensPerHour,
            MetricId::NodeDaysPer1bTokens,
            MetricId::GpuDaysPer1bTokens,
            MetricId::PromptThroughputPerGpu,
            MetricId::OutputThroughputPerGpu,
            MetricId::PromptThroughput,
            MetricId::OutputThroughput,
        ]
        .map(figure),
    );
    fields.extend([MetricId::PromptTokens, MetricId::OutputTokens].map(total));
    fields.push(row.cell.counts.ok.to_string());
    fields.push(path);
    let mut comments = Vec::new();
    if n_failed > 0 {
        comments.push(format!("failed_requests={n_failed}"));
    }
    if row.undivided > 1 {
        comments.push(format!("undivided_gpus={}", row.undivided));
    }
    let validity = &row.cell.validity;
    if validity.status != CellStatus::Ok {
        let word = std::iter::once(validity.status.word());
        let told = word.chain(validity.reasons.iter().map(String::as_str));
        comments.push(told.collect::<Vec<_>>().join(": "));
    }
    fields.push(comments.join(" "));
    fields
}
