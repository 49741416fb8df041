//! The gold answers of a data set, as the data set writes them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Raw gold answers by row of the data set; a row without one is there and has none.
///
/// Each score extracts its own golds from these, so that one data set can have several scores.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GoldsRecord {
    by_row: BTreeMap<u64, Option<String>>,
}

impl GoldsRecord {
    /// Returns rows and raw golds, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Option<&str>)> {
        self.by_row.iter().map(|(&row, gold)| (row, gold.as_deref()))
    }
}

impl FromIterator<(u64, Option<String>)> for GoldsRecord {
    fn from_iter<I: IntoIterator<Item = (u64, Option<String>)>>(rows: I) -> Self {
        Self { by_row: rows.into_iter().collect() }
    }
}
