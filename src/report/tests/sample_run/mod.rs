//! A run made by hand that has one of everything: measured, skipped, failed, invalid and
//! unfinished cells, empty distributions, and text that attacks every face.

mod results;
mod setting;

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::analysis::input::{CellSeries, Curve, GpuSeries, RequestSpan, RunFacts};
use crate::ids::CellId;
use crate::metrics::bounds::UNLIMITED;
use crate::metrics::catalogue::MetricId;
use crate::metrics::compare::sides::within;
use crate::metrics::summary::{CellSummary, NumberState, Summary};
use crate::plan::Plan;
use crate::plan::cell::Cell;
use crate::record::environment::Environment;
use crate::report::input::Input;
use crate::report::tests::sample_run::results::{distribution, measured_cell};
use crate::report::tests::sample_run::setting::{datasets, engines, environment, published};
use crate::report::view::ReportView;

pub(crate) use results::summary;
pub(crate) use setting::plan;

/// Attacks HTML, Markdown, CSV, the terminal and the direction of writing.
pub(crate) const HOSTILE: &str =
    "<script>alert(1)</script> </script> {{ 7*7 }} | `x` [a](b) =cmd() \u{1b}[2J \u{202e}fdp";

/// Returns the view of the sample run.
pub(crate) fn view() -> ReportView {
    with_input(|input| ReportView::new(input).with_cells(input.summary))
}

/// Returns the view of a run that ended before its first cell.
pub(crate) fn empty_view() -> ReportView {
    let summary = Summary { title: "Nothing".to_owned(), ..Summary::default() };
    let plan = Plan { cells: Vec::new(), launches: IndexMap::new(), published: None, ..plan() };
    ReportView::new(&Input {
        summary: &summary,
        comparison: None,
        plan: &plan,
        environment: &Environment::default(),
        run: &RunFacts::default(),
        engines: &[],
        datasets: &[],
        published: None,
        series: &BTreeMap::new(),
    })
}

/// Returns the view of a run with many cells that differ in name alone.
pub(crate) fn large_view(n_cells: usize) -> ReportView {
    let mut summary = summary();
    let cell = summary.cells.remove(4);
    // No two numbers are equal, as in a run: what repeats would take less of a page.
    let numbered = |at: usize| {
        let factor = 1.0 + (at as f64 * 0.618_034).fract();
        let times = |(low, high): (f64, f64)| (low * factor, high * factor);
        let mut cell = cell.clone();
        for figure in cell.figures.values_mut() {
            figure.value = figure.value.map(|value| value * factor);
            figure.interval = figure.interval.map(times);
            figure.n += at as u64;
        }
        for percentile in cell.distributions.values_mut().flat_map(|it| &mut it.percentiles) {
            percentile.value = percentile.value.map(|value| value * factor);
            percentile.interval = percentile.interval.map(times);
        }
        CellSummary {
            id: CellId(at.to_string()),
            name: format!("cell-{at}"),
            keys: [("engine".to_owned(), format!("cell-{at}"))].into_iter().collect(),
            ..cell
        }
    };
    summary.cells = (0..n_cells).map(numbered).collect();
    with_input(|input| {
        let plan_cell = &input.plan.cells[4];
        let numbered = |cell: &CellSummary| Cell {
            id: cell.id.clone(),
            name: cell.name.clone(),
            ..plan_cell.clone()
        };
        let cells = summary.cells.iter().map(numbered).collect();
        let plan = Plan { cells, published: None, ..input.plan.clone() };
        let comparison = within(&plan, &summary, &|_, _| None);
        ReportView::new(&Input {
            summary: &summary,
            plan: &plan,
            comparison: comparison.as_ref(),
            published: None,
            ..*input
        })
    })
}

/// Calls `use_it` with the sample run as input.
pub(crate) fn with_input<T>(use_it: impl FnOnce(&Input<'_>) -> T) -> T {
    let run = RunFacts {
        name: "sample_run-20261122-093000".to_owned(),
        started_unix_ns: 1_795_339_800_000_000_000,
        report_at: "runs/sample_run-20261122-093000/report.html".to_owned(),
    };
    let (summary, plan) = (summary(), plan());
    let comparison = within(&plan, &summary, &|_, _| None);
    use_it(&Input {
        summary: &summary,
        comparison: comparison.as_ref(),
        plan: &plan,
        environment: &environment(),
        run: &run,
        engines: &engines(),
        datasets: &datasets(),
        published: Some(&published()),
        series: &series(),
    })
}

/// Calls `use_it` with the sample run as if its scenario named a published table and its cells had
/// further keys.
pub(crate) fn with_published<T>(
    table: &str,
    keys: &[(&str, &str)],
    use_it: impl FnOnce(&Input<'_>) -> T,
) -> T {
    with_input(|input| {
        let mut summary = input.summary.clone();
        for cell in &mut summary.cells {
            let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            cell.keys.extend(keys);
        }
        let mut plan = input.plan.clone();
        let published = plan.published.as_mut().expect("the sample names a table");
        table.clone_into(&mut published.table);
        published.names.clear();
        use_it(&Input { summary: &summary, plan: &plan, ..*input })
    })
}

/// Makes the TTFT of a cell what it is where the queue only grew.
pub(crate) fn cut(cell: &mut CellSummary) {
    let ttft = cell.distributions.get_mut(&MetricId::Ttft).unwrap();
    let least = |value: Option<f64>| value.map(|value| (value, UNLIMITED));
    let doubtful = Some(NumberState::Doubtful);
    (ttft.mean_bound, ttft.mean_state) = (least(ttft.mean), doubtful);
    for at in &mut ttft.percentiles {
        (at.interval, at.bound, at.state) = (None, least(at.value), doubtful);
    }
}

/// Calls `use_it` with a sweep over concurrency of two engines, one point of it missing.
pub(crate) fn with_sweep<T>(use_it: impl FnOnce(&Input<'_>) -> T) -> T {
    let mut cells = Vec::new();
    for (engine, rate_at_one) in [("alpha", 60.0), ("beta", 75.0)] {
        for concurrency in [1, 4, 16, 64] {
            if (engine, concurrency) == ("beta", 16) {
                continue;
            }
            let load = f64::from(concurrency);
            let mut cell =
                measured_cell("fp16", rate_at_one * load / (1.0 + load / 24.0), 1.5, 284);
            cell.id = CellId(format!("{engine}-{concurrency}"));
            cell.name = format!("{engine}-c{concurrency}");
            cell.keys = [("engine", engine.to_owned()), ("concurrency", concurrency.to_string())]
                .map(|(key, value)| (key.to_owned(), value))
                .into_iter()
                .collect();
            cell.distributions
                .insert(MetricId::Ttft, distribution(20.0 + load * load / 3.0, "ms", 400));
            cells.push(cell);
        }
    }
    let plan = plan();
    let planned = |cell: &CellSummary| Cell {
        id: cell.id.clone(),
        name: cell.name.clone(),
        keys: cell.keys.clone(),
        ..plan.cells[4].clone()
    };
    let plan = Plan { cells: cells.iter().map(planned).collect(), published: None, ..plan.clone() };
    let summary = Summary { cells, complete: true, ..summary() };
    use_it(&Input {
        summary: &summary,
        comparison: None,
        plan: &plan,
        environment: &environment(),
        run: &RunFacts::default(),
        engines: &[],
        datasets: &[],
        published: None,
        series: &BTreeMap::new(),
    })
}

fn series() -> BTreeMap<CellId, CellSeries> {
    let of = |scale: f64| CellSeries {
        distributions: [(MetricId::Ttft, 11.0), (MetricId::Tpot, 8.0)]
            .into_iter()
            .filter_map(|(metric, mean)| Some((metric, Curve::of(skewed(scale * mean))?)))
            .collect(),
        over_time: [(MetricId::OutputThroughput, wavy(800.0 / scale))].into(),
        gpus: vec![GpuSeries {
            name: "GPU 0".to_owned(),
            power_w: wavy(310.0 / scale),
            utilisation_pct: wavy(93.0 / scale),
            memory_gib: wavy(71.0),
            temperature_c: wavy(64.0 / scale),
            clock_mhz: wavy(1_410.0),
        }],
        window_s: 55.0,
        requests: (0..40_u8).map(|nth| span(f32::from(nth) * 0.25, scale as f32)).collect(),
    };
    [("tiny-fp16-id", 1.0), ("tiny-fp32-id", 1.3)]
        .map(|(id, scale)| (CellId(id.to_owned()), of(scale)))
        .into()
}

fn span(sent: f32, scale: f32) -> RequestSpan {
    let first_token = Some(sent + 0.2 * scale);
    RequestSpan { sent, first_token, end: sent + 2.0 * scale, is_ok: sent < 9.0 }
}

/// Quantiles of a log-logistic distribution: skewed, without randomness.
fn skewed(median: f64) -> Vec<f64> {
    (1..400)
        .map(|rank| f64::from(rank) / 400.0)
        .map(|u| median * (u / (1.0 - u)).powf(0.3))
        .collect()
}

fn wavy(level: f64) -> Vec<(f64, f64)> {
    (0..60)
        .map(|sec| (f64::from(sec), level * (1.0 + 0.05 * (f64::from(sec) / 3.0).sin())))
        .collect()
}
