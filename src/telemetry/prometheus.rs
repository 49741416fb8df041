//! The engine's own counters, from a Prometheus text endpoint.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::record::gauge::Gauge;
use crate::record::telemetry::{ProbeName, TelemetrySample, TelemetrySource};
use crate::telemetry::Probe;
use crate::units::Nanos;

/// Brings the text of the endpoint, or the reason why there is none.
pub type Fetch = Box<dyn FnMut() -> Result<String, String> + Send>;

/// Samples the endpoint under our names.
pub struct PrometheusProbe {
    fetch: Fetch,
    names: IndexMap<Gauge, Vec<String>>,
}

impl PrometheusProbe {
    /// Makes a probe; `names` maps our names to the engine's, of which the first found counts.
    pub fn new(fetch: Fetch, names: IndexMap<Gauge, Vec<String>>) -> Self {
        Self { fetch, names }
    }
}

/// Returns how many requests an engine has running and waiting; `None` where its metrics do not
/// tell.
pub(crate) fn n_open(values: &BTreeMap<Gauge, f64>) -> Option<f64> {
    let gauges = [Gauge::RequestsRunning, Gauge::RequestsWaiting];
    let told: Vec<f64> = gauges.iter().filter_map(|gauge| values.get(gauge).copied()).collect();
    (!told.is_empty()).then(|| told.iter().sum())
}

impl Probe for PrometheusProbe {
    fn name(&self) -> ProbeName {
        ProbeName::EngineMetrics
    }

    fn sample(&mut self, now: &dyn Fn() -> Nanos) -> Vec<TelemetrySample> {
        let at = now();
        let (values, absent) = match (self.fetch)() {
            Ok(text) => pick(&parse(&text), &self.names),
            Err(reason) => {
                let absent = self.names.keys().map(|gauge| (*gauge, reason.clone()));
                (BTreeMap::new(), absent.collect())
            }
        };
        vec![TelemetrySample { at, source: TelemetrySource::EngineMetrics, values, absent }]
    }
}

/// Returns the values under our names, and the names that the engine does not have.
///
/// Series of one name that differ in labels (ranks, models) are added up; ratios are averaged.
pub fn pick(
    series: &[Series<'_>],
    names: &IndexMap<Gauge, Vec<String>>,
) -> (BTreeMap<Gauge, f64>, BTreeMap<Gauge, String>) {
    let mut values = BTreeMap::new();
    let mut absent = BTreeMap::new();
    for (ours, theirs) in names {
        let found = theirs.iter().find_map(|name| {
            let found: Vec<f64> =
                series.iter().filter(|row| row.name == name).map(|row| row.value).collect();
            (!found.is_empty()).then_some(found)
        });
        match found {
            Some(found) => {
                let sum: f64 = found.iter().sum();
                let value = if ours.is_ratio() { sum / found.len() as f64 } else { sum };
                values.insert(*ours, value);
            }
            None => {
                absent.insert(*ours, format!("the engine has no {}", theirs.join(", ")));
            }
        }
    }
    (values, absent)
}

/// One line of the text: a name, its labels as written, a finite value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Series<'a> {
    /// Metric name.
    pub name: &'a str,
    /// What stands between the braces.
    pub labels: &'a str,
    /// Value.
    pub value: f64,
}

/// Parses the text exposition format 0.0.4; lines it does not understand and values that are
/// not finite are left out.
///
/// Source: Prometheus documentation, "Exposition formats".
pub fn parse(text: &str) -> Vec<Series<'_>> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Series<'_>> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(|char: char| char == '{' || char.is_whitespace())?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => {
            let close = closing_brace(inside)?;
            (&inside[..close], &inside[close + 1..])
        }
        None => ("", rest),
    };
    // A timestamp may follow.
    let value: f64 = rest.split_whitespace().next()?.parse().ok()?;
    value.is_finite().then_some(Series { name, labels, value })
}

/// Finds the brace that is not inside a label's quoted value.
fn closing_brace(text: &str) -> Option<usize> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b'}' if !is_quoted => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the values are exact in binary")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Lines as vLLM 0.32 writes them, for two engines, and hard cases of the format.
    const TEXT: &str = r#"# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="tiny"} 3.0
vllm:num_requests_running{engine="1",model_name="tiny"} 2.0
vllm:kv_cache_usage_perc{engine="0"} 0.2
vllm:kv_cache_usage_perc{engine="1"} 0.4
vllm:prompt_tokens_total{model_name="a}\"{b"} 1.5e3 1395066363000
plain_total 7
not_a_number{x="y"} NaN
broken{x="y 1
"#;

    #[test]
    fn series_are_added_up_ratios_averaged_and_the_first_known_name_counts() {
        let names: IndexMap<Gauge, Vec<String>> = [
            (Gauge::RequestsRunning, vec!["vllm:num_requests_running"]),
            (Gauge::KvCacheUsageRatio, vec!["vllm:kv_cache_usage_perc"]),
            (Gauge::PromptTokens, vec!["sglang:prompt_tokens_total", "vllm:prompt_tokens_total"]),
            (Gauge::Preemptions, vec!["vllm:num_preemptions_total"]),
            (Gauge::OutputTokens, vec!["not_a_number"]),
        ]
        .into_iter()
        .map(|(ours, theirs)| (ours, theirs.into_iter().map(str::to_owned).collect()))
        .collect();
        let mut probe = PrometheusProbe::new(Box::new(|| Ok(TEXT.to_owned())), names);
        let sample = &probe.sample(&|| Nanos(1))[0];
        assert_eq!(sample.values[&Gauge::RequestsRunning], 5.0);
        assert!((sample.values[&Gauge::KvCacheUsageRatio] - 0.3).abs() < 1e-12);
        assert_eq!(sample.values[&Gauge::PromptTokens], 1_500.0);
        assert_eq!(
            sample.absent[&Gauge::Preemptions],
            "the engine has no vllm:num_preemptions_total"
        );
        assert!(sample.absent.contains_key(&Gauge::OutputTokens), "a NaN was taken for a number");
    }

    #[test]
    fn an_endpoint_that_does_not_answer_makes_every_name_absent() {
        let names = IndexMap::from([(Gauge::RequestsRunning, vec!["x".to_owned()])]);
        let mut probe = PrometheusProbe::new(Box::new(|| Err("answered 404".to_owned())), names);
        assert_eq!(probe.sample(&|| Nanos(1))[0].absent[&Gauge::RequestsRunning], "answered 404");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "(?s).*") {
            parse(&text);
        }

        #[test]
        fn what_is_written_is_read(name in "[a-z_:]{1,20}", label in "[^\"\\\\\n\r]{0,20}", value in -1e12..1e12) {
            let line = format!("{name}{{x=\"{label}\"}} {value}\n");
            let read = parse(&line);
            prop_assert_eq!(read.len(), 1);
            prop_assert_eq!((read[0].name, read[0].value), (name.as_str(), value));
        }
    }
}
