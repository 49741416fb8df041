//! Finds the files of a tokenizer: local path, hub's cache, hub.

use std::fs;
use std::path::{Path, PathBuf};

use crate::datasets::dataset::find::local;
use crate::datasets::dataset::{DatasetError, Search};
use crate::datasets::hub::{Repo, RepoKind};

const TOKENIZER: &str = "tokenizer.json";
const CONFIG: &str = "tokenizer_config.json";
const TEMPLATE: &str = "chat_template.jinja";

/// The texts of a tokenizer's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenizerFiles {
    /// Their origin, for people.
    pub origin: String,
    /// `tokenizer.json`.
    pub tokenizer: Vec<u8>,
    /// `tokenizer_config.json`, if there is one.
    pub config: Option<Vec<u8>>,
    /// `chat_template.jinja`, if there is one.
    pub chat_template: Option<String>,
}

/// Finds a tokenizer by a path to its file or directory, or by a repository of the hub.
///
/// # Errors
/// [`DatasetError::Missing`] names the places where it was looked for.
pub(crate) fn open(location: &str, search: &Search<'_>) -> Result<TokenizerFiles, DatasetError> {
    let missing = |reason: String| DatasetError::Missing {
        name: location.to_owned(),
        reason,
        help: "set `tokenizer` to a tokenizer.json, its directory, or a repository of the hub"
            .to_owned(),
    };
    if let Some(path) = local(Path::new(location), search.bases) {
        let file = if path.is_dir() { path.join(TOKENIZER) } else { path };
        return read(file, location.to_owned());
    }
    let Some(repo) = Repo::parse(RepoKind::Model, location) else {
        return Err(missing(format!("there is no file {location}")));
    };
    let choose = |files: &[String]| {
        files.iter().any(|file| file == TOKENIZER).then(|| {
            let wanted = [TOKENIZER, CONFIG, TEMPLATE];
            wanted.into_iter().map(str::to_owned).filter(|file| files.contains(file)).collect()
        })
    };
    let snapshot = match repo.cached(search.cache, &choose) {
        Some(snapshot) => snapshot,
        None if search.cache.offline => {
            return Err(missing("it is not in the cache, and fetching is switched off".to_owned()));
        }
        None => repo
            .fetch(search.cache, &choose, search.on_progress)
            .map_err(|error| missing(format!("it is not in the cache, and {error}")))?,
    };
    let file = snapshot.paths.into_iter().next().expect("tokenizer.json was chosen first");
    read(file, format!("{} at {} of the hub", repo.name, snapshot.commit))
}

fn read(file: PathBuf, origin: String) -> Result<TokenizerFiles, DatasetError> {
    let beside = |name| file.with_file_name(name);
    let config = fs::read(beside(CONFIG)).ok();
    let chat_template = fs::read_to_string(beside(TEMPLATE)).ok();
    match fs::read(&file) {
        Ok(tokenizer) => Ok(TokenizerFiles { origin, tokenizer, config, chat_template }),
        Err(source) => Err(DatasetError::Unreadable { path: file, source }),
    }
}
