//! Comma-separated values with a header.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use csv::{ByteRecord, ErrorKind, ReaderBuilder};
use serde_json::{Map, Value};

use crate::workload::error::{DataError, snippet};
use crate::workload::rows::{BadRow, Place, ROW_MAX, Row};

pub(super) struct Csv {
    file: String,
    reader: csv::Reader<Guarded>,
    header: Vec<String>,
    record: ByteRecord,
    since_record: Rc<Cell<usize>>,
    failed: bool,
}

/// What other tools put between columns.
const OTHERS: [(char, &str); 3] = [(';', "`;`"), ('\t', "tabs"), ('|', "`|`")];

impl Csv {
    pub(super) fn open(file: String, reader: Box<dyn BufRead>) -> Result<Self, DataError> {
        let since_record = Rc::new(Cell::new(0));
        let guarded = Guarded { reader, since_record: Rc::clone(&since_record) };
        let mut reader = ReaderBuilder::new().from_reader(guarded);
        let bad = |message: String| {
            let help = "a header with one name per column is expected";
            DataError::new(&file, message, help).at("line 1")
        };
        let names = reader.byte_headers().map_err(|error| bad(error.to_string()))?.clone();
        let mut header = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let name =
                if index == 0 { name.strip_prefix(b"\xef\xbb\xbf").unwrap_or(name) } else { name };
            let name = std::str::from_utf8(name).map_err(|_| {
                bad(format!("a column's name is not valid UTF-8: {}", snippet(name)))
            })?;
            // Azure's first traces have `TIMESTAMP, ContextTokens`.
            let name = name.trim();
            if header.iter().any(|known| known == name) {
                return Err(bad(format!("two columns are called `{}`", name.escape_debug())));
            }
            header.push(name.to_owned());
        }
        if let [only] = header.as_slice()
            && let Some((separator, named)) = OTHERS.iter().find(|(other, _)| only.contains(*other))
        {
            let example = only.split(*separator).take(3).collect::<Vec<_>>().join("`, `");
            let message = format!("columns are separated by {named}, not by commas: `{example}`");
            let help = "write the file again with commas, or as JSON lines";
            return Err(DataError::new(&file, message, help).at("line 1"));
        }
        Ok(Self { file, reader, header, record: ByteRecord::new(), since_record, failed: false })
    }

    fn error(&mut self, error: &csv::Error) -> BadRow {
        let help = "each row needs as many fields as the header; a field with a comma, a quote \
                    or a line end stands in quotes";
        let (message, can_go_on) = match error.kind() {
            ErrorKind::UnequalLengths { expected_len, len, .. } => {
                (format!("{len} fields where the header has {expected_len}"), true)
            }
            ErrorKind::Io(error) => (format!("cannot be read: {error}"), false),
            _ => (error.to_string(), false),
        };
        self.failed = !can_go_on;
        let error_at = DataError::new(&self.file, message, help);
        let line = error.position().map_or(self.reader.position().line(), csv::Position::line);
        BadRow { error: error_at.at(Place::Line(line)), can_go_on }
    }

    fn row(&self) -> Result<Row, BadRow> {
        let line = self.record.position().map_or(0, csv::Position::line);
        let place = Place::Line(line);
        let mut fields = Map::new();
        for (name, field) in self.header.iter().zip(&self.record) {
            let text = std::str::from_utf8(field).map_err(|_| {
                let message = format!("not valid UTF-8: {}", snippet(field));
                let error = DataError::new(&self.file, message, "save the file as UTF-8");
                BadRow {
                    error: error.at(format_args!("{place}, column `{name}`")),
                    can_go_on: true,
                }
            })?;
            fields.insert(name.clone(), Value::String(text.to_owned()));
        }
        Ok(Row { place, fields: Value::Object(fields) })
    }
}

impl Iterator for Csv {
    type Item = Result<Row, BadRow>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        self.since_record.set(0);
        let mut record = std::mem::take(&mut self.record);
        let read = self.reader.read_byte_record(&mut record);
        self.record = record;
        match read {
            Ok(false) => None,
            Ok(true) => Some(self.row()),
            Err(error) => Some(Err(self.error(&error))),
        }
    }
}

/// Stops a row that has no end, as after a quote that is never closed.
struct Guarded {
    reader: Box<dyn BufRead>,
    since_record: Rc<Cell<usize>>,
}

impl Read for Guarded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since_record.get() > ROW_MAX {
            return Err(io::Error::other("a row is longer than 64 MiB; a quote may not be closed"));
        }
        let n_read = self.reader.read(buffer)?;
        self.since_record.set(self.since_record.get() + n_read);
        Ok(n_read)
    }
}
