//! Holds a document against the table of keys: unknown keys, wrong types, values out of range.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::suggest::{did_you_mean, nearest};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::scenario::document::{Data, Document, Entry, Node};
use crate::scenario::grammar::{Field, Kind, MAX_NAME, is_name};
use crate::scenario::spec::{EngineSpec, OPTIONS, ScenarioSpec};
use crate::units::Nanos;

/// Flags that presets define, by engine name: they are keys of `[engine.NAME]` too.
pub(crate) type FlagsByEngine = BTreeMap<String, BTreeSet<String>>;

/// Checks a scenario document.
pub(crate) fn scenario(document: &Document, flags: &FlagsByEngine, found: &mut Diagnostics) {
    Walk { document, flags, found, path: Vec::new() }.table(&document.root, ScenarioSpec::FIELDS);
}

/// Checks a preset: the body of an `[engine.NAME]` table.
pub(crate) fn preset(document: &Document, found: &mut Diagnostics) {
    let flags = FlagsByEngine::new();
    Walk { document, flags: &flags, found, path: Vec::new() }
        .table(&document.root, EngineSpec::FIELDS);
}

struct Walk<'a> {
    document: &'a Document,
    flags: &'a FlagsByEngine,
    found: &'a mut Diagnostics,
    path: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    fn table(&mut self, node: &'a Node, fields: &'static [Field]) {
        for entry in node.entries() {
            match fields.iter().find(|field| field.key == entry.key) {
                Some(field) => self.at(entry, &field.kind),
                None => self.unknown_key(entry, fields.iter().map(|field| field.key)),
            }
        }
    }

    fn at(&mut self, entry: &'a Entry, kind: &'static Kind) {
        self.path.push(&entry.key);
        self.value(&entry.node, kind);
        self.path.pop();
    }

    fn unknown_key<'k>(&mut self, entry: &Entry, known: impl Iterator<Item = &'k str>) {
        let place = match self.path.as_slice() {
            [] => "a scenario".to_string(),
            path => format!("`{}`", path.join(".")),
        };
        let help = did_you_mean(&entry.key, known, "known keys");
        // A key of another section in this place is the second most common mistake.
        let elsewhere = ScenarioSpec::FIELDS.iter().find_map(|section| match &section.kind {
            Kind::Table(fields) => fields
                .iter()
                .any(|field| field.key == entry.key)
                .then(|| format!("`{}` is a key of `[{}]`", entry.key, section.key)),
            Kind::Named(_, Kind::Table(fields)) => fields
                .iter()
                .any(|field| field.key == entry.key)
                .then(|| format!("`{}` is a key of `[{}.NAME]`", entry.key, section.key)),
            _ => None,
        });
        let near = help.as_ref().is_some_and(|text| text.starts_with("did you mean"));
        self.found.push(
            Diagnostic::error("scenario/unknown-key", format!("unknown key `{}`", entry.key))
                .label(Some(
                    self.document.label(entry.span.clone(), format!("not a key of {place}")),
                ))
                .maybe_help(if near { help } else { elsewhere.or(help) }),
        );
    }

    fn value(&mut self, node: &'a Node, kind: &'static Kind) {
        match (kind, &node.value) {
            (Kind::Anything, data) => self.anything(node, data),
            (Kind::Either(kinds), data) => match kinds.iter().find(|kind| same_type(kind, data)) {
                // The other forms are worth naming too.
                Some(Kind::Choice(words)) if !is_one_of(words, data) => {
                    self.not_a_choice(node, kind, words);
                }
                Some(kind) => self.value(node, kind),
                None => self.wrong_type(node, kind),
            },
            (Kind::Table(fields), Data::Table(_)) => self.table(node, fields),
            (Kind::Profile, Data::Table(_)) => self.table(node, ScenarioSpec::FIELDS),
            (Kind::Map(of), Data::Table(entries)) => {
                for entry in entries {
                    self.at(entry, of);
                }
            }
            (Kind::Named(what, of), Data::Table(entries)) => self.named(entries, what, of),
            (Kind::Engine, Data::Table(entries)) => self.engine(entries),
            (Kind::List(of), Data::List(items)) => {
                for item in items {
                    self.value(item, of);
                }
            }
            (Kind::Scalar, Data::Float(number)) if !number.is_finite() => {
                self.refuse(
                    node,
                    "scenario/range",
                    format!("{}: a number must be finite", self.key()),
                );
            }
            (Kind::Text | Kind::Scalar, Data::Text(text)) if text.contains('\0') => {
                self.refuse(node, "scenario/range", "a string must not contain NUL".into());
            }
            (Kind::Choice(words), data @ Data::Text(_)) if !is_one_of(words, data) => {
                self.not_a_choice(node, kind, words);
            }
            (Kind::Duration, Data::Text(text)) => match Nanos::parse(text) {
                Some(nanos) if nanos.0 > 0 => {}
                _ => {
                    let message = format!("{}: `{text}` is not a length of time", self.key());
                    let expected = format!("expected {}", kind.expected());
                    let label = self.document.label(node.span.clone(), expected);
                    self.found
                        .push(Diagnostic::error("scenario/range", message).label(Some(label)));
                }
            },
            (kind, data) if !same_type(kind, data) => self.wrong_type(node, kind),
            (kind, data) if !in_range(kind, data) => self.out_of_range(node, kind),
            _ => {}
        }
    }

    fn anything(&mut self, node: &'a Node, data: &'a Data) {
        match data {
            Data::Foreign(what) => {
                self.refuse(node, "scenario/type", format!("{what} has no place in a scenario"));
            }
            Data::Float(number) if !number.is_finite() => {
                self.refuse(node, "scenario/range", "a number must be finite".into());
            }
            Data::List(items) => {
                for item in items {
                    self.anything(item, &item.value);
                }
            }
            Data::Table(entries) => {
                for entry in entries {
                    self.anything(&entry.node, &entry.node.value);
                }
            }
            _ => {}
        }
    }

    fn named(&mut self, entries: &'a [Entry], what: &'static str, of: &'static Kind) {
        for entry in entries {
            // Defaults apply to every name; `*` is theirs alone, so a user's is refused here.
            if !is_name(&entry.key) {
                let article = if what.starts_with('e') { "an" } else { "a" };
                let message = format!("`{}` cannot be the name of {article} {what}", entry.key);
                self.found.push(
                    Diagnostic::error("scenario/name", message)
                        .label(Some(self.document.label(entry.span.clone(), "this name")))
                        .help(format!(
                            "a name is a letter, digit or `_`, then up to {} more of these or `-` \
                             or `.`: it becomes part of directory names",
                            MAX_NAME - 1
                        )),
                );
            }
            let folded = entry.key.to_ascii_lowercase();
            let twin = entries
                .iter()
                .take_while(|other| other.span.start < entry.span.start)
                .find(|other| other.key.to_ascii_lowercase() == folded);
            if let Some(twin) = twin {
                let message = format!("`{}` and `{}` differ only in case", twin.key, entry.key);
                self.found.push(
                    Diagnostic::error("scenario/name", message)
                        .label(Some(self.document.label(entry.span.clone(), "this one")))
                        .label(Some(self.document.label(twin.span.clone(), "and this one")))
                        .help("some file systems cannot keep their directories apart"),
                );
            }
            self.at(entry, of);
        }
    }

    fn engine(&mut self, entries: &'a [Entry]) {
        let engine = self.path.last().copied().unwrap_or_default();
        let own_flags = entries
            .iter()
            .find(|entry| entry.key == "flags")
            .into_iter()
            .flat_map(|entry| entry.node.entries().iter().map(|flag| flag.key.as_str()));
        let flags = self.flags.get(engine);
        let dynamic: BTreeSet<&str> =
            flags.into_iter().flatten().map(String::as_str).chain(own_flags).collect();
        for entry in entries {
            let field =
                EngineSpec::FIELDS.iter().chain(OPTIONS).find(|field| field.key == entry.key);
            match field {
                // An option may be a template over variables and swept values.
                Some(field) if is_option_template(field, &entry.node) => {}
                Some(field) => self.at(entry, &field.kind),
                None if dynamic.contains(entry.key.as_str()) => self.at(entry, &Kind::Scalar),
                None => {
                    let fields = EngineSpec::FIELDS.iter().chain(OPTIONS).map(|field| field.key);
                    let known = fields.chain(dynamic.iter().copied());
                    self.unknown_key(entry, known);
                }
            }
        }
    }

    fn wrong_type(&mut self, node: &Node, kind: &Kind) {
        let message = format!(
            "{}: found {}, expected {}",
            self.key(),
            node.value.type_name(),
            kind.expected()
        );
        self.refuse(node, "scenario/type", message);
    }

    fn out_of_range(&mut self, node: &Node, kind: &Kind) {
        let found = &self.document.source.text[node.span.clone()];
        let message = format!("{}: `{found}` is out of range", self.key());
        let label = self.document.label(node.span.clone(), format!("expected {}", kind.expected()));
        self.found.push(Diagnostic::error("scenario/range", message).label(Some(label)));
    }

    fn not_a_choice(&mut self, node: &Node, kind: &Kind, words: &[&str]) {
        let text = node.as_text().unwrap_or_default();
        let message = format!("{}: unknown value `{text}`", self.key());
        let label = self.document.label(node.span.clone(), format!("expected {}", kind.expected()));
        let help =
            nearest(text, words.iter().copied()).map(|word| format!("did you mean `{word}`?"));
        self.found
            .push(Diagnostic::error("scenario/value", message).label(Some(label)).maybe_help(help));
    }

    fn refuse(&mut self, node: &Node, code: &'static str, message: String) {
        let label = self.document.label(node.span.clone(), String::new());
        self.found.push(Diagnostic::error(code, message).label(Some(label)));
    }

    fn key(&self) -> String {
        format!("`{}`", self.path.join("."))
    }
}

fn is_one_of(words: &[&str], data: &Data) -> bool {
    matches!(data, Data::Text(text) if words.contains(&text.as_str()))
}

fn is_option_template(field: &Field, node: &Node) -> bool {
    OPTIONS.iter().any(|option| option.key == field.key)
        && node.as_text().is_some_and(|text| text.contains("{{"))
}

fn same_type(kind: &Kind, data: &Data) -> bool {
    match kind {
        Kind::Text | Kind::Duration | Kind::Choice(_) => matches!(data, Data::Text(_)),
        Kind::Bool => matches!(data, Data::Bool(_)),
        Kind::Integer(..) => matches!(data, Data::Integer(_)),
        Kind::Above(..) | Kind::Number(..) => matches!(data, Data::Integer(_) | Data::Float(_)),
        Kind::Scalar => {
            matches!(data, Data::Text(_) | Data::Integer(_) | Data::Float(_) | Data::Bool(_))
        }
        Kind::List(_) => matches!(data, Data::List(_)),
        Kind::Table(_) | Kind::Named(..) | Kind::Map(_) | Kind::Engine | Kind::Profile => {
            matches!(data, Data::Table(_))
        }
        Kind::Either(kinds) => kinds.iter().any(|kind| same_type(kind, data)),
        Kind::Anything => true,
    }
}

fn in_range(kind: &Kind, data: &Data) -> bool {
    let number = match data {
        Data::Integer(number) => *number as f64,
        Data::Float(number) => *number,
        _ => return true,
    };
    match kind {
        Kind::Integer(min, max) => {
            matches!(data, Data::Integer(number) if (min..=max).contains(&number))
        }
        // Written so that NaN is out of every range.
        Kind::Above(min, max) => number.is_finite() && number > *min && number <= *max,
        Kind::Number(min, max) => number.is_finite() && number >= *min && number <= *max,
        _ => true,
    }
}

/// Checks the items of a swept list, each against the kind of the swept key.
pub(crate) fn items(
    document: &Document,
    path: &[&str],
    list: &Node,
    kind: &'static Kind,
    found: &mut Diagnostics,
) {
    let Data::List(items) = &list.value else { return };
    let flags = FlagsByEngine::new();
    for item in items {
        Walk { document, flags: &flags, found, path: path.to_vec() }.value(item, kind);
    }
}
