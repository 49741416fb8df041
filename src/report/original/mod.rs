//! Files that the source of a published table writes, in its own names, columns and keys.

mod lineup_csv;
pub(crate) mod lineup_tree;
mod result_tree;
mod serving_json;
mod tables_csv;

use std::collections::BTreeMap;

use crate::analysis::request_rows::StreamedRequest;
use crate::metrics::summary::CellSummary;
use crate::plan::cell::Cell;
use crate::plan::launch::Launch;
use crate::published::billion_tokens::Lineup;
use crate::report::input::Input;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OriginalFile {
    /// Path below the directory that is written, `/` between its parts.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// Measured requests by the name of their cell.
pub(crate) type Requests = BTreeMap<String, Vec<StreamedRequest>>;

/// A measured cell with everything that files tell of it.
struct Measured<'a> {
    cell: &'a CellSummary,
    planned: &'a Cell,
    launch: &'a Launch,
    requests: &'a [StreamedRequest],
}

/// Makes the files of the published table that the scenario names; none where it names none, or
/// one whose source writes no file.
pub(crate) fn files(input: &Input<'_>, requests: &Requests) -> Vec<OriginalFile> {
    let measured = measured(input, requests);
    match input.plan.published.as_ref().map_or("", |published| published.table.as_str()) {
        "vllm_vs_sglang" => result_tree::files(input, &measured),
        "billion_tokens" => vec![lineup_csv::file(&measured)],
        "serving" => serving_json::files(input, &measured),
        "batch_sweep" => tables_csv::sweep(input, &measured),
        "tinyllama_gsm8k" => vec![tables_csv::variants(input, &measured)],
        "offline" => tables_csv::offline(&measured),
        "shapes" => vec![tables_csv::shapes(&measured)],
        _ => Vec::new(),
    }
}

/// Makes the lineup's file of imported results that lie at paths.
pub(crate) fn lineup_of(cells: &[&CellSummary], paths: &[String]) -> OriginalFile {
    lineup_csv::of_lineup(&Lineup::of(cells, |_| None), paths)
}

fn measured<'a>(input: &Input<'a>, requests: &'a Requests) -> Vec<Measured<'a>> {
    let cells = input.summary.cells.iter().filter(|cell| cell.validity.status.is_measured());
    let planned: BTreeMap<_, _> = input.plan.cells.iter().map(|cell| (&cell.id, cell)).collect();
    cells
        .filter_map(|cell| {
            let planned = *planned.get(&cell.id)?;
            Some(Measured {
                launch: input.plan.launches.get(&planned.launch)?,
                requests: requests.get(&cell.name).map_or(&[], Vec::as_slice),
                cell,
                planned,
            })
        })
        .collect()
}

/// Returns the last part of a model's name: `meta-llama/Llama-3.1-8B` is `Llama-3.1-8B`.
fn base_name(model: &str) -> String {
    let base = model.trim_end_matches('/').rsplit('/').next().unwrap_or(model);
    let safe = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = base.chars().map(safe).collect();
    // No part of a path may lead elsewhere.
    if name.trim_matches('.').is_empty() { "model".to_owned() } else { name }
}

/// Prints the run's start in UTC, by `strftime`'s letters.
fn started(input: &Input<'_>, format: &str) -> String {
    let secs = i64::try_from(input.run.started_unix_ns / 1_000_000_000).unwrap_or(0);
    jiff::Timestamp::from_second(secs)
        .map_or_else(|_| String::new(), |at| at.strftime(format).to_string())
}

/// Rounds as Python's `round(value, n)` does for printing; absent stays absent.
fn rounded(value: Option<f64>, n_decimals: i32) -> Option<f64> {
    let scale = 10_f64.powi(n_decimals);
    value.filter(|value| value.is_finite()).map(|value| (value * scale).round() / scale)
}

/// Prints a figure for a CSV file; empty where there is none.
fn field(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// Writes rows as CSV; what a spreadsheet would take for a formula is made harmless.
fn csv_text(header: &[String], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(header).expect("writing to memory does not fail");
    for row in rows {
        let row: Vec<String> = row.iter().map(|at| crate::report::csv::harmless(at)).collect();
        writer.write_record(&row).expect("rows are as wide as their header");
    }
    let bytes = writer.into_inner().expect("writing to memory does not fail");
    String::from_utf8(bytes).expect("fields are text")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::request_rows::RequestRow;
    use crate::report::tests::sample_run;
    use crate::units::Nanos;

    /// Files of the sample run as if its scenario named `table`, cells at concurrency 20.
    fn files_of(table: &str, keys: &[(&str, &str)]) -> Vec<OriginalFile> {
        sample_run::with_published(table, keys, |input| {
            let row = |index, ttft_ms: u64| StreamedRequest {
                row: RequestRow {
                    index,
                    measured: true,
                    ttft_ms: Some(ttft_ms as f64),
                    e2e_ms: Some(10.0 * ttft_ms as f64),
                    tpot_ms: Some(4.0),
                    prompt_tokens: Some(50),
                    output_tokens: Some(20),
                    outcome: "ok".to_owned(),
                    ..RequestRow::default()
                },
                sent: Some(Nanos::from_millis(5)),
                // One token, then the other nineteen in one event.
                tokens: [(1, 1), (10, 19)]
                    .map(|(times, n)| (Nanos::from_millis(5 + times * ttft_ms), Some(n)))
                    .to_vec(),
                text: format!("answer {index}"),
                error: String::new(),
            };
            let rows = vec![row(0, 10), row(1, 20)];
            let cells = input.summary.cells.iter();
            let requests = cells.map(|cell| (cell.name.clone(), rows.clone())).collect();
            files(input, &requests)
        })
    }

    fn columns(text: &str) -> Vec<String> {
        text.lines().next().unwrap_or_default().split(',').map(str::to_owned).collect()
    }

    #[test]
    fn the_result_tree_has_the_originals_names_and_columns() {
        let files = files_of("vllm_vs_sglang", &[("concurrency", "20")]);
        let runs = include_str!("../../../fixtures/published/vllm_vs_sglang_runs.csv");
        // The collected file has the model in front, which is the folder's name in the tree.
        let original = columns(runs).split_off(1);
        let summary =
            files.iter().find(|file| file.path.ends_with("benchmark_summary.csv")).unwrap();
        assert_eq!(columns(&summary.text), original);
        let folder = summary.path.strip_suffix("/benchmark_summary.csv").unwrap();
        let [results, engine, name] = folder.split('/').collect::<Vec<_>>()[..] else { panic!() };
        assert!(name.ends_with("-concurrency-20"), "{name}");
        assert_eq!(results, "results");
        let requests = files.iter().find(|file| file.path.ends_with("_requests.csv")).unwrap();
        assert!(requests.path.starts_with(&format!("{folder}/{engine}_")), "{}", requests.path);
        let expected = "request_id,input_tokens,output_tokens,ttft_ms,e2e_ms,tpot_ms\n\
                        0,50,20,10,100,4\n1,50,20,20,200,4\n";
        assert_eq!(requests.text, expected);
        let json = files.iter().find(|file| file.text.starts_with('{')).unwrap();
        let json: serde_json::Value = serde_json::from_str(&json.text).unwrap();
        assert_eq!(json["per_request"][1]["e2e_ms"], 200.0);
        // 50 tokens in 10 ms and in 20 ms: a mean of 3,750 per second.
        assert_eq!(json["summary"]["mean_prefill_speed_tokens_per_sec"], 3_750.0);
        assert!((json["summary"]["ttft_p99_ms"].as_f64().unwrap() - 19.9).abs() < 1e-9);
    }

    #[test]
    fn the_serving_json_is_what_readers_of_vllms_file_look_for() {
        let files = files_of("serving", &[]);
        let json: serde_json::Value = serde_json::from_str(&files[0].text).unwrap();
        for key in [
            "date",
            "model_id",
            "num_prompts",
            "request_rate",
            "duration",
            "completed",
            "total_input_tokens",
            "total_output_tokens",
            "request_throughput",
            "output_throughput",
            "total_token_throughput",
            "mean_ttft_ms",
            "median_ttft_ms",
            "std_ttft_ms",
            "p99_ttft_ms",
            "mean_tpot_ms",
            "median_itl_ms",
            "p99_e2el_ms",
        ] {
            assert!(json.get(key).is_some(), "{key} is missing from {json:#}");
        }
        assert_eq!(json["ttfts"], serde_json::json!([0.01, 0.02]));
        assert_eq!(json["input_lens"], serde_json::json!([50, 50]));
        assert_eq!(json["itls"], serde_json::json!([[0.09], [0.18]]));
        assert_eq!(json["generated_texts"], serde_json::json!(["answer 0", "answer 1"]));
        assert_eq!(json["errors"], serde_json::json!(["", ""]));
        assert_eq!(json["start_times"], serde_json::json!([0.005, 0.005]));
        // All forty tokens come in the first second, while both are under way.
        assert_eq!(json["max_output_tokens_per_s"], 40.0);
        assert_eq!(json["max_concurrent_requests"], 2);
        // numpy: np.mean, np.median, np.std and np.percentile(…, 99) of [90, 180] and [10, 20].
        assert_eq!(json["mean_itl_ms"], 135.0);
        assert!((json["std_itl_ms"].as_f64().unwrap() - 45.0).abs() < 1e-9);
        assert_eq!(json["median_ttft_ms"], 15.0);
        assert!((json["p99_ttft_ms"].as_f64().unwrap() - 19.9).abs() < 1e-9);
        assert!(files[0].path.contains("qps-"), "{}", files[0].path);
    }

    #[test]
    fn the_lineup_file_has_the_originals_columns_and_six_decimals() {
        let keys = [("speculative", "ngram:5"), ("tensor-parallel", "2")];
        let file = files_of("billion_tokens", &keys).remove(0);
        assert_eq!(file.path, "benchmarking_results.csv");
        assert_eq!(
            columns(&file.text)[..10],
            [
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
            ]
        );
        assert!(file.text.contains(",2,1,1,spec_ngram_5,"), "{}", file.text);
    }

    #[test]
    fn the_other_tables_are_files_with_the_published_columns() {
        let sweep = files_of("batch_sweep", &[("dataset", "fixed"), ("batch", "4")]).remove(0);
        assert_eq!(sweep.path, "batch_sweep_fixed.csv");
        let published = include_str!("../../../fixtures/published/batch_sweep_fixed.csv");
        let with_status = |text| [columns(text), vec!["status".to_owned()]].concat();
        assert_eq!(columns(&sweep.text), with_status(published), "also without a GPU");
        let tinyllama = files_of("tinyllama_gsm8k", &[]).remove(0);
        let published = include_str!("../../../fixtures/published/tinyllama_gsm8k.csv");
        assert_eq!(columns(&tinyllama.text), with_status(published));
        let offline = files_of("offline", &[]).remove(0);
        assert!(offline.text.starts_with("* ====="), "{}", offline.text);
        let shapes = files_of("shapes", &[("input-tokens", "8"), ("output-tokens", "4")]).remove(0);
        assert!(shapes.text.starts_with("input_tokens,output_tokens,"), "{}", shapes.text);
        assert!(files_of("nothing", &[]).is_empty());
    }

    #[test]
    fn a_models_name_leads_nowhere_else() {
        assert_eq!(base_name("meta-llama/Llama-3.1-8B"), "Llama-3.1-8B");
        assert_eq!(base_name("../.."), "model");
        assert_eq!(base_name("a\\b c"), "a_b_c");
    }
}
