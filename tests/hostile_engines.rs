//! Engines that misbehave, run by the program from a scenario: nothing of them stays, what they
//! did is a row, and the sweep goes on.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "starts the program and looks at what is left"
)]

mod summary;
mod undecided;

use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use bench::engine::process::{self, Process};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// The tree of vLLM: leader, children in its group, child in a session of its own; all deaf to
/// SIGTERM, the leader renamed so that its environment is wiped, children replaced when killed.
const HOSTILE: &str = r#""--ignore-term", "--proctitle", "SIM::Leader", "--fork-workers", "2",
    "--setsid-worker", "--respawn-on-kill", "--hold-port""#;
/// Time that everything gets which has no bound of its own.
const LIMIT: Duration = Duration::from_mins(1);

/// A scenario and its run directory.
struct Bed {
    home: tempfile::TempDir,
}

impl Bed {
    /// Writes a scenario: its engines, and a load of short answers for each of them.
    fn new(engines: &str, requests: u32) -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("questions.jsonl"), "{\"q\": \"1 + 1?\"}\n").unwrap();
        let names: Vec<String> = engines
            .lines()
            .filter_map(|line| line.strip_prefix("[engine.")?.strip_suffix(']'))
            .map(|name| format!("\"{name}\""))
            .collect();
        let text = format!(
            "title = \"hostile\"\n{engines}\n[matrix]\nengine = [{}]\n\
             [dataset.d]\nsource = \"jsonl\"\nlocation = \"./questions.jsonl\"\nprompt = \"{{{{ q }}}}\"\n\
             cycle = true\n[request]\napi = \"completions\"\nmax-tokens = 4\n\
             [phase.load]\nconcurrency = 2\nrequests = {requests}\n",
            names.join(", ")
        );
        fs::write(home.path().join("scenario.toml"), text).unwrap();
        Self { home }
    }

    fn dir(&self) -> PathBuf {
        self.home.path().join("run")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
        command
            .args(["run", "--fail-on", "failed", "--out"])
            .arg(self.dir())
            .arg(self.home.path().join("scenario.toml"))
            .env("HOME", self.home.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self) -> Output {
        self.command().output().unwrap()
    }

    fn spawn(&self) -> Runner {
        Runner(self.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn summary(&self) -> Value {
        summary::parse(&fs::read_to_string(self.dir().join("summary.json")).unwrap())
    }

    fn cell(&self, engine: &str) -> Value {
        let summary = self.summary();
        let cells = summary["cells"].as_array().unwrap();
        cells.iter().find(|cell| cell["keys"]["engine"] == engine).unwrap().clone()
    }

    /// Returns the events of a kind, with the wall-clock time of each.
    fn events(&self, kind: &str) -> Vec<(u64, Value)> {
        let text = fs::read_to_string(self.dir().join("events.jsonl")).unwrap_or_default();
        let rows = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        rows.filter_map(|row| Some((row["unix_ns"].as_u64()?, row["event"].get(kind)?.clone())))
            .collect()
    }
}

/// A run in the background, which a failed test does not leave there.
struct Runner(Child);

impl Runner {
    /// Returns the living processes that it started, and those that they started.
    fn tree(&self) -> Vec<Process> {
        process::below(self.0.id().cast_signed(), &process::table())
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        // In good cases it has ended long ago.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn assert_nothing_is_left(tree: &[Process]) {
    let left = || -> Vec<String> {
        let alive = tree.iter().filter(|row| process::read_alive(row.id).is_some());
        alive.map(Process::label).collect()
    };
    assert!(wait_for(|| left().is_empty()), "{:?}", left());
}

fn wait_for(mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + LIMIT;
    while !holds() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

fn told(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

fn assert_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", told(output));
}

/// Returns a hostile engine that answers slowly, and one after it that is well.
fn hostile_then_well(requests: u32) -> Bed {
    let engines = format!(
        "[engine.hostile]\npreset = \"sim\"\nstop-grace = \"300ms\"\nttft = \"100ms\"\nitl = \"50ms\"\n\
         extra-args = [{HOSTILE}]\n[engine.well]\npreset = \"sim\"\nttft = \"1ms\"\nitl = \"1ms\"\n"
    );
    Bed::new(&engines, requests)
}

/// Waits until the load has begun and returns the tree of the runner: guardian, leader and its
/// three children at least.
fn tree_under_load(bed: &Bed, runner: &Runner) -> Vec<Process> {
    assert!(wait_for(|| !bed.events("phase-started").is_empty()), "no load began");
    assert!(wait_for(|| runner.tree().len() >= 5), "{:?}", runner.tree());
    runner.tree()
}

#[test]
fn nothing_of_a_hostile_tree_is_left_after_a_run() {
    let bed = hostile_then_well(20);
    let mut runner = bed.spawn();
    let tree = tree_under_load(&bed, &runner);
    assert_eq!(runner.0.wait().unwrap().code(), Some(0));
    assert_nothing_is_left(&tree);
    let stops = bed.events("engine-stopped");
    assert_eq!(stops.len(), 2);
    let hostile = &stops[0].1["stop"];
    assert!(hostile["killed"].as_array().unwrap().len() >= 4, "{hostile}");
    for (_, stop) in &stops {
        assert_eq!(stop["stop"]["survivors"], Value::Array(Vec::new()));
        assert_eq!(stop["stop"]["port_free"], true);
    }
    assert_eq!(bed.cell("hostile")["counts"]["ok"], 20);
}

#[test]
fn nothing_of_a_hostile_tree_is_left_after_its_runner_is_killed() {
    let bed = hostile_then_well(10_000);
    let mut runner = bed.spawn();
    let tree = tree_under_load(&bed, &runner);
    runner.0.kill().unwrap();
    runner.0.wait().unwrap();
    assert_nothing_is_left(&tree);
    let doctor = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["doctor", "--runs"])
        .arg(bed.dir())
        .env("HOME", bed.home.path())
        .output()
        .unwrap();
    assert_code(&doctor, 0);
}

#[test]
fn a_killed_leader_is_a_failed_cell_within_two_seconds_and_the_sweep_goes_on() {
    let bed = hostile_then_well(60);
    let mut runner = bed.spawn();
    let tree = tree_under_load(&bed, &runner);
    let leader = tree.iter().find(|row| process::command(row.id.pid).contains("SIM::Leader"));
    let leader = leader.expect("the leader has its title").id.pid;
    let killed_at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    kill(Pid::from_raw(leader), Signal::SIGKILL).unwrap();
    assert_eq!(runner.0.wait().unwrap().code(), Some(100));
    let (failed_at, failed) = bed.events("engine-failed").remove(0);
    let seen_after = Duration::from_nanos(failed_at).saturating_sub(killed_at);
    assert!(seen_after < Duration::from_secs(2), "seen after {seen_after:?}");
    assert_eq!(failed["failure"]["class"], "died");
    assert_eq!(failed["failure"]["exit"], "signal 9 (KILL)");
    assert_nothing_is_left(&tree);
    assert_eq!(bed.cell("well")["outcome"], "complete");
}

#[test]
fn an_engine_that_exits_0_during_load_is_a_failed_cell_with_its_logs_end() {
    // The first request is the probe of the start. The load is over long before the process is
    // gone, so that nothing but a last look can tell.
    let engines = "[engine.quitter]\npreset = \"sim\"\n\
                   extra-args = [\"--die-at-request\", \"5\", \"--dying-takes\", \"800ms\"]\n\
                   [engine.well]\npreset = \"sim\"\nttft = \"1ms\"\nitl = \"1ms\"\n";
    let bed = Bed::new(engines, 20);
    let output = bed.run();
    assert_code(&output, 100);
    let failure = &bed.cell("quitter")["outcome"]["failed"];
    assert_eq!((&failure["class"], &failure["exit"]), (&"died".into(), &"exit status 0".into()));
    let tail = failure["log_tail"].as_array().unwrap();
    assert!(tail.iter().any(|line| line.as_str().unwrap().contains("listening on")), "{failure}");
    assert!(told(&output).contains("the engine ended with exit status 0"), "{}", told(&output));
    assert!(told(&output).contains("\n  | listening on http"), "{}", told(&output));
    assert_eq!(bed.cell("well")["counts"]["ok"], 20);
    assert_eq!(bed.cell("well")["outcome"], "complete");
}

#[test]
fn every_way_not_to_become_ready_is_a_row_of_its_own_class() {
    let cases = [
        ("never_binds", r#""--listen-delay", "60min""#, "timed-out", "its port to be bound"),
        ("segfaults", r#""--segv""#, "exited-early", "signal 11"),
        ("exits", r#""--exit-after", "0s", "--exit-code", "3""#, "exited-early", "exit status 3"),
        ("unhealthy", r#""--health", "503""#, "timed-out", "its health URL"),
        ("daemonises", r#""--daemonise""#, "exited-early", "exit status 0"),
        ("refuses", r#""--status", "400""#, "server", "400"),
        ("starting", r#""--status", "500""#, "timed-out", "answered 500"),
        ("silent", r#""--stall-at", "0""#, "timed-out", "its first token"),
        ("other_model", r#""--model-id", "other""#, "wrong-model", "serves `other`"),
    ];
    let engine = |(name, faults, ..): &(&str, &str, &str, &str)| {
        format!(
            "[engine.{name}]\npreset = \"sim\"\nready-timeout = \"3s\"\nextra-args = [{faults}]\n"
        )
    };
    let engines: String = cases.iter().map(engine).collect();
    let bed = Bed::new(&format!("{engines}[engine.well]\npreset = \"sim\"\n"), 4);
    assert_code(&bed.run(), 100);
    for (name, _, class, said) in cases {
        let failure = &bed.cell(name)["outcome"]["failed"];
        assert_eq!(failure["class"], class, "{name}: {failure}");
        assert!(failure["message"].as_str().unwrap().contains(said), "{name}: {failure}");
    }
    assert_eq!(bed.cell("well")["outcome"], "complete");
    let alone = "[engine.exits]\npreset = \"sim\"\nextra-args = [\"--exit-after\", \"0s\"]\n";
    assert_code(&Bed::new(alone, 4).run(), 102);
}

#[test]
fn the_first_exception_of_a_log_is_told_where_others_bury_it() {
    // As vLLM 0.32 ends on a CPU: a worker says why, then processes above it that it failed.
    const LOG: &str = "\
echo '(VllmWorker-0 pid=30) ERROR 11-30 08:37:47 [multiproc_executor.py:953] ValueError: Available \
memory on node 0 is less than desired CPU memory utilization (0.92, 21.66 GiB).'
for line in $(seq 120); do echo \"  File core_client.py, line $line\"; done
echo 'RuntimeError: Engine core initialization failed. See root cause above.'
exit 1
";
    let bed = Bed::new(
        "[engine.vllm]\nmodel = \"org/name\"\nargv = [\"sh\", \"./dies.sh\", \"{{ port }}\"]\n\
         cwd = \".\"\nrequires = []\n",
        4,
    );
    fs::write(bed.home.path().join("dies.sh"), LOG).unwrap();
    let output = bed.run();
    assert_code(&output, 102);
    let failure = &bed.cell("vllm")["outcome"]["failed"];
    assert_eq!(failure["class"], "out-of-memory", "{failure}");
    let told = "the first error in its log: ValueError: Available memory on node 0";
    assert!(String::from_utf8_lossy(&output.stdout).contains(told), "{failure}");
}

/// A server that somebody else started.
struct Foreign {
    child: Child,
    port: u16,
}

impl Foreign {
    fn start(args: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(env!("CARGO_BIN_EXE_bench"))
            .args(["serve", "sim", "--port", &port.to_string()])
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        assert!(wait_for(|| TcpStream::connect(("127.0.0.1", port)).is_ok()));
        Self { child, port }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).unwrap_or_default().lines().count()
}

#[test]
fn a_healthy_stranger_with_the_same_model_on_the_port_is_not_benchmarked() {
    let home = tempfile::tempdir().unwrap();
    let asked = home.path().join("asked.jsonl");
    let mut stranger = Foreign::start(&["--truth-log", asked.to_str().unwrap()]);
    let port = stranger.port;
    let bed = Bed::new(
        &format!(
            "[engine.sim]\nurl = \"http://127.0.0.1:{port}\"\n\
             argv = [\"{{{{ program }}}}\", \"serve\", \"sim\", \"--port\", \"{port}\"]\n\
             [engine.well]\npreset = \"sim\"\n"
        ),
        4,
    );
    let output = bed.run();
    assert_code(&output, 100);
    let failure = &bed.cell("sim")["outcome"]["failed"];
    assert_eq!(failure["class"], "port", "{failure}");
    let pid = format!("pid {} (", stranger.child.id());
    assert!(failure["message"].as_str().unwrap().contains(&pid), "{failure}");
    assert_eq!(lines(&asked), 0, "the stranger was asked for tokens");
    assert_eq!(bed.cell("well")["outcome"], "complete");
    assert!(stranger.child.try_wait().unwrap().is_none(), "the stranger was ended");
}

#[test]
fn an_attached_engine_that_works_for_others_is_a_doubt() {
    let engine = Foreign::start(&["--ttft", "1ms", "--itl", "250ms"]);
    // Somebody else's long answer: longer than the whole run.
    let body = r#"{"model":"sim","prompt":"x","max_tokens":2000,"stream":true}"#;
    let mut others = TcpStream::connect(("127.0.0.1", engine.port)).unwrap();
    let n_bytes = body.len();
    write!(
        others,
        "POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {n_bytes}\r\n\r\n{body}"
    )
    .unwrap();
    let bed = Bed::new(
        &format!(
            "[engine.shared]\npreset = \"endpoint\"\nmodel = \"sim\"\nurl = \"http://127.0.0.1:{}\"\n\
             metrics.path = \"/metrics\"\nmetrics.names.requests_running = [\"vllm:num_requests_running\"]\n",
            engine.port
        ),
        4,
    );
    assert_code(&bed.run(), 0);
    let cell = bed.cell("shared");
    let trial = bed.dir().join("cells").join(cell["name"].as_str().unwrap()).join("trial-1");
    let record: Value =
        serde_json::from_slice(&fs::read(trial.join("trial.json")).unwrap()).unwrap();
    assert_eq!(record["record"]["idle"]["before"], false);
    assert_eq!(record["record"]["idle"]["after"], false);
    let codes = cell["caveats"].as_array().unwrap();
    assert!(codes.iter().any(|caveat| caveat["code"] == "engine-busy"), "{codes:?}");
}

#[test]
fn an_attached_engine_on_this_machine_is_the_engine_and_was_not_loaded() {
    // It spins whenever an event is to come: a core of its own.
    let server = Foreign::start(&["--spin", "1s", "--ttft", "20ms", "--itl", "20ms"]);
    let engine = format!(
        "[engine.running]\npreset = \"endpoint\"\nurl = \"http://localhost:{}\"\nmodel = \"sim\"\n",
        server.port
    );
    let bed = Bed::new(&engine, 40);
    let output = bed.run();
    assert_code(&output, 0);
    let cell = bed.cell("running");
    let figure = |name: &str| cell["figures"][name]["value"].as_f64();
    // Of a core, as far as others leave it one; an engine that does not spin needs a hundredth.
    assert!(figure("engine_cpu").unwrap() > 0.05, "{cell}");
    assert!(figure("engine_memory_max").unwrap() > 0.001, "{cell}");
    assert!(!caveat(&cell, "foreign-cpu").contains(&format!("(pid {})", server.child.id())));
    assert!(cell["figures"].get("load_time").is_none() && cell.get("starts").is_none());
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!table.contains("load time"), "{table}");
    assert!(told(&output).contains("engine ready; it runs already"), "{}", told(&output));
}

/// Returns what a caveat of a cell says; nothing where it has none.
fn caveat(cell: &Value, code: &str) -> String {
    let caveats = cell["caveats"].as_array().unwrap();
    let found = caveats.iter().find(|caveat| caveat["code"] == code);
    found.map_or_else(String::new, |caveat| caveat["what"].as_str().unwrap().to_owned())
}

/// Programs that use whatever processor time they get.
struct Loops(Vec<Child>);

impl Loops {
    fn start() -> Self {
        let n = std::thread::available_parallelism().unwrap().get();
        let start = |_| Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        Self((0..n).map(start).collect())
    }

    /// Whether one of them is named; five programs of others may be busier.
    fn are_named_in(&self, text: &str) -> bool {
        let is_named =
            self.0.iter().any(|child| text.contains(&format!("sh (pid {}) ", child.id())));
        if !is_named && text.matches("(pid ").count() >= 5 {
            undecided::note("inconclusive: five programs were busier than the test's loops");
            return true;
        }
        is_named
    }
}

impl Drop for Loops {
    fn drop(&mut self) {
        for child in &mut self.0 {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

#[test]
fn a_busy_machine_is_named_before_the_first_engine_and_beside_the_figures() {
    let loops = Loops::start();
    let bed = Bed::new("[engine.sim]\npreset = \"sim\"\nextra-args = [\"--itl\", \"20ms\"]\n", 40);
    let output = bed.run();
    let told = told(&output);
    let (before, after) = told.split_once("starting sim").unwrap();
    assert!(after.starts_with(": 0 s of "), "{told}");
    let said = "before the first engine started, other programs used ";
    assert!(before.contains(said) && loops.are_named_in(before), "{told}");
    let what = caveat(&bed.cell("sim"), "foreign-cpu");
    assert!(what.starts_with("other programs used ") && loops.are_named_in(&what), "{what}");
    let report = fs::read_to_string(bed.dir().join("report.md")).unwrap();
    assert!(report.contains(&what) && report.contains(said), "{report}");
}

/// A daemon that starts and ends servers for a fake `docker`, outside of any tree of bench's.
struct Daemon {
    /// Where it takes orders: `run PORT` and `stop`.
    orders: PathBuf,
    /// What the last server ended with; `None` while it runs, or when none was started.
    ended: std::sync::Arc<std::sync::Mutex<Option<bool>>>,
}

impl Daemon {
    fn start(dir: &Path) -> Self {
        let orders = dir.join("orders");
        nix::unistd::mkfifo(&orders, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let ended = std::sync::Arc::default();
        let daemon = Self { orders, ended: std::sync::Arc::clone(&ended) };
        let path = daemon.orders.clone();
        std::thread::spawn(move || {
            let mut servers: Vec<Child> = Vec::new();
            // Each writer closes the pipe behind its order.
            while let Ok(order) = fs::read_to_string(&path) {
                if let Some(port) = order.trim().strip_prefix("run ") {
                    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
                    command.args(["serve", "sim", "--port", port]);
                    let server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
                    servers.push(server.unwrap());
                    continue;
                }
                for mut server in servers.drain(..) {
                    let was_running = server.try_wait().unwrap().is_none();
                    server.kill().unwrap();
                    server.wait().unwrap();
                    *ended.lock().unwrap() = Some(was_running);
                }
            }
        });
        daemon
    }

    /// Whether it was told to end its server, which ran until then.
    fn has_ended_its_server(&self) -> bool {
        wait_for(|| self.ended.lock().unwrap().is_some());
        self.ended.lock().unwrap().unwrap_or_default()
    }
}

/// Writes a program that speaks to the daemon as `docker` does: `run PORT` returns or, with
/// `stay` behind it, waits for the container.
fn fake_docker(dir: &Path, daemon: &Daemon) -> String {
    use std::os::unix::fs::PermissionsExt as _;

    let path = dir.join("docker");
    let orders = daemon.orders.display();
    let text =
        format!("#!/bin/sh\necho \"$1 $2\" > {orders}\n[ \"$3\" != stay ] || exec sleep 600\n");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

fn contained(docker: &str, stay: &str, stop: bool) -> String {
    let stop =
        if stop { format!("stop-command = [\"{docker}\", \"stop\"]\n") } else { String::new() };
    format!(
        "[engine.contained]\npreset = \"sim\"\nready-timeout = \"20s\"\n\
         argv = [\"{docker}\", \"run\", \"{{{{ port }}}}\"{stay}]\n{stop}"
    )
}

#[test]
fn an_engine_that_is_handed_to_a_daemon_is_measured_and_ended_by_its_stop_command() {
    for stay in ["", ", \"stay\""] {
        let home = tempfile::tempdir().unwrap();
        let daemon = Daemon::start(home.path());
        let docker = fake_docker(home.path(), &daemon);
        let bed = Bed::new(&contained(&docker, stay, true), 8);
        assert_code(&bed.run(), 0);
        let cell = bed.cell("contained");
        assert_eq!(cell["counts"]["ok"], 8, "{cell}");
        assert!(cell["figures"]["load_time"]["value"].as_f64().unwrap() > 0.0, "{cell}");
        assert!(cell["figures"]["engine_memory_max"]["value"].as_f64().unwrap() > 0.0, "{cell}");
        assert!(daemon.has_ended_its_server(), "{stay}");
    }
}

#[test]
fn a_command_that_hands_its_server_to_a_daemon_is_told_of_the_stop_command() {
    // The server may be there before bench has seen the launcher of the first form return.
    for (stay, classes) in [("", &["exited-early", "port"][..]), (", \"stay\"", &["port"])] {
        let home = tempfile::tempdir().unwrap();
        let daemon = Daemon::start(home.path());
        let docker = fake_docker(home.path(), &daemon);
        let bed = Bed::new(&contained(&docker, stay, false), 8);
        assert_code(&bed.run(), 102);
        let failure = &bed.cell("contained")["outcome"]["failed"];
        assert!(classes.contains(&failure["class"].as_str().unwrap()), "{failure}");
        assert!(failure["message"].as_str().unwrap().contains("`stop-command`"), "{failure}");
        // Of the last of three tries; nobody but the daemon knows of its server.
        fs::write(&daemon.orders, "stop\n").unwrap();
        assert!(daemon.has_ended_its_server());
    }
}

#[test]
fn a_server_that_leaves_its_launcher_but_not_the_machine_is_ended_with_and_without_a_command() {
    let engine = "[engine.daemonised]\npreset = \"sim\"\nextra-args = [\"--daemonise\"]\n\
                  stop-command = [\"sh\", \"-c\", \"echo ending {{ port }}\"]\n";
    let bed = Bed::new(engine, 8);
    assert_code(&bed.run(), 0);
    assert_eq!(bed.cell("daemonised")["counts"]["ok"], 8);
    let logs = fs::read_dir(bed.dir().join("engines")).unwrap();
    let logs = logs.flat_map(|launch| fs::read_dir(launch.unwrap().path()).unwrap());
    let logs: String = logs.map(|log| fs::read_to_string(log.unwrap().path()).unwrap()).collect();
    assert!(logs.contains("ending "), "{logs}");
}
