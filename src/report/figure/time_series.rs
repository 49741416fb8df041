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
    let mut lines = coloured(alternatives, drawn);
    // Windows begin together; what lies beyond the longest is outside all of them.
    let window_of = |cell: &CellSummary| input.series.get(&cell.id).map_or(0.0, |it| it.window_s);
    let window_s = shown.iter().map(|(cell, ..)| window_of(cell)).fold(0.0, f64::max);
    let has_more = |lines: &[Line]| {
        let mut points = lines.iter().flat_map(|line| &line.points);
        points.any(|(at, _)| *at < 0.0 || *at > window_s)
    };
    let window = (window_s > 0.0 && has_more(&lines)).then_some((0.0, window_s));
    let mut shaded = match window {
        Some(_) => "Shaded: before and after the measured window.",
        None => "",
    };
    let ends: Vec<f64> = shown.iter().map(|(cell, ..)| window_of(cell)).collect();
    let n_whole = lines.len();
    lines =
        lines.into_iter().zip(ends).flat_map(|(line, end)| until(line, end, window_s)).collect();
    if lines.len() > n_whole {
        shaded = "Shaded: before and after the longest measured window; faint: after a line's own.";
    }
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

/// Parts a line at the end of its window where that is before the end of the longest.
fn until(line: Line, end_s: f64, longest_s: f64) -> Vec<Line> {
    let at = line.points.partition_point(|(at, _)| *at <= end_s);
    // A course is sampled: windows that differ by less than it shows are the same.
    if end_s <= 0.0 || end_s >= 0.99 * longest_s || at == line.points.len() {
        return vec![line];
    }
    let after = Line {
        name: String::new(),
        points: line.points[at.saturating_sub(1)..].to_vec(),
        is_dim: true,
        ..line.clone()
    };
    vec![Line { points: line.points[..at].to_vec(), ..line }, after]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_faint_after_its_own_window() {
        let points: Vec<(f64, f64)> = (0..6).map(|at| (f64::from(at), 1.0)).collect();
        let line =
            |name: &str| Line { name: name.to_owned(), points: points.clone(), ..Line::default() };
        let parts = |end_s: f64| -> Vec<(bool, usize)> {
            let parts = until(line("a"), end_s, 10.0);
            assert_eq!(parts[0].name, "a", "it is named once");
            assert!(parts[1..].iter().all(|part| part.name.is_empty()));
            parts.iter().map(|part| (part.is_dim, part.points.len())).collect()
        };
        // The faint part goes on from the last point inside.
        assert_eq!(parts(2.5), [(false, 3), (true, 4)]);
        assert_eq!(parts(10.0), [(false, 6)]);
        assert_eq!(parts(7.0), [(false, 6)], "it ends in its window");
    }
}
