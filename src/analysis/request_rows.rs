//! The requests of a run as flat rows, streamed from its records.

use parquet_derive::ParquetRecordWriter;
use serde::Serialize;

use crate::analysis::records::{complete_trials, exchanges};
use crate::analysis::run::RunAnalysis;
use crate::metrics::client_lag::longest_wait;
use crate::metrics::request::{RequestMetrics, token_events};
use crate::metrics::totals::{cancel_kind, error_kind};
use crate::plan::cell::Cell;
use crate::record::request::{Outcome, OutputRecord, RequestRecord};
use crate::record::trial::{PhaseKind, TrialRecord};
use crate::score::answer::Delivery;
use crate::score::item::Class;
use crate::store::error::StoreError;
use crate::store::reader::RunReader;
use crate::units::Nanos;

/// One request, as a row of `requests.csv`. Times are from the trial's epoch, in
/// milliseconds; what is absent is an empty field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ParquetRecordWriter)]
pub struct RequestRow {
    /// Name of the cell.
    pub cell: String,
    /// Number of the trial, from 1.
    pub trial: u32,
    /// Name of the phase.
    pub phase: String,
    /// Position in the schedule of its phase. Cell, trial, phase, index and turn name a row.
    pub index: u64,
    /// Turn of the conversation, from 0.
    pub turn: u32,
    /// Whether its phase counts.
    pub measured: bool,
    /// Row of the data set.
    pub sample: u64,
    /// When it was due.
    pub scheduled_ms: f64,
    /// How late it was sent.
    pub send_lag_ms: Option<f64>,
    /// First token since it was sent.
    pub ttft_ms: Option<f64>,
    /// First token since it was due.
    pub ttft_scheduled_ms: Option<f64>,
    /// Time per output token after the first.
    pub tpot_ms: Option<f64>,
    /// The most that it can be, where nobody says how many tokens the first chunk held.
    pub tpot_most_ms: Option<f64>,
    /// Last token since it was sent.
    pub e2e_ms: Option<f64>,
    /// Last token since it was due.
    pub e2e_scheduled_ms: Option<f64>,
    /// Prompt tokens as the engine counts them.
    pub prompt_tokens: Option<u32>,
    /// Output tokens as the engine counts them.
    pub output_tokens: Option<u32>,
    /// Why the engine stopped, in its words.
    pub finish: String,
    /// `ok`, or the kind of failure or of cancellation.
    pub outcome: String,
    /// HTTP status.
    pub status: Option<u16>,
    /// Class of the answer by the headline extractor: `correct`, `wrong`, `unparsed` …
    pub answer: String,
    /// Whether the answer is correct.
    pub correct: Option<bool>,
}

/// A request with its stream and its answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct StreamedRequest {
    /// Its figures.
    pub row: RequestRow,
    /// When it was sent, from its trial's epoch; absent if it never was.
    pub sent: Option<Nanos>,
    /// When events with generated tokens arrived, from the same epoch, and how many each held,
    /// where that is known.
    pub tokens: Vec<(Nanos, Option<u32>)>,
    /// The answer, without reasoning.
    pub text: String,
    /// What the engine or the network said of its failure; empty for none.
    pub error: String,
}

impl StreamedRequest {
    fn of(row: RequestRow, request: &RequestRecord, output: OutputRecord) -> Self {
        let error = match &request.outcome {
            Outcome::Error(error) => match error.words() {
                Some(words) => format!("{}: {words}", row.outcome),
                None => row.outcome.clone(),
            },
            Outcome::Ok => String::new(),
            Outcome::Cancelled(_) => row.outcome.clone(),
        };
        Self {
            sent: request.sent,
            tokens: token_events(request).map(|event| (event.at, event.tokens)).collect(),
            text: output.text,
            error,
            row,
        }
    }
}

/// Returns the requests of all complete trials, in the order of the plan and of their end.
pub(crate) fn rows<'a>(
    reader: &'a RunReader,
    analysis: &'a RunAnalysis,
) -> impl Iterator<Item = Result<RequestRow, StoreError>> + 'a {
    each(reader, analysis, |row, _, _| row)
}

/// Returns the same requests with their streams and answers.
pub(crate) fn streamed<'a>(
    reader: &'a RunReader,
    analysis: &'a RunAnalysis,
) -> impl Iterator<Item = Result<StreamedRequest, StoreError>> + 'a {
    each(reader, analysis, |row, request, output| StreamedRequest::of(row, &request, output))
}

/// Makes something of each request that has a row.
type Make<T> = fn(RequestRow, RequestRecord, OutputRecord) -> T;

fn each<'a, T: 'a>(
    reader: &'a RunReader,
    analysis: &'a RunAnalysis,
    make: Make<T>,
) -> impl Iterator<Item = Result<T, StoreError>> + 'a {
    analysis.plan.cells.iter().flat_map(move |cell| match of_cell(reader, analysis, cell, make) {
        Ok(rows) => rows,
        Err(error) => Box::new(std::iter::once(Err(error))),
    })
}

type Each<'a, T> = Box<dyn Iterator<Item = Result<T, StoreError>> + 'a>;

fn of_cell<'a, T: 'a>(
    reader: &'a RunReader,
    analysis: &'a RunAnalysis,
    cell: &'a Cell,
    make: Make<T>,
) -> Result<Each<'a, T>, StoreError> {
    let trials = complete_trials(reader, cell)?;
    Ok(Box::new(trials.into_iter().flat_map(move |trial| -> Each<'a, T> {
        let record = trial.record.clone();
        let wait = longest_wait(&record);
        match exchanges(&trial) {
            Ok(exchanges) => Box::new(exchanges.filter_map(move |exchange| {
                let (request, output) = match exchange {
                    Ok(exchange) => exchange,
                    Err(error) => return Some(Err(error)),
                };
                let row = row(analysis, cell, (&record, wait), &request)?;
                Some(Ok(make(row, request, output)))
            })),
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    })))
}

/// Returns a request of a trial, in which what had arrived waited so long at most to be read, as a
/// row; `None` where it belongs to another row of the cell. Each request of
/// a warm-up is one row, under the name of the cell that was run.
fn row(
    analysis: &RunAnalysis,
    cell: &Cell,
    (trial, wait): (&TrialRecord, Nanos),
    request: &RequestRecord,
) -> Option<RequestRow> {
    let metrics = RequestMetrics::beside(request, wait);
    let millis = |nanos: Option<Nanos>| nanos.map(Nanos::as_millis_f64);
    let phase = trial.phases.get(usize::from(request.phase));
    let measured = phase.is_some_and(|phase| cell.measures(phase.kind, &phase.name));
    let name = match &cell.row {
        Some(row) if !measured => {
            let is_warm_up = phase.is_none_or(|phase| phase.kind == PhaseKind::WarmUp);
            (row.is_first && is_warm_up).then_some(&row.cell_name)?
        }
        _ => &cell.name,
    };
    let class = analysis
        .classes
        .get(&cell.id)
        .filter(|_| measured)
        .and_then(|classes| classes.headline(request.sample))
        .map(|class| match Delivery::of(request) {
            Delivery::Answered => class,
            Delivery::Failed => Class::RequestError,
        });
    Some(RequestRow {
        cell: name.clone(),
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
        tpot_most_ms: metrics.tpot_bound_ns.map(|(_, most)| most / 1e6),
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
        correct: class
            .filter(|class| *class != Class::RequestError)
            .map(|class| class == Class::Correct),
    })
}
