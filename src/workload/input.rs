//! Bytes of a data set, opened by whoever may touch the disk.

use std::fs::File;
use std::io::{self, BufRead, Read, Seek as _};

use bytes::Bytes;

use crate::plan::data_files::plain_name;
use crate::workload::container::{HEAD, Unpacked, foreign, unpacked};
use crate::workload::error::DataError;

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

    /// Returns the same bytes once more, to be read before these are.
    pub(super) fn again(&self) -> io::Result<Self> {
        Ok(Self { name: self.name.clone(), content: self.content.again()? })
    }

    /// Returns the name that messages call it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Opens it in the format that is asked for, else in that of its first bytes, where they say
    /// it, else in that of its name.
    ///
    /// # Errors
    /// When it is something else than a file of rows, which is named as what it is.
    pub(super) fn open(self, asked: Option<Format>) -> Result<(String, Opened), DataError> {
        let Self { name, mut content } = self;
        let unreadable = |error: &io::Error| {
            DataError::new(&name, format!("cannot be read: {error}"), "check the file and the disk")
        };
        let head = content.head().map_err(|error| unreadable(&error))?;
        refuse_foreign(&name, &head, asked)?;
        let (plain, lower) = (plain_name(&name), plain_name(&name).to_ascii_lowercase());
        let has_extension =
            |extension: &str| lower.strip_suffix(extension).is_some_and(|it| it.ends_with('.'));
        let is_parquet =
            asked == Some(Format::Parquet) || asked.is_none() && has_extension("parquet");
        if is_parquet && let Some((what, help)) = text_instead(&head) {
            return Err(DataError::new(&name, format!("is {what}, and not Parquet"), help));
        }
        if head.starts_with(b"PAR1") || is_parquet && plain == name {
            return Ok((name, Opened::Parquet(content)));
        }
        let Unpacked { head, text } =
            unpacked(content.into_reader()).map_err(|error| unreadable(&error))?;
        refuse_foreign(&name, &head, asked)?;
        if head.starts_with(b"PAR1") {
            let message = "a Parquet file that was packed once more";
            let help = "unpack it; Parquet is packed inside";
            return Err(DataError::new(&name, message, help));
        }
        let start = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head).trim_ascii_start();
        let format = match asked {
            Some(format) => format,
            // Another separator is named as such.
            None if has_extension("csv") || has_extension("tsv") => Format::Csv,
            None if has_extension("txt") => Format::Text,
            None if start.starts_with(b"[") => Format::JsonArray,
            None => Format::Jsonl,
        };
        Ok((name, Opened::Text(format, text)))
    }
}

/// A file that has been opened.
pub(super) enum Opened {
    /// Text, unpacked.
    Text(Format, Box<dyn BufRead>),
    Parquet(Content),
}

/// Says what a text is that is named or asked for as Parquet, and what to do.
fn text_instead(head: &[u8]) -> Option<(&'static str, &'static str)> {
    match head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start().first()? {
        b'{' => Some(("JSON lines", "name it `….jsonl`, and set `source = \"jsonl\"`")),
        b'[' => Some(("a JSON array", "name it `….json`, and set `source = \"jsonl\"`")),
        _ => None,
    }
}

fn refuse_foreign(name: &str, head: &[u8], asked: Option<Format>) -> Result<(), DataError> {
    // A prompt may be a piece of a web page.
    let is_prompt = asked == Some(Format::Text) && head.trim_ascii_start().starts_with(b"<");
    match foreign(head).filter(|_| !is_prompt) {
        Some((what, help)) => Err(DataError::new(name, format!("is {what}"), help)),
        None => Ok(()),
    }
}

impl Content {
    /// Returns the same bytes once more.
    pub(super) fn again(&self) -> io::Result<Self> {
        Ok(match self {
            Self::File(file) => Self::File(file.try_clone()?),
            Self::Bytes(bytes) => Self::Bytes(bytes.clone()),
        })
    }

    /// Returns the first bytes.
    fn head(&mut self) -> io::Result<Vec<u8>> {
        match self {
            Self::Bytes(bytes) => Ok(bytes[..bytes.len().min(HEAD)].to_vec()),
            Self::File(file) => {
                let mut head = Vec::new();
                file.rewind()?;
                (&mut *file).take(HEAD as u64).read_to_end(&mut head)?;
                file.rewind()?;
                Ok(head)
            }
        }
    }

    fn into_reader(self) -> Box<dyn Read> {
        match self {
            Self::File(file) => Box::new(file),
            Self::Bytes(bytes) => Box::new(io::Cursor::new(bytes)),
        }
    }
}
