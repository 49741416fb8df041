//! The order in which a session under a budget serves its cells: what tells most comes first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::analysis::run::cell_summary;
use crate::ids::CellId;
use crate::metrics::catalogue::MetricId;
use crate::plan::Plan;
use crate::plan::cell::Cell;
use crate::plan::sweeps::{ends_first, most_telling};
use crate::store::error::StoreError;
use crate::store::reader::RunReader;

/// Trials that are left, in their order.
pub(super) type TrialsLeft = VecDeque<(CellId, u32)>;

/// A session's sweeps from their ends to what lies between the points that differ. All trials of a
/// cell stay together.
pub(super) struct BudgetOrder {
    /// Cells that come first, whatever is measured.
    ends: BTreeSet<CellId>,
    /// The cell under way.
    last: Option<CellId>,
    /// Throughput and TTFT of measured cells.
    numbers: BTreeMap<CellId, Vec<f64>>,
    /// Cells that may have been measured since the last choice: all of them before the first.
    unread: BTreeSet<CellId>,
}

impl BudgetOrder {
    /// Begins with the ends of all sweeps of a session.
    pub(super) fn new(plan: &Plan, trials: &[(CellId, u32)]) -> (Self, TrialsLeft) {
        let mut by_cell: BTreeMap<&CellId, Vec<(CellId, u32)>> = BTreeMap::new();
        for trial in trials {
            by_cell.entry(&trial.0).or_default().push(trial.clone());
        }
        // What an earlier session of the run has measured belongs to the sweeps as well.
        let launch = plan.cells.iter().find(|cell| by_cell.contains_key(&cell.id));
        let cells: Vec<&Cell> = plan
            .cells
            .iter()
            .filter(|cell| launch.is_some_and(|it| it.launch == cell.launch))
            .collect();
        let unread = cells.iter().map(|cell| cell.id.clone()).collect();
        let (ends, between) = ends_first(cells);
        let in_order = ends.iter().chain(&between);
        let left = in_order.flat_map(|cell| by_cell.remove(&cell.id).unwrap_or_default()).collect();
        let ends = ends.into_iter().map(|cell| cell.id.clone()).collect();
        (Self { ends, last: None, numbers: BTreeMap::new(), unread }, left)
    }

    /// Whether the next cell is to be chosen by what is measured, which then has to be on the disk.
    pub(super) fn is_due(&self, left: &TrialsLeft) -> bool {
        let Some((next, _)) = left.front() else { return false };
        let is_new = self.last.as_ref() != Some(next);
        is_new && !self.ends.contains(next)
    }

    /// Brings the cell to the front that tells most.
    ///
    /// # Errors
    /// When records of the run cannot be read.
    pub(super) fn choose(
        &mut self,
        plan: &Plan,
        reader: &RunReader,
        left: &mut TrialsLeft,
    ) -> Result<(), StoreError> {
        let Some((next, _)) = left.front() else { return Ok(()) };
        let Some(launch) = plan.cells.iter().find(|it| it.id == *next).map(|it| &it.launch) else {
            return Ok(());
        };
        let cells: Vec<&Cell> = plan.cells.iter().filter(|it| it.launch == *launch).collect();
        let unread = std::mem::take(&mut self.unread);
        for cell in cells.iter().filter(|cell| unread.contains(&cell.id)) {
            if !self.numbers.contains_key(&cell.id) && !reader.trials_on_disk(cell)?.is_empty() {
                let numbers = numbers(reader, plan, cell)?;
                self.numbers.insert(cell.id.clone(), numbers);
            }
        }
        let are_left: BTreeSet<&CellId> = left.iter().map(|(cell, _)| cell).collect();
        let is_left = |id: &CellId| are_left.contains(id) && !self.numbers.contains_key(id);
        let chosen = most_telling(cells, &is_left, &self.numbers).map(|cell| cell.id.clone());
        if let Some(chosen) = chosen {
            let (first, others): (Vec<_>, Vec<_>) =
                left.drain(..).partition(|(cell, _)| *cell == chosen);
            left.extend(first.into_iter().chain(others));
        }
        Ok(())
    }

    /// Takes note of the cell that is under way.
    pub(super) fn begin(&mut self, cell: &CellId) {
        self.last = Some(cell.clone());
        self.unread.insert(cell.clone());
    }
}

fn numbers(reader: &RunReader, plan: &Plan, cell: &Cell) -> Result<Vec<f64>, StoreError> {
    let summary = cell_summary(reader, plan, cell)?;
    let output = summary.value(MetricId::OutputThroughput);
    let ttft = summary.distributions.get(&MetricId::Ttft).and_then(|found| found.mean);
    Ok(vec![output.unwrap_or_default(), ttft.unwrap_or_default()])
}
