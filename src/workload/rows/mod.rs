//! Rows of any file format, one at a time.

mod csv;
mod json_array;
mod jsonl;
pub(super) mod lenient_json;
mod lines;
mod parquet;
mod text;

use std::fmt;

use serde_json::Value;

use crate::workload::error::DataError;
use crate::workload::input::{Format, Input, Opened};

/// No row is longer: a longer one is damage, and is not read into memory.
pub(super) const ROW_MAX: usize = 64 << 20;

/// One row: an object whose fields are the columns.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) place: Place,
    pub(super) fields: Value,
    /// The same with members in the order of the file, where it may call or define tools: templates
    /// write these out.
    pub(super) ordered: Option<minijinja::Value>,
}

impl Row {
    /// Returns a row of which the order of members is not known.
    pub(super) fn new(place: Place, fields: Value) -> Self {
        Self { place, fields, ordered: None }
    }
}

/// Where a row stands in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Line, from 1.
    Line(u64),
    /// Row, from 1.
    Row(u64),
    /// Element of an array, from 1.
    Element(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(n) => write!(f, "line {n}"),
            Self::Row(n) => write!(f, "row {n}"),
            Self::Element(n) => write!(f, "element {n}"),
        }
    }
}

/// Why a row could not be read.
#[derive(Debug)]
pub(super) struct BadRow {
    pub(super) error: DataError,
    /// Whether the rows after it can still be read.
    pub(super) can_go_on: bool,
}

/// The rows of a file.
pub(super) type Rows = Box<dyn Iterator<Item = Result<Row, BadRow>>>;

/// Opens the rows of a file in the format that is asked for, or its own. A format that keeps columns
/// apart is read of those alone that `reads` wants; others are null in its rows.
pub(super) fn open(
    input: Input,
    asked: Option<Format>,
    reads: &dyn Fn(&str) -> bool,
) -> Result<Rows, DataError> {
    let (name, opened) = input.open(asked)?;
    let rows: Rows = match opened {
        Opened::Parquet(content) => Box::new(parquet::Parquet::open(&name, content, reads)?),
        Opened::Text(Format::JsonArray, text) => Box::new(json_array::JsonArray::new(name, text)),
        Opened::Text(Format::Csv, text) => Box::new(csv::Csv::open(name, text)?),
        Opened::Text(Format::Text, text) => Box::new(text::Text::new(name, text)),
        Opened::Text(Format::Jsonl | Format::Parquet, text) => {
            Box::new(jsonl::Jsonl::new(name, text))
        }
    };
    // No row comes behind one that nobody can go on after.
    let mut rows = Some(rows);
    Ok(Box::new(std::iter::from_fn(move || {
        let row = rows.as_mut()?.next();
        if matches!(&row, None | Some(Err(BadRow { can_go_on: false, .. }))) {
            rows = None;
        }
        row
    })))
}

fn unreadable(file: &str, error: &std::io::Error) -> BadRow {
    let message = format!("cannot be read: {error}");
    let error = DataError::new(file, message, "check the file and the disk");
    BadRow { error, can_go_on: false }
}
