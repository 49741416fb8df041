//! Tables behind the main one: every figure, every distribution, every class of answer.

use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::{Quantity, Statistic};
use crate::metrics::summary::{CellSummary, Distribution, Summary};
use crate::plan::Plan;
use crate::record::event::{LoadTimeline, PageCache};
use crate::report::number::{self, ABSENT, percent, printed, rounded};
use crate::report::untrusted;
use crate::report::view::caveats::Marks;
use crate::report::view::records;
use crate::report::view::table::{Column, Table, TableCell};
use crate::score::Accuracy;
use crate::units::Nanos;

/// Cells whose details are spelled out; the files beside the report hold those of all.
pub(crate) const DETAIL_CELLS_MAX: usize = 200;

/// Percentiles that have a column.
const PERCENTILES: [f64; 5] = [50.0, 90.0, 95.0, 99.0, 99.9];

/// Latencies from the instant at which a request was due.
const SCHEDULED: [MetricId; 2] = [MetricId::TtftScheduled, MetricId::E2eScheduled];

/// Makes a table with the rows that `rows_of` gives for each of the first cells.
pub(super) fn per_cell(
    summary: &Summary,
    columns: Vec<Column>,
    rows_of: impl Fn(&CellSummary) -> Vec<Vec<TableCell>>,
) -> Table {
    let rows = summary.cells.iter().take(DETAIL_CELLS_MAX).flat_map(rows_of).collect();
    let left_out = if summary.cells.len() > DETAIL_CELLS_MAX {
        format!(
            "The first {DETAIL_CELLS_MAX} of {} cells; summary.csv and summary.json hold all.",
            summary.cells.len()
        )
    } else {
        String::new()
    };
    Table { columns, rows, left_out }
}

fn name_cell(cell: &CellSummary) -> TableCell {
    TableCell::text(untrusted::line(&cell.name))
}

/// Builds the table of single figures: one row per cell and metric.
pub(crate) fn figures(summary: &Summary, marks: &Marks) -> Table {
    let columns = vec![
        Column::words("cell", 0),
        Column::words("figure", 0),
        Column::numbers("value", "", 0),
        Column::words("unit", 1),
        Column::numbers("n", "", 2),
        Column::words("estimator", 3),
    ];
    per_cell(summary, columns, |cell| {
        cell.figures
            .iter()
            .map(|(metric, figure)| {
                let quantity = Quantity { metric: metric.clone(), statistic: Statistic::Value };
                vec![
                    name_cell(cell),
                    TableCell::text(untrusted::line(&quantity.label())),
                    super::results::number_cell(cell, &quantity, marks, true),
                    TableCell::text(untrusted::line(figure.unit)),
                    TableCell::text(figure.n.to_string()),
                    TableCell::text(untrusted::line(&figure.note)),
                ]
            })
            .collect()
    })
}

/// Builds the table of distributions: one row per cell and metric.
pub(crate) fn distributions(summary: &Summary, marks: &Marks) -> Table {
    let mut columns = vec![
        Column::words("cell", 0),
        Column::words("metric", 0),
        Column::words("unit", 0),
        Column::numbers("n", "", 2),
        Column::numbers("mean", "", 1),
        Column::numbers("std", "", 5),
        Column::numbers("min", "", 6),
    ];
    columns.extend(PERCENTILES.iter().map(|p| Column::numbers(format!("p{p}"), "", 3)));
    columns.push(Column::numbers("max", "", 6));
    columns.push(Column::words("note", 7));
    per_cell(summary, columns, |cell| {
        cell.distributions
            .iter()
            .map(|(&metric, distribution)| distribution_row(cell, metric, distribution, marks))
            .collect()
    })
    .without_empty_columns()
}

fn distribution_row(
    cell: &CellSummary,
    metric: MetricId,
    distribution: &Distribution,
    marks: &Marks,
) -> Vec<TableCell> {
    let plain = |value: Option<f64>| {
        value.map_or_else(|| TableCell::faint(ABSENT), |value| TableCell::text(rounded(value)))
    };
    let mut name = TableCell::text(metric.row().name);
    name.marks = marks.of_metric(&cell.caveats, metric).into();
    let mut row = vec![
        name_cell(cell),
        name,
        TableCell::text(untrusted::line(distribution.unit)),
        TableCell::text(distribution.n.to_string()),
        plain(distribution.mean),
        plain(distribution.std),
        plain(distribution.min),
    ];
    for p in PERCENTILES {
        let quantity = Quantity::percentile(metric, p);
        let mut number = if quantity.read(cell).is_some() {
            super::results::number_cell(cell, &quantity, marks, true)
        } else {
            TableCell::default()
        };
        number.marks = Box::default();
        row.push(number);
    }
    row.push(plain(distribution.max));
    row.push(TableCell::text(untrusted::line(distribution.note.as_deref().unwrap_or_default())));
    row
}

/// Builds the table of percentiles in which failed requests are slower than all others: one row
/// per latency of each cell that has failures beside answers.
pub(crate) fn with_failures(summary: &Summary, plan: &Plan) -> Table {
    let mut columns = vec![
        Column::words("cell", 0),
        Column::words("metric", 0),
        Column::words("unit", 1),
        Column::words("failed", 3),
    ];
    // The median stays where there is hardly any room.
    let rank = |p: f64| if p > 50.0 { 2 } else { 0 };
    columns.extend(PERCENTILES.iter().map(|&p| Column::numbers(format!("p{p}"), "", rank(p))));
    let mut open_loops = plan.cells.iter().filter(|cell| super::conditions::is_open_loop(cell));
    let has_open_loop = open_loops.next().is_some();
    per_cell(summary, columns, |cell| {
        if cell.counts.n_failed() == 0 {
            return Vec::new();
        }
        // In a closed loop what counts from the due send repeats what counts from the send.
        let latencies = cell
            .distributions
            .iter()
            .filter(|(metric, _)| metric.row().counts_failures)
            .filter(|(metric, _)| has_open_loop || !SCHEDULED.contains(metric))
            .filter(|(_, found)| found.percentiles.iter().any(|at| at.value.is_some()));
        latencies.map(|(&metric, found)| inflated_row(cell, metric, found)).collect()
    })
    .without_empty_columns()
}

fn inflated_row(
    cell: &CellSummary,
    metric: MetricId,
    distribution: &Distribution,
) -> Vec<TableCell> {
    let mut row = vec![
        name_cell(cell),
        TableCell::text(metric.row().name),
        TableCell::text(untrusted::line(distribution.unit)),
        TableCell::text(format!("{} of {}", cell.counts.n_failed(), cell.counts.scheduled)),
    ];
    row.extend(PERCENTILES.iter().map(|p| {
        match distribution.percentile(*p).map(|at| (at.value, at.with_failures)) {
            Some((_, Some(value))) => TableCell::text(rounded(value)),
            Some((Some(_), None)) => TableCell::text("failed"),
            Some((None, None)) | None => TableCell::default(),
        }
    }));
    row
}

/// Builds the table of answers by class: one row per cell and extractor.
pub(crate) fn accuracy(summary: &Summary, marks: &Marks) -> Table {
    let columns = vec![
        Column::words("cell", 0),
        Column::words("extractor", 0),
        Column::numbers("accuracy", "%", 0),
        Column::numbers("n", "", 1),
        Column::numbers("correct", "", 1),
        Column::numbers("wrong", "", 2),
        Column::numbers("wrong by format", "", 2),
        Column::numbers("unparsed", "", 2),
        Column::numbers("truncated", "", 3),
        Column::numbers("empty", "", 3),
        Column::numbers("degenerate", "", 4),
        Column::numbers("request errors", "", 3),
    ];
    per_cell(summary, columns, |cell| {
        cell.accuracy.iter().map(|accuracy| accuracy_row(cell, accuracy, marks)).collect()
    })
}

fn accuracy_row(cell: &CellSummary, accuracy: &Accuracy, marks: &Marks) -> Vec<TableCell> {
    let mut share = match accuracy.share {
        Some(share) => {
            let interval = accuracy.interval.map(|(low, high)| (low * 100.0, high * 100.0));
            let printed = printed(share * 100.0, interval, "%");
            TableCell { spread: printed.spread.into(), ..TableCell::text(printed.value) }
        }
        None => TableCell::faint("no data"),
    };
    share.marks = marks.of_metric(&cell.caveats, MetricId::Accuracy).into();
    let count = |n: u64| TableCell::text(n.to_string());
    vec![
        name_cell(cell),
        TableCell::text(untrusted::line(&accuracy.extractor)),
        share,
        count(accuracy.n),
        count(accuracy.correct),
        count(accuracy.wrong),
        count(accuracy.wrong_by_format),
        count(accuracy.unparsed),
        count(accuracy.truncated),
        count(accuracy.empty),
        count(accuracy.degenerate),
        count(accuracy.request_errors),
    ]
}

/// Builds the table of requests by their end: one row per cell.
pub(crate) fn counts(summary: &Summary) -> Table {
    let columns = vec![
        Column::words("cell", 0),
        Column::numbers("scheduled", "", 1),
        Column::numbers("ok", "", 0),
        Column::words("failed", 0),
        Column::words("ended by bench", 1),
        Column::numbers("failed share", "", 2),
    ];
    per_cell(summary, columns, |cell| {
        if cell.counts.scheduled == 0 {
            return Vec::new();
        }
        let by_cause = |causes: &std::collections::BTreeMap<String, u64>| {
            let words: Vec<String> =
                causes.iter().map(|(cause, n)| format!("{n} {}", untrusted::line(cause))).collect();
            TableCell::text(if words.is_empty() { "0".to_owned() } else { words.join(", ") })
        };
        let share = cell.counts.n_failed() as f64 / cell.counts.scheduled as f64;
        vec![vec![
            name_cell(cell),
            TableCell::text(cell.counts.scheduled.to_string()),
            TableCell::text(cell.counts.ok.to_string()),
            by_cause(&cell.counts.errors),
            by_cause(&cell.counts.cancelled),
            TableCell::text(percent(share)),
        ]]
    })
}

/// Builds the table of records: one row per cell and trial.
pub(super) fn records(summary: &Summary, plan: &Plan) -> Table {
    let folders = records::folders(plan);
    let columns = ["cell", "trial", "requests", "answers", "telemetry"];
    let columns = columns.map(|header| Column::words(header, 0)).into();
    per_cell(summary, columns, |cell| {
        let Some(folder) = folders.get(&cell.id) else { return Vec::new() };
        let row = |trial: u32| {
            let mut row = vec![
                TableCell::text(untrusted::line(&cell.name)),
                TableCell::text(trial.to_string()),
            ];
            row.extend(records::FILES.map(|file| TableCell {
                href: records::address(folder, trial, file).into(),
                ..TableCell::text(file)
            }));
            row
        };
        (1..=cell.n_trials).map(row).collect()
    })
}

/// Builds the table of engine starts: one row per cell and start.
pub(crate) fn load(summary: &Summary) -> Table {
    let columns = vec![
        Column::words("cell", 0),
        Column::numbers("start", "", 1),
        Column::numbers("port bound", "s", 3),
        Column::numbers("healthy", "s", 2),
        Column::numbers("first token", "s", 0),
        Column::words("page cache", 4),
        Column::words("stages in the log", 5),
    ];
    per_cell(summary, columns, |cell| {
        cell.load.iter().enumerate().map(|(at, start)| load_row(cell, at + 1, start)).collect()
    })
}

fn load_row(cell: &CellSummary, number: usize, start: &LoadTimeline) -> Vec<TableCell> {
    let secs = |at: Option<Nanos>| {
        at.map_or_else(
            || TableCell::faint(number::ABSENT),
            |at| TableCell::text(rounded(at.as_secs_f64())),
        )
    };
    let page_cache = match start.page_cache {
        PageCache::AsFound => "as found",
        PageCache::Cold => "cold",
        PageCache::Prefetched => "prefetched",
    };
    let stages: Vec<String> = start
        .log_stages
        .iter()
        .map(|stage| match stage.took {
            Some(took) => format!("{} at {} (took {took})", untrusted::line(&stage.name), stage.at),
            None => format!("{} at {}", untrusted::line(&stage.name), stage.at),
        })
        .collect();
    vec![
        name_cell(cell),
        TableCell::text(number.to_string()),
        secs(start.port_bound),
        secs(start.healthy),
        secs(start.first_token),
        TableCell::text(page_cache),
        TableCell::text(stages.join(", ")),
    ]
}
