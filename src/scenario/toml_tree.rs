//! A TOML text as a tree in which every key and value knows its place.

use std::ops::Range;
use std::sync::Arc;

use figment::value::{Dict, Value};
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Diagnostic, Diagnostics, Label, SourceText};

/// Largest scenario or preset that is read. A written scenario has a few kilobytes.
pub(crate) const MAX_BYTES: usize = 1 << 20;

/// One layer of a scenario: a file, a variable, a `--set`.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    /// Its text.
    pub(crate) source: Arc<SourceText>,
    /// Its top-level table.
    pub(crate) root: Node,
    /// Where it is no TOML: what stands there is not known.
    broken: Vec<Range<usize>>,
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// Bytes of the value.
    pub(crate) span: Range<usize>,
    /// The value.
    pub(crate) value: Data,
}

/// The values of TOML. Tables keep the order of the file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Data {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    List(Vec<Node>),
    Table(Vec<Entry>),
    /// A date, or an integer beyond 64 bits: nothing in a scenario is either.
    Foreign(&'static str),
}

/// One key of a table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// Bytes of the key.
    pub(crate) span: Range<usize>,
    /// The key.
    pub(crate) key: String,
    /// Its value.
    pub(crate) node: Node,
}

impl Document {
    /// Parses a text; every syntax error and duplicate key goes to `diagnostics`.
    pub(crate) fn parse(name: &str, text: &str, diagnostics: &mut Diagnostics) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let empty = || Node { span: 0..0, value: Data::Table(Vec::new()) };
        if text.len() > MAX_BYTES {
            let source = Arc::new(SourceText { name: name.into(), text: String::new() });
            let message =
                format!("{name} has {} bytes; a scenario has at most {MAX_BYTES}", text.len());
            diagnostics.push(
                Diagnostic::error("scenario/too-large", message)
                    .help("data sets belong into files of their own, named by `location`"),
            );
            // Nothing of it is known.
            return Self { source, root: empty(), broken: vec![Range::default()] };
        }
        let source = Arc::new(SourceText { name: name.into(), text: text.into() });
        let (table, mut errors) = DeTable::parse_recoverable(text);
        errors.sort_by_key(|error| error.span().map(|span| span.start));
        let mut is_table_twice = false;
        let mut broken = Vec::new();
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            let label = |span, text: &str| Label {
                source: Arc::clone(&source),
                span,
                text: text.to_string(),
            };
            let message = error.message().lines().collect::<Vec<_>>().join("; ");
            let is_twice = message == "duplicate key";
            let first = is_twice.then(|| first_of(text, &span)).flatten();
            // The keys of a table that is there twice are told with it.
            if is_twice && first.is_none() && is_table_twice {
                continue;
            }
            is_table_twice |= first.is_some() && is_in_header(text, span.start);
            let error = Diagnostic::error("scenario/syntax", message);
            diagnostics.push(if let Some(first) = first {
                error
                    .label(Some(label(span, "again")))
                    .label(Some(label(first, "set here first")))
                    .help("keep one of them")
            } else {
                broken.push(span.clone());
                error
                    .label(Some(label(span, "")))
                    .help("the file is TOML 1.1: `key = value` lines under `[table]` headers")
            });
        }
        let root = Node { span: table.span(), value: read_table(table.into_inner()) };
        Self { source, root, broken }
    }

    /// Whether all of the text could be read; else an error tells of it.
    pub(crate) fn is_whole(&self) -> bool {
        self.broken.is_empty()
    }

    /// Whether it sets no key: it is empty, or all comment.
    pub(crate) fn says_nothing(&self) -> bool {
        self.root.entries().is_empty()
    }

    /// Whether a value could not be read: the syntax error in its place was told.
    pub(crate) fn is_broken_at(&self, node: &Node) -> bool {
        let Range { start, end } = node.span;
        let is_of_it = |error: &Range<usize>| error.start <= end && start <= error.end;
        !self.broken.is_empty() && (start == end || self.broken.iter().any(is_of_it))
    }

    /// Returns a label at a place of this document.
    pub(crate) fn label(&self, span: Range<usize>, text: impl Into<String>) -> Label {
        Label { source: Arc::clone(&self.source), span, text: text.into() }
    }

    /// Returns the places of the key and the value at a path, if this document sets it.
    pub(crate) fn find(&self, path: &[&str]) -> Option<(Range<usize>, &Node)> {
        let mut node = &self.root;
        let mut span = node.span.clone();
        for part in path {
            (span, node) = match &node.value {
                Data::Table(entries) => {
                    let entry = entries.iter().find(|entry| entry.key == *part)?;
                    (entry.span.clone(), &entry.node)
                }
                Data::List(items) => {
                    let item = items.get(part.parse::<usize>().ok()?)?;
                    (item.span.clone(), item)
                }
                _ => return None,
            };
        }
        Some((span, node))
    }

    /// Returns the keys of the table at a path, in the order of the file.
    pub(crate) fn keys(&self, path: &[&str]) -> Vec<&str> {
        match self.find(path).map(|(_, node)| &node.value) {
            Some(Data::Table(entries)) => entries.iter().map(|entry| entry.key.as_str()).collect(),
            _ => Vec::new(),
        }
    }
}

impl Node {
    /// Returns the text, if it is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        if let Data::Text(text) = &self.value { Some(text) } else { None }
    }

    /// Returns the table's entries, if it is one.
    pub(crate) fn entries(&self) -> &[Entry] {
        if let Data::Table(entries) = &self.value { entries } else { &[] }
    }

    /// Returns the table as figment merges it; empty for anything else.
    pub(crate) fn to_dict(&self) -> Dict {
        to_dict(self.entries())
    }
}

fn to_dict(entries: &[Entry]) -> Dict {
    entries.iter().map(|entry| (entry.key.clone(), entry.node.value.to_figment())).collect()
}

impl Data {
    /// Returns the value as figment merges it.
    pub(crate) fn to_figment(&self) -> Value {
        match self {
            Self::Text(text) => Value::from(text.as_str()),
            Self::Integer(number) => Value::from(*number),
            Self::Float(number) => Value::from(*number),
            Self::Bool(flag) => Value::from(*flag),
            Self::List(items) => {
                Value::from(items.iter().map(|item| item.value.to_figment()).collect::<Vec<_>>())
            }
            Self::Table(entries) => Value::from(to_dict(entries)),
            Self::Foreign(what) => Value::from(*what),
        }
    }

    /// Returns the name of the type as messages say it.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a number",
            Self::Bool(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Foreign(what) => what,
        }
    }
}

/// Whether a place lies in a table header.
fn is_in_header(text: &str, at: usize) -> bool {
    text[..at].rsplit('\n').next().is_some_and(|line| line.trim_start().starts_with('['))
}

/// Returns the place of the key or table header that a duplicate repeats.
fn first_of(text: &str, again: &Range<usize>) -> Option<Range<usize>> {
    let key = text.get(again.clone())?;
    let line_start = text[..again.start].rfind('\n').map_or(0, |idx| idx + 1);
    let header = |line: &str| -> Option<String> {
        let inside = line.trim_start().strip_prefix('[')?.split(']').next()?;
        Some(
            inside
                .split('.')
                .map(|part| part.trim().trim_matches('"'))
                .collect::<Vec<_>>()
                .join("."),
        )
    };
    let is_header = header(text[line_start..].lines().next()?);
    let mut end = line_start;
    for line in text[..line_start].split_inclusive('\n').rev() {
        let start = end - line.len();
        end = start;
        let found = match (&is_header, header(line)) {
            (Some(wanted), Some(found)) if *wanted == found => line.rfind(key),
            // A key is repeated within its own table.
            (None, Some(_)) => return None,
            (None, None) => {
                let (before, _) = line.split_once('=').unwrap_or_default();
                (before.trim().trim_matches('"') == key).then(|| line.find(key)).flatten()
            }
            (Some(_), _) => None,
        };
        if let Some(at) = found {
            return Some(start + at..start + at + key.len());
        }
    }
    None
}

fn read_table(table: DeTable<'_>) -> Data {
    let mut entries: Vec<Entry> = table
        .into_iter()
        .map(|(key, value)| {
            let span = value.span();
            Entry {
                span: key.span(),
                key: key.into_inner().into_owned(),
                node: Node { span, value: read_value(value.into_inner()) },
            }
        })
        .collect();
    entries.sort_by_key(|entry| entry.span.start);
    Data::Table(entries)
}

fn read_value(value: DeValue<'_>) -> Data {
    match value {
        DeValue::String(text) => Data::Text(text.into_owned()),
        DeValue::Integer(number) => {
            i64::from_str_radix(&number.as_str().replace('_', ""), number.radix())
                .map_or(Data::Foreign("an integer of more than 64 bits"), Data::Integer)
        }
        DeValue::Float(number) => number
            .as_str()
            .replace('_', "")
            .parse()
            .map_or(Data::Foreign("a number that cannot be read"), Data::Float),
        DeValue::Boolean(flag) => Data::Bool(flag),
        DeValue::Datetime(_) => Data::Foreign("a date"),
        DeValue::Array(items) => Data::List(
            items
                .into_iter()
                .map(|item| Node { span: item.span(), value: read_value(item.into_inner()) })
                .collect(),
        ),
        DeValue::Table(table) => read_table(table),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Document, Diagnostics) {
        let mut diagnostics = Diagnostics::default();
        (Document::parse("x.toml", text, &mut diagnostics), diagnostics)
    }

    #[test]
    fn tables_keep_the_order_of_the_file() {
        let (document, found) =
            parse("[phase.warm_up]\nrequests = 1\n[vars]\nz = 1\na = 2\n[phase.load]\nrate = 1.5");
        assert!(found.is_empty(), "{found}");
        assert_eq!(document.keys(&["phase"]), ["warm_up", "load"]);
        assert_eq!(document.keys(&["vars"]), ["z", "a"]);
        let (span, node) = document.find(&["phase", "load", "rate"]).unwrap();
        assert_eq!(&document.source.text[span], "rate");
        assert_eq!(&document.source.text[node.span.clone()], "1.5");
    }

    #[test]
    fn all_syntax_errors_are_told_at_once() {
        let (_, found) = parse("a = \nb = 1\nb = 2\nc = \"open\n[x\n");
        assert!(found.len() >= 3, "{found}");
        insta::assert_snapshot!(found.render(false));
    }

    #[test]
    fn a_duplicate_shows_the_first_one() {
        let check = |text: &str, first: usize| {
            let (_, found) = parse(text);
            let labels = &found.iter().next().unwrap().labels;
            assert_eq!((labels.len(), labels[1].span.start), (2, first), "{found}");
        };
        check("[phase.load]\nrate = 1\nrequests = 2\nrate = 3\n", 13);
        check("[engine.mine]\nurl = \"x\"\n[phase.load]\nurl = 1\n[engine.mine]\n", 8);
        check("[engine.\"mine\"]\nurl = \"x\"\n[ engine . mine ]\n", 9);
    }

    #[test]
    fn hostile_texts_are_refused_in_bounded_time() {
        let nested = format!("x = {}{}", "[".repeat(100_000), "]".repeat(100_000));
        let dotted = format!("{} = 1", vec!["a"; 100_000].join("."));
        let large = format!("x = \"{}\"", "a".repeat(50_000_000));
        for text in [nested, dotted, large] {
            let (_, found) = parse(&text);
            assert!(found.has_errors());
            assert!(found.render(false).len() < 20_000);
        }
    }

    #[test]
    fn a_byte_order_mark_and_carriage_returns_do_no_harm() {
        let (document, found) = parse("\u{feff}title = \"x\"\r\n[vars]\r\na = 1\r\n");
        assert!(found.is_empty(), "{found}");
        assert_eq!(document.find(&["title"]).unwrap().0, 0..5);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,80}|[\\[\\]{}=.\"'\\\\\n\r a-z0-9#-]{0,80}") {
            let (document, found) = parse(&text);
            let _ = (document.root.to_dict(), found.render(false));
        }
    }
}
