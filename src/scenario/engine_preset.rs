//! Presets: engines as data, embedded in the program and overridable by files of the same name.

use std::io;
use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::scenario::paths::normalise;
use crate::scenario::toml_tree::Document;

macro_rules! presets {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../scenarios/engines/", $name, ".toml")))),*]
    };
}

/// The presets in the program: name and text.
pub(crate) const EMBEDDED: &[(&str, &str)] = presets![
    "endpoint",
    "hf_batch",
    "llama_cpp",
    "mistralrs",
    "ollama",
    "sglang",
    "sglang_offline",
    "sim",
    "tensorrt_llm",
    "tgi",
    "tiny",
    "transformers",
    "vllm",
    "vllm_offline",
];

/// Files that presets bring along: name and text. Whoever starts engines puts them into
/// `plan::places::Host::assets_dir`.
pub(crate) const ASSETS: &[(&str, &str)] = &[
    ("hf_batch_server.py", include_str!("../../scenarios/engines/hf_batch_server.py")),
    ("offline_engine_server.py", include_str!("../../scenarios/engines/offline_engine_server.py")),
];

/// Where presets are looked for.
pub(crate) struct Presets<'a> {
    /// What a path is relative to: the directory of the scenario.
    pub(crate) base: &'a Path,
    /// Directories; the first one wins, and all of them before the program.
    pub(crate) dirs: Vec<PathBuf>,
    /// Reads a file.
    pub(crate) read: &'a dyn Fn(&Path) -> io::Result<String>,
}

impl<'a> Presets<'a> {
    /// Returns where a scenario's presets are: beside it, then in the user's directories.
    pub(crate) fn of(
        base: &'a Path,
        user_dirs: &[PathBuf],
        read: &'a dyn Fn(&Path) -> io::Result<String>,
    ) -> Self {
        let mut dirs = vec![normalise(&base.join(BESIDE))];
        dirs.extend_from_slice(user_dirs);
        Self { base, dirs, read }
    }

    /// Returns the preset of that name or path, from a file or the program.
    pub(crate) fn load(&self, name: &str, found: &mut Diagnostics) -> Option<Document> {
        if is_path(name) {
            return self.file(&self.path(name), found);
        }
        if !crate::scenario::grammar::is_name(name) {
            return None;
        }
        for dir in &self.dirs {
            let n_found = found.iter().count();
            let document = self.file(&dir.join(format!("{name}.toml")), found);
            if document.is_some() || found.iter().count() > n_found {
                return document;
            }
        }
        let (_, text) = EMBEDDED.iter().find(|(embedded, _)| *embedded == name)?;
        Some(Document::parse(&format!("preset {name}"), text, found))
    }

    /// Returns the file that a path means.
    pub(crate) fn path(&self, written: &str) -> PathBuf {
        normalise(&self.base.join(written))
    }

    /// Says where a preset was looked for, in order.
    pub(crate) fn searched(&self, name: &str) -> String {
        if is_path(name) {
            let path = self.path(name).display().to_string();
            return format!("{path} is not there; a path is relative to the scenario file");
        }
        let dirs: Vec<String> = self
            .dirs
            .iter()
            .map(|dir| dir.join(format!("{name}.toml")).display().to_string())
            .collect();
        format!("looked for {} and in the program", dirs.join(", "))
    }

    fn file(&self, path: &Path, found: &mut Diagnostics) -> Option<Document> {
        match (self.read)(path) {
            Ok(text) => Some(Document::parse(&path.display().to_string(), &text, found)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                None
            }
            Err(error) => {
                let message = format!("cannot read the preset {}: {error}", path.display());
                found.push(
                    Diagnostic::error("scenario/unreadable", message)
                        .help("make it readable, or remove it to use the next one of its name"),
                );
                None
            }
        }
    }
}

/// Directory beside a scenario whose files are presets.
pub(crate) const BESIDE: &str = "engines";

/// Whether what `preset` says is the path of a file rather than a name.
pub(crate) fn is_path(preset: &str) -> bool {
    preset.contains('/') || Path::new(preset).extension().is_some_and(|ending| ending == "toml")
}

/// Returns the names of the presets in the program.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    EMBEDDED.iter().map(|(name, _)| *name)
}
