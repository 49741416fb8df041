//! Paths and commands as a person can type them, from any directory.

use std::path::{Path, PathBuf};

use crate::plan::render::shell_word;

/// Returns the command that goes on with a run.
pub(crate) fn resume(dir: &Path) -> String {
    format!("bench resume {}", path(dir))
}

/// Returns a path as one word of a shell.
pub(crate) fn path(path: &Path) -> String {
    shell_word(&absolute(path).display().to_string())
}

/// Returns a path from the root on, whether it is there or not.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
