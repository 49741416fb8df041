//! Published tables whose rows are metrics: each measured cell is a column beside the figures.

use crate::metrics::summary::CellSummary;
use crate::published::PublishedTable;
use crate::published::derivation::decimals;
use crate::published::vllm_vs_sglang::findings::KeyFindings;
use crate::report::number::{ABSENT, counted, rounded};
use crate::report::untrusted;
use crate::report::view::published::printed;
use crate::report::view::results;
use crate::report::view::table::{Column, Table, TableCell};

/// Cells that have a column; the others are in the block of each.
const CELLS_MAX: usize = 6;

/// Returns the table of metrics; `None` where rows are cells.
pub(super) fn table(published: &PublishedTable, cells: &[&CellSummary]) -> Option<Table> {
    if published.name == "vllm_vs_sglang" {
        return Some(findings(published, cells));
    }
    if published.columns.is_empty() {
        return Some(Table::default());
    }
    let value = published.row_value?;
    let measured: Vec<&&CellSummary> =
        cells.iter().filter(|cell| cell.validity.status.is_measured()).collect();
    let mut columns = names(published);
    let shown = &measured[..measured.len().min(CELLS_MAX)];
    columns.extend(
        shown
            .iter()
            .map(|cell| Column::numbers(format!("{}, here", untrusted::line(&cell.name)), "", 1)),
    );
    let rows = published.rows.iter().map(|row| {
        let mut line = named(published, row);
        let n_decimals = row.printed.last().and_then(Option::as_deref).map_or(0, decimals);
        line.extend(shown.iter().map(|cell| match value(&row.name, cell) {
            Some(value) => TableCell::text(format!("{value:.*}", n_decimals as usize)),
            None => TableCell::faint(ABSENT),
        }));
        line
    });
    let left_out = if measured.len() > shown.len() {
        format!("The first {} of {} measured cells.", shown.len(), measured.len())
    } else {
        String::new()
    };
    Some(Table { columns, rows: rows.collect(), left_out })
}

/// Where there is no room for both, what is published goes before what was measured here.
const PUBLISHED_RANK: u8 = 2;

/// The published columns, all of them.
fn names(published: &PublishedTable) -> Vec<Column> {
    let mut columns = vec![Column::words(untrusted::line(&published.row_label()), 0)];
    columns.extend(published.columns.iter().map(|column| {
        Column::words(format!("{}, published", untrusted::line(column.heading)), PUBLISHED_RANK)
    }));
    columns
}

fn named(published: &PublishedTable, row: &crate::published::Row) -> Vec<TableCell> {
    let mut line = vec![TableCell::text(untrusted::line(&row.name))];
    line.extend((0..published.columns.len()).map(|at| printed(published, row, at)));
    line
}

/// The key findings, published and measured: of the first two engines of the run, for which the
/// report's own tables tell of each two.
fn findings(published: &PublishedTable, cells: &[&CellSummary]) -> Table {
    let usable: Vec<&CellSummary> =
        cells.iter().copied().filter(|cell| !results::is_skipped(cell)).collect();
    let mut columns = names(published);
    let all = KeyFindings::all_of(&usable);
    let Some(found) = all.first() else {
        let rows = published.rows.iter().map(|row| named(published, row)).collect();
        return Table { columns, rows, left_out: String::new() };
    };
    let engines = found.engines.iter();
    columns.extend(
        engines.map(|engine| Column::numbers(format!("{}, here", untrusted::line(engine)), "", 1)),
    );
    columns.push(Column::words("Winner, here", 1));
    let rows = published.rows.iter().zip(&found.findings).map(|(row, finding)| {
        let mut line = named(published, row);
        line.extend(finding.sides.iter().map(|side| {
            match side.as_ref().and_then(|figure| figure.value) {
                Some(value) => TableCell {
                    // The loads here may be others than the published ones.
                    spread: finding.at.map(|load| format!("at {load}").into()).unwrap_or_default(),
                    ..TableCell::text(format!("{} {}", rounded(value), finding.unit))
                },
                None => TableCell::faint(ABSENT),
            }
        }));
        line.push(TableCell::text(untrusted::line(&finding.verdict(&found.engines))));
        line
    });
    let left_out = match all.len() - 1 {
        0 => String::new(),
        n => format!("{} of other engines or cells above.", counted(n as u64, "more table")),
    };
    Table { columns, rows: rows.collect(), left_out }
}
