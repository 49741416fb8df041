//! The lock of a run directory: one process at a time works on a run.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};

use crate::store::error::StoreError;
use crate::store::run_dir::RunDir;

/// How long taking the lock is tried again. A reader that asks whether the run is in progress
/// holds it for microseconds.
const PATIENCE: Duration = Duration::from_millis(200);

/// The holder of the lock. It is written into the lock file, for people and for messages.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Holder {
    pid: u32,
    host: String,
    since: String,
}

/// Who has taken the lock of a run.
#[derive(Clone, Debug)]
pub(crate) struct HeldBy {
    /// The process, where it is one of this machine.
    pub(crate) here: Option<u32>,
    /// In words: `process 4711 on vm, since 2026-11-29T12:00:00Z`.
    pub(crate) told: String,
}

/// The right to change a run directory, held until dropped.
///
/// The lock belongs to the open file, so a process that inherits the descriptor
/// ([`AsFd`]) holds it too: the guardian keeps a resume from starting before the engine is gone.
#[derive(Debug)]
pub(crate) struct RunLock {
    file: File,
}

impl RunLock {
    /// Takes the lock of a run directory.
    ///
    /// # Errors
    /// [`StoreError::Locked`] names the holder. A lock whose holder died is free: the
    /// system releases it.
    pub(crate) fn take(dir: &RunDir) -> Result<Self, StoreError> {
        let path = dir.lock();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(&path)
            .map_err(|source| StoreError::CannotCreate { path: path.clone(), source })?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(StoreError::Locked {
                        path: dir.path().to_owned(),
                        holder: told(holder(&mut file)),
                    });
                }
                Err(TryLockError::Error(source)) => {
                    return Err(StoreError::CannotCreate { path, source });
                }
            }
        }
        let me = Holder {
            pid: std::process::id(),
            host: host_name(),
            since: jiff::Timestamp::now().to_string(),
        };
        let text = serde_json::to_string(&me).expect("a holder is plain text") + "\n";
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(text.as_bytes()))
            .map_err(StoreError::io("write", &path))?;
        Ok(Self { file })
    }

    /// Returns the lock file once more, for a guardian to inherit. The run stays locked until both
    /// have closed it.
    ///
    /// # Errors
    /// When no further file can be opened. Without the lock a resume would not wait for the engine.
    pub(crate) fn for_a_guardian(&self) -> Result<File, StoreError> {
        self.file.try_clone().map_err(StoreError::io("open once more", Path::new("lock")))
    }

    /// Returns who has taken the lock of a run, while it is held.
    pub(crate) fn held_by(dir: &RunDir) -> Option<HeldBy> {
        let mut file = File::open(dir.lock()).ok()?;
        if !matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) {
            return None;
        }
        let holder = holder(&mut file);
        let here = holder.as_ref().filter(|it| it.host == host_name()).map(|it| it.pid);
        Some(HeldBy { here, told: told(holder) })
    }

    /// Returns the process of this machine that has taken the lock of a run, while it is held. It may
    /// be gone: a guardian keeps the lock until its engine is gone too.
    pub(crate) fn taken_by(dir: &RunDir) -> Option<u32> {
        Self::held_by(dir)?.here
    }

    /// Whether a process works on the run now.
    pub(crate) fn is_held(dir: &RunDir) -> bool {
        File::open(dir.lock())
            .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}

impl AsFd for RunLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.take(4096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn told(holder: Option<Holder>) -> String {
    match holder {
        Some(Holder { pid, host, since }) => format!("process {pid} on {host}, since {since}"),
        None => "another process".to_owned(),
    }
}

/// Returns the name of this machine.
pub(crate) fn host_name() -> String {
    std::fs::read_to_string(Path::new("/proc/sys/kernel/hostname"))
        .map_or_else(|_| "this host".to_owned(), |name| name.trim().to_owned())
}
