//! Published tables in their own shape, their own formulas, and what they really measured.

pub mod batch_sweep;
pub mod billion_tokens;
pub mod blocks;
pub mod tinyllama;
pub mod vllm_vs_sglang;

use std::fmt;

use thiserror::Error;

use crate::metrics::quantity::Quantity;
use crate::metrics::summary::CellSummary;
use crate::plan::PublishedPlan;

/// One published table.
#[derive(Clone, Debug)]
pub struct PublishedTable {
    /// Name: file stem in `fixtures/published/`.
    pub name: &'static str,
    /// Title for people.
    pub title: &'static str,
    /// Model, hardware and who published it.
    pub setting: &'static str,
    /// Columns that name a row; the others hold figures.
    pub n_key_columns: usize,
    /// Columns in the published order.
    pub columns: Vec<Column>,
    /// Cells as printed; empty where the source has none.
    pub rows: Vec<Vec<String>>,
    /// What the figures really measured.
    pub notes: &'static [Note],
}

/// One column of a published table.
#[derive(Clone)]
pub struct Column {
    /// Header in the file.
    pub key: &'static str,
    /// Heading as published.
    pub heading: &'static str,
    /// Unit; empty for names.
    pub unit: &'static str,
    /// Digits after the point, as published.
    pub decimals: usize,
    /// Our definition of the same thing.
    pub ours: Option<Quantity>,
    /// The published formula on a cell of ours: what the source would have printed for it.
    /// Takes the published row's name, because some tables count by two formulas.
    pub as_published: Option<Formula>,
}

/// A published formula.
pub type Formula = fn(row: &str, cell: &CellSummary) -> Option<f64>;

/// What a published figure really measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// Key of the column it is about; empty for the whole table.
    pub column: &'static str,
    /// One or two sentences.
    pub text: &'static str,
}

/// A table that is not embedded.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("no published table `{name}`; there are {}", NAMES.join(", "))]
pub struct UnknownTable {
    /// The asked-for name.
    pub name: String,
}

/// Names of all tables.
pub const NAMES: [&str; 7] = [
    "tinyllama_gsm8k",
    "batch_sweep_fixed",
    "batch_sweep_varied",
    "billion_tokens",
    "vllm_vs_sglang",
    "serving",
    "offline",
];

/// Returns a published table.
///
/// # Errors
/// If no table has that name.
pub fn table(name: &str) -> Result<PublishedTable, UnknownTable> {
    match name {
        "tinyllama_gsm8k" => Ok(tinyllama::table()),
        "batch_sweep_fixed" => Ok(batch_sweep::fixed()),
        "batch_sweep_varied" => Ok(batch_sweep::varied()),
        "billion_tokens" => Ok(billion_tokens::table()),
        "vllm_vs_sglang" => Ok(vllm_vs_sglang::table()),
        "serving" => Ok(blocks::serving()),
        "offline" => Ok(blocks::offline()),
        _ => Err(UnknownTable { name: name.to_owned() }),
    }
}

impl PublishedTable {
    /// Reads an embedded file whose header must be the columns' keys.
    fn read(self, text: &str) -> Self {
        let (header, rows) = parse(text);
        let keys: Vec<&str> = self.columns.iter().map(|column| column.key).collect();
        assert_eq!(header, keys, "the header of {} is its columns", self.name);
        Self { rows, ..self }
    }

    /// Returns the name of a row: its key columns, joined by blanks.
    pub fn row_name(&self, row: usize) -> String {
        self.rows[row][..self.n_key_columns].join(" ")
    }

    /// Returns the row of that name.
    pub fn row(&self, name: &str) -> Option<usize> {
        (0..self.rows.len()).find(|&row| self.row_name(row) == name)
    }

    /// Returns the place of a column.
    pub fn column(&self, key: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.key == key)
    }

    /// Returns a published figure as a number; `None` where it is empty or a word.
    pub fn number(&self, row: usize, key: &str) -> Option<f64> {
        self.rows[row].get(self.column(key)?)?.parse().ok()
    }

    /// Returns the notes about a column; those about the whole table for `""`.
    pub fn notes_of(&self, key: &str) -> impl Iterator<Item = &'static str> {
        self.notes.iter().filter(move |note| note.column == key).map(|note| note.text)
    }

    /// Returns the cells that the plan puts beside a row.
    ///
    /// A cell belongs to it when it has every `key=value` that the plan names for the row.
    pub fn cells_of<'a>(
        &self,
        plan: &PublishedPlan,
        row: usize,
        cells: &'a [CellSummary],
    ) -> Vec<&'a CellSummary> {
        let Some(conditions) = plan.rows.get(&self.row_name(row)) else { return Vec::new() };
        cells
            .iter()
            .filter(|cell| conditions.iter().all(|(key, value)| cell.keys.get(key) == Some(value)))
            .collect()
    }

    /// Returns row names of the plan that the table does not have.
    pub fn unknown_rows<'p>(&self, plan: &'p PublishedPlan) -> Vec<&'p str> {
        plan.rows.keys().map(String::as_str).filter(|name| self.row(name).is_none()).collect()
    }
}

impl Column {
    /// Returns a column that names rows.
    const fn name(key: &'static str, heading: &'static str) -> Self {
        Self { key, heading, unit: "", decimals: 0, ours: None, as_published: None }
    }

    /// Returns a column of figures.
    fn figure(
        key: &'static str,
        heading: &'static str,
        unit: &'static str,
        decimals: usize,
        ours: Option<Quantity>,
    ) -> Self {
        Self { key, heading, unit, decimals, ours, as_published: None }
    }

    /// Returns the same column with the published formula.
    fn by(self, formula: Formula) -> Self {
        Self { as_published: Some(formula), ..self }
    }
}

impl fmt::Debug for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Column").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Returns header and rows of an embedded file.
///
/// # Panics
/// If the file is not well-formed, which the tests of every table rule out.
pub fn parse(text: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let words = |record: &csv::StringRecord| record.iter().map(str::to_owned).collect();
    let header = words(reader.headers().expect("an embedded table has a header"));
    let rows = reader
        .records()
        .map(|record| words(&record.expect("rows of an embedded table are as wide as its header")))
        .collect();
    (header, rows)
}

/// Whether a printed figure is what `value` rounds to, for any `value` that the range allows.
///
/// Printed figures are rounded; what is computed from them is only known to a range.
#[cfg(test)]
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
    use crate::metrics::tests::fixture::measured_cell;

    #[test]
    fn every_table_loads_and_says_what_it_measured() {
        for name in NAMES {
            let table = table(name).unwrap();
            assert_eq!(table.name, name);
            assert!(!table.rows.is_empty() && !table.notes.is_empty(), "{name}");
            for note in table.notes {
                let is_known = note.column.is_empty() || table.column(note.column).is_some();
                assert!(is_known, "{name}: {}", note.column);
            }
        }
        assert!(table("nothing").unwrap_err().to_string().contains("tinyllama_gsm8k"));
    }

    #[test]
    fn rows_are_put_beside_cells_by_the_plans_conditions() {
        let table = table("tinyllama_gsm8k").unwrap();
        let conditions = BTreeMap::from([("precision".to_owned(), "fp16".to_owned())]);
        let plan = PublishedPlan {
            table: table.name.to_owned(),
            rows: IndexMap::from([
                ("vLLM FP16".to_owned(), conditions),
                ("vLLM FP17".to_owned(), BTreeMap::new()),
            ]),
        };
        let cells = [measured_cell("a", "fp16"), measured_cell("b", "fp32")];
        let row = table.row("vLLM FP16").unwrap();
        let found = table.cells_of(&plan, row, &cells);
        assert_eq!(found.iter().map(|cell| cell.name.as_str()).collect::<Vec<_>>(), ["a"]);
        assert!(table.cells_of(&plan, table.row("vLLM FP32").unwrap(), &cells).is_empty());
        assert_eq!(table.unknown_rows(&plan), ["vLLM FP17"]);
    }
}
