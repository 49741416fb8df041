//! Values as Python writes them out, and as JSON.

use std::fmt::Write as _;

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Error, ErrorKind, Output, State};

/// Writes a value as Python's `str` does.
pub(super) fn written(
    out: &mut Output<'_>,
    _: &mut State<'_, '_>,
    value: &Value,
) -> Result<(), Error> {
    let text = text_of(value)?;
    out.write_str(&text).map_err(|error| Error::new(ErrorKind::WriteFailure, error.to_string()))
}

pub(super) fn text_of(value: &Value) -> Result<String, Error> {
    match (value.as_str(), value.kind()) {
        (Some(text), _) => Ok(text.to_owned()),
        (None, ValueKind::Undefined) => Ok(String::new()),
        _ => repr(value),
    }
}

/// Columns that `pprint` writes on one line.
const LINE: usize = 80;

/// Writes a value as Python's `pprint` does, with the keys of dictionaries in order, where it has
/// room on one line.
pub(super) fn pretty(value: &Value) -> Result<String, Error> {
    let text = repr(&sorted(value)?)?;
    if text.chars().count() > LINE {
        let what = "pprint of what has no room on one line is not known";
        return Err(Error::new(ErrorKind::InvalidOperation, what));
    }
    Ok(text)
}

fn sorted(value: &Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Map => {
            let mut keys: Vec<Value> = value.try_iter()?.collect();
            keys.sort();
            let pair = |key: Value| Ok((key.clone(), sorted(&value.get_item(&key)?)?));
            Ok(Value::from_pairs(keys.into_iter().map(pair).collect::<Result<Vec<_>, Error>>()?))
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter()?.map(|item| sorted(&item));
            Ok(Value::from(items.collect::<Result<Vec<_>, Error>>()?))
        }
        _ => Ok(value.clone()),
    }
}

/// Writes a value as Python's `repr` does.
pub(super) fn repr(value: &Value) -> Result<String, Error> {
    let list = |open: &str, parts: Vec<String>, close| format!("{open}{}{close}", parts.join(", "));
    Ok(match value.kind() {
        ValueKind::None => "None".to_owned(),
        ValueKind::Undefined => "Undefined".to_owned(),
        ValueKind::Bool => if value.is_true() { "True" } else { "False" }.to_owned(),
        ValueKind::String => quoted(value.as_str().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => {
            let parts = value.try_iter()?.map(|item| repr(&item));
            list("[", parts.collect::<Result<_, _>>()?, ']')
        }
        ValueKind::Map => {
            let part =
                |key: Value| Ok(format!("{}: {}", repr(&key)?, repr(&value.get_item(&key)?)?));
            list("{", value.try_iter()?.map(part).collect::<Result<_, Error>>()?, '}')
        }
        ValueKind::Number => number(value),
        _ => value.to_string(),
    })
}

fn number(value: &Value) -> String {
    match f64::try_from(value.clone()) {
        Ok(number) if !value.is_integer() => float(number),
        _ => value.to_string(),
    }
}

/// Writes a float as Python's `repr` does.
fn float(number: f64) -> String {
    let scientific = format!("{number:e}");
    match scientific.split_once('e').and_then(|(digits, power)| Some((digits, power.parse().ok()?)))
    {
        Some((digits, power)) if !(-4..16).contains(&power) => {
            let sign = if power < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", i32::abs(power))
        }
        Some(_) => format!("{number:?}"),
        None => number.to_string().to_lowercase(),
    }
}

/// Whether Python's `repr` writes a character by its number: controls, marks without width, and
/// all spaces but one.
fn is_escaped(c: char) -> bool {
    c.is_control()
        || c.is_whitespace() && c != ' '
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{e000}'..='\u{f8ff}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            _ if c == quote => out.extend(['\\', c]),
            _ if is_escaped(c) => {
                let _ = match u32::from(c) {
                    code @ ..0x100 => write!(out, "\\x{code:02x}"),
                    code => write!(out, "\\u{code:04x}"),
                };
            }
            _ => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// How JSON is laid out.
struct Layout {
    indent: Option<String>,
    between: String,
    behind_key: String,
    is_ascii: bool,
    is_sorted: bool,
}

/// Writes JSON as transformers' `tojson` does, which is Python's `json.dumps`.
#[expect(clippy::needless_pass_by_value, reason = "minijinja hands arguments over")]
pub(super) fn to_json(
    value: &Value,
    is_ascii: Option<Value>,
    indent: Option<Value>,
    options: Kwargs,
) -> Result<String, Error> {
    let is_ascii = is_ascii.or(options.get("ensure_ascii")?);
    let indent = indent.or(options.get("indent")?);
    let indent = indent.filter(|indent| !indent.is_none()).map(|indent| match indent.as_str() {
        Some(text) => text.to_owned(),
        None => " ".repeat(usize::try_from(indent).unwrap_or(0)),
    });
    let separators: Option<Vec<String>> = options.get("separators")?;
    let (between, behind_key) = match separators.as_deref() {
        Some([between, behind_key]) => (between.clone(), behind_key.clone()),
        _ => (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()),
    };
    let layout = Layout {
        indent,
        between,
        behind_key,
        is_ascii: is_ascii.is_some_and(|is_ascii| is_ascii.is_true()),
        is_sorted: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
    };
    options.assert_all_used()?;
    let mut out = String::new();
    layout.write(value, 0, &mut out)?;
    Ok(out)
}

impl Layout {
    fn write(&self, value: &Value, depth: usize, out: &mut String) -> Result<(), Error> {
        match value.kind() {
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => out.push_str(&match number(value).as_str() {
                "inf" => "Infinity".to_owned(),
                "-inf" => "-Infinity".to_owned(),
                "nan" => "NaN".to_owned(),
                number => number.to_owned(),
            }),
            ValueKind::String => self.text(value.as_str().unwrap_or_default(), out),
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.group(['[', ']'], &items, depth, out, |layout, item, out| {
                    layout.write(item, depth + 1, out)
                })?;
            }
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.is_sorted {
                    keys.sort();
                }
                self.group(['{', '}'], &keys, depth, out, |layout, key, out| {
                    if let Some(text) = key.as_str() {
                        layout.text(text, out);
                    } else {
                        let mut name = String::new();
                        layout.write(key, 0, &mut name)?;
                        layout.text(&name, out);
                    }
                    out.push_str(&layout.behind_key);
                    layout.write(&value.get_item(key)?, depth + 1, out)
                })?;
            }
            _ => {
                let what = format!("a value of kind {} is not JSON serializable", value.kind());
                return Err(Error::new(ErrorKind::InvalidOperation, what));
            }
        }
        Ok(())
    }

    fn group(
        &self,
        [open, close]: [char; 2],
        items: &[Value],
        depth: usize,
        out: &mut String,
        mut each: impl FnMut(&Self, &Value, &mut String) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let line = |depth: usize, out: &mut String| {
            if let Some(indent) = self.indent.as_ref().filter(|_| !items.is_empty()) {
                out.push('\n');
                out.push_str(&indent.repeat(depth));
            }
        };
        out.push(open);
        for (place, item) in items.iter().enumerate() {
            if place > 0 {
                out.push_str(&self.between);
            }
            line(depth + 1, out);
            each(self, item, out)?;
        }
        line(depth, out);
        out.push(close);
        Ok(())
    }

    fn text(&self, text: &str, out: &mut String) {
        let json = serde_json::Value::from(text).to_string();
        for c in json.chars() {
            if self.is_ascii && !c.is_ascii() {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            } else {
                out.push(c);
            }
        }
    }
}
