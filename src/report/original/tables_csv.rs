//! Tables of which the source prints the figures and writes no file: CSV with the columns of the
//! published rows, by the published formulas where they are others than ours.

use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::CellSummary;
use crate::published::PublishedTable;
use crate::published::batch_sweep::{self, BatchSweep};
use crate::published::offline::OfflineBlock;
use crate::published::tinyllama::{self, SpeedAndAccuracy};
use crate::report::input::Input;
use crate::report::original::{Measured, OriginalFile, base_name, csv_text, field};

fn cells<'a>(measured: &[Measured<'a>]) -> Vec<&'a CellSummary> {
    measured.iter().map(|it| it.cell).collect()
}

/// Returns what a source would have printed of a cell in a column: by its formula, else our number.
fn published(table: &PublishedTable, key: &str, row: &str, cell: &CellSummary) -> Option<f64> {
    let column = &table.columns[table.column(key)?];
    match column.formula {
        Some(formula) => formula(row, cell),
        None => column.quantity.as_ref()?.value(cell),
    }
}

/// GPUs of the published sweep.
const PUBLISHED_GPUS: usize = 2;

/// A last column that no source has: a number that may not be believed says so in a file too.
const STATUS: &str = "status";

fn status(cell: &CellSummary) -> String {
    cell.validity.status.word().to_owned()
}

/// Figures of a variant of TinyLlama, as the published columns are called.
const TINYLLAMA: [&str; 3] = ["inference_speed_tokens_per_sec", "load_time_s", "accuracy_pct"];

fn headers(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// One file per kind of prompts.
pub(super) fn sweep(input: &Input<'_>, measured: &[Measured<'_>]) -> Vec<OriginalFile> {
    let gpus = input.environment.gpu_uuids();
    let table = batch_sweep::table().with_gpus(&gpus);
    let known = ["toks_per_sec", "requests_per_sec", "avg_ttft_ms", "avg_tpot_ms"];
    let mut header = headers(&["framework", "batch_size"]);
    header.extend(headers(&known));
    // The published columns, though there may be no GPU; a machine may have more than the source had.
    let n_gpus = gpus.len().max(PUBLISHED_GPUS);
    header.extend((0..n_gpus).map(|gpu| format!("gpu{gpu}_util_pct")));
    header.push(STATUS.to_owned());
    let cells = cells(measured);
    let sweep = BatchSweep::of(input.plan.published.as_ref(), &cells, &gpus);
    let file = |section: &crate::published::batch_sweep::SweepSection<'_>| {
        let prompts = section.rows.first().and_then(|row| row.2.keys.get("dataset"));
        let rows = section.rows.iter().map(|(framework, batch, cell)| {
            let mut fields = vec![framework.clone(), batch.clone()];
            let by_source = |key: &&str| field(published(&table, key, &cell.name, cell));
            fields.extend(known.iter().map(by_source));
            let utilisation = &sweep.columns[known.len()..];
            fields.extend(utilisation.iter().map(|(_, _, of)| field(of.value(cell))));
            fields.resize(known.len() + 2 + n_gpus, String::new());
            fields.push(status(cell));
            fields
        });
        OriginalFile {
            path: match prompts {
                Some(prompts) => format!("batch_sweep_{}.csv", base_name(prompts)),
                None => "batch_sweep.csv".to_owned(),
            },
            text: csv_text(&header, rows),
        }
    };
    sweep.sections.iter().map(file).collect()
}

/// One row per variant.
pub(super) fn variants(input: &Input<'_>, measured: &[Measured<'_>]) -> OriginalFile {
    let shape = SpeedAndAccuracy::of(input.plan.published.as_ref(), &cells(measured));
    let table = tinyllama::table();
    let rows = shape.rows.iter().map(|row| {
        let by_source = |key: &&str| field(published(&table, key, &row.published, row.cell));
        let fields = std::iter::once(row.name.clone()).chain(TINYLLAMA.iter().map(by_source));
        fields.chain([status(row.cell)]).collect()
    });
    let header = [headers(&["model_variant"]), headers(&TINYLLAMA), headers(&[STATUS])].concat();
    OriginalFile { path: "tinyllama_gsm8k.csv".to_owned(), text: csv_text(&header, rows) }
}

/// One block per cell.
pub(super) fn offline(measured: &[Measured<'_>]) -> Vec<OriginalFile> {
    let file = |it: &Measured<'_>| OriginalFile {
        path: format!("{}.txt", base_name(&it.cell.name)),
        text: format!("{}\n", OfflineBlock::of(it.cell)),
    };
    measured.iter().map(file).collect()
}

/// One row per cell.
pub(super) fn shapes(measured: &[Measured<'_>]) -> OriginalFile {
    let quantities = [
        ("output_tokens_per_sec", Quantity::figure(MetricId::OutputThroughput)),
        ("ttft_median_ms", Quantity::percentile(MetricId::Ttft, 50.0)),
        ("tpot_median_ms", Quantity::percentile(MetricId::Tpot, 50.0)),
    ];
    let mut header = headers(&["input_tokens", "output_tokens", "cell"]);
    header.extend(quantities.iter().map(|(name, _)| (*name).to_owned()));
    header.push(STATUS.to_owned());
    let rows = measured.iter().map(|it| {
        let key = |key: &str| it.cell.keys.get(key).cloned().unwrap_or_default();
        let mut fields = vec![key("input-tokens"), key("output-tokens"), it.cell.name.clone()];
        fields.extend(quantities.iter().map(|(_, of)| field(of.value(it.cell))));
        fields.push(status(it.cell));
        fields
    });
    OriginalFile { path: "shapes.csv".to_owned(), text: csv_text(&header, rows) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::fixture::{measured_cell, with_figure, with_mean};

    #[test]
    fn a_file_has_what_the_source_would_have_printed() {
        let mut cell = with_mean(measured_cell("a", "fp16"), MetricId::E2e, 1_280.0);
        cell = with_mean(cell, MetricId::OutputTokens, 128.0);
        cell.keys.insert("batch".to_owned(), "4".to_owned());
        for (metric, rate) in [
            (MetricId::OutputThroughput, 999.0),
            (MetricId::OutputThroughputWhole, 36.7),
            (MetricId::TotalThroughputWhole, 384.0),
        ] {
            cell = with_figure(cell, metric, rate, None);
        }
        let sweep = batch_sweep::table();
        // A batch of 4 in 1,280 ms, whatever the measured window says.
        assert_eq!(published(&sweep, "toks_per_sec", "a", &cell), Some(400.0));
        assert_eq!(published(&sweep, "avg_ttft_ms", "a", &cell), None);
        let speed = |row| published(&tinyllama::table(), TINYLLAMA[0], row, &cell);
        assert_eq!(speed("vLLM FP16"), Some(36.7));
        assert_eq!(speed("Hugging Face FP16"), Some(384.0), "with the prompts");
    }
}
