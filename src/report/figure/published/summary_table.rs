//! The table of all results, as a figure.

use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::CellSummary;
use crate::report::figure::published::engines::{Series, series};
use crate::report::figure::svg::{Anchor, Svg};
use crate::report::figure::{FigureView, WIDTH, shortened};
use crate::report::input::Input;
use crate::report::number::{ABSENT, rounded};

/// Rows of the figure; its caption says when there are more.
const ROWS_MAX: usize = 32;
const ROW: f64 = 24.0;
const TOP: f64 = 34.0;
/// Right ends of the columns of figures.
const ENDS: [f64; 7] = [360.0, 424.0, 500.0, 564.0, 628.0, 694.0, 752.0];

/// Draws the table.
pub(super) fn figure(input: &Input<'_>) -> Option<FigureView> {
    let all = series(input);
    let rows: Vec<(&Series<'_>, f64, &CellSummary)> = all
        .iter()
        .flat_map(|it| it.points.iter().map(move |(load, cell)| (it, *load, *cell)))
        .collect();
    if rows.is_empty() {
        return None;
    }
    let shown = &rows[..rows.len().min(ROWS_MAX)];
    let title = "Summary of all results".to_owned();
    let mut svg = Svg::new(WIDTH, TOP + ROW * shown.len() as f64 + 8.0, &title);
    let headings = ["concurrency", "tok/s", "duration (s)", "TTFT (ms)", "E2E (s)", "GPU (%)", "W"];
    svg.text((8.0, TOP - 12.0), Anchor::Start, "t strong", "engine and model");
    for (heading, end) in headings.iter().zip(ENDS) {
        svg.text((end, TOP - 12.0), Anchor::End, "t strong", heading);
    }
    svg.line((0.0, TOP - 4.0), (WIDTH, TOP - 4.0), "a");
    for (at, (it, load, cell)) in shown.iter().enumerate() {
        let base = TOP + ROW * at as f64 + 15.0;
        let name = format!("{} {}", it.engine, it.model);
        svg.text((8.0, base), Anchor::Start, "t", &shortened(name.trim(), 42));
        let figure = |metric| Quantity::figure(metric).value(cell);
        let mean = |metric| Quantity::mean(metric).value(cell);
        let values = [
            Some(*load),
            figure(MetricId::OutputThroughput),
            figure(MetricId::WholeRun),
            mean(MetricId::Ttft),
            mean(MetricId::E2e).map(|ms| ms / 1e3),
            figure(MetricId::GpuUtilisation),
            figure(MetricId::PowerMean),
        ];
        for (at, (value, end)) in values.iter().zip(ENDS).enumerate() {
            let text = match value {
                // The load is a count, and keeps its digits.
                Some(value) if at == 0 => value.to_string(),
                Some(value) => rounded(*value),
                None => ABSENT.to_owned(),
            };
            svg.text((end, base), Anchor::End, "t", &text);
        }
        svg.line((0.0, base + 9.0), (WIDTH, base + 9.0), "g");
    }
    let left_out = if rows.len() > shown.len() {
        format!(" The first {} of {} cells.", shown.len(), rows.len())
    } else {
        String::new()
    };
    Some(FigureView {
        id: "summary_table".to_owned(),
        svg: svg.finish(),
        title,
        caption: format!("Output throughput, whole run, means of TTFT and E2E latency.{left_out}"),
    })
}
