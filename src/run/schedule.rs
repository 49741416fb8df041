//! In which order engines are visited, and which trials each session serves.

use crate::ids::{CellId, LaunchId};
use crate::plan::{Plan, TrialOrder};

/// One start of an engine and the trials that it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EngineSession {
    /// The engine.
    pub launch: LaunchId,
    /// Cells with the number of the trial, from 1, in the order they are run.
    pub trials: Vec<(CellId, u32)>,
}

/// Returns the sessions that carry out `plan`, without the cells for which `left_out` holds.
///
/// Grouped: one session per launch. Interleaved: one session per launch and trial, forwards and
/// backwards in turn (A B B A), so that a slow drift of the machine falls on all alike.
pub(crate) fn sessions(plan: &Plan, left_out: impl Fn(&CellId, u32) -> bool) -> Vec<EngineSession> {
    let rounds: Vec<Vec<u32>> = match plan.order {
        TrialOrder::Grouped => vec![(1..=max_trials(plan)).collect()],
        TrialOrder::Interleaved => (1..=max_trials(plan)).map(|trial| vec![trial]).collect(),
    };
    let cells = plan.cells_by_launch();
    let mut sessions = Vec::new();
    for (round, trials) in rounds.iter().enumerate() {
        let mut launches: Vec<&LaunchId> = plan.launches.keys().collect();
        if round % 2 == 1 {
            launches.reverse();
        }
        for launch in launches {
            let served = cells.get(launch).into_iter().flatten();
            let trials: Vec<_> = served
                .flat_map(|cell| {
                    let wanted = trials.iter().filter(|trial| **trial <= cell.n_trials);
                    wanted.map(|trial| (cell.id.clone(), *trial))
                })
                .filter(|(cell, trial)| !left_out(cell, *trial))
                .collect();
            if !trials.is_empty() {
                sessions.push(EngineSession { launch: launch.clone(), trials });
            }
        }
    }
    sessions
}

fn max_trials(plan: &Plan) -> u32 {
    plan.cells.iter().map(|cell| cell.n_trials).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::metrics::tests::fixture::{launch, plan};

    #[test]
    fn many_engines_are_scheduled_in_time_that_grows_with_their_number_alone() {
        let n_engines = 20_000;
        let names: Vec<String> = (0..n_engines).map(|number| format!("e{number}")).collect();
        let mut plan = plan(&names.iter().map(String::as_str).collect::<Vec<_>>());
        plan.launches = plan.cells.iter().map(|cell| (cell.launch.clone(), launch(1))).collect();
        let begin = Instant::now();
        let sessions = sessions(&plan, |_, _| false);
        // Each launch beside each cell would be 400 million comparisons: ten seconds and more.
        assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
        assert_eq!(sessions.len(), n_engines);
        assert!(sessions.iter().zip(&plan.cells).all(|(it, cell)| it.launch == cell.launch));
    }
}
