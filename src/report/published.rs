//! A published table: its digits as printed, what its columns mean, what is known about it.

use serde::Deserialize;

use crate::metrics::published::{Formula, PublishedTable};
use crate::metrics::quantity::Quantity;

/// A published table.
#[derive(Clone, Debug)]
pub struct Published {
    /// Title.
    pub title: String,
    /// Where and on what it was measured.
    pub source: String,
    /// What the rows are called: `model variant`.
    pub row_label: String,
    /// Columns with figures, in order.
    pub columns: Vec<PublishedColumn>,
    /// Rows, in order.
    pub rows: Vec<PublishedRow>,
    /// What the published figures really measured, and known misprints.
    pub notes: Vec<String>,
}

/// One column of figures.
#[derive(Clone, Debug)]
pub struct PublishedColumn {
    /// Header as published.
    pub label: String,
    /// Unit as published.
    pub unit: String,
    /// The measured quantity that is shown beside it, where there is one.
    pub beside: Option<Quantity>,
    /// The source's own formula, for what it would have printed for a cell.
    pub formula: Option<Formula>,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedRow {
    /// Name as published; `plan.published.rows` maps it to cells.
    pub name: String,
    /// The digits as printed; `None` where the table has none.
    pub values: Vec<Option<String>>,
}

/// A published table that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PublishedError {
    /// The description is not what is expected.
    #[error("read the description of the published table: {0}")]
    Description(#[from] toml::de::Error),
    /// The rows are not CSV.
    #[error("read the rows of the published table: {0}")]
    Rows(#[from] csv::Error),
    /// The description names a column that the rows do not have.
    #[error("the published table has no column `{name}`; it has {known}")]
    NoColumn {
        /// The name.
        name: String,
        /// Columns that exist.
        known: String,
    },
}

/// The description as written, beside the CSV file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct PublishedSpec {
    title: String,
    source: String,
    /// CSV columns that together name a row.
    row: Vec<String>,
    row_label: String,
    /// An array, as tables of TOML are not read in the order in which they are written.
    column: Vec<ColumnSpec>,
    #[serde(default)]
    notes: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnSpec {
    /// Header in the CSV file.
    csv: String,
    label: String,
    unit: String,
    beside: Option<Quantity>,
}

impl Published {
    /// Reads a table from its description (TOML) and its rows (CSV with a header).
    pub fn read(description: &str, rows_csv: &str) -> Result<Self, PublishedError> {
        let spec: PublishedSpec = toml::from_str(description)?;
        let mut reader = csv::Reader::from_reader(rows_csv.as_bytes());
        let header = reader.headers()?.clone();
        let find = |name: &String| {
            header.iter().position(|at| at == name).ok_or_else(|| PublishedError::NoColumn {
                name: name.clone(),
                known: header.iter().collect::<Vec<_>>().join(", "),
            })
        };
        let name_at = spec.row.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        let value_at =
            spec.column.iter().map(|column| find(&column.csv)).collect::<Result<Vec<_>, _>>()?;
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record?;
            let text = |at: &usize| record.get(*at).unwrap_or_default().trim();
            rows.push(PublishedRow {
                name: name_at.iter().map(text).collect::<Vec<_>>().join(" "),
                values: value_at
                    .iter()
                    .map(|at| Some(text(at)).filter(|text| !text.is_empty()).map(str::to_owned))
                    .collect(),
            });
        }
        Ok(Self {
            title: spec.title,
            source: spec.source,
            row_label: spec.row_label,
            columns: spec
                .column
                .into_iter()
                .map(|ColumnSpec { label, unit, beside, .. }| PublishedColumn {
                    formula: None,
                    label,
                    unit,
                    beside,
                })
                .collect(),
            rows,
            notes: spec.notes,
        })
    }
}

impl From<&PublishedTable> for Published {
    /// Takes a table that the program carries.
    fn from(table: &PublishedTable) -> Self {
        let (keys, figures) = table.columns.split_at(table.n_key_columns);
        let headings: Vec<&str> = keys.iter().map(|key| key.heading).collect();
        let columns = figures.iter().map(|column| PublishedColumn {
            label: without_unit(column.heading),
            unit: column.unit.to_owned(),
            beside: column.ours.clone(),
            formula: column.as_published,
        });
        let rows = table.rows.iter().enumerate().map(|(at, row)| PublishedRow {
            name: table.row_name(at),
            values: row[table.n_key_columns..]
                .iter()
                .map(|text| Some(text.clone()).filter(|text| !text.is_empty()))
                .collect(),
        });
        let notes = table.notes.iter().map(|note| {
            match table.column(note.column).map(|at| without_unit(table.columns[at].heading)) {
                Some(heading) => format!("{heading}: {}", note.text),
                None => note.text.to_owned(),
            }
        });
        Self {
            title: table.title.to_owned(),
            source: table.setting.to_owned(),
            row_label: headings.join(", "),
            columns: columns.collect(),
            rows: rows.collect(),
            notes: notes.collect(),
        }
    }
}

/// Headings as published end in a unit in brackets; here the unit has a place of its own.
fn without_unit(heading: &str) -> String {
    match heading.split_once(" (") {
        Some((name, unit)) if unit.ends_with(')') => name.to_owned(),
        _ => heading.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::catalogue::MetricId;

    const DESCRIPTION: &str = r#"
        title = "A table"
        source = "a page"
        row = ["engine", "batch"]
        row-label = "engine and batch"
        notes = ["measured once"]
        [[column]]
        csv = "speed"
        label = "speed"
        unit = "tok/s"
        beside = "output_throughput"
        [[column]]
        csv = "ttft"
        label = "TTFT"
        unit = "ms"
    "#;

    #[test]
    fn digits_stay_as_they_were_printed_and_gaps_stay_gaps() {
        let table =
            Published::read(DESCRIPTION, "engine,batch,speed,ttft\neager,1,62.10,\n").unwrap();
        assert_eq!(table.rows[0].name, "eager 1");
        assert_eq!(table.rows[0].values, [Some("62.10".to_owned()), None]);
        assert_eq!(table.columns[0].beside, Some(Quantity::figure(MetricId::OutputThroughput)));
    }

    #[test]
    fn every_table_that_the_program_carries_keeps_its_digits() {
        for name in crate::metrics::published::NAMES {
            let table = crate::metrics::published::table(name).unwrap();
            let published = Published::from(&table);
            assert_eq!(published.rows.len(), table.rows.len(), "{name}");
            for (row, printed) in published.rows.iter().zip(&table.rows) {
                assert_eq!(row.values.len(), published.columns.len(), "{name}");
                let last = printed.last().filter(|text| !text.is_empty());
                assert_eq!(row.values.last().unwrap().as_ref(), last, "{name}");
            }
        }
    }

    #[test]
    fn a_column_that_is_not_there_is_named_with_those_that_are() {
        let error = Published::read(DESCRIPTION, "engine,batch,speed\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the published table has no column `ttft`; it has engine, batch, speed"
        );
    }
}
