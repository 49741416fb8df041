//! Apache Parquet, row by row, whatever its bytes are.

use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;

use crate::workload::error::DataError;
use crate::workload::input::Content;
use crate::workload::rows::{BadRow, Place, Row};

pub(super) struct Parquet {
    file: String,
    rows: RowIter<'static>,
    number: u64,
    failed: bool,
}

impl Parquet {
    pub(super) fn open(file: String, content: Content) -> Result<Self, DataError> {
        let opened = caught(|| {
            let reader: Box<dyn FileReader> = match content {
                Content::File(file) => Box::new(SerializedFileReader::new(file)?),
                Content::Bytes(bytes) => Box::new(SerializedFileReader::new(bytes)?),
            };
            Ok(RowIter::from_file_into(reader))
        });
        match opened {
            Ok(rows) => Ok(Self { file, rows, number: 0, failed: false }),
            Err(message) => Err(damaged(&file, &message)),
        }
    }
}

impl Iterator for Parquet {
    type Item = Result<Row, BadRow>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let rows = &mut self.rows;
        let row = caught(|| rows.next().transpose().map(|row| row.map(|row| row.to_json_value())));
        self.number += 1;
        let place = Place::Row(self.number);
        match row {
            Ok(None) => None,
            Ok(Some(fields)) => Some(Ok(Row { place, fields })),
            Err(message) => {
                self.failed = true;
                let error = damaged(&self.file, &message).at(place);
                Some(Err(BadRow { error, can_go_on: false }))
            }
        }
    }
}

/// The reader trusts lengths and counts that a damaged file gives, and panics on some.
fn caught<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("its lengths and counts contradict each other".to_owned()),
    }
}

fn damaged(file: &str, message: &str) -> DataError {
    let message = message.strip_prefix("Parquet error: ").unwrap_or(message);
    let message: String = message.chars().filter(|c| !c.is_control()).take(200).collect();
    DataError::new(
        file,
        format!("not readable as Parquet: {message}"),
        "fetch the file again, or write it with Snappy, Zstandard or no compression",
    )
}
