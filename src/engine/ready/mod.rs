//! When an engine is ready: the socket is ours, then health, then the model, then a token.

pub(crate) mod last;
pub mod probe;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::time::Duration;

use crate::clock::monotonic;
use crate::engine::http::{Answer, Http, HttpError};
use crate::engine::interrupt::Interrupt;
use crate::engine::log::stages::LogStages;
use crate::engine::process::port::{self, Listener};
use crate::engine::ready::last::LastAnswer;
use crate::engine::ready::probe::{ProbeAnswer, ProbeRequest};
use crate::engine::running::watch::Watched;
use crate::engine::step::StartStep;
use crate::plan::launch::Launch;
use crate::record::event::{EngineFailure, FailureClass, LoadTimeline};
use crate::units::Nanos;

/// Pause between two looks at the port.
const PORT_PAUSE: Duration = Duration::from_millis(20);
/// Pause between two calls of an engine that is not ready.
const CALL_PAUSE: Duration = Duration::from_millis(50);
/// The longest wait for one health answer; some engines generate a token for it.
const HEALTH_LIMIT: Duration = Duration::from_secs(30);
/// Answers other than "not yet" after which an engine is given up.
const REFUSALS_MAX: u32 = 3;
/// Time that a socket may listen without a visible owner, as between fork and exec.
const UNKNOWN_OWNER_LIMIT: Nanos = Nanos::from_secs(2);

/// Why an engine is not ready.
#[derive(Debug)]
pub(crate) enum Unready {
    /// The user does not want to wait.
    Interrupted,
    /// It ended.
    Ended(Box<EngineFailure>),
    /// It will not become ready.
    Failed(FailureClass, String),
}

/// A ready engine.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    pub(crate) timeline: LoadTimeline,
    pub(crate) models: Vec<String>,
    pub(crate) probe: ProbeAnswer,
}

/// The wait for one engine.
pub(crate) struct Wait<'a> {
    pub(crate) launch: &'a Launch,
    pub(crate) http: &'a Http,
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) probe: &'a ProbeRequest,
    /// Port, guardian's pid and what it tells; absent for an engine that is attached to.
    pub(crate) own: Option<(u16, i32, &'a Watched)>,
    /// Monotonic time of the spawn.
    pub(crate) spawned_at: Nanos,
    pub(crate) stages: LogStages,
    pub(crate) on_step: &'a mut dyn FnMut(StartStep),
    pub(crate) ready: Ready,
    /// What is waited for, in words.
    pub(crate) waiting_for: &'static str,
    /// What came instead.
    pub(crate) last: LastAnswer,
}

impl Wait<'_> {
    /// Waits until the engine has answered with a token.
    pub(crate) fn until_ready(mut self) -> Result<Ready, Unready> {
        if let Some((port, root, _)) = self.own {
            self.until_port_is_ours(port, root)?;
            self.ready.timeline.port_bound = Some(self.stage("port-bound"));
        }
        if let Some(path) = self.launch.readiness.health.clone() {
            self.until_healthy(&path)?;
            self.ready.timeline.healthy = Some(self.stage("healthy"));
        }
        if let Some(path) = self.launch.readiness.models.clone() {
            self.check_model(&path)?;
        }
        let at = self.until_token()?;
        let at = at.saturating_sub(self.spawned_at);
        self.ready.timeline.first_token = Some(at);
        (self.on_step)(StartStep::Stage { name: "first-token".to_owned(), at });
        if let Some((port, root, _)) = self.own {
            // Nobody may have joined or replaced it on the port in the meantime.
            Self::check_owner(port, root)?;
        }
        self.look()?;
        Ok(self.ready)
    }

    fn until_port_is_ours(&mut self, port: u16, root: i32) -> Result<(), Unready> {
        self.waiting_for = "its port to be bound";
        let mut unknown_since = None;
        loop {
            self.look()?;
            if port::is_listened_on(port) {
                match port::listener(port, root) {
                    Listener::Ours => return Ok(()),
                    Listener::Foreign(who) => return Err(foreign(port, &who)),
                    Listener::Nobody => {}
                    Listener::Unknown => {
                        let since = *unknown_since.get_or_insert_with(monotonic);
                        if monotonic().saturating_sub(since) > UNKNOWN_OWNER_LIMIT {
                            return Err(foreign(port, "a process that cannot be seen"));
                        }
                    }
                }
            }
            std::thread::sleep(PORT_PAUSE);
        }
    }

    fn check_owner(port: u16, root: i32) -> Result<(), Unready> {
        match port::listener(port, root) {
            Listener::Ours => Ok(()),
            Listener::Foreign(who) => Err(foreign(port, &who)),
            Listener::Nobody | Listener::Unknown => Err(Unready::Failed(
                FailureClass::Server,
                format!("answered once, and then no process of it listened on port {port}"),
            )),
        }
    }

    fn until_healthy(&mut self, path: &str) -> Result<(), Unready> {
        self.waiting_for = "its health URL to answer 200";
        loop {
            if self.get(path, HEALTH_LIMIT)?.is_ok_and(|answer| answer.is_success()) {
                return Ok(());
            }
            self.look()?;
            std::thread::sleep(CALL_PAUSE);
        }
    }

    fn check_model(&mut self, path: &str) -> Result<(), Unready> {
        self.waiting_for = "its list of models";
        let mut n_refused = 0;
        let answer = loop {
            let answer = self.get(path, HEALTH_LIMIT)?;
            match answer {
                Ok(answer) if answer.is_success() => break answer,
                Ok(answer) if is_barred(answer.status) => {
                    let last = &self.last;
                    let message = format!("{last}: is `api-key-env` the variable of its key?");
                    return Err(Unready::Failed(FailureClass::Server, message));
                }
                Ok(answer) if !is_not_yet(answer.status) => n_refused += 1,
                _ => {}
            }
            if n_refused == REFUSALS_MAX {
                let message = format!("does not list its models: {}", self.last);
                return Err(Unready::Failed(FailureClass::Server, message));
            }
            self.look()?;
            std::thread::sleep(CALL_PAUSE);
        };
        self.ready.models = model_ids(&answer.body);
        if self.ready.models.iter().any(|id| self.is_asked_model(id)) {
            return Ok(());
        }
        let served = match self.ready.models.as_slice() {
            [] => "no model".to_owned(),
            ids => format!("`{}`", ids.join("`, `")),
        };
        Err(Unready::Failed(
            FailureClass::WrongModel,
            format!("serves {served} where `{}` was asked for", self.launch.model),
        ))
    }

    fn is_asked_model(&self, id: &str) -> bool {
        let path = self.launch.model_path.as_deref();
        id == self.launch.model || path.is_some_and(|path| path.as_os_str() == id)
    }

    /// Asks for a token until one comes; returns its monotonic time.
    fn until_token(&mut self) -> Result<Nanos, Unready> {
        self.waiting_for = "its first token";
        let mut n_refused = 0;
        loop {
            let limit = self.deadline().saturating_sub(monotonic());
            let (launch, http, probe) = (self.launch, self.http, self.probe);
            self.last.asking("POST", &http.url(&probe.path));
            match probe::ask(http, launch, probe, limit.into(), &mut || self.look())? {
                Ok(answer) if answer.first_token_at.is_some() => {
                    let at = answer.first_token_at.unwrap_or_default();
                    self.ready.probe = answer;
                    return Ok(at);
                }
                Ok(answer) => {
                    self.last.answered(answer.status, answer.error.as_deref().unwrap_or_default());
                    n_refused += u32::from(!is_not_yet(answer.status));
                    if n_refused == REFUSALS_MAX {
                        let message = format!("sends no token: {}", self.last);
                        return Err(Unready::Failed(FailureClass::Server, message));
                    }
                }
                Err(error) if is_permanent(&error) => return Err(hopeless(&error)),
                // A connection that breaks off counts as "not yet"; the deadline bounds it.
                Err(error) => self.last.missed(&error),
            }
            self.look()?;
            std::thread::sleep(CALL_PAUSE);
        }
    }

    fn get(&mut self, path: &str, limit: Duration) -> Result<Result<Answer, HttpError>, Unready> {
        let left = self.deadline().saturating_sub(monotonic());
        let http = self.http;
        self.last.asking("GET", &http.url(path));
        let answer = http.get(path, limit.min(left.into()), &mut || self.look())?;
        match &answer {
            Ok(answer) => self.last.answered(answer.status, &answer.body),
            Err(error) if is_permanent(error) => return Err(hopeless(error)),
            Err(error) => self.last.missed(error),
        }
        Ok(answer)
    }

    fn deadline(&self) -> Nanos {
        self.spawned_at + self.launch.readiness.timeout
    }

    /// Looks at all that can end the wait, and at the log.
    fn look(&mut self) -> Result<(), Unready> {
        let since_spawn = monotonic().saturating_sub(self.spawned_at);
        for stage in self.stages.look(since_spawn) {
            (self.on_step)(StartStep::Stage { name: stage.name.clone(), at: stage.at });
            self.ready.timeline.log_stages.push(stage);
        }
        if let Some((_, _, watched)) = self.own
            && let Some(failure) = watched.lock().failure.clone()
        {
            return Err(Unready::Ended(Box::new(failure)));
        }
        if self.interrupt.is_raised() {
            return Err(Unready::Interrupted);
        }
        let timeout = self.launch.readiness.timeout;
        if since_spawn > timeout {
            return Err(Unready::Failed(FailureClass::TimedOut, self.in_vain(timeout)));
        }
        Ok(())
    }

    /// Tells what was waited for, and what came instead.
    fn in_vain(&self, timeout: Nanos) -> String {
        let mut message = format!("waited {timeout} for {}", self.waiting_for);
        if self.last.is_asked() {
            let _ = write!(message, ": {}", self.last);
        }
        if self.own.is_none() {
            message.push_str("; is `url` right? `ready-timeout` waits longer");
        }
        message
    }

    fn stage(&mut self, name: &str) -> Nanos {
        let at = monotonic().saturating_sub(self.spawned_at);
        (self.on_step)(StartStep::Stage { name: name.to_owned(), at });
        at
    }
}

/// Whether a status means "come back later".
fn is_not_yet(status: u16) -> bool {
    matches!(status, 429 | 503)
}

/// Whether a status means "not without a key that is let in".
fn is_barred(status: u16) -> bool {
    matches!(status, 401 | 403)
}

fn foreign(port: u16, who: &str) -> Unready {
    Unready::Failed(
        FailureClass::Port,
        format!("port {port} is held by {who}, which is not the engine that was started"),
    )
}

/// Whether another answer is not to be expected, however long it is waited for.
fn is_permanent(error: &HttpError) -> bool {
    matches!(error, HttpError::Untrusted(..) | HttpError::NotTls(_) | HttpError::Unresolved(..))
}

fn hopeless(error: &HttpError) -> Unready {
    Unready::Failed(FailureClass::Server, format!("cannot {error}"))
}

/// Returns the ids in a list of models, as `OpenAI` (`data[].id`) and Ollama (`models[].name`)
/// write it.
fn model_ids(body: &str) -> Vec<String> {
    let Ok(body) = serde_json::from_str::<serde_json::Value>(body) else { return Vec::new() };
    let ids = |list: &str, name: &str| -> Vec<String> {
        let models = body.get(list).and_then(serde_json::Value::as_array);
        models
            .into_iter()
            .flatten()
            .filter_map(|model| Some(model.get(name)?.as_str()?.to_owned()))
            .collect()
    };
    let mut found = ids("data", "id");
    if found.is_empty() {
        found = ids("models", "name");
    }
    found
}
