//! A kill at each system call by which a run of two cells changes its directory.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use crate::bed::{Bed, SCENARIO};
use crate::evidence::Evidence;
use crate::undecided;
use crate::victim::{finish, go_on};

/// `all` kills at each call; without it at some of each kind.
const POINTS: &str = "BENCH_TEST_CRASH_POINTS";
/// Points of each kind of call that are tried without it.
const SOME: usize = 3;

/// The calls that change files. `openat` also opens what is only read: its points are the steps
/// between.
const CALLS: [&str; 13] = [
    "openat",
    "write",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "mkdir",
    "unlink",
    "unlinkat",
    "ftruncate",
    "flock",
    "execve",
];

const CHOICE: [&str; 2] = ["--only", "engine=fast"];
const N_CELLS: usize = 2;

fn traced(bed: &Bed, args: &[&str]) -> Command {
    let bench = go_on(bed, &CHOICE);
    let mut strace = Command::new("strace");
    bed.settle(strace.args(args).arg(bench.get_program()).args(bench.get_args()));
    strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    strace
}

/// Returns how often one thread calls each at most.
fn calls_of_a_run() -> Option<BTreeMap<&'static str, usize>> {
    let bed = Bed::new();
    fs::create_dir(bed.path("calls")).unwrap();
    let trace = format!("trace={}", CALLS.join(","));
    let out = bed.path("calls/of").display().to_string();
    let status = traced(&bed, &["-ff", "-qq", "-e", &trace, "-o", &out]).status().ok()?;
    if !status.success() {
        return None;
    }
    let mut most = BTreeMap::new();
    for entry in fs::read_dir(bed.path("calls")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for call in CALLS {
            let n = text.lines().filter(|line| line.starts_with(&format!("{call}("))).count();
            let seen = most.entry(call).or_insert(0);
            *seen = n.max(*seen);
        }
    }
    Some(most)
}

/// Spreads points over `1..=n`, the first and the last among them.
fn some(n: usize) -> Vec<usize> {
    if n <= SOME {
        return (1..=n).collect();
    }
    (0..SOME).map(|at| 1 + at * (n - 1) / (SOME - 1)).collect()
}

#[test]
fn a_run_that_is_killed_at_any_call_that_changes_its_directory_can_be_resumed() {
    let Some(calls) = calls_of_a_run() else {
        return undecided::note("skipped: strace is not here, or may not trace");
    };
    assert!(calls["mkdir"] > 0 && calls["fsync"] > 0 && calls["write"] > 0, "{calls:?}");
    let is_all = std::env::var(POINTS).is_ok_and(|which| which == "all");
    let points: Vec<(&str, usize)> = calls
        .iter()
        .flat_map(|(call, n)| {
            let points = if is_all { (1..=*n).collect() } else { some(*n) };
            points.into_iter().map(|nth| (*call, nth))
        })
        .collect();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                let take = || next.fetch_add(1, Ordering::Relaxed);
                while let Some((call, nth)) = points.get(take()) {
                    killed_at(call, *nth);
                }
            });
        }
    });
    let n_all: usize = calls.values().sum();
    let text = format!("{} of {n_all} crash points: {calls:?}\n", points.len());
    std::io::stderr().write_all(text.as_bytes()).unwrap();
}

/// Kills whichever process makes the call so often first: the runner, its guardian, the engine, or
/// one after the other.
fn killed_at(call: &str, nth: usize) {
    let bed = Bed::new();
    let inject = format!("inject={call}:signal=KILL:when={nth}");
    let trace = format!("trace={call}");
    let args = ["-f", "-qq", "-e", &trace, "-e", &inject, "-o", "/dev/null"];
    let mut strace = traced(&bed, &args).spawn().unwrap();
    wait_for_end(&bed, &mut strace);
    let run = bed.path("run");
    let evidence = Evidence::of(&run);
    finish(&bed, &CHOICE, N_CELLS, &format!("killed at {call} {nth}"));
    evidence.assert_kept_in(&run);
}

/// Waits until neither runner nor guardian is left. An engine that lost both goes on, and strace
/// with it, which then lets go of it.
fn wait_for_end(bed: &Bed, strace: &mut Child) {
    let deadline = Instant::now() + Duration::from_mins(2);
    let mut was_seen = false;
    while strace.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "still there: {:?}", bed.processes());
        let is_seen = bed.processes().iter().any(|(_, command)| is_of_a_run(command));
        was_seen |= is_seen;
        if was_seen && !is_seen {
            let _ = strace.kill();
            strace.wait().unwrap();
            return;
        }
        sleep(Duration::from_millis(20));
    }
}

/// Whether a command line is that of a runner or a guardian. A process that is about to be gone has
/// none: strace tries out its own child before it starts anything.
fn is_of_a_run(command: &str) -> bool {
    !command.is_empty() && !command.starts_with("strace") && !command.contains("serve sim")
}

/// The files that say what a run does and how it is reported are renamed into their place, `run.json`
/// last of them.
const RENAMES_OF_A_BEGIN: usize = 7;

#[test]
fn a_template_of_the_users_own_is_there_as_soon_as_there_is_a_run() {
    if calls_of_a_run().is_none() {
        return undecided::note("skipped: strace is not here, or may not trace");
    }
    let mut n_begun = 0;
    for nth in 1..=RENAMES_OF_A_BEGIN {
        let bed = Bed::new();
        bed.write(&SCENARIO.replace("title = ", "report = \"own\"\ntitle = "));
        fs::write(bed.path("own.md.j2"), "Own words: {{ title }}\n").unwrap();
        let inject = format!("inject=renameat:signal=KILL:when={nth}");
        let args = ["-f", "-qq", "-e", "trace=renameat", "-e", &inject, "-o", "/dev/null"];
        let mut strace = traced(&bed, &args).spawn().unwrap();
        wait_for_end(&bed, &mut strace);
        if bed.path("run/run.json").exists() {
            n_begun += 1;
            assert!(bed.path("run/template.md.j2").exists(), "killed at renaming {nth}");
        }
    }
    assert!((1..RENAMES_OF_A_BEGIN).contains(&n_begun), "{n_begun}");
}
