//! The secrets that engines are given: read from bench's own environment once, before anything starts.

use std::collections::BTreeMap;
use std::env;

use crate::ids::LaunchId;
use crate::plan::launch::Launch;
use crate::secrets::Secret;
use crate::secrets::literal::in_text;
use crate::secrets::name::is_secret_name;
use crate::secrets::redact::Redactor;

/// The keys of a run's engines, and the redaction of every secret in use.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    api_keys: BTreeMap<LaunchId, Secret>,
    redactor: Redactor,
}

/// What is sent with every request to one engine, and what is taken out of all that it says.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Its API key.
    pub api_key: Option<Secret>,
    /// The redaction of every secret in use.
    pub redactor: Redactor,
}

/// Why an engine cannot be given its secrets. Nothing has been started then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The variable is not set, or holds white space alone.
    #[error(
        "engine `{engine}`: `{name}` comes from the environment variable {variable}, which is {lack}"
    )]
    Missing {
        /// Engine name in the scenario.
        engine: String,
        /// The engine's variable.
        name: String,
        /// The variable of bench's own environment.
        variable: String,
        /// What is wrong with it.
        lack: &'static str,
    },
    /// No HTTP header can carry the key.
    #[error(
        "engine `{engine}`: the API key in the environment variable {variable} cannot be sent: \
         character {at} of {n} is none that an HTTP header can carry"
    )]
    Unsendable {
        /// Engine name in the scenario.
        engine: String,
        /// The variable of bench's own environment.
        variable: String,
        /// Number of the first such character, from 1.
        at: usize,
        /// Characters of the key.
        n: usize,
    },
}

impl CredentialError {
    /// Returns what to do.
    pub fn help(&self) -> String {
        match self {
            Self::Missing { variable, .. } => format!("export {variable}=… with the value in it"),
            Self::Unsendable { variable, .. } => {
                format!("put the key alone into {variable}: one line of letters, digits and signs")
            }
        }
    }
}

impl Credentials {
    /// Reads the secrets of these launches; `others` are further secrets in use.
    ///
    /// # Errors
    /// The first variable that is not there, and the first key that cannot be sent.
    pub fn read<'a>(
        launches: impl IntoIterator<Item = (&'a LaunchId, &'a Launch)>,
        others: impl IntoIterator<Item = Secret>,
    ) -> Result<Self, CredentialError> {
        Self::read_from(launches, others.into_iter().chain(inherited()), &|name| {
            env::var(name).ok()
        })
    }

    fn read_from<'a>(
        launches: impl IntoIterator<Item = (&'a LaunchId, &'a Launch)>,
        others: impl IntoIterator<Item = Secret>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, CredentialError> {
        let mut known: Vec<Secret> = others.into_iter().collect();
        let mut api_keys = BTreeMap::new();
        for (id, launch) in launches {
            for (name, from) in &launch.env_from {
                let missing = |lack| CredentialError::Missing {
                    engine: launch.engine.clone(),
                    name: name.clone(),
                    variable: from.clone(),
                    lack,
                };
                let value = variable(from).ok_or_else(|| missing("not set"))?;
                known.push(Secret::new(&value).ok_or_else(|| missing("empty"))?);
            }
            let (given, from) = api_key(launch, variable);
            let Some(given) = given.filter(|given| !given.is_empty()) else { continue };
            let key = Secret::new(&given).ok_or_else(|| CredentialError::Missing {
                engine: launch.engine.clone(),
                name: launch.api_key_env.clone().unwrap_or_default(),
                variable: from.clone(),
                lack: "empty",
            })?;
            if let Some(at) = key.first_unsendable() {
                return Err(CredentialError::Unsendable {
                    engine: launch.engine.clone(),
                    variable: from,
                    at,
                    n: key.expose().chars().count(),
                });
            }
            known.push(key.clone());
            api_keys.insert(id.clone(), key);
        }
        Ok(Self { api_keys, redactor: Redactor::new(known) })
    }

    /// Returns the one key of a launch, for its readiness, its control calls and its load.
    pub fn access(&self, launch: &LaunchId) -> Access {
        Access { api_key: self.api_keys.get(launch).cloned(), redactor: self.redactor.clone() }
    }

    /// Returns the redaction of every secret in use.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }
}

/// Returns what the key's variable holds, and the name of that variable.
fn api_key(launch: &Launch, variable: &dyn Fn(&str) -> Option<String>) -> (Option<String>, String) {
    let own = launch.api_key_env.as_ref().and_then(|name| launch.env.get(name)).cloned();
    let from = launch.api_key_variable().unwrap_or_default();
    (own.or_else(|| variable(from)), from.to_owned())
}

/// Returns the secrets in bench's own environment, by the names of their variables and by
/// their look: engines inherit them, and may print them.
pub fn inherited() -> Vec<Secret> {
    let mut found = Vec::new();
    let variables = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    for (name, value) in variables {
        if is_secret_name(&name) {
            found.extend(Secret::new(&value));
        } else {
            let spans = in_text(value.as_bytes());
            found.extend(spans.into_iter().filter_map(|span| Secret::new(&value[span])));
        }
    }
    found
}

/// Returns the value of one of [`Launch::secret_env`]'s variables, as it is given to an engine.
pub(super) fn value(variable: &str) -> Option<Secret> {
    Secret::new(&env::var(variable).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(key_from: Option<&str>, vars: &[(&str, &str)]) -> Result<Option<String>, String> {
        let launch = serde_json::json!({
            "engine": "e", "preset": "custom", "argv": [], "env": {}, "env_recorded": [],
            "cwd": null, "base_url": "http://h:1", "api_key_env": "ENGINE_KEY", "model": "m",
            "model_path": null, "precision": null,
            "readiness": {"health": null, "models": null, "timeout": 0}, "stop_grace": 0,
            "requires": [], "log_patterns": {"stages": {}, "failures": {}, "throughput": null},
            "metrics": null, "cache_reset": null, "version_argv": [], "configuration": {},
            "n_gpus": 0, "cold_page_cache": false, "extra_starts": 0,
            "quirks": {"no_done": false, "no_reuse": false, "omit": []},
        });
        let mut launch: Launch = serde_json::from_value(launch).unwrap();
        launch.env_from.extend(key_from.map(|from| ("ENGINE_KEY".to_owned(), from.to_owned())));
        let id = LaunchId("l1".to_owned());
        let credentials = Credentials::read_from([(&id, &launch)], [], &|name| {
            vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        });
        credentials
            .map(|found| found.access(&id).api_key.map(|key| key.expose().to_owned()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_key_comes_from_the_variable_that_the_engine_gets_it_from() {
        let vars = [("ENGINE_KEY", "one"), ("MINE", "two\n")];
        assert_eq!(read(None, &vars), Ok(Some("one".to_owned())));
        assert_eq!(read(Some("MINE"), &vars), Ok(Some("two".to_owned())));
        assert_eq!(read(None, &[]), Ok(None));
    }

    #[test]
    fn what_is_missing_or_cannot_be_sent_is_said_without_the_value() {
        let told = |vars: &[(&str, &str)]| read(Some("MINE"), vars).unwrap_err();
        assert!(told(&[]).ends_with("the environment variable MINE, which is not set"));
        assert!(told(&[("MINE", " \n")]).ends_with("MINE, which is empty"));
        let told = told(&[("MINE", "canary\nsecond")]);
        assert!(told.contains("character 7 of 13") && !told.contains("canary"), "{told}");
    }
}
