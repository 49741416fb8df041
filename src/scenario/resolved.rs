//! The merged scenario as TOML again: sections in the order of the grammar, names in the order of the files.

use toml::{Table, Value};

use crate::scenario::Scenario;
use crate::scenario::spec::ScenarioSpec;

/// Returns the scenario with all layers merged; loading it gives the same plan.
pub(crate) fn to_toml(scenario: &Scenario) -> String {
    let mut lines = Vec::new();
    let mut sections = Vec::new();
    for field in ScenarioSpec::FIELDS {
        // Both are worked in already.
        if matches!(field.key, "extends" | "profile") {
            continue;
        }
        match scenario.tree.get(field.key) {
            Some(Value::Table(table)) if table.is_empty() => {}
            Some(Value::Table(table)) => sections.push((field.key, table)),
            Some(value) => lines.push(format!("{} = {value}", field.key)),
            None => {}
        }
    }
    for (key, table) in sections {
        write_table(scenario, &mut vec![key.to_string()], table, &mut lines);
    }
    lines.push(String::new());
    lines.join("\n")
}

fn write_table(
    scenario: &Scenario,
    path: &mut Vec<String>,
    table: &Table,
    lines: &mut Vec<String>,
) {
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    let mut keys = scenario.layers.names(&parts);
    keys.retain(|key| table.contains_key(key));
    // What only the defaults or a preset say comes behind.
    keys.extend(table.keys().filter(|key| !keys.contains(key)).cloned().collect::<Vec<_>>());
    let (tables, values): (Vec<_>, Vec<_>) = keys
        .iter()
        .map(|key| (key, &table[key]))
        .partition(|(_, value)| matches!(value, Value::Table(_)));
    if !values.is_empty() || tables.is_empty() {
        let header: Vec<String> = path.iter().map(|part| quote(part)).collect();
        lines.extend([String::new(), format!("[{}]", header.join("."))]);
    }
    for (key, value) in values {
        lines.push(format!("{} = {value}", quote(key)));
    }
    for (key, value) in tables {
        let Value::Table(inner) = value else { continue };
        path.push(key.clone());
        write_table(scenario, path, inner, lines);
        path.pop();
    }
}

/// Returns a key as TOML writes it.
fn quote(key: &str) -> String {
    let bare = !key.is_empty()
        && key.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-'));
    if bare { key.to_string() } else { Value::String(key.to_string()).to_string() }
}
