//! A history as figures: each quantity over the runs, with the runs at which its level changed.

use std::collections::BTreeMap;

use indexmap::IndexSet;

use crate::metrics::history::{History, Series, SeriesDrift, SeriesStep};
use crate::metrics::quantity::Quantity;
use crate::report::figure::lines::{self, Axes, Dot, Line, Stroke};
use crate::report::figure::{FigureView, SERIES_MAX, capitalised, first_of};
use crate::report::number::{self, rounded};
use crate::report::untrusted::line;

/// Draws one figure for each quantity, a line for each cell, in the colour of its alternative in all
/// of them; cells that changed come first.
pub(crate) fn figures(history: &History) -> Vec<FigureView> {
    let colours: IndexSet<&str> = history.series.iter().map(|it| it.alternative.as_str()).collect();
    let mut by_quantity: Vec<(&Quantity, Vec<&Series>)> = Vec::new();
    for series in &history.series {
        match by_quantity.iter_mut().find(|(quantity, _)| **quantity == series.quantity) {
            Some((_, of)) => of.push(series),
            None => by_quantity.push((&series.quantity, vec![series])),
        }
    }
    by_quantity.into_iter().map(|(quantity, of)| figure(history, &colours, quantity, of)).collect()
}

fn figure(
    history: &History,
    colours: &IndexSet<&str>,
    quantity: &Quantity,
    mut of: Vec<&Series>,
) -> FigureView {
    of.sort_by_key(|series| series.steps.is_empty() && series.drift.is_none());
    let title = format!("{} over runs", capitalised(&quantity.label()));
    let shown = &of[..of.len().min(SERIES_MAX)];
    let mut changes: Vec<usize> =
        shown.iter().flat_map(|series| series.steps.iter().map(|step| step.run)).collect();
    changes.sort_unstable();
    changes.dedup();
    let axes = Axes {
        title: title.clone(),
        x_label: "run".to_owned(),
        y_label: format!("{} ({})", capitalised(&quantity.label()), of[0].unit),
        has_dots: true,
        x_ticks: (1..=history.runs.len()).map(|run| run as f64).collect(),
        moments: changes.iter().map(|run| (run + 1) as f64).collect(),
        ..Axes::default()
    };
    let mut n_of: BTreeMap<String, usize> = BTreeMap::new();
    let styled = |series: &&Series| {
        let series: &Series = series;
        let nth = n_of.entry(series.alternative.clone()).or_default();
        let stroke = if *nth > 0 { Stroke::Nth(*nth) } else { Stroke::Solid };
        *nth += 1;
        let colour = colours.get_index_of(series.alternative.as_str());
        Line { colour, stroke, ..drawn(history, series) }
    };
    let lines: Vec<Line> = shown.iter().map(styled).collect();
    let told: Vec<String> = (changes.iter())
        .map(|run| {
            let run_point = &history.runs[*run];
            let commit = match run_point.commit.as_str() {
                "" => String::new(),
                commit => format!(", commit {}", line(commit)),
            };
            format!(" A level changes with run {}: {}{commit}.", run + 1, line(&run_point.name))
        })
        .collect();
    FigureView {
        id: format!("history-{}", quantity.to_string().replace(['_', '.', '/'], "-")),
        svg: lines::draw(&axes, &lines),
        title,
        caption: format!(
            "Geometric means over the trials of each run.{}{}",
            told.concat(),
            first_of(of.len(), "cells")
        ),
    }
}

fn drawn(history: &History, series: &Series) -> Line {
    let step_at = |run: usize| series.steps.iter().find(|step| step.run == run);
    let last = series.values.iter().rposition(Option::is_some);
    let drift_at = |run: usize| series.drift.as_ref().filter(|_| last == Some(run));
    let known = series.values.iter().enumerate().filter_map(|(run, value)| Some((run, (*value)?)));
    let (points, dots) = known
        .map(|(run, value)| {
            let started = &history.runs[run].started;
            let tip =
                format!("{}, run {} ({started}): {}", line(&series.cell), run + 1, rounded(value));
            let label = step_at(run).map(told).or_else(|| drift_at(run).map(drift_told));
            let label = label.unwrap_or_default();
            (((run + 1) as f64, value), Dot { label, tip, ..Dot::default() })
        })
        .unzip();
    Line { name: line(&series.cell), points, dots, ..Line::default() }
}

fn told(step: &SeriesStep) -> String {
    format!("{} {}", number::times_before(step.ratio), step.verdict)
}

fn drift_told(drift: &SeriesDrift) -> String {
    format!("drifts, {}, {}", number::per_run(drift.ratio_per_run), drift.verdict)
}
