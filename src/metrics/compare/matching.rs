//! Which cells of two sides are the same but for what is compared.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use indexmap::{IndexMap, IndexSet};

use crate::metrics::axes::{ARRIVALS, MEAN_LENGTHS, is_load, is_said_load, is_scheduled};
use crate::metrics::summary::CellSummary;

/// Cells of one alternative: of a run, or of one value of a key.
#[derive(Clone, Debug)]
pub(crate) struct Side<'a> {
    /// Name in the comparison.
    pub name: String,
    /// Its cells, in their order.
    pub cells: Vec<SideCell<'a>>,
}

impl<'a> Side<'a> {
    /// Returns its cells by their names.
    pub(super) fn by_name(&self) -> HashMap<&'a str, &'a CellSummary> {
        self.cells.iter().map(|it| (it.cell.name.as_str(), it.cell)).collect()
    }
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
    /// nobody says it: then what else is said of it tells cells apart.
    pub load: Option<String>,
    /// How long its schedule is, where it has one.
    pub length: Option<String>,
    /// Who counted the lengths of its requests, and of which model, where nobody says what was asked:
    /// others may count the same otherwise.
    pub counted_by: Option<String>,
    /// Swept keys that say what is asked though their names do not.
    pub asked: Rc<BTreeSet<String>>,
    /// Its engine's launch: cells that differ in load alone share its starts.
    pub launch: String,
}

impl SideCell<'_> {
    fn value(&self, key: &str) -> Option<String> {
        self.keys.get(key).or_else(|| self.constants.get(key)).map(|value| canonical(value))
    }

    /// Whether its requests are due at times that a schedule says, answered or not.
    fn is_open_loop(&self) -> bool {
        self.value(ARRIVALS).is_some_and(|word| is_scheduled(&word))
    }

    /// Returns what it says of its load, swept or not.
    fn said_load(&self) -> BTreeMap<&str, String> {
        let keys = self.keys.keys().chain(self.constants.keys()).filter(|key| is_said_load(key));
        keys.filter_map(|key| Some((key.as_str(), self.value(key)?))).collect()
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
    /// Whether requests of both are due at times that a schedule says.
    pub(crate) is_open_loop: bool,
    /// Whether their schedules are known to be of different lengths.
    pub(crate) is_longer: bool,
}

/// What was matched, and the cells that were not, baseline's and candidate's.
#[derive(Debug, Default)]
pub(crate) struct Matched<'a> {
    pub(crate) pairs: Vec<Pair<'a>>,
    pub(crate) only_baseline: Vec<Alone<'a>>,
    pub(crate) only_candidate: Vec<Alone<'a>>,
}

/// A cell without a counterpart.
#[derive(Debug)]
pub(crate) struct Alone<'a> {
    pub(crate) cell: &'a CellSummary,
    /// What it says of its load, its name does not, and one on the other side says otherwise, though
    /// the keys of both are the same.
    pub(crate) load: Vec<(String, String)>,
}

/// A cell in its place, with what it says of its load.
struct Placed<'c, 'a> {
    cell: &'c SideCell<'a>,
    said: BTreeMap<&'c str, String>,
}

impl Placed<'_, '_> {
    /// Returns what both say of their loads, and not the same.
    fn apart<'s>(&'s self, other: &'s Self) -> impl Iterator<Item = &'s str> {
        let counted_by = [self, other].map(|it| it.cell.counted_by.as_ref());
        let is_counted_alike = counted_by[0].is_some() && counted_by[0] == counted_by[1];
        let is_other = move |(key, value): &(&&str, &String)| {
            let is_other = other.said.get(**key).is_some_and(|their| their != *value);
            is_other && (is_counted_alike || !MEAN_LENGTHS.contains(*key))
        };
        self.said.iter().filter(is_other).map(|(key, _)| *key)
    }

    /// Whether both may bear one load: nothing that both say of it differs.
    fn may_be_as(&self, other: &Self) -> bool {
        let (own, their) = (&self.cell.load, &other.cell.load);
        let is_same = own.as_ref().zip(their.as_ref()).is_none_or(|(own, their)| own == their);
        is_same && self.apart(other).next().is_none()
    }
}

/// Cells of both sides with the same keys.
type Group<'g, 'c, 'a> = [Vec<&'g Placed<'c, 'a>>; 2];

/// Returns the only cell of side `other` that may bear the load of a cell, if that cell is the only
/// one of its own side that may bear the other's.
fn counterpart<'g, 'c, 'a>(
    group: &Group<'g, 'c, 'a>,
    of: &Placed<'c, 'a>,
    other: usize,
) -> Option<&'g Placed<'c, 'a>> {
    let only = |side: usize, of: &Placed<'c, 'a>| {
        let mut found = group[side].iter().copied().filter(|it| it.may_be_as(of));
        found.next().filter(|_| found.next().is_none())
    };
    let found = only(other, of)?;
    only(1 - other, found).map(|_| found)
}

/// Matches the cells of two sides by their load and by every key that either sweeps.
///
/// A key that one side does not sweep has the value that its plan gives; where the plan gives
/// none the key is left out. An alternative with one value on each side, and not the same, is
/// what the two sides differ in, and is left out too. What is said of a load tells cells apart,
/// whether or not it is swept. A cell that matches several is left alone.
pub(crate) fn matched<'a>(baseline: &Side<'a>, candidate: &Side<'a>) -> Matched<'a> {
    let keys = matching_keys(baseline, candidate);
    let place = |cell: &SideCell<'_>| keys.iter().map(|key| cell.value(key)).collect::<Vec<_>>();
    let both = [baseline, candidate].map(|side| {
        let cells = side.cells.iter().map(|cell| Placed { cell, said: cell.said_load() });
        cells.collect::<Vec<_>>()
    });
    let mut by_place: BTreeMap<_, Group<'_, '_, 'a>> = BTreeMap::new();
    for (at, side) in both.iter().enumerate() {
        for placed in side {
            by_place.entry(place(placed.cell)).or_default()[at].push(placed);
        }
    }
    let mut matched = Matched::default();
    for placed in &both[0] {
        let cell = placed.cell;
        let group = &by_place[&place(cell)];
        let Some(other) = counterpart(group, placed, 1) else {
            matched.only_baseline.push(alone(placed, &group[1]));
            continue;
        };
        let keys = keys.iter().filter_map(|key| Some((key.clone(), cell.value(key)?)));
        matched.pairs.push(Pair {
            keys: keys.collect(),
            baseline: cell.cell,
            candidate: other.cell.cell,
            launches: (cell.launch.clone(), other.cell.launch.clone()),
            is_open_loop: [cell, other.cell].into_iter().all(SideCell::is_open_loop),
            is_longer: cell
                .length
                .as_ref()
                .zip(other.cell.length.as_ref())
                .is_some_and(|(one, other)| one != other),
        });
    }
    for placed in &both[1] {
        let group = &by_place[&place(placed.cell)];
        if counterpart(group, placed, 0).is_none() {
            matched.only_candidate.push(alone(placed, &group[0]));
        }
    }
    without_constants(&mut matched.pairs);
    matched
}

/// Tells a cell without a counterpart from those of the other side whose keys are the same.
fn alone<'a>(cell: &Placed<'_, 'a>, others: &[&Placed<'_, 'a>]) -> Alone<'a> {
    let apart: BTreeSet<&str> = others.iter().flat_map(|other| cell.apart(other)).collect();
    let is_named = |key: &&str| cell.cell.keys.contains_key(*key);
    let load = apart.into_iter().filter(|key| !is_named(key));
    let load = load.map(|key| (key.to_owned(), cell.said[key].clone())).collect();
    Alone { cell: cell.cell.cell, load }
}

fn matching_keys(baseline: &Side<'_>, candidate: &Side<'_>) -> Vec<String> {
    let both = baseline.cells.iter().chain(&candidate.cells);
    let swept: IndexSet<&String> = both.clone().flat_map(|cell| cell.keys.keys()).collect();
    let is_asked = |key: &str| is_load(key) || both.clone().any(|cell| cell.asked.contains(key));
    let values = |side: &Side<'_>, key: &str| {
        side.cells.iter().map(|cell| cell.value(key)).collect::<BTreeSet<Option<String>>>()
    };
    let is_held = |key: &&String| {
        let (a, b) = (values(baseline, key), values(candidate, key));
        let is_unknown = a.iter().chain(&b).any(Option::is_none);
        let is_compared = !is_asked(key) && a.len() == 1 && b.len() == 1 && a != b;
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
            length: None,
            counted_by: None,
            asked: Rc::default(),
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
        let both = found.only_baseline.iter().chain(&found.only_candidate);
        let names: Vec<&str> = both.map(|it| it.cell.name.as_str()).collect();
        assert_eq!(names, alone);
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

    #[test]
    fn one_load_that_nobody_says_does_not_lift_the_rule_for_the_others() {
        let both = cells(&["engine=a", "engine=b"]);
        let (mut a, mut b) = (side(&both), side(&both));
        a.cells[1].load = None;
        b.cells[0].load = Some("another".to_owned());
        let found = matched(&a, &b);
        let pairs: Vec<&str> = found.pairs.iter().map(|it| it.baseline.name.as_str()).collect();
        assert_eq!(pairs, ["engine=b"], "{found:?}");
        assert_eq!(found.only_baseline[0].cell.name, "engine=a");
    }

    #[test]
    fn a_load_that_is_said_and_not_swept_tells_cells_apart() {
        let (a, b) = (cells(&["engine=a"]), cells(&["engine=a"]));
        let (mut a, mut b) = (side(&a), side(&b));
        let mut say = |key: &str, values: [&str; 2]| -> (usize, String) {
            for (side, value) in [&mut a, &mut b].into_iter().zip(values) {
                side.cells[0].constants.insert(key.to_owned(), value.to_owned());
            }
            let found = matched(&a, &b);
            let alone = found.only_baseline.iter().chain(&found.only_candidate);
            let told: Vec<String> = alone
                .flat_map(|it| it.load.iter().map(|(key, value)| format!("{key}={value}")))
                .collect();
            (found.pairs.len(), told.join(" "))
        };
        assert_eq!(say("max-tokens", ["4", "4.0"]), (1, String::new()));
        // Names of data sets are labels: the same data may bear another.
        assert_eq!(say("dataset", ["questions", "q"]), (1, String::new()));
        assert_eq!(say("max-tokens", ["4", "16"]), (0, "max-tokens=4 max-tokens=16".to_owned()));
    }
}
