//! Holds a document against the grammar: unknown keys, wrong types, values out of range.

use std::collections::BTreeMap;
use std::path::Path;

use crate::diagnostic::suggest::{list, nearest};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::scenario::grammar::{Field, Kind, MAX_NAME, is_name};
use crate::scenario::mend::{Mend, Mends};
use crate::scenario::spec::{EngineSpec, OPTIONS, ScenarioSpec, Source};
use crate::scenario::synonyms::{meant, replaced};
use crate::scenario::toml_tree::{Data, Document, Entry, Node};
use crate::units::Nanos;

/// Options that presets define, by engine name: they are keys of `[engine.NAME]` too.
pub(crate) type FlagsByEngine = BTreeMap<String, Vec<String>>;

/// The results of a check.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// The mistakes.
    pub(crate) found: Diagnostics,
    /// Their stand-ins.
    pub(crate) mends: Mends,
}

/// Checks the names of a scenario's sections.
pub(crate) fn sections(document: &Document, findings: &mut Findings) {
    let flags = FlagsByEngine::new();
    let mut walk = Walk { document, of: SCENARIO, flags: &flags, findings, path: Vec::new() };
    for entry in document.root.entries() {
        if !ScenarioSpec::FIELDS.iter().any(|field| field.key == entry.key) {
            walk.unknown_key(entry, ScenarioSpec::FIELDS.iter().map(|field| field.key));
        }
    }
}

/// Checks a scenario document whose sections are known.
pub(crate) fn scenario(document: &Document, flags: &FlagsByEngine, findings: &mut Findings) {
    Walk { document, of: SCENARIO, flags, findings, path: Vec::new() }
        .table(&document.root, ScenarioSpec::FIELDS);
}

/// Checks a preset: the body of an `[engine.NAME]` table.
pub(crate) fn preset(document: &Document, findings: &mut Findings) {
    let flags = FlagsByEngine::new();
    Walk { document, of: "a preset", flags: &flags, findings, path: Vec::new() }
        .table(&document.root, EngineSpec::FIELDS);
    if let Some((span, _)) = document.find(&["preset"]) {
        findings.found.push(
            Diagnostic::error("scenario/preset", "a preset is made from no other one")
                .label(Some(document.label(span, "is not read")))
                .help("copy what it is to share; `bench presets NAME` prints a preset"),
        );
    }
}

/// Checks the items of a swept list, each against the kind of the swept key; returns the
/// positions of those that are wrong.
pub(crate) fn items(
    document: &Document,
    path: &[&str],
    list: &Node,
    kind: &'static Kind,
    found: &mut Diagnostics,
) -> Vec<usize> {
    let Data::List(items) = &list.value else { return Vec::new() };
    let flags = FlagsByEngine::new();
    let mut wrong = Vec::new();
    for (position, item) in items.iter().enumerate() {
        let mut findings = Findings::default();
        let path = path.to_vec();
        Walk { document, of: SCENARIO, flags: &flags, findings: &mut findings, path }
            .value(item, kind);
        wrong.extend(findings.found.has_errors().then_some(position));
        found.extend(findings.found);
    }
    wrong
}

/// What most documents are.
const SCENARIO: &str = "a scenario";

struct Walk<'a> {
    document: &'a Document,
    /// What the document is, for messages.
    of: &'static str,
    flags: &'a FlagsByEngine,
    findings: &'a mut Findings,
    path: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    fn table(&mut self, node: &'a Node, fields: &'static [Field]) {
        for entry in node.entries() {
            let known = |key: &str| fields.iter().find(|field| field.key == key);
            let keys = fields.iter().map(|field| field.key);
            let field = known(&entry.key).or_else(|| self.unknown_key(entry, keys).and_then(known));
            if let Some(field) = field {
                self.at(entry, &field.kind);
            }
        }
    }

    fn at(&mut self, entry: &'a Entry, kind: &'static Kind) {
        self.path.push(&entry.key);
        self.value(&entry.node, kind);
        self.path.pop();
    }

    /// Tells of a key that is not known here; returns the one that was meant, if one is near.
    fn unknown_key<'k>(
        &mut self,
        entry: &Entry,
        known: impl Iterator<Item = &'k str>,
    ) -> Option<&'k str> {
        let place = match self.path.as_slice() {
            [] => self.of.to_string(),
            path => format!("`{}`", path.join(".")),
        };
        let known: Vec<&str> = known.collect();
        // What replaces a key of an earlier version has a value of another kind.
        let replaced = replaced(&entry.key, &entry.node.value);
        let near = if replaced.is_some() { None } else { meant(&entry.key, &known) };
        // A key of another section in this place is the second most common mistake.
        let has = |fields: &[Field]| fields.iter().any(|field| field.key == entry.key);
        let elsewhere = || {
            ScenarioSpec::FIELDS.iter().find_map(|section| match &section.kind {
                Kind::Table(fields) if has(fields) => Some(format!("[{}]", section.key)),
                Kind::Named(_, Kind::Table(fields)) if has(fields) => {
                    Some(format!("[{}.NAME]", section.key))
                }
                _ => None,
            })
        };
        let meant = || match near {
            Some(key) => format!("did you mean `{key}`?"),
            None => match elsewhere() {
                Some(section) => format!("`{}` is a key of `{section}`", entry.key),
                None => format!("known keys: {}", list(known.iter().copied())),
            },
        };
        let help = replaced.unwrap_or_else(meant);
        let label = self.document.label(entry.span.clone(), format!("not a key of {place}"));
        self.findings.found.push(
            Diagnostic::error("scenario/unknown-key", format!("unknown key `{}`", entry.key))
                .label(Some(label))
                .help(help),
        );
        self.findings.mends.push(Mend::key(self.document, &self.path, entry.span.clone(), near));
        near
    }

    fn value(&mut self, node: &'a Node, kind: &'static Kind) {
        let has_parts = matches!(node.value, Data::Table(_) | Data::List(_));
        if !has_parts && self.document.is_broken_at(node) {
            return;
        }
        match (kind, &node.value) {
            (Kind::Anything, data) => self.anything(node, data),
            (Kind::Either(kinds), data) => match kinds.iter().find(|kind| same_type(kind, data)) {
                // The other forms are worth naming too.
                Some(Kind::Choice(words, _)) if !is_one_of(words, data) => {
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
            (Kind::MapOf(keys, of), Data::Table(entries)) => {
                for entry in entries {
                    let is_known = keys.contains(&entry.key.as_str());
                    if is_known || self.unknown_key(entry, keys.iter().copied()).is_some() {
                        self.at(entry, of);
                    }
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
                let message = format!("{}: a number must be finite", self.key());
                self.refuse(node, kind, "scenario/range", message);
            }
            (Kind::Text | Kind::Said(..) | Kind::Scalar, Data::Text(text))
                if text.contains('\0') =>
            {
                let message = "a string must not contain NUL".into();
                self.refuse(node, kind, "scenario/range", message);
            }
            (Kind::Choice(words, _), data @ Data::Text(_)) if !is_one_of(words, data) => {
                self.not_a_choice(node, kind, words);
            }
            (Kind::Duration, Data::Text(text)) => match Nanos::parse(text) {
                Some(nanos) if nanos.0 > 0 => {}
                _ => {
                    let message = format!("{}: `{text}` is not a length of time", self.key());
                    let error = Diagnostic::error("scenario/range", message);
                    self.refuse_as(node, kind, error, &format!("expected {}", kind.expected()));
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
                let message = format!("{what} has no place in a scenario");
                self.refuse(node, &Kind::Anything, "scenario/type", message);
            }
            Data::Float(number) if !number.is_finite() => {
                let message = "a number must be finite".into();
                self.refuse(node, &Kind::Anything, "scenario/range", message);
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
                self.findings.found.push(
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
                self.findings.found.push(
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
        let flags: Vec<&str> = self
            .flags
            .get(engine)
            .into_iter()
            .flatten()
            .map(String::as_str)
            .chain(own_flags)
            .collect();
        for entry in entries {
            let mut key = entry.key.as_str();
            if engine_kind(key, &flags).is_none() {
                // The engine's own options first: they are what is asked for most.
                let others = OPTIONS.iter().map(|option| option.key);
                let others = others.filter(|_| flags.is_empty());
                let keys = EngineSpec::FIELDS.iter().map(|field| field.key);
                let known: Vec<&str> = flags.iter().copied().chain(others).chain(keys).collect();
                let Some(meant) = self.unknown_key(entry, known.into_iter()) else { continue };
                key = meant;
            }
            let is_option = OPTIONS.iter().any(|option| option.key == key);
            // An option may be a template over variables and swept values.
            let is_template = entry.node.as_text().is_some_and(|text| text.contains("{{"));
            if let (false, Some(kind)) = (is_option && is_template, engine_kind(key, &flags)) {
                self.at(entry, kind);
            }
        }
    }

    fn wrong_type(&mut self, node: &Node, kind: &Kind) {
        let (key, expected) = (self.key(), kind.expected());
        let message = format!("{key}: found {}, expected {expected}", node.value.type_name());
        let error = Diagnostic::error("scenario/type", message);
        let help = self.without_quotes(node, kind).or_else(|| self.other_form(node, kind));
        self.refuse_as(node, kind, error.maybe_help(help), "");
    }

    /// Says how a value is written that stands where it is looked for first: several values
    /// instead of one, a thing without a name.
    fn other_form(&self, node: &Node, kind: &Kind) -> Option<String> {
        let last = self.path.last()?;
        match (matches!(node.value, Data::List(_)), self.path.as_slice()) {
            (true, ["phase" | "engine" | "dataset" | "request", ..]) if is_scalar(kind) => {
                let written = &self.document.source.text[node.span.clone()];
                Some(format!(
                    "several values are rows of their own: `{last} = {written}` in `[matrix]`"
                ))
            }
            (false, [section @ ("engine" | "dataset" | "phase" | "score"), _])
                if !is_scalar(kind) =>
            {
                Some(format!("it has a name, which stands in the header: `[{section}.NAME]`"))
            }
            _ => None,
        }
    }

    fn out_of_range(&mut self, node: &Node, kind: &Kind) {
        let found = &self.document.source.text[node.span.clone()];
        let message = format!("{}: `{found}` is out of range", self.key());
        let error = Diagnostic::error("scenario/range", message);
        self.refuse_as(node, kind, error, &format!("expected {}", kind.expected()));
    }

    fn not_a_choice(&mut self, node: &Node, kind: &Kind, words: &[&str]) {
        let text = node.as_text().unwrap_or_default();
        let unquoted = self.without_quotes(node, kind);
        let message = if unquoted.is_some() {
            format!("{}: `\"{text}\"` is a string", self.key())
        } else {
            format!("{}: unknown value `{text}`", self.key())
        };
        let near = nearest(text, words.iter().copied());
        let file = || self.file_as_source(text);
        let near = || near.map(|word| format!("did you mean `{word}`?"));
        let help = unquoted.or_else(file).or_else(near);
        let error = Diagnostic::error("scenario/value", message).maybe_help(help);
        self.refuse_as(node, kind, error, &format!("expected {}", kind.expected()));
    }

    /// Says how a file is named that stands where its kind is asked for.
    fn file_as_source(&self, text: &str) -> Option<String> {
        let ["dataset", _, "source"] = self.path.as_slice() else { return None };
        let kind = Source::of_ending(Path::new(text).extension()?.to_str()?)?.word();
        let location = format!("`location = {text:?}`");
        Some(format!(
            "`source` is the kind of the file: write `source = \"{kind}\"` and {location}"
        ))
    }

    /// Advises on a string that would be right without its quotes.
    fn without_quotes(&self, node: &Node, kind: &Kind) -> Option<String> {
        let text = node.as_text()?;
        let bare = match text {
            "true" => Data::Bool(true),
            "false" => Data::Bool(false),
            _ => match text.parse() {
                Ok(number) => Data::Integer(number),
                Err(_) => Data::Float(text.parse().ok().filter(|number: &f64| number.is_finite())?),
            },
        };
        let key = self.path.last().copied().unwrap_or_default();
        same_type(kind, &bare).then(|| format!("write it without quotes: `{key} = {text}`"))
    }

    fn refuse(&mut self, node: &Node, kind: &Kind, code: &'static str, message: String) {
        self.refuse_as(node, kind, Diagnostic::error(code, message), "");
    }

    /// Tells of a wrong value, and lets one that is allowed stand in for it.
    fn refuse_as(&mut self, node: &Node, kind: &Kind, error: Diagnostic, label: &str) {
        let label = self.document.label(node.span.clone(), label);
        self.findings.found.push(error.label(Some(label)));
        let mend = Mend::value(self.document, &self.path, node.span.clone(), kind.stand_in());
        self.findings.mends.push(mend);
    }

    fn key(&self) -> String {
        format!("`{}`", self.path.join("."))
    }
}

fn engine_kind(key: &str, flags: &[&str]) -> Option<&'static Kind> {
    let field = EngineSpec::FIELDS.iter().chain(OPTIONS).find(|field| field.key == key);
    let flag = || flags.contains(&key).then_some(&Kind::Scalar);
    field.map(|field| &field.kind).or_else(flag)
}

/// Whether a value of that kind has no parts.
fn is_scalar(kind: &Kind) -> bool {
    match kind {
        Kind::Either(kinds) => kinds.iter().any(is_scalar),
        Kind::Anything
        | Kind::List(_)
        | Kind::Table(_)
        | Kind::Named(..)
        | Kind::Map(_)
        | Kind::MapOf(..)
        | Kind::Engine
        | Kind::Profile => false,
        _ => true,
    }
}

fn is_one_of(words: &[&str], data: &Data) -> bool {
    matches!(data, Data::Text(text) if words.contains(&text.as_str()))
}

fn same_type(kind: &Kind, data: &Data) -> bool {
    match kind {
        Kind::Text | Kind::Said(..) | Kind::Duration | Kind::Choice(..) => {
            matches!(data, Data::Text(_))
        }
        Kind::Bool => matches!(data, Data::Bool(_)),
        Kind::Integer(..) => matches!(data, Data::Integer(_)),
        Kind::Above(..) | Kind::Number(..) => matches!(data, Data::Integer(_) | Data::Float(_)),
        Kind::Scalar => {
            matches!(data, Data::Text(_) | Data::Integer(_) | Data::Float(_) | Data::Bool(_))
        }
        Kind::List(_) => matches!(data, Data::List(_)),
        Kind::Table(_)
        | Kind::Named(..)
        | Kind::Map(_)
        | Kind::MapOf(..)
        | Kind::Engine
        | Kind::Profile => matches!(data, Data::Table(_)),
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
