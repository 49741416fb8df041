//! How a plan is divided into parts that need no other: cells that share an engine start.

use crate::ids::LaunchId;
use crate::plan::launch::Launch;
use crate::plan::{Plan, TrialOrder};
use crate::units::Nanos;

/// Id of the one share of a plan whose engines alternate.
const ALTERNATING: &str = "alternating";

/// The part of a plan that one process carries out: a task of a cluster, or one beside others here.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Share {
    /// Name of its directory: the launch's id, stable across reruns.
    pub(crate) id: String,
    /// Engines that it starts, as people know them.
    pub(crate) engines: Vec<String>,
    /// GPUs that its engines are spread over.
    pub(crate) n_gpus: u32,
    /// The plan of this part alone.
    pub(crate) plan: Plan,
}

/// Divides a plan: a share for each engine launch, without cells that the plan alone excludes, and
/// with an equal part of the budget.
///
/// Trials that alternate between engines (A B B A) compare them on one machine, so they are one
/// share.
pub(crate) fn shares(plan: &Plan) -> Vec<Share> {
    let can_run =
        |id: &LaunchId| plan.cells.iter().any(|cell| cell.launch == *id && cell.skip.is_none());
    let launches: Vec<&LaunchId> = plan.launches.keys().filter(|id| can_run(id)).collect();
    let mut shares: Vec<Share> = match plan.order {
        TrialOrder::Interleaved if launches.len() > 1 => {
            vec![share(plan, ALTERNATING.to_owned(), &launches)]
        }
        _ => launches.into_iter().map(|id| share(plan, id.0.clone(), &[id])).collect(),
    };
    // A budget is the time of all cells, whoever measures them.
    let n_shares = shares.len().max(1) as u64;
    for share in &mut shares {
        share.plan.budget = share.plan.budget.map(|budget| Nanos(budget.0 / n_shares));
    }
    shares
}

/// Returns a plan as the one part that a single process carries out.
pub(crate) fn whole(plan: &Plan) -> Share {
    share(plan, String::new(), &plan.launches.keys().collect::<Vec<_>>())
}

fn share(plan: &Plan, id: String, launches: &[&LaunchId]) -> Share {
    let mut part = plan.clone();
    part.cells.retain(|cell| cell.skip.is_none() && launches.contains(&&cell.launch));
    part.launches.retain(|id, _| launches.contains(&id));
    let n_gpus = part.launches.values().map(gpus).max().unwrap_or(0);
    let engines = part.launches.values().map(Launch::told).collect();
    Share { id, engines, n_gpus, plan: part }
}

/// Returns the GPUs of an engine: as many as it is spread over. The built-in engines and servers
/// that run already take none.
fn gpus(launch: &Launch) -> u32 {
    let is_built_in = matches!(launch.preset.as_str(), "sim" | "tiny");
    if launch.is_started() && !is_built_in { launch.n_gpus } else { 0 }
}
