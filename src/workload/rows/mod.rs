//! Rows of any file format, one at a time.

mod csv;
mod json_array;
mod jsonl;
mod lines;
mod parquet;
mod text;

use std::fmt;

use serde_json::Value;

use crate::workload::error::DataError;
use crate::workload::input::{Format, Input};

/// No row is longer: a longer one is damage, and is not read into memory.
pub(super) const ROW_MAX: usize = 64 << 20;

/// One row: an object whose fields are the columns.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) place: Place,
    pub(super) fields: Value,
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

/// Opens the rows of a file in the given format.
pub(super) fn open(input: Input, format: Format) -> Result<Rows, DataError> {
    let (name, content) = input.into_parts();
    Ok(match format {
        Format::Jsonl => Box::new(jsonl::Jsonl::new(name, content.into_reader())),
        Format::JsonArray => Box::new(json_array::JsonArray::new(name, content.into_reader())),
        Format::Csv => Box::new(csv::Csv::open(name, content.into_reader())?),
        Format::Text => Box::new(text::Text::new(name, content.into_reader())),
        Format::Parquet => Box::new(parquet::Parquet::open(name, content)?),
    })
}

fn unreadable(file: &str, error: &std::io::Error) -> DataError {
    DataError::new(file, format!("cannot be read: {error}"), "check the file and the disk")
}
