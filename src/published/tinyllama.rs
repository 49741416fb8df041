//! TinyLlama on GSM8K: vLLM against Transformers, FP16 against FP32.

use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::{CellSummary, NumberState};
use crate::plan::PublishedPlan;
use crate::published::derivation::{Derivation, From};
use crate::published::{Column, Note, PublishedTable, cells_of};

/// Speed, load time and accuracy of each variant, in the published shape.
#[derive(Clone, Debug)]
pub(crate) struct SpeedAndAccuracy<'a> {
    /// Figures of each row, with heading and unit.
    pub(crate) columns: Vec<(&'static str, &'static str, Quantity)>,
    /// Variants: those that are published first, in their order.
    pub(crate) rows: Vec<SpeedAndAccuracyRow<'a>>,
    /// The best row of each column; absent where fewer than two rows have the figure.
    pub(crate) best: Vec<Option<usize>>,
}

/// One variant.
#[derive(Clone, Debug)]
pub(crate) struct SpeedAndAccuracyRow<'a> {
    /// Published name, else the cell's.
    pub(crate) name: String,
    /// Name of the published row that the cell stands beside, also where another engine stands in;
    /// else the cell's.
    pub(crate) published: String,
    /// The cell.
    pub(crate) cell: &'a CellSummary,
}

impl<'a> SpeedAndAccuracy<'a> {
    /// Puts measured cells into the published shape.
    pub(crate) fn of(plan: Option<&PublishedPlan>, cells: &[&'a CellSummary]) -> Self {
        let table = table();
        let columns: Vec<_> = (table.columns.iter())
            .filter_map(|column| Some((column.heading, column.unit, column.quantity.clone()?)))
            .collect();
        let mut rows: Vec<SpeedAndAccuracyRow<'a>> = Vec::new();
        for row in &table.rows {
            let found = plan.map_or_else(Vec::new, |plan| cells_of(plan, row, cells));
            let stands_in = plan.is_some_and(|plan| plan.stand_ins);
            rows.extend(found.into_iter().map(|cell| {
                let name = if stands_in { cell.name.clone() } else { row.name.clone() };
                SpeedAndAccuracyRow { name, published: row.name.clone(), cell }
            }));
        }
        for cell in cells {
            if !rows.iter().any(|row| row.cell.id == cell.id) {
                let name = cell.name.clone();
                rows.push(SpeedAndAccuracyRow { published: name.clone(), name, cell });
            }
        }
        let best = columns.iter().map(|(_, _, quantity)| best(quantity, &rows)).collect();
        Self { columns, rows, best }
    }
}

/// Returns the row whose figure is best, if it has one to be better than.
fn best(quantity: &Quantity, rows: &[SpeedAndAccuracyRow<'_>]) -> Option<usize> {
    let more_is_better = quantity.larger_is_better()?;
    let valid = |row: &SpeedAndAccuracyRow<'_>| {
        let reading = quantity.read(row.cell).filter(|_| row.cell.validity.status.is_measured())?;
        reading.value.filter(|_| reading.state != Some(NumberState::Invalid))
    };
    let mut values: Vec<(usize, f64)> =
        rows.iter().enumerate().filter_map(|(at, row)| Some((at, valid(row)?))).collect();
    values.sort_by(|(_, a), (_, b)| if more_is_better { b.total_cmp(a) } else { a.total_cmp(b) });
    match values[..] {
        [(at, first), (_, second), ..] if first.total_cmp(&second).is_ne() => Some(at),
        _ => None,
    }
}

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
        derivations: DERIVATIONS,
        row_value: None,
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

/// The row of the source's notebook that a row of the table is taken from.
fn notebook_row(row: &str) -> Option<&'static [(&'static str, &'static str)]> {
    Some(match row {
        "vLLM FP16" => &[("name", "vLLM-FP16")],
        "vLLM FP32" => &[("name", "vLLM-FP32")],
        "Hugging Face FP16" => &[("name", "HF-FP16")],
        "Hugging Face FP32" => &[("name", "HF-FP32")],
        _ => return None,
    })
}

const fn notebook(column: &'static str) -> From {
    From::File { text: NOTEBOOK, row: notebook_row, column }
}

const NOTEBOOK: &str = include_str!("../../fixtures/published/tinyllama_gsm8k_notebook.csv");

const DERIVATIONS: &[Derivation] = &[
    Derivation {
        rows: &[],
        column: "inference_speed_tokens_per_sec",
        formula: "the notebook's tokens / its seconds",
        inputs: &[notebook("tokens_counted"), notebook("time_s")],
        // Tokens are a count; that its half digit is taken in widens the range by 2e-5.
        compute: |given| given[0] / given[1],
    },
    Derivation {
        rows: &[],
        column: "load_time_s",
        formula: "the notebook's seconds",
        inputs: &[notebook("load_time_s")],
        compute: |given| given[0],
    },
    Derivation {
        rows: &[],
        column: "accuracy_pct",
        formula: "100 · the notebook's items / 1319",
        inputs: &[notebook("items_scored_correct_of_1319")],
        compute: |given| 100.0 * given[0] / 1_319.0,
    },
];

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
    fn of_notebook(name: &str) -> (f64, f64, f64, f64, f64) {
        let (header, rows) = parse(NOTEBOOK);
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
    fn the_best_of_each_column_is_known_and_one_row_is_not_the_best_of_one() {
        let fast = with_figure(measured_cell("a", "fp16"), MetricId::OutputThroughput, 9.0, None);
        let slow = with_figure(measured_cell("b", "fp32"), MetricId::OutputThroughput, 5.0, None);
        let slow = with_figure(slow, MetricId::LoadTime, 1.0, None);
        let shape = SpeedAndAccuracy::of(None, &[&slow, &fast]);
        assert_eq!(shape.best, [Some(1), None, None]);
    }

    #[test]
    fn most_of_the_transformers_tokens_are_prompt() {
        let (tokens, secs, rate, _, _) = of_notebook("HF-FP16");
        assert!((tokens - 99_778.0).abs() < f64::EPSILON);
        let output_only = (tokens - HF_PROMPT_TOKENS as f64) / secs;
        assert!((output_only - 36.7).abs() < 0.05, "{output_only}");
        let (_, _, vllm, _, _) = of_notebook("vLLM-FP16");
        assert!((vllm / rate - 2.88).abs() < 0.005, "as published: {}", vllm / rate);
        assert!((vllm / output_only - 30.2).abs() < 0.05, "output only: {}", vllm / output_only);
    }

    #[test]
    fn the_load_time_is_misprinted_by_nine_seconds() {
        let table = table();
        let printed = table.number("vLLM FP16", "load_time_s").unwrap();
        let (_, _, _, measured, _) = of_notebook("vLLM-FP16");
        assert!((printed - 119.62).abs() < 1e-9);
        assert!(is_printed(110.62, 2, measured, measured));
        assert!(!is_printed(printed, 2, measured, measured));
        for (row, cell) in [("vLLM FP32", "vLLM-FP32"), ("Hugging Face FP16", "HF-FP16")] {
            let printed = table.number(row, "load_time_s").unwrap();
            assert!(is_printed(printed, 2, of_notebook(cell).3, of_notebook(cell).3), "{row}");
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
