//! Numbers in a grid, the larger the darker.

use crate::report::figure::bars::Names;
use crate::report::figure::labels::wrapped;
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
    pub rows: Vec<(String, Vec<Option<Value>>)>,
    /// Unit of the values.
    pub unit: String,
}

/// A value, and whether it is doubtful or INVALID.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Value {
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

/// Draws a grid. Shades are even in the logarithm of the value, as latencies are.
pub(crate) fn draw(grid: &Grid) -> String {
    let names = Names::of(grid.rows.iter().map(|(name, _)| name.as_str()));
    let height = |at: usize| f64::max(ROW, names.height(at) + 4.0);
    let bottom = TOP + (0..grid.rows.len()).map(height).sum::<f64>();
    let mut svg = Svg::new(WIDTH, bottom + 8.0, &grid.title);
    let column_width = ((WIDTH - names.width) / grid.columns.len().max(1) as f64).min(110.0);
    svg.text((0.0, 14.0), Anchor::Start, "t", &wrapped(&grid.title, WIDTH, 1).concat());
    svg.text((names.width, 34.0), Anchor::Start, "q", &grid.column_label);
    if grid.rows.iter().flat_map(|(_, values)| values).flatten().any(|it| it.is_doubtful) {
        svg.text((WIDTH - 4.0, 34.0), Anchor::End, "q", &doubt_legend());
    }
    for (at, column) in grid.columns.iter().enumerate() {
        let middle = names.width + (at as f64 + 0.5) * column_width;
        svg.text((middle, TOP - 8.0), Anchor::Middle, "t", column);
    }
    let values = || grid.rows.iter().flat_map(|(_, values)| values).flatten().map(|it| it.value);
    let usable = || values().filter(|value| value.is_finite() && *value > 0.0);
    let low = usable().fold(f64::INFINITY, f64::min);
    let high = usable().fold(low * RANGE_MIN, f64::max);
    let mut top = TOP;
    for (at, (name, values)) in grid.rows.iter().enumerate() {
        let middle = top + height(at) / 2.0;
        names.draw(&mut svg, at, middle);
        for (column, value) in values.iter().enumerate() {
            let corner = (names.width + column as f64 * column_width + 1.0, top + 1.0);
            let size = (column_width - 2.0, height(at) - 2.0);
            let place = (corner.0 + size.0 / 2.0, middle + 4.0);
            let Some(Value { value, is_doubtful, is_least }) =
                value.filter(|it| it.value.is_finite())
            else {
                svg.text(place, Anchor::Middle, "q", "–");
                continue;
            };
            let mark = if is_doubtful { DOUBT_MARK } else { "" };
            let least = if is_least { AT_LEAST } else { "" };
            let shade = if value > 0.0 { (value / low).ln() / (high / low).ln() } else { 0.0 };
            // Grey, for colour tells alternatives.
            let style = format!("class=\"n\" fill-opacity=\"{:.2}\"", 0.05 + 0.4 * shade);
            let label = format!("{least}{} {}{mark}", rounded(value), grid.unit);
            let tooltip = format!("{name}, {}: {label}", grid.columns[column]);
            svg.rect(corner, size, &style, &tooltip);
            svg.text(place, Anchor::Middle, "t", &format!("{least}{}{mark}", rounded(value)));
        }
        top += height(at);
    }
    svg.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sure(value: f64) -> Value {
        Value { value, is_doubtful: false, is_least: false }
    }

    #[test]
    fn a_doubtful_value_is_marked_and_the_mark_explained() {
        let doubtful = Value { value: 12.0, is_doubtful: true, is_least: true };
        let svg = draw(&Grid {
            columns: vec!["1".to_owned(), "2".to_owned()],
            rows: vec![("one".to_owned(), vec![Some(sure(11.0)), Some(doubtful)])],
            ..Grid::default()
        });
        assert!(svg.contains(">≥ 12.00 ?</text>") && svg.contains(">11.00</text>"), "{svg}");
        assert!(svg.contains(&format!(">{}</text>", doubt_legend())), "{svg}");
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
