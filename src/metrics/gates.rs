//! Gates: what a scenario requires of the numbers.

use crate::metrics::summary::{CellStatus, CellSummary, SteadyStatus};
use crate::plan::Plan;
use crate::plan::cell::Cell;

/// Returns the gates that were not passed, in words. Only what was shown passes one: an accuracy
/// that is not there is above no floor, and what nothing looked at is not steady.
pub(crate) fn failed(plan: &Plan, cells: &[CellSummary]) -> Vec<String> {
    let wanted = cells
        .iter()
        .zip(&plan.cells)
        .filter(|(cell, _)| cell.validity.status != CellStatus::Skipped);
    wanted
        .flat_map(|(cell, planned)| [below_floor(plan, planned, cell), not_steady(plan, cell)])
        .flatten()
        .collect()
}

fn below_floor(plan: &Plan, planned: &Cell, cell: &CellSummary) -> Option<String> {
    let floor = plan.scores.get(planned.score.as_ref()?)?.floor.as_ref()?;
    let Some(accuracy) = cell.accuracy.first() else {
        return Some(format!("{}: no accuracy is there to pass its floor {floor}", cell.name));
    };
    let n_items = accuracy.n + accuracy.request_errors;
    match accuracy.share {
        None => Some(format!(
            "{}: {} of {n_items} items were answered, too few to pass its floor {floor}",
            cell.name, accuracy.n
        )),
        Some(share) => (share < floor.parse().ok()?)
            .then(|| format!("{}: accuracy {share:.3} is below its floor {floor}", cell.name)),
    }
}

fn not_steady(plan: &Plan, cell: &CellSummary) -> Option<String> {
    let why = match cell.steady.status {
        _ if !plan.require_steady => return None,
        SteadyStatus::Steady => return None,
        SteadyStatus::NotSteady => cell.steady.reasons.join("; "),
        SteadyStatus::Unknown => {
            "no warm-up looked for a steady state, and too few requests show a trend".to_owned()
        }
    };
    Some(format!("{}: not known to be steady: {why}", cell.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::summary::SteadyState;
    use crate::metrics::tests::fixture::{measured_cell, plan, with_accuracy};
    use crate::plan::cell::ScorePlan;

    fn told(cell: CellSummary) -> Vec<String> {
        let mut plan = plan(&["a"]);
        let score = ScorePlan { floor: Some("0.5".to_owned()), ..ScorePlan::gsm8k() };
        plan.scores.insert("answer".to_owned(), score);
        plan.cells[0].score = Some("answer".to_owned());
        failed(&plan, &[cell])
    }

    #[test]
    fn a_floor_is_passed_by_a_number_alone() {
        assert!(told(with_accuracy(measured_cell("a", "fp16"), 60, 100)).is_empty());
        let below = told(with_accuracy(measured_cell("a", "fp16"), 40, 100));
        assert_eq!(below, ["a: accuracy 0.400 is below its floor 0.5"]);
        let mut withheld = with_accuracy(measured_cell("a", "fp16"), 1, 1);
        withheld.accuracy[0].share = None;
        withheld.accuracy[0].request_errors = 199;
        let few = ["a: 1 of 200 items were answered, too few to pass its floor 0.5"];
        assert_eq!(told(withheld), few);
        let none = told(measured_cell("a", "fp16"));
        assert_eq!(none, ["a: no accuracy is there to pass its floor 0.5"]);
        let mut skipped = measured_cell("a", "fp16");
        skipped.validity.status = CellStatus::Skipped;
        assert!(told(skipped).is_empty());
    }

    #[test]
    fn a_cell_that_has_to_be_steady_must_be_known_to_be() {
        let told = |require_steady, status, reasons: &[&str]| {
            let plan = Plan { require_steady, ..plan(&["a"]) };
            let reasons = reasons.iter().map(|&reason| reason.to_owned()).collect();
            let steady = SteadyState { status, reasons };
            failed(&plan, &[CellSummary { steady, ..measured_cell("a", "fp16") }])
        };
        assert!(told(false, SteadyStatus::NotSteady, &["it drifts"]).is_empty());
        assert!(told(true, SteadyStatus::Steady, &[]).is_empty());
        let drifts = ["a: not known to be steady: it drifts"];
        assert_eq!(told(true, SteadyStatus::NotSteady, &["it drifts"]), drifts);
        assert_eq!(told(true, SteadyStatus::Unknown, &[]).len(), 1);
    }
}
