//! Starting and stopping again and again leaks nothing.
//!
//! Alone in its program, as it counts this program's files and threads.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test: starts processes and looks at what is left"
)]

#[path = "engine/bed.rs"]
mod bed;

use std::env;
use std::fs;

use bench::engine::process;
use bench::units::Nanos;

use crate::bed::{Bed, launch};

/// Cycles after which caches of the runtime are warm.
const WARM_UP: usize = 3;
/// Growth of resident memory that is noise of the allocator, not a leak of 500 cycles.
const GROWTH_KIB_MAX: u64 = 4 << 10;

fn n_entries(dir: &str) -> usize {
    fs::read_dir(dir).unwrap().count()
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// `BENCH_TEST_CYCLES=500` runs the long form; the short one keeps the tests quick.
#[test]
fn cycles_with_a_hostile_tree_leak_neither_files_nor_threads_nor_memory_nor_processes() {
    let n_cycles = env::var("BENCH_TEST_CYCLES").map_or(8, |text| text.parse().unwrap());
    let bed = Bed::new();
    let flags = ["--ignore-term", "--proctitle", "--fork-workers", "1", "--setsid-worker"];
    let mut launch = launch(&flags);
    launch.stop_grace = Nanos::from_millis(20);
    let mut before = None;
    for cycle in 0..n_cycles + WARM_UP {
        let engine = bed.start(&launch);
        let stop = engine.stop();
        assert!(stop.survivors.is_empty() && stop.port_free, "cycle {cycle}: {stop:?}");
        assert!(stop.took < Nanos::from_secs(5), "cycle {cycle}: {stop:?}");
        assert_eq!(bed.left(), [""; 0], "cycle {cycle}");
        let children = process::below(process::own_pid(), &process::table());
        assert_eq!(children, [], "cycle {cycle}");
        if cycle + 1 == WARM_UP {
            before =
                Some((n_entries("/proc/self/fd"), n_entries("/proc/self/task"), resident_kib()));
        }
    }
    let (n_files, n_threads, kib) = before.unwrap();
    assert_eq!(n_entries("/proc/self/fd"), n_files, "open files");
    assert_eq!(n_entries("/proc/self/task"), n_threads, "threads");
    let grown_kib = resident_kib().saturating_sub(kib);
    assert!(grown_kib < GROWTH_KIB_MAX, "{n_cycles} cycles: {grown_kib} KiB more");
    bed.assert_clean();
}
