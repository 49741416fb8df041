//! Presets: engines as data, embedded in the program and overridable by files of the same name.

use std::io;
use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::scenario::document::Document;

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
    "sim",
    "tensorrt_llm",
    "tgi",
    "tiny",
    "transformers",
    "vllm",
];

/// Files that presets bring along: name and text. Whoever starts engines puts them into
/// `plan::places::Host::assets_dir`.
pub(crate) const ASSETS: &[(&str, &str)] =
    &[("hf_batch_server.py", include_str!("../../scenarios/engines/hf_batch_server.py"))];

/// Where presets are looked for.
pub(crate) struct Presets<'a> {
    /// Directories of the user, the first one wins.
    pub(crate) dirs: &'a [PathBuf],
    /// Reads a file.
    pub(crate) read: &'a dyn Fn(&Path) -> io::Result<String>,
}

impl Presets<'_> {
    /// Returns the preset of that name, from the user's directories or the program.
    pub(crate) fn load(&self, name: &str, found: &mut Diagnostics) -> Option<Document> {
        if !crate::scenario::grammar::is_name(name) {
            return None;
        }
        for dir in self.dirs {
            let path = dir.join(format!("{name}.toml"));
            match (self.read)(&path) {
                Ok(text) => {
                    return Some(Document::parse(&path.display().to_string(), &text, found));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    let message = format!("cannot read the preset {}: {error}", path.display());
                    found.push(
                        Diagnostic::error("scenario/unreadable", message)
                            .help("make it readable, or remove it to use the built-in one"),
                    );
                    return None;
                }
            }
        }
        let (_, text) = EMBEDDED.iter().find(|(embedded, _)| *embedded == name)?;
        Some(Document::parse(&format!("preset {name}"), text, found))
    }
}

/// Returns the names of the presets in the program.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    EMBEDDED.iter().map(|(name, _)| *name)
}
