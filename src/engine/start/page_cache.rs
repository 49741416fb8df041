//! Dropping a model's files from the page cache, so that a load starts from the disk.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

/// The most files that a model directory is expected to hold.
pub(crate) const FILES_MAX: usize = 10_000;

/// Drops the model's files, or the one file, from the page cache.
///
/// Pages that another process has mapped stay; the kernel does not tell.
///
/// # Errors
/// When a file cannot be opened or the kernel refuses.
pub fn drop_model(model: &Path) -> io::Result<()> {
    for path in files(model)? {
        posix_fadvise(File::open(&path)?, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    }
    Ok(())
}

/// Returns the files of a model in order of name: the file itself, or all below the directory.
///
/// Links are followed, as the cache of the Hugging Face hub consists of them.
///
/// # Errors
/// When a directory cannot be read.
pub(crate) fn files(model: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![(model.to_owned(), 0)];
    while let Some((path, depth)) = open.pop() {
        let metadata = fs::metadata(&path)?;
        if metadata.is_file() {
            found.push(path);
        } else if metadata.is_dir() && depth < 8 {
            for entry in fs::read_dir(&path)? {
                let entry = entry?;
                if !entry.file_name().to_string_lossy().starts_with('.') {
                    open.push((entry.path(), depth + 1));
                }
            }
        }
        if found.len() > FILES_MAX {
            return Err(io::Error::other(format!("more than {FILES_MAX} files")));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_of_a_model_are_found_once_and_in_order() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("b")).unwrap();
        for name in ["z.safetensors", "b/tokenizer.json", ".gitattributes", "config.json"] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        let names: Vec<String> = files(dir.path())
            .unwrap()
            .iter()
            .map(|path| path.strip_prefix(dir.path()).unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["b/tokenizer.json", "config.json", "z.safetensors"]);
        drop_model(dir.path()).unwrap();
        assert!(drop_model(&dir.path().join("missing")).is_err());
    }
}
