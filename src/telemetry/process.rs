//! The engine's processes: processor time and memory of the whole tree.

use std::collections::BTreeMap;

use nix::unistd::{SysconfVar, sysconf};
use procfs::FromRead as _;
use procfs::process::Stat;

use crate::record::gauge::Gauge;
use crate::record::telemetry::{ProbeName, TelemetrySample, TelemetrySource};
use crate::telemetry::Probe;
use crate::units::Nanos;

/// Lists the processes of an engine, or says why they cannot be seen.
pub type EnginePids = Box<dyn FnMut() -> Result<Vec<i32>, String> + Send>;

/// Samples the processes whose pids a function returns.
pub struct EngineProcessProbe {
    pids: EnginePids,
    ticks_per_s: f64,
    page_bytes: f64,
}

impl EngineProcessProbe {
    /// Makes a probe of the processes that `pids` returns at each sample.
    pub fn new(pids: EnginePids) -> Self {
        Self { pids, ticks_per_s: ticks_per_s(), page_bytes: system(SysconfVar::PAGE_SIZE, 4_096) }
    }
}

/// Returns the clock ticks per second in which `/proc/PID/stat` counts.
pub(super) fn ticks_per_s() -> f64 {
    system(SysconfVar::CLK_TCK, 100)
}

fn system(name: SysconfVar, usual: i64) -> f64 {
    sysconf(name).ok().flatten().unwrap_or(usual) as f64
}

impl Probe for EngineProcessProbe {
    fn name(&self) -> ProbeName {
        ProbeName::EngineProcesses
    }

    fn sample(&mut self, now: &dyn Fn() -> Nanos) -> Vec<TelemetrySample> {
        let at = now();
        let pids = (self.pids)();
        let uses: Vec<Use> = pids.iter().flatten().copied().filter_map(Use::of).collect();
        let mut values = BTreeMap::new();
        let mut absent = BTreeMap::new();
        if uses.is_empty() {
            let why = pids.err().unwrap_or_else(|| "no process of the engine runs".to_owned());
            for gauge in [Gauge::CpuS, Gauge::MemoryBytes] {
                absent.insert(gauge, why.clone());
            }
        } else {
            let ticks: u64 = uses.iter().map(|usage| usage.ticks).sum();
            let cpu_s = ticks as f64 / self.ticks_per_s;
            let pages: u64 = uses.iter().map(|usage| usage.pages).sum();
            values.insert(Gauge::CpuS, cpu_s);
            // Resident pages; those that processes share are counted once for each.
            values.insert(Gauge::MemoryBytes, pages as f64 * self.page_bytes);
            values.insert(Gauge::NProcesses, uses.len() as f64);
        }
        vec![TelemetrySample { at, source: TelemetrySource::EngineProcess, values, absent }]
    }
}

/// What one process uses.
#[derive(Clone, Debug)]
pub(super) struct Use {
    pub(super) name: String,
    pub(super) ppid: i32,
    /// Clock ticks since boot at its start.
    pub(super) start_time: u64,
    /// User and system time, in clock ticks.
    pub(super) ticks: u64,
    pages: u64,
}

impl Use {
    /// Reads it, if the process exists.
    pub(super) fn of(pid: i32) -> Option<Self> {
        let stat = Stat::from_file(format!("/proc/{pid}/stat")).ok()?;
        Some(Self {
            name: stat.comm.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
            ppid: stat.ppid,
            start_time: stat.starttime,
            ticks: stat.utime + stat.stime,
            pages: stat.rss,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_a_process_that_is_gone_is_absent() {
        let own = std::process::id().cast_signed();
        let samples = EngineProcessProbe::new(Box::new(move || Ok(vec![own]))).sample(&|| Nanos(1));
        assert!(samples[0].values[&Gauge::MemoryBytes] > 1e6);
        let samples = EngineProcessProbe::new(Box::new(|| Ok(vec![-1]))).sample(&|| Nanos(1));
        assert_eq!(samples[0].absent[&Gauge::CpuS], "no process of the engine runs");
        assert!(samples[0].values.is_empty());
        let hidden = || Err("another user's".to_owned());
        let samples = EngineProcessProbe::new(Box::new(hidden)).sample(&|| Nanos(1));
        assert_eq!(samples[0].absent[&Gauge::MemoryBytes], "another user's");
    }
}
