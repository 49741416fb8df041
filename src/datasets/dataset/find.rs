//! Finds the files of a data set: local path, cache, hub or URL, then the scenario's fallback.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::datasets::bundled::bundled;
use crate::datasets::dataset::{DATA_SET, DatasetError, Search};
use crate::datasets::download::{FetchError, Fetcher, OnProgress, wait_for};
use crate::datasets::hub::{Repo, RepoKind, Snapshot};
use crate::datasets::known::{self, Known};
use crate::datasets::shards;
use crate::ids::sha256_hex;
use crate::plan::cell::DatasetPlan;
use crate::plan::data_files::{fits, is_data_file, is_pattern};

/// Digests of the files beside it.
pub(crate) const SUMS: &str = "SHA256SUMS";

/// The place of a data set.
pub(super) struct Located {
    pub(super) place: Place,
    /// The reason why the place is the fallback's; absent when the asked-for source was found.
    pub(super) fallback: Option<String>,
}

/// Files on this machine, or a file that the program carries: its name and text.
pub(super) enum Place {
    Files(Found),
    Bundled(&'static str, &'static str),
}

impl Place {
    /// Returns the file of the project that the program carries; `None` for any other path.
    pub(super) fn bundled(path: &Path) -> Option<Self> {
        bundled(path).map(|(name, text)| Self::Bundled(name, text))
    }
}

/// Files on this machine.
pub(crate) struct Found {
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) origin: String,
}

impl Found {
    pub(super) fn local(path: PathBuf) -> Self {
        Self { origin: path.display().to_string(), paths: vec![path] }
    }

    fn several(place: &Path, paths: Vec<PathBuf>) -> Self {
        let files = if paths.len() == 1 { "file" } else { "files" };
        Self { origin: format!("{} {files} of {}", paths.len(), place.display()), paths }
    }
}

/// Why there are no files on this machine, and how to change that.
pub(crate) struct Missing {
    pub(crate) reason: String,
    pub(crate) help: String,
    /// Whether they may be at the hub or at an address. A path that is there, or names no
    /// repository, is nowhere else.
    pub(crate) is_remote: bool,
}

/// Finds a data set, or its fallback.
pub(super) fn locate(
    name: &str,
    plan: &DatasetPlan,
    search: &Search<'_>,
) -> Result<Located, DatasetError> {
    let Missing { mut reason, help, is_remote } = match find_all(name, plan, search)? {
        Ok(found) => return Ok(Located { place: Place::Files(found), fallback: None }),
        Err(missing) => missing,
    };
    let location = plan.location.as_ref().filter(|location| !location.contains("://"));
    if let Some(place) = location.and_then(|location| Place::bundled(Path::new(location))) {
        return Ok(Located { place, fallback: None });
    }
    if let Some(fallback) = &plan.fallback {
        let on_disk = local(fallback, search.bases).map(|path| Place::Files(Found::local(path)));
        if let Some(place) = on_disk.or_else(|| Place::bundled(fallback)) {
            return Ok(Located { place, fallback: Some(reason) });
        }
        reason = format!("{reason}; and its fallback {} is not here either", fallback.display());
    }
    let (what, name) = (DATA_SET, name.to_owned());
    Err(DatasetError::Missing { what, name, reason, help, is_remote })
}

/// Finds every place of a data set: files one after the other.
fn find_all(
    name: &str,
    plan: &DatasetPlan,
    search: &Search<'_>,
) -> Result<Result<Found, Missing>, DatasetError> {
    let mut found = find(name, plan, search)?;
    for place in &plan.more_locations {
        let plan = DatasetPlan { location: Some(place.clone()), ..plan.clone() };
        found = match (found, find(name, &plan, search)?) {
            (Ok(before), Ok(more)) => {
                let paths: Vec<PathBuf> = before.paths.into_iter().chain(more.paths).collect();
                let origin = format!("{}, {}", before.origin, more.origin);
                Ok(Found { paths, origin })
            }
            (Err(missing), _) | (_, Err(missing)) => Err(missing),
        };
    }
    Ok(found)
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
            return Ok(find_in(&path, known, plan, name));
        }
        return Ok(Ok(Found::local(path)));
    }
    if is_pattern(location) {
        return Ok(of_pattern(location, search.bases));
    }
    let is_path = location.starts_with(['.', '/', '~'])
        || location.matches('/').count() != 1
        || is_data_file(location);
    match known {
        _ if is_path => Ok(Err(Missing {
            reason: format!("there is no file {location}"),
            help: format!("place the file at {location}, or name another `location`"),
            is_remote: false,
        })),
        Some(known) => Ok(find_known(known, location, plan, search)),
        None => Ok(find_repo(location, plan, search, None)),
    }
}

/// Finds the files of the split in a directory that the scenario names, or all files of rows.
fn find_in(
    dir: &Path,
    known: Option<&Known>,
    plan: &DatasetPlan,
    name: &str,
) -> Result<Found, Missing> {
    let split = plan.split.as_deref().or(known.map(|known| known.default_split));
    if let Some(found) = split.and_then(|split| placed(dir, split)) {
        return Ok(found);
    }
    let is_of_split = |file: &str| {
        let name = file.rsplit('/').next().unwrap_or(file);
        split.is_none_or(|split| name.starts_with(split))
    };
    let files = with_parts(dir);
    if let Some(chosen) = known::choose(&files, is_of_split) {
        one_set(&chosen, split.is_some(), &dir.display().to_string())?;
        let paths: Vec<PathBuf> = chosen.iter().map(|file| dir.join(file)).collect();
        return Ok(Found::several(dir, paths));
    }
    let of_split = split.map(|split| format!(" of split {split}")).unwrap_or_default();
    let parts = files.iter().filter(|file| is_of_split(file) && is_data_file(file));
    let found = match shards::incomplete(parts) {
        None => "none is there".to_owned(),
        Some((set, found, of)) => format!("{found} of the {of} files `{set}-…` are there"),
    };
    Err(Missing {
        reason: format!(
            "{}: files of rows{of_split} are looked for; {found}{}",
            dir.display(),
            not_looked_into(dir)
        ),
        help: format!(
            "place all parts (.jsonl, .json, .csv, .parquet, .txt, also .gz, .zst, .bz2, .xz) in \
             {}; data set `{name}` may name a `split`, with which their names begin",
            dir.display()
        ),
        is_remote: false,
    })
}

/// Finds out whether files are one set: of one split, unless these are named, and each of them once.
fn one_set(names: &[String], names_split: bool, place: &str) -> Result<(), Missing> {
    if let Some((one, other)) = shards::twins(names) {
        return Err(Missing {
            reason: format!("{place} has both {one} and {other}, which may be the same rows twice"),
            help: "take one of them away, or name the one that is meant as `location`".to_owned(),
            is_remote: false,
        });
    }
    let splits = shards::splits(names);
    let Some((first, _)) = splits.first().filter(|_| !names_split) else { return Ok(()) };
    let files = |n: usize| if n == 1 { "file" } else { "files" };
    let told = splits.iter().map(|(split, n)| format!("`{split}` ({n} {})", files(*n)));
    let told: Vec<String> = told.collect();
    Err(Missing {
        reason: format!("{place} has the files of several splits: {}", told.join(", ")),
        help: format!(
            "say which is meant, `split = \"{first}\"` on the data set; a list of files as `location` \
             takes several"
        ),
        is_remote: false,
    })
}

/// Finds the files whose name fits the last part of a path, in the order of their names.
fn of_pattern(location: &str, bases: &[PathBuf]) -> Result<Found, Missing> {
    let path = Path::new(location);
    let pattern = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let dir = local(parent.unwrap_or(Path::new(".")), bases);
    let fitting = dir.iter().flat_map(|dir| names(dir)).filter(|name| fits(pattern, name));
    let fitting: Vec<String> = fitting.collect();
    if let Some((set, found, of)) = shards::incomplete(&fitting) {
        return Err(Missing {
            reason: format!(
                "of the {of} files `{set}-…` that fit {location} only {found} are there"
            ),
            help: "place the others beside them; a list of names takes some of them alone"
                .to_owned(),
            is_remote: false,
        });
    }
    // A pattern takes what splits it names.
    one_set(&fitting, true, location)?;
    match dir {
        Some(dir) if !fitting.is_empty() => {
            let paths = fitting.iter().map(|name| dir.join(name)).collect();
            Ok(Found::several(&dir.join(pattern), paths))
        }
        _ => Err(Missing {
            reason: format!("no file fits {location}"),
            help: "`*` and `?` may stand in the last part of a path".to_owned(),
            is_remote: false,
        }),
    }
}

/// Returns the names of the files in a directory, in order.
fn names(dir: &Path) -> Vec<String> {
    let mut names = entries(dir, Path::is_file);
    shards::sort(&mut names);
    names
}

/// Levels of folders of partitions that are looked into.
const PARTITIONS_MAX: usize = 8;

/// Returns the names of the files in a directory and, as Hive, Spark and pandas write them, in its
/// folders of partitions: `year=2023/part-0.parquet`.
fn with_parts(dir: &Path) -> Vec<String> {
    let mut files = names(dir);
    let mut folders = partitions(dir);
    for _ in 0..PARTITIONS_MAX {
        let mut deeper = Vec::new();
        for folder in folders {
            let path = dir.join(&folder);
            files.extend(names(&path).iter().map(|name| format!("{folder}/{name}")));
            deeper.extend(partitions(&path).iter().map(|name| format!("{folder}/{name}")));
        }
        folders = deeper;
    }
    files
}

fn partitions(dir: &Path) -> Vec<String> {
    let mut names = entries(dir, Path::is_dir);
    names.retain(|name| name.split_once('=').is_some_and(|(column, _)| !column.is_empty()));
    names
}

/// Names a directory's folders, where it has some: files are not looked for in them.
fn not_looked_into(dir: &Path) -> String {
    const SHOWN: usize = 3;
    let mut names = entries(dir, Path::is_dir);
    shards::sort(&mut names);
    if names.is_empty() {
        return String::new();
    }
    let more = if names.len() > SHOWN { ", …" } else { "" };
    names.truncate(SHOWN);
    format!("; its folders are not looked into: `{}`{more}", names.join("`, `").escape_debug())
}

fn entries(dir: &Path, is_wanted: impl Fn(&Path) -> bool) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let wanted = entries.filter(|entry| is_wanted(&entry.path()));
    wanted.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Finds a file that a person put where an error message told them to.
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

/// Finds a repository of the hub: in its cache, then at the hub itself.
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
            is_remote: false,
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
    // Several splits are told apart before they are fetched.
    let mixed: Mutex<Option<Missing>> = Mutex::default();
    let take_mixed = || mixed.lock().unwrap_or_else(PoisonError::into_inner).take();
    let names_split = !file.is_empty() || known.is_some() || plan.split.is_some();
    let choose = |files: &[String]| {
        let chosen = known::choose(files, wanted)?;
        match one_set(&chosen, names_split, repo.name.as_str()) {
            Ok(()) => Some(chosen),
            Err(missing) => {
                *mixed.lock().unwrap_or_else(PoisonError::into_inner) = Some(missing);
                None
            }
        }
    };
    let found = |snapshot: Snapshot| Found {
        origin: format!("{} at {} of the hub", repo.name, snapshot.commit),
        paths: snapshot.paths,
    };
    if let Some(snapshot) = repo.cached(search.cache, &choose) {
        return Ok(found(snapshot));
    }
    if let Some(missing) = take_mixed() {
        return Err(missing);
    }
    if let Some(why) = search.cache.offline {
        return Err(Missing {
            reason: format!("{} is not in the cache, and nothing is fetched: {why}", repo.name),
            help,
            is_remote: true,
        });
    }
    let fetched = repo.fetch(search.cache, &choose, search.on_progress).map(found);
    fetched.map_err(|error| {
        take_mixed().unwrap_or_else(|| Missing {
            reason: format!("{} is not in the cache, and {error}", repo.name),
            help,
            is_remote: true,
        })
    })
}

/// Finds a file at an address. It is kept in `bench`'s cache under the digest that the scenario
/// pins.
fn find_url(
    name: &str,
    address: &str,
    plan: &DatasetPlan,
    search: &Search<'_>,
) -> Result<Result<Found, Missing>, DatasetError> {
    let Some(sha256) = &plan.sha256 else {
        // A digest would not help where nothing is fetched.
        let message = match address.split_once("://") {
            Some(("file", path)) => {
                format!("a file of this machine is named by its path, `{path}`")
            }
            Some(("hf", _)) => "a repository of Hugging Face is named by owner and name".to_owned(),
            Some(("http" | "https", _)) | None => {
                "a file from the network needs its `sha256`".to_owned()
            }
            Some(_) => "only https addresses are fetched: fetch the file, and name its path".into(),
        };
        return Err(DatasetError::Unclear { name: name.to_owned(), message });
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
    if let Some(why) = search.cache.offline {
        let reason = format!("{without_query} is not in the cache, and nothing is fetched: {why}");
        return Ok(Err(Missing { reason, help, is_remote: true }));
    }
    match fetch_url(address, &path, sha256, search.on_progress) {
        Ok(()) => Ok(Ok(found())),
        Err(FetchError::WrongHash { url, expected, found }) => {
            Err(DatasetError::WrongHash { origin: url, expected, found })
        }
        Err(error) => Ok(Err(Missing { reason: error.to_string(), help, is_remote: true })),
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
