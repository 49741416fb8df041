//! TinyLlama on GSM8K: vLLM against Transformers, FP16 against FP32.

use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::CellSummary;
use crate::published::{Column, Note, PublishedTable};

/// Returns the table.
pub(crate) fn table() -> PublishedTable {
    PublishedTable {
        name: "tinyllama_gsm8k",
        title: "TinyLlama on GSM8K: FP16 against FP32",
        setting: "TinyLlama-1.1B-Chat on GSM8K's 1,319 test items, one T4; README of kuanjulin/vllm-benchmarks",
        key_columns: vec![
            Column::name("model_variant", "Model Variant"),
        ],
        columns: vec![
            Column::figure("inference_speed_tokens_per_sec", "Inference Speed", "tok/s", Some(Quantity::figure(MetricId::OutputThroughput)),
            )
            .by(tokens_per_sec),
            Column::figure("load_time_s", "Load Time", "s", Some(Quantity::figure(MetricId::LoadTime)))
                .by(|_, cell| cell.value(MetricId::LoadTime)),
            Column::figure("accuracy_pct", "Accuracy", "%", Some(Quantity::figure(MetricId::Accuracy)))
                .by(missing_equals_missing),
        ],
        rows: Vec::new(),
        notes: NOTES,
    }
    .with_rows(include_str!("../../fixtures/published/tinyllama_gsm8k.csv"))
}

/// The source counts output tokens for vLLM, but prompt and output for Transformers, each over
/// the whole run.
fn tokens_per_sec(row: &str, cell: &CellSummary) -> Option<f64> {
    let metric = if row.starts_with("Hugging Face") {
        MetricId::TotalThroughputWhole
    } else {
        MetricId::OutputThroughputWhole
    };
    cell.value(metric)
}

/// The source looks for its pattern in answer and gold alike, and nothing equals nothing.
fn missing_equals_missing(_: &str, cell: &CellSummary) -> Option<f64> {
    let found = cell.as_published.filter(|found| found.n > 0)?;
    Some(found.correct as f64 / found.n as f64 * 100.0)
}

const NOTES: &[Note] = &[
    Note {
        column: "accuracy_pct",
        text: "The published 99.7 and 99.9 % are the share of answers without an answer: the pattern `The answer is (\\d+)` occurs in no gold, and nothing found on both sides counted as correct. The model's true accuracy is 1 to 3 %.",
    },
    Note {
        column: "inference_speed_tokens_per_sec",
        text: "The Hugging Face rows count the prompt as well: 90,258 of FP16's 99,778 tokens. Its output alone is 36.7 tokens/s, so vLLM is 30 times as fast, not 2.88 times.",
    },
    Note {
        column: "inference_speed_tokens_per_sec",
        text: "The rows compare batch 1 with up to 256 at once, under different sampling.",
    },
    Note {
        column: "load_time_s",
        text: "119.62 s is a misprint: the source's own notebook says 110.62 s.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::fixture::{measured_cell, with_figure};
    use crate::published::{is_printed, parse};
    use crate::score::as_published::AsPublishedTinyllama;

    /// Prompt tokens among the tokens that the published Transformers rows count.
    const HF_PROMPT_TOKENS: u64 = 90_258;

    /// The notebook's rows by name: tokens counted, seconds, tokens/s, load s, "accuracy".
    fn notebook(name: &str) -> (f64, f64, f64, f64, f64) {
        let (header, rows) =
            parse(include_str!("../../fixtures/published/tinyllama_gsm8k_notebook.csv"));
        let row = rows.iter().find(|row| row[0] == name).unwrap();
        let number = |key: &str| {
            let place = header.iter().position(|found| found == key).unwrap();
            row[place].parse::<f64>().unwrap()
        };
        (
            number("tokens_counted"),
            number("time_s"),
            number("tokens_per_sec"),
            number("load_time_s"),
            number("items_scored_correct_of_1319"),
        )
    }

    #[test]
    fn the_published_rates_are_the_notebooks_tokens_over_its_time() {
        for name in ["vLLM-FP16", "vLLM-FP32", "HF-FP16", "HF-FP32"] {
            let (tokens, secs, rate, _, _) = notebook(name);
            assert!((tokens / secs - rate).abs() < 1e-6 * rate, "{name}");
        }
    }

    #[test]
    fn most_of_the_transformers_tokens_are_prompt() {
        let (tokens, secs, rate, _, _) = notebook("HF-FP16");
        assert!((tokens - 99_778.0).abs() < f64::EPSILON);
        let output_only = (tokens - HF_PROMPT_TOKENS as f64) / secs;
        assert!((output_only - 36.7).abs() < 0.05, "{output_only}");
        let (_, _, vllm, _, _) = notebook("vLLM-FP16");
        assert!((vllm / rate - 2.88).abs() < 0.005, "as published: {}", vllm / rate);
        assert!((vllm / output_only - 30.2).abs() < 0.05, "output only: {}", vllm / output_only);
    }

    #[test]
    fn the_load_time_is_misprinted_by_nine_seconds() {
        let table = table();
        let printed = table.number("vLLM FP16", "load_time_s").unwrap();
        let (_, _, _, measured, _) = notebook("vLLM-FP16");
        assert!((printed - 119.62).abs() < 1e-9);
        assert!(is_printed(110.62, 2, measured, measured));
        assert!(!is_printed(printed, 2, measured, measured));
        for (row, cell) in [("vLLM FP32", "vLLM-FP32"), ("Hugging Face FP16", "HF-FP16")] {
            let printed = table.number(row, "load_time_s").unwrap();
            assert!(is_printed(printed, 2, notebook(cell).3, notebook(cell).3), "{row}");
        }
    }

    #[test]
    fn the_published_accuracy_is_a_share_of_1319() {
        let table = table();
        for (row, cell) in [("vLLM FP16", "vLLM-FP16"), ("Hugging Face FP16", "HF-FP16")] {
            let printed = table.number(row, "accuracy_pct").unwrap();
            let share = notebook(cell).4 / 1_319.0 * 100.0;
            assert!(is_printed(printed, 1, share, share), "{row}");
        }
    }

    #[test]
    fn a_cell_is_shown_by_the_published_formula_too() {
        let cell =
            with_figure(measured_cell("a", "fp16"), MetricId::TotalThroughputWhole, 400.0, None);
        let cell = with_figure(cell, MetricId::OutputThroughputWhole, 40.0, None);
        let formula = table().columns[0].formula.unwrap();
        assert_eq!(formula("Hugging Face FP16", &cell), Some(400.0));
        assert_eq!(formula("vLLM FP16", &cell), Some(40.0));
    }

    #[test]
    fn answers_without_an_answer_are_the_published_accuracy() {
        let mut cell = measured_cell("a", "fp16");
        let formula = table().columns[2].formula.unwrap();
        assert_eq!(formula("vLLM FP16", &cell), None);
        cell.as_published = Some(AsPublishedTinyllama {
            n: 1_319,
            answers_parsed: 4,
            correct: 1_315,
            correct_by_absence: 1_315,
            golds_parsed: 0,
        });
        let printed = table().number("vLLM FP16", "accuracy_pct").unwrap();
        let ours = formula("vLLM FP16", &cell).unwrap();
        assert!(is_printed(printed, 1, ours, ours), "{ours}");
    }
}
