//! `--set a.b=c` and `BENCH_A__B=c`: overrides from outside, read as small documents of their own.

use crate::diagnostic::suggest::{did_you_mean, nearest};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::scenario::grammar::{Field, Kind};
use crate::scenario::layers::Layers;
use crate::scenario::spec::{EngineSpec, OPTIONS, ScenarioSpec};
use crate::scenario::toml_tree::Document;

/// What all variables of `bench` begin with.
const PREFIX: &str = "BENCH_";

/// Reads one `--set`.
pub(crate) fn from_set(set: &str, layers: &Layers, found: &mut Diagnostics) -> Option<Document> {
    let Some((key, value)) = set.split_once('=') else {
        found.push(
            Diagnostic::error("scenario/set", format!("`--set {set}` has no `=`"))
                .help("write `--set phase.load.concurrency=8`"),
        );
        return None;
    };
    let mut problems = Diagnostics::default();
    let probe = Document::parse("--set", &format!("{key} = 0"), &mut problems);
    if problems.has_errors() {
        let why = match key.trim() {
            "" => "`--set` has no key before `=`".to_owned(),
            key => format!("`--set`: `{key}` is no key"),
        };
        found.push(
            Diagnostic::error("scenario/set", why).help("write `--set phase.load.concurrency=8`"),
        );
        return None;
    }
    let mut path = Vec::new();
    let mut node = &probe.root;
    while let [entry] = node.entries() {
        path.push(entry.key.as_str());
        node = &entry.node;
    }
    let document = fragment("--set", key.trim(), value.trim(), &path);
    is_of_a_known_name(&document, &path, layers, found).then_some(document)
}

/// Whether an override changes something that the scenario has: a name that it does not have
/// would be a new phase or engine, and what was meant would stay as it is.
fn is_of_a_known_name(
    document: &Document,
    path: &[&str],
    layers: &Layers,
    found: &mut Diagnostics,
) -> bool {
    let [section, name, ..] = *path else { return true };
    let names = layers.names(&[section]);
    let is_named = matches!(kind_at(&[section]), Some(Kind::Named(..)));
    if !is_named || section == "vars" || names.iter().any(|known| known == name) {
        return true;
    }
    let help = did_you_mean(name, names.iter().map(String::as_str), "defined ones")
        .unwrap_or_else(|| format!("the scenario has no `[{section}.NAME]`"));
    let span = document.find(&path[..2]).map(|(span, _)| span).unwrap_or_default();
    found.push(
        Diagnostic::error("scenario/unknown-name", format!("there is no {section} `{name}`"))
            .label(Some(document.label(span, "an override changes what is there")))
            .help(help),
    );
    false
}

/// Reads one environment variable; `None` when it is not one that sets a scenario's key.
///
/// `__` separates the parts of the key, `_` stands for `-` where a key has one.
pub(crate) fn from_env(
    name: &str,
    value: &str,
    layers: &Layers,
    found: &mut Diagnostics,
) -> Option<Document> {
    let parts: Vec<String> =
        name.strip_prefix(PREFIX)?.split("__").map(str::to_ascii_lowercase).collect();
    let section = ScenarioSpec::FIELDS.iter().find(|field| same_word(field.key, &parts[0]));
    let Some(section) = section else {
        if let [rest] = parts.as_slice() {
            found.extend(meant_as_a_key(name, rest, layers));
            return None;
        }
        let keys = ScenarioSpec::FIELDS.iter().map(|field| field.key);
        found.push(sets_no_key(name).maybe_help(did_you_mean(
            &parts[0],
            keys,
            "keys of a scenario",
        )));
        return None;
    };
    if parts.len() == 1 && is_section(section) {
        let spelling = spelling(section, "KEY");
        found.push(sets_no_key(name).help(format!("`{}` is a table: {spelling}", section.key)));
        return None;
    }
    let mut path = vec![section.key.to_string()];
    for part in &parts[1..] {
        let so_far: Vec<&str> = path.iter().map(String::as_str).collect();
        let known = match kind_at(&so_far) {
            Some(Kind::Table(fields)) => fields.iter().map(|field| field.key.to_string()).collect(),
            Some(Kind::MapOf(keys, _)) => keys.iter().map(ToString::to_string).collect(),
            Some(Kind::Engine) => {
                let mut known: Vec<String> = EngineSpec::FIELDS
                    .iter()
                    .chain(OPTIONS)
                    .map(|field| field.key.to_string())
                    .collect();
                known.extend(layers.names(&[so_far[0], so_far[1], "flags"]));
                known
            }
            _ => layers.names(&so_far),
        };
        path.push(known.into_iter().find(|key| same_word(key, part)).unwrap_or(part.clone()));
    }
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let document = fragment(name, &path.join("."), value.trim(), &path);
    is_of_a_known_name(&document, &path, layers, found).then_some(document)
}

/// Tells of a variable that was meant for a scenario and would change nothing. What is like no key
/// is somebody else's, and so is what the scenario itself names.
fn meant_as_a_key(name: &str, rest: &str, layers: &Layers) -> Option<Diagnostic> {
    if layers.list.iter().any(|layer| layer.document.source.text.contains(name)) {
        return None;
    }
    let help = |spelling| format!("two underscores separate the parts of a key: {spelling}");
    if let Some(spelling) = with_single_underscores(rest, layers) {
        return Some(sets_no_key(name).help(help(spelling)));
    }
    let near = nearest(rest, ScenarioSpec::FIELDS.iter().map(|field| field.key));
    if let Some(field) = near.and_then(|near| field(ScenarioSpec::FIELDS, near)) {
        let meant = if is_section(field) {
            spelling(field, "KEY")
        } else {
            format!("{PREFIX}{}", field.key).to_ascii_uppercase().replace('-', "_")
        };
        return Some(sets_no_key(name).help(format!("did you mean `{meant}`?")));
    }
    let has = |section: &&Field| match &section.kind {
        Kind::Table(fields) | Kind::Named(_, Kind::Table(fields)) => {
            fields.iter().any(|field| same_word(field.key, rest))
        }
        _ => false,
    };
    let section = ScenarioSpec::FIELDS.iter().find(has)?;
    // A word such as `host` may be meant for another program.
    let message = format!("`{name}` sets no key of a scenario");
    Some(Diagnostic::warning("scenario/env", message).help(help(spelling(section, rest))))
}

fn sets_no_key(name: &str) -> Diagnostic {
    Diagnostic::error("scenario/env", format!("`{name}` sets no key of a scenario"))
}

fn is_section(field: &Field) -> bool {
    matches!(field.kind, Kind::Table(_) | Kind::Named(..) | Kind::Map(_))
}

/// Returns the variable that sets a key of a section.
fn spelling(section: &Field, key: &str) -> String {
    let name = if matches!(section.kind, Kind::Named(..)) { "NAME__" } else { "" };
    let spelling = format!("{PREFIX}{}__{name}{key}", section.key);
    spelling.to_ascii_uppercase().replace('-', "_")
}

/// Returns what was meant by `PHASE_LOAD_RATE`.
fn with_single_underscores(rest: &str, layers: &Layers) -> Option<String> {
    let sections = ScenarioSpec::FIELDS.iter().filter(|field| is_section(field));
    let (section, rest) = sections.into_iter().find_map(|section| {
        let rest = rest.strip_prefix(&section.key.replace('-', "_"))?.strip_prefix('_')?;
        Some((section, rest))
    })?;
    let names = layers.names(&[section.key]);
    let known = names.iter().filter(|_| matches!(section.kind, Kind::Named(..))).find_map(|name| {
        let folded = name.to_ascii_lowercase().replace('-', "_");
        let key = rest.strip_prefix(&folded)?.strip_prefix('_')?;
        Some(format!("{PREFIX}{}__{folded}__{key}", section.key).to_ascii_uppercase())
    });
    let rest = if matches!(section.kind, Kind::Named(..)) { "KEY" } else { rest };
    Some(known.unwrap_or_else(|| spelling(section, rest)))
}

/// Returns the dotted key of a scenario that a word names: one at the top, or one of a section.
pub(crate) fn way_to(word: &str) -> Option<String> {
    let at_top = field(ScenarioSpec::FIELDS, word).filter(|field| !is_section(field));
    let in_section = || {
        ScenarioSpec::FIELDS.iter().find_map(|section| match &section.kind {
            Kind::Table(fields) => field(fields, word).map(|_| format!("{}.{word}", section.key)),
            Kind::Named(_, Kind::Table(fields)) => {
                field(fields, word).map(|_| format!("{}.NAME.{word}", section.key))
            }
            _ => None,
        })
    };
    at_top.map(|field| field.key.to_owned()).or_else(in_section)
}

/// Returns the document `key = value`, with quotes where the value needs them.
fn fragment(name: &str, key: &str, value: &str, path: &[&str]) -> Document {
    let as_written = format!("{key} = {value}");
    let mut problems = Diagnostics::default();
    let document = Document::parse(name, &as_written, &mut problems);
    let wants_text = matches!(
        kind_at(path),
        Some(Kind::Text | Kind::Said(..) | Kind::Choice(..) | Kind::Duration)
    );
    let is_text = document.find(path).is_some_and(|(_, node)| node.as_text().is_some());
    if !problems.has_errors() && (is_text || !wants_text) {
        return document;
    }
    let quoted = format!("{key} = {}", toml::Value::String(value.into()));
    Document::parse(name, &quoted, &mut Diagnostics::default())
}

/// Returns the kind of the key at a path, where the grammar knows it.
pub(crate) fn kind_at(path: &[&str]) -> Option<&'static Kind> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(&field(ScenarioSpec::FIELDS, first)?.kind, |kind, part| match kind {
        Kind::Table(fields) => field(fields, part).map(|field| &field.kind),
        Kind::Engine => field(EngineSpec::FIELDS, part)
            .or_else(|| field(OPTIONS, part))
            .map(|field| &field.kind),
        Kind::Profile => field(ScenarioSpec::FIELDS, part).map(|field| &field.kind),
        Kind::Named(_, of) | Kind::Map(of) | Kind::MapOf(_, of) => Some(*of),
        _ => None,
    })
}

fn field(fields: &'static [Field], key: &str) -> Option<&'static Field> {
    fields.iter().find(|field| field.key == key)
}

fn same_word(a: &str, b: &str) -> bool {
    a.to_ascii_lowercase().replace('-', "_") == b.to_ascii_lowercase().replace('-', "_")
}
