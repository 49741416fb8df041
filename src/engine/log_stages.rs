//! Stages of an engine's start, read from its log as the lines appear.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use regex::Regex;

use crate::plan::launch::LogPatterns;
use crate::record::event::LogStage;
use crate::units::Nanos;

/// Bytes read at one look; a flood is read at this rate and no faster.
const LOOK_BYTES: u64 = 1 << 20;
/// Bytes that an unfinished line may have before it is dropped.
const LINE_BYTES_MAX: usize = 64 << 10;

/// Follows a log and notes the first line of each stage.
pub(super) struct LogStages {
    file: Option<File>,
    at: u64,
    rest: Vec<u8>,
    open: Vec<(String, Regex)>,
}

impl LogStages {
    /// Begins at the current end of the log: what an earlier start wrote is not ours.
    pub(super) fn follow(path: &Path, patterns: &LogPatterns) -> Self {
        let at = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        let open = patterns
            .stages
            .iter()
            .filter_map(|(name, pattern)| Some((name.clone(), Regex::new(pattern).ok()?)))
            .collect();
        let file = File::options().create(true).append(true).read(true).open(path).ok();
        Self { file, at, rest: Vec::new(), open }
    }

    /// Returns the stages whose lines appeared since the last look.
    pub(super) fn look(&mut self, now: Nanos) -> Vec<LogStage> {
        if self.open.is_empty() {
            return Vec::new();
        }
        let Some(bytes) = self.read() else { return Vec::new() };
        self.rest.extend_from_slice(&bytes);
        let mut stages = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            stages.extend(self.stage(&String::from_utf8_lossy(&line), now));
        }
        if self.rest.len() > LINE_BYTES_MAX {
            self.rest.clear();
        }
        stages
    }

    fn stage(&mut self, line: &str, at: Nanos) -> Option<LogStage> {
        let index = self.open.iter().position(|(_, pattern)| pattern.is_match(line))?;
        let (name, pattern) = self.open.remove(index);
        let secs = pattern.captures(line)?.name("secs").and_then(|secs| secs.as_str().parse().ok());
        Some(LogStage { name, at, took: secs.map(Nanos::from_secs_f64) })
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use indexmap::IndexMap;

    use super::*;

    #[test]
    fn stages_are_noted_once_when_their_line_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine.log");
        std::fs::write(&path, "Loading weights took 9 seconds\n").unwrap();
        let patterns = LogPatterns {
            stages: IndexMap::from([
                ("weights".to_owned(), r"Loading weights took (?<secs>[\d.]+) seconds".to_owned()),
                ("listening".to_owned(), "startup complete".to_owned()),
            ]),
            ..LogPatterns::default()
        };
        let mut stages = LogStages::follow(&path, &patterns);
        let mut log = File::options().append(true).open(&path).unwrap();
        assert!(stages.look(Nanos(1)).is_empty(), "an earlier start's line was taken");
        log.write_all(b"Loading weights took 0.5").unwrap();
        assert!(stages.look(Nanos(2)).is_empty());
        log.write_all(b" seconds\nLoading weights took 0.7 seconds\n").unwrap();
        let took = Some(Nanos::from_millis(500));
        assert_eq!(
            stages.look(Nanos(3)),
            [LogStage { name: "weights".to_owned(), at: Nanos(3), took }]
        );
        log.write_all(b"INFO: startup complete.\n").unwrap();
        assert_eq!(
            stages.look(Nanos(4)),
            [LogStage { name: "listening".to_owned(), at: Nanos(4), took: None }]
        );
    }
}
