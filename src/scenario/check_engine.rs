//! Checks of an engine, before any cell is made of it.

use reqwest::Url;
use toml::{Table, Value};

use crate::diagnostic::suggest::list;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::scenario::Scenario;
use crate::scenario::spec::OPTIONS;
use crate::scenario::toml_tree::{Data, Node};
use crate::secrets::Secret;

/// Headers that bench sets itself: requests are framed by them, and answers are not to be packed.
const FRAMING_HEADERS: &[&str] = &[
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Checks all engines.
pub(crate) fn engines(scenario: &Scenario, found: &mut Diagnostics) {
    for name in scenario.names("engine") {
        let engine = scenario.tree.get("engine").and_then(|engines| engines.get(&name));
        let Some(engine) = engine.and_then(Value::as_table) else { continue };
        options(scenario, &name, engine, found);
        start(scenario, &name, engine, found);
        patterns(scenario, &name, engine, found);
    }
}

/// An option that no flag carries would silently measure something else.
fn options(scenario: &Scenario, name: &str, engine: &Table, found: &mut Diagnostics) {
    // What a preset that is not there has for options nobody knows.
    if owns_argv(scenario, name) || scenario.unknown.contains(name) {
        return;
    }
    let flags: Vec<&str> = keys(engine, "flags");
    for option in OPTIONS.iter().map(|field| field.key) {
        if engine.contains_key(option) && !flags.contains(&option) {
            let message = format!("engine `{name}` has no option `{option}`");
            found.push(
                Diagnostic::error("scenario/unsupported-option", message)
                    .label(scenario.at(&["engine", name, option], "its preset has no flag for it"))
                    .help(format!("its options are {}", list(flags.iter().copied())))
                    .help("put other arguments into `extra-args`"),
            );
        }
    }
}

/// Whether the scenario replaces the command of the preset.
pub(crate) fn owns_argv(scenario: &Scenario, engine: &str) -> bool {
    let path = ["engine", engine, "argv"];
    let strings = |node: &Node| -> Vec<String> {
        let Data::List(items) = &node.value else { return Vec::new() };
        items.iter().filter_map(|item| item.as_text().map(str::to_string)).collect()
    };
    let of_preset = scenario
        .layers
        .list
        .iter()
        .filter(|layer| !layer.mount.is_empty())
        .find_map(|layer| layer.find(&path))
        .map(|(_, node)| strings(node));
    // A resolved scenario repeats the preset's command: that replaces nothing.
    scenario.layers.find(&path).map(strings) != of_preset
}

fn start(scenario: &Scenario, name: &str, engine: &Table, found: &mut Diagnostics) {
    let has_argv =
        engine.get("argv").and_then(Value::as_array).is_some_and(|argv| !argv.is_empty());
    let url = engine.get("url").and_then(Value::as_str);
    // Of an engine whose preset is not known that is told already.
    if !has_argv && url.is_none() && scenario.presets.contains_key(name) {
        let message = format!("engine `{name}` has neither a command nor a URL");
        found.push(
            Diagnostic::error("scenario/missing", message)
                .label(scenario.at(&["engine", name], ""))
                .help("add `url = \"http://host:port\"` of the running engine, or `argv`"),
        );
    }
    // One that is filled in is judged with its launch.
    if let Some((why, guess)) = url.filter(|url| !url.contains("{{")).and_then(url_fault) {
        found.push(
            Diagnostic::error("scenario/value", format!("this is no URL: {why}"))
                .label(scenario.layers.value(&["engine", name, "url"], ""))
                .help(format!("write `url = \"{guess}\"`")),
        );
    }
    // What a variable fills in may be https.
    if engine.contains_key("ca") && url.is_none_or(|url| url.starts_with("http://")) {
        found.push(
            Diagnostic::error("scenario/contradiction", "`ca` is for engines on https")
                .label(scenario.at(&["engine", name, "ca"], "its `url` is not https"))
                .help("write `url = \"https://host:port\"`, or leave `ca` out"),
        );
    }
    if engine.contains_key("stop-command") && !has_argv {
        found.push(
            Diagnostic::error("scenario/contradiction", "`stop-command` ends what bench starts")
                .label(scenario.at(&["engine", name, "stop-command"], "nothing is started"))
                .help("leave it out: an engine that runs already is left alone, or add `argv`"),
        );
    }
    headers(scenario, name, engine, found);
    let reset = engine.get("cache-reset").and_then(Value::as_str).unwrap_or_default();
    let is_call = reset.split_once(' ').is_some_and(|(method, path)| {
        matches!(method, "GET" | "POST" | "PUT" | "DELETE") && path.starts_with('/')
    });
    if !reset.is_empty() && !is_call {
        found.push(
            Diagnostic::error("scenario/value", "`cache-reset` is a method and a path")
                .label(scenario.layers.value(&["engine", name, "cache-reset"], ""))
                .help("write `cache-reset = \"POST /reset_prefix_cache\"`"),
        );
    }
}

/// Returns why no request can go to a base URL, and what to write instead; nothing of one that is
/// right.
pub(crate) fn url_fault(url: &str) -> Option<(String, String)> {
    let parsed = |url: &str| Url::parse(url).map(|_| ());
    let has_scheme = ["http://", "https://"].iter().any(|scheme| url.starts_with(scheme));
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let why = match parsed(url) {
        _ if !has_scheme => "one begins with `http://` or `https://`".to_owned(),
        Err(error) => error.to_string(),
        Ok(()) => return None,
    };
    let host = rest.split('/').next().unwrap_or_default();
    let (address, port) = host.rsplit_once(':').unwrap_or((host, ""));
    let scheme = if scheme.eq_ignore_ascii_case("https") { "https" } else { "http" };
    // A password is shown nowhere.
    let in_brackets = format!("{scheme}://[{address}]:{port}");
    let guesses = [format!("{scheme}://{rest}"), in_brackets];
    let guess = guesses.into_iter().find(|url| !host.contains('@') && parsed(url).is_ok());
    let guess = guess.unwrap_or_else(|| "http://127.0.0.1:8000".to_owned());
    Some((why, guess))
}

/// A header that cannot be sent would fail every request, and one that frames requests twice, too.
fn headers(scenario: &Scenario, name: &str, engine: &Table, found: &mut Diagnostics) {
    let table = |key: &str| engine.get(key).and_then(Value::as_table).cloned().unwrap_or_default();
    let (literal, secret) = (table("headers"), table("headers-from"));
    let own = engine.get("api-key-header").and_then(Value::as_str);
    let mut named: Vec<(Vec<&str>, &str)> = Vec::new();
    named.extend(literal.keys().map(|key| (vec!["engine", name, "headers", key], key.as_str())));
    named
        .extend(secret.keys().map(|key| (vec!["engine", name, "headers-from", key], key.as_str())));
    named.extend(own.map(|key| (vec!["engine", name, "api-key-header"], key)));
    for (at, (path, header)) in named.iter().enumerate() {
        let header_lower = header.to_ascii_lowercase();
        let is_twice = named[..at].iter().any(|(_, other)| other.eq_ignore_ascii_case(header));
        let wrong = if !is_header_name(header) {
            "is no name of an HTTP header"
        } else if FRAMING_HEADERS.contains(&header_lower.as_str()) {
            "is set by bench, because requests and answers are framed by it"
        } else if is_twice {
            "is set twice"
        } else {
            continue;
        };
        found.push(
            Diagnostic::error("scenario/value", format!("`{header}` {wrong}"))
                .label(scenario.at(path, ""))
                .help("write `headers = { X-Name = \"value\" }`, each name once"),
        );
    }
    let values = literal.iter().filter_map(|(key, value)| Some((key, value.as_str()?)));
    for (key, value) in values {
        if Secret::new(value).and_then(|value| value.first_unsendable()).is_some() {
            found.push(
                Diagnostic::error("scenario/value", "no HTTP header can carry this value")
                    .label(scenario.layers.value(&["engine", name, "headers", key], ""))
                    .help("write one line of letters, digits and signs of ASCII"),
            );
        }
    }
    if own.is_some() && !engine.contains_key("api-key-env") {
        found.push(
            Diagnostic::error("scenario/contradiction", "`api-key-header` has no key to carry")
                .label(scenario.at(&["engine", name, "api-key-header"], ""))
                .help("add `api-key-env = \"MY_KEY\"`, the variable that holds the key"),
        );
    }
}

/// Source: RFC 9110, section 5.6.2, `token`.
fn is_header_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_part)
}

fn patterns(scenario: &Scenario, name: &str, engine: &Table, found: &mut Diagnostics) {
    let log = engine.get("log").and_then(Value::as_table);
    for kind in ["stages", "failures", "remedies", "configuration"] {
        let table = log.and_then(|log| log.get(kind)).and_then(Value::as_table);
        for (key, pattern) in table.into_iter().flatten() {
            let path = ["engine", name, "log", kind, key];
            check_pattern(scenario, &path, pattern, found);
        }
    }
    if let Some(pattern) = log.and_then(|log| log.get("throughput")) {
        check_pattern(scenario, &["engine", name, "log", "throughput"], pattern, found);
    }
}

fn check_pattern(scenario: &Scenario, path: &[&str], pattern: &Value, found: &mut Diagnostics) {
    let Some(pattern) = pattern.as_str() else { return };
    if let Err(error) = regex::Regex::new(pattern) {
        let last = error.to_string().lines().last().unwrap_or_default().trim().to_string();
        let message = format!("this pattern cannot be used: {last}");
        found.push(
            Diagnostic::error("scenario/pattern", message)
                .label(scenario.layers.value(path, ""))
                .help("log patterns are regular expressions without look-around"),
        );
    }
}

fn keys<'a>(engine: &'a Table, key: &str) -> Vec<&'a str> {
    engine
        .get(key)
        .and_then(Value::as_table)
        .into_iter()
        .flat_map(|table| table.keys().map(String::as_str))
        .collect()
}
