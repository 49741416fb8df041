//! Renders a report's template: strict, bounded, and unable to read anything but its view.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value, context,
};
use regex::Regex;

use crate::diagnostic::suggest::nearest;
use crate::report::figure;
use crate::report::markdown::escape;
use crate::report::page;
use crate::report::template_variables;
use crate::report::view::ReportView;

/// Templates that are part of the program, by the name under which others may include them.
const EMBEDDED: &[(&str, &str)] = &[
    ("_tables.md.j2", include_str!("../../reports/_tables.md.j2")),
    ("calibrate.md.j2", include_str!("../../reports/calibrate.md.j2")),
    ("default.md.j2", include_str!("../../reports/default.md.j2")),
    ("accuracy_vs_speed.md.j2", include_str!("../../reports/accuracy_vs_speed.md.j2")),
    ("batch_sweep.md.j2", include_str!("../../reports/batch_sweep.md.j2")),
    ("billion_tokens.md.j2", include_str!("../../reports/billion_tokens.md.j2")),
    ("offline.md.j2", include_str!("../../reports/offline.md.j2")),
    ("serving.md.j2", include_str!("../../reports/serving.md.j2")),
    ("shapes.md.j2", include_str!("../../reports/shapes.md.j2")),
    ("vllm_vs_sglang.md.j2", include_str!("../../reports/vllm_vs_sglang.md.j2")),
    ("_tables.html.j2", include_str!("../../reports/_tables.html.j2")),
    ("_published.html.j2", include_str!("../../reports/_published.html.j2")),
    ("report.html.j2", include_str!("../../reports/report.html.j2")),
];

/// Steps that a template may take: several times what a report of 10,000 cells needs.
const FUEL: u64 = 100_000_000;

/// Depth of includes and macros.
const RECURSION_MAX: usize = 40;

/// Name of the escaping of Markdown.
const MARKDOWN: &str = "md";

/// A template that cannot be rendered, with the place of the mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TemplateError {
    /// File, or name of the embedded template.
    pub file: String,
    /// Line, from 1, where it is known.
    pub line: Option<usize>,
    /// Column of the first wrong character, from 1, where it is known.
    pub column: Option<usize>,
    /// Number of wrong characters in that line; at least 1 where the column is known.
    pub length: usize,
    /// Text of the line; empty where it is not known.
    pub source_line: String,
    /// What is wrong.
    pub message: String,
}

impl TemplateError {
    /// Returns what to do about it.
    pub(crate) fn help(&self) -> String {
        let name = self.message.split('`').nth(1).filter(|_| self.message.contains("undefined"));
        let near = name.and_then(|name| nearest(name, template_variables::names()));
        let near = near.map_or_else(String::new, |near| format!("did you mean `{near}`? "));
        format!("{near}`bench report DIR --print-view` prints what a template can use")
    }

    /// Tells the mistake and its place in one line.
    pub(crate) fn told(&self) -> String {
        let line = self.line.map_or_else(String::new, |line| format!(":{line}"));
        let column = self.column.map_or_else(String::new, |column| format!(":{column}"));
        format!("{}{line}{column}: {}", self.file, self.message)
    }
}

impl std::fmt::Display for TemplateError {
    /// Prints the message, the place and a caret below it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.message)?;
        let (Some(line), Some(column)) = (self.line, self.column) else {
            return match self.line {
                Some(line) => write!(f, "  --> {}:{line}", self.file),
                None => write!(f, "  --> {}", self.file),
            };
        };
        let margin = line.to_string().len();
        writeln!(f, "{:margin$}--> {}:{line}:{column}", "", self.file)?;
        writeln!(f, "{:margin$} |", "")?;
        writeln!(f, "{line} | {}", self.source_line)?;
        write!(f, "{:margin$} | {:indent$}{}", "", "", "^".repeat(self.length), indent = column - 1)
    }
}

impl std::error::Error for TemplateError {}

/// Names the embedded report templates, without `.md.j2`.
pub(crate) fn names() -> Vec<&'static str> {
    let reports = EMBEDDED.iter().filter(|(name, _)| !name.starts_with('_'));
    reports.filter_map(|(name, _)| name.strip_suffix(".md.j2")).collect()
}

/// Whether a report's template chooses among all numbers of the cells; one of the user's may.
pub(crate) fn shows_cells(report: &str) -> bool {
    let file = format!("{report}.md.j2");
    let embedded = EMBEDDED.iter().find(|(name, _)| *name == file);
    embedded.is_none_or(|(_, text)| text.contains("chosen(view"))
}

/// Renders an embedded template.
pub(crate) fn render_embedded(name: &str, view: &ReportView) -> Result<String, TemplateError> {
    render(&environment(), name, None, view)
}

/// Renders a template of the user's. `file` names it in messages and, by its extension
/// (`.md.j2`, `.html.j2`), says how values are escaped; other extensions escape nothing.
/// It may include the embedded templates, and no file.
pub(crate) fn render_text(
    file: &str,
    text: &str,
    view: &ReportView,
) -> Result<String, TemplateError> {
    render(&environment(), file, Some(text), view)
}

/// Checks the syntax of a template of the user's, and the names that it takes from the report.
pub(crate) fn check(file: &str, text: &str) -> Result<(), TemplateError> {
    let environment = environment();
    let parsed = environment.template_from_named_str(file, text);
    let parsed = parsed.map_err(|error| template_error(file, &error))?;
    let is_known = |name: &str| {
        matches!(name, "view" | "chart_style")
            || template_variables::names().any(|known| known == name)
            || environment.globals().any(|(global, _)| global == name)
    };
    let used = parsed.undeclared_variables(false);
    match used.iter().find(|name| !is_known(name) && !asks_for(text, name)) {
        Some(name) => Err(undefined(file, text, name)),
        None => Ok(()),
    }
}

/// Whether a template asks if a name is there (`is defined`, `default`), and so renders without it.
fn asks_for(text: &str, name: &str) -> bool {
    let name = regex::escape(name);
    let asks = format!(r"\b{name}\s*(is\s+(not\s+)?(un)?defined\b|\|\s*d(efault)?\b)");
    Regex::new(&asks).is_ok_and(|asks| asks.is_match(text))
}

/// Returns the mistake of a name that no report has, at its first use.
fn undefined(file: &str, text: &str, name: &str) -> TemplateError {
    let mut lines = text.lines().enumerate();
    let found = lines.find_map(|(line, source)| Some((line, source, source.find(name)?)));
    TemplateError {
        file: file.to_owned(),
        line: found.map(|(line, ..)| line + 1),
        column: found.map(|(_, source, at)| source[..at].chars().count() + 1),
        length: name.chars().count(),
        source_line: found.map_or_else(String::new, |(_, source, _)| source.to_owned()),
        message: format!("undefined value: `{name}` is undefined"),
    }
}

fn render(
    environment: &Environment<'_>,
    name: &str,
    text: Option<&str>,
    view: &ReportView,
) -> Result<String, TemplateError> {
    let template = match text {
        Some(text) => environment.template_from_named_str(name, text),
        None => environment.get_template(name),
    };
    let template = template.map_err(|error| template_error(name, &error))?;
    let fields = Value::from(Serde(view));
    let context = context! { chart_style => figure::STYLE, view => fields.clone(), ..fields };
    let mut text = template.render(context).map_err(|error| template_error(name, &error))?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(RECURSION_MAX);
    environment.set_debug(true);
    environment.set_auto_reload(false);
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true);
    environment.set_syntax(syntax.build().expect("the delimiters are the default ones"));
    environment.set_auto_escape_callback(|name| {
        let name = name.strip_suffix(".j2").unwrap_or(name);
        if std::path::Path::new(name).extension().is_some_and(|ext| ext == "md") {
            AutoEscape::Custom(MARKDOWN.into())
        } else {
            minijinja::default_auto_escape_callback(name)
        }
    });
    environment.set_formatter(format_value);
    environment.add_filter("code", |text: String| Value::from_safe_string(escape::code(&text)));
    page::equip(&mut environment);
    for (name, text) in EMBEDDED {
        environment.add_template(name, text).expect("embedded templates are parsed by a test");
    }
    environment
}

fn format_value(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    if matches!(state.auto_escape(), AutoEscape::Custom(name) if name == MARKDOWN) {
        if value.is_undefined() {
            return Err(Error::from(ErrorKind::UndefinedError));
        }
        let text = value.to_string();
        let text = if value.is_safe() { text } else { escape::escaped(&text) };
        return out.write_str(&text).map_err(Error::from);
    }
    minijinja::escape_formatter(out, state, value)
}

/// Follows an error to its innermost template, where the mistake is.
fn template_error(file: &str, error: &Error) -> TemplateError {
    let mut innermost = error;
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(inner) = inner.downcast_ref::<Error>() {
            innermost = inner;
        }
        source = inner.source();
    }
    let message = match innermost.detail() {
        Some(detail) => format!("{}: {detail}", innermost.kind()),
        None => innermost.kind().to_string(),
    };
    let at = innermost.line().zip(innermost.template_source());
    let source_line =
        at.and_then(|(line, text)| text.lines().nth(line - 1)).unwrap_or_default().to_owned();
    let span = innermost.template_source().zip(innermost.range());
    let column = span.as_ref().map(|(text, range)| {
        let start = text[..range.start].rfind('\n').map_or(0, |at| at + 1);
        text[start..range.start].chars().count() + 1
    });
    let length = span.map_or(1, |(text, range)| {
        let wrong = text[range].lines().next().unwrap_or_default();
        wrong.chars().count().max(1)
    });
    TemplateError {
        file: innermost.name().unwrap_or(file).to_owned(),
        line: innermost.line(),
        column,
        length,
        source_line,
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample_run;

    fn failure(text: &str) -> String {
        render_text("mine.md.j2", text, &sample_run::view()).unwrap_err().to_string()
    }

    #[test]
    fn every_embedded_template_renders_the_specimen_and_an_empty_view() {
        for (name, _) in EMBEDDED {
            render_embedded(name, &sample_run::view()).unwrap();
            render_embedded(name, &ReportView::default()).unwrap();
        }
    }

    #[test]
    fn an_undefined_name_is_shown_with_a_caret() {
        insta::assert_snapshot!(failure("# {{ title }}\n\nSpeed: {{ speeed }}\n"), @r"
        undefined value: `speeed` is undefined
         --> mine.md.j2:3:11
          |
        3 | Speed: {{ speeed }}
          |           ^^^^^^
        ");
    }

    #[test]
    fn a_syntax_error_is_shown_with_its_line() {
        insta::assert_snapshot!(failure("a\n{% for row in %}\n"), @r"
        syntax error: unexpected end of block
         --> mine.md.j2:2:15
          |
        2 | {% for row in %}
          |               ^^
        ");
    }

    #[test]
    fn syntax_is_checked_without_a_view_and_told_in_one_line() {
        assert_eq!(check("mine.md.j2", "{{ title }}"), Ok(()));
        let error = check("mine.md.j2", "a\n{% for row in %}\n").unwrap_err();
        assert_eq!(error.told(), "mine.md.j2:2:15: syntax error: unexpected end of block");
    }

    #[test]
    fn a_name_that_a_template_asks_for_may_be_missing() {
        for text in [
            "{% if site is defined %}{{ site }}{% endif %}",
            "{% if site is not defined %}none{% else %}{{ site }}{% endif %}",
            "{{ site|default('none') }}",
        ] {
            assert_eq!(check("mine.md.j2", text), Ok(()), "{text}");
            render_text("mine.md.j2", text, &sample_run::view()).unwrap();
        }
        let error = check("mine.md.j2", "{% if site is defined %}{{ sites }}{% endif %}");
        assert!(error.unwrap_err().told().contains("`sites` is undefined"));
    }

    #[test]
    fn an_endless_loop_ends() {
        let text = "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) \
                    %}{% endfor %}{% endfor %}{% endfor %}";
        assert!(failure(text).contains("fuel"), "{}", failure(text));
    }

    #[test]
    fn a_template_cannot_read_files() {
        assert!(failure("{% include '/etc/passwd' %}").contains("template not found"));
        assert!(failure("{% include '../../etc/passwd' %}").contains("template not found"));
    }

    #[test]
    fn a_template_of_the_users_may_use_the_embedded_macros() {
        let text = "{% from '_tables.md.j2' import table %}{{ table(results) }}";
        let rendered = render_text("mine.md.j2", text, &sample_run::view()).unwrap();
        assert!(rendered.starts_with("| engine"), "{rendered}");
    }
}
