//! Watches the instrument: wake-ups, CPU, memory and clocks.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::clock::process_cpu;
use crate::load::clock::{Epoch, wake_on_time};
use crate::record::trial::{BEAT, SentinelRecord};
use crate::seed::Seed;
use crate::stats::reservoir::Reservoir;
use crate::units::Nanos;

/// Lags that are kept. With more, these are a uniform sample.
const MAX_LAGS: usize = 4096;
/// Clock ticks per second in `/proc/stat`; fixed by the kernel's interface.
const TICKS_PER_S: u64 = 100;

/// Wake-up lags of a thread that sleeps for a fixed period.
#[derive(Debug)]
pub(crate) struct Beats {
    lags: Reservoir<Nanos>,
    gap_max: Nanos,
}

/// Beats until `stop` is set; whoever sets it unparks this thread, so that nobody waits for a beat.
pub(crate) fn beat(epoch: Epoch, stop: &AtomicBool) -> Beats {
    wake_on_time();
    // Which lags are kept does not affect the load: the stream is not a scenario's.
    let lags = Reservoir::new(MAX_LAGS, Seed(0).stream("sentinel"));
    let mut beats = Beats { lags, gap_max: Nanos::ZERO };
    let mut due = epoch.elapsed() + BEAT;
    let mut last = epoch.elapsed();
    loop {
        let left = due.saturating_sub(epoch.elapsed());
        if stop.load(Ordering::Relaxed) {
            break;
        }
        if left > Nanos::ZERO {
            // It may return early.
            std::thread::park_timeout(left.into());
            continue;
        }
        let now = epoch.elapsed();
        beats.gap_max = beats.gap_max.max(now.saturating_sub(last));
        beats.lags.push(now.saturating_sub(due));
        last = now;
        // Missed beats are not made up for, since the lag already shows them.
        due = (due + BEAT).max(now);
    }
    beats
}

/// Counters that only grow, read at both ends of a stretch of load. A share then divides a count
/// and a length of the same stretch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge {
    pub(crate) at: Nanos,
    process_cpu: Nanos,
    steal_ticks: u64,
    wall_drift_ns: i64,
}

impl Edge {
    pub(crate) fn now(epoch: Epoch) -> Self {
        // The file is read first, since reading it takes longer than reading a clock.
        let steal_ticks = steal_ticks();
        let (at, process_cpu) = (epoch.elapsed(), process_cpu());
        Self { at, process_cpu, steal_ticks, wall_drift_ns: epoch.wall_drift_ns() }
    }

    /// Returns the cost of the stretch from here to `end`.
    pub(crate) fn cost_until(self, end: Self, load_cpu: Nanos) -> Cost {
        let stolen_ticks = end.steal_ticks.saturating_sub(self.steal_ticks);
        Cost {
            wall: end.at.saturating_sub(self.at),
            process_cpu: end.process_cpu.saturating_sub(self.process_cpu),
            load_cpu,
            steal: Nanos(stolen_ticks * (1_000_000_000 / TICKS_PER_S)),
            wall_drift_ns: end.wall_drift_ns - self.wall_drift_ns,
        }
    }
}

/// The cost of a stretch of load.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) wall: Nanos,
    process_cpu: Nanos,
    load_cpu: Nanos,
    steal: Nanos,
    wall_drift_ns: i64,
}

/// The cost of the measured phases.
#[derive(Debug)]
pub(crate) struct Sentinel {
    record: SentinelRecord,
}

impl Sentinel {
    pub(crate) fn new(n_load_threads: u32) -> Self {
        Self { record: SentinelRecord { n_load_threads, ..SentinelRecord::default() } }
    }

    /// Adds a measured stretch.
    pub(crate) fn add(&mut self, cost: Cost) {
        self.record.wall += cost.wall;
        self.record.process_cpu += cost.process_cpu;
        self.record.load_cpu += cost.load_cpu;
        self.record.steal += cost.steal;
        self.record.wall_drift_ns += cost.wall_drift_ns;
    }

    pub(crate) fn note_stalls(&mut self, n_stalls: u64) {
        self.record.recorder_stalls += n_stalls;
    }

    pub(crate) fn into_record(mut self, beats: Beats, added_ns: Vec<i64>) -> SentinelRecord {
        self.record.added_ns = added_ns;
        self.record.wake_lag = beats.lags.into_sorted();
        self.record.wake_gap_max = beats.gap_max;
        self.record.rss_max = rss_max();
        self.record
    }
}

/// Returns the peak resident memory of the process in bytes; 0 where `/proc` does not say.
fn rss_max() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Returns the ticks that the hypervisor took from all CPUs; 0 where `/proc` does not say.
fn steal_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    // cpu user nice system idle iowait irq softirq steal …; proc_stat(5).
    let total = stat.lines().next().and_then(|line| line.split_whitespace().nth(8));
    total.and_then(|ticks| ticks.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_outside_of_a_measured_phase_is_not_in_its_record() {
        let edge = |secs, steal_ticks, wall_drift_ns| Edge {
            at: Nanos::from_secs(secs),
            process_cpu: Nanos::from_secs(secs / 10),
            steal_ticks,
            wall_drift_ns,
        };
        // 4,500 ticks are stolen and the clock is set in a warm-up of 45 s; the phase is quiet.
        let (begin, end) = (edge(45, 4_500, 7_000_000_000), edge(55, 4_501, 7_000_000_300));
        let mut sentinel = Sentinel::new(1);
        sentinel.add(begin.cost_until(end, Nanos::from_secs(1)));
        let beats = Beats { lags: Reservoir::new(1, Seed(0).stream("test")), gap_max: Nanos::ZERO };
        let record = sentinel.into_record(beats, Vec::new());
        assert_eq!((record.wall, record.steal), (Nanos::from_secs(10), Nanos::from_millis(10)));
        assert_eq!((record.wall_drift_ns, record.load_cpu), (300, Nanos::from_secs(1)));
    }
}
