//! The host: processor time, memory, load and what a hypervisor took.

use std::collections::BTreeMap;
use std::fs;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

use crate::record::gauge::Gauge;
use crate::record::telemetry::{ProbeName, TelemetrySample, TelemetrySource};
use crate::telemetry::Probe;
use crate::units::Nanos;

/// Clock ticks per second in `/proc/stat`; fixed by the kernel's interface.
const TICKS_PER_S: f64 = 100.0;

/// Samples `/proc/stat`, `/proc/meminfo` and `/proc/loadavg`: counters, whose differences over any
/// stretch of time give its shares.
#[derive(Debug, Default)]
pub struct HostProbe;

/// Processor time of the machine and of bench at one instant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Processors {
    all: CpuTimes,
    own_s: f64,
}

impl Processors {
    /// Reads both, if `/proc` tells.
    pub(super) fn now() -> Option<Self> {
        let all = cpu_times(&fs::read_to_string("/proc/stat").ok()?)?;
        // With the programs that bench asks for facts and waits for.
        let own_s = cpu_s(UsageWho::RUSAGE_SELF)? + cpu_s(UsageWho::RUSAGE_CHILDREN)?;
        Some(Self { all, own_s })
    }

    /// Returns the share of all processors that all but bench itself used since an earlier look.
    pub(super) fn others_since(self, earlier: Self) -> Option<f64> {
        let total = self.all.total.checked_sub(earlier.all.total).filter(|total| *total > 0)?;
        let busy = self.all.busy.saturating_sub(earlier.all.busy) as f64 / TICKS_PER_S;
        let others = busy - (self.own_s - earlier.own_s);
        Some((others / (total as f64 / TICKS_PER_S)).clamp(0.0, 1.0))
    }
}

fn cpu_s(who: UsageWho) -> Option<f64> {
    let usage = getrusage(who).ok()?;
    let own = usage.user_time() + usage.system_time();
    Some(own.num_microseconds() as f64 / 1e6)
}

/// Clock ticks of all processors since boot (proc(5), `/proc/stat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CpuTimes {
    busy: u64,
    steal: u64,
    total: u64,
}

impl HostProbe {
    /// Makes a probe.
    pub fn new() -> Self {
        Self
    }

    fn read(stat: &str, memory: &str, load: &str) -> BTreeMap<Gauge, f64> {
        let mut values = BTreeMap::new();
        let mut put = |gauge: Gauge, value: Option<f64>| {
            value.and_then(|value| values.insert(gauge, value));
        };
        if let Some(now) = cpu_times(stat) {
            put(Gauge::CpuBusyS, Some(now.busy as f64 / TICKS_PER_S));
            put(Gauge::CpuStealS, Some(now.steal as f64 / TICKS_PER_S));
            put(Gauge::CpuTimeS, Some(now.total as f64 / TICKS_PER_S));
        }
        let available = memory_bytes(memory, "MemAvailable:");
        put(Gauge::MemoryAvailableBytes, available);
        put(
            Gauge::MemoryUsedBytes,
            memory_bytes(memory, "MemTotal:").zip(available).map(|(all, free)| all - free),
        );
        put(Gauge::Load1m, load.split(' ').next().and_then(|load| load.parse().ok()));
        values
    }
}

impl Probe for HostProbe {
    fn name(&self) -> ProbeName {
        ProbeName::Host
    }

    fn sample(&mut self, now: &dyn Fn() -> Nanos) -> Vec<TelemetrySample> {
        let at = now();
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let mut values =
            Self::read(&text("/proc/stat"), &text("/proc/meminfo"), &text("/proc/loadavg"));
        values.extend(cpu_s(UsageWho::RUSAGE_SELF).map(|own| (Gauge::OwnCpuS, own)));
        let absent = [Gauge::MemoryUsedBytes, Gauge::Load1m]
            .into_iter()
            .filter(|gauge| !values.contains_key(gauge))
            .map(|gauge| (gauge, "not in /proc".to_owned()))
            .collect();
        vec![TelemetrySample { at, source: TelemetrySource::Host, values, absent }]
    }
}

fn cpu_times(stat: &str) -> Option<CpuTimes> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_ascii_whitespace().map_while(|n| n.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guest time is in user already.
    let [_, _, _, idle, wait, ..] = ticks[..] else { return None };
    let total: u64 = ticks.iter().take(8).sum();
    let steal = ticks.get(7).copied().unwrap_or(0);
    Some(CpuTimes { busy: total - idle - wait - steal, steal, total })
}

/// Returns a row of `/proc/meminfo` in bytes.
pub(super) fn memory_bytes(text: &str, row: &str) -> Option<f64> {
    let kib = text.lines().find_map(|line| line.strip_prefix(row))?;
    let kib: f64 = kib.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the values are exact in binary")]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_told_in_counters() {
        let memory = "MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    250 kB\n";
        let stat = "cpu  125 0 15 950 0 0 0 10 0 0\n";
        let found = HostProbe::read(stat, memory, "0.50 0.1 0.1 1/2 3\n");
        assert_eq!(found[&Gauge::MemoryUsedBytes], 750.0 * 1024.0);
        assert_eq!(found[&Gauge::Load1m], 0.5);
        let times = [Gauge::CpuBusyS, Gauge::CpuStealS, Gauge::CpuTimeS].map(|gauge| found[&gauge]);
        assert_eq!(times, [1.4, 0.1, 11.0]);
        assert!(!HostProbe::read(stat, memory, "").contains_key(&Gauge::Load1m));
    }

    #[test]
    fn this_host_has_memory_and_load() {
        let samples = HostProbe::new().sample(&|| Nanos(7));
        assert_eq!((samples[0].at, &samples[0].absent), (Nanos(7), &BTreeMap::new()));
        assert!(samples[0].values[&Gauge::MemoryUsedBytes] > 0.0);
        assert!(samples[0].values[&Gauge::OwnCpuS] < samples[0].values[&Gauge::CpuBusyS]);
    }
}
