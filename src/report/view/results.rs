//! The main table: one row per cell, what a person came for.

use crate::metrics::bounds::is_unlimited;
use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::{Quantity, Statistic};
use crate::metrics::summary::{CellStatus, CellSummary, Figure, NumberState, Summary};
use crate::plan::Plan;
use crate::report::number;
use crate::report::untrusted;
use crate::report::view::caveats::Marks;
use crate::report::view::records;
use crate::report::view::table::{Column, Table, TableCell, Tone};

/// Quantities of the main table with their rank (the highest is dropped first).
/// A quantity that no cell has makes no column.
fn quantities(plan: &Plan) -> Vec<(Quantity, u8)> {
    let figure = Quantity::figure;
    let percentile = Quantity::percentile;
    if plan.report == CALIBRATE {
        return vec![
            (figure(MetricId::ChunkThroughput), 5),
            (figure(MetricId::RequestThroughput), 6),
            (percentile(MetricId::AddedLatency, 50.0), 1),
            (percentile(MetricId::AddedLatency, 99.0), 1),
            (percentile(MetricId::AddedLatency, 99.9), 4),
            (percentile(MetricId::Ttft, 50.0), 8),
            (percentile(MetricId::SendLag, 50.0), 7),
            (percentile(MetricId::SendLag, 99.0), 2),
            (figure(MetricId::ClientCpuPerChunk), 3),
            (figure(MetricId::TtftBoundHeld), 9),
        ];
    }
    vec![
        (figure(MetricId::LoadTime), 8),
        (figure(MetricId::OutputThroughput), 3),
        (figure(MetricId::OutputThroughputPerGpu), 9),
        (figure(MetricId::RequestThroughput), 13),
        (percentile(MetricId::Ttft, 50.0), 1),
        (percentile(MetricId::Ttft, 99.0), 7),
        (percentile(MetricId::TtftScheduled, 99.0), 11),
        (percentile(MetricId::Tpot, 50.0), 2),
        (percentile(MetricId::Itl, 99.0), 14),
        (figure(MetricId::GoodputShare), 6),
        (figure(MetricId::EnergyPerToken), 10),
        (figure(MetricId::GpuUtilisation), 16),
        (figure(MetricId::PowerMean), 17),
        (percentile(MetricId::SendLag, 99.0), 15),
        (figure(MetricId::Accuracy), 4),
        (figure(MetricId::CorrectPerS), 18),
        (figure(MetricId::EnergyPerCorrectAnswer), 19),
        (figure(MetricId::EngineCpu), 20),
    ]
}

/// Returns what the main table prints of a plan's cells.
pub(crate) fn printed(plan: &Plan) -> Vec<Quantity> {
    quantities(plan).into_iter().map(|(quantity, _)| quantity).collect()
}

/// The report whose subject is `bench` itself.
pub(crate) const CALIBRATE: &str = "calibrate";

/// Returns a column's header: the unit of a rate says that it is one, the word is left out.
pub(crate) fn header(quantity: &Quantity) -> String {
    match quantity.id() {
        MetricId::RequestThroughput => "requests".to_owned(),
        MetricId::CorrectPerS => "correct".to_owned(),
        _ => quantity.label().replace(" throughput", ""),
    }
}

/// The scheduled view is what a closed loop does not have: there it repeats the service view.
fn is_shown(quantity: &Quantity, plan: &Plan) -> bool {
    let metric = quantity.id();
    let is_for_open_loops = metric == MetricId::TtftScheduled || metric == MetricId::SendLag;
    !is_for_open_loops || plan.cells.iter().any(super::conditions::is_open_loop)
}

/// Whether a cell has a number to show. What no cell has makes no column, nor does a rate per
/// device where each engine has one. A median stays with too few samples: who came for the
/// latency is told so.
fn is_worth_a_column(quantity: &Quantity, cell: &CellSummary) -> bool {
    let is_rate_of_one = quantity.id() == MetricId::OutputThroughputPerGpu && cell.n_gpus < 2;
    let is_median = quantity.statistic == Statistic::Percentile(50.0);
    let is_there = |read: Figure| read.value.is_some() || is_median && read.n > 0;
    !is_rate_of_one && quantity.read(cell).is_some_and(is_there)
}

/// Builds the main table: measured, failed and unfinished cells. Skipped ones stand apart.
pub(crate) fn main_table(summary: &Summary, plan: &Plan, marks: &Marks) -> Table {
    let cells: Vec<&CellSummary> = summary.cells.iter().filter(|cell| !is_skipped(cell)).collect();
    let keys = key_names(&cells);
    let folders = records::folders(plan);
    let shown: Vec<(Quantity, u8)> = quantities(plan)
        .into_iter()
        .filter(|(quantity, _)| plan.report == CALIBRATE || is_shown(quantity, plan))
        .filter(|(quantity, _)| cells.iter().any(|cell| is_worth_a_column(quantity, cell)))
        .collect();
    let any_failure = cells.iter().any(|cell| cell.counts.n_failed() > 0);

    let mut columns: Vec<Column> = key_columns(&keys);
    for (quantity, rank) in &shown {
        columns.push(Column::numbers(header(quantity), quantity.id().unit(), *rank));
    }
    columns.push(Column::numbers("n", "", 12));
    if any_failure {
        columns.push(Column::numbers("failed", "", 5));
    }
    columns.push(Column::words("status", 0));

    let rows = cells
        .iter()
        .map(|cell| {
            let mut row: Vec<TableCell> = key_cells(cell, &keys);
            for (quantity, _) in &shown {
                row.push(number_cell(cell, quantity, marks, true));
            }
            row.push(if cell.counts.scheduled == 0 {
                TableCell::faint(number::ABSENT)
            } else {
                let href = folders.get(&cell.id).map(|folder| records::requests(folder, 1));
                let href = href.unwrap_or_default().into();
                TableCell { href, ..TableCell::text(cell.counts.ok.to_string()) }
            });
            if any_failure {
                row.push(failed_cell(cell));
            }
            let anchor = records::in_url(&cell.name).into();
            row.push(TableCell { anchor, ..status_cell(cell, marks) });
            row
        })
        .collect();
    Table { columns, rows, left_out: String::new() }
}

/// Whether a cell was left out with a reason.
pub(crate) fn is_skipped(cell: &CellSummary) -> bool {
    cell.validity.status == CellStatus::Skipped
}

/// Returns the names of swept keys, in the order in which cells have them.
pub(crate) fn key_names(cells: &[&CellSummary]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for key in cells.iter().flat_map(|cell| cell.keys.keys()) {
        if !names.contains(key) {
            names.push(key.clone());
        }
    }
    names
}

/// Returns the columns of the swept keys; of the cell's name where nothing is swept.
pub(crate) fn key_columns(keys: &[String]) -> Vec<Column> {
    if keys.is_empty() {
        return vec![Column::words("cell", 0)];
    }
    keys.iter().map(|key| Column::words(untrusted::line(key), 0)).collect()
}

/// Returns the cells that belong to [`key_columns`].
pub(crate) fn key_cells(cell: &CellSummary, keys: &[String]) -> Vec<TableCell> {
    if keys.is_empty() {
        return vec![TableCell::text(untrusted::line(&cell.name))];
    }
    keys.iter()
        .map(|key| TableCell::text(untrusted::line(cell.keys.get(key).map_or("", String::as_str))))
        .collect()
}

/// Returns a number as it stands in a table.
pub(crate) fn number_cell(
    cell: &CellSummary,
    quantity: &Quantity,
    marks: &Marks,
    is_unit_in_header: bool,
) -> TableCell {
    let Some(reading) = quantity.read(cell) else {
        return TableCell::faint(number::ABSENT);
    };
    let printed = number::of_figure(quantity, &reading);
    let is_absent = reading.value.is_none();
    let mut text = if is_unit_in_header || is_absent {
        printed.value
    } else {
        format!("{} {}", printed.value, reading.unit)
    };
    let is_invalid = reading.state == Some(NumberState::Invalid);
    text.push_str(match reading.state {
        Some(NumberState::Invalid) => " INVALID",
        Some(NumberState::Doubtful) => " ?",
        Some(NumberState::Ok) | None => "",
    });
    TableCell {
        text: text.into(),
        spread: printed.spread.into(),
        note: note_of(&reading).into(),
        marks: marks.of_metric(&cell.caveats, quantity.id()).into(),
        tone: match () {
            () if is_absent => Tone::Faint,
            () if is_invalid => Tone::Bad,
            () => Tone::Plain,
        },
        ..TableCell::default()
    }
}

fn note_of(reading: &Figure) -> String {
    let mut notes = vec![format!("n = {}", reading.n), untrusted::line(&reading.note)];
    if let Some((low, high)) = reading.bound.filter(|_| reading.state > Some(NumberState::Ok)) {
        let (least, most) = (number::rounded(low), number::rounded(high));
        notes.push(if is_unlimited(high) {
            format!("truly at least {least}")
        } else {
            format!("truly between {least} and {most}")
        });
    }
    notes.retain(|note| !note.is_empty());
    notes.join("; ")
}

fn failed_cell(cell: &CellSummary) -> TableCell {
    if cell.counts.scheduled == 0 {
        return TableCell::faint(number::ABSENT);
    }
    let n_failed = cell.counts.n_failed();
    let causes: Vec<String> = cell
        .counts
        .failures()
        .map(|(cause, n)| format!("{n} {}", untrusted::line(cause)))
        .collect();
    TableCell {
        note: causes.join(", ").into(),
        tone: if n_failed > 0 { Tone::Bad } else { Tone::Plain },
        ..TableCell::text(format!("{n_failed} of {}", cell.counts.scheduled))
    }
}

/// Returns the state in one word, with the marks of doubts that touch everything.
pub(crate) fn status_cell(cell: &CellSummary, marks: &Marks) -> TableCell {
    let status = cell.validity.status;
    let (text, tone) = match status {
        CellStatus::Ok | CellStatus::Doubtful if cell.counts.n_over_saturated() > 0 => {
            ("over-saturated".to_owned(), Tone::Bad)
        }
        CellStatus::Ok => (status.word().to_owned(), Tone::Good),
        CellStatus::Doubtful => (status.word().to_owned(), Tone::Plain),
        // What makes the program fail is to be seen.
        CellStatus::Invalid | CellStatus::Failed => (status.word().to_uppercase(), Tone::Bad),
        CellStatus::Skipped => (status.word().to_owned(), Tone::Faint),
        CellStatus::Incomplete => (status.word().to_owned(), Tone::Bad),
    };
    TableCell {
        note: reasons(cell).join("; ").into(),
        marks: marks.of_all(&cell.caveats).into(),
        tone,
        ..TableCell::text(text)
    }
}

/// Returns why a cell's numbers are not to be believed, or are not there.
pub(crate) fn reasons(cell: &CellSummary) -> Vec<String> {
    let reasons = &cell.validity.reasons;
    if reasons.is_empty() && cell.validity.status == CellStatus::Incomplete {
        return vec!["interrupted, or not reached".to_owned()];
    }
    reasons.iter().map(|reason| untrusted::line(reason)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::input::Input;
    use crate::report::tests::sample_run;
    use crate::report::view::ReportView;

    #[test]
    fn a_median_of_too_few_samples_keeps_its_column_and_says_so() {
        let mut summary = sample_run::summary();
        for cell in &mut summary.cells {
            for metric in [MetricId::Ttft, MetricId::Tpot] {
                let Some(found) = cell.distributions.get_mut(&metric) else { continue };
                found.n = 5;
                found.percentiles.iter_mut().for_each(|percentile| percentile.value = None);
            }
        }
        let view =
            sample_run::with_input(|input| ReportView::new(&Input { summary: &summary, ..*input }));
        let table = view.results;
        let headers: Vec<&str> =
            table.columns.iter().map(|column| column.header.as_str()).collect();
        let at = headers.iter().position(|header| *header == "TTFT p50").expect("its column");
        assert!(table.rows.iter().any(|row| &*row[at].text == "n too small"), "{:?}", table.rows);
        assert!(!headers.contains(&"TTFT p99"), "{headers:?}");
    }
}
