//! Short names of cells: by the keys in which they differ.

use std::collections::BTreeSet;

use indexmap::IndexSet;

use crate::metrics::compare::sides;
use crate::metrics::summary::CellSummary;
use crate::report::untrusted::line;

/// Keys of the phase that a row is of.
const PHASE_KEYS: [&str; 2] = ["phase", "measured-phase"];

/// Names cells of one run so that they can be told apart, and by no more than that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CellNames {
    keys: Vec<String>,
    has_phases: bool,
}

impl CellNames {
    /// Makes the names of `cells`.
    pub(crate) fn of(cells: &[&CellSummary]) -> Self {
        let keys: IndexSet<&String> = cells.iter().flat_map(|cell| cell.keys.keys()).collect();
        let varies = |key: &&String| {
            let values: BTreeSet<_> = cells.iter().map(|cell| cell.keys.get(*key)).collect();
            values.len() > 1
        };
        let phases: BTreeSet<_> = cells.iter().map(|cell| &cell.phase).collect();
        let keys: Vec<String> = keys.into_iter().filter(varies).cloned().collect();
        // A phase that is a row of its own is a key as well.
        let is_key = keys.iter().any(|key| PHASE_KEYS.contains(&key.as_str()));
        Self { keys, has_phases: phases.len() > 1 && !is_key }
    }

    /// Names a cell; one that nothing tells from the others by its full name.
    pub(crate) fn name(&self, cell: &CellSummary) -> String {
        if self.keys.is_empty() && !self.has_phases {
            return line(&cell.name);
        }
        let values: Vec<Option<String>> =
            self.keys.iter().map(|key| cell.keys.get(key).cloned()).collect();
        let name = sides::name(&self.keys, &values);
        let phase = cell.phase.as_deref().filter(|_| self.has_phases);
        line(&[name.as_str()].into_iter().chain(phase).collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::fixture::measured_cell;

    #[test]
    fn cells_are_named_by_what_tells_them_apart() {
        let cell = |engine: &str, streams: &str| {
            let mut cell = measured_cell(&format!("{engine}-{streams}"), "fp16");
            for (key, value) in
                [("engine", engine), ("precision", "fp16"), ("concurrency", streams)]
            {
                cell.keys.insert(key.to_owned(), value.to_owned());
            }
            cell
        };
        let (a, b) = (cell("vllm", "16"), cell("sglang", "64"));
        let names = CellNames::of(&[&a, &b]);
        assert_eq!(names.name(&a), "vllm concurrency=16");
        assert_eq!(CellNames::of(&[&a]).name(&a), "vllm-16", "it stands alone");
        let mut phase = a.clone();
        phase.phase = Some("burst".to_owned());
        assert_eq!(CellNames::of(&[&a, &phase]).name(&phase), "burst");
        let as_row = |cell: &CellSummary, name: &str| {
            let mut row = cell.clone();
            row.phase = Some(name.to_owned());
            row.keys.insert("phase".to_owned(), name.to_owned());
            row
        };
        let (light, heavy) = (as_row(&a, "light"), as_row(&b, "heavy"));
        let names = CellNames::of(&[&light, &heavy]);
        assert_eq!(names.name(&heavy), "sglang concurrency=64 heavy");
    }
}
