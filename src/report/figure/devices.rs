//! What devices did and took, cell by cell.

use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;
use crate::report::figure::alternatives::Alternatives;
use crate::report::figure::bars::{self, Bar, BarRow};
use crate::report::figure::overview::{measured, panels};
use crate::report::figure::{FigureView, SERIES_MAX, first_of};
use crate::report::input::Input;
use crate::report::number::rounded;

/// Draws utilisation, power, memory and temperature of each cell, and its tokens per joule.
pub(super) fn devices(input: &Input<'_>, alternatives: &Alternatives<'_>) -> Vec<FigureView> {
    let wanted = [
        MetricId::GpuUtilisation,
        MetricId::PowerMean,
        MetricId::GpuMemoryMax,
        MetricId::TemperatureMax,
    ];
    let title = "GPU utilisation, power, memory and temperature";
    let all = panels(input, alternatives, "gpu", title, &wanted.map(Quantity::figure));
    all.into_iter().chain(tokens_per_joule(input, alternatives)).collect()
}

fn tokens_per_joule(input: &Input<'_>, alternatives: &Alternatives<'_>) -> Option<FigureView> {
    let quantity = Quantity::figure(MetricId::EnergyPerToken);
    let mut rows = Vec::new();
    for cell in measured(input) {
        let Some(reading) = quantity.read(cell) else { continue };
        let Some(joules) = reading.value.filter(|joules| *joules > 0.0) else { continue };
        let turned = |(low, high): (f64, f64)| (low > 0.0).then(|| (1.0 / high, 1.0 / low));
        let bar = Bar {
            value: 1.0 / joules,
            interval: reading.interval.and_then(turned),
            label: rounded(1.0 / joules),
            is_hollow: super::alternatives::is_hollow(cell, &[&reading]),
        };
        rows.push(BarRow {
            name: alternatives.cell_name(cell),
            bars: vec![vec![Some(bar)]],
            colour: alternatives.colour(cell),
        });
    }
    let n_rows = rows.len();
    rows.truncate(SERIES_MAX);
    let title = "Output tokens per joule".to_owned();
    (n_rows > 0).then(|| FigureView {
        id: "tokens-per-joule".to_owned(),
        svg: bars::draw(&title, &["measured here"], &["tokens/J".to_owned()], &rows),
        title,
        caption: format!(
            "Energy of all GPUs over the measured window.{}",
            first_of(n_rows, "cells")
        ),
    })
}
