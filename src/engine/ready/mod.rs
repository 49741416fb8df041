//! When an engine is ready: the socket is ours, then health, then the model, then a token.

pub(in crate::engine) mod answer;
pub(crate) mod last_answer;
pub(in crate::engine) mod models;
pub mod probe;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::time::Duration;

use crate::clock::monotonic;
use crate::diagnostic::suggest::{list, nearest};
use crate::engine::http::{Answer, Http, HttpError};
use crate::engine::interrupt::Interrupt;
use crate::engine::log::printable;
use crate::engine::log::stages::LogStages;
use crate::engine::process::port::{self, Listener};
use crate::engine::ready::answer::{Meaning, NO_SUCH_API, Remedy, meaning};
use crate::engine::ready::last_answer::LastAnswer;
use crate::engine::ready::models::ListedModel;
use crate::engine::ready::probe::{Extent, PROBE_TEXT, ProbeAnswer, ProbeRequest};
use crate::engine::running::watch::Watched;
use crate::engine::step::StartStep;
use crate::plan::launch::Launch;
use crate::record::event::{EngineFailure, FailureClass, LoadTimeline, PORT_BOUND};
use crate::units::Nanos;

/// What is waited for, in words: a list of models, and one behind an answer that is none.
const MODEL_LIST: &str = "its list of models";
const UNREAD_LIST: &str = "its list of models (the answer is none)";
/// Where a list of models is looked for that the scenario does not go by, and for how long.
const USUAL_LIST: &str = "/v1/models";
const USUAL_LIST_LIMIT: Duration = Duration::from_secs(2);
/// How to measure an engine whose list is missing or wrong.
const NO_LIST: &str = "`models = \"\"` goes on without the list";
/// Time for an answer by the other API than the one that is asked for, and how often it is tried.
const OTHER_API_LIMIT: Duration = Duration::from_secs(5);
const OTHER_API_EVERY: Nanos = Nanos::from_secs(1);
/// Pause between two looks at the port.
const PORT_PAUSE: Duration = Duration::from_millis(20);
/// Pause between two calls of an engine that is not ready.
const CALL_PAUSE: Duration = Duration::from_millis(50);
/// The longest wait for one health answer; some engines generate a token for it.
const HEALTH_LIMIT: Duration = Duration::from_secs(30);
/// Answers other than "not yet" after which an engine is given up.
const REFUSALS_MAX: u32 = 3;
/// Time that an engine may list other models alone: one that loads on demand lists its own soon.
const OTHER_MODELS_LIMIT: Nanos = Nanos::from_secs(60);
/// Time between two words on what is waited for.
const TELL_EVERY: Nanos = Nanos::from_secs(1);
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

/// What a path gave.
enum Got {
    Success(Answer),
    NotYet,
    Refused,
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
    /// Which models it lists as long as the asked one is not among them.
    pub(crate) other_models: Option<String>,
    /// Time since spawn at which the wait was last told of.
    pub(crate) told_at: Nanos,
}

impl Wait<'_> {
    /// Waits until the engine has answered with a token.
    pub(crate) fn until_ready(mut self) -> Result<Ready, Unready> {
        if let Some((port, root, _)) = self.own {
            self.until_port_is_ours(port, root)?;
            self.ready.timeline.port_bound = self.stage(PORT_BOUND);
        }
        if let Some(path) = self.launch.readiness.health.clone() {
            self.until_healthy(&path)?;
            self.ready.timeline.healthy = self.stage("healthy");
        }
        if let Some(path) = self.launch.readiness.models.clone() {
            self.check_model(&path)?;
        }
        let at = self.until_token()?;
        self.ready.timeline.first_token = self.stage_at("first-token", at);
        if self.own.is_none() && self.launch.readiness.models.is_none() {
            self.ready.models = self.models_instead()?;
        }
        if let Some((port, root, _)) = self.own {
            // Nobody may have joined or replaced it on the port in the meantime.
            self.check_owner(port, root)?;
        }
        self.watch()?;
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
                    // The port was free before the command ran: the daemon's server came with it.
                    Listener::Foreign(_) | Listener::Unknown if self.launch.hands_over() => {
                        return Ok(());
                    }
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

    fn check_owner(&self, port: u16, root: i32) -> Result<(), Unready> {
        match port::listener(port, root) {
            Listener::Ours => Ok(()),
            Listener::Foreign(_) | Listener::Unknown if self.launch.hands_over() => Ok(()),
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
            // A refusal may be the health of an engine that is not well yet.
            if let Got::Success(_) = self.get(path)? {
                return Ok(());
            }
            self.pause()?;
        }
    }

    /// Waits until the list of models holds the one that was asked for.
    fn check_model(&mut self, path: &str) -> Result<(), Unready> {
        self.waiting_for = MODEL_LIST;
        let mut n_refused = 0;
        let mut others_since = None;
        loop {
            match self.get(path)? {
                Got::Success(answer) if self.holds_asked_model(&answer.body) => return Ok(()),
                Got::Success(_) if self.ready.models.is_empty() => {}
                Got::Success(_) => {
                    let since = *others_since.get_or_insert_with(monotonic);
                    let listed_for = monotonic().saturating_sub(since);
                    if listed_for > OTHER_MODELS_LIMIT {
                        return Err(self.in_vain(listed_for));
                    }
                }
                Got::NotYet => {}
                Got::Refused => n_refused += 1,
            }
            if n_refused == REFUSALS_MAX {
                let message = format!("does not list its models: {}; {NO_LIST}", self.last);
                return Err(Unready::Failed(FailureClass::Server, message));
            }
            self.pause()?;
        }
    }

    /// Returns the models that a server lists in place of the one that it was asked for and
    /// answered for: whose numbers these are is then not known. Nothing is waited for.
    fn models_instead(&mut self) -> Result<Vec<String>, Unready> {
        let http = self.http;
        let answer = http.get(USUAL_LIST, USUAL_LIST_LIMIT, &mut || self.look())?;
        let answer = answer.ok().filter(Answer::is_success);
        let listed = answer.and_then(|answer| models::listed(&answer.body)).unwrap_or_default();
        if listed.iter().any(|model| self.is_asked_model(model)) {
            return Ok(Vec::new());
        }
        Ok(listed.into_iter().map(|model| model.id).collect())
    }

    fn holds_asked_model(&mut self, body: &str) -> bool {
        let models = models::listed(body);
        self.waiting_for = if models.is_some() { MODEL_LIST } else { UNREAD_LIST };
        let Some(models) = models else {
            (self.other_models, self.ready.models) = (None, Vec::new());
            return false;
        };
        let is_there = models.iter().any(|model| self.is_asked_model(model));
        self.ready.models = models.into_iter().map(|model| model.id).collect();
        self.other_models = (!is_there).then(|| match self.ready.models.as_slice() {
            [] => "no model".to_owned(),
            ids => list(ids.iter().map(String::as_str)),
        });
        is_there
    }

    fn is_asked_model(&self, model: &ListedModel) -> bool {
        let path = self.launch.model_path.as_deref().and_then(|path| path.to_str());
        model.is_called(&self.launch.model) || path.is_some_and(|path| model.is_called(path))
    }

    /// Asks for a token until one comes; returns its monotonic time.
    fn until_token(&mut self) -> Result<Nanos, Unready> {
        self.waiting_for = "its first token";
        let (mut n_refused, mut extent) = (0, Extent::Short);
        let mut other_asked_at = None;
        loop {
            let limit = self.deadline().saturating_sub(monotonic()).into();
            let (launch, http, probe) = (self.launch, self.http, self.probe);
            let url = http.url(&probe.path);
            self.last.asking("POST", &http.way_to(&probe.path));
            let mut look = || self.look();
            match probe::ask(http, launch, probe, PROBE_TEXT, extent, limit, &mut look)? {
                Ok(Ok(answer)) => {
                    let at = answer.first_token_at;
                    self.ready.probe = answer;
                    return Ok(at);
                }
                Ok(Err(no_token)) => {
                    self.last.answered(no_token.status, &no_token.why);
                    if NO_SUCH_API.contains(&no_token.status) {
                        self.check_other_api(&mut other_asked_at)?;
                    }
                    let location = no_token.location.as_deref();
                    match meaning(no_token.status, &url, &probe.path, location) {
                        Meaning::Never(remedy) => return Err(self.never(&remedy)),
                        Meaning::NotYet => {}
                        // A status of success without a token is a refusal, too.
                        Meaning::Ready | Meaning::Refusal => {
                            (n_refused, extent) = (n_refused + 1, no_token.next);
                        }
                    }
                    if n_refused == REFUSALS_MAX {
                        let mut message = format!("sends no token: {}", self.last);
                        let blamed = probe::all_blamed(&no_token.why);
                        if let Some(field) = probe::blamed_own(&no_token.why, probe) {
                            let _ = write!(
                                message,
                                "; the scenario's `[request]` has it sent: `{field}`"
                            );
                        } else if !blamed.is_empty() {
                            let it = if blamed.len() == 1 { "it" } else { "them" };
                            let _ = write!(
                                message,
                                "; `quirks = {{ omit = {blamed:?} }}` leaves {it} out"
                            );
                        } else if probe::blames_limit(&no_token.why) {
                            message += "; `quirks = { max-completion-tokens = true }` names the \
                                        limit as newer servers do";
                        }
                        return Err(Unready::Failed(FailureClass::Server, message));
                    }
                }
                Err(error) if error.is_permanent() => return Err(hopeless(&error)),
                // A connection that breaks off counts as "not yet"; the deadline bounds it.
                Err(error) => self.missed(&error),
            }
            self.pause()?;
        }
    }

    /// Gives an engine up that has not the API that is asked for and answers by the other: no wait
    /// mends that. Asked now and then, as an engine that is starting has neither.
    fn check_other_api(&mut self, asked_at: &mut Option<Nanos>) -> Result<(), Unready> {
        let (launch, http, probe) = (self.launch, self.http, self.probe);
        let now = monotonic();
        let is_soon = asked_at.is_some_and(|at| now.saturating_sub(at) < OTHER_API_EVERY);
        if is_soon || probe.path != probe.api.usual_path() {
            return Ok(());
        }
        *asked_at = Some(now);
        let api = probe.api.other();
        let other = ProbeRequest { api, path: api.usual_path().to_owned(), ..probe.clone() };
        let limit = OTHER_API_LIMIT.min(self.deadline().saturating_sub(now).into());
        let mut look = || self.look();
        let answer = probe::ask(http, launch, &other, PROBE_TEXT, Extent::Short, limit, &mut look)?;
        if !matches!(answer, Ok(Ok(_))) {
            return Ok(());
        }
        let message = format!(
            "{}; {} answers: set `api = \"{}\"` in [request]",
            self.last,
            other.path,
            api.word()
        );
        Err(Unready::Failed(FailureClass::Server, message))
    }

    /// Gets a path once. What no wait mends is an error.
    fn get(&mut self, path: &str) -> Result<Got, Unready> {
        let limit = HEALTH_LIMIT.min(self.deadline().saturating_sub(monotonic()).into());
        let http = self.http;
        let url = http.url(path);
        self.last.asking("GET", &http.way_to(path));
        match http.get(path, limit, &mut || self.look())? {
            Ok(answer) => {
                self.last.answered(answer.status, &answer.body);
                match meaning(answer.status, &url, path, answer.location.as_deref()) {
                    Meaning::Ready => Ok(Got::Success(answer)),
                    Meaning::Refusal => Ok(Got::Refused),
                    Meaning::NotYet => Ok(Got::NotYet),
                    Meaning::Never(remedy) => Err(self.never(&remedy)),
                }
            }
            Err(error) if error.is_permanent() => Err(hopeless(&error)),
            Err(error) => {
                self.missed(&error);
                Ok(Got::NotYet)
            }
        }
    }

    /// Notes why there is no answer. A call that the end of the wait cut off says nothing new.
    fn missed(&mut self, error: &HttpError) {
        let is_cut_off = matches!(error, HttpError::TimedOut(..)) && monotonic() >= self.deadline();
        if !(is_cut_off && self.last.has_outcome()) {
            self.last.missed(error);
        }
    }

    fn never(&self, remedy: &Remedy) -> Unready {
        Unready::Failed(FailureClass::Server, format!("{}; {remedy}", self.last))
    }

    fn pause(&mut self) -> Result<(), Unready> {
        self.look()?;
        std::thread::sleep(CALL_PAUSE);
        Ok(())
    }

    fn deadline(&self) -> Nanos {
        self.spawned_at + self.launch.readiness.timeout
    }

    /// Looks at all that can end the wait, and tells of it every second.
    fn look(&mut self) -> Result<(), Unready> {
        self.watch()?;
        let elapsed = monotonic().saturating_sub(self.spawned_at);
        if elapsed.saturating_sub(self.told_at) >= TELL_EVERY {
            self.told_at = elapsed;
            let limit = self.launch.readiness.timeout;
            let asked = self.last.is_asked().then(|| self.last.to_string());
            let log = self.stages.last_line().map(|line| format!("log: {}", printable(line)));
            let last = [asked, log].into_iter().flatten().collect::<Vec<_>>().join("; ");
            let what = match self.other_models {
                Some(_) => format!("`{}` in its list of models", self.launch.model),
                None => self.waiting_for.to_owned(),
            };
            (self.on_step)(StartStep::Waiting { what, last, elapsed, limit });
        }
        Ok(())
    }

    /// Looks at all that can end the wait, and at the log.
    fn watch(&mut self) -> Result<(), Unready> {
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
        let limit = self.launch.readiness.timeout;
        if since_spawn > limit {
            return Err(self.in_vain(limit));
        }
        Ok(())
    }

    /// Tells what was waited for, and what came instead.
    fn in_vain(&self, limit: Nanos) -> Unready {
        let mut message = match &self.other_models {
            Some(served) => format!(
                "serves {served} where `{}` was asked for: waited {limit} for it",
                self.launch.model
            ),
            None => format!("waited {limit} for {}", self.waiting_for),
        };
        if self.last.is_asked() {
            let _ = write!(message, ": {}", self.last);
        }
        if self.other_models.is_some() {
            let served = self.ready.models.iter().map(String::as_str);
            if let Some(near) = nearest(&self.launch.model, served) {
                let _ = write!(message, "; did you mean `{near}`?");
            }
            message.push_str("; `model-id` says what requests call it");
        }
        if self.other_models.is_some() || [MODEL_LIST, UNREAD_LIST].contains(&self.waiting_for) {
            let _ = write!(message, "; {NO_LIST}");
        }
        if self.own.is_none() && self.last.may_want_tls() {
            message.push_str("; is it https:// instead?");
        }
        if self.own.is_none() {
            let keys = if self.http.is_direct() { "is `url`" } else { "are `url` and `proxy`" };
            let _ = write!(message, "; {keys} right? `ready-timeout` waits longer");
        }
        let class = match self.other_models {
            Some(_) => FailureClass::WrongModel,
            None => FailureClass::TimedOut,
        };
        Unready::Failed(class, message)
    }

    fn stage(&mut self, name: &str) -> Option<Nanos> {
        self.stage_at(name, monotonic())
    }

    /// Tells of a stage that was reached at `at`, and returns its time since the spawn. An engine
    /// that was not started has no such time.
    fn stage_at(&mut self, name: &str, at: Nanos) -> Option<Nanos> {
        self.own?;
        let at = at.saturating_sub(self.spawned_at);
        (self.on_step)(StartStep::Stage { name: name.to_owned(), at });
        Some(at)
    }
}

fn foreign(port: u16, who: &str) -> Unready {
    Unready::Failed(
        FailureClass::Port,
        format!(
            "port {port} is held by {who}, which is not below the command that was started; if \
             that hands its server to a daemon, as `docker run` does, add `stop-command`"
        ),
    )
}

fn hopeless(error: &HttpError) -> Unready {
    let mut message = format!("cannot {error}");
    if matches!(error, HttpError::Untrusted(..)) {
        message.push_str(
            "; if it is the engine's own, name it in the engine's table, `ca = \"engine.pem\"`; if \
             an authority signed it, name that one's there or in SSL_CERT_FILE",
        );
    }
    Unready::Failed(FailureClass::Server, message)
}
