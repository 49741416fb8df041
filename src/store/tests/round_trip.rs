//! Tests that a reader gets what was written: from whole, cut, damaged and contested journals.

use std::fs;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::ids::{CellId, LaunchId};
use crate::plan::cell::{
    Api, ArrivalsPlan, Cell, DatasetPlan, Deadlines, OutputLength, Phase, RequestPlan, Sampling,
    Source,
};
use crate::plan::launch::{HttpSettings, Launch, LogPatterns, Quirks, Readiness};
use crate::plan::{Plan, TrialOrder};
use crate::record::FORMAT_VERSION;
use crate::record::event::RunEvent;
use crate::record::gauge::Gauge;
use crate::record::request::{
    EventKind, Events, Outcome, OutputRecord, RequestError, RequestRecord, StampSource,
};
use crate::record::telemetry::{TelemetryRecord, TelemetrySample, TelemetrySource};
use crate::record::trial::{Idle, PhaseKind, PhaseRecord, SentinelRecord, Stalls, TrialRecord};
use crate::secrets::redact::Redactor;
use crate::seed::Seed;
use crate::store::error::StoreError;
use crate::store::journal::Journal;
use crate::store::reader::RunReader;
use crate::store::records::{Expect, Records};
use crate::store::run_dir::{Invocation, RunDir};
use crate::store::verify::verify;
use crate::store::writer::{NewRun, RunWriter};
use crate::units::Nanos;

fn cell() -> Cell {
    Cell {
        id: CellId("0123456789ab".to_owned()),
        name: "tiny fp16".to_owned(),
        keys: IndexMap::new(),
        launch: LaunchId("launch".to_owned()),
        dataset: "questions".to_owned(),
        score: None,
        request: RequestPlan {
            api: Api::Chat,
            path: "/v1/chat/completions".to_owned(),
            stream: true,
            sampling: Sampling { temperature: 0.0, top_p: 1.0, seed: None, stop: vec![] },
            output: OutputLength::Natural { max_tokens: 8 },
            salt: false,
            logprobs: false,
            extra_body: std::collections::BTreeMap::new(),
        },
        phases: vec![phase()],
        n_trials: 1,
        slo: None,
        skip: None,
        row: None,
    }
}

fn phase() -> Phase {
    Phase {
        name: "load".to_owned(),
        kind: PhaseKind::Measure,
        arrivals: ArrivalsPlan::Closed { concurrency: 1 },
        max_in_flight: None,
        n_requests: Some(1),
        duration: None,
        drain: Nanos::ZERO,
        deadlines: Deadlines {
            connect: Nanos::ZERO,
            first_token: Nanos::ZERO,
            between_tokens: Nanos::ZERO,
            total: Nanos::ZERO,
        },
        cancel_after: None,
        until_steady: None,
    }
}

fn launch() -> Launch {
    Launch {
        engine: "tiny".to_owned(),
        preset: "tiny".to_owned(),
        argv: vec![],
        env: std::collections::BTreeMap::new(),
        env_from: std::collections::BTreeMap::new(),
        env_recorded: vec![],
        cwd: None,
        base_url: String::new(),
        ca: None,
        http: HttpSettings::default(),
        api_key_env: None,
        model: "tiny".to_owned(),
        model_path: None,
        precision: None,
        readiness: Readiness { health: None, models: None, timeout: Nanos::ZERO },
        stop_argv: Vec::new(),
        stop_grace: Nanos::ZERO,
        requires: vec![],
        log_patterns: LogPatterns::default(),
        metrics: None,
        cache_reset: None,
        version_argv: vec![],
        configuration: IndexMap::new(),
        n_gpus: 1,
        cold_page_cache: false,
        extra_starts: 0,
        quirks: Quirks::default(),
    }
}

fn plan() -> Plan {
    Plan {
        title: "Title".to_owned(),
        description: String::new(),
        name: "scenario".to_owned(),
        report: "plain".to_owned(),
        seed: Seed(1),
        order: TrialOrder::Grouped,
        launches: IndexMap::from([(cell().launch, launch())]),
        cells: vec![cell()],
        datasets: [(cell().dataset, DatasetPlan::of(Source::Jsonl, None, None, None))].into(),
        scores: std::collections::BTreeMap::new(),
        published: None,
        reference: std::collections::BTreeMap::new(),
        search: None,
        max_failures: None,
        require_steady: false,
        gpu_hour_price: None,
    }
}

pub(crate) fn request(id: u64) -> RequestRecord {
    let mut events = Events::default();
    events.push(Nanos::ZERO, Nanos(150 + id), EventKind::Content);
    events.push(Nanos(150 + id), Nanos(190 + id), EventKind::Done);
    RequestRecord {
        phase: 0,
        index: id,
        turn: 0,
        sample: id,
        scheduled: Nanos(id),
        sent: Some(Nanos(id + 1)),
        connected: None,
        headers: Some(Nanos(id + 2)),
        events,
        done: Some(Nanos(200 + id)),
        status: Some(200),
        stamps: StampSource::Userspace,
        usage: None,
        finish: Some("stop".to_owned()),
        max_tokens: Some(8),
        output_tokens_counted: None,
        prompt_tokens_counted: None,
        body_bytes: 512,
        outcome: match id % 3 {
            0 => Outcome::Error(RequestError::Status(500, "\u{1b}[31m\"quoted\"\n".to_owned())),
            _ => Outcome::Ok,
        },
        oddities: vec![],
    }
}

fn trial_record() -> TrialRecord {
    TrialRecord {
        cell: cell().id,
        trial: 1,
        epoch_unix_ns: 5,
        phases: vec![],
        sentinel: SentinelRecord::default(),
        dataset: None,
        aborted: None,
        idle: Idle::default(),
        telemetry: TelemetryRecord::default(),
    }
}

fn new_run(root: &TempDir) -> RunWriter {
    try_new(root.path(), None).unwrap()
}

fn try_new(root: &Path, out: Option<&Path>) -> Result<RunWriter, StoreError> {
    RunWriter::create(&NewRun {
        root,
        out,
        plan: &plan(),
        scenario: "title = \"Title\"\n",
        resolved: "title = \"Title\"\n",
        redactor: &Redactor::default(),
        invocation: &Invocation::default(),
    })
}

fn write_trial(writer: &RunWriter, n_requests: u64) -> PathBuf {
    let mut trial = writer.trial("tiny fp16", 1).unwrap();
    for id in 0..n_requests {
        trial.request(&request(id)).unwrap();
    }
    trial.finish(&trial_record()).unwrap();
    writer.dir().trial("tiny fp16", 1).unwrap()
}

#[test]
fn a_run_is_read_as_it_was_written() {
    let root = TempDir::new().unwrap();
    let mut writer = new_run(&root);
    writer.event(RunEvent::RunStarted { resumed: false, n_cells: 1 }).unwrap();
    let mut trial = writer.trial("tiny fp16", 1).unwrap();
    trial.request(&request(0)).unwrap();
    trial.request(&request(1)).unwrap();
    let output = OutputRecord {
        phase: 0,
        index: 0,
        turn: 0,
        sample: 0,
        text: "The answer is 4.\u{2028}\0".to_owned(),
        reasoning: String::new(),
        logprobs: vec![-0.5, f32::NEG_INFINITY],
    };
    trial.output(&output).unwrap();
    let sample = TelemetrySample {
        at: Nanos(7),
        source: TelemetrySource::Host,
        values: [(Gauge::PowerW, f64::NAN), (Gauge::Load1m, 0.1)].into(),
        absent: std::collections::BTreeMap::new(),
    };
    trial.telemetry(&sample).unwrap();
    trial.finish(&trial_record()).unwrap();

    let reader = RunReader::open(writer.dir().path()).unwrap();
    assert_eq!(reader.first_plan().unwrap(), plan());
    assert_eq!(reader.scenario().unwrap(), "title = \"Title\"\n");
    assert_eq!(reader.environment().unwrap(), None);
    let events: Vec<_> = reader.events().unwrap().map(Result::unwrap).collect();
    assert_eq!(events[0].event, RunEvent::RunStarted { resumed: false, n_cells: 1 });
    let trials = reader.trials(&cell()).unwrap();
    assert_eq!(trials.len(), 1);
    assert_eq!(trials[0].record, trial_record());
    let requests: Vec<_> = trials[0].requests().unwrap().map(Result::unwrap).collect();
    assert_eq!(requests, [request(0), request(1)]);
    let outputs: Vec<_> = trials[0].outputs().unwrap().map(Result::unwrap).collect();
    assert_eq!(outputs[0].text, output.text);
    assert_eq!(outputs[0].logprobs, [-0.5, f32::MIN]);
    let samples: Vec<_> = trials[0].telemetry().unwrap().map(Result::unwrap).collect();
    assert_eq!(samples[0].values, [(Gauge::Load1m, 0.1)].into());
    assert_eq!(samples[0].absent[&Gauge::PowerW], "the probe returned NaN");
}

#[test]
fn a_tail_torn_at_any_byte_leaves_the_whole_records_before_it() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("requests.jsonl");
    let mut journal = Journal::create(&path).unwrap();
    for id in 0..5 {
        journal.append(&request(id)).unwrap();
    }
    journal.sync().unwrap();
    let whole = fs::read(&path).unwrap();
    let ends: Vec<usize> = memchr::memchr_iter(b'\n', &whole).map(|at| at + 1).collect();
    for length in ends[1]..whole.len() {
        let torn = TempDir::new().unwrap();
        let path = torn.path().join("requests.jsonl");
        fs::write(&path, &whole[..length]).unwrap();
        let n_whole = ends.iter().filter(|end| **end <= length).count();

        let mut records = Records::<RequestRecord>::open(&path, Expect::Unfinished).unwrap();
        let read: Vec<_> = records.by_ref().map(Result::unwrap).collect();
        assert_eq!(read, (0..n_whole as u64).map(request).collect::<Vec<_>>());
        assert_eq!(records.torn().is_some(), length != ends[n_whole - 1]);

        let mut journal = Journal::reopen(&path).unwrap();
        journal.append(&request(9)).unwrap();
        journal.sync().unwrap();
        let records = Records::<RequestRecord>::open(&path, Expect::Unfinished).unwrap();
        let ids: Vec<_> = records.map(|record| record.unwrap().index).collect();
        assert_eq!(ids, (0..n_whole as u64).chain([9]).collect::<Vec<_>>());
        let kept = torn.path().join("requests.jsonl.torn-1");
        if length == ends[n_whole - 1] {
            assert!(!kept.exists());
        } else {
            assert_eq!(fs::read(kept).unwrap(), whole[ends[n_whole - 1]..length]);
        }
    }
}

#[test]
fn garbage_of_several_lines_at_the_end_is_one_torn_tail() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("requests.jsonl");
    let mut journal = Journal::create(&path).unwrap();
    journal.append(&request(0)).unwrap();
    journal.sync().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let half = bytes[..40].to_vec();
    bytes.extend_from_slice(&half);
    bytes.extend_from_slice(b"\n\0\0\0\n{}\n");
    fs::write(&path, bytes).unwrap();
    let mut records = Records::<RequestRecord>::open(&path, Expect::Unfinished).unwrap();
    assert_eq!(records.by_ref().count(), 1);
    assert_eq!(records.torn().unwrap().bytes, 40 + 8);
}

#[test]
fn damage_before_the_last_record_names_line_and_byte_and_is_never_repaired() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("requests.jsonl");
    let mut journal = Journal::create(&path).unwrap();
    for id in 0..3 {
        journal.append(&request(id)).unwrap();
    }
    journal.sync().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let first = memchr::memchr(b'\n', &bytes).unwrap() + 1;
    bytes[first + 6] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = Records::<RequestRecord>::open(&path, Expect::Unfinished)
        .unwrap()
        .find_map(Result::err)
        .unwrap();
    let text = error.to_string();
    assert!(
        text.ends_with(&format!(
            "requests.jsonl:2: the line does not match its checksum (byte {first})"
        )),
        "{text}"
    );
    assert_eq!(error.exit_code(), 107);
    assert!(matches!(Journal::reopen(&path), Err(StoreError::Corrupt { line: 2, .. })));
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_gauge_that_this_version_does_not_know_is_told_with_its_place() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("telemetry.jsonl");
    let mut journal = Journal::create(&path).unwrap();
    for gauge in ["power_w", "power_kw"] {
        let values = serde_json::json!({ gauge: 1.5 });
        journal
            .append(&serde_json::json!({ "at": 7, "source": "host", "values": values }))
            .unwrap();
    }
    journal.sync().unwrap();
    let mut records = Records::<TelemetrySample>::open(&path, Expect::Unfinished).unwrap();
    assert_eq!(records.next().unwrap().unwrap().values, [(Gauge::PowerW, 1.5)].into());
    let text = records.next().unwrap().unwrap_err().to_string();
    assert!(text.contains("telemetry.jsonl:2: ") && text.contains("`power_kw`"), "{text}");
}

#[test]
fn a_finished_trial_that_lost_its_last_record_is_corrupt() {
    let root = TempDir::new().unwrap();
    let writer = new_run(&root);
    let path = write_trial(&writer, 3).join("requests.jsonl");
    let bytes = fs::read(&path).unwrap();
    let last = memchr::memrchr(b'\n', &bytes[..bytes.len() - 1]).unwrap() + 1;
    fs::write(&path, &bytes[..last]).unwrap();
    let reader = RunReader::open(writer.dir().path()).unwrap();
    let trials = reader.trials(&cell()).unwrap();
    let error = trials[0].requests().unwrap().find_map(Result::err).unwrap();
    assert!(error.to_string().contains("the file ends after 2 records, 3 were written"));
}

proptest! {
    #[test]
    fn a_flipped_bit_in_a_finished_trial_is_an_error_or_changes_nothing(
        position in 0_usize..10_000, bit in 0_u32..8,
    ) {
        let root = TempDir::new().unwrap();
        let writer = new_run(&root);
        let path = write_trial(&writer, 4).join("requests.jsonl");
        let mut bytes = fs::read(&path).unwrap();
        let at = position % bytes.len();
        bytes[at] ^= 1 << bit;
        fs::write(&path, &bytes).unwrap();
        let reader = RunReader::open(writer.dir().path()).unwrap();
        let read: Result<Vec<_>, _> = reader.trials(&cell()).unwrap()[0].requests().unwrap().collect();
        if let Ok(read) = read {
            prop_assert_eq!(read, (0..4).map(request).collect::<Vec<_>>());
        }
    }

    #[test]
    fn any_bytes_in_a_journal_are_read_without_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..2000),
    ) {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("requests.jsonl");
        fs::write(&path, bytes).unwrap();
        let records = Records::<RequestRecord>::open(&path, Expect::Unfinished).unwrap();
        prop_assert_eq!(records.flatten().count(), 0);
    }
}

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
fn a_full_disk_is_named_and_what_was_written_before_is_kept() {
    // `/dev/full` answers every write with ENOSPC.
    if !Path::new("/dev/full").exists() {
        return;
    }
    let error = Journal::over_device(Path::new("/dev/full"))
        .and_then(|mut journal| {
            journal.append(&request(0))?;
            journal.sync()
        })
        .unwrap_err();
    assert_eq!(error.exit_code(), 74);
    assert_eq!(error.help(), "free some space, then go on with `bench resume`");
    assert!(error.to_string().contains("its first 0 records (0 bytes) are kept"));
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
fn a_link_planted_where_a_journal_will_be_is_not_followed() {
    let dir = TempDir::new().unwrap();
    let victim = dir.path().join("victim");
    let path = dir.path().join("events.jsonl");
    std::os::unix::fs::symlink(&victim, &path).unwrap();
    assert!(Journal::reopen(&path).is_err());
    assert!(!victim.exists());
}

#[test]
fn verification_reads_everything_and_names_what_changed() {
    let root = TempDir::new().unwrap();
    let mut writer = new_run(&root);
    writer.event(RunEvent::RunStarted { resumed: false, n_cells: 1 }).unwrap();
    let phases = vec![PhaseRecord {
        name: "load".to_owned(),
        kind: PhaseKind::Measure,
        started: Nanos::ZERO,
        stopped: Nanos::ZERO,
        drained: Nanos::ZERO,
        n_scheduled: 2,
        steadiness: None,
        stalls: Stalls::default(),
        schedule_hash: String::new(),
    }];
    let record = TrialRecord { phases, ..trial_record() };
    let mut trial = writer.trial("tiny fp16", 1).unwrap();
    trial.request(&request(0)).unwrap();
    trial.request(&request(1)).unwrap();
    trial.finish(&record).unwrap();
    let reader = RunReader::open(writer.dir().path()).unwrap();
    let found = verify(&reader).unwrap();
    assert!(found.is_sound(), "{:?}", found.problems);
    assert_eq!((found.n_trials, found.n_records), (1, 3));

    fs::write(writer.dir().scenario(), "title = \"Another\"\n").unwrap();
    let mut trial = writer.trial("tiny fp16", 1).unwrap();
    trial.request(&request(0)).unwrap();
    trial.request(&request(0)).unwrap();
    trial.finish(&record).unwrap();
    let problems: Vec<String> =
        verify(&reader).unwrap().problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 2);
    assert!(problems[0].contains("scenario.toml:1: its SHA-256 is"), "{problems:?}");
    assert!(
        problems[1].contains("requests.jsonl:2: request 0 of phase 0 is recorded twice"),
        "{problems:?}"
    );
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
