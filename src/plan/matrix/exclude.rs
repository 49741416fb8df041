//! Combinations that the scenario leaves out.

use indexmap::IndexMap;
use toml::Value;

use crate::diagnostic::suggest::did_you_mean;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::plan::matrix::sweep::Axis;
use crate::plan::matrix::text;
use crate::scenario::Scenario;

/// Conditions that must all hold: key and values.
pub(super) type Exclude = Vec<(String, Vec<String>)>;

/// Returns the entries of `exclude`.
pub(super) fn excludes(
    scenario: &Scenario,
    axes: &[Axis],
    found: &mut Diagnostics,
) -> Vec<Exclude> {
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

/// Whether all conditions of an entry hold.
pub(super) fn matches(exclude: &Exclude, keys: &IndexMap<String, String>) -> bool {
    exclude.iter().all(|(key, values)| keys.get(key).is_some_and(|value| values.contains(value)))
}
