//! Text that Markdown shows as it is.

/// Escapes text so that Markdown shows it as it is, in prose and in table cells. What stands between
/// two backticks, as in bench's own sentences, is shown as code.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, inside, after)) = next_code(rest) {
        push_escaped(&mut safe, before);
        safe.push_str(&code(inside));
        rest = after;
    }
    push_escaped(&mut safe, rest);
    safe
}

/// Splits a text at the first part of one line between single backticks.
fn next_code(text: &str) -> Option<(&str, &str, &str)> {
    let open = text.find('`')?;
    let (inside, after) = text[open + 1..].split_once('`')?;
    let is_code = !inside.is_empty() && !inside.contains('\n') && !after.starts_with('`');
    is_code.then_some((&text[..open], inside, after))
}

fn push_escaped(safe: &mut String, text: &str) {
    let mut characters = text.chars().peekable();
    let mut before = safe.chars().next_back().unwrap_or(' ');
    while let Some(character) = characters.next() {
        let after = characters.peek().copied().unwrap_or(' ');
        let is_special = match character {
            '\\' | '`' | '*' | '[' | ']' | '<' | '|' | '~' | '$' | '&' | '>' => true,
            // Inside a word an underscore and a hash mean nothing.
            '_' => !(before.is_alphanumeric() && after.is_alphanumeric()),
            '#' => before == ' ',
            '!' => after == '[',
            _ => false,
        };
        if is_special {
            safe.push('\\');
        }
        safe.push(character);
        before = character;
    }
}

/// Sets text as code, between as many backticks as it needs, safe inside a table cell.
pub(crate) fn code(text: &str) -> String {
    if text.contains('|') {
        // Between backticks a bar ends a table's cell, and its escape is shown outside of tables.
        let mut code = String::from("<code>");
        push_escaped(&mut code, text);
        return code + "</code>";
    }
    let longest_run = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest_run + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    if text.is_empty() { String::new() } else { format!("{fence}{pad}{text}{pad}{fence}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_text() {
        let check = |text: &str, expected: &str| assert_eq!(escaped(text), expected);
        check("a|b", r"a\|b");
        check("<img src=x onerror=alert(1)>", r"\<img src=x onerror=alert(1)\>");
        check("[click](http://x)", r"\[click\](http://x)");
        check("output_throughput *bold* _it_", r"output_throughput \*bold\* \_it\_");
        check("&lt;", r"\&lt;");
        check("a_b, _c", r"a_b, \_c");
    }

    #[test]
    fn code_in_a_sentence_is_code_and_odd_backticks_are_text() {
        let check = |text: &str, expected: &str| assert_eq!(escaped(text), expected);
        check("set `trials` to 5_000", "set `trials` to 5_000");
        check("`_a_*b*` and *c*", r"`_a_*b*` and \*c\*");
        check("`x | y` holds", r"<code>x \| y</code> holds");
        check("`<b>|`", r"<code>\<b\>\|</code>");
        check("one ` alone", r"one \` alone");
        check("``` fence", r"\`\`\` fence");
        check("a `` b", r"a \`\` b");
        check("`a` and ` b", r"`a` and \` b");
        check("`a\nb`", "\\`a\nb\\`");
        check(r"\`a`", r"\\`a`");
    }

    #[test]
    fn code_is_fenced_by_more_backticks_than_it_has() {
        assert_eq!(code("a b"), "`a b`");
        assert_eq!(code("a `` b"), "```a `` b```");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(code("a|b"), r"<code>a\|b</code>");
        assert_eq!(code(""), "");
    }
}
