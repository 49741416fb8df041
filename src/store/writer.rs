//! Writes a run directory. It is made once, and later writes append to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;

use crate::ids::sha256_hex;
use crate::plan::Plan;
use crate::plan::cell::Cell;
use crate::plan::stays::Stays;
use crate::record::FORMAT_VERSION;
use crate::record::environment::Environment;
use crate::record::event::{EventRecord, RunEvent};
use crate::record::golds::{GoldsRecord, QuestionsRecord};
use crate::record::request::{OutputRecord, RequestRecord};
use crate::record::telemetry::TelemetrySample;
use crate::record::trial::TrialRecord;
use crate::secrets::redact::Redactor;
use crate::store::error::StoreError;
use crate::store::going_on::{self, TrialBegun};
use crate::store::journal::Journal;
use crate::store::lock::RunLock;
use crate::store::reader::RunReader;
use crate::store::renamed::{put_aside, rename_cells};
use crate::store::run_dir::{Invocation, RunDir, RunManifest};
use crate::store::trial_file::{OUTPUTS, PENDING, REQUESTS, TELEMETRY, TrialFile};
use crate::store::trial_sync::{self, EndedTrial};
use crate::store::{atomic, line};

/// Begin of the caveat that a session has another machine than the run began with.
pub(crate) const OTHER_MACHINE: &str = "the run went on with another machine";

/// The content of a new run directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewRun<'a> {
    /// Directory in which the run's directory is made.
    pub root: &'a Path,
    /// The run's own directory, if the user names it. `root` is then not used.
    pub out: Option<&'a Path>,
    /// The plan.
    pub plan: &'a Plan,
    /// The scenario as written.
    pub scenario: &'a str,
    /// The scenario with all layers applied.
    pub resolved: &'a str,
    /// The scenario's own template of the report, if it has one.
    pub template: Option<&'a str>,
    /// The redaction that is applied to everything written.
    pub redactor: &'a Redactor,
    /// The command that begins the run.
    pub invocation: &'a Invocation,
}

/// The writer of a run directory. It holds the directory's lock.
#[derive(Debug)]
pub(crate) struct RunWriter {
    dir: RunDir,
    /// The directory itself, wherever it is moved to.
    opened: fs::File,
    lock: RunLock,
    events: Journal,
    redactor: Redactor,
    next_seq: u64,
}

impl RunWriter {
    /// Makes a run directory and takes its lock.
    ///
    /// # Errors
    /// [`StoreError::AlreadyARun`] or [`StoreError::Occupied`] if the named directory is in use;
    /// [`StoreError::CannotCreate`] if it cannot be made.
    pub(crate) fn create(new: &NewRun<'_>) -> Result<Self, StoreError> {
        let now = jiff::Timestamp::now();
        let dir = match new.out {
            Some(out) => take_named(out)?,
            None => make_fresh(new.root, &new.plan.name, now)?,
        };
        refuse_if_others_write(dir.path())?;
        let lock = RunLock::take(&dir)?;
        if dir.manifest().exists() {
            return Err(StoreError::AlreadyARun { path: dir.path().to_owned() });
        }
        let sha256 = write_inputs(&dir, new)?;
        if let Some(template) = new.template {
            atomic::write(&dir.template(), template.as_bytes())?;
        }
        for path in [dir.cells(), dir.path().join("engines")] {
            fs::create_dir_all(&path)
                .map_err(|source| StoreError::CannotCreate { path, source })?;
        }
        let manifest = RunManifest {
            format: FORMAT_VERSION,
            name: file_name(dir.path()),
            created_unix_ns: u64::try_from(now.as_nanosecond()).unwrap_or(0),
            created: now.to_string(),
            bench_version: env!("CARGO_PKG_VERSION").to_owned(),
            sha256,
            invocation: Some(new.invocation.clone()),
        };
        let events = Journal::reopen(&dir.events())?.hiding(new.redactor);
        write_json(&dir.manifest(), &manifest)?;
        let opened = open_dir(&dir)?;
        Ok(Self { dir, opened, lock, events, redactor: new.redactor.clone(), next_seq: 0 })
    }

    /// Opens a run directory to continue the run, and takes its lock.
    ///
    /// The plan is the stored one: [`RunReader::plan`].
    ///
    /// # Errors
    /// [`StoreError::Locked`] names the holder. [`StoreError::Corrupt`] reports damage that is not
    /// a torn tail. Neither error changes anything.
    pub(crate) fn resume(path: &Path, redactor: &Redactor) -> Result<Self, StoreError> {
        let reader = RunReader::open(path)?;
        let dir = reader.dir().clone();
        refuse_if_others_write(dir.path())?;
        let lock = RunLock::take(&dir)?;
        going_on::settle(&dir)?;
        trial_sync::complete_pending(&dir)?;
        let mut next_seq = 0;
        for event in reader.events()? {
            next_seq = event?.seq + 1;
        }
        let events = Journal::reopen(&dir.events())?.hiding(redactor);
        let opened = open_dir(&dir)?;
        Ok(Self { dir, opened, lock, events, redactor: redactor.clone(), next_seq })
    }

    /// Replaces the plan and its scenario, and records which keys of the scenario changed.
    ///
    /// A cell that keeps its identity under another name keeps its trials: its directory is
    /// renamed. Records of removed cells stay, but are not read. After a kill half-way, the same
    /// call completes the change.
    pub(crate) fn change(
        &mut self,
        before: &Plan,
        now: &NewRun<'_>,
        changes: Vec<String>,
    ) -> Result<(), StoreError> {
        let is_kept = |cell: &Cell| now.plan.cells.iter().any(|next| next.id == cell.id);
        if !changes.is_empty() || !before.cells.iter().all(is_kept) {
            self.event(RunEvent::ScenarioChanged { changes })?;
            self.sync()?;
        }
        rename_cells(&self.dir, before, now.plan)?;
        let mut manifest = RunReader::open(self.dir.path())?.manifest().clone();
        manifest.sha256.extend(write_inputs(&self.dir, now)?);
        manifest.invocation = Some(now.invocation.clone());
        write_json(&self.dir.manifest(), &manifest)
    }

    /// Replaces the scenario's own template of the report. People may change it as well: the
    /// manifest has no sum of it.
    pub(crate) fn template(&self, text: &str) -> Result<(), StoreError> {
        atomic::write(&self.dir.template(), text.as_bytes())
    }

    /// Records that cells are to be measured again, and puts their trials aside.
    ///
    /// After a kill half-way the trials that are still in their place count: who wants them
    /// measured again asks once more.
    pub(crate) fn retry(&mut self, cells: &[&Cell]) -> Result<(), StoreError> {
        let ids = cells.iter().map(|cell| cell.id.clone()).collect();
        self.event(RunEvent::RetryAsked { cells: ids })?;
        self.sync()?;
        for cell in cells {
            for trial in 1..=cell.n_trials {
                let path = self.dir.trial(&cell.name, trial)?;
                if path.exists() {
                    put_aside(&path)?;
                }
            }
        }
        Ok(())
    }

    /// Returns the paths of the run directory.
    pub(crate) fn dir(&self) -> &RunDir {
        &self.dir
    }

    /// Makes sure that the run directory is still where the run began: what is measured without it is
    /// lost, or lands beside the rest.
    ///
    /// # Errors
    /// [`StoreError::Gone`] where it was removed, or moved.
    pub(crate) fn check_place(&self) -> Result<(), StoreError> {
        let path = self.dir.path();
        let here = self.opened.metadata().map_err(StoreError::io("look at", path))?;
        let is_here = match fs::metadata(path) {
            Ok(found) => (found.dev(), found.ino()) == (here.dev(), here.ino()),
            // What else goes wrong is told by whoever writes.
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        };
        if is_here {
            return Ok(());
        }
        // A directory that was removed has no name left.
        let now = fs::read_link(format!("/proc/self/fd/{}", self.opened.as_raw_fd())).ok();
        let has_name = |now: &PathBuf| here.nlink() > 0 && !file_name(now).ends_with(" (deleted)");
        let now = now.filter(has_name);
        Err(StoreError::Gone { path: path.to_owned(), now })
    }

    /// Returns the lock, for a guardian to inherit.
    pub(crate) fn lock(&self) -> &RunLock {
        &self.lock
    }

    /// Records the facts of the machine. Those with which the run began stay; what is different
    /// when it goes on is a caveat of all of it.
    pub(crate) fn environment(&mut self, environment: &Environment) -> Result<(), StoreError> {
        let path = self.dir.environment();
        if self.keep(&path, environment, true)? != Kept::Other {
            return Ok(());
        }
        let first = RunReader::open(self.dir.path())?.environment()?.unwrap_or_default();
        let different = first.changes(environment);
        if !different.is_empty() {
            self.event(RunEvent::Caveat {
                what: format!("{OTHER_MACHINE}: {}", different.join("; ")),
                advice: "Its trials do not compare; start a new run for this machine.".to_owned(),
            })?;
        }
        Ok(())
    }

    /// Records the raw gold answers of each data set, from which scores extract their own. Those
    /// of data sets that are not `in_use` by stored answers may be others than before.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when stored answers belong to other ones.
    pub(crate) fn golds(
        &self,
        golds: &BTreeMap<String, GoldsRecord>,
        in_use: &BTreeSet<&str>,
    ) -> Result<(), StoreError> {
        for (dataset, golds) in golds {
            let path = self.dir.golds(dataset)?;
            if self.keep(&path, golds, in_use.contains(&**dataset))? == Kept::Other {
                let why = format!(
                    "the gold answers of data set `{dataset}` are not those with which the run began"
                );
                return Err(StoreError::Corrupt { path, line: 1, offset: 0, why });
            }
        }
        Ok(())
    }

    /// Writes what is asked of each graded data set; what the run holds already stays.
    pub(crate) fn questions(
        &self,
        questions: &BTreeMap<String, QuestionsRecord>,
    ) -> Result<(), StoreError> {
        for (dataset, questions) in questions {
            self.keep(&self.dir.questions(dataset)?, questions, true)?;
        }
        Ok(())
    }

    /// Writes a file that says what the run does, and its sum into `run.json`. What the run
    /// holds already stays if it is to be `kept`.
    fn keep(&self, path: &Path, content: &impl Serialize, kept: bool) -> Result<Kept, StoreError> {
        let mut bytes = json(path, content)?;
        self.redactor.json(&mut bytes, 0);
        let mut manifest = RunReader::open(self.dir.path())?.manifest().clone();
        let (name, sum) = (self.dir.name_of(path), sha256_hex(&bytes));
        match manifest.sha256.get(&name) {
            Some(known) if *known == sum => return Ok(Kept::Same),
            Some(_) if kept => return Ok(Kept::Other),
            _ => {}
        }
        let parent = path.parent().expect("files of a run lie in its directory");
        fs::create_dir_all(parent)
            .map_err(|source| StoreError::CannotCreate { path: parent.to_owned(), source })?;
        atomic::write(path, &bytes)?;
        manifest.sha256.insert(name, sum);
        write_json(&self.dir.manifest(), &manifest)?;
        Ok(Kept::New)
    }

    /// Appends an event at once. Returns it with its number.
    pub(crate) fn event(&mut self, event: RunEvent) -> Result<EventRecord, StoreError> {
        let unix_ns = u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(0);
        let record = EventRecord { seq: self.next_seq, unix_ns, event };
        self.events.append(&record)?;
        self.events.flush()?;
        self.next_seq += 1;
        Ok(record)
    }

    /// Syncs all events to the disk.
    pub(crate) fn sync(&mut self) -> Result<(), StoreError> {
        self.events.sync()
    }

    /// Makes the directory for the log of one start of an engine. Returns the log's path, absolute
    /// and relative to the run directory.
    pub(crate) fn engine_log(
        &self,
        launch: &crate::ids::LaunchId,
        attempt: u32,
    ) -> Result<(PathBuf, PathBuf), StoreError> {
        let relative = RunDir::engine_log(launch, attempt);
        let path = self.dir.path().join(&relative);
        let parent = path.parent().expect("a log lies in its engine's directory");
        fs::create_dir_all(parent)
            .map_err(|source| StoreError::CannotCreate { path: parent.to_owned(), source })?;
        Ok((path, relative))
    }

    /// Begins a trial.
    ///
    /// Files of an interrupted attempt are moved to `attempts/`, so they never mix with the new
    /// ones.
    pub(crate) fn trial(&self, cell_name: &str, trial: u32) -> Result<TrialWriter, StoreError> {
        let path = self.dir.trial(cell_name, trial)?;
        if path.exists() {
            put_aside(&path)?;
        }
        fs::create_dir_all(&path)
            .map_err(|source| StoreError::CannotCreate { path: path.clone(), source })?;
        TrialWriter::create(path, &self.redactor)
    }

    /// Begins a trial of which finished requests stay when it is interrupted. Returns with its
    /// writer the requests that stayed of an interrupted attempt with the same `inputs`: they are
    /// in the trial, and are not sent again.
    ///
    /// `inputs` is a hash of prompts and engine; `n_requests` are those of the phase of which they
    /// stay.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where the interrupted attempt is damaged elsewhere than at its end.
    pub(crate) fn trial_that_stays(
        &self,
        (cell, trial): (&Cell, u32),
        inputs: String,
        stays: Stays,
        n_requests: u64,
    ) -> Result<(TrialWriter, BTreeSet<u64>), StoreError> {
        let path = self.dir.trial(&cell.name, trial)?;
        let begun = TrialBegun::new(cell.id.clone(), trial, inputs, stays);
        if let Some((begun, stayed)) =
            going_on::go_on(&path, &begun, stays, n_requests, &self.redactor)?
        {
            return Ok((TrialWriter::reopen(path, begun, &self.redactor)?, stayed));
        }
        let writer = self.trial(&cell.name, trial)?;
        begun.write(writer.path())?;
        Ok((TrialWriter { begun: Some(begun), ..writer }, BTreeSet::new()))
    }
}

/// Writes one trial. It can move to another thread.
#[derive(Debug)]
pub(crate) struct TrialWriter {
    path: PathBuf,
    redactor: Redactor,
    requests: Journal,
    outputs: Journal,
    telemetry: Journal,
    began: Instant,
    /// What it was begun with, where something stays when it is interrupted.
    begun: Option<TrialBegun>,
}

impl TrialWriter {
    fn create(path: PathBuf, redactor: &Redactor) -> Result<Self, StoreError> {
        let requests = Journal::create(&path.join(REQUESTS))?.hiding(redactor);
        let outputs = Journal::create(&path.join(OUTPUTS))?.hiding(redactor);
        let telemetry = Journal::create(&path.join(TELEMETRY))?.hiding(redactor);
        let (redactor, began) = (redactor.clone(), Instant::now());
        Ok(Self { path, redactor, requests, outputs, telemetry, began, begun: None })
    }

    /// Opens a trial that holds what stayed of an interrupted attempt.
    fn reopen(path: PathBuf, earlier: TrialBegun, redactor: &Redactor) -> Result<Self, StoreError> {
        let requests = Journal::reopen(&path.join(REQUESTS))?.hiding(redactor);
        let outputs = Journal::reopen(&path.join(OUTPUTS))?.hiding(redactor);
        let telemetry = Journal::reopen(&path.join(TELEMETRY))?.hiding(redactor);
        let (redactor, began) = (redactor.clone(), Instant::now());
        Ok(Self { path, redactor, requests, outputs, telemetry, began, begun: Some(earlier) })
    }

    /// Returns by how many nanoseconds the epoch of this attempt stands behind that of the trial.
    fn shift(&self) -> i64 {
        self.begun.as_ref().map_or(0, TrialBegun::shift)
    }

    /// Returns the trial's directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends one request record, whose stamps are from the epoch of this attempt.
    pub(crate) fn request(&mut self, record: &RequestRecord) -> Result<(), StoreError> {
        if self.shift() == 0 {
            return self.requests.append(record);
        }
        let mut record = record.clone();
        record.shift(self.shift());
        self.requests.append(&record)
    }

    /// Appends the text of one answer.
    ///
    /// A log probability that is not finite (of an impossible token) is written as the least
    /// finite number, because JSON has no infinity.
    pub(crate) fn output(&mut self, record: &OutputRecord) -> Result<(), StoreError> {
        if record.logprobs.iter().all(|logprob| logprob.is_finite()) {
            return self.outputs.append(record);
        }
        let mut record = record.clone();
        for logprob in &mut record.logprobs {
            if !logprob.is_finite() {
                *logprob = f32::MIN;
            }
        }
        self.outputs.append(&record)
    }

    /// Appends a sample. A value that is not finite becomes absent, with that reason.
    pub(crate) fn telemetry(&mut self, sample: &TelemetrySample) -> Result<(), StoreError> {
        let is_finite = sample.values.values().all(|value| value.is_finite());
        if is_finite && self.shift() == 0 {
            return self.telemetry.append(sample);
        }
        let mut sample = sample.clone();
        sample.shift(self.shift());
        let odd: Vec<_> = sample
            .values
            .iter()
            .filter(|(_, value)| !value.is_finite())
            .map(|(gauge, value)| (*gauge, format!("the probe returned {value}")))
            .collect();
        for (gauge, reason) in odd {
            sample.values.remove(&gauge);
            sample.absent.insert(gauge, reason);
        }
        self.telemetry.append(&sample)
    }

    /// Writes everything that waits.
    #[cfg(test)]
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        self.requests.flush()?;
        self.outputs.flush()
    }

    /// Writes batches that have waited long enough. It must be called at least every 50 ms while
    /// no records come.
    pub(crate) fn flush_if_due(&mut self) -> Result<(), StoreError> {
        self.requests.flush_if_due()?;
        self.outputs.flush_if_due()?;
        self.telemetry.flush_if_due()
    }

    /// Writes all that is left, and the trial's record. The trial is complete once it is synced.
    pub(crate) fn finish(mut self, record: &TrialRecord) -> Result<EndedTrial, StoreError> {
        let files = BTreeMap::from([
            (REQUESTS.to_owned(), self.requests.sum()?),
            (OUTPUTS.to_owned(), self.outputs.sum()?),
            (TELEMETRY.to_owned(), self.telemetry.sum()?),
        ]);
        let n_records = files.values().map(|sum| sum.records).sum();
        let path = self.path.join(PENDING);
        let mut record = record.clone();
        if let Some(begun) = &self.begun {
            begun.complete(&mut record);
        }
        let finished = TrialFile { format: FORMAT_VERSION, record, files };
        let mut text = Vec::new();
        line::seal(&mut text, &finished, &self.redactor)
            .map_err(|source| StoreError::Unwritable { path: path.clone(), source })?;
        fs::write(&path, &text).map_err(StoreError::io("write", &path))?;
        Ok(EndedTrial {
            cell: finished.record.cell,
            trial: finished.record.trial,
            is_complete: finished.record.aborted.is_none(),
            path: self.path,
            began: self.began,
            n_records,
        })
    }
}

/// Writes the files that say what the run does; returns their digests by name.
fn write_inputs(dir: &RunDir, run: &NewRun<'_>) -> Result<BTreeMap<String, String>, StoreError> {
    let mut plan = json(&dir.plan(), run.plan)?;
    run.redactor.json(&mut plan, 0);
    let (scenario, resolved) = (run.redactor.text(run.scenario), run.redactor.text(run.resolved));
    let files: [(PathBuf, &[u8]); 3] = [
        (dir.scenario(), scenario.as_bytes()),
        (dir.resolved(), resolved.as_bytes()),
        (dir.plan(), &plan),
    ];
    let mut sha256 = BTreeMap::new();
    for (path, bytes) in files {
        atomic::write(&path, bytes)?;
        sha256.insert(dir.name_of(&path), sha256_hex(bytes));
    }
    Ok(sha256)
}

/// Whether a run had a file before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    New,
    Same,
    /// With another content.
    Other,
}

fn json(path: &Path, value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    let mut text = serde_json::to_vec_pretty(value)
        .map_err(|source| StoreError::Unwritable { path: path.to_owned(), source })?;
    text.push(b'\n');
    Ok(text)
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), StoreError> {
    atomic::write(path, &json(path, value)?)
}

fn open_dir(dir: &RunDir) -> Result<fs::File, StoreError> {
    fs::File::open(dir.path()).map_err(StoreError::io("open", dir.path()))
}

fn take_named(out: &Path) -> Result<RunDir, StoreError> {
    let cannot = |source| StoreError::CannotCreate { path: out.to_owned(), source };
    fs::create_dir_all(out).map_err(cannot)?;
    let dir = RunDir::at(out);
    if dir.manifest().exists() {
        return Err(StoreError::AlreadyARun { path: out.to_owned() });
    }
    if dir.is_unfinished().map_err(cannot)? {
        return Ok(dir);
    }
    Err(StoreError::Occupied { path: out.to_owned() })
}

fn make_fresh(root: &Path, name: &str, now: jiff::Timestamp) -> Result<RunDir, StoreError> {
    let cannot = |source| StoreError::CannotCreate { path: root.to_owned(), source };
    fs::create_dir_all(root).map_err(cannot)?;
    let stem = format!("{name}-{}", now.strftime("%Y%m%dT%H%M%SZ"));
    for n in 1_u32.. {
        let path = match n {
            1 => root.join(&stem),
            _ => root.join(format!("{stem}-{n}")),
        };
        match fs::create_dir(&path) {
            Ok(()) => return Ok(RunDir::at(path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(StoreError::CannotCreate { path, source }),
        }
    }
    unreachable!("one of four billion names is free")
}

fn refuse_if_others_write(path: &Path) -> Result<(), StoreError> {
    let mode = fs::metadata(path).map_err(StoreError::io("look at", path))?.permissions().mode();
    if mode & 0o002 != 0 {
        return Err(StoreError::Unsafe {
            path: path.to_owned(),
            why: "writable by everybody on this machine",
        });
    }
    Ok(())
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
