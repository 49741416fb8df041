//! The published table beside what was measured here.

mod by_metric;
mod follows;

use serde::Serialize;

use crate::metrics::quantity::Quantity;
use crate::metrics::summary::{CellSummary, Summary};
use crate::plan::PublishedPlan;
use crate::published::{PublishedTable, Row, cells_of};
use crate::report::number::{ABSENT, rounded};
use crate::report::untrusted;
use crate::report::view::caveats::Marks;
use crate::report::view::published::follows::{follows, note};
use crate::report::view::results;
use crate::report::view::table::{Column, Table, TableCell};

/// The published table beside the measured rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct PublishedView {
    /// Title.
    pub title: String,
    /// Where it comes from.
    pub source: String,
    /// Published rows first, in their order, then measured cells that have no counterpart.
    pub table: Table,
    /// The published rows beside which something was measured here, and these cells.
    pub met: Table,
    /// Which published figures follow from others, and whether they do.
    pub follows: Table,
    /// What the published figures really measured.
    pub notes: Vec<String>,
}

/// Puts a published table beside the cells of a summary.
pub(crate) fn beside(
    published: &PublishedTable,
    rows: Option<&PublishedPlan>,
    summary: &Summary,
    marks: &Marks,
) -> PublishedView {
    let cells: Vec<&CellSummary> = summary.cells.iter().collect();
    let matches: Vec<Vec<&CellSummary>> = published
        .rows
        .iter()
        .map(|row| rows.map_or_else(Vec::new, |plan| cells_of(plan, row, &cells)))
        .collect();
    if let Some(table) = by_metric::table(published, &cells) {
        return PublishedView {
            // The published columns and the name of the row are there in any case.
            met: if table.columns.len() > published.columns.len() + 1 {
                table.clone()
            } else {
                Table::default()
            },
            ..told(published, table)
        };
    }
    let is_matched =
        |cell: &CellSummary| matches.iter().flatten().any(|matched| matched.id == cell.id);
    let (mut rows, mut met) = (Vec::new(), Vec::new());
    for (row, matched) in published.rows.iter().zip(&matches) {
        if matched.is_empty() {
            rows.push(row_beside(published, &row.name, Some(row), None, marks));
        }
        for cell in matched {
            rows.push(row_beside(published, &row.name, Some(row), Some(cell), marks));
            if !results::is_skipped(cell) {
                met.extend(rows.last().cloned());
            }
        }
    }
    let unmatched = cells.iter().filter(|cell| !is_matched(cell) && !results::is_skipped(cell));
    for cell in unmatched {
        rows.push(row_beside(published, "not published", None, Some(cell), marks));
    }
    PublishedView {
        met: Table { columns: columns(published), rows: met.into(), ..Table::default() },
        ..told(
            published,
            Table { columns: columns(published), rows: rows.into(), ..Table::default() },
        )
    }
}

/// What is told of a published table whatever was measured here.
fn told(published: &PublishedTable, table: Table) -> PublishedView {
    PublishedView {
        title: untrusted::line(published.title),
        source: untrusted::line(published.setting),
        table,
        met: Table::default(),
        follows: follows(published),
        notes: published.notes().map(|note| untrusted::line(&note)).collect(),
    }
}
/// What the source would have printed is dropped before what it did print.
const FORMULA_RANK: u8 = 50;

fn columns(published: &PublishedTable) -> Vec<Column> {
    // Which cell stands beside a row is for the scenario to say: it may be another engine.
    let label = untrusted::line(&published.row_label());
    let mut columns = vec![Column::words(label, 0), Column::words("cell, here", 0)];
    for (column, rank) in published.columns.iter().zip(1..) {
        let label = untrusted::line(column.heading);
        if column.quantity.is_some() {
            columns.push(Column::numbers(format!("{label}, here"), column.unit, rank));
        }
        if column.formula.is_some() {
            let header = format!("{label}, here by the published formula");
            columns.push(Column::numbers(header, column.unit, FORMULA_RANK));
        }
        columns.push(Column::numbers(format!("{label}, published"), column.unit, rank));
    }
    columns.push(Column::words("status", 0));
    columns
}

fn row_beside(
    published: &PublishedTable,
    name: &str,
    row: Option<&Row>,
    cell: Option<&CellSummary>,
    marks: &Marks,
) -> Vec<TableCell> {
    let here = cell.map_or_else(
        || TableCell::faint(ABSENT),
        |cell| TableCell::text(untrusted::line(&cell.name)),
    );
    let mut cells = vec![TableCell::text(untrusted::line(name)), here];
    for (at, column) in published.columns.iter().enumerate() {
        if let Some(quantity) = &column.quantity {
            cells.push(measured(cell, quantity, marks));
        }
        if let Some(formula) = column.formula {
            // A formula may depend on the row that it is to be compared with.
            let name = row.map(|row| row.name.as_str());
            let value = cell.and_then(|cell| formula(name.unwrap_or(&cell.name), cell));
            cells.push(
                value.map_or_else(
                    || TableCell::faint(ABSENT),
                    |value| TableCell::text(rounded(value)),
                ),
            );
        }
        cells.push(row.map_or_else(|| TableCell::faint(ABSENT), |row| printed(published, row, at)));
    }
    cells.push(
        cell.map_or_else(|| TableCell::faint("no cell"), |cell| results::status_cell(cell, marks)),
    );
    cells
}

/// A published figure with what it follows from.
fn printed(published: &PublishedTable, row: &Row, at: usize) -> TableCell {
    let Some(digits) = row.printed.get(at).and_then(Option::as_deref) else {
        return TableCell::faint(ABSENT);
    };
    let column = published.columns[at].key;
    TableCell {
        note: note(published, &row.name, column).into(),
        ..TableCell::text(untrusted::line(digits))
    }
}

fn measured(cell: Option<&CellSummary>, quantity: &Quantity, marks: &Marks) -> TableCell {
    match cell {
        Some(cell) => results::number_cell(cell, quantity, marks, true),
        None => TableCell::faint(ABSENT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample_run;

    fn names_and_status(rows: &[(&str, &[(&str, &str)])]) -> Vec<String> {
        let mut plan = PublishedPlan {
            table: String::new(),
            rows: indexmap::IndexMap::new(),
            names: std::collections::BTreeMap::new(),
            stand_ins: false,
        };
        for (name, conditions) in rows {
            let conditions = conditions.iter().map(|(key, value)| ((*key).into(), (*value).into()));
            plan.rows.insert((*name).to_owned(), conditions.collect());
        }
        let view = sample_run::with_input(|input| {
            let published = input.published.expect("the sample_run has one");
            beside(published, Some(&plan), input.summary, &Marks::default())
        });
        let rows = view.table.rows.iter();
        rows.map(|row| {
            let status = &row.last().expect("a status").text;
            format!("{}: {} {status}", row[0].text, row[1].text)
        })
        .collect()
    }

    #[test]
    fn a_published_row_stands_beside_every_cell_that_meets_its_conditions() {
        let rows = names_and_status(&[
            ("vLLM FP16", &[("engine", "tiny"), ("precision", "fp16")]),
            ("vLLM FP32", &[("engine", "transformers")]),
        ]);
        assert_eq!(
            rows[..5],
            [
                "vLLM FP16: tiny-fp16 ok",
                "vLLM FP32: transformers-fp16 skipped",
                "vLLM FP32: transformers-fp32 skipped",
                "Hugging Face FP16: – no cell",
                "Hugging Face FP32: – no cell",
            ]
        );
        assert_eq!(rows[5], "not published: tiny-fp32 ok", "matched cells are not repeated below");
    }
}
