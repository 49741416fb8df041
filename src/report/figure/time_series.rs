//! Charts of raw samples: distributions of latency, courses over time, GPUs.

use crate::analysis::input::{CellSeries, GpuSeries};
use crate::metrics::summary::CellSummary;
use crate::report::figure::lines::{self, Axes, Line};
use crate::report::figure::{FigureView, SERIES_MAX, capitalised, first_of};
use crate::report::input::Input;
use crate::report::quantity::metric_label;
use crate::report::untrusted::line;

/// Points of one distribution's curve: more cannot be told apart at its width.
const CURVE_POINTS: usize = 200;

/// Points of one course over time.
const COURSE_POINTS: usize = 600;

/// Values that span more than this factor are spread by ratio.
const LOG_FROM: f64 = 20.0;

/// Draws one empirical distribution function per metric, one line per cell.
pub fn distributions(input: &Input<'_>) -> Vec<FigureView> {
    tags(input, |series| series.samples.keys().collect())
        .into_iter()
        .filter_map(|tag| distribution(input, tag))
        .collect()
}

fn distribution(input: &Input<'_>, tag: &str) -> Option<FigureView> {
    let all: Vec<(&CellSummary, Vec<f64>)> = with_series(input)
        .filter_map(|(cell, series)| Some((cell, sorted(series.samples.get(tag)?)?)))
        .collect();
    let ends = all.iter().flat_map(|(_, sorted)| [sorted[0], sorted[sorted.len() - 1]]);
    let positive: Vec<f64> = ends.filter(|end| *end > 0.0).collect();
    let low = positive.iter().copied().fold(f64::INFINITY, f64::min);
    let high = positive.iter().copied().fold(0.0, f64::max);
    let unit =
        all.iter().find_map(|(cell, _)| cell.distributions.get(tag)).map(|all| all.unit.clone());
    let label = metric_label(tag);
    let lines: Vec<Line> = all
        .iter()
        .take(SERIES_MAX)
        .map(|(cell, sorted)| Line {
            name: format!("{} (n = {})", line(&cell.name), sorted.len()),
            points: curve(sorted),
            band: Vec::new(),
        })
        .collect();
    if lines.is_empty() {
        return None;
    }
    let axes = Axes {
        title: format!("Distribution of {label}"),
        x_label: with_unit(&label, unit.as_deref()),
        y_label: "share of samples at most this".to_owned(),
        x_is_log: high > low * LOG_FROM,
        has_dots: false,
    };
    Some(FigureView {
        id: format!("distribution-{}", file_part(tag)),
        svg: lines::draw(&axes, &lines),
        title: axes.title,
        caption: format!("Empirical distribution function.{}", first_of(all.len(), "cells")),
    })
}

/// Draws one course over time per metric, one line per cell.
pub fn over_time(input: &Input<'_>) -> Vec<FigureView> {
    tags(input, |series| series.over_time.keys().collect())
        .into_iter()
        .filter_map(|tag| {
            let all: Vec<(String, &[(f64, f64)])> = with_series(input)
                .filter_map(|(cell, series)| {
                    Some((line(&cell.name), series.over_time.get(tag)?.as_slice()))
                })
                .collect();
            let units = input.summary.cells.iter().filter_map(|cell| cell.figures.get(tag));
            let unit = units.map(|figure| figure.unit.as_str()).next();
            let label = metric_label(tag);
            let what = format!("{} over time", capitalised(&label));
            course(&format!("time-{}", file_part(tag)), &what, &with_unit(&label, unit), &all)
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
            points: thinned(points),
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

fn tags<'a>(input: &'a Input<'_>, of: impl Fn(&'a CellSeries) -> Vec<&'a String>) -> Vec<&'a str> {
    let mut tags: Vec<&str> = input.series.values().flat_map(of).map(String::as_str).collect();
    tags.sort_unstable();
    tags.dedup();
    tags
}

fn sorted(samples: &[f64]) -> Option<Vec<f64>> {
    let mut sorted: Vec<f64> = samples.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    (!sorted.is_empty()).then_some(sorted)
}

/// Returns the distribution function at evenly spaced ranks, both ends included.
fn curve(sorted: &[f64]) -> Vec<(f64, f64)> {
    let n = sorted.len();
    let n_points = n.min(CURVE_POINTS);
    let mut points = vec![(sorted[0], 0.0)];
    points.extend((0..n_points).map(|point| {
        let rank = if n_points > 1 { point * (n - 1) / (n_points - 1) } else { 0 };
        (sorted[rank], (rank + 1) as f64 / n as f64)
    }));
    points
}

/// Averages neighbours until few enough points are left.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let together = points.len().div_ceil(COURSE_POINTS).max(1);
    points
        .chunks(together)
        .map(|chunk| {
            let n = chunk.len() as f64;
            let (x, y) =
                chunk.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
            (x / n, y / n)
        })
        .collect()
}

fn with_unit(label: &str, unit: Option<&str>) -> String {
    match unit {
        Some(unit) if !unit.is_empty() => format!("{label} ({unit})"),
        _ => label.to_owned(),
    }
}

/// Makes a metric tag safe as part of a file name and of an element's id.
fn file_part(tag: &str) -> String {
    tag.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_begins_at_nothing_and_ends_at_everything() {
        assert_eq!(curve(&[3.0]), [(3.0, 0.0), (3.0, 1.0)]);
        let many: Vec<f64> = (0..1000).map(f64::from).collect();
        let curve = curve(&many);
        assert_eq!(curve.len(), CURVE_POINTS + 1);
        assert_eq!(*curve.last().unwrap(), (999.0, 1.0));
    }

    #[test]
    fn thinning_keeps_the_mean() {
        let points: Vec<(f64, f64)> =
            (0..1200).map(|at| (f64::from(at), f64::from(at % 2))).collect();
        let thin = thinned(&points);
        assert_eq!(thin.len(), 600);
        assert!(thin.iter().all(|(_, y)| (y - 0.5).abs() < 1e-12));
    }
}
