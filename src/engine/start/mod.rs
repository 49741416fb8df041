//! Starting an engine, on another port if somebody else was faster.

pub mod page_cache;
pub mod requires;
pub mod version;

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use indicatif::BinaryBytes;

use crate::clock::monotonic;
use crate::engine::credentials::Access;
use crate::engine::guardian::handle::GuardianHandle;
use crate::engine::guardian::protocol::StartOrder;
use crate::engine::http::Http;
use crate::engine::http::trust;
use crate::engine::interrupt::Interrupt;
use crate::engine::log::stages::LogStages;
use crate::engine::process;
use crate::engine::process::port::{self, Listener};
use crate::engine::ready::last_answer::LastAnswer;
use crate::engine::ready::probe::ProbeRequest;
use crate::engine::ready::{Ready, Unready, Wait};
pub use crate::engine::running::Engine;
use crate::engine::running::watch::Watched;
use crate::engine::start::requires::program_lack;
use crate::engine::step::StartStep;
use crate::engine::stop::gpu_memory;
use crate::engine::stop::gpu_memory::GpuBaseline;
use crate::plan::launch::{Launch, PORT};
use crate::record::event::{EngineFailure, FailureClass, LoadTimeline, PageCache};
use crate::units::Nanos;

/// Starts on further ports when somebody else was faster on the picked one.
const PORT_TRIES: u32 = 3;
/// Time that a guardian gets to report the spawn.
const SPAWN_LIMIT: Duration = Duration::from_secs(20);

/// What a start needs beside the launch.
#[derive(Clone, Debug)]
pub struct StartContext<'a> {
    /// The `bench` program, run again as the guardian; [`this_program`] outside of tests.
    pub program: PathBuf,
    /// Log file; appended to.
    pub log_path: PathBuf,
    /// Directory of the ledger of orphans: the run directory.
    pub ledger_dir: PathBuf,
    /// The run.
    pub run_id: String,
    /// Number of the start of this launch, from 1.
    pub attempt: u32,
    /// The key that its calls carry, and the redaction of what it says.
    pub access: Access,
    /// The request that proves readiness.
    pub probe: ProbeRequest,
    /// The user's wish to end.
    pub interrupt: Interrupt,
    /// The run's lock file, kept locked by the guardian until the engine is gone.
    pub lock: Option<&'a File>,
}

/// Why there is no engine. Nothing of it is left in any case.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// It failed.
    #[error("start the engine: {}", .0.message)]
    Failed(Box<EngineFailure>),
    /// Its guardian was lost, and it was ended for that.
    #[error("start the engine: {}", .0.message)]
    Unguarded(Box<EngineFailure>),
    /// The user interrupted the start.
    #[error("start the engine: interrupted")]
    Interrupted,
}

/// Returns the path under which this program can be run again, also after it was replaced on disk.
pub fn this_program() -> PathBuf {
    PathBuf::from("/proc/self/exe")
}

impl Engine {
    /// Starts an engine and waits until it has answered with a token; attaches to it when the
    /// launch has no command.
    ///
    /// # Errors
    /// [`NotStarted::Failed`] with the class, the exit status and the end of the log.
    pub fn start(
        launch: &Launch,
        context: &StartContext<'_>,
        on_step: &mut dyn FnMut(StartStep),
    ) -> Result<Self, NotStarted> {
        let is_picked = launch.is_started() && launch.base_url.contains(PORT);
        let mut n_tries = 1;
        loop {
            let start = Start::new(launch, context);
            match start.run(is_picked, on_step) {
                Err(NotStarted::Failed(failure)) if start.watched.lock().is_unguarded => {
                    return Err(NotStarted::Unguarded(failure));
                }
                Err(NotStarted::Failed(failure))
                    if failure.class == FailureClass::Port && is_picked && n_tries < PORT_TRIES =>
                {
                    n_tries += 1;
                }
                other => return other,
            }
        }
    }
}

/// One try to start an engine.
struct Start<'a> {
    launch: &'a Launch,
    context: &'a StartContext<'a>,
    watched: Arc<Watched>,
}

impl<'a> Start<'a> {
    fn new(launch: &'a Launch, context: &'a StartContext<'a>) -> Self {
        let redactor = context.access.redactor.clone();
        let watched = Watched::new(context.log_path.clone(), redactor, launch);
        Self { launch, context, watched }
    }

    fn run(
        &self,
        is_picked: bool,
        on_step: &mut dyn FnMut(StartStep),
    ) -> Result<Engine, NotStarted> {
        let port = if is_picked {
            port::pick().map_err(|error| self.not_spawned(&format!("pick a port: {error}")))?
        } else {
            port_of(&self.launch.base_url).unwrap_or(0)
        };
        let base_url = self.launch.base_url_at(port);
        let tls = trust::tls(&base_url, self.launch.ca.as_deref())
            .map_err(|error| self.not_spawned(&format!("cannot {error}")))?;
        let http = Http::new(&base_url, self.context.access.clone(), &tls)
            .map_err(|error| self.not_spawned(&format!("make an HTTP client: {error}")))?;
        let page_cache = self.prepare_page_cache()?;
        let mut gpus = gpu_memory::baseline(self.launch);
        let mut spawned_at = monotonic();
        let mut guardian = None;
        // Opened before the spawn, so that no line is missed.
        let stages = LogStages::follow(&self.context.log_path, &self.launch.log_patterns);
        if self.launch.is_started() {
            let argv = self.launch.argv_at(port);
            on_step(StartStep::Spawning { port, argv: argv.clone() });
            let (new, at) = self.spawn(argv, port)?;
            spawned_at = at;
            guardian = Some(new);
        }
        let wait = Wait {
            launch: self.launch,
            http: &http,
            interrupt: &self.context.interrupt,
            probe: &self.context.probe,
            own: guardian.as_ref().map(|guardian| (port, guardian.pid(), &*self.watched)),
            spawned_at,
            stages,
            on_step,
            ready: Ready {
                timeline: LoadTimeline { page_cache, ..LoadTimeline::default() },
                ..Ready::default()
            },
            waiting_for: "its start",
            last: LastAnswer::default(),
            other_models: None,
            told_at: Nanos::ZERO,
        };
        let ready = match wait.until_ready() {
            Ok(ready) => ready,
            Err(unready) => return Err(self.give_up(unready, guardian, gpus)),
        };
        if let Some(guardian) = &mut guardian {
            guardian.serve();
        }
        if let Some(gpus) = &mut gpus {
            gpus.keep_used();
        }
        Ok(Engine {
            launch: self.launch.clone(),
            port,
            base_url,
            log_path: self.context.log_path.clone(),
            interrupt: self.context.interrupt.clone(),
            access: self.context.access.clone(),
            http,
            tls,
            timeline: ready.timeline,
            models: ready.models,
            probe: ready.probe,
            gpus,
            watched: Arc::clone(&self.watched),
            guardian,
            metrics_http: OnceLock::new(),
            listening: Mutex::new(None),
            drained_at: Mutex::new(None),
        })
    }

    fn prepare_page_cache(&self) -> Result<PageCache, NotStarted> {
        let model = self.launch.model_path.as_deref().filter(|_| self.launch.cold_page_cache);
        let Some(model) = model else { return Ok(PageCache::AsFound) };
        page_cache::drop_model(model).map(|()| PageCache::Cold).map_err(|error| {
            let place = model.display();
            self.not_spawned(&format!("drop {place} from the page cache: {error}"))
        })
    }

    fn spawn(&self, argv: Vec<String>, port: u16) -> Result<(GuardianHandle, Nanos), NotStarted> {
        if let Listener::Foreign(who) = port::listener(port, -1) {
            let message = format!("port {port} is held by {who} before the engine is started");
            let failure = self.watched.failure(FailureClass::Port, &message, None);
            return Err(NotStarted::Failed(Box::new(failure)));
        }
        if let Some(lack) = argv.first().and_then(|program| program_lack(self.launch, program)) {
            return Err(self.not_spawned(&format!("{lack}; install it, or give its path")));
        }
        let order = self.order(argv, port).map_err(|error| self.not_spawned(&error.to_string()))?;
        let context = self.context;
        let guardian = GuardianHandle::start(
            &context.program,
            &order,
            context.lock,
            &self.watched,
            &context.interrupt,
        )
        .map_err(|error| self.not_spawned(&format!("start the guardian: {error}")))?;
        self.watched.wait(SPAWN_LIMIT, |state| state.started.is_some() || state.gone.is_some());
        // Bound first: describing a failure needs the lock as well.
        let started = self.watched.lock().started.clone();
        match started {
            Some(Ok((_, at))) => Ok((guardian, at)),
            Some(Err(error)) => Err(self.not_spawned(&error)),
            None => Err(self.not_spawned("the guardian did not report a start")),
        }
    }

    fn order(&self, argv: Vec<String>, port: u16) -> io::Result<StartOrder> {
        let context = self.context;
        let runner = process::read(process::own_pid())
            .ok_or_else(|| io::Error::other("cannot read /proc; is it mounted?"))?;
        Ok(StartOrder {
            run_id: context.run_id.clone(),
            engine: self.launch.engine.clone(),
            attempt: context.attempt,
            argv,
            stop_argv: self.launch.stop_argv_at(port),
            env: self.launch.env_at(port),
            cwd: self.launch.cwd.clone(),
            log: context.log_path.clone(),
            ledger_dir: context.ledger_dir.clone(),
            runner: runner.id,
            port,
            grace: self.launch.stop_grace,
            env_from: self.launch.secret_env(),
        })
    }

    /// Takes down what was started and describes why.
    fn give_up(
        &self,
        unready: Unready,
        guardian: Option<GuardianHandle>,
        gpus: Option<GpuBaseline>,
    ) -> NotStarted {
        // The log's end is read before the teardown adds its own lines to it.
        let failure = match unready {
            Unready::Interrupted => None,
            Unready::Ended(failure) => Some(failure),
            Unready::Failed(class, message) => {
                let exit = self.watched.lock().exit.clone();
                Some(Box::new(self.watched.failure(class, &message, exit)))
            }
        };
        let interrupt = &self.context.interrupt;
        let is_urgent = || interrupt.is_urgent();
        let gone = guardian.map(|mut guardian| guardian.stop(self.launch.stop_grace, &is_urgent));
        let memory_left = gpus.map_or(0, |gpus| gpus.wait_until_back_if_used(&is_urgent));
        let Some(mut failure) = failure else { return NotStarted::Interrupted };
        if let Some(gone) = gone.filter(|gone| !gone.survivors.is_empty()) {
            let left = gone.survivors.join("; ");
            failure.message.push_str(" (processes that could not be ended: ");
            failure.message.push_str(&left);
            failure.message.push(')');
        }
        if memory_left > 0 {
            let left = BinaryBytes(memory_left);
            let _ = write!(failure.message, " ({left} of device memory did not come back)");
        }
        NotStarted::Failed(failure)
    }

    fn not_spawned(&self, message: &str) -> NotStarted {
        let mut failure = self.watched.failure(FailureClass::Spawn, message, None);
        // Nothing of this start is in the log.
        failure.log_tail.clear();
        NotStarted::Failed(Box::new(failure))
    }
}

/// Returns the port that a URL names, or the usual one of its scheme.
fn port_of(url: &str) -> Option<u16> {
    let url = reqwest::Url::parse(url).ok()?;
    url.port_or_known_default()
}
