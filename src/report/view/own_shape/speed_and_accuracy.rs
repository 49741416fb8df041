//! Speed, load time and accuracy of each variant, the best of each column marked.

use crate::metrics::summary::CellSummary;
use crate::published::tinyllama::SpeedAndAccuracy;
use crate::report::input::Input;
use crate::report::untrusted;
use crate::report::view::caveats::Marks;
use crate::report::view::own_shape::ShapeView;
use crate::report::view::results;
use crate::report::view::table::{Column, Table, TableCell, Tone};

/// Makes the table.
pub(super) fn shape(input: &Input<'_>, cells: &[&CellSummary], marks: &Marks) -> ShapeView {
    let shape = SpeedAndAccuracy::of(input.plan.published.as_ref(), cells);
    let mut columns = vec![Column::words("Model Variant", 0)];
    columns.extend(shape.columns.iter().map(|(name, unit, _)| Column::numbers(*name, *unit, 1)));
    columns.push(Column::words("status", 0));
    let rows = shape.rows.iter().enumerate().map(|(at, row)| {
        let mut cells = vec![TableCell::text(untrusted::line(&row.name))];
        for ((_, _, quantity), best) in shape.columns.iter().zip(&shape.best) {
            let mut cell = results::number_cell(row.cell, quantity, marks, true);
            if *best == Some(at) && cell.tone == Tone::Plain {
                cell.tone = Tone::Best;
            }
            cells.push(cell);
        }
        cells.push(results::status_cell(row.cell, marks));
        cells
    });
    ShapeView {
        title: "Model variant, speed, load time, accuracy".to_owned(),
        table: Table { columns, rows: rows.collect(), left_out: String::new() },
        notes: vec![
            "The best of each column is bold; whether it leads by more than noise is said above."
                .to_owned(),
        ],
    }
}
