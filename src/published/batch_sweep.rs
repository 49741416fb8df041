//! Eager, compiled, Accelerate and vLLM over batch sizes, with prompts of one length and of many.

use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::{Quantity, Statistic};
use crate::metrics::summary::CellSummary;
use crate::plan::PublishedPlan;
use crate::published::derivation::{Derivation, From};
use crate::published::{Column, Note, PublishedTable};

/// Output tokens of every request of the source.
const OUTPUT_TOKENS: f64 = 128.0;

/// The two kinds of prompts, as the scenario's data sets and the rows are called, and their titles.
const PROMPTS: [(&str, &str); 2] =
    [("fixed", "Fixed prompt (128 tokens)"), ("varied", "Varied prompt (128-512 tokens)")];

/// The sweep in the published shape: one table per kind of prompts.
#[derive(Clone, Debug)]
pub(crate) struct BatchSweep<'a> {
    /// Tables, in the order of the run.
    pub(crate) sections: Vec<SweepSection<'a>>,
    /// Figures of each row, in the published order, with heading and unit.
    pub(crate) columns: Vec<(String, &'static str, Quantity)>,
}

/// The table of one kind of prompts.
#[derive(Clone, Debug)]
pub(crate) struct SweepSection<'a> {
    /// Title.
    pub(crate) title: String,
    /// Framework by its published name, batch size, and the cell that was measured.
    pub(crate) rows: Vec<(String, String, &'a CellSummary)>,
}

impl<'a> BatchSweep<'a> {
    /// Puts measured cells into the published shape; `gpus` are UUIDs in the driver's order, of
    /// which each has a column.
    pub(crate) fn of(
        plan: Option<&PublishedPlan>,
        cells: &[&'a CellSummary],
        gpus: &[String],
    ) -> Self {
        let published_name = |engine: &str| {
            let own_names = plan.filter(|plan| !plan.stand_ins).map(|plan| &plan.names);
            let mut names = own_names.into_iter().flatten();
            names.find(|(_, own)| *own == engine).map_or(engine, |(name, _)| name).to_owned()
        };
        let mut sections: Vec<SweepSection<'a>> = Vec::new();
        for cell in cells {
            let key = |key: &str| cell.keys.get(key).map_or("", String::as_str);
            let prompts = key("dataset");
            let known = PROMPTS.iter().find(|(name, _)| *name == prompts);
            let title = known.map_or(prompts, |(_, title)| *title).to_owned();
            let row = (published_name(key("engine")), key("batch").to_owned(), *cell);
            match sections.iter_mut().find(|section| section.title == title) {
                Some(section) => section.rows.push(row),
                None => sections.push(SweepSection { title, rows: vec![row] }),
            }
        }
        for section in &mut sections {
            // Frameworks in the order of the scenario, sizes ascending below each.
            let order: Vec<String> = section.rows.iter().map(|row| row.0.clone()).collect();
            let place = |name: &str| order.iter().position(|found| found == name);
            section.rows.sort_by_key(|row| (place(&row.0), row.1.parse::<u64>().ok()));
        }
        let figures = [
            ("Toks/sec", "tok/s", Quantity::figure(MetricId::OutputThroughput)),
            ("RPS", "req/s", Quantity::figure(MetricId::RequestThroughput)),
            ("Avg TTFT", "ms", Quantity::mean(MetricId::Ttft)),
            ("Avg TPOT", "ms", Quantity::mean(MetricId::Tpot)),
        ];
        let mut columns: Vec<_> =
            figures.map(|(name, unit, quantity)| (name.to_owned(), unit, quantity)).into();
        columns.extend(gpus.iter().enumerate().map(|(number, uuid)| {
            let metric = MetricId::GpuUtilisation.of(uuid.clone());
            (format!("GPU{number} util"), "%", Quantity { metric, statistic: Statistic::Value })
        }));
        Self { sections, columns }
    }
}

/// Returns the table: 20 rows of prompts of 128 tokens, 20 of prompts of 128 to 512.
pub(crate) fn table() -> PublishedTable {
    let fixed = include_str!("../../fixtures/published/batch_sweep_fixed.csv");
    let varied = include_str!("../../fixtures/published/batch_sweep_varied.csv");
    let of = |prompts: &str, text: &str| {
        let rows = text.lines().skip(1).map(|line| format!("{prompts},{line}\n"));
        rows.collect::<String>()
    };
    let header = fixed.lines().next().expect("an embedded table has a header");
    let text = format!("prompts,{header}\n{}{}", of(PROMPTS[0].0, fixed), of(PROMPTS[1].0, varied));
    PublishedTable {
        name: "batch_sweep",
        title: "Batch sweep, prompts of 128 tokens and of 128 to 512 tokens",
        setting: "Qwen3-4B-Instruct-2507 on an RTX 3090, 128 output tokens, static batches",
        key_columns: vec![
            Column::swept("prompts", "Prompts", "dataset"),
            Column::swept("framework", "Framework", "engine"),
            Column::swept("batch_size", "Batch", "batch"),
        ],
        columns: vec![
            Column::figure(
                "toks_per_sec",
                "Toks/sec",
                "tok/s",
                Some(Quantity::figure(MetricId::OutputThroughput)),
            )
            .by(|row, cell| Some(1_000.0 * batch_of(row, cell)? / generate_ms_per_token(cell)?)),
            Column::figure(
                "requests_per_sec",
                "RPS",
                "req/s",
                Some(Quantity::figure(MetricId::RequestThroughput)),
            )
            .by(|row, cell| {
                let per_s = 1_000.0 * batch_of(row, cell)? / generate_ms_per_token(cell)?;
                Some(per_s / output_tokens(cell)?)
            }),
            Column::figure("avg_ttft_ms", "Avg TTFT", "ms", Some(Quantity::mean(MetricId::Ttft))),
            Column::figure("avg_tpot_ms", "Avg TPOT", "ms", Some(Quantity::mean(MetricId::Tpot)))
                .by(|_, cell| generate_ms_per_token(cell)),
            Column::figure("gpu0_util_pct", "GPU0 util", "%", None).of_gpu(0),
            Column::figure("gpu1_util_pct", "GPU1 util", "%", None).of_gpu(1),
        ],
        rows: Vec::new(),
        derivations: DERIVATIONS,
        row_value: None,
        notes: NOTES,
    }
    .with_rows(&text)
}

/// The source's TPOT: the whole generate call over the tokens of an answer, prefill included.
fn generate_ms_per_token(cell: &CellSummary) -> Option<f64> {
    Some(cell.distributions.get(&MetricId::E2e)?.mean? / output_tokens(cell)?)
}

/// The tokens of an answer, where the source has its 128: a scenario may ask for another number.
fn output_tokens(cell: &CellSummary) -> Option<f64> {
    cell.distributions.get(&MetricId::OutputTokens)?.mean.filter(|tokens| *tokens > 0.0)
}

/// Returns the batch size of a cell, else that in a published row's name.
fn batch_of(row: &str, cell: &CellSummary) -> Option<f64> {
    let of_cell = cell.keys.get("batch").map(String::as_str);
    of_cell.or_else(|| row.rsplit(' ').next())?.parse().ok()
}

const DERIVATIONS: &[Derivation] = &[
    Derivation {
        rows: &[],
        column: "toks_per_sec",
        formula: "1000 · batch / Avg TPOT",
        inputs: &[From::Name, From::Column("avg_tpot_ms")],
        compute: |given| 1_000.0 * given[0] / given[1],
    },
    Derivation {
        rows: &[],
        column: "requests_per_sec",
        formula: "Toks/sec / 128",
        inputs: &[From::Column("toks_per_sec")],
        compute: |given| given[0] / OUTPUT_TOKENS,
    },
];

const NOTES: &[Note] = &[
    Note {
        column: "avg_tpot_ms",
        text: "TPOT is the time of the whole generate call over 128, prefill included.",
    },
    Note {
        column: "toks_per_sec",
        text: "Tokens/s and RPS are not measured: on all rows they are 1000 · batch / TPOT and that over 128.",
    },
    Note {
        column: "avg_ttft_ms",
        text: "TTFT is the time to enqueue the first forward pass, without waiting for the device; times of a few ms would need thousands of TFLOP/s.",
    },
    Note {
        column: "avg_ttft_ms",
        text: "Compilation fell into the timed iterations of torch.compile at batch 1 and 4.",
    },
    Note {
        column: "gpu0_util_pct",
        text: "GPU 0 stood still: the model ran on GPU 1 alone, so the two columns are no sharing of work.",
    },
    Note {
        column: "toks_per_sec",
        text: "With varied prompts the same prompts were sent ten times, so vLLM's rate is that of a full prefix cache; the others were padded to 512 tokens always.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::fixture::{measured_cell, with_mean};
    use crate::published::cells_of;

    #[test]
    fn some_published_first_tokens_are_faster_than_the_device_can_compute() {
        // 2 FLOP per weight and token: 4.02e9 weights, batch 32, 128 tokens in 4.73 ms are
        // 6,966 TFLOP/s on a device of 71 (dense FP16, vendor's data sheet).
        let ttft = table().number("fixed torch.compile 32", "avg_ttft_ms").unwrap();
        let tflops = 2.0 * 4.022e9 * 32.0 * 128.0 / (ttft / 1e3) / 1e12;
        assert!((tflops - 6_966.0).abs() < 1.0, "{tflops}");
    }

    #[test]
    fn vllm_has_no_published_first_token() {
        assert_eq!(table().number("varied vLLM 32", "avg_ttft_ms"), None);
    }

    #[test]
    fn a_cell_is_shown_by_the_published_formula_too() {
        // 1,280 ms for 128 tokens: 10 ms "TPOT"; a batch of 4 makes 400 tokens/s, 3.125 requests/s.
        let cell = with_mean(measured_cell("a", "fp16"), MetricId::E2e, 1_280.0);
        let by = |key: &str, tokens: f64| {
            let cell = with_mean(cell.clone(), MetricId::OutputTokens, tokens);
            let table = table();
            let column = &table.columns[table.column(key).unwrap()];
            column.formula.unwrap()("fixed PyTorch Eager 4", &cell)
        };
        assert_eq!(by("avg_tpot_ms", 128.0), Some(10.0));
        assert_eq!(by("toks_per_sec", 128.0), Some(400.0));
        assert_eq!(by("requests_per_sec", 128.0), Some(3.125));
        // With answers of 16 tokens: the same requests, an eighth of the tokens.
        assert_eq!(by("avg_tpot_ms", 16.0), Some(80.0));
        assert_eq!(by("toks_per_sec", 16.0), Some(50.0));
        assert_eq!(by("requests_per_sec", 16.0), Some(3.125));
    }

    #[test]
    fn measured_rows_stand_in_the_published_order_under_the_published_names() {
        let mut cells = Vec::new();
        for (dataset, engine, batch) in
            [("varied", "vllm", "1"), ("fixed", "vllm", "16"), ("fixed", "vllm", "2")]
        {
            let mut cell = measured_cell(&format!("{dataset}-{batch}"), "bf16");
            for (key, value) in [("dataset", dataset), ("engine", engine), ("batch", batch)] {
                cell.keys.insert(key.to_owned(), value.to_owned());
            }
            cells.push(cell);
        }
        let plan = PublishedPlan {
            table: "batch_sweep".to_owned(),
            rows: indexmap::IndexMap::new(),
            names: [("vLLM".to_owned(), "vllm".to_owned())].into(),
            stand_ins: false,
        };
        let all: Vec<&CellSummary> = cells.iter().collect();
        let sweep = BatchSweep::of(Some(&plan), &all, &["GPU-a".to_owned()]);
        let told = |section: &SweepSection<'_>| {
            let rows = section.rows.iter();
            rows.map(|(name, batch, _)| format!("{name} {batch}")).collect::<Vec<_>>()
        };
        assert_eq!(sweep.sections[0].title, "Varied prompt (128-512 tokens)");
        assert_eq!(told(&sweep.sections[1]), ["vLLM 2", "vLLM 16"]);
        assert_eq!(sweep.columns.last().unwrap().0, "GPU0 util");
        let stand_ins = PublishedPlan { stand_ins: true, ..plan.clone() };
        let sweep = BatchSweep::of(Some(&stand_ins), &all, &[]);
        assert_eq!(
            told(&sweep.sections[1]),
            ["vllm 2", "vllm 16"],
            "other engines say who they are"
        );
        let row = &table().rows.iter().find(|row| row.name == "fixed vLLM 16").unwrap().clone();
        assert_eq!(cells_of(&plan, row, &all)[0].name, "fixed-16");
    }
}
