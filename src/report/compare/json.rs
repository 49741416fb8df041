//! A comparison as JSON: the values themselves, unrounded.

use crate::metrics::compare::Comparison;

/// Renders a comparison: indented, keys in their declared order, numbers in full.
pub(crate) fn render(comparison: &Comparison) -> String {
    let mut text = serde_json::to_string_pretty(comparison)
        .expect("a comparison has string keys and serialisable values");
    text.push('\n');
    text
}
