//! A file that is a JSON array of objects, or several one after the other, read element by element.

use std::io::{self, BufRead};

use crate::workload::error::DataError;
use crate::workload::rows::{BadRow, Place, ROW_MAX, Row, jsonl, unreadable};

/// Cuts the array into its elements; the JSON parser judges what is inside them.
pub(super) struct JsonArray {
    file: String,
    reader: Box<dyn BufRead>,
    element: Vec<u8>,
    number: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the opening bracket.
    Start,
    /// Before an element, a comma or the closing bracket.
    Between,
    /// Behind an array: another one may follow, or objects, as in files that were joined.
    Behind,
}

impl JsonArray {
    pub(super) fn new(file: String, reader: Box<dyn BufRead>) -> Self {
        Self { file, reader, element: Vec::new(), number: 0, state: State::Start }
    }

    fn fail(&self, message: &str) -> Result<Row, BadRow> {
        let error = DataError::new(
            &self.file,
            message,
            "a JSON array of objects is expected, or several; the file may have been cut short",
        );
        let error = error.at(Place::Element(self.number + 1));
        Err(BadRow { error, can_go_on: false })
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        Ok(self.reader.fill_buf()?.first().copied())
    }

    /// Reads one element up to the comma or bracket after it, or an object behind an array up to its
    /// own end.
    fn cut_element(&mut self) -> io::Result<Cut> {
        self.element.clear();
        let is_alone = self.state == State::Behind;
        let (mut depth, mut in_string, mut escaped) = (0_u32, false, false);
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Ok(Cut::FileEnds);
            }
            let mut end = None;
            for (at, byte) in buffer.iter().enumerate() {
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' if in_string => escaped = true,
                    b'"' => in_string = !in_string,
                    _ if in_string => {}
                    b'{' | b'[' => depth += 1,
                    b',' | b']' if depth == 0 => {
                        end = Some(at);
                        break;
                    }
                    b'}' | b']' => {
                        depth = depth.saturating_sub(1);
                        if is_alone && depth == 0 {
                            end = Some(at + 1);
                            break;
                        }
                    }
                    _ => {}
                }
            }
            let n_taken = end.unwrap_or(buffer.len());
            if self.element.len() + n_taken > ROW_MAX {
                return Ok(Cut::TooLong);
            }
            self.element.extend_from_slice(&buffer[..n_taken]);
            self.reader.consume(n_taken);
            if end.is_some() {
                return Ok(Cut::Element);
            }
        }
    }

    fn step(&mut self) -> io::Result<Option<Result<Row, BadRow>>> {
        loop {
            let Some(byte) = self.peek()? else {
                let message = match self.state {
                    State::Behind => return Ok(None),
                    State::Start => "the file is empty",
                    State::Between => "the array has no end",
                };
                return Ok(Some(self.fail(message)));
            };
            match (self.state, byte) {
                // White space, the byte order mark, and commas: which is lenient about two in a row.
                (_, b' ' | b'\t' | b'\r' | b'\n')
                | (State::Start, 0xef | 0xbb | 0xbf)
                | (State::Between, b',') => self.reader.consume(1),
                (State::Start | State::Behind, b'[') => {
                    self.reader.consume(1);
                    self.state = State::Between;
                }
                (State::Start, _) => return Ok(Some(self.fail("not a JSON array"))),
                (State::Between, b']') => {
                    self.reader.consume(1);
                    self.state = State::Behind;
                }
                (State::Behind, byte) if byte != b'{' => {
                    return Ok(Some(self.fail("behind the end of the array stands other text")));
                }
                (State::Between | State::Behind, _) => {
                    return Ok(match self.cut_element()? {
                        Cut::FileEnds if self.state == State::Behind => {
                            Some(self.fail("the object behind the array has no end"))
                        }
                        Cut::FileEnds => Some(self.fail("the array has no end")),
                        Cut::TooLong => Some(self.fail("longer than 64 MiB, which no row is")),
                        Cut::Element => {
                            self.number += 1;
                            Some(jsonl::object(
                                &self.file,
                                Place::Element(self.number),
                                &self.element,
                            ))
                        }
                    });
                }
            }
        }
    }
}

enum Cut {
    Element,
    FileEnds,
    TooLong,
}

impl Iterator for JsonArray {
    type Item = Result<Row, BadRow>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.step() {
            Ok(row) => row,
            Err(error) => Some(Err(unreadable(&self.file, &error))),
        }
    }
}
