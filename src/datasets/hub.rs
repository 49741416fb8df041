//! Hugging Face hub: reads its cache as Python leaves it, and fetches into it likewise.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use reqwest::header::{ETAG, HeaderMap};
use reqwest::{Method, Url};
use serde::Deserialize;

use crate::datasets::cache::DatasetCache;
use crate::datasets::download::{FetchError, Fetcher, OnProgress, Progress, wait_for};
use crate::store::atomic;

/// Kinds of repositories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RepoKind {
    /// Data sets.
    Dataset,
    /// Models, for their tokenizers.
    Model,
}

/// One revision of one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Repo {
    /// Kind.
    pub kind: RepoKind,
    /// `owner/name`.
    pub name: String,
    /// Branch, tag or commit.
    pub revision: String,
}

/// Files of a repository that are on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// Commit.
    pub commit: String,
    /// Files in the asked-for order.
    pub paths: Vec<PathBuf>,
}

/// Chooses the wanted files among those of a repository; `None` when they are not all there.
pub(crate) type Choose<'a> = &'a (dyn Fn(&[String]) -> Option<Vec<String>> + Sync);

#[derive(Deserialize)]
struct Listing {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Repo {
    /// Reads `owner/name` or `owner/name@revision`.
    pub(crate) fn parse(kind: RepoKind, text: &str) -> Option<Self> {
        let (name, revision) = text.split_once('@').unwrap_or((text, "main"));
        let (owner, repo) = name.split_once('/')?;
        let is_word = |word: &str| {
            !word.is_empty()
                && !word.starts_with(['.', '-'])
                && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        let is_revision = !revision.is_empty()
            && !revision.contains("..")
            && revision.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b));
        (is_word(owner) && is_word(repo) && is_revision).then(|| Self {
            kind,
            name: name.to_owned(),
            revision: revision.to_owned(),
        })
    }

    /// Returns the directory that holds this repository in the hub's cache.
    pub(crate) fn dir(&self, cache: &DatasetCache) -> PathBuf {
        let kind = match self.kind {
            RepoKind::Dataset => "datasets",
            RepoKind::Model => "models",
        };
        cache.hub_root.join(format!("{kind}--{}", self.name.replace('/', "--")))
    }

    /// Finds the wanted files in the cache.
    pub(crate) fn cached(&self, cache: &DatasetCache, choose: Choose<'_>) -> Option<Snapshot> {
        let dir = self.dir(cache);
        let commit = match fs::read_to_string(dir.join("refs").join(&self.revision)) {
            Ok(commit) => commit.trim().to_owned(),
            Err(_) => self.revision.clone(),
        };
        let root = dir.join("snapshots").join(&commit);
        let mut files = Vec::new();
        list(&root, "", &mut files).ok()?;
        let paths: Vec<_> = choose(&files)?.iter().map(|file| root.join(file)).collect();
        paths.iter().all(|path| path.exists()).then_some(Snapshot { commit, paths })
    }

    /// Fetches the wanted files into the cache.
    ///
    /// # Errors
    /// [`FetchError`]. The next attempt goes on with the part that was fetched.
    pub(crate) fn fetch(
        &self,
        cache: &DatasetCache,
        choose: Choose<'_>,
        on_progress: Option<OnProgress<'_>>,
    ) -> Result<Snapshot, FetchError> {
        wait_for(self.fetch_files(cache, choose, on_progress))
    }

    async fn fetch_files(
        &self,
        cache: &DatasetCache,
        choose: Choose<'_>,
        on_progress: Option<OnProgress<'_>>,
    ) -> Result<Snapshot, FetchError> {
        let (api, files_at) = match self.kind {
            RepoKind::Dataset => ("api/datasets", "datasets/"),
            RepoKind::Model => ("api/models", ""),
        };
        let address = format!("{}/{api}/{}/revision/{}", cache.endpoint, self.name, self.revision);
        let (fetcher, url) = Fetcher::new(&address, cache.token())?;
        let unexpected = |why: String| FetchError::Unexpected { url: address.clone(), why };
        let listing: Listing = serde_json::from_str(&fetcher.text(&url).await?)
            .map_err(|error| unexpected(format!("not a listing of files: {error}")))?;
        if !listing.sha.bytes().all(|b| b.is_ascii_hexdigit()) || listing.sha.is_empty() {
            return Err(unexpected("the commit is not a hexadecimal number".to_owned()));
        }
        let names: Vec<_> = listing.siblings.into_iter().map(|file| file.rfilename).collect();
        let wanted = choose(&names)
            .ok_or_else(|| unexpected("the repository has no such files".to_owned()))?;
        let dir = self.dir(cache);
        let mut paths = Vec::new();
        for name in &wanted {
            if !is_inside(name) {
                return Err(unexpected("a file's name leads out of the repository".to_owned()));
            }
            let address = format!(
                "{}/{files_at}{}/resolve/{}/{name}",
                cache.endpoint, self.name, listing.sha
            );
            let url = Url::parse(&address)
                .map_err(|_| unexpected("a file's name is not part of an address".to_owned()))?;
            let path = dir.join("snapshots").join(&listing.sha).join(name);
            if !path.exists() {
                fetch_blob(&fetcher, &url, &dir, &path, name, on_progress).await?;
            }
            paths.push(path);
        }
        let reference = dir.join("refs").join(&self.revision);
        make_parent(&reference)?;
        atomic::write(&reference, listing.sha.as_bytes())
            .map_err(|error| disk(&reference, io::Error::other(error.to_string())))?;
        Ok(Snapshot { commit: listing.sha, paths })
    }
}

/// Fetches one file into `blobs/<etag>` and links the snapshot to it.
async fn fetch_blob(
    fetcher: &Fetcher,
    url: &Url,
    dir: &Path,
    path: &Path,
    name: &str,
    on_progress: Option<OnProgress<'_>>,
) -> Result<(), FetchError> {
    let (headers, _) = fetcher.send(Method::HEAD, url, 0).await?;
    let etag = etag(&headers).ok_or_else(|| FetchError::Unexpected {
        url: url.to_string(),
        why: "the answer has no usable ETag".to_owned(),
    })?;
    let blob = dir.join("blobs").join(&etag);
    make_parent(&blob)?;
    if !blob.exists() {
        // Large files are named by their SHA-256, small ones by git's own hash.
        let sha256 = (etag.len() == 64).then_some(etag.as_str());
        // The blob's name is its digest, which means nothing to a person.
        let named = |progress: Progress<'_>| {
            if let Some(report) = on_progress {
                report(Progress { file: name, ..progress });
            }
        };
        fetcher.file(url, &blob, sha256, Some(&named)).await?;
    }
    make_parent(path)?;
    let up = "../".repeat(name.matches('/').count() + 2);
    let target = format!("{up}blobs/{etag}");
    match std::os::unix::fs::symlink(target, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map_err(|error| disk(path, error)),
    }
}

fn etag(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("x-linked-etag").or_else(|| headers.get(ETAG))?.to_str().ok()?;
    let etag = value.strip_prefix("W/").unwrap_or(value).trim_matches('"');
    let is_name = !etag.is_empty()
        && etag.len() <= 128
        && !etag.starts_with('.')
        && etag.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    is_name.then(|| etag.to_owned())
}

fn is_inside(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('/')
        && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// Lists the files below a directory by their path from it, with `/` between the parts.
fn list(dir: &Path, prefix: &str, files: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &format!("{name}/"), files)?;
        } else {
            files.push(name);
        }
    }
    Ok(())
}

fn make_parent(path: &Path) -> Result<(), FetchError> {
    let parent = path.parent().expect("files of the cache lie in a directory");
    fs::create_dir_all(parent).map_err(|error| disk(parent, error))
}

fn disk(path: &Path, source: io::Error) -> FetchError {
    FetchError::Disk { path: path.to_owned(), source }
}
