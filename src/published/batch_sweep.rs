//! Eager, compiled, Accelerate and vLLM over batch sizes.

use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::CellSummary;
use crate::published::{Column, Note, PublishedTable};

/// Output tokens of every request: the table divides by it, whatever was generated.
const OUTPUT_TOKENS: f64 = 128.0;

/// Returns the table of prompts of 128 tokens.
pub(crate) fn fixed() -> PublishedTable {
    described("batch_sweep_fixed", "Batch sweep, prompts of 128 tokens", FIXED_NOTES)
        .with_rows(include_str!("../../fixtures/published/batch_sweep_fixed.csv"))
}

/// Returns the table of prompts of 128 to 512 tokens.
pub(crate) fn varied() -> PublishedTable {
    described("batch_sweep_varied", "Batch sweep, prompts of 128 to 512 tokens", VARIED_NOTES)
        .with_rows(include_str!("../../fixtures/published/batch_sweep_varied.csv"))
}

fn described(name: &'static str, title: &'static str, notes: &'static [Note]) -> PublishedTable {
    PublishedTable {
        name,
        title,
        setting: "Qwen3-4B-Instruct-2507 on an RTX 3090, 128 output tokens, static batches",
        key_columns: vec![
            Column::name("framework", "Framework"),
            Column::name("batch_size", "Batch"),
        ],
        columns: vec![
            Column::figure(
                "toks_per_sec",
                "Toks/sec",
                "tok/s",
                Some(Quantity::figure(MetricId::OutputThroughput)),
            )
            .by(|row, cell| Some(1_000.0 * batch_of(row)? / generate_ms_per_token(cell)?)),
            Column::figure(
                "requests_per_sec",
                "RPS",
                "req/s",
                Some(Quantity::figure(MetricId::RequestThroughput)),
            )
            .by(|row, cell| {
                Some(1_000.0 * batch_of(row)? / generate_ms_per_token(cell)? / OUTPUT_TOKENS)
            }),
            Column::figure("avg_ttft_ms", "Avg TTFT", "ms", Some(Quantity::mean(MetricId::Ttft))),
            Column::figure("avg_tpot_ms", "Avg TPOT", "ms", Some(Quantity::mean(MetricId::Tpot)))
                .by(|_, cell| generate_ms_per_token(cell)),
            Column::figure("gpu0_util_pct", "GPU0 util", "%", None),
            Column::figure(
                "gpu1_util_pct",
                "GPU1 util",
                "%",
                Some(Quantity::figure(MetricId::GpuUtilisation)),
            ),
        ],
        rows: Vec::new(),
        notes,
    }
}

/// The source's TPOT: the whole generate call over 128, prefill included.
fn generate_ms_per_token(cell: &CellSummary) -> Option<f64> {
    Some(cell.distributions.get(&MetricId::E2e)?.mean? / OUTPUT_TOKENS)
}

/// Returns the batch size in a row's name.
fn batch_of(row: &str) -> Option<f64> {
    row.rsplit(' ').next()?.parse().ok()
}

const TPOT: Note = Note {
    column: "avg_tpot_ms",
    text: "TPOT is the time of the whole generate call over 128, prefill included.",
};
const RATES: Note = Note {
    column: "toks_per_sec",
    text: "Tokens/s and RPS are not measured: on all rows they are 1000 · batch / TPOT and that over 128.",
};
const TTFT: Note = Note {
    column: "avg_ttft_ms",
    text: "TTFT is the time to enqueue the first forward pass, without waiting for the device; times of a few ms would need thousands of TFLOP/s.",
};
const COMPILE: Note = Note {
    column: "avg_ttft_ms",
    text: "Compilation fell into the timed iterations of torch.compile at batch 1 and 4.",
};
const FIXED_NOTES: &[Note] = &[TPOT, RATES, TTFT, COMPILE];
const VARIED_NOTES: &[Note] = &[
    TPOT,
    RATES,
    TTFT,
    COMPILE,
    Note {
        column: "toks_per_sec",
        text: "The same prompts were sent ten times, so vLLM's rate is that of a full prefix cache; the others were padded to 512 tokens always.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::fixture::{measured_cell, with_mean};
    use crate::published::is_printed;

    #[test]
    fn rates_follow_from_tpot_on_all_forty_rows() {
        let mut n_rows = 0;
        for table in [fixed(), varied()] {
            for row in &table.rows {
                let number = |key| table.number(&row.name, key).unwrap();
                let batch = batch_of(&row.name).unwrap();
                let (tpot, rate) = (number("avg_tpot_ms"), number("toks_per_sec"));
                // Both figures are printed to two decimals, so TPOT is known to ±0.005 ms.
                let by_tpot = |tpot: f64| 1_000.0 * batch / tpot;
                assert!(
                    is_printed(rate, 2, by_tpot(tpot - 0.005), by_tpot(tpot + 0.005)),
                    "{} {}",
                    table.name,
                    row.name
                );
                let rps = number("requests_per_sec");
                let by_rate = |rate: f64| rate / OUTPUT_TOKENS;
                assert!(
                    is_printed(rps, 2, by_rate(rate - 0.005), by_rate(rate + 0.005)),
                    "{} {}",
                    table.name,
                    row.name
                );
                n_rows += 1;
            }
        }
        assert_eq!(n_rows, 40);
    }

    #[test]
    fn some_published_first_tokens_are_faster_than_the_device_can_compute() {
        // 2 FLOP per weight and token: 4.02e9 weights, batch 32, 128 tokens in 4.73 ms are
        // 6,966 TFLOP/s on a device of 71 (dense FP16, vendor's data sheet).
        let ttft = fixed().number("torch.compile 32", "avg_ttft_ms").unwrap();
        let tflops = 2.0 * 4.022e9 * 32.0 * 128.0 / (ttft / 1e3) / 1e12;
        assert!((tflops - 6_966.0).abs() < 1.0, "{tflops}");
    }

    #[test]
    fn vllm_has_no_published_first_token() {
        let table = varied();
        assert_eq!(table.number("vLLM 32", "avg_ttft_ms"), None);
    }

    #[test]
    fn a_cell_is_shown_by_the_published_formula_too() {
        // 1,280 ms for 128 tokens: 10 ms "TPOT"; a batch of 4 makes 400 tokens/s, 3.125 requests/s.
        let cell = with_mean(measured_cell("a", "fp16"), MetricId::E2e, 1_280.0);
        let by = |key: &str| {
            let table = fixed();
            let column = table.columns.iter().find(|column| column.key == key).unwrap();
            column.formula.unwrap()("PyTorch Eager 4", &cell)
        };
        assert_eq!(by("avg_tpot_ms"), Some(10.0));
        assert_eq!(by("toks_per_sec"), Some(400.0));
        assert_eq!(by("requests_per_sec"), Some(3.125));
    }
}
