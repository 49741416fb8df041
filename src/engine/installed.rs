//! What an engine's program is made of on this machine: its file, and the packages of its Python.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use crate::engine::file_hashes::{hash_file, model_files};
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
        installed: launch
            .argv
            .first()
            .and_then(|program| find(launch, program))
            .map(|path| installed(&path))
            .unwrap_or_default(),
    }
}

/// Returns the version of the Python package that a program is a script of, by what the package's
/// metadata say; none where the program is of another kind. Nothing is started.
pub(crate) fn script_version(launch: &Launch, program: &str) -> Option<String> {
    let path = find(launch, program)?;
    let name = path.file_name()?.to_str()?;
    let makes_it = |folder: &PathBuf| {
        let scripts = fs::read_to_string(folder.join("entry_points.txt")).unwrap_or_default();
        let lines = scripts.lines().skip_while(|line| line.trim() != "[console_scripts]").skip(1);
        let mut lines = lines.take_while(|line| !line.starts_with('['));
        lines.any(|line| line.split_once('=').is_some_and(|(script, _)| script.trim() == name))
    };
    let folder = metadata_folders(&interpreter(&path)?).into_iter().find(makes_it)?;
    named(&folder).map(|(_, version)| version)
}

fn installed(program: &Path) -> Installed {
    let packages = interpreter(program).map(|python| packages(&python)).unwrap_or_default();
    Installed { program: hash_file(program).ok(), packages }
}

/// Returns the file that a launch finds under a program's name.
fn find(launch: &Launch, program: &str) -> Option<PathBuf> {
    let program = Path::new(program);
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

/// Returns the packages of an interpreter, each with its version and the hash of its files' list.
fn packages(python: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for folder in metadata_folders(python) {
        let Some((name, version)) = named(&folder) else { continue };
        let hash = hash_file(&folder.join("RECORD"))
            .map_or_else(|_| String::new(), |hash| format!(" sha256:{hash}"));
        found.insert(name, format!("{version}{hash}"));
    }
    found
}

/// Returns the folders of metadata beside an interpreter: `PREFIX/bin/python` has them in
/// `PREFIX/lib/python3.x/site-packages`.
fn metadata_folders(python: &Path) -> Vec<PathBuf> {
    let Some(prefix) = python.parent().and_then(Path::parent) else { return Vec::new() };
    let libraries = entries(&prefix.join("lib")).into_iter();
    let sites = libraries.flat_map(|it| ["site-packages", "dist-packages"].map(|at| it.join(at)));
    sites.flat_map(|site| entries(&site)).filter(|folder| named(folder).is_some()).collect()
}

/// Returns the package and version that a folder of metadata, `NAME-VERSION.dist-info`, is of.
fn named(folder: &Path) -> Option<(String, String)> {
    let name = folder.file_name()?.to_string_lossy();
    let (name, version) = name.strip_suffix(".dist-info")?.split_once('-')?;
    Some((name.to_owned(), version.to_owned()))
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
        let scripts = "[console_scripts]\nvllm = vllm.cli:main\n\n[vllm.plugins]\nother = x:y\n";
        fs::write(package.join("entry_points.txt"), scripts).unwrap();
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
        assert_eq!(script_version(&launch, "vllm").as_deref(), Some("0.8.1"));
        fs::copy(path("bin/vllm"), path("bin/other")).unwrap();
        assert_eq!(script_version(&launch, "other"), None, "the name of a plugin");
    }

    #[test]
    fn a_server_that_is_not_started_has_no_program_here() {
        assert_eq!(look(&Launch::default()).installed, Installed::default());
    }
}
