//! Writes files whole: a reader sees the old content or the new one.

use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write as _};
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
    write_with(path, |file| file.write_all(bytes))
}

/// Does so with what `write` writes, part by part.
pub(crate) fn write_with(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> Result<(), StoreError> {
    let parent = path.parent().expect("files of the store lie in a directory");
    let file = tempfile::Builder::new()
        .prefix(TEMPORARY)
        // The umask is applied to this mode.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(parent)
        .map_err(StoreError::io("create a temporary file for", path))?;
    let mut out = BufWriter::new(file.as_file());
    write(&mut out).and_then(|()| out.flush()).map_err(StoreError::io("write", path))?;
    drop(out);
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
