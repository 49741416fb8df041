//! The command that ends what an engine's command handed to a daemon, run in the place of a lost
//! guardian.

use std::io;
use std::thread;

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::clock::monotonic;
use crate::engine::guardian::protocol::StartOrder;
use crate::engine::guardian::{STOP_COMMAND_LIMIT, STOP_COMMAND_PAUSE, secret_env, spawn};
use crate::engine::log;
use crate::engine::process;

/// Runs it; returns whether it ended with exit status 0 within its limit. Its words go to the
/// engine's log.
///
/// # Errors
/// When it cannot be started.
pub(crate) fn run(start: &StartOrder) -> io::Result<bool> {
    let own = process::read(process::own_pid())
        .ok_or_else(|| io::Error::other("cannot read /proc; is it mounted?"))?;
    let log = log::open(&start.log)?;
    let command = spawn(start, own.id, &start.stop_argv, &secret_env(start)?, &log)?;
    let deadline = monotonic() + STOP_COMMAND_LIMIT;
    loop {
        match waitpid(Pid::from_raw(command.pid), Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) if monotonic() < deadline => {
                thread::sleep(STOP_COMMAND_PAUSE);
            }
            Err(Errno::EINTR) => {}
            ended => return Ok(matches!(ended, Ok(WaitStatus::Exited(_, 0)))),
        }
    }
}
