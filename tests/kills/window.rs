//! The instant between the end of a trial and its sync.

use std::path::PathBuf;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::bed::Bed;
use crate::evidence::n_trials_started;
use crate::victim::{finish, go_on, wait_until_gone};

/// Returns the records of trials that have ended and are not synced.
fn pending(bed: &Bed) -> Vec<PathBuf> {
    let cells = std::fs::read_dir(bed.path("run/cells")).into_iter().flatten();
    let trials = cells.map(|cell| cell.unwrap().path().join("trial-1/trial.json.pending"));
    trials.filter(|path| path.exists()).collect()
}

#[test]
fn a_trial_that_a_kill_found_written_but_not_synced_is_completed_and_not_measured_again() {
    let bed = Bed::new();
    let choice = ["--only", "engine=fast"];
    let mut runner =
        go_on(&bed, &choice).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    // Short trials wait half a second for others to be synced with.
    while pending(&bed).is_empty() {
        assert!(Instant::now() < deadline, "no trial waits for its sync");
        sleep(Duration::from_millis(1));
    }
    runner.kill().unwrap();
    runner.wait().unwrap();
    wait_until_gone(&bed, &[], Duration::from_secs(20));
    let found = pending(&bed);
    assert!(!found.is_empty(), "it was synced at the same instant");
    assert_eq!(bed.count_events("run", "trial-finished"), 0);
    finish(&bed, &choice, 2, "killed before a sync");
    for path in found {
        assert!(!path.exists() && path.with_extension("").exists(), "{path:?}");
    }
    let n_started = n_trials_started(&bed.path("run"));
    assert!(n_started.len() == 2 && n_started.values().any(|n| *n == 1), "{n_started:?}");
    assert!(
        bed.path("run/cells")
            .read_dir()
            .unwrap()
            .any(|cell| { !cell.unwrap().path().join("attempts").exists() })
    );
}
