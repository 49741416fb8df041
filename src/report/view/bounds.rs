//! The numbers whose bound leaves something open.

use crate::metrics::bounds::is_unlimited;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::{CellSummary, NumberState, Summary};
use crate::report::number::rounded;
use crate::report::untrusted;
use crate::report::view::cells::quantities;
use crate::report::view::details::per_cell;
use crate::report::view::table::{Column, Table, TableCell, Tone};

/// Builds the table of numbers whose bound leaves something open: one row per cell and number.
pub(crate) fn bounds(summary: &Summary) -> Table {
    let columns = vec![
        Column::words("cell", 0),
        Column::words("number", 0),
        Column::words("unit", 1),
        Column::numbers("value", "", 0),
        Column::numbers("least", "", 0),
        Column::numbers("most", "", 0),
        Column::numbers("open", "%", 1),
        Column::words("state", 0),
    ];
    per_cell(summary, columns, |cell| {
        let numbers = quantities(cell).into_iter();
        numbers.filter_map(|quantity| bounds_row(cell, &quantity)).collect()
    })
}

fn bounds_row(cell: &CellSummary, quantity: &Quantity) -> Option<Vec<TableCell>> {
    let reading = quantity.read(cell)?;
    let (value, (low, high)) = (reading.value?, reading.bound?);
    let (word, tone) = match reading.state? {
        NumberState::Ok => return None,
        NumberState::Doubtful => ("doubtful", Tone::Plain),
        NumberState::Invalid => ("INVALID", Tone::Bad),
    };
    let (is_open, share) = (is_unlimited(high), (high - low) / value.abs() * 100.0);
    let state = TableCell { tone, ..TableCell::text(word) };
    Some(vec![
        TableCell::text(untrusted::line(&cell.name)),
        TableCell::text(untrusted::line(&quantity.label())),
        TableCell::text(untrusted::line(reading.unit)),
        TableCell::text(rounded(value)),
        TableCell::text(rounded(low)),
        TableCell::text(if is_open { "any".to_owned() } else { rounded(high) }),
        TableCell::text(if is_open { String::new() } else { rounded(share) }),
        state,
    ])
}
