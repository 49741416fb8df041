//! Cells that failed are over, and measured again on request alone.

use std::fs;

use crate::bed::{Bed, SCENARIO};

/// The engine `slow` dies at its third request while a file says so.
fn dying(bed: &Bed) {
    let engine = r#"[engine.slow]
preset = "sim"
argv = ["sh", "-c", '''exec "{{ bench }}" serve sim --port "{{ port }}" $(cat faults)''']
cwd = "./"
"#;
    let begin = SCENARIO.find("[engine.slow]").unwrap();
    let end = SCENARIO.find("[matrix]").unwrap();
    bed.write(&format!("{}{engine}\n{}", &SCENARIO[..begin], &SCENARIO[end..]));
    fs::write(bed.path("faults"), "--die-at-request 3").unwrap();
}

#[test]
fn a_cell_that_failed_is_measured_again_on_request_and_three_times_at_most() {
    let bed = Bed::new();
    dying(&bed);
    bed.run(&["--out", "run"]).expect(100);
    assert_eq!(bed.n_trials_started("run"), 4);
    let again = |args: &[&str]| {
        let mut all = vec!["resume", "run", "--fail-on", "failed"];
        all.extend(args);
        bed.bench(&all)
    };
    // Nothing is missing: no engine is started.
    again(&[]).expect(100).says("failed before: 2 cells").says("--retry failed");
    assert_eq!(bed.n_trials_started("run"), 4);
    for n in 1..=2 {
        again(&["--retry", "failed"]).expect(100).says("measured again: 2 cells");
        assert_eq!(bed.n_trials_started("run"), 4 + 2 * n);
    }
    // What was wrong is mended.
    fs::write(bed.path("faults"), "").unwrap();
    again(&["--retry", "failed,invalid"]).expect(0).says("measured again");
    bed.bench(&["verify", "run"]).expect(0);
    let summary = bed.summary("run");
    for cell in summary["cells"].as_array().unwrap() {
        assert_eq!((&cell["outcome"], &cell["counts"]["ok"]), (&"complete".into(), &8.into()));
    }
    fs::write(bed.path("faults"), "--die-at-request 3").unwrap();
    let n = bed.n_trials_started("run");
    again(&["--retry", "failed"]).expect(0);
    assert_eq!(bed.n_trials_started("run"), n, "nothing had failed");
}

#[test]
fn a_cell_whose_requests_failed_is_failed_to_a_retry_as_well() {
    let bed = Bed::new();
    dying(&bed);
    fs::write(bed.path("faults"), "--fail-rate 0.5").unwrap();
    bed.run(&["--out", "run", "--only", "engine=slow,concurrency=1"]).expect(100);
    let summary = bed.summary("run");
    assert_eq!(summary["cells"][0]["outcome"], "complete", "its engine did not fail");
    fs::write(bed.path("faults"), "").unwrap();
    let args = ["resume", "run", "--fail-on", "failed", "--retry"];
    // It is not INVALID.
    bed.bench(&[&args[..], &["invalid"]].concat()).expect(100);
    assert_eq!(bed.n_trials_started("run"), 1);
    let ended = bed.bench(&[&args[..], &["failed"]].concat()).expect(0);
    ended.says("measured again: 1 cell");
    assert_eq!(bed.n_trials_started("run"), 2);
    assert_eq!(bed.summary("run")["cells"][0]["counts"]["ok"], 8);
    bed.bench(&["verify", "run"]).expect(0);
}

#[test]
fn what_fails_four_times_stays_as_it_is() {
    let bed = Bed::new();
    dying(&bed);
    bed.run(&["--out", "run", "--only", "engine=slow,concurrency=1"]).expect(100);
    for _ in 0..3 {
        bed.bench(&["resume", "run", "--retry", "failed"])
            .expect(100)
            .says("measured again: 1 cell");
    }
    let ended = bed.bench(&["resume", "run", "--retry", "failed"]).expect(100);
    ended.says("was measured again 3 times and stays as it is");
    assert_eq!(bed.n_trials_started("run"), 4);
}
