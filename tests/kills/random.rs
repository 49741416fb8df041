//! SIGKILL at random instants: of the runner, of the guardian, of both.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use bench::seed::Seed;
use rand::RngExt as _;
use rand::rngs::ChaCha8Rng;

use crate::bed::{Bed, Ended, SCENARIO};
use crate::evidence::{Evidence, last_event};
use crate::victim::{finish, go_on, kill_guardians, wait_until_gone};

/// How many kills; without it a number that continuous integration has time for.
const KILLS: &str = "BENCH_TEST_KILLS";
/// Seed of victims and instants.
const SEED: &str = "BENCH_TEST_KILLS_SEED";
/// File that gets the summary.
const SUMMARY: &str = "BENCH_TEST_KILLS_SUMMARY";

/// Kills before a run may finish: each of its cells is measured again three times at most.
const KILLS_OF_A_RUN: usize = 3;
const N_CELLS: usize = 4;
/// Time that the guardian of a killed runner gets: the engine's grace, and a busy machine.
const GONE_LIMIT: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug)]
enum Victim {
    Runner,
    Guardian,
    Both,
}

/// What was killed when, over all runs.
#[derive(Default)]
struct Tally {
    kills: BTreeMap<String, usize>,
    stages: BTreeMap<String, usize>,
    n_runs: usize,
    n_in_vain: usize,
    n_complete_at_kills: usize,
    n_put_aside: usize,
    /// The directories of the runs.
    homes: Vec<PathBuf>,
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn whoever_is_killed_whenever_a_resume_loses_nothing_and_measures_nothing_twice() {
    let (n_kills, seed) = (number(KILLS, 60), number(SEED, 1));
    let began = Instant::now();
    let span = undisturbed();
    let (landed, chain) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let tally = Mutex::new(Tally::default());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while landed.load(Ordering::Relaxed) < n_kills {
                    let chain = chain.fetch_add(1, Ordering::Relaxed);
                    let rng = Seed(seed as u64).stream(&format!("chain {chain}"));
                    killed_and_finished(rng, span, &landed, &tally);
                }
            });
        }
    });
    let tally = tally.into_inner().unwrap();
    let left = below(&tally.homes);
    assert!(left.is_empty(), "left of runs that are over: {left:?}");
    let text = told(&tally, seed, span, began.elapsed());
    eprint_all(&text);
    if let Ok(path) = std::env::var(SUMMARY) {
        std::fs::write(path, text).unwrap();
    }
}

/// Returns how long a run takes that nobody kills.
fn undisturbed() -> Duration {
    let bed = bed();
    let began = Instant::now();
    Ended::of(&go_on(&bed, &[]).output().unwrap()).expect(0);
    began.elapsed()
}

fn bed() -> Bed {
    let bed = Bed::new();
    // Its four cells take as long as the start of its engines.
    bed.write(&SCENARIO.replace("9ms", "3ms"));
    bed
}

/// Kills a run and what goes on with it at random instants, then lets it finish.
fn killed_and_finished(
    mut rng: ChaCha8Rng,
    span: Duration,
    landed: &AtomicUsize,
    tally: &Mutex<Tally>,
) {
    let bed = bed();
    tally.lock().unwrap().homes.push(std::fs::canonicalize(bed.path("")).unwrap());
    let run = bed.path("run");
    let mut seen: Vec<Evidence> = Vec::new();
    let mut kills = Vec::new();
    for _ in 0..KILLS_OF_A_RUN {
        let victim = [Victim::Runner, Victim::Guardian, Victim::Both][rng.random_range(0..3)];
        let after = span.mul_f64(rng.random_range(0.0..1.0));
        if !is_killed(&bed, victim, after) {
            tally.lock().unwrap().n_in_vain += 1;
            break;
        }
        landed.fetch_add(1, Ordering::Relaxed);
        kills.push((victim, after));
        let evidence = Evidence::of(&run);
        let mut tally = tally.lock().unwrap();
        *tally.kills.entry(format!("{victim:?}").to_lowercase()).or_default() += 1;
        *tally.stages.entry(last_event(&run)).or_default() += 1;
        tally.n_complete_at_kills += evidence.n_complete();
        drop(tally);
        kept(&seen, &run);
        seen.push(evidence);
    }
    finish(&bed, &[], N_CELLS, &format!("killed: {kills:?}"));
    let n_put_aside = kept(&seen, &run);
    let mut tally = tally.lock().unwrap();
    tally.n_put_aside += n_put_aside;
    tally.n_runs += 1;
}

/// Returns the command lines of processes in directories that may be gone.
fn below(homes: &[PathBuf]) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let is_there = |process: &PathBuf| {
        let cwd = std::fs::read_link(process.join("cwd")).unwrap_or_default();
        // The link of a directory that is gone has ` (deleted)` at its end.
        let cwd = cwd.to_string_lossy().into_owned();
        homes.iter().any(|home| cwd.trim_end_matches(" (deleted)") == home.to_string_lossy())
    };
    let command = |process: PathBuf| std::fs::read_to_string(process.join("cmdline"));
    processes.filter(is_there).filter_map(|process| command(process).ok()).collect()
}

fn kept(seen: &[Evidence], run: &Path) -> usize {
    seen.iter().map(|before| before.assert_kept_in(run)).sum()
}

/// Goes on with the run and kills the victim after some time. Returns whether it was still there.
fn is_killed(bed: &Bed, victim: Victim, after: Duration) -> bool {
    // What lost both of its keepers before may still be there: this run ends it, if it gets so far.
    let orphans = bed.processes();
    let mut command: Command = go_on(bed, &[]);
    let mut runner = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    sleep(after);
    if runner.try_wait().unwrap().is_some() {
        return false;
    }
    match victim {
        Victim::Runner => runner.kill().unwrap(),
        Victim::Guardian => kill_guardians(bed),
        Victim::Both => {
            kill_guardians(bed);
            runner.kill().unwrap();
            // One that was about to begin.
            kill_guardians(bed);
        }
    }
    // Without its guardian a runner ends the engine and itself.
    let ended = runner.wait().unwrap();
    if !matches!(victim, Victim::Both) {
        wait_until_gone(bed, &orphans, GONE_LIMIT);
    }
    if matches!(victim, Victim::Guardian) {
        assert!(matches!(ended.code(), Some(0 | 70)), "{ended:?}");
    }
    true
}

fn told(tally: &Tally, seed: usize, span: Duration, took: Duration) -> String {
    let n: usize = tally.kills.values().sum();
    let mut text = format!(
        "{n} SIGKILLs at random instants in {} runs of {N_CELLS} cells, seed {seed}, bench {}\n\
         a run that nobody kills: {:.2} s; all of it: {:.0} s\n\
         nothing complete lost or changed, no record or event lost, nothing measured twice, no \
         process left\n\
         trials that were complete at a kill, summed: {}, of these put aside after their engine went \
         down: {}; kills that came too late: {}\n\nvictims\n",
        tally.n_runs,
        env!("CARGO_PKG_VERSION"),
        span.as_secs_f64(),
        took.as_secs_f64(),
        tally.n_complete_at_kills,
        tally.n_put_aside,
        tally.n_in_vain,
    );
    for (what, n) in &tally.kills {
        let _ = writeln!(text, "  {what:<26}{n:>5}");
    }
    text.push_str("\nthe last event before the kill\n");
    for (what, n) in &tally.stages {
        let _ = writeln!(text, "  {what:<26}{n:>5}");
    }
    text
}

fn eprint_all(text: &str) {
    use std::io::Write as _;
    std::io::stderr().write_all(text.as_bytes()).unwrap();
}
