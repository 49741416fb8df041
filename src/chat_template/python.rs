//! What Python's Jinja, as transformers sets it up, does that this one does not.
//!
//! | Python | this Jinja alone | here |
//! |---|---|---|
//! | CR LF and CR in a template are LF | they stay | [`translated`] |
//! | `\` at a line's end inside a text joins lines | an error | [`translated`] |
//! | `{% generation %}` of transformers | an error | [`translated`] |
//! | `'%s' % x` formats | an error | [`translated`]: behind a literal; behind a variable an error still |
//! | `True`, `None`, `['a']`, `{'a': 1}` are written so | `true`, `none`, `["a"]` | [`written`] |
//! | `tojson` has a space behind comma and colon, keeps `<` and order, takes `indent` | none of it | [`to_json`] |
//! | none and numbers are not iterable, texts are sequences | the other way round | [`is_iterable`], [`is_sequence`] |
//! | texts, lists and dictionaries have methods | they have none | [`method`] |
//! | methods that change a list or dictionary are refused | likewise | an unknown method |

use std::fmt::Write as _;

use minijinja::formatting::{FormatStyle, format};
use minijinja::value::{Kwargs, Value, ValueKind, from_args};
use minijinja::{Environment, Error, ErrorKind, Output, State};

/// Brings an environment to what templates of the hub take for granted.
pub(super) fn extend(environment: &mut Environment<'_>) {
    environment.add_filter("tojson", to_json);
    environment.add_filter("string", |value: &Value| text_of(value));
    environment.add_test("iterable", |value: &Value| is_iterable(value));
    environment.add_test("sequence", |value: &Value| is_sequence(value));
    environment.set_formatter(written);
    environment.set_unknown_method_callback(method);
}

/// Returns a template with what this Jinja does not know written as it knows it.
pub(super) fn translated(template: &str) -> String {
    let template = template.replace("\r\n", "\n").replace('\r', "\n");
    let mut text = String::with_capacity(template.len());
    let mut rest = template.as_str();
    while let Some(start) = ["{%", "{{", "{#"].iter().filter_map(|open| rest.find(open)).min() {
        let (before, tag) = rest.split_at(start);
        text.push_str(before);
        if tag.starts_with("{#") {
            let end = tag.find("#}").map_or(tag.len(), |end| end + 2);
            text.push_str(&tag[..end]);
            rest = &tag[end..];
            continue;
        }
        let (tag, behind) = tag.split_at(tag_length(tag));
        let inside = tag.trim_start_matches("{%").trim_end_matches("%}");
        let word = inside.trim_matches(['-', '+']).trim();
        match word {
            "generation" => text.push_str(&tag.replace(word, "if true")),
            "endgeneration" => text.push_str(&tag.replace(word, "endif")),
            _ => text.push_str(&with_percent(&tag.replace("\\\n", ""))),
        }
        rest = behind;
    }
    text + rest
}

/// Returns the length of the tag that a text begins with; a quoted text does not end a tag.
fn tag_length(text: &str) -> usize {
    let mut at = 2;
    while let Some(c) = text[at..].chars().next() {
        if matches!(c, '"' | '\'') {
            at += quoted_length(&text[at..]);
            continue;
        }
        if text[at..].starts_with("%}") || text[at..].starts_with("}}") && !text.starts_with("{%") {
            return at + 2;
        }
        at += c.len_utf8();
    }
    text.len()
}

/// Returns the length of the quoted text that stands at the beginning.
fn quoted_length(text: &str) -> usize {
    let quote = text.chars().next();
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if Some(c) == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Writes `'…' % x` as `'…'|format(x)`, which is the same.
fn with_percent(tag: &str) -> String {
    let mut text = String::with_capacity(tag.len());
    let mut rest = tag;
    while let Some(start) = rest.find(['"', '\'']) {
        let end = start + quoted_length(&rest[start..]);
        text.push_str(&rest[..end]);
        rest = &rest[end..];
        let Some(operand) = rest.trim_start().strip_prefix('%') else { continue };
        if operand.starts_with('}') {
            continue;
        }
        let operand = operand.trim_start();
        let length = operand_length(operand);
        let arguments = &operand[..length];
        let bare = arguments.strip_prefix('(').and_then(|inside| inside.strip_suffix(')'));
        text.push_str("|format(");
        text.push_str(bare.unwrap_or(arguments));
        text.push(')');
        rest = &operand[length..];
    }
    text + rest
}

/// Returns the length of a value: a name or text with what it is asked for, or a bracket.
fn operand_length(text: &str) -> usize {
    let mut at = 0;
    let mut depth = 0_usize;
    while let Some(c) = text[at..].chars().next() {
        match c {
            '"' | '\'' => {
                at += quoted_length(&text[at..]);
                continue;
            }
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            _ if depth > 0 || c.is_alphanumeric() || matches!(c, '_' | '.') => {}
            _ => break,
        }
        at += c.len_utf8();
    }
    at
}

/// Writes a value as Python's `str` does.
fn written(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let text = text_of(value)?;
    out.write_str(&text).map_err(|error| Error::new(ErrorKind::WriteFailure, error.to_string()))
}

fn text_of(value: &Value) -> Result<String, Error> {
    match (value.as_str(), value.kind()) {
        (Some(text), _) => Ok(text.to_owned()),
        (None, ValueKind::Undefined) => Ok(String::new()),
        _ => repr(value),
    }
}

/// Writes a value as Python's `repr` does.
fn repr(value: &Value) -> Result<String, Error> {
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
        _ => value.to_string(),
    })
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
            _ if c.is_ascii_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out.push(quote);
    out
}

fn is_iterable(value: &Value) -> bool {
    !value.is_none() && value.try_iter().is_ok()
}

fn is_sequence(value: &Value) -> bool {
    matches!(
        value.kind(),
        ValueKind::String | ValueKind::Seq | ValueKind::Map | ValueKind::Undefined
    )
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
fn to_json(value: &Value, indent: Option<Value>, options: Kwargs) -> Result<String, Error> {
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
        is_ascii: options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
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
            ValueKind::Number => out.push_str(&value.to_string()),
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

/// The methods of Python's texts, lists and dictionaries that change nothing.
fn method(
    _: &mut State<'_, '_>,
    value: &Value,
    name: &str,
    args: &[Value],
) -> Result<Value, Error> {
    match (value.kind(), value.as_str()) {
        (ValueKind::Map, _) => dictionary_method(value, name, args),
        (ValueKind::Seq, _) => list_method(value, name, args),
        (_, Some(text)) => text_method(text, name, args),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn text_method(text: &str, name: &str, args: &[Value]) -> Result<Value, Error> {
    let one = || from_args::<(String,)>(args).map(|(argument,)| argument);
    let is_all = |is: fn(char) -> bool| !text.is_empty() && text.chars().all(is);
    let place = |at: Option<usize>| match at {
        Some(at) => i64::try_from(text[..at].chars().count()).unwrap_or(i64::MAX),
        None => -1,
    };
    Ok(match name {
        "strip" | "lstrip" | "rstrip" => {
            let (chars,): (Option<String>,) = from_args(args)?;
            let is_cut = |c: char| chars.as_ref().map_or(c.is_whitespace(), |cut| cut.contains(c));
            Value::from(match name {
                "strip" => text.trim_matches(is_cut),
                "lstrip" => text.trim_start_matches(is_cut),
                _ => text.trim_end_matches(is_cut),
            })
        }
        "startswith" => Value::from(affixes(args)?.iter().any(|affix| text.starts_with(affix))),
        "endswith" => Value::from(affixes(args)?.iter().any(|affix| text.ends_with(affix))),
        "removeprefix" => Value::from(text.strip_prefix(&one()?).unwrap_or(text)),
        "removesuffix" => Value::from(text.strip_suffix(&one()?).unwrap_or(text)),
        "replace" => {
            let (from, to, n): (String, String, Option<i64>) = from_args(args)?;
            match n.and_then(|n| usize::try_from(n).ok()) {
                Some(n) => Value::from(text.replacen(&from, &to, n)),
                None => Value::from(text.replace(&from, &to)),
            }
        }
        "split" | "rsplit" => split(text, name == "rsplit", args)?,
        "partition" => parts(text, text.find(&one()?), &one()?, true),
        "rpartition" => parts(text, text.rfind(&one()?), &one()?, false),
        "splitlines" => {
            let (keep,): (Option<bool>,) = from_args(args)?;
            let lines = text.split_inclusive('\n');
            let cut = |line: &str| line.trim_end_matches('\n').trim_end_matches('\r').to_owned();
            if keep == Some(true) {
                lines.map(Value::from).collect()
            } else {
                lines.map(|line| Value::from(cut(line))).collect()
            }
        }
        "join" => {
            let (items,): (Value,) = from_args(args)?;
            let parts = items.try_iter()?.map(|item| {
                let wrong = || Error::new(ErrorKind::InvalidOperation, "join takes texts alone");
                item.as_str().map(str::to_owned).ok_or_else(wrong)
            });
            Value::from(parts.collect::<Result<Vec<_>, _>>()?.join(text))
        }
        "find" => Value::from(place(text.find(&one()?))),
        "rfind" => Value::from(place(text.rfind(&one()?))),
        "index" | "rindex" => {
            let wanted = one()?;
            let at = if name == "index" { text.find(&wanted) } else { text.rfind(&wanted) };
            at.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "substring not found"))?;
            Value::from(place(at))
        }
        "count" => Value::from(text.matches(&one()?).count()),
        "upper" => Value::from(text.to_uppercase()),
        "lower" | "casefold" => Value::from(text.to_lowercase()),
        "title" => Value::from(title(text)),
        "capitalize" => {
            let mut letters = text.chars();
            let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
            Value::from(first + &letters.as_str().to_lowercase())
        }
        "isdigit" | "isnumeric" | "isdecimal" => Value::from(is_all(char::is_numeric)),
        "isalpha" => Value::from(is_all(char::is_alphabetic)),
        "isalnum" => Value::from(is_all(char::is_alphanumeric)),
        "isspace" => Value::from(is_all(char::is_whitespace)),
        "isupper" => Value::from(text != text.to_lowercase() && text == text.to_uppercase()),
        "islower" => Value::from(text != text.to_uppercase() && text == text.to_lowercase()),
        "format" => Value::from(format(FormatStyle::StrFormat, text, args)?),
        "zfill" | "ljust" | "rjust" | "center" => padded(text, name, args)?,
        _ => return Err(Error::from(ErrorKind::UnknownMethod)),
    })
}

/// Reads what `startswith` takes: a text, or several.
fn affixes(args: &[Value]) -> Result<Vec<String>, Error> {
    let (affix,): (Value,) = from_args(args)?;
    match affix.as_str() {
        Some(text) => Ok(vec![text.to_owned()]),
        None => affix
            .try_iter()?
            .map(|affix| affix.as_str().map(str::to_owned).ok_or(ErrorKind::InvalidOperation))
            .collect::<Result<_, _>>()
            .map_err(Error::from),
    }
}

fn split(text: &str, from_end: bool, args: &[Value]) -> Result<Value, Error> {
    let (options, args) = match args.split_last() {
        Some((last, first)) => match Kwargs::try_from(last.clone()) {
            Ok(options) if last.is_kwargs() => (Some(options), first),
            _ => (None, args),
        },
        None => (None, args),
    };
    let (separator, n_cuts): (Option<Value>, Option<i64>) = from_args(args)?;
    let n_cuts = n_cuts.or(options.as_ref().and_then(|options| options.get("maxsplit").ok()));
    let separator = separator.or(options.as_ref().and_then(|options| options.get("sep").ok()));
    let separator = separator.filter(|separator| !separator.is_none());
    // Python cuts without limit where the limit is negative.
    let n_cuts = n_cuts.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    let mut parts: Vec<&str> = match separator.as_ref().map(|separator| separator.as_str()) {
        Some(Some("")) => return Err(Error::new(ErrorKind::InvalidOperation, "empty separator")),
        Some(Some(separator)) if from_end => {
            let mut parts: Vec<_> = text.rsplitn(n_cuts.saturating_add(1), separator).collect();
            parts.reverse();
            parts
        }
        Some(Some(separator)) => text.splitn(n_cuts.saturating_add(1), separator).collect(),
        Some(None) => {
            return Err(Error::new(ErrorKind::InvalidOperation, "a separator is a text or none"));
        }
        None => words(text, n_cuts, from_end),
    };
    Ok(parts.drain(..).map(Value::from).collect())
}

/// Cuts at white space; what is left behind the last cut keeps its own.
fn words(text: &str, n_cuts: usize, from_end: bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        rest = if from_end { rest.trim_end() } else { rest.trim_start() };
        if rest.is_empty() {
            break;
        }
        let cut = if from_end {
            rest.char_indices().rev().find(|(_, c)| c.is_whitespace())
        } else {
            rest.char_indices().find(|(_, c)| c.is_whitespace())
        };
        let Some((at, c)) = cut.filter(|_| parts.len() < n_cuts) else {
            parts.push(rest);
            break;
        };
        let (before, behind) = (&rest[..at], &rest[at + c.len_utf8()..]);
        parts.push(if from_end { behind } else { before });
        rest = if from_end { before } else { behind };
    }
    if from_end {
        parts.reverse();
    }
    parts
}

fn parts(text: &str, at: Option<usize>, separator: &str, from_start: bool) -> Value {
    let found = match at {
        Some(at) => [&text[..at], separator, &text[at + separator.len()..]],
        None if from_start => [text, "", ""],
        None => ["", "", text],
    };
    found.into_iter().map(Value::from).collect()
}

fn title(text: &str) -> String {
    let mut is_inside = false;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_inside {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        is_inside = c.is_alphabetic();
    }
    out
}

fn padded(text: &str, name: &str, args: &[Value]) -> Result<Value, Error> {
    let (width, fill): (usize, Option<String>) = from_args(args)?;
    let missing = width.saturating_sub(text.chars().count());
    let fill = fill.unwrap_or_else(|| if name == "zfill" { "0" } else { " " }.to_owned());
    let pad = |n: usize| fill.repeat(n);
    Ok(Value::from(match name {
        "ljust" => text.to_owned() + &pad(missing),
        // Python puts the odd blank in front where the width is odd.
        "center" => {
            let left = missing / 2 + (missing & width & 1);
            pad(left) + text + &pad(missing - left)
        }
        "zfill" if text.starts_with(['-', '+']) => {
            format!("{}{}{}", &text[..1], pad(missing), &text[1..])
        }
        _ => pad(missing) + text,
    }))
}

fn list_method(value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    let (wanted,): (Value,) = match name {
        "index" | "count" => from_args(args)?,
        _ => return Err(Error::from(ErrorKind::UnknownMethod)),
    };
    let mut items = value.try_iter()?;
    match name {
        "count" => Ok(Value::from(items.filter(|item| *item == wanted).count())),
        _ => items
            .position(|item| item == wanted)
            .map(Value::from)
            .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "the value is not in the list")),
    }
}

fn dictionary_method(value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    match name {
        "get" => {
            let (key, default): (Value, Option<Value>) = from_args(args)?;
            let found = value.get_item(&key)?;
            let missing = || default.unwrap_or_else(|| Value::from(()));
            Ok(if found.is_undefined() { missing() } else { found })
        }
        "keys" => Ok(value.try_iter()?.collect()),
        "values" => value
            .try_iter()?
            .map(|key| value.get_item(&key))
            .collect::<Result<Vec<_>, _>>()
            .map(Value::from),
        "items" => value
            .try_iter()?
            .map(|key| Ok(Value::from(vec![key.clone(), value.get_item(&key)?])))
            .collect::<Result<Vec<_>, Error>>()
            .map(Value::from),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;

    fn render(template: &str) -> Result<String, Error> {
        let mut environment = Environment::new();
        extend(&mut environment);
        environment.add_template_owned("t", translated(template))?;
        environment.get_template("t")?.render(context! { none => (), x => "ab", n => 3 })
    }

    #[test]
    fn templates_render_as_pythons_jinja_renders_them() {
        // The expected texts were rendered with transformers 5.24 and Jinja2 3.1.6.
        let check = |template: &str, expected: &str| {
            assert_eq!(render(template).unwrap(), expected, "{template}");
        };
        check("{{ 'user name'.title() }} {{ 'uSER nAME'.capitalize() }}", "User Name User name");
        check(
            "{{ 'a b  c '.split(None, 1) }} {{ ' a b'.rsplit(None, 1) }}",
            "['a', 'b  c '] [' a', 'b']",
        );
        check(
            "{{ 'a-b-c'.split('-', maxsplit=1) }} {{ 'a-b-c'.rsplit('-', 1) }}",
            "['a', 'b-c'] ['a-b', 'c']",
        );
        check("{{ 'a-b-c'.partition('-')[2] }} {{ 'a-b-c'.rpartition('-')[0] }}", "b-c a-b");
        check(
            "{{ {'name': 1, 'arguments': [2.0, none, true]}|tojson }}",
            "{\"name\": 1, \"arguments\": [2.0, null, true]}",
        );
        check(
            "{{ {'a': [1], 'b': []}|tojson(indent=2) }}",
            "{\n  \"a\": [\n    1\n  ],\n  \"b\": []\n}",
        );
        check("{{ '<é>'|tojson }} {{ 'é'|tojson(ensure_ascii=true) }}", "\"<é>\" \"\\u00e9\"");
        check(
            "{{ {'b': 1, 'a': 2}|tojson(separators=(',', ':'), sort_keys=true) }}",
            "{\"a\":2,\"b\":1}",
        );
        check("{% for k, v in {'b': 1, 'a': 2}.items() %}{{ k }}{{ v }}{% endfor %}", "b1a2");
        check(
            "{{ 'user'.startswith(('sys', 'us')) }} {{ none }} {{ ['a', \"it's\", {'b': false}] }}",
            "True None ['a', \"it's\", {'b': False}]",
        );
        check(
            "{{ none is iterable }} {{ 3 is iterable }} {{ 'a' is sequence }} {{ {} is mapping }}",
            "False False True True",
        );
        check(
            "{{ '%s is %d' % (x, n) }} {{ '%s' % x.upper() }} {{ '{} {}'.format(x, n) }}",
            "ab is 3 AB ab 3",
        );
        check("{{ n % 2 }}{% if n % 2 == 1 %}odd{% endif %}{# it's #}{{ '%' }}", "1odd%");
        check("a\r\n{{ x }}\rb", "a\nab\nb");
        check(
            "{{ {'a': {'b': 1}} }} {{ [1, 2].index(2) }} {{ {'a': 1}.get('c', 'd') }}",
            "{'a': {'b': 1}} 1 d",
        );
        check(
            "{{ 'a\\nb'.splitlines() }} {{ '7'.zfill(3) }} {{ 'ab'.center(5) }}|",
            "['a', 'b'] 007   ab |",
        );
        check(
            "{{ '-'.join(['a', 'b']) }} {{ 'abcb'.find('b') }} {{ 'abcb'.count('b') }}",
            "a-b 1 2",
        );
        check(
            "{{ 'x.y'.removesuffix('.y') }} {{ '12'.isdigit() }} {{ (true|string) + '!' }}",
            "x True True!",
        );
    }

    #[test]
    fn what_pythons_jinja_refuses_is_refused() {
        for template in [
            "{{ [1].append(2) }}",
            "{{ {}.update({}) }}",
            "{{ 'a'.nope() }}",
            "{{ missing|tojson }}",
            "{{ 'a'.split('') }}",
            "{{ 'a'.index('b') }}",
            "{{ 'a' + 1 }}",
            "{{ ','.join([1]) }}",
        ] {
            assert!(render(template).is_err(), "{template}");
        }
    }
}
