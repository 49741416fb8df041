//! Goes on with a trial that was interrupted: what stays of it moves into the next attempt.
//!
//! The next attempt is laid out beside the trial, under a name that nobody reads, with the requests
//! and answers that stay. It takes the trial's place once it is on the disk, and the interrupted
//! attempt is then in `attempts/`, as it was. A kill at any instant leaves one of the two in place.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::ids::CellId;
use crate::plan::stays::Stays;
use crate::record::request::{CancelCause, Outcome, OutputRecord, RequestRecord};
use crate::record::trial::{Stretch, TrialRecord};
use crate::secrets::redact::Redactor;
use crate::store::error::StoreError;
use crate::store::journal::Journal;
use crate::store::records::{Expect, Records};
use crate::store::renamed::put_aside;
use crate::store::run_dir::RunDir;
use crate::store::trial_file::{BEGUN, OUTPUTS, REQUESTS};
use crate::store::trial_sync::directories;
use crate::store::{atomic, line};

/// Prefix of the directory of the next attempt until it takes the place of its trial.
const NEXT: &str = ".next-";

/// The content of `begun.json`: what a trial was begun with. By it the next attempt knows that it
/// asks the same of the same engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrialBegun {
    cell: CellId,
    trial: u32,
    /// Hash of the prompts and of what the engine says that it is.
    inputs: String,
    /// The phase whose finished requests stay.
    phase: u16,
    /// The stretches before this attempt, whose requests the trial holds.
    earlier: Vec<Stretch>,
}

impl TrialBegun {
    pub(super) fn new(cell: CellId, trial: u32, inputs: String, stays: Stays) -> Self {
        Self { cell, trial, inputs, phase: stays.phase, earlier: Vec::new() }
    }

    /// Returns by how many nanoseconds the epoch of this attempt stands behind that of the trial.
    pub(super) fn shift(&self) -> i64 {
        self.earlier.last().map_or(0, |stretch| stretch.ended.0.cast_signed())
    }

    /// Writes it. Without a sync: where the file is lost with the power, the trial starts anew.
    pub(super) fn write(&self, trial: &Path) -> Result<PathBuf, StoreError> {
        let path = trial.join(BEGUN);
        let mut text = Vec::new();
        line::seal(&mut text, self, &Redactor::default())
            .map_err(|source| StoreError::Unwritable { path: path.clone(), source })?;
        fs::write(&path, &text).map_err(StoreError::io("write", &path))?;
        Ok(path)
    }

    /// Reads that of a trial; `None` where there is none that is whole.
    fn read(trial: &Path) -> Option<Self> {
        let mut text = fs::read(trial.join(BEGUN)).ok()?;
        text.pop_if(|byte| *byte == b'\n')?;
        line::unseal(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Whether another attempt was begun with the same, so that its requests are this one's.
    fn goes_on_with(&self, other: &Self) -> bool {
        *self == Self { earlier: Vec::new(), ..other.clone() }
    }

    /// Makes the record of the last attempt that of the trial.
    pub(super) fn complete(&self, record: &mut TrialRecord) {
        record.epoch_unix_ns = record.epoch_unix_ns.saturating_add_signed(-self.shift());
        for phase in &mut record.phases {
            phase.shift(self.shift());
        }
        // An attempt that is interrupted in its warm-up has no record of the phase.
        if let Some(phase) = record.phases.get_mut(usize::from(self.phase)) {
            phase.earlier.clone_from(&self.earlier);
            phase.n_scheduled += phase.n_stayed();
        }
    }
}

/// Goes on with an interrupted trial, where `begun` is what it was begun with: leaves in its place
/// an attempt that holds what stays of it. Returns what that one is begun with and the requests
/// that stayed; `None` where nothing does.
///
/// `n_requests` are those of the phase.
///
/// # Errors
/// [`StoreError::Corrupt`] where the interrupted attempt is damaged elsewhere than at its end.
pub(super) fn go_on(
    path: &Path,
    begun: &TrialBegun,
    stays: Stays,
    n_requests: u64,
    redactor: &Redactor,
) -> Result<Option<(TrialBegun, BTreeSet<u64>)>, StoreError> {
    let Some(mut begun) = TrialBegun::read(path).filter(|there| begun.goes_on_with(there)) else {
        return Ok(None);
    };
    let (stayed, stretch) = what_stays(path, &begun, stays, n_requests)?;
    if stayed.is_empty() {
        return Ok(None);
    }
    let next = next_to(path);
    if next.exists() {
        fs::remove_dir_all(&next).map_err(StoreError::io("remove", &next))?;
    }
    fs::create_dir(&next)
        .map_err(|source| StoreError::CannotCreate { path: next.clone(), source })?;
    let mut requests = Journal::create(&next.join(REQUESTS))?.hiding(redactor);
    let mut outputs = Journal::create(&next.join(OUTPUTS))?.hiding(redactor);
    for exchange in Exchanges::open(path)? {
        let (request, output) = exchange?;
        if request.phase == stays.phase && stayed.contains(&request.index) {
            requests.append(&request)?;
            outputs.append(&output)?;
        }
    }
    requests.sync()?;
    outputs.sync()?;
    begun.earlier.extend(stretch);
    let file = begun.write(&next)?;
    File::open(&file).and_then(|file| file.sync_all()).map_err(StoreError::io("sync", &file))?;
    atomic::sync_parent(&file)?;
    put_aside(path)?;
    take_place(&next, path)?;
    Ok(Some((begun, stayed)))
}

/// Lets the attempts that a kill found half-way take the place of their trials, where the
/// interrupted attempt had left it; others were not whole, and are made again.
pub(super) fn settle(dir: &RunDir) -> Result<(), StoreError> {
    for cell in directories(&dir.cells())? {
        for next in directories(&cell)? {
            let name = next.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some(trial) = name.strip_prefix(NEXT).map(|trial| cell.join(trial)) else {
                continue;
            };
            if trial.exists() {
                fs::remove_dir_all(&next).map_err(StoreError::io("remove", &next))?;
            } else {
                take_place(&next, &trial)?;
            }
        }
    }
    Ok(())
}

fn next_to(trial: &Path) -> PathBuf {
    let name = trial.file_name().expect("a trial has a name").display();
    trial.with_file_name(format!("{NEXT}{name}"))
}

fn take_place(next: &Path, trial: &Path) -> Result<(), StoreError> {
    fs::rename(next, trial).map_err(StoreError::io("rename into", trial))?;
    atomic::sync_parent(trial)
}

/// A finished request of an interrupted attempt.
struct Finished {
    index: u64,
    stretch: Stretch,
    /// Whether it stayed from an earlier attempt already.
    is_older: bool,
}

/// Returns the requests that stay, and the stretch of those that are of this attempt.
///
/// A request stays with its outcome, whatever that is: who failed is not asked again. What failed
/// after the last complete answer may have failed by the interruption, and does not stay.
fn what_stays(
    path: &Path,
    begun: &TrialBegun,
    stays: Stays,
    n_requests: u64,
) -> Result<(BTreeSet<u64>, Option<Stretch>), StoreError> {
    let (mut finished, mut n_before_last_failures) = (Vec::new(), 0);
    for exchange in Exchanges::open(path)? {
        let (request, _) = exchange?;
        if request.phase != stays.phase || is_interrupted(&request.outcome) {
            continue;
        }
        let is_older = request.scheduled.0.cast_signed() < begun.shift();
        let (index, stretch) = (request.index, Stretch::of(&request));
        finished.push(Finished { index, stretch, is_older });
        if is_older || request.outcome == Outcome::Ok {
            n_before_last_failures = finished.len();
        }
    }
    finished.truncate(n_before_last_failures);
    let together = u64::from(stays.together.max(1));
    let mut n_finished: BTreeMap<u64, u64> = BTreeMap::new();
    for request in &finished {
        *n_finished.entry(request.index / together).or_default() += 1;
    }
    let is_whole = |request: &Finished| {
        let first = request.index / together * together;
        n_finished[&(request.index / together)] == together.min(n_requests - first)
    };
    finished.retain(|request| request.index < n_requests && is_whole(request));
    let new = finished.iter().filter(|request| !request.is_older).map(|request| request.stretch);
    Ok((finished.iter().map(|request| request.index).collect(), new.reduce(Stretch::and)))
}

/// Whether an interruption is why a request ended.
fn is_interrupted(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Cancelled(CancelCause::Signal | CancelCause::EngineGone))
}

/// The requests of an interrupted attempt with their answers, in the order of their end. A request
/// whose answer did not come to the disk was not finished, nor was the other way round.
struct Exchanges {
    requests: Records<RequestRecord>,
    outputs: Records<OutputRecord>,
}

impl Exchanges {
    fn open(path: &Path) -> Result<Self, StoreError> {
        let requests = Records::open(&path.join(REQUESTS), Expect::Unfinished)?;
        let outputs = Records::open(&path.join(OUTPUTS), Expect::Unfinished)?;
        Ok(Self { requests, outputs })
    }
}

impl Iterator for Exchanges {
    type Item = Result<(RequestRecord, OutputRecord), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        match (self.requests.next()?, self.outputs.next()?) {
            (Err(error), _) | (_, Err(error)) => Some(Err(error)),
            (Ok(request), Ok(output)) if request.key() == output.key() => {
                Some(Ok((request, output)))
            }
            (Ok(request), Ok(output)) => Some(Err(self.outputs.damage(format!(
                "the answer of {} stands where that of {} belongs",
                output.key(),
                request.key()
            )))),
        }
    }
}
