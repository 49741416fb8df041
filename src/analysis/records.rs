//! What the run directory holds of a cell, joined: trials, requests with their answers.

use std::path::PathBuf;

use crate::plan::cell::Cell;
use crate::record::request::{OutputRecord, RequestRecord};
use crate::store::error::StoreError;
use crate::store::reader::{RunReader, TrialReader};
use crate::store::records::Records;

/// Returns the trials of a cell that reached their end. A plan may ask for fewer than there
/// are; the later ones do not count then.
pub(crate) fn complete_trials(
    reader: &RunReader,
    cell: &Cell,
) -> Result<Vec<TrialReader>, StoreError> {
    Ok(complete(reader.trials(&cell.as_run())?, cell))
}

/// Returns those of a cell's trials that count.
pub(crate) fn complete(mut trials: Vec<TrialReader>, cell: &Cell) -> Vec<TrialReader> {
    trials.retain(|trial| trial.record.aborted.is_none() && trial.record.trial <= cell.n_trials);
    trials
}

pub(crate) fn corrupt(path: PathBuf, why: String) -> StoreError {
    StoreError::Corrupt { path, line: 1, offset: 0, why }
}

/// Joins the requests of a trial with their answers: each request has one, and both are stored
/// in the order of their end.
pub(crate) fn exchanges(trial: &TrialReader) -> Result<Exchanges, StoreError> {
    let (requests, outputs) = (trial.requests()?, trial.outputs()?);
    Ok(Exchanges { requests, outputs, path: trial.outputs_path(), line: 0 })
}

pub(crate) struct Exchanges {
    requests: Records<RequestRecord>,
    outputs: Records<OutputRecord>,
    /// Where the answers are, and the line of the last one.
    path: PathBuf,
    line: u64,
}

impl Exchanges {
    /// Returns the error for an answer that is not that of its request. Where a file is shorter
    /// than it was, that is the damage.
    fn apart(&mut self, why: String) -> StoreError {
        let damage = self.requests.find_map(Result::err).or(self.outputs.find_map(Result::err));
        let (path, line) = (self.path.clone(), self.line);
        damage.unwrap_or(StoreError::Corrupt { path, line, offset: 0, why })
    }
}

impl Iterator for Exchanges {
    type Item = Result<(RequestRecord, OutputRecord), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.line += 1;
        let (request, output) = match (self.requests.next(), self.outputs.next()) {
            (None, None) => return None,
            (Some(Err(error)), _) | (_, Some(Err(error))) => return Some(Err(error)),
            (Some(Ok(request)), Some(Ok(output))) => (request, output),
            (Some(Ok(request)), None) => {
                return Some(
                    Err(self.apart(format!("the answer of {} is missing", request.key()))),
                );
            }
            (None, Some(Ok(output))) => {
                return Some(Err(self.apart(format!("{} is not recorded", output.key()))));
            }
        };
        if request.key() == output.key() {
            return Some(Ok((request, output)));
        }
        let why = format!(
            "the answer of {} stands where that of {} belongs",
            output.key(),
            request.key()
        );
        Some(Err(self.apart(why)))
    }
}
