//! Checks that a run directory is intact: every line, every sum and every request.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::store::error::StoreError;
use crate::store::file_sum::FileSum;
use crate::store::reader::{RunReader, TrialReader};
use crate::store::records::TornTail;
use crate::store::trial_file::{REQUESTS, TRIAL};

/// The result of a check.
#[derive(Debug, Default)]
pub(crate) struct Verification {
    /// Files that were read to their end.
    pub n_files: u64,
    /// Records in these files.
    pub n_records: u64,
    /// Complete trials.
    pub n_trials: u64,
    /// Files whose writer died in the middle of a record. They are not damaged, but incomplete.
    pub torn: Vec<(PathBuf, TornTail)>,
    /// Damage, in the order found.
    pub problems: Vec<StoreError>,
}

impl Verification {
    /// Whether the check found no problem.
    pub(crate) fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Reads everything that a run directory holds.
///
/// # Errors
/// The directory cannot be read at all. Damage within it is a result, not an error.
pub(crate) fn verify(reader: &RunReader) -> Result<Verification, StoreError> {
    let mut found = Verification::default();
    // The scenario, the plan, the machine and the golds must be those that were written.
    found.n_files += reader.manifest().sha256.len() as u64;
    found.problems.extend(reader.check_inputs());
    check_events(reader, &mut found);
    let plan = match reader.plan() {
        Ok(plan) => plan,
        Err(problem) => {
            // That its sum is another is told already.
            let is_told = |known: &StoreError| known.to_string() == problem.to_string();
            if !found.problems.iter().any(is_told) {
                found.problems.push(problem);
            }
            return Ok(found);
        }
    };
    for cell in &plan.cells {
        match reader.trials(cell) {
            Ok(trials) => {
                for trial in trials {
                    check_trial(&trial, &mut found);
                }
            }
            Err(problem) => found.problems.push(problem),
        }
        for trial in reader.unfinished_trials(cell)? {
            let mut requests = trial.requests()?;
            for request in requests.by_ref() {
                match request {
                    Ok(_) => found.n_records += 1,
                    Err(problem) => found.problems.push(problem),
                }
            }
            if let Some(torn) = requests.torn() {
                found.torn.push((trial.path().to_owned(), torn.clone()));
            }
        }
    }
    Ok(found)
}

fn check_events(reader: &RunReader, found: &mut Verification) {
    found.n_files += 1;
    let mut events = match reader.events() {
        Ok(events) => events,
        Err(problem) => {
            found.problems.push(problem);
            return;
        }
    };
    for event in events.by_ref() {
        match event {
            Ok(_) => found.n_records += 1,
            Err(problem) => found.problems.push(problem),
        }
    }
    if let Some(torn) = events.torn() {
        found.torn.push((reader.dir().events(), torn.clone()));
    }
}

fn check_trial(trial: &TrialReader, found: &mut Verification) {
    found.n_trials += 1;
    if let Err(problem) = check_requests(trial, found)
        .and_then(|()| count(trial.outputs()?, found))
        .and_then(|()| count(trial.telemetry()?, found))
    {
        found.problems.push(problem);
    }
    for (name, sum) in trial.sums() {
        if let Err(problem) = check_sum(&trial.path().join(name), sum) {
            found.problems.push(problem);
        }
    }
}

/// Checks that every due request has exactly one outcome: a phase has as many records as it
/// scheduled, and no request has two.
fn check_requests(trial: &TrialReader, found: &mut Verification) -> Result<(), StoreError> {
    found.n_files += 1;
    let mut keys = HashSet::new();
    let mut n_recorded = vec![0; trial.record.phases.len()];
    for (line, request) in (1..).zip(trial.requests()?) {
        let request = request?;
        found.n_records += 1;
        let corrupt =
            |why| StoreError::Corrupt { path: trial.path().join(REQUESTS), line, offset: 0, why };
        let key = request.key();
        match n_recorded.get_mut(usize::from(key.phase)) {
            Some(n) => *n += 1,
            // It may hold what stayed of a phase that its last attempt did not come to.
            None if trial.record.aborted.is_some() => {}
            None => return Err(corrupt(format!("{key} belongs to no phase of the trial"))),
        }
        if !keys.insert(key) {
            return Err(corrupt(format!("{key} is recorded twice")));
        }
    }
    let phases = trial.record.phases.iter().zip(n_recorded);
    for (phase, n) in phases.filter(|_| trial.record.aborted.is_none()) {
        if n != phase.n_scheduled {
            return Err(StoreError::Corrupt {
                path: trial.path().join(TRIAL),
                line: 1,
                offset: 0,
                why: format!(
                    "its phase `{}` scheduled {} requests, {n} are recorded",
                    phase.name, phase.n_scheduled
                ),
            });
        }
    }
    Ok(())
}

fn count<T>(
    records: impl Iterator<Item = Result<T, StoreError>>,
    found: &mut Verification,
) -> Result<(), StoreError> {
    found.n_files += 1;
    for record in records {
        record?;
        found.n_records += 1;
    }
    Ok(())
}

pub(super) fn check_sum(path: &Path, expected: FileSum) -> Result<(), StoreError> {
    let mut hasher = crc32fast::Hasher::new();
    digest(path, &mut |bytes| hasher.update(bytes))
        .map_err(|source| StoreError::Missing { path: path.to_owned(), source })?;
    let found = hasher.finalize();
    if found == expected.crc32 {
        return Ok(());
    }
    Err(StoreError::Corrupt {
        path: path.to_owned(),
        line: 1,
        offset: 0,
        why: format!(
            "its CRC-32 is {found:08x}; when the trial ended it was {:08x}",
            expected.crc32
        ),
    })
}

/// Shows all bytes of a file to `see`.
fn digest(path: &Path, see: &mut dyn FnMut(&[u8])) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            n => see(&buffer[..n]),
        }
    }
}
