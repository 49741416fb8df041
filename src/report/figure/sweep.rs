//! Figures over a swept number beside the curves themselves: efficiency of scaling, latency as a
//! heat map, energy.

use crate::metrics::bounds::is_lower_bound;
use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::CellSummary;
use crate::report::figure::alternatives::{Alternatives, LoadLine, is_hollow};
use crate::report::figure::heat::{self, Grid};
use crate::report::figure::lines::{self, Line};
use crate::report::figure::over_load::{key_label, line_of, load_axes, loads};
use crate::report::figure::{FigureView, SERIES_MAX, first_of};

/// Draws what follows from the curves over load.
pub(super) fn sweeps(alternatives: &Alternatives<'_>) -> Vec<FigureView> {
    let lines = alternatives.load_lines();
    if lines.is_empty() {
        return Vec::new();
    }
    let heat = heat_map(&lines, &Quantity::percentile(MetricId::E2e, 50.0));
    [efficiency(&lines), heat].into_iter().flatten().collect()
}

/// Throughput per unit of load, against that at the least load of the same line.
fn efficiency(of: &[LoadLine<'_>]) -> Option<FigureView> {
    let quantity = Quantity::figure(MetricId::OutputThroughput);
    let key = key_label(&of[0].curve.key);
    let scaled = |of: &LoadLine<'_>| {
        let mut line = line_of(of, &quantity);
        let (base, base_value) = *line.points.iter().find(|(_, value)| *value > 0.0)?;
        for ((load, value), dot) in line.points.iter_mut().zip(&mut line.dots) {
            *value = (*value / base_value) / (*load / base) * 100.0;
            dot.tip = format!("{}, {key} {load}: {value:.1} %", of.name);
        }
        line.band.clear();
        (line.points.len() > 1 && base > 0.0).then_some(line)
    };
    let drawn: Vec<Line> = of.iter().take(SERIES_MAX).filter_map(scaled).collect();
    if drawn.is_empty() {
        return None;
    }
    let label = "scaling efficiency (%)".to_owned();
    let axes = load_axes(of, "Scaling efficiency".to_owned(), label);
    Some(FigureView {
        id: "scaling-efficiency".to_owned(),
        svg: lines::draw(&axes, &drawn),
        title: axes.title,
        caption: format!(
            "Throughput per unit of {key}, in per cent of that at the least {key}.{}",
            first_of(of.len(), "lines")
        ),
    })
}

/// Returns a cell's number for a heat map, `per` so much of its unit.
pub(super) fn heat_value(cell: &CellSummary, quantity: &Quantity, per: f64) -> Option<heat::Entry> {
    let reading = quantity.read(cell)?;
    Some(heat::Entry {
        value: reading.value? / per,
        is_doubtful: is_hollow(cell, &[&reading]),
        is_least: is_lower_bound(quantity, &reading),
    })
}

fn heat_map(of: &[LoadLine<'_>], quantity: &Quantity) -> Option<FigureView> {
    let mut loads = loads(of);
    loads.truncate(SERIES_MAX);
    let key = key_label(&of[0].curve.key);
    let unit = quantity.id().unit();
    let mut rows: Vec<(String, Vec<Option<heat::Entry>>)> = Vec::new();
    for line in of.iter().take(SERIES_MAX) {
        let at = |load: &f64| {
            let mut points = line.curve.points.iter();
            points.find(|(point, _)| (point - load).abs() < f64::EPSILON)
        };
        let value = |load: &f64| heat_value(at(load)?.1, quantity, 1.0);
        let values = loads.iter().map(value).collect();
        rows.push((line.name.clone(), values));
    }
    if rows.iter().all(|(_, values)| values.iter().all(Option::is_none)) {
        return None;
    }
    let title = format!("{} ({unit}) over {key}", quantity.label());
    let grid = Grid {
        title: format!("{} ({unit})", quantity.label()),
        column_label: key,
        columns: loads.iter().map(f64::to_string).collect(),
        rows,
        unit: unit.to_owned(),
    };
    Some(FigureView {
        id: "latency-heat-map".to_owned(),
        svg: heat::draw(&grid),
        title,
        caption: format!("The darker, the slower.{}", first_of(of.len(), "lines")),
    })
}
