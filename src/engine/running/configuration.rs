//! The settings an engine runs with, as it tells them itself: by its endpoints and in its log.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use regex::Regex;
use serde_json::Value;

use crate::engine::http::Http;
use crate::engine::log;
use crate::plan::launch::{Launch, LogPatterns};
use crate::secrets::redact::Redactor;

/// Time that one call gets.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// The longest value that is kept.
pub(crate) const VALUE_CHARS_MAX: usize = 200;
/// Engines tell their settings while they start: this much of a log is read for them.
const LOG_BYTES_MAX: u64 = 8 << 20;
/// Stands before a name whose engine tells the opposite: `not prefix-cache`.
const NOT: &str = "not ";

/// Returns the effective settings by our names; what is not told is left out.
pub(crate) fn gather(launch: &Launch, http: &Http, log: &Path) -> BTreeMap<String, String> {
    let mut found = from_log(log, &launch.log_patterns, http.redactor());
    for (path, names) in &launch.configuration {
        let Ok(answer) = http.get_plain(path, CALL_LIMIT) else { continue };
        let Ok(body) = serde_json::from_str::<Value>(&answer.body) else { continue };
        for (pointer, name) in names {
            if let Some(value) = body.pointer(pointer).filter(|value| !value.is_null()) {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                found.extend([setting(name, &text)]);
            }
        }
    }
    found
}

/// Of several starts in one log the last one counts.
fn from_log(path: &Path, patterns: &LogPatterns, redactor: &Redactor) -> BTreeMap<String, String> {
    if patterns.configuration.is_empty() {
        return BTreeMap::new();
    }
    let mut bytes = Vec::new();
    let Ok(file) = File::open(path) else { return BTreeMap::new() };
    if file.take(LOG_BYTES_MAX).read_to_end(&mut bytes).is_err() {
        return BTreeMap::new();
    }
    let text = String::from_utf8_lossy(&bytes);
    let text = redactor.text(&text);
    let told = patterns.configuration.iter().filter_map(|(name, pattern)| {
        let pattern = Regex::new(pattern).ok()?;
        let captures = text.lines().rev().find_map(|line| pattern.captures(line))?;
        let value = captures.name("value").or_else(|| captures.get(1))?;
        Some(setting(name, value.as_str()))
    });
    told.collect()
}

/// Brings a setting into the words that all engines share, so that equal ones look equal.
fn setting(name: &str, value: &str) -> (String, String) {
    let value = log::printable(value.trim());
    let is_on = match value.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    };
    let (name, is_on) = match name.strip_prefix(NOT) {
        Some(name) => (name, is_on.map(|is_on| !is_on)),
        None => (name, is_on),
    };
    let value = match is_on {
        Some(true) => "on".to_owned(),
        Some(false) => "off".to_owned(),
        None if value == "None" => "none".to_owned(),
        None => value.trim_start_matches("torch.").chars().take(VALUE_CHARS_MAX).collect(),
    };
    (name.to_owned(), value)
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::*;

    #[test]
    fn settings_of_different_engines_are_told_in_the_same_words() {
        let check = |name: &str, value: &str, expected: (&str, &str)| {
            assert_eq!(setting(name, value), (expected.0.to_owned(), expected.1.to_owned()));
        };
        check("prefix-cache", "True", ("prefix-cache", "on"));
        check("not prefix-cache", "false", ("prefix-cache", "on"));
        check("quantisation", "None", ("quantisation", "none"));
        check("dtype", "torch.float32", ("dtype", "float32"));
        check("context-length", "512", ("context-length", "512"));
    }

    #[test]
    fn the_last_start_in_a_log_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.txt");
        let line = "config: dtype=torch.float16, max_seq_len=512, enforce_eager=";
        std::fs::write(&path, format!("{line}False\n{line}True\nserving\n")).unwrap();
        let patterns = LogPatterns {
            configuration: IndexMap::from([
                ("eager".to_owned(), r"enforce_eager=(?P<value>\w+)".to_owned()),
                ("context-length".to_owned(), r"max_seq_len=(\d+)".to_owned()),
                ("kv-dtype".to_owned(), r"kv_cache_dtype=(\w+)".to_owned()),
            ]),
            ..LogPatterns::default()
        };
        let found = from_log(&path, &patterns, &Redactor::default());
        let expected = [("context-length", "512"), ("eager", "on")];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }
}
