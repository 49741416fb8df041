//! A ready engine: what can be asked of it, and its end.

pub mod watch;

pub(in crate::engine) mod configuration;
pub(crate) mod facts;
pub(crate) mod processes;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use crate::engine::credentials::Access;
use crate::engine::guardian::handle::GuardianHandle;
use crate::engine::http::Http;
use crate::engine::interrupt::Interrupt;
use crate::engine::log::throughput::LogRates;
use crate::engine::process::port;
use crate::engine::process::port::{HeldSocket, Listener};
use crate::engine::ready::probe::ProbeAnswer;
use crate::engine::running::processes::EngineProcesses;
use crate::engine::running::watch::{EngineWatch, Gone, Watched};
use crate::engine::stop::gpu_memory::GpuBaseline;
use crate::engine::tokenize::{self, Prompt};
use crate::plan::launch::Launch;
use crate::record::event::{EngineFacts, EngineFailure, LoadTimeline, StopRecord};
use crate::record::gauge::Gauge;
use crate::telemetry::prometheus;

/// Time that a port gets to become free after a stop.
const PORT_LIMIT: Duration = Duration::from_mins(1);
/// Time that a process gets from closing its sockets to being gone.
const DEATH_LIMIT: Duration = Duration::from_secs(2);
/// The longest wait for the answer of a control call.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// The longest wait for metrics beside the load; a late sample is no sample.
const METRICS_LIMIT: Duration = Duration::from_secs(2);

/// A ready engine. Dropping it kills whatever is left of it.
#[derive(Debug)]
pub struct Engine {
    pub(crate) launch: Launch,
    pub(crate) port: u16,
    pub(crate) base_url: String,
    pub(crate) log_path: PathBuf,
    pub(crate) interrupt: Interrupt,
    pub(crate) access: Access,
    pub(crate) http: Http,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) timeline: LoadTimeline,
    pub(crate) models: Vec<String>,
    pub(crate) probe: ProbeAnswer,
    pub(crate) gpus: Option<GpuBaseline>,
    pub(crate) watched: Arc<Watched>,
    pub(crate) guardian: Option<GuardianHandle>,
    /// The client of the samples of its metrics, once there is one, or why there is none.
    pub(crate) metrics_http: OnceLock<Result<Arc<Http>, String>>,
    /// The socket on which it listens, once it was seen after a load.
    pub(crate) listening: Mutex<Option<HeldSocket>>,
    /// When its metrics last told of no open request.
    pub(crate) drained_at: Mutex<Option<Instant>>,
}

impl Engine {
    /// Returns the port; 0 for an attached engine whose URL names none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the base URL with the port filled in.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Returns how connections to it are secured.
    pub fn tls(&self) -> &Arc<ClientConfig> {
        &self.tls
    }

    /// Returns the key that its calls carry, and the redaction of what it says.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Returns the stages of the start.
    pub fn timeline(&self) -> &LoadTimeline {
        &self.timeline
    }

    /// Whether it was ended because its guardian was lost: it did nothing wrong.
    pub fn is_unguarded(&self) -> bool {
        self.watched.lock().is_unguarded
    }

    /// Returns the guardian's pid, below which all processes of the engine are; `None` when attached.
    pub fn tree_root(&self) -> Option<i32> {
        self.guardian.as_ref().map(GuardianHandle::pid)
    }

    /// Asks the engine and its files for what is worth recording. Takes as long as the version
    /// command: not while something is measured.
    pub fn facts(&self) -> EngineFacts {
        let foreign = self.gpus.as_ref().map_or(&[][..], GpuBaseline::foreign);
        facts::gather(&self.launch, &self.http, &self.log_path, &self.models, &self.probe, foreign)
    }

    /// Returns a watch for other threads.
    pub fn watch(&self) -> EngineWatch {
        self.watched.watch()
    }

    /// Returns how the engine failed, asked right after a load: it must still listen on its
    /// port. One that was only just lost gets time to be seen dead, since the sockets of a dying
    /// process close before it is gone.
    pub fn failure_after_load(&self) -> Option<EngineFailure> {
        let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        if listening.as_ref().is_some_and(HeldSocket::is_held) {
            return self.watch().failure();
        }
        let lost = self.tree_root().and_then(|root| match port::listener(self.port, root) {
            Listener::Ours => {
                *listening = HeldSocket::find(self.port, root);
                None
            }
            Listener::Foreign(_) | Listener::Unknown if self.launch.hands_over() => None,
            Listener::Foreign(who) => Some(format!("is listened on by {who}")),
            Listener::Nobody | Listener::Unknown => Some("is listened on by none of it".into()),
        });
        if let Some(lost) = lost {
            self.watched.wait(DEATH_LIMIT, |state| state.failure.is_some());
            self.watched.note_failure(&format!("after the load, port {} {lost}", self.port), None);
        }
        self.watch().failure()
    }

    /// Returns a function that brings the rates which the engine writes to its log from now on,
    /// for a probe on another thread; `None` if it writes none or its log is not ours.
    pub fn log_rates(
        &self,
    ) -> Option<impl FnMut() -> Option<BTreeMap<Gauge, f64>> + Send + 'static> {
        self.tree_root()?;
        let mut rates = LogRates::follow(&self.log_path, &self.launch.log_patterns)?;
        Some(move || rates.look())
    }

    /// Empties the engine's prefix cache; `None` if it has no call for that.
    pub fn reset_prefix_cache(&self) -> Option<Result<(), String>> {
        let call = self.launch.cache_reset.as_ref()?;
        let answer = self.http.call_plain(&call.method, &call.path, CALL_LIMIT);
        Some(match answer {
            Ok(answer) if answer.is_success() => Ok(()),
            Ok(answer) => Err(format!("{} {} answered {}", call.method, call.path, answer.status)),
            Err(error) => Err(error.to_string()),
        })
    }

    /// Returns the tokens that the engine's own tokenizer makes of a prompt, if it tells.
    pub(crate) fn tokens(&self, prompt: &Prompt<'_>) -> Option<Vec<u32>> {
        tokenize::tokens(&self.http, &self.launch.model, prompt)
    }

    /// Returns the text of the engine's metrics endpoint; `None` if it has none.
    pub fn metrics_text(&self) -> Option<Result<String, String>> {
        let endpoint = self.launch.metrics.as_ref()?;
        Some(text_of(&self.http, &endpoint.path, CALL_LIMIT))
    }

    /// Returns a function that lists the engine's living processes, or says why they cannot be
    /// seen, for a probe on another thread; `None` when it runs on another machine.
    pub fn pids(&self) -> Option<impl FnMut() -> Result<Vec<i32>, String> + Send + 'static> {
        let processes = match self.tree_root() {
            Some(guardian) if self.launch.hands_over() => {
                EngineProcesses::handed_over(guardian, self.port)
            }
            Some(guardian) => EngineProcesses::Guarded(guardian),
            None => EngineProcesses::behind(&self.base_url, self.port)?,
        };
        Some(move || processes.pids())
    }

    /// Returns a function that brings the text of the metrics endpoint, for a probe on another
    /// thread; `None` if the engine has no such endpoint.
    pub fn metrics_source(
        &self,
    ) -> Option<impl FnMut() -> Result<String, String> + Send + 'static> {
        let endpoint = self.launch.metrics.clone()?;
        // A client of its own: a sample that hangs keeps no control call waiting.
        let client = || Http::new(&self.base_url, self.access.clone(), &self.tls);
        let client = || client().map(Arc::new).map_err(|error| error.to_string());
        let http = self.metrics_http.get_or_init(client).clone();
        Some(move || text_of(http.as_ref().map_err(Clone::clone)?, &endpoint.path, METRICS_LIMIT))
    }

    /// Whether the engine was seen without open requests within so long.
    pub fn was_drained_within(&self, limit: Duration) -> bool {
        let at = self.drained_at.lock().unwrap_or_else(PoisonError::into_inner);
        at.is_some_and(|at| at.elapsed() <= limit)
    }

    /// Takes note that its metrics just told of no open request.
    pub fn note_drained(&self) {
        let mut at = self.drained_at.lock().unwrap_or_else(PoisonError::into_inner);
        *at = Some(Instant::now());
    }

    /// Waits until the engine has neither running nor waiting requests.
    ///
    /// `Some(false)` when the limit passed first, or the caller wants to wait no longer; `None`
    /// when its metrics do not tell.
    pub fn drained(&self, limit: Duration, stop_waiting: &dyn Fn() -> bool) -> Option<bool> {
        let names = &self.launch.metrics.as_ref()?.names;
        let deadline = Instant::now() + limit;
        loop {
            let text = self.metrics_text()?.ok()?;
            let (values, _) = prometheus::pick(&prometheus::parse(&text), names);
            match prometheus::n_open(&values)? {
                n_open if n_open < 0.5 => {
                    self.note_drained();
                    return Some(true);
                }
                _ if Instant::now() > deadline || stop_waiting() => return Some(false),
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Stops the engine: SIGTERM to all its processes, after the grace SIGKILL until none is
    /// left, then waits until the port can be bound again and the GPUs' memory is back.
    pub fn stop(mut self) -> StopRecord {
        let Some(mut guardian) = self.guardian.take() else {
            return StopRecord { port_free: true, ..StopRecord::default() };
        };
        let interrupt = self.interrupt.clone();
        let gone = guardian.stop(self.launch.stop_grace, &|| interrupt.is_urgent());
        let port_free = port::wait_until_free(self.port, PORT_LIMIT, &|| interrupt.is_urgent());
        let memory_left_bytes = self
            .gpus
            .as_ref()
            .map(|gpus| gpus.wait_until_back(&|| interrupt.is_urgent()))
            .unwrap_or_default();
        let Gone { took, killed, survivors } = gone;
        StopRecord { took, killed, survivors, port_free, memory_left_bytes }
    }
}

fn text_of(http: &Http, path: &str, limit: Duration) -> Result<String, String> {
    match http.get_plain(path, limit) {
        Ok(answer) if answer.is_success() => Ok(answer.body),
        Ok(answer) => Err(format!("{path} answered {}", answer.status)),
        Err(error) => Err(error.to_string()),
    }
}
