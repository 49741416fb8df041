//! Which cell each cell's answers are held against: a higher precision, one stream, another engine.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::ids::{CellId, content_hash};
use crate::plan::Plan;
use crate::plan::cell::{Cell, DatasetPlan};
use crate::score::fidelity::Fidelity;
use crate::score::pair::PairedAccuracy;

/// A cell's answers beside those of its reference, on the same items.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReferenceComparison {
    /// Name of the reference cell.
    pub reference: String,
    /// Swept keys in which the two differ.
    pub differ_in: Vec<String>,
    /// Correctness on the items that both answered, by extractor; empty when nothing is scored.
    pub accuracy: Vec<PairedAccuracy>,
    /// How far the texts agree; absent when answers are sampled, as chance would part them.
    pub fidelity: Option<Fidelity>,
}

/// A cell and one that its answers are held against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reference<'p> {
    /// The cell.
    pub cell: &'p Cell,
    /// What it is held against.
    pub reference: &'p Cell,
}

/// Returns the references of each cell among those for which `is_measured`.
///
/// What the scenario declares, else: the highest precision, one stream, and the first engine,
/// among cells that differ in that key alone and are asked the same.
pub(crate) fn references<'p>(
    plan: &'p Plan,
    is_measured: &dyn Fn(&CellId) -> bool,
) -> Vec<Reference<'p>> {
    let measured: Vec<(&Cell, String)> = plan
        .cells
        .iter()
        .filter(|cell| is_measured(&cell.id))
        .map(|cell| (cell, asked(plan, cell)))
        .collect();
    // By what they are asked and by their keys: a plan may have thousands of cells.
    let mut along: HashMap<(&str, &str, Keys<'_>), Vec<&Cell>> = HashMap::new();
    let mut exactly: HashMap<(&str, Keys<'_>), &Cell> = HashMap::new();
    for (cell, asked) in &measured {
        exactly.entry((asked, keys(cell, None))).or_insert(cell);
        for key in cell.keys.keys() {
            along.entry((asked, key, keys(cell, Some(key)))).or_default().push(cell);
        }
    }
    let mut found = Vec::new();
    for (cell, asked) in &measured {
        if plan.reference.is_empty() {
            let by_key = cell.keys.keys().filter_map(|key| {
                automatic(key, along.get(&(asked.as_str(), key.as_str(), keys(cell, Some(key))))?)
            });
            found.extend(by_key.map(|reference| Reference { cell, reference }));
        } else {
            let mut wanted = keys(cell, None);
            wanted.extend(plan.reference.iter().map(|(key, value)| (&**key, &**value)));
            let reference = exactly.get(&(asked.as_str(), wanted));
            found.extend(reference.map(|reference| Reference { cell, reference }));
        }
    }
    found.retain(|pair| pair.cell.id != pair.reference.id);
    found
}

/// Returns the keys in which two cells differ.
pub(crate) fn differ_in(cell: &Cell, reference: &Cell) -> Vec<String> {
    let differs = |(key, value): &(&String, &String)| reference.keys.get(*key) != Some(*value);
    cell.keys.iter().filter(differs).map(|(key, _)| key.clone()).collect()
}

/// Swept keys and values.
type Keys<'p> = BTreeMap<&'p str, &'p str>;

/// Returns a cell's keys but one.
fn keys<'p>(cell: &'p Cell, but: Option<&str>) -> Keys<'p> {
    let keys = cell.keys.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    keys.filter(|(key, _)| Some(*key) != but).collect()
}

/// Returns what a cell is held against among those that differ from it in one key at most.
fn automatic<'p>(key: &str, along: &[&'p Cell]) -> Option<&'p Cell> {
    let mut along = along.iter().copied();
    match key.rsplit('.').next().unwrap_or(key) {
        // The first of several that are as precise.
        "precision" => {
            along.reduce(
                |best, other| {
                    if bits(&other.keys[key]) > bits(&best.keys[key]) { other } else { best }
                },
            )
        }
        "concurrency" => along.find(|other| other.keys[key] == "1"),
        "engine" => along.next(),
        _ => None,
    }
}

/// Returns the bits of a number format by its name: 16 of `bf16`, 4 of `q4_k_m`.
fn bits(precision: &str) -> u32 {
    let digits: String = precision
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().unwrap_or(0)
}

/// Returns a hash of the questions that a cell puts and of the form in which it puts them.
fn asked(plan: &Plan, cell: &Cell) -> String {
    // The order of rows and the slice kept for warm-up do not change what a row asks.
    let dataset = plan.datasets.get(&cell.dataset).map(|dataset| DatasetPlan {
        shuffle: false,
        limit: None,
        reserve_for_warm_up: 0,
        ..dataset.clone()
    });
    let request = &cell.request;
    content_hash(&(&cell.score, request.api, &request.sampling, request.output, dataset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::fixture::plan;

    /// Cells by `engine precision concurrency`, and each with what it is held against.
    fn check(names: &[&str], declared: &[(&str, &str)], expected: &[&str]) {
        let mut plan = plan(names);
        let owned = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        for (cell, name) in plan.cells.iter_mut().zip(names) {
            let values = name.split(' ');
            let keys = ["engine", "precision", "concurrency"].into_iter().zip(values);
            cell.keys = keys.map(|(key, value)| owned(key, value)).collect();
        }
        plan.reference = declared.iter().map(|(key, value)| owned(key, value)).collect();
        let found: Vec<String> = references(&plan, &|id| !id.0.contains("skipped"))
            .iter()
            .map(|pair| {
                let differ_in = differ_in(pair.cell, pair.reference).join(",");
                format!("{} < {} in {differ_in}", pair.cell.id.0, pair.reference.id.0)
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn answers_are_held_against_the_highest_precision() {
        check(
            &["a int4", "a fp32", "a bf16"],
            &[],
            &["a int4 < a fp32 in precision", "a bf16 < a fp32 in precision"],
        );
        check(&["a fp16", "a bf16"], &[], &["a bf16 < a fp16 in precision"]);
        check(&["a skipped32", "a fp16", "a q4_k_m"], &[], &["a q4_k_m < a fp16 in precision"]);
    }

    #[test]
    fn answers_under_load_are_held_against_one_stream() {
        check(
            &["a fp32 1", "a fp32 64", "a fp16 64"],
            &[],
            &["a fp32 64 < a fp32 1 in concurrency", "a fp16 64 < a fp32 64 in precision"],
        );
        check(&["a fp32 8", "a fp32 64"], &[], &[]);
    }

    #[test]
    fn answers_of_engines_are_held_against_the_first_engine() {
        check(
            &["a fp32", "b fp32", "b fp16"],
            &[],
            &["b fp32 < a fp32 in engine", "b fp16 < b fp32 in precision"],
        );
    }

    #[test]
    fn a_declared_reference_replaces_the_others() {
        check(
            &["a fp32", "b fp32", "b fp16"],
            &[("engine", "a"), ("precision", "fp32")],
            &["b fp32 < a fp32 in engine", "b fp16 < a fp32 in engine,precision"],
        );
    }
}
