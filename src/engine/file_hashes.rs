//! What identifies the files of a model or a program: hashes of them, or of their ends.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::engine::start::page_cache;
use crate::ids::{copy_digested, hex};

/// Files up to this size are hashed whole.
const WHOLE_BYTES_MAX: u64 = 64 << 20;
/// Of longer files this much of both ends is hashed.
const END_BYTES: u64 = 1 << 20;

/// Returns a hash of each file of a model, by its name below the model's folder.
pub(in crate::engine) fn model_files(model: &Path) -> BTreeMap<String, String> {
    let files = page_cache::files(model).unwrap_or_default();
    files
        .iter()
        .map(|path| {
            let name = path.strip_prefix(model).unwrap_or(path);
            let name = if name.as_os_str().is_empty() {
                path.file_name().map_or(path.as_path(), Path::new)
            } else {
                name
            };
            let hash = hash_file(path).unwrap_or_else(|error| format!("not read: {error}"));
            (name.display().to_string(), hash)
        })
        .collect()
}

/// Returns the SHA-256 of a file; of a long one, of its size and both ends, and says so.
pub(in crate::engine) fn hash_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut hasher = Sha256::new();
    if size <= WHOLE_BYTES_MAX {
        copy_digested(file, &mut io::sink(), &mut hasher)?;
        return Ok(hex(&hasher.finalize()));
    }
    hasher.update(size.to_le_bytes());
    copy_digested((&mut file).take(END_BYTES), &mut io::sink(), &mut hasher)?;
    file.seek(SeekFrom::End(-END_BYTES.cast_signed()))?;
    copy_digested(file.take(END_BYTES), &mut io::sink(), &mut hasher)?;
    let digest = hex(&hasher.finalize());
    Ok(format!("{digest} (of the size, {size} bytes, and the first and last MiB)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_file_is_hashed_whole_and_a_long_one_by_its_ends() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.json"), "abc").unwrap();
        let long = File::create(dir.path().join("model.safetensors")).unwrap();
        long.set_len(WHOLE_BYTES_MAX + 1).unwrap();
        let files = model_files(dir.path());
        // SHA-256 of "abc" (FIPS 180-2, appendix B.1).
        assert!(files["config.json"].starts_with("ba7816bf8f01cfea"), "{files:?}");
        assert!(
            files["model.safetensors"]
                .ends_with("(of the size, 67108865 bytes, and the first and last MiB)")
        );
    }
}
