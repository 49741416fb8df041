//! Figures in Prometheus' text format, for a push gateway or a file that a node exporter reads.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::metrics::catalogue::{MetricId, MetricKey};
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::{CellSummary, Figure, Summary};

/// One line of a metric: what is behind its name, and its labels.
type Sample = (&'static str, String, f64);

/// Renders the numbers of all cells that are measured; those that are INVALID or lower bounds are left
/// out.
pub(crate) fn render(run: &str, summary: &Summary) -> String {
    let mut metrics: BTreeMap<MetricId, Vec<Sample>> = BTreeMap::new();
    for cell in summary.cells.iter().filter(|cell| cell.validity.status.is_measured()) {
        of_cell(run, cell, &mut metrics);
    }
    let mut out = String::new();
    for (metric, samples) in metrics {
        let (name, row) = (name(metric), metric.row());
        let kind =
            if samples.iter().any(|(suffix, ..)| !suffix.is_empty()) { "summary" } else { "gauge" };
        let _ = writeln!(out, "# HELP {name} {}", row.definition.replace('\\', "\\\\"));
        let _ = writeln!(out, "# TYPE {name} {kind}");
        for (suffix, labels, value) in samples {
            let _ = writeln!(out, "{name}{suffix}{{{labels}}} {value}");
        }
    }
    out
}

fn of_cell(run: &str, cell: &CellSummary, metrics: &mut BTreeMap<MetricId, Vec<Sample>>) {
    let labels = labels(run, cell);
    let mut add = |metric: MetricId, suffix: &'static str, more: &str, value: Option<f64>| {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            metrics.entry(metric).or_default().push((suffix, format!("{labels}{more}"), value));
        }
    };
    let figures = cell.figures.keys().map(|key| {
        (
            key,
            Quantity { metric: key.clone(), statistic: crate::metrics::quantity::Statistic::Value },
        )
    });
    for (MetricKey { metric, part }, quantity) in figures {
        let part = part.as_ref().map_or_else(String::new, |part| label("part", part));
        add(*metric, "", &part, value(quantity.believed(cell)));
    }
    add(MetricId::Accuracy, "", "", value(Quantity::figure(MetricId::Accuracy).believed(cell)));
    for (metric, distribution) in &cell.distributions {
        for at in &distribution.percentiles {
            let quantile = label("quantile", &(at.p / 100.0).to_string());
            add(*metric, "", &quantile, value(Quantity::percentile(*metric, at.p).exact(cell)));
        }
        let n = distribution.n as f64;
        if let Some(mean) = value(Quantity::mean(*metric).exact(cell)) {
            add(*metric, "_sum", "", Some(mean * n));
            add(*metric, "_count", "", Some(n));
        }
    }
}

fn value(figure: Option<Figure>) -> Option<f64> {
    figure?.value
}

fn labels(run: &str, cell: &CellSummary) -> String {
    let mut labels = format!("run=\"{}\"", escaped(run));
    labels += &label("cell", &cell.name);
    for (key, value) in &cell.keys {
        labels += &label(&format!("key_{}", word(key)), value);
    }
    labels
}

fn label(name: &str, value: &str) -> String {
    format!(",{name}=\"{}\"", escaped(value))
}

/// Returns the name of a metric with its unit, as Prometheus allows names.
fn name(metric: MetricId) -> String {
    let unit = metric.unit().replace('/', "_per_").replace('%', "percent").replace("°C", "celsius");
    format!("bench_{}_{}", metric.tag(), word(&unit)).trim_end_matches('_').to_owned()
}

fn word(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::bounds::UNLIMITED;
    use crate::metrics::summary::{NumberState, Percentile};
    use crate::metrics::tests::fixture::{measured_cell, with_figure, with_mean};
    use crate::report::tests::sample_run;

    #[test]
    fn each_number_has_its_unit_in_its_name_and_its_cell_in_its_labels() {
        let mut cell = with_figure(measured_cell("a \"b\"", "fp16"), MetricId::LoadTime, 3.0, None);
        cell = with_mean(cell, MetricId::Ttft, 40.0);
        let bad =
            Figure { value: Some(9.0), state: Some(NumberState::Invalid), ..Figure::default() };
        cell.figures.insert(MetricId::OutputThroughput.into(), bad);
        let summary = Summary { cells: vec![cell], ..Summary::default() };
        insta::assert_snapshot!(render("chat-1", &summary));
    }

    #[test]
    fn a_lower_bound_is_no_sample() {
        let of = |high: f64| {
            let mut cell = with_mean(measured_cell("a", "fp16"), MetricId::Ttft, 3_600.0);
            let ttft = cell.distributions.get_mut(&MetricId::Ttft).unwrap();
            let bound = Some((3_600.0, high));
            ttft.mean_bound = bound;
            let p = 50.0;
            ttft.percentiles =
                vec![Percentile { p, value: Some(3_605.0), bound, ..Default::default() }];
            render("r", &Summary { cells: vec![cell], ..Summary::default() })
        };
        let told = of(3_700.0);
        assert!(told.contains("quantile=\"0.5\"} 3605") && told.contains("_sum{"), "{told}");
        assert!(!of(UNLIMITED).contains("bench_ttft"), "{}", of(UNLIMITED));
    }

    /// The rules of the text format: each family once, with its help and type in front, names and
    /// labels of the letters that are allowed, no series twice, numbers that are numbers.
    ///
    /// Source: prometheus.io, "Exposition formats" and "Metric names and labels".
    #[test]
    fn a_scraper_takes_it() {
        use std::collections::BTreeSet;

        let text = sample_run::with_input(|input| render("run \"1\"\n\\x", input.summary));
        let is_name = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        let (mut families, mut series) = (BTreeSet::new(), BTreeSet::new());
        let mut family = String::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, said) = help.split_once(' ').unwrap();
                assert!(is_name(name) && !said.trim().is_empty(), "{line}");
                assert!(families.insert(name.to_owned()), "{name} comes twice");
                let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} "));
                assert!(matches!(kind, Some("gauge" | "summary")), "{line}");
                family = name.to_owned();
                continue;
            }
            let (metric, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().unwrap().is_finite(), "{line}");
            let (name, labels) = metric.split_once('{').unwrap();
            let suffix = name.strip_prefix(&family).unwrap();
            assert!(matches!(suffix, "" | "_sum" | "_count"), "{line}");
            for label in labels.trim_end_matches("\"}").split("\",") {
                let (label, value) = label.split_once("=\"").unwrap();
                assert!(is_name(label) && !label.starts_with("__"), "{line}");
                assert!(!value.replace("\\\\", "").replace("\\\"", "").contains('"'), "{line}");
            }
            assert!(series.insert(metric.to_owned()), "{metric} comes twice");
        }
        assert!(series.len() > 50, "{} series", series.len());
    }
}
