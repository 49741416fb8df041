//! Where fetched data lies on this machine, and what the environment says about fetching.

use std::env;
use std::fs;
use std::path::PathBuf;

use nix::unistd::{Uid, User};

use crate::secrets::Secret;

/// Directories, hub and credentials. Read from the environment once, then a value.
#[derive(Clone, Debug)]
pub(crate) struct DatasetCache {
    /// `bench`'s own cache: `$BENCH_CACHE`, else `bench` in the user's cache directory.
    pub root: PathBuf,
    /// The hub's cache, shared with Python: `$HF_HUB_CACHE`, else `$HF_HOME/hub`.
    pub hub_root: PathBuf,
    /// The hub's address, `$HF_ENDPOINT`, without a slash at its end.
    pub endpoint: String,
    /// Why nothing is fetched, where nothing is: `HF_HUB_OFFLINE is set`.
    pub offline: Option<&'static str>,
    pub(crate) token: Option<Secret>,
}

/// Names another directory than the user's cache.
pub(crate) const ROOT_ENV: &str = "BENCH_CACHE";
/// Switches fetching off, as the hub's own variable does.
pub(crate) const OFFLINE_ENV: &str = "BENCH_OFFLINE";

/// Variables that switch fetching off, and what is said then.
const OFFLINE: [(&str, &str); 2] =
    [("HF_HUB_OFFLINE", "HF_HUB_OFFLINE is set"), (OFFLINE_ENV, "BENCH_OFFLINE is set")];

/// The user has no directory of their own for fetched files.
///
/// A directory that everybody can write to would do for data with checksums, but engines are
/// started from files of this cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no cache directory: neither XDG_CACHE_HOME nor HOME is set, and this user has no home"
)]
pub(crate) struct NoCacheDir;

impl NoCacheDir {
    /// The way out.
    pub(crate) const HELP: &str = "set XDG_CACHE_HOME to a directory that only you can write to";
}

impl DatasetCache {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`NoCacheDir`] when the environment names no directory, and the user's account has no home.
    pub(crate) fn from_env() -> Result<Self, NoCacheDir> {
        let var = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        Self::from_lookup(&var, &home_of_account)
    }

    /// Places both caches under one directory and never fetches.
    #[cfg(test)]
    pub(crate) fn offline_at(root: &std::path::Path) -> Self {
        Self {
            root: root.join("bench"),
            hub_root: root.join("hub"),
            endpoint: DEFAULT_ENDPOINT.to_owned(),
            offline: Some(OFFLINE[0].1),
            token: None,
        }
    }

    fn from_lookup(
        var: &dyn Fn(&str) -> Option<String>,
        home: &dyn Fn() -> Option<PathBuf>,
    ) -> Result<Self, NoCacheDir> {
        let path = |name| var(name).map(PathBuf::from);
        let user_cache = path("XDG_CACHE_HOME")
            .or_else(|| path("HOME").or_else(home).map(|home| home.join(".cache")))
            .ok_or(NoCacheDir)?;
        let hub_home = path("HF_HOME").unwrap_or_else(|| user_cache.join("huggingface"));
        let is_on = |name| {
            var(name).is_some_and(|value| {
                matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on")
            })
        };
        let token_path = path("HF_TOKEN_PATH").unwrap_or_else(|| hub_home.join("token"));
        Ok(Self {
            root: path(ROOT_ENV).unwrap_or_else(|| user_cache.join("bench")),
            hub_root: path("HF_HUB_CACHE").unwrap_or_else(|| hub_home.join("hub")),
            endpoint: var("HF_ENDPOINT")
                .unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned())
                .trim_end_matches('/')
                .to_owned(),
            offline: OFFLINE.iter().find(|(name, _)| is_on(name)).map(|(_, why)| *why),
            token: var("HF_TOKEN")
                .or_else(|| fs::read_to_string(token_path).ok())
                .and_then(|token| Secret::new(&token)),
        })
    }

    /// Returns the credential for the hub. It is never printed and never stored.
    pub(crate) fn token(&self) -> Option<&Secret> {
        self.token.as_ref()
    }

    /// Directory where a person may put the files of a known data set.
    pub(crate) fn own_dir(&self, dataset: &str) -> PathBuf {
        self.root.join("datasets").join(dataset)
    }
}

/// Returns the home directory of the user's account, if it exists.
fn home_of_account() -> Option<PathBuf> {
    let user = User::from_uid(Uid::current()).ok().flatten()?;
    Some(user.dir).filter(|home| home.is_absolute() && home.is_dir())
}

const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(vars: &[(&str, &str)], home: Option<&str>) -> Result<DatasetCache, NoCacheDir> {
        let var = |name: &str| {
            vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        DatasetCache::from_lookup(&var, &|| home.map(PathBuf::from))
    }

    fn check(vars: &[(&str, &str)], root: &str, hub_root: &str) {
        let cache = lookup(vars, Some("/account")).unwrap();
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
        check(&[], "/account/.cache/bench", "/account/.cache/huggingface/hub");
    }

    #[test]
    fn no_directory_that_others_can_write_to_stands_in_for_a_home() {
        assert_eq!(lookup(&[], None).unwrap_err(), NoCacheDir);
        assert_eq!(lookup(&[("TMPDIR", "/tmp")], None).unwrap_err(), NoCacheDir);
    }

    #[test]
    fn the_token_is_not_in_the_debug_form() {
        let cache = lookup(&[("HF_TOKEN", "hf_canary\n")], Some("/h")).unwrap();
        assert_eq!(cache.token().map(Secret::expose), Some("hf_canary"));
        assert!(!format!("{cache:?}").contains("canary"));
    }
}
