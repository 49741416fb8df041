//! A small run of one cell for this room's tests.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use tempfile::TempDir;

use crate::ids::CellId;
use crate::metrics::tests::fixture;
use crate::plan::Plan;
use crate::plan::cell::{ArrivalsPlan, Cell, DatasetPlan, Source};
use crate::record::request::{
    EventKind, Events, Outcome, RequestError, RequestRecord, StampSource,
};
use crate::record::trial::TrialRecord;
use crate::secrets::redact::Redactor;
use crate::store::error::StoreError;
use crate::store::run_dir::Invocation;
use crate::store::trial_sync;
use crate::store::writer::{NewRun, RunWriter};
use crate::units::Nanos;

pub(super) fn cell() -> Cell {
    Cell {
        id: CellId("0123456789ab".to_owned()),
        name: "tiny fp16".to_owned(),
        ..fixture::cell(ArrivalsPlan::Closed { concurrency: 1 })
    }
}

pub(super) fn plan() -> Plan {
    Plan {
        launches: IndexMap::from([(cell().launch, fixture::launch(1))]),
        cells: vec![cell()],
        datasets: [(cell().dataset, DatasetPlan::of(Source::Jsonl, None, None, None))].into(),
        ..fixture::plan(&[])
    }
}

pub(super) fn trial_record() -> TrialRecord {
    TrialRecord { cell: cell().id, ..fixture::trial(&[]) }
}

pub(super) fn request(id: u64) -> RequestRecord {
    let mut events = Events::default();
    events.push(Nanos::ZERO, Nanos(150 + id), EventKind::Content);
    events.push(Nanos(150 + id), Nanos(190 + id), EventKind::Done);
    RequestRecord {
        phase: 0,
        index: id,
        turn: 0,
        sample: id,
        scheduled: Nanos(id),
        sent: Some(Nanos(id + 1)),
        written: Some(Nanos(id + 2)),
        write_cpu: Some(Nanos(1)),
        connected: None,
        headers: Some(Nanos(id + 2)),
        events,
        done: Some(Nanos(200 + id)),
        ended: None,
        status: Some(200),
        stamps: StampSource::Userspace,
        usage: None,
        finish: Some("stop".to_owned()),
        max_tokens: Some(8),
        output_tokens_counted: None,
        prompt_tokens_counted: None,
        prompt_ids_hash: None,
        true_ttft: None,
        body_bytes: 512,
        outcome: match id % 3 {
            0 => Outcome::Error(RequestError::Status(500, "\u{1b}[31m\"quoted\"\n".to_owned())),
            _ => Outcome::Ok,
        },
        oddities: vec![],
    }
}

pub(super) fn new_run(root: &TempDir) -> RunWriter {
    try_new(root.path(), None).unwrap()
}

pub(super) fn try_new(root: &Path, out: Option<&Path>) -> Result<RunWriter, StoreError> {
    RunWriter::create(&NewRun {
        root,
        out,
        plan: &plan(),
        scenario: "title = \"Title\"\n",
        resolved: "title = \"Title\"\n",
        template: None,
        redactor: &Redactor::default(),
        invocation: &Invocation::default(),
    })
}

pub(super) fn write_trial(writer: &RunWriter, n_requests: u64) -> PathBuf {
    let mut trial = writer.trial("tiny fp16", 1).unwrap();
    for id in 0..n_requests {
        trial.request(&request(id)).unwrap();
    }
    trial_sync::sync(&[trial.finish(&trial_record()).unwrap()]).unwrap();
    writer.dir().trial("tiny fp16", 1).unwrap()
}
