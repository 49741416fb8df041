//! Which column plays which part, by name or JSON pointer.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::workload::error::DataError;

/// A part that a column can play.
pub(super) const ROLES: [&str; 10] = [
    "prompt",
    "answer",
    "messages",
    "system",
    "output-length",
    "input-length",
    "timestamp",
    "hash-ids",
    "session",
    "id",
];

/// Columns by role: what the scenario says, over what the data set is known for.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    by_role: BTreeMap<String, String>,
    asked: BTreeMap<String, String>,
}

impl Columns {
    pub(super) fn new(
        known: &[(&str, &str)],
        asked: &BTreeMap<String, String>,
    ) -> Result<Self, DataError> {
        if let Some(role) = asked.keys().find(|role| !ROLES.contains(&role.as_str())) {
            let help = match role.as_str() {
                "timestamp-unit" => "write `time-unit = \"ms\"` on the data set".to_owned(),
                _ => format!("the parts are {}", ROLES.join(", ")),
            };
            let message = format!("no column plays the part `{role}`");
            return Err(DataError::new("scenario", message, help));
        }
        let mut by_role: BTreeMap<_, _> =
            known.iter().map(|(role, column)| ((*role).to_owned(), (*column).to_owned())).collect();
        by_role.extend(asked.clone());
        Ok(Self { by_role, asked: asked.clone() })
    }

    /// Returns the column's name.
    pub(super) fn name(&self, role: &str) -> Option<&str> {
        self.by_role.get(role).map(String::as_str)
    }

    /// Whether the scenario itself names the column.
    pub(super) fn is_asked(&self, role: &str) -> bool {
        self.asked.contains_key(role)
    }

    /// Whether a column, or what stands in it, plays one of these parts.
    pub(super) fn reads(&self, column: &str, plays: impl Fn(&str) -> bool) -> bool {
        self.by_role.iter().any(|(role, name)| plays(role) && column_of(name) == column)
    }

    /// Returns the role's value in a row, if there is one that is not null.
    pub(super) fn get<'a>(&self, fields: &'a Value, role: &str) -> Option<&'a Value> {
        lookup(fields, self.name(role)?).filter(|value| !value.is_null())
    }
}

/// What the rows of a session are called, put together as one row: no column of a file.
pub(super) const ROWS: &str = "rows of the session";

/// Returns a row's columns, without what was made of other rows.
pub(super) fn columns_of(fields: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    fields.iter().filter(|(name, _)| *name != ROWS)
}

/// Returns the column that a name or a JSON pointer leads to.
pub(super) fn column_of(name: &str) -> String {
    match name.strip_prefix('/') {
        Some(pointer) => unescaped(pointer.split('/').next().unwrap_or_default()),
        None => name.to_owned(),
    }
}

/// Returns a part of a JSON pointer as the name that it stands for.
pub(super) fn unescaped(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

/// Returns a field by its name or, when the name begins with `/`, by JSON pointer.
pub(super) fn lookup<'a>(fields: &'a Value, name: &str) -> Option<&'a Value> {
    if name.starts_with('/') { fields.pointer(name) } else { fields.get(name) }
}
