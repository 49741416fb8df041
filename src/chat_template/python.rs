//! What Python's Jinja, as transformers sets it up, does that this one does not.
//!
//! | Python | this Jinja alone | here |
//! |---|---|---|
//! | CR LF and CR in a template are LF | they stay | [`translated`] |
//! | `\` at a line's end inside a text joins lines | an error | [`translated`] |
//! | `{% generation %}` of transformers | an error | [`translated`] |
//! | `'%s' % x` formats | an error | [`translated`]: behind a literal; behind a variable an error still |
//! | `True`, `None`, `['a']`, `{'a': 1}` are written so | `true`, `none`, `["a"]` | [`written()`] |
//! | `1e16`, `1e-05` | `10000000000000000.0`, `0.00001` | [`written()`] |
//! | `tojson` has a space behind comma and colon, keeps `<` and order, takes `indent` | none of it | [`to_json`] |
//! | none and numbers are not iterable, texts are sequences | the other way round | [`is_iterable`], [`is_sequence`] |
//! | what is undefined is as long as nothing, and an empty text to filters of texts | an error | [`length`], [`of_text`] |
//! | `int` and `float` give 0, or their default, for what is no number; `int` takes a base | an error | [`int`], [`to_float`] |
//! | `title` goes by words, `replace` takes a count, `indent` keeps a last line end and takes a text | not so | [`title`], [`replace`], [`indent`] |
//! | `default` takes its arguments by name | an error | [`default`] |
//! | texts, lists and dictionaries have methods | they have none | [`method`] |
//! | methods that change a list or dictionary are refused | likewise | an unknown method |
//! | tuples and ranges are written as `(1, 2)` and `range(0, 2)` | lists | lists still |
//! | what is none is no list to go through, and no text is smaller than a number | nothing is in it, any order | likewise |
//! | `[1, 2, 3][2:0:-1]` | `[3, 2, 1]` | likewise |
//! | `varargs` and `kwargs` of macros, `joiner`, `cycler`, `dict` of pairs, filters that only web pages need | an error | an error still |

mod filters;
mod text;
mod written;

use minijinja::value::{Kwargs, Value, ValueKind, from_args};
use minijinja::{Environment, Error, ErrorKind, State};

use crate::chat_template::python::filters::{center, indent, int, of_text, replace, title, trim};
use crate::chat_template::python::text::text_method;
use crate::chat_template::python::written::{text_of, to_json, written};

/// Brings an environment to what templates of the hub take for granted.
pub(super) fn extend(environment: &mut Environment<'_>) {
    environment.add_filter("tojson", to_json);
    environment.add_filter("string", |value: &Value| text_of(value));
    environment.add_filter("length", length);
    environment.add_filter("count", length);
    environment.add_filter("default", default);
    environment.add_filter("d", default);
    environment.add_filter("int", int);
    environment.add_filter("float", to_float);
    environment.add_filter("title", title);
    environment.add_filter("indent", indent);
    environment.add_filter("replace", replace);
    environment.add_filter("center", center);
    for name in ["upper", "lower", "capitalize"] {
        environment.add_filter(name, move |value: &Value| of_text(value, name));
    }
    environment.add_filter("trim", trim);
    // Functions and macros have no kind of their own.
    environment.add_test("callable", |value: &Value| value.kind() == ValueKind::Plain);
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
        let length = filtered_length(operand);
        let arguments = &operand[..length];
        let is_tuple = operand_length(operand) == length;
        let bare = arguments.strip_prefix('(').and_then(|inside| inside.strip_suffix(')'));
        let bare = bare.filter(|_| is_tuple);
        text.push_str("|format(");
        text.push_str(bare.unwrap_or(arguments));
        text.push(')');
        rest = &operand[length..];
    }
    text + rest
}

/// Returns the length of a value and of the filters behind it, which bind tighter than `%`.
fn filtered_length(text: &str) -> usize {
    let mut length = operand_length(text);
    loop {
        let rest = &text[length..];
        let Some(filter) = rest.trim_start().strip_prefix('|') else { return length };
        let filter = filter.trim_start();
        let name = operand_length(filter);
        if name == 0 {
            return length;
        }
        length = text.len() - filter.len() + name;
    }
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

/// Returns the number of items, none of what is undefined.
fn length(value: &Value) -> Result<usize, Error> {
    let failed = || {
        let what = format!("a value of kind {} has no length", value.kind());
        Error::new(ErrorKind::InvalidOperation, what)
    };
    if value.is_undefined() { Ok(0) } else { value.len().ok_or_else(failed) }
}

/// Returns what stands for a value that is undefined or, if asked so, not true.
#[expect(clippy::needless_pass_by_value, reason = "minijinja hands arguments over")]
fn default(
    value: &Value,
    other: Option<Value>,
    is_falsy: Option<bool>,
    options: Kwargs,
) -> Result<Value, Error> {
    let other = other.or(options.get("default_value")?).unwrap_or_else(|| Value::from(""));
    let is_falsy = is_falsy.or(options.get("boolean")?).unwrap_or(false);
    options.assert_all_used()?;
    let is_missing = value.is_undefined() || is_falsy && !value.is_true();
    Ok(if is_missing { other } else { value.clone() })
}

/// Returns the number that a value is or writes, else the default.
fn to_float(value: &Value, default: Option<Value>) -> Value {
    let read = match (value.as_str(), value.kind()) {
        (Some(text), _) => text.trim().parse().ok(),
        (None, ValueKind::Bool) => Some(f64::from(u8::from(value.is_true()))),
        _ => f64::try_from(value.clone()).ok(),
    };
    read.map(Value::from).or(default).unwrap_or_else(|| Value::from(0.0))
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

fn list_method(value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    let (wanted,): (Value,) = match name {
        "copy" => return from_args::<()>(args).map(|()| value.clone()),
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
        "copy" => from_args::<()>(args).map(|()| value.clone()),
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
        check("{{ 'n=%s' % n|string|length }} {{ '%s' % (n + 1)|string }}|", "n=1 4|");
        check(
            "{{ \"they're bill's (ab)\"|title }} {{ \"they're\".title() }}",
            "They're Bill's (Ab) They'Re",
        );
        check(
            "{{ 'a\n b\n'|indent }}|{{ 'a\nb'|indent('> ', true) }}|{{ 'a\n\nb'|indent(2, blank=true) }}",
            "a\n     b\n|> a\n> b|a\n  \n  b",
        );
        check("{{ 'aaa'|replace('a', 'b', 2) }} {{ 'ab'|center(6) }}|", "bba   ab  |");
        check(
            "{{ '0x1f'|int(0, 16) }} {{ '1_000'|int }} {{ ' 5 '|int }} {{ 'x'|int(7) }}",
            "31 1000 5 7",
        );
        check(
            "{{ '\x1f a\u{85}'.strip() }}| {{ 'Ab Cd'.istitle() }} {{ 'é'.isascii() }}",
            "a| True False",
        );
        check("{{ {'a': 1}.copy() }} {{ [1].copy() }}", "{'a': 1} [1]");
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
