//! Which environment variables hold secrets, by their names.

use std::collections::{BTreeMap, BTreeSet};
use std::env;

use crate::engine::log::Secrets;
use crate::plan::launch::Launch;

/// Ends of names that say "secret" by custom: `HF_TOKEN`, `OPENAI_API_KEY`, `DB_PASSWORD`.
const ENDINGS: [&str; 5] = ["_TOKEN", "_KEY", "_SECRET", "_PASSWORD", "_CREDENTIALS"];

/// Whether a variable of this name is taken for a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Returns the names of the variables an engine sees whose values must not be shown.
pub(super) fn of(launch: &Launch) -> BTreeSet<String> {
    let inherited = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    inherited
        .chain(launch.env.keys().cloned())
        .filter(|name| is_secret(name))
        .chain(launch.api_key_env.clone())
        .collect()
}

/// Returns the values behind such names.
pub(super) fn values(names: &BTreeSet<String>, env: &BTreeMap<String, String>) -> Secrets {
    let values = names.iter().flat_map(|name| [env.get(name).cloned(), env::var(name).ok()]);
    Secrets::new(values.flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_secrets_and_tokenizers_are_not() {
        for name in ["HF_TOKEN", "openai_api_key", "DB_PASSWORD"] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["TOKENIZERS_PARALLELISM", "KEYBOARD", "MAX_TOKENS", "PATH"] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
