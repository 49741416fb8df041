//! What is left of an engine when its runner, its guardian or both are killed: nothing, or what
//! `orphans` finds and ends.
//!
//! The runner that is killed is this test program once more: [`runner`] does nothing unless it
//! is started by another test.

use std::env;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bench::engine::guardian::ledger::Ledger;
use bench::engine::interrupt::Interrupt;
use bench::engine::stop::orphans::{self, Evidence};
use bench::engine::{Engine, NotStarted, StartContext, process};
use bench::units::Nanos;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bed::{Bed, launch, wait_for};

const HOSTILE: [&str; 5] =
    ["--ignore-term", "--proctitle", "--fork-workers", "2", "--setsid-worker"];

/// Set to the run directory in the program that is the runner.
const RUN_DIR: &str = "BENCH_TEST_RUN_DIR";
/// Set to the flags of the fake engine, separated by spaces.
const FLAGS: &str = "BENCH_TEST_FLAGS";

#[test]
#[expect(clippy::exit, reason = "a program that is left in the middle, as `bench` itself")]
fn runner() {
    let (Ok(dir), Ok(flags)) = (env::var(RUN_DIR), env::var(FLAGS)) else { return };
    let dir = PathBuf::from(dir);
    let interrupt = Interrupt::install(|signal| std::process::exit(128 + signal)).unwrap();
    let lock = File::create(dir.join("lock")).unwrap();
    lock.lock().unwrap();
    let bed = Bed::new();
    let context = StartContext {
        log_path: dir.join("engine.log"),
        ledger_dir: dir.clone(),
        interrupt: interrupt.clone(),
        lock: Some(&lock),
        ..bed.context()
    };
    let mut launch = launch(&flags.split(' ').collect::<Vec<_>>());
    launch.stop_grace = Nanos::from_millis(500);
    match Engine::start(&launch, &context, &mut |_| {}) {
        Ok(engine) => {
            fs::write(dir.join("ready"), engine.port().to_string()).unwrap();
            // The test ends this program, or asks it to end.
            wait_for(Duration::from_mins(2), || interrupt.is_raised());
            engine.stop();
            fs::write(dir.join("stopped"), interrupt.signal_name().unwrap_or_default()).unwrap();
        }
        Err(NotStarted::Interrupted) => {
            fs::write(dir.join("stopped"), interrupt.signal_name().unwrap_or_default()).unwrap();
        }
        Err(NotStarted::Failed(failure) | NotStarted::Unguarded(failure)) => {
            panic!("{failure:?}");
        }
    }
}

/// A runner in a process of its own, with a hostile engine.
struct Runner {
    child: Child,
    bed: Bed,
}

impl Runner {
    fn spawn(flags: &[&str], shell_before: &str) -> Self {
        let bed = Bed::new();
        let script = format!("{shell_before} exec \"$0\" --exact orphans::runner --nocapture");
        let child = Command::new("sh")
            .arg("-c")
            .arg(script)
            .arg(env::current_exe().unwrap())
            .env(RUN_DIR, bed.dir.path())
            .env(FLAGS, flags.join(" "))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, bed }
    }

    /// Starts a runner and waits until its engine serves.
    fn serving() -> Self {
        let runner = Self::spawn(&HOSTILE, "");
        assert!(
            wait_for(Duration::from_mins(1), || runner.path("ready").exists()),
            "{}",
            fs::read_to_string(runner.bed.log()).unwrap_or_default()
        );
        assert!(wait_for(Duration::from_secs(10), || runner.bed.left().len() >= 4));
        runner
    }

    fn path(&self, name: &str) -> PathBuf {
        self.bed.dir.path().join(name)
    }

    fn ledger(&self) -> Ledger {
        let path = fs::read_dir(self.bed.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.to_string_lossy().ends_with(".ledger.json"));
        Ledger::read(&path.unwrap()).unwrap()
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn is_locked(path: &Path) -> bool {
    File::open(path).unwrap().try_lock().is_err()
}

#[test]
fn a_killed_runner_leaves_nothing_and_its_lock_is_held_until_then() {
    let mut runner = Runner::serving();
    runner.kill();
    assert!(is_locked(&runner.path("lock")), "the lock went with the runner");
    let mut was_locked_with_processes_left = true;
    let is_gone = wait_for(Duration::from_secs(15), || {
        // In this order: the lock must be held at a moment after which something was left.
        let locked = is_locked(&runner.path("lock"));
        let left = !runner.bed.left().is_empty();
        was_locked_with_processes_left &= locked || !left;
        !left
    });
    assert!(is_gone, "{:?}", runner.bed.left());
    assert!(was_locked_with_processes_left);
    runner.bed.assert_clean();
    assert!(wait_for(Duration::from_secs(5), || !is_locked(&runner.path("lock"))));
}

#[test]
fn a_killed_guardian_does_not_keep_the_stop_command_from_its_work() {
    let bed = Bed::new();
    let ended = bed.dir.path().join("ended");
    let mut launch = launch(&[]);
    let command = format!("echo $PORT > {}", ended.display());
    launch.stop_argv = ["sh", "-c", command.as_str()].map(str::to_owned).to_vec();
    let engine = bed.start(&launch);
    let port = engine.port();
    kill(Pid::from_raw(engine.tree_root().unwrap()), Signal::SIGKILL).unwrap();
    assert!(wait_for(Duration::from_secs(20), || ended.exists()));
    let stop = engine.stop();
    assert!(stop.port_free, "{stop:?}");
    assert_eq!(fs::read_to_string(ended).unwrap(), format!("{port}\n"));
    assert!(bed.left().is_empty(), "{:?}", bed.left());
}

#[test]
fn a_killed_guardian_makes_the_runner_take_the_engine_down_itself() {
    let bed = Bed::new();
    let engine = bed.start(&launch(&HOSTILE));
    assert!(wait_for(Duration::from_secs(10), || bed.left().len() >= 4));
    let watch = engine.watch();
    kill(Pid::from_raw(engine.tree_root().unwrap()), Signal::SIGKILL).unwrap();
    assert!(wait_for(Duration::from_secs(2), || watch.failure().is_some()));
    assert!(watch.failure().unwrap().message.contains("guardian"));
    assert!(wait_for(Duration::from_secs(10), || bed.left().is_empty()), "{:?}", bed.left());
    let stop = engine.stop();
    assert!(stop.killed.len() >= 4 && stop.survivors.is_empty() && stop.port_free, "{stop:?}");
}

#[test]
fn what_the_death_of_runner_and_guardian_leaves_is_found_and_ended_and_nothing_else() {
    let mut runner = Runner::serving();
    let bystander = Command::new("sleep").arg("600").spawn().unwrap();
    let dirs = [runner.bed.dir.path().to_owned()];
    assert_eq!(orphans::find(&dirs).unwrap(), [], "a guarded engine is no orphan");

    // The runner is stopped first, so that it cannot clean up after its guardian.
    kill(Pid::from_raw(runner.child.id().cast_signed()), Signal::SIGSTOP).unwrap();
    kill(Pid::from_raw(runner.ledger().guardian.pid), Signal::SIGKILL).unwrap();
    runner.kill();
    // A killed process is there until the kernel has taken it down.
    wait_for(Duration::from_secs(10), || orphans::find(&dirs).unwrap().len() == 4);
    let found = orphans::find(&dirs).unwrap();
    assert_eq!(found.len(), 4, "{found:#?}");
    assert_eq!(found.iter().filter(|orphan| orphan.evidence == Evidence::Leader).count(), 1);
    assert_eq!(found.iter().filter(|orphan| orphan.evidence == Evidence::Log).count(), 3);
    assert_eq!(found[0].engine, "fake");

    // A recycled pid: the ledger's leader now has another start time.
    let mut ledger = runner.ledger();
    let path = found[0].ledger.clone();
    let leader = ledger.leader.unwrap();
    ledger.leader = Some(process::read(bystander.id().cast_signed()).unwrap().id);
    ledger.leader.as_mut().unwrap().start_time += 1;
    ledger.write(&path).unwrap();
    let found = orphans::find(&dirs).unwrap();
    assert!(found.iter().all(|orphan| orphan.evidence == Evidence::Log), "{found:#?}");
    ledger.leader = Some(leader);
    ledger.write(&path).unwrap();

    let reaped = orphans::reap(&dirs).unwrap();
    assert_eq!((reaped.ended.len(), reaped.survivors.len()), (4, 0), "{reaped:?}");
    runner.bed.assert_clean();
    let mut bystander = bystander;
    assert_eq!(bystander.try_wait().unwrap(), None, "a stranger was signalled");
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[test]
fn ledgers_of_another_boot_prove_nothing() {
    let mut runner = Runner::serving();
    let mut ledger = runner.ledger();
    let path = Ledger::path(runner.bed.dir.path(), ledger.guardian.pid);
    ledger.boot_id = "another".to_owned();
    ledger.guardian.start_time += 1;
    ledger.write(&path).unwrap();
    assert_eq!(orphans::find(&[runner.bed.dir.path().to_owned()]).unwrap(), []);
    runner.kill();
    runner.bed.assert_clean();
}

#[test]
fn an_engine_of_a_runner_under_nohup_can_still_be_asked_to_end() {
    let mut runner = Runner::spawn(&["--fork-workers", "1"], "trap '' HUP TERM INT;");
    assert!(wait_for(Duration::from_mins(1), || runner.path("ready").exists()));
    let leader = runner.ledger().leader.unwrap().pid;
    let status = fs::read_to_string(format!("/proc/{leader}/status")).unwrap();
    let mask = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    };
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM] {
        assert_eq!(mask("SigIgn:") & (1 << (signal as i32 - 1)), 0, "{signal} is ignored");
    }
    assert_eq!(mask("SigBlk:"), 0);
    runner.kill();
    runner.bed.assert_clean();
}

#[test]
fn a_signal_ends_the_runner_in_order_at_any_time() {
    for flags in [&["--listen-delay", "3600", "--ignore-term"][..], &["--ignore-term"][..]] {
        let mut runner = Runner::spawn(flags, "");
        let is_waiting = flags.len() > 1;
        assert!(wait_for(Duration::from_mins(1), || {
            runner.path("ready").exists() || (is_waiting && !runner.bed.left().is_empty())
        }));
        kill(Pid::from_raw(runner.child.id().cast_signed()), Signal::SIGTERM).unwrap();
        let status = runner.child.wait().unwrap();
        assert_eq!((status.code(), status.signal()), (Some(0), None));
        assert_eq!(fs::read_to_string(runner.path("stopped")).unwrap(), "SIGTERM");
        runner.bed.assert_clean();
    }
}
