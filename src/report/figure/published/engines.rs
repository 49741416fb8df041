//! Engines over concurrency: five of the six figures of the table of two engines.

use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::CellSummary;
use crate::report::figure::bars::{self, Bar, BarRow};
use crate::report::figure::heat::{self, Grid};
use crate::report::figure::lines::{self, Axes, Line};
use crate::report::figure::{FigureView, SERIES_MAX, first_of};
use crate::report::input::Input;
use crate::report::number;
use crate::report::untrusted::line;

/// A swept key that is the number of requests at once.
const LOAD: &str = "concurrency";

/// Cells of one engine on one model, by load.
pub(super) struct Series<'a> {
    /// Engine.
    pub(super) engine: String,
    /// What else the cells share, the model for one; may be empty.
    pub(super) model: String,
    /// Load and cell, ascending.
    pub(super) points: Vec<(f64, &'a CellSummary)>,
}

impl Series<'_> {
    fn name(&self) -> String {
        if self.model.is_empty() {
            self.engine.clone()
        } else {
            format!("{} {}", self.engine, self.model)
        }
    }
}

/// Gathers the measured cells that have a load.
pub(super) fn series<'a>(input: &Input<'a>) -> Vec<Series<'a>> {
    let mut all: Vec<Series<'a>> = Vec::new();
    for cell in input.summary.cells.iter().filter(|cell| cell.validity.status.is_measured()) {
        let load = cell.keys.get(LOAD).and_then(|load| load.parse::<f64>().ok());
        let Some(load) = load.filter(|load| load.is_finite()) else { continue };
        let engine = line(cell.keys.get("engine").map_or("", String::as_str));
        let others = cell.keys.iter().filter(|(key, _)| *key != LOAD && *key != "engine");
        let model = line(&others.map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(" "));
        match all.iter_mut().find(|it| it.engine == engine && it.model == model) {
            Some(series) => series.points.push((load, cell)),
            None => all.push(Series { engine, model, points: vec![(load, cell)] }),
        }
    }
    for series in &mut all {
        series.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    all
}

/// Draws the figures that there are cells for.
pub(super) fn figures(input: &Input<'_>) -> Vec<FigureView> {
    let all = series(input);
    if all.is_empty() {
        return Vec::new();
    }
    let shown = &all[..all.len().min(SERIES_MAX)];
    let left_out = first_of(all.len(), "engines and models");
    vec![
        throughput(shown, &left_out),
        peaks(&all),
        latencies(shown, &left_out),
        devices(shown, &left_out),
        scaling(shown, &left_out),
    ]
}

fn curve(series: &Series<'_>, of: impl Fn(f64, &CellSummary) -> Option<f64>) -> Line {
    let points = series.points.iter();
    let points = points.filter_map(|(load, cell)| Some((*load, of(*load, cell)?))).collect();
    Line { name: series.name(), points, ..Line::default() }
}

fn speed(cell: &CellSummary) -> Option<f64> {
    Quantity::figure(MetricId::OutputThroughput).value(cell)
}

/// Returns every load once, ascending.
fn loads(all: &[Series<'_>]) -> Vec<f64> {
    let points = all.iter().flat_map(|it| &it.points);
    let mut loads: Vec<f64> = points.map(|(load, _)| *load).collect();
    loads.sort_by(f64::total_cmp);
    loads.dedup();
    loads
}

fn throughput(all: &[Series<'_>], left_out: &str) -> FigureView {
    let lines: Vec<Line> = all.iter().map(|it| curve(it, |_, cell| speed(cell))).collect();
    let axes = Axes {
        title: "Throughput of all engines and models".to_owned(),
        x_label: LOAD.to_owned(),
        y_label: "output (tok/s)".to_owned(),
        has_dots: true,
        x_ticks: loads(all),
        ..Axes::default()
    };
    FigureView {
        id: "throughput_all_combined".to_owned(),
        svg: lines::draw(&axes, &lines),
        title: axes.title,
        caption: format!("Output tokens per second over concurrency.{left_out}"),
    }
}

fn scaling(all: &[Series<'_>], left_out: &str) -> FigureView {
    let per_stream = |load: f64, cell: &CellSummary| Some(speed(cell)? / load);
    let lines: Vec<Line> = all.iter().map(|it| curve(it, per_stream)).collect();
    let axes = Axes {
        title: "Scaling efficiency".to_owned(),
        x_label: LOAD.to_owned(),
        y_label: "output per concurrent request (tok/s)".to_owned(),
        has_dots: true,
        x_ticks: loads(all),
        ..Axes::default()
    };
    FigureView {
        id: "scaling_efficiency".to_owned(),
        svg: lines::draw(&axes, &lines),
        title: axes.title,
        caption: format!("Output tokens per second and concurrent request.{left_out}"),
    }
}

/// The peak of each engine, one row per model.
fn peaks(all: &[Series<'_>]) -> FigureView {
    let distinct = |of: for<'s> fn(&'s Series<'_>) -> &'s str| {
        let mut found: Vec<String> = Vec::new();
        for it in all {
            if !found.iter().any(|there| there == of(it)) {
                found.push(of(it).to_owned());
            }
        }
        found
    };
    let engines = distinct(|it| &it.engine);
    let models = distinct(|it| &it.model);
    let peak = |engine: &str, model: &str| {
        let of = all.iter().find(|it| it.engine == engine && it.model == model)?;
        let value = of.points.iter().filter_map(|(_, cell)| speed(cell)).reduce(f64::max)?;
        Some(Bar { value, label: number::rounded(value), ..Bar::default() })
    };
    let rows: Vec<BarRow> = models
        .iter()
        .take(SERIES_MAX)
        .map(|model| BarRow {
            name: if model.is_empty() { "peak".to_owned() } else { model.clone() },
            bars: vec![engines.iter().map(|engine| peak(engine, model)).collect()],
            ..BarRow::default()
        })
        .collect();
    let title = "Peak throughput by model".to_owned();
    let series: Vec<&str> = engines.iter().map(String::as_str).collect();
    FigureView {
        id: "cross_model_comparison".to_owned(),
        svg: bars::draw(&title, &series, &["peak output (tok/s)".to_owned()], &rows),
        title,
        caption: format!(
            "The highest output throughput over all loads.{}",
            first_of(models.len(), "models")
        ),
    }
}

fn latencies(all: &[Series<'_>], left_out: &str) -> FigureView {
    let mut loads = loads(all);
    loads.truncate(SERIES_MAX);
    let latency = Quantity::mean(MetricId::E2e);
    let row = |it: &Series<'_>| {
        let at = |load: &f64| it.points.iter().find(|(found, _)| found.total_cmp(load).is_eq());
        let values = loads.iter().map(|load| Some(latency.value(at(load)?.1)? / 1e3)).collect();
        (it.name(), values)
    };
    let title = "E2E latency of all configurations".to_owned();
    let grid = Grid {
        title: title.clone(),
        column_label: LOAD.to_owned(),
        columns: loads.iter().map(ToString::to_string).collect(),
        rows: all.iter().map(row).collect(),
        unit: "s".to_owned(),
    };
    FigureView {
        id: "latency_heatmap".to_owned(),
        svg: heat::draw(&grid),
        title,
        caption: format!("Mean end-to-end latency in seconds.{left_out}"),
    }
}

fn devices(all: &[Series<'_>], left_out: &str) -> FigureView {
    let quantities = [MetricId::GpuUtilisation, MetricId::PowerMean].map(Quantity::figure);
    let points = all.iter().flat_map(|it| it.points.iter().map(move |point| (it, point)));
    let n_rows = points.clone().count();
    let rows: Vec<BarRow> = points
        .take(SERIES_MAX)
        .map(|(it, (load, cell))| BarRow {
            name: format!("{} @ {load}", it.name()),
            bars: quantities
                .iter()
                .map(|quantity| {
                    let reading = quantity.read(cell);
                    let bar = reading.and_then(|reading| {
                        Some(Bar {
                            value: reading.value?,
                            interval: reading.interval,
                            label: number::of_figure(quantity, &reading).value,
                            ..Bar::default()
                        })
                    });
                    vec![bar]
                })
                .collect(),
            ..BarRow::default()
        })
        .collect();
    let is_seen = rows.iter().any(|row| row.bars.iter().flatten().any(Option::is_some));
    let title = "GPU utilisation and power".to_owned();
    let panels = ["GPU utilisation (%)".to_owned(), "mean power (W)".to_owned()];
    let unseen = if is_seen { "" } else { " No GPU was seen here." };
    FigureView {
        id: "gpu_comparison".to_owned(),
        svg: bars::draw(&title, &["measured here"], &panels, &rows),
        title,
        caption: format!(
            "Inside the measured window, all GPUs.{unseen}{}{left_out}",
            first_of(n_rows, "cells")
        ),
    }
}
