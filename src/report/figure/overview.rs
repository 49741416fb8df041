//! The charts of the main table: speed, load time and accuracy, measured beside published.

use std::collections::BTreeMap;

use crate::ids::{CellId, LaunchId};
use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::CellSummary;
use crate::published::{PublishedTable, Row, cells_of};
use crate::record::event::LoadTimeline;
use crate::report::figure::alternatives::{Alternatives, is_hollow};
use crate::report::figure::bars::{self, Bar, BarRow};
use crate::report::figure::timeline::{self, Course};
use crate::report::figure::{FigureView, SERIES_MAX, first_of};
use crate::report::input::Input;
use crate::report::number;
use crate::report::untrusted::line;
use crate::report::view::results;

/// Draws what a person looks at first: one panel per quantity, one row per published row and
/// measured cell.
pub(super) fn overview(input: &Input<'_>, alternatives: &Alternatives<'_>) -> Vec<FigureView> {
    let percentile = Quantity::percentile;
    let figure = Quantity::figure;
    if input.plan.report == results::CALIBRATE {
        let added = [50.0, 99.0, 99.9].map(|p| percentile(MetricId::AddedLatency, p));
        let cost = [
            percentile(MetricId::SendLag, 99.0),
            figure(MetricId::ClientCpuPerChunk),
            figure(MetricId::ChunkThroughput),
        ];
        let added =
            panels(input, alternatives, "added-latency", "What bench adds to latencies", &added);
        let cost =
            panels(input, alternatives, "lag-and-cost", "Lag of sends, cost and rate", &cost);
        return added.into_iter().chain(cost).collect();
    }
    speed_load_accuracy(input, alternatives, "overview", "Speed, load time and accuracy")
        .into_iter()
        .collect()
}

/// Draws what a row costs and brings, under an id and a title.
pub(super) fn speed_load_accuracy(
    input: &Input<'_>,
    alternatives: &Alternatives<'_>,
    id: &str,
    title: &str,
) -> Option<FigureView> {
    let wanted = [MetricId::OutputThroughput, MetricId::LoadTime, MetricId::Accuracy];
    panels(input, alternatives, id, title, &wanted.map(Quantity::figure))
}

pub(super) fn panels(
    input: &Input<'_>,
    alternatives: &Alternatives<'_>,
    id: &str,
    title: &str,
    wanted: &[Quantity],
) -> Option<FigureView> {
    let cells: Vec<&CellSummary> = measured(input).collect();
    let is_known = |quantity: &&Quantity| cells.iter().any(|cell| quantity.value(cell).is_some());
    let quantities: Vec<Quantity> = wanted.iter().filter(is_known).cloned().collect();
    if quantities.is_empty() {
        return None;
    }
    let panels: Vec<String> = quantities
        .iter()
        .map(|quantity| format!("{} ({})", results::header(quantity), quantity.id().unit()))
        .collect();
    let mut rows = rows(input, alternatives, &cells, &quantities);
    // Rows of a table of metrics are none of these.
    rows.retain(|row| row.bars.iter().flatten().any(Option::is_some));
    let n_rows = rows.len();
    // Of more rows than there is room for, those that were measured here stay.
    if n_rows > SERIES_MAX {
        rows.sort_by_key(|row| !has_bar(row, MEASURED));
    }
    rows.truncate(SERIES_MAX);
    let series = ["measured here", "published"];
    let is_beside = rows.iter().any(|row| has_bar(row, PUBLISHED));
    let series = if is_beside { &series[..] } else { &series[..1] };
    Some(FigureView {
        id: id.to_owned(),
        svg: bars::draw(title, series, &panels, &rows),
        title: title.to_owned(),
        caption: format!("Whiskers are 95 % intervals.{}", first_of(n_rows, "rows")),
    })
}

/// Places of the bars of a row.
const MEASURED: usize = 0;
const PUBLISHED: usize = 1;

fn has_bar(row: &BarRow, series: usize) -> bool {
    row.bars.iter().any(|panel| panel.get(series).is_some_and(Option::is_some))
}

/// The cells whose numbers are drawn: those of one that failed are no result.
pub(super) fn measured<'a>(input: &Input<'a>) -> impl Iterator<Item = &'a CellSummary> {
    input.summary.cells.iter().filter(|cell| cell.validity.status.is_measured())
}

/// Returns the swept values of a cell: what tells it from its neighbours. A number says what it is of.
fn label(cell: &CellSummary) -> String {
    let value = |(key, value): (&String, &String)| {
        if value.parse::<f64>().is_ok() { format!("{key}={value}") } else { value.clone() }
    };
    let values: Vec<String> = cell.keys.iter().map(value).collect();
    if values.is_empty() { cell.name.clone() } else { values.join(" ") }
}

fn rows(
    input: &Input<'_>,
    alternatives: &Alternatives<'_>,
    cells: &[&CellSummary],
    quantities: &[Quantity],
) -> Vec<BarRow> {
    let stands_in = input.plan.published.as_ref().is_some_and(|plan| plan.stand_ins);
    let bar_row = |published, row: Option<&Row>, cell: Option<&CellSummary>, quantities| {
        let drawn = bar_row(published, row, cell, quantities);
        let colour = cell.map_or(0, |cell| alternatives.colour(cell));
        match (row, cell) {
            (Some(row), Some(cell)) if stands_in => {
                let name = line(&format!("{}, here {}", row.name, label(cell)));
                BarRow { name, colour, ..drawn }
            }
            _ => BarRow { colour, ..drawn },
        }
    };
    let mut rows = Vec::new();
    let mut matched_ids = Vec::new();
    for row in input.published.map_or(&[][..], |published| published.rows.as_slice()) {
        let matched =
            input.plan.published.as_ref().map_or_else(Vec::new, |plan| cells_of(plan, row, cells));
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
    BarRow { name: line(&name), bars, ..BarRow::default() }
}

fn measured_bar(cell: &CellSummary, quantity: &Quantity) -> Option<Bar> {
    let reading = quantity.read(cell)?;
    let value = reading.value.filter(|value| value.is_finite())?;
    let is_hollow = is_hollow(cell, &[&reading]);
    let label = number::of_figure(quantity, &reading).value;
    Some(Bar { value, interval: reading.interval, label, is_hollow })
}

fn published_bar(published: &PublishedTable, row: &Row, quantity: &Quantity) -> Option<Bar> {
    let digits = published.printed(row, quantity)?;
    let value = digits.parse().ok().filter(|value: &f64| value.is_finite())?;
    Some(Bar { value, label: line(digits), ..Bar::default() })
}

/// Kinds of stretches, in the order in which a start goes through them.
const STAGES: [&str; 3] = ["until the port is bound", "until healthy", "until the first token"];

/// Draws every start of an engine once, stage by stage.
pub(super) fn load_timeline(
    input: &Input<'_>,
    alternatives: &Alternatives<'_>,
) -> Option<FigureView> {
    let launch_of: BTreeMap<&CellId, &LaunchId> =
        input.plan.cells.iter().map(|cell| (&cell.id, &cell.launch)).collect();
    let mut seen: Vec<(Option<&LaunchId>, &LoadTimeline)> = Vec::new();
    let mut courses: Vec<Course> = Vec::new();
    for cell in &input.summary.cells {
        let launch = launch_of.get(&cell.id).copied();
        let several = cell.load.len() > 1;
        for (at, start) in cell.load.iter().enumerate() {
            // Cells that share an engine have the same starts.
            if launch.is_some() && seen.contains(&(launch, start)) {
                continue;
            }
            seen.push((launch, start));
            let name = launch_name(input, cell, launch);
            let name = if several { format!("{name}, start {}", at + 1) } else { name };
            courses.push(Course { colour: alternatives.colour(cell), ..course(name, start) });
        }
    }
    courses.retain(|course| !course.stretches.is_empty());
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
            "Once per start, from spawn to the first token of a probe request; dots are stages that the engine's log tells of.{}",
            first_of(courses.len(), "starts")
        ),
    })
}

/// Names an engine by what its cells have in common; a cell that has it alone by its own name.
fn launch_name(input: &Input<'_>, cell: &CellSummary, launch: Option<&LaunchId>) -> String {
    let own = input.plan.cells.iter().filter(|planned| Some(&planned.launch) == launch);
    let own: Vec<_> = own.collect();
    let is_common =
        |key: &str, value: &String| own.iter().all(|it| it.keys.get(key) == Some(value));
    let common = cell.keys.iter().filter(|(key, value)| is_common(key, value));
    let values: Vec<&str> = common.map(|(_, value)| value.as_str()).collect();
    line(&if values.is_empty() { label(cell) } else { values.join(" ") })
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
    Course { name, stretches, moments, ..Course::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::summary::{CellStatus, Summary};
    use crate::report::tests::sample_run;

    #[test]
    fn a_cell_that_failed_has_no_bar_and_its_numbers_are_not_drawn() {
        sample_run::with_input(|input| {
            let drawn = |summary: &Summary| -> Vec<String> {
                let input = Input { summary, published: None, ..*input };
                let figures = overview(&input, &Alternatives::of(&input));
                figures.into_iter().map(|figure| figure.svg).collect()
            };
            let mut summary = input.summary.clone();
            let has_bar = |cell: &&mut CellSummary| {
                cell.validity.status == CellStatus::Ok
                    && cell.value(MetricId::OutputThroughput).is_some()
            };
            let cell = summary.cells.iter_mut().find(has_bar).unwrap();
            let (id, name) = (cell.id.clone(), format!(">{}<", label(cell)));
            assert!(drawn(input.summary).concat().contains(&name), "{name}");
            cell.validity.status = CellStatus::Failed;
            let failed = drawn(&summary);
            assert!(!failed.is_empty() && !failed.concat().contains(&name), "{name}");
            // Its numbers do not even stretch an axis.
            summary.cells.retain(|cell| cell.id != id);
            assert_eq!(failed, drawn(&summary));
        });
    }
    #[test]
    fn what_was_measured_here_is_drawn_before_published_rows_without_a_cell() {
        let table = crate::published::table("batch_sweep").unwrap();
        sample_run::with_input(|input| {
            let input = Input { published: Some(&table), ..*input };
            let figure = overview(&input, &Alternatives::of(&input)).remove(0);
            assert!(figure.caption.contains(" rows."), "not all have room: {}", figure.caption);
            let output = Quantity::figure(MetricId::OutputThroughput);
            let n_bars = measured(&input).filter_map(|cell| measured_bar(cell, &output)).count();
            let tip = format!(", measured here: {}", results::header(&output));
            assert!(n_bars > 0);
            assert_eq!(figure.svg.matches(&tip).count(), n_bars, "{tip}: {}", figure.svg);
        });
    }
}
