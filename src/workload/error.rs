//! Mistakes in a data set, with their place.

use std::fmt;

/// What messages call the scenario's `prompt`.
pub(super) const PROMPT_TEMPLATE: &str = "the template of the prompt";

/// A data set that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataError {
    /// The file, or whatever the data came from.
    pub file: String,
    /// Line or row, and column; empty when the whole file is meant.
    pub place: String,
    /// The mistake.
    pub message: String,
    /// What to do about it; may be empty.
    pub help: String,
}

impl DataError {
    pub(super) fn new(file: &str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            place: String::new(),
            message: message.into(),
            help: help.into(),
        }
    }

    /// Whether the scenario's template of the prompt is to blame.
    pub(crate) fn is_of_prompt(&self) -> bool {
        self.message.contains(PROMPT_TEMPLATE) || self.help.contains(PROMPT_TEMPLATE)
    }

    pub(super) fn at(mut self, place: impl fmt::Display) -> Self {
        self.place = place.to_string();
        self
    }
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() {
            write!(f, "{}: {}", self.file, self.message)
        } else {
            write!(f, "{}: {}: {}", self.file, self.place, self.message)
        }
    }
}

impl std::error::Error for DataError {}

/// Returns the beginning of foreign bytes as it can be shown on a terminal.
pub(super) fn snippet(bytes: &[u8]) -> String {
    const SHOWN: usize = 60;
    let mut text = String::from("`");
    for byte in bytes.iter().take(SHOWN) {
        match byte {
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => text.extend(byte.escape_ascii().map(char::from)),
        }
    }
    text.push_str(if bytes.len() > SHOWN { "…`" } else { "`" });
    text
}
