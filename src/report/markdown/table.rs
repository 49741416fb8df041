//! Lines of a Markdown table.

use crate::report::markdown::escape::escaped;
use crate::report::view::table::{Column, Table, TableCell};

/// Returns the two lines above the rows.
pub(crate) fn header(columns: &[Column]) -> [String; 2] {
    let rules = columns.iter().map(|it| if it.numeric { "---:" } else { "---" });
    let rules: Vec<&str> = rules.collect();
    [row(columns.iter().map(Column::title)), format!("|{}|", rules.join("|"))]
}

/// Returns one line.
pub(crate) fn row(cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<String> = cells.map(|cell| escaped(&cell)).collect();
    format!("| {} |", cells.join(" | "))
}

/// Returns all lines of a table.
pub(crate) fn lines(table: &Table) -> impl Iterator<Item = String> + '_ {
    let rows = table.rows.iter().map(|cells| row(cells.iter().map(TableCell::line)));
    header(&table.columns).into_iter().chain(rows)
}
