//! What a swept key means, and what its values may be.

use std::collections::HashSet;

use indexmap::IndexMap;
use toml::Value;

use crate::diagnostic::suggest::did_you_mean;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::plan::matrix::text;
use crate::scenario::Scenario;
use crate::scenario::grammar::{Field, Kind};
use crate::scenario::overrides::kind_at;
use crate::scenario::spec::{EngineSpec, MATRIX, OPTIONS, section};
use crate::scenario::synonyms::meant;
use crate::scenario::validate;

/// Keys that advance together, and their values, one row after the other.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub(super) keys: Vec<Key>,
    pub(super) rows: Vec<Vec<Value>>,
}

/// A swept key.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// As the scenario writes it.
    pub(super) written: String,
    /// What it means.
    pub(super) target: Target,
}

/// What a swept key changes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Target {
    Engine,
    Dataset,
    Score,
    /// A key of the cell's engine.
    OfEngine,
    /// A key of all measured phases.
    OfPhases,
    /// A key of the cell's data set.
    OfDataset,
    /// Exactly this place.
    Path(Vec<String>),
}

/// Returns the axes of the product, in the order of the matrix.
pub(super) fn axes(scenario: &Scenario, found: &mut Diagnostics) -> Vec<Axis> {
    let mut swept: IndexMap<String, (Key, Vec<Value>)> = IndexMap::new();
    if let Some(Value::Table(matrix)) = scenario.tree.get("matrix") {
        for name in scenario.names("matrix") {
            let Some(value) = matrix.get(&name) else { continue };
            if !MATRIX.iter().any(|field| field.key == name) {
                sweep(scenario, &mut vec![name.clone()], value, &mut swept, found);
            }
        }
    }
    for (section, target) in
        [("score", Target::Score), ("dataset", Target::Dataset), ("engine", Target::Engine)]
    {
        let names = scenario.names(section);
        // One score or data set needs no column; engines always are one.
        if !swept.contains_key(section)
            && !names.is_empty()
            && (section == "engine" || names.len() > 1)
        {
            let values = names.into_iter().map(Value::String).collect();
            let key = Key { written: section.to_string(), target };
            swept.shift_insert(0, section.to_string(), (key, values));
        }
    }
    zip(scenario, swept, found)
}

/// Reads one swept key; a table holds more of them (`phase.load.rate = […]` without quotes).
fn sweep(
    scenario: &Scenario,
    path: &mut Vec<String>,
    value: &Value,
    swept: &mut IndexMap<String, (Key, Vec<Value>)>,
    found: &mut Diagnostics,
) {
    let written = path.join(".");
    let place: Vec<&str> =
        std::iter::once("matrix").chain(path.iter().map(String::as_str)).collect();
    match value {
        Value::Table(inner) => {
            for (key, value) in inner {
                path.push(key.clone());
                sweep(scenario, path, value, swept, found);
                path.pop();
            }
        }
        Value::Array(values) if values.is_empty() => found.push(
            Diagnostic::error("scenario/range", format!("`{written}` is swept over no value"))
                .label(scenario.layers.value(&place, ""))
                .help("give it one value at least"),
        ),
        Value::Array(values) => {
            let Some((target, kind)) = resolve(scenario, &written, &place, found) else { return };
            let values = checked(scenario, &place, values, kind, found);
            let labels: Vec<String> = values.iter().map(text).collect();
            check_names(scenario, &target, &place, &labels, found);
            swept.insert(written.clone(), (Key { written, target }, values));
        }
        _ => found.push(
            Diagnostic::error("scenario/type", format!("`{written}` in `[matrix]` is not a list"))
                .label(scenario.layers.value(&place, "expected a list of values"))
                .help("write a list, or put a single value into its own section"),
        ),
    }
}

/// Finds out what a swept key means: its place, and what its values may be.
fn resolve(
    scenario: &Scenario,
    written: &str,
    place: &[&str],
    found: &mut Diagnostics,
) -> Option<(Target, Option<&'static Kind>)> {
    let find = |fields: &'static [Field]| {
        fields.iter().find(|field| field.key == written).map(|field| &field.kind)
    };
    match written {
        "engine" => return Some((Target::Engine, Some(&Kind::Text))),
        "dataset" => return Some((Target::Dataset, Some(&Kind::Text))),
        "score" => return Some((Target::Score, Some(&Kind::Text))),
        _ => {}
    }
    if scenario.names("vars").iter().any(|name| name == written) {
        let path = vec!["vars".to_string(), written.to_string()];
        return Some((Target::Path(path), Some(&Kind::Scalar)));
    }
    if let Some(kind) = find(EngineSpec::FIELDS).or_else(|| find(OPTIONS)) {
        return Some((Target::OfEngine, Some(kind)));
    }
    let mut flags: Vec<String> = Vec::new();
    for engine in scenario.names("engine") {
        flags.extend(scenario.layers.names(&["engine", &engine, "flags"]));
    }
    if flags.iter().any(|flag| flag == written) {
        return Some((Target::OfEngine, Some(&Kind::Scalar)));
    }
    for (name, target) in [("phase", Target::OfPhases), ("dataset", Target::OfDataset)] {
        if let Some(kind) = find(section(name)) {
            return Some((target, Some(kind)));
        }
    }
    if let Some(kind) = find(section("request")) {
        let path = vec!["request".to_string(), written.to_string()];
        return Some((Target::Path(path), Some(kind)));
    }
    let path: Vec<String> = written.split('.').map(str::to_string).collect();
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    if let [section, name, ..] = parts[..]
        && matches!(section, "engine" | "phase" | "dataset" | "score")
    {
        let names = scenario.names(section);
        if !names.iter().any(|known| known == name) {
            let help = did_you_mean(name, names.iter().map(String::as_str), "defined ones");
            let message = format!("`{written}`: there is no {section} `{name}`");
            found.push(
                Diagnostic::error("scenario/unknown-name", message)
                    .label(scenario.at(place, ""))
                    .maybe_help(help),
            );
            return None;
        }
    }
    if parts.len() > 1 {
        let is_flag = parts[0] == "engine"
            && parts.len() == 3
            && scenario.layers.names(&["engine", parts[1], "flags"]).iter().any(|f| f == parts[2]);
        if let Some(kind) = kind_at(&parts) {
            return Some((Target::Path(path), Some(kind)));
        }
        if is_flag {
            return Some((Target::Path(path), Some(&Kind::Scalar)));
        }
    }
    let words = ["engine", "dataset", "score"].into_iter();
    let of_engines = OPTIONS.iter().chain(EngineSpec::FIELDS).map(|field| field.key);
    let of_sections = ["phase", "request", "dataset"].into_iter().flat_map(section_keys);
    let mut known: Vec<String> =
        words.chain(of_engines).chain(of_sections).map(str::to_string).collect();
    known.extend(flags);
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let in_place = (parts.len() > 1).then(|| near_in_place(scenario, &parts)).flatten();
    let help = in_place.as_deref().or_else(|| meant(written, &known)).map_or_else(
        || {
            "sweep a key of an engine, a phase, `[request]`, `[vars]`, or a dotted key such as \
             `\"phase.load.concurrency\"`"
                .to_string()
        },
        |word| format!("did you mean `{word}`?"),
    );
    found.push(
        Diagnostic::error("scenario/unknown-key", format!("`{written}` cannot be swept"))
            .label(scenario.at(place, "no such key"))
            .help(help),
    );
    None
}

/// Returns the dotted key that was meant where all but its last part is known.
fn near_in_place(scenario: &Scenario, parts: &[&str]) -> Option<String> {
    let (last, place) = parts.split_last()?;
    let mut known: Vec<String> = match kind_at(place)? {
        Kind::Engine => {
            let keys = OPTIONS.iter().chain(EngineSpec::FIELDS);
            keys.map(|field| field.key.to_owned()).collect()
        }
        Kind::Table(fields) => fields.iter().map(|field| field.key.to_owned()).collect(),
        _ => return None,
    };
    if let ["engine", name] = place {
        known.extend(scenario.layers.names(&["engine", name, "flags"]));
    }
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    Some(format!("{}.{}", place.join("."), meant(last, &known)?))
}

fn section_keys(name: &str) -> impl Iterator<Item = &'static str> + use<> {
    section(name).iter().map(|field| field.key)
}

/// Returns the values of a swept key; what is allowed stands in for what is wrong.
fn checked(
    scenario: &Scenario,
    place: &[&str],
    values: &[Value],
    kind: Option<&'static Kind>,
    found: &mut Diagnostics,
) -> Vec<Value> {
    let mut values = values.to_vec();
    let layer = scenario.layers.list.iter().rev().find(|layer| layer.find(place).is_some());
    let at = layer.and_then(|layer| Some((layer, layer.find(place)?.1)));
    if let (Some((layer, node)), Some(kind)) = (at, kind) {
        for wrong in validate::items(&layer.document, place, node, kind, found) {
            let stand_in = Value::try_from(kind.stand_in().to_figment());
            if let (Some(value), Ok(stand_in)) = (values.get_mut(wrong), stand_in) {
                *value = stand_in;
            }
        }
    }
    values
}

fn check_names(
    scenario: &Scenario,
    target: &Target,
    place: &[&str],
    labels: &[String],
    found: &mut Diagnostics,
) {
    let section = match target {
        Target::Engine => "engine",
        Target::Dataset => "dataset",
        Target::Score => "score",
        _ => return,
    };
    let names = scenario.names(section);
    for (idx, label) in labels.iter().enumerate().filter(|(_, label)| !names.contains(label)) {
        let item = idx.to_string();
        let item: Vec<&str> = place.iter().copied().chain([item.as_str()]).collect();
        let help = did_you_mean(label, names.iter().map(String::as_str), "defined ones")
            .unwrap_or_else(|| format!("add `[{section}.{label}]`"));
        found.push(
            Diagnostic::error("scenario/unknown-name", format!("there is no {section} `{label}`"))
                .label(scenario.layers.value(&item, format!("no `[{section}.{label}]`")))
                .help(help),
        );
    }
}

fn zip(
    scenario: &Scenario,
    mut swept: IndexMap<String, (Key, Vec<Value>)>,
    found: &mut Diagnostics,
) -> Vec<Axis> {
    let groups = scenario.tree.get("matrix").and_then(|matrix| matrix.get("zip"));
    let mut grouped: Vec<(usize, Axis)> = Vec::new();
    for (idx, group) in groups.and_then(Value::as_array).into_iter().flatten().enumerate() {
        let place = ["matrix", "zip", &idx.to_string()];
        let names: Vec<&str> =
            group.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if names.len() < 2 {
            found.push(
                Diagnostic::error("scenario/zip", "`zip` is a list of lists of swept keys")
                    .label(scenario.layers.value(&place, ""))
                    .help("write `zip = [[\"model\", \"tensor-parallel\"]]`"),
            );
            continue;
        }
        let position = names.iter().filter_map(|name| swept.get_index_of(*name)).min();
        let mut keys = Vec::new();
        let mut columns: Vec<Vec<Value>> = Vec::new();
        for name in names {
            if let Some((key, values)) = swept.shift_remove(name) {
                keys.push(key);
                columns.push(values);
                continue;
            }
            let known = swept.keys().map(String::as_str).collect::<Vec<_>>();
            found.push(
                Diagnostic::error(
                    "scenario/zip",
                    format!("`{name}` is not swept, or zipped twice"),
                )
                .label(scenario.layers.value(&place, ""))
                .maybe_help(did_you_mean(name, known, "swept keys")),
            );
        }
        let lengths: Vec<String> = columns.iter().map(|column| column.len().to_string()).collect();
        if columns.iter().any(|column| column.len() != columns[0].len()) {
            found.push(
                Diagnostic::error(
                    "scenario/zip",
                    format!("zipped lists have {} values", lengths.join(" and ")),
                )
                .label(scenario.layers.value(&place, ""))
                .help("keys that advance together need as many values each"),
            );
            continue;
        }
        let n_rows = columns.first().map_or(0, Vec::len);
        let rows = (0..n_rows)
            .map(|row| columns.iter().map(|column| column[row].clone()).collect())
            .collect();
        grouped.push((position.unwrap_or(0), Axis { keys, rows }));
    }
    let mut axes: Vec<Axis> = swept
        .into_values()
        .map(|(key, values)| Axis {
            keys: vec![key],
            rows: values.into_iter().map(|value| vec![value]).collect(),
        })
        .collect();
    for (position, axis) in grouped {
        axes.insert(position.min(axes.len()), axis);
    }
    // What stands in for a mistake may be there already.
    if !found.has_errors() {
        for axis in &axes {
            check_repeats(scenario, axis, found);
        }
    }
    axes
}

/// The same row twice would be one cell twice; zipped keys may repeat a value in other company.
fn check_repeats(scenario: &Scenario, axis: &Axis, found: &mut Diagnostics) {
    let mut seen: HashSet<Vec<String>> = HashSet::new();
    for (idx, row) in axis.rows.iter().enumerate() {
        let row: Vec<String> = row.iter().map(text).collect();
        if seen.contains(&row) {
            let written = &axis.keys[0].written;
            let place = ["matrix", written, &idx.to_string()];
            let message = format!("`{written}` has the value `{}` twice", row.join(", "));
            found.push(
                Diagnostic::error("scenario/value", message)
                    .label(scenario.layers.value(&place, "again"))
                    .help("remove one; `trials` repeats a measurement"),
            );
        }
        seen.insert(row);
    }
}
