//! Panels of horizontal bars that share their rows: several quantities of the same things.

use crate::metrics::bounds::is_unlimited;
use crate::report::figure::labels::{LINE_HEIGHT, text_width, wrapped};
use crate::report::figure::scale::Scale;
use crate::report::figure::svg::{Anchor, Svg};
use crate::report::figure::{COLOURS, HOLLOW, WIDTH};

/// One bar.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Bar {
    /// Its length.
    pub value: f64,
    /// Whiskers.
    pub interval: Option<(f64, f64)>,
    /// Printed at its end.
    pub label: String,
    /// It is doubtful or INVALID.
    pub is_hollow: bool,
}

/// One row: a thing and its bars, `[panel][series]`; a missing bar is a missing value.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct BarRow {
    /// Its name.
    pub name: String,
    /// Its bars.
    pub bars: Vec<Vec<Option<Bar>>>,
    /// Colour of its alternative.
    pub colour: usize,
}

const NAMES_WIDTH_MAX: f64 = 190.0;
/// Lines of a name; what is longer than that is no name.
const NAME_LINES_MAX: usize = 12;
const GAP: f64 = 22.0;
const TOP: f64 = 58.0;
const BAR_HEIGHT: f64 = 14.0;
const ROW_GAP: f64 = 10.0;
/// How much wider bold text is.
pub(crate) const BOLD: f64 = 1.12;

/// Where the parts of a chart with a name per row are.
pub(super) struct Names {
    /// Lines of each name.
    pub(super) lines: Vec<Vec<String>>,
    /// Room for names, with what parts them from the drawing.
    pub(super) width: f64,
}

impl Names {
    /// Breaks names into lines so that none is cut.
    pub(super) fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let lines: Vec<Vec<String>> =
            names.map(|name| wrapped(name, NAMES_WIDTH_MAX - 12.0, NAME_LINES_MAX)).collect();
        let widest = lines.iter().flatten().map(|line| text_width(line)).fold(24.0, f64::max);
        Self { lines, width: widest + 12.0 }
    }

    /// Returns how high the name of a row is.
    pub(super) fn height(&self, at: usize) -> f64 {
        self.lines[at].len() as f64 * LINE_HEIGHT
    }

    /// Writes the name of a row, the middle of its lines at `middle`.
    pub(super) fn draw(&self, svg: &mut Svg, at: usize, middle: f64) {
        let first = middle - self.height(at) / 2.0 + LINE_HEIGHT - 3.5;
        for (nth, line) in self.lines[at].iter().enumerate() {
            let base = first + nth as f64 * LINE_HEIGHT;
            svg.text((self.width - 10.0, base), Anchor::End, "t", line);
        }
    }
}

/// Draws `rows` in one panel per title; `series` names the bars within a row.
pub(crate) fn draw(title: &str, series: &[&str], panels: &[String], rows: &[BarRow]) -> String {
    let names = Names::of(rows.iter().map(|row| row.name.as_str()));
    let shown: Vec<Vec<usize>> = rows.iter().map(|row| series_of(row, series.len())).collect();
    let row_height = |at: usize| {
        f64::max(shown[at].len().max(1) as f64 * BAR_HEIGHT, names.height(at)) + ROW_GAP
    };
    let tops: Vec<f64> =
        (0..=rows.len()).map(|at| TOP + (0..at).map(row_height).sum::<f64>()).collect();
    let bottom = tops[rows.len()];
    let mut svg = Svg::new(WIDTH, bottom + 6.0, title);
    legend(&mut svg, series, rows);

    let n_panels = panels.len().max(1) as f64;
    let panel_width = (WIDTH - names.width - GAP * (n_panels - 1.0)) / n_panels;
    for (at, panel) in panels.iter().enumerate() {
        let left = names.width + at as f64 * (panel_width + GAP);
        let bars = || rows.iter().flat_map(|row| row.bars.get(at).into_iter().flatten().flatten());
        let label_width = bars().map(|bar| text_width(&bar.label)).fold(20.0, f64::max) + 8.0;
        let whiskers =
            |bar: &Bar| bar.interval.map(|(_, high)| high).filter(|it| !is_unlimited(*it));
        let ends = bars().flat_map(|bar| [Some(bar.value), whiskers(bar)]);
        let to = left + f64::max(panel_width - label_width, 20.0);
        let scale = Scale::linear(ends.flatten(), true, left, to);
        let heading = wrapped(panel, panel_width / BOLD, 2);
        for (nth, line) in heading.iter().enumerate() {
            let base = TOP - 8.0 - LINE_HEIGHT * (heading.len() - 1 - nth) as f64;
            svg.text((left, base), Anchor::Start, "t strong", line);
        }
        svg.line((left, TOP - 2.0), (left, bottom - ROW_GAP + 2.0), "a");
        for (nth, row) in rows.iter().enumerate() {
            let panel = Panel { at, name: panel, scale: &scale };
            panel.row(&mut svg, row, &shown[nth], series, tops[nth]);
        }
    }
    for (at, top) in tops[..rows.len()].iter().enumerate() {
        names.draw(&mut svg, at, top + (row_height(at) - ROW_GAP) / 2.0);
    }
    svg.finish()
}

/// Returns the series that a row has in any panel, so that rows of one bar stay thin.
fn series_of(row: &BarRow, n_series: usize) -> Vec<usize> {
    let has = |at: &usize| row.bars.iter().any(|panel| panel.get(*at).is_some_and(Option::is_some));
    (0..n_series).filter(has).collect()
}

fn legend(svg: &mut Svg, series: &[&str], rows: &[BarRow]) {
    let any_hollow = rows.iter().flat_map(|row| row.bars.iter().flatten().flatten());
    let any_hollow = any_hollow.into_iter().any(|bar| bar.is_hollow);
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    if series.len() > 1 {
        wanted.extend(series.iter().enumerate().map(|(at, name)| {
            (*name, if at == 0 { "class=\"n\" fill-opacity=\"0.6\"" } else { "class=\"outline\"" })
        }));
    }
    if any_hollow {
        wanted.push((HOLLOW, "class=\"hollow w\""));
    }
    let mut left = 4.0;
    for (name, style) in wanted {
        svg.rect((left, 5.0), (12.0, 9.0), style, "");
        svg.text((left + 17.0, 13.0), Anchor::Start, "q", name);
        left += 34.0 + text_width(name);
    }
}

/// One quantity of all rows.
struct Panel<'a> {
    at: usize,
    name: &'a str,
    scale: &'a Scale,
}

impl Panel<'_> {
    fn row(&self, svg: &mut Svg, row: &BarRow, shown: &[usize], series: &[&str], top: f64) {
        let bars = row.bars.get(self.at).map_or(&[][..], Vec::as_slice);
        for (slot, series_at) in shown.iter().enumerate() {
            let top = top + slot as f64 * BAR_HEIGHT;
            let Some(bar) = bars.get(*series_at).and_then(Option::as_ref) else {
                svg.text((self.scale.at(0.0) + 5.0, top + 11.0), Anchor::Start, "q", "–");
                continue;
            };
            let of_row = format!("{}, {}: {}", row.name, series[*series_at], self.name);
            self.bar(svg, bar, &style(bar, *series_at, row.colour), &of_row, top);
        }
    }

    fn bar(&self, svg: &mut Svg, bar: &Bar, style: &str, of_row: &str, top: f64) {
        let (from, to) = (self.scale.at(0.0), self.scale.at(bar.value));
        let tip = format!("{of_row} {}", bar.label);
        svg.rect((from, top + 1.0), (to - from, BAR_HEIGHT - 3.0), style, &tip);
        let mut label_left = to;
        if let Some((low, high)) = bar.interval {
            // What nothing limits goes to the end of the bar, and has no end of its own.
            let is_open = is_unlimited(high);
            let high = if is_open { to } else { self.scale.at(high) };
            let low = self.scale.at(low);
            let middle = top + BAR_HEIGHT / 2.0 - 0.5;
            svg.line((low, middle), (high, middle), "w");
            for end in [Some(low), Some(high).filter(|_| !is_open)].into_iter().flatten() {
                svg.line((end, middle - 3.0), (end, middle + 3.0), "w");
            }
            label_left = label_left.max(high);
        }
        svg.text((label_left + 5.0, top + 11.0), Anchor::Start, "q", &bar.label);
    }
}

/// The first series has the colour of the row, the second is an outline: they differ without
/// colour.
fn style(bar: &Bar, series: usize, colour: usize) -> String {
    match (series, bar.is_hollow) {
        (0, false) => format!("class=\"f{}\"", colour % COLOURS),
        (0, true) => format!("class=\"hollow l{}\"", colour % COLOURS),
        _ => "class=\"outline\"".to_owned(),
    }
}
