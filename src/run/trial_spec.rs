//! A trial of a cell, ready for the load generator.

use std::sync::Arc;

use rustls::ClientConfig;

use crate::engine::credentials::Access;
use crate::load::clock::Epoch;
use crate::load::spec::{Limits, Target, Transport, TrialSpec};
use crate::plan::Plan;
use crate::plan::cell::Cell;
use crate::plan::launch::Launch;
use crate::run::prepare::{CellWorkload, next_turn};
use crate::run::steady::steady_test;

/// What a trial's requests are sent to, and with what.
pub(super) struct Aim {
    pub(super) base_url: String,
    pub(super) access: Access,
    pub(super) tls: Arc<ClientConfig>,
}

/// Returns a trial of a cell, ready to be carried out.
pub(super) fn trial_spec(
    plan: &Plan,
    cell: &Cell,
    launch: &Launch,
    workload: CellWorkload,
    epoch: Epoch,
    aim: Aim,
) -> TrialSpec {
    let token_counter = workload.token_counter();
    TrialSpec {
        epoch,
        target: Target {
            base_url: aim.base_url,
            path: cell.request.path.clone(),
            headers: aim.access.headers,
            proxy: aim.access.proxy,
            stream: cell.request.stream,
            no_done: launch.quirks.no_done,
            no_reuse: launch.quirks.no_reuse,
            tls: Some(aim.tls),
            transport: Transport::Auto,
        },
        phases: workload.phases,
        n_threads: None,
        keep_outputs: true,
        token_counter,
        next_turn: plan.datasets[&cell.dataset].multi_turn.then(next_turn),
        is_steady: Some(steady_test()),
        reads_truth: launch.is_simulated(),
        limits: Limits::default(),
        redactor: aim.access.redactor,
    }
}
