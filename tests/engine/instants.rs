//! A guardian whose runner is gone, and that is killed or refused something at each system call of
//! its life: what comes after it finds the engine, and ends it.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use bench::engine::guardian::protocol::{Order, StartOrder};
use bench::engine::process;
use bench::engine::stop::orphans;
use bench::units::Nanos;

use crate::bed::{Bed, launch, wait_for};
use crate::undecided;

/// The calls between which the state of engine, ledger and lock changes.
const CALLS: [&str; 8] =
    ["openat", "write", "rename", "unlink", "execve", "vfork", "clone3", "kill"];

/// Instants of each call at which a guardian is killed, the first and the last among them.
const SOME: usize = 6;

/// A guardian, with nobody at the other end of its pipes.
struct Guardian {
    child: Child,
    orders: Option<ChildStdin>,
}

impl Guardian {
    /// Starts one below strace.
    fn traced(bed: &Bed, strace: &[&str]) -> Self {
        let mut command = Command::new("strace");
        // The traced program is the child, and strace its child's child.
        command.arg("-D").args(strace).arg(env!("CARGO_BIN_EXE_bench"));
        Self::start(bed, command, order(bed))
    }

    /// Starts one that has the run's lock, as a runner does, and gives it an order.
    fn start(bed: &Bed, mut command: Command, order: StartOrder) -> Self {
        let lock = File::create(bed.dir.path().join("lock")).unwrap();
        lock.lock().unwrap();
        let mut child = command
            .arg("__guardian")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(lock)
            .process_group(0)
            .spawn()
            .unwrap();
        let mut orders = child.stdin.take().unwrap();
        let mut line = serde_json::to_vec(&Order::Start(Box::new(order))).unwrap();
        line.extend_from_slice(b"\n");
        // It may be dead already.
        let _ = orders.write_all(&line);
        Self { child, orders: Some(orders) }
    }

    /// Waits until its engine is there, or it is dead.
    fn wait(&mut self, bed: &Bed) {
        let is_up = || fs::read_to_string(bed.log()).is_ok_and(|log| log.contains("hello"));
        let mut is_dead = false;
        wait_for(Duration::from_secs(10), || {
            is_dead = self.child.try_wait().unwrap().is_some();
            is_up() || is_dead
        });
    }

    /// Lets it live until its engine is there, then ends its orders as a killed runner does.
    fn play(mut self, bed: &Bed) {
        self.wait(bed);
        let mut orders = self.orders.take().unwrap();
        let _ = orders.write_all(b"\"serving\"\n");
        drop(orders);
        self.child.wait().unwrap();
    }
}

/// Returns the order to start an engine that leaves a worker whose output goes elsewhere.
fn order(bed: &Bed) -> StartOrder {
    let argv = ["sh", "-c", "sleep 600 > /dev/null 2>&1 & echo hello; exec sleep 601"];
    StartOrder {
        run_id: "test".to_owned(),
        engine: launch(&[]).engine,
        attempt: 1,
        argv: argv.map(str::to_owned).to_vec(),
        stop_argv: Vec::new(),
        env: [].into(),
        cwd: Some(bed.dir.path().to_owned()),
        log: bed.log(),
        ledger_dir: bed.dir.path().to_owned(),
        runner: process::read(process::own_pid()).unwrap().id,
        port: 1,
        grace: Nanos::from_millis(200),
        env_from: [].into(),
    }
}

/// What a resume does: it takes the lock, which the guardian and what it is about to start hold, and
/// ends the orphans.
fn resume(bed: &Bed) {
    let is_free = || File::open(bed.dir.path().join("lock")).unwrap().try_lock().is_ok();
    assert!(wait_for(Duration::from_secs(20), is_free), "the lock is held");
    let reaped = orphans::reap(&[bed.dir.path().to_owned()]).unwrap();
    assert!(reaped.survivors.is_empty(), "{reaped:?}");
}

/// Returns the processes whose working directory is the bed's.
fn left(bed: &Bed) -> Vec<String> {
    let home = fs::canonicalize(bed.dir.path()).unwrap();
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        entry.unwrap().file_name().to_str().and_then(|name| name.parse::<i32>().ok())
    });
    let is_here = |pid: &i32| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|it| it == home);
    pids.filter(is_here).map(|pid| format!("{pid} {}", process::command(pid))).collect()
}

/// Returns how often a guardian makes a call until it makes one with such an argument, or in a whole
/// life; `None` where nobody may trace.
fn n_calls(call: &str, until: &str) -> Option<usize> {
    let bed = Bed::new();
    let calls = bed.dir.path().join("calls");
    let trace = format!("trace={call}");
    let status = Command::new("strace").arg("true").stderr(Stdio::null()).status().ok()?;
    if !status.success() {
        return None;
    }
    let guardian = Guardian::traced(&bed, &["-e", &trace, "-o", calls.to_str().unwrap()]);
    guardian.play(&bed);
    resume(&bed);
    assert!(wait_for(Duration::from_secs(5), || is_told_whole(&calls)), "strace wrote nothing");
    let text = fs::read_to_string(&calls).unwrap();
    let calls = text.lines().filter(|line| line.starts_with(&format!("{call}(")));
    Some(calls.take_while(|line| !line.contains(until)).count())
}

/// Whether strace has written the end of the guardian.
fn is_told_whole(calls: &Path) -> bool {
    fs::read_to_string(calls).is_ok_and(|text| text.contains("+++ exited"))
}

/// Spreads instants over `1..=n`, the first and the last among them.
fn spread(n: usize, n_wanted: usize) -> Vec<usize> {
    if n <= n_wanted {
        return (1..=n).collect();
    }
    (0..n_wanted).map(|at| 1 + at * (n - 1) / (n_wanted - 1)).collect()
}

/// Plays a guardian's life with something injected at so many instants of each call.
fn at_each(calls: &[&str], until: &str, n_wanted: usize, what: &str) {
    let mut n_met = 0;
    for call in calls {
        let Some(n) = n_calls(call, until) else {
            return undecided::note("skipped: strace is not here, or may not trace");
        };
        for nth in spread(n, n_wanted) {
            let bed = Bed::new();
            let inject = format!("inject={call}:{what}:when={nth}");
            let trace = format!("trace={call}");
            let strace = ["-e", &trace, "-e", &inject, "-o", "/dev/null"];
            Guardian::traced(&bed, &strace).play(&bed);
            resume(&bed);
            let gone = wait_for(Duration::from_secs(2), || left(&bed).is_empty());
            assert!(gone, "{call} {nth}: {:?}", left(&bed));
            n_met += 1;
        }
    }
    assert!(n_met > calls.len(), "{n_met}");
}

#[test]
fn whenever_a_guardian_without_runner_is_killed_its_engine_is_found() {
    at_each(&CALLS, "+++", SOME, "signal=KILL");
}

#[test]
fn a_guardian_that_may_open_no_further_file_leaves_nothing() {
    // Then it reads the table of all processes, again and again.
    at_each(&["openat"], "\"/proc\", ", usize::MAX, "error=EMFILE");
}

/// Orders an engine whose command hands it to a daemon, and kills the guardian.
fn hand_over(bed: &Bed, stop: &str, port: u16) {
    let stop_argv = ["sh", "-c", stop].map(str::to_owned).to_vec();
    let order = StartOrder { stop_argv, port, ..order(bed) };
    let mut guardian = Guardian::start(bed, Command::new(env!("CARGO_BIN_EXE_bench")), order);
    guardian.wait(bed);
    guardian.child.kill().unwrap();
    guardian.child.wait().unwrap();
}

#[test]
fn what_a_daemon_holds_for_a_killed_run_is_ended_by_its_stop_command() {
    let bed = Bed::new();
    hand_over(&bed, "pwd > ended", 1);
    resume(&bed);
    let home = fs::canonicalize(bed.dir.path()).unwrap();
    let told = fs::read_to_string(bed.dir.path().join("ended")).unwrap();
    assert_eq!(Path::new(told.trim()), home);
    bed.assert_clean();
    assert_eq!(left(&bed), [""; 0]);
}

#[test]
fn a_stop_command_that_fails_is_told_as_long_as_the_port_is_listened_on() {
    let bed = Bed::new();
    let daemon = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = daemon.local_addr().unwrap().port();
    hand_over(&bed, "exit 3", port);
    let dirs = [bed.dir.path().to_owned()];
    let told = orphans::reap(&dirs).unwrap().survivors;
    let expected =
        format!("engine fake, on port {port}, which `sh -c exit 3` is to end: it failed");
    assert_eq!(told, [expected]);
    drop(daemon);
    resume(&bed);
    bed.assert_clean();
}
