//! Which cells of a run another one measured.

use std::collections::BTreeMap;

use crate::ids::CellId;
use crate::metrics::summarise::run_caveat;
use crate::metrics::summary::Caveat;
use crate::plan::Plan;
use crate::record::event::{EventRecord, RunEvent};

/// Cells that are named; of more it is said how many.
const SHOWN: usize = 8;

/// Returns a caveat for each run that cells were taken from.
pub(super) fn caveats(events: &[EventRecord], plan: &Plan) -> Vec<Caveat> {
    let mut from: BTreeMap<&CellId, &str> = BTreeMap::new();
    for record in events {
        match &record.event {
            RunEvent::Reused { from: run, cells } => {
                from.extend(cells.iter().map(|cell| (cell, run.as_str())));
            }
            // Measured here since, as it was asked to be.
            RunEvent::TrialStarted { cell, .. } => {
                from.remove(cell);
            }
            _ => {}
        }
    }
    let mut by_run: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for cell in plan.cells.iter().filter(|cell| cell.row.as_ref().is_none_or(|row| row.is_first)) {
        if let Some(run) = from.get(cell.run_id()) {
            let name = cell.row.as_ref().map_or(&cell.name, |row| &row.cell_name);
            by_run.entry(run).or_default().push(name);
        }
    }
    let caveat = |(run, cells): (&str, Vec<&str>)| {
        let (n, what) = (cells.len(), if cells.len() == 1 { "cell was" } else { "cells were" });
        let shown = cells[..n.min(SHOWN)].join("; ");
        let more = if n > SHOWN { "; …" } else { "" };
        run_caveat(
            &format!("{n} {what} not measured now but taken from {run}: {shown}{more}"),
            "What has changed since then and is not recorded does not show; without `--reuse` all \
             cells are measured.",
        )
    };
    by_run.into_iter().map(caveat).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::LaunchId;
    use crate::metrics::tests::fixture::plan;

    #[test]
    fn cells_that_were_measured_here_since_are_not_said_to_be_taken() {
        let plan = plan(&["a", "b"]);
        let ids: Vec<CellId> = plan.cells.iter().map(|cell| cell.id.clone()).collect();
        let record = |event| EventRecord { seq: 0, unix_ns: 0, event };
        let reused = RunEvent::Reused { from: "runs/x".to_owned(), cells: ids.clone() };
        let started = RunEvent::TrialStarted {
            cell: ids[0].clone(),
            trial: 1,
            launch: LaunchId(String::new()),
        };
        let told = caveats(&[record(reused.clone()), record(started)], &plan);
        let name = &plan.cells[1].name;
        let expected = format!("1 cell was not measured now but taken from runs/x: {name}");
        assert_eq!(told.iter().map(|it| &*it.what).collect::<Vec<_>>(), [expected]);
        assert!(caveats(&[record(reused)], &plan)[0].what.starts_with("2 cells were"));
        assert!(caveats(&[], &plan).is_empty());
    }
}
