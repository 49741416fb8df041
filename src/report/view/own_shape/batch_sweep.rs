//! The batch sweep: one table per kind of prompts, one utilisation column per GPU.

use crate::metrics::summary::CellSummary;
use crate::published::batch_sweep::BatchSweep;
use crate::report::input::Input;
use crate::report::untrusted;
use crate::report::view::caveats::Marks;
use crate::report::view::own_shape::ShapeView;
use crate::report::view::results;
use crate::report::view::table::{Column, Table, TableCell};

/// Makes the tables.
pub(super) fn shapes(input: &Input<'_>, cells: &[&CellSummary], marks: &Marks) -> Vec<ShapeView> {
    let uuids = input.environment.gpu_uuids();
    let sweep = BatchSweep::of(input.plan.published.as_ref(), cells, &uuids);
    let mut columns = vec![Column::words("Framework", 0), Column::numbers("Batch", "", 0)];
    columns.extend(sweep.columns.iter().map(|(name, unit, _)| Column::numbers(name, *unit, 1)));
    columns.push(Column::words("status", 0));
    let shape = |section: &crate::published::batch_sweep::SweepSection<'_>| {
        let rows = section.rows.iter().map(|(framework, batch, cell)| {
            let mut row = vec![
                TableCell::text(untrusted::line(framework)),
                TableCell::text(untrusted::line(batch)),
            ];
            let figures = sweep.columns.iter();
            row.extend(
                figures.map(|(_, _, quantity)| results::number_cell(cell, quantity, marks, true)),
            );
            row.push(results::status_cell(cell, marks));
            row
        });
        let mut notes = Vec::new();
        if uuids.is_empty() {
            notes
                .push("No GPU was seen here, so there is no column of its utilisation.".to_owned());
        }
        ShapeView {
            title: if section.title.is_empty() {
                "Batch sweep".to_owned()
            } else {
                untrusted::line(&section.title)
            },
            table: Table {
                columns: columns.clone(),
                rows: rows.collect(),
                left_out: String::new(),
            },
            notes,
        }
    };
    sweep.sections.iter().map(shape).collect()
}
