//! Stages of an engine's start, read from its log as the lines appear.

use std::path::Path;

use regex::Regex;

use crate::engine::log::follow::LogFollower;
use crate::plan::launch::LogPatterns;
use crate::record::event::LogStage;
use crate::units::Nanos;

/// Characters of a line that are kept to be shown.
const LINE_CHARS: usize = 200;

/// Follows a log and notes the first line of each stage.
pub(crate) struct LogStages {
    log: LogFollower,
    open: Vec<(String, Regex)>,
    last_line: Option<String>,
}

impl LogStages {
    pub(crate) fn follow(path: &Path, patterns: &LogPatterns) -> Self {
        let open = patterns
            .stages
            .iter()
            .filter_map(|(name, pattern)| Some((name.clone(), Regex::new(pattern).ok()?)))
            .collect();
        Self { log: LogFollower::from_end(path), open, last_line: None }
    }

    /// Returns the stages whose lines appeared since the last look.
    pub(crate) fn look(&mut self, now: Nanos) -> Vec<LogStage> {
        let lines = self.log.lines();
        if let Some(line) = lines.iter().rev().find(|line| !line.trim().is_empty()) {
            self.last_line = Some(line.trim().chars().take(LINE_CHARS).collect());
        }
        lines.iter().filter_map(|line| self.stage(line, now)).collect()
    }

    /// Returns the last line that says something, as far as the log was looked at.
    pub(crate) fn last_line(&self) -> Option<&str> {
        self.last_line.as_deref()
    }

    fn stage(&mut self, line: &str, at: Nanos) -> Option<LogStage> {
        let index = self.open.iter().position(|(_, pattern)| pattern.is_match(line))?;
        let (name, pattern) = self.open.remove(index);
        let secs = pattern.captures(line)?.name("secs").and_then(|secs| secs.as_str().parse().ok());
        Some(LogStage { name, at, took: secs.map(Nanos::from_secs_f64) })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
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
