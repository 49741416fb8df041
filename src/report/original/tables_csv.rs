//! Tables of which the source prints the figures and writes no file: CSV with the columns of the
//! published rows.

use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::CellSummary;
use crate::published::batch_sweep::BatchSweep;
use crate::published::offline::OfflineBlock;
use crate::published::tinyllama::SpeedAndAccuracy;
use crate::report::input::Input;
use crate::report::original::{Measured, OriginalFile, base_name, csv_text, field};

fn cells<'a>(measured: &[Measured<'a>]) -> Vec<&'a CellSummary> {
    measured.iter().map(|it| it.cell).collect()
}

fn headers(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// One file per kind of prompts.
pub(super) fn batch_sweep(input: &Input<'_>, measured: &[Measured<'_>]) -> Vec<OriginalFile> {
    let gpus = input.environment.gpu_uuids();
    let mut header = headers(&[
        "framework",
        "batch_size",
        "toks_per_sec",
        "requests_per_sec",
        "avg_ttft_ms",
        "avg_tpot_ms",
    ]);
    header.extend((0..gpus.len()).map(|gpu| format!("gpu{gpu}_util_pct")));
    let cells = cells(measured);
    let sweep = BatchSweep::of(input.plan.published.as_ref(), &cells, &gpus);
    let file = |section: &crate::published::batch_sweep::SweepSection<'_>| {
        let prompts = section.rows.first().and_then(|row| row.2.keys.get("dataset"));
        let rows = section.rows.iter().map(|(framework, batch, cell)| {
            let mut fields = vec![framework.clone(), batch.clone()];
            fields.extend(sweep.columns.iter().map(|(_, _, of)| field(of.value(cell))));
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
pub(super) fn tinyllama(input: &Input<'_>, measured: &[Measured<'_>]) -> OriginalFile {
    let shape = SpeedAndAccuracy::of(input.plan.published.as_ref(), &cells(measured));
    let columns =
        ["model_variant", "inference_speed_tokens_per_sec", "load_time_s", "accuracy_pct"];
    let rows = shape.rows.iter().map(|row| {
        let figures = shape.columns.iter().map(|(_, _, of)| field(of.value(row.cell)));
        std::iter::once(row.name.clone()).chain(figures).collect()
    });
    OriginalFile {
        path: "tinyllama_gsm8k.csv".to_owned(),
        text: csv_text(&headers(&columns), rows),
    }
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
    let rows = measured.iter().map(|it| {
        let key = |key: &str| it.cell.keys.get(key).cloned().unwrap_or_default();
        let mut fields = vec![key("input-tokens"), key("output-tokens"), it.cell.name.clone()];
        fields.extend(quantities.iter().map(|(_, of)| field(of.value(it.cell))));
        fields
    });
    OriginalFile { path: "shapes.csv".to_owned(), text: csv_text(&header, rows) }
}
