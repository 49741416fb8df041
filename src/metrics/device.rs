//! What the GPUs did during a trial.

use std::collections::BTreeMap;

use crate::metrics::energy::{PowerSample, counter_still_s, energy};
use crate::metrics::window::Window;
use crate::record::gauge::Gauge;
use crate::record::telemetry::{TelemetrySample, TelemetrySource};
use crate::stats::mean::Moments;
use crate::units::Nanos;

/// Samples of one trial's GPUs.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeviceLog {
    gpus: BTreeMap<String, GpuLog>,
    absent: Option<String>,
}

#[derive(Clone, Debug, Default)]
struct GpuLog {
    power: Vec<PowerSample>,
    others: Vec<Other>,
}

#[derive(Clone, Copy, Debug)]
struct Other {
    at: Nanos,
    utilisation_pct: Option<f64>,
    memory_bytes: Option<f64>,
    temperature_c: Option<f64>,
}

/// What the GPUs did during a trial.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Devices {
    /// Energy over the window, all GPUs, or why it cannot be had.
    pub energy_window_j: Result<f64, String>,
    /// Energy from the beginning of the measured phases to the last response.
    pub energy_whole_j: Result<f64, String>,
    /// Least share of the window that power samples cover, over GPUs.
    pub coverage: Option<f64>,
    /// Longest time for which a GPU's energy counter stood still in the window, seconds.
    pub counter_still_s: f64,
    /// Highest sampled power of all GPUs together.
    pub power_w_max: Option<f64>,
    /// Mean power of all GPUs before the first phase.
    pub power_w_idle: Option<f64>,
    /// By UUID.
    pub gpus: BTreeMap<String, GpuFigures>,
}

/// What one GPU did inside the window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct GpuFigures {
    /// Utilisation, per cent.
    pub utilisation_pct: Moments,
    /// Power, watts.
    pub power_w: Moments,
    /// Memory in use, bytes.
    pub memory_bytes: Moments,
    /// Temperature, degrees Celsius.
    pub temperature_c: Moments,
}

impl DeviceLog {
    /// Takes a sample in, if it is a GPU's.
    pub(crate) fn push(&mut self, sample: &TelemetrySample) {
        let TelemetrySource::Gpu(uuid) = &sample.source else { return };
        let log = self.gpus.entry(uuid.clone()).or_default();
        let value = |gauge: Gauge| sample.values.get(&gauge).copied();
        log.power.push(PowerSample {
            at: sample.at,
            power_w: value(Gauge::PowerW),
            energy_j: value(Gauge::EnergyJ),
        });
        log.others.push(Other {
            at: sample.at,
            utilisation_pct: value(Gauge::UtilisationPct),
            memory_bytes: value(Gauge::MemoryBytes),
            temperature_c: value(Gauge::TemperatureC),
        });
        let reason =
            || sample.absent.get(&Gauge::PowerW).or_else(|| sample.absent.get(&Gauge::EnergyJ));
        if self.absent.is_none() {
            self.absent = reason().cloned();
        }
    }

    /// Returns what the GPUs did; `began` is when the trial's first phase began, `interval` the
    /// time between samples.
    pub(crate) fn devices(&self, window: &Window, began: Nanos, interval: Nanos) -> Devices {
        let inside = self.energy(window.spans(), interval);
        let whole = self.energy(window.whole_spans(), interval);
        let gpus: BTreeMap<_, _> =
            self.gpus.iter().map(|(uuid, log)| (uuid.clone(), log.figures(window))).collect();
        Devices {
            coverage: inside.as_ref().ok().map(|found| found.coverage),
            counter_still_s: self.counter_still_s(window),
            energy_window_j: inside.map(|found| found.joules),
            energy_whole_j: whole.map(|found| found.joules),
            power_w_max: self.power_w_max(window),
            power_w_idle: self.idle(began),
            gpus,
        }
    }

    /// Returns the energy of all GPUs over stretches of time, at least of one.
    fn energy(
        &self,
        spans: impl Iterator<Item = (Nanos, Nanos)>,
        interval: Nanos,
    ) -> Result<AllGpus, String> {
        let mut all = AllGpus { joules: 0.0, coverage: f64::INFINITY };
        for (start, end) in spans {
            for log in self.gpus.values() {
                let found = energy(&log.power, start, end, interval)
                    .map_err(|reason| self.absent.clone().unwrap_or(reason))?;
                all.joules += found.joules;
                all.coverage = all.coverage.min(found.coverage);
            }
        }
        if self.gpus.is_empty() {
            return Err("no GPU was sampled".to_owned());
        }
        if all.coverage.is_finite() { Ok(all) } else { Err("there is no window".to_owned()) }
    }

    /// Returns the highest power of all GPUs together, each by its latest sample in the window;
    /// none where one of them has none.
    fn power_w_max(&self, window: &Window) -> Option<f64> {
        let of_gpu = |(gpu, log): (usize, &GpuLog)| {
            let inside = log.power.iter().filter(|sample| window.contains(sample.at));
            inside.filter_map(|it| Some((it.at, gpu, it.power_w?))).collect::<Vec<_>>()
        };
        let mut samples: Vec<_> = self.gpus.values().enumerate().flat_map(of_gpu).collect();
        samples.sort_by_key(|(at, ..)| *at);
        let mut latest = vec![None; self.gpus.len()];
        let sums = samples.into_iter().filter_map(|(_, gpu, power)| {
            latest[gpu] = Some(power);
            latest.iter().copied().sum::<Option<f64>>()
        });
        sums.reduce(f64::max)
    }

    fn counter_still_s(&self, window: &Window) -> f64 {
        let still = |log: &GpuLog| {
            window.spans().map(|(start, end)| counter_still_s(&log.power, start, end)).sum()
        };
        self.gpus.values().map(still).fold(0.0, f64::max)
    }

    fn idle(&self, began: Nanos) -> Option<f64> {
        let mean = |log: &GpuLog| {
            let before = log.power.iter().filter(|sample| sample.at < began);
            before.filter_map(|sample| sample.power_w).collect::<Moments>().mean()
        };
        if self.gpus.is_empty() {
            return None;
        }
        self.gpus.values().map(mean).sum()
    }
}

/// Energy of all GPUs.
struct AllGpus {
    joules: f64,
    coverage: f64,
}

impl GpuLog {
    fn figures(&self, window: &Window) -> GpuFigures {
        let mut figures = GpuFigures::default();
        for sample in self.power.iter().filter(|sample| window.contains(sample.at)) {
            sample.power_w.into_iter().for_each(|power| figures.power_w.push(power));
        }
        for sample in self.others.iter().filter(|sample| window.contains(sample.at)) {
            sample.utilisation_pct.into_iter().for_each(|pct| figures.utilisation_pct.push(pct));
            sample.memory_bytes.into_iter().for_each(|bytes| figures.memory_bytes.push(bytes));
            sample.temperature_c.into_iter().for_each(|c| figures.temperature_c.push(c));
        }
        figures
    }
}

/// Returns the higher of two values that may be absent.
pub(crate) fn higher(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    a.into_iter().chain(b).reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::fixture::{cell, phase_record, trial};
    use crate::plan::cell::ArrivalsPlan;
    use crate::record::trial::PhaseKind;

    fn sample(uuid: &str, at_millis: u64, values: &[(Gauge, f64)]) -> TelemetrySample {
        TelemetrySample {
            at: Nanos::from_millis(at_millis),
            source: TelemetrySource::Gpu(uuid.to_owned()),
            values: values.iter().copied().collect(),
            absent: BTreeMap::new(),
        }
    }

    fn window() -> Window {
        let trial = trial(&[phase_record(PhaseKind::Measure, 1_000, 2_000, 3_000)]);
        Window::of(&trial, &cell(ArrivalsPlan::Constant { rate_per_s: 1.0 }))
    }

    #[test]
    fn energy_adds_over_gpus_and_the_window_is_not_the_whole() {
        let mut log = DeviceLog::default();
        for i in 0..=30 {
            let busy = if i < 10 { 50.0 } else { 100.0 };
            log.push(&sample(
                "a",
                i * 100,
                &[(Gauge::PowerW, busy), (Gauge::UtilisationPct, 80.0)],
            ));
            // GPUs are read one after the other.
            let at = i * 100 + 1;
            log.push(&sample("b", at, &[(Gauge::PowerW, 200.0), (Gauge::MemoryBytes, 5.0)]));
        }
        let found = log.devices(&window(), Nanos::from_millis(1_000), Nanos::ZERO);
        assert!((found.energy_window_j.unwrap() - 300.0).abs() < 1e-6);
        assert!((found.energy_whole_j.unwrap() - 600.0).abs() < 1e-6);
        assert_eq!((found.power_w_max, found.power_w_idle), (Some(300.0), Some(250.0)));
        assert_eq!(found.gpus["a"].utilisation_pct.mean(), Some(80.0));
        assert_eq!(found.gpus["b"].memory_bytes.max(), Some(5.0));
    }

    #[test]
    fn absent_power_keeps_its_reason() {
        let mut log = DeviceLog::default();
        let mut no_power = sample("a", 100, &[]);
        no_power.absent.insert(Gauge::PowerW, "not supported".to_owned());
        log.push(&no_power);
        let found = log.devices(&window(), Nanos::ZERO, Nanos::ZERO);
        assert_eq!(found.energy_window_j, Err("not supported".to_owned()));
        let none = DeviceLog::default().devices(&window(), Nanos::ZERO, Nanos::ZERO);
        assert_eq!(none.energy_window_j, Err("no GPU was sampled".to_owned()));
        assert_eq!(none.power_w_idle, None);
    }
}
