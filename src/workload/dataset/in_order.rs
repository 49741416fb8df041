//! Values with their members in the order in which the file has them, as templates write them out.

use minijinja::Value;

use crate::workload::columns::{lookup, unescaped};
use crate::workload::rows::Row;

/// Returns a column's value in the order of the file, which a column that is JSON in a text has
/// itself; `None` where the order is not known.
pub(super) fn in_order(row: &Row, column: &str) -> Option<Value> {
    if let Some(text) = lookup(&row.fields, column)?.as_str() {
        return serde_json::from_str(text).ok();
    }
    let whole = row.ordered.as_ref()?;
    let Some(pointer) = column.strip_prefix('/') else { return member(whole, column) };
    let mut parts = pointer.split('/').map(unescaped);
    parts.try_fold(whole.clone(), |value, part| member(&value, &part))
}

fn member(value: &Value, name: &str) -> Option<Value> {
    let found = match name.parse::<usize>() {
        Ok(at) if value.kind() == minijinja::value::ValueKind::Seq => value.get_item_by_index(at),
        _ => value.get_attr(name),
    };
    found.ok().filter(|found| !found.is_undefined())
}
