//! What `bench data` does: lists the known data sets, fetches them, checks what the caches hold.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::datasets::cache::DatasetCache;
use crate::datasets::dataset::find::{SUMS, find_known};
use crate::datasets::dataset::{DATA_SET, DatasetError, Search, digest};
use crate::datasets::download::OnProgress;
use crate::datasets::hub::{Repo, RepoKind};
use crate::datasets::known::{KNOWN, Known};
use crate::plan::cell::DatasetPlan;

/// One split of one known data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The data set.
    pub known: &'static Known,
    /// The split.
    pub split: &'static str,
    /// Its files on this machine; none when the data set is not here.
    pub paths: Vec<PathBuf>,
    /// Their bytes.
    pub bytes: u64,
    /// Where a person may place its file.
    pub place: PathBuf,
}

/// One file of a cache whose digest is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CheckedFile {
    /// The file.
    pub path: PathBuf,
    /// The digest it should have.
    pub expected: String,
    /// The digest it has.
    pub found: String,
}

impl CheckedFile {
    /// Whether the file is the one that was fetched.
    pub(crate) fn is_sound(&self) -> bool {
        self.expected == self.found
    }
}

/// Lists every split of every known data set, without the network.
pub(crate) fn list(cache: &DatasetCache) -> Vec<Entry> {
    let offline = DatasetCache { offline: Some("this is a list"), ..cache.clone() };
    let search = Search { bases: &[], cache: &offline, on_progress: None };
    let mut entries = Vec::new();
    for known in &KNOWN {
        for &split in known.splits {
            let plan = plan_of(known, split);
            let paths = find_known(known, known.repo, &plan, &search)
                .map(|found| found.paths)
                .unwrap_or_default();
            let sizes = paths.iter().filter_map(|path| fs::metadata(path).ok());
            entries.push(Entry {
                known,
                split,
                bytes: sizes.map(|metadata| metadata.len()).sum(),
                paths,
                place: cache.own_dir(known.name).join(format!("{split}.jsonl")),
            });
        }
    }
    entries
}

/// Returns the files of a known data set, fetched first if they are not here.
///
/// # Errors
/// [`DatasetError::Unknown`] for a name or split that is not known.
pub(crate) fn fetch(
    name: &str,
    split: Option<&str>,
    cache: &DatasetCache,
    on_progress: Option<OnProgress<'_>>,
) -> Result<Vec<PathBuf>, DatasetError> {
    let known = Known::named(name).ok_or_else(|| {
        let names: Vec<_> = KNOWN.iter().map(|known| known.name).collect();
        let message = format!("no data set is known as `{name}`");
        DatasetError::Unknown { message, help: format!("known are {}", names.join(", ")) }
    })?;
    let split = split.unwrap_or(known.default_split);
    if !known.splits.contains(&split) {
        let help = format!("its splits are {}", known.splits.join(", "));
        let message = format!("--split {split}: data set `{name}` has no such split");
        return Err(DatasetError::Unknown { message, help });
    }
    let search = Search { bases: &[], cache, on_progress };
    find_known(known, known.repo, &plan_of(known, split), &search).map(|found| found.paths).map_err(
        |missing| DatasetError::Missing {
            what: DATA_SET,
            name: name.to_owned(),
            reason: missing.reason,
            help: missing.help,
            is_remote: missing.is_remote,
        },
    )
}

/// Digests every cached file whose digest is known: those from the hub that are named by
/// it, and those from addresses.
pub(crate) fn verify(cache: &DatasetCache) -> io::Result<Vec<CheckedFile>> {
    let mut checked = Vec::new();
    for known in &KNOWN {
        let repo = Repo::parse(RepoKind::Dataset, known.repo).expect("known names are well formed");
        for path in files_in(&repo.dir(cache).join("blobs"))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                checked.push(check(path, name)?);
            }
        }
    }
    for dir in files_in(&cache.root.join("urls"))? {
        let Ok(sums) = fs::read_to_string(dir.join(SUMS)) else { continue };
        for (expected, name) in sums.lines().filter_map(|line| line.split_once("  ")) {
            checked.push(check(dir.join(name), expected.to_owned())?);
        }
    }
    Ok(checked)
}

/// Returns the SHA-256 of a file.
pub(crate) fn digest_of(path: &Path) -> io::Result<String> {
    digest(&mut File::open(path)?)
}

fn check(path: PathBuf, expected: String) -> io::Result<CheckedFile> {
    let found = digest_of(&path)?;
    Ok(CheckedFile { path, expected, found })
}

/// Returns the entries of a directory, sorted; none when the directory does not exist.
fn files_in(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// A known data set as a scenario would ask for it.
fn plan_of(known: &Known, split: &str) -> DatasetPlan {
    DatasetPlan::of(known.source, Some(split), None, None)
}
