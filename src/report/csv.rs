//! The CSV face: one flat row per cell, and one per request, numbers unrounded.

use std::collections::BTreeSet;
use std::io::{self, Write};

use crate::analysis::request_rows::RequestRow;
use crate::metrics::bounds::{is_lower_bound, is_unlimited};
use crate::metrics::catalogue::{MetricId, MetricKey};
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::{CellSummary, Distribution, Figure, NumberState, Summary};

/// Writes `requests.csv` row by row and returns the number of rows.
pub(crate) fn write_requests(
    out: impl Write,
    rows: impl IntoIterator<Item = RequestRow>,
) -> Result<u64, csv::Error> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(out);
    writer.write_record(REQUEST_COLUMNS)?;
    let mut n_rows = 0;
    for mut row in rows {
        for text in
            [&mut row.cell, &mut row.phase, &mut row.finish, &mut row.outcome, &mut row.answer]
        {
            *text = harmless(text);
        }
        writer.serialize(&row)?;
        n_rows += 1;
    }
    writer.flush()?;
    Ok(n_rows)
}

/// Written even when there is no row.
const REQUEST_COLUMNS: [&str; 22] = [
    "cell",
    "trial",
    "phase",
    "index",
    "turn",
    "measured",
    "sample",
    "scheduled_ms",
    "send_lag_ms",
    "ttft_ms",
    "ttft_scheduled_ms",
    "tpot_ms",
    "tpot_most_ms",
    "e2e_ms",
    "e2e_scheduled_ms",
    "prompt_tokens",
    "output_tokens",
    "finish",
    "outcome",
    "status",
    "answer",
    "correct",
];

/// Writes `summary.csv`: one row per cell, one group of columns per figure and distribution.
pub(crate) fn write_summary(summary: &Summary, out: impl Write) -> io::Result<()> {
    let columns = columns(summary);
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(columns.iter().map(|column| harmless(&column.name)))?;
    for cell in &summary.cells {
        writer.write_record(columns.iter().map(|column| harmless(&(column.read)(cell))))?;
    }
    writer.flush()
}

/// Renders what [`write_summary`] writes.
pub(crate) fn render_summary(summary: &Summary) -> String {
    let mut bytes = Vec::new();
    write_summary(summary, &mut bytes).expect("writing to memory does not fail");
    String::from_utf8(bytes).expect("fields are text")
}

/// A column: its name, and how it is read from a cell.
struct SummaryColumn {
    name: String,
    read: Box<dyn Fn(&CellSummary) -> String>,
}

impl SummaryColumn {
    fn new(name: impl Into<String>, read: impl Fn(&CellSummary) -> String + 'static) -> Self {
        Self { name: name.into(), read: Box::new(read) }
    }
}

fn columns(summary: &Summary) -> Vec<SummaryColumn> {
    let mut columns = vec![
        SummaryColumn::new("cell", |cell| cell.name.clone()),
        SummaryColumn::new("id", |cell| cell.id.0.clone()),
    ];
    let cells: Vec<&CellSummary> = summary.cells.iter().collect();
    for key in super::view::results::key_names(&cells) {
        columns.push(SummaryColumn::new(format!("key_{key}"), move |cell| {
            cell.keys.get(&key).cloned().unwrap_or_default()
        }));
    }
    columns.extend([
        SummaryColumn::new("validity", |cell| cell.validity.status.word().to_owned()),
        SummaryColumn::new("reasons", |cell| cell.validity.reasons.join("; ")),
        SummaryColumn::new("engine_version", |cell| {
            cell.engine_version.clone().unwrap_or_default()
        }),
        SummaryColumn::new("trials", |cell| cell.n_trials.to_string()),
        SummaryColumn::new("gpus", |cell| cell.n_gpus.to_string()),
        SummaryColumn::new("requests_scheduled", |cell| cell.counts.scheduled.to_string()),
        SummaryColumn::new("requests_ok", |cell| cell.counts.ok.to_string()),
        SummaryColumn::new("requests_failed", |cell| {
            cell.counts.errors.values().sum::<u64>().to_string()
        }),
        SummaryColumn::new("requests_cancelled", |cell| {
            cell.counts.cancelled.values().sum::<u64>().to_string()
        }),
        SummaryColumn::new("load_time_s", |cell| optional(cell.value(MetricId::LoadTime))),
    ]);
    columns.extend(figure_columns(summary));
    columns.extend(distribution_columns(summary));
    columns.extend(accuracy_columns(summary));
    columns.push(SummaryColumn::new("caveats", |cell| {
        let codes: Vec<&str> = cell.caveats.iter().map(|caveat| &*caveat.code).collect();
        codes.join(" ")
    }));
    columns
}

fn figure_columns(summary: &Summary) -> Vec<SummaryColumn> {
    let keys: BTreeSet<&MetricKey> =
        summary.cells.iter().flat_map(|cell| cell.figures.keys()).collect();
    let mut columns = Vec::new();
    for key in keys {
        let add = |columns: &mut Vec<SummaryColumn>, suffix: &str, read: fn(&Figure) -> String| {
            let of = key.clone();
            columns.push(SummaryColumn::new(format!("{key}{suffix}"), move |cell| {
                cell.figures.get(&of).map_or_else(String::new, read)
            }));
        };
        add(&mut columns, "", |figure| optional(figure.value));
        add(&mut columns, "_low", |figure| optional(figure.interval.map(|at| at.0)));
        add(&mut columns, "_high", |figure| optional(figure.interval.and_then(most)));
        if summary.cells.iter().any(|cell| cell.figures.get(key).is_some_and(|f| f.bound.is_some()))
        {
            add(&mut columns, "_bound_low", |figure| optional(figure.bound.map(|at| at.0)));
            add(&mut columns, "_bound_high", |figure| optional(figure.bound.and_then(most)));
            add(&mut columns, "_state", |figure| word(figure.state));
        }
        add(&mut columns, "_unit", |figure| figure.unit.to_owned());
        add(&mut columns, "_n", |figure| figure.n.to_string());
    }
    columns
}

fn distribution_columns(summary: &Summary) -> Vec<SummaryColumn> {
    type Read = fn(&crate::metrics::summary::Distribution) -> String;
    let metrics: BTreeSet<MetricId> =
        summary.cells.iter().flat_map(|cell| cell.distributions.keys().copied()).collect();
    let mut columns = Vec::new();
    for metric in metrics {
        let plain: [(&str, Read); 6] = [
            ("unit", |all| all.unit.to_owned()),
            ("n", |all| all.n.to_string()),
            ("mean", |all| optional(all.mean)),
            ("std", |all| optional(all.std)),
            ("min", |all| optional(all.min)),
            ("max", |all| optional(all.max)),
        ];
        for (suffix, read) in plain {
            columns.push(SummaryColumn::new(format!("{metric}_{suffix}"), move |cell| {
                cell.distributions.get(&metric).map_or_else(String::new, read)
            }));
        }
        for p in percentiles_of(summary, metric) {
            columns.push(SummaryColumn::new(format!("{metric}_p{p}"), move |cell| {
                let all = cell.distributions.get(&metric);
                optional(all.and_then(|all| all.percentile(p)?.value))
            }));
        }
        columns.extend(bound_columns(summary, metric));
    }
    columns
}

/// Returns the upper end of a bound or an interval; nothing where nothing limits it.
pub(crate) fn most((_, high): (f64, f64)) -> Option<f64> {
    (!is_unlimited(high)).then_some(high)
}

/// Returns the columns of the bounds of percentiles and the mean, where any cell has one, and of
/// which of them are lower bounds, where any is.
fn bound_columns(summary: &Summary, metric: MetricId) -> Vec<SummaryColumn> {
    type Read = fn(&Quantity, &Figure) -> String;
    let parts: [(&str, Read); 4] = [
        ("bound_low", |_, it| optional(it.bound.map(|bound| bound.0))),
        ("bound_high", |_, it| optional(it.bound.and_then(most))),
        ("state", |_, it| word(it.state)),
        ("is_lower_bound", |quantity, it| is_lower_bound(quantity, it).to_string()),
    ];
    let percentiles = percentiles_of(summary, metric).into_iter();
    let percentiles = percentiles.map(|p| (format!("p{p}"), Quantity::percentile(metric, p)));
    let quantities: Vec<(String, Quantity)> =
        percentiles.chain([("mean".to_owned(), Quantity::mean(metric))]).collect();
    let any = |is: &dyn Fn(&Quantity, &Figure) -> bool| {
        let cells = || summary.cells.iter();
        let of_any = |(_, it): &(_, Quantity)| {
            cells().filter_map(|cell| it.read(cell)).any(|figure| is(it, &figure))
        };
        quantities.iter().any(of_any)
    };
    if !any(&|_, figure| figure.bound.is_some()) {
        return Vec::new();
    }
    let n_parts = parts.len() - usize::from(!any(&is_lower_bound));
    let columns = quantities.iter().flat_map(|(name, quantity)| {
        parts.into_iter().take(n_parts).map(move |(part, read)| {
            let quantity = quantity.clone();
            SummaryColumn::new(format!("{metric}_{name}_{part}"), move |cell| {
                quantity.read(cell).map_or_else(String::new, |it| read(&quantity, &it))
            })
        })
    });
    columns.collect()
}

pub(crate) fn word(state: Option<NumberState>) -> String {
    state.map_or_else(String::new, |state| state.word().to_owned())
}

fn percentiles_of(summary: &Summary, metric: MetricId) -> Vec<f64> {
    let distributions = summary.cells.iter().filter_map(|cell| cell.distributions.get(&metric));
    let mut found: Vec<f64> = distributions.flat_map(Distribution::percentile_names).collect();
    found.sort_by(f64::total_cmp);
    found.dedup();
    found
}

fn accuracy_columns(summary: &Summary) -> Vec<SummaryColumn> {
    type Read = fn(&crate::score::Accuracy) -> String;
    let mut extractors: Vec<&String> = Vec::new();
    for accuracy in summary.cells.iter().flat_map(|cell| &cell.accuracy) {
        if !extractors.contains(&&accuracy.extractor) {
            extractors.push(&accuracy.extractor);
        }
    }
    let mut columns = Vec::new();
    for extractor in extractors {
        let parts: [(&str, Read); 5] = [
            ("share", |accuracy| optional(accuracy.share)),
            ("low", |accuracy| optional(accuracy.interval.map(|at| at.0))),
            ("high", |accuracy| optional(accuracy.interval.map(|at| at.1))),
            ("correct", |accuracy| accuracy.correct.to_string()),
            ("n", |accuracy| accuracy.n.to_string()),
        ];
        for (part, read) in parts {
            let key = extractor.clone();
            columns.push(SummaryColumn::new(format!("accuracy_{extractor}_{part}"), move |cell| {
                let found = cell.accuracy.iter().find(|accuracy| accuracy.extractor == key);
                found.map_or_else(String::new, read)
            }));
        }
    }
    columns
}

pub(crate) fn optional(value: Option<f64>) -> String {
    value.filter(|value| value.is_finite()).map_or_else(String::new, |value| value.to_string())
}

/// Puts an apostrophe in front of what a spreadsheet would take for a formula.
/// Source: OWASP, "CSV Injection".
pub(crate) fn harmless(field: &str) -> String {
    let is_formula = field.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let is_number = field.parse::<f64>().is_ok_and(f64::is_finite) && !field.starts_with('+');
    if is_formula && !is_number { format!("'{field}") } else { field.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample_run;

    #[test]
    fn a_spreadsheet_finds_no_formula() {
        let check = |field: &str, expected: &str| assert_eq!(harmless(field), expected);
        check("=cmd()", "'=cmd()");
        check("+1", "'+1");
        check("@SUM(A1)", "'@SUM(A1)");
        check("-1+1", "'-1+1");
        check("-1.5", "-1.5");
        check("-inf", "'-inf");
        check("plain", "plain");
    }

    #[test]
    fn the_header_names_every_field_of_a_row() {
        let mut with_serde = csv::Writer::from_writer(Vec::new());
        with_serde.serialize(RequestRow::default()).unwrap();
        let text = String::from_utf8(with_serde.into_inner().unwrap()).unwrap();
        assert_eq!(text.lines().next().unwrap(), REQUEST_COLUMNS.join(","));
    }

    #[test]
    fn requests_are_written_row_by_row() {
        let row = RequestRow {
            index: 7,
            cell: "=tiny, fp16".to_owned(),
            trial: 1,
            phase: "load".to_owned(),
            measured: true,
            ttft_ms: Some(12.345_678),
            outcome: "ok".to_owned(),
            ..RequestRow::default()
        };
        let mut bytes = Vec::new();
        assert_eq!(write_requests(&mut bytes, [row]).unwrap(), 1);
        let text = String::from_utf8(bytes).unwrap();
        let expected = "\"'=tiny, fp16\",1,load,7,0,true,0,0.0,,12.345678,,,,,,,,,ok,,,";
        assert_eq!(text.lines().nth(1).unwrap(), expected);
    }

    #[test]
    fn a_lower_bound_says_that_it_is_one() {
        let mut summary = sample_run::summary();
        let name = "tiny-fp16";
        let cell = summary.cells.iter_mut().find(|cell| cell.name == name).unwrap();
        sample_run::cut(cell);
        let text = render_summary(&summary);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let columns = reader.headers().unwrap().clone();
        let at = |name: &str| columns.iter().position(|column| column == name).unwrap();
        for row in reader.records().map(Result::unwrap).filter(|row| !row[at("ttft_n")].is_empty())
        {
            let is_cut = &row[at("cell")] == name;
            for what in ["p50", "mean"] {
                let field = |part: &str| &row[at(&format!("ttft_{what}_{part}"))];
                assert_eq!(field("is_lower_bound"), is_cut.to_string(), "{row:?}");
                assert!(!is_cut || !field("bound_low").is_empty(), "{row:?}");
                assert!(!is_cut || field("bound_high").is_empty(), "{row:?}");
            }
        }
        let plain = render_summary(&sample_run::summary());
        assert!(!plain.contains("is_lower_bound"), "nothing to say");
    }

    #[test]
    fn a_cell_is_one_row_with_as_many_fields_as_the_header() {
        let text = render_summary(&sample_run::summary());
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        assert_eq!(reader.records().map(Result::unwrap).count(), sample_run::summary().cells.len());
        insta::assert_snapshot!(text);
    }
}
