//! How a plan is divided among tasks: cells that share an engine start share a task.

use std::collections::BTreeMap;

use crate::ids::LaunchId;
use crate::plan::launch::Launch;
use crate::plan::{Plan, TrialOrder};
use crate::scenario::spec::SlurmSpec;
use crate::units::Nanos;

/// Slurm kills what is left of a job 30 seconds after it asked it to end. An engine gets less, so
/// that bench can still write down how it ended.
const STOP_GRACE_MAX: Nanos = Nanos::from_secs(20);

/// Tasks of an array; Slurm's own default limit is 1001.
const TASKS_MAX: usize = 1000;

/// Id of the one share of a plan whose engines alternate.
const ALTERNATING: &str = "alternating";

/// The part of a plan that one task carries out.
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

/// Divides a plan: a share for each engine launch, without cells that the plan alone excludes.
///
/// Trials that alternate between engines (A B B A) compare them on one machine, so they are one
/// share.
pub(crate) fn shares(plan: &Plan) -> Vec<Share> {
    let can_run =
        |id: &LaunchId| plan.cells.iter().any(|cell| cell.launch == *id && cell.skip.is_none());
    let launches: Vec<&LaunchId> = plan.launches.keys().filter(|id| can_run(id)).collect();
    match plan.order {
        TrialOrder::Interleaved if launches.len() > 1 => {
            vec![share(plan, ALTERNATING.to_owned(), &launches)]
        }
        _ => launches.into_iter().map(|id| share(plan, id.0.clone(), &[id])).collect(),
    }
}

fn share(plan: &Plan, id: String, launches: &[&LaunchId]) -> Share {
    let mut part = plan.clone();
    part.cells.retain(|cell| cell.skip.is_none() && launches.contains(&&cell.launch));
    part.launches.retain(|id, _| launches.contains(&id));
    for launch in part.launches.values_mut() {
        launch.stop_grace = launch.stop_grace.min(STOP_GRACE_MAX);
    }
    let n_gpus = part.launches.values().map(gpus).max().unwrap_or(0);
    let engines = part.launches.values().map(|launch| {
        let precision = launch.precision.as_ref().map(|it| format!(" {it}")).unwrap_or_default();
        format!("{}{precision}", launch.engine)
    });
    Share { id, engines: engines.collect(), n_gpus, plan: part }
}

/// Returns the GPUs of an engine: as many as it is spread over. The built-in engines and servers
/// that run already take none.
fn gpus(launch: &Launch) -> u32 {
    let is_built_in = matches!(launch.preset.as_str(), "sim" | "tiny");
    if launch.is_started() && !is_built_in { launch.n_gpus } else { 0 }
}

/// Puts shares together for which Slurm is asked for the same GPUs: each such group is an array,
/// whose tasks are all alike.
pub(crate) fn arrays<'s>(settings: &SlurmSpec, shares: &[&'s Share]) -> Vec<(u32, Vec<&'s Share>)> {
    let depends = settings.gres.as_ref().is_none_or(|gres| gres.contains("{{"));
    let mut groups: BTreeMap<u32, Vec<&Share>> = BTreeMap::new();
    for share in shares {
        let n_gpus = settings.gpus.unwrap_or(if depends { share.n_gpus } else { 0 });
        groups.entry(n_gpus).or_default().push(share);
    }
    let split = |(n_gpus, shares): (u32, Vec<&'s Share>)| {
        let chunks: Vec<_> =
            shares.chunks(TASKS_MAX).map(|chunk| (n_gpus, chunk.to_vec())).collect();
        chunks
    };
    groups.into_iter().flat_map(split).collect()
}
