//! The offline batch block: a whole job in seven figures, line for line.

use std::fmt;

use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::CellSummary;
use crate::published::derivation::{Derivation, From};
use crate::published::{Column, Note, PublishedTable};

/// The block of one cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct OfflineBlock {
    /// From the beginning of the measured phases to the last response, seconds.
    pub(crate) total_time_s: Option<f64>,
    /// Complete answers.
    pub(crate) generations: u64,
    /// Answers per second of the whole job.
    pub(crate) generations_per_s: Option<f64>,
    /// Output tokens per second of the whole job.
    pub(crate) generation_tokens_per_s: Option<f64>,
    /// Prompt tokens per second of the whole job.
    pub(crate) prompt_tokens_per_s: Option<f64>,
    /// Mean output tokens of an answer.
    pub(crate) generation_tokens: Option<f64>,
    /// Mean prompt tokens of a request.
    pub(crate) prompt_tokens: Option<f64>,
}

impl OfflineBlock {
    /// Returns the block of a cell.
    pub(crate) fn of(cell: &CellSummary) -> Self {
        let figure = |metric| Quantity::figure(metric).value(cell);
        let mean = |metric| Quantity::mean(metric).value(cell);
        Self {
            total_time_s: figure(MetricId::WholeRun),
            generations: cell.counts.ok,
            generations_per_s: figure(MetricId::RequestThroughputWhole),
            generation_tokens_per_s: figure(MetricId::OutputThroughputWhole),
            prompt_tokens_per_s: figure(MetricId::PromptThroughputWhole),
            generation_tokens: mean(MetricId::OutputTokens),
            prompt_tokens: mean(MetricId::PromptTokens),
        }
    }

    /// Returns the figure of a published row.
    fn value(&self, row: &str) -> Option<f64> {
        match row {
            "total_time" => self.total_time_s,
            "total_generations" => Some(self.generations as f64),
            "generations_per_sec" => self.generations_per_s,
            "generation_tokens_per_sec" => self.generation_tokens_per_s,
            "prompt_tokens_per_sec" => self.prompt_tokens_per_s,
            "avg_generation_tokens" => self.generation_tokens,
            "avg_prompt_tokens" => self.prompt_tokens,
            _ => None,
        }
    }

    /// Returns the sentences that the source puts under its block.
    pub(crate) fn sentences(&self, device: &str) -> Vec<String> {
        let mut sentences = Vec::new();
        sentences.extend(self.generations_per_s.map(|rate| {
            format!("We are able to process {rate:.2} generations per second on {device}.")
        }));
        if let (Some(prompt), Some(generation)) = (self.prompt_tokens, self.generation_tokens) {
            sentences.push(format!(
                "The average generation included {prompt:.0} prompt tokens and {generation:.0} \
                 generation tokens."
            ));
        }
        sentences
    }
}

impl fmt::Display for OfflineBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = format!("* {}", "=".repeat(58));
        let row = |label: &str, value: String| format!("* {label:<30}{value}");
        let rows = [
            rule.clone(),
            row("Total Time:", decimals(self.total_time_s, 2)),
            row("Total Generations:", self.generations.to_string()),
            String::new(),
            String::new(),
            row("Generations / Sec:", decimals(self.generations_per_s, 2)),
            row("Generation Tok / Sec:", decimals(self.generation_tokens_per_s, 2)),
            row("Prompt Tok / Sec:", decimals(self.prompt_tokens_per_s, 2)),
            String::new(),
            String::new(),
            row("Avg Generation Tokens:", decimals(self.generation_tokens, 2)),
            row("Avg Prompt Tokens:", decimals(self.prompt_tokens, 2)),
            rule,
        ];
        f.write_str(&rows.join("\n"))
    }
}

/// Prints a number as blocks do, or that there is none.
pub(super) fn decimals(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "n/a".to_owned(), |value| format!("{value:.decimals$}"))
}

/// Returns the sum over requests, from their mean and their number.
pub(super) fn total(cell: &CellSummary, metric: MetricId) -> Option<f64> {
    let all = cell.distributions.get(&metric)?;
    Some(all.mean? * all.n as f64)
}

/// An amount per second: the first input over the second.
pub(super) fn rate_over(given: &[f64]) -> f64 {
    given[0] / given[1]
}

/// Returns the block as a table.
pub(crate) fn table() -> PublishedTable {
    PublishedTable {
        name: "offline",
        title: "Offline batch",
        setting: "Llama-3-8B on an H100 80GB HBM3, 1,000 generations, FP16",
        key_columns: vec![Column::name("metric", "Metric")],
        columns: vec![Column::name("unit", "Unit"), Column::figure("value", "Value", "", None)],
        rows: Vec::new(),
        derivations: DERIVATIONS,
        row_value: Some(|row, cell| OfflineBlock::of(cell).value(row)),
        notes: NOTES,
    }
    .with_rows(include_str!("../../fixtures/published/offline.csv"))
}

const TOTALS: &[From] = &[From::Count("total_generations"), From::Row("total_time")];

const DERIVATIONS: &[Derivation] = &[
    Derivation {
        rows: &["generations_per_sec"],
        column: "value",
        formula: "total_generations / total_time",
        inputs: TOTALS,
        compute: rate_over,
    },
    Derivation {
        rows: &["generation_tokens_per_sec"],
        column: "value",
        formula: "avg_generation_tokens · total_generations / total_time",
        inputs: &[From::Row("avg_generation_tokens"), TOTALS[0], TOTALS[1]],
        compute: |given| given[0] * given[1] / given[2],
    },
    Derivation {
        rows: &["prompt_tokens_per_sec"],
        column: "value",
        formula: "avg_prompt_tokens · total_generations / total_time",
        inputs: &[From::Row("avg_prompt_tokens"), TOTALS[0], TOTALS[1]],
        compute: |given| given[0] * given[1] / given[2],
    },
];

const NOTES: &[Note] = &[Note {
    column: "",
    text: "Rates are those of the whole job; the ramp at the start and the last stragglers are in them.",
}];

#[cfg(test)]
mod tests {
    use super::*;

    /// The published block, Llama-3-8B on an H100.
    const PUBLISHED: &str = "\
* ==========================================================
* Total Time:                   54.27
* Total Generations:            1000


* Generations / Sec:            18.43
* Generation Tok / Sec:         4198.43
* Prompt Tok / Sec:             10425.07


* Avg Generation Tokens:        227.85
* Avg Prompt Tokens:            565.78
* ==========================================================";

    #[test]
    fn the_published_block_is_reproduced_line_for_line() {
        let table = table();
        let number = |row: &str| table.number(row, "value");
        let block = OfflineBlock {
            total_time_s: number("total_time"),
            generations: 1_000,
            generations_per_s: number("generations_per_sec"),
            generation_tokens_per_s: number("generation_tokens_per_sec"),
            prompt_tokens_per_s: number("prompt_tokens_per_sec"),
            generation_tokens: number("avg_generation_tokens"),
            prompt_tokens: number("avg_prompt_tokens"),
        };
        assert_eq!(block.to_string(), PUBLISHED);
        // The source says 566 and 228 tokens, and 18.43 generations per second.
        assert_eq!(
            block.sentences("an H100 80GB HBM3"),
            [
                "We are able to process 18.43 generations per second on an H100 80GB HBM3.",
                "The average generation included 566 prompt tokens and 228 generation tokens.",
            ]
        );
    }
}
