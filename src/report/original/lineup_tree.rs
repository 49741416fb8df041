//! The output tree of the lineup's programs, `MODEL/tpT-ppP-dpD/SPEC/CELL/logs/inference/`, a folder for
//! each measured cell.
//!
//! Source: huggingface/datatrove, `examples/inference/benchmark/`, 05c0fea. Its analysis reads
//! `stats.json` and the server's log, and finds a result by a file of `slurm_logs`; `bench.json` holds the
//! rates that `bench` measured, which no log has, and whether they may be believed.

use std::collections::BTreeMap;

use serde_json::json;

use crate::metrics::catalogue::MetricId;
use crate::metrics::summary::CellSummary;
use crate::published::billion_tokens::LineupRow;
use crate::report::input::Input;
use crate::report::original::{OriginalFile, Requests, base_name, measured};

/// The folder of one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResultFolder {
    /// Its files.
    pub(crate) files: Vec<OriginalFile>,
    /// The engine's log, relative to the run directory, and its place in the tree.
    pub(crate) log: Option<(String, String)>,
    /// Whether the plan does not say how the engine's GPUs are divided, as `tp` stands for in its path.
    pub(crate) is_undivided: bool,
}

/// Makes the folders of all measured cells.
pub(crate) fn folders(input: &Input<'_>) -> Vec<ResultFolder> {
    let requests = Requests::new();
    let folder = |it: &super::Measured<'_>| {
        let row = LineupRow::of(it.cell, Some(it.launch));
        // Of a plan that does not say how its GPUs are divided, all count as the first size: what reads
        // the tree takes the product.
        let [tp, pp, dp] = row.parallel.map(|size| size.unwrap_or(1));
        let tp = tp * row.undivided;
        let path = format!(
            "{}/tp{tp}-pp{pp}-dp{dp}/{}/{}/logs/inference",
            base_name(&row.model),
            base_name(&row.speculative),
            base_name(&it.cell.name.replace('/', "_")),
        );
        let file = |name: &str, text: String| OriginalFile { path: format!("{path}/{name}"), text };
        let log = input.engines.iter().rfind(|start| start.launch == it.planned.launch.0);
        ResultFolder {
            is_undivided: row.undivided > 1,
            files: vec![
                file("stats.json", stats(it.cell)),
                file("bench.json", own(it.cell)),
                file("slurm_logs/0_0.out", format!("measured by bench, run {}\n", input.run.name)),
            ],
            log: log
                .map(|start| (start.log.clone(), format!("{path}/server_logs/server_rank_0.log"))),
        }
    };
    measured(input, &requests).iter().map(folder).collect()
}

fn total(cell: &CellSummary, metric: MetricId) -> f64 {
    cell.total(metric).unwrap_or(0.0).round()
}

fn stats(cell: &CellSummary) -> String {
    let stats = json!([{
        "name": "Model call: Inference",
        "stats": {
            "prompt_tokens": { "total": total(cell, MetricId::PromptTokens) },
            "completion_tokens": { "total": total(cell, MetricId::OutputTokens) },
            "successful_requests": { "total": cell.counts.ok },
            "failed_requests": { "total": cell.counts.n_failed() },
        },
    }]);
    format!("{stats:#}\n")
}

fn own(cell: &CellSummary) -> String {
    let bound = |metric| cell.figure(metric).and_then(|figure| figure.bound);
    let states = [
        MetricId::PromptThroughput,
        MetricId::PromptThroughputPerGpu,
        MetricId::OutputThroughput,
        MetricId::OutputThroughputPerGpu,
        MetricId::GpuDaysPer1bTokens,
        MetricId::NodeDaysPer1bTokens,
        MetricId::GpusFor1bTokensPerHour,
        MetricId::CostPer1mTokens,
    ]
    .into_iter()
    .filter_map(|metric| Some((metric.to_string(), cell.figure(metric)?.state?)));
    let own = json!({
        "prompt_tokens": total(cell, MetricId::PromptTokens),
        "output_tokens": total(cell, MetricId::OutputTokens),
        "n_ok": cell.counts.ok,
        "n_failed": cell.counts.n_failed(),
        "prompt_rate": cell.value(MetricId::PromptThroughput),
        "output_rate": cell.value(MetricId::OutputThroughput),
        "prompt_bound": bound(MetricId::PromptThroughput),
        "output_bound": bound(MetricId::OutputThroughput),
        "states": states.collect::<BTreeMap<_, _>>(),
        "validity": cell.validity,
        "counts": cell.counts,
    });
    format!("{own:#}\n")
}
