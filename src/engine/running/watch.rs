//! What is known of a running engine from its guardian, shared by all who need to know.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::monotonic;
use crate::engine::log;
use crate::engine::log::failure;
use crate::engine::process::ProcessId;
use crate::plan::launch::{Launch, LogPatterns};
use crate::record::event::{EngineFailure, FailureClass};
use crate::secrets::redact::Redactor;
use crate::units::Nanos;

/// A look at an engine from any thread.
#[derive(Clone, Debug)]
pub struct EngineWatch(Arc<Watched>);

impl EngineWatch {
    /// Returns how the engine failed, as soon as one of its lasting processes or its guardian
    /// ended without being asked to. Any exit status counts, also 0.
    pub fn failure(&self) -> Option<EngineFailure> {
        self.0.lock().failure.clone()
    }
}

/// The state behind [`EngineWatch`], written by the thread that listens to the guardian.
#[derive(Debug)]
pub(crate) struct Watched {
    state: Mutex<State>,
    changed: Condvar,
    log_path: PathBuf,
    redactor: Redactor,
    /// Engine name in the scenario.
    name: String,
    patterns: LogPatterns,
    /// Whether the engine's command hands it to a daemon and may end then.
    pub(crate) hands_over: bool,
}

/// What the guardian has told.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// First process and monotonic time of the spawn, or why there is none.
    pub(crate) started: Option<Result<(ProcessId, Nanos), String>>,
    /// Whether it serves.
    pub(crate) is_serving: bool,
    /// Whether it was asked to end.
    pub(crate) is_stopping: bool,
    /// Status of the first process, once it ended.
    pub(crate) exit: Option<String>,
    /// The failure, once there is one.
    pub(crate) failure: Option<EngineFailure>,
    /// Whether that is the end of its guardian: the engine did nothing wrong.
    pub(crate) is_unguarded: bool,
    /// Processes that must stay alive, once the guardian watches them.
    pub(crate) ranks: Option<Vec<ProcessId>>,
    /// How the tree went down: time, killed, survivors.
    pub(crate) gone: Option<Gone>,
}

/// How the tree went down.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gone {
    pub(crate) took: Nanos,
    pub(crate) killed: Vec<String>,
    pub(crate) survivors: Vec<String>,
}

impl Watched {
    pub(crate) fn new(log_path: PathBuf, redactor: Redactor, launch: &Launch) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
            log_path,
            redactor,
            name: launch.engine.clone(),
            patterns: launch.log_patterns.clone(),
            hands_over: launch.hands_over(),
        })
    }

    pub(crate) fn watch(self: &Arc<Self>) -> EngineWatch {
        EngineWatch(Arc::clone(self))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what takes the secrets in use out of the engine's words.
    pub(crate) fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Changes the state and wakes those who wait for a change.
    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits for a change at most so long.
    pub(crate) fn wait(&self, limit: Duration, is_enough: impl Fn(&State) -> bool) {
        let guard = self.lock();
        drop(self.changed.wait_timeout_while(guard, limit, |state| !is_enough(state)));
    }

    /// Notes that the engine ended without being asked to; the first cause counts.
    pub(crate) fn note_failure(&self, message: &str, exit: Option<String>) {
        let state = self.lock().clone();
        if state.failure.is_some() || state.is_stopping {
            return;
        }
        let class = if state.is_serving { FailureClass::Died } else { FailureClass::ExitedEarly };
        let failure = self.failure(class, message, exit);
        self.change(|state| {
            state.failure.get_or_insert(failure);
        });
    }

    /// Notes that the guardian ended without being asked to, and the engine with it.
    pub(crate) fn note_unguarded(&self, message: &str) {
        let had_failed = self.lock().failure.is_some();
        self.note_failure(message, None);
        self.change(|state| state.is_unguarded = !had_failed && state.failure.is_some());
    }

    /// Describes a failure with the end of the log, and with the class that the log tells of.
    pub(crate) fn failure(
        &self,
        class: FailureClass,
        message: &str,
        exit: Option<String>,
    ) -> EngineFailure {
        let lines = log::end(&self.log_path, &self.redactor);
        let cause = failure::cause(&lines).map(str::to_owned);
        let is_vague =
            matches!(class, FailureClass::ExitedEarly | FailureClass::Died | FailureClass::Server);
        let remedy = failure::remedy(&lines, &self.patterns).filter(|_| is_vague);
        let log_tail = log::last(lines);
        let of_cause = failure::classify(cause.as_slice(), &self.patterns);
        let told = of_cause.or_else(|| failure::classify(&log_tail, &self.patterns));
        let told = told.filter(|_| is_vague);
        let message = self.redactor.text(&log::printable(message)).into_owned();
        // In front of the cause, which may be cut.
        let message = match remedy {
            Some(setting) => format!("{message}; way out: --set engine.{}.{setting}", self.name),
            None => message,
        };
        let message = match cause {
            Some(cause) => format!("{message}; the first error in its log: {cause}"),
            None => message,
        };
        let after = match &self.lock().started {
            Some(Ok((_, at))) => monotonic().saturating_sub(*at),
            _ => Nanos::ZERO,
        };
        EngineFailure { class: told.unwrap_or(class), message, exit, after, log_tail }
    }
}
