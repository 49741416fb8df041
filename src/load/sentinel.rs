//! Watches the instrument: wake-ups, CPU, memory, clocks.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::load::clock::{Epoch, wake_on_time};
use crate::load::sample::Sample;
use crate::record::trial::SentinelRecord;
use crate::units::Nanos;

/// Cadence of the beats.
const BEAT: Nanos = Nanos::from_millis(5);
/// Lags that are kept: a uniform sample when there were more.
const MAX_LAGS: usize = 4096;
/// Clock ticks per second in `/proc/stat`; fixed by the kernel's interface.
const TICKS_PER_S: u64 = 100;

/// Wake-up lags of a thread that asks for a fixed cadence.
#[derive(Debug)]
pub(super) struct Beats {
    lags: Sample<Nanos>,
    gap_max: Nanos,
}

/// Beats until told to stop.
pub(super) fn beat(epoch: Epoch, stop: &AtomicBool) -> Beats {
    wake_on_time();
    let mut beats = Beats { lags: Sample::new(MAX_LAGS, "sentinel"), gap_max: Nanos::ZERO };
    let mut due = epoch.elapsed() + BEAT;
    let mut last = epoch.elapsed();
    while !stop.load(Ordering::Relaxed) {
        epoch.sleep_until(due);
        let now = epoch.elapsed();
        beats.gap_max = beats.gap_max.max(now.saturating_sub(last));
        beats.lags.push(now.saturating_sub(due));
        last = now;
        // Beats that were slept through are not made up for: the lag has shown them.
        due = (due + BEAT).max(now);
    }
    beats
}

/// What a stretch of load cost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    pub(super) wall: Nanos,
    pub(super) process_cpu: Nanos,
    pub(super) load_cpu: Nanos,
}

/// CPU and wall time of the measured phases, and what was there at the start.
#[derive(Debug)]
pub(super) struct Sentinel {
    epoch: Epoch,
    steal_ticks: u64,
    record: SentinelRecord,
}

impl Sentinel {
    pub(super) fn new(epoch: Epoch, n_load_threads: u32) -> Self {
        let record = SentinelRecord { n_load_threads, ..SentinelRecord::default() };
        Self { epoch, steal_ticks: steal_ticks(), record }
    }

    /// Adds a measured stretch.
    pub(super) fn add(&mut self, cost: Cost) {
        self.record.wall += cost.wall;
        self.record.process_cpu += cost.process_cpu;
        self.record.load_cpu += cost.load_cpu;
    }

    pub(super) fn note_stalls(&mut self, n_stalls: u64) {
        self.record.recorder_stalls += n_stalls;
    }

    pub(super) fn into_record(mut self, beats: Beats, added_ns: Vec<i64>) -> SentinelRecord {
        self.record.added_ns = added_ns;
        self.record.wake_lag = beats.lags.into_sorted();
        self.record.wake_gap_max = beats.gap_max;
        self.record.rss_max = rss_max();
        let stolen = steal_ticks().saturating_sub(self.steal_ticks);
        self.record.steal = Nanos(stolen * (1_000_000_000 / TICKS_PER_S));
        self.record.wall_drift_ns = self.epoch.wall_drift_ns();
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
