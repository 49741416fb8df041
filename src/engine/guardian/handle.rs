//! The runner's side of a guardian: it sends orders, receives messages, and cleans up if the
//! guardian is lost.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::clock::monotonic;
use crate::engine::guardian::ledger::{GUARDED_BY, Ledger};
use crate::engine::guardian::protocol::{GuardianMessage, Order, StartOrder};
use crate::engine::guardian::{STOP_COMMAND_LIMIT, SUBCOMMAND, stop_command};
use crate::engine::interrupt::{Interrupt, Urgent};
use crate::engine::log::LogRedaction;
use crate::engine::process::{self, Process, ProcessId};
use crate::engine::running::watch::{Gone, Watched};
use crate::units::Nanos;

/// Time beyond the grace within which a guardian must kill the tree and send its last message.
const LAST_WORD_LIMIT: Duration = Duration::from_secs(40);
/// Time within which a guardian must begin to watch the engine's processes.
const WATCH_LIMIT: Duration = Duration::from_secs(5);
/// Time within which the runner's own kill must succeed when the guardian is lost.
const RESCUE_LIMIT: Nanos = Nanos::from_secs(10);

/// The pipe to a guardian. It is closed after the last order.
type Orders = Arc<Mutex<Option<ChildStdin>>>;

/// A guardian, and the thread that receives its messages.
#[derive(Debug)]
pub(crate) struct GuardianHandle {
    guardian: Child,
    orders: Orders,
    /// Sends the order to kill at the user's second signal, even while this thread is busy.
    kill: Arc<Urgent>,
    watched: Arc<Watched>,
    listener: Option<JoinHandle<()>>,
}

impl GuardianHandle {
    /// Starts a guardian, and orders it to start the engine.
    pub(crate) fn start(
        program: &Path,
        start: &StartOrder,
        lock: Option<&File>,
        watched: &Arc<Watched>,
        interrupt: &Interrupt,
    ) -> io::Result<Self> {
        // If the guardian is killed, its children become this process's instead of init's.
        prctl::set_child_subreaper(true)?;
        let lock = lock.map(|lock| lock.try_clone().map(OwnedFd::from)).transpose()?;
        let mut guardian = Command::new(program)
            .arg0("bench")
            .arg(SUBCOMMAND)
            .arg(&start.engine)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(lock.map_or_else(Stdio::null, Stdio::from))
            .spawn()
            .map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", program.display()))
            })?;
        let orders = guardian.stdin.take().expect("standard input is a pipe");
        let messages = guardian.stdout.take().expect("standard output is a pipe");
        let guardian_pid = guardian.id().cast_signed();
        let id = process::read(guardian_pid).map(|guardian| guardian.id);
        let mark = id.map(|id| format!("{GUARDED_BY}={}", Ledger::mark(id)));
        let listener =
            thread::Builder::new().name(format!("guardian-{}", start.engine)).spawn({
                let watched = Arc::clone(watched);
                let start = start.clone();
                move || {
                    let mark = mark.as_deref();
                    listen(BufReader::new(messages), guardian_pid, mark, &watched, &start);
                }
            })?;
        let orders: Orders = Arc::new(Mutex::new(Some(orders)));
        let kill = Arc::new(Urgent(Box::new({
            let (orders, watched) = (Arc::clone(&orders), Arc::clone(watched));
            move || {
                watched.change(|state| state.is_stopping = true);
                send(&orders, &Order::Kill);
            }
        })));
        interrupt.when_urgent(&kill);
        let handle =
            Self { guardian, orders, kill, watched: Arc::clone(watched), listener: Some(listener) };
        handle.order(&Order::Start(Box::new(start.clone())));
        Ok(handle)
    }

    /// Returns the guardian's pid.
    pub(crate) fn pid(&self) -> i32 {
        self.guardian.id().cast_signed()
    }

    /// Reports to the guardian that the engine serves, and waits until it watches the ranks. A
    /// death after that is seen.
    pub(crate) fn serve(&mut self) {
        self.watched.change(|state| state.is_serving = true);
        self.order(&Order::Serving);
        self.watched.wait(WATCH_LIMIT, |state| state.ranks.is_some() || state.failure.is_some());
    }

    /// Has the tree ended. `kill_now` is called throughout. Once it returns true, the grace ends.
    pub(crate) fn stop(&mut self, grace: Nanos, kill_now: &dyn Fn() -> bool) -> Gone {
        self.watched.change(|state| state.is_stopping = true);
        self.order(&Order::Stop { grace });
        let ends_a_daemons =
            if self.watched.hands_over { grace + STOP_COMMAND_LIMIT } else { Nanos::ZERO };
        let deadline = monotonic() + grace + ends_a_daemons + LAST_WORD_LIMIT.into();
        let mut is_killing = false;
        while monotonic() < deadline {
            self.watched.wait(Duration::from_millis(20), |state| state.gone.is_some());
            if self.watched.lock().gone.is_some() {
                break;
            }
            if !is_killing && kill_now() {
                is_killing = true;
                (self.kill.0)();
            }
        }
        self.close()
    }

    fn order(&self, order: &Order) {
        send(&self.orders, order);
    }

    fn close(&mut self) -> Gone {
        drop(self.orders.lock().unwrap_or_else(PoisonError::into_inner).take());
        let gone = self.watched.lock().gone.clone();
        if gone.is_none() {
            // The guardian does not answer. Once it is dead, its children become this process's,
            // and the listener ends them.
            let _ = self.guardian.kill();
        }
        let _ = self.guardian.wait();
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
        gone.or_else(|| self.watched.lock().gone.clone()).unwrap_or_default()
    }
}

impl Drop for GuardianHandle {
    fn drop(&mut self) {
        if self.listener.is_some() {
            self.stop(Nanos::ZERO, &|| true);
        }
    }
}

fn send(orders: &Orders, order: &Order) {
    let mut line = serde_json::to_vec(order).expect("orders have string keys");
    line.push(b'\n');
    if let Some(orders) = &mut *orders.lock().unwrap_or_else(PoisonError::into_inner) {
        // If the guardian is gone, the thread that receives its messages notices it.
        let _ = orders.write_all(&line).and_then(|()| orders.flush());
    }
}

fn listen(
    messages: impl BufRead,
    guardian_pid: i32,
    mark: Option<&str>,
    watched: &Watched,
    start: &StartOrder,
) {
    let log = &start.log;
    let mut has_ended = false;
    for line in messages.lines().map_while(Result::ok) {
        match serde_json::from_str(&line) {
            Ok(GuardianMessage::Gone { took, killed, survivors }) => {
                has_ended = true;
                watched.change(|state| state.gone = Some(Gone { took, killed, survivors }));
            }
            Ok(message) => {
                has_ended |= matches!(message, GuardianMessage::NotStarted { .. });
                take(message, watched);
            }
            Err(_) => break,
        }
    }
    if has_ended {
        watched.change(|state| {
            state.gone.get_or_insert_default();
        });
        return;
    }
    let message = format!("its guardian (pid {guardian_pid}) ended without a word");
    watched.note_unguarded(&message);
    if !start.stop_argv.is_empty() {
        // Whether it did its work shows at the port.
        let _ = stop_command::run(start);
    }
    let gone = rescue(watched, log, mark);
    // The lost guardian did not finish the redaction of the log.
    let redacted =
        File::open(log).and_then(|log| LogRedaction::new(watched.redactor().clone()).finish(&log));
    if let Err(error) = redacted {
        watched.change(|state| {
            let what = format!("the log could not be rid of secrets: {error}");
            state.failure.iter_mut().for_each(|failure| {
                failure.message.push_str("; ");
                failure.message.push_str(&what);
            });
        });
    }
    watched.change(|state| {
        state.gone.get_or_insert(gone);
    });
}

fn take(message: GuardianMessage, watched: &Watched) {
    match message {
        GuardianMessage::Started { leader, at } => {
            watched.change(|state| state.started = Some(Ok((leader, at))));
        }
        GuardianMessage::NotStarted { error } => {
            watched.change(|state| state.started = Some(Err(error)));
        }
        GuardianMessage::Ranks { ranks } => watched.change(|state| state.ranks = Some(ranks)),
        GuardianMessage::LeaderExited { status, is_success, was_killed } => {
            let is_starting = !watched.lock().is_serving;
            let hint = if was_killed {
                ", which bench did not send; the kernel does when memory runs out"
            } else if is_success && is_starting {
                if watched.hands_over {
                    // It did its work: the daemon starts the engine.
                    return watched.change(|state| state.exit = Some(status));
                }
                "; a command that hands its server to a daemon, as `docker run -d` does, needs \
                 `stop-command`, which ends the server"
            } else {
                ""
            };
            let message = format!("the engine ended with {status}{hint}");
            watched.change(|state| state.exit = Some(status.clone()));
            watched.note_failure(&message, Some(status));
        }
        GuardianMessage::RankGone { rank } => {
            let message = format!("process {rank} of the engine ended while it was serving");
            watched.note_failure(&message, None);
        }
        GuardianMessage::Gone { .. } => {}
    }
}

/// Kills what a lost guardian left running, with all descendants. The first process and the ranks
/// are recognised by identity, others by their log or their environment.
///
/// Also an engine that the guardian was starting has its log by now: until then it held the
/// guardian's end of the pipe as its standard output, and the pipe has ended.
fn rescue(watched: &Watched, log: &Path, mark: Option<&str>) -> Gone {
    use std::os::unix::fs::MetadataExt;

    let begin = monotonic();
    let state = watched.lock().clone();
    let mut known: Vec<ProcessId> = state.ranks.unwrap_or_default();
    if let Some(Ok((leader, _))) = state.started {
        known.push(leader);
    }
    let log = std::fs::metadata(log).map(|metadata| (metadata.dev(), metadata.ino())).ok();
    let mut gone = Gone::default();
    loop {
        let table = process::table();
        let roots: Vec<&Process> = table
            .iter()
            .filter(|process| {
                known.contains(&process.id)
                    || (process.id.pid != process::own_pid()
                        && (log.is_some_and(|log| process::logs_to(process.id.pid, log))
                            || mark.is_some_and(|mark| {
                                process::has_in_environment(process.id.pid, mark)
                            })))
            })
            .collect();
        let mut left: Vec<Process> = roots.iter().map(|root| (*root).clone()).collect();
        for root in roots {
            left.extend(process::below(root.id.pid, &table));
        }
        left.sort_by_key(|process| process.id);
        left.dedup();
        for process in &left {
            // The process is ours to reap only if the guardian's death made it our child.
            let _ = waitpid(Pid::from_raw(process.id.pid), Some(WaitPidFlag::WNOHANG));
        }
        left.retain(Process::is_alive);
        gone.took = monotonic().saturating_sub(begin);
        if left.is_empty() {
            return gone;
        }
        if gone.took > RESCUE_LIMIT {
            gone.survivors = left.iter().map(process::why_it_stays).collect();
            return gone;
        }
        for process in &left {
            known.push(process.id);
            if process::signal(process.id, Signal::SIGKILL) {
                gone.killed.push(process.label());
            }
        }
        gone.killed.sort();
        gone.killed.dedup();
        thread::sleep(Duration::from_millis(10));
    }
}
