//! Tests with many records: time and memory stay bounded.
//!
//! The tests are small by default. `BENCH_TEST_SCALE=1000000 cargo test --release scale_cases`
//! runs them at the size that the program is made for. Memory is asserted only then, with one test
//! per process (`-- --exact NAME`), because tests of one process share its memory.

use std::fs;

use tempfile::TempDir;

use crate::record::request::{EventKind, Events, RequestRecord};
use crate::store::journal::Journal;
use crate::store::records::{Expect, Records};
use crate::store::tests::fixture::request;
use crate::units::Nanos;

fn scale() -> Option<u64> {
    std::env::var("BENCH_TEST_SCALE").ok().and_then(|scale| scale.parse().ok())
}

/// Peak resident memory of this process, in MiB.
fn peak_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn long_record(id: u64) -> RequestRecord {
    let mut events = Events::default();
    for _ in 0..32 {
        events.push(Nanos::ZERO, Nanos(10_000_000 + id), EventKind::Content);
    }
    RequestRecord { events, ..request(id) }
}

#[test]
fn many_records_are_written_and_read_one_at_a_time() {
    let n = scale().unwrap_or(5_000);
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("requests.jsonl");
    let mut journal = Journal::create(&path).unwrap();
    for id in 0..n {
        journal.append(&long_record(id)).unwrap();
    }
    journal.sync().unwrap();
    let sum = journal.sum().unwrap();
    let (mut n_read, mut n_events) = (0, 0);
    for record in Records::<RequestRecord>::open(&path, Expect::Finished(sum)).unwrap() {
        n_events += record.unwrap().events.len() as u64;
        n_read += 1;
    }
    assert_eq!((n_read, n_events), (n, 32 * n));
    if scale().is_some() {
        assert!(peak_mib() < 64, "{} MiB", peak_mib());
    }
}
