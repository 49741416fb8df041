#![expect(clippy::disallowed_methods, reason = "edge: starts and ends processes, sleeps")]
//! Faults of the simulated engine's processes.

use std::ffi::{CString, OsString};
use std::fs::OpenOptions;
use std::io::{self, Seek, SeekFrom, Write};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, raise, sigprocmask};
use nix::unistd::{Pid, getppid, setsid};

use super::args::{ProcessFaultArgs, Role};
use crate::serve::ServeError;
use crate::units::Nanos;

/// How often children check that the others are alive.
const LOOK_AROUND: Duration = Duration::from_millis(5);

/// Sleeps for the time that a fault demands.
pub(crate) fn sleep(time: Nanos) {
    std::thread::sleep(time.into());
}

/// Carries out the faults that precede the opening of the port.
///
/// # Errors
/// [`ServeError::System`] if a fault cannot be carried out.
pub(crate) fn misbehave_at_start(faults: &ProcessFaultArgs) -> Result<(), ServeError> {
    if let Some(delay) = faults.listen_delay {
        sleep(delay);
    }
    if let Some(title) = &faults.proctitle {
        overwrite_title(title).map_err(ServeError::system("cannot overwrite the process title"))?;
    }
    if faults.segv && faults.exit_after.is_none() {
        die_of_segv();
    }
    if let Some(after) = faults.exit_after {
        let (code, segv) = (faults.exit_code, faults.segv);
        std::thread::spawn(move || {
            sleep(after);
            if segv {
                die_of_segv();
            }
            exit(code);
        });
    }
    spawn_log_faults(faults);
    Ok(())
}

/// Starts the children that faults demand. They inherit the port if they are to keep it.
///
/// # Errors
/// [`ServeError::System`] if a child cannot be started.
pub(crate) fn start_children(
    faults: &ProcessFaultArgs,
    port: &TcpListener,
) -> Result<(), ServeError> {
    if faults.hold_port {
        fcntl(port.as_fd(), FcntlArg::F_SETFD(FdFlag::empty())).map_err(ServeError::system::<
            nix::Error,
        >(
            "cannot let children inherit the port",
        ))?;
    }
    let mut children = Vec::new();
    for _ in 0..faults.fork_workers {
        children.push(start_child(Role::Worker, faults.respawns_left)?);
    }
    if faults.setsid_worker {
        children.push(start_child(Role::SetsidWorker, faults.respawns_left)?);
    }
    if !children.is_empty() {
        // The thread reaps the children, as a real engine's main process does: a dead worker must
        // not stay a zombie.
        std::thread::spawn(move || {
            for mut child in children {
                if let Err(error) = child.wait() {
                    log(&format!("cannot wait for a worker: {error}"));
                }
            }
        });
    }
    Ok(())
}

/// Starts a child that serves, and exits.
///
/// # Errors
/// [`ServeError::System`] if the child cannot be started.
pub(crate) fn daemonise() -> Result<(), ServeError> {
    start_child(Role::Server, 0)?;
    exit(0)
}

/// Starts this program again in another role.
fn start_child(role: Role, respawns_left: u32) -> Result<Child, ServeError> {
    let start = || -> io::Result<Child> {
        let role = match role {
            Role::Worker => "worker",
            Role::SetsidWorker => "setsid-worker",
            Role::Server => "server",
        };
        // The child gets the arguments of its parent, without the parent's own role.
        let arguments = arguments();
        let own =
            arguments.iter().position(|argument| argument == "--role").unwrap_or(arguments.len());
        Command::new(std::env::current_exe()?)
            .args(&arguments[..own])
            .args(["--role", role, "--respawns-left", &respawns_left.to_string()])
            .stdin(Stdio::null())
            .spawn()
    };
    start().map_err(ServeError::system("cannot start a child"))
}

/// Returns the arguments of this process as they were before a title overwrote them.
fn arguments() -> &'static [OsString] {
    static ARGUMENTS: OnceLock<Vec<OsString>> = OnceLock::new();
    ARGUMENTS.get_or_init(|| std::env::args_os().skip(1).collect())
}

/// Runs as a child in its role.
///
/// # Errors
/// [`ServeError::System`] if the child cannot take on its role.
pub(crate) fn work(role: Role, faults: &ProcessFaultArgs) -> Result<(), ServeError> {
    if role == Role::SetsidWorker {
        setsid().map_err(ServeError::system::<nix::Error>("cannot make a session"))?;
        block_signals(&[Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP])?;
        overwrite_title("sim::worker")
            .map_err(ServeError::system("cannot overwrite the process title"))?;
    }
    let parent = getppid();
    let mut twin = Twin { role, respawns_left: faults.respawns_left, child: None };
    let n_looks = faults.worker_life.0 / Nanos::from(LOOK_AROUND).0;
    for _ in 0..n_looks {
        std::thread::sleep(LOOK_AROUND);
        if faults.respawn_on_kill {
            twin.look_around(parent)?;
        }
    }
    Ok(())
}

/// A child that is replaced when it is killed, and that replaces its parent when that is killed.
struct Twin {
    role: Role,
    respawns_left: u32,
    child: Option<Child>,
}

impl Twin {
    fn look_around(&mut self, parent: Pid) -> Result<(), ServeError> {
        let is_child_dead = match &mut self.child {
            None => getppid() != parent,
            Some(child) => !matches!(child.try_wait(), Ok(None)),
        };
        if is_child_dead && self.respawns_left > 0 {
            self.respawns_left -= 1;
            self.child = Some(start_child(self.role, self.respawns_left)?);
        }
        Ok(())
    }
}

fn spawn_log_faults(faults: &ProcessFaultArgs) {
    if faults.log_ansi {
        log(
            "\u{1b}[31;1mERROR\u{1b}[0m \u{1b}]0;a new title\u{7}\u{1b}[2J\u{1b}[?25l not an error",
        );
    }
    if faults.log_invalid_utf8 {
        // A closed log must not end the engine.
        let _ = io::stderr().write_all(b"bytes that are no text: \xff\xfe\x80\xc3\x28\n");
    }
    if let Some(n_mb) = faults.log_flood {
        std::thread::spawn(move || {
            let line = [
                b"INFO the simulated engine writes more log than anybody reads ".repeat(16),
                b"\n".to_vec(),
            ]
            .concat();
            let n_lines = (n_mb as usize * 10_000) / line.len();
            let burst = line.repeat(n_lines.max(1));
            while io::stderr().write_all(&burst).is_ok() {
                std::thread::sleep(Duration::from_millis(10));
            }
        });
    }
}

/// Writes a line to the log.
pub(crate) fn log(line: &str) {
    // A closed log must not end the engine.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Blocks signals in this thread and in the threads that it will start.
///
/// # Errors
/// [`ServeError::System`] if the system refuses.
pub(crate) fn block_signals(signals: &[Signal]) -> Result<SigSet, ServeError> {
    let set: SigSet = signals.iter().copied().collect();
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None)
        .map_err(ServeError::system::<nix::Error>("cannot block signals"))?;
    Ok(set)
}

/// Overwrites arguments, environment and thread name in place, as `setproctitle` does.
///
/// The writes go through `/proc/self/mem`, to the addresses that `/proc/self/stat` lists.
fn overwrite_title(title: &str) -> io::Result<()> {
    // Children are started with these arguments, and the writes below destroy them.
    arguments();
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // Fields are counted from behind the name, which may contain anything. The first of them is
    // field 3.
    let fields: Vec<u64> = stat
        .rsplit(") ")
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(0))
        .collect();
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or(0);
    let (arg_start, arg_end, env_start, env_end) = (field(48), field(49), field(50), field(51));
    if arg_start == 0 || env_end <= arg_start {
        return Err(io::Error::other("/proc/self/stat tells no addresses"));
    }
    let mut memory = OpenOptions::new().write(true).open("/proc/self/mem")?;
    let mut overwrite = |start: u64, end: u64, text: &[u8]| -> io::Result<()> {
        let mut bytes = vec![0; (end - start) as usize];
        let n_bytes = text.len().min(bytes.len().saturating_sub(1));
        bytes[..n_bytes].copy_from_slice(&text[..n_bytes]);
        memory.seek(SeekFrom::Start(start))?;
        memory.write_all(&bytes)
    };
    overwrite(arg_start, arg_end, title.as_bytes())?;
    overwrite(env_start, env_end, b"")?;
    let name = CString::new(title.replace('\0', " ")).map_err(io::Error::other)?;
    prctl::set_name(&name)?;
    Ok(())
}

fn die_of_segv() -> ! {
    // Rust's handler for stack overflows catches the first one and restores the default action.
    for _ in 0..2 {
        if let Err(error) = raise(Signal::SIGSEGV) {
            log(&format!("cannot raise SIGSEGV: {error}"));
        }
    }
    exit(139)
}

/// Ends the process at once, as a crash does: no destructor runs.
#[expect(clippy::exit, reason = "dying without clean-up is the fault that is asked for")]
pub(crate) fn exit(code: i32) -> ! {
    std::process::exit(code)
}
