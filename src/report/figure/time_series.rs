//! Charts of raw samples: distributions of latency, courses over time, GPUs.

use std::collections::BTreeSet;

use crate::analysis::input::{CellSeries, Curve, GpuSeries};
use crate::metrics::catalogue::MetricId;
use crate::metrics::summary::CellSummary;
use crate::report::figure::lines::{self, Axes, Line};
use crate::report::figure::{FigureView, SERIES_MAX, capitalised, first_of};
use crate::report::input::Input;
use crate::report::untrusted::line;

/// Values that span more than this factor are spread by ratio.
const LOG_FROM: f64 = 20.0;

/// Draws one empirical distribution function per metric, one line per cell.
pub fn distributions(input: &Input<'_>) -> Vec<FigureView> {
    metrics(input, |series| series.distributions.keys().copied().collect())
        .into_iter()
        .filter_map(|metric| distribution(input, metric))
        .collect()
}

fn distribution(input: &Input<'_>, metric: MetricId) -> Option<FigureView> {
    let all: Vec<(&CellSummary, &Curve)> = with_series(input)
        .filter_map(|(cell, series)| Some((cell, series.distributions.get(&metric)?)))
        .collect();
    let ends = all.iter().flat_map(|(_, curve)| curve.ends());
    let positive: Vec<f64> = ends.filter(|end| *end > 0.0).collect();
    let low = positive.iter().copied().fold(f64::INFINITY, f64::min);
    let high = positive.iter().copied().fold(0.0, f64::max);
    let unit = all
        .iter()
        .find_map(|(cell, _)| cell.distributions.get(&metric))
        .map(|all| all.unit.clone());
    let label = metric.row().name;
    let lines: Vec<Line> = all
        .iter()
        .take(SERIES_MAX)
        .map(|(cell, curve)| Line {
            name: format!("{} (n = {})", line(&cell.name), curve.n),
            points: curve.points(),
            band: Vec::new(),
        })
        .collect();
    if lines.is_empty() {
        return None;
    }
    let axes = Axes {
        title: format!("Distribution of {label}"),
        x_label: with_unit(label, unit.as_deref()),
        y_label: "share of samples at most this".to_owned(),
        x_is_log: high > low * LOG_FROM,
        has_dots: false,
    };
    Some(FigureView {
        id: format!("distribution-{}", file_part(metric)),
        svg: lines::draw(&axes, &lines),
        title: axes.title,
        caption: format!("Empirical distribution function.{}", first_of(all.len(), "cells")),
    })
}

/// Draws one course over time per metric, one line per cell.
pub fn over_time(input: &Input<'_>) -> Vec<FigureView> {
    metrics(input, |series| series.over_time.keys().copied().collect())
        .into_iter()
        .filter_map(|metric| {
            let all: Vec<(String, &[(f64, f64)])> = with_series(input)
                .filter_map(|(cell, series)| {
                    Some((line(&cell.name), series.over_time.get(&metric)?.as_slice()))
                })
                .collect();
            let units = input.summary.cells.iter().filter_map(|cell| cell.figure(metric));
            let unit = units.map(|figure| figure.unit.as_str()).next();
            let label = metric.row().name;
            let what = format!("{} over time", capitalised(label));
            course(&format!("time-{}", file_part(metric)), &what, &with_unit(label, unit), &all)
        })
        .collect()
}

/// Draws power and utilisation, one line per cell and GPU.
pub fn gpus(input: &Input<'_>) -> Vec<FigureView> {
    type Pick = fn(&GpuSeries) -> &[(f64, f64)];
    let kinds: [(&str, &str, &str, Pick); 2] = [
        ("gpu-power", "GPU power over time", "power (W)", |gpu| &gpu.power_w),
        ("gpu-utilisation", "GPU utilisation over time", "utilisation (%)", |gpu| {
            &gpu.utilisation_pct
        }),
    ];
    kinds
        .into_iter()
        .filter_map(|(id, title, label, pick)| {
            let all: Vec<(String, &[(f64, f64)])> = with_series(input)
                .flat_map(|(cell, series)| {
                    series.gpus.iter().map(move |gpu| {
                        (format!("{}, {}", line(&cell.name), line(&gpu.name)), pick(gpu))
                    })
                })
                .filter(|(_, points)| !points.is_empty())
                .collect();
            course(id, title, label, &all)
        })
        .collect()
}

fn course(
    id: &str,
    title: &str,
    label: &str,
    all: &[(String, &[(f64, f64)])],
) -> Option<FigureView> {
    if all.is_empty() {
        return None;
    }
    let lines: Vec<Line> = all
        .iter()
        .take(SERIES_MAX)
        .map(|(name, points)| Line {
            name: name.clone(),
            points: points.to_vec(),
            band: Vec::new(),
        })
        .collect();
    let axes = Axes {
        title: title.to_owned(),
        x_label: "time in the measured phase (s)".to_owned(),
        y_label: label.to_owned(),
        ..Axes::default()
    };
    Some(FigureView {
        id: id.to_owned(),
        svg: lines::draw(&axes, &lines),
        title: axes.title,
        caption: first_of(all.len(), "lines").trim_start().to_owned(),
    })
}

fn with_series<'a>(
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
