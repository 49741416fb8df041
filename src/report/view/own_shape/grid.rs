//! Specific shapes: a grid of input lengths by output lengths for each quantity.

use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::CellSummary;
use crate::published::shapes::ShapeGrid;
use crate::report::number::ABSENT;
use crate::report::untrusted;
use crate::report::view::caveats::Marks;
use crate::report::view::own_shape::ShapeView;
use crate::report::view::results;
use crate::report::view::table::{Column, Table, TableCell};

/// Makes one table per grid and quantity.
pub(super) fn shapes(cells: &[&CellSummary], marks: &Marks) -> Vec<ShapeView> {
    let quantities = [
        Quantity::figure(MetricId::OutputThroughput),
        Quantity::percentile(MetricId::Ttft, 50.0),
        Quantity::percentile(MetricId::Tpot, 50.0),
    ];
    let grids = ShapeGrid::all_of(cells);
    let shapes = grids.iter().flat_map(|grid| quantities.iter().map(|of| shape(grid, of, marks)));
    shapes.collect()
}

fn shape(grid: &ShapeGrid<'_>, quantity: &Quantity, marks: &Marks) -> ShapeView {
    let unit = quantity.id().unit();
    let mut columns = vec![Column::words("input \\ output tokens", 0)];
    columns.extend(grid.outputs.iter().map(|length| Column::numbers(length.to_string(), "", 0)));
    let rows = grid.inputs.iter().zip(&grid.cells).map(|(input, cells)| {
        let mut row = vec![TableCell::text(input.to_string())];
        row.extend(cells.iter().map(|cell| match cell {
            Some(cell) => results::number_cell(cell, quantity, marks, true),
            None => TableCell::faint(ABSENT),
        }));
        row
    });
    let mut title = format!("{} ({unit})", quantity.label());
    if !grid.title.is_empty() {
        title = format!("{title}, {}", untrusted::line(&grid.title));
    }
    ShapeView {
        title,
        table: Table { columns, rows: rows.collect(), left_out: String::new() },
        notes: Vec::new(),
    }
}
