//! The secrets that engines are given: read from bench's own environment once, before anything starts.

use std::collections::BTreeMap;
use std::env;

use crate::ids::LaunchId;
use crate::load::transport::proxy::Proxy;
use crate::plan::launch::Launch;
use crate::secrets::Secret;
use crate::secrets::literal::in_text;
use crate::secrets::name::is_secret_name;
use crate::secrets::redact::Redactor;

/// The keys of a run's engines, and the redaction of every secret in use.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    headers: BTreeMap<LaunchId, Vec<(String, Secret)>>,
    proxies: BTreeMap<LaunchId, Proxy>,
    redactor: Redactor,
}

/// What is sent with every request to one engine, and what is taken out of all that it says.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// The headers of the scenario, and that of the API key.
    pub headers: Vec<(String, Secret)>,
    /// The proxy in between, if there is one.
    pub proxy: Option<Proxy>,
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
    /// No HTTP header can carry the API key or the header's value.
    #[error(
        "engine `{engine}`: the secret in the environment variable {variable} cannot be sent: \
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
    /// The proxy cannot be used.
    #[error("engine `{engine}`: `proxy`: {why}")]
    Proxy {
        /// Engine name in the scenario.
        engine: String,
        /// Why.
        why: String,
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
            Self::Proxy { .. } => {
                "write `proxy = \"http://host:port\"`, or `proxy = \"environment\"` for HTTP_PROXY, \
                 HTTPS_PROXY, ALL_PROXY and NO_PROXY"
                    .to_owned()
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
        let (mut headers, mut proxies) = (BTreeMap::new(), BTreeMap::new());
        for (id, launch) in launches {
            for (name, from) in &launch.env_from {
                known.push(given(launch, name, from, variable)?);
            }
            let http = &launch.http;
            let mut sent: Vec<(String, Secret)> = Vec::new();
            let literal =
                |(name, value): (&String, &String)| Some((name.clone(), Secret::new(value)?));
            sent.extend(http.headers.iter().filter_map(literal));
            for (name, from) in &http.headers_from {
                let value = sendable(launch, from, given(launch, name, from, variable)?)?;
                known.push(value.clone());
                sent.push((name.clone(), value));
            }
            if let (Some(key), from) = api_key(launch, variable)
                && !key.is_empty()
            {
                let name = launch.api_key_env.clone().unwrap_or_default();
                let key =
                    Secret::new(&key).ok_or_else(|| missing(launch, &name, &from, "empty"))?;
                let key = sendable(launch, &from, key)?;
                sent.push(key_header(launch, &key));
                known.push(key);
            }
            headers.insert(id.clone(), sent);
            // A port of an engine that is started here makes no difference to the way.
            let found =
                http.proxy.as_ref().map(|proxy| Proxy::between(proxy, &launch.base_url_at(1)));
            let wrong = |why| CredentialError::Proxy { engine: launch.engine.clone(), why };
            let found = found.transpose().map_err(wrong)?.flatten();
            // A proxy may repeat what opens it, in the form in which it got it.
            known.extend(found.as_ref().and_then(Proxy::coded_password));
            proxies.extend(found.map(|proxy| (id.clone(), proxy)));
        }
        Ok(Self { headers, proxies, redactor: Redactor::new(known) })
    }

    /// Returns the headers of a launch, for its readiness, its control calls and its load.
    pub fn access(&self, launch: &LaunchId) -> Access {
        let headers = self.headers.get(launch).cloned().unwrap_or_default();
        let proxy = self.proxies.get(launch).cloned();
        Access { headers, proxy, redactor: self.redactor.clone() }
    }

    /// Returns the redaction of every secret in use.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }
}

fn missing(launch: &Launch, name: &str, from: &str, lack: &'static str) -> CredentialError {
    CredentialError::Missing {
        engine: launch.engine.clone(),
        name: name.to_owned(),
        variable: from.to_owned(),
        lack,
    }
}

/// Returns the secret that a variable of bench's own environment holds.
fn given(
    launch: &Launch,
    name: &str,
    from: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Secret, CredentialError> {
    let value = variable(from).ok_or_else(|| missing(launch, name, from, "not set"))?;
    Secret::new(&value).ok_or_else(|| missing(launch, name, from, "empty"))
}

/// Returns the secret if an HTTP header can carry it.
fn sendable(launch: &Launch, from: &str, secret: Secret) -> Result<Secret, CredentialError> {
    match secret.first_unsendable() {
        None => Ok(secret),
        Some(at) => Err(CredentialError::Unsendable {
            engine: launch.engine.clone(),
            variable: from.to_owned(),
            at,
            n: secret.expose().chars().count(),
        }),
    }
}

/// Returns the header that carries an API key: bare under a name of its own, else as a bearer's.
fn key_header(launch: &Launch, key: &Secret) -> (String, Secret) {
    if let Some(name) = &launch.http.api_key_header {
        return (name.clone(), key.clone());
    }
    let bearer = Secret::new(&format!("Bearer {}", key.expose()));
    ("authorization".to_owned(), bearer.expect("it begins with a word"))
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

    fn read_with(
        change: impl FnOnce(&mut Launch),
        vars: &[(&str, &str)],
    ) -> Result<Vec<(String, String)>, String> {
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
        change(&mut launch);
        let id = LaunchId("l1".to_owned());
        let credentials = Credentials::read_from([(&id, &launch)], [], &|name| {
            vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        });
        let exposed = |(name, value): (String, Secret)| (name, value.expose().to_owned());
        credentials
            .map(|found| found.access(&id).headers.into_iter().map(exposed).collect())
            .map_err(|error| error.to_string())
    }

    /// Reads with the engine's variable taken from another of bench's own.
    fn read(from: Option<&str>, vars: &[(&str, &str)]) -> Result<Vec<(String, String)>, String> {
        let from = from.map(|from| ("ENGINE_KEY".to_owned(), from.to_owned()));
        read_with(|launch| launch.env_from.extend(from), vars)
    }

    fn header(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn the_key_comes_from_the_variable_that_the_engine_gets_it_from() {
        let vars = [("ENGINE_KEY", "one"), ("MINE", "two\n")];
        assert_eq!(read(None, &vars), Ok(vec![header("authorization", "Bearer one")]));
        assert_eq!(read(Some("MINE"), &vars), Ok(vec![header("authorization", "Bearer two")]));
        assert_eq!(read(None, &[]), Ok(Vec::new()));
    }

    #[test]
    fn headers_come_from_the_scenario_and_from_the_shell_and_the_key_bare_where_it_has_a_name() {
        let change = |launch: &mut Launch| {
            launch.http.headers.extend([header("X-Org", "ours")]);
            launch.http.headers_from.extend([header("X-Token", "MINE")]);
            launch.http.api_key_header = Some("api-key".to_owned());
        };
        let found = read_with(change, &[("ENGINE_KEY", "one"), ("MINE", "two")]);
        let expected =
            [header("X-Org", "ours"), header("X-Token", "two"), header("api-key", "one")];
        assert_eq!(found, Ok(expected.to_vec()));
        let told = read_with(change, &[]).unwrap_err();
        assert!(told.contains("`X-Token` comes from the environment variable MINE"), "{told}");
        let told = read_with(change, &[("MINE", "canary\u{e9}")]).unwrap_err();
        assert!(told.contains("MINE cannot be sent") && !told.contains("canary"), "{told}");
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
