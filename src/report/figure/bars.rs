//! Panels of horizontal bars that share their rows: several quantities of the same things.

use crate::report::figure::scale::Scale;
use crate::report::figure::svg::{Anchor, Svg};
use crate::report::figure::{WIDTH, shortened};

/// One bar.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bar {
    /// Its length.
    pub value: f64,
    /// Whiskers.
    pub interval: Option<(f64, f64)>,
    /// Printed at its end.
    pub label: String,
}

/// One row: a thing and its bars, `[panel][series]`; a missing bar is a missing value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BarRow {
    /// Its name.
    pub name: String,
    /// Its bars.
    pub bars: Vec<Vec<Option<Bar>>>,
}

const NAMES_WIDTH: f64 = 172.0;
const NAME_MAX: usize = 22;
const GAP: f64 = 26.0;
const TOP: f64 = 44.0;
const BAR_HEIGHT: f64 = 13.0;
const ROW_GAP: f64 = 10.0;
/// Room for the label at the end of the longest bar.
const LABEL_WIDTH: f64 = 50.0;

/// Draws `rows` in one panel per title; `series` names the bars within a row.
pub fn draw(title: &str, series: &[&str], panels: &[String], rows: &[BarRow]) -> String {
    let shown: Vec<Vec<usize>> = rows.iter().map(|row| series_of(row, series.len())).collect();
    let row_heights: Vec<f64> =
        shown.iter().map(|series| series.len().max(1) as f64 * BAR_HEIGHT + ROW_GAP).collect();
    let bottom = TOP + row_heights.iter().sum::<f64>();
    let mut svg = Svg::new(WIDTH, bottom + 12.0, title);
    legend(&mut svg, series);

    let n_panels = panels.len().max(1) as f64;
    let panel_width = (WIDTH - NAMES_WIDTH - GAP * (n_panels - 1.0)) / n_panels;
    for (at, panel) in panels.iter().enumerate() {
        let left = NAMES_WIDTH + at as f64 * (panel_width + GAP);
        let bars = rows.iter().flat_map(|row| row.bars.get(at).into_iter().flatten().flatten());
        let ends = bars.flat_map(|bar| [Some(bar.value), bar.interval.map(|(_, high)| high)]);
        let scale = Scale::linear(ends.flatten(), true, left, left + panel_width - LABEL_WIDTH);
        svg.text((left, TOP - 8.0), Anchor::Start, "t strong", panel);
        svg.line((left, TOP - 2.0), (left, bottom - ROW_GAP + 2.0), "a");
        let mut top = TOP;
        for ((row, shown), height) in rows.iter().zip(&shown).zip(&row_heights) {
            let bars = row.bars.get(at).map_or(&[][..], Vec::as_slice);
            panel_row(&mut svg, row, bars, shown, series, panel, &scale, top);
            top += height;
        }
    }
    let mut top = TOP;
    for (row, height) in rows.iter().zip(&row_heights) {
        let middle = top + (height - ROW_GAP) / 2.0 + 4.0;
        svg.text((NAMES_WIDTH - 10.0, middle), Anchor::End, "t", &shortened(&row.name, NAME_MAX));
        top += height;
    }
    svg.finish()
}

/// Returns the series that a row has in any panel, so that rows of one bar stay thin.
fn series_of(row: &BarRow, n_series: usize) -> Vec<usize> {
    let has = |at: &usize| row.bars.iter().any(|panel| panel.get(*at).is_some_and(Option::is_some));
    (0..n_series).filter(has).collect()
}

fn legend(svg: &mut Svg, series: &[&str]) {
    if series.len() < 2 {
        return;
    }
    let mut left = NAMES_WIDTH;
    for (at, name) in series.iter().enumerate() {
        svg.rect((left, 4.0), (12.0, 10.0), &format!("class=\"{}\"", fill(at)), "");
        svg.text((left + 17.0, 13.0), Anchor::Start, "q", name);
        left += 40.0 + super::text_width(name);
    }
}

/// The first series is filled, the second is an outline: they differ without colour.
fn fill(series: usize) -> &'static str {
    if series == 0 { "f0" } else { "outline" }
}

#[expect(clippy::too_many_arguments, reason = "a leaf that draws; its parent holds the state")]
fn panel_row(
    svg: &mut Svg,
    row: &BarRow,
    bars: &[Option<Bar>],
    shown: &[usize],
    series: &[&str],
    panel: &str,
    scale: &Scale,
    top: f64,
) {
    for (slot, series_at) in shown.iter().enumerate() {
        let top = top + slot as f64 * BAR_HEIGHT;
        let Some(bar) = bars.get(*series_at).and_then(Option::as_ref) else {
            svg.text((scale.at(0.0) + 5.0, top + 10.0), Anchor::Start, "q", "–");
            continue;
        };
        let tooltip = format!("{}, {}: {panel} {}", row.name, series[*series_at], bar.label);
        let (from, to) = (scale.at(0.0), scale.at(bar.value));
        let style = format!("class=\"{}\"", fill(*series_at));
        svg.rect((from, top + 1.0), (to - from, BAR_HEIGHT - 3.0), &style, &tooltip);
        let mut label_left = to;
        if let Some((low, high)) = bar.interval {
            let middle = top + BAR_HEIGHT / 2.0 - 0.5;
            svg.line((scale.at(low), middle), (scale.at(high), middle), "w");
            for end in [low, high] {
                svg.line((scale.at(end), middle - 3.0), (scale.at(end), middle + 3.0), "w");
            }
            label_left = label_left.max(scale.at(high));
        }
        svg.text((label_left + 5.0, top + 10.0), Anchor::Start, "q", &bar.label);
    }
}
