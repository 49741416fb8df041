//! Processes of a bed, and the command that goes on with its run.

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bed::{Bed, Ended};
use crate::evidence::assert_measured_once;

/// Requests of each cell of [`crate::bed::SCENARIO`].
pub(crate) const N_REQUESTS: usize = 8;

/// Kills the bed's guardians.
pub(crate) fn kill_guardians(bed: &Bed) {
    for (pid, command) in bed.processes() {
        if command.contains("__guardian") {
            // It may have ended by itself.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// Waits until no process of the bed is left but those that are not waited for.
pub(crate) fn wait_until_gone(bed: &Bed, but: &[(i32, String)], limit: Duration) {
    let deadline = Instant::now() + limit;
    loop {
        let left: Vec<_> = bed.processes().into_iter().filter(|it| !but.contains(it)).collect();
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "still there: {left:?}");
        sleep(Duration::from_millis(5));
    }
}

/// Returns the command that begins the bed's run, or goes on with it.
pub(crate) fn go_on(bed: &Bed, choice: &[&str]) -> Command {
    let mut command = if bed.path("run/run.json").exists() {
        bed.command(&["resume", "run", "--retry", "failed"])
    } else {
        let mut command = bed.command(&["run", "s.toml", "--out", "run"]);
        command.args(choice);
        command
    };
    command.args(["--quiet", "--fail-on", "failed"]).stdin(Stdio::null());
    command
}

/// Finishes the run, and requires that it is as if nobody had ever killed it.
pub(crate) fn finish(bed: &Bed, choice: &[&str], n_cells: usize, after: &str) {
    let Ended { code, out, err } = Ended::of(&go_on(bed, choice).output().unwrap());
    assert_eq!(code, Some(0), "{after}: {out}\n{err}");
    wait_until_gone(bed, &[], Duration::from_secs(10));
    let run = bed.path("run");
    assert_measured_once(&run, N_REQUESTS);
    bed.bench(&["verify", "run"]).expect(0);
    let summary = bed.summary("run");
    assert_eq!(summary["complete"], true);
    let cells = summary["cells"].as_array().unwrap();
    assert_eq!(cells.len(), n_cells);
    for cell in cells {
        assert_eq!(
            (&cell["outcome"], &cell["counts"]["ok"]),
            (&"complete".into(), &N_REQUESTS.into())
        );
    }
}
