//! Reading a log while it is written: whole lines, each once.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::engine::log;

/// Bytes read at one look; a flood is read at this rate and no faster.
const LOOK_BYTES: u64 = 1 << 20;
/// Bytes that an unfinished line may have before it is dropped.
const LINE_BYTES_MAX: usize = 64 << 10;

/// Follows a log from where it ended when this began: what an earlier start wrote is not ours.
#[derive(Debug)]
pub(crate) struct LogFollower {
    file: Option<File>,
    at: u64,
    rest: Vec<u8>,
}

impl LogFollower {
    pub(crate) fn from_end(path: &Path) -> Self {
        let at = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        let file = log::open(path).ok();
        Self { file, at, rest: Vec::new() }
    }

    /// Returns the lines that were finished since the last look; progress bars end theirs with
    /// a carriage return.
    pub(crate) fn lines(&mut self) -> Vec<String> {
        let Some(bytes) = self.read() else { return Vec::new() };
        self.rest.extend_from_slice(&bytes);
        let mut lines = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            lines.push(String::from_utf8_lossy(&line).into_owned());
        }
        if self.rest.len() > LINE_BYTES_MAX {
            self.rest.clear();
        }
        lines
    }

    fn read(&mut self) -> Option<Vec<u8>> {
        let file = self.file.as_mut()?;
        let size = file.metadata().ok()?.len();
        if size < self.at {
            // The middle was cut out; what was between is gone.
            self.at = size;
            self.rest.clear();
        }
        file.seek(SeekFrom::Start(self.at)).ok()?;
        let mut bytes = Vec::new();
        self.at += file.take(LOOK_BYTES).read_to_end(&mut bytes).ok()? as u64;
        Some(bytes)
    }
}
