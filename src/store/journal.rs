//! A file of records that only grows, written in batches.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use serde::Serialize;

use crate::secrets::redact::Redactor;
use crate::store::error::StoreError;
use crate::store::file_sum::FileSum;
use crate::store::{line, recover};

/// Longest time that a record waits in memory before it is written.
pub(super) const FLUSH_AFTER: Duration = Duration::from_millis(50);
/// Bytes in memory at which records are written.
const FLUSH_BYTES: usize = 1 << 20;

/// An open journal.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    path: PathBuf,
    redactor: Redactor,
    buffer: Vec<u8>,
    buffered_records: u64,
    last_flush: Instant,
    written: FileSum,
    hasher: crc32fast::Hasher,
    /// Set after a failed write or sync. The content of the file is then unknown, so nothing more
    /// is written and nothing is tried again.
    failed: bool,
}

impl Journal {
    /// Creates a new journal; a file or link of that name must not exist.
    pub(super) fn create(path: &Path) -> Result<Self, StoreError> {
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(path)
            .map_err(|source| StoreError::CannotCreate { path: path.to_owned(), source })?;
        Ok(Self::over(file, path, FileSum::default(), crc32fast::Hasher::new()))
    }

    /// Opens a journal to append to it, or creates it.
    ///
    /// A torn tail is first moved to `.torn-N`. Damage elsewhere is an error.
    pub(super) fn reopen(path: &Path) -> Result<Self, StoreError> {
        if !path.exists() {
            return Self::create(path);
        }
        let (sum, hasher) = recover::recover(path)?;
        let file = OpenOptions::new()
            .append(true)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(path)
            .map_err(StoreError::io("open", path))?;
        Ok(Self::over(file, path, sum, hasher))
    }

    /// Opens an existing journal without reading it.
    #[cfg(test)]
    pub(super) fn over_device(path: &Path) -> Result<Self, StoreError> {
        let file =
            OpenOptions::new().append(true).open(path).map_err(StoreError::io("open", path))?;
        Ok(Self::over(file, path, FileSum::default(), crc32fast::Hasher::new()))
    }

    fn over(file: File, path: &Path, written: FileSum, hasher: crc32fast::Hasher) -> Self {
        Self {
            file,
            path: path.to_owned(),
            redactor: Redactor::default(),
            buffer: Vec::new(),
            buffered_records: 0,
            last_flush: Instant::now(),
            written,
            hasher,
            failed: false,
        }
    }

    /// Removes the secrets that this redaction knows from every record from now on.
    pub(super) fn hiding(self, redactor: &Redactor) -> Self {
        Self { redactor: redactor.clone(), ..self }
    }

    /// Appends a record. Writes the batch if it is due.
    pub(super) fn append(&mut self, record: &impl Serialize) -> Result<(), StoreError> {
        if self.buffer.is_empty() {
            self.last_flush = Instant::now();
        }
        line::seal(&mut self.buffer, record, &self.redactor)
            .map_err(|source| StoreError::Unwritable { path: self.path.clone(), source })?;
        self.buffered_records += 1;
        if self.buffer.len() >= FLUSH_BYTES { self.flush() } else { self.flush_if_due() }
    }

    /// Writes the batch if its oldest record has waited long enough.
    pub(super) fn flush_if_due(&mut self) -> Result<(), StoreError> {
        if !self.buffer.is_empty() && self.last_flush.elapsed() >= FLUSH_AFTER {
            return self.flush();
        }
        Ok(())
    }

    /// Writes all records of the batch with one call.
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        if self.failed {
            return Err(self.error(io::Error::other("an earlier write failed")));
        }
        if self.buffer.is_empty() {
            return Ok(());
        }
        if let Err(source) = self.file.write_all(&self.buffer) {
            self.failed = true;
            return Err(self.error(source));
        }
        self.hasher.update(&self.buffer);
        self.written.bytes += self.buffer.len() as u64;
        self.written.records += self.buffered_records;
        self.buffered_records = 0;
        self.buffer.clear();
        self.last_flush = Instant::now();
        Ok(())
    }

    /// Writes the batch, and syncs the file to the disk.
    ///
    /// A failed sync is never tried again: the system may have dropped the pages and would
    /// report success the second time (P. Rebello and others, "Can Applications Recover
    /// from fsync Failures?", USENIX ATC 2020).
    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        self.flush()?;
        if let Err(source) = self.file.sync_data() {
            self.failed = true;
            return Err(self.error(source));
        }
        Ok(())
    }

    /// Writes the batch; returns the sum of all that was written.
    pub(super) fn sum(&mut self) -> Result<FileSum, StoreError> {
        self.flush()?;
        Ok(FileSum { crc32: self.hasher.clone().finalize(), ..self.written })
    }

    fn error(&self, source: io::Error) -> StoreError {
        StoreError::Append {
            path: self.path.clone(),
            kept_records: self.written.records,
            kept_bytes: self.written.bytes,
            source,
        }
    }
}
