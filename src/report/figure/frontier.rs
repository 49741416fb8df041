//! What is bought with what: output against speed for one user, accuracy against speed.

use std::collections::{BTreeMap, BTreeSet};

use crate::metrics::bounds::is_lower_bound;
use crate::metrics::catalogue::MetricId;
use crate::metrics::decide::decide;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::{CellSummary, Figure, NumberState};
use crate::report::figure::alternatives::{Alternatives, is_hollow};
use crate::report::figure::lines::{self, Axes, Beyond, DOTS_MAX, Dot, Line, Stroke};
use crate::report::figure::over_load::key_label;
use crate::report::figure::{FigureView, SERIES_MAX, first_of};
use crate::report::input::Input;
use crate::report::number::{AT_LEAST, printed};
use crate::report::untrusted::line;
use crate::report::view::decision::choices;

type Read = dyn Fn(&CellSummary) -> Option<Figure>;

/// A number of a cell as an axis has it.
struct Axis {
    id: &'static str,
    label: String,
    title: &'static str,
    larger_is_better: bool,
    /// What is read of a cell.
    quantity: Quantity,
    read: Box<Read>,
}

impl Axis {
    fn of(
        quantity: Quantity,
        id: &'static str,
        title: &'static str,
        label: &str,
        larger: bool,
    ) -> Self {
        Self {
            id,
            label: label.to_owned(),
            title,
            larger_is_better: larger,
            quantity: quantity.clone(),
            read: Box::new(move |cell| quantity.read(cell).filter(|it| it.value.is_some())),
        }
    }

    /// Returns where the value may lie beyond a number, where that is known as a bound alone: a
    /// latency to the right, what is its inverse to the left.
    fn beyond(&self, figure: &Figure) -> Option<Beyond> {
        let towards = if self.larger_is_better { Beyond::Left } else { Beyond::Right };
        is_lower_bound(&self.quantity, figure).then_some(towards)
    }
}

/// Draws output against what a user sees of it, and accuracy against speed.
pub(super) fn frontiers(input: &Input<'_>, alternatives: &Alternatives<'_>) -> Vec<FigureView> {
    let output = || output(input);
    let user = Axis {
        id: "user",
        label: "output tokens/s per user (1 / TPOT p50)".to_owned(),
        title: "tokens/s per user",
        larger_is_better: true,
        quantity: Quantity::percentile(MetricId::Tpot, 50.0),
        read: Box::new(per_user),
    };
    let ttft = Quantity::percentile(MetricId::Ttft, 50.0);
    let ttft = Axis::of(ttft, "ttft", "TTFT", "TTFT p50 (ms)", false);
    let standing = Standing::of(input);
    let accuracy = Quantity::figure(MetricId::Accuracy);
    let accuracy = Axis::of(accuracy, "accuracy", "Accuracy", "accuracy (%)", true);
    [
        frontier(alternatives, &user, &output(), &standing),
        frontier(alternatives, &ttft, &output(), &standing),
        frontier(alternatives, &output(), &accuracy, &Standing::default()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Output of one device where there are devices, else of the machine.
fn output(input: &Input<'_>) -> Axis {
    let is_of_gpus = !input.environment.gpus.is_empty()
        || input.summary.cells.iter().any(|cell| cell.n_gpus > 1);
    let (metric, title, label) = if is_of_gpus {
        (MetricId::OutputThroughputPerGpu, "Output tokens/s per GPU", "output tokens/s per GPU")
    } else {
        (MetricId::OutputThroughput, "Output tokens/s", "output tokens/s")
    };
    Axis::of(Quantity::figure(metric), "output", title, label, true)
}

/// Tokens per second that one stream sees once it has its first.
fn per_user(cell: &CellSummary) -> Option<Figure> {
    let tpot = Quantity::percentile(MetricId::Tpot, 50.0).read(cell)?;
    let per_s = |ms: f64| (ms > 0.0).then_some(1000.0 / ms);
    let turned = |(low, high): (f64, f64)| Some((per_s(high)?, per_s(low)?));
    Some(Figure {
        value: Some(per_s(tpot.value?)?),
        interval: tpot.interval.and_then(turned),
        unit: "tok/s",
        ..tpot
    })
}

/// How cells stand in the decision.
#[derive(Default)]
struct Standing {
    /// Names of those that another cell is better than beyond the intervals.
    dominated: BTreeSet<String>,
    /// Names of the recommended ones, where the run is asked for them.
    recommended: BTreeSet<String>,
}

impl Standing {
    fn of(input: &Input<'_>) -> Self {
        // Of more cells no point is drawn by itself.
        if input.summary.cells.len() > DOTS_MAX {
            return Self::default();
        }
        let dominated = decide(input.plan, input.summary, None).into_iter().flat_map(|it| it.cells);
        let recommended = choices(input.plan, input.summary).into_iter();
        Self {
            dominated: dominated.filter_map(|it| it.dominated_by.and(Some(it.cell))).collect(),
            recommended: recommended
                .filter_map(|mut it| it.best.map(|at| it.cells.swap_remove(at).cell))
                .collect(),
        }
    }
}

fn frontier(
    alternatives: &Alternatives<'_>,
    x: &Axis,
    y: &Axis,
    standing: &Standing,
) -> Option<FigureView> {
    let load_lines = alternatives.load_lines();
    let key = load_lines.first().map(|line| line.curve.key.clone());
    let keys = key.clone().map_or_else(|| varied(alternatives), |key| vec![key]);
    let mut n_load_lines: BTreeMap<usize, usize> = BTreeMap::new();
    for line in &load_lines {
        *n_load_lines.entry(line.colour).or_default() += 1;
    }
    let mut drawn: Vec<Line> = Vec::new();
    let mut ranked: Vec<(f64, f64)> = Vec::new();
    for (name, colour, cells) in alternatives.all() {
        let mut line = Line { name, colour: Some(colour), ..Line::default() };
        for cell in &cells {
            let (Some(at_x), Some(at_y)) = ((x.read)(cell), (y.read)(cell)) else { continue };
            let Some(point) = at_x.value.zip(at_y.value) else { continue };
            let mut dot = dot(cell, &keys, &line.name, [(x, &at_x), (y, &at_y)]);
            dot.is_dim = standing.dominated.contains(&cell.name);
            if standing.recommended.contains(&cell.name) {
                let gap = if dot.label.is_empty() { "" } else { ", " };
                dot.label.extend([gap, "recommended"]);
            }
            if is_ranked(cell, [&at_x, &at_y]) {
                ranked.push(point);
            }
            line.points.push(point);
            line.dots.push(dot);
        }
        // Only loads of one key follow each other.
        let is_path = n_load_lines.get(&colour) == Some(&1);
        if !is_path {
            line.stroke = Stroke::None;
        }
        if !line.points.is_empty() {
            drawn.push(line);
        }
    }
    let n_points: usize = drawn.iter().map(|line| line.points.len()).sum();
    if n_points < 2 {
        return None;
    }
    let n_lines = drawn.len();
    drawn.truncate(SERIES_MAX);
    let front = front(ranked, x.larger_is_better);
    let named: Vec<String> = keys.iter().map(|key| key_label(key)).collect();
    let labels = match named.as_slice() {
        [] => String::new(),
        [load] if key.is_some() => format!(" Numbers beside points are {load}."),
        _ => format!(" Beside points stand {}.", named.join(LABEL_GAP)),
    };
    let better = if x.larger_is_better { "right" } else { "left" };
    let axes = Axes {
        title: format!("{} against {}", y.title, x.title.replace("Output", "output")),
        x_label: x.label.clone(),
        y_label: y.label.clone(),
        has_dots: true,
        front: (front.len() > 1).then(|| (front, "Pareto front".to_owned())),
        ..Axes::default()
    };
    let is_dim = drawn.iter().flat_map(|line| &line.dots).any(|dot| dot.is_dim);
    let dim = if is_dim {
        " Faint points: another cell is as good in output, TTFT and TPOT, and better in one beyond \
         the intervals."
    } else {
        ""
    };
    Some(FigureView {
        id: format!("{}-against-{}", y.id, x.id),
        svg: lines::draw(&axes, &drawn),
        title: axes.title,
        caption: format!(
            "Up and {better} is better; whiskers are 95 % intervals.{labels}{dim}{}",
            first_of(n_lines, "lines")
        ),
    })
}

/// Parts what stands beside a point.
const LABEL_GAP: &str = " / ";

/// Returns the keys by which cells of one alternative differ, where none of them is a load.
fn varied(alternatives: &Alternatives<'_>) -> Vec<String> {
    let mut varied: Vec<String> = Vec::new();
    for (_, _, cells) in alternatives.all() {
        for key in cells.iter().flat_map(|cell| cell.keys.keys()) {
            let values: BTreeSet<_> = cells.iter().map(|cell| cell.keys.get(key)).collect();
            if values.len() > 1 && !varied.contains(key) {
                varied.push(key.clone());
            }
        }
    }
    varied
}

fn dot(cell: &CellSummary, keys: &[String], name: &str, axes: [(&Axis, &Figure); 2]) -> Dot {
    let told = keys.iter().filter_map(|key| cell.keys.get(key)).map(|value| line(value));
    let told = told.collect::<Vec<_>>().join(LABEL_GAP);
    let load = Some(told).filter(|told| !told.is_empty());
    let figures = axes.map(|(_, figure)| figure);
    let told = axes.map(|(axis, figure)| {
        let told = printed(figure.value.unwrap_or(f64::NAN), figure.interval, figure.unit);
        let bound = match axis.beyond(figure) {
            None => "",
            Some(Beyond::Left) => "≤ ",
            Some(Beyond::Up | Beyond::Right) => AT_LEAST,
        };
        format!("{} {bound}{} {}", axis.label, told.value, told.spread)
    });
    let what = load.clone().map_or_else(|| line(&cell.name), |load| format!("{name} at {load}"));
    Dot {
        // Upwards are numbers whose value lies within their bound.
        beyond: axes[0].0.beyond(figures[0]),
        is_hollow: is_hollow(cell, &figures),
        label: load.unwrap_or_default(),
        tip: format!("{what}: {}", told.join("; ")),
        x_interval: figures[0].interval,
        y_interval: figures[1].interval,
        ..Dot::default()
    }
}

/// Whether a point may be on the front: doubtful numbers are ranked, as in the decision, and
/// INVALID ones are not.
fn is_ranked(cell: &CellSummary, figures: [&Figure; 2]) -> bool {
    cell.takes_part() && figures.iter().all(|it| it.state != Some(NumberState::Invalid))
}

/// Returns the points that no other beats in both, from left to right.
fn front(mut points: Vec<(f64, f64)>, larger_is_better: bool) -> Vec<(f64, f64)> {
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    if larger_is_better {
        points.reverse();
    }
    let mut best = f64::NEG_INFINITY;
    let mut front = Vec::new();
    for (x, y) in points {
        if y > best {
            best = y;
            front.push((x, y));
        }
    }
    if larger_is_better {
        front.reverse();
    }
    front
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::summary::{CellStatus, Validity};
    use crate::metrics::tests::fixture::measured_cell;

    #[test]
    fn a_doubtful_point_may_be_on_the_front_and_an_invalid_number_may_not() {
        let number = |state| Figure { state: Some(state), ..Figure::default() };
        let sure = number(NumberState::Ok);
        let check = |status, state, expected| {
            let mut cell = measured_cell("a", "fp16");
            cell.validity = Validity::new(status, []);
            assert_eq!(is_ranked(&cell, [&sure, &number(state)]), expected, "{status:?} {state:?}");
        };
        check(CellStatus::Ok, NumberState::Ok, true);
        check(CellStatus::Doubtful, NumberState::Doubtful, true);
        check(CellStatus::Invalid, NumberState::Ok, true);
        check(CellStatus::Invalid, NumberState::Invalid, false);
        check(CellStatus::Failed, NumberState::Ok, false);
    }

    #[test]
    fn the_front_is_what_no_other_point_beats_in_both() {
        let points = vec![(1.0, 9.0), (2.0, 7.0), (3.0, 8.0), (4.0, 2.0), (4.0, 3.0)];
        assert_eq!(front(points.clone(), true), [(1.0, 9.0), (3.0, 8.0), (4.0, 3.0)]);
        assert_eq!(front(points, false), [(1.0, 9.0)]);
        assert_eq!(front(vec![(5.0, 1.0), (9.0, 4.0)], false), [(5.0, 1.0), (9.0, 4.0)]);
    }
}
