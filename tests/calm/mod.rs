//! Whether this machine lets a test say anything about milliseconds.

use std::time::{Duration, Instant};

/// Whether a thread that sleeps 1 ms wakes within 1 ms in 99 of 100 cases: else the machine is
/// too busy for any statement about milliseconds.
pub(crate) fn machine_is_calm() -> bool {
    let mut late: Vec<Duration> = (0..500)
        .map(|_| {
            let asked = Instant::now();
            std::thread::sleep(Duration::from_millis(1));
            asked.elapsed().saturating_sub(Duration::from_millis(1))
        })
        .collect();
    late.sort();
    late[late.len() * 99 / 100] < Duration::from_millis(1)
}
