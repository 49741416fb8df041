//! Engines that are part of this binary. They serve HTTP as any other engine does.

pub(crate) mod counters;
pub(crate) mod parse_duration;
pub(crate) mod sim;
pub(crate) mod tiny;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

/// Why a built-in engine could not start, or could not go on.
#[derive(Debug, Error)]
pub(crate) enum ServeError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Where it should have listened.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file was read but is not what it should be.
    #[error("{path}: {reason}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system refused something that serving needs.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

impl ServeError {
    /// Returns a closure that says what was tried when the system refused it.
    pub(crate) fn system<E: Into<std::io::Error>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::System { what, source: source.into() }
    }
}

/// Says where an engine listens: the only line on stdout.
pub(crate) fn announce(scheme: &str, address: SocketAddr) {
    let mut stdout = std::io::stdout();
    // A reader that closed stdout does not need the address, so the error is dropped.
    let _ = writeln!(stdout, "listening on {scheme}://{address}").and_then(|()| stdout.flush());
}
