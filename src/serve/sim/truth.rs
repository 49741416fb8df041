#![expect(clippy::disallowed_methods, reason = "edge: writes the truth log")]
//! The truth log: what the simulated engine did, recorded by the engine itself.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;

use crate::serve::ServeError;
use crate::units::Nanos;

/// Rows that may be queued for the disk. At this many the engine waits.
const QUEUED_ROWS: usize = 1 << 16;

/// One request as the engine saw it. Instants are nanoseconds of `CLOCK_MONOTONIC`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct TruthRow {
    /// Position among the generation requests, from 1.
    pub request: u64,
    /// The kernel's stamp of the request's last byte; the time of its read where the kernel gave
    /// none.
    pub arrived_ns: u64,
    /// The same instant on `CLOCK_REALTIME`.
    pub arrived_realtime_ns: u64,
    /// When the request got its slot; 0 if it never did.
    pub admitted_ns: u64,
    /// SHA-256 of the prompt's bytes: text as it is, token ids as JSON, messages as their texts with line ends.
    pub prompt_sha256: String,
    /// Words of the prompt, or token ids.
    pub prompt_tokens: u32,
    /// Tokens handed to the socket.
    pub tokens: u32,
    /// When the first token was due; 0 if none was sent.
    pub first_due_ns: u64,
    /// Just before the write of the first token; 0 if none was sent.
    pub first_write_ns: u64,
    /// Just after that write; 0 if the socket did not accept all of it.
    pub first_written_ns: u64,
    /// Just before the write of the last token; 0 if none was sent.
    pub last_write_ns: u64,
    /// Just after that write; 0 if the socket did not accept all of it.
    pub last_written_ns: u64,
    /// Largest distance between an event's instant and its write.
    pub late_max_ns: u64,
    /// `complete`, `silence`, `reset`, `cut`, `refused`, `failed` or `client-gone`.
    pub end: &'static str,
}

impl TruthRow {
    /// Notes that the write of a token is over. The write of the first one is noted first.
    pub(crate) fn note_written(&mut self, now: Nanos) {
        if self.first_write_ns == self.last_write_ns {
            self.first_written_ns = now.0;
        }
        self.last_written_ns = now.0;
    }
}

/// Appends rows to a file on a thread of its own.
#[derive(Debug)]
pub(crate) struct TruthLog {
    rows: Option<SyncSender<Vec<u8>>>,
    writer: Option<JoinHandle<()>>,
}

impl TruthLog {
    /// Creates the file.
    ///
    /// # Errors
    /// [`ServeError::File`] if it cannot be created.
    pub(crate) fn create(path: &Path) -> Result<Self, ServeError> {
        let file = File::create(path)
            .map_err(|source| ServeError::File { path: path.to_owned(), source })?;
        let (rows, received) = sync_channel(QUEUED_ROWS);
        let writer = std::thread::spawn(move || write_rows(&received, file));
        Ok(Self { rows: Some(rows), writer: Some(writer) })
    }

    /// Appends a row.
    pub(crate) fn push(&self, row: &impl Serialize) {
        let mut line = serde_json::to_vec(row).expect("rows have string keys");
        line.push(b'\n');
        if let Some(rows) = &self.rows
            && rows.send(line).is_err()
        {
            // The writer has ended, and has logged why.
        }
    }
}

impl Drop for TruthLog {
    fn drop(&mut self) {
        drop(self.rows.take());
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            complain("the thread of the truth log panicked");
        }
    }
}

/// Writes rows as they come. None stays in memory for longer than a second.
fn write_rows(rows: &Receiver<Vec<u8>>, file: File) {
    let mut file = BufWriter::with_capacity(1 << 16, file);
    loop {
        let written = match rows.recv_timeout(Duration::from_secs(1)) {
            Ok(row) => file.write_all(&row),
            Err(RecvTimeoutError::Timeout) => file.flush(),
            Err(RecvTimeoutError::Disconnected) => {
                if let Err(error) = file.flush() {
                    complain(&format!("cannot write the truth log: {error}"));
                }
                return;
            }
        };
        if let Err(error) = written {
            complain(&format!("cannot write the truth log: {error}"));
            return;
        }
    }
}

fn complain(message: &str) {
    // A failure to write to stderr cannot be reported anywhere.
    let _ = writeln!(std::io::stderr(), "{message}");
}

/// How late events were written after they were due, in buckets whose bounds grow by about a
/// fifth.
#[derive(Clone, Debug)]
pub(crate) struct Lateness {
    buckets: [u64; 256],
    n: u64,
}

impl Default for Lateness {
    fn default() -> Self {
        Self { buckets: [0; 256], n: 0 }
    }
}

impl Lateness {
    /// Counts one event. Unit: nanoseconds.
    pub(crate) fn push(&mut self, late_ns: u64) {
        self.buckets[bucket_of(late_ns)] += 1;
        self.n += 1;
    }

    /// Returns the number of events.
    pub(crate) fn n(&self) -> u64 {
        self.n
    }

    /// Returns the upper bound of the bucket that holds the quantile. Unit: nanoseconds.
    pub(crate) fn quantile_ns(&self, share: f64) -> u64 {
        let rank = ((self.n as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper_bound(bucket);
            }
        }
        0
    }
}

/// Returns the bucket of a lateness. Each power of two has four buckets.
fn bucket_of(late_ns: u64) -> usize {
    if late_ns < 4 {
        return late_ns as usize;
    }
    let log = late_ns.ilog2() as usize;
    let fraction = (late_ns >> (log - 2)) & 3;
    log * 4 + fraction as usize
}

fn upper_bound(bucket: usize) -> u64 {
    if bucket < 8 {
        return bucket as u64;
    }
    let (log, fraction) = (bucket / 4, bucket as u64 % 4);
    ((5 + fraction) << (log - 2)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_values_up_to_its_bound() {
        for late_ns in [0, 3, 4, 5, 7, 8, 100, 49_999, 1_000_000, u64::from(u32::MAX)] {
            let bound = upper_bound(bucket_of(late_ns));
            assert!(bound >= late_ns && bound <= late_ns + late_ns / 4, "{late_ns} {bound}");
        }
    }

    #[test]
    fn quantiles_come_from_the_right_bucket() {
        let mut lateness = Lateness::default();
        (0..99).for_each(|_| lateness.push(10_000));
        lateness.push(1_000_000);
        assert!((10_000..12_500).contains(&lateness.quantile_ns(0.5)));
        assert!(lateness.quantile_ns(1.0) >= 1_000_000);
        assert_eq!(Lateness::default().quantile_ns(0.5), 0);
    }

    #[test]
    fn rows_are_on_disk_when_the_log_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("truth.jsonl");
        let log = TruthLog::create(&path).unwrap();
        log.push(&TruthRow { request: 1, end: "complete", ..TruthRow::default() });
        drop(log);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("{\"request\":1,") && text.ends_with("\"end\":\"complete\"}\n"));
    }
}
