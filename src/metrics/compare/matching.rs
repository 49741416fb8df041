//! Which cells of two sides are the same but for what is compared.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::{IndexMap, IndexSet};

use crate::metrics::axes::is_load;
use crate::metrics::summary::CellSummary;

/// Cells of one alternative: of a run, or of one value of a key.
#[derive(Clone, Debug)]
pub(crate) struct Side<'a> {
    /// Name in the comparison.
    pub name: String,
    /// Its cells, in their order.
    pub cells: Vec<SideCell<'a>>,
}

/// A cell with all that it can be matched by.
#[derive(Clone, Debug)]
pub(crate) struct SideCell<'a> {
    /// Its numbers.
    pub cell: &'a CellSummary,
    /// Swept keys and values, but for the key that is compared.
    pub keys: IndexMap<String, String>,
    /// Values of keys that are not swept, as far as the plan tells.
    pub constants: BTreeMap<String, String>,
    /// When its requests are due; cells with different loads are never compared. Absent where
    /// nobody says it: then the keys alone tell cells apart.
    pub load: Option<String>,
    /// Its engine's launch: cells that differ in load alone share its starts.
    pub launch: String,
}

impl SideCell<'_> {
    fn value(&self, key: &str) -> Option<String> {
        self.keys.get(key).or_else(|| self.constants.get(key)).map(|value| canonical(value))
    }
}

/// Two cells that are compared.
#[derive(Clone, Debug)]
pub(crate) struct Pair<'a> {
    /// Keys that tell it from other pairs.
    pub(crate) keys: IndexMap<String, String>,
    pub(crate) baseline: &'a CellSummary,
    pub(crate) candidate: &'a CellSummary,
    /// The launches of both.
    pub(crate) launches: (String, String),
}

/// What was matched, and the names of cells that were not, baseline's and candidate's.
#[derive(Debug, Default)]
pub(crate) struct Matched<'a> {
    pub(crate) pairs: Vec<Pair<'a>>,
    pub(crate) only_baseline: Vec<&'a str>,
    pub(crate) only_candidate: Vec<&'a str>,
}

/// Matches the cells of two sides by their load and by every key that either sweeps.
///
/// A key that one side does not sweep has the value that its plan gives; where the plan gives
/// none the key is left out. An alternative with one value on each side, and not the same, is
/// what the two sides differ in, and is left out too. A cell that matches several is left alone.
pub(crate) fn matched<'a>(baseline: &Side<'a>, candidate: &Side<'a>) -> Matched<'a> {
    let keys = matching_keys(baseline, candidate);
    let mut both = baseline.cells.iter().chain(&candidate.cells);
    let has_loads = both.all(|cell| cell.load.is_some());
    let place = |cell: &SideCell<'_>| {
        let values: Vec<_> = keys.iter().map(|key| cell.value(key)).collect();
        (values, cell.load.clone().filter(|_| has_loads))
    };
    let mut by_place: BTreeMap<_, (Vec<&SideCell<'a>>, Vec<&SideCell<'a>>)> = BTreeMap::new();
    for cell in &baseline.cells {
        by_place.entry(place(cell)).or_default().0.push(cell);
    }
    for cell in &candidate.cells {
        by_place.entry(place(cell)).or_default().1.push(cell);
    }
    let mut matched = Matched::default();
    for cell in &baseline.cells {
        match &by_place[&place(cell)] {
            (one, other) if one.len() == 1 && other.len() == 1 => {
                let keys = keys.iter().filter_map(|key| Some((key.clone(), cell.value(key)?)));
                matched.pairs.push(Pair {
                    keys: keys.collect(),
                    baseline: cell.cell,
                    candidate: other[0].cell,
                    launches: (cell.launch.clone(), other[0].launch.clone()),
                });
            }
            _ => matched.only_baseline.push(&cell.cell.name),
        }
    }
    let is_alone = |cell: &&SideCell<'a>| {
        let (one, other) = &by_place[&place(cell)];
        one.len() != 1 || other.len() != 1
    };
    let alone = candidate.cells.iter().filter(is_alone);
    matched.only_candidate = alone.map(|cell| cell.cell.name.as_str()).collect();
    without_constants(&mut matched.pairs);
    matched
}

fn matching_keys(baseline: &Side<'_>, candidate: &Side<'_>) -> Vec<String> {
    let both = baseline.cells.iter().chain(&candidate.cells);
    let swept: IndexSet<&String> = both.flat_map(|cell| cell.keys.keys()).collect();
    let values = |side: &Side<'_>, key: &str| {
        side.cells.iter().map(|cell| cell.value(key)).collect::<BTreeSet<Option<String>>>()
    };
    let is_held = |key: &&String| {
        let (a, b) = (values(baseline, key), values(candidate, key));
        let is_unknown = a.iter().chain(&b).any(Option::is_none);
        let is_compared = !is_load(key) && a.len() == 1 && b.len() == 1 && a != b;
        !is_unknown && !is_compared
    };
    swept.into_iter().filter(is_held).cloned().collect()
}

/// Takes away keys that have the same value in every pair.
fn without_constants(pairs: &mut [Pair<'_>]) {
    let Some(first) = pairs.first().map(|pair| pair.keys.clone()) else { return };
    let varies = |key: &String| pairs.iter().any(|pair| pair.keys.get(key) != first.get(key));
    let kept: BTreeSet<String> = first.keys().filter(|key| varies(key)).cloned().collect();
    for pair in pairs {
        pair.keys.retain(|key, _| kept.contains(key));
    }
}

/// Writes numbers in one way, so that `4` and `4.0` are the same load.
fn canonical(value: &str) -> String {
    value.parse::<f64>().map_or_else(|_| value.to_owned(), |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::fixture::measured_cell;

    fn cells(names: &[&str]) -> Vec<CellSummary> {
        names.iter().map(|name| measured_cell(name, "fp16")).collect()
    }

    /// A side whose cells are named by their keys, `engine=a,rate=4`, and all have one load.
    fn side(cells: &[CellSummary]) -> Side<'_> {
        let pairs = |cell: &CellSummary| {
            let keys = cell.name.split(',').filter_map(|pair| pair.split_once('='));
            keys.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
        };
        let cells = cells.iter().map(|cell| SideCell {
            cell,
            keys: pairs(cell),
            constants: BTreeMap::from([("precision".to_owned(), "fp16".to_owned())]),
            load: Some(String::new()),
            launch: String::new(),
        });
        Side { name: "a side".to_owned(), cells: cells.collect() }
    }

    fn check(baseline: &[&str], candidate: &[&str], expected: &[(&str, &str)], alone: &[&str]) {
        let (a, b) = (cells(baseline), cells(candidate));
        let (a, b) = (side(&a), side(&b));
        let found = matched(&a, &b);
        let pairs: Vec<_> =
            found.pairs.iter().map(|pair| (&*pair.baseline.name, &*pair.candidate.name)).collect();
        assert_eq!(pairs, expected);
        assert_eq!([found.only_baseline, found.only_candidate].concat(), alone);
    }

    #[test]
    fn cells_are_matched_by_every_key_that_either_side_sweeps() {
        check(
            &["engine=a,rate=1", "engine=a,rate=4", "engine=b,rate=1"],
            &["engine=b,rate=1.0", "engine=a,rate=4.0", "engine=a,rate=9"],
            &[("engine=a,rate=4", "engine=a,rate=4.0"), ("engine=b,rate=1", "engine=b,rate=1.0")],
            &["engine=a,rate=1", "engine=a,rate=9"],
        );
    }

    #[test]
    fn one_alternative_on_each_side_is_what_is_compared() {
        check(
            &["engine=a,rate=1", "engine=a,rate=4"],
            &["engine=b,rate=4", "engine=b,rate=1"],
            &[("engine=a,rate=1", "engine=b,rate=1"), ("engine=a,rate=4", "engine=b,rate=4")],
            &[],
        );
    }

    #[test]
    fn a_key_that_one_side_does_not_sweep_has_its_constant() {
        check(
            &["engine=a,precision=fp16", "engine=a,precision=fp32"],
            &["engine=a"],
            &[("engine=a,precision=fp16", "engine=a")],
            &["engine=a,precision=fp32"],
        );
        // Nothing says what `eager` is on the other side, so both cells would do.
        check(
            &["engine=a,eager=true", "engine=a,eager=false"],
            &["engine=a"],
            &[],
            &["engine=a,eager=true", "engine=a,eager=false", "engine=a"],
        );
    }

    #[test]
    fn loads_are_never_compared_with_each_other() {
        check(
            &["engine=a,rate=1"],
            &["engine=a,rate=2"],
            &[],
            &["engine=a,rate=1", "engine=a,rate=2"],
        );
        let (a, b) = (cells(&["engine=a"]), cells(&["engine=a"]));
        let (a, mut b) = (side(&a), side(&b));
        b.cells[0].load = Some("another".to_owned());
        assert!(matched(&a, &b).pairs.is_empty());
        b.cells[0].load = None;
        assert_eq!(matched(&a, &b).pairs.len(), 1, "a load that nobody says");
    }
}
