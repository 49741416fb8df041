//! Where fetched data lies on this machine, and what the environment says about fetching.

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// Directories, hub and credentials. Read from the environment once, then a value.
#[derive(Clone)]
pub struct DatasetCache {
    /// `bench`'s own cache: `$BENCH_CACHE`, else `bench` in the user's cache directory.
    pub root: PathBuf,
    /// The hub's cache, shared with Python: `$HF_HUB_CACHE`, else `$HF_HOME/hub`.
    pub hub_root: PathBuf,
    /// The hub's address, `$HF_ENDPOINT`, without a slash at its end.
    pub endpoint: String,
    /// Nothing is fetched: `$HF_HUB_OFFLINE` or `$BENCH_OFFLINE`.
    pub offline: bool,
    pub(crate) token: Option<String>,
}

impl fmt::Debug for DatasetCache {
    /// Leaves the token out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatasetCache")
            .field("root", &self.root)
            .field("hub_root", &self.hub_root)
            .field("endpoint", &self.endpoint)
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

impl DatasetCache {
    /// Reads the environment.
    pub fn from_env() -> Self {
        Self::from_lookup(&|name| env::var(name).ok().filter(|value| !value.is_empty()))
    }

    /// Places both caches under one directory and never fetches.
    pub fn offline_at(root: &Path) -> Self {
        Self {
            root: root.join("bench"),
            hub_root: root.join("hub"),
            endpoint: DEFAULT_ENDPOINT.to_owned(),
            offline: true,
            token: None,
        }
    }

    fn from_lookup(var: &dyn Fn(&str) -> Option<String>) -> Self {
        let path = |name| var(name).map(PathBuf::from);
        let user_cache = path("XDG_CACHE_HOME")
            .or_else(|| path("HOME").map(|home| home.join(".cache")))
            .unwrap_or_else(env::temp_dir);
        let hub_home = path("HF_HOME").unwrap_or_else(|| user_cache.join("huggingface"));
        let is_on = |name| {
            var(name).is_some_and(|value| {
                matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on")
            })
        };
        let token_path = path("HF_TOKEN_PATH").unwrap_or_else(|| hub_home.join("token"));
        Self {
            root: path("BENCH_CACHE").unwrap_or_else(|| user_cache.join("bench")),
            hub_root: path("HF_HUB_CACHE").unwrap_or_else(|| hub_home.join("hub")),
            endpoint: var("HF_ENDPOINT")
                .unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned())
                .trim_end_matches('/')
                .to_owned(),
            offline: is_on("HF_HUB_OFFLINE") || is_on("BENCH_OFFLINE"),
            token: var("HF_TOKEN")
                .or_else(|| fs::read_to_string(token_path).ok())
                .map(|token| token.trim().to_owned())
                .filter(|token| !token.is_empty()),
        }
    }

    /// Returns the credential for the hub. It is never printed and never stored.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Directory where a person may put the files of a known data set.
    pub fn own_dir(&self, dataset: &str) -> PathBuf {
        self.root.join("datasets").join(dataset)
    }
}

const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

#[cfg(test)]
mod tests {
    use super::*;

    fn check(vars: &[(&str, &str)], root: &str, hub_root: &str) {
        let cache = DatasetCache::from_lookup(&|name| {
            vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        });
        assert_eq!((cache.root, cache.hub_root), (root.into(), hub_root.into()));
    }

    #[test]
    fn the_environment_says_where_the_caches_are() {
        check(&[("HOME", "/h")], "/h/.cache/bench", "/h/.cache/huggingface/hub");
        check(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/c")], "/c/bench", "/c/huggingface/hub");
        check(&[("HOME", "/h"), ("HF_HOME", "/hf")], "/h/.cache/bench", "/hf/hub");
        check(
            &[("HOME", "/h"), ("HF_HOME", "/hf"), ("HF_HUB_CACHE", "/x"), ("BENCH_CACHE", "/b")],
            "/b",
            "/x",
        );
    }

    #[test]
    fn the_token_is_not_in_the_debug_form() {
        let cache =
            DatasetCache::from_lookup(&|name| (name == "HF_TOKEN").then(|| "hf_canary".to_owned()));
        assert_eq!(cache.token(), Some("hf_canary"));
        assert!(!format!("{cache:?}").contains("canary"));
    }
}
