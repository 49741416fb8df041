//! Apache Parquet, row by row, whatever its bytes are.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::basic::{LogicalType, TimeUnit};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row as ParquetRow};
use parquet::schema::types::Type;
use serde_json::{Value, json};

use crate::workload::error::DataError;
use crate::workload::input::Content;
use crate::workload::rows::{BadRow, Place, Row};

pub(super) struct Parquet {
    file: String,
    /// The same bytes again, to find out which column is to blame.
    again: Option<Content>,
    rows: RowIter<'static>,
    times: Times,
    number: u64,
    failed: bool,
}

impl Parquet {
    pub(super) fn open(file: String, content: Content) -> Result<Self, DataError> {
        let again = match &content {
            Content::File(file) => file.try_clone().ok().map(Content::File),
            Content::Bytes(bytes) => Some(Content::Bytes(bytes.clone())),
        };
        let opened = caught(|| {
            let reader = reader(content)?;
            let times = times(reader.metadata().file_metadata().schema());
            Ok((RowIter::from_file_into(reader), times))
        });
        match opened {
            Ok((rows, times)) => Ok(Self { file, again, rows, times, number: 0, failed: false }),
            Err(message) => Err(damaged(&file, &message)),
        }
    }

    /// Returns the place of a row that cannot be read, with its column where one is to blame.
    fn place_of_damage(&mut self) -> String {
        let row = Place::Row(self.number);
        let column = self
            .again
            .take()
            .and_then(|content| caught(|| unreadable_column(content, self.number)).ok().flatten());
        match column {
            Some(column) => format!("{row}, column `{}`", column.escape_debug()),
            None => row.to_string(),
        }
    }
}

fn reader(content: Content) -> Result<Box<dyn FileReader>, ParquetError> {
    Ok(match content {
        Content::File(file) => Box::new(SerializedFileReader::new(file)?),
        Content::Bytes(bytes) => Box::new(SerializedFileReader::new(bytes)?),
    })
}

/// Returns the first column, in the group of a row, whose pages cannot all be unpacked.
fn unreadable_column(content: Content, row: u64) -> Result<Option<String>, ParquetError> {
    let reader = reader(content)?;
    let metadata = reader.metadata();
    let mut n_rows = 0;
    for (at, group) in metadata.row_groups().iter().enumerate() {
        n_rows += u64::try_from(group.num_rows()).unwrap_or(0);
        if n_rows < row {
            continue;
        }
        let group_reader = reader.get_row_group(at)?;
        for (column, described) in group.columns().iter().enumerate() {
            let is_sound = caught(|| {
                let mut pages = group_reader.get_column_page_reader(column)?;
                while pages.get_next_page()?.is_some() {}
                Ok(())
            });
            if is_sound.is_err() {
                return Ok(Some(described.column_path().string()));
            }
        }
        break;
    }
    Ok(None)
}

impl Iterator for Parquet {
    type Item = Result<Row, BadRow>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let rows = &mut self.rows;
        let times = &self.times;
        let row = caught(|| rows.next().transpose().map(|row| row.map(|row| fields(row, times))));
        self.number += 1;
        match row {
            Ok(None) => None,
            Ok(Some(fields)) => Some(Ok(Row { place: Place::Row(self.number), fields })),
            Err(message) => {
                self.failed = true;
                let error = damaged(&self.file, &message).at(self.place_of_damage());
                Some(Err(BadRow { error, can_go_on: false }))
            }
        }
    }
}

/// Returns the fields of a row as they stand in a file of JSON.
///
/// Old writers do not say which columns are texts. Their bytes are texts all the same if they
/// are UTF-8; others are no text, and only a column that is asked for is refused for it.
fn fields(row: ParquetRow, times: &Times) -> Value {
    let of_field = |name: &str, field: Field| match &field {
        Field::TimestampMillis(count) => instant(*count, 1_000_000),
        Field::TimestampMicros(count) => instant(*count, 1_000),
        Field::Long(count) if times.contains_key(name) => instant(*count, times[name]),
        Field::Bytes(bytes) => match bytes.as_utf8() {
            Ok(text) => Value::from(text),
            Err(_) => json!({ "bytes": bytes.len() }),
        },
        _ => field.to_json_value(),
    };
    let columns = row.into_columns().into_iter();
    let columns = columns.map(|(name, field)| {
        let value = of_field(&name, field);
        (name, value)
    });
    columns.collect()
}

/// Nanoseconds of one count, by the name of the column.
type Times = BTreeMap<String, i128>;

/// Returns the columns that are instants, by their logical type alone: that is how instants
/// without a zone, and those of nanoseconds, are written.
fn times(schema: &Type) -> Times {
    let unit = |column: &Type| match column.get_basic_info().logical_type_ref() {
        Some(LogicalType::Timestamp(time)) => Some(match time.unit {
            TimeUnit::MILLIS => 1_000_000,
            TimeUnit::MICROS => 1_000,
            TimeUnit::NANOS => 1,
        }),
        _ => None,
    };
    let columns = schema.get_fields().iter();
    columns.filter_map(|column| Some((column.name().to_owned(), unit(column)?))).collect()
}

/// Returns an instant as RFC 3339 writes it; one without a zone counts as UTC.
fn instant(count: i64, nanos: i128) -> Value {
    match jiff::Timestamp::from_nanosecond(i128::from(count) * nanos) {
        Ok(instant) => Value::from(instant.to_string()),
        Err(_) => Value::from(count),
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
    let message = message.strip_prefix("External: ").unwrap_or(message);
    let message: String = message.chars().filter(|c| !c.is_control()).take(200).collect();
    DataError::new(
        file,
        format!("not readable as Parquet: {message}"),
        "fetch the file again, or write it with Snappy, Zstandard, gzip or no compression",
    )
}
