//! Requests in flight, one under the other.

use std::fmt::Write as _;

use crate::analysis::input::{CellSeries, REQUESTS_DRAWN_MAX, RequestSpan};
use crate::metrics::summary::CellSummary;
use crate::report::figure::alternatives::Alternatives;
use crate::report::figure::labels::{text_width, wrapped};
use crate::report::figure::scale::Scale;
use crate::report::figure::svg::{Anchor, Svg, at};
use crate::report::figure::time_series::with_series;
use crate::report::figure::{COLOURS, FigureView, WIDTH};
use crate::report::input::Input;

const LEFT: f64 = 14.0;
const TOP: f64 = 46.0;
const ROWS_HEIGHT: f64 = 250.0;
/// What takes no time is still seen.
const WIDTH_MIN: f64 = 0.8;

/// Draws the first requests of the most loaded cell of each alternative as bars over time.
pub(super) fn requests(input: &Input<'_>, alternatives: &Alternatives<'_>) -> Vec<FigureView> {
    let mut of_alternative: Vec<(usize, &CellSummary, &CellSeries)> = Vec::new();
    for (cell, series) in with_series(input).filter(|(_, series)| series.requests.len() > 1) {
        let colour = alternatives.colour(cell);
        match of_alternative.iter_mut().find(|(known, ..)| *known == colour) {
            // The cells of a sweep come with rising load.
            Some(known) => *known = (colour, cell, series),
            None => of_alternative.push((colour, cell, series)),
        }
    }
    let shown = of_alternative.into_iter().take(REQUESTS_DRAWN_MAX);
    let named = |cell| alternatives.cell_name(cell);
    shown.map(|(colour, cell, series)| figure(colour, &named(cell), series)).collect()
}

fn figure(colour: usize, name: &str, series: &CellSeries) -> FigureView {
    let title = format!("Requests over time: {name}");
    let spans = &series.requests;
    let ends = spans.iter().flat_map(|it| [it.sent, it.end]).map(f64::from);
    let right = WIDTH - LEFT;
    let x = Scale::linear(ends, false, LEFT, right);
    let bottom = TOP + ROWS_HEIGHT;
    let mut svg = Svg::new(WIDTH, bottom + 40.0, &title);
    let clamp = |seconds: f64| x.at(seconds).clamp(LEFT, right);
    for (from, to) in [(LEFT, clamp(0.0)), (clamp(series.window_s), right)] {
        svg.rect((from, TOP), (to - from, ROWS_HEIGHT), "class=\"outside\"", "");
    }
    for (tick, label) in x.ticks() {
        svg.line((x.at(tick), TOP), (x.at(tick), bottom), "g");
        let half = text_width(&label) / 2.0;
        if (half..=WIDTH - half).contains(&x.at(tick)) {
            svg.text((x.at(tick), bottom + 16.0), Anchor::Middle, "q", &label);
        }
    }
    let label = "time from the start of the measured window (s)";
    svg.text((WIDTH / 2.0, bottom + 34.0), Anchor::Middle, "t", label);
    let row = ROWS_HEIGHT / spans.len() as f64;
    let colour = colour % COLOURS;
    let waiting = path(spans, &x, row, |it| Some((it.sent, it.first_token.unwrap_or(it.end))));
    let tokens = path(spans, &x, row, |it| Some((it.first_token?, it.end)));
    let failed = path(spans, &x, row, |it| (!it.is_ok).then_some((it.sent, it.end)));
    let kinds = [
        ("until the first token", waiting, format!("class=\"f{colour}\" fill-opacity=\"0.35\"")),
        ("tokens", tokens, format!("class=\"f{colour}\"")),
        ("failed or cancelled", failed, "class=\"w hollow\"".to_owned()),
    ];
    let fitting = wrapped(name, right - LEFT, 1).concat();
    svg.text((LEFT, 13.0), Anchor::Start, "t", &fitting);
    let mut left = LEFT;
    for (kind, data, style) in kinds.into_iter().filter(|(_, data, _)| !data.is_empty()) {
        svg.rect((left, 25.0), (12.0, 9.0), &style, "");
        svg.text((left + 17.0, 33.0), Anchor::Start, "q", kind);
        left += 34.0 + text_width(kind);
        svg.path(&data, &style);
    }
    FigureView {
        id: format!("requests-{colour}"),
        svg: svg.finish(),
        title,
        caption: format!(
            "The first {} requests of the first trial, each a row from its sending on. Shaded: \
             before and after the measured window.",
            spans.len()
        ),
    }
}

/// Writes one rectangle per request as one path: a tenth of what elements of their own take.
fn path(
    spans: &[RequestSpan],
    x: &Scale,
    row: f64,
    part: impl Fn(&RequestSpan) -> Option<(f32, f32)>,
) -> String {
    let height = (row * 0.8).max(0.5);
    let mut data = String::new();
    for (nth, span) in spans.iter().enumerate() {
        let Some((from, to)) = part(span) else { continue };
        let (left, top) = (x.at(from.into()), TOP + row * nth as f64);
        let width = (x.at(to.into()) - left).max(WIDTH_MIN);
        let (left, top, width, height) = (at(left), at(top), at(width), at(height));
        write!(data, "M{left} {top}h{width}v{height}h-{width}z")
            .expect("writing to a String does not fail");
    }
    data
}
