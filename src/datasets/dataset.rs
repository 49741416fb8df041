//! Finds the files of a data set: local path, cache, hub or URL, then the scenario's fallback.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::datasets::bundled::bundled;
use crate::datasets::cache::DatasetCache;
use crate::datasets::download::{FetchError, Fetcher, OnProgress, wait_for};
use crate::datasets::hub::{Repo, RepoKind};
use crate::datasets::known::{self, Known};
use crate::ids::{hex, sha256_hex};
use crate::plan::cell::{DatasetPlan, Source};

/// A data set that was found. Its files are open, so what is read is what was digested.
#[derive(Debug)]
pub struct Opened {
    /// Its files with the names that messages call them by, in order; none for data that
    /// is generated.
    pub files: Vec<(String, File)>,
    /// Files of the training split, for worked examples, when the plan wants some and the
    /// split is to be had; else the first rows of the data set itself serve.
    pub shots: Vec<(String, File)>,
    /// The files' paths; none for data that is generated or comes with the program.
    pub paths: Vec<PathBuf>,
    /// Where it came from, as a person would say it.
    pub origin: String,
    /// Set when the asked-for source was not to be had, with the reason.
    pub fallback: Option<String>,
    /// SHA-256 of the file; of all files' digests when there are several; empty for data
    /// that is generated.
    pub sha256: String,
}

/// Why a data set cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// It is nowhere.
    #[error("data set `{name}` is not here: {reason}")]
    Missing {
        /// The data set.
        name: String,
        /// Where it was looked for.
        reason: String,
        /// What to place where.
        help: String,
    },
    /// It is not the pinned one.
    #[error("{origin} has SHA-256 {found}, {expected} is pinned in the scenario")]
    WrongHash {
        /// Where it was found.
        origin: String,
        /// Pinned digest.
        expected: String,
        /// Digest of what is there.
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
    /// The file is there and cannot be read.
    #[error("failed to read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
}

impl DatasetError {
    /// Returns the exit code of the program for this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Missing { .. } | Self::Unreadable { .. } => 66,
            Self::WrongHash { .. } => 65,
            Self::Unclear { .. } => 78,
        }
    }

    /// Returns what the user can do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Missing { help, .. } => help.clone(),
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

/// Where a data set is looked for, and what happens meanwhile.
#[derive(Clone, Copy)]
pub struct Search<'a> {
    /// Directories against which relative paths are tried: the scenario's, its project's, the
    /// current one.
    pub bases: &'a [PathBuf],
    /// Caches and hub.
    pub cache: &'a DatasetCache,
    /// Told of a download's progress.
    pub on_progress: Option<OnProgress<'a>>,
}

/// Returns the directories against which a scenario's relative paths are tried: its own, the
/// one above it, the current one.
pub fn bases(scenario: &Path) -> Vec<PathBuf> {
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
pub fn open(name: &str, plan: &DatasetPlan, search: &Search<'_>) -> Result<Opened, DatasetError> {
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
    let missing = match find(name, plan, search)? {
        Ok(found) => {
            return with_shots(checked(found.open(None)?, plan)?, plan, search);
        }
        Err(missing) => missing,
    };
    if let Some(location) = &plan.location
        && !location.contains("://")
        && let Some(opened) = open_bundled(Path::new(location), None)?
    {
        return with_shots(checked(opened, plan)?, plan, search);
    }
    let Some(fallback) = &plan.fallback else {
        return Err(DatasetError::Missing {
            name: name.to_owned(),
            reason: missing.reason,
            help: missing.help,
        });
    };
    if let Some(path) = local(fallback, search.bases) {
        return with_shots(Found::local(path).open(Some(missing.reason))?, plan, search);
    }
    if let Some(opened) = open_bundled(fallback, Some(&missing.reason))? {
        return with_shots(opened, plan, search);
    }
    Err(DatasetError::Missing {
        name: name.to_owned(),
        reason: format!(
            "{}; and its fallback {} is not here either",
            missing.reason,
            fallback.display()
        ),
        help: missing.help,
    })
}

/// Refuses a file that is not the pinned one.
fn checked(opened: Opened, plan: &DatasetPlan) -> Result<Opened, DatasetError> {
    match &plan.sha256 {
        Some(expected) if !expected.eq_ignore_ascii_case(&opened.sha256) => {
            Err(DatasetError::WrongHash {
                origin: opened.origin,
                expected: expected.clone(),
                found: opened.sha256,
            })
        }
        _ => Ok(opened),
    }
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
    if plan.source == Source::Random {
        return Ok(Vec::new());
    }
    let missing = match find(name, plan, search)? {
        Ok(found) => return found.files(),
        Err(missing) => missing,
    };
    if let Some(location) = plan.location.as_ref().filter(|location| !location.contains("://"))
        && let Some(opened) = open_bundled(Path::new(location), None)?
    {
        return Ok(opened.files);
    }
    if let Some(fallback) = &plan.fallback {
        if let Some(path) = local(fallback, search.bases) {
            return Found::local(path).files();
        }
        if let Some(opened) = open_bundled(fallback, Some(&missing.reason))? {
            return Ok(opened.files);
        }
    }
    Err(DatasetError::Missing { name: name.to_owned(), reason: missing.reason, help: missing.help })
}

/// Files on this machine.
pub(crate) struct Found {
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) origin: String,
}

/// Why there are none, and how to change that.
pub(crate) struct Missing {
    pub(crate) reason: String,
    pub(crate) help: String,
}

impl Found {
    fn local(path: PathBuf) -> Self {
        Self { origin: path.display().to_string(), paths: vec![path] }
    }

    fn files(&self) -> Result<Vec<(String, File)>, DatasetError> {
        let open = |path: &PathBuf| {
            let unreadable = |source| DatasetError::Unreadable { path: path.clone(), source };
            // A pipe would block for ever, a directory says nothing useful when read.
            let kind = fs::metadata(path).map_err(unreadable)?.file_type();
            if !kind.is_file() {
                return Err(unreadable(io::Error::other("not a regular file")));
            }
            Ok((path.display().to_string(), File::open(path).map_err(unreadable)?))
        };
        self.paths.iter().map(open).collect()
    }

    fn open(self, fallback: Option<String>) -> Result<Opened, DatasetError> {
        let mut files = self.files()?;
        let mut digests = Vec::new();
        for ((_, file), path) in files.iter_mut().zip(&self.paths) {
            let unreadable = |source| DatasetError::Unreadable { path: path.clone(), source };
            digests.push(digest(file).map_err(unreadable)?);
        }
        let sha256 = match digests.as_slice() {
            [only] => only.clone(),
            several => sha256_hex(several.concat().as_bytes()),
        };
        Ok(Opened {
            files,
            shots: Vec::new(),
            paths: self.paths,
            origin: self.origin,
            fallback,
            sha256,
        })
    }
}

/// Opens the training split beside a data set whose plan wants worked examples.
fn with_shots(
    mut opened: Opened,
    plan: &DatasetPlan,
    search: &Search<'_>,
) -> Result<Opened, DatasetError> {
    if plan.n_shots == 0 || plan.split.as_deref() == Some(TRAIN) {
        return Ok(opened);
    }
    let shots = match (Known::of(plan.source), &plan.location, &opened.fallback) {
        // The hub or the cache has both splits.
        (Some(known), None, None) if known.splits.contains(&TRAIN) => {
            let training = DatasetPlan { split: Some(TRAIN.to_owned()), ..plan.clone() };
            match find_known(known, known.repo, &training, search) {
                Ok(found) => Some(found.open(None)?),
                Err(_) => None,
            }
        }
        _ => match opened.paths.as_slice() {
            [path] => match training_beside(path).filter(|path| path.is_file()) {
                Some(path) => Some(Found::local(path).open(None)?),
                None => None,
            },
            [] => {
                let name = opened.files.first().map(|(name, _)| Path::new(name.as_str()));
                match name.and_then(training_beside) {
                    Some(path) => open_bundled(&path, None)?,
                    None => None,
                }
            }
            _ => None,
        },
    };
    let examples = match shots {
        Some(shots) => {
            opened.shots = shots.files;
            format!("worked examples from {}", shots.origin)
        }
        None => format!("its first {} rows are the worked examples and not asked", plan.n_shots),
    };
    opened.origin = format!("{}; {examples}", opened.origin);
    Ok(opened)
}

const TRAIN: &str = "train";

/// Returns `train.jsonl` for `test.jsonl`, and `x.train.jsonl` for `x.jsonl`.
fn training_beside(path: &Path) -> Option<PathBuf> {
    let (stem, extension) = (path.file_stem()?.to_str()?, path.extension()?.to_str()?);
    Some(path.with_file_name(match stem {
        "test" => format!("{TRAIN}.{extension}"),
        stem => format!("{stem}.{TRAIN}.{extension}"),
    }))
}

fn find(
    name: &str,
    plan: &DatasetPlan,
    search: &Search<'_>,
) -> Result<Result<Found, Missing>, DatasetError> {
    let known = Known::of(plan.source);
    let Some(location) = &plan.location else {
        return match known {
            Some(known) => Ok(find_known(known, known.repo, plan, search)),
            None => Err(DatasetError::Unclear {
                name: name.to_owned(),
                message: "it has no `location`".to_owned(),
            }),
        };
    };
    if location.contains("://") {
        return find_url(name, location, plan, search);
    }
    if let Some(path) = local(Path::new(location), search.bases) {
        if path.is_dir() {
            return find_in(&path, known, plan, name);
        }
        return Ok(Ok(Found::local(path)));
    }
    let is_path = location.starts_with(['.', '/', '~'])
        || location.matches('/').count() != 1
        || ["jsonl", "json", "csv", "parquet", "txt"]
            .iter()
            .any(|extension| Path::new(location).extension().is_some_and(|e| e == *extension));
    match known {
        _ if is_path => Ok(Err(Missing {
            reason: format!("there is no file {location}"),
            help: format!("place the file at {location}, or name another `location`"),
        })),
        Some(known) => Ok(find_known(known, location, plan, search)),
        None => Ok(find_repo(location, plan, search, None)),
    }
}

/// A directory as location: the one file of the split in it.
fn find_in(
    dir: &Path,
    known: Option<&Known>,
    plan: &DatasetPlan,
    name: &str,
) -> Result<Result<Found, Missing>, DatasetError> {
    let split = plan.split.as_deref().or(known.map(|known| known.default_split));
    let split = split.ok_or_else(|| DatasetError::Unclear {
        name: name.to_owned(),
        message: format!("{} is a directory and no `split` is named", dir.display()),
    })?;
    Ok(placed(dir, split).ok_or_else(|| Missing {
        reason: format!("{} holds no {split}.jsonl, .json or .parquet", dir.display()),
        help: format!("place {split}.jsonl in {}", dir.display()),
    }))
}

/// A file that a person put where the message said.
fn placed(dir: &Path, split: &str) -> Option<Found> {
    ["jsonl", "parquet", "json", "csv"]
        .iter()
        .map(|extension| dir.join(format!("{split}.{extension}")))
        .find(|path| path.is_file())
        .map(Found::local)
}

pub(crate) fn find_known(
    known: &Known,
    repo: &str,
    plan: &DatasetPlan,
    search: &Search<'_>,
) -> Result<Found, Missing> {
    let split = plan.split.as_deref().unwrap_or(known.default_split);
    let dir = search.cache.own_dir(known.name);
    if let Some(found) = placed(&dir, split) {
        return Ok(found);
    }
    find_repo(repo, plan, search, Some((known, split))).map_err(|missing| Missing {
        help: format!(
            "place its file as {}, or set `location` to it, or give the scenario a `fallback`",
            dir.join(format!("{split}.jsonl")).display()
        ),
        ..missing
    })
}

/// A repository of the hub: its cache, then the hub itself.
fn find_repo(
    location: &str,
    plan: &DatasetPlan,
    search: &Search<'_>,
    known: Option<(&Known, &str)>,
) -> Result<Found, Missing> {
    let help =
        format!("place the files in {} as the hub's own tools do", search.cache.hub_root.display());
    let (repo, file) = location.split_once(':').unwrap_or((location, ""));
    let Some(repo) = Repo::parse(RepoKind::Dataset, repo) else {
        return Err(Missing {
            reason: format!("{location} is neither a file nor a repository of the hub"),
            help: "write a repository as owner/name, owner/name@revision or owner/name:file"
                .to_owned(),
        });
    };
    let wanted = |name: &str| match (file, known, &plan.split) {
        ("", Some((known, split)), _) => name.starts_with(&known.prefix(split)),
        ("", None, Some(split)) => {
            name.rsplit('/').next().is_some_and(|last| last.starts_with(split.as_str()))
        }
        ("", None, None) => true,
        (file, ..) => name == file,
    };
    let choose = |files: &[String]| known::choose(files, wanted);
    let found = |snapshot: crate::datasets::hub::Snapshot| Found {
        origin: format!("{} at {} of the hub", repo.name, snapshot.commit),
        paths: snapshot.paths,
    };
    if let Some(snapshot) = repo.cached(search.cache, &choose) {
        return Ok(found(snapshot));
    }
    if search.cache.offline {
        return Err(Missing {
            reason: format!("{} is not in the cache, and fetching is switched off", repo.name),
            help,
        });
    }
    repo.fetch(search.cache, &choose, search.on_progress).map(found).map_err(|error| Missing {
        reason: format!("{} is not in the cache, and {error}", repo.name),
        help,
    })
}

/// A file at an address: kept in `bench`'s cache under the digest that the scenario pins.
fn find_url(
    name: &str,
    address: &str,
    plan: &DatasetPlan,
    search: &Search<'_>,
) -> Result<Result<Found, Missing>, DatasetError> {
    let Some(sha256) = &plan.sha256 else {
        return Err(DatasetError::Unclear {
            name: name.to_owned(),
            message: "a file from the network needs its `sha256`".to_owned(),
        });
    };
    let without_query = address.split(['?', '#']).next().unwrap_or(address);
    let file: String = without_query
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c))
        .collect();
    let file = file.trim_start_matches('.');
    let path = search
        .cache
        .root
        .join("urls")
        .join(&sha256_hex(address.as_bytes())[..16])
        .join(if file.is_empty() { "data" } else { file });
    let found = || Found { origin: without_query.to_owned(), paths: vec![path.clone()] };
    if path.is_file() {
        return Ok(Ok(found()));
    }
    let help = format!("place the file as {}", path.display());
    if search.cache.offline {
        let reason = format!("{without_query} is not in the cache, and fetching is switched off");
        return Ok(Err(Missing { reason, help }));
    }
    match fetch_url(address, &path, sha256, search.on_progress) {
        Ok(()) => Ok(Ok(found())),
        Err(FetchError::WrongHash { url, expected, found }) => {
            Err(DatasetError::WrongHash { origin: url, expected, found })
        }
        Err(error) => Ok(Err(Missing { reason: error.to_string(), help })),
    }
}

fn fetch_url(
    address: &str,
    path: &Path,
    sha256: &str,
    on_progress: Option<OnProgress<'_>>,
) -> Result<(), FetchError> {
    let (fetcher, url) = Fetcher::new(address, None)?;
    let parent = path.parent().expect("a cached file lies in a directory");
    fs::create_dir_all(parent)
        .map_err(|source| FetchError::Disk { path: parent.to_owned(), source })?;
    let digest = wait_for(fetcher.file(&url, path, Some(sha256), on_progress))?;
    // For `bench data verify`, in the form of sha256sum.
    let note = path.with_file_name(SUMS);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    fs::write(&note, format!("{digest}  {name}\n"))
        .map_err(|source| FetchError::Disk { path: note, source })
}

pub(crate) fn local(path: &Path, bases: &[PathBuf]) -> Option<PathBuf> {
    if path.is_absolute() {
        return path.exists().then(|| path.to_owned());
    }
    let path = path.strip_prefix("./").unwrap_or(path);
    bases.iter().map(|base| base.join(path)).find(|path| path.exists())
}

/// Digests of the files beside it.
pub(crate) const SUMS: &str = "SHA256SUMS";

pub(crate) fn digest(file: &mut File) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => hasher.update(&buffer[..n]),
        }
    }
    file.rewind()?;
    Ok(hex(&hasher.finalize()))
}

/// Opens a file of the project that the program carries; `None` for any other path. `fallback`
/// says what was asked for in vain, if it was something else.
fn open_bundled(path: &Path, fallback: Option<&str>) -> Result<Option<Opened>, DatasetError> {
    let Some((name, text)) = bundled(path) else { return Ok(None) };
    let unreadable = |source| DatasetError::Unreadable { path: path.to_owned(), source };
    let mut file = tempfile::tempfile().map_err(unreadable)?;
    file.write_all(text.as_bytes()).map_err(unreadable)?;
    file.rewind().map_err(unreadable)?;
    Ok(Some(Opened {
        files: vec![(name.to_owned(), file)],
        shots: Vec::new(),
        paths: Vec::new(),
        origin: format!("{name}, which comes with bench"),
        fallback: fallback.map(str::to_owned),
        sha256: sha256_hex(text.as_bytes()),
    }))
}
