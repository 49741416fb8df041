//! Numbers in a grid, the larger the darker.

use crate::report::figure::bars::Names;
use crate::report::figure::labels::{text_width, wrapped};
use crate::report::figure::svg::{Anchor, Svg};
use crate::report::figure::{DOUBT_MARK, WIDTH, doubt_legend};
use crate::report::number::{AT_LEAST, rounded};

/// A grid of values.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Grid {
    /// What the values are, with their unit.
    pub title: String,
    /// What the columns are.
    pub column_label: String,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Names of the rows and their values, one per column.
    pub rows: Vec<(String, Vec<Option<Entry>>)>,
    /// Unit of the values.
    pub unit: String,
}

/// A value, and whether it is doubtful or INVALID.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Entry {
    /// The value.
    pub value: f64,
    /// Whether it is to be doubted.
    pub is_doubtful: bool,
    /// Whether it is a lower bound.
    pub is_least: bool,
}

const TOP: f64 = 60.0;
const ROW: f64 = 30.0;

/// The darkest shade is at least so many times the lightest: what differs by less looks alike.
const RANGE_MIN: f64 = 1.25;

/// Room that a number has at least to its neighbours.
const NUMBER_GAP: f64 = 8.0;
const COLUMN_MAX: f64 = 110.0;
/// Room for the names of columns above each part.
const HEADER: f64 = 26.0;

impl Entry {
    /// Returns it as text, with the marks of a lower bound and of a doubt.
    fn text(self, unit: &str) -> String {
        let mark = if self.is_doubtful { DOUBT_MARK } else { "" };
        let least = if self.is_least { AT_LEAST } else { "" };
        format!("{least}{}{unit}{mark}", rounded(self.value))
    }
}

/// Draws a grid. Shades are even in the logarithm of the value, as latencies are. Columns that do not
/// fit beside each other go on below.
pub(crate) fn draw(grid: &Grid) -> String {
    let names = Names::of(grid.rows.iter().map(|(name, _)| name.as_str()));
    let height = |at: usize| f64::max(ROW, names.height(at) + 4.0);
    let values = || grid.rows.iter().flat_map(|(_, values)| values).flatten();
    let texts = values().map(|value| value.text("")).chain(grid.columns.iter().cloned());
    let widest = texts.map(|text| text_width(&text)).fold(0.0, f64::max) + NUMBER_GAP;
    let room = WIDTH - names.width;
    let n_columns = grid.columns.len().max(1);
    let n_fit = ((room / widest) as usize).clamp(1, n_columns);
    // Parts of about one length.
    let n_each = n_columns.div_ceil(n_columns.div_ceil(n_fit));
    let n_parts = n_columns.div_ceil(n_each);
    let part_height = HEADER + (0..grid.rows.len()).map(height).sum::<f64>();
    let bottom = TOP - HEADER + part_height * n_parts as f64;
    let mut svg = Svg::new(WIDTH, bottom + 8.0, &grid.title);
    let column_width = (room / n_each as f64).min(COLUMN_MAX);
    svg.text((0.0, 14.0), Anchor::Start, "t", &wrapped(&grid.title, WIDTH, 1).concat());
    svg.text((names.width, 34.0), Anchor::Start, "q", &grid.column_label);
    if values().any(|it| it.is_doubtful) {
        svg.text((WIDTH - 4.0, 34.0), Anchor::End, "q", &doubt_legend());
    }
    let usable = || values().map(|it| it.value).filter(|value| value.is_finite() && *value > 0.0);
    let low = usable().fold(f64::INFINITY, f64::min);
    let high = usable().fold(low * RANGE_MIN, f64::max);
    for part in 0..n_parts {
        let columns = part * n_each..n_columns.min((part + 1) * n_each).min(grid.columns.len());
        let left = |column: usize| names.width + (column - columns.start) as f64 * column_width;
        let mut top = TOP + part as f64 * part_height;
        for column in columns.clone() {
            let middle = left(column) + column_width / 2.0;
            svg.text((middle, top - 8.0), Anchor::Middle, "t", &grid.columns[column]);
        }
        for (at, (name, values)) in grid.rows.iter().enumerate() {
            let middle = top + height(at) / 2.0;
            names.draw(&mut svg, at, middle);
            for column in columns.clone() {
                let corner = (left(column) + 1.0, top + 1.0);
                let size = (column_width - 2.0, height(at) - 2.0);
                let place = (corner.0 + size.0 / 2.0, middle + 4.0);
                let value = values.get(column).copied().flatten();
                let Some(it) = value.filter(|it| it.value.is_finite()) else {
                    svg.text(place, Anchor::Middle, "q", "–");
                    continue;
                };
                let part = (it.value / low).ln() / (high / low).ln();
                let shade = if it.value > 0.0 { part } else { 0.0 };
                // Grey, for colour tells alternatives.
                let style = format!("class=\"n\" fill-opacity=\"{:.2}\"", 0.05 + 0.4 * shade);
                let label = it.text(&format!(" {}", grid.unit));
                let tooltip = format!("{name}, {}: {label}", grid.columns[column]);
                svg.rect(corner, size, &style, &tooltip);
                svg.text(place, Anchor::Middle, "t", &it.text(""));
            }
            top += height(at);
        }
    }
    svg.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn sure(value: f64) -> Entry {
        Entry { value, is_doubtful: false, is_least: false }
    }

    #[test]
    fn a_doubtful_value_is_marked_and_the_mark_explained() {
        let doubtful = Entry { value: 12.0, is_doubtful: true, is_least: true };
        let svg = draw(&Grid {
            columns: vec!["1".to_owned(), "2".to_owned()],
            rows: vec![("one".to_owned(), vec![Some(sure(11.0)), Some(doubtful)])],
            ..Grid::default()
        });
        assert!(svg.contains(">≥ 12.00 ?</text>") && svg.contains(">11.00</text>"), "{svg}");
        assert!(svg.contains(&format!(">{}</text>", doubt_legend())), "{svg}");
    }

    #[test]
    fn numbers_of_many_columns_have_room_and_go_on_below() {
        let number =
            |at: usize| Entry { value: 12.05, is_doubtful: at.is_multiple_of(2), is_least: false };
        let drawn = |n: usize| {
            let row = |name: &str| (name.to_owned(), (0..n).map(|at| Some(number(at))).collect());
            draw(&Grid {
                columns: (0..n).map(|at| (1 << at).to_string()).collect(),
                rows: vec![row("engine=one"), row("engine=two")],
                ..Grid::default()
            })
        };
        // Places of the numbers: those on one line are apart by more than they are wide.
        let places = |svg: &str| -> Vec<(f64, f64)> {
            let of = |text: &str, name: &str| -> f64 {
                let rest = text.split(&format!("{name}=\"")).nth(1).unwrap();
                rest.split('"').next().unwrap().parse().unwrap()
            };
            let texts = svg.split("<text").filter(|text| text.contains(">12.05"));
            texts.map(|text| (of(text, " y"), of(text, " x"))).collect()
        };
        for n in [2, 8, 16] {
            let mut found = places(&drawn(n));
            assert_eq!(found.len(), 2 * n);
            found.sort_by(|a, b| a.partial_cmp(b).unwrap());
            for pair in found.windows(2).filter(|pair| (pair[0].0 - pair[1].0).abs() < 1.0) {
                assert!(pair[1].1 - pair[0].1 >= text_width("12.05 ?"), "{n}: {pair:?}");
            }
            let lines: BTreeSet<String> = found.iter().map(|(y, _)| y.to_string()).collect();
            assert_eq!(lines.len(), if n == 16 { 4 } else { 2 }, "{n}");
        }
    }

    fn shades(values: &[f64]) -> Vec<f64> {
        let svg = draw(&Grid {
            title: "E2E latency p50 (ms)".to_owned(),
            columns: values.iter().map(ToString::to_string).collect(),
            rows: vec![("one".to_owned(), values.iter().map(|value| Some(sure(*value))).collect())],
            ..Grid::default()
        });
        assert!(svg.contains(">E2E latency p50 (ms)</text>"), "the file alone says what it shows");
        let shades = svg.split("fill-opacity=\"").skip(1);
        shades.map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect()
    }

    #[test]
    fn values_that_are_printed_alike_look_alike() {
        let noise = shades(&[34.11, 34.14, 34.12]);
        assert!(noise.iter().all(|shade| (0.045..0.055).contains(shade)), "{noise:?}");
        let apart = shades(&[10.0, 100.0, 0.0, 1_000.0]);
        assert_eq!(apart, [0.05, 0.25, 0.05, 0.45]);
    }
}
