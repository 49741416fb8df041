//! Numbers in a grid, the larger the darker.

use crate::report::figure::svg::{Anchor, Svg};
use crate::report::figure::{WIDTH, shortened};
use crate::report::number::rounded;

/// A grid of values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grid {
    /// What a screen reader says.
    pub title: String,
    /// What the columns are.
    pub column_label: String,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Names of the rows and their values, one per column.
    pub rows: Vec<(String, Vec<Option<f64>>)>,
    /// Unit of the values.
    pub unit: String,
}

const LEFT: f64 = 172.0;
const NAME_MAX: usize = 22;
const TOP: f64 = 40.0;
const ROW: f64 = 30.0;

/// Draws a grid. Shades are even in the logarithm of the value, as latencies are.
pub fn draw(grid: &Grid) -> String {
    let mut svg = Svg::new(WIDTH, TOP + ROW * grid.rows.len() as f64 + 8.0, &grid.title);
    let column_width = ((WIDTH - LEFT) / grid.columns.len().max(1) as f64).min(110.0);
    svg.text((LEFT, 14.0), Anchor::Start, "q", &grid.column_label);
    for (at, column) in grid.columns.iter().enumerate() {
        let middle = LEFT + (at as f64 + 0.5) * column_width;
        svg.text((middle, TOP - 8.0), Anchor::Middle, "t", &shortened(column, 12));
    }
    let values = || grid.rows.iter().flat_map(|(_, values)| values).flatten().copied();
    let usable = || values().filter(|value| value.is_finite() && *value > 0.0);
    let low = usable().fold(f64::INFINITY, f64::min);
    let high = usable().fold(0.0, f64::max);
    for (at, (name, values)) in grid.rows.iter().enumerate() {
        let top = TOP + ROW * at as f64;
        svg.text((LEFT - 10.0, top + 19.0), Anchor::End, "t", &shortened(name, NAME_MAX));
        for (column, value) in values.iter().enumerate() {
            let corner = (LEFT + column as f64 * column_width + 1.0, top + 1.0);
            let size = (column_width - 2.0, ROW - 2.0);
            let middle = (corner.0 + size.0 / 2.0, top + 19.0);
            let Some(value) = value.filter(|value| value.is_finite()) else {
                svg.text(middle, Anchor::Middle, "q", "–");
                continue;
            };
            let shade = if high > low && value > 0.0 {
                (value / low).ln() / (high / low).ln()
            } else {
                0.0
            };
            let style = format!("class=\"f1\" fill-opacity=\"{:.2}\"", 0.08 + 0.52 * shade);
            let label = format!("{} {}", rounded(value), grid.unit);
            let tooltip = format!("{name}, {}: {label}", grid.columns[column]);
            svg.rect(corner, size, &style, &tooltip);
            svg.text(middle, Anchor::Middle, "t", &rounded(value));
        }
    }
    svg.finish()
}
