//! The requests of a run as flat rows, streamed from its records.

use crate::metrics::request::RequestMetrics;
use crate::metrics::totals::{cancel_kind, error_kind};
use crate::plan::cell::Cell;
use crate::record::request::{Outcome, RequestRecord};
use crate::record::trial::{PhaseKind, TrialRecord};
use crate::report::csv::RequestRow;
use crate::run::digest::{Digest, complete_trials, exchanges};
use crate::score::grade::Class;
use crate::store::error::StoreError;
use crate::store::reader::RunReader;
use crate::units::Nanos;

/// Returns the requests of all complete trials, in the order of the plan and of their end.
pub fn rows<'a>(
    reader: &'a RunReader,
    digest: &'a Digest,
) -> impl Iterator<Item = Result<RequestRow, StoreError>> + 'a {
    digest.plan.cells.iter().flat_map(move |cell| match cell_rows(reader, digest, cell) {
        Ok(rows) => rows,
        Err(error) => Box::new(std::iter::once(Err(error))),
    })
}

type Rows<'a> = Box<dyn Iterator<Item = Result<RequestRow, StoreError>> + 'a>;

fn cell_rows<'a>(
    reader: &'a RunReader,
    digest: &'a Digest,
    cell: &'a Cell,
) -> Result<Rows<'a>, StoreError> {
    let trials = complete_trials(reader, cell)?;
    Ok(Box::new(trials.into_iter().flat_map(move |trial| -> Rows<'a> {
        let record = trial.record.clone();
        match exchanges(&trial) {
            Ok(exchanges) => Box::new(exchanges.map(move |exchange| {
                let (request, _) = exchange?;
                Ok(row(digest, cell, &record, &request))
            })),
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    })))
}

fn row(digest: &Digest, cell: &Cell, trial: &TrialRecord, request: &RequestRecord) -> RequestRow {
    let metrics = RequestMetrics::of(request);
    let millis = |nanos: Option<Nanos>| nanos.map(Nanos::as_millis_f64);
    let phase = trial.phases.get(usize::from(request.phase));
    let measured = phase.is_some_and(|phase| phase.kind == PhaseKind::Measure);
    let class = digest
        .graded
        .get(&cell.id)
        .filter(|_| measured)
        .and_then(|graded| graded.items.get(&request.sample))
        .and_then(|item| item.classes.first().copied());
    RequestRow {
        cell: cell.name.clone(),
        trial: trial.trial,
        phase: phase.map(|phase| phase.name.clone()).unwrap_or_default(),
        measured,
        index: request.index,
        turn: request.turn,
        sample: request.sample,
        scheduled_ms: request.scheduled.as_millis_f64(),
        send_lag_ms: millis(metrics.send_lag),
        ttft_ms: millis(metrics.ttft),
        ttft_scheduled_ms: millis(metrics.ttft_scheduled),
        tpot_ms: metrics.tpot_ns.map(|ns| ns / 1e6),
        e2e_ms: millis(metrics.e2e),
        e2e_scheduled_ms: millis(metrics.e2e_scheduled),
        prompt_tokens: metrics.prompt.tokens,
        output_tokens: metrics.output.tokens,
        finish: request.finish.clone().unwrap_or_default(),
        outcome: match &request.outcome {
            Outcome::Ok => "ok".to_owned(),
            Outcome::Error(error) => error_kind(error),
            Outcome::Cancelled(cause) => cancel_kind(*cause).to_owned(),
        },
        status: request.status,
        answer: class.map(|class| class.name().to_owned()).unwrap_or_default(),
        correct: class.map(|class| class == Class::Correct),
    }
}
