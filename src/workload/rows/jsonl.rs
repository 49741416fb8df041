//! One JSON object per line.

use std::io::BufRead;

use serde_json::Value;

use crate::workload::error::{DataError, snippet};
use crate::workload::rows::lines::{Line, Lines};
use crate::workload::rows::{BadRow, Place, Row, unreadable};

pub(super) struct Jsonl {
    file: String,
    lines: Lines,
    failed: bool,
}

impl Jsonl {
    pub(super) fn new(file: String, reader: Box<dyn BufRead>) -> Self {
        Self { file, lines: Lines::new(reader), failed: false }
    }
}

impl Iterator for Jsonl {
    type Item = Result<Row, BadRow>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        match self.lines.next() {
            Ok(None) => None,
            Ok(Some(Line::TooLong(number))) => {
                let error = DataError::new(
                    &self.file,
                    "longer than 64 MiB, which no row is",
                    "one JSON object per line is expected",
                );
                Some(Err(BadRow { error: error.at(Place::Line(number)), can_go_on: true }))
            }
            Ok(Some(Line::Whole(number, line))) => {
                Some(object(&self.file, Place::Line(number), line))
            }
            Err(error) => {
                self.failed = true;
                Some(Err(BadRow { error: unreadable(&self.file, &error), can_go_on: false }))
            }
        }
    }
}

/// Reads a row from the text of one JSON object.
pub(super) fn object(file: &str, place: Place, text: &[u8]) -> Result<Row, BadRow> {
    let bad = |message: String, column: usize| {
        let shown = &text[column.saturating_sub(20).min(text.len())..];
        let error = DataError::new(
            file,
            format!("{message} near {}", snippet(shown)),
            "one JSON object per row is expected; `skip-bad-rows = true` leaves bad rows out",
        );
        Err(BadRow {
            error: error.at(format_args!("{place}, byte {}", column.max(1))),
            can_go_on: true,
        })
    };
    if let Err(error) = std::str::from_utf8(text) {
        return bad("not valid UTF-8".to_owned(), error.valid_up_to() + 1);
    }
    match serde_json::from_slice(text) {
        Ok(fields @ Value::Object(_)) => Ok(Row { place, fields }),
        Ok(_) => bad("not a JSON object".to_owned(), 1),
        Err(error) => {
            let text = error.to_string();
            let message = text.split(" at line ").next().unwrap_or_default();
            bad(format!("not valid JSON: {message}"), error.column())
        }
    }
}
