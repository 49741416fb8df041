//! What figures draw of one cell: samples of latencies, rates over time, GPUs.

use std::collections::BTreeMap;

use crate::analysis::input::{CellSeries, Curve, GpuSeries, RequestSpan};
use crate::metrics::catalogue::MetricId;
use crate::metrics::request::{RequestMetrics, token_events};
use crate::metrics::window::Window;
use crate::record::environment::GpuFacts;
use crate::record::gauge::Gauge;
use crate::record::request::RequestRecord;
use crate::record::telemetry::{TelemetrySample, TelemetrySource};
use crate::units::Nanos;

/// Most samples of one metric: more do not change a curve that people look at.
const MAX_SAMPLES: usize = 4_096;
/// Most points of one GPU's curve over time.
const TIME_POINTS: usize = 600;
/// Slices of a window in a figure over time; as many before it and after it are kept.
const N_SLICES: i64 = 60;
/// Requests whose course is kept.
const REQUESTS_MAX: usize = 120;
/// Bytes of a GiB.
const GIB: f64 = (1_u64 << 30) as f64;

/// Gathers the series of one cell: of requests no more than [`MAX_SAMPLES`], of a GPU two numbers
/// per sample until the cell is finished.
#[derive(Default)]
pub(crate) struct SeriesBuilder {
    samples: BTreeMap<MetricId, Thinned>,
    first_trial: Option<FirstTrial>,
    n_trials: u32,
    wait: Nanos,
    gpus: BTreeMap<String, GpuSeries>,
}

/// What is drawn over time: trials have no common clock.
struct FirstTrial {
    start: Nanos,
    end: Nanos,
    /// Output tokens by slice, from the window's start.
    slices: BTreeMap<i64, u64>,
    requests: Vec<RequestSpan>,
}

impl SeriesBuilder {
    /// Begins a trial in which what had arrived waited so long at most to be read.
    pub(crate) fn begin_trial(&mut self, window: &Window, wait: Nanos) {
        self.n_trials += 1;
        self.wait = wait;
        if self.n_trials > 1 {
            return;
        }
        let mut spans = window.spans();
        let first = spans.next();
        let last = spans.last().or(first);
        let trial = |((start, _), (_, end))| FirstTrial {
            start,
            end,
            slices: BTreeMap::new(),
            requests: Vec::new(),
        };
        self.first_trial = first.zip(last).map(trial);
    }

    /// Takes a request; one of a warm-up is part of what is drawn over time alone.
    pub(crate) fn request(&mut self, record: &RequestRecord, is_measured: bool) {
        let metrics = RequestMetrics::beside(record, self.wait);
        if metrics.is_ok && is_measured {
            let millis = |nanos: Option<Nanos>| nanos.map(Nanos::as_millis_f64);
            self.push(MetricId::Ttft, millis(metrics.ttft));
            self.push(MetricId::TtftScheduled, millis(metrics.ttft_scheduled));
            self.push(MetricId::Tpot, metrics.tpot_ns.map(|ns| ns / 1e6));
            self.push(MetricId::E2e, millis(metrics.e2e));
        }
        let (1, Some(trial)) = (self.n_trials, &mut self.first_trial) else { return };
        for event in token_events(record) {
            if let Some(slice) = trial.slice(event.at) {
                *trial.slices.entry(slice).or_default() += u64::from(event.tokens.unwrap_or(1));
            }
        }
        if let Some(sent) = record.sent.filter(|_| trial.requests.len() < REQUESTS_MAX) {
            let end = metrics.last_token_at.or(record.done).unwrap_or(sent);
            trial.requests.push(RequestSpan {
                sent: trial.seconds(sent) as f32,
                first_token: metrics.first_token_at.map(|at| trial.seconds(at) as f32),
                end: trial.seconds(end) as f32,
                is_ok: metrics.is_ok,
            });
        }
    }

    pub(crate) fn telemetry(&mut self, sample: &TelemetrySample) {
        let (1, Some(trial), TelemetrySource::Gpu(uuid)) =
            (self.n_trials, &self.first_trial, &sample.source)
        else {
            return;
        };
        let at = trial.seconds(sample.at);
        let gpu = self.gpus.entry(uuid.clone()).or_default();
        let mut add = |gauge: Gauge, unit: f64, series: fn(&mut GpuSeries) -> &mut Points| {
            if let Some(value) = sample.values.get(&gauge) {
                series(gpu).push((at, *value / unit));
            }
        };
        add(Gauge::PowerW, 1.0, |gpu| &mut gpu.power_w);
        add(Gauge::UtilisationPct, 1.0, |gpu| &mut gpu.utilisation_pct);
        add(Gauge::MemoryBytes, GIB, |gpu| &mut gpu.memory_gib);
        add(Gauge::TemperatureC, 1.0, |gpu| &mut gpu.temperature_c);
        add(Gauge::ClockMhz, 1.0, |gpu| &mut gpu.clock_mhz);
    }

    /// Returns the series; `gpus` are the machine's, by which the driver numbers them.
    pub(crate) fn finish(self, gpus: &[GpuFacts]) -> CellSeries {
        let mut series = CellSeries::default();
        for (metric, thinned) in self.samples {
            if let Some(curve) = Curve::of(thinned.kept) {
                series.distributions.insert(metric, curve);
            }
        }
        if let Some(mut trial) = self.first_trial.filter(|trial| trial.end > trial.start) {
            series.over_time.insert(MetricId::OutputThroughput, trial.rates());
            series.window_s = trial.seconds(trial.end);
            trial.requests.sort_by(|a, b| a.sent.total_cmp(&b.sent));
            series.requests = trial.requests;
        }
        let index = |uuid: &str| gpus.iter().find(|gpu| gpu.uuid == uuid).map(|gpu| gpu.index);
        let mut numbered: Vec<_> =
            self.gpus.into_iter().map(|(uuid, gpu)| (index(&uuid), uuid, gpu)).collect();
        // A GPU that the machine's facts do not list has no number, and comes last.
        numbered.sort_by_key(|(index, ..)| index.unwrap_or(u32::MAX));
        let named = numbered.into_iter().map(|(index, uuid, gpu)| GpuSeries {
            name: index.map_or(uuid, |index| format!("GPU {index}")),
            power_w: averaged(&gpu.power_w),
            utilisation_pct: averaged(&gpu.utilisation_pct),
            memory_gib: averaged(&gpu.memory_gib),
            temperature_c: averaged(&gpu.temperature_c),
            clock_mhz: averaged(&gpu.clock_mhz),
        });
        series.gpus = named.collect();
        series
    }

    fn push(&mut self, metric: MetricId, value: Option<f64>) {
        if let Some(value) = value {
            self.samples.entry(metric).or_default().push(value);
        }
    }
}

impl FirstTrial {
    fn seconds(&self, at: Nanos) -> f64 {
        at.as_secs_f64() - self.start.as_secs_f64()
    }

    fn slice_width_s(&self) -> f64 {
        self.seconds(self.end) / N_SLICES as f64
    }

    fn slice(&self, at: Nanos) -> Option<i64> {
        let slice = (self.seconds(at) / self.slice_width_s()).floor() as i64;
        (-N_SLICES..2 * N_SLICES).contains(&slice).then_some(slice)
    }

    /// Returns the rate in each slice from the first to the last token, at the slice's middle.
    fn rates(&self) -> Points {
        let width = self.slice_width_s();
        let first = self.slices.keys().next().map_or(0, |first| *first.min(&0));
        let last = self.slices.keys().next_back().map_or(0, |last| *last.max(&(N_SLICES - 1)));
        let rate = |slice: i64| {
            let n = self.slices.get(&slice).copied().unwrap_or(0);
            ((slice as f64 + 0.5) * width, n as f64 / width)
        };
        (first..=last).map(rate).collect()
    }
}

/// Seconds and values.
type Points = Vec<(f64, f64)>;

/// Averages neighbours until few enough points are left.
fn averaged(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let together = points.len().div_ceil(TIME_POINTS).max(1);
    points
        .chunks(together)
        .map(|chunk| {
            let n = chunk.len() as f64;
            let (x, y) =
                chunk.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
            (x / n, y / n)
        })
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::request::tests::request;
    use crate::metrics::tests::fixture::{cell, phase_record, trial};
    use crate::plan::cell::ArrivalsPlan;
    use crate::record::trial::PhaseKind;

    fn window(seconds: u64) -> Window {
        let phase = phase_record(PhaseKind::Measure, 0, seconds * 1_000, seconds * 1_000);
        Window::of(&trial(&[phase]), &cell(ArrivalsPlan::Constant { rate_per_s: 1.0 }))
    }

    #[test]
    fn a_longer_later_trial_does_not_stretch_the_first_ones_curve() {
        let mut series = SeriesBuilder::default();
        series.begin_trial(&window(2), Nanos::ZERO);
        series.request(&request(0, 0, 0, &[500, 1_000, 1_500]), true);
        series.begin_trial(&window(10), Nanos::ZERO);
        series.request(&request(0, 0, 0, &[5_000]), true);
        let curve = &series.finish(&[]).over_time[&MetricId::OutputThroughput];
        assert!(curve.last().unwrap().0 < 2.0, "{curve:?}");
        let n_tokens: f64 = curve.iter().map(|(_, rate)| rate * 2.0 / N_SLICES as f64).sum();
        assert!((n_tokens - 3.0).abs() < 1e-9, "{n_tokens}");
    }

    #[test]
    fn a_warm_up_is_drawn_before_the_window_and_counts_for_nothing_else() {
        let mut series = SeriesBuilder::default();
        let phase = phase_record(PhaseKind::Measure, 1_000, 3_000, 3_000);
        let cell = cell(ArrivalsPlan::Constant { rate_per_s: 1.0 });
        series.begin_trial(&Window::of(&trial(&[phase]), &cell), Nanos::ZERO);
        series.request(&request(0, 500, 500, &[900]), false);
        series.request(&request(0, 1_000, 1_000, &[1_500, 2_000]), true);
        let drawn = series.finish(&[]);
        let curve = &drawn.over_time[&MetricId::OutputThroughput];
        assert!(curve[0].0 < 0.0 && curve[0].1 > 0.0, "{curve:?}");
        assert_eq!(drawn.distributions[&MetricId::Ttft].n, 1);
        assert!((drawn.window_s - 2.0).abs() < 1e-9, "{}", drawn.window_s);
        let spans: Vec<_> = drawn.requests.iter().map(|it| (it.sent, it.first_token)).collect();
        assert_eq!(spans, [(-0.5, Some(-0.1)), (0.0, Some(0.5))]);
    }

    #[test]
    fn averages_of_neighbours_keep_the_mean() {
        let points: Vec<(f64, f64)> =
            (0..1200).map(|at| (f64::from(at), f64::from(at % 2))).collect();
        let few = averaged(&points);
        assert_eq!(few.len(), TIME_POINTS);
        assert!(few.iter().all(|(_, y)| (y - 0.5).abs() < 1e-12));
    }

    #[test]
    fn gpus_have_the_drivers_numbers_and_not_the_order_of_their_names() {
        let mut series = SeriesBuilder::default();
        series.begin_trial(&window(2), Nanos::ZERO);
        for (uuid, power_w) in [("GPU-ffff", 100.0), ("GPU-aaaa", 600.0), ("GPU-0000", 1.0)] {
            series.telemetry(&TelemetrySample {
                at: Nanos::from_secs(1),
                source: TelemetrySource::Gpu(uuid.to_owned()),
                values: BTreeMap::from([(Gauge::PowerW, power_w)]),
                absent: BTreeMap::new(),
            });
        }
        let facts = |uuid: &str, index| GpuFacts { uuid: uuid.into(), index, ..Default::default() };
        let gpus = series.finish(&[facts("GPU-ffff", 0), facts("GPU-aaaa", 1)]).gpus;
        let told: Vec<_> = gpus.iter().map(|gpu| (gpu.name.as_str(), gpu.power_w[0].1)).collect();
        assert_eq!(told, [("GPU 0", 100.0), ("GPU 1", 600.0), ("GPU-0000", 1.0)]);
    }
}
