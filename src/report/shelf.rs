//! The published tables as reports show them.

use crate::metrics::published;
use crate::report::published::Published;

/// Returns the published table of that name; `None` if there is none.
pub fn table(name: &str) -> Option<Published> {
    published::table(name).ok().map(|table| Published::from(&table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_table_has_rows_and_says_what_it_measured() {
        for name in published::NAMES {
            let table = table(name).unwrap();
            assert!(!table.rows.is_empty(), "{name} has no rows");
            assert!(!table.notes.is_empty(), "{name} does not say what it measured");
            for row in &table.rows {
                assert_eq!(row.values.len(), table.columns.len(), "{name}: {}", row.name);
            }
        }
    }
}
