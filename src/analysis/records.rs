//! What the run directory holds of a cell, joined: trials, requests with their texts, golds.

use std::iter::Peekable;
use std::path::PathBuf;

use crate::plan::cell::Cell;
use crate::record::request::{OutputRecord, RequestRecord};
use crate::score::scorer::Golds;
use crate::store::error::StoreError;
use crate::store::reader::{RunReader, TrialReader};
use crate::store::records::Records;
use crate::store::run_dir;

/// Returns the trials of a cell that reached their end. A plan may ask for fewer than there
/// are; the later ones do not count then.
pub(crate) fn complete_trials(
    reader: &RunReader,
    cell: &Cell,
) -> Result<Vec<TrialReader>, StoreError> {
    let mut trials = reader.trials(cell)?;
    trials.retain(|trial| trial.record.aborted.is_none() && trial.record.trial <= cell.n_trials);
    Ok(trials)
}

/// Reads the golds of a cell's data set, as the run directory keeps them.
pub(crate) fn golds(reader: &RunReader, cell: &Cell) -> Result<Golds, StoreError> {
    let path = reader.dir().path().join(run_dir::golds_file(&cell.dataset));
    let text = std::fs::read_to_string(&path)
        .map_err(|source| StoreError::Missing { path: path.clone(), source })?;
    serde_json::from_str(&text).map_err(|error| corrupt(path, error.to_string()))
}

pub(crate) fn corrupt(path: PathBuf, why: String) -> StoreError {
    StoreError::Corrupt { path, line: 1, offset: 0, why }
}

/// Joins the requests of a trial with their texts; both are stored in the order of their end.
pub(crate) fn exchanges(trial: &TrialReader) -> Result<Exchanges, StoreError> {
    Ok(Exchanges { requests: trial.requests()?, outputs: trial.outputs()?.peekable() })
}

pub(crate) struct Exchanges {
    requests: Records<RequestRecord>,
    outputs: Peekable<Records<OutputRecord>>,
}

impl Iterator for Exchanges {
    type Item = Result<(RequestRecord, Option<OutputRecord>), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let request = match self.requests.next()? {
            Ok(request) => request,
            Err(error) => return Some(Err(error)),
        };
        let is_its = |output: &Result<OutputRecord, StoreError>| {
            output.as_ref().map_or(true, |output| output.key() == request.key())
        };
        let output = self.outputs.next_if(is_its).transpose();
        Some(output.map(|output| (request, output)))
    }
}
