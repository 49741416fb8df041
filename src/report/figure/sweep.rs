//! Charts over a swept number: throughput, efficiency of scaling, latency by load.

use std::collections::BTreeMap;

use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::CellSummary;
use crate::report::figure::heat::{self, Grid};
use crate::report::figure::lines::{self, Axes, Line};
use crate::report::figure::{FigureView, SERIES_MAX, capitalised, first_of};
use crate::report::input::Input;
use crate::report::untrusted::line;

/// Keys that are swept as load, the most telling first.
const LOAD_KEYS: [&str; 6] =
    ["concurrency", "rate", "batch", "batch_size", "max_in_flight", "requests"];

/// One cell with the swept number.
struct Point<'a> {
    load: f64,
    cell: &'a CellSummary,
}

/// Lines by the values of all other keys, points from left to right.
type Series<'a> = BTreeMap<String, Vec<Point<'a>>>;

/// Draws the charts of the first load key that has two different numbers.
pub fn sweeps(input: &Input<'_>) -> Vec<FigureView> {
    let Some((key, series)) =
        LOAD_KEYS.iter().find_map(|key| Some((*key, series_over(input, key)?)))
    else {
        return Vec::new();
    };
    let throughput = Quantity::figure(MetricId::OutputThroughput);
    let latency = Quantity::percentile(MetricId::Ttft, 50.0);
    [
        over(key, &series, &throughput),
        efficiency(key, &series, &throughput),
        heat_map(key, &series, &latency),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn series_over<'a>(input: &'a Input<'_>, key: &str) -> Option<Series<'a>> {
    let mut series: Series<'a> = BTreeMap::new();
    for cell in &input.summary.cells {
        let is_measured = cell.validity.status.is_measured();
        let load = cell
            .keys
            .get(key)
            .and_then(|value| value.parse().ok())
            .filter(|load: &f64| load.is_finite());
        let Some(load) = load.filter(|_| is_measured) else {
            continue;
        };
        let others = cell.keys.iter().filter(|(name, _)| *name != key);
        let name: Vec<String> = others.map(|(_, value)| line(value)).collect();
        series.entry(name.join(" ")).or_default().push(Point { load, cell });
    }
    for points in series.values_mut() {
        points.sort_by(|a, b| a.load.total_cmp(&b.load));
    }
    let mut loads: Vec<f64> = series.values().flatten().map(|point| point.load).collect();
    loads.sort_by(f64::total_cmp);
    loads.dedup();
    (loads.len() > 1).then_some(series)
}

fn name_of(name: &str) -> String {
    if name.is_empty() { "measured".to_owned() } else { name.to_owned() }
}

fn over(key: &str, series: &Series<'_>, quantity: &Quantity) -> Option<FigureView> {
    let mut unit = String::new();
    let lines: Vec<Line> = series
        .iter()
        .map(|(name, points)| {
            let mut line = Line { name: name_of(name), ..Line::default() };
            for point in points {
                let Some(reading) = quantity.read(point.cell) else { continue };
                let Some(value) = reading.value else { continue };
                line.points.push((point.load, value));
                if let Some((low, high)) = reading.interval {
                    line.band.push((point.load, low, high));
                }
                unit = reading.unit;
            }
            line
        })
        .filter(|line| !line.points.is_empty())
        .collect();
    let title = format!("{} over {key}", capitalised(&quantity.label()));
    let label = format!("{} ({unit})", quantity.label());
    chart(format!("throughput-over-{key}"), title, key, label, "Bands are 95 % intervals.", &lines)
}

/// Throughput per unit of load, against that at the least load of the same line.
fn efficiency(key: &str, series: &Series<'_>, quantity: &Quantity) -> Option<FigureView> {
    let value = |point: &Point<'_>| quantity.read(point.cell)?.value.filter(|value| *value > 0.0);
    let lines: Vec<Line> = series
        .iter()
        .filter_map(|(name, points)| {
            let (base, base_value) =
                points.iter().find_map(|point| Some((point.load, value(point)?)))?;
            let points: Vec<(f64, f64)> = points
                .iter()
                .filter_map(|point| {
                    let share = (value(point)? / base_value) / (point.load / base);
                    Some((point.load, share * 100.0))
                })
                .collect();
            (points.len() > 1 && base > 0.0).then(|| Line {
                name: name_of(name),
                points,
                band: Vec::new(),
            })
        })
        .collect();
    let caption = format!("Throughput per unit of {key}, in per cent of that at the least {key}.");
    let label = "scaling efficiency (%)".to_owned();
    chart(
        "scaling-efficiency".to_owned(),
        "Scaling efficiency".to_owned(),
        key,
        label,
        &caption,
        &lines,
    )
}

fn chart(
    id: String,
    title: String,
    key: &str,
    y_label: String,
    caption: &str,
    lines: &[Line],
) -> Option<FigureView> {
    if lines.is_empty() {
        return None;
    }
    let shown = &lines[..lines.len().min(SERIES_MAX)];
    let loads = || shown.iter().flat_map(|line| line.points.iter().map(|(load, _)| *load));
    let (low, high) = (loads().fold(f64::INFINITY, f64::min), loads().fold(0.0, f64::max));
    let axes = Axes {
        title,
        x_label: key.to_owned(),
        y_label,
        // A tenfold range is mostly doubled step by step.
        x_is_log: low > 0.0 && high >= low * 10.0,
        has_dots: true,
    };
    Some(FigureView {
        id,
        svg: lines::draw(&axes, shown),
        title: axes.title,
        caption: format!("{caption}{}", first_of(lines.len(), "lines")),
    })
}

fn heat_map(key: &str, series: &Series<'_>, quantity: &Quantity) -> Option<FigureView> {
    let mut loads: Vec<f64> = series.values().flatten().map(|point| point.load).collect();
    loads.sort_by(f64::total_cmp);
    loads.dedup();
    loads.truncate(SERIES_MAX);
    let mut unit = String::new();
    let mut rows: Vec<(String, Vec<Option<f64>>)> = Vec::new();
    for (name, points) in series.iter().take(SERIES_MAX) {
        let at = |load: &f64| points.iter().find(|point| (point.load - load).abs() < f64::EPSILON);
        let values = loads
            .iter()
            .map(|load| {
                let reading = quantity.read(at(load)?.cell)?;
                unit = reading.unit;
                reading.value
            })
            .collect();
        rows.push((name_of(name), values));
    }
    if rows.iter().all(|(_, values)| values.iter().all(Option::is_none)) {
        return None;
    }
    let title = format!("{} ({unit}) over {key}", quantity.label());
    let grid = Grid {
        title: title.clone(),
        column_label: key.to_owned(),
        columns: loads.iter().map(f64::to_string).collect(),
        rows,
        unit,
    };
    Some(FigureView {
        id: format!("latency-over-{key}"),
        svg: heat::draw(&grid),
        title,
        caption: format!("The darker, the slower.{}", first_of(series.len(), "lines")),
    })
}
