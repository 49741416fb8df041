//! One prompt per line, in the column `text`.

use std::io::BufRead;

use serde_json::json;

use crate::workload::error::{DataError, snippet};
use crate::workload::rows::lines::{Line, Lines};
use crate::workload::rows::{BadRow, Place, Row, unreadable};

pub(super) struct Text {
    file: String,
    lines: Lines,
}

impl Text {
    pub(super) fn new(file: String, reader: Box<dyn BufRead>) -> Self {
        Self { file, lines: Lines::new(reader) }
    }
}

impl Iterator for Text {
    type Item = Result<Row, BadRow>;

    fn next(&mut self) -> Option<Self::Item> {
        let bad = |message: String, number| {
            let error = DataError::new(&self.file, message, "one prompt per line is expected");
            Some(Err(BadRow { error: error.at(Place::Line(number)), can_go_on: true }))
        };
        match self.lines.next() {
            Ok(None) => None,
            Ok(Some(Line::TooLong(number))) => {
                bad("longer than 64 MiB, which no prompt is".to_owned(), number)
            }
            Ok(Some(Line::Whole(number, line))) => match std::str::from_utf8(line) {
                Ok(text) => Some(Ok(Row::new(Place::Line(number), json!({ "text": text })))),
                Err(error) => {
                    let rest = &line[error.valid_up_to()..];
                    bad(format!("not valid UTF-8 near {}", snippet(rest)), number)
                }
            },
            Err(error) => Some(Err(unreadable(&self.file, &error))),
        }
    }
}
