//! One JSON object per line.

use std::fmt;
use std::io::BufRead;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Value};

use crate::workload::error::{DataError, snippet};
use crate::workload::rows::lenient_json::{Unsayable, sayable};
use crate::workload::rows::lines::{Line, Lines};
use crate::workload::rows::{BadRow, Place, Row, unreadable};

/// How members begin that hold calls and definitions of tools.
const TOOLS: [&str; 2] = ["\"tool", "\"function_call"];

pub(super) struct Jsonl {
    file: String,
    lines: Lines,
}

impl Jsonl {
    pub(super) fn new(file: String, reader: Box<dyn BufRead>) -> Self {
        Self { file, lines: Lines::new(reader) }
    }
}

impl Iterator for Jsonl {
    type Item = Result<Row, BadRow>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.lines.next() {
            Ok(None) => None,
            Ok(Some(Line::TooLong(number))) => {
                let error = DataError::new(
                    &self.file,
                    "longer than 64 MiB, which no row is",
                    "one JSON object per line is expected",
                );
                Some(Err(BadRow { error: error.at(Place::Line(number)), can_go_on: true }))
            }
            Ok(Some(Line::Whole(number, line))) => {
                Some(object(&self.file, Place::Line(number), line))
            }
            Err(error) => Some(Err(unreadable(&self.file, &error))),
        }
    }
}

/// Reads a row from the text of one JSON object.
pub(super) fn object(file: &str, place: Place, text: &[u8]) -> Result<Row, BadRow> {
    let bad = |message: String, column: usize| {
        let shown = &text[column.saturating_sub(20).min(text.len())..];
        let error = DataError::new(
            file,
            format!("{message} near {}", snippet(shown)),
            "one JSON object per row is expected",
        );
        Err(BadRow {
            error: error.at(format_args!("{place}, byte {}", column.max(1))),
            can_go_on: true,
        })
    };
    let said = match std::str::from_utf8(text) {
        Ok(said) => said,
        Err(error) => return bad("not valid UTF-8".to_owned(), error.valid_up_to() + 1),
    };
    if !text.trim_ascii_start().starts_with(b"{") {
        return bad("not a JSON object".to_owned(), 1);
    }
    let read = serde_json::from_slice(text);
    // What JSON cannot say is null: it does harm only in a column that is asked for.
    let read = read.or_else(|error| match sayable(text) {
        Some(text) => serde_json::from_slice(&text).map_err(|_| error),
        None => Err(error),
    });
    match read {
        Ok(Fields(fields)) => {
            let has_tools = TOOLS.iter().any(|name| said.contains(name));
            let ordered = has_tools.then(|| serde_json::from_str(said).ok()).flatten();
            Ok(Row { place, fields: Value::Object(fields), ordered })
        }
        // One that was cut ends anywhere.
        Err(error) if error.is_eof() && place == Place::Line(1) && ends_open(text) => {
            let message = "the object of its first line goes on behind it: pretty-printed JSON";
            let help = "write one object per line: `jq -c . FILE`, `jq -c '.[]' FILE` of a list, \
                        or `jq -c '.NAME[]' FILE` of a list inside an object";
            let error = DataError::new(file, message, help);
            Err(BadRow { error: error.at(place), can_go_on: false })
        }
        Err(error) => {
            let text = error.to_string();
            let message = text.split(" at line ").next().unwrap_or_default();
            bad(format!("not valid JSON: {message}"), error.column())
        }
    }
}

/// Whether a line ends where a pretty-printer ends lines.
fn ends_open(text: &[u8]) -> bool {
    text.trim_ascii_end().last().is_some_and(|last| b"{[,".contains(last))
}

/// The fields of an object, each once: JSON parsers disagree about which of two is meant, so that a
/// column with two values cannot be asked for.
struct Fields(Map<String, Value>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EachOnce)
    }
}

struct EachOnce;

impl<'de> Visitor<'de> for EachOnce {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Fields, A::Error> {
        let mut fields = Map::new();
        while let Some((key, value)) = entries.next_entry::<String, Value>()? {
            match fields.entry(key) {
                Entry::Vacant(free) => drop(free.insert(value)),
                Entry::Occupied(field) if *field.get() == value => {}
                Entry::Occupied(mut field) => drop(field.insert(Unsayable::Twice.value())),
            }
        }
        Ok(Fields(fields))
    }
}
