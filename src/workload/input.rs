//! Bytes of a data set, opened by whoever may touch the disk.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Seek as _};

use bytes::Bytes;

/// An opened data file with the name that messages call it by.
#[derive(Debug)]
pub struct Input {
    name: String,
    content: Content,
}

/// Where the bytes are.
#[derive(Debug)]
pub(super) enum Content {
    /// An open file, read piece by piece.
    File(File),
    /// In memory.
    Bytes(Bytes),
}

/// How rows are laid out in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Jsonl,
    JsonArray,
    Csv,
    Parquet,
    Text,
}

impl Input {
    /// Takes an open file.
    pub fn file(name: impl Into<String>, file: File) -> Self {
        Self { name: name.into(), content: Content::File(file) }
    }

    /// Takes bytes.
    pub fn bytes(name: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        Self { name: name.into(), content: Content::Bytes(bytes.into()) }
    }

    /// Returns the name that messages call it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn into_parts(self) -> (String, Content) {
        (self.name, self.content)
    }

    /// Finds out the format by the first bytes, where they say it, else by the name.
    pub(super) fn format(&mut self) -> io::Result<Format> {
        let mut head = [0; 64];
        let mut length = 0;
        match &mut self.content {
            Content::Bytes(bytes) => {
                length = bytes.len().min(head.len());
                head[..length].copy_from_slice(&bytes[..length]);
            }
            Content::File(file) => {
                while length < head.len() {
                    match file.read(&mut head[length..])? {
                        0 => break,
                        n => length += n,
                    }
                }
                file.rewind()?;
            }
        }
        let head = &head[..length];
        let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
        let name = self.name.to_ascii_lowercase();
        let has_extension =
            |extension: &str| name.strip_suffix(extension).is_some_and(|stem| stem.ends_with('.'));
        Ok(if head.starts_with(b"PAR1") || has_extension("parquet") {
            Format::Parquet
        } else if has_extension("csv") {
            Format::Csv
        } else if has_extension("txt") {
            Format::Text
        } else if head.trim_ascii_start().starts_with(b"[") {
            Format::JsonArray
        } else {
            Format::Jsonl
        })
    }
}

impl Content {
    pub(super) fn into_reader(self) -> Box<dyn BufRead> {
        match self {
            Self::File(file) => Box::new(BufReader::with_capacity(1 << 18, file)),
            Self::Bytes(bytes) => Box::new(io::Cursor::new(bytes)),
        }
    }
}
