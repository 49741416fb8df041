//! What Python brings to Jinja and templates of the hub take for granted.

use std::io;

use minijinja::value::{Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};
use serde::Serialize as _;
use serde_json::Value as Json;
use serde_json::ser::Formatter;

/// Returns a template with what this Jinja does not know written as it knows it: a line that
/// goes on behind a backslash inside a text, and the blocks that mark a model's own words.
pub(super) fn translated(template: &str) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(start) = rest.find("{%").into_iter().chain(rest.find("{{")).min() {
        let (before, tag) = rest.split_at(start);
        let (tag, behind) = tag.split_at(tag_length(tag));
        text.push_str(before);
        let inside = tag.trim_start_matches("{%").trim_end_matches("%}");
        let word = inside.trim_matches(['-', '+']).trim();
        match word {
            "generation" => text.push_str(&tag.replace(word, "if true")),
            "endgeneration" => text.push_str(&tag.replace(word, "endif")),
            _ => text.push_str(&tag.replace("\\\n", "")),
        }
        rest = behind;
    }
    text + rest
}

/// Returns the length of the tag that a text begins with; a quoted text does not end a tag.
fn tag_length(text: &str) -> usize {
    let mut quote = None;
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(2) {
        match quote {
            Some(_) if is_escaped => is_escaped = false,
            Some(_) if c == '\\' => is_escaped = true,
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if text[at..].starts_with("%}") || text[at..].starts_with("}}") => return at + 2,
            _ => {}
        }
    }
    text.len()
}

/// Writes JSON as Python's `json.dumps` does, except that keys ascend.
pub(super) fn to_json(value: &Json) -> String {
    let mut text = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, PythonSpaces);
    value.serialize(&mut serializer).expect("a JSON value is JSON");
    String::from_utf8(text).expect("JSON is UTF-8")
}

/// A space after each comma and colon.
struct PythonSpaces;

impl Formatter for PythonSpaces {
    fn begin_array_value<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

/// The methods of Python's strings and dictionaries that templates of the hub use.
pub(super) fn method(
    _: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    if value.kind() == ValueKind::Map {
        return dictionary_method(value, method, args);
    }
    let Some(text) = value.as_str() else {
        return Err(Error::from(ErrorKind::UnknownMethod));
    };
    let chars = |args: &[Value]| -> Result<Option<String>, Error> {
        let (chars,): (Option<String>,) = from_args(args)?;
        Ok(chars)
    };
    let is_cut = |chars: &Option<String>, c: char| match chars {
        Some(chars) => chars.contains(c),
        None => c.is_whitespace(),
    };
    Ok(match method {
        "strip" => {
            let chars = chars(args)?;
            Value::from(text.trim_matches(|c| is_cut(&chars, c)))
        }
        "lstrip" => {
            let chars = chars(args)?;
            Value::from(text.trim_start_matches(|c| is_cut(&chars, c)))
        }
        "rstrip" => {
            let chars = chars(args)?;
            Value::from(text.trim_end_matches(|c| is_cut(&chars, c)))
        }
        "startswith" => {
            let (prefix,): (String,) = from_args(args)?;
            Value::from(text.starts_with(&prefix))
        }
        "endswith" => {
            let (suffix,): (String,) = from_args(args)?;
            Value::from(text.ends_with(&suffix))
        }
        "replace" => {
            let (from, to): (String, String) = from_args(args)?;
            Value::from(text.replace(&from, &to))
        }
        "split" => {
            let (separator, n_cuts): (Option<String>, Option<i64>) = from_args(args)?;
            // Python cuts without limit where the limit is negative.
            let n_parts = n_cuts
                .and_then(|n| usize::try_from(n).ok())
                .map_or(usize::MAX, |n| n.saturating_add(1));
            let parts: Vec<Value> = match separator.filter(|separator| !separator.is_empty()) {
                Some(separator) => text.splitn(n_parts, &separator).map(Value::from).collect(),
                None if n_cuts.is_none() => text.split_whitespace().map(Value::from).collect(),
                None => return Err(Error::from(ErrorKind::TooManyArguments)),
            };
            Value::from(parts)
        }
        "upper" => Value::from(text.to_uppercase()),
        "lower" => Value::from(text.to_lowercase()),
        "title" | "capitalize" => {
            let mut letters = text.chars();
            let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
            Value::from(first + &letters.as_str().to_lowercase())
        }
        _ => return Err(Error::from(ErrorKind::UnknownMethod)),
    })
}

fn dictionary_method(value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    match method {
        "get" => {
            let (key, default): (Value, Option<Value>) = from_args(args)?;
            let found = value.get_item(&key)?;
            let missing = || default.unwrap_or_else(|| Value::from(()));
            Ok(if found.is_undefined() { missing() } else { found })
        }
        "keys" => Ok(value.try_iter()?.collect()),
        "items" => value
            .try_iter()?
            .map(|key| Ok(Value::from(vec![key.clone(), value.get_item(&key)?])))
            .collect::<Result<Vec<_>, Error>>()
            .map(Value::from),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}
