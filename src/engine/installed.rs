//! What an engine's program is made of on this machine: its file, and the packages of its Python.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use crate::engine::running::facts::{hash_file, model_files};
use crate::plan::launch::Launch;
use crate::record::lock::{EngineLock, Installed};

/// Longest first line of a script in which its interpreter is looked for.
const SHEBANG_BYTES_MAX: u64 = 4096;

/// Returns what this machine has of an engine, without starting anything.
pub(crate) fn look(launch: &Launch) -> EngineLock {
    EngineLock {
        engine: launch.engine.clone(),
        argv: launch.argv.clone(),
        version: None,
        env: BTreeMap::new(),
        model_files: launch.model_path.as_deref().map(model_files).unwrap_or_default(),
        installed: program(launch).map(|path| installed(&path)).unwrap_or_default(),
    }
}

fn installed(program: &Path) -> Installed {
    let packages = interpreter(program).map(|python| packages(&python)).unwrap_or_default();
    Installed { program: hash_file(program).ok(), packages }
}

/// Returns the file that a launch starts.
fn program(launch: &Launch) -> Option<PathBuf> {
    let program = Path::new(launch.argv.first()?);
    if program.components().count() > 1 {
        let path = launch.cwd.clone().unwrap_or_default().join(program);
        return path.is_file().then_some(path);
    }
    let path = launch.env.get("PATH").map(OsString::from).or_else(|| env::var_os("PATH"))?;
    env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.is_file())
}

/// Returns the Python that a program is, or that its first line names.
fn interpreter(program: &Path) -> Option<PathBuf> {
    let is_python = |path: &Path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python"))
    };
    if is_python(program) {
        return Some(program.to_owned());
    }
    let mut line = String::new();
    BufReader::new(File::open(program).ok()?.take(SHEBANG_BYTES_MAX)).read_line(&mut line).ok()?;
    let words = line.strip_prefix("#!")?.split_whitespace();
    words.map(PathBuf::from).find(|word| word.is_absolute() && is_python(word))
}

/// Returns the packages beside an interpreter: `PREFIX/bin/python` has them in
/// `PREFIX/lib/python3.x/site-packages`.
fn packages(python: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let Some(prefix) = python.parent().and_then(Path::parent) else { return found };
    for library in entries(&prefix.join("lib")) {
        for folder in ["site-packages", "dist-packages"] {
            for package in entries(&library.join(folder)) {
                let name = package.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let Some((name, version)) =
                    name.strip_suffix(".dist-info").and_then(|it| it.split_once('-'))
                else {
                    continue;
                };
                let hash = hash_file(&package.join("RECORD"))
                    .map_or_else(|_| String::new(), |hash| format!(" sha256:{hash}"));
                found.insert(name.to_owned(), format!("{version}{hash}"));
            }
        }
    }
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_tells_its_interpreter_and_that_its_packages_with_their_hashes() {
        let prefix = tempfile::tempdir().unwrap();
        let path = |name: &str| prefix.path().join(name);
        let package = path("lib/python3.12/site-packages/vllm-0.8.1.dist-info");
        fs::create_dir_all(&package).unwrap();
        fs::create_dir_all(path("lib/python3.12/site-packages/vllm")).unwrap();
        fs::create_dir_all(path("bin")).unwrap();
        fs::write(package.join("RECORD"), "abc").unwrap();
        let python = path("bin/python3.12");
        fs::write(path("bin/vllm"), format!("#!{} -s\nimport vllm\n", python.display())).unwrap();
        let launch = Launch {
            argv: vec!["vllm".to_owned(), "serve".to_owned()],
            env: [("PATH".to_owned(), path("bin").display().to_string())].into(),
            ..Launch::default()
        };
        let found = look(&launch).installed;
        // The SHA-256 of `abc`: FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(found.packages["vllm"], format!("0.8.1 sha256:{abc}"));
        assert_eq!(found.packages.len(), 1);
        assert!(found.program.is_some());
    }

    #[test]
    fn a_server_that_is_not_started_has_no_program_here() {
        assert_eq!(look(&Launch::default()).installed, Installed::default());
    }
}
