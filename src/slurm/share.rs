//! How a plan is divided among tasks of Slurm.

use std::collections::BTreeMap;

use crate::plan::Plan;
use crate::plan::share::{self, Share};
use crate::scenario::spec::SlurmSpec;
use crate::units::Nanos;

/// Slurm kills what is left of a job 30 seconds after it asked it to end. An engine gets less, so
/// that bench can still write down how it ended.
const STOP_GRACE_MAX: Nanos = Nanos::from_secs(20);

/// Tasks of an array; Slurm's own default limit is 1001.
const TASKS_MAX: usize = 1000;

/// Divides a plan, a task for each share.
pub(crate) fn shares(plan: &Plan) -> Vec<Share> {
    let mut shares = share::shares(plan);
    for launch in shares.iter_mut().flat_map(|share| share.plan.launches.values_mut()) {
        launch.stop_grace = launch.stop_grace.min(STOP_GRACE_MAX);
    }
    shares
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
