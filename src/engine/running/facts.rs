//! What an engine says of itself, and what its files are.

use std::collections::BTreeMap;
use std::env;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::engine::http::Http;
use crate::engine::log;
use crate::engine::ready::probe::ProbeAnswer;
use crate::engine::running::configuration::{self, VALUE_CHARS_MAX};
use crate::engine::start::page_cache;
use crate::engine::start::version::{LIMIT, output_of, version_line};
use crate::ids::hex;
use crate::plan::launch::Launch;
use crate::record::event::EngineFacts;
use crate::secrets::HIDDEN;
use crate::secrets::name::is_secret_name;
use crate::secrets::redact::Redactor;

/// Time that one call gets.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// Files up to this size are hashed whole.
const WHOLE_BYTES_MAX: u64 = 64 << 20;
/// Of longer files this much of both ends is hashed.
const END_BYTES: u64 = 1 << 20;

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
pub(in crate::engine) fn foreseen(launch: &Launch, redactor: &Redactor) -> EngineFacts {
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

pub(in crate::engine) fn model_files(model: &Path) -> BTreeMap<String, String> {
    let files = page_cache::files(model).unwrap_or_default();
    files
        .iter()
        .map(|path| {
            let name = path.strip_prefix(model).unwrap_or(path);
            let name = if name.as_os_str().is_empty() {
                path.file_name().map_or(path.as_path(), Path::new)
            } else {
                name
            };
            let hash = hash_file(path).unwrap_or_else(|error| format!("not read: {error}"));
            (name.display().to_string(), hash)
        })
        .collect()
}

/// Returns the SHA-256 of a file; of a long one, of its size and both ends, and says so.
pub(in crate::engine) fn hash_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut hasher = Sha256::new();
    if size <= WHOLE_BYTES_MAX {
        feed(file, &mut hasher)?;
        return Ok(hex(&hasher.finalize()));
    }
    hasher.update(size.to_le_bytes());
    feed((&mut file).take(END_BYTES), &mut hasher)?;
    file.seek(SeekFrom::End(-END_BYTES.cast_signed()))?;
    feed(file.take(END_BYTES), &mut hasher)?;
    let digest = hex(&hasher.finalize());
    Ok(format!("{digest} (of the size, {size} bytes, and the first and last MiB)"))
}

fn feed(mut from: impl Read, hasher: &mut Sha256) -> io::Result<()> {
    let mut bytes = vec![0; 1 << 16];
    loop {
        match from.read(&mut bytes)? {
            0 => return Ok(()),
            n_bytes => hasher.update(&bytes[..n_bytes]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_file_is_hashed_whole_and_a_long_one_by_its_ends() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.json"), "abc").unwrap();
        let long = File::create(dir.path().join("model.safetensors")).unwrap();
        long.set_len(WHOLE_BYTES_MAX + 1).unwrap();
        let files = model_files(dir.path());
        // SHA-256 of "abc" (FIPS 180-2, appendix B.1).
        assert!(files["config.json"].starts_with("ba7816bf8f01cfea"), "{files:?}");
        assert!(
            files["model.safetensors"]
                .ends_with("(of the size, 67108865 bytes, and the first and last MiB)")
        );
    }
}
