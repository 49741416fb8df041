//! From an engine as written to its launch: the exact command, nothing silently left out.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::ids::{LaunchId, content_hash};
use crate::plan::launch::engine::Starting;
use crate::plan::launch::{HttpCall, HttpSettings, Launch, LogPatterns, PORT, Quirks, Readiness};
use crate::plan::matrix::Combination;
use crate::plan::paths::Places;
use crate::plan::template::is_template;
use crate::scenario::Scenario;
use crate::scenario::check_engine::url_fault;
use crate::scenario::layers::EVERY;
use crate::secrets::literal::{in_argv, in_command, is_written_out};
use crate::secrets::name::is_secret_name;
use crate::units::Nanos;

/// Time to be ready for an engine that is started: large models load for long.
const READY_TIMEOUT: Nanos = Nanos::from_secs(1800);
/// Time to be ready for an engine that should run already.
const ATTACHED_READY_TIMEOUT: Nanos = Nanos::from_secs(10);

/// Returns the launch of one cell's engine.
pub(crate) fn launch(
    scenario: &Scenario,
    cell: &Combination,
    places: &Places,
    found: &mut Diagnostics,
) -> Option<Launch> {
    if scenario.unknown.contains(&cell.engine) {
        return None;
    }
    let mut mine = Diagnostics::default();
    let launch = made(scenario, cell, places, &mut mine);
    let launch = launch.filter(|launch| {
        // Of a command that is not known whole nothing can be said.
        if !mine.has_errors() {
            check_port(scenario, &launch.engine, launch, &mut mine);
        }
        !mine.has_errors()
    });
    found.extend(mine);
    launch
}

fn made(
    scenario: &Scenario,
    cell: &Combination,
    places: &Places,
    found: &mut Diagnostics,
) -> Option<Launch> {
    let name = cell.engine.as_str();
    let mut engine = Starting::read(scenario, cell, places, found)?;
    let argv = engine.argv(found);
    let env = engine.env(found);
    let spec = engine.spec.clone();
    let is_started = !argv.is_empty();
    let ready_timeout = if is_started { READY_TIMEOUT } else { ATTACHED_READY_TIMEOUT };
    let url = spec.url.clone().unwrap_or_else(|| "http://127.0.0.1:{{ port }}".into());
    let base_url = engine.render(&url, "url", found);
    if url.contains("{{") {
        check_filled(&engine, &base_url, found);
    }
    let base_url = base_of(&base_url);
    let headers = spec.headers.iter();
    let headers = headers.map(|(name, value)| {
        (name.clone(), engine.render(value, &format!("headers.{name}"), found))
    });
    let http = HttpSettings {
        headers: headers.collect(),
        headers_from: spec.headers_from.clone(),
        api_key_header: spec.api_key_header.clone(),
        proxy: spec.proxy.clone().filter(|proxy| !proxy.is_empty()),
    };
    // A model that the command lacks is told by it.
    let usual_id = || if found.has_errors() { String::new() } else { "{{ model }}".to_owned() };
    let model_id = spec.model_id.clone().unwrap_or_else(usual_id);
    let model = engine.render(&model_id, "model-id", found);
    let launch = Launch {
        engine: name.to_string(),
        preset: scenario.presets.get(name).cloned().unwrap_or_else(|| "custom".into()),
        model_name: own_model(&engine).filter(|own| !is_called(own, &model)),
        model,
        version_argv: engine.render_all(&spec.version, "version", found),
        help_argv: engine.render_all(&spec.help, "help", found),
        held_against: spec.held_against,
        requires: engine.requires(is_started, found),
        n_gpus: engine.n_gpus(),
        spread: engine.spread(),
        cwd: spec
            .cwd
            .as_ref()
            .map(|cwd| PathBuf::from(places.file(&engine.render(cwd, "cwd", found)))),
        argv,
        env,
        env_from: spec.env_from,
        env_recorded: spec.env_recorded,
        base_url,
        http,
        ca: spec.ca.as_ref().map(|ca| PathBuf::from(places.file(&engine.render(ca, "ca", found)))),
        api_key_env: spec.api_key_env,
        model_path: engine.model_path.clone().map(PathBuf::from),
        precision: spec.precision,
        readiness: Readiness {
            health: spec.health.filter(|path| !path.is_empty()),
            models: spec.models.filter(|path| !path.is_empty()),
            timeout: spec.ready_timeout.unwrap_or(ready_timeout),
        },
        stop_argv: engine.render_all(&spec.stop_command, "stop-command", found),
        stop_grace: spec.stop_grace,
        log_patterns: LogPatterns {
            throughput: spec.log.throughput.filter(|pattern| !pattern.is_empty()),
            ..spec.log
        },
        metrics: spec.metrics.filter(|metrics| !metrics.path.is_empty()),
        cache_reset: spec
            .cache_reset
            .as_deref()
            .and_then(|call| call.split_once(' '))
            .map(|(method, path)| HttpCall { method: method.to_string(), path: path.to_string() }),
        configuration: spec.configuration,
        cold_page_cache: spec.cold_start,
        extra_starts: spec.starts.saturating_sub(1),
        quirks: spec.quirks,
    };
    // What is written out is told of already.
    if scenario.hidden.is_empty() {
        check_secrets(&engine, &launch, found);
    }
    Some(launch)
}

/// Returns the model's own name, unless what requests call it is said later: by a scenario whose preset
/// has a model, as that of the simulated engine, which computes nothing.
fn own_model(engine: &Starting<'_>) -> Option<String> {
    let rank = |key: &str| {
        let dotted = format!("engine.{}.{key}", engine.name);
        let places: [&[&str]; 4] = [
            &["engine", engine.name, key],
            &["engine", EVERY, key],
            &["matrix", key],
            &["matrix", &dotted],
        ];
        let layers = &engine.scenario.layers.list;
        layers.iter().rposition(|layer| places.iter().any(|place| layer.find(place).is_some()))
    };
    engine.model.clone().filter(|_| rank("model") >= rank("model-id"))
}

/// Whether requests call a model by its own name, or by its file without what follows the last dot.
fn is_called(own: &str, model_id: &str) -> bool {
    let stem = Path::new(own).file_stem().and_then(OsStr::to_str);
    let file = Path::new(model_id).file_name().and_then(OsStr::to_str);
    own == model_id || stem == Some(model_id) || file == Some(own)
}

/// A variable may fill a URL in, so that only the whole of it shows what it is.
fn check_filled(engine: &Starting<'_>, base_url: &str, found: &mut Diagnostics) {
    // What cannot be filled in is told already.
    if base_url.is_empty() || is_template(base_url) {
        return;
    }
    // The port is chosen where the engine starts.
    if let Some((why, guess)) = url_fault(&base_url.replace(PORT, "1")) {
        found.push(
            Diagnostic::error("scenario/value", format!("`{base_url}` is no URL: {why}"))
                .label(engine.label("url", None))
                .help(format!("write `url = \"{guess}\"`")),
        );
    }
}

/// What clients ask for below the version, and is pasted with it.
const ASKED_FOR: [&str; 5] =
    ["/chat/completions", "/completions", "/models", "/responses", "/embeddings"];

/// Returns the part of a URL that paths of requests are put behind: they carry the version, as does
/// the URL that clients are usually given, with or without what is asked for.
pub(crate) fn base_of(url: &str) -> String {
    let (path, query) = url.split_at(url.find('?').unwrap_or(url.len()));
    let path = path.trim_end_matches('/');
    let asked = ASKED_FOR.iter().find_map(|asked| path.strip_suffix(asked));
    let path = asked.filter(|path| path.ends_with("/v1")).unwrap_or(path);
    format!("{}{query}", path.trim_end_matches("/v1").trim_end_matches('/'))
}

/// Returns the launch's identity: what shapes the process, as the scenario writes it.
pub(crate) fn identity(launch: &Launch) -> LaunchId {
    #[derive(Serialize)]
    struct Identity<'a> {
        engine: &'a str,
        argv: &'a [String],
        env: &'a BTreeMap<String, String>,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        env_from: &'a BTreeMap<String, String>,
        cwd: Option<&'a Path>,
        base_url: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        http: Option<&'a HttpSettings>,
        model: &'a str,
        model_path: Option<&'a Path>,
        precision: Option<&'a str>,
        readiness: &'a Readiness,
        cold_page_cache: bool,
        extra_starts: u32,
        cache_reset: Option<&'a HttpCall>,
        quirks: &'a Quirks,
    }
    LaunchId(content_hash(&Identity {
        engine: &launch.engine,
        argv: &launch.argv,
        env: &launch.env,
        env_from: &launch.env_from,
        cwd: launch.cwd.as_deref(),
        base_url: &launch.base_url,
        http: Some(&launch.http).filter(|http| !http.is_default()),
        model: &launch.model,
        model_path: launch.model_path.as_deref(),
        precision: launch.precision.as_deref(),
        readiness: &launch.readiness,
        cold_page_cache: launch.cold_page_cache,
        extra_starts: launch.extra_starts,
        cache_reset: launch.cache_reset.as_ref(),
        quirks: &launch.quirks,
    }))
}

/// A secret may come in by a variable of the scenario or a swept value, under another name.
fn check_secrets(engine: &Starting<'_>, launch: &Launch, found: &mut Diagnostics) {
    let is_secret =
        |name: &str| is_secret_name(name) || launch.api_key_env.as_deref() == Some(name);
    let in_env = launch.env.iter().filter(|(name, value)| {
        is_secret(name) && !value.is_empty() && is_written_out(value)
            || !in_command(value.as_bytes()).is_empty()
    });
    let mut places: Vec<String> = in_env.map(|(name, _)| format!("env.{name}")).collect();
    let in_headers = launch.http.headers.iter().filter(|(name, value)| {
        is_secret_name(name) && !value.is_empty() && is_written_out(value)
            || !in_command(value.as_bytes()).is_empty()
    });
    places.extend(in_headers.map(|(name, _)| format!("headers.{name}")));
    places.extend((!in_argv(&launch.argv).is_empty()).then(|| "argv".to_owned()));
    places.extend((!in_argv(&launch.stop_argv).is_empty()).then(|| "stop-command".to_owned()));
    places.extend((!in_command(launch.base_url.as_bytes()).is_empty()).then(|| "url".to_owned()));
    for place in places {
        let message = format!("`engine.{}.{place}` is filled in with a secret", engine.name);
        found.push(
            Diagnostic::error("scenario/secret", message)
                .label(engine.label(&place, None))
                .help("give the engine its secrets by `env-from = { NAME = \"MY_SECRET\" }`"),
        );
    }
}

/// A command that never hears of its port would answer nowhere.
fn check_port(scenario: &Scenario, name: &str, launch: &Launch, found: &mut Diagnostics) {
    let listens = launch.base_url.contains(PORT);
    let hears = launch.argv.iter().chain(launch.env.values()).any(|text| text.contains(PORT));
    if launch.is_started() && listens && !hears {
        let message = format!("the command of engine `{name}` never mentions its port");
        found.push(
            Diagnostic::error("scenario/port", message)
                .label(scenario.at(&["engine", name, "argv"], ""))
                .help("put `{{ port }}` into `argv` or `env`; bench picks a free one"),
        );
    }
    // Of one without command and URL, or whose preset is not known, that is told already.
    let written = scenario.tree.get("engine").and_then(|engines| engines.get(name));
    let argv = written.and_then(|engine| engine.get("argv")?.as_array());
    let is_bare =
        argv.is_none_or(Vec::is_empty) && written.is_none_or(|engine| engine.get("url").is_none());
    let is_told = is_bare || !scenario.presets.contains_key(name);
    if !launch.is_started() && listens && !is_told {
        let message = format!("engine `{name}` is not started here and has no `url`");
        found.push(
            Diagnostic::error("scenario/missing", message)
                .label(scenario.at(&["engine", name], "this engine"))
                .help("add `url = \"http://host:port\"` of the running server"),
        );
    }
}
