//! Finds the files of a tokenizer: local path, hub's cache, hub.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::chat_template::ModelFiles;
use crate::datasets::dataset::find::local;
use crate::datasets::dataset::{DatasetError, Search};
use crate::datasets::hub::{Repo, RepoKind};
use crate::plan::cell::{DatasetPlan, TEMPLATE_FILES};

const TOKENIZER: &str = "tokenizer.json";
const CONFIG: &str = "tokenizer_config.json";
const SPECIAL_TOKENS: &str = "special_tokens_map.json";
const TEMPLATE: &str = "chat_template.jinja";
const TEMPLATE_JSON: &str = "chat_template.json";
/// Directory of templates by their names.
const TEMPLATES: &str = "additional_chat_templates";
const JINJA: &str = ".jinja";

/// The texts of a tokenizer's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenizerFiles {
    /// Their origin, for people.
    pub origin: String,
    /// `tokenizer.json`.
    pub tokenizer: Vec<u8>,
    /// Those that say how the model is spoken to.
    pub model: ModelFiles,
}

/// Finds a tokenizer by a path to its file or directory, or by a repository of the hub.
///
/// # Errors
/// [`DatasetError::Missing`] names the places where it was looked for.
pub(crate) fn open(location: &str, search: &Search<'_>) -> Result<TokenizerFiles, DatasetError> {
    let missing = |reason: String, is_remote: bool| DatasetError::Missing {
        what: "tokenizer",
        name: location.to_owned(),
        reason,
        is_remote,
        help: "set `tokenizer` to a tokenizer.json, its directory, or a repository of the hub"
            .to_owned(),
    };
    if let Some(path) = local(Path::new(location), search.bases) {
        let file = if path.is_dir() { path.join(TOKENIZER) } else { path };
        return read(file, location.to_owned());
    }
    let Some(repo) = Repo::parse(RepoKind::Model, location) else {
        return Err(missing(format!("there is no file {location}"), false));
    };
    let choose = |files: &[String]| {
        files.iter().any(|file| file == TOKENIZER).then(|| {
            let wanted = [TOKENIZER, CONFIG, SPECIAL_TOKENS, TEMPLATE, TEMPLATE_JSON];
            let wanted = wanted.into_iter().map(str::to_owned).filter(|file| files.contains(file));
            let named = files.iter().filter(|file| file.starts_with(TEMPLATES));
            wanted.chain(named.filter(|file| file.ends_with(JINJA)).cloned()).collect()
        })
    };
    let snapshot = match repo.cached(search.cache, &choose) {
        Some(snapshot) => snapshot,
        None => match search.cache.offline {
            Some(why) => {
                let reason = format!("it is not in the cache, and nothing is fetched: {why}");
                return Err(missing(reason, true));
            }
            None => repo
                .fetch(search.cache, &choose, search.on_progress)
                .map_err(|error| missing(format!("it is not in the cache, and {error}"), true))?,
        },
    };
    let file = snapshot.paths.into_iter().next().expect("tokenizer.json was chosen first");
    read(file, format!("{} at {} of the hub", repo.name, snapshot.commit))
}

/// Returns the variables that a plan gives a chat template; of `tools` and `documents`, which may be
/// files, what stands in them.
///
/// # Errors
/// When such a file cannot be read, or is not JSON.
pub(crate) fn variables(
    plan: &DatasetPlan,
    search: &Search<'_>,
) -> Result<BTreeMap<String, minijinja::Value>, DatasetError> {
    let mut variables = plan.chat_template_kwargs.clone();
    for (name, value) in &mut variables {
        let Some(file) = value.as_str().filter(|_| TEMPLATE_FILES.contains(&name.as_str())) else {
            continue;
        };
        let path = local(Path::new(file), search.bases).unwrap_or_else(|| PathBuf::from(file));
        let unreadable = |source| DatasetError::Unreadable { path: path.clone(), source };
        let text = fs::read(&path).map_err(unreadable)?;
        *value = serde_json::from_slice(&text).map_err(|error| unreadable(error.into()))?;
    }
    Ok(variables)
}

fn read(file: PathBuf, origin: String) -> Result<TokenizerFiles, DatasetError> {
    let beside = |name| fs::read(file.with_file_name(name)).ok();
    let templates = fs::read_dir(file.with_file_name(TEMPLATES)).into_iter().flatten().flatten();
    let named = templates.filter_map(|entry| {
        let name = entry.file_name().to_str()?.strip_suffix(JINJA)?.to_owned();
        Some((name, fs::read(entry.path()).ok()?))
    });
    let model = ModelFiles {
        jinja: beside(TEMPLATE),
        named: named.collect(),
        json: beside(TEMPLATE_JSON),
        config: beside(CONFIG),
        special_tokens_map: beside(SPECIAL_TOKENS),
    };
    match fs::read(&file) {
        Ok(tokenizer) => Ok(TokenizerFiles { origin, tokenizer, model }),
        Err(source) => Err(DatasetError::Unreadable { path: file, source }),
    }
}
