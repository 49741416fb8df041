//! Lines over two axes: curves, distributions, courses over time.

use crate::report::figure::scale::Scale;
use crate::report::figure::svg::{Anchor, Svg};
use crate::report::figure::{COLOURS, WIDTH, shortened, text_width};
use crate::report::number::rounded;

/// Axes of a line chart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Axes {
    /// What a screen reader says.
    pub title: String,
    /// What runs to the right, with its unit.
    pub x_label: String,
    /// What runs upwards, with its unit.
    pub y_label: String,
    /// Equal ratios are equal distances to the right.
    pub x_is_log: bool,
    /// Each point is shown as a dot.
    pub has_dots: bool,
}

/// One line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// Name in the legend.
    pub name: String,
    /// Points from left to right.
    pub points: Vec<(f64, f64)>,
    /// Uncertainty: low and high at points from left to right; may be empty.
    pub band: Vec<(f64, f64, f64)>,
}

const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 12.0;
const PLOT_HEIGHT: f64 = 250.0;
const LEGEND_ROW: f64 = 18.0;

/// Draws lines with their legend below.
pub fn draw(axes: &Axes, lines: &[Line]) -> String {
    let legend = legend_places(lines);
    let n_legend_rows = legend.last().map_or(0, |(row, _)| row + 1);
    let bottom = TOP + PLOT_HEIGHT;
    let height = bottom + 44.0 + LEGEND_ROW * n_legend_rows as f64;
    let mut svg = Svg::new(WIDTH, height, &axes.title);

    let all = || lines.iter().flat_map(|line| line.points.iter().copied());
    let bands = lines.iter().flat_map(|line| line.band.iter());
    let ys = all().map(|(_, y)| y).chain(bands.flat_map(|(_, low, high)| [*low, *high]));
    let x = if axes.x_is_log {
        Scale::log(all().map(|(x, _)| x), LEFT, WIDTH - RIGHT)
    } else {
        Scale::linear(all().map(|(x, _)| x), false, LEFT, WIDTH - RIGHT)
    };
    let y = Scale::linear(ys, true, bottom, TOP);
    grid(&mut svg, axes, &x, &y, bottom);

    for (at, line) in lines.iter().enumerate() {
        band(&mut svg, line, at, &x, &y);
    }
    for (at, line) in lines.iter().enumerate() {
        curve(&mut svg, axes, line, at, &x, &y);
    }
    for (line, (at, (row, left))) in lines.iter().zip(legend.iter().enumerate()) {
        let top = bottom + 50.0 + LEGEND_ROW * *row as f64;
        svg.line((*left, top), (left + 22.0, top), &stroke(at));
        svg.text((left + 28.0, top + 4.0), Anchor::Start, "t", &shortened(&line.name, NAME_MAX));
    }
    svg.finish()
}

const NAME_MAX: usize = 44;

/// Returns row and left end of each legend entry.
fn legend_places(lines: &[Line]) -> Vec<(usize, f64)> {
    let (mut row, mut left) = (0, LEFT);
    lines
        .iter()
        .map(|line| {
            let width = 28.0 + text_width(&shortened(&line.name, NAME_MAX)) + 24.0;
            if left > LEFT && left + width > WIDTH {
                row += 1;
                left = LEFT;
            }
            let place = (row, left);
            left += width;
            place
        })
        .collect()
}

fn grid(svg: &mut Svg, axes: &Axes, x: &Scale, y: &Scale, bottom: f64) {
    for (tick, label) in y.ticks() {
        svg.line((LEFT, y.at(tick)), (WIDTH - RIGHT, y.at(tick)), "g");
        svg.text((LEFT - 8.0, y.at(tick) + 4.0), Anchor::End, "q", &label);
    }
    for (tick, label) in x.ticks() {
        svg.line((x.at(tick), bottom), (x.at(tick), bottom + 4.0), "a");
        svg.text((x.at(tick), bottom + 17.0), Anchor::Middle, "q", &label);
    }
    svg.line((LEFT, bottom), (WIDTH - RIGHT, bottom), "a");
    svg.text(((LEFT + WIDTH - RIGHT) / 2.0, bottom + 34.0), Anchor::Middle, "t", &axes.x_label);
    svg.upward_text((14.0, TOP + PLOT_HEIGHT / 2.0), "t", &axes.y_label);
}

fn band(svg: &mut Svg, line: &Line, at: usize, x: &Scale, y: &Scale) {
    let upper = line.band.iter().map(|(at, _, high)| (x.at(*at), y.at(*high)));
    let lower = line.band.iter().rev().map(|(at, low, _)| (x.at(*at), y.at(*low)));
    let outline: Vec<(f64, f64)> = upper.chain(lower).collect();
    svg.polygon(&outline, &format!("class=\"f{} band\"", at % COLOURS), "");
}

fn curve(svg: &mut Svg, axes: &Axes, line: &Line, at: usize, x: &Scale, y: &Scale) {
    let points: Vec<(f64, f64)> =
        line.points.iter().map(|(px, py)| (x.at(*px), y.at(*py))).collect();
    svg.polyline(&points, &format!("class=\"{}\"", stroke(at)), &line.name);
    if !axes.has_dots {
        return;
    }
    for ((px, py), place) in line.points.iter().zip(points) {
        let tooltip = format!("{}: {} at {}", line.name, rounded(*py), rounded(*px));
        svg.dot(place, 3.5, &format!("f{}", at % COLOURS), &tooltip);
    }
}

/// Lines beyond the number of colours take them again, dashed.
fn stroke(at: usize) -> String {
    let dash = if at >= COLOURS { " dashed" } else { "" };
    format!("l{}{dash}", at % COLOURS)
}
