//! Loads for which the limit of open files is too low here: a run refuses them.

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::load::spec::LoadError;
use crate::load::trial::check_descriptors;
use crate::plan::Plan;
use crate::scenario::Scenario;

/// Returns a warning for each phase that finds too few descriptors here, with the cell that needs most.
pub(crate) fn look(scenario: &Scenario, plan: &Plan) -> Diagnostics {
    let mut worst: BTreeMap<&str, (u64, &str, String)> = BTreeMap::new();
    for cell in plan.cells.iter().filter(|cell| cell.skip.is_none()) {
        for phase in &cell.phases {
            let lack = check_descriptors(std::slice::from_ref(phase));
            let Err(error @ LoadError::TooFewDescriptors { needed, .. }) = lack else { continue };
            if worst.get(phase.name.as_str()).is_none_or(|(most, ..)| *most < needed) {
                worst.insert(&phase.name, (needed, &cell.name, error.to_string()));
            }
        }
    }
    let mut found = Diagnostics::default();
    for (phase, (_, cell, why)) in worst {
        let message = format!("phase `{phase}` of cell `{cell}` cannot be sent from here: {why}");
        found.push(
            Diagnostic::warning("scenario/descriptors", message)
                .label(scenario.at(&["phase", phase], ""))
                .help(
                    "raise the limit where it is measured (`ulimit -n`), or ask for fewer streams",
                ),
        );
    }
    found
}
