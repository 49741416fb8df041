//! Makes one run of the directories in which its shares were measured, each by a process of its own.
//!
//! Everything that is made is derived: the same shares give the same bytes, so that a gathering
//! that was cut short is completed by the next one. Trials are linked, or copied where the file
//! system has no links, and the events of all shares become one stream.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::ids::sha256_hex;
use crate::record::environment::Environment;
use crate::record::event::{CellOutcome, EventRecord, RunEvent};
use crate::secrets::redact::Redactor;
use crate::store::error::StoreError;
use crate::store::lock::RunLock;
use crate::store::reader::RunReader;
use crate::store::run_dir::{GOLDS, RunDir};
use crate::store::trial_file::TRIAL;
use crate::store::{atomic, line};

/// Begin of the caveat that tasks had other machines.
pub(crate) const OTHER_MACHINES: &str = "tasks ran on machines with another";

/// Gathers the shares of a run, in the order in which their cells stand in its plan; returns
/// whether anything had changed since the last time. Whoever gathers holds the run's lock.
///
/// # Errors
/// [`StoreError::Corrupt`] for a share that was measured with other data than the run began with.
pub(crate) fn gather(
    dir: &RunDir,
    _lock: &RunLock,
    shares: &[PathBuf],
) -> Result<bool, StoreError> {
    let run = RunReader::open(dir.path())?;
    let mut events = Events::begun(&run)?;
    let mut environment: Option<(Vec<u8>, Environment)> = None;
    let mut changed = false;
    for path in shares {
        let share = match RunReader::open(path) {
            Err(StoreError::NotARun { .. }) => {
                events.is_over = false;
                continue;
            }
            opened => opened?,
        };
        check_data(&run, &share)?;
        changed |= link_trials(dir, &share)?;
        link_logs(dir, &share)?;
        events.add(&share)?;
        if let Some(found) = share.environment()? {
            match &environment {
                None => {
                    let path = share.dir().environment();
                    let bytes = fs::read(&path).map_err(StoreError::io("read", &path))?;
                    environment = Some((bytes, found));
                }
                Some((_, first)) => events.other_machine(&first.differs_in(&found)),
            }
        }
    }
    changed |= replace(&dir.events(), &events.sealed(dir)?)?;
    if let Some((bytes, _)) = environment {
        let path = dir.environment();
        changed |= replace(&path, &bytes)?;
        let mut manifest = run.manifest().clone();
        let sum = sha256_hex(&bytes);
        if manifest.sha256.insert(dir.name_of(&path), sum.clone()) != Some(sum) {
            let path = dir.manifest();
            let mut text = serde_json::to_vec_pretty(&manifest)
                .map_err(|source| StoreError::Unwritable { path: path.clone(), source })?;
            text.push(b'\n');
            atomic::write(&path, &text)?;
        }
    }
    Ok(changed)
}

/// Requires that a share was graded by the golds with which the run began.
fn check_data(run: &RunReader, share: &RunReader) -> Result<(), StoreError> {
    let golds = |name: &str| Path::new(name).starts_with(GOLDS);
    for (name, sum) in share.manifest().sha256.iter().filter(|(name, _)| golds(name)) {
        if run.manifest().sha256.get(name).is_some_and(|begun| begun != sum) {
            return Err(StoreError::Corrupt {
                path: share.dir().path().join(name),
                line: 1,
                offset: 0,
                why: "these are not the gold answers with which the run was submitted".to_owned(),
            });
        }
    }
    Ok(())
}

/// The one stream of events.
struct Events {
    records: Vec<EventRecord>,
    /// Whether every share came to its end.
    is_over: bool,
    /// The worst exit code, and the time of the last end.
    ended: (u8, u64),
}

impl Events {
    fn begun(run: &RunReader) -> Result<Self, StoreError> {
        let n_cells = run.first_plan()?.cells.len() as u32;
        let started = RunEvent::RunStarted { resumed: false, n_cells };
        let created = run.manifest().created_unix_ns;
        let mut events = Self { records: Vec::new(), is_over: true, ended: (0, created) };
        events.push(created, started);
        for cell in run.first_plan()?.cells {
            let Some(reason) = cell.skip else { continue };
            let outcome = CellOutcome::Skipped(reason.clone());
            events.push(created, RunEvent::CellSkipped { cell: cell.id.clone(), reason });
            events.push(created, RunEvent::CellFinished { cell: cell.id, outcome });
        }
        Ok(events)
    }

    fn push(&mut self, unix_ns: u64, event: RunEvent) {
        let seq = self.records.len() as u64;
        self.records.push(EventRecord { seq, unix_ns, event });
    }

    /// Adds the events of a share. Each of its sessions is one of the run, whose wall time is that
    /// of all tasks; how it ended is said once, for all of them.
    fn add(&mut self, share: &RunReader) -> Result<(), StoreError> {
        let n_cells = share.first_plan()?.cells.len() as u32;
        let (mut end, mut is_interrupted) = (None, false);
        for record in share.events()? {
            let EventRecord { unix_ns, event, .. } = record?;
            match event {
                RunEvent::RunStarted { .. } => {
                    (end, is_interrupted) = (None, false);
                    self.push(unix_ns, RunEvent::RunStarted { resumed: true, n_cells });
                }
                RunEvent::Interrupted { .. } => is_interrupted = true,
                RunEvent::RunFinished { code } => {
                    end = (!is_interrupted).then_some((code, unix_ns));
                }
                event => {
                    end = None;
                    self.add_once(unix_ns, event);
                }
            }
        }
        match end {
            Some((code, at)) => {
                self.ended = (self.ended.0.max(code), self.ended.1.max(at));
            }
            None => self.is_over = false,
        }
        Ok(())
    }

    /// Adds an event; what several shares remark of the whole run is said once.
    fn add_once(&mut self, unix_ns: u64, event: RunEvent) {
        let is_known = |known: &EventRecord| known.event == event;
        if !matches!(event, RunEvent::Caveat { .. }) || !self.records.iter().any(is_known) {
            self.push(unix_ns, event);
        }
    }

    fn other_machine(&mut self, different: &[&'static str]) {
        if different.is_empty() {
            return;
        }
        let caveat = RunEvent::Caveat {
            what: format!("{OTHER_MACHINES} {}", different.join(", ")),
            advice: "Cells of different engines do not compare then; ask for one kind of node \
                     with `constraint` in [slurm]."
                .to_owned(),
        };
        self.add_once(self.ended.1, caveat);
    }

    fn sealed(mut self, dir: &RunDir) -> Result<Vec<u8>, StoreError> {
        if self.is_over {
            let (code, at) = self.ended;
            self.push(at, RunEvent::RunFinished { code });
        }
        let mut bytes = Vec::new();
        for record in &self.records {
            // Secrets were taken out when the share was written.
            line::seal(&mut bytes, record, &Redactor::default())
                .map_err(|source| StoreError::Unwritable { path: dir.events(), source })?;
        }
        Ok(bytes)
    }
}

/// Makes the complete trials of a share those of the run; returns whether that changed any.
fn link_trials(dir: &RunDir, share: &RunReader) -> Result<bool, StoreError> {
    let mut changed = false;
    for cell in &share.plan()?.cells {
        let place = dir.cell(&cell.name)?;
        let mut kept = BTreeSet::new();
        for trial in share.trials_on_disk(cell)? {
            let name = RunDir::trial_name(trial.record.trial);
            let to = place.join(&name);
            if !is_same_file(&trial.path().join(TRIAL), &to.join(TRIAL)) {
                changed = true;
                link_trial(trial.path(), &place, &name)?;
            }
            kept.insert(name);
        }
        // A cell that is measured again has not got the trials that it had.
        for name in names_in(&place)? {
            if name.starts_with("trial-") && !kept.contains(&name) {
                changed = true;
                remove(&place.join(name))?;
            }
        }
    }
    Ok(changed)
}

/// Makes a trial one of a cell, in place of what is there.
pub(super) fn link_trial(from: &Path, place: &Path, name: &str) -> Result<(), StoreError> {
    let aside = place.join(format!(".gathering-{name}"));
    remove(&aside)?;
    fs::create_dir_all(&aside)
        .map_err(|source| StoreError::CannotCreate { path: aside.clone(), source })?;
    for file in names_in(from)? {
        link(&from.join(&file), &aside.join(&file))?;
    }
    let to = place.join(name);
    remove(&to)?;
    fs::rename(&aside, &to).map_err(StoreError::io("rename", &aside))
}

/// Links the logs of a share's engines; copies that have grown since are made again.
fn link_logs(dir: &RunDir, share: &RunReader) -> Result<(), StoreError> {
    let engines = share.dir().path().join("engines");
    for launch in names_in(&engines)? {
        link_logs_of(&engines.join(&launch), &dir.path().join("engines").join(&launch))?;
    }
    Ok(())
}

/// Links the logs of one launch.
pub(super) fn link_logs_of(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(to)
        .map_err(|source| StoreError::CannotCreate { path: to.to_owned(), source })?;
    for log in names_in(from)? {
        let (from, to) = (from.join(&log), to.join(&log));
        let length = |path: &Path| fs::metadata(path).map(|it| it.len()).ok();
        if length(&from) != length(&to) {
            drop(fs::remove_file(&to));
            link(&from, &to)?;
        }
    }
    Ok(())
}

fn link(from: &Path, to: &Path) -> Result<(), StoreError> {
    if fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    fs::copy(from, to).map(drop).map_err(StoreError::io("copy", from))
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    matches!((fs::read(one), fs::read(other)), (Ok(one), Ok(other)) if one == other)
}

/// Returns the names in a directory, sorted; none where it does not exist.
fn names_in(dir: &Path) -> Result<Vec<String>, StoreError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(StoreError::Missing { path: dir.to_owned(), source }),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(StoreError::io("read", dir))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn remove(dir: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io("remove", dir)(error))
        }
        _ => Ok(()),
    }
}

/// Replaces a file that is another one; returns whether it was.
fn replace(path: &Path, bytes: &[u8]) -> Result<bool, StoreError> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(false);
    }
    atomic::write(path, bytes).map(|()| true)
}
