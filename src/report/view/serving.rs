//! The result block of vLLM's serving benchmark, to the character.

use serde::Serialize;

use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::{CellSummary, Summary};
use crate::report::untrusted;
use crate::report::view::details::DETAIL_CELLS_MAX;

/// The block of one cell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BlockView {
    /// Name of the cell.
    pub cell: String,
    /// The block, lines padded as vLLM pads them.
    pub text: String,
}

/// Width of the block's rules.
const RULE_WIDTH: usize = 50;

/// Makes the block of every cell that has answers.
pub fn blocks(summary: &Summary) -> Vec<BlockView> {
    summary
        .cells
        .iter()
        .filter(|cell| cell.validity.status.is_measured())
        .take(DETAIL_CELLS_MAX)
        .map(|cell| BlockView { cell: untrusted::line(&cell.name), text: block(cell) })
        .collect()
}

/// The whole run is the duration here, as it is there: ramp and drain are part of the rates.
/// Source: vLLM, `benchmarks/benchmark_serving.py`, in the version whose block is published.
fn block(cell: &CellSummary) -> String {
    let figure = |metric| Quantity::figure(metric).value(cell);
    let rows = [
        rule(" Serving Benchmark Result ", '='),
        row("Successful requests:", &cell.counts.ok.to_string()),
        row("Benchmark duration (s):", &two_decimals(figure(MetricId::WholeRun))),
        row("Total input tokens:", &total(cell, MetricId::PromptTokens)),
        row("Total generated tokens:", &total(cell, MetricId::OutputTokens)),
        row("Request throughput (req/s):", &two_decimals(figure(MetricId::RequestThroughputWhole))),
        row(
            "Input token throughput (tok/s):",
            &two_decimals(figure(MetricId::PromptThroughputWhole)),
        ),
        row(
            "Output token throughput (tok/s):",
            &two_decimals(figure(MetricId::OutputThroughputWhole)),
        ),
        rule("Time to First Token", '-'),
        latency(cell, "TTFT", MetricId::Ttft),
        rule("Time per Output Token (excl. 1st token)", '-'),
        latency(cell, "TPOT", MetricId::Tpot),
        rule("", '='),
    ];
    rows.join("\n")
}

fn latency(cell: &CellSummary, name: &str, metric: MetricId) -> String {
    let percentile = |p| Quantity::percentile(metric, p).value(cell);
    [
        row(&format!("Mean {name} (ms):"), &two_decimals(Quantity::mean(metric).value(cell))),
        row(&format!("Median {name} (ms):"), &two_decimals(percentile(50.0))),
        row(&format!("P99 {name} (ms):"), &two_decimals(percentile(99.0))),
    ]
    .join("\n")
}

/// The sum over requests, from their mean and their number.
fn total(cell: &CellSummary, metric: MetricId) -> String {
    let distribution = cell.distributions.get(&metric);
    let sum = distribution.and_then(|all| Some(all.mean? * all.n as f64));
    sum.map_or_else(|| "n/a".to_owned(), |sum| format!("{sum:.0}"))
}

fn two_decimals(value: Option<f64>) -> String {
    value.map_or_else(|| "n/a".to_owned(), |value| format!("{value:.2}"))
}

fn row(label: &str, value: &str) -> String {
    format!("{label:<40} {value:<10}")
}

/// Python's centring: an odd blank goes to the right.
fn rule(title: &str, fill: char) -> String {
    let blank = RULE_WIDTH.saturating_sub(title.chars().count());
    let repeated = |n: usize| fill.to_string().repeat(n);
    format!("{}{title}{}", repeated(blank / 2), repeated(blank - blank / 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::summary::{Distribution, Figure, Percentile};
    use crate::report::tests::sample_run;

    /// The published block: `fixtures/published`, Llama-3-8B on an A10.
    const PUBLISHED: &str = "\
============ Serving Benchmark Result ============
Successful requests:                     200       
Benchmark duration (s):                  221.06    
Total input tokens:                      45551     
Total generated tokens:                  39322     
Request throughput (req/s):              0.90      
Input token throughput (tok/s):          206.05    
Output token throughput (tok/s):         177.88    
---------------Time to First Token----------------
Mean TTFT (ms):                          103.74    
Median TTFT (ms):                        76.73     
P99 TTFT (ms):                           298.90    
-----Time per Output Token (excl. 1st token)------
Mean TPOT (ms):                          43.15     
Median TPOT (ms):                        42.29     
P99 TPOT (ms):                           66.84     
==================================================";

    fn distribution(n: u64, mean: f64, median: f64, p99: f64) -> Distribution {
        let percentile =
            |p: f64, value: f64| Percentile { p, value: Some(value), ..Percentile::default() };
        Distribution {
            unit: "ms".to_owned(),
            n,
            mean: Some(mean),
            percentiles: vec![percentile(50.0, median), percentile(99.0, p99)],
            ..Distribution::default()
        }
    }

    #[test]
    fn the_published_block_is_reproduced_to_the_character() {
        let mut cell = sample_run::summary().cells.remove(4);
        cell.counts.ok = 200;
        let figures = [
            (MetricId::WholeRun, 221.06),
            (MetricId::RequestThroughputWhole, 0.904_7),
            (MetricId::PromptThroughputWhole, 206.05),
            (MetricId::OutputThroughputWhole, 177.88),
        ];
        for (metric, value) in figures {
            let figure = Figure { value: Some(value), n: 200, ..Figure::default() };
            cell.figures.insert(metric.into(), figure);
        }
        for (metric, all) in [
            (MetricId::PromptTokens, distribution(200, 45_551.0 / 200.0, 0.0, 0.0)),
            (MetricId::OutputTokens, distribution(200, 39_322.0 / 200.0, 0.0, 0.0)),
            (MetricId::Ttft, distribution(200, 103.74, 76.73, 298.9)),
            (MetricId::Tpot, distribution(200, 43.15, 42.29, 66.84)),
        ] {
            cell.distributions.insert(metric, all);
        }
        assert_eq!(block(&cell), PUBLISHED);
    }

    #[test]
    fn what_was_not_measured_is_not_a_number() {
        let cell = &sample_run::summary().cells[0];
        assert!(block(cell).contains("Mean TTFT (ms):                          n/a       "));
    }
}
