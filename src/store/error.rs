//! Errors of the store, and the exit code of each.

use std::io;
use std::path::{Path, PathBuf};

/// The reason why the store failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The directory for the results cannot be created.
    #[error("failed to create {path}: {source}")]
    CannotCreate {
        /// The directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The named directory holds other files.
    #[error("{path} is not empty and is not a run directory")]
    Occupied {
        /// The directory.
        path: PathBuf,
    },
    /// The named directory already holds a run.
    #[error("{path} already holds a run")]
    AlreadyARun {
        /// The directory.
        path: PathBuf,
    },
    /// The run directory was removed, or moved elsewhere, while the run went on.
    #[error("{path} was {} while the run went on", gone_how(.now.as_deref()))]
    Gone {
        /// Where the run directory was.
        path: PathBuf,
        /// Where it is, unless it was removed.
        now: Option<PathBuf>,
    },
    /// The directory is not a run.
    #[error("{}", not_a_run(.path, *.exists))]
    NotARun {
        /// The directory.
        path: PathBuf,
        /// Whether anything is there.
        exists: bool,
    },
    /// A file that is needed is missing.
    #[error("failed to open {path}: {source}")]
    Missing {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file operation failed.
    #[error("failed to {doing} {path}: {source}")]
    Io {
        /// The operation.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A record could not be appended. The records before it are whole.
    #[error(
        "failed to append to {path}: {source}; its first {kept_records} records ({kept_bytes} bytes) are kept"
    )]
    Append {
        /// The file.
        path: PathBuf,
        /// Whole records in the file.
        kept_records: u64,
        /// Bytes of these records.
        kept_bytes: u64,
        /// The system's error.
        source: io::Error,
    },
    /// A record cannot be written as JSON.
    #[error("failed to write a record of {path} as JSON: {source}")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: serde_json::Error,
    },
    /// Another process works on this run.
    #[error("{path} is in use by {holder}")]
    Locked {
        /// The run directory.
        path: PathBuf,
        /// Process, host and time, as far as the lock file names them.
        holder: String,
    },
    /// Other users could change the results.
    #[error("{path} is {why}")]
    Unsafe {
        /// The directory or file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The content of a file differs from what was written.
    #[error("{path}:{line}: {why} (byte {offset})")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// Byte where the line begins.
        offset: u64,
        /// What is wrong.
        why: String,
    },
    /// A file is not an archive of a run.
    #[error("{path} is not a bundle")]
    NotABundle {
        /// The file.
        path: PathBuf,
    },
    /// An archive of a run is not as it was packed.
    #[error("the bundle {path} is damaged: {why}")]
    DamagedBundle {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The run was written by a later version.
    #[error("{path} has format {found}; this program knows formats up to {known}")]
    NewerFormat {
        /// The run directory.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format this program reads.
        known: u32,
    },
    /// The run was written by an earlier version.
    #[error("{path} has format {found}; this program knows format {known} alone")]
    OlderFormat {
        /// The run directory.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The format that this program reads.
        known: u32,
    },
    /// A name in the plan cannot be the name of a directory.
    #[error("{name:?} cannot be the name of a directory")]
    BadName {
        /// The name.
        name: String,
    },
}

impl StoreError {
    /// Returns the exit code of the program for this error.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::CannotCreate { .. } | Self::Occupied { .. } | Self::AlreadyARun { .. } => 73,
            Self::NotARun { .. } | Self::Missing { .. } => 66,
            Self::Io { .. } | Self::Append { .. } | Self::Gone { .. } => 74,
            Self::Unwritable { .. } | Self::BadName { .. } => 70,
            Self::Locked { .. } => 75,
            Self::Unsafe { .. } => 77,
            Self::Corrupt { .. }
            | Self::NotABundle { .. }
            | Self::DamagedBundle { .. }
            | Self::NewerFormat { .. }
            | Self::OlderFormat { .. } => 107,
        }
    }

    /// Returns a sentence about what the user can do.
    pub(crate) fn help(&self) -> String {
        match self {
            Self::CannotCreate { .. } => "choose another place with --out DIR".to_owned(),
            Self::Occupied { .. } => {
                "choose a directory that is empty or does not exist".to_owned()
            }
            Self::AlreadyARun { path } => {
                format!(
                    "go on with it: bench resume {}; or choose another directory",
                    path.display()
                )
            }
            Self::Gone { now: Some(now), .. } => {
                format!("what is complete is kept; go on there: bench resume {}", now.display())
            }
            Self::Gone { .. } => {
                "what was measured went with it; begin the run again where nothing removes it"
                    .to_owned()
            }
            Self::NotARun { exists: false, .. } => "check how its path is written".to_owned(),
            Self::NotARun { path, .. } if path.extension().is_some_and(|it| it == "toml") => {
                format!("a scenario is measured by `bench run {}`", path.display())
            }
            Self::NotARun { .. } => "name a directory that `bench run` has written".to_owned(),
            Self::Missing { .. } => "check the path and its permissions".to_owned(),
            Self::Io { source, .. } | Self::Append { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "free some space, then go on with `bench resume`; what had not begun is begun again \
                     by `bench run`"
                        .to_owned()
                }
                io::ErrorKind::NotFound => {
                    "the run directory was removed or renamed while it was written".to_owned()
                }
                _ => "check the disk, then go on with `bench resume`".to_owned(),
            },
            Self::Unwritable { .. } | Self::BadName { .. } => {
                "this is a mistake in bench: please report it".to_owned()
            }
            Self::Locked { .. } => "wait until it is done, or stop it".to_owned(),
            Self::Unsafe { path, .. } => {
                format!("take the right to write from others: chmod go-w {}", path.display())
            }
            Self::Corrupt { .. } => {
                "the file was changed or damaged after it was written; restore it, or run its \
                 cell again in another run directory"
                    .to_owned()
            }
            Self::NotABundle { .. } => {
                "name an archive that `bench bundle` has made; a scenario is measured by `bench run`"
                    .to_owned()
            }
            Self::DamagedBundle { .. } => {
                "copy it here again, or pack the run again with `bench bundle` where it lies"
                    .to_owned()
            }
            Self::NewerFormat { .. } | Self::OlderFormat { .. } => {
                "use the version of bench that wrote it: `bench_version` in its run.json".to_owned()
            }
        }
    }

    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}

fn not_a_run(path: &Path, exists: bool) -> String {
    let why = if !exists {
        "does not exist"
    } else if path.is_file() {
        "is a file, and a run is a directory"
    } else {
        "is not a run directory: it has no run.json"
    };
    format!("{} {why}", path.display())
}

fn gone_how(now: Option<&Path>) -> String {
    now.map_or_else(|| "removed".to_owned(), |now| format!("moved to {}", now.display()))
}
