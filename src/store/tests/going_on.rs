//! Tests of trials that were interrupted: what stays of them, whenever a kill came.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::ids::CellId;
use crate::metrics::tests::fixture::{phase_record, trial};
use crate::plan::cell::Cell;
use crate::plan::stays::Stays;
use crate::record::request::{CancelCause, Outcome, OutputRecord, RequestRecord};
use crate::record::trial::{PhaseKind, Stretch, TrialRecord};
use crate::secrets::redact::Redactor;
use crate::store::error::StoreError;
use crate::store::reader::{RunReader, TrialReader};
use crate::store::tests::fixture::{cell, new_run, request};
use crate::store::trial_sync;
use crate::store::verify::verify;
use crate::store::writer::{RunWriter, TrialWriter};
use crate::units::Nanos;

const EACH: Stays = Stays { phase: 0, together: 1 };
/// Requests of the phase.
const N: u64 = 10;

fn begin(run: &RunWriter, stays: Stays) -> (TrialWriter, BTreeSet<u64>) {
    run.trial_that_stays((&cell(), 1), "abc".to_owned(), stays, N).unwrap()
}

/// Writes a request of an attempt, and its answer. Every third one failed.
fn finished(trial: &mut TrialWriter, index: u64) {
    trial.request(&request(index)).unwrap();
    answer(trial, index);
}

fn answer(trial: &mut TrialWriter, index: u64) {
    let output = OutputRecord {
        phase: 0,
        index,
        turn: 0,
        sample: index,
        text: index.to_string(),
        reasoning: String::new(),
        logprobs: Vec::new(),
    };
    trial.output(&output).unwrap();
}

/// Ends a session as a kill does, with everything that was handed over on the disk.
fn killed(run: RunWriter, mut trial: TrialWriter) -> PathBuf {
    let path = run.dir().path().to_owned();
    trial.flush().unwrap();
    drop((trial, run));
    path
}

fn resumed(path: &Path) -> RunWriter {
    RunWriter::resume(path, &Redactor::default()).unwrap()
}

/// An attempt that finished requests 0 to 6: request 6 failed, and so did 0 and 3.
fn interrupted(root: &TempDir, stays: Stays) -> PathBuf {
    let run = new_run(root);
    let (mut trial, stayed) = begin(&run, stays);
    assert!(stayed.is_empty());
    (0..7).for_each(|index| finished(&mut trial, index));
    killed(run, trial)
}

/// Ends a trial whose last attempt sent so many requests.
fn finish(trial_writer: TrialWriter, n_sent: u64) {
    let mut phase = phase_record(PhaseKind::Measure, 0, 1, 2);
    phase.n_scheduled = n_sent;
    let record = TrialRecord { cell: cell().id, epoch_unix_ns: 5_000, ..trial(&[phase]) };
    trial_sync::sync(&[trial_writer.finish(&record).unwrap()]).unwrap();
}

fn only_trial(path: &Path) -> TrialReader {
    let reader = RunReader::open(path).unwrap();
    let verification = verify(&reader).unwrap();
    assert!(verification.is_sound(), "{:?}", verification.problems);
    reader.trials(&cell()).unwrap().remove(0)
}

fn requests(trial: &TrialReader) -> Vec<RequestRecord> {
    trial.requests().unwrap().map(Result::unwrap).collect()
}

#[test]
fn what_was_answered_stays_and_what_may_have_failed_by_the_interruption_does_not() {
    let root = TempDir::new().unwrap();
    let path = interrupted(&root, EACH);
    let run = resumed(&path);
    let (mut trial, stayed) = begin(&run, EACH);
    // Requests 0 and 3 failed while the engine answered: who failed is not asked again.
    assert_eq!(stayed, (0..6).collect());
    (6..N).for_each(|index| finished(&mut trial, index));
    finish(trial, 4);
    let trial = only_trial(&path);
    let found = requests(&trial);
    let indices: Vec<u64> = found.iter().map(|it| it.index).collect();
    assert_eq!(indices, (0..N).collect::<Vec<_>>());
    assert_eq!(found[..6], (0..6).map(request).collect::<Vec<_>>());
    let outputs: Vec<u64> = trial.outputs().unwrap().map(|it| it.unwrap().index).collect();
    assert_eq!(outputs, indices);
    let phase = &trial.record.phases[0];
    let stretch = Stretch { started: Nanos(0), ended: Nanos(205), n: 6 };
    assert_eq!((&phase.earlier[..], phase.n_scheduled), (&[stretch][..], 10));
    // The last attempt's stamps follow: its epoch is where the stretch before it ends.
    assert_eq!(found[6].scheduled, Nanos(205 + 6));
    assert_eq!((phase.started, trial.record.epoch_unix_ns), (Nanos(205), 5_000 - 205));
    assert_eq!(trial.record.last_attempt_at(), Nanos(205));
    let aside = path.join("cells/tiny fp16/attempts/trial-1-1/requests.jsonl");
    assert_eq!(fs::read_to_string(aside).unwrap().lines().count(), 7);
}

#[test]
fn a_trial_goes_on_as_often_as_it_is_interrupted() {
    let root = TempDir::new().unwrap();
    let path = interrupted(&root, EACH);
    for (new, expected) in [(None, 6), (Some(7), 6), (None, 7), (Some(9), 7), (Some(8), 7)] {
        let run = resumed(&path);
        let (mut trial, stayed) = begin(&run, EACH);
        // Request 9 failed, and was the last: it did not stay.
        assert_eq!(stayed.len(), expected, "{new:?}");
        if let Some(index) = new {
            finished(&mut trial, index);
        }
        killed(run, trial);
    }
    let run = resumed(&path);
    let (mut trial, stayed) = begin(&run, EACH);
    assert_eq!(stayed, [0, 1, 2, 3, 4, 5, 7, 8].into());
    for index in [6, 9] {
        finished(&mut trial, index);
    }
    finish(trial, 2);
    let trial = only_trial(&path);
    let n: Vec<u64> = trial.record.phases[0].earlier.iter().map(|it| it.n).collect();
    assert_eq!(n, [6, 1, 1]);
    let stamps: Vec<Nanos> = requests(&trial).iter().map(|it| it.scheduled).collect();
    assert!(stamps.is_sorted(), "{stamps:?}");
}

#[test]
fn of_static_batches_the_whole_ones_stay() {
    let batches = Stays { phase: 0, together: 4 };
    let root = TempDir::new().unwrap();
    let path = interrupted(&root, batches);
    let run = resumed(&path);
    let (mut trial, stayed) = begin(&run, batches);
    assert_eq!(stayed, (0..4).collect());
    // The last batch is of two.
    for index in [9, 8] {
        finished(&mut trial, index);
    }
    let path = killed(run, trial);
    let (_, stayed) = begin(&resumed(&path), batches);
    assert_eq!(stayed, [0, 1, 2, 3, 8, 9].into());
}

#[test]
fn a_request_without_its_answer_and_one_that_bench_ended_are_sent_again() {
    let root = TempDir::new().unwrap();
    let run = new_run(&root);
    let (mut trial, _) = begin(&run, EACH);
    let cancelled =
        RequestRecord { outcome: Outcome::Cancelled(CancelCause::Signal), ..request(1) };
    trial.request(&cancelled).unwrap();
    answer(&mut trial, 1);
    finished(&mut trial, 2);
    // The kill came between the two writes.
    trial.request(&request(4)).unwrap();
    let path = killed(run, trial);
    let (_, stayed) = begin(&resumed(&path), EACH);
    assert_eq!(stayed, [2].into());
}

#[test]
fn a_trial_that_was_begun_with_something_else_starts_anew() {
    let other_cell = Cell { id: CellId("another".to_owned()), ..cell() };
    for (cell, inputs) in [(&other_cell, "abc"), (&cell(), "def")] {
        let root = TempDir::new().unwrap();
        let run = resumed(&interrupted(&root, EACH));
        let (_, stayed) = run.trial_that_stays((cell, 1), inputs.to_owned(), EACH, N).unwrap();
        assert!(stayed.is_empty(), "{inputs}");
        assert!(run.dir().path().join("cells/tiny fp16/attempts/trial-1-1").exists());
    }
    // One of which nothing stays by its measure has no file that says what it was begun with.
    let root = TempDir::new().unwrap();
    let run = new_run(&root);
    let mut trial = run.trial("tiny fp16", 1).unwrap();
    finished(&mut trial, 1);
    let path = killed(run, trial);
    let (_, stayed) = begin(&resumed(&path), EACH);
    assert!(stayed.is_empty());
}

#[test]
fn damage_in_the_middle_of_an_interrupted_trial_is_an_error_and_changes_nothing() {
    let root = TempDir::new().unwrap();
    let path = interrupted(&root, EACH);
    let file = path.join("cells/tiny fp16/trial-1/requests.jsonl");
    let damaged = fs::read_to_string(&file).unwrap().replacen("\"index\":2", "\"index\":9", 1);
    fs::write(&file, &damaged).unwrap();
    let run = resumed(&path);
    let error = run.trial_that_stays((&cell(), 1), "abc".to_owned(), EACH, N).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { line: 3, .. }), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), damaged);
}

#[test]
fn a_kill_while_a_trial_goes_on_leaves_all_that_stayed() {
    let root = TempDir::new().unwrap();
    let path = interrupted(&root, EACH);
    let cell_dir = path.join("cells/tiny fp16");
    let (place, next) = (cell_dir.join("trial-1"), cell_dir.join(".next-trial-1"));
    // Half of the next attempt was laid out.
    fs::create_dir(&next).unwrap();
    fs::write(next.join("requests.jsonl"), "{").unwrap();
    let run = resumed(&path);
    assert!(!next.exists());
    let (trial, stayed) = begin(&run, EACH);
    assert_eq!(stayed.len(), 6);
    let path = killed(run, trial);
    // All of it was, and the interrupted attempt was put aside, but nothing was in its place yet.
    fs::rename(&place, &next).unwrap();
    let run = resumed(&path);
    assert!(place.exists() && !next.exists());
    assert_eq!(begin(&run, EACH).1.len(), 6);
}

#[test]
fn an_attempt_that_ends_before_its_phase_keeps_what_stayed_and_is_sound() {
    let root = TempDir::new().unwrap();
    let path = interrupted(&root, EACH);
    let run = resumed(&path);
    let (trial_writer, _) = begin(&run, EACH);
    let aborted = Some("interrupted".to_owned());
    let record = TrialRecord { cell: cell().id, aborted, ..trial(&[]) };
    trial_sync::sync(&[trial_writer.finish(&record).unwrap()]).unwrap();
    drop(run);
    only_trial(&path);
    assert_eq!(begin(&resumed(&path), EACH).1.len(), 6);
}
