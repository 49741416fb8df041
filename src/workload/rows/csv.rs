//! Comma-separated values with a header.

use std::cell::RefCell;
use std::collections::VecDeque;
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
    seen: Rc<RefCell<Seen>>,
    /// Lines that the last row has swallowed, each a bad row, and how many of them are still to be
    /// told.
    swallowed: Option<(DataError, u64)>,
}

/// Lines of one field that cannot all look like rows by chance.
const MANY_LINES: u64 = 100;

/// What other tools put between columns.
const OTHERS: [(char, &str); 3] = [(';', "`;`"), ('\t', "tabs"), ('|', "`|`")];

impl Csv {
    pub(super) fn open(file: String, reader: Box<dyn BufRead>) -> Result<Self, DataError> {
        let seen = Rc::new(RefCell::new(Seen::default()));
        let guarded = Guarded { reader, seen: Rc::clone(&seen) };
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
            // Spreadsheets end lines with the commas of empty columns: nobody can ask for these.
            if !name.is_empty() && header.iter().any(|known| known == name) {
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
        let record = ByteRecord::new();
        Ok(Self { file, reader, header, record, seen, swallowed: None })
    }

    /// Returns why the row that was just read is none: a quote that takes in the rows behind it.
    fn open_quote(&mut self) -> Option<BadRow> {
        let end = self.reader.position().byte();
        let stray = self.seen.borrow_mut().stray_before(end);
        let (line, n_lines, how) = match stray {
            Some(StrayQuote { line, n_lines, is_closed: true, .. }) => {
                let how = format!("is closed {n_lines} lines on, in the middle of a field");
                (line, n_lines, format!("{how}: it may not be meant to be open"))
            }
            Some(StrayQuote { line, n_lines, is_closed: false, .. }) => {
                (line, n_lines, format!("is never closed; {n_lines} lines follow"))
            }
            None => {
                let n_lines = self.lines_like_rows()?;
                let how = format!("takes in {n_lines} lines that all look like rows");
                (self.record.position()?.line(), n_lines, how)
            }
        };
        let message = format!("the quote that begins a field here {how}");
        let help = "a quote within a field is written twice, and the field stands in quotes; each \
                    line that the quote takes in counts as a bad row";
        let error = DataError::new(&self.file, message, help).at(Place::Line(line));
        self.swallowed = Some((error.clone(), n_lines));
        Some(BadRow { error, can_go_on: true })
    }

    /// Returns the lines behind the first one of a field that are as many as no prompt would have, and
    /// have as many separators each as rows do.
    fn lines_like_rows(&self) -> Option<u64> {
        let n_separators = self.header.len().saturating_sub(1);
        let begins = self.record.position()?.line();
        if n_separators == 0 || self.reader.position().line() < begins + MANY_LINES {
            return None;
        }
        let n_lines = |field: &[u8]| {
            let mut lines = field.split(|byte| *byte == b'\n');
            // The first one begins, and the last one ends, with the field.
            lines.next();
            lines.next_back();
            let looks_like_row =
                |line: &[u8]| memchr::memchr_iter(b',', line).count() == n_separators;
            lines.try_fold(1, |n, line| looks_like_row(line).then_some(n + 1))
        };
        let n_lines = self.record.iter().filter_map(n_lines).max();
        n_lines.filter(|n_lines| *n_lines >= MANY_LINES)
    }

    fn error(&self, error: &csv::Error) -> BadRow {
        let help = "each row needs as many fields as the header; a field with a comma, a quote \
                    or a line end stands in quotes";
        let (message, can_go_on) = match error.kind() {
            ErrorKind::UnequalLengths { expected_len, len, .. } => {
                (format!("{len} fields where the header has {expected_len}"), true)
            }
            ErrorKind::Io(error) => (format!("cannot be read: {error}"), false),
            _ => (error.to_string(), false),
        };
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
        Ok(Row::new(place, Value::Object(fields)))
    }
}

impl Iterator for Csv {
    type Item = Result<Row, BadRow>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some((error, n @ 1..)) = &mut self.swallowed {
            *n -= 1;
            return Some(Err(BadRow { error: error.clone(), can_go_on: true }));
        }
        self.seen.borrow_mut().since_record = 0;
        let mut record = std::mem::take(&mut self.record);
        let read = self.reader.read_byte_record(&mut record);
        self.record = record;
        let stray = self.open_quote();
        match read {
            Err(error) if matches!(error.kind(), ErrorKind::Io(_)) => Some(Err(self.error(&error))),
            Ok(true) | Err(_) if stray.is_some() => stray.map(Err),
            Ok(false) => None,
            Ok(true) => Some(self.row()),
            Err(error) => Some(Err(self.error(&error))),
        }
    }
}

/// Stops a row that has no end, and sees quotes that take in rows.
struct Guarded {
    reader: Box<dyn BufRead>,
    seen: Rc<RefCell<Seen>>,
}

impl Read for Guarded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut seen = self.seen.borrow_mut();
        if seen.since_record > ROW_MAX {
            return Err(io::Error::other("a row is longer than 64 MiB; a quote may not be closed"));
        }
        let n_read = self.reader.read(buffer)?;
        seen.since_record += n_read;
        match n_read {
            0 if !buffer.is_empty() => seen.end(),
            _ => seen.take(&buffer[..n_read]),
        }
        Ok(n_read)
    }
}

/// A quoted field over several lines that does not end as such fields do.
#[derive(Clone, Copy)]
struct StrayQuote {
    /// Line of the quote that begins it, from 1.
    line: u64,
    /// Lines behind that one, up to the quote that closes it.
    n_lines: u64,
    is_closed: bool,
    /// Bytes of the file up to its end.
    end: u64,
}

/// What was seen in the bytes that the parser was given, which it reads ahead.
#[derive(Default)]
struct Seen {
    since_record: usize,
    n_bytes: u64,
    n_line_ends: u64,
    ends_with_line: bool,
    within: Within,
    /// Line ends before the quote that begins the present field.
    opened_at: u64,
    strays: VecDeque<StrayQuote>,
}

/// Where a byte stands: as the parser sees it, which takes quotes for such at a field's beginning
/// alone.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Within {
    #[default]
    FieldStart,
    Field,
    Quotes,
    /// Behind a quote within quotes, which closes the field unless another follows.
    QuoteInQuotes,
}

impl Seen {
    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.n_bytes += 1;
            self.within = match (self.within, byte) {
                (Within::FieldStart, b'"') => {
                    self.opened_at = self.n_line_ends;
                    Within::Quotes
                }
                (Within::Quotes, b'"') => Within::QuoteInQuotes,
                (Within::Quotes, _) | (Within::QuoteInQuotes, b'"') => Within::Quotes,
                (_, b',' | b'\r' | b'\n') => Within::FieldStart,
                (Within::QuoteInQuotes, _) => {
                    // Only one that takes in lines does harm.
                    if self.n_line_ends > self.opened_at {
                        self.stray(true);
                    }
                    Within::Field
                }
                // The mark that a file may begin with stands in front of its first field.
                (Within::FieldStart, 0xef | 0xbb | 0xbf) if self.n_bytes <= 3 => Within::FieldStart,
                (Within::FieldStart | Within::Field, _) => Within::Field,
            };
            self.ends_with_line = *byte == b'\n';
            self.n_line_ends += u64::from(self.ends_with_line);
        }
    }

    fn end(&mut self) {
        if self.within == Within::Quotes {
            // Behind the last line end there is no line.
            self.n_line_ends -= u64::from(self.ends_with_line && self.n_line_ends > self.opened_at);
            self.stray(false);
            self.within = Within::Field;
        }
    }

    fn stray(&mut self, is_closed: bool) {
        let (line, n_lines) = (self.opened_at + 1, self.n_line_ends - self.opened_at);
        self.strays.push_back(StrayQuote { line, n_lines, is_closed, end: self.n_bytes });
    }

    /// Takes out the first stray quote of the rows up to a byte of the file.
    fn stray_before(&mut self, end: u64) -> Option<StrayQuote> {
        let mut first = None;
        // What is never closed is read up to the end of the file, and belongs to the last row.
        let is_before = |stray: &&StrayQuote| !stray.is_closed || stray.end <= end;
        while let Some(stray) = self.strays.front().filter(is_before) {
            first.get_or_insert(*stray);
            self.strays.pop_front();
        }
        first
    }
}
