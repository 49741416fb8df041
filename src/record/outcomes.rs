//! The last word on each cell: how it ended, unless that no longer holds.

use std::collections::BTreeMap;

use crate::ids::CellId;
use crate::record::event::{CellOutcome, RunEvent};

/// Returns how cells ended, by the events of a run in their order.
///
/// A cell that is measured again, or further, has no outcome before it is over again: neither the
/// wish for it nor a trial that began leaves the word before in force.
pub(crate) fn outcomes<'e>(
    events: impl IntoIterator<Item = &'e RunEvent>,
) -> BTreeMap<&'e CellId, &'e CellOutcome> {
    let mut outcomes = BTreeMap::new();
    for event in events {
        match event {
            RunEvent::CellFinished { cell, outcome } => drop(outcomes.insert(cell, outcome)),
            RunEvent::TrialStarted { cell, .. } => drop(outcomes.remove(cell)),
            RunEvent::RetryAsked { cells } => cells.iter().for_each(|cell| {
                outcomes.remove(cell);
            }),
            _ => {}
        }
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::LaunchId;

    #[test]
    fn a_cell_that_is_measured_again_has_no_outcome_until_it_is_over_again() {
        let id = |name: &str| CellId(name.to_owned());
        let over = |outcome| RunEvent::CellFinished { cell: id("again"), outcome };
        let skipped = || over(CellOutcome::Skipped("no room".to_owned()));
        let launch = LaunchId("launch".to_owned());
        let begun =
            || RunEvent::TrialStarted { cell: id("again"), trial: 1, launch: launch.clone() };
        let asked = || RunEvent::RetryAsked { cells: vec![id("again")] };
        let check = |more: &[RunEvent], expected: Option<&CellOutcome>| {
            let other =
                RunEvent::CellFinished { cell: id("other"), outcome: CellOutcome::Complete };
            let events = [&[skipped(), other][..], more].concat();
            let found = outcomes(&events);
            assert_eq!(found.get(&id("again")).copied(), expected, "{events:?}");
            assert_eq!(found[&id("other")], &CellOutcome::Complete, "{events:?}");
        };
        check(&[], Some(&CellOutcome::Skipped("no room".to_owned())));
        check(&[asked()], None);
        check(&[begun()], None);
        check(&[asked(), begun(), over(CellOutcome::Complete)], Some(&CellOutcome::Complete));
        check(&[begun(), over(CellOutcome::Interrupted)], Some(&CellOutcome::Interrupted));
    }
}
