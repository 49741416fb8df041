//! Published tables in their own shape, their own formulas, and what they really measured.

pub(crate) mod batch_sweep;
pub(crate) mod billion_tokens;
pub(crate) mod derivation;
pub(crate) mod offline;
pub(crate) mod serving;
pub(crate) mod shapes;
pub(crate) mod tinyllama;
pub(crate) mod vllm_vs_sglang;

use thiserror::Error;

use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::{Quantity, Statistic};
use crate::metrics::summary::CellSummary;
use crate::plan::PublishedPlan;
use crate::published::derivation::Derivation;

/// One published table.
#[derive(Clone, Debug)]
pub(crate) struct PublishedTable {
    /// Name: file stem in `fixtures/published/`.
    pub name: &'static str,
    /// Title for people.
    pub title: &'static str,
    /// Model, hardware and who published it.
    pub setting: &'static str,
    /// Columns that name a row.
    pub key_columns: Vec<Column>,
    /// The other columns, in the published order.
    pub columns: Vec<Column>,
    /// Rows in the published order.
    pub rows: Vec<Row>,
    /// Which figures follow from other published figures; all others were measured there.
    pub(crate) derivations: &'static [Derivation],
    /// What a cell of ours has of a row, in a table whose rows are metrics rather than cells.
    pub(crate) row_value: Option<RowValue>,
    /// What the figures really measured.
    pub notes: &'static [Note],
}

/// Reads the figure of a row, by the row's name, from a cell.
pub(crate) type RowValue = fn(row: &str, cell: &CellSummary) -> Option<f64>;

/// One column of a published table.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    /// Header in the file.
    pub key: &'static str,
    /// Heading as published, without its unit.
    pub heading: &'static str,
    /// Unit as published; empty for names.
    pub unit: &'static str,
    /// Key of `[matrix]` whose values the column holds, in a column that names rows.
    pub matrix_key: Option<&'static str>,
    /// The driver's number of the GPU that the column is about.
    pub gpu: Option<usize>,
    /// Our definition of the same thing.
    pub quantity: Option<Quantity>,
    /// The published formula on a cell of ours: what the source would have printed for it.
    pub formula: Option<Formula>,
}

/// A published formula. It takes the published row's name, because some tables count by two.
pub(crate) type Formula = fn(row: &str, cell: &CellSummary) -> Option<f64>;

/// One row of a published table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Its key columns, joined by blanks; the plan maps it to cells by this name.
    pub name: String,
    /// Swept keys and the published words for their values, where the columns are such keys.
    pub keys: Vec<(&'static str, String)>,
    /// What the other columns print, digit by digit; `None` where the source has nothing.
    pub printed: Vec<Option<String>>,
}

/// What a published figure really measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    /// Key of the column it is about; empty for the whole table.
    pub column: &'static str,
    /// One or two sentences.
    pub text: &'static str,
}

/// A table that is not embedded.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("no published table `{name}`; there are {}", NAMES.join(", "))]
pub(crate) struct UnknownTable {
    /// The asked-for name.
    pub name: String,
}

/// Names of all tables.
pub(crate) const NAMES: [&str; 7] = [
    "tinyllama_gsm8k",
    "batch_sweep",
    "billion_tokens",
    "vllm_vs_sglang",
    "serving",
    "offline",
    "shapes",
];

/// Returns a published table.
///
/// # Errors
/// If no table has that name.
pub(crate) fn table(name: &str) -> Result<PublishedTable, UnknownTable> {
    match name {
        "tinyllama_gsm8k" => Ok(tinyllama::table()),
        "batch_sweep" => Ok(batch_sweep::table()),
        "billion_tokens" => Ok(billion_tokens::table()),
        "vllm_vs_sglang" => Ok(vllm_vs_sglang::table()),
        "serving" => Ok(serving::table()),
        "offline" => Ok(offline::table()),
        "shapes" => Ok(shapes::table()),
        _ => Err(UnknownTable { name: name.to_owned() }),
    }
}

impl PublishedTable {
    /// Returns the table with the rows of an embedded file, whose header must be the columns' keys.
    pub(crate) fn with_rows(self, text: &str) -> Self {
        let (header, rows) = parse(text);
        let columns = self.key_columns.iter().chain(&self.columns);
        let keys: Vec<&str> = columns.map(|column| column.key).collect();
        assert_eq!(header, keys, "the header of {} is its columns", self.name);
        let n_keys = self.key_columns.len();
        let row = |cells: Vec<String>| Row {
            name: cells[..n_keys].join(" "),
            keys: (self.key_columns.iter().zip(&cells))
                .filter_map(|(column, value)| Some((column.matrix_key?, value.clone())))
                .collect(),
            printed: cells[n_keys..]
                .iter()
                .map(|text| Some(text.clone()).filter(|text| !text.is_empty()))
                .collect(),
        };
        Self { rows: rows.into_iter().map(row).collect(), ..self }
    }

    /// Returns what the rows are called: the headings of the columns that name them.
    pub(crate) fn row_label(&self) -> String {
        self.key_columns.iter().map(|column| column.heading).collect::<Vec<_>>().join(", ")
    }

    /// Returns the notes, each with the heading of the column that it is about.
    pub(crate) fn notes(&self) -> impl Iterator<Item = String> {
        self.notes.iter().map(|note| {
            match self.columns.iter().find(|column| column.key == note.column) {
                Some(column) => format!("{}: {}", column.heading, note.text),
                None => note.text.to_owned(),
            }
        })
    }

    /// Returns the table with the GPUs of this machine, by UUID in the driver's order, in the
    /// columns that are about one GPU each.
    #[must_use]
    pub(crate) fn with_gpus(mut self, uuids: &[String]) -> Self {
        for column in &mut self.columns {
            if let Some(uuid) = column.gpu.and_then(|gpu| uuids.get(gpu)) {
                let metric = MetricId::GpuUtilisation.of(uuid.clone());
                column.quantity = Some(Quantity { metric, statistic: Statistic::Value });
            }
        }
        self
    }

    /// Returns the position of a column by its key.
    pub(crate) fn column(&self, key: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.key == key)
    }

    /// Returns the digits of a published figure; `None` where there is nothing.
    pub(crate) fn digits(&self, row: &str, key: &str) -> Option<&str> {
        let row = self.rows.iter().find(|found| found.name == row)?;
        row.printed[self.column(key)?].as_deref()
    }

    /// Returns what a row prints in the column of a quantity.
    pub(crate) fn printed<'r>(&self, row: &'r Row, quantity: &Quantity) -> Option<&'r str> {
        let at =
            self.columns.iter().position(|column| column.quantity.as_ref() == Some(quantity))?;
        row.printed[at].as_deref()
    }
}

/// Returns the cells that the plan puts beside a published row.
///
/// A cell belongs to it when it has every `key=value` that the plan names for the row; where the
/// plan names none, when it has the values of the row's own keys, by the plan's names for them.
pub(crate) fn cells_of<'a>(
    plan: &PublishedPlan,
    row: &Row,
    cells: &[&'a CellSummary],
) -> Vec<&'a CellSummary> {
    let of_row = || {
        let keys = row.keys.iter();
        keys.map(|(key, printed)| {
            ((*key).to_owned(), plan.names.get(printed).unwrap_or(printed).clone())
        })
        .collect()
    };
    let conditions = plan.rows.get(&row.name).cloned().unwrap_or_else(of_row);
    if conditions.is_empty() {
        return Vec::new();
    }
    let meets = |cell: &&&CellSummary| {
        conditions.iter().all(|(key, value)| cell.keys.get(key) == Some(value))
    };
    cells.iter().filter(meets).copied().collect()
}

impl Column {
    /// Returns a column of words.
    pub(crate) fn name(key: &'static str, heading: &'static str) -> Self {
        Self { key, heading, unit: "", matrix_key: None, gpu: None, quantity: None, formula: None }
    }

    /// Returns a column of words that are values of a swept key.
    pub(crate) fn swept(
        key: &'static str,
        heading: &'static str,
        matrix_key: &'static str,
    ) -> Self {
        Self { matrix_key: Some(matrix_key), ..Self::name(key, heading) }
    }

    /// Returns a column of figures.
    pub(crate) fn figure(
        key: &'static str,
        heading: &'static str,
        unit: &'static str,
        quantity: Option<Quantity>,
    ) -> Self {
        Self { unit, quantity, ..Self::name(key, heading) }
    }

    /// Returns the same column as one about one GPU.
    pub(crate) fn of_gpu(self, gpu: usize) -> Self {
        Self { gpu: Some(gpu), ..self }
    }

    /// Returns the same column with the published formula.
    pub(crate) fn by(self, formula: Formula) -> Self {
        Self { formula: Some(formula), ..self }
    }
}

/// Returns header and rows of an embedded file.
///
/// # Panics
/// If the file is not well-formed, which the tests of every table rule out.
fn parse(text: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let words = |record: &csv::StringRecord| record.iter().map(str::to_owned).collect();
    let header = words(reader.headers().expect("an embedded table has a header"));
    let rows = reader
        .records()
        .map(|record| words(&record.expect("rows of an embedded table are as wide as its header")))
        .collect();
    (header, rows)
}

#[cfg(test)]
impl PublishedTable {
    /// Returns a published figure as a number; `None` where it is empty or a word.
    fn number(&self, row: &str, key: &str) -> Option<f64> {
        assert!(self.rows.iter().any(|found| found.name == row), "{row} is a row of the table");
        assert!(self.column(key).is_some(), "{key} is a column of it");
        self.digits(row, key)?.parse().ok()
    }
}

/// Whether a printed figure is what `value` rounds to, for any `value` that the range allows.
///
/// Printed figures are rounded; what is computed from them is only known to a range.
pub(crate) fn is_printed(printed: f64, decimals: u32, low: f64, high: f64) -> bool {
    let half = 0.5 / 10_f64.powi(decimals.cast_signed());
    // A thousandth of the last digit, for the rounding of decimal text to a double.
    let slack = half / 500.0;
    low.min(high) - half - slack <= printed && printed <= low.max(high) + half + slack
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use indexmap::IndexMap;

    use super::*;
    use crate::metrics::catalogue::MetricId;
    use crate::metrics::tests::fixture::measured_cell;

    #[test]
    fn every_table_loads_keeps_its_digits_and_says_what_it_measured() {
        for name in NAMES {
            let table = table(name).unwrap();
            assert_eq!(table.name, name);
            assert!(!table.notes.is_empty(), "{name}");
            assert!(!table.rows.is_empty() || name == "shapes", "its source prints no row");
            for row in &table.rows {
                assert_eq!(row.printed.len(), table.columns.len(), "{name}: {}", row.name);
            }
            for note in table.notes {
                let mut columns = table.columns.iter();
                let is_known =
                    note.column.is_empty() || columns.any(|column| column.key == note.column);
                assert!(is_known, "{name}: {}", note.column);
            }
        }
        assert!(table("nothing").unwrap_err().to_string().contains("tinyllama_gsm8k"));
        let sweep = table("batch_sweep").unwrap();
        assert_eq!(sweep.rows[0].name, "fixed PyTorch Eager 1");
        assert_eq!(sweep.number("fixed vLLM 32", "avg_ttft_ms"), None, "a gap stays a gap");
        let speed = Quantity::figure(MetricId::OutputThroughput);
        assert_eq!(sweep.printed(&sweep.rows[0], &speed), Some("62.18"));
    }

    fn names(plan: &PublishedPlan, row: &Row, cells: &[CellSummary]) -> Vec<String> {
        let cells: Vec<&CellSummary> = cells.iter().collect();
        cells_of(plan, row, &cells).iter().map(|cell| cell.name.clone()).collect()
    }

    #[test]
    fn rows_are_put_beside_cells_by_the_plans_conditions() {
        let conditions = BTreeMap::from([("precision".to_owned(), "fp16".to_owned())]);
        let plan = PublishedPlan {
            table: "tinyllama_gsm8k".to_owned(),
            rows: IndexMap::from([("vLLM FP16".to_owned(), conditions)]),
            names: BTreeMap::new(),
            stand_ins: false,
        };
        let cells = [measured_cell("a", "fp16"), measured_cell("b", "fp32")];
        let table = table("tinyllama_gsm8k").unwrap();
        assert_eq!(names(&plan, &table.rows[0], &cells), ["a"]);
        assert!(names(&plan, &table.rows[1], &cells).is_empty());
    }

    #[test]
    fn rows_are_put_beside_cells_by_their_own_keys_and_the_scenarios_names() {
        let mut cell = measured_cell("a", "fp16");
        for (key, value) in [("dataset", "fixed"), ("engine", "eager"), ("batch", "4")] {
            cell.keys.insert(key.to_owned(), value.to_owned());
        }
        let mut plan = PublishedPlan {
            table: "batch_sweep".to_owned(),
            rows: IndexMap::new(),
            names: BTreeMap::new(),
            stand_ins: false,
        };
        let table = table("batch_sweep").unwrap();
        let row = table.rows.iter().find(|row| row.name == "fixed PyTorch Eager 4").unwrap();
        assert!(names(&plan, row, std::slice::from_ref(&cell)).is_empty());
        plan.names.insert("PyTorch Eager".to_owned(), "eager".to_owned());
        assert_eq!(names(&plan, row, &[cell]), ["a"]);
    }

    #[test]
    fn a_column_of_one_gpu_reads_that_gpu() {
        let table = table("batch_sweep").unwrap().with_gpus(&["GPU-a".into(), "GPU-b".into()]);
        let read = |key: &str| {
            let column = &table.columns[table.column(key).unwrap()];
            column.quantity.clone().map(String::from)
        };
        assert_eq!(read("gpu0_util_pct").as_deref(), Some("gpu_utilisation/GPU-a"));
        assert_eq!(read("gpu1_util_pct").as_deref(), Some("gpu_utilisation/GPU-b"));
    }
}
