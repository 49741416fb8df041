//! The charts of the main table: speed, load time and accuracy, measured beside published.

use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::{CellStatus, CellSummary};
use crate::published::{PublishedTable, Row, cells_of};
use crate::record::event::LoadTimeline;
use crate::report::figure::bars::{self, Bar, BarRow};
use crate::report::figure::timeline::{self, Course};
use crate::report::figure::{FigureView, SERIES_MAX, first_of};
use crate::report::input::Input;
use crate::report::number;
use crate::report::untrusted::line;
use crate::report::view::results;

/// Draws what a person looks at first: one panel per quantity, one row per published row and
/// measured cell.
pub fn overview(input: &Input<'_>) -> Vec<FigureView> {
    let percentile = Quantity::percentile;
    let figure = Quantity::figure;
    if input.plan.report == results::CALIBRATE {
        let added = [50.0, 99.0, 99.9].map(|p| percentile(MetricId::AddedLatency, p));
        let cost = [
            percentile(MetricId::SendLag, 99.0),
            figure(MetricId::ClientCpuPerChunk),
            figure(MetricId::ChunkThroughput),
        ];
        let added = panels(input, "added-latency", "What bench adds to latencies", &added);
        let cost = panels(input, "lag-and-cost", "Lag of sends, cost and rate", &cost);
        return added.into_iter().chain(cost).collect();
    }
    let wanted = [
        figure(MetricId::OutputThroughput),
        Quantity::figure(MetricId::LoadTime),
        Quantity::figure(MetricId::Accuracy),
    ];
    panels(input, "overview", "Speed, load time and accuracy", &wanted).into_iter().collect()
}

fn panels(input: &Input<'_>, id: &str, title: &str, wanted: &[Quantity]) -> Option<FigureView> {
    let cells: Vec<&CellSummary> = input.summary.cells.iter().collect();
    let is_known = |quantity: &&Quantity| cells.iter().any(|cell| quantity.value(cell).is_some());
    let quantities: Vec<Quantity> = wanted.iter().filter(is_known).cloned().collect();
    if quantities.is_empty() {
        return None;
    }
    let panels: Vec<String> = quantities
        .iter()
        .map(|quantity| match results::common_unit(quantity, &cells) {
            Some(unit) => format!("{} ({unit})", results::header(quantity)),
            None => results::header(quantity),
        })
        .collect();
    let rows = rows(input, &cells, &quantities);
    let n_rows = rows.len();
    let rows: Vec<BarRow> = rows.into_iter().take(SERIES_MAX).collect();
    let series: &[&str] = if input.published.is_some() {
        &["measured here", "published"]
    } else {
        &["measured here"]
    };
    Some(FigureView {
        id: id.to_owned(),
        svg: bars::draw(title, series, &panels, &rows),
        title: title.to_owned(),
        caption: format!("Whiskers are 95 % intervals.{}", first_of(n_rows, "rows")),
    })
}

/// Returns the swept values of a cell: what tells it from its neighbours.
fn label(cell: &CellSummary) -> String {
    let values: Vec<&str> = cell.keys.values().map(String::as_str).collect();
    if values.is_empty() { cell.name.clone() } else { values.join(" ") }
}

fn rows(input: &Input<'_>, cells: &[&CellSummary], quantities: &[Quantity]) -> Vec<BarRow> {
    let mut rows = Vec::new();
    let mut matched_ids = Vec::new();
    for row in input.published.map_or(&[][..], |published| published.rows.as_slice()) {
        let matched = input
            .plan
            .published
            .as_ref()
            .map_or_else(Vec::new, |plan| cells_of(plan, &row.name, cells));
        matched_ids.extend(matched.iter().map(|cell| &cell.id));
        if matched.is_empty() {
            rows.push(bar_row(input.published, Some(row), None, quantities));
        }
        for cell in matched {
            rows.push(bar_row(input.published, Some(row), Some(cell), quantities));
        }
    }
    for cell in cells.iter().filter(|cell| !matched_ids.contains(&&cell.id)) {
        if quantities.iter().any(|quantity| quantity.value(cell).is_some()) {
            rows.push(bar_row(input.published, None, Some(cell), quantities));
        }
    }
    rows
}

fn bar_row(
    published: Option<&PublishedTable>,
    row: Option<&Row>,
    cell: Option<&CellSummary>,
    quantities: &[Quantity],
) -> BarRow {
    let name = row.map(|row| row.name.clone()).or_else(|| cell.map(label)).unwrap_or_default();
    let bars = quantities
        .iter()
        .map(|quantity| {
            let measured = cell.and_then(|cell| measured_bar(cell, quantity));
            match published {
                Some(published) => {
                    vec![measured, row.and_then(|row| published_bar(published, row, quantity))]
                }
                None => vec![measured],
            }
        })
        .collect();
    BarRow { name: line(&name), bars }
}

fn measured_bar(cell: &CellSummary, quantity: &Quantity) -> Option<Bar> {
    let reading = quantity.read(cell)?;
    let value = reading.value.filter(|value| value.is_finite())?;
    let doubt = if cell.validity.status == CellStatus::Ok { "" } else { " ?" };
    let label = format!("{}{doubt}", number::of_figure(quantity, &reading).value);
    Some(Bar { value, interval: reading.interval, label })
}

fn published_bar(published: &PublishedTable, row: &Row, quantity: &Quantity) -> Option<Bar> {
    let digits = published.printed(row, quantity)?;
    let value = digits.parse().ok().filter(|value: &f64| value.is_finite())?;
    Some(Bar { value, interval: None, label: line(digits) })
}

/// Kinds of stretches, in the order in which a start goes through them.
const STAGES: [&str; 3] = ["until the port is bound", "until healthy", "until the first token"];

/// Draws every start of an engine, stage by stage.
pub fn load_timeline(input: &Input<'_>) -> Option<FigureView> {
    let courses: Vec<Course> = input
        .summary
        .cells
        .iter()
        .flat_map(|cell| {
            let several = cell.load.len() > 1;
            cell.load.iter().enumerate().map(move |(at, start)| {
                let name = line(&label(cell));
                let name = if several { format!("{name}, start {}", at + 1) } else { name };
                course(name, start)
            })
        })
        .filter(|course| !course.stretches.is_empty())
        .collect();
    if courses.is_empty() {
        return None;
    }
    let shown = &courses[..courses.len().min(SERIES_MAX)];
    let title = "Load time by stage".to_owned();
    Some(FigureView {
        id: "load-timeline".to_owned(),
        svg: timeline::draw(&title, &STAGES, shown),
        title,
        caption: format!(
            "From spawn to the first token of a probe request; dots are stages that the engine's log tells of.{}",
            first_of(courses.len(), "starts")
        ),
    })
}

fn course(name: String, start: &LoadTimeline) -> Course {
    let ends = [start.port_bound, start.healthy, start.first_token];
    let stretches = ends
        .iter()
        .enumerate()
        .filter_map(|(kind, end)| end.map(|end| (kind, end.as_secs_f64())))
        .collect();
    let moments =
        start.log_stages.iter().map(|stage| (line(&stage.name), stage.at.as_secs_f64())).collect();
    Course { name, stretches, moments }
}
