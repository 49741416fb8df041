//! Templates of Python's Jinja, written so that this one reads them as it does.

use crate::chat_template::python::methods::{ATTRIBUTE, ITEM, is_method};

/// The filter that refuses none where a list is gone through.
pub(super) const EACH: &str = "each_of";
/// The filter that repeats a text.
pub(super) const TIMES: &str = "times";

/// Returns a template with what this Jinja does not know written as it knows it.
pub(in crate::chat_template) fn translated(template: &str) -> String {
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
                let tag = with_methods(&with_operators(&with_plus(&joined(tag))));
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

/// Writes `+x`, which this Jinja does not know, as `(0 + x)`: an error for a text in both.
fn with_plus(tag: &str) -> String {
    // `{{+` and `{%+` say what happens to the blanks before.
    let begin = if tag.starts_with('{') { tag.len().min(3) } else { 0 };
    let mut text = String::with_capacity(tag.len());
    let mut at = 0;
    while let Some(c) = tag[at..].chars().next() {
        let rest = &tag[at..];
        let is_unary = at >= begin && c == '+' && !is_operand_end(tag[..at].trim_end());
        let length = if is_unary { signed_length(&rest[1..]) } else { 0 };
        if length > 0 {
            let value = with_plus(rest[1..=length].trim_start());
            text.extend(["(0 + ", &value, ")"]);
            at += 1 + length;
            continue;
        }
        let length = if matches!(c, '"' | '\'') { quoted_length(rest) } else { c.len_utf8() };
        text.push_str(&rest[..length]);
        at += length;
    }
    text
}

/// Writes `'…' % x` as `'…'|format(x)`, and `'…' * x` as `'…'|times(x)`: what is the same, or what
/// this Jinja has no operator for.
fn with_operators(tag: &str) -> String {
    let mut text = String::with_capacity(tag.len());
    let mut rest = tag;
    while let Some(start) = rest.find(['"', '\'']) {
        let end = start + quoted_length(&rest[start..]);
        text.push_str(&rest[..end]);
        rest = &rest[end..];
        let behind = rest.trim_start();
        let Some(operand) = behind.strip_prefix(['%', '*']) else { continue };
        if operand.starts_with(['}', '*']) {
            continue;
        }
        let operand = operand.trim_start();
        let length = filtered_length(operand);
        let arguments = &operand[..length];
        if behind.starts_with('*') {
            // A power binds tighter.
            if length == 0 || operand[length..].trim_start().starts_with("**") {
                continue;
            }
            text.extend(["|", TIMES, "(", arguments, ")"]);
        } else {
            let is_tuple = operand_length(operand) == length;
            let bare = arguments.strip_prefix('(').and_then(|inside| inside.strip_suffix(')'));
            let bare = bare.filter(|_| is_tuple);
            text.extend(["|format(", bare.unwrap_or(arguments), ")"]);
        }
        rest = &operand[length..];
    }
    text + rest
}

/// Returns the length of a value with the signs in front of it; 0 where there is no value.
fn signed_length(text: &str) -> usize {
    let value = text.trim_start_matches(['-', '+', ' ']);
    match operand_length(value) {
        0 => 0,
        length => text.len() - value.len() + length,
    }
}

/// Returns the length of a value and of the filters behind it, which bind tighter than an operator.
fn filtered_length(text: &str) -> usize {
    let mut length = signed_length(text);
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
    let is_number = text.starts_with(|c: char| c.is_ascii_digit());
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
            // `1e-7`
            '-' | '+' if is_number && text[..at].ends_with(['e', 'E']) => {}
            _ => break,
        }
        at += c.len_utf8();
    }
    at
}

/// Writes names of a dictionary's methods that are not called, `x.items` and `x['items']`, so that
/// they are looked up as Python's Jinja does.
fn with_methods(tag: &str) -> String {
    // `set ns.items = 1` names what is set.
    let begin = statement(tag, "set")
        .map_or(0, |(begin, said)| begin + outside(said, "=").unwrap_or(said.len()));
    let mut text = tag[..begin].to_owned();
    let mut at = begin;
    while let Some(c) = tag[at..].chars().next() {
        let rest = &tag[at..];
        let named = match c {
            '.' => attribute_named(rest).map(|(name, length)| (ATTRIBUTE, name, length)),
            '[' if is_operand_end(&tag[..at]) => {
                item_named(rest).map(|(name, length)| (ITEM, name, length))
            }
            _ => None,
        };
        if let Some((how, name, length)) = named {
            text.extend([".", how, "('", name, "')"]);
            at += length;
            continue;
        }
        let length = if matches!(c, '"' | '\'') { quoted_length(rest) } else { c.len_utf8() };
        text.push_str(&rest[..length]);
        at += length;
    }
    text
}

/// Returns the method that `.items` at the beginning names without a call, and its length.
fn attribute_named(text: &str) -> Option<(&str, usize)> {
    let behind = text[1..].trim_start();
    let length = behind.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(behind.len());
    let (name, behind) = behind.split_at(length);
    let is_named = is_method(name) && !behind.trim_start().starts_with('(');
    is_named.then_some((name, text.len() - behind.len()))
}

/// Returns the method that `['items']` at the beginning names, and its length.
fn item_named(text: &str) -> Option<(&str, usize)> {
    let inside = text[1..].trim_start();
    inside.starts_with(['"', '\'']).then_some(())?;
    let (quoted, behind) = inside.split_at(quoted_length(inside));
    let name = quoted.get(1..quoted.len() - 1)?;
    let behind = behind.trim_start().strip_prefix(']')?;
    is_method(name).then_some((name, text.len() - behind.len()))
}

/// Whether a bracket behind this text asks for an item, and does not begin a list.
fn is_operand_end(text: &str) -> bool {
    let word = text.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
    match word {
        "" => text.ends_with([')', ']', '}', '"', '\'']),
        word => !matches!(word, "and" | "elif" | "else" | "if" | "in" | "is" | "not" | "or"),
    }
}
