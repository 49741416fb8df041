//! What figures draw of one cell: samples of latencies, rates over time, GPUs.

use std::collections::BTreeMap;

use crate::metrics::request::{RequestMetrics, token_events};
use crate::metrics::window::Window;
use crate::record::request::RequestRecord;
use crate::record::telemetry::{TelemetrySample, TelemetrySource};
use crate::report::input::{CellSeries, GpuSeries};
use crate::units::Nanos;

/// Most samples of one metric: more do not change a curve that people look at.
const MAX_SAMPLES: usize = 4_096;
/// Slices of a window in a figure over time.
const N_SLICES: usize = 60;

/// Gathers the series of one cell, in bounded memory.
#[derive(Default)]
pub(super) struct SeriesBuilder {
    samples: BTreeMap<&'static str, Thinned>,
    /// Output tokens per slice of the first trial's window.
    slices: Vec<u64>,
    window: Option<Span>,
    n_trials: u32,
    gpus: BTreeMap<String, GpuSeries>,
}

#[derive(Clone, Copy)]
struct Span {
    start: Nanos,
    end: Nanos,
}

impl SeriesBuilder {
    pub(super) fn begin_trial(&mut self, window: &Window) {
        self.n_trials += 1;
        let spans: Vec<_> = window.spans().collect();
        self.window = spans
            .first()
            .zip(spans.last())
            .map(|(first, last)| Span { start: first.0, end: last.1 });
        if self.slices.is_empty() {
            self.slices = vec![0; N_SLICES];
        }
    }

    pub(super) fn request(&mut self, record: &RequestRecord) {
        let metrics = RequestMetrics::of(record);
        if metrics.is_ok {
            let millis = |nanos: Option<Nanos>| nanos.map(Nanos::as_millis_f64);
            self.push("ttft", millis(metrics.ttft));
            self.push("ttft_scheduled", millis(metrics.ttft_scheduled));
            self.push("tpot", metrics.tpot_ns.map(|ns| ns / 1e6));
            self.push("e2e", millis(metrics.e2e));
        }
        // Curves over time show the first trial alone: trials have no common clock.
        let (1, Some(span)) = (self.n_trials, self.window) else { return };
        for event in token_events(record) {
            if let Some(slice) = span.slice(event.at) {
                self.slices[slice] += u64::from(event.tokens.unwrap_or(1));
            }
        }
    }

    pub(super) fn telemetry(&mut self, sample: &TelemetrySample) {
        let (1, Some(span), TelemetrySource::Gpu(uuid)) =
            (self.n_trials, self.window, &sample.source)
        else {
            return;
        };
        let at = sample.at.as_secs_f64() - span.start.as_secs_f64();
        let gpu = self.gpus.entry(uuid.clone()).or_default();
        let mut add = |name: &str, series: fn(&mut GpuSeries) -> &mut Vec<(f64, f64)>| {
            if let Some(value) = sample.values.get(name) {
                series(gpu).push((at, *value));
            }
        };
        add("power_w", |gpu| &mut gpu.power_w);
        add("utilisation_pct", |gpu| &mut gpu.utilisation_pct);
    }

    pub(super) fn finish(self) -> CellSeries {
        let mut series = CellSeries::default();
        for (tag, thinned) in self.samples {
            series.samples.insert(tag.to_owned(), thinned.kept);
        }
        if let Some(span) = self.window.filter(|span| span.end > span.start) {
            let width = (span.end - span.start).as_secs_f64() / N_SLICES as f64;
            let rates = self.slices.iter().enumerate();
            let rates = rates.map(|(i, n)| ((i as f64 + 0.5) * width, *n as f64 / width)).collect();
            series.over_time.insert("output_throughput".to_owned(), rates);
        }
        series.gpus = self.gpus.into_values().collect();
        for (i, gpu) in series.gpus.iter_mut().enumerate() {
            gpu.name = format!("GPU {i}");
        }
        series
    }

    fn push(&mut self, tag: &'static str, value: Option<f64>) {
        if let Some(value) = value {
            self.samples.entry(tag).or_default().push(value);
        }
    }
}

impl Span {
    fn slice(self, at: Nanos) -> Option<usize> {
        let inside = at.checked_sub(self.start)?;
        let width = (self.end.checked_sub(self.start)?.0 / N_SLICES as u64).max(1);
        let slice = (inside.0 / width) as usize;
        (slice < N_SLICES).then_some(slice)
    }
}

/// Every n-th value, where n doubles whenever there are too many: the same for the same input.
struct Thinned {
    kept: Vec<f64>,
    every: usize,
    n_seen: usize,
}

impl Default for Thinned {
    fn default() -> Self {
        Self { kept: Vec::new(), every: 1, n_seen: 0 }
    }
}

impl Thinned {
    fn push(&mut self, value: f64) {
        if self.n_seen.is_multiple_of(self.every) {
            self.kept.push(value);
        }
        self.n_seen += 1;
        if self.kept.len() > MAX_SAMPLES {
            let mut position = 0;
            self.kept.retain(|_| {
                position += 1;
                position % 2 == 1
            });
            self.every *= 2;
        }
    }
}
