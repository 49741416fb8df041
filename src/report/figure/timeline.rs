//! Stretches of time one after the other, one row per course.

use crate::report::figure::scale::Scale;
use crate::report::figure::svg::{Anchor, Svg};
use crate::report::figure::{COLOURS, WIDTH, shortened, text_width};
use crate::report::number::rounded;

/// One row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Course {
    /// Its name.
    pub name: String,
    /// Index of the kind, end in seconds; each begins where the one before ends.
    pub stretches: Vec<(usize, f64)>,
    /// Moments with a name, in seconds.
    pub moments: Vec<(String, f64)>,
}

const LEFT: f64 = 172.0;
const NAME_MAX: usize = 22;
const TOP: f64 = 30.0;
const ROW: f64 = 24.0;
const END_LABEL_WIDTH: f64 = 60.0;

/// Draws courses; `kinds` names the stretches.
pub fn draw(title: &str, kinds: &[&str], courses: &[Course]) -> String {
    let bottom = TOP + ROW * courses.len() as f64;
    let mut svg = Svg::new(WIDTH, bottom + 40.0, title);
    let ends = courses.iter().flat_map(|course| {
        course.stretches.iter().map(|(_, end)| *end).chain(course.moments.iter().map(|(_, at)| *at))
    });
    let scale = Scale::linear(ends, true, LEFT, WIDTH - END_LABEL_WIDTH);
    for (tick, label) in scale.ticks() {
        svg.line((scale.at(tick), TOP - 4.0), (scale.at(tick), bottom), "g");
        svg.text((scale.at(tick), bottom + 16.0), Anchor::Middle, "q", &label);
    }
    svg.text(
        (f64::midpoint(LEFT, WIDTH), bottom + 34.0),
        Anchor::Middle,
        "t",
        "time since spawn (s)",
    );
    let mut left = LEFT;
    for (at, kind) in kinds.iter().enumerate() {
        svg.rect((left, 4.0), (12.0, 10.0), &format!("class=\"f{}\"", at % COLOURS), "");
        svg.text((left + 17.0, 13.0), Anchor::Start, "q", kind);
        left += 40.0 + text_width(kind);
    }
    for (at, course) in courses.iter().enumerate() {
        row(&mut svg, kinds, course, &scale, TOP + ROW * at as f64);
    }
    svg.finish()
}

fn row(svg: &mut Svg, kinds: &[&str], course: &Course, scale: &Scale, top: f64) {
    svg.text((LEFT - 10.0, top + 14.0), Anchor::End, "t", &shortened(&course.name, NAME_MAX));
    let mut from = 0.0;
    for (kind, to) in &course.stretches {
        let name = kinds.get(*kind).copied().unwrap_or_default();
        let tooltip =
            format!("{}: {name} from {} s to {} s", course.name, rounded(from), rounded(*to));
        let size = (scale.at(*to) - scale.at(from), ROW - 9.0);
        let style = format!("class=\"f{}\"", kind % COLOURS);
        svg.rect((scale.at(from), top + 2.0), size, &style, &tooltip);
        from = *to;
    }
    for (name, at) in &course.moments {
        let tooltip = format!("{}: {name} at {} s", course.name, rounded(*at));
        svg.dot((scale.at(*at), top + 9.5), 3.0, "moment", &tooltip);
    }
    let end = format!("{} s", rounded(from));
    svg.text((scale.at(from) + 6.0, top + 14.0), Anchor::Start, "q", &end);
}
