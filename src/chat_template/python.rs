//! What Python's Jinja, as transformers sets it up, does that this one does not.
//!
//! | Python | this Jinja alone | here |
//! |---|---|---|
//! | CR LF and CR in a template are LF | they stay | [`translated()`] |
//! | `\` at a line's end inside a text joins lines | an error | [`translated()`] |
//! | `{% generation %}` of transformers | an error | [`translated()`] |
//! | `'%s' % x` formats | an error | [`translated()`]: behind a literal; behind a variable an error still |
//! | `'x' * n` is empty for an `n` below 0 | an error | [`translated()`]: behind a literal; behind a variable an error still |
//! | `+x` is `x` | an error | [`translated()`] |
//! | `%r`, `%i` of a float, `{!r}`, `{:.1%}`, and `str` for `%s` and `{}` | an error, or as Rust writes it | [`percent`]; a width beside `%` in a field is an error still |
//! | `True`, `None`, `['a']`, `{'a': 1}` are written so | `true`, `none`, `["a"]` | [`written()`] |
//! | `1e16`, `1e-05` | `10000000000000000.0`, `0.00001` | [`written()`] |
//! | `tojson` has a space behind comma and colon, keeps `<` and order, takes `indent` | none of it | [`to_json`] |
//! | none and numbers are not iterable, texts are sequences | the other way round | [`is_iterable`], [`is_sequence`] |
//! | what is undefined is as long as nothing, and an empty text to filters of texts | an error | [`length`], [`of_text`] |
//! | `int` and `float` give 0, or their default, for what is no number; `int` takes a base | an error | [`int`], [`to_float`] |
//! | `title` goes by words, `replace` takes a count, `indent` keeps a last line end and takes a text | not so | [`title`], [`replace`], [`indent`] |
//! | `default` takes its arguments by name, and none as one | an error, not given | [`default`] |
//! | a macro's parameter may be the default of a later one | undefined | [`translated()`] |
//! | none is no list to go through | nothing is in it | [`translated()`] |
//! | a loop through a text knows its last turn and its length | neither | [`translated()`] |
//! | what is undefined and given to a macro stays so | the default is taken | likewise |
//! | texts, lists and dictionaries have methods | they have none | [`method`] |
//! | a dictionary's method named without a call, `x.items is defined`, comes before its key, and `x['items']` after it | a key | [`method`]: true and defined, written without the address that Python gives it |
//! | methods of texts and lists named without a call, and those that `map` and `selectattr` are given by name | undefined | undefined still |
//! | `attr` gives no keys | it does | [`attr`] |
//! | `pprint` writes on one line what has room on it | over several | [`pretty`]; what has no room is an error |
//! | filters take their arguments by name | some do not | `trim`, `replace`, `float` and `center` do; `batch` and `slice` do not still |
//! | methods that change a list or dictionary are refused | likewise | an unknown method |
//! | tuples and ranges are written as `(1, 2)` and `range(0, 2)` | lists | lists still |
//! | `'a' < 1` is an error: a text and a number have no order | they have one | they have one still |
//! | `[1, 2, 3][2:0:-1]` is `[3, 2]`, as an end is not included | `[3, 2, 1]` | `[3, 2, 1]` still |
//! | members of messages, calls and tools are in the order of the file, for `tojson` and `items()` | as they are given | those of calls and tools are (of JSON files); a message has `role`, `content`, then the others by name |
//! | tables of `chat-template-kwargs` are in the order in which they are written | as they are given | of a file of `tools` or `documents` they are; of the scenario by name |
//! | `varargs` and `kwargs` of macros, `joiner`, `cycler`, `dict` of pairs, filters of web pages and of prose (`striptags`, `truncate`, `wordcount`), `random`, `self`, `lipsum`, methods of texts to bytes and tables (`encode`, `translate`, `isidentifier`) | an error | an error still |
//! | `{% autoescape true %}` escapes | nothing | nothing still |
//! | `"\N{BULLET}"` is `•`, and `'ﬁ'.capitalize()` is `Fi` | `\N{BULLET}`, `FI` | likewise still |
//! | `strftime_now('%s')` counts to midnight at the machine's place | an error | to midnight in UTC |

mod filters;
mod formatted;
mod methods;
mod text;
mod translated;
mod written;

use minijinja::value::{Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind};

use crate::chat_template::python::filters::{
    center, escape, in_order, indent, int, of_text, replace, times, title, trim,
};
use crate::chat_template::python::formatted::percent;
use crate::chat_template::python::methods::{attr, method};
pub(super) use crate::chat_template::python::translated::translated;
use crate::chat_template::python::translated::{EACH, TIMES};
use crate::chat_template::python::written::{pretty, text_of, to_json, written};

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
    environment.add_filter(TIMES, times);
    environment.add_filter("int", int);
    environment.add_filter("float", to_float);
    environment.add_filter("title", title);
    environment.add_filter("indent", indent);
    environment.add_filter("replace", replace);
    environment.add_filter("center", center);
    environment.add_filter("format", percent);
    environment.add_filter("pprint", pretty);
    environment.add_filter("attr", attr);
    environment.remove_global("debug");
    for name in ["upper", "lower", "capitalize"] {
        environment.add_filter(name, move |value: &Value| of_text(value, name));
    }
    environment.add_filter("trim", trim);
    // Functions and macros have no kind of their own; Python can call what is undefined, and refuses
    // only then.
    environment.add_test("callable", |value: &Value| {
        matches!(value.kind(), ValueKind::Plain | ValueKind::Undefined)
    });
    environment.add_test("iterable", |value: &Value| is_iterable(value));
    environment.add_test("sequence", |value: &Value| is_sequence(value));
    environment.set_formatter(written);
    add_methods(environment);
}

/// Gives texts, lists and dictionaries the methods of Python's.
pub(super) fn add_methods(environment: &mut Environment<'_>) {
    environment.set_unknown_method_callback(method);
}

fn each(value: &Value) -> Result<Value, Error> {
    if value.is_none() {
        return Err(Error::new(ErrorKind::InvalidOperation, "none is no list to go through"));
    }
    // A text as it is has no length to a loop, which then knows no last turn.
    Ok(value.as_str().map_or_else(
        || value.clone(),
        |text| text.chars().map(|c| Value::from(c.to_string())).collect(),
    ))
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
    let [other, is_falsy] = in_order(args, ["default_value", "boolean"])?;
    let other = other.unwrap_or_else(|| Value::from(""));
    let is_falsy = is_falsy.is_some_and(|it| it.is_true());
    let is_missing = value.is_undefined() || is_falsy && !value.is_true();
    Ok(if is_missing { other } else { value.clone() })
}

/// Returns the number that a value is or writes, else the default.
fn to_float(value: &Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let [default] = in_order(args, ["default"])?;
    let read = match (value.as_str(), value.kind()) {
        (Some(text), _) => text.trim().parse().ok(),
        (None, ValueKind::Bool) => Some(f64::from(u8::from(value.is_true()))),
        _ => f64::try_from(value.clone()).ok(),
    };
    Ok(read.map(Value::from).or(default).unwrap_or_else(|| Value::from(0.0)))
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
    fn signs_and_repeated_texts_are_pythons() {
        let check = |template: &str, expected: &str| {
            assert_eq!(render(template).unwrap(), expected, "{template}");
        };
        check("{{ +5 }}{{ + 5 }}{{+5}} {{ +5|string }} {{ +2 ** 2 }}", "555 5 4");
        check("{{ 1 + +2 }} {{ 3 - +2 }} {{ +-5 }} {{ - +5 }} {{ ++5 }}", "3 1 -5 -5 5");
        check("{% if +1 == 1 %}y{% elif +2 %}n{% endif %}{{ n + +n }}", "y6");
        check(
            "{{ [+1, +2] }} {{ {'a': +1} }} {{ (+3) }} {{ range(+3)|list }} {{ x if +1 else 2 }}",
            "[1, 2] {'a': 1} 3 [0, 1, 2] ab",
        );
        check("{{ not +0 }} {{ 5 % +3 }} {{ '+ +' }} {{ x + '+' }}", "True 2 + + ab+");
        check("{{ 'x' * -1 }}|{{ 'x' * (1 - n) }}|{{ 'x' * n }}|{{ 'ab' * true }}", "||xxx|ab");
        check("{{ '-' * x|length }} {{ 'x' * 2 * 2 }} {{ 'x' * 2 ** 3 }}", "-- xxxx xxxxxxxx");
        check("{{ 'x' * -1 ~ 'y' }} {{ 'a' + 'b' * 2 }} {{ 'a' 'b' * 2 }}", "y abb abab");
        for refused in ["{{ +'a' }}", "{{ +nope }}", "{{ 'x' * 2.0 }}", "{{ 'x' * none }}"] {
            assert!(render(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_dictionarys_method_that_is_not_called_comes_before_its_key() {
        let check = |template: &str, expected: &str| {
            let dictionaries = "{% set d = {'a': 1} %}{% set p = {'items': {'type': 'x'}} %}";
            let template = format!("{dictionaries}{template}");
            assert_eq!(render(&template).unwrap(), expected, "{template}");
        };
        check(
            "{{ d.keys is defined }} {{ d.items is callable }} {{ d.a is defined }}",
            "True True True",
        );
        check("{% if p.items %}I{% endif %}{% if d.items is defined %}D{% endif %}", "ID");
        check(
            "{{ p.items.type }}|{{ p['items'].type }}|{{ p[\"items\"]['type'] }}|{{ p. items }}",
            "|x|x|<built-in method items of dict object>",
        );
        check(
            "{{ d['items'] is defined }} {{ d['b'] is defined }} {{ d['items']()|list|length }}",
            "True False 1",
        );
        check("{% set f = d.get %}{{ f('a') }} {{ f('b', 2) }} {{ d.get ('a') }}", "1 2 1");
        check("{{ d.update is defined }} {{ {'pop': 1}.pop }}|{{ {'pop': 1}['pop'] }}", "False |1");
        check(
            "{% set ns = namespace(items=[1]) %}{% set ns.items = ns.items + [2] %}{{ ns.items }} \
             {{ ns.keys is defined }} {{ ns['items'] }}",
            "[1, 2] False [1, 2]",
        );
        check(
            "{{ 'd.items' }} {{ 'x' in ['items'] }} {{ 'items' in['items'] }} {{ d.itemsof }}|",
            "d.items False True |",
        );
        check(
            "{{ d|attr('a') }}|{{ d|attr('get') is defined }}|{% for i in d %}{{ loop|attr('index') }}{% endfor %}",
            "|True|1",
        );
        check("{{ d.fromkeys(['x'], 1) }} {{ 'abc'.copy is defined }}", "{'x': 1} False");
    }

    #[test]
    fn texts_with_fields_are_filled_as_python_fills_them() {
        let check = |template: &str, expected: &str| {
            assert_eq!(render(template).unwrap(), expected, "{template}");
        };
        check(
            "{{ '%i|%d|%05d' % (3.9, true, -42) }} {{ '%d' % -5 }} {{ '%g' % 1e-7 }}",
            "3|1|-0042 -5 1e-07",
        );
        check(
            "{{ '%r %s' % ('q', ['a']) }} {{ '%(a)s' % {'a': none} }} {{ '%5.1f%%' % 12.34 }}",
            "'q' ['a'] None  12.3%",
        );
        check(
            "{{ '%-5s|%.2s' % ('ab', 'abc') }} {{ '**%s**' % x }} {{ 'a'|format }}",
            "ab   |ab **ab** a",
        );
        check(
            "{{ '{:.1%} {:%}'.format(0.5, 0.25) }} {{ '{!r}{!s:>3}'.format('q', 1.0) }}",
            "50.0% 25.000000% 'q'1.0",
        );
        check(
            "{{ '{a[b]} {0} {{}} {}'.format(1, a={'b': none}) }} {{ '{:,}'.format(1234567) }}",
            "None 1 {} 1 1,234,567",
        );
        check("{{ {'b': 'x', 'a': [1]}|pprint }} {{ 3|pprint }}", "{'a': [1], 'b': 'x'} 3");
        check(
            "{{ 'abc'|trim(chars='a') }} {{ 'abc'|replace(old='a', new='b') }} {{ 'x'|float(default=1.5) }}|{{ 'x'|center(width=3) }}",
            "bc bbc 1.5| x ",
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
            "{% for x in none %}{% endfor %}",
            "{% for x in n and none if x %}{% endfor %}",
            "{{- 'b' +}}",
            "{{ '%s %s' % x }}",
            "{{ '%s' % ('a', 'b') }}",
            "{{ '{}'.format() }}",
            "{{ '}'.format(1) }}",
            "{{ nope.items }}",
            "{% for x in {}.items %}{% endfor %}",
            "{{ {}.items|tojson }}",
            "{{ 'a'|trim(cars='a') }}",
        ] {
            assert!(render(template).is_err(), "{template}");
        }
    }
}
