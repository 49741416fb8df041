//! Charts of raw samples: distributions of latency, courses over time, GPUs.

use std::collections::BTreeSet;

use crate::analysis::input::{CellSeries, Curve, GpuSeries};
use crate::metrics::catalogue::MetricId;
use crate::metrics::summary::CellSummary;
use crate::report::figure::alternatives::Alternatives;
use crate::report::figure::lines::{self, Axes, Line, Stroke};
use crate::report::figure::{FigureView, SERIES_MAX, capitalised, first_of};
use crate::report::input::Input;
use crate::report::untrusted::line;
use crate::report::view::conditions::is_open_loop;

/// Values that span more than this factor are spread by ratio.
const LOG_FROM: f64 = 20.0;

/// What is drawn as one line: a cell, the line's name and its points.
type Course<'a> = (&'a CellSummary, String, &'a [(f64, f64)]);

/// Draws one empirical distribution function per metric, one line per cell.
pub(super) fn distributions(input: &Input<'_>, alternatives: &Alternatives<'_>) -> Vec<FigureView> {
    // In a closed loop what counts from the due send repeats what counts from the send.
    let has_open_loop = input.plan.cells.iter().any(is_open_loop);
    metrics(input, |series| series.distributions.keys().copied().collect())
        .into_iter()
        .filter(|metric| has_open_loop || *metric != MetricId::TtftScheduled)
        .filter_map(|metric| distribution(input, alternatives, metric))
        .collect()
}

fn distribution(
    input: &Input<'_>,
    alternatives: &Alternatives<'_>,
    metric: MetricId,
) -> Option<FigureView> {
    let all: Vec<(&CellSummary, &Curve)> = with_series(input)
        .filter_map(|(cell, series)| Some((cell, series.distributions.get(&metric)?)))
        .collect();
    let ends = all.iter().flat_map(|(_, curve)| curve.ends());
    let positive: Vec<f64> = ends.filter(|end| *end > 0.0).collect();
    let low = positive.iter().copied().fold(f64::INFINITY, f64::min);
    let high = positive.iter().copied().fold(0.0, f64::max);
    let unit = all.iter().find_map(|(cell, _)| cell.distributions.get(&metric)).map(|all| all.unit);
    let label = metric.row().name;
    let drawn = all.iter().take(SERIES_MAX).map(|(cell, curve)| {
        let name = format!("{} (n = {})", alternatives.cell_name(cell), curve.n);
        (*cell, name, curve.points())
    });
    let lines = coloured(alternatives, drawn);
    if lines.is_empty() {
        return None;
    }
    let axes = Axes {
        title: format!("Distribution of {label}"),
        x_label: with_unit(label, unit),
        y_label: "share of samples at most this".to_owned(),
        x_is_log: high > low * LOG_FROM,
        ..Axes::default()
    };
    Some(FigureView {
        id: format!("distribution-{}", file_part(metric)),
        svg: lines::draw(&axes, &lines),
        title: axes.title,
        caption: format!("Empirical distribution function.{}", first_of(all.len(), "cells")),
    })
}

/// Draws one course over time per metric, one line per cell, the measured window in the light.
pub(super) fn over_time(input: &Input<'_>, alternatives: &Alternatives<'_>) -> Vec<FigureView> {
    metrics(input, |series| series.over_time.keys().copied().collect())
        .into_iter()
        .filter_map(|metric| {
            let all: Vec<Course<'_>> = with_series(input)
                .filter_map(|(cell, series)| {
                    Some((
                        cell,
                        alternatives.cell_name(cell),
                        series.over_time.get(&metric)?.as_slice(),
                    ))
                })
                .collect();
            let units = input.summary.cells.iter().filter_map(|cell| cell.figure(metric));
            let unit = units.map(|figure| figure.unit).next();
            let label = metric.row().name;
            let what = format!("{} over time", capitalised(label));
            let id = format!("time-{}", file_part(metric));
            course(input, alternatives, &id, &what, &with_unit(label, unit), &all)
        })
        .collect()
}

/// Draws what GPUs did, one line per cell and GPU.
pub(super) fn gpus(input: &Input<'_>, alternatives: &Alternatives<'_>) -> Vec<FigureView> {
    type Pick = fn(&GpuSeries) -> &[(f64, f64)];
    let kinds: [(&str, &str, &str, Pick); 5] = [
        ("gpu-utilisation", "GPU utilisation over time", "utilisation (%)", |gpu| {
            &gpu.utilisation_pct
        }),
        ("gpu-power", "GPU power over time", "power (W)", |gpu| &gpu.power_w),
        ("gpu-memory", "GPU memory over time", "memory in use (GiB)", |gpu| &gpu.memory_gib),
        ("gpu-temperature", "GPU temperature over time", "temperature (°C)", |gpu| {
            &gpu.temperature_c
        }),
        ("gpu-clock", "GPU clock over time", "clock (MHz)", |gpu| &gpu.clock_mhz),
    ];
    kinds
        .into_iter()
        .filter_map(|(id, title, label, pick)| {
            let all: Vec<Course<'_>> = with_series(input)
                .flat_map(|(cell, series)| {
                    series.gpus.iter().map(move |gpu| {
                        let name = format!("{}, {}", alternatives.cell_name(cell), line(&gpu.name));
                        (cell, name, pick(gpu))
                    })
                })
                .filter(|(.., points)| !points.is_empty())
                .collect();
            course(input, alternatives, id, title, label, &all)
        })
        .collect()
}

fn course(
    input: &Input<'_>,
    alternatives: &Alternatives<'_>,
    id: &str,
    title: &str,
    label: &str,
    all: &[Course<'_>],
) -> Option<FigureView> {
    if all.is_empty() {
        return None;
    }
    let shown = &all[..all.len().min(SERIES_MAX)];
    let drawn = shown.iter().map(|(cell, name, points)| (*cell, name.clone(), points.to_vec()));
    let lines = coloured(alternatives, drawn);
    // Windows begin together; what lies beyond the longest is outside all of them.
    let drawn_series = shown.iter().filter_map(|(cell, ..)| input.series.get(&cell.id));
    let window_s = drawn_series.map(|series| series.window_s).fold(0.0, f64::max);
    let has_more = |lines: &[Line]| {
        let mut points = lines.iter().flat_map(|line| &line.points);
        points.any(|(at, _)| *at < 0.0 || *at > window_s)
    };
    let window = (window_s > 0.0 && has_more(&lines)).then_some((0.0, window_s));
    let shaded =
        if window.is_some() { "Shaded: before and after the measured window." } else { "" };
    let axes = Axes {
        title: title.to_owned(),
        x_label: "time from the start of the measured window (s)".to_owned(),
        y_label: label.to_owned(),
        window,
        ..Axes::default()
    };
    let caption = format!("{shaded}{}", first_of(all.len(), "lines"));
    Some(FigureView {
        id: id.to_owned(),
        svg: lines::draw(&axes, &lines),
        title: axes.title,
        caption: caption.trim_start().to_owned(),
    })
}

/// Makes lines in the colours of their alternatives; those of one colour differ by their pattern.
fn coloured<'a>(
    alternatives: &Alternatives<'_>,
    all: impl Iterator<Item = (&'a CellSummary, String, Vec<(f64, f64)>)>,
) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for (cell, name, points) in all {
        let colour = Some(alternatives.colour(cell));
        let nth = lines.iter().filter(|line| line.colour == colour).count();
        let stroke = Stroke::Nth(nth);
        lines.push(Line { name, points, colour, stroke, ..Line::default() });
    }
    lines
}

pub(super) fn with_series<'a>(
    input: &'a Input<'_>,
) -> impl Iterator<Item = (&'a CellSummary, &'a CellSeries)> {
    let series = input.series;
    input.summary.cells.iter().filter_map(move |cell| Some((cell, series.get(&cell.id)?)))
}

fn metrics(input: &Input<'_>, of: impl Fn(&CellSeries) -> Vec<MetricId>) -> BTreeSet<MetricId> {
    input.series.values().flat_map(of).collect()
}

fn with_unit(label: &str, unit: Option<&str>) -> String {
    match unit {
        Some(unit) if !unit.is_empty() => format!("{label} ({unit})"),
        _ => label.to_owned(),
    }
}

/// Returns a metric as part of a file name and of an element's id.
fn file_part(metric: MetricId) -> String {
    metric.tag().replace('_', "-")
}
