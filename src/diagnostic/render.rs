//! Diagnostics as a person reads them: first line alone tells all, then the place, then the way out.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::diagnostic::{Diagnostic, Diagnostics, Label, MAX_SHOWN, Severity, SourceText};

/// Longest message and help line, in characters: a value may come from a hostile file.
const MAX_LINE_CHARS: usize = 400;
/// Longest word that is left out rather than cut, in bytes.
const MAX_WORD_BYTES: usize = 60;
/// Longest source line that is shown whole, in bytes.
const MAX_SOURCE_LINE: usize = 200;

/// Returns all diagnostics, separated by empty lines, with a final line feed.
pub(crate) fn render(diagnostics: &Diagnostics, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut text = String::new();
    for diagnostic in diagnostics.iter().take(MAX_SHOWN) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&render_one(&renderer, diagnostic));
        text.push('\n');
    }
    if diagnostics.len() > MAX_SHOWN {
        let rest = diagnostics.len() - MAX_SHOWN;
        text.extend(["\nand ", rest.to_string().as_str(), " more\n"]);
    }
    text
}

fn render_one(renderer: &Renderer, diagnostic: &Diagnostic) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(one_line(&diagnostic.message)).id(diagnostic.code);
    let mut group = Group::with_title(title);
    for (idx, same_source) in by_source(&diagnostic.labels).into_iter().enumerate() {
        group = group.element(snippet(&same_source, idx == 0));
    }
    for help in &diagnostic.help {
        group = group.element(Level::HELP.message(one_line(help)));
    }
    renderer.render(&[group])
}

fn by_source(labels: &[Label]) -> Vec<Vec<&Label>> {
    let mut groups: Vec<Vec<&Label>> = Vec::new();
    for label in labels {
        match groups.iter_mut().find(|group| group[0].source == label.source) {
            Some(group) => group.push(label),
            None => groups.push(vec![label]),
        }
    }
    groups
}

fn snippet<'a>(
    labels: &[&'a Label],
    holds_primary: bool,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let source = labels[0].source.as_ref();
    // A line of a hostile file may be megabytes long; then only a window of it is shown.
    let shown = window(source, &labels[0].span);
    let line_start = source.text[..shown.start].matches('\n').count() + 1;
    let annotations = labels.iter().enumerate().filter_map(|(idx, label)| {
        let span = clamp(&source.text, &label.span, &shown)?;
        let kind = if holds_primary && idx == 0 {
            AnnotationKind::Primary
        } else {
            AnnotationKind::Context
        };
        let annotation = kind.span(span.start - shown.start..span.end - shown.start);
        Some(if label.text.is_empty() {
            annotation
        } else {
            annotation.label(one_line(&label.text))
        })
    });
    Snippet::source(&source.text[shown.clone()])
        .path(source.name.as_str())
        .line_start(line_start)
        .annotations(annotations)
}

/// Returns the whole text, or a piece around the span where its line is too long to print.
fn window(source: &SourceText, span: &Range<usize>) -> Range<usize> {
    let text = source.text.as_str();
    let at = floor(text, span.start.min(text.len()));
    let line = text[..at].rfind('\n').map_or(0, |idx| idx + 1)
        ..text[at..].find('\n').map_or(text.len(), |idx| at + idx);
    if line.len() <= MAX_SOURCE_LINE {
        return 0..text.len();
    }
    let start = floor(text, at.saturating_sub(MAX_SOURCE_LINE / 2)).max(line.start);
    let end = floor(text, (start + MAX_SOURCE_LINE).min(line.end));
    start..end.max(at)
}

fn clamp(text: &str, span: &Range<usize>, shown: &Range<usize>) -> Option<Range<usize>> {
    let start = floor(text, span.start.min(text.len()));
    if start < shown.start || start > shown.end {
        return None;
    }
    // A caret of one line is clearer than a box around a table.
    let line_end = text[start..].find(['\n', '\r']).map_or(text.len(), |idx| start + idx);
    let end = floor(text, span.end.min(line_end).min(shown.end)).max(start);
    Some(start..end)
}

fn floor(text: &str, mut idx: usize) -> usize {
    while !text.is_char_boundary(idx) {
        idx -= 1;
    }
    idx
}

/// Returns a text without control characters, on one line, cut between words where it is too long.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(MAX_LINE_CHARS));
    for (idx, c) in text.chars().enumerate() {
        if idx == MAX_LINE_CHARS {
            // A word of a hostile file may have no end.
            let end = line.rfind(' ').filter(|end| line.len() - end <= MAX_WORD_BYTES);
            line.truncate(end.map_or(line.len(), |end| end + 1));
            line.push('…');
            break;
        }
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn source(text: &str) -> Arc<SourceText> {
        Arc::new(SourceText { name: "chat.toml".into(), text: text.into() })
    }

    fn label(source: &Arc<SourceText>, span: Range<usize>, text: &str) -> Label {
        Label { source: Arc::clone(source), span, text: text.into() }
    }

    #[test]
    fn a_diagnostic_shows_its_place_and_the_way_out() {
        let file = source("[phase.load]\nconcurency = 4\nrate = 2.0\n");
        let diagnostic = Diagnostic::error("scenario/unknown-key", "unknown key `concurency`")
            .label(Some(label(&file, 13..23, "not a key of `phase`")))
            .label(Some(label(&file, 28..32, "beside this")))
            .help("did you mean `concurrency`?");
        insta::assert_snapshot!(Diagnostics::from(diagnostic).render(false));
    }

    #[test]
    fn more_than_a_screen_can_hold_are_counted() {
        let mut all = Diagnostics::default();
        for idx in 0..MAX_SHOWN + 3 {
            all.push(Diagnostic::warning("scenario/odd", format!("odd thing {idx}")));
        }
        let text = all.render(false);
        assert!(text.contains("odd thing 99") && !text.contains("odd thing 100"), "{text}");
        assert!(text.ends_with("and 3 more\n"), "{text}");
    }

    #[test]
    fn control_bytes_and_endless_lines_do_not_reach_the_terminal() {
        let file = source(&format!("x = \"{}\u{1b}[31m\"", "é".repeat(100_000)));
        let end = file.text.len();
        for span in [0..1, 150_001..150_005, end - 1..end + 50] {
            let diagnostic = Diagnostic::error("scenario/type", "bad\u{1b}[2J\nvalue")
                .label(Some(label(&file, span, "here\u{7}")));
            let text = Diagnostics::from(diagnostic).render(false);
            assert!(text.len() < 2_000, "{} bytes", text.len());
            assert!(!text.contains('\u{1b}') && !text.contains('\u{7}'), "{text:?}");
        }
    }

    #[test]
    fn a_long_list_is_cut_between_words() {
        let cut = one_line(&"`multi-token`, ".repeat(50));
        assert!(cut.ends_with("`multi-token`, …"), "{cut}");
        assert_eq!(one_line(&"x".repeat(500)).chars().count(), MAX_LINE_CHARS + 1);
    }

    #[test]
    fn the_same_diagnostic_is_told_once() {
        let mut all = Diagnostics::default();
        all.push(Diagnostic::error("a/b", "twice"));
        all.push(Diagnostic::error("a/b", "twice"));
        assert_eq!(all.len(), 1);
    }
}
