//! Tests that a reader gets what was written: from whole, cut, damaged and contested journals.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use crate::record::event::RunEvent;
use crate::record::gauge::Gauge;
use crate::record::request::{OutputRecord, RequestRecord};
use crate::record::telemetry::{TelemetrySample, TelemetrySource};
use crate::record::trial::{PhaseKind, PhaseRecord, Stalls, TrialRecord};
use crate::store::error::StoreError;
use crate::store::journal::Journal;
use crate::store::reader::RunReader;
use crate::store::records::{Expect, Records};
use crate::store::tests::fixture::{cell, new_run, plan, request, trial_record, write_trial};
use crate::store::trial_sync;
use crate::store::verify::verify;
use crate::units::Nanos;

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
    trial_sync::sync(&[trial.finish(&trial_record()).unwrap()]).unwrap();

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
    assert!(text.contains("telemetry.jsonl:3: ") && text.contains("`power_kw`"), "{text}");
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
    assert_eq!(
        error.help(),
        "free some space, then go on with `bench resume`; what had not begun is begun again by \
         `bench run`"
    );
    assert!(error.to_string().contains("its first 0 records (0 bytes) are kept"));
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
        ran_out: false,
        over_saturation: None,
        earlier: Vec::new(),
    }];
    let record = TrialRecord { phases, ..trial_record() };
    let mut trial = writer.trial("tiny fp16", 1).unwrap();
    trial.request(&request(0)).unwrap();
    trial.request(&request(1)).unwrap();
    trial_sync::sync(&[trial.finish(&record).unwrap()]).unwrap();
    let reader = RunReader::open(writer.dir().path()).unwrap();
    let found = verify(&reader).unwrap();
    assert!(found.is_sound(), "{:?}", found.problems);
    assert_eq!((found.n_trials, found.n_records), (1, 3));

    fs::write(writer.dir().scenario(), "title = \"Another\"\n").unwrap();
    let mut trial = writer.trial("tiny fp16", 1).unwrap();
    trial.request(&request(0)).unwrap();
    trial.request(&request(0)).unwrap();
    trial_sync::sync(&[trial.finish(&record).unwrap()]).unwrap();
    let problems: Vec<String> =
        verify(&reader).unwrap().problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 2);
    assert!(problems[0].contains("scenario.toml:1: its SHA-256 is"), "{problems:?}");
    assert!(
        problems[1].contains("requests.jsonl:2: request 0 of phase 0 is recorded twice"),
        "{problems:?}"
    );
}
