//! The matrix: swept keys, their product, what is zipped and what is left out.

use indexmap::IndexMap;
use toml::{Table, Value};

use crate::diagnostic::suggest::{did_you_mean, nearest};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::scenario::Scenario;
use crate::scenario::check::is_warm_up;
use crate::scenario::keys::{ENGINE, MATRIX_KEYS, OPTIONS, section};
use crate::scenario::overrides::kind_at;
use crate::scenario::schema::Kind;
use crate::scenario::validate;

/// Most cells of a plan.
pub const MAX_CELLS: usize = 10_000;

/// Keys that advance together, and their values, one row after the other.
#[derive(Clone, Debug)]
struct Axis {
    keys: Vec<Key>,
    rows: Vec<Vec<Value>>,
}

/// A swept key.
#[derive(Clone, Debug)]
struct Key {
    /// As the scenario writes it.
    written: String,
    /// What it means.
    target: Target,
}

/// What a swept key changes.
#[derive(Clone, Debug, PartialEq)]
enum Target {
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

/// One combination.
#[derive(Clone, Debug)]
pub(crate) struct Combination {
    /// Swept keys and values as text, engine first.
    pub(crate) keys: IndexMap<String, String>,
    /// Engine name.
    pub(crate) engine: String,
    /// Data set name.
    pub(crate) dataset: String,
    /// Score name.
    pub(crate) score: Option<String>,
    /// The scenario with the swept keys set.
    pub(crate) tree: Table,
}

/// Returns all combinations, in the order of the matrix.
pub(crate) fn combinations(scenario: &Scenario, found: &mut Diagnostics) -> Vec<Combination> {
    let axes = axes(scenario, found);
    let excludes = excludes(scenario, &axes, found);
    // Counted before anything is built: a product of lists is quickly written and huge.
    let count = axes.iter().try_fold(1_usize, |count, axis| count.checked_mul(axis.rows.len()));
    if count.is_none_or(|count| count > MAX_CELLS) {
        let lengths: Vec<String> = axes.iter().map(|axis| axis.rows.len().to_string()).collect();
        let message = format!(
            "the matrix has {} = {} cells; at most {MAX_CELLS} are run",
            lengths.join(" x "),
            count.map_or("more than 2^64".to_string(), |count| count.to_string()),
        );
        found.push(
            Diagnostic::error("scenario/too-many-cells", message)
                .label(scenario.at(&["matrix"], ""))
                .help("sweep fewer values, or `zip` keys that belong together"),
        );
        return Vec::new();
    }
    if found.has_errors() {
        return Vec::new();
    }
    let mut used = vec![false; excludes.len()];
    let mut combinations = Vec::new();
    for idx in 0..count.unwrap_or(0) {
        if let Some(combination) = combination(scenario, &axes, idx) {
            let matching = excludes.iter().position(|exclude| matches(exclude, &combination.keys));
            match matching {
                Some(which) => used[which] = true,
                None => combinations.push(combination),
            }
        }
    }
    for (idx, _) in used.iter().enumerate().filter(|(_, used)| !**used) {
        let label = scenario.layers.value(&["matrix", "exclude", &idx.to_string()], "");
        found.push(
            Diagnostic::warning("scenario/exclude", "this entry of `exclude` leaves nothing out")
                .label(label)
                .help("its keys and values are those of `[matrix]`"),
        );
    }
    if combinations.is_empty() {
        found.push(
            Diagnostic::error("scenario/no-cells", "no cell is left")
                .label(scenario.at(&["matrix"], ""))
                .help("`exclude` leaves all out, or a list is empty"),
        );
    }
    combinations
}

fn axes(scenario: &Scenario, found: &mut Diagnostics) -> Vec<Axis> {
    let mut swept: IndexMap<String, (Key, Vec<Value>)> = IndexMap::new();
    if let Some(Value::Table(matrix)) = scenario.tree.get("matrix") {
        for name in scenario.names("matrix") {
            let Some(value) = matrix.get(&name) else { continue };
            if !MATRIX_KEYS.contains(&name.as_str()) {
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
            check_values(scenario, &place, kind, found);
            let labels: Vec<String> = values.iter().map(text).collect();
            for (idx, label) in labels.iter().enumerate() {
                if labels[..idx].contains(label) {
                    let item = idx.to_string();
                    let message = format!("`{written}` has the value `{label}` twice");
                    let item: Vec<&str> = place.iter().copied().chain([item.as_str()]).collect();
                    found.push(
                        Diagnostic::error("scenario/value", message)
                            .label(scenario.layers.value(&item, "again"))
                            .help("remove one; `trials` repeats a measurement"),
                    );
                }
            }
            check_names(scenario, &target, &place, &labels, found);
            swept.insert(written.clone(), (Key { written, target }, values.clone()));
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
    let find = |fields: &'static [crate::scenario::schema::Field]| {
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
    if let Some(kind) = find(ENGINE).or_else(|| find(OPTIONS)) {
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
    let of_engines = OPTIONS.iter().chain(ENGINE).map(|field| field.key);
    let of_sections = ["phase", "request", "dataset"].into_iter().flat_map(section_keys);
    let mut known: Vec<String> =
        words.chain(of_engines).chain(of_sections).map(str::to_string).collect();
    known.extend(flags);
    let help = nearest(written, known.iter().map(String::as_str)).map_or_else(
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

fn section_keys(name: &str) -> impl Iterator<Item = &'static str> + use<> {
    section(name).iter().map(|field| field.key)
}

fn check_values(
    scenario: &Scenario,
    place: &[&str],
    kind: Option<&'static Kind>,
    found: &mut Diagnostics,
) {
    let Some(kind) = kind else { return };
    let layer = scenario.layers.list.iter().rev().find(|layer| layer.find(place).is_some());
    if let Some((layer, (_, node))) = layer.and_then(|layer| Some((layer, layer.find(place)?))) {
        validate::items(&layer.document, place, node, kind, found);
    }
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
    axes
}

/// Returns the combination of that number; `None` where an axis of another engine has moved on.
fn combination(scenario: &Scenario, axes: &[Axis], number: usize) -> Option<Combination> {
    let mut rest = number;
    let mut rows = vec![0; axes.len()];
    for (row, axis) in rows.iter_mut().zip(axes).rev() {
        *row = rest % axis.rows.len();
        rest /= axis.rows.len();
    }
    let assigned: Vec<(&Key, &Value)> = axes
        .iter()
        .zip(&rows)
        .flat_map(|(axis, row)| axis.keys.iter().zip(&axis.rows[*row]))
        .collect();
    let name_of = |target: &Target, section: &str| {
        let swept = assigned.iter().find(|(key, _)| key.target == *target);
        swept.map(|(_, value)| text(value)).or_else(|| scenario.names(section).first().cloned())
    };
    let engine = name_of(&Target::Engine, "engine")?;
    let dataset = name_of(&Target::Dataset, "dataset")?;
    let score = name_of(&Target::Score, "score");
    let mut tree = scenario.tree.clone();
    let mut keys = IndexMap::from([("engine".to_string(), engine.clone())]);
    let is_mine = |key: &Key| match &key.target {
        Target::Path(path) => match path.first().map(String::as_str) {
            Some("engine") => path.get(1) == Some(&engine),
            Some("dataset") => path.get(1) == Some(&dataset),
            _ => true,
        },
        _ => true,
    };
    // Another engine's option does not multiply this engine's cells.
    if axes.iter().zip(&rows).any(|(axis, row)| *row > 0 && !axis.keys.iter().any(is_mine)) {
        return None;
    }
    for (key, value) in assigned.into_iter().filter(|(key, _)| is_mine(key)) {
        keys.insert(key.written.clone(), text(value));
        match &key.target {
            Target::Engine | Target::Dataset | Target::Score => {}
            Target::OfEngine => set(&mut tree, &["engine", &engine, &key.written], value),
            Target::OfDataset => set(&mut tree, &["dataset", &dataset, &key.written], value),
            Target::OfPhases => {
                for phase in scenario.names("phase") {
                    let table = tree.get("phase").and_then(|phases| phases.get(&phase));
                    let warms_up = table
                        .and_then(Value::as_table)
                        .is_some_and(|table| is_warm_up(&phase, table));
                    if !warms_up {
                        set(&mut tree, &["phase", &phase, &key.written], value);
                    }
                }
            }
            Target::Path(path) => {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                set(&mut tree, &path, value);
            }
        }
    }
    Some(Combination { keys, engine, dataset, score, tree })
}

fn set(table: &mut Table, path: &[&str], value: &Value) {
    match path {
        [] => {}
        [key] => {
            table.insert((*key).to_string(), value.clone());
        }
        [key, rest @ ..] => {
            let inner = table.entry(*key).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                set(inner, rest, value);
            }
        }
    }
}

type Exclude = Vec<(String, Vec<String>)>;

fn excludes(scenario: &Scenario, axes: &[Axis], found: &mut Diagnostics) -> Vec<Exclude> {
    let known: Vec<&str> =
        axes.iter().flat_map(|axis| &axis.keys).map(|key| key.written.as_str()).collect();
    let list = scenario.tree.get("matrix").and_then(|matrix| matrix.get("exclude"));
    let mut excludes = Vec::new();
    if let Some(other) = list.filter(|list| !list.is_array()) {
        found.push(
            Diagnostic::error("scenario/type", "`exclude` is a list of tables")
                .label(scenario.layers.value(&["matrix", "exclude"], other.type_str()))
                .help("write `exclude = [{ engine = \"vllm\", precision = \"fp32\" }]`"),
        );
    }
    for (idx, entry) in list.and_then(Value::as_array).into_iter().flatten().enumerate() {
        let idx = idx.to_string();
        let Value::Table(entry) = entry else {
            found.push(
                Diagnostic::error("scenario/type", "an entry of `exclude` is a table")
                    .label(scenario.layers.value(&["matrix", "exclude", &idx], ""))
                    .help("write `{ engine = \"vllm\", precision = \"fp32\" }`"),
            );
            continue;
        };
        for key in entry.keys().filter(|key| !known.contains(&key.as_str())) {
            found.push(
                Diagnostic::error("scenario/unknown-key", format!("`{key}` is not swept"))
                    .label(scenario.at(&["matrix", "exclude", &idx, key], ""))
                    .maybe_help(did_you_mean(key, known.iter().copied(), "swept keys")),
            );
        }
        let conditions = entry.iter().map(|(key, value)| {
            let values = match value {
                Value::Array(values) => values.iter().map(text).collect(),
                one => vec![text(one)],
            };
            (key.clone(), values)
        });
        excludes.push(conditions.collect());
    }
    excludes
}

fn matches(exclude: &Exclude, keys: &IndexMap<String, String>) -> bool {
    exclude.iter().all(|(key, values)| keys.get(key).is_some_and(|value| values.contains(value)))
}

/// Returns a value as names and tables show it: strings without quotes.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
