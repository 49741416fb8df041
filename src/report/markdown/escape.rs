//! Text that Markdown shows as it is.

/// Escapes text so that Markdown shows it as it is, in prose and in table cells.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    let mut before = ' ';
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
    safe
}

/// Sets text as code, between as many backticks as it needs, safe inside a table cell.
pub(crate) fn code(text: &str) -> String {
    let longest_run = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest_run + 1);
    let text = text.replace('|', r"\|");
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
    }

    #[test]
    fn code_is_fenced_by_more_backticks_than_it_has() {
        assert_eq!(code("a b"), "`a b`");
        assert_eq!(code("a `` b"), "```a `` b```");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(code("a|b"), r"`a\|b`");
        assert_eq!(code(""), "");
    }
}
