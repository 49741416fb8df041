//! Lines over two axes: curves, distributions, courses over time, points with their intervals.

use crate::report::figure::labels::{LINE_HEIGHT, Written, text_width, wrapped};
use crate::report::figure::scale::Scale;
use crate::report::figure::svg::{self, Anchor, Svg};
use crate::report::figure::{COLOURS, HOLLOW, WIDTH};
use crate::report::number::rounded;

/// Axes of a line chart.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Axes {
    /// What a screen reader says.
    pub title: String,
    /// What runs to the right, with its unit.
    pub x_label: String,
    /// What runs upwards, with its unit.
    pub y_label: String,
    /// Equal ratios are equal distances to the right.
    pub x_is_log: bool,
    /// Equal ratios are equal distances upwards.
    pub y_is_log: bool,
    /// Each point is shown as a dot.
    pub has_dots: bool,
    /// Where the axis to the right has its ticks; round values where this is empty.
    pub x_ticks: Vec<f64>,
    /// Values upwards that are limits, with their names.
    pub limits: Vec<(f64, String)>,
    /// Values to the right at which something changes.
    pub moments: Vec<f64>,
    /// Stretch to the right that counts; what lies outside is shaded.
    pub window: Option<(f64, f64)>,
    /// What dashes mean; empty where they mean nothing.
    pub dashes: String,
    /// The best that any line reaches, with what it is called in the legend.
    pub front: Option<(Vec<(f64, f64)>, String)>,
}

/// One line.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Line {
    /// Name in the legend; empty for one that belongs to the line before.
    pub name: String,
    /// Points from left to right.
    pub points: Vec<(f64, f64)>,
    /// Uncertainty: low and high at points from left to right; may be empty.
    pub band: Vec<(f64, f64, f64)>,
    /// Colour of its alternative; that of its place where there is none.
    pub colour: Option<usize>,
    /// How it is drawn.
    pub stroke: Stroke,
    /// It is drawn faintly.
    pub is_dim: bool,
    /// What is known of each point beyond its place; may be empty.
    pub dots: Vec<Dot>,
}

/// How a line is drawn, its colour apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stroke {
    /// Without a gap.
    #[default]
    Solid,
    /// In dashes.
    Dashed,
    /// In one of 16 patterns, by its place among lines of one colour.
    Nth(usize),
    /// Not at all: points alone.
    None,
}

/// Where the value of a point may lie that is known as a bound alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beyond {
    /// Above it.
    Up,
    /// To the left of it.
    Left,
    /// To the right of it.
    Right,
}

/// A point of a line.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Dot {
    /// Where its value may lie, where it is a bound.
    pub beyond: Option<Beyond>,
    /// It is doubtful or INVALID.
    pub is_hollow: bool,
    /// Another point is better beyond doubt: it is drawn faintly.
    pub is_dim: bool,
    /// Written beside it, where there is room.
    pub label: String,
    /// Shown when it is pointed at; made from its place where this is empty.
    pub tip: String,
    /// Whiskers to the left and right.
    pub x_interval: Option<(f64, f64)>,
    /// Whiskers downwards and upwards.
    pub y_interval: Option<(f64, f64)>,
}

const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 28.0;
const PLOT_HEIGHT: f64 = 250.0;
const BOTTOM: f64 = TOP + PLOT_HEIGHT;
/// Room between an axis with ticks of its own and its first and last tick.
const INSET: f64 = 18.0;
const SAMPLE_WIDTH: f64 = 28.0;
/// Radius of a dot, and how far from its centre the arrow of a bound ends.
const DOT: f64 = 4.0;
const ARROW: f64 = 14.0;
/// What the arrow says, in the legend.
pub(super) const BEYOND: &str = "a bound: the value may lie anywhere beyond";
/// Points of a chart that are dots of their own, with tips; more would be a band of ink.
pub(super) const DOTS_MAX: usize = 400;
/// Measured values that an axis has ticks at; of more it has round ones.
const TICKS_MAX: usize = 40;

/// Patterns of lines of one colour, which are thin where these do not do.
const PATTERNS: [&str; 8] = [
    "",
    " dashed",
    " dotted",
    " dash-dotted",
    " long-dashed",
    " sparse",
    " dash-dot-dotted",
    " gapped",
];

struct Plot<'a> {
    axes: &'a Axes,
    has_dots: bool,
    x: Scale,
    y: Scale,
}

/// Draws lines with their legend below.
pub(crate) fn draw(axes: &Axes, lines: &[Line]) -> String {
    let legend = Legend::of(axes, lines);
    let mut svg = Svg::new(WIDTH, BOTTOM + 46.0 + legend.height, &axes.title);
    let plot = Plot::of(axes, lines);
    let mut written = Written::default();
    plot.grid(&mut svg, &mut written);
    if let Some((front, _)) = &axes.front {
        svg.polyline(&plot.places(front), "class=\"front\"", "");
    }
    for (at, line) in lines.iter().enumerate() {
        let (colour, series) = (colour(lines, at), series(lines, at));
        svg.open(&format!("class=\"series\" data-of=\"{series}\""));
        plot.band(&mut svg, line, colour);
        plot.curve(&mut svg, line, lines, at, colour);
        svg.close();
    }
    plot.point_labels(&mut svg, lines, &mut written);
    legend.draw(&mut svg);
    svg.finish()
}

/// Returns the line that names a line in the legend.
fn series(lines: &[Line], at: usize) -> usize {
    (0..=at).rev().find(|at| !lines[*at].name.is_empty()).unwrap_or_default()
}

fn colour(lines: &[Line], at: usize) -> usize {
    lines[at].colour.unwrap_or_else(|| series(lines, at))
}

/// Returns the class of a line. Alternatives beyond the number of colours take them again, dashed.
fn class(stroke: Stroke, colour: usize) -> String {
    let pattern = match stroke {
        Stroke::Dashed => " dashed",
        Stroke::Nth(nth) => PATTERNS[nth % PATTERNS.len()],
        Stroke::Solid if colour >= COLOURS => " dashed",
        Stroke::Solid | Stroke::None => "",
    };
    let is_thin = matches!(stroke, Stroke::Nth(nth) if nth / PATTERNS.len() % 2 == 1);
    let thin = if is_thin { " thin" } else { "" };
    format!("l{}{pattern}{thin}", colour % COLOURS)
}

impl<'a> Plot<'a> {
    fn of(axes: &'a Axes, lines: &[Line]) -> Self {
        let all = || lines.iter().flat_map(|line| line.points.iter().copied());
        let whiskers = |of: fn(&Dot) -> Option<(f64, f64)>| {
            let dots = lines.iter().flat_map(|line| &line.dots);
            dots.filter_map(of).flat_map(|(low, high)| [low, high]).collect::<Vec<f64>>()
        };
        let xs = || all().map(|(x, _)| x).chain(whiskers(|dot| dot.x_interval));
        let bands = lines.iter().flat_map(|line| line.band.iter());
        let ys = all().map(|(_, y)| y).chain(bands.flat_map(|(_, low, high)| [*low, *high]));
        let ys = ys.chain(whiskers(|dot| dot.y_interval));
        let ys = ys.chain(axes.limits.iter().map(|(limit, _)| *limit));
        let x = match (&*axes.x_ticks, axes.x_is_log) {
            ([_, _, ..], _) if axes.x_ticks.len() <= TICKS_MAX => {
                let (from, to) = (LEFT + INSET, WIDTH - RIGHT - INSET);
                Scale::with_ticks(&axes.x_ticks, axes.x_is_log, from, to)
            }
            (_, true) => Scale::log(xs(), LEFT, WIDTH - RIGHT),
            (_, false) => Scale::linear(xs(), false, LEFT, WIDTH - RIGHT),
        };
        let y = if axes.y_is_log {
            Scale::log(ys, BOTTOM, TOP)
        } else {
            Scale::linear(ys, true, BOTTOM, TOP)
        };
        let has_dots = axes.has_dots && all().count() <= DOTS_MAX;
        Self { axes, has_dots, x, y }
    }

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (self.x.at(x), self.y.at(y))
    }

    fn places(&self, points: &[(f64, f64)]) -> Vec<(f64, f64)> {
        points.iter().map(|point| self.place(*point)).collect()
    }

    fn grid(&self, svg: &mut Svg, written: &mut Written) {
        let right = WIDTH - RIGHT;
        if let Some((from, to)) = self.axes.window {
            let clamp = |x: f64| self.x.at(x).clamp(LEFT, right);
            for (from, to) in [(LEFT, clamp(from)), (clamp(to), right)] {
                svg.rect((from, TOP), (to - from, PLOT_HEIGHT), "class=\"outside\"", "");
            }
        }
        for moment in &self.axes.moments {
            svg.line((self.x.at(*moment), TOP), (self.x.at(*moment), BOTTOM), "limit");
        }
        for (tick, label) in self.y.ticks() {
            svg.line((LEFT, self.y.at(tick)), (right, self.y.at(tick)), "g");
            svg.text((LEFT - 8.0, self.y.at(tick) + 4.0), Anchor::End, "q", &label);
        }
        let mut free_from = f64::NEG_INFINITY;
        for (tick, label) in self.x.ticks() {
            let at = self.x.at(tick);
            svg.line((at, BOTTOM), (at, BOTTOM + 4.0), "a");
            let half = text_width(&label) / 2.0;
            if at - half > free_from && at + half <= WIDTH {
                svg.text((at, BOTTOM + 17.0), Anchor::Middle, "q", &label);
                free_from = at + half + 4.0;
            }
        }
        svg.line((LEFT, BOTTOM), (right, BOTTOM), "a");
        let middle = f64::midpoint(LEFT, right);
        svg.text((middle, BOTTOM + 34.0), Anchor::Middle, "t", &self.axes.x_label);
        svg.text((4.0, 14.0), Anchor::Start, "t", &self.axes.y_label);
        for (limit, name) in &self.axes.limits {
            let y = self.y.at(*limit);
            svg.line((LEFT, y), (right, y), "limit");
            let left = right - text_width(name) - 4.0;
            let places = [(left, y - 4.0), (left, y + 13.0)];
            if let Some(place) = written.place(name, &places, BOUNDS) {
                svg.text(place, Anchor::Start, "q", name);
            }
        }
    }

    fn band(&self, svg: &mut Svg, line: &Line, colour: usize) {
        let upper = line.band.iter().map(|(at, _, high)| self.place((*at, *high)));
        let lower = line.band.iter().rev().map(|(at, low, _)| self.place((*at, *low)));
        let outline: Vec<(f64, f64)> = upper.chain(lower).collect();
        svg.polygon(&outline, &format!("class=\"f{} band\"", colour % COLOURS), "");
    }

    fn curve(&self, svg: &mut Svg, line: &Line, lines: &[Line], at: usize, colour: usize) {
        let name = &lines[series(lines, at)].name;
        let places = self.places(&line.points);
        if line.stroke != Stroke::None && places.len() > 1 {
            let tip = if self.has_dots { "" } else { name };
            let dim = if line.is_dim { " dim" } else { "" };
            svg.polyline(&places, &format!("class=\"{}{dim}\"", class(line.stroke, colour)), tip);
        }
        if !self.has_dots && line.stroke == Stroke::None {
            let dot = |(x, y): &(f64, f64)| format!("M{} {}h0", svg::at(*x), svg::at(*y));
            let data: String = places.iter().map(dot).collect();
            svg.path(&data, &format!("class=\"l{} points\"", colour % COLOURS));
        }
        if !self.has_dots {
            return;
        }
        let unknown = Dot::default();
        for (nth, ((x, y), place)) in line.points.iter().zip(places).enumerate() {
            let dot = line.dots.get(nth).unwrap_or(&unknown);
            self.whiskers(svg, (*x, *y), dot, colour);
            let tip = match dot.tip.as_str() {
                "" => format!("{name}: {} at {}", rounded(*y), rounded(*x)),
                tip => tip.to_owned(),
            };
            let fill = if dot.is_hollow { "hollow l" } else { "f" };
            let dim = if dot.is_dim { " dim" } else { "" };
            svg.dot(place, DOT, &format!("{fill}{}{dim}", colour % COLOURS), &tip);
            if let Some(beyond) = dot.beyond {
                arrow(svg, place, beyond, &format!("l{}{dim}", colour % COLOURS));
            }
        }
    }

    fn whiskers(&self, svg: &mut Svg, (x, y): (f64, f64), dot: &Dot, colour: usize) {
        let class = format!("l{} whisker", colour % COLOURS);
        if let Some((low, high)) = dot.x_interval {
            svg.line(self.place((low, y)), self.place((high, y)), &class);
        }
        if let Some((low, high)) = dot.y_interval {
            svg.line(self.place((x, low)), self.place((x, high)), &class);
        }
    }

    fn point_labels(&self, svg: &mut Svg, lines: &[Line], written: &mut Written) {
        if !self.has_dots {
            return;
        }
        let labelled = || {
            let points = lines.iter().enumerate().flat_map(|(at, line)| {
                let dots = line.points.iter().zip(&line.dots);
                dots.map(move |(point, dot)| (at, *point, dot))
            });
            points.filter(|(.., dot)| !dot.label.is_empty())
        };
        for (_, point, _) in labelled() {
            written.keep_free(self.place(point), 4.0);
        }
        let drawn = lines.iter().filter(|line| line.stroke != Stroke::None);
        for line in drawn.filter(|line| line.dots.iter().any(|dot| !dot.label.is_empty())) {
            written.cross(&self.places(&line.points));
        }
        for (at, point, dot) in labelled() {
            let (x, y) = self.place(point);
            let width = text_width(&dot.label) * 11.0 / 12.0;
            let (right, left, middle) = (x + 6.0, x - width - 6.0, x - width / 2.0);
            let places = [
                (right, y - 5.0),
                (left, y - 5.0),
                (right, y + 13.0),
                (left, y + 13.0),
                (middle, y - 9.0),
                (middle, y + 19.0),
            ];
            if let Some(place) = written.place(&dot.label, &places, BOUNDS) {
                svg.open(&format!("class=\"series\" data-of=\"{}\"", series(lines, at)));
                svg.text(place, Anchor::Start, "q", &dot.label);
                svg.close();
            }
        }
    }
}

/// Draws an arrow from a dot to where its value may lie.
fn arrow(svg: &mut Svg, (x, y): (f64, f64), beyond: Beyond, class: &str) {
    let at = |along: f64, across: f64| match beyond {
        Beyond::Up => (x + across, y - along),
        Beyond::Left => (x - along, y + across),
        Beyond::Right => (x + along, y + across),
    };
    let tip = at(ARROW, 0.0);
    for from in [at(DOT, 0.0), at(ARROW - DOT, -DOT), at(ARROW - DOT, DOT)] {
        svg.line(from, tip, class);
    }
}

/// Where texts inside a plot may be.
const BOUNDS: [f64; 4] = [LEFT, TOP - 8.0, WIDTH, BOTTOM];

/// What stands below a chart.
struct Legend {
    entries: Vec<Entry>,
    height: f64,
}

struct Entry {
    place: (f64, f64),
    lines: Vec<String>,
    sample: Sample,
}

enum Sample {
    Series { at: usize, class: String, is_turned: bool },
    Mark(&'static str),
    Bound(Beyond),
}

impl Legend {
    fn of(axes: &Axes, lines: &[Line]) -> Self {
        let named = lines.iter().enumerate().filter(|(_, line)| !line.name.is_empty());
        let n_named = named.clone().count();
        let mut wanted: Vec<(String, Sample)> = named
            .map(|(at, line)| {
                let class = class(line.stroke, colour(lines, at));
                (line.name.clone(), Sample::Series { at, class, is_turned: n_named > 1 })
            })
            .collect();
        if !axes.dashes.is_empty() {
            wanted.push((axes.dashes.clone(), Sample::Mark("w dashed")));
        }
        if let Some((_, name)) = &axes.front {
            wanted.push((name.clone(), Sample::Mark("front")));
        }
        if lines.iter().flat_map(|line| &line.dots).any(|dot| dot.is_hollow) {
            wanted.push((HOLLOW.to_owned(), Sample::Mark("hollow w")));
        }
        let beyond = lines.iter().flat_map(|line| &line.dots).find_map(|dot| dot.beyond);
        wanted.extend(beyond.map(|beyond| (BEYOND.to_owned(), Sample::Bound(beyond))));
        let (mut left, mut top, mut row_height) = (LEFT, BOTTOM + 52.0, 0.0);
        let room = WIDTH - LEFT - SAMPLE_WIDTH;
        let mut entries = Vec::new();
        for (name, sample) in wanted {
            let lines = wrapped(&name, room, 2);
            let width = SAMPLE_WIDTH + lines.iter().map(|it| text_width(it)).fold(0.0, f64::max);
            if left > LEFT && left + width > WIDTH {
                left = LEFT;
                top += row_height;
                row_height = 0.0;
            }
            row_height = f64::max(row_height, LINE_HEIGHT * lines.len() as f64 + 4.0);
            entries.push(Entry { place: (left, top), lines, sample });
            left += width + 18.0;
        }
        Self { entries, height: top + row_height - (BOTTOM + 46.0) }
    }

    fn draw(&self, svg: &mut Svg) {
        for Entry { place: (left, top), lines, sample } in &self.entries {
            let to = (left + 20.0, *top);
            match sample {
                Sample::Series { at, class, is_turned } => {
                    let key = if *is_turned { "class=\"key\" " } else { "" };
                    svg.open(&format!("{key}data-of=\"{at}\""));
                    svg.line((*left, *top), to, class);
                }
                Sample::Mark(class @ "hollow w") => {
                    svg.open("");
                    svg.dot((left + 10.0, *top), DOT, class, "");
                }
                Sample::Bound(beyond) => {
                    svg.open("");
                    // The middle of dot and arrow is that of the line.
                    let half = (ARROW - DOT) / 2.0;
                    let place = match beyond {
                        Beyond::Up => (left + 10.0, top + half),
                        Beyond::Left => (left + 10.0 + half, *top),
                        Beyond::Right => (left + 10.0 - half, *top),
                    };
                    svg.dot(place, DOT, "hollow w", "");
                    arrow(svg, place, *beyond, "w");
                }
                Sample::Mark(class) => {
                    svg.open("");
                    svg.line((*left, *top), to, class);
                }
            }
            for (nth, text) in lines.iter().enumerate() {
                let base = top + 4.0 + LINE_HEIGHT * nth as f64;
                svg.text((left + SAMPLE_WIDTH, base), Anchor::Start, "t", text);
            }
            svg.close();
        }
    }
}
