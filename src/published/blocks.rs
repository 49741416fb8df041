//! The serving block and the offline block: figures one under the other.

use crate::published::{Column, Note, PublishedTable};

/// Returns the "Serving Benchmark Result" block.
pub(crate) fn serving() -> PublishedTable {
    block(
        "serving",
        "Serving Benchmark Result",
        "Llama-3-8B on an A10, 200 requests at 1.0 per second",
        SERVING_NOTES,
    )
    .with_rows(include_str!("../../fixtures/published/serving.csv"))
}

/// Returns the offline batch block.
pub(crate) fn offline() -> PublishedTable {
    block(
        "offline",
        "Offline batch",
        "Llama-3-8B on an H100 80GB HBM3, 1,000 generations, FP16",
        OFFLINE_NOTES,
    )
    .with_rows(include_str!("../../fixtures/published/offline.csv"))
}

fn block(
    name: &'static str,
    title: &'static str,
    setting: &'static str,
    notes: &'static [Note],
) -> PublishedTable {
    PublishedTable {
        name,
        title,
        setting,
        key_columns: vec![Column::name("metric", "Metric")],
        columns: vec![Column::name("unit", "Unit"), Column::figure("value", "Value", "", None)],
        rows: Vec::new(),
        notes,
    }
}

const SERVING_NOTES: &[Note] = &[
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
const OFFLINE_NOTES: &[Note] = &[Note {
    column: "",
    text: "Rates are those of the whole job; the ramp at the start and the last stragglers are in them.",
}];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published::is_printed;
    use crate::stats::quantile::sample_floor;

    fn check(table: &PublishedTable, rate: &str, amount: &str, secs: &str) {
        let number = |name: &str| table.number(name, "value").unwrap();
        let (amount, secs) = (number(amount), number(secs));
        let at = |secs: f64| amount / secs;
        assert!(is_printed(number(rate), 2, at(secs - 0.005), at(secs + 0.005)), "{rate}");
    }

    #[test]
    fn serving_rates_divide_by_arrivals_and_drain() {
        let table = serving();
        check(&table, "request_throughput", "successful_requests", "benchmark_duration");
        check(&table, "input_token_throughput", "total_input_tokens", "benchmark_duration");
        check(&table, "output_token_throughput", "total_generated_tokens", "benchmark_duration");
        // 200 arrivals one second apart take 199 s; the rest is drain.
        let number = |name: &str| table.number(name, "value").unwrap();
        let drain = number("benchmark_duration") - (number("successful_requests") - 1.0);
        assert!((drain - 22.06).abs() < 1e-9);
        assert!((sample_floor(0.99) as f64) > number("successful_requests"));
    }

    #[test]
    fn offline_rates_follow_from_the_job() {
        let table = offline();
        let number = |name: &str| table.number(name, "value").unwrap();
        check(&table, "generations_per_sec", "total_generations", "total_time");
        // Means are printed to 0.005 tokens and the time to 0.005 s.
        for (rate, mean) in [
            ("generation_tokens_per_sec", "avg_generation_tokens"),
            ("prompt_tokens_per_sec", "avg_prompt_tokens"),
        ] {
            let at = |off: f64| {
                (number(mean) + off) * number("total_generations") / (number("total_time") - off)
            };
            assert!(is_printed(number(rate), 2, at(-0.005), at(0.005)), "{rate}");
        }
    }
}
