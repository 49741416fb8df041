//! Tests of the run directory: who may write it, which one is taken, and what it goes on with.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::ids::CellId;
use crate::plan::cell::Cell;
use crate::record::FORMAT_VERSION;
use crate::record::event::RunEvent;
use crate::secrets::redact::Redactor;
use crate::store::error::StoreError;
use crate::store::reader::RunReader;
use crate::store::run_dir::{Invocation, RunDir};
use crate::store::tests::fixture::{cell, new_run, plan, request, try_new, write_trial};
use crate::store::verify::verify;
use crate::store::writer::{NewRun, RunWriter};

#[test]
fn a_second_writer_is_told_who_holds_the_run_and_changes_nothing() {
    let root = TempDir::new().unwrap();
    let mut writer = new_run(&root);
    writer.event(RunEvent::RunStarted { resumed: false, n_cells: 1 }).unwrap();
    let before = fs::read(writer.dir().events()).unwrap();
    let error = RunWriter::resume(writer.dir().path(), &Redactor::default()).unwrap_err();
    assert_eq!(error.exit_code(), 75);
    assert!(error.to_string().contains(&format!("in use by process {} on ", std::process::id())));
    assert_eq!(fs::read(writer.dir().events()).unwrap(), before);
    assert!(RunReader::open(writer.dir().path()).unwrap().is_in_progress());
}

#[test]
fn a_resumed_run_goes_on_counting_and_keeps_the_interrupted_attempt() {
    let root = TempDir::new().unwrap();
    let mut writer = new_run(&root);
    writer.event(RunEvent::RunStarted { resumed: false, n_cells: 1 }).unwrap();
    let path = writer.dir().path().to_owned();
    let mut trial = writer.trial("tiny fp16", 1).unwrap();
    trial.request(&request(0)).unwrap();
    drop(trial);
    drop(writer);

    let mut writer = RunWriter::resume(&path, &Redactor::default()).unwrap();
    let event = writer.event(RunEvent::RunStarted { resumed: true, n_cells: 1 }).unwrap();
    assert_eq!(event.seq, 1);
    let reader = RunReader::open(&path).unwrap();
    assert_eq!(reader.unfinished_trials(&cell()).unwrap().len(), 1);
    assert!(reader.trials(&cell()).unwrap().is_empty());
    write_trial(&writer, 2);
    assert!(path.join("cells/tiny fp16/attempts/trial-1-1/requests.jsonl").exists());
    assert_eq!(reader.trials(&cell()).unwrap()[0].requests().unwrap().count(), 2);
}

#[test]
fn a_trial_of_another_configuration_is_not_this_cells() {
    let root = TempDir::new().unwrap();
    let writer = new_run(&root);
    write_trial(&writer, 1);
    let reader = RunReader::open(writer.dir().path()).unwrap();
    let changed = Cell { id: CellId("another".to_owned()), ..cell() };
    assert!(reader.trials(&changed).unwrap().is_empty());
}

#[test]
fn an_out_directory_in_use_is_refused_with_its_own_error() {
    let root = TempDir::new().unwrap();
    let strange = root.path().join("strange");
    fs::create_dir(&strange).unwrap();
    fs::write(strange.join("thesis.tex"), "x").unwrap();
    let error = try_new(root.path(), Some(&strange)).unwrap_err();
    assert!(matches!(error, StoreError::Occupied { .. }));
    assert_eq!(error.exit_code(), 73);

    let named = root.path().join("named");
    drop(try_new(root.path(), Some(&named)).unwrap());
    let error = try_new(root.path(), Some(&named)).unwrap_err();
    assert!(matches!(error, StoreError::AlreadyARun { .. }));

    let file = root.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = try_new(root.path(), Some(&file)).unwrap_err();
    assert_eq!(error.exit_code(), 73);
}

#[test]
fn two_runs_in_the_same_second_get_two_directories() {
    let root = TempDir::new().unwrap();
    let (first, second) = (new_run(&root), new_run(&root));
    assert_ne!(first.dir(), second.dir());
    assert!(first.dir().path().file_name().unwrap().to_string_lossy().starts_with("scenario-2"));
}

#[test]
fn a_run_of_another_format_is_refused_by_name() {
    let root = TempDir::new().unwrap();
    let writer = new_run(&root);
    let text = fs::read_to_string(writer.dir().manifest()).unwrap();
    let open_as = |format: &str| {
        let known = format!("\"format\": {FORMAT_VERSION}");
        let text = text.replace(&known, &format!("\"format\": {format}"));
        fs::write(writer.dir().manifest(), text).unwrap();
        RunReader::open(writer.dir().path()).unwrap_err()
    };
    let later = format!("has format 99; this program knows formats up to {FORMAT_VERSION}");
    assert!(open_as("99").to_string().ends_with(&later));
    let earlier = format!("has format 1; this program knows format {FORMAT_VERSION} alone");
    let error = open_as("1");
    assert!(error.to_string().ends_with(&earlier), "{error}");
    assert_eq!(error.exit_code(), 107);
    assert!(matches!(RunReader::open(root.path()), Err(StoreError::NotARun { .. })));
}

#[test]
fn a_directory_that_everybody_may_write_to_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = TempDir::new().unwrap();
    let open = root.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(try_new(root.path(), Some(&open)).unwrap_err().exit_code(), 77);
}

#[test]
fn a_directory_whose_making_was_killed_at_any_point_is_taken_again() {
    let root = TempDir::new().unwrap();
    let made = root.path().join("made");
    drop(try_new(root.path(), Some(&made)).unwrap());
    // What is made, in its order; the file of a write that was killed has no name yet.
    let steps = ["lock", ".tmp-aaaaaa", "scenario.toml", "resolved.toml", "plan.json", "cells"];
    let steps: Vec<&str> = steps.into_iter().chain(["engines", "events.jsonl"]).collect();
    for n_steps in 0..=steps.len() {
        let dir = root.path().join(format!("killed-{n_steps}"));
        fs::create_dir(&dir).unwrap();
        for step in &steps[..n_steps] {
            match made.join(step) {
                folder if folder.is_dir() => fs::create_dir(dir.join(step)).unwrap(),
                file if file.exists() => drop(fs::copy(file, dir.join(step)).unwrap()),
                _ => fs::write(dir.join(step), "{").unwrap(),
            }
        }
        assert!(RunDir::at(&dir).is_unfinished().unwrap(), "{:?}", &steps[..n_steps]);
        drop(try_new(root.path(), Some(&dir)).unwrap());
        assert_eq!(RunReader::open(&dir).unwrap().first_plan().unwrap(), plan());
        // The manifest makes it a run.
        assert!(!RunDir::at(&dir).is_unfinished().unwrap());
    }
    let names = |dir: &Path| -> Vec<_> {
        let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| !name.to_string_lossy().starts_with(".tmp-")).collect()
    };
    // These are all there is but the manifest; the temporary file is one more.
    assert_eq!(names(&made).len(), steps.len());
}

#[test]
fn a_directory_with_somebody_elses_files_is_left_alone() {
    let root = TempDir::new().unwrap();
    let refuses = |name: &str, files: &[(&str, &str)]| {
        let dir = root.path().join(name);
        fs::create_dir(&dir).unwrap();
        for (file, text) in files {
            fs::write(dir.join(file), text).unwrap();
        }
        let error = try_new(root.path(), Some(&dir)).unwrap_err();
        assert!(matches!(error, StoreError::Occupied { .. }), "{name}: {error}");
    };
    refuses("own-scenario", &[("scenario.toml", "title = \"mine\"")]);
    refuses("lock-and-more", &[("lock", ""), ("notes.txt", "mine")]);
    refuses("lost-manifest", &[("lock", ""), ("events.jsonl", "{}\n")]);
}

#[test]
fn a_changed_plan_takes_the_place_of_the_first_and_a_renamed_cell_keeps_its_trials() {
    let root = TempDir::new().unwrap();
    let mut writer = new_run(&root);
    write_trial(&writer, 0);
    let other = Cell { id: CellId("ba9876543210".to_owned()), name: "other".to_owned(), ..cell() };
    let mut now = plan();
    // The cell's name goes to another cell, which has no trial yet, and the cell gets a new one.
    now.cells = vec![Cell { name: "other".to_owned(), ..cell() }, other];
    now.cells[1].name = cell().name;
    now.title = "Another title".to_owned();
    let inputs = NewRun {
        root: root.path(),
        out: None,
        plan: &now,
        scenario: "title = \"Another title\"\n",
        resolved: "title = \"Another title\"\n",
        template: None,
        redactor: &Redactor::default(),
        invocation: &Invocation::default(),
    };
    writer.change(&plan(), &inputs, vec!["title: Title -> Another title".to_owned()]).unwrap();
    let reader = RunReader::open(writer.dir().path()).unwrap();
    assert_eq!(reader.plan().unwrap(), now);
    assert_eq!(reader.trials(&now.cells[0]).unwrap().len(), 1);
    assert_eq!(reader.trials(&now.cells[1]).unwrap().len(), 0);
    let verified = verify(&reader).unwrap();
    assert!(verified.is_sound(), "{:?}", verified.problems);
    // After a kill half-way the same call is repeated. It changes nothing more.
    writer.change(&plan(), &inputs, Vec::new()).unwrap();
    assert_eq!(reader.trials(&now.cells[0]).unwrap().len(), 1);
}
