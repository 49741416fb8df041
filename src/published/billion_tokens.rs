//! A model lineup by what a billion output tokens take.

use crate::metrics::capacity::gpus_for_1b_tokens_per_hour;
use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::CellSummary;
use crate::plan::launch::{Launch, PARALLEL_SIZES, SPECULATIVE};
use crate::published::derivation::{Derivation, From};
use crate::published::{Column, Note, PublishedTable};

/// Key of what tells imported results of one configuration apart.
const RESULT: &str = "result";

/// How many of a model's parameters are active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Architecture {
    /// Symbol of the published table.
    pub(crate) symbol: &'static str,
    /// Name.
    pub(crate) name: &'static str,
    /// What it means.
    pub(crate) meaning: &'static str,
}

/// A class of models by all their parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SizeClass {
    /// Symbol of the published table.
    pub(crate) symbol: &'static str,
    /// Name.
    pub(crate) name: &'static str,
    /// The range in words.
    pub(crate) meaning: &'static str,
    /// Parameters in billions below which a model belongs to it.
    below: f64,
}

/// Architectures and their symbols.
pub(crate) const ARCHITECTURES: [Architecture; 2] = [
    Architecture { symbol: "🧱", name: "Dense", meaning: "all parameters are active" },
    Architecture { symbol: "🔀", name: "MoE", meaning: "a mixture of experts, sparsely active" },
];

/// Size classes and their symbols, the smallest first.
pub(crate) const SIZE_CLASSES: [SizeClass; 5] = [
    SizeClass { symbol: "🐣", name: "Compact", meaning: "<4B parameters", below: 4.0 },
    SizeClass { symbol: "🦆", name: "Small", meaning: "4B-10B parameters", below: 10.0 },
    SizeClass { symbol: "🦅", name: "Medium", meaning: "10B-100B parameters", below: 100.0 },
    SizeClass { symbol: "🦖", name: "Large", meaning: "100B-500B parameters", below: 500.0 },
    SizeClass {
        symbol: "🐋", name: "Enormous", meaning: "500B+ parameters", below: f64::INFINITY
    },
];

/// The lineup in the published shape.
#[derive(Clone, Debug)]
pub(crate) struct Lineup<'a> {
    /// One row per cell.
    pub(crate) rows: Vec<LineupRow<'a>>,
}

/// One model in one parallel configuration, with or without speculative decoding.
#[derive(Clone, Debug)]
pub(crate) struct LineupRow<'a> {
    /// Its cell.
    pub(crate) cell: &'a CellSummary,
    /// The model.
    pub(crate) model: String,
    /// Its architecture; absent where neither the published table nor its name tells it.
    pub(crate) architecture: Option<Architecture>,
    /// Its size class; absent likewise.
    pub(crate) size: Option<SizeClass>,
    /// Tensor, pipeline and data parallel size; absent where a plan of an earlier version keeps
    /// only how many GPUs there are.
    pub(crate) parallel: [Option<u32>; 3],
    /// GPUs of the sizes that are absent, together.
    pub(crate) undivided: u32,
    /// `spec_none`, `spec_ngram_5` …
    pub(crate) speculative: String,
}

impl<'a> Lineup<'a> {
    /// Puts measured cells into the published shape; `launch_of` knows the engine of a cell.
    pub(crate) fn of<'l>(
        cells: &[&'a CellSummary],
        launch_of: impl Fn(&CellSummary) -> Option<&'l Launch>,
    ) -> Self {
        Self { rows: cells.iter().map(|cell| LineupRow::of(cell, launch_of(cell))).collect() }
    }
}

impl<'a> LineupRow<'a> {
    /// Puts a measured cell into the published shape: by its own keys, which are swept or imported,
    /// else by its engine.
    pub(crate) fn of(cell: &'a CellSummary, launch: Option<&Launch>) -> Self {
        let said = |key: &str| {
            let of_engine = || launch.and_then(|launch| launch.spread.get(key));
            cell.keys.get(key).or_else(of_engine).map(String::as_str)
        };
        let named = cell.keys.get("model").map(String::as_str);
        let model = named.or(launch.map(Launch::own_model)).unwrap_or_default().to_owned();
        let sizes = PARALLEL_SIZES.map(|key| said(key).and_then(|n| n.parse::<u32>().ok()));
        let n_said = sizes.iter().flatten().fold(1_u32, |n, size| n.saturating_mul(*size)).max(1);
        // What nobody says is 1, as far as that comes to the number of GPUs.
        let undivided = launch.map_or(1, |launch| launch.n_gpus.div_ceil(n_said).max(1));
        Self {
            architecture: architecture(&model),
            size: size_class(&model),
            parallel: sizes.map(|size| size.or((undivided == 1).then_some(1))),
            undivided,
            speculative: speculative_name(said(SPECULATIVE)),
            cell,
            model,
        }
    }

    /// Returns what else tells its cell from others: the folder of an imported result, or swept keys.
    pub(crate) fn rest(&self) -> String {
        let is_shown =
            |key: &str| key == "model" || key == SPECULATIVE || PARALLEL_SIZES.contains(&key);
        let rest = self.cell.keys.iter().filter(|(key, _)| !is_shown(key));
        let told = rest.map(|(key, value)| match key.as_str() {
            RESULT => value.clone(),
            _ => format!("{key}={value}"),
        });
        told.collect::<Vec<_>>().join(", ")
    }
}

/// Returns the published name of a form of speculative decoding: `ngram:5` is `spec_ngram_5`.
pub(crate) fn speculative_name(method: Option<&str>) -> String {
    format!("spec_{}", method.unwrap_or("none").replace(':', "_"))
}

/// Returns what the published table says of a model in a column. Folders and servers often leave out
/// who published it.
fn published<'t>(table: &'t PublishedTable, model: &str, column: &str) -> Option<&'t str> {
    let row = table.rows.iter().find(|row| base(&row.name).eq_ignore_ascii_case(base(model)))?;
    table.digits(&row.name, column)
}

/// Returns a model's architecture as published, else by its name, which can say that it is a mixture
/// of experts and never that it is dense: `gpt-oss-20b` is sparse too.
fn architecture(model: &str) -> Option<Architecture> {
    let table = table();
    let by_name = || is_mixture(model).then_some("MoE");
    let name = published(&table, model, "architecture").or_else(by_name)?;
    ARCHITECTURES.into_iter().find(|architecture| architecture.name == name)
}

/// Whether a name says so: `A3B` are active, `16E` and `8x7B` are experts, `OLMoE` is the word.
fn is_mixture(model: &str) -> bool {
    let is_active =
        |part: &str| part.strip_prefix(['A', 'a']).is_some_and(|it| billions(it).is_some());
    base(model).to_ascii_lowercase().contains("moe")
        || parts(model).any(|part| is_active(part) || has_experts(part))
}

fn has_experts(part: &str) -> bool {
    let is_count = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let part = part.to_ascii_lowercase();
    part.strip_suffix('e').is_some_and(is_count)
        || part.split_once('x').is_some_and(|(n, each)| is_count(n) && billions(each).is_some())
}

/// Returns a model's size class as published, else by the parameters that its name tells.
fn size_class(model: &str) -> Option<SizeClass> {
    if let Some(name) = published(&table(), model, "size_class") {
        return SIZE_CLASSES.into_iter().find(|class| class.name == name);
    }
    size_class_of(named_billions(model)?)
}

/// Returns all parameters that a name tells, in billions. Beside a number of experts it tells those of
/// one, or the active ones.
fn named_billions(model: &str) -> Option<f64> {
    if parts(model).any(has_experts) {
        return None;
    }
    parts(model).filter_map(billions).reduce(f64::max)
}

fn size_class_of(billions: f64) -> Option<SizeClass> {
    SIZE_CLASSES.into_iter().find(|class| billions < class.below)
}

fn base(model: &str) -> &str {
    model.trim_end_matches('/').rsplit('/').next().unwrap_or(model)
}

fn parts(model: &str) -> impl Iterator<Item = &str> {
    base(model).split(['-', '_'])
}

/// Reads `30B`, `0.6b` or `1m` as billions of parameters.
fn billions(part: &str) -> Option<f64> {
    let part = part.to_ascii_lowercase();
    let (digits, scale) = match (part.strip_suffix('b'), part.strip_suffix('m')) {
        (Some(digits), _) => (digits, 1.0),
        (_, Some(digits)) => (digits, 1e-3),
        (None, None) => return None,
    };
    digits.parse::<f64>().ok().filter(|n| n.is_finite() && *n > 0.0).map(|n| n * scale)
}

/// Returns the table.
pub(crate) fn table() -> PublishedTable {
    PublishedTable {
        name: "billion_tokens",
        title: "Model lineup: GPUs for a billion output tokens per hour",
        setting: "80 GB H100, vLLM; examples/inference/benchmark of huggingface/datatrove",
        key_columns: vec![Column::swept("model", "Model", "model")],
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
        derivations: DERIVATIONS,
        row_value: None,
        notes: NOTES,
    }
    .with_rows(include_str!("../../fixtures/published/billion_tokens.csv"))
}

const DERIVATIONS: &[Derivation] = &[Derivation {
    rows: &[],
    column: "gpus_for_1b_output_tokens_per_hour",
    formula: "1e9 / 3600 / output tokens/s per GPU, to nearest",
    inputs: &[From::Column("output_tokens_per_sec_per_gpu")],
    compute: |given| gpus_for_1b_tokens_per_hour(given[0]).map_or(f64::NAN, f64::round),
}];

const NOTES: &[Note] = &[
    Note {
        column: "size_class",
        text: "gemma-3-4b-it and Qwen3-4B are called Compact, which is defined as below 4B; by their names they are Small.",
    },
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
    use crate::metrics::figures::of_told_rates;
    use crate::metrics::tests::fixture::measured_cell;

    /// Whether some rate that is printed as `rate` gives `gpus` under a rounding.
    fn is_possible(rate: f64, gpus: f64, round: fn(f64) -> f64) -> bool {
        let at = |rate: f64| round(gpus_for_1b_tokens_per_hour(rate).unwrap());
        at(rate + 0.5) <= gpus && gpus <= at(rate - 0.5)
    }

    #[test]
    fn a_model_has_its_own_name_whatever_it_is_served_as() {
        let launch = Launch {
            model: "sim".to_owned(),
            model_name: Some("Qwen/Qwen3-4B".to_owned()),
            ..Launch::default()
        };
        let cell = measured_cell("a", "bf16");
        let row = LineupRow::of(&cell, Some(&launch));
        assert_eq!(row.model, "Qwen/Qwen3-4B");
        assert_eq!(row.size.map(|size| size.name), Some("Small"));
        let plain = Launch { model_name: None, ..launch };
        assert_eq!(LineupRow::of(&cell, Some(&plain)).model, "sim");
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

    #[test]
    fn all_twelve_rows_follow_from_their_output_rates_as_those_of_a_run_do() {
        let table = table();
        let mut n_exact = 0;
        for row in &table.rows {
            let number = |key| table.number(&row.name, key).unwrap();
            let (tp, pp) = (number("tp"), number("pp"));
            let n_gpus = (tp * pp) as u32;
            let gpus = |per_gpu: f64| {
                let rates = [None, Some(per_gpu * f64::from(n_gpus))];
                let mut cell = measured_cell("a", "bf16");
                cell.figures = of_told_rates(rates, [None; 2], n_gpus, 1, None);
                let quantity = Quantity::figure(MetricId::GpusFor1bTokensPerHour);
                quantity.value(&cell).unwrap().round()
            };
            let rate = number("output_tokens_per_sec_per_gpu");
            let printed = number("gpus_for_1b_output_tokens_per_hour");
            // The rate is printed to a whole number: what it may have been gives the printed count.
            assert!(gpus(rate + 0.5) <= printed && printed <= gpus(rate - 0.5), "{}", row.name);
            n_exact += u32::from((gpus(rate) - printed).abs() < 0.5);
        }
        // By hand: 239 tok/s give 1,162 for the printed 1,161, and 26 tok/s 10,684 for 10,645.
        assert_eq!(n_exact, 10);
    }

    #[test]
    fn published_classes_follow_from_the_names_but_for_two() {
        let table = table();
        let mut others = Vec::new();
        for row in &table.rows {
            let printed = table.digits(&row.name, "size_class").unwrap();
            if let Some(by_name) = named_billions(&row.name).and_then(size_class_of)
                && by_name.name != printed
            {
                others.push(format!("{} {printed} {}", row.name, by_name.name));
            }
        }
        assert_eq!(
            others,
            ["google/gemma-3-4b-it Compact Small", "Qwen/Qwen3-4B-Thinking-2507 Compact Small",]
        );
    }

    #[test]
    fn a_model_that_is_not_published_is_classed_by_its_name() {
        let told = |model: &str| {
            let names =
                (architecture(model).map(|it| it.name), size_class(model).map(|it| it.name));
            format!("{} {}", names.0.unwrap_or("-"), names.1.unwrap_or("-"))
        };
        assert_eq!(told("Qwen/Qwen3-0.6B"), "- Compact");
        assert_eq!(told("Qwen/Qwen3-8B"), "- Small");
        assert_eq!(told("Qwen/Qwen3-235B-A22B"), "MoE Large");
        assert_eq!(told("word-problems-1m"), "- Compact");
        assert_eq!(told("moonshotai/Kimi-K2-Instruct"), "MoE Enormous");
        assert_eq!(told("meta-llama/Llama-4-Scout-17B-16E-Instruct"), "MoE -");
        assert_eq!(told("mistralai/Mixtral-8x7B-v0.1"), "MoE -");
        assert_eq!(told("allenai/OLMoE-1B-7B-0924"), "MoE Small");
        assert_eq!(told("mystery"), "- -");
    }

    #[test]
    fn a_folder_that_leaves_out_who_published_a_model_is_that_model() {
        for row in &table().rows {
            let class = |model: &str| {
                (architecture(model).map(|it| it.name), size_class(model).map(|it| it.name))
            };
            assert_eq!(class(base(&row.name)), class(&row.name), "{}", row.name);
            assert!(class(&row.name).0.is_some() && class(&row.name).1.is_some(), "{}", row.name);
        }
    }

    #[test]
    fn a_row_tells_parallel_sizes_and_speculation_by_the_published_names() {
        let mut cell = measured_cell("a", "bf16");
        cell.keys.insert("tensor-parallel".to_owned(), "8".to_owned());
        cell.keys.insert("speculative".to_owned(), "ngram:5".to_owned());
        let told = |cell: &CellSummary, launch: Option<&Launch>| {
            let row = LineupRow::of(cell, launch);
            (row.model.clone(), row.parallel, row.speculative.clone())
        };
        let sizes = |sizes: [u32; 3]| sizes.map(Some);
        let expected = (String::new(), sizes([8, 1, 1]), "spec_ngram_5".to_owned());
        assert_eq!(told(&cell, None), expected);
        // What is not swept stands with the engine.
        let said = [("tensor-parallel", "2"), ("data-parallel", "2"), ("speculative", "ngram:3")];
        let said = said.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let launch = Launch { model: "m".to_owned(), spread: said.into(), ..Launch::default() };
        let spec = |name: &str| name.to_owned();
        assert_eq!(told(&cell, Some(&launch)), (spec("m"), sizes([8, 1, 2]), spec("spec_ngram_5")));
        cell.keys.clear();
        assert_eq!(told(&cell, Some(&launch)), (spec("m"), sizes([2, 1, 2]), spec("spec_ngram_3")));
        // An earlier plan says how many GPUs there are, and not how they are divided.
        let launch = Launch { n_gpus: 4, ..Launch::default() };
        assert_eq!(told(&cell, Some(&launch)).1, [None; 3]);
        cell.keys.insert("tensor-parallel".to_owned(), "2".to_owned());
        assert_eq!(told(&cell, Some(&launch)).1, [Some(2), None, None]);
        assert_eq!(LineupRow::of(&cell, Some(&launch)).undivided, 2);
        cell.keys.insert("tensor-parallel".to_owned(), "4".to_owned());
        assert_eq!(told(&cell, Some(&launch)).1, sizes([4, 1, 1]));
        assert_eq!(speculative_name(Some("none")), "spec_none");
        assert_eq!(speculative_name(None), "spec_none");
    }
}
