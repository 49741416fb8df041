//! Apache Parquet, row by row, whatever its bytes are.

mod durations;
mod int96;
mod plain;
mod values;

use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, FileReader, SerializedFileReader};
use parquet::file::serialized_reader::ReadOptionsBuilder;
use parquet::record::reader::RowIter;
use parquet::schema::types::{SchemaDescPtr, Type};
use serde_json::Value;

use crate::workload::damage;
use crate::workload::error::DataError;
use crate::workload::input::Content;
use crate::workload::rows::parquet::durations::Durations;
use crate::workload::rows::parquet::int96::OldInstants;
use crate::workload::rows::parquet::plain::plain;
use crate::workload::rows::parquet::values::fields;
use crate::workload::rows::{BadRow, Place, Row};

pub(super) struct Parquet {
    file: String,
    /// The same bytes again, to find out which column is to blame.
    again: Option<Content>,
    rows: RowIter<'static>,
    schema: SchemaDescPtr,
    old_instants: Option<OldInstants>,
    durations: Durations,
    /// Columns that nobody asks for: null in all rows, so that they are still listed.
    unread: Vec<String>,
    number: u64,
}

impl Parquet {
    /// Opens a file to read the columns of it that `reads` wants.
    pub(super) fn open(
        file: &str,
        content: Content,
        reads: &dyn Fn(&str) -> bool,
    ) -> Result<Self, DataError> {
        let opened = caught(|| {
            let (again, once_more) = (content.again().ok(), content.again()?);
            let (rows, schema) = reader_of_rows(content)?;
            let columns = schema.root_schema().get_fields().iter().map(|column| column.name());
            let unread = columns.filter(|name| !reads(name)).map(str::to_owned).collect();
            let durations = Durations::of(rows.metadata().file_metadata());
            let old_instants = OldInstants::of(&schema, reads, || reader(once_more))?;
            let wanted = wanted(rows.metadata().file_metadata().schema(), reads)?;
            let rows = RowIter::from_file_into(rows).project(Some(wanted))?;
            let file = file.to_owned();
            Ok(Self { file, again, rows, schema, old_instants, durations, unread, number: 0 })
        });
        opened.map_err(|message| damaged(file, &message))
    }

    fn read(&mut self) -> Result<Option<Value>, String> {
        caught(|| {
            let Some(row) = self.rows.next().transpose()? else { return Ok(None) };
            let mut fields = fields(row, self.schema.root_schema());
            if let Some(instants) = &mut self.old_instants {
                instants.put(&mut fields)?;
            }
            self.durations.put(&mut fields);
            for name in &self.unread {
                fields[name.as_str()] = Value::Null;
            }
            Ok(Some(fields))
        })
    }

    /// Returns the place of a row that cannot be read, with its column where one is to blame.
    fn place_of_damage(&mut self) -> String {
        let row = Place::Row(self.number);
        let column = self
            .again
            .take()
            .and_then(|content| caught(|| self.unreadable_column(content)).ok().flatten());
        match column {
            Some(column) => format!("{row}, column `{}`", column.escape_debug()),
            None => row.to_string(),
        }
    }

    /// Returns the first column that is read, in the group of the row, whose pages cannot all be
    /// unpacked.
    fn unreadable_column(&self, content: Content) -> Result<Option<String>, ParquetError> {
        let reader = reader(content)?;
        let metadata = reader.metadata();
        let mut n_rows = 0;
        for (at, group) in metadata.row_groups().iter().enumerate() {
            n_rows += u64::try_from(group.num_rows()).unwrap_or(0);
            if n_rows < self.number {
                continue;
            }
            let group_reader = reader.get_row_group(at)?;
            for (column, described) in group.columns().iter().enumerate() {
                let path = described.column_path();
                if path.parts().first().is_some_and(|name| self.unread.contains(name)) {
                    continue;
                }
                let is_sound = caught(|| {
                    let mut pages = group_reader.get_column_page_reader(column)?;
                    while pages.get_next_page()?.is_some() {}
                    Ok(())
                });
                if is_sound.is_err() {
                    return Ok(Some(path.string()));
                }
            }
            break;
        }
        Ok(None)
    }
}

/// Returns a schema of the columns that are read.
fn wanted(schema: &Type, reads: &dyn Fn(&str) -> bool) -> Result<Type, ParquetError> {
    let columns = schema.get_fields().iter().filter(|column| reads(column.name()));
    Type::group_type_builder(schema.name()).with_fields(columns.cloned().collect()).build()
}

fn reader(content: Content) -> Result<Box<dyn FileReader>, ParquetError> {
    Ok(match content {
        Content::File(file) => Box::new(SerializedFileReader::new(file)?),
        Content::Bytes(bytes) => Box::new(SerializedFileReader::new(bytes)?),
    })
}

/// Opens a file for its rows; returns its own schema beside it, as columns that the library knows no
/// rows of are read as plain ones.
fn reader_of_rows(content: Content) -> Result<(Box<dyn FileReader>, SchemaDescPtr), ParquetError> {
    fn open<R: ChunkReader + 'static>(
        bytes: R,
        once_more: R,
    ) -> Result<(Box<dyn FileReader>, SchemaDescPtr), ParquetError> {
        let reader = SerializedFileReader::new(bytes)?;
        let schema = reader.metadata().file_metadata().schema_descr_ptr();
        let Some(plain) = plain(&schema)? else { return Ok((Box::new(reader), schema)) };
        let options = ReadOptionsBuilder::new().with_parquet_schema(plain).build();
        Ok((Box::new(SerializedFileReader::new_with_options(once_more, options)?), schema))
    }
    match content {
        Content::File(file) => {
            let once_more = file.try_clone()?;
            open(file, once_more)
        }
        Content::Bytes(bytes) => open(bytes.clone(), bytes),
    }
}

impl Iterator for Parquet {
    type Item = Result<Row, BadRow>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.read();
        self.number += 1;
        match row {
            Ok(None) => None,
            Ok(Some(fields)) => Some(Ok(Row::new(Place::Row(self.number), fields))),
            Err(message) => {
                let error = damaged(&self.file, &message).at(self.place_of_damage());
                Some(Err(BadRow { error, can_go_on: false }))
            }
        }
    }
}

/// The reader trusts lengths and counts that a damaged file gives, and panics on some.
fn caught<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, String> {
    match damage::caught(read) {
        Some(read) => read.map_err(|error| error.to_string()),
        None => Err("its lengths and counts contradict each other".to_owned()),
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
