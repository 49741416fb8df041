//! Sweeps: cells that differ in their load alone, and which of them tell most.

use std::collections::{BTreeMap, VecDeque};
use std::mem::discriminant;

use indexmap::IndexMap;

use crate::ids::CellId;
use crate::plan::cell::Cell;

/// Returns the sweeps among cells, each by rising load, in the order of their first cells.
fn sweeps<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> Vec<Vec<&'a Cell>> {
    let mut sweeps: IndexMap<String, Vec<&'a Cell>> = IndexMap::new();
    for cell in cells {
        let phases: Vec<_> = cell
            .measured_phases()
            .map(|phase| (&phase.name, discriminant(&phase.arrivals)))
            .collect();
        let all_but_load = (&cell.launch, &cell.dataset, &cell.score, &cell.request, phases);
        sweeps.entry(format!("{all_but_load:?}")).or_default().push(cell);
    }
    let mut sweeps: Vec<_> = sweeps.into_values().collect();
    for sweep in &mut sweeps {
        sweep.sort_by(|one, other| load(one).total_cmp(&load(other)));
    }
    sweeps
}

/// Returns the load of a cell, in the unit of its sweep; 0 where it is not one number.
fn load(cell: &Cell) -> f64 {
    cell.measured_phases().find_map(|phase| phase.arrivals.level()).unwrap_or_default()
}

/// Returns the ends of all sweeps, first the lowest loads of all and then the highest, and the
/// cells between them.
pub(crate) fn ends_first<'a>(
    cells: impl IntoIterator<Item = &'a Cell>,
) -> (Vec<&'a Cell>, Vec<&'a Cell>) {
    let mut ordered: Vec<VecDeque<&Cell>> = coarse_first(sweeps(cells))
        .into_iter()
        .map(|sweep| VecDeque::from(coarse_first(sweep)))
        .collect();
    let mut take_from_each =
        || -> Vec<&Cell> { ordered.iter_mut().filter_map(VecDeque::pop_front).collect() };
    let mut ends = take_from_each();
    ends.extend(take_from_each());
    let mut between = Vec::new();
    loop {
        let next = take_from_each();
        if next.is_empty() {
            return (ends, between);
        }
        between.extend(next);
    }
}

/// Returns the cell that tells most of those that are left: the middle one between two neighbours
/// of a sweep whose numbers differ most, by the largest ratio of any. Among equals that is the
/// middle of the widest gap. `None` where no two neighbours have numbers.
pub(crate) fn most_telling<'a>(
    cells: impl IntoIterator<Item = &'a Cell>,
    is_left: &dyn Fn(&CellId) -> bool,
    numbers: &BTreeMap<CellId, Vec<f64>>,
) -> Option<&'a Cell> {
    let mut best: Option<((f64, usize), &Cell)> = None;
    for sweep in sweeps(cells) {
        let mut before: Option<&Vec<f64>> = None;
        let mut left: Vec<&Cell> = Vec::new();
        for cell in sweep {
            if is_left(&cell.id) {
                left.push(cell);
            }
            let Some(after) = numbers.get(&cell.id) else { continue };
            if let (Some(before), Some(middle)) = (before, left.get(left.len() / 2)) {
                let weight = (difference(before, after), left.len());
                if best.is_none_or(|(most, _)| weight > most) {
                    best = Some((weight, *middle));
                }
            }
            before = Some(after);
            left.clear();
        }
    }
    best.map(|(_, cell)| cell)
}

/// Returns by which factor numbers differ at most, as its logarithm.
fn difference(one: &[f64], other: &[f64]) -> f64 {
    let factors = one.iter().zip(other).filter(|(a, b)| **a > 0.0 && **b > 0.0);
    factors.map(|(a, b)| (a / b).ln().abs()).fold(0.0, f64::max)
}

/// Puts what tells most first: the ends, then the middles between what is there, ever finer.
fn coarse_first<T>(items: Vec<T>) -> Vec<T> {
    let n = items.len();
    let mut order: Vec<usize> = Vec::with_capacity(n);
    let mut between = VecDeque::from([(0, n.saturating_sub(1))]);
    order.extend([0, n.saturating_sub(1)].into_iter().take(n.min(2)));
    while let Some((low, high)) = between.pop_front() {
        if high - low > 1 {
            let middle = usize::midpoint(low, high);
            order.push(middle);
            between.extend([(low, middle), (middle, high)]);
        }
    }
    let mut items: Vec<Option<T>> = items.into_iter().map(Some).collect();
    order.into_iter().filter_map(|at| items[at].take()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::fixture::cell;
    use crate::plan::cell::ArrivalsPlan;

    /// Cells of one data set at rising concurrency; their names are those of both.
    fn sweep(dataset: &str, loads: impl IntoIterator<Item = u32>) -> Vec<Cell> {
        let one = |concurrency| {
            let name = format!("{dataset}{concurrency}");
            let id = CellId(name.clone());
            let dataset = dataset.to_owned();
            Cell { id, name, dataset, ..cell(ArrivalsPlan::Closed { concurrency }) }
        };
        loads.into_iter().map(one).collect()
    }

    fn names(cells: &[&Cell]) -> String {
        cells.iter().map(|cell| cell.name.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_sweep_begins_with_its_ends_and_goes_on_with_the_middles() {
        assert_eq!(coarse_first((1..=9).collect()), [1, 9, 5, 3, 7, 2, 4, 6, 8]);
        assert_eq!(coarse_first(vec![1, 2, 3, 4]), [1, 4, 2, 3]);
        assert_eq!(coarse_first(vec![1]), [1]);
        assert!(coarse_first(Vec::<u8>::new()).is_empty());
    }

    #[test]
    fn the_ends_of_all_sweeps_come_before_any_middle() {
        let cells = [sweep("a", [8, 1, 2, 4]), sweep("b", [1, 9, 3]), sweep("c", [7])].concat();
        let (ends, between) = ends_first(&cells);
        assert_eq!(names(&ends), "a1 c7 b1 a8 b9");
        assert_eq!(names(&between), "a2 b3 a4");
    }

    #[test]
    fn the_next_cell_lies_between_the_neighbours_that_differ_most() {
        let cells = [sweep("a", 1..=9), sweep("b", 1..=3)].concat();
        let check = |known: &[(&str, f64)], expected: Option<&str>| {
            let numbers: BTreeMap<CellId, Vec<f64>> = known
                .iter()
                .map(|(name, number)| (CellId((*name).to_owned()), vec![100.0, *number]))
                .collect();
            let is_left = |id: &CellId| !numbers.contains_key(id);
            let found = most_telling(&cells, &is_left, &numbers).map(|cell| cell.name.as_str());
            assert_eq!(found, expected, "{known:?}");
        };
        check(&[], None);
        check(&[("a1", 1.0)], None);
        check(&[("a1", 1.0), ("a9", 2.0), ("b1", 1.0), ("b3", 4.0)], Some("b2"));
        check(&[("a1", 1.0), ("a9", 2.0), ("a5", 1.9)], Some("a3"));
        check(&[("a1", 1.0), ("a9", 2.0), ("a5", 1.1)], Some("a7"));
        check(&[("a1", 1.0), ("a2", 3.0), ("a9", 3.1)], Some("a6"));
        check(&[("a1", 1.0), ("a9", 1.0), ("b1", 5.0), ("b3", 5.0)], Some("a5"));
    }
}
