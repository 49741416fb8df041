//! The host: processor time, memory, load and what a hypervisor took.

use std::collections::BTreeMap;
use std::fs;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use procfs::{CpuTime, Current as _, CurrentSI as _, KernelStats, Meminfo};

use crate::record::gauge::Gauge;
use crate::record::telemetry::{ProbeName, TelemetrySample, TelemetrySource};
use crate::telemetry::Probe;
use crate::units::Nanos;

/// Clock ticks per second in `/proc/stat`; fixed by the kernel's interface.
const TICKS_PER_S: f64 = 100.0;

/// Samples counters of the kernel, whose differences over any stretch of time give its shares.
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
        let all = CpuTimes::of(&KernelStats::current().ok()?.total);
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

    fn read() -> BTreeMap<Gauge, f64> {
        let mut values = BTreeMap::new();
        if let Ok(stats) = KernelStats::current() {
            let now = CpuTimes::of(&stats.total);
            values.insert(Gauge::CpuBusyS, now.busy as f64 / TICKS_PER_S);
            values.insert(Gauge::CpuStealS, now.steal as f64 / TICKS_PER_S);
            values.insert(Gauge::CpuTimeS, now.total as f64 / TICKS_PER_S);
        }
        if let Ok(Meminfo { mem_total, mem_available: Some(available), .. }) = Meminfo::current() {
            values.insert(Gauge::MemoryAvailableBytes, available as f64);
            values.insert(Gauge::MemoryUsedBytes, mem_total.saturating_sub(available) as f64);
        }
        values.extend(load_1m().map(|load| (Gauge::Load1m, load)));
        values.extend(cpu_s(UsageWho::RUSAGE_SELF).map(|own| (Gauge::OwnCpuS, own)));
        values
    }
}

impl Probe for HostProbe {
    fn name(&self) -> ProbeName {
        ProbeName::Host
    }

    fn sample(&mut self, now: &dyn Fn() -> Nanos) -> Vec<TelemetrySample> {
        let at = now();
        let values = Self::read();
        let absent = [Gauge::MemoryUsedBytes, Gauge::Load1m]
            .into_iter()
            .filter(|gauge| !values.contains_key(gauge))
            .map(|gauge| (gauge, "not in /proc".to_owned()))
            .collect();
        vec![TelemetrySample { at, source: TelemetrySource::Host, values, absent }]
    }
}

impl CpuTimes {
    /// Guest time is in user time already.
    fn of(times: &CpuTime) -> Self {
        let steal = times.steal.unwrap_or(0);
        let interrupts = times.irq.unwrap_or(0) + times.softirq.unwrap_or(0);
        let busy = times.user + times.nice + times.system + interrupts;
        Self { busy, steal, total: busy + steal + times.idle + times.iowait.unwrap_or(0) }
    }
}

/// Returns the load average over a minute. The library reads it in single precision.
pub(super) fn load_1m() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use procfs::{FromBufReadSI as _, current_system_info};

    use super::*;

    #[test]
    fn the_time_of_all_processors_has_idle_and_stolen_time_in_it() {
        let stat = "cpu  125 0 15 950 0 0 0 10 0 0\nctxt 1\nbtime 1\nprocesses 1\n";
        let stats = KernelStats::from_buf_read(stat.as_bytes(), current_system_info()).unwrap();
        let expected = CpuTimes { busy: 140, steal: 10, total: 1_100 };
        assert_eq!(CpuTimes::of(&stats.total), expected);
    }

    #[test]
    fn this_host_has_memory_and_load() {
        let samples = HostProbe::new().sample(&|| Nanos(7));
        assert_eq!((samples[0].at, &samples[0].absent), (Nanos(7), &BTreeMap::new()));
        assert!(samples[0].values[&Gauge::MemoryUsedBytes] > 0.0);
        assert!(samples[0].values[&Gauge::OwnCpuS] < samples[0].values[&Gauge::CpuBusyS]);
    }
}
