//! The Markdown face.

use crate::report::template::{self, TemplateError};
use crate::report::view::ReportView;

/// Renders the template that the scenario asks for, or the default one where there is no
/// template of that name.
pub fn render(view: &ReportView) -> Result<String, TemplateError> {
    let asked = view.template.as_str();
    let name = if template::names().contains(&asked) { asked } else { "default" };
    let text = template::render_embedded(&format!("{name}.md.j2"), view)?;
    Ok(without_double_gaps(&text))
}

/// Leaves one empty line where blocks of the template leave several.
fn without_double_gaps(text: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    for line in text.lines() {
        if !(line.is_empty() && lines.last().is_none_or(|last| last.is_empty())) {
            lines.push(line);
        }
    }
    lines.push("");
    lines.join("\n")
}

/// Escapes text so that Markdown shows it as it is, in prose and in table cells.
pub fn escaped(text: &str) -> String {
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
pub fn code(text: &str) -> String {
    let longest_run = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest_run + 1);
    let text = text.replace('|', r"\|");
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    if text.is_empty() { String::new() } else { format!("{fence}{pad}{text}{pad}{fence}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample_run;

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

    #[test]
    fn the_default_report_says_everything_once() {
        let view = ReportView { template: "default".to_owned(), ..sample_run::view() };
        insta::assert_snapshot!(render(&view).unwrap());
    }

    #[test]
    fn the_accuracy_report_has_the_published_shape() {
        insta::assert_snapshot!(render(&sample_run::view()).unwrap());
    }

    #[test]
    fn every_shape_can_be_asked_for() {
        for name in template::names() {
            let view = ReportView { template: name.to_owned(), ..sample_run::view() };
            let report = render(&view).unwrap();
            let end = report.find("## Beside the published table").expect("it has one");
            insta::assert_snapshot!(name, &report[..end]);
        }
    }

    #[test]
    fn an_empty_run_makes_a_report() {
        insta::assert_snapshot!(render(&sample_run::empty_view()).unwrap());
    }
}
