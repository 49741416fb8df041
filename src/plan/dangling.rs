//! Whether all that a plan names is in it: a plan that was read has no dangling reference.

use std::collections::BTreeSet;

use crate::plan::Plan;
use crate::plan::cell::{ArrivalsPlan, Cell};

/// A name in a plan that leads nowhere, or a value that contradicts another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {why}")]
pub struct Dangling {
    /// Where it stands: `cells[0].score`.
    pub place: String,
    /// The mistake.
    pub why: String,
    /// The value as it stands there.
    pub text: String,
}

impl Plan {
    /// Finds the first reference of the plan that leads nowhere.
    ///
    /// # Errors
    /// [`Dangling`] names its place.
    pub fn check_references(&self) -> Result<(), Dangling> {
        let (mut ids, mut names) = (BTreeSet::new(), BTreeSet::new());
        for (at, cell) in self.cells.iter().enumerate() {
            let dangling = |field: &str, text: &str, why: String| {
                let place = format!("cells[{at}].{field}");
                Err(Dangling { place, why, text: text.to_owned() })
            };
            if !ids.insert(&cell.id) {
                return dangling("id", &cell.id.0, "another cell has this id".to_owned());
            }
            if !names.insert(&cell.name) {
                return dangling("name", &cell.name, "another cell has this name".to_owned());
            }
            let Some(launch) = self.launches.get(&cell.launch) else {
                let id = &cell.launch.0;
                return dangling("launch", id, format!("there is no launch `{id}`"));
            };
            if !self.datasets.contains_key(&cell.dataset) {
                let name = &cell.dataset;
                return dangling("dataset", name, format!("there is no data set `{name}`"));
            }
            if let Some(name) = cell.score.as_ref().filter(|name| !self.scores.contains_key(*name))
            {
                return dangling("score", name, format!("there is no score `{name}`"));
            }
            if cell.n_trials == 0 {
                return dangling("n_trials", "0", "a cell has at least one trial".to_owned());
            }
            if cell.measured_phases().next().is_none() {
                return dangling("phases", &cell.name, "none of them is measured".to_owned());
            }
            if let Some((key, expected)) = contradicted_key(cell, &launch.engine) {
                let (field, value) = (format!("keys.{key}"), &cell.keys[key]);
                let why = format!("it says `{value}`, and the cell has `{expected}`");
                return dangling(&field, value, why);
            }
        }
        Ok(())
    }
}

/// Returns a swept key whose value is not what the cell does, with what that is.
fn contradicted_key(cell: &Cell, engine: &str) -> Option<(&'static str, String)> {
    let differs = |key: &'static str, truth: &str| {
        let value = cell.keys.get(key)?;
        (value != truth).then(|| (key, truth.to_owned()))
    };
    differs("engine", engine)
        .or_else(|| differs("dataset", &cell.dataset))
        .or_else(|| differs("score", cell.score.as_deref()?))
        .or_else(|| {
            let mut streams = cell.measured_phases().filter_map(|phase| match phase.arrivals {
                ArrivalsPlan::Closed { concurrency } => Some(concurrency.to_string()),
                _ => None,
            });
            streams.find_map(|streams| differs("concurrency", &streams))
        })
}
