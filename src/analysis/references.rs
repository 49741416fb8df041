//! Answers of each cell beside those of its reference, read from the records.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::analysis::records::{complete_trials, exchanges};
use crate::ids::CellId;
use crate::metrics::reference_cell::{Reference, ReferenceComparison, differ_in, references};
use crate::metrics::window::Window;
use crate::plan::Plan;
use crate::plan::cell::Cell;
use crate::record::request::{Outcome, OutputRecord};
use crate::score::classes::ItemClasses;
use crate::score::fidelity::{Fidelity, FidelityMeter};
use crate::score::pair::pair;
use crate::store::error::StoreError;
use crate::store::reader::RunReader;

/// Rows of a data set whose texts are compared: those of two cells are in memory at once.
const ITEMS_MAX: u64 = 1 << 14;

/// Holds the answers of each measured cell against its references.
///
/// Texts are read again from the records, those of two cells at a time.
pub(crate) fn reference_comparisons(
    reader: &RunReader,
    plan: &Plan,
    measured: &BTreeSet<CellId>,
    classes: &BTreeMap<CellId, ItemClasses>,
) -> Result<BTreeMap<CellId, Vec<ReferenceComparison>>, StoreError> {
    let mut pairs = references(plan, &|id| measured.contains(id));
    // Speed alone is measured: the texts tell of a precision, not of a load or an engine.
    pairs.retain(|pair| {
        pair.cell.score.is_some()
            || !plan.reference.is_empty()
            || differ_in(pair.cell, pair.reference).iter().all(|key| key.ends_with("precision"))
    });
    let mut found: BTreeMap<CellId, Vec<ReferenceComparison>> = BTreeMap::new();
    let mut held: Option<(&CellId, Answers)> = None;
    // Pairs of one reference in a row: its answers are read once.
    let places: HashMap<&CellId, usize> = plan.cells.iter().map(|cell| &cell.id).zip(0..).collect();
    pairs.sort_by_key(|pair| places.get(&pair.reference.id));
    for Reference { cell, reference } in pairs {
        let is_greedy = cell.request.sampling.temperature <= 0.0;
        if is_greedy && held.as_ref().is_none_or(|(id, _)| **id != reference.id) {
            held = Some((&reference.id, first_answers(reader, reference)?));
        }
        let fidelity = match held.as_ref().filter(|_| is_greedy) {
            Some((_, answers)) => Some(fidelity(answers, &first_answers(reader, cell)?)),
            None => None,
        };
        let accuracy = match (classes.get(&reference.id), classes.get(&cell.id)) {
            (Some(first), Some(second)) => {
                second.extractors().iter().filter_map(|name| pair(first, second, name)).collect()
            }
            _ => Vec::new(),
        };
        found.entry(cell.id.clone()).or_default().push(ReferenceComparison {
            reference: reference.name.clone(),
            differ_in: differ_in(cell, reference),
            accuracy,
            fidelity,
        });
    }
    Ok(found)
}

/// Answers by row of the data set.
type Answers = BTreeMap<u64, OutputRecord>;

/// Returns the first complete answer to each item; of conversations, that of their first turn.
fn first_answers(reader: &RunReader, cell: &Cell) -> Result<Answers, StoreError> {
    let mut answers = Answers::new();
    for trial in complete_trials(reader, cell)? {
        let window = Window::of(&trial.record, cell);
        for exchange in exchanges(&trial)? {
            let (request, output) = exchange?;
            let counts = window.measures_phase(request.phase)
                && request.turn == 0
                && request.outcome == Outcome::Ok;
            // By row, so that two cells keep the same ones whatever order their answers came in.
            let is_kept = request.sample < ITEMS_MAX;
            if counts && is_kept {
                answers.entry(request.sample).or_insert(output);
            }
        }
    }
    Ok(answers)
}

fn fidelity(reference: &Answers, other: &Answers) -> Fidelity {
    let mut meter = FidelityMeter::default();
    for (row, reference) in reference {
        if let Some(other) = other.get(row) {
            meter.push(&reference.text, &other.text);
            if reference.text == other.text {
                meter.push_logprobs(&reference.logprobs, &other.logprobs);
            }
        }
    }
    meter.finish()
}
