//! The tidy CSV face: one row per cell, metric and statistic, as data frames and databases want it.

use crate::analysis::input::RunFacts;
use crate::metrics::bounds::is_lower_bound;
use crate::metrics::by_name::accuracy_by;
use crate::metrics::catalogue::MetricKey;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::{CellSummary, Figure, Summary};
use crate::plan::Plan;
use crate::plan::cell::Cell;
use crate::report::csv::{harmless, most, optional, word};
use crate::report::view::results::key_names;
use crate::report::view::utc;

/// Columns before those of the swept keys, and after them.
const PLACE: [&str; 8] =
    ["run", "started", "cell", "phase", "engine", "model", "dataset", "validity"];
const NUMBER: [&str; 11] = [
    "metric",
    "statistic",
    "unit",
    "value",
    "interval_low",
    "interval_high",
    "n",
    "state",
    "bound_low",
    "bound_high",
    "is_lower_bound",
];

/// Returns the file in parts: the header, then the rows of one cell after the other.
///
/// A number that cannot be had has its row with an empty value.
pub(crate) fn parts<'a>(
    run: &'a RunFacts,
    plan: &'a Plan,
    summary: &'a Summary,
) -> impl Iterator<Item = String> + 'a {
    let cells: Vec<&CellSummary> = summary.cells.iter().collect();
    let keys = key_names(&cells);
    let planned = plan.cells_by_id();
    let key_columns = keys.iter().map(|key| format!("key_{key}"));
    let header: Vec<String> = PLACE
        .iter()
        .map(|name| (*name).to_owned())
        .chain(key_columns)
        .chain(NUMBER.iter().map(|name| (*name).to_owned()))
        .collect();
    let of_cell = move |cell: &'a CellSummary| {
        let place = place(run, plan, planned.get(&cell.id).copied(), cell, &keys);
        let rows = numbers(cell).into_iter().map(|number| [place.clone(), number].concat());
        text(&rows.collect::<Vec<_>>())
    };
    std::iter::once(text(&[header])).chain(summary.cells.iter().map(of_cell))
}

fn place(
    run: &RunFacts,
    plan: &Plan,
    planned: Option<&Cell>,
    cell: &CellSummary,
    keys: &[String],
) -> Vec<String> {
    let launch = planned.and_then(|planned| plan.launches.get(&planned.launch));
    let mut place = vec![
        run.name.clone(),
        utc(run.started_unix_ns),
        cell.name.clone(),
        cell.phase.clone().unwrap_or_default(),
        launch.map_or_else(String::new, |launch| launch.engine.clone()),
        launch.map_or_else(String::new, |launch| launch.own_model().to_owned()),
        planned.map_or_else(String::new, |planned| planned.dataset.clone()),
        cell.validity.status.word().to_owned(),
    ];
    place.extend(keys.iter().map(|key| cell.keys.get(key).cloned().unwrap_or_default()));
    place
}

/// Returns the numbers of a cell, each as the fields of [`NUMBER`].
fn numbers(cell: &CellSummary) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut add = |metric: &str, statistic: &str, figure: &Figure, is_least: bool| {
        rows.push(vec![
            metric.to_owned(),
            statistic.to_owned(),
            figure.unit.to_owned(),
            optional(figure.value),
            optional(figure.interval.map(|(low, _)| low)),
            optional(figure.interval.and_then(most)),
            figure.n.to_string(),
            word(figure.state),
            optional(figure.bound.map(|(low, _)| low)),
            optional(figure.bound.and_then(most)),
            is_least.to_string(),
        ]);
    };
    let counts = &cell.counts;
    let kinds = [("requests_ok", counts.ok), ("requests_failed", counts.n_failed())];
    for (metric, n) in kinds {
        let unit = "requests";
        let value = Some(n as f64);
        add(
            metric,
            "count",
            &Figure { value, unit, n: counts.scheduled, ..Figure::default() },
            false,
        );
    }
    for (key, figure) in &cell.figures {
        add(&key.to_string(), "value", figure, false);
    }
    for (metric, all) in &cell.distributions {
        let name = MetricKey::from(*metric).to_string();
        let moments = [("std", all.std), ("min", all.min), ("max", all.max)];
        for (statistic, value) in moments {
            let (unit, n) = (all.unit, all.n);
            add(&name, statistic, &Figure { value, unit, n, ..Figure::default() }, false);
        }
        let of = all.percentile_names().into_iter();
        let of = of.map(|p| (format!("p{p}"), Quantity::percentile(*metric, p)));
        for (statistic, quantity) in of.chain([("mean".to_owned(), Quantity::mean(*metric))]) {
            let figure = quantity.read(cell).unwrap_or_default();
            add(&name, &statistic, &figure, is_lower_bound(&quantity, &figure));
        }
    }
    for accuracy in &cell.accuracy {
        add("accuracy", &accuracy.extractor, &accuracy_by(accuracy), false);
    }
    rows
}

fn text(rows: &[Vec<String>]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        let fields = row.iter().map(|field| harmless(field));
        writer.write_record(fields).expect("writing to memory does not fail");
    }
    let bytes = writer.into_inner().expect("writing to memory does not fail");
    String::from_utf8(bytes).expect("fields are text")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample_run;

    #[test]
    fn each_number_is_a_row_that_says_what_and_where_it_is() {
        let text: String =
            sample_run::with_input(|input| parts(input.run, input.plan, input.summary).collect());
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let columns: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let place = |name: &str| columns.iter().position(|column| column == name).unwrap();
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        let found = |metric: &str, statistic: &str| {
            let is_it = |row: &&csv::StringRecord| {
                &row[place("metric")] == metric
                    && &row[place("statistic")] == statistic
                    && &row[place("cell")] == "tiny-fp16"
            };
            rows.iter().find(is_it).unwrap_or_else(|| panic!("{metric} {statistic}"))
        };
        let ttft = found("ttft", "p50");
        let field = |name: &str| &ttft[place(name)];
        assert_eq!((field("unit"), field("n"), field("key_precision")), ("ms", "400", "fp16"));
        let number = |name: &str| field(name).parse::<f64>().unwrap();
        assert!(number("interval_low") < number("value"));
        assert!(number("value") < number("interval_high"));
        assert_eq!(field("run"), "sample_run-20261122-093000");
        assert_eq!(&found("accuracy", "strict")[place("value")], "71");
        // Below its floor a percentile has its row and no value.
        assert_eq!(&found("ttft", "p99.9")[place("value")], "");
        assert_eq!(&found("requests_ok", "count")[place("value")], "400");
        assert_eq!(field("is_lower_bound"), "false");
    }

    #[test]
    fn a_lower_bound_says_that_it_is_one() {
        let text: String = sample_run::with_input(|input| {
            let mut summary = input.summary.clone();
            summary.cells.iter_mut().filter(|it| it.name == "tiny-fp16").for_each(sample_run::cut);
            parts(input.run, input.plan, &summary).collect()
        });
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let columns = reader.headers().unwrap().clone();
        let place = |name: &str| columns.iter().position(|column| column == name).unwrap();
        let bounds = reader.records().map(Result::unwrap);
        let bounds = bounds.filter(|row| &row[place("is_lower_bound")] == "true");
        let mut told = Vec::new();
        for row in bounds {
            assert_eq!((&row[place("cell")], &row[place("metric")]), ("tiny-fp16", "ttft"));
            assert_eq!(
                (&row[place("bound_low")], &row[place("bound_high")]),
                (&row[place("value")], "")
            );
            told.push(row[place("statistic")].to_owned());
        }
        assert!(
            ["mean", "p50", "p99"].iter().all(|it| told.contains(&(*it).to_owned())),
            "{told:?}"
        );
    }
}
