//! Opens the files of a data set, with their digest and those of its worked examples.

pub(crate) mod find;

use std::fs::{self, File};
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::datasets::cache::DatasetCache;
use crate::datasets::dataset::find::{Found, Place, find_known, locate};
use crate::datasets::download::OnProgress;
use crate::datasets::known::{Known, TRAIN};
use crate::ids::{copy_digested, hex, sha256_hex};
use crate::plan::cell::{DatasetPlan, Source};

/// A data set that was found. Its files are open, so that the bytes read are the digested ones.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Its files with the names that messages call them by, in order; none for data that
    /// is generated.
    pub files: Vec<(String, File)>,
    /// Files of the training split, when the plan wants worked examples and the split was found;
    /// otherwise the first rows of the data set itself serve.
    pub shots: Vec<(String, File)>,
    /// The files' paths; none for data that is generated or comes with the program.
    pub paths: Vec<PathBuf>,
    /// Its origin, for people.
    pub origin: String,
    /// The reason why the fallback was taken; absent when the asked-for source was found.
    pub fallback: Option<String>,
    /// SHA-256 of the file; of all files' digests when there are several; empty for data
    /// that is generated.
    pub sha256: String,
}

/// What a [`DatasetError::Missing`] is, where it is no tokenizer.
pub(crate) const DATA_SET: &str = "data set";

/// Why a data set cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatasetError {
    /// It was not found.
    #[error("{what} `{name}` is not here: {reason}")]
    Missing {
        /// What it is: [`DATA_SET`] or a tokenizer.
        what: &'static str,
        /// Its name.
        name: String,
        /// The places where it was looked for.
        reason: String,
        /// What to place where.
        help: String,
        /// Whether it may be where it can be fetched from.
        is_remote: bool,
    },
    /// The file is not the pinned one.
    #[error("{origin} has SHA-256 {found}, {expected} is pinned in the scenario")]
    WrongHash {
        /// The place where it was found.
        origin: String,
        /// Pinned digest.
        expected: String,
        /// Digest of the file.
        found: String,
    },
    /// The scenario does not say enough.
    #[error("data set `{name}`: {message}")]
    Unclear {
        /// The data set.
        name: String,
        /// What is missing.
        message: String,
    },
    /// A data set or a split that is asked for by name, and is not known.
    #[error("{message}")]
    Unknown {
        /// What is not known.
        message: String,
        /// The names there are.
        help: String,
    },
    /// The file is there and cannot be read.
    #[error("failed to read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl DatasetError {
    /// Returns the exit code of the program for this error.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Missing { .. } | Self::Unreadable { .. } => 66,
            Self::WrongHash { .. } => 65,
            Self::Unclear { .. } => 78,
            Self::Unknown { .. } => 2,
        }
    }

    /// Returns what the user can do about it.
    pub(crate) fn help(&self) -> String {
        match self {
            Self::Missing { help, .. } | Self::Unknown { help, .. } => help.clone(),
            Self::WrongHash { .. } => {
                "the file has changed; restore it, or pin the new digest".to_owned()
            }
            Self::Unclear { .. } => {
                "set `location` to a file, an https address or a repository of the hub".to_owned()
            }
            Self::Unreadable { .. } => "check the path and its permissions".to_owned(),
        }
    }
}

/// The places where a data set is looked for.
#[derive(Clone, Copy)]
pub(crate) struct Search<'a> {
    /// Directories against which relative paths are tried: the scenario's, its project's, the
    /// current one.
    pub bases: &'a [PathBuf],
    /// Caches and hub.
    pub cache: &'a DatasetCache,
    /// Gets a download's progress.
    pub on_progress: Option<OnProgress<'a>>,
}

/// Returns the directories against which a scenario's relative paths are tried: its own, the
/// one above it, the current one.
pub(crate) fn bases(scenario: &Path) -> Vec<PathBuf> {
    let mut bases = Vec::new();
    let absolute = std::path::absolute(scenario).unwrap_or_else(|_| scenario.to_owned());
    bases.extend(absolute.ancestors().skip(1).take(2).map(Path::to_owned));
    if let Ok(current) = std::env::current_dir() {
        bases.push(current);
    }
    bases
}

/// Finds a data set.
///
/// Order: local path, caches, hub or URL (unless offline), the scenario's fallback.
///
/// # Errors
/// [`DatasetError`], before any engine starts.
pub(crate) fn open(
    name: &str,
    plan: &DatasetPlan,
    search: &Search<'_>,
) -> Result<Opened, DatasetError> {
    if plan.source == Source::Random {
        return Ok(Opened {
            files: Vec::new(),
            shots: Vec::new(),
            paths: Vec::new(),
            origin: "generated".to_owned(),
            fallback: None,
            sha256: String::new(),
        });
    }
    let located = locate(name, plan, search)?;
    let mut opened = located.place.open()?;
    match &plan.sha256 {
        _ if located.fallback.is_some() => opened.fallback = located.fallback,
        Some(expected) if !expected.eq_ignore_ascii_case(&opened.sha256) => {
            return Err(DatasetError::WrongHash {
                origin: opened.origin,
                expected: expected.clone(),
                found: opened.sha256,
            });
        }
        _ => {}
    }
    with_shots(opened, plan, search)
}

/// Opens the files of a data set that are on this machine, or those of its fallback. Nothing is
/// digested, and nothing is fetched where `search` has an offline cache.
///
/// # Errors
/// [`DatasetError`] as [`open`] returns it.
pub(crate) fn peek(
    name: &str,
    plan: &DatasetPlan,
    search: &Search<'_>,
) -> Result<Vec<(String, File)>, DatasetError> {
    match plan.source {
        Source::Random => Ok(Vec::new()),
        _ => locate(name, plan, search)?.place.files(),
    }
}

impl Place {
    fn files(&self) -> Result<Vec<(String, File)>, DatasetError> {
        match self {
            Self::Files(found) => found.paths.iter().map(|path| open_file(path)).collect(),
            Self::Bundled(name, text) => {
                let unreadable = |source| DatasetError::Unreadable { path: name.into(), source };
                let mut file = tempfile::tempfile().map_err(unreadable)?;
                file.write_all(text.as_bytes()).map_err(unreadable)?;
                file.rewind().map_err(unreadable)?;
                Ok(vec![((*name).to_owned(), file)])
            }
        }
    }

    fn open(self) -> Result<Opened, DatasetError> {
        let mut files = self.files()?;
        let mut digests = Vec::new();
        for (name, file) in &mut files {
            let unreadable = |source| DatasetError::Unreadable { path: (&*name).into(), source };
            digests.push(digest(file).map_err(unreadable)?);
        }
        let sha256 = match digests.as_slice() {
            [only] => only.clone(),
            several => sha256_hex(several.concat().as_bytes()),
        };
        let Found { paths, origin } = match self {
            Self::Files(found) => found,
            Self::Bundled(name, _) => {
                Found { paths: Vec::new(), origin: format!("{name}, which comes with bench") }
            }
        };
        Ok(Opened { files, shots: Vec::new(), paths, origin, fallback: None, sha256 })
    }
}

fn open_file(path: &Path) -> Result<(String, File), DatasetError> {
    let unreadable = |source| DatasetError::Unreadable { path: path.to_owned(), source };
    // A pipe would block for ever, and a directory says nothing useful when it is read.
    if !fs::metadata(path).map_err(unreadable)?.file_type().is_file() {
        return Err(unreadable(io::Error::other("not a regular file")));
    }
    Ok((path.display().to_string(), File::open(path).map_err(unreadable)?))
}

/// Opens the training split beside a data set whose plan wants worked examples.
fn with_shots(
    mut opened: Opened,
    plan: &DatasetPlan,
    search: &Search<'_>,
) -> Result<Opened, DatasetError> {
    let split = Known::of(plan.source).map_or(TRAIN, |known| known.examples);
    if plan.n_shots == 0 || plan.split.as_deref() == Some(split) {
        return Ok(opened);
    }
    let training = match (Known::of(plan.source), &plan.location, &opened.fallback) {
        // The hub or the cache has both splits.
        (Some(known), None, None)
            if known.splits.contains(&split) && known.default_split != split =>
        {
            let training = DatasetPlan { split: Some(split.to_owned()), ..plan.clone() };
            find_known(known, known.repo, &training, search).ok().map(Place::Files)
        }
        _ => match opened.paths.as_slice() {
            [path] => examples_beside(path, split)
                .filter(|path| path.is_file())
                .map(|path| Place::Files(Found::local(path))),
            [] => {
                let name = opened.files.first().map(|(name, _)| Path::new(name.as_str()));
                name.and_then(|name| examples_beside(name, split))
                    .and_then(|path| Place::bundled(&path))
            }
            _ => None,
        },
    };
    let examples = match training.map(Place::open).transpose()? {
        Some(shots) => {
            opened.shots = shots.files;
            format!("worked examples from {}", shots.origin)
        }
        None => format!("its first {} rows are the worked examples and not asked", plan.n_shots),
    };
    opened.origin = format!("{}; {examples}", opened.origin);
    Ok(opened)
}

/// Returns `train.jsonl` for `test.jsonl`, and `x.train.jsonl` for `x.jsonl`, where the examples'
/// split is `train`.
fn examples_beside(path: &Path, split: &str) -> Option<PathBuf> {
    let (stem, extension) = (path.file_stem()?.to_str()?, path.extension()?.to_str()?);
    Some(path.with_file_name(match stem {
        "test" => format!("{split}.{extension}"),
        stem => format!("{stem}.{split}.{extension}"),
    }))
}

pub(crate) fn digest(file: &mut File) -> io::Result<String> {
    let mut hasher = Sha256::new();
    copy_digested(&mut *file, &mut io::sink(), &mut hasher)?;
    file.rewind()?;
    Ok(hex(&hasher.finalize()))
}
