//! The model lineup with its symbols, their legends and the five derived metrics.

use std::collections::{BTreeSet, HashMap};

use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::CellSummary;
use crate::published::billion_tokens::{ARCHITECTURES, Lineup, SIZE_CLASSES};
use crate::report::input::Input;
use crate::report::number::ABSENT;
use crate::report::untrusted;
use crate::report::view::caveats::Marks;
use crate::report::view::own_shape::ShapeView;
use crate::report::view::results;
use crate::report::view::table::{Column, Table, TableCell};

/// The five derived metrics by their published headings.
const METRICS: [(&str, &str, MetricId); 5] = [
    ("Input TPS/GPU", "tok/s", MetricId::PromptThroughputPerGpu),
    ("Output TPS/GPU", "tok/s", MetricId::OutputThroughputPerGpu),
    ("GPU-days/1B", "", MetricId::GpuDaysPer1bTokens),
    ("Node-days/1B", "", MetricId::NodeDaysPer1bTokens),
    ("GPUs/1B/h", "", MetricId::GpusFor1bTokensPerHour),
];

/// Makes the table.
pub(super) fn shape(input: &Input<'_>, cells: &[&CellSummary], marks: &Marks) -> ShapeView {
    let launches = input.plan.cells.iter().map(|cell| (&cell.id, &cell.launch));
    let launches: HashMap<_, _> = launches.collect();
    let launch_of =
        |cell: &CellSummary| launches.get(&cell.id).and_then(|id| input.plan.launches.get(*id));
    let architectures =
        ARCHITECTURES.map(|it| format!("{} {}: {}", it.symbol, it.name, it.meaning));
    let sizes = SIZE_CLASSES.map(|it| format!("{} {}: {}", it.symbol, it.name, it.meaning));
    ShapeView {
        title: "Model lineup".to_owned(),
        table: table(&Lineup::of(cells, launch_of), marks),
        notes: vec![
            format!("Architecture: {}.", architectures.join("; ")),
            format!("Size, total parameters: {}.", sizes.join("; ")),
            "Both are those of the published table where it has the model, else what its name says; \
             no name says that a model is dense."
                .to_owned(),
        ],
    }
}

/// Makes a row of each cell. The price has a column where one is known.
pub(crate) fn table(lineup: &Lineup<'_>, marks: &Marks) -> Table {
    let has_price =
        lineup.rows.iter().any(|row| row.cell.value(MetricId::CostPer1mTokens).is_some());
    let price = has_price.then_some(("Price/1M", "", MetricId::CostPer1mTokens));
    let metrics: Vec<_> = METRICS.into_iter().chain(price).collect();
    let mut columns = vec![
        Column::words("Model name", 0),
        Column::words("Architecture", 1),
        Column::words("Size", 1),
        Column::numbers("TP", "", 1),
        Column::numbers("PP", "", 1),
        Column::numbers("DP", "", 2),
        Column::words("Speculation", 1),
    ];
    let has_rests = are_alike(lineup);
    if has_rests {
        columns.push(Column::words("Result", 0));
    }
    columns.extend(metrics.iter().map(|(name, unit, _)| Column::numbers(*name, *unit, 0)));
    columns.push(Column::words("status", 0));
    let rows = lineup.rows.iter().map(|row| {
        let symbol = |told: Option<(&str, &str)>| match told {
            Some((symbol, name)) => TableCell::text(format!("{symbol} {name}")),
            None => TableCell::faint(ABSENT),
        };
        let mut cells = vec![
            TableCell::text(untrusted::line(&row.model)),
            symbol(row.architecture.map(|it| (it.symbol, it.name))),
            symbol(row.size.map(|it| (it.symbol, it.name))),
        ];
        let size = |size: Option<u32>| {
            let unknown = || TableCell::faint("not recorded");
            size.map_or_else(unknown, |size| TableCell::text(size.to_string()))
        };
        cells.extend(row.parallel.map(size));
        cells.push(TableCell::text(untrusted::line(&row.speculative)));
        if has_rests {
            cells.push(TableCell::text(untrusted::line(&row.rest())));
        }
        cells.extend(metrics.iter().map(|(_, _, metric)| {
            results::number_cell(row.cell, &Quantity::figure(*metric), marks, true)
        }));
        cells.push(results::status_cell(row.cell, marks));
        cells
    });
    Table { rows: rows.collect(), columns, left_out: String::new() }
}

/// Whether two rows have the same in all columns that the source names results by.
fn are_alike(lineup: &Lineup<'_>) -> bool {
    let names = lineup.rows.iter().map(|row| (&row.model, row.parallel, &row.speculative));
    names.collect::<BTreeSet<_>>().len() < lineup.rows.len()
}
