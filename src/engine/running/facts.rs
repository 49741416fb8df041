//! What an engine says of itself, and of its files their hashes.

use std::collections::BTreeMap;
use std::env;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::engine::file_hashes::model_files;
use crate::engine::http::Http;
use crate::engine::log;
use crate::engine::ready::probe::ProbeAnswer;
use crate::engine::running::configuration::{self, VALUE_CHARS_MAX};
use crate::engine::start::version::{LIMIT, output_of, version_line};
use crate::plan::launch::Launch;
use crate::record::event::EngineFacts;
use crate::secrets::HIDDEN;
use crate::secrets::name::is_secret_name;
use crate::secrets::redact::Redactor;

/// Time that one call gets.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// Gathers all facts; what cannot be had is left out.
pub(crate) fn gather(
    launch: &Launch,
    http: &Http,
    log_path: &Path,
    models: &[String],
    probe: &ProbeAnswer,
    foreign_gpu_processes: &[String],
) -> EngineFacts {
    EngineFacts {
        version: version(launch, http),
        models: models.to_vec(),
        configuration: configuration::gather(launch, http, log_path),
        model_files: launch.model_path.as_deref().map(model_files).unwrap_or_default(),
        env: environment(launch),
        probe_prompt_tokens: probe.prompt_tokens,
        foreign_gpu_processes: foreign_gpu_processes.to_vec(),
    }
}

fn version(launch: &Launch, http: &Http) -> Option<String> {
    let text = if launch.version_argv.is_empty() {
        let answer = http.get_plain("/version", CALL_LIMIT).ok()?;
        let body: Value = serde_json::from_str(&answer.body).ok()?;
        body.get("version")?.as_str()?.to_owned()
    } else {
        output_of(launch, &launch.version_argv, LIMIT).ok()?
    };
    told_version(&text, http.redactor())
}

fn told_version(text: &str, redactor: &Redactor) -> Option<String> {
    let text = redactor.text(text);
    let line = version_line(&text)?;
    Some(log::printable(line.trim()).chars().take(VALUE_CHARS_MAX).collect())
}

/// Gathers what can be had of an engine before it is started.
pub(crate) fn foreseen(launch: &Launch, redactor: &Redactor) -> EngineFacts {
    let told = output_of(launch, &launch.version_argv, LIMIT);
    EngineFacts {
        version: told.ok().and_then(|text| told_version(&text, redactor)),
        model_files: launch.model_path.as_deref().map(model_files).unwrap_or_default(),
        env: environment(launch),
        ..EngineFacts::default()
    }
}

/// Returns the variables of the allow-list: those the launch sets, and those it names.
fn environment(launch: &Launch) -> BTreeMap<String, String> {
    let named =
        launch.env_recorded.iter().filter_map(|name| Some((name.clone(), env::var(name).ok()?)));
    named
        .chain(launch.env.clone())
        .map(|(name, value)| {
            let is_secret = is_secret_name(&name) || launch.secret_env().contains_key(&name);
            (name, if is_secret { HIDDEN.to_owned() } else { value })
        })
        .collect()
}
