//! The sides of a comparison within one run: its alternatives, the best of them first.

use std::collections::BTreeSet;
use std::rc::Rc;

use indexmap::{IndexMap, IndexSet};

use crate::metrics::axes;
use crate::metrics::catalogue::MetricId;
use crate::metrics::compare::matching::matched;
use crate::metrics::compare::{Comparison, Rules, Side, SideCell, compare};
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::{CellSummary, Summary};
use crate::plan::Plan;
use crate::score::pair::PairedAccuracy;
use crate::stats::mean::Moments;

/// Alternatives that a report compares at most; `bench compare --by` compares all.
pub(crate) const ALTERNATIVES_MAX: usize = 5;

/// Returns the cells of a run with all that they can be matched by. Phases are a load each.
pub(crate) fn side_cells<'a>(plan: &Plan, summary: &'a Summary) -> Vec<SideCell<'a>> {
    let planned = plan.cells_by_id();
    let asked = Rc::new(axes::asked_by_plan(plan));
    let side_cell = |cell: &'a CellSummary| {
        let planned = *planned.get(&cell.id)?;
        let mut keys = cell.keys.clone();
        keys.extend(cell.phase.iter().map(|phase| ("phase".to_owned(), phase.clone())));
        Some(SideCell {
            cell,
            keys,
            constants: axes::constants(plan, planned),
            load: Some(axes::load(plan, planned)),
            length: axes::length(planned),
            counted_by: None,
            asked: Rc::clone(&asked),
            launch: planned.launch.0.clone(),
        })
    };
    summary.cells.iter().filter_map(side_cell).collect()
}

/// Returns the alternatives of which cells have more than one value, in their order.
pub(crate) fn alternatives(cells: &[SideCell<'_>]) -> Vec<String> {
    let keys: IndexSet<&String> = cells.iter().flat_map(|cell| cell.keys.keys()).collect();
    let varies = |key: &&String| {
        let values: BTreeSet<_> = cells.iter().map(|cell| cell.keys.get(*key)).collect();
        values.len() > 1
            && !axes::is_load(key)
            && !cells.iter().any(|cell| cell.asked.contains(*key))
    };
    keys.into_iter().filter(varies).cloned().collect()
}

/// Returns a side for each combination of values of `keys`, in the order of the cells; the one side
/// of no keys has no name.
pub(crate) fn sides_by<'a>(cells: Vec<SideCell<'a>>, keys: &[String]) -> Vec<Side<'a>> {
    let mut sides: IndexMap<Vec<Option<String>>, Side<'a>> = IndexMap::new();
    for mut cell in cells {
        let values: Vec<Option<String>> =
            keys.iter().map(|key| cell.keys.get(key).cloned()).collect();
        for key in keys {
            cell.keys.shift_remove(key);
            cell.constants.remove(key);
        }
        let name = || name(keys, &values);
        let new = || Side { name: name(), cells: Vec::new() };
        sides.entry(values.clone()).or_insert_with(new).cells.push(cell);
    }
    sides.into_values().collect()
}

/// Names an alternative by its values; a value that says nothing by itself has its key before it.
pub(crate) fn name(keys: &[String], values: &[Option<String>]) -> String {
    let told = keys.iter().zip(values).filter_map(|(key, value)| {
        let value = value.as_ref()?;
        let is_word = value.parse::<f64>().is_err() && value.parse::<bool>().is_err();
        let short = key.rsplit('.').next().unwrap_or(key);
        Some(if is_word { value.clone() } else { format!("{short}={value}") })
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() && !keys.is_empty() { "the default".to_owned() } else { told.join(" ") }
}

/// Returns the alternatives of a run, each with those of its cells that take part; one side
/// where the run has no alternatives.
pub(crate) fn usable_sides<'a>(plan: &Plan, summary: &'a Summary) -> Vec<Side<'a>> {
    let mut cells = side_cells(plan, summary);
    cells.retain(|side| side.cell.takes_part());
    let keys = alternatives(&cells);
    sides_by(cells, &keys)
}

/// Compares the alternatives of a run at equal load: the one with the highest output against
/// those that come next. `None` where there are no two.
///
/// The leader is chosen after the fact, so all pairs of alternatives share the chance of error
/// that `rules` give, not only the pairs that are told. `pair_items` gives the paired accuracy of
/// two cells by their names, as [`compare`] wants it.
pub(crate) fn within(
    plan: &Plan,
    summary: &Summary,
    pair_items: &dyn Fn(&str, &str) -> Option<PairedAccuracy>,
) -> Option<Comparison> {
    let sides = by_output(usable_sides(plan, summary));
    let n = sides.len();
    if n < 2 {
        return None;
    }
    let told = &sides[..n.min(ALTERNATIVES_MAX)];
    let rules = Rules::of(plan.compare);
    let share = (told.len() - 1) as f64 / (n * (n - 1) / 2) as f64;
    let rules = Rules { alpha: rules.alpha * share, ..rules };
    let paired = |_: usize, one: &str, other: &str| pair_items(one, other);
    Some(compare(told, &is_told, &paired, rules))
}

/// Whether a quantity is part of the answer that a report begins with.
fn is_told(quantity: &Quantity) -> bool {
    let told = [
        Quantity::figure(MetricId::OutputThroughput),
        Quantity::percentile(MetricId::Ttft, 50.0),
        Quantity::percentile(MetricId::Tpot, 50.0),
        Quantity::figure(MetricId::Accuracy),
        Quantity::figure(MetricId::LoadTime),
    ];
    told.contains(quantity)
}

/// Sorts sides by their output at the loads that they share with the first, the highest first;
/// those that share none come last.
fn by_output(sides: Vec<Side<'_>>) -> Vec<Side<'_>> {
    let output = Quantity::figure(MetricId::OutputThroughput);
    let against_first = |side: &Side<'_>| {
        let ratio = |one: &CellSummary, other: &CellSummary| {
            let value = |cell| output.believed(cell)?.value;
            let ratio = value(other)? / value(one)?;
            (ratio.is_finite() && ratio > 0.0).then(|| ratio.ln())
        };
        let pairs = matched(&sides[0], side).pairs;
        let ratios: Moments =
            pairs.iter().filter_map(|pair| ratio(pair.baseline, pair.candidate)).collect();
        ratios.mean().unwrap_or(f64::NEG_INFINITY)
    };
    let ranks: Vec<f64> = sides.iter().map(against_first).collect();
    let mut ranked: Vec<(f64, Side<'_>)> = ranks.into_iter().zip(sides).collect();
    // The sort is stable: what ties stays in the order of the scenario.
    ranked.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    ranked.into_iter().map(|(_, side)| side).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::fixture::{measured_cell, plan, with_figure};
    use crate::plan::cell::Cell;

    /// A run of cells named `engine precision concurrency`, with the output of each.
    fn run(cells: &[(&str, &str, f64)]) -> (Plan, Summary) {
        let names: Vec<String> = (0..cells.len()).map(|at| format!("c{at}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let plan = plan(&names);
        let cell = |((engine, concurrency, output), planned): (&(&str, &str, f64), &Cell)| {
            let mut cell = measured_cell(engine, "fp16");
            cell.id = planned.id.clone();
            cell.name = format!("{engine} {concurrency}");
            cell.keys = IndexMap::from([
                ("engine".to_owned(), (*engine).to_owned()),
                ("concurrency".to_owned(), (*concurrency).to_owned()),
            ]);
            with_figure(cell, MetricId::OutputThroughput, *output, None)
        };
        let cells = cells.iter().zip(&plan.cells).map(cell).collect();
        (plan, Summary { cells, ..Summary::default() })
    }

    #[test]
    fn the_alternative_with_the_highest_output_at_equal_load_comes_first() {
        let (plan, summary) = run(&[
            ("slow", "1", 10.0),
            // A load that the other did not bear makes nobody a leader.
            ("slow", "64", 900.0),
            ("fast", "1", 30.0),
            ("fast", "4", 90.0),
        ]);
        let found = within(&plan, &summary, &|_, _| None).unwrap();
        assert_eq!(found.sides, ["fast", "slow"]);
        assert_eq!(found.cells.len(), 1, "one load is shared: {:?}", found.cells);
    }

    #[test]
    fn loads_of_one_engine_are_no_alternatives() {
        let (plan, summary) = run(&[("one", "1", 10.0), ("one", "4", 30.0)]);
        assert_eq!(usable_sides(&plan, &summary).len(), 1);
        assert_eq!(within(&plan, &summary, &|_, _| None), None);
    }

    #[test]
    fn all_pairs_share_the_chance_of_error_also_those_that_are_not_told() {
        let (plan, summary) = run(&[("a", "1", 1.0), ("b", "1", 2.0), ("c", "1", 3.0)]);
        let found = within(&plan, &summary, &|_, _| None).unwrap();
        assert_eq!(found.sides, ["c", "b", "a"]);
        // Two of three pairs are told.
        assert!((found.alpha - 0.01 * 2.0 / 3.0).abs() < 1e-12, "{}", found.alpha);
    }

    #[test]
    fn a_value_that_says_nothing_by_itself_has_its_key_before_it() {
        let keys = ["engine", "engine.vllm.eager", "tensor-parallel"].map(str::to_owned);
        let values = ["vllm", "true", "2"].map(|value| Some(value.to_owned()));
        assert_eq!(name(&keys, &values), "vllm eager=true tensor-parallel=2");
        assert_eq!(name(&keys[1..], &[None, None]), "the default");
    }
}
