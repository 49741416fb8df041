//! Engines over concurrency: five of the six figures of the table of two engines.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;
use crate::metrics::saturation::LoadCurve;
use crate::metrics::summary::CellSummary;
use crate::report::figure::alternatives::{Alternatives, LoadLine, is_hollow};
use crate::report::figure::bars::{self, Bar, BarRow};
use crate::report::figure::heat::{self, Grid};
use crate::report::figure::lines::{self, Line};
use crate::report::figure::over_load::{line_of, load_axes, loads, throughput_as};
use crate::report::figure::svg::{Anchor, Svg};
use crate::report::figure::sweep::heat_value;
use crate::report::figure::{FigureView, SERIES_MAX, WIDTH, first_of};
use crate::report::input::Input;
use crate::report::number;
use crate::report::untrusted::line;

/// A swept key that is the number of requests at once.
const LOAD: &str = "concurrency";

/// Gathers the measured cells that have a load: a line for each engine and what else tells cells
/// apart, a model for one. What all cells share is no part of a name.
pub(super) fn series<'a>(input: &Input<'a>, alternatives: &Alternatives<'_>) -> Vec<LoadLine<'a>> {
    let cells = || input.summary.cells.iter().filter(|cell| cell.validity.status.is_measured());
    let varies = |key: &str| {
        let values: BTreeSet<_> = cells().map(|cell| cell.keys.get(key)).collect();
        values.len() > 1
    };
    let mut all: IndexMap<String, LoadLine<'a>> = IndexMap::new();
    for cell in cells() {
        let load = cell.keys.get(LOAD).and_then(|load| load.parse::<f64>().ok());
        let Some(load) = load.filter(|load| load.is_finite()) else { continue };
        let others = cell.keys.iter().filter(|(key, _)| *key != LOAD && *key != "engine");
        let others = others.filter(|(key, _)| varies(key)).map(|(_, value)| value.as_str());
        let engine = cell.keys.get("engine").map(String::as_str);
        let name: Vec<&str> = engine.into_iter().chain(others).collect();
        let name = if name.is_empty() { "measured".to_owned() } else { line(&name.join(" ")) };
        let colour = alternatives.colour(cell);
        let nth = all.values().filter(|it| it.colour == colour && it.name != name).count();
        let new = || LoadLine {
            name: name.clone(),
            colour,
            nth,
            curve: LoadCurve { key: LOAD.to_owned(), at: IndexMap::new(), points: Vec::new() },
        };
        all.entry(name.clone()).or_insert_with(new).curve.points.push((load, cell));
    }
    let mut all: Vec<LoadLine<'a>> = all.into_values().collect();
    for it in &mut all {
        it.curve.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    all
}

/// Draws the figures that there are cells for.
pub(super) fn figures(all: &[LoadLine<'_>]) -> Vec<FigureView> {
    if all.is_empty() {
        return Vec::new();
    }
    let left_out = first_of(all.len(), "engines and models");
    let title = "Throughput of all engines and models".to_owned();
    let combined = throughput_as("throughput_all_combined", title, all);
    let others = [peaks(all), latencies(all, &left_out), devices(all), scaling(all, &left_out)];
    combined.into_iter().chain(others).collect()
}

fn scaling(all: &[LoadLine<'_>], left_out: &str) -> FigureView {
    let quantity = Quantity::figure(MetricId::OutputThroughput);
    let per_stream = |of: &LoadLine<'_>| {
        let mut line = line_of(of, &quantity);
        for ((load, value), dot) in line.points.iter_mut().zip(&mut line.dots) {
            *value /= *load;
            let value = number::rounded(*value);
            dot.tip = format!("{}, {LOAD} {load}: {value} tok/s per request", of.name);
        }
        for (load, low, high) in &mut line.band {
            *low /= *load;
            *high /= *load;
        }
        line
    };
    let lines: Vec<Line> = all.iter().take(SERIES_MAX).map(per_stream).collect();
    let label = "output per concurrent request (tok/s)".to_owned();
    let axes = load_axes(all, "Scaling efficiency".to_owned(), label);
    FigureView {
        id: "scaling_efficiency".to_owned(),
        svg: lines::draw(&axes, &lines),
        title: axes.title,
        caption: format!("Output tokens per second and concurrent request.{left_out}"),
    }
}

/// The peak of each line.
fn peaks(all: &[LoadLine<'_>]) -> FigureView {
    let quantity = Quantity::figure(MetricId::OutputThroughput);
    let peak = |of: &LoadLine<'_>| {
        let bars = of.curve.points.iter().filter_map(|(_, cell)| bar(cell, &quantity));
        bars.max_by(|a, b| a.value.total_cmp(&b.value))
    };
    let rows: Vec<BarRow> = (all.iter().take(SERIES_MAX))
        .map(|it| BarRow { name: it.name.clone(), bars: vec![vec![peak(it)]], colour: it.colour })
        .collect();
    let title = "Peak throughput by model".to_owned();
    FigureView {
        id: "cross_model_comparison".to_owned(),
        svg: bars::draw(&title, &["measured here"], &["peak output (tok/s)".to_owned()], &rows),
        title,
        caption: format!(
            "The highest output throughput over all loads.{}",
            first_of(all.len(), "engines and models")
        ),
    }
}

/// Returns a cell's number as a bar.
fn bar(cell: &CellSummary, quantity: &Quantity) -> Option<Bar> {
    let reading = quantity.read(cell)?;
    Some(Bar {
        value: reading.value.filter(|value| value.is_finite())?,
        interval: reading.interval,
        label: number::of_figure(quantity, &reading).value,
        is_hollow: is_hollow(cell, &[&reading]),
    })
}

fn latencies(all: &[LoadLine<'_>], left_out: &str) -> FigureView {
    let mut loads = loads(all);
    loads.truncate(SERIES_MAX);
    let latency = Quantity::mean(MetricId::E2e);
    let row = |it: &LoadLine<'_>| {
        let points = &it.curve.points;
        let at = |load: &f64| points.iter().find(|(found, _)| found.total_cmp(load).is_eq());
        let value = |load: &f64| heat_value(at(load)?.1, &latency, 1e3);
        let values = loads.iter().map(value).collect();
        (it.name.clone(), values)
    };
    let title = "E2E latency of all configurations".to_owned();
    let grid = Grid {
        title: "mean E2E latency (s)".to_owned(),
        column_label: LOAD.to_owned(),
        columns: loads.iter().map(ToString::to_string).collect(),
        rows: all.iter().take(SERIES_MAX).map(row).collect(),
        unit: "s".to_owned(),
    };
    FigureView {
        id: "latency_heatmap".to_owned(),
        svg: heat::draw(&grid),
        title,
        caption: format!("Mean end-to-end latency in seconds, the darker the slower.{left_out}"),
    }
}

fn devices(all: &[LoadLine<'_>]) -> FigureView {
    let quantities = [MetricId::GpuUtilisation, MetricId::PowerMean].map(Quantity::figure);
    let points = all.iter().flat_map(|it| it.curve.points.iter().map(move |point| (it, point)));
    let n_rows = points.clone().count();
    let rows: Vec<BarRow> = points
        .take(SERIES_MAX)
        .map(|(it, (load, cell))| BarRow {
            name: format!("{} @ {load}", it.name),
            bars: quantities.iter().map(|quantity| vec![bar(cell, quantity)]).collect(),
            colour: it.colour,
        })
        .collect();
    let is_seen = rows.iter().any(|row| row.bars.iter().flatten().any(Option::is_some));
    let title = "GPU utilisation and power".to_owned();
    let panels = ["GPU utilisation (%)".to_owned(), "mean power (W)".to_owned()];
    let id = "gpu_comparison".to_owned();
    if !is_seen {
        let mut svg = Svg::new(WIDTH, 40.0, &title);
        let unseen = "No GPU was seen here: neither utilisation nor power is known.";
        svg.text((4.0, 24.0), Anchor::Start, "t", unseen);
        return FigureView { id, svg: svg.finish(), title, caption: String::new() };
    }
    FigureView {
        id,
        svg: bars::draw(&title, &["measured here"], &panels, &rows),
        title,
        caption: format!("Inside the measured window, all GPUs.{}", first_of(n_rows, "cells")),
    }
}
