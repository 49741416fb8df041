//! The methods of Python's texts.

use minijinja::value::{Kwargs, Value, from_args};
use minijinja::{Error, ErrorKind};

use crate::chat_template::python::formatted::braces;

/// Calls a method of Python's texts.
pub(super) fn text_method(text: &str, name: &str, args: &[Value]) -> Result<Value, Error> {
    let one = || from_args::<(String,)>(args).map(|(argument,)| argument);
    let is_all = |is: fn(char) -> bool| !text.is_empty() && text.chars().all(is);
    Ok(match name {
        "strip" | "lstrip" | "rstrip" => {
            let (chars,): (Option<String>,) = from_args(args)?;
            let is_cut = |c: char| chars.as_ref().map_or(is_space(c), |cut| cut.contains(c));
            Value::from(match name {
                "strip" => text.trim_matches(is_cut),
                "lstrip" => text.trim_start_matches(is_cut),
                _ => text.trim_end_matches(is_cut),
            })
        }
        "startswith" | "endswith" | "find" | "rfind" | "index" | "rindex" | "count" => {
            searched(text, name, args)?
        }
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
            let lines = lines(text).into_iter();
            let kept = |(line, end): (&str, &str)| match keep {
                Some(true) => Value::from(format!("{line}{end}")),
                _ => Value::from(line),
            };
            lines.map(kept).collect()
        }
        "join" => {
            let (items,): (Value,) = from_args(args)?;
            let parts = items.try_iter()?.map(|item| {
                let wrong = || Error::new(ErrorKind::InvalidOperation, "join takes texts alone");
                item.as_str().map(str::to_owned).ok_or_else(wrong)
            });
            Value::from(parts.collect::<Result<Vec<_>, _>>()?.join(text))
        }
        "upper" => Value::from(text.to_uppercase()),
        "lower" => Value::from(text.to_lowercase()),
        "casefold" => Value::from(text.to_lowercase().replace('ß', "ss")),
        "swapcase" => {
            let swapped = |c: char| -> String {
                if c.is_uppercase() {
                    c.to_lowercase().collect()
                } else {
                    c.to_uppercase().collect()
                }
            };
            Value::from(text.chars().map(swapped).collect::<String>())
        }
        "expandtabs" => {
            let (width,): (Option<usize>,) = from_args(args)?;
            Value::from(without_tabs(text, width.unwrap_or(8)))
        }
        "title" => Value::from(title(text)),
        "capitalize" => {
            let mut letters = text.chars();
            let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
            Value::from(first + &letters.as_str().to_lowercase())
        }
        "isnumeric" => Value::from(is_all(char::is_numeric)),
        "isdigit" | "isdecimal" => Value::from(is_all(is_decimal)),
        "isalpha" => Value::from(is_all(char::is_alphabetic)),
        "isalnum" => Value::from(is_all(char::is_alphanumeric)),
        "isspace" => Value::from(is_all(is_space)),
        "isascii" => Value::from(text.is_ascii()),
        "istitle" => Value::from(text.chars().any(char::is_alphabetic) && title(text) == text),
        "isupper" => Value::from(text != text.to_lowercase() && text == text.to_uppercase()),
        "islower" => Value::from(text != text.to_uppercase() && text == text.to_lowercase()),
        "format" => Value::from(braces(text, args)?),
        "zfill" | "ljust" | "rjust" | "center" => padded(text, name, args)?,
        _ => return Err(Error::from(ErrorKind::UnknownMethod)),
    })
}

/// Calls a method that looks for a text, in the whole one or in a part of it.
fn searched(text: &str, name: &str, args: &[Value]) -> Result<Value, Error> {
    let (wanted, from, to): (Value, Option<i64>, Option<i64>) = from_args(args)?;
    let part = slice(text, from, to);
    if let "startswith" | "endswith" = name {
        let affixes = affixes(&wanted)?;
        return Ok(Value::from(part.is_some_and(|(_, part)| match name {
            "startswith" => affixes.iter().any(|affix| part.starts_with(affix)),
            _ => affixes.iter().any(|affix| part.ends_with(affix)),
        })));
    }
    let wanted = wanted.as_str().ok_or_else(|| not_a_text("what is looked for"))?;
    if name == "count" {
        return Ok(Value::from(part.map_or(0, |(_, part)| part.matches(wanted).count())));
    }
    let at = part.and_then(|(start, part)| {
        let at = if name.starts_with('r') { part.rfind(wanted) } else { part.find(wanted) };
        Some(start + at?)
    });
    match at {
        Some(at) => Ok(Value::from(text[..at].chars().count())),
        None if name.ends_with("index") => {
            Err(Error::new(ErrorKind::InvalidOperation, "substring not found"))
        }
        None => Ok(Value::from(-1)),
    }
}

/// Whether a character is white space to Python, to which the separators of ASCII are as well.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// Whether a character is a digit: neither a fraction, nor raised, encircled or a letter.
fn is_decimal(c: char) -> bool {
    c.is_numeric()
        && !matches!(c, '²' | '³' | '¹' | '¼'..='¾' | '\u{2070}'..='\u{218b}' | '\u{2460}'..='\u{24ff}'
            | '\u{2776}'..='\u{2793}' | '\u{3007}'..='\u{33ff}')
}

fn not_a_text(what: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("{what} is not a text"))
}

/// Reads what `startswith` takes: a text, or several.
fn affixes(affix: &Value) -> Result<Vec<String>, Error> {
    let text = |affix: &Value| affix.as_str().map(str::to_owned);
    match text(affix) {
        Some(text) => Ok(vec![text]),
        None => affix
            .try_iter()?
            .map(|affix| text(&affix).ok_or_else(|| not_a_text("an affix")))
            .collect(),
    }
}

/// Returns a part of a text by its characters, counted from its end where below 0, and where it begins in bytes; `None` where it would
/// begin behind its end.
fn slice(text: &str, from: Option<i64>, to: Option<i64>) -> Option<(usize, &str)> {
    let n = text.chars().count();
    let place = |at: i64| {
        let at = if at < 0 {
            at.saturating_add(i64::try_from(n).unwrap_or(i64::MAX)).max(0)
        } else {
            at
        };
        usize::try_from(at).unwrap_or(usize::MAX)
    };
    let (from, to) = (from.map_or(0, place), to.map_or(n, place).min(n));
    if from > to {
        return None;
    }
    let byte = |place: usize| text.char_indices().nth(place).map_or(text.len(), |(at, _)| at);
    Some((byte(from), &text[byte(from)..byte(to)]))
}

/// Cuts a text into lines and what ends them, as Python does.
pub(super) fn lines(text: &str) -> Vec<(&str, &str)> {
    const ENDS: [char; 10] = [
        '\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}',
        '\u{2029}',
    ];
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(ENDS) {
        let (line, behind) = rest.split_at(at);
        let first = behind.chars().next().map_or(0, char::len_utf8);
        let (end, behind) = behind.split_at(if behind.starts_with("\r\n") { 2 } else { first });
        lines.push((line, end));
        rest = behind;
    }
    if !rest.is_empty() {
        lines.push((rest, ""));
    }
    lines
}

/// Writes blanks for tabs, up to the next multiple of a width.
fn without_tabs(text: &str, width: usize) -> String {
    let mut out = String::with_capacity(text.len());
    let mut column = 0;
    for c in text.chars() {
        if c == '\t' {
            let n = if width == 0 { 0 } else { width - column % width };
            out.push_str(&" ".repeat(n));
            column += n;
        } else {
            out.push(c);
            column = if matches!(c, '\n' | '\r') { 0 } else { column + 1 };
        }
    }
    out
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
        rest = if from_end {
            rest.trim_end_matches(is_space)
        } else {
            rest.trim_start_matches(is_space)
        };
        if rest.is_empty() {
            break;
        }
        let cut = if from_end {
            rest.char_indices().rev().find(|(_, c)| is_space(*c))
        } else {
            rest.char_indices().find(|(_, c)| is_space(*c))
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
    with_capitals(text, char::is_alphabetic)
}

/// Begins each word with a capital; `goes_on` says of a character whether the word does behind it.
pub(super) fn with_capitals(text: &str, goes_on: impl Fn(char) -> bool) -> String {
    let mut is_inside = false;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_inside {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        is_inside = goes_on(c);
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
