//! Texts with fields, filled as Python's `%` and `str.format` fill them.

use std::slice;

use minijinja::formatting::{FormatStyle, format};
use minijinja::value::{Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Error, ErrorKind};

use crate::chat_template::python::written::{repr, text_of};

fn refused(what: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}

/// Fills a text as `text % args` does.
pub(super) fn percent(value: &Value, args: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let text = text_of(value)?;
    let args = args.into_values();
    let is_by_name = args.last().is_some_and(|last| last.kind() == ValueKind::Map);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    let mut n_taken = 0;
    while let Some((before, field)) = rest.split_once('%') {
        out.push_str(before);
        let name = field.strip_prefix('(').and_then(|inside| inside.split_once(')'));
        let field = name.map_or(field, |(_, behind)| behind);
        let is_flag = |c: char| c.is_ascii_digit() || "-+ #.hlL".contains(c);
        let (flags, behind) = field.split_at(field.len() - field.trim_start_matches(is_flag).len());
        let kind = behind.chars().next().ok_or_else(|| refused("incomplete format"))?;
        rest = &behind[kind.len_utf8()..];
        if kind == '%' && flags.is_empty() {
            out.push('%');
            continue;
        }
        // A width that is an argument.
        if kind == '*' {
            return format(FormatStyle::Printf, &text, &args);
        }
        let given = match name {
            Some((name, _)) => args.last().and_then(|names| names.get_item(&name.into()).ok()),
            None => args.get(n_taken).cloned(),
        };
        n_taken += usize::from(name.is_none());
        let missing = || refused("not enough arguments for format string");
        let given = given.filter(|value| name.is_none() || !value.is_undefined());
        let given = given.ok_or_else(missing)?;
        let (kind, given) = match kind {
            's' => ('s', Value::from(text_of(&given)?)),
            'r' => ('s', Value::from(repr(&given)?)),
            'd' | 'i' | 'u' => ('d', whole(given)),
            kind => (kind, given),
        };
        out += &format(FormatStyle::Printf, &format!("%{flags}{kind}"), &[given])?;
    }
    if n_taken < args.len() && !is_by_name {
        return Err(refused("not all arguments converted during string formatting"));
    }
    Ok(out + rest)
}

/// Cuts a number to a whole one.
fn whole(value: Value) -> Value {
    match f64::try_from(value.clone()) {
        Ok(number) if value.is_number() && !value.is_integer() && number.is_finite() => {
            Value::from(number.trunc() as i128)
        }
        _ => value,
    }
}

/// Fills a text as `text.format(args)` does.
pub(super) fn braces(text: &str, args: &[Value]) -> Result<String, Error> {
    let (names, given) = match args.split_last() {
        Some((last, first)) if last.is_kwargs() => (Some(last), first),
        _ => (None, args),
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut n_taken = 0;
    while let Some(at) = rest.find(['{', '}']) {
        let (brace, behind) = (&rest[at..=at], &rest[at + 1..]);
        out.push_str(&rest[..at]);
        if let Some(behind) = behind.strip_prefix(brace) {
            out.push_str(brace);
            rest = behind;
            continue;
        }
        let (field, behind) = behind
            .split_once('}')
            .filter(|_| brace == "{")
            .ok_or_else(|| refused("a single brace in a format string"))?;
        // A width that is an argument.
        if field.contains('{') {
            return format(FormatStyle::StrFormat, text, args);
        }
        rest = behind;
        let (field, spec) = field.split_once(':').unwrap_or((field, ""));
        let (path, conversion) = field.split_once('!').unwrap_or((field, ""));
        let (name, path) = path.split_at(path.find(['.', '[']).unwrap_or(path.len()));
        let value = match name.parse::<usize>() {
            Ok(place) => given.get(place).cloned(),
            Err(_) if name.is_empty() => {
                n_taken += 1;
                given.get(n_taken - 1).cloned()
            }
            Err(_) => names
                .and_then(|names| names.get_item(&name.into()).ok())
                .filter(|value| !value.is_undefined()),
        };
        let value = value.ok_or_else(|| refused("a field without an argument"))?;
        let value = inside(value, path)?;
        let value = match conversion {
            "" => value,
            "s" => Value::from(text_of(&value)?),
            "r" => Value::from(repr(&value)?),
            _ => return Err(refused("an unknown conversion of a field")),
        };
        out += &field_of(&value, spec)?;
    }
    Ok(out + rest)
}

/// Follows `.name` and `[key]`.
fn inside(mut value: Value, mut path: &str) -> Result<Value, Error> {
    while !path.is_empty() {
        let unclosed = || refused("a field's bracket is not closed");
        let (key, behind) = if let Some(key) = path.strip_prefix('[') {
            key.split_once(']').ok_or_else(unclosed)?
        } else {
            let name = &path[1..];
            name.split_at(name.find(['.', '[']).unwrap_or(name.len()))
        };
        value = match key.parse::<usize>() {
            Ok(place) => value.get_item(&Value::from(place))?,
            Err(_) => value.get_item(&Value::from(key))?,
        };
        path = behind;
    }
    Ok(value)
}

fn field_of(value: &Value, spec: &str) -> Result<String, Error> {
    match (spec, spec.strip_suffix('%')) {
        ("", _) => text_of(value),
        (_, Some(spec)) => {
            let part = spec.trim_start_matches(['+', '-', ' ', ',']);
            if !part.is_empty() && !part.starts_with('.') {
                return Err(refused("a width of a field in percent is not known"));
            }
            let hundredths = Value::from(f64::try_from(value.clone())? * 100.0);
            Ok(format(FormatStyle::StrFormat, &format!("{{:{spec}f}}"), &[hundredths])? + "%")
        }
        _ => format(FormatStyle::StrFormat, &format!("{{:{spec}}}"), slice::from_ref(value)),
    }
}
