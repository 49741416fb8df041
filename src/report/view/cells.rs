//! Every number of every cell by its name, so that a template can choose its own columns.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::{Quantity, Statistic};
use crate::metrics::summary::{CellSummary, Summary};
use crate::report::untrusted;
use crate::report::view::caveats::Marks;
use crate::report::view::conditions::Fact;
use crate::report::view::details::DETAIL_CELLS_MAX;
use crate::report::view::long_list::LongList;
use crate::report::view::results;
use crate::report::view::table::TableCell;

/// One cell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct CellView {
    /// Its name.
    pub name: String,
    /// Swept keys and values.
    pub keys: Vec<Fact>,
    /// The state in one word.
    pub status: TableCell,
    /// Numbers by quantity: `load_time`, `output_throughput`, `ttft.p50`, `ttft.mean` …
    pub numbers: BTreeMap<String, NumberView>,
}

/// One number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct NumberView {
    /// Unit.
    pub unit: String,
    /// The number as a table shows it.
    pub cell: TableCell,
}

/// Lists the numbers of the first cells.
pub(crate) fn cells(summary: &Summary, marks: &Marks) -> LongList<CellView> {
    summary.cells.iter().take(DETAIL_CELLS_MAX).map(|cell| cell_view(cell, marks)).collect()
}

fn cell_view(cell: &CellSummary, marks: &Marks) -> CellView {
    let numbers = quantities(cell).into_iter().filter_map(|quantity| {
        let unit = untrusted::line(quantity.read(cell)?.unit);
        let number = results::number_cell(cell, &quantity, marks, true);
        Some((String::from(quantity), NumberView { unit, cell: number }))
    });
    CellView {
        name: untrusted::line(&cell.name),
        keys: cell.keys.iter().map(|(key, value)| Fact::new(untrusted::line(key), value)).collect(),
        status: results::status_cell(cell, marks),
        numbers: numbers.collect(),
    }
}

/// Returns every number of a cell.
pub(super) fn quantities(cell: &CellSummary) -> Vec<Quantity> {
    let mut quantities =
        vec![Quantity::figure(MetricId::LoadTime), Quantity::figure(MetricId::Accuracy)];
    let figures = cell.figures.keys().cloned();
    quantities.extend(figures.map(|metric| Quantity { metric, statistic: Statistic::Value }));
    for (&metric, distribution) in &cell.distributions {
        quantities.push(Quantity::mean(metric));
        let percentiles = distribution.percentile_names().into_iter();
        quantities.extend(percentiles.map(|p| Quantity::percentile(metric, p)));
    }
    quantities
}
