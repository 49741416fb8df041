//! Whether the disk takes the records of a trial.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::units::Nanos;

/// Longest time that one record may take to be written. A disk that wakes up or a network file
/// system that changes its server takes seconds; behind this limit nobody waits any more.
const LIMIT: Nanos = Nanos::from_secs(300);

/// When the write that is under way began, for another thread to see.
#[derive(Debug)]
pub(super) struct DiskWatch {
    made: Instant,
    /// Nanoseconds after `made`; [`IDLE`] while nothing is written.
    since: AtomicU64,
}

const IDLE: u64 = u64::MAX;

impl DiskWatch {
    pub(super) fn new() -> Self {
        Self { made: Instant::now(), since: AtomicU64::new(IDLE) }
    }

    /// Carries out a write that others can see.
    pub(super) fn during<T>(&self, write: impl FnOnce() -> T) -> T {
        self.since.store(Nanos::from(self.made.elapsed()).0, Ordering::Relaxed);
        let written = write();
        self.since.store(IDLE, Ordering::Relaxed);
        written
    }

    /// Returns for how long the write under way has lasted; `None` while there is none.
    pub(super) fn writing_for(&self) -> Option<Nanos> {
        let since = self.since.load(Ordering::Relaxed);
        let now = Nanos::from(self.made.elapsed());
        (since != IDLE).then(|| now.saturating_sub(Nanos(since)))
    }
}

/// Whether a write has lasted so long that the disk hangs.
pub(super) fn hangs(writing_for: Option<Nanos>) -> Option<Nanos> {
    writing_for.filter(|&lasted| lasted > LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_seen_while_it_lasts() {
        let disk = DiskWatch::new();
        assert_eq!(disk.writing_for(), None);
        disk.during(|| {
            let first = disk.writing_for().unwrap();
            while disk.writing_for().unwrap() <= first {
                std::hint::spin_loop();
            }
        });
        assert_eq!(disk.writing_for(), None);
    }

    #[test]
    fn only_a_write_of_minutes_is_one_of_a_disk_that_hangs() {
        assert_eq!(hangs(None), None);
        assert_eq!(hangs(Some(Nanos::from_secs(299))), None);
        assert_eq!(hangs(Some(Nanos::from_secs(301))), Some(Nanos::from_secs(301)));
    }
}
