//! Filters of Jinja as Python has them.

use minijinja::value::{Kwargs, Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Error, ErrorKind};

use crate::chat_template::python::text::{is_space, lines, text_method, with_capitals};
use crate::chat_template::python::written::text_of;

/// Returns a filter's arguments in their order, those that are given by name among them.
pub(super) fn in_order<const N: usize>(
    args: Rest<ValueOrKwargs>,
    names: [&str; N],
) -> Result<[Option<Value>; N], Error> {
    let mut by_place = args.into_values();
    let by_name = by_place.pop_if(|last| last.is_kwargs()).map(Kwargs::try_from).transpose()?;
    if by_place.len() > N {
        return Err(Error::from(ErrorKind::TooManyArguments));
    }
    let mut given = [const { None }; N];
    for (place, value) in by_place.into_iter().enumerate() {
        given[place] = Some(value);
    }
    if let Some(by_name) = by_name {
        for (place, name) in given.iter_mut().zip(names) {
            if place.is_none() && by_name.has(name) {
                *place = Some(by_name.get(name)?);
            }
        }
        by_name.assert_all_used()?;
    }
    Ok(given)
}

/// Calls a method of texts for what a filter is given, whatever that is.
pub(super) fn of_text(value: &Value, method: &str) -> Result<Value, Error> {
    text_method(&text_of(value)?, method, &[])
}

/// Writes what web pages take for markup by name or number.
pub(super) fn escape(value: &Value) -> Result<String, Error> {
    let text = text_of(value)?.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    Ok(text.replace('\'', "&#39;").replace('"', "&#34;"))
}

/// Bytes that a repeated text has at most.
const REPEATED_MAX: usize = 100_000_000;

/// Repeats a text, not at all for a number below 0.
pub(super) fn times(value: &Value, n: &Value) -> Result<String, Error> {
    let text = text_of(value)?;
    let refused = |what: &str| Error::new(ErrorKind::InvalidOperation, what.to_owned());
    let n = match n.kind() {
        ValueKind::Bool => i128::from(n.is_true()),
        ValueKind::Number if n.is_integer() => i128::try_from(n.clone())?,
        kind => return Err(refused(&format!("a text cannot be repeated by a {kind}"))),
    };
    let n = usize::try_from(n.max(0)).unwrap_or(usize::MAX);
    if text.len().saturating_mul(n) > REPEATED_MAX {
        return Err(refused("a repeated text is too long"));
    }
    Ok(text.repeat(n))
}

pub(super) fn trim(value: &Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let [chars] = in_order(args, ["chars"])?;
    text_method(&text_of(value)?, "strip", &[chars.unwrap_or_else(|| Value::from(()))])
}

/// Begins each word with a capital. Unlike the method of texts, it knows words by what stands
/// between them: `They're`.
pub(super) fn title(value: &Value) -> Result<String, Error> {
    let goes_on = |c: char| !is_space(c) && !matches!(c, '-' | '(' | '{' | '[' | '<');
    Ok(with_capitals(&text_of(value)?, goes_on))
}

pub(super) fn replace(value: &Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let args: Vec<Value> = in_order(args, ["old", "new", "count"])?.into_iter().flatten().collect();
    text_method(&text_of(value)?, "replace", &args)
}

pub(super) fn center(value: &Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let [width] = in_order(args, ["width"])?;
    text_method(&text_of(value)?, "center", &[width.unwrap_or_else(|| Value::from(80))])
}

/// Indents all lines but the first, by a number of blanks or by a text.
pub(super) fn indent(value: &Value, args: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let [width, first, blank] = in_order(args, ["width", "first", "blank"])?;
    let width = width.unwrap_or_else(|| Value::from(4));
    let is_asked = |option: Option<Value>| option.is_some_and(|option| option.is_true());
    let (first, blank) = (is_asked(first), is_asked(blank));
    let by = match width.as_str() {
        Some(text) => text.to_owned(),
        None => " ".repeat(usize::try_from(width).unwrap_or(0)),
    };
    // The line that ends the text is one as well.
    let text = text_of(value)? + "\n";
    let mut out = String::with_capacity(text.len());
    for (at, (line, _)) in lines(&text).into_iter().enumerate() {
        let is_indented = if at == 0 { first } else { blank || !line.is_empty() };
        out.push_str(if at == 0 { "" } else { "\n" });
        out.push_str(if is_indented { &by } else { "" });
        out.push_str(line);
    }
    Ok(out)
}

/// Returns the whole number that a value is or writes, else the default.
pub(super) fn int(value: &Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let [default, base] = in_order(args, ["default", "base"])?;
    let base = base.map_or(Ok(10), u32::try_from)?;
    let of_float = |number: f64| number.is_finite().then(|| Value::from(number.trunc() as i128));
    let of_text = |text: &str| {
        let whole = whole_number(text.trim_matches(is_space), base).map(Value::from);
        whole.or_else(|| of_float(text.trim_matches(is_space).parse().ok()?))
    };
    let read = match (value.as_str(), value.kind()) {
        (Some(text), _) => of_text(text),
        (None, ValueKind::Bool) => Some(Value::from(i64::from(value.is_true()))),
        (None, ValueKind::Number) if value.is_integer() => Some(value.clone()),
        (None, ValueKind::Number) => f64::try_from(value.clone()).ok().and_then(of_float),
        _ => None,
    };
    Ok(read.or(default).unwrap_or_else(|| Value::from(0)))
}

/// Reads a whole number as Python writes one: `1_000`, and `0x1f` in base 16.
fn whole_number(text: &str, base: u32) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let prefix = match base {
        2 => "0b",
        8 => "0o",
        16 => "0x",
        _ => "",
    };
    let has_prefix = digits.get(..prefix.len()).is_some_and(|it| it.eq_ignore_ascii_case(prefix));
    let digits = if has_prefix { &digits[prefix.len()..] } else { digits };
    let is_plain = digits
        .split('_')
        .all(|part| !part.is_empty() && part.chars().all(|c| c.is_digit(base.clamp(2, 36))));
    let number = i128::from_str_radix(&digits.replace('_', ""), base.clamp(2, 36)).ok();
    number.filter(|_| is_plain).map(|number| sign * number)
}
