//! Stretches of time one after the other, one row per course.

use crate::report::figure::bars::Names;
use crate::report::figure::labels::text_width;
use crate::report::figure::scale::Scale;
use crate::report::figure::svg::{Anchor, Svg};
use crate::report::figure::{COLOURS, WIDTH};
use crate::report::number::rounded;

/// One row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Course {
    /// Its name.
    pub name: String,
    /// Index of the kind, end in seconds; each begins where the one before ends.
    pub stretches: Vec<(usize, f64)>,
    /// Moments with a name, in seconds.
    pub moments: Vec<(String, f64)>,
    /// Colour of its alternative.
    pub colour: usize,
}

const TOP: f64 = 30.0;
const ROW: f64 = 24.0;
const END_LABEL_WIDTH: f64 = 64.0;

/// Draws courses; `kinds` names the stretches, which differ by shade.
pub(crate) fn draw(title: &str, kinds: &[&str], courses: &[Course]) -> String {
    let names = Names::of(courses.iter().map(|course| course.name.as_str()));
    let height = |at: usize| f64::max(ROW, names.height(at) + 6.0);
    let bottom = TOP + (0..courses.len()).map(height).sum::<f64>();
    let mut svg = Svg::new(WIDTH, bottom + 40.0, title);
    let ends = courses.iter().flat_map(|course| {
        course.stretches.iter().map(|(_, end)| *end).chain(course.moments.iter().map(|(_, at)| *at))
    });
    let scale = Scale::linear(ends, true, names.width, WIDTH - END_LABEL_WIDTH);
    for (tick, label) in scale.ticks() {
        svg.line((scale.at(tick), TOP - 4.0), (scale.at(tick), bottom), "g");
        svg.text((scale.at(tick), bottom + 16.0), Anchor::Middle, "q", &label);
    }
    let middle = f64::midpoint(names.width, WIDTH);
    svg.text((middle, bottom + 34.0), Anchor::Middle, "t", "time since spawn (s)");
    let mut left = 4.0;
    for (at, kind) in kinds.iter().enumerate() {
        let style = format!("class=\"n\" fill-opacity=\"{}\"", shade(at, kinds.len()));
        svg.rect((left, 4.0), (12.0, 10.0), &style, "");
        svg.text((left + 17.0, 13.0), Anchor::Start, "q", kind);
        left += 34.0 + text_width(kind);
    }
    let mut top = TOP;
    for (at, course) in courses.iter().enumerate() {
        let middle = top + height(at) / 2.0;
        names.draw(&mut svg, at, middle);
        row(&mut svg, kinds, course, &scale, middle);
        top += height(at);
    }
    svg.finish()
}

/// The later, the darker: colour tells the alternative.
fn shade(kind: usize, n_kinds: usize) -> f64 {
    let step = 0.7 / n_kinds.max(2).saturating_sub(1) as f64;
    ((0.3 + step * kind as f64) * 100.0).round() / 100.0
}

fn row(svg: &mut Svg, kinds: &[&str], course: &Course, scale: &Scale, middle: f64) {
    let mut from = 0.0;
    for (kind, to) in &course.stretches {
        let name = kinds.get(*kind).copied().unwrap_or_default();
        let tooltip =
            format!("{}: {name} from {} s to {} s", course.name, rounded(from), rounded(*to));
        let size = (scale.at(*to) - scale.at(from), ROW - 9.0);
        let (colour, shade) = (course.colour % COLOURS, shade(*kind, kinds.len()));
        let style = format!("class=\"f{colour}\" fill-opacity=\"{shade}\"");
        svg.rect((scale.at(from), middle - size.1 / 2.0), size, &style, &tooltip);
        from = *to;
    }
    for (name, at) in &course.moments {
        let tooltip = format!("{}: {name} at {} s", course.name, rounded(*at));
        svg.dot((scale.at(*at), middle), 3.0, "moment", &tooltip);
    }
    let end = format!("{} s", rounded(from));
    svg.text((scale.at(from) + 6.0, middle + 4.0), Anchor::Start, "q", &end);
}
