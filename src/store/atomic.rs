//! Writes files whole: a reader sees the old content or the new one.

use std::fs::{File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::store::error::StoreError;

/// Prefix of the names of files that are not complete yet.
const TEMPORARY: &str = ".tmp-";

/// Whether a file is a temporary one that a killed process left behind.
pub(super) fn is_temporary(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(TEMPORARY))
}

/// Writes a temporary file, renames it, and returns when it is on the disk.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let parent = path.parent().expect("files of the store lie in a directory");
    let mut file = tempfile::Builder::new()
        .prefix(TEMPORARY)
        // The umask is applied to this mode.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(parent)
        .map_err(StoreError::io("create a temporary file for", path))?;
    file.write_all(bytes).map_err(StoreError::io("write", path))?;
    file.as_file().sync_all().map_err(StoreError::io("sync", path))?;
    file.persist(path).map_err(|error| StoreError::io("rename into", path)(error.error))?;
    sync_parent(path)
}

/// Syncs the directory entry of `path` to the disk.
pub(crate) fn sync_parent(path: &Path) -> Result<(), StoreError> {
    let parent = path.parent().expect("files of the store lie in a directory");
    File::open(parent)
        .and_then(|directory| directory.sync_all())
        .map_err(StoreError::io("sync", parent))
}
