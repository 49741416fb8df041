//! The "Serving Benchmark Result" block: figures one under the other, to the character.

use std::fmt;

use crate::metrics::bounds::is_unlimited;
use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::{CellSummary, Figure, NumberState};
use crate::published::derivation::{Derivation, From};
use crate::published::offline::{decimals, rate_over, total};
use crate::published::{Column, Note, PublishedTable};

/// Width of the block's rules.
const RULE_WIDTH: usize = 50;

/// The block of one cell. The whole run is the duration here, as it is there: ramp and drain are
/// part of the rates.
///
/// Source: vLLM, `benchmarks/benchmark_serving.py`, in the version whose block is published.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ServingBlock {
    /// Complete answers.
    pub(crate) completed: u64,
    /// Requests that failed.
    pub(crate) failed: u64,
    /// From the beginning of the measured phases to the last response, seconds.
    pub(crate) duration_s: Option<f64>,
    /// Sum over requests.
    pub(crate) total_input_tokens: Option<f64>,
    /// Sum over requests.
    pub(crate) total_generated_tokens: Option<f64>,
    /// Requests per second of the duration.
    pub(crate) request_throughput: Option<f64>,
    /// Requests that met all objectives, per second of the duration; absent without objectives.
    pub(crate) request_goodput: Option<f64>,
    /// Prompt tokens per second of the duration.
    pub(crate) input_throughput: Option<f64>,
    /// Output tokens per second of the duration.
    pub(crate) output_throughput: Option<f64>,
    /// Both per second of the duration.
    pub(crate) total_throughput: Option<f64>,
    /// Mean, median and 99th percentile, ms.
    pub(crate) ttft_ms: [Option<f64>; 3],
    /// The same of the time per output token after the first.
    pub(crate) tpot_ms: [Option<f64>; 3],
    /// What its mean may be, where that is doubtful.
    pub(crate) tpot_bound_ms: Option<(f64, f64)>,
}

impl ServingBlock {
    /// Returns the block of a cell.
    pub(crate) fn of(cell: &CellSummary) -> Self {
        let figure = |metric| Quantity::figure(metric).value(cell);
        let latency = |metric| {
            let percentile = |p| Quantity::percentile(metric, p).value(cell);
            [Quantity::mean(metric).value(cell), percentile(50.0), percentile(99.0)]
        };
        let duration_s = figure(MetricId::WholeRun);
        let n_good =
            Quantity::figure(MetricId::GoodputShare).read(cell).as_ref().and_then(n_of_share);
        Self {
            completed: cell.counts.ok,
            failed: cell.counts.n_failed(),
            duration_s,
            request_goodput: n_good.zip(duration_s).map(|(n_good, secs)| n_good / secs),
            total_input_tokens: total(cell, MetricId::PromptTokens),
            total_generated_tokens: total(cell, MetricId::OutputTokens),
            request_throughput: figure(MetricId::RequestThroughputWhole),
            input_throughput: figure(MetricId::PromptThroughputWhole),
            output_throughput: figure(MetricId::OutputThroughputWhole),
            total_throughput: figure(MetricId::TotalThroughputWhole),
            ttft_ms: latency(MetricId::Ttft),
            tpot_ms: latency(MetricId::Tpot),
            tpot_bound_ms: Quantity::mean(MetricId::Tpot)
                .read(cell)
                .filter(|mean| mean.state > Some(NumberState::Ok))
                .and_then(|mean| mean.bound),
        }
    }

    /// Returns the figure of a published row.
    fn value(&self, row: &str) -> Option<f64> {
        match row {
            "successful_requests" => Some(self.completed as f64),
            "benchmark_duration" => self.duration_s,
            "total_input_tokens" => self.total_input_tokens,
            "total_generated_tokens" => self.total_generated_tokens,
            "request_throughput" => self.request_throughput,
            "input_token_throughput" => self.input_throughput,
            "output_token_throughput" => self.output_throughput,
            "mean_ttft" => self.ttft_ms[0],
            "median_ttft" => self.ttft_ms[1],
            "p99_ttft" => self.ttft_ms[2],
            "mean_tpot_excl_first_token" => self.tpot_ms[0],
            "median_tpot_excl_first_token" => self.tpot_ms[1],
            "p99_tpot_excl_first_token" => self.tpot_ms[2],
            _ => None,
        }
    }

    /// Returns the sentence that the source puts over its block; `None` without a TPOT.
    pub(crate) fn sentence(&self, device: &str) -> Option<String> {
        // Whole milliseconds, as published, where that leaves a digit.
        let told = |ms: f64| if ms < 1.0 { format!("{ms:.2}") } else { format!("{ms:.0}") };
        let tpot = match (self.tpot_ms[0]?, self.tpot_bound_ms) {
            (tpot, None) => told(tpot),
            (_, Some((low, high))) if is_unlimited(high) => format!("{} or more", told(low)),
            (_, Some((low, high))) => format!("{} to {}", told(low), told(high)),
        };
        Some(format!("We achieve {tpot} ms of TPOT on {device}."))
    }
}

/// Returns how many a share in per cent is of.
fn n_of_share(share: &Figure) -> Option<f64> {
    Some((share.value? / 100.0 * share.n as f64).round())
}

impl fmt::Display for ServingBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [
            rule(" Serving Benchmark Result ", '='),
            row("Successful requests:", &self.completed.to_string()),
            row("Benchmark duration (s):", &decimals(self.duration_s, 2)),
            row("Total input tokens:", &decimals(self.total_input_tokens, 0)),
            row("Total generated tokens:", &decimals(self.total_generated_tokens, 0)),
            row("Request throughput (req/s):", &decimals(self.request_throughput, 2)),
            row("Input token throughput (tok/s):", &decimals(self.input_throughput, 2)),
            row("Output token throughput (tok/s):", &decimals(self.output_throughput, 2)),
            rule("Time to First Token", '-'),
            latency("TTFT", self.ttft_ms),
            rule("Time per Output Token (excl. 1st token)", '-'),
            latency("TPOT", self.tpot_ms),
            rule("", '='),
        ];
        f.write_str(&rows.join("\n"))
    }
}

fn latency(name: &str, [mean, median, p99]: [Option<f64>; 3]) -> String {
    [
        row(&format!("Mean {name} (ms):"), &decimals(mean, 2)),
        row(&format!("Median {name} (ms):"), &decimals(median, 2)),
        row(&format!("P99 {name} (ms):"), &decimals(p99, 2)),
    ]
    .join("\n")
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

/// Returns the block as a table.
pub(crate) fn table() -> PublishedTable {
    PublishedTable {
        name: "serving",
        title: "Serving Benchmark Result",
        setting: "Llama-3-8B on an A10, 200 requests at 1.0 per second",
        key_columns: vec![Column::name("metric", "Metric")],
        columns: vec![Column::name("unit", "Unit"), Column::figure("value", "Value", "", None)],
        rows: Vec::new(),
        derivations: DERIVATIONS,
        row_value: Some(|row, cell| ServingBlock::of(cell).value(row)),
        notes: NOTES,
    }
    .with_rows(include_str!("../../fixtures/published/serving.csv"))
}

const DERIVATIONS: &[Derivation] = &[
    Derivation {
        rows: &["request_throughput"],
        column: "value",
        formula: "successful_requests / benchmark_duration",
        inputs: &[From::Count("successful_requests"), From::Row("benchmark_duration")],
        compute: rate_over,
    },
    Derivation {
        rows: &["input_token_throughput"],
        column: "value",
        formula: "total_input_tokens / benchmark_duration",
        inputs: &[From::Count("total_input_tokens"), From::Row("benchmark_duration")],
        compute: rate_over,
    },
    Derivation {
        rows: &["output_token_throughput"],
        column: "value",
        formula: "total_generated_tokens / benchmark_duration",
        inputs: &[From::Count("total_generated_tokens"), From::Row("benchmark_duration")],
        compute: rate_over,
    },
];

const NOTES: &[Note] = &[
    Note {
        column: "",
        text: "0.90 requests/s at a rate of 1.0 is 199 s of arrivals and a drain of 22 s in one division: the engine kept up.",
    },
    Note {
        column: "",
        text: "Outputs were tokenized again with a begin-of-sequence token: one more than was generated on each.",
    },
    Note { column: "", text: "p99 of 200 requests is the word of two of them." },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::fixture::{measured_cell, with_figure};
    use crate::stats::quantile::sample_floor;

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

    #[test]
    fn the_published_block_is_reproduced_to_the_character() {
        let table = table();
        let number = |row: &str| table.number(row, "value");
        let latency = |name: &str| {
            ["mean", "median", "p99"].map(|statistic| number(&format!("{statistic}_{name}")))
        };
        // Rates are not read but computed: the block prints what follows.
        let over =
            |amount: &str| Some(number(amount).unwrap() / number("benchmark_duration").unwrap());
        let block = ServingBlock {
            completed: 200,
            duration_s: number("benchmark_duration"),
            total_input_tokens: number("total_input_tokens"),
            total_generated_tokens: number("total_generated_tokens"),
            request_throughput: over("successful_requests"),
            input_throughput: Some(206.05),
            output_throughput: over("total_generated_tokens"),
            ttft_ms: latency("ttft"),
            tpot_ms: latency("tpot_excl_first_token"),
            ..ServingBlock::default()
        };
        assert_eq!(block.to_string(), PUBLISHED);
        // The sentence above the published block says 43 ms of TPOT on an A10.
        let sentence = block.sentence("an A10").unwrap();
        assert_eq!(sentence, "We achieve 43 ms of TPOT on an A10.");
        let doubtful = ServingBlock { tpot_bound_ms: Some((42.6, 90.0)), ..block };
        let sentence = doubtful.sentence("an A10").unwrap();
        assert_eq!(sentence, "We achieve 43 to 90 ms of TPOT on an A10.");
    }

    #[test]
    fn every_rate_has_the_duration_below_it() {
        let mut cell = measured_cell("a", "fp16");
        cell.counts.ok = 48;
        for (metric, value) in [
            (MetricId::WholeRun, 25.0),
            (MetricId::RequestThroughputWhole, 1.92),
            // Of the measured window, which is shorter.
            (MetricId::Goodput, 6.3),
        ] {
            cell = with_figure(cell, metric, value, None);
        }
        assert_eq!(ServingBlock::of(&cell).request_goodput, None, "there are no objectives");
        let share = Figure { value: Some(90.0), n: 50, ..Figure::default() };
        cell.figures.insert(MetricId::GoodputShare.into(), share);
        assert_eq!(ServingBlock::of(&cell).request_goodput, Some(45.0 / 25.0));
    }

    #[test]
    fn what_was_not_measured_is_not_a_number() {
        let block = ServingBlock::of(&measured_cell("a", "fp16"));
        let text = block.to_string();
        assert!(text.contains("Mean TTFT (ms):                          n/a       "), "{text}");
        assert_eq!(block.sentence("an A10"), None);
    }

    #[test]
    fn the_published_rates_divide_by_arrivals_and_drain() {
        let table = table();
        let number = |name: &str| table.number(name, "value").unwrap();
        // 200 arrivals one second apart take 199 s; the rest is drain.
        let drain = number("benchmark_duration") - (number("successful_requests") - 1.0);
        assert!((drain - 22.06).abs() < 1e-9);
        assert!((sample_floor(0.99) as f64) > number("successful_requests"));
    }
}
