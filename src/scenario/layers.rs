//! Layers of a scenario, the lowest first: defaults, presets, extended files, the file, profile, environment, `--set`.

use std::collections::BTreeSet;

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use crate::diagnostic::{Diagnostic, Diagnostics, Label};
use crate::scenario::grammar::{Field, Kind};
use crate::scenario::spec::{LOADS, ScenarioSpec};
use crate::scenario::toml_tree::{Data, Document, Node};

/// Stands for every name of a section, in the defaults alone.
pub(crate) const EVERY: &str = "*";

/// A document, or a part of one, mounted somewhere in the scenario.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    /// Where it comes from.
    pub(crate) document: Document,
    /// The part of the document that is meant; empty for all of it.
    pub(crate) part: Vec<String>,
    /// Where it is mounted in the scenario; empty for the top.
    pub(crate) mount: Vec<String>,
}

impl Layer {
    /// Returns a layer that covers the whole scenario.
    pub(crate) fn whole(document: Document) -> Self {
        Self { document, part: Vec::new(), mount: Vec::new() }
    }

    /// Returns the key's place and the value that this layer has at a path of the scenario.
    pub(crate) fn find(&self, path: &[&str]) -> Option<(std::ops::Range<usize>, &Node)> {
        if path.len() < self.mount.len() || self.mount.iter().zip(path).any(|(a, b)| a != b) {
            return None;
        }
        let mut inside: Vec<&str> = self.part.iter().map(String::as_str).collect();
        inside.extend(&path[self.mount.len()..]);
        self.document.find(&inside)
    }

    fn keys(&self, path: &[&str]) -> Vec<String> {
        self.find(path)
            .map(|(_, node)| node.entries().iter().map(|entry| entry.key.clone()).collect())
            .unwrap_or_default()
    }

    fn to_dict(&self) -> Dict {
        let part: Vec<&str> = self.part.iter().map(String::as_str).collect();
        let dict = self.document.find(&part).map(|(_, node)| node.to_dict()).unwrap_or_default();
        self.mount
            .iter()
            .rev()
            .fold(dict, |inner, key| Dict::from([(key.clone(), Value::from(inner))]))
    }
}

/// All layers, and the questions one asks them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers {
    /// The lowest first.
    pub(crate) list: Vec<Layer>,
}

impl Layers {
    /// Returns the value at a path in the highest layer that has one.
    pub(crate) fn find(&self, path: &[&str]) -> Option<&Node> {
        self.list.iter().rev().find_map(|layer| layer.find(path)).map(|(_, node)| node)
    }

    /// Returns the text at a path in the highest layer that has one.
    pub(crate) fn text(&self, path: &[&str]) -> Option<&str> {
        self.find(path)?.as_text()
    }

    /// Returns the names in a table over all layers, in order of first appearance.
    pub(crate) fn names(&self, path: &[&str]) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for layer in &self.list {
            // A preset is mounted in `engine.NAME`: it does not name engines.
            if layer.mount.len() > path.len() {
                continue;
            }
            for name in layer.keys(path) {
                if name != EVERY && !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        names
    }

    /// Returns a label at the key of a path, in the highest layer that has it.
    pub(crate) fn key(&self, path: &[&str], text: impl Into<String>) -> Option<Label> {
        self.label(path, &text.into(), false)
    }

    /// Returns a label at the value of a path, in the highest layer that has it.
    pub(crate) fn value(&self, path: &[&str], text: impl Into<String>) -> Option<Label> {
        self.label(path, &text.into(), true)
    }

    fn label(&self, path: &[&str], text: &str, value: bool) -> Option<Label> {
        self.list.iter().rev().find_map(|layer| {
            let (key_span, node) = layer.find(path)?;
            let span = if value { node.span.clone() } else { key_span };
            Some(layer.document.label(span, text))
        })
    }

    /// Merges all layers with figment and returns the scenario as one table.
    pub(crate) fn merge(&self, found: &mut Diagnostics) -> toml::Table {
        let mut dicts: Vec<Dict> = self.list.iter().map(Layer::to_dict).collect();
        let mut dormant = Vec::new();
        for idx in 0..dicts.len() {
            spread_defaults(&mut dicts[idx], self);
            if idx == 0 {
                take_dormant(&mut dicts[0], ScenarioSpec::FIELDS, &mut Vec::new(), &mut dormant);
            }
            let (lower, this) = dicts.split_at_mut(idx);
            drop_replaced_loads(lower, &this[0]);
        }
        let figment = self.list.iter().zip(dicts).fold(Figment::new(), |figment, (layer, dict)| {
            figment.merge(OneLayer { name: layer.document.source.name.clone(), dict })
        });
        let mut tree = figment.extract().unwrap_or_else(|error| {
            // The documents are checked; what still fails is told rather than lost.
            for error in error {
                found.push(Diagnostic::error("scenario/layers", error.to_string()));
            }
            toml::Table::new()
        });
        for (path, defaults) in dormant {
            wake(&mut tree, &path, defaults);
        }
        tree
    }
}

/// Takes the tables of keys that a scenario may do without, `[search]` for example, out of the
/// defaults: they apply where the scenario has such a table.
fn take_dormant(
    dict: &mut Dict,
    fields: &[Field],
    path: &mut Vec<String>,
    taken: &mut Vec<(Vec<String>, Dict)>,
) {
    for field in fields {
        let Some(Value::Dict(_, inner)) = dict.get_mut(field.key) else { continue };
        path.push(field.key.to_string());
        match &field.kind {
            _ if field.optional && !matches!(field.kind, Kind::Named(..)) => {
                taken.push((path.clone(), std::mem::take(inner)));
                dict.remove(field.key);
            }
            Kind::Table(fields) => take_dormant(inner, fields, path, taken),
            Kind::Named(_, Kind::Table(fields)) => {
                for (name, value) in inner {
                    let Value::Dict(_, named) = value else { continue };
                    path.push(name.clone());
                    take_dormant(named, fields, path, taken);
                    path.pop();
                }
            }
            _ => {}
        }
        path.pop();
    }
}

/// Puts defaults beneath the table at a path, where there is one; `true` stands for all of them.
fn wake(tree: &mut toml::Table, path: &[String], defaults: Dict) {
    let Some((last, parents)) = path.split_last() else { return };
    let parent = parents.iter().try_fold(tree, |table, key| match table.get_mut(key)? {
        toml::Value::Table(inner) => Some(inner),
        _ => None,
    });
    let Some(value) = parent.and_then(|parent| parent.get_mut(last)) else { return };
    if *value == toml::Value::Boolean(true) {
        *value = toml::Value::Table(toml::Table::new());
    }
    let toml::Value::Table(table) = value else { return };
    for (key, default) in defaults {
        if let (false, Ok(default)) = (table.contains_key(&key), toml::Value::try_from(default)) {
            table.insert(key, default);
        }
    }
}

/// The one figment provider: a table that was parsed already.
struct OneLayer {
    name: String,
    dict: Dict,
}

impl Provider for OneLayer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.dict.clone()))
    }
}

/// Gives each name of a section what the defaults say of `*`.
fn spread_defaults(dict: &mut Dict, layers: &Layers) {
    for (section, value) in dict.iter_mut() {
        let Value::Dict(_, table) = value else { continue };
        let Some(every) = table.remove(EVERY) else { continue };
        for name in layers.names(&[section]) {
            table.entry(name).or_insert_with(|| every.clone());
        }
    }
}

/// Removes from lower layers the ways of sending that a higher layer replaces by another one.
fn drop_replaced_loads(lower: &mut [Dict], higher: &Dict) {
    let Some(Value::Dict(_, phases)) = higher.get("phase") else { return };
    for (name, phase) in phases {
        let Value::Dict(_, phase) = phase else { continue };
        let set: BTreeSet<&str> =
            LOADS.iter().copied().filter(|load| phase.contains_key(*load)).collect();
        if set.is_empty() {
            continue;
        }
        for dict in lower.iter_mut() {
            let Some(Value::Dict(_, phases)) = dict.get_mut("phase") else { continue };
            let Some(Value::Dict(_, phase)) = phases.get_mut(name) else { continue };
            phase.retain(|key, _| {
                let replaced = LOADS.contains(&key.as_str()) && !set.contains(key.as_str());
                !replaced && (key != "arrival" || set.contains("rate"))
            });
        }
    }
}

impl Document {
    /// Whether a table of the document has that key.
    pub(crate) fn has(&self, path: &[&str]) -> bool {
        self.find(path).is_some()
    }

    /// Returns the strings at a path: one string, or a list of them.
    pub(crate) fn strings(&self, path: &[&str]) -> Vec<(std::ops::Range<usize>, String)> {
        match self.find(path).map(|(_, node)| node) {
            Some(Node { value: Data::Text(text), span }) => vec![(span.clone(), text.clone())],
            Some(Node { value: Data::List(items), .. }) => items
                .iter()
                .filter_map(|item| Some((item.span.clone(), item.as_text()?.to_string())))
                .collect(),
            _ => Vec::new(),
        }
    }
}
