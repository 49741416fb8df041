//! What the probes of the running trial told last, in lines.

use std::collections::BTreeMap;

use indicatif::BinaryBytes;

use crate::record::gauge::Gauge;
use crate::record::telemetry::{TelemetrySample, TelemetrySource};

/// Characters of a GPU's UUID that are shown: `GPU-` and the first group.
const UUID_CHARS: usize = 12;

/// The latest values of everything that is sampled.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    latest: BTreeMap<TelemetrySource, BTreeMap<Gauge, f64>>,
    /// Share of the host's CPU time that was not idle between the last two samples, in percent.
    host_cpu_pct: Option<f64>,
}

impl Machine {
    pub(super) fn take(&mut self, sample: TelemetrySample) {
        let latest = self.latest.entry(sample.source.clone()).or_default();
        if sample.source == TelemetrySource::Host {
            let grown = |gauge| Some(sample.values.get(&gauge)? - latest.get(&gauge)?);
            let share = grown(Gauge::CpuBusyS).zip(grown(Gauge::CpuTimeS));
            self.host_cpu_pct =
                share.filter(|(_, all)| *all > 0.0).map(|(busy, all)| busy / all * 1e2);
        }
        // The engine's log and its metrics tell of one source in samples of their own.
        latest.extend(sample.values);
    }

    /// Returns a line for each GPU.
    pub(super) fn gpus(&self) -> Vec<String> {
        let gpus = self.latest.iter().filter_map(|(source, values)| match source {
            TelemetrySource::Gpu(uuid) => Some(gpu(uuid, values)),
            _ => None,
        });
        gpus.collect()
    }

    /// Returns a line for host and engine.
    pub(super) fn host_and_engine(&self) -> String {
        let of = |source: TelemetrySource| self.latest.get(&source);
        let mut host: Vec<String> = Vec::new();
        host.extend(self.host_cpu_pct.map(|pct| format!("{pct:.0} % CPU")));
        host.extend(value(of(TelemetrySource::Host), Gauge::MemoryUsedBytes).map(bytes));
        let mut engine: Vec<String> = Vec::new();
        engine.extend(value(of(TelemetrySource::EngineProcess), Gauge::MemoryBytes).map(bytes));
        let told = of(TelemetrySource::EngineMetrics);
        let mut tell =
            |gauge, shown: fn(f64) -> String| engine.extend(value(told, gauge).map(shown));
        tell(Gauge::RequestsRunning, |n| format!("{n:.0} running"));
        tell(Gauge::RequestsWaiting, |n| format!("{n:.0} waiting"));
        tell(Gauge::KvCacheUsageRatio, |share| format!("KV cache {:.0} %", share * 1e2));
        let named = [("host", host), ("engine", engine)];
        let parts = named.into_iter().filter(|(_, values)| !values.is_empty());
        let parts = parts.map(|(name, values)| format!("{name} {}", values.join(", ")));
        let parts: Vec<String> = parts.collect();
        if parts.is_empty() { "nothing is sampled yet".to_owned() } else { parts.join("   ") }
    }
}

fn gpu(uuid: &str, values: &BTreeMap<Gauge, f64>) -> String {
    let mut parts = vec![uuid.chars().take(UUID_CHARS).collect()];
    let mut tell = |gauge, shown: fn(f64) -> String| {
        parts.extend(value(Some(values), gauge).map(shown));
    };
    tell(Gauge::UtilisationPct, |pct| format!("{pct:.0} %"));
    tell(Gauge::PowerW, |w| format!("{w:.0} W"));
    tell(Gauge::MemoryBytes, bytes);
    tell(Gauge::TemperatureC, |c| format!("{c:.0} °C"));
    tell(Gauge::ClockMhz, |mhz| format!("{mhz:.0} MHz"));
    parts.join("  ")
}

fn value(values: Option<&BTreeMap<Gauge, f64>>, gauge: Gauge) -> Option<f64> {
    values?.get(&gauge).copied()
}

fn bytes(n_bytes: f64) -> String {
    BinaryBytes(n_bytes as u64).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Nanos;

    fn sample(source: TelemetrySource, values: &[(Gauge, f64)]) -> TelemetrySample {
        let values = values.iter().copied().collect();
        TelemetrySample { at: Nanos::ZERO, source, values, absent: BTreeMap::new() }
    }

    #[test]
    fn values_are_the_latest_ones_and_a_share_needs_two_samples() {
        let mut machine = Machine::default();
        assert_eq!(machine.host_and_engine(), "nothing is sampled yet");
        let host = |busy, all| {
            sample(TelemetrySource::Host, &[(Gauge::CpuBusyS, busy), (Gauge::CpuTimeS, all)])
        };
        machine.take(host(10.0, 100.0));
        assert_eq!(machine.host_and_engine(), "nothing is sampled yet");
        machine.take(host(11.5, 102.0));
        machine.take(sample(TelemetrySource::EngineMetrics, &[(Gauge::RequestsRunning, 12.0)]));
        machine.take(sample(TelemetrySource::EngineMetrics, &[(Gauge::KvCacheUsageRatio, 0.314)]));
        let uuid = TelemetrySource::Gpu("GPU-5a1b2c3d-0000".to_owned());
        machine.take(sample(uuid, &[(Gauge::PowerW, 412.3), (Gauge::UtilisationPct, 97.0)]));
        let host = "host 75 % CPU   engine 12 running, KV cache 31 %";
        assert_eq!(machine.host_and_engine(), host);
        assert_eq!(machine.gpus(), ["GPU-5a1b2c3d  97 %  412 W"]);
    }
}
