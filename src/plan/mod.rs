//! What will be done, fully resolved: every cell, its engine's launch, its phases.

pub mod cell;
pub mod dangling;
pub(crate) mod data_files;
pub(crate) mod datasets;
pub mod estimate;
pub mod expand;
mod extra_body;
pub mod gate;
pub mod launch;
pub mod matrix;
pub(crate) mod name;
pub mod paths;
pub(crate) mod phases;
pub mod render;
pub mod search;
pub(crate) mod share;
pub(crate) mod stays;
pub(crate) mod sweeps;
pub(crate) mod template;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::ids::{CellId, LaunchId, content_hash};
use crate::plan::cell::{Cell, DatasetPlan, ScorePlan, ValidityLimits};
use crate::plan::gate::GatePlan;
use crate::plan::launch::Launch;
use crate::plan::search::SearchPlan;
pub use crate::scenario::spec::{ClientsSpec, CompareSpec, Parallel, SkipAfter, TrialOrder};
use crate::seed::Seed;
use crate::units::Nanos;

/// A scenario made ready to run. Stored in the run directory as `plan.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Title of the scenario.
    pub title: String,
    /// What the scenario is for, in prose; may be empty.
    pub description: String,
    /// File stem of the scenario: the run directory's name begins with it.
    pub name: String,
    /// Report template: file stem in `reports/`.
    pub report: String,
    /// The only source of randomness.
    pub seed: Seed,
    /// Order in which cells and trials are run.
    pub order: TrialOrder,
    /// Engine launches; cells that differ only in load share one.
    pub launches: IndexMap<LaunchId, Launch>,
    /// Cells in the order of the table.
    pub cells: Vec<Cell>,
    /// Data sets by name.
    pub datasets: BTreeMap<String, DatasetPlan>,
    /// Scores by name.
    pub scores: BTreeMap<String, ScorePlan>,
    /// Published table to show beside the measured rows: file stem in `fixtures/published/`.
    pub published: Option<PublishedPlan>,
    /// Keys whose values make a cell the reference that answers are held against; chosen by
    /// rule when empty.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reference: BTreeMap<String, String>,
    /// The search for the highest load that meets the objectives, if one is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchPlan>,
    /// Share of requests that may fail or never come, where the scenario says one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_failures: Option<f64>,
    /// After which failures a configuration is not tried at this load or a higher one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_after: Option<SkipAfter>,
    /// Time for all cells; what does not fit is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Nanos>,
    /// Whether the next engine's model files are read while one is measured.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prefetch: bool,
    /// What tells engines apart that may be measured side by side; absent where each is measured
    /// alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel: Option<Parallel>,
    /// Further processes that share the load of each trial, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<ClientsSpec>,
    /// What is required of the numbers, if anything is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GatePlan>,
    /// How comparisons of this run are judged, where the scenario says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare: Option<CompareSpec>,
    /// How wide the bound of a number may be before the number is doubtful or INVALID.
    pub validity: ValidityLimits,
    /// Price of one hour of one GPU, for costs.
    pub gpu_hour_price: Option<f64>,
}

impl Plan {
    /// Returns the cells by their ids.
    pub(crate) fn cells_by_id(&self) -> HashMap<&CellId, &Cell> {
        self.cells.iter().map(|cell| (&cell.id, cell)).collect()
    }

    /// Returns the cells by their names.
    pub(crate) fn cells_by_name(&self) -> HashMap<&str, &Cell> {
        self.cells.iter().map(|cell| (cell.name.as_str(), cell)).collect()
    }

    /// Returns the cells of each launch, in the order of the plan.
    pub(crate) fn cells_by_launch(&self) -> HashMap<&LaunchId, Vec<&Cell>> {
        let mut cells: HashMap<&LaunchId, Vec<&Cell>> = HashMap::new();
        for cell in &self.cells {
            cells.entry(&cell.launch).or_default().push(cell);
        }
        cells
    }

    /// Returns the plan as it is told: each measured phase is a row.
    #[must_use]
    pub fn by_row(self) -> Self {
        let cells = self.cells.iter().flat_map(Cell::rows).collect();
        Self { cells, ..self }
    }

    /// Makes a day a part of the identity of all cells of a data set: what they send depends on it.
    pub(crate) fn date(&mut self, dataset: &str, day: &str) {
        for cell in self.cells.iter_mut().filter(|cell| cell.dataset == dataset) {
            cell.id = CellId(content_hash(&(&cell.id, day)));
        }
    }

    /// Adds the cell that tries a load in the search which the cell `first` begins; `None` when
    /// the plan has no such search.
    pub fn add_point(&mut self, first: &CellId, load: f64) -> Option<&Cell> {
        let search = self.search.as_ref()?;
        let first = self.cells.iter().find(|cell| cell.id == *first)?;
        self.cells.push(search.point(first, load));
        self.cells.last()
    }
}

/// The published table that a scenario reproduces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedPlan {
    /// Table name.
    pub table: String,
    /// Which published row belongs to which cell: published row name → `key=value` conditions.
    pub rows: IndexMap<String, BTreeMap<String, String>>,
    /// What the published table calls a swept value → that value, for rows whose names are made
    /// of swept values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<String, String>,
    /// Other engines than the published ones were measured: rows bear the names of their cells.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stand_ins: bool,
}
