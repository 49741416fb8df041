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

    /// Opens it in the format that is asked for, whatever its name is, else in that of its first
    /// bytes, where they say it, else in that of its name. Parquet says what it is, and is read so.
    ///
    /// # Errors
    /// When it is something else than a file of rows, or than what is asked for, which is named as
    /// what it is.
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
        let start = text_start(&head);
        if is_parquet && let Some((what, source, ending)) = json_in(start) {
            let help = match asked {
                Some(_) => format!("set `source = \"{source}\"`"),
                None => format!("name it `….{ending}`, and set `source = \"{source}\"`"),
            };
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
        let start = text_start(&head);
        if let Some((what, source)) = asked.and_then(|asked| other_text(start, asked, &lower)) {
            let asked = if asked == Some(Format::Csv) { "CSV" } else { "JSON lines" };
            let help = format!("set `source = \"{source}\"`");
            return Err(DataError::new(&name, format!("is {what}, and not {asked}"), help));
        }
        let format = match asked {
            Some(Format::Jsonl) if start.starts_with(b"[") => Format::JsonArray,
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

/// Returns a text's first bytes without its mark and what is blank.
fn text_start(head: &[u8]) -> &[u8] {
    head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start()
}

/// Says what a text of JSON is, by its first bytes: its form, its source, and its usual ending.
fn json_in(start: &[u8]) -> Option<(&'static str, &'static str, &'static str)> {
    match start.first()? {
        b'{' => Some(("JSON lines", "jsonl", "jsonl")),
        b'[' => Some(("a JSON array", "jsonl", "json")),
        _ => None,
    }
}

/// Says what a text is that is no such text as is asked for: its form, and its source. That it is no
/// JSON shows only where its name says the same: a line of a file of JSON may be damaged.
fn other_text(start: &[u8], asked: Format, name: &str) -> Option<(&'static str, &'static str)> {
    let json = json_in(start);
    match asked {
        Format::Csv => {
            // A column may be called `{id}` or `[id]`.
            let inside = start.get(1..).unwrap_or_default().trim_ascii_start();
            let is_json = inside.starts_with(if start.starts_with(b"{") { b"\"" } else { b"{" });
            json.filter(|_| is_json).map(|(what, source, _)| (what, source))
        }
        Format::Jsonl if json.is_none() && !start.is_empty() => {
            match name.rsplit_once('.').map(|(_, ending)| ending) {
                Some("csv") => Some(("CSV", "csv")),
                Some("txt" | "text") => Some(("plain text", "text")),
                _ => None,
            }
        }
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
