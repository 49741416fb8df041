//! What the tests of engines as processes share: a launch of the fake engine, and a look at
//! what is left of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bench::engine::credentials::Access;
use bench::engine::interrupt::Interrupt;
use bench::engine::ready::probe::ProbeRequest;
use bench::engine::{Engine, StartContext};
use bench::plan::cell::Api;
use bench::plan::launch::{Launch, Readiness};
use bench::units::Nanos;

/// A run directory, and launches of the fake engine into it.
pub(crate) struct Bed {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) interrupt: Interrupt,
}

impl Bed {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), interrupt: Interrupt::new() }
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.dir.path().join("engine.log")
    }

    pub(crate) fn context(&self) -> StartContext<'static> {
        StartContext {
            program: PathBuf::from(env!("CARGO_BIN_EXE_bench")),
            log_path: self.log(),
            ledger_dir: self.dir.path().to_owned(),
            run_id: "test".to_owned(),
            attempt: 1,
            access: Access::default(),
            probe: ProbeRequest {
                api: Api::Completions,
                path: "/v1/completions".to_owned(),
                stream: true,
                fields: BTreeMap::new(),
                max_tokens: None,
            },
            interrupt: self.interrupt.clone(),
            lock: None,
        }
    }

    pub(crate) fn start(&self, launch: &Launch) -> Engine {
        Engine::start(launch, &self.context(), &mut |_| {}).unwrap_or_else(|not| {
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            panic!("not started: {not:?}\n{log}")
        })
    }

    /// Returns the processes that write to this bed's engine log, as `pid command`.
    pub(crate) fn left(&self) -> Vec<String> {
        writers_of(&self.log())
    }

    /// Asserts that neither a process nor a ledger of an engine is left.
    pub(crate) fn assert_clean(&self) {
        let limit = Duration::from_secs(10);
        assert!(wait_for(limit, || self.left().is_empty()), "{:?}", self.left());
        // The guardian's last act, after the last process is gone.
        assert!(wait_for(limit, || self.ledgers().is_empty()), "{:?}", self.ledgers());
    }

    fn ledgers(&self) -> Vec<String> {
        fs::read_dir(self.dir.path())
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
            .filter(|name| name.contains("ledger"))
            .collect()
    }
}

/// Returns a launch of the fake engine with flags.
pub(crate) fn launch(flags: &[&str]) -> Launch {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/engine/fake_engine.py");
    let mut argv: Vec<String> =
        ["python3", "-u", script, "--port", "$PORT"].iter().map(|arg| (*arg).to_owned()).collect();
    argv.extend(flags.iter().map(|flag| (*flag).to_owned()));
    Launch {
        engine: "fake".to_owned(),
        preset: "custom".to_owned(),
        argv,
        base_url: "http://127.0.0.1:$PORT".to_owned(),
        model: "fake".to_owned(),
        readiness: Readiness {
            health: Some("/health".to_owned()),
            models: Some("/v1/models".to_owned()),
            timeout: Nanos::from_secs(60),
        },
        stop_grace: Nanos::from_secs(10),
        ..Launch::default()
    }
}

/// Returns the processes whose standard output or error is this file.
pub(crate) fn writers_of(log: &Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;

    let Ok(file) = fs::metadata(log) else { return Vec::new() };
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            (1..=2).any(|fd| {
                fs::metadata(format!("/proc/{pid}/fd/{fd}"))
                    .is_ok_and(|open| (open.dev(), open.ino()) == (file.dev(), file.ino()))
            })
        })
        .map(|pid| format!("{pid} {}", bench::engine::process::command(pid)))
        .collect()
}

/// Waits until something holds; says whether it did in time.
pub(crate) fn wait_for(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !holds() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}
