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
//! | `default` takes its arguments by name, and none as one | an error, not given | [`default`] |
//! | a macro's parameter may be the default of a later one | undefined | [`with_defaults`] |
//! | none is no list to go through | nothing is in it | [`with_each`] |
//! | what is undefined and given to a macro stays so | the default is taken | likewise |
//! | texts, lists and dictionaries have methods | they have none | [`method`] |
//! | methods that change a list or dictionary are refused | likewise | an unknown method |
//! | tuples and ranges are written as `(1, 2)` and `range(0, 2)` | lists | lists still |
//! | `'a' < 1` is an error: a text and a number have no order | they have one | they have one still |
//! | `[1, 2, 3][2:0:-1]` is `[3, 2]`, as an end is not included | `[3, 2, 1]` | `[3, 2, 1]` still |
//! | members of messages, calls and tools are in the order of the file, for `tojson` and `items()` | as they are given | those of calls and tools are (of JSON files); a message has `role`, `content`, then the others by name |
//! | tables of `chat-template-kwargs` are in the order in which they are written | as they are given | of a file of `tools` or `documents` they are; of the scenario by name |
//! | `varargs` and `kwargs` of macros, `joiner`, `cycler`, `dict` of pairs, filters of web pages and of prose (`striptags`, `truncate`, `wordcount`), `%r` and `{!r}` | an error | an error still |

mod filters;
mod text;
mod written;

use minijinja::value::{Kwargs, Rest, Value, ValueKind, ValueOrKwargs, from_args};
use minijinja::{Environment, Error, ErrorKind, State};

use crate::chat_template::python::filters::{
    center, escape, indent, int, of_text, replace, title, trim,
};
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
    environment.add_filter("e", escape);
    environment.add_filter("escape", escape);
    environment.add_filter(EACH, each);
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
    add_methods(environment);
}

/// Gives texts, lists and dictionaries the methods of Python's.
pub(super) fn add_methods(environment: &mut Environment<'_>) {
    environment.set_unknown_method_callback(method);
}

/// The filter that refuses none where a list is gone through.
const EACH: &str = "each_of";

fn each(value: &Value) -> Result<Value, Error> {
    if value.is_none() {
        return Err(Error::new(ErrorKind::InvalidOperation, "none is no list to go through"));
    }
    Ok(value.clone())
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
            "raw" => {
                let end = raw_length(behind);
                let (raw, after) = behind.split_at(end);
                // Jinja keeps the line end behind this tag, and this Jinja does not.
                let line_end =
                    if tag.ends_with("-%}") || !raw.starts_with('\n') { "" } else { "\n" };
                text.extend([tag, line_end, raw]);
                rest = after;
                continue;
            }
            "generation" => text.push_str(&tag.replace(word, "if true")),
            "endgeneration" => text.push_str(&tag.replace(word, "endif")),
            // What Jinja knows of blocks alone is a plus without an operand here, an error there too.
            _ if tag.starts_with("{{") && tag.ends_with("+}}") => {
                text.extend([tag.trim_end_matches("}}"), " }}"]);
            }
            _ => {
                let tag = with_percent(&joined(tag));
                text.push_str(&with_each(&tag).or_else(|| with_defaults(&tag)).unwrap_or(tag));
            }
        }
        rest = behind;
    }
    text + rest
}

/// Returns the length of what stands as it is up to the tag that ends it.
fn raw_length(text: &str) -> usize {
    let ends = text.match_indices("endraw").filter_map(|(at, _)| {
        let before = text[..at].trim_end();
        let before = before.strip_suffix(['-', '+']).unwrap_or(before);
        before.ends_with("{%").then(|| before.len() - "{%".len())
    });
    ends.min().unwrap_or(text.len())
}

/// Joins lines of a tag at a backslash that is not escaped itself.
fn joined(tag: &str) -> String {
    let mut text = String::with_capacity(tag.len());
    let mut chars = tag.chars();
    while let Some(c) = chars.next() {
        match (c, chars.as_str().starts_with('\n')) {
            ('\\', true) => drop(chars.next()),
            ('\\', false) => text.extend([c].into_iter().chain(chars.next())),
            _ => text.push(c),
        }
    }
    text
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

/// Returns what a statement of a name says behind it, and where in the tag that begins.
fn statement<'t>(tag: &'t str, name: &str) -> Option<(usize, &'t str)> {
    let inside = tag.strip_prefix("{%")?.trim_start_matches(['-', '+']).trim_start();
    let said = inside.strip_prefix(name).filter(|said| said.starts_with(char::is_whitespace))?;
    let said = said.strip_suffix("%}")?;
    Some((tag.len() - said.len() - 2, said.trim_end_matches(['-', '+'])))
}

/// Returns where a word or a sign first stands outside of texts and brackets.
fn outside(text: &str, part: &str) -> Option<usize> {
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let length = operand_length(&text[at..]).max(c.len_utf8());
        if text[at..at + length] == *part {
            return Some(at);
        }
        at += length;
    }
    None
}

/// Writes `for x in y` so that a `y` that is none is refused.
fn with_each(tag: &str) -> Option<String> {
    let (begin, said) = statement(tag, "for")?;
    let from = outside(said, "in")? + "in".len();
    let ends = ["if", "recursive"].into_iter().filter_map(|word| outside(&said[from..], word));
    let to = from + ends.min().unwrap_or(said.len() - from);
    let (front, list, behind) = (&tag[..begin + from], said[from..to].trim(), &tag[begin + to..]);
    Some(format!("{front} ({list})|{EACH} {behind}"))
}

/// Sets the defaults of a macro one after the other inside it, where one names a parameter.
fn with_defaults(tag: &str) -> Option<String> {
    let (begin, said) = statement(tag, "macro")?;
    let open = said.find('(')?;
    let close = said.trim_end().strip_suffix(')')?.len();
    let mut parameters: Vec<(&str, Option<&str>)> = Vec::new();
    let mut rest = said.get(open + 1..close)?;
    while !rest.trim().is_empty() {
        let end = outside(rest, ",").unwrap_or(rest.len());
        let parameter = &rest[..end];
        let (name, default) = match outside(parameter, "=") {
            Some(at) => (&parameter[..at], Some(parameter[at + 1..].trim())),
            None => (parameter, None),
        };
        parameters.push((name.trim(), default));
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    let names: Vec<&str> = parameters.iter().map(|(name, _)| *name).collect();
    let is_named = |default: &str| {
        let mut words = default.split(|c: char| !c.is_alphanumeric() && c != '_');
        words.any(|word| names.contains(&word))
    };
    parameters.iter().find(|(_, default)| default.is_some_and(is_named))?;
    let end = &tag[begin + said.len()..];
    let mut text = format!("{}{}){end}", &tag[..=begin + open], names.join(", "));
    let open = if end.starts_with('-') { "{%-" } else { "{%" };
    let sets = parameters.iter().filter_map(|(name, default)| {
        let default = (*default)?;
        Some(format!("{open} set {name} = ({default}) if {name} is undefined else {name} {end}"))
    });
    text.extend(sets);
    Some(text)
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

/// Returns what stands for a value that is undefined or, if asked so, not true. None stands for it
/// as well where it is given.
fn default(value: &Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let args = args.into_values();
    let is_named = args.last().is_some_and(Value::is_kwargs);
    let (given, options) = args.split_at(args.len() - usize::from(is_named));
    if given.len() > 2 {
        return Err(Error::from(ErrorKind::TooManyArguments));
    }
    let (mut other, mut is_falsy) = (None, None);
    if let [options] = options {
        let options = Kwargs::try_from(options.clone())?;
        let get = |name: &str| options.has(name).then(|| options.get::<Value>(name)).transpose();
        (other, is_falsy) = (get("default_value")?, get("boolean")?);
        options.assert_all_used()?;
    }
    let other = given.first().cloned().or(other).unwrap_or_else(|| Value::from(""));
    let is_falsy = given.get(1).cloned().or(is_falsy).is_some_and(|it| it.is_true());
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
    ) || value.kind() == ValueKind::Iterable && value.len().is_some()
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
        // Slices and sums of lists are lists.
        (ValueKind::Seq | ValueKind::Iterable, _) => list_method(value, name, args),
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
    fn defaults_macros_lists_and_raw_texts_are_pythons() {
        let check = |template: &str, expected: &str| {
            assert_eq!(render(template).unwrap(), expected, "{template}");
        };
        check(
            "{{ nope|default(none) is none }} {{ nope|default(none)|tojson }} \
             {{ ''|default(none, true) is none }} {{ nope|default(default_value=none) is none }} \
             {{ nope|default }}{{ ''|d('a', boolean=true) }}",
            "True null True True a",
        );
        check(
            "{% macro m(a, b=a|upper, c='[' ~ a ~ ']') %}{{ b }}{{ c }}{% endmacro %}{{ m('q') }} {{ m('q', 'r') }}",
            "Q[q] r[q]",
        );
        check(
            "{%- macro m(a, b={'x': (1, 2)}, c=b) -%}  {{ c.x[1] }}{{ a }}{%- endmacro -%} {{ m(5) }}",
            "25",
        );
        check(
            "{% set a = ['x'] + ['y'] %}{{ a.index('y') }} {{ [1, 2, 3][1:].index(3) }} \
             {{ a.count('x') }} {{ a is sequence }}",
            "1 1 1 True",
        );
        check(
            "{% for i in [3, 4] if i > 3 %}{{ i }}{{ loop.length }}{% else %}no{% endfor %} \
             {%- for k, v in {'in': 'if'}.items() %}{{ k }}{{ v }}{% endfor %}\
             {%- for i in nope %}no{% else %}none{% endfor %}",
            "41inifnone",
        );
        check(
            "{% for x in [[1, [2]], 3] recursive %}{{ loop(x) if x is not number else x }}{% endfor %}",
            "123",
        );
        check("{{ '<\"\\'&>'|escape }}", "&lt;&#34;&#39;&amp;&gt;");
        check(
            "{{ {'é': 1}|tojson(true) }} {{ {'a': 1}|tojson(false, 1) }}",
            "{\"\\u00e9\": 1} {\n \"a\": 1\n}",
        );
        check(
            "{% raw %}{{ '%s' % x }}{% generation %}{% endraw %}{{ n }}",
            "{{ '%s' % x }}{% generation %}3",
        );
        check("{{ 'a\\\\\nb' }}{{ 'a\\\nb' }}", "a\\\nbab");
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
            "{% for x in none %}{% endfor %}",
            "{% for x in n and none if x %}{% endfor %}",
            "{{- 'b' +}}",
        ] {
            assert!(render(template).is_err(), "{template}");
        }
    }
}
