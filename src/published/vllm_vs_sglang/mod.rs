//! vLLM against SGLang over concurrency.

pub(crate) mod findings;

use crate::published::derivation::{Derivation, From};
use crate::published::{Column, Note, PublishedTable};

/// Returns the table of key findings.
///
/// Its figures stand in two columns, one per engine, and its rows are metrics.
pub(crate) fn table() -> PublishedTable {
    PublishedTable {
        name: "vllm_vs_sglang",
        title: "vLLM against SGLang: key findings",
        setting: "Llama-3.1-8B-Instruct and Qwen3-8B, one A100 80 GB, 100 ShareGPT requests at concurrency 20 to 100; README of staru09/llm_infra_bench",
        key_columns: vec![
            Column::name("metric", "Metric"),
        ],
        columns: vec![
            Column::name("unit", "Unit"),
            Column::figure("vllm", "vLLM", "", None),
            Column::figure("sglang", "SGLang", "", None),
            Column::name("winner", "Winner"),
            Column::name("published_margin", "Margin"),
        ],
        rows: Vec::new(),
        derivations: DERIVATIONS,
        row_value: None,
        notes: NOTES,
    }
    .with_rows(include_str!("../../../fixtures/published/vllm_vs_sglang.csv"))
}

/// Returns the names of the source's six figures.
#[cfg(test)]
pub(crate) fn figure_names() -> Vec<String> {
    let text = include_str!("../../../fixtures/published/vllm_vs_sglang_plots.csv");
    let (_, rows) = crate::published::parse(text);
    rows.iter().map(|row| row[0].trim_end_matches(".png").to_owned()).collect()
}

/// Every run of the source.
const RUNS: &str = include_str!("../../../fixtures/published/vllm_vs_sglang_runs.csv");

/// The run of the source that a key finding is taken from: the table tells of Llama alone, and of
/// the highest concurrency where it names none.
macro_rules! run_of {
    ($backend:literal) => {
        |row| {
            Some(match row {
                "duration_at_concurrency_20" => &[
                    ("model", "Llama-3.1-8B-Instruct"),
                    ("backend", $backend),
                    ("concurrency", "20"),
                ],
                _ => &[
                    ("model", "Llama-3.1-8B-Instruct"),
                    ("backend", $backend),
                    ("concurrency", "100"),
                ],
            })
        }
    };
}

/// A key finding that is a rounded figure of a run.
macro_rules! of_run {
    ($side:literal, $rows:expr, $column:literal, $formula:literal) => {
        Derivation {
            rows: $rows,
            column: $side,
            formula: $formula,
            inputs: &[From::File { text: RUNS, row: run_of!($side), column: $column }],
            compute: |given| given[0],
        }
    };
}

const DURATIONS: &[&str] = &["duration_at_concurrency_20", "duration_at_concurrency_100"];

const DERIVATIONS: &[Derivation] = &[
    of_run!("vllm", DURATIONS, "duration_sec", "duration_sec of its run"),
    of_run!("sglang", DURATIONS, "duration_sec", "duration_sec of its run"),
    of_run!("vllm", &["peak_system_tps"], "system_tps", "system_tps of its run at 100"),
    of_run!("sglang", &["peak_system_tps"], "system_tps", "system_tps of its run at 100"),
    of_run!("vllm", &["gpu_utilization_mean"], "gpu_util_mean", "gpu_util_mean of its run at 100"),
    of_run!(
        "sglang",
        &["gpu_utilization_mean"],
        "gpu_util_mean",
        "gpu_util_mean of its run at 100"
    ),
    of_run!("vllm", &["power_mean"], "power_mean_w", "power_mean_w of its run at 100"),
    of_run!("sglang", &["power_mean"], "power_mean_w", "power_mean_w of its run at 100"),
    Derivation {
        rows: &["peak_system_tps"],
        column: "published_margin",
        formula: "100 · (SGLang / vLLM − 1)",
        inputs: &[From::Column("sglang"), From::Column("vllm")],
        compute: |given| 100.0 * (given[0] / given[1] - 1.0),
    },
    Derivation {
        rows: &["power_mean"],
        column: "published_margin",
        formula: "100 · (1 − SGLang / vLLM): it divides by the wrong side",
        inputs: &[From::Column("sglang"), From::Column("vllm")],
        compute: |given| 100.0 * (1.0 - given[0] / given[1]),
    },
];

const NOTES: &[Note] = &[
    Note {
        column: "",
        text: "peak_system_tps: vLLM's tokens are lines of the stream (tokens and one more), SGLang's are words between blanks: the rates do not compare.",
    },
    Note {
        column: "",
        text: "TTFT of SGLang is 10 % of its end-to-end latency on every request: it was set, not measured.",
    },
    Note {
        column: "",
        text: "One engine ran without CUDA graphs, one with; one got raw prompts, one a chat template.",
    },
    Note {
        column: "",
        text: "power_mean: vLLM draws 15.7 % less than SGLang, not 19 %; per output unit SGLang needs less energy at concurrency 100.",
    },
    Note {
        column: "",
        text: "The dip at concurrency 80 is the waves: 100 requests are 80 and 20.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published::parse;

    /// One run of the source: what the figures of its report are drawn from.
    #[derive(Debug, serde::Deserialize)]
    struct Run {
        /// Model.
        model: String,
        /// Engine.
        backend: String,
        /// Requests at once.
        concurrency: u32,
        /// Requests that were answered; 0 for the two failed starts.
        total_requests: u32,
        /// Mean TTFT.
        ttft_mean_ms: f64,
        /// Mean end-to-end latency.
        e2e_mean_ms: f64,
        /// "Tokens" per second; see the notes for what was counted.
        system_tps: f64,
    }

    /// Returns the source's runs, failed starts left out.
    fn runs() -> Vec<Run> {
        csv::Reader::from_reader(RUNS.as_bytes())
            .deserialize()
            .map(|run| run.expect("an embedded table has the columns of its type"))
            .filter(|run: &Run| run.total_requests > 0)
            .collect()
    }

    fn number(row: &str, key: &str) -> f64 {
        table().number(row, key).unwrap()
    }

    /// Rows of the audit of the source's per-request files.
    fn audit() -> Vec<std::collections::BTreeMap<String, String>> {
        let (header, rows) =
            parse(include_str!("../../../fixtures/published/vllm_vs_sglang_audit.csv"));
        rows.into_iter().map(|row| header.iter().cloned().zip(row).collect()).collect()
    }

    #[test]
    fn the_published_power_margin_divides_by_the_wrong_side() {
        let (vllm, sglang) = (number("power_mean", "vllm"), number("power_mean", "sglang"));
        assert!(((vllm / sglang - 1.0) * 100.0 + 15.7).abs() < 0.05);
        assert!(((1.0 - sglang / vllm) * 100.0 + 18.7).abs() < 0.05, "printed as -19 %");
    }

    #[test]
    fn energy_per_output_unit_reverses_the_power_verdict() {
        let per_unit = |backend: &str| {
            let audit = audit();
            let row = audit
                .iter()
                .find(|row| {
                    row["model"].starts_with("Llama")
                        && row["backend"] == backend
                        && row["concurrency"] == "100"
                })
                .unwrap();
            let joules: f64 = row["energy_J_meanpower_x_duration"].parse().unwrap();
            let n_counted: f64 = row["sum_output_counted"].parse().unwrap();
            joules / n_counted
        };
        assert!(number("power_mean", "vllm") < number("power_mean", "sglang"));
        assert!(per_unit("vllm") > per_unit("sglang"));
    }

    #[test]
    fn every_first_token_of_sglang_is_a_tenth_of_its_latency() {
        let runs = runs();
        assert_eq!(runs.len(), 16);
        for run in runs.iter().filter(|run| run.backend == "sglang") {
            assert!((run.ttft_mean_ms / run.e2e_mean_ms - 0.1).abs() < 1e-4, "{run:?}");
        }
        assert!(
            runs.iter().any(|run| run.backend == "vllm"
                && (run.ttft_mean_ms / run.e2e_mean_ms - 0.1).abs() > 0.05)
        );
    }

    #[test]
    fn the_dip_at_eighty_is_the_waves() {
        let tps = |concurrency| {
            let runs = runs();
            runs.iter()
                .find(|run| {
                    run.model == "Qwen3-8B"
                        && run.backend == "sglang"
                        && run.concurrency == concurrency
                })
                .unwrap()
                .system_tps
        };
        assert!(tps(80) < tps(50) && tps(80) < tps(100));
    }

    #[test]
    fn what_was_counted_differs_by_engine() {
        for row in audit() {
            let unit = if row["backend"] == "vllm" { "SSE data lines" } else { "whitespace words" };
            assert_eq!(row["output_count_unit"], unit);
        }
        // 1,024 tokens asked for, 1,025 lines counted.
        assert!(audit().iter().any(|row| row["max_output_counted"] == "1025"));
    }
}
