//! Small records for this room's tests.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::ids::{CellId, LaunchId};
use crate::plan::cell::{
    Api, ArrivalsPlan, Cell, Deadlines, OutputLength, Phase, RequestPlan, Sampling,
};
use crate::record::trial::{PhaseKind, PhaseRecord, SentinelRecord, TrialRecord};
use crate::units::Nanos;

/// A cell with one measured phase.
pub(crate) fn cell(arrivals: ArrivalsPlan) -> Cell {
    Cell {
        id: CellId("c0".to_owned()),
        name: "tiny-fp16".to_owned(),
        keys: IndexMap::from([("engine".to_owned(), "tiny".to_owned())]),
        launch: LaunchId("l0".to_owned()),
        dataset: "questions".to_owned(),
        score: None,
        request: RequestPlan {
            api: Api::Chat,
            path: "/v1/chat/completions".to_owned(),
            stream: true,
            sampling: Sampling { temperature: 0.0, top_p: 1.0, seed: None, stop: Vec::new() },
            output: OutputLength::Natural { max_tokens: 100 },
            salt: false,
            logprobs: false,
            extra_body: BTreeMap::new(),
        },
        phases: vec![phase(arrivals)],
        n_trials: 1,
        slo: None,
        skip: None,
    }
}

fn phase(arrivals: ArrivalsPlan) -> Phase {
    let second = Nanos::from_secs(1);
    Phase {
        name: "load".to_owned(),
        kind: PhaseKind::Measure,
        arrivals,
        max_in_flight: None,
        n_requests: None,
        duration: None,
        drain: second,
        deadlines: Deadlines {
            connect: second,
            first_token: second,
            between_tokens: second,
            total: second,
        },
        cancel_after: None,
        until_steady: None,
    }
}

/// A trial of the cell `c0`.
pub(crate) fn trial(phases: &[PhaseRecord]) -> TrialRecord {
    TrialRecord {
        cell: CellId("c0".to_owned()),
        trial: 1,
        epoch_unix_ns: 0,
        phases: phases.to_vec(),
        sentinel: SentinelRecord::default(),
        dataset: None,
        aborted: None,
    }
}

/// A phase from `started` to `stopped`, drained at `drained`, in milliseconds.
pub(crate) fn phase_record(
    kind: PhaseKind,
    started: u64,
    stopped: u64,
    drained: u64,
) -> PhaseRecord {
    PhaseRecord {
        name: "load".to_owned(),
        kind,
        started: Nanos::from_millis(started),
        stopped: Nanos::from_millis(stopped),
        drained: Nanos::from_millis(drained),
        n_scheduled: 0,
        steadiness: None,
        schedule_hash: String::new(),
    }
}
