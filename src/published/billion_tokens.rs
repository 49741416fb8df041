//! A model lineup by what a billion output tokens take.

use crate::metrics::capacity::gpus_for_1b_tokens_per_hour;
use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;
use crate::published::{Column, Note, PublishedTable};

/// Returns the table.
pub(crate) fn table() -> PublishedTable {
    PublishedTable {
        name: "billion_tokens",
        title: "Model lineup: GPUs for a billion output tokens per hour",
        setting: "80 GB H100, vLLM; examples/inference/benchmark of huggingface/datatrove",
        key_columns: vec![Column::name("model", "Model")],
        columns: vec![
            Column::name("url", "URL"),
            Column::name("architecture", "Architecture"),
            Column::name("size_class", "Size"),
            Column::name("tp", "TP"),
            Column::name("pp", "PP"),
            Column::figure(
                "input_tokens_per_sec_per_gpu",
                "Input tokens/s per GPU",
                "tok/s",
                Some(Quantity::figure(MetricId::PromptThroughputPerGpu)),
            ),
            Column::figure(
                "output_tokens_per_sec_per_gpu",
                "Output tokens/s per GPU",
                "tok/s",
                Some(Quantity::figure(MetricId::OutputThroughputPerGpu)),
            ),
            Column::figure(
                "gpus_for_1b_output_tokens_per_hour",
                "GPUs for 1B output tokens/hour",
                "GPUs",
                Some(Quantity::figure(MetricId::GpusFor1bTokensPerHour)),
            )
            .by(|_, cell| {
                let rate = cell.value(MetricId::OutputThroughputPerGpu)?;
                gpus_for_1b_tokens_per_hour(rate).map(f64::round)
            }),
        ],
        rows: Vec::new(),
        notes: NOTES,
    }
    .with_rows(include_str!("../../fixtures/published/billion_tokens.csv"))
}

const NOTES: &[Note] = &[
    Note {
        column: "input_tokens_per_sec_per_gpu",
        text: "Input and output rates come from disjoint stretches of the engine's log.",
    },
    Note {
        column: "output_tokens_per_sec_per_gpu",
        text: "Rates are divided by tensor and pipeline parallel size, not by data parallel size, and the timer runs during start-up.",
    },
    Note {
        column: "gpus_for_1b_output_tokens_per_hour",
        text: "1e9 / 3600 / output rate per GPU, rounded to nearest.",
    },
    Note {
        column: "",
        text: "The sweep's `ngram:5` is parsed by no version of the engine, and runs that differ only in pipeline or data parallel size share a name.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether some rate that is printed as `rate` gives `gpus` under a rounding.
    fn is_possible(rate: f64, gpus: f64, round: fn(f64) -> f64) -> bool {
        let at = |rate: f64| round(gpus_for_1b_tokens_per_hour(rate).unwrap());
        at(rate + 0.5) <= gpus && gpus <= at(rate - 0.5)
    }

    #[test]
    fn nearest_is_the_only_rounding_that_reproduces_all_twelve_rows() {
        let table = table();
        let n_possible = |round: fn(f64) -> f64| {
            let rows = table.rows.iter();
            rows.filter(|row| {
                let number = |key| table.number(&row.name, key).unwrap();
                let rate = number("output_tokens_per_sec_per_gpu");
                is_possible(rate, number("gpus_for_1b_output_tokens_per_hour"), round)
            })
            .count()
        };
        assert_eq!(table.rows.len(), 12);
        assert_eq!(n_possible(f64::round), 12);
        assert!(n_possible(f64::floor) < 12);
        assert!(n_possible(f64::ceil) < 12);
    }
}
