//! Lines of a file, without byte order mark and line ends.

use std::io::{self, BufRead, Read as _};

use crate::workload::rows::ROW_MAX;

/// One line after the other, in one buffer.
pub(super) struct Lines {
    reader: Box<dyn BufRead>,
    buffer: Vec<u8>,
    number: u64,
}

/// One line.
pub(super) enum Line<'a> {
    /// Its number, from 1, and its bytes.
    Whole(u64, &'a [u8]),
    /// Its number; it is longer than any row may be and was passed over.
    TooLong(u64),
}

impl Lines {
    pub(super) fn new(reader: Box<dyn BufRead>) -> Self {
        Self { reader, buffer: Vec::new(), number: 0 }
    }

    /// Returns the next line that is not blank.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        loop {
            self.buffer.clear();
            let n_read =
                (&mut self.reader).take(ROW_MAX as u64 + 1).read_until(b'\n', &mut self.buffer)?;
            if n_read == 0 {
                return Ok(None);
            }
            self.number += 1;
            if self.buffer.last() != Some(&b'\n') && n_read > ROW_MAX {
                self.buffer = Vec::new();
                self.reader.skip_until(b'\n')?;
                return Ok(Some(Line::TooLong(self.number)));
            }
            if !self.text().trim_ascii().is_empty() {
                break;
            }
        }
        Ok(Some(Line::Whole(self.number, self.text())))
    }

    fn text(&self) -> &[u8] {
        let line = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if self.number == 1 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line }
    }
}
