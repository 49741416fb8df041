//! Figures over a rising load: latencies with their objectives, output with its knee, goodput.

use crate::metrics::bounds::is_lower_bound;
use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;
use crate::metrics::required_share::required_pct;
use crate::metrics::saturation::{LoadCurve, Saturation};
use crate::metrics::summary::{CellSummary, NumberState};
use crate::plan::cell::Slo;
use crate::report::figure::alternatives::{Alternatives, LoadLine, is_hollow};
use crate::report::figure::lines::{self, Axes, Beyond, Dot, Line, Stroke};
use crate::report::figure::{FigureView, SERIES_MAX, capitalised, first_of};
use crate::report::input::Input;
use crate::report::number::{self, rounded};
use crate::report::untrusted::line;
use crate::units::Nanos;

/// Values that span more than this factor are spread by ratio.
const LOG_FROM: f64 = 20.0;

/// Reads the limit of one latency from objectives.
type Limit = fn(&Slo) -> Option<Nanos>;

/// Draws what a person looks for first in a sweep over load.
pub(super) fn over_load(input: &Input<'_>, alternatives: &Alternatives<'_>) -> Vec<FigureView> {
    let lines = alternatives.load_lines();
    let Some(key) = lines.first().map(|line| line.curve.key.clone()) else { return Vec::new() };
    let is_open = key.rsplit('.').next() == Some("rate");
    let (ttft, e2e) = if is_open {
        (MetricId::TtftScheduled, MetricId::E2eScheduled)
    } else {
        (MetricId::Ttft, MetricId::E2e)
    };
    let latencies: [(MetricId, Limit); 3] =
        [(ttft, |slo| slo.ttft), (MetricId::Tpot, |slo| slo.tpot), (e2e, |slo| slo.e2e)];
    let mut figures: Vec<FigureView> = latencies
        .into_iter()
        .filter_map(|(metric, limit)| latency(input, &lines, metric, limit))
        .collect();
    let title = format!("Output throughput over {}", key_label(&key));
    figures.extend(throughput_as("throughput-over-load", title, &lines));
    figures.extend(goodput(&lines, required_pct(input.plan)));
    figures
}

/// Returns the part of a key that is its name, as an axis has it.
pub(super) fn key_label(key: &str) -> String {
    line(key.rsplit('.').next().unwrap_or(key))
}

/// Returns all loads that any line has.
pub(super) fn loads(lines: &[LoadLine<'_>]) -> Vec<f64> {
    let mut loads: Vec<f64> =
        lines.iter().flat_map(|it| it.curve.points.iter().map(|(load, _)| *load)).collect();
    loads.sort_by(f64::total_cmp);
    loads.dedup();
    loads
}

/// Returns an axis of measured loads; a tenfold range is mostly doubled step by step.
pub(super) fn load_axes(lines: &[LoadLine<'_>], title: String, y_label: String) -> Axes {
    let loads = loads(lines);
    let (low, high) = (loads.first().copied(), loads.last().copied());
    let is_log = low.zip(high).is_some_and(|(low, high)| low > 0.0 && high >= low * 10.0);
    Axes {
        title,
        x_label: lines.first().map_or_else(String::new, |it| key_label(&it.curve.key)),
        y_label,
        x_is_log: is_log,
        has_dots: true,
        x_ticks: loads,
        ..Axes::default()
    }
}

/// Draws one quantity as a line; the tip of each point has its interval and count.
pub(super) fn line_of(of: &LoadLine<'_>, quantity: &Quantity) -> Line {
    let mut drawn = Line { name: of.name.clone(), colour: Some(of.colour), ..Line::default() };
    drawn.stroke = if of.nth > 0 { Stroke::Nth(of.nth) } else { Stroke::Solid };
    for (load, cell) in &of.curve.points {
        let Some(reading) = quantity.read(cell) else { continue };
        let Some(value) = reading.value.filter(|value| value.is_finite()) else { continue };
        drawn.points.push((*load, value));
        let key = key_label(&of.curve.key);
        drawn.dots.push(Dot {
            beyond: is_lower_bound(quantity, &reading).then_some(Beyond::Up),
            is_hollow: is_hollow(cell, &[&reading]),
            tip: tip(&of.name, &format!("{key} {load}"), quantity, cell),
            ..Dot::default()
        });
        drawn.band.extend(reading.interval.map(|(low, high)| (*load, low, high)));
    }
    drawn
}

/// Names points beside them where lines of one colour differ in their pattern alone, which a single
/// point does not show.
fn tell_apart(lines: &mut [Line]) {
    let named = |line: &&Line| !line.name.is_empty();
    let colours: Vec<Option<usize>> = lines.iter().filter(named).map(|it| it.colour).collect();
    for line in lines.iter_mut().filter(|line| line.points.len() == 1 && !line.name.is_empty()) {
        let n_alike = colours.iter().filter(|colour| **colour == line.colour).count();
        if let [dot] = line.dots.as_mut_slice()
            && n_alike > 1
        {
            let gap = if dot.label.is_empty() { "" } else { ", " };
            dot.label = format!("{}{gap}{}", line.name, dot.label);
        }
    }
}

/// Says a number with its interval, its count and its state.
pub(super) fn tip(name: &str, at: &str, quantity: &Quantity, cell: &CellSummary) -> String {
    let Some(reading) = quantity.read(cell) else { return String::new() };
    let printed = number::of_figure(quantity, &reading);
    let spread =
        if printed.spread.is_empty() { String::new() } else { format!(" {}", printed.spread) };
    let doubt = if is_hollow(cell, &[&reading]) {
        let state = reading.state.map(NumberState::word).filter(|word| *word != "ok");
        format!(", {}", state.unwrap_or(cell.validity.status.word()))
    } else {
        String::new()
    };
    format!(
        "{name}, {at}: {} {} {}{spread} (n = {}{doubt})",
        quantity.label(),
        printed.value,
        reading.unit,
        reading.n
    )
}

fn latency(
    input: &Input<'_>,
    lines: &[LoadLine<'_>],
    metric: MetricId,
    limit: Limit,
) -> Option<FigureView> {
    let unit = metric.unit();
    let mut drawn = Vec::new();
    for of in lines.iter().take(SERIES_MAX) {
        let median = line_of(of, &Quantity::percentile(metric, 50.0));
        let tail = line_of(of, &Quantity::percentile(metric, 99.0));
        if median.points.is_empty() {
            continue;
        }
        drawn.push(median);
        if !tail.points.is_empty() {
            // The bands of two percentiles would hide each other.
            let (name, band, stroke) = (String::new(), Vec::new(), Stroke::Dashed);
            drawn.push(Line { name, band, stroke, ..tail });
        }
    }
    tell_apart(&mut drawn);
    let has_tails = drawn.iter().any(|it| it.stroke == Stroke::Dashed);
    let ys = || drawn.iter().flat_map(|it| it.points.iter().map(|(_, y)| *y));
    let high = ys().fold(0.0, f64::max);
    let low = ys().filter(|y| *y > 0.0).fold(f64::INFINITY, f64::min);
    if drawn.is_empty() || high <= 0.0 {
        return None;
    }
    let name = metric.row().name;
    let label = if has_tails { format!("{name} p50 and p99") } else { format!("{name} p50") };
    let title = format!("{label} over {}", key_label(&lines[0].curve.key));
    let mut axes = load_axes(lines, title, format!("{label} ({unit})"));
    axes.y_is_log = high > low * LOG_FROM;
    axes.dashes = if has_tails { "p99".to_owned() } else { String::new() };
    let limits = limits(input, limit);
    // An objective far above all would flatten what is measured.
    let (near, far): (Vec<f64>, Vec<f64>) =
        limits.into_iter().partition(|limit| axes.y_is_log || *limit <= high * 3.0);
    let told = |limit: &f64| format!("objective: at most {} {unit}", rounded(*limit));
    axes.limits = near.iter().map(|limit| (*limit, told(limit))).collect();
    let far: Vec<String> =
        far.iter().map(|limit| format!(" The {} lies above.", told(limit))).collect();
    Some(FigureView {
        id: format!("{}-over-load", metric.tag().replace('_', "-")),
        svg: lines::draw(&axes, &drawn),
        title: axes.title,
        caption: format!(
            "Bands are 95 % intervals of the median.{}{}",
            far.concat(),
            first_of(lines.len(), "lines")
        ),
    })
}

/// Returns the different limits of the cells' objectives, in milliseconds.
fn limits(input: &Input<'_>, limit: Limit) -> Vec<f64> {
    let slos = input.plan.cells.iter().filter_map(|cell| cell.slo.as_ref());
    let mut limits: Vec<f64> = slos.filter_map(limit).map(Nanos::as_millis_f64).collect();
    limits.sort_by(f64::total_cmp);
    limits.dedup();
    limits
}

/// Draws output over load under another id and title.
pub(super) fn throughput_as(id: &str, title: String, lines: &[LoadLine<'_>]) -> Option<FigureView> {
    let quantity = Quantity::figure(MetricId::OutputThroughput);
    let knee = |curve: &LoadCurve<'_>| match curve.saturation()? {
        Saturation::At(load) => Some(load),
        // No load that was tried is the knee.
        Saturation::Between(..) | Saturation::Above(_) => None,
    };
    let caption = "Knee: more load brings hardly more output. Bands are 95 % intervals.";
    with_knees(id, title, caption, lines, &quantity, &knee)
}

fn goodput(lines: &[LoadLine<'_>], good_pct: f64) -> Option<FigureView> {
    let quantity = Quantity::figure(MetricId::Goodput);
    // The highest load that was tried is no knee.
    let knee = |curve: &LoadCurve<'_>| match curve.objectives(good_pct)? {
        (Some((load, _)), Some(_)) => Some(load),
        _ => None,
    };
    let title = format!("Goodput over {}", key_label(&lines[0].curve.key));
    let caption =
        format!("Knee: the highest load at which {good_pct} % of requests met the objectives.");
    with_knees("goodput-over-load", title, &caption, lines, &quantity, &knee)
}

fn with_knees(
    id: &str,
    title: String,
    caption: &str,
    lines: &[LoadLine<'_>],
    quantity: &Quantity,
    knee: &dyn Fn(&LoadCurve<'_>) -> Option<f64>,
) -> Option<FigureView> {
    let unit = quantity.id().unit();
    let mut drawn = Vec::new();
    for of in lines.iter().take(SERIES_MAX) {
        let mut line = line_of(of, quantity);
        let knee = knee(&of.curve);
        for ((load, _), dot) in line.points.iter().zip(&mut line.dots) {
            if knee.is_some_and(|knee| (knee - load).abs() < f64::EPSILON) {
                "knee".clone_into(&mut dot.label);
            }
        }
        drawn.push(line);
    }
    drawn.retain(|line| !line.points.is_empty());
    if drawn.is_empty() {
        return None;
    }
    tell_apart(&mut drawn);
    let axes = load_axes(lines, title, format!("{} ({unit})", capitalised(&quantity.label())));
    Some(FigureView {
        id: id.to_owned(),
        svg: lines::draw(&axes, &drawn),
        title: axes.title,
        caption: format!("{caption}{}", first_of(lines.len(), "lines")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_points_of_one_colour_are_named_beside_them() {
        let line = |name: &str, colour: usize, n: u32| Line {
            name: name.to_owned(),
            colour: Some(colour),
            points: (0..n).map(|at| (f64::from(at), 1.0)).collect(),
            dots: (0..n).map(|_| Dot::default()).collect(),
            ..Line::default()
        };
        let mut lines = [line("fixed", 0, 1), line("varied", 0, 1), line("other", 1, 1)];
        tell_apart(&mut lines);
        assert_eq!(lines.map(|it| it.dots[0].label.clone()), ["fixed", "varied", ""]);
        let mut lines = [line("fixed", 0, 2), line("varied", 0, 2)];
        tell_apart(&mut lines);
        assert!(lines.iter().flat_map(|it| &it.dots).all(|dot| dot.label.is_empty()));
    }
}
