//! The table of all results, as a figure.

use crate::metrics::bounds::is_lower_bound;
use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::CellSummary;
use crate::report::figure::alternatives::{LoadLine, is_hollow};
use crate::report::figure::bars::BOLD;
use crate::report::figure::labels::{LINE_HEIGHT, text_width, wrapped};
use crate::report::figure::svg::{Anchor, Svg};
use crate::report::figure::{DOUBT_MARK, FigureView, WIDTH, doubt_legend};
use crate::report::number::{ABSENT, AT_LEAST, rounded};

/// Rows of the figure; its caption says when there are more.
const ROWS_MAX: usize = 32;
const TOP: f64 = 40.0;
/// Room above and below the lines of a row.
const PADDING: f64 = 10.0;
/// Room between two columns, and before the first.
const GAP: f64 = 14.0;
/// Heading and unit of each column of figures.
const HEADINGS: [(&str, &str); 7] = [
    ("concurrency", ""),
    ("output", "tok/s"),
    ("duration", "s"),
    ("TTFT", "mean, ms"),
    ("E2E", "mean, s"),
    ("GPU", "%"),
    ("power", "W"),
];

/// Draws the table. Columns are as wide as what stands in them; names have the room that is left,
/// in as many lines as they take.
pub(super) fn figure(all: &[LoadLine<'_>]) -> Option<FigureView> {
    let rows: Vec<(&str, [String; 7])> = all
        .iter()
        .flat_map(|it| {
            let points = it.curve.points.iter();
            points.map(move |(load, cell)| (it.name.as_str(), texts(*load, cell)))
        })
        .collect();
    if rows.is_empty() {
        return None;
    }
    let shown = &rows[..rows.len().min(ROWS_MAX)];
    let width = |column: usize| {
        let (heading, unit) = HEADINGS[column];
        let values = shown.iter().map(|(_, texts)| text_width(&texts[column]));
        values.fold(text_width(heading).max(text_width(unit)) * BOLD, f64::max)
    };
    // From the right edge to the left, column by column.
    let mut ends = [WIDTH - GAP / 2.0; HEADINGS.len()];
    for column in (1..HEADINGS.len()).rev() {
        ends[column - 1] = ends[column] - width(column) - GAP;
    }
    let names_width = ends[0] - width(0) - 2.0 * GAP;
    let names: Vec<Vec<String>> =
        shown.iter().map(|(name, _)| wrapped(name, names_width, usize::MAX)).collect();
    let height = |at: usize| names[at].len() as f64 * LINE_HEIGHT + PADDING;
    let bottom = TOP + (0..shown.len()).map(height).sum::<f64>();

    let title = "Summary of all results".to_owned();
    let mut svg = Svg::new(WIDTH, bottom + 8.0, &title);
    svg.text((GAP / 2.0, TOP - 24.0), Anchor::Start, "t strong", "engine and model");
    for ((heading, unit), end) in HEADINGS.iter().zip(ends) {
        svg.text((end, TOP - 24.0), Anchor::End, "t strong", heading);
        if !unit.is_empty() {
            svg.text((end, TOP - 10.0), Anchor::End, "q", unit);
        }
    }
    svg.line((0.0, TOP - 4.0), (WIDTH, TOP - 4.0), "a");
    let mut top = TOP;
    for (at, (_, texts)) in shown.iter().enumerate() {
        let base = top + LINE_HEIGHT;
        for (nth, text) in names[at].iter().enumerate() {
            let place = (GAP / 2.0, base + nth as f64 * LINE_HEIGHT);
            svg.text(place, Anchor::Start, "t", text);
        }
        for (text, end) in texts.iter().zip(ends) {
            svg.text((end, base), Anchor::End, "t", text);
        }
        top += height(at);
        svg.line((0.0, top - 4.0), (WIDTH, top - 4.0), "g");
    }
    let left_out = if rows.len() > shown.len() {
        format!(" The first {} of {} cells.", shown.len(), rows.len())
    } else {
        String::new()
    };
    let is_marked = shown.iter().any(|(_, texts)| texts.iter().any(|it| it.ends_with(DOUBT_MARK)));
    let doubts = if is_marked { format!(" {}.", doubt_legend()) } else { String::new() };
    Some(FigureView {
        id: "summary_table".to_owned(),
        svg: svg.finish(),
        title,
        caption: format!(
            "Output throughput, whole run, means of TTFT and E2E latency.{doubts}{left_out}"
        ),
    })
}

fn texts(load: f64, cell: &CellSummary) -> [String; 7] {
    let (figure, mean) = (Quantity::figure, Quantity::mean);
    let told = |quantity: Quantity, per: f64| {
        let reading = quantity.read(cell).unwrap_or_default();
        let Some(value) = reading.value else { return ABSENT.to_owned() };
        let mark = if is_hollow(cell, &[&reading]) { DOUBT_MARK } else { "" };
        let least = if is_lower_bound(&quantity, &reading) { AT_LEAST } else { "" };
        format!("{least}{}{mark}", rounded(value / per))
    };
    [
        // The load is a count, and keeps its digits.
        load.to_string(),
        told(figure(MetricId::OutputThroughput), 1.0),
        told(figure(MetricId::WholeRun), 1.0),
        told(mean(MetricId::Ttft), 1.0),
        told(mean(MetricId::E2e), 1e3),
        told(figure(MetricId::GpuUtilisation), 1.0),
        told(figure(MetricId::PowerMean), 1.0),
    ]
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::*;
    use crate::metrics::saturation::LoadCurve;
    use crate::metrics::tests::fixture::{measured_cell, with_figure};

    #[test]
    fn long_names_and_large_numbers_stay_inside_the_frame() {
        let cell = measured_cell("a", "fp16");
        let cell = with_figure(cell, MetricId::OutputThroughput, 123_456_789.0, None);
        let line = |name: &str| LoadLine {
            name: name.to_owned(),
            colour: 0,
            nth: 0,
            curve: LoadCurve {
                key: "concurrency".to_owned(),
                at: IndexMap::new(),
                points: vec![(4_096.0, &cell)],
            },
        };
        let long = "an engine of-a-kind with/a/very/long/model-name-that-goes-on bf16 ngram:5 4";
        let svg = figure(&[line(long), line("short"), line(&"x".repeat(80))]).unwrap().svg;
        assert!(!svg.contains('…'), "nothing is cut: {svg}");
        let number = |text: &str, key: &str| -> f64 {
            let from = text.find(&format!(" {key}=\"")).unwrap() + key.len() + 3;
            text[from..].split('"').next().unwrap().parse().unwrap()
        };
        let mut boxes: Vec<[f64; 4]> = Vec::new();
        for text in svg.lines().filter(|it| it.starts_with("<text")) {
            let words = text.split_once('>').unwrap().1.trim_end_matches("</text>");
            let (x, y) = (number(text, "x"), number(text, "y"));
            let bold = if text.contains("strong") { BOLD } else { 1.0 };
            let wide = text_width(words) * bold;
            let left = if text.contains("\"end\"") { x - wide } else { x };
            let it = [left, y - 10.0, left + wide, y + 3.0];
            assert!(it[0] >= 0.0 && it[2] <= WIDTH, "{words:?} is cut: {it:?}");
            let lies_over = |other: &[f64; 4]| {
                it[0] < other[2] && other[0] < it[2] && it[1] < other[3] && other[1] < it[3]
            };
            assert!(!boxes.iter().any(lies_over), "{words:?} lies over another: {it:?}");
            boxes.push(it);
        }
        assert!(boxes.len() > 30, "{svg}");
    }
}
