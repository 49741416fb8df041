//! Paths of a scenario: relative to its file, and the same in every checkout for identities.

use std::path::{Path, PathBuf};

/// What the plan must know of the machine that makes it.
#[derive(Clone, Debug)]
pub struct Host {
    /// This program: built-in engines are started from it.
    pub bench_exe: PathBuf,
    /// Directory with the files that presets bring along, `hf_batch_server.py` for example.
    pub assets_dir: PathBuf,
}

/// How paths are written: for this machine, or as in the scenario for identities.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    host: Host,
    /// Directory of the scenario; `None` leaves paths as they are written.
    dir: Option<PathBuf>,
}

impl Places {
    /// Returns paths that work on this machine.
    pub(crate) fn real(host: &Host, dir: &Path) -> Self {
        Self { host: host.clone(), dir: Some(dir.to_path_buf()) }
    }

    /// Returns paths that are the same wherever the scenario lies.
    pub(crate) fn identity() -> Self {
        let host = Host { bench_exe: "bench".into(), assets_dir: "assets".into() };
        Self { host, dir: None }
    }

    /// Returns this program.
    pub(crate) fn bench(&self) -> String {
        self.host.bench_exe.display().to_string()
    }

    /// Returns the directory of files that presets bring along.
    pub(crate) fn assets(&self) -> String {
        self.host.assets_dir.display().to_string()
    }

    /// Returns a text with its path resolved, if it is one: `./`, `../` or `/` in front.
    pub(crate) fn resolve(&self, text: &str) -> String {
        if is_path(text) { self.file(text) } else { text.to_string() }
    }

    /// Returns a path resolved, however it is written. It begins with `./`, `../` or `/`, so
    /// that it cannot be taken for the name of a repository.
    pub(crate) fn file(&self, text: &str) -> String {
        let Some(dir) = &self.dir else { return text.to_string() };
        let path = crate::scenario::paths::normalise(&dir.join(text)).display().to_string();
        if is_path(&path) { path } else { format!("./{path}") }
    }
}

/// Whether a text that may be a name or a path is a path.
pub(crate) fn is_path(text: &str) -> bool {
    ["./", "../", "/"].iter().any(|start| text.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_are_relative_to_the_scenario() {
        let host = Host { bench_exe: "bench".into(), assets_dir: "assets".into() };
        let check = |dir: &str, text: &str, expected: &str| {
            assert_eq!(Places::real(&host, Path::new(dir)).resolve(text), expected);
        };
        check("scenarios", "../fixtures/x.jsonl", "./fixtures/x.jsonl");
        check("/home/me", "./a/../m.gguf", "/home/me/m.gguf");
        check("", "../up", "../up");
        check("scenarios", "/abs/m", "/abs/m");
        check("scenarios", "org/name", "org/name");
        assert_eq!(Places::identity().resolve("../x"), "../x");
    }
}
