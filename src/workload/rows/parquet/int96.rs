//! Instants of 96 bits, which the library's rows cut to milliseconds.

use std::collections::VecDeque;

use parquet::basic::Type as PhysicalType;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{Int96, Int96Type};
use parquet::errors::ParquetError;
use parquet::file::reader::FileReader;
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};
use serde_json::Value;

use crate::workload::rows::parquet::values::instant;

/// Values that are read at a time.
const BATCH: usize = 1024;
/// The Julian day of 1970-01-01.
const JULIAN_1970: i128 = 2_440_588;
/// Nanoseconds of a day.
const DAY: i128 = 86_400_000_000_000;

/// The columns of such instants, read beside the rows and in step with them.
pub(super) struct OldInstants {
    reader: Box<dyn FileReader>,
    columns: Vec<Column>,
}

struct Column {
    name: String,
    /// Its place among the leaves of the schema.
    leaf: usize,
    may_be_null: bool,
    /// The row group that is read next.
    group: usize,
    values: Option<ColumnReaderImpl<Int96Type>>,
    read: VecDeque<Option<Int96>>,
}

impl OldInstants {
    /// Finds the columns among those that are read, and opens the file once more where there are any.
    /// Instants inside of lists and groups stay as the rows have them.
    pub(super) fn of(
        schema: &SchemaDescriptor,
        reads: &dyn Fn(&str) -> bool,
        open: impl FnOnce() -> Result<Box<dyn FileReader>, ParquetError>,
    ) -> Result<Option<Self>, ParquetError> {
        let leaves = schema.columns().iter().enumerate();
        let columns = leaves.filter_map(|(leaf, described)| Column::of(leaf, described));
        let columns: Vec<Column> = columns.filter(|column| reads(&column.name)).collect();
        if columns.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self { reader: open()?, columns }))
    }

    /// Puts the instants of the next row in the place of those that were cut.
    pub(super) fn put(&mut self, fields: &mut Value) -> Result<(), ParquetError> {
        for column in &mut self.columns {
            let value = column.next(self.reader.as_ref())?.map_or(Value::Null, told);
            if let Some(field) = fields.get_mut(&column.name) {
                *field = value;
            }
        }
        Ok(())
    }
}

impl Column {
    fn of(leaf: usize, described: &ColumnDescriptor) -> Option<Self> {
        let is_one = described.physical_type() == PhysicalType::INT96
            && described.path().parts().len() == 1
            && described.max_rep_level() == 0;
        is_one.then(|| Self {
            name: described.name().to_owned(),
            leaf,
            may_be_null: described.max_def_level() > 0,
            group: 0,
            values: None,
            read: VecDeque::new(),
        })
    }

    fn next(&mut self, reader: &dyn FileReader) -> Result<Option<Int96>, ParquetError> {
        while self.read.is_empty() {
            self.fill(reader)?;
        }
        Ok(self.read.pop_front().flatten())
    }

    fn fill(&mut self, reader: &dyn FileReader) -> Result<(), ParquetError> {
        let Some(values) = &mut self.values else {
            if self.group == reader.num_row_groups() {
                let message = format!("column `{}` has fewer values than rows", self.name);
                return Err(ParquetError::General(message));
            }
            let group = reader.get_row_group(self.group)?;
            self.group += 1;
            if let ColumnReader::Int96ColumnReader(values) = group.get_column_reader(self.leaf)? {
                self.values = Some(values);
            }
            return Ok(());
        };
        let (mut levels, mut batch) = (Vec::new(), Vec::new());
        let asked = self.may_be_null.then_some(&mut levels);
        let (n_rows, ..) = values.read_records(BATCH, asked, None, &mut batch)?;
        if n_rows == 0 {
            self.values = None;
        }
        let mut batch = batch.into_iter();
        for row in 0..n_rows {
            let is_there = levels.get(row).is_none_or(|level| *level > 0);
            self.read.push_back(if is_there { batch.next() } else { None });
        }
        Ok(())
    }
}

/// Returns an instant as RFC 3339 writes it: nanoseconds of the day, and the Julian day.
fn told(instant96: Int96) -> Value {
    let [low, high, day] = instant96.data() else { return Value::Null };
    let of_day = i128::from(u64::from(*high) << 32 | u64::from(*low));
    instant((i128::from(*day) - JULIAN_1970) * DAY + of_day)
}
