//! The process between the runner and an engine. It outlives the runner, to clean up after it.
//!
//! It is this program again, started as a hidden subcommand, with one thread and no runtime. It
//! starts the engine with `std` rather than `duct`: a subreaper waits for *any* child, and two
//! waiters would take each other's statuses.

pub mod handle;
pub mod ledger;

mod orders;
pub mod protocol;
mod signals;
pub(crate) mod stop_command;
mod tree;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use nix::sys::prctl;
use nix::unistd::{dup2_stderr, setsid};

use crate::clock::monotonic;
use crate::engine::credentials;
use crate::engine::guardian::ledger::{GUARDED_BY, Ledger};
use crate::engine::guardian::orders::Orders;
use crate::engine::guardian::protocol::{GuardianMessage, Order, StartOrder};
use crate::engine::guardian::tree::TakenDown;
use crate::engine::log::{self, LogRedaction};
use crate::engine::process::{self, Process, ProcessId};
use crate::secrets::Secret;
use crate::secrets::redact::Redactor;
use crate::units::Nanos;

/// The hidden subcommand under which this program is a guardian.
pub const SUBCOMMAND: &str = "__guardian";

/// How often the tree and the log are checked. A rank's death is seen within this time.
const TICK_MILLIS: u16 = 100;

/// Time beyond the grace that the command which ends an engine gets.
pub(crate) const STOP_COMMAND_LIMIT: Nanos = Nanos::from_secs(15);
/// Time that it gets when the user wants to leave at once.
const URGENT_STOP_LIMIT: Nanos = Nanos::from_secs(2);
/// Pause between two looks whether it ended.
const STOP_COMMAND_PAUSE: Duration = Duration::from_millis(10);

/// Returns the longest time that a guardian takes to end an engine.
pub(crate) fn longest_end(grace: Nanos) -> Nanos {
    // The command that ends it and then its processes have the grace, each with a limit behind it.
    grace + STOP_COMMAND_LIMIT + grace + tree::KILL_LIMIT
}

/// Processes that engines start besides their ranks, and that may end without a fault: Python's
/// resource tracker, `PyTorch`'s compile workers (which stop when idle), and compilers.
const TRANSIENT_HELPERS: [&str; 8] = [
    "resource_tracker",
    "compile_worker",
    "semaphore_tracker",
    "nvidia-smi",
    "ptxas",
    "nvcc",
    "cc1plus",
    "ninja",
];

/// Runs a guardian. `args` follow the subcommand; they only show people which guardian it is.
///
/// Standard input delivers [`Order`]s, and standard output takes [`GuardianMessage`]s. When the
/// runner holds a lock, standard error is the lock's file: it stays open, so that the lock
/// outlives the runner until the tree has ended.
pub fn main(_args: &[OsString]) -> ExitCode {
    match guard() {
        Ok(()) => ExitCode::SUCCESS,
        // The runner may be gone, and standard error may be a lock file, so the status alone
        // reports the error.
        Err(_) => ExitCode::from(70),
    }
}

fn guard() -> io::Result<()> {
    // The lock is held until the end of this function. Duplicates are closed on exec, so engines
    // never inherit it.
    let _lock = io::stderr().as_fd().try_clone_to_owned()?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stderr(&null)?;
    // The guardian leaves the runner's session, so neither Ctrl-C nor a terminal's hang-up reaches
    // it.
    setsid().ok();
    signals::catch_all();
    prctl::set_child_subreaper(true)?;

    let mut orders = Orders::new();
    let start = loop {
        match orders.next(TICK_MILLIS)? {
            orders::Next::Order(Order::Start(start)) => break start,
            orders::Next::Gone | orders::Next::Order(Order::Stop { .. } | Order::Kill) => {
                return Ok(());
            }
            orders::Next::Order(Order::Serving) | orders::Next::Nothing => {}
        }
    };
    let mut engine = match GuardedEngine::start(&start) {
        Ok(engine) => engine,
        Err(error) => {
            send(&GuardianMessage::NotStarted { error: error.to_string() });
            return Ok(());
        }
    };
    let grace = engine.watch(&mut orders);
    engine.end_handed_over(grace, &mut || orders.kill_is_asked());
    let taken_down = tree::take_down(grace, &mut || orders.kill_is_asked());
    engine.close(taken_down);
    Ok(())
}

/// Sends a message to the runner. If the runner is gone, the end of the other pipe shows it.
fn send(message: &GuardianMessage) {
    let mut line = serde_json::to_vec(message).expect("messages have string keys");
    line.push(b'\n');
    let mut out = io::stdout().lock();
    let _ = out.write_all(&line).and_then(|()| out.flush());
}

/// The engine that a guardian watches.
struct GuardedEngine {
    start: StartOrder,
    leader: ProcessId,
    log: File,
    redaction: LogRedaction,
    ledger: Ledger,
    ledger_path: PathBuf,
    ranks: Vec<Process>,
    leader_is_gone: bool,
}

impl GuardedEngine {
    fn start(start: &StartOrder) -> io::Result<Self> {
        let own = process::read(process::own_pid())
            .ok_or_else(|| io::Error::other("cannot read /proc; is it mounted?"))?;
        let log = at_path(log::open(&start.log), &start.log)?;
        let secrets = secret_env(start)?;
        let redactor = Redactor::new(secrets.values().cloned().chain(credentials::inherited()));
        let redaction = LogRedaction::new(redactor.clone());
        let (log_device, log_inode) = log::identity(&log)?;
        let ledger_path = Ledger::path(&start.ledger_dir, own.id.pid);
        let mut ledger = Ledger {
            run_id: start.run_id.clone(),
            engine: start.engine.clone(),
            attempt: start.attempt,
            boot_id: process::boot_id(),
            runner: start.runner,
            guardian: own.id,
            leader: None,
            others: Vec::new(),
            log_device,
            log_inode,
            port: start.port,
            handed_over: handed_over(start, &redactor)?.map(Box::new),
        };
        at_path(ledger.write(&ledger_path), &ledger_path)?;
        let at = monotonic();
        let leader = spawn(start, own.id, &start.argv, &secrets, &log)
            .map_err(|error| not_spawned(error, &ledger_path))?;
        ledger.leader = Some(leader);
        // If this write fails, the inode of the log still identifies the engine.
        let _ = ledger.write(&ledger_path);
        send(&GuardianMessage::Started { leader, at });
        Ok(Self {
            start: start.clone(),
            leader,
            log,
            redaction,
            ledger,
            ledger_path,
            ranks: Vec::new(),
            leader_is_gone: false,
        })
    }

    /// Watches the engine until it is to be stopped. Returns the grace it gets.
    fn watch(&mut self, orders: &mut Orders) -> Nanos {
        loop {
            match orders.next(TICK_MILLIS) {
                Ok(orders::Next::Order(Order::Serving)) => self.take_ranks(),
                Ok(orders::Next::Order(Order::Stop { grace })) => return grace,
                Ok(orders::Next::Order(Order::Kill)) => return Nanos::ZERO,
                // The engine is started once, so a second order to start it is ignored.
                Ok(orders::Next::Nothing | orders::Next::Order(Order::Start(_))) => {}
                Ok(orders::Next::Gone) | Err(_) => return self.start.grace,
            }
            self.look();
            // The runner reports a full disk. The guardian watches the engine all the same.
            if log::cut(&mut self.log).is_ok_and(|n_lost| n_lost > 0) {
                self.redaction.begin_again();
            }
            let _ = self.redaction.go_on(&self.log);
        }
    }

    fn look(&mut self) {
        while let Ok(Some(reaped)) = tree::reap() {
            if reaped.pid == self.leader.pid && !self.leader_is_gone {
                self.leader_is_gone = true;
                send(&GuardianMessage::LeaderExited {
                    status: reaped.status,
                    is_success: reaped.is_success,
                    was_killed: reaped.was_killed,
                });
            }
        }
        self.ranks.retain(|rank| {
            let is_alive = process::read_alive(rank.id).is_some();
            if !is_alive {
                send(&GuardianMessage::RankGone { rank: rank.label() });
            }
            is_alive
        });
    }

    fn take_ranks(&mut self) {
        self.ranks = tree::descendants();
        self.ledger.others = self.ranks.iter().map(|rank| rank.id).collect();
        self.ledger.others.retain(|id| *id != self.leader);
        // If this write fails, log and environment still identify nearly all of them.
        let _ = self.ledger.write(&self.ledger_path);
        self.ranks.retain(|rank| {
            let command = process::command(rank.id.pid);
            rank.id != self.leader
                && !TRANSIENT_HELPERS
                    .iter()
                    .any(|name| command.contains(name) || rank.name.contains(name))
        });
        send(&GuardianMessage::Ranks { ranks: self.ranks.iter().map(|rank| rank.id).collect() });
    }

    /// Runs the command that ends what the engine's command handed to a daemon. Its words go to
    /// the engine's log; whether it did its work shows at the port.
    fn end_handed_over(&self, grace: Nanos, kill_now: &mut dyn FnMut() -> bool) {
        if self.start.stop_argv.is_empty() {
            return;
        }
        let started = secret_env(&self.start).and_then(|secrets| {
            let argv = &self.start.stop_argv;
            spawn(&self.start, self.ledger.guardian, argv, &secrets, &self.log)
        });
        let command = match started {
            Ok(command) => command,
            Err(error) => {
                let _ = writeln!(&self.log, "`stop-command`: {error}");
                return;
            }
        };
        let begin = monotonic();
        let mut limit = grace + STOP_COMMAND_LIMIT;
        while monotonic().saturating_sub(begin) < limit {
            match tree::reap() {
                Ok(Some(reaped)) if reaped.pid == command.pid => {
                    if !reaped.is_success {
                        let _ = writeln!(&self.log, "`stop-command` ended with {}", reaped.status);
                    }
                    return;
                }
                Ok(Some(_)) => {}
                Ok(None) => std::thread::sleep(STOP_COMMAND_PAUSE),
                Err(_) => return,
            }
            if kill_now() {
                limit = limit.min(monotonic().saturating_sub(begin) + URGENT_STOP_LIMIT);
            }
        }
        let _ = writeln!(&self.log, "`stop-command` did not end in time");
    }

    fn close(mut self, taken_down: TakenDown) {
        let _ = self.redaction.finish(&self.log);
        if taken_down.survivors.is_empty() {
            let _ = std::fs::remove_file(&self.ledger_path);
        }
        let TakenDown { took, killed, survivors } = taken_down;
        send(&GuardianMessage::Gone { took, killed, survivors });
    }
}

/// Returns the order for the ledger, if its engine is handed to a daemon.
fn handed_over(start: &StartOrder, redactor: &Redactor) -> io::Result<Option<StartOrder>> {
    if start.stop_argv.is_empty() {
        return Ok(None);
    }
    let mut order = start.clone();
    if let Ok(log) = start.log.strip_prefix(&start.ledger_dir) {
        log.clone_into(&mut order.log);
    }
    let mut text = serde_json::to_vec(&order)?;
    redactor.json(&mut text, 0);
    Ok(Some(serde_json::from_slice(&text)?))
}

/// Ends what runs although its start failed, as where the limit of open files hid it; nobody would
/// look for it once the ledger is gone.
fn not_spawned(error: io::Error, ledger_path: &Path) -> io::Error {
    let left = tree::take_down(Nanos::ZERO, &mut || true).survivors;
    if left.is_empty() {
        drop(std::fs::remove_file(ledger_path));
        return error;
    }
    let what = format!("{error}; processes that could not be ended: {}", left.join("; "));
    io::Error::new(error.kind(), what)
}

/// Returns the secrets that the engine gets, by the names of the engine's variables.
fn secret_env<'a>(start: &'a StartOrder) -> io::Result<BTreeMap<&'a String, Secret>> {
    let from_variable = |(name, variable): (&'a String, &String)| {
        // The variable of an API key may be unset, since an engine may need no key.
        let value = credentials::value(variable);
        if value.is_none() && name != variable {
            let why = format!("environment variable {variable} is not set");
            return Some(Err(io::Error::new(io::ErrorKind::NotFound, why)));
        }
        value.map(|value| Ok((name, value)))
    };
    start.env_from.iter().filter_map(from_variable).collect()
}

fn spawn(
    start: &StartOrder,
    guardian: ProcessId,
    command: &[String],
    secrets: &BTreeMap<&String, Secret>,
    log: &File,
) -> io::Result<ProcessId> {
    let (program, args) =
        command.split_first().ok_or_else(|| io::Error::other("the command is empty"))?;
    let mut command = Command::new(program);
    command
        .args(args)
        .envs(&start.env)
        .envs(secrets.iter().map(|(name, value)| (name, value.expose())))
        .env(GUARDED_BY, Ledger::mark(guardian))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log.try_clone()?)
        .process_group(0);
    if let Some(cwd) = &start.cwd {
        // The spawn would blame the program for it.
        std::fs::read_dir(cwd).map_err(|error| {
            io::Error::new(error.kind(), format!("`cwd` {}: {error}", cwd.display()))
        })?;
        command.current_dir(cwd);
    }
    let child = command
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("`{program}`: {error}")))?;
    let pid = child.id().cast_signed();
    // A child that is not reaped is in the process table even if it has ended.
    process::read(pid)
        .map(|process| process.id)
        .ok_or_else(|| io::Error::other("the started process is not in /proc"))
}

fn at_path<T>(result: io::Result<T>, path: &Path) -> io::Result<T> {
    result.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}
