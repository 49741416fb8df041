//! Presets held against the engines themselves: flags against what their own parsers print,
//! values, metric names, paths and log patterns against their sources, which are read as text and
//! never imported.
//!
//! With `BENCH_TEST_ENGINES` set, engines are those below `BENCH_ENGINES` (by default
//! `~/.cache/bench/engines`), where `scenarios/engines/install.sh` puts them. `hold.py` does the
//! reading.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "starts engines for their help, and reads their packages"
)]

#[path = "../undecided/mod.rs"]
mod undecided;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use serde_json::json;
use toml::{Table, Value};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the directory of the installed engines.
fn engines() -> PathBuf {
    env::var_os("BENCH_ENGINES").map_or_else(
        || {
            let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
            let home = PathBuf::from(env::var_os("HOME").unwrap_or_default());
            cache.unwrap_or_else(|| home.join(".cache")).join("bench/engines")
        },
        PathBuf::from,
    )
}

fn preset(name: &str) -> Table {
    let path = root().join(format!("scenarios/engines/{name}.toml"));
    fs::read_to_string(path).unwrap().parse().unwrap()
}

fn at<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(table.get(*first)?, |value, key| value.get(key))
}

/// Returns the lists of texts in a value, one for each list of arguments.
fn lists(value: Option<&Value>) -> Vec<Vec<String>> {
    match value {
        Some(Value::Array(items)) => {
            vec![items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()]
        }
        Some(Value::Table(table)) => table.values().flat_map(|value| lists(Some(value))).collect(),
        _ => Vec::new(),
    }
}

/// Returns each flag, with its value where that is a word of the engine's.
fn flags(preset: &Table) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = Vec::new();
    for key in ["argv", "precisions", "flags", "speculators"] {
        for args in lists(preset.get(key)) {
            for (idx, flag) in args.iter().enumerate().filter(|(_, arg)| arg.starts_with("--")) {
                let value = args.get(idx + 1).filter(|value| {
                    key != "argv" && value.starts_with(|c: char| c.is_ascii_alphabetic())
                });
                // A parameter of the engine as a library, which its parser makes a flag of.
                let option = args.get(idx + 1).filter(|_| flag == "--option");
                found.push(match option.and_then(|option| option.split_once('=')) {
                    Some((name, _)) => vec![format!("--{}", name.replace('_', "-"))],
                    None => [flag].into_iter().chain(value).cloned().collect(),
                });
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Returns metric names and paths. Of several names the first is that of the held version.
fn texts(preset: &Table) -> Vec<String> {
    let names = lists(at(preset, &["metrics", "names"]));
    let mut found: Vec<String> =
        names.into_iter().filter_map(|names| names.into_iter().next()).collect();
    let paths = [&["health"][..], &["models"], &["cache-reset"], &["metrics", "path"]];
    let paths = paths.iter().filter_map(|path| at(preset, path)?.as_str());
    found.extend(paths.filter_map(|path| Some(path.split(' ').next_back()?.to_owned())));
    let configuration = preset.get("configuration").and_then(Value::as_table);
    found.extend(configuration.into_iter().flat_map(|table| table.keys().cloned()));
    found.retain(|text| !text.is_empty());
    found
}

/// Returns the patterns over log lines. What the system and PyTorch write of full memory, taken ports
/// and number formats is not in the engines' own texts.
fn patterns(preset: &Table) -> serde_json::Map<String, serde_json::Value> {
    let mut found = serde_json::Map::new();
    for kind in ["stages", "configuration", "failures", "remedies"] {
        let table = at(preset, &["log", kind]).and_then(Value::as_table);
        for (name, pattern) in table.into_iter().flatten() {
            if kind != "failures" || name == "server" {
                found.insert(format!("{kind}.{name}"), json!(pattern.as_str()));
            }
        }
    }
    if let Some(pattern) = at(preset, &["log", "throughput"]) {
        found.insert("throughput".to_owned(), json!(pattern.as_str()));
    }
    found
}

/// Returns what an engine's help or version command prints; nothing where it cannot be run.
fn printed(preset: &Table, key: &str) -> Option<String> {
    let program = preset["program"].as_str()?;
    let argv = lists(preset.get(key)).pop()?;
    let argv: Vec<String> = argv.iter().map(|arg| arg.replace("{{ program }}", program)).collect();
    let bin = engines().join("bin");
    let path = format!("{}:{}", bin.display(), env::var("PATH").unwrap_or_default());
    let output = Command::new("timeout").arg("120").args(&argv).env("PATH", path).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    output.status.success().then(|| String::from_utf8_lossy(&text).into_owned())
}

/// Returns what of a preset is not to be found in an engine's texts.
fn missing(preset: &Table, help: Option<&str>, log: &str, sources: &[PathBuf]) -> String {
    let asked = json!({
        "flags": flags(preset),
        "texts": texts(preset),
        "patterns": patterns(preset),
        "help": help,
        "log": log.lines().collect::<Vec<_>>(),
        "sources": sources,
    });
    let mut reader = Command::new("python3")
        .arg(root().join("tests/presets/hold.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    reader.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let output = reader.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// Whether presets are held against what is installed; says so where they are not.
fn is_asked(name: &str) -> bool {
    let is_asked = env::var_os("BENCH_TEST_ENGINES").is_some();
    if !is_asked {
        undecided::note(&format!("skipped: {name}'s preset: BENCH_TEST_ENGINES is not set"));
    }
    is_asked
}

/// Holds a preset against an installed engine, whose package lies in one of the directories.
fn hold(name: &str, log: &str, packages: &[PathBuf]) {
    if !is_asked(name) {
        return;
    }
    let preset = preset(name);
    let is_there = packages.iter().all(|package| package.exists());
    let version = if is_there { printed(&preset, "version") } else { None };
    let Some(version) = version else {
        return undecided::note(&format!(
            "skipped: {name} is not installed, to hold its preset against"
        ));
    };
    let held = lists(preset.get("held-against")).concat();
    assert!(
        held.iter().any(|held| version.contains(held.as_str())),
        "{name} is {version}, and its preset says {held:?}"
    );
    let flags = printed(&preset, "help").unwrap();
    let log = fs::read_to_string(root().join("fixtures/logs").join(log)).unwrap();
    let missing = missing(&preset, Some(&flags), &log, packages);
    assert!(missing.is_empty(), "{name} {version} does not have:\n{missing}");
}

/// Returns the directory of a Python package that `install.sh` has installed.
fn package(name: &str) -> PathBuf {
    let lib = engines().join("python/lib");
    let versions = fs::read_dir(&lib).into_iter().flatten().filter_map(Result::ok);
    let mut found = versions.map(|version| version.path().join("site-packages").join(name));
    found.find(|package| package.exists()).unwrap_or_else(|| lib.join(name))
}

#[test]
fn vllms_preset_is_that_of_the_installed_engine() {
    hold("vllm", "vllm-0.32.0-cpu.txt", &[package("vllm")]);
}

#[test]
fn transformers_preset_is_that_of_the_installed_engine() {
    hold("transformers", "transformers-5.19.0.txt", &[package("transformers")]);
}

#[test]
fn llama_cpps_preset_is_that_of_the_installed_engine() {
    hold("llama_cpp", "llama-server-0.7.0.txt", &[engines().join("llama-cpp/root/usr")]);
}

/// SGLang's wheel needs CUDA to be imported; unpacked below `BENCH_ENGINES` it is read as text.
#[test]
fn sglangs_preset_is_that_of_the_held_wheel() {
    if !is_asked("sglang") {
        return;
    }
    let preset = preset("sglang");
    let held = lists(preset.get("held-against")).concat();
    let sources = engines().join(format!("wheels/sglang-{}/sglang/srt", held[0]));
    if !sources.exists() {
        return undecided::note("skipped: SGLang's wheel is not there: install.sh sglang-wheel");
    }
    let missing = missing(&preset, None, "", &[sources]);
    assert!(missing.is_empty(), "SGLang {held:?} does not have:\n{missing}");
}

/// Their flags are those of the small server beside them, and parameters of the engine as a library.
#[test]
fn offline_presets_are_those_of_the_engines_as_libraries() {
    let wheel = |held: &str| engines().join(format!("wheels/sglang-{held}/sglang/srt"));
    let held = lists(preset("sglang").get("held-against")).concat();
    let server = root().join("scenarios/engines/offline_engine_server.py");
    let log = fs::read_to_string(root().join("fixtures/logs/vllm-0.32.0-cpu.txt")).unwrap();
    let libraries =
        [("vllm_offline", log.as_str(), package("vllm")), ("sglang_offline", "", wheel(&held[0]))];
    for (name, log, sources) in libraries {
        if !is_asked(name) {
            return;
        }
        if !sources.exists() {
            undecided::note(&format!("skipped: {name}: its engine is not there"));
            continue;
        }
        let missing = missing(&preset(name), None, log, &[sources, server.clone()]);
        assert!(missing.is_empty(), "{name}'s engine does not have:\n{missing}");
    }
}

/// A reader that finds everything would hold nothing.
#[test]
fn what_an_engine_does_not_have_is_found() {
    let place = tempfile::tempdir().unwrap();
    let source = "import logging\nlog = logging.getLogger()\n\
                  class Args:\n    max_len: int = 3\n\
                  PATH = '/health'\nNAME = 'mine:running'\n\
                  def load(secs):\n    log.info('Loading took %.2f seconds', secs)\n    \
                  log.info(f'Ready after {secs} s')\n";
    fs::write(place.path().join("server.py"), source).unwrap();
    let preset: Table = "argv = [\"--max-len\", \"--gone\"]\nhealth = \"/health\"\nmodels = \"/nowhere\"\n\
        [precisions]\nfp16 = [\"--dtype\", \"half\"]\n\
        [metrics]\npath = \"\"\nnames.requests_running = [\"mine:running\"]\nnames.x = [\"mine:waiting\"]\n\
        [log.stages]\nload = 'Loading took (?P<secs>[0-9.]+) seconds'\nready = 'Ready after [0-9.]+ s'\n\
        gone = 'Loaded in'\n"
        .parse()
        .unwrap();
    let sources = [place.path().to_owned()];
    let found = missing(&preset, None, "", &sources);
    let expected = "flag --dtype\nvalue half of --dtype\nflag --gone\ntext mine:waiting\ntext /nowhere\n\
                    pattern stages.gone: Loaded in\n";
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&found), sorted(expected));
    // What its help prints is what its parser knows.
    let found =
        missing(&preset, Some("--max-length, --gone {half}, --dtype"), "Loaded in", &sources);
    assert_eq!(sorted(&found), ["flag --max-len", "text /nowhere", "text mine:waiting"]);
}
