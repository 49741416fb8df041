//! Reads a journal record by record, in constant memory.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::marker::PhantomData;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use serde::de::DeserializeOwned;

use crate::store::error::StoreError;
use crate::store::file_sum::FileSum;
use crate::store::line;

/// Longest line that is read into memory. A longer line is damage.
const LINE_MAX: u64 = 256 << 20;

/// The end of a journal that was being written when its writer died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TornTail {
    /// Byte where the last whole record ends.
    pub offset: u64,
    /// Bytes after it.
    pub bytes: u64,
}

/// What is known about the end of a journal.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expect {
    /// The writer may be at work or may have died, so a torn tail is possible.
    Unfinished,
    /// The writer has finished, and has left this sum.
    Finished(FileSum),
}

/// The records of one journal, in order. The iteration stops after the first error.
#[derive(Debug)]
pub(crate) struct Records<T> {
    lines: Lines,
    expect: Expect,
    stopped: bool,
    torn: Option<TornTail>,
    record: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Records<T> {
    pub(super) fn open(path: &Path, expect: Expect) -> Result<Self, StoreError> {
        let lines = Lines::open(path)?;
        Ok(Self { lines, expect, stopped: false, torn: None, record: PhantomData })
    }

    /// Returns the torn tail that ended the iteration, if one did.
    pub(crate) fn torn(&self) -> Option<&TornTail> {
        self.torn.as_ref()
    }

    /// Ends the iteration with the error for the record that was read last, which is whole but not
    /// what belongs there.
    pub(super) fn damage(&mut self, why: String) -> StoreError {
        self.stopped = true;
        let (path, line) = (self.lines.path.clone(), self.lines.number);
        StoreError::Corrupt { path, line, offset: self.lines.offset, why }
    }

    fn read(&mut self) -> Result<Option<T>, StoreError> {
        match self.lines.next_line()? {
            Line::End => {
                if let Expect::Finished(sum) = self.expect
                    && (sum.records, sum.bytes) != (self.lines.number, self.lines.offset)
                {
                    return Err(self.lines.corrupt(format!(
                        "the file ends after {} records, {} were written",
                        self.lines.number, sum.records
                    )));
                }
                Ok(None)
            }
            Line::Whole => serde_json::from_slice(&self.lines.buffer).map(Some).map_err(|source| {
                self.lines.corrupt(format!("not the record expected here: {source}"))
            }),
            Line::Bad(why) => {
                let damage = self.lines.corrupt(why.to_owned());
                if matches!(self.expect, Expect::Finished(_)) {
                    return Err(damage);
                }
                let offset = self.lines.offset;
                match self.lines.skip_tail()? {
                    Some(bytes) => self.torn = Some(TornTail { offset, bytes }),
                    None => return Err(damage),
                }
                Ok(None)
            }
        }
    }
}

impl<T: DeserializeOwned> Iterator for Records<T> {
    type Item = Result<T, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.stopped {
            return None;
        }
        let record = self.read().transpose();
        self.stopped = !matches!(record, Some(Ok(_)));
        record
    }
}

/// The result of reading one line.
#[derive(Debug)]
pub(super) enum Line {
    /// A record; its JSON is in the buffer.
    Whole,
    /// The line is not a record, for this reason.
    Bad(&'static str),
    /// The end of the file.
    End,
}

/// The lines of a journal.
#[derive(Debug)]
pub(super) struct Lines {
    reader: BufReader<File>,
    path: PathBuf,
    /// JSON of the current record.
    pub(super) buffer: Vec<u8>,
    /// Whole records so far.
    pub(super) number: u64,
    /// Byte where the last whole record ends.
    pub(super) offset: u64,
}

impl Lines {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(path)
            .map_err(|source| StoreError::Missing { path: path.to_owned(), source })?;
        Ok(Self {
            reader: BufReader::with_capacity(1 << 18, file),
            path: path.to_owned(),
            buffer: Vec::new(),
            number: 0,
            offset: 0,
        })
    }

    pub(super) fn next_line(&mut self) -> Result<Line, StoreError> {
        self.buffer.clear();
        let n_read = (&mut self.reader)
            .take(LINE_MAX)
            .read_until(b'\n', &mut self.buffer)
            .map_err(StoreError::io("read", &self.path))?;
        if n_read == 0 {
            return Ok(Line::End);
        }
        if self.buffer.pop_if(|byte| *byte == b'\n').is_none() {
            return Ok(Line::Bad("the line has no end"));
        }
        if let Err(why) = line::unseal(&mut self.buffer) {
            return Ok(Line::Bad(why));
        }
        self.number += 1;
        self.offset += n_read as u64;
        Ok(Line::Whole)
    }

    /// Searches for a whole record after a bad line. Returns the number of bytes after the last
    /// whole record if none follows, and `None` if one does.
    pub(super) fn skip_tail(&mut self) -> Result<Option<u64>, StoreError> {
        let (number, offset) = (self.number, self.offset);
        loop {
            match self.next_line()? {
                Line::Whole => {
                    (self.number, self.offset) = (number, offset);
                    return Ok(None);
                }
                Line::Bad(_) => {}
                Line::End => break,
            }
        }
        let end = self.reader.seek(SeekFrom::End(0)).map_err(StoreError::io("read", &self.path))?;
        Ok(Some(end.saturating_sub(offset)))
    }

    /// Returns the error for the line after the last whole record.
    pub(super) fn corrupt(&self, why: String) -> StoreError {
        StoreError::Corrupt {
            path: self.path.clone(),
            line: self.number + 1,
            offset: self.offset,
            why,
        }
    }
}
