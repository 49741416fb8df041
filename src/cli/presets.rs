//! `bench presets`: the engines that can be named, where each comes from, and its text.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use crate::cli::args::PresetsArgs;
use crate::cli::check_preset;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::scenario_file::user_preset_dirs;
use crate::cli::typed;
use crate::diagnostic::suggest::did_you_mean;
use crate::plan::launch::Launch;
use crate::scenario::engine_preset::{BESIDE, EMBEDDED, is_path};

/// A preset as it is found from the working directory.
pub(crate) struct Found {
    pub(crate) name: String,
    /// Where it lies; absent for one of the program's.
    path: Option<PathBuf>,
    text: String,
}

/// Lists the presets, or prints one.
pub(crate) fn presets(args: &PresetsArgs) -> Result<Exit, Failure> {
    let found = all();
    let Some(name) = &args.name else {
        output::data(&list(&found))?;
        return Ok(Exit::Ok);
    };
    let Some(preset) = found.iter().find(|preset| preset.name == *name) else {
        let names = found.iter().map(|preset| preset.name.as_str());
        let help = did_you_mean(name, names, "there are").unwrap_or_default();
        let message = format!("there is no preset `{name}`");
        return Err(Failure::new(Exit::NoInput, message)
            .help(format!("{help}; looked in {}, then in the program", places())));
    };
    output::message(&format!("from {}", preset.place()));
    output::data(&preset.text)?;
    Ok(Exit::Ok)
}

/// Returns the presets that a scenario in the working directory could name, the nearest of each
/// name.
pub(crate) fn all() -> Vec<Found> {
    let mut found: Vec<Found> = dirs().iter().flat_map(|dir| of_dir(dir)).collect();
    found.extend(EMBEDDED.iter().map(|(name, text)| Found {
        name: (*name).to_owned(),
        path: None,
        text: (*text).to_owned(),
    }));
    // A stable sort: of one name, that of the first directory stays.
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found.dedup_by(|later, first| later.name == first.name);
    found
}

/// Whether a word is a preset of the program in another spelling: `llama.cpp` is `llama_cpp`.
pub(crate) fn is_named(word: &str) -> bool {
    EMBEDDED.iter().any(|(name, _)| *name == folded(word))
}

fn folded(word: &str) -> String {
    word.replace(['-', '.'], "_")
}

/// Returns the preset that a command line means: `llama-cpp` is `llama_cpp`, and `engines/own.toml`
/// a file.
pub(crate) fn named(wanted: &str) -> Result<Found, Failure> {
    if is_path(wanted) {
        let ends_with = |ending: &str| Path::new(wanted).extension().is_some_and(|it| it == ending);
        if !ends_with("toml") {
            let message = format!("{wanted} is neither a URL nor an engine with a preset");
            let engine = if ends_with("gguf") { "llama_cpp" } else { "vllm" };
            return Err(Failure::new(Exit::Usage, message).help(format!(
                "name the engine before its model: `{engine} {wanted}`; `bench presets` lists them"
            )));
        }
        let found = of_file(Path::new(wanted)).map_err(|source| {
            Failure::input(format!("failed to read the preset {wanted}: {source}"))
                .help("`bench presets` lists those that have a name")
        })?;
        if check_preset::is_scenario(&found.table()) {
            let message = format!("{wanted} is a scenario, and no preset of an engine");
            return Err(
                Failure::new(Exit::Usage, message).help(format!("measure it: bench run {wanted}"))
            );
        }
        return Ok(found);
    }
    let mut known = all();
    let folded = folded(wanted);
    let at = [wanted, &folded].iter().find_map(|name| known.iter().position(|it| it.name == *name));
    if let Some(at) = at {
        return Ok(known.swap_remove(at));
    }
    let names = known.iter().map(|preset| preset.name.as_str());
    let help = did_you_mean(&folded, names, "engines with a preset");
    let message = format!("{wanted:?} is neither a URL nor an engine with a preset");
    Err(Failure::new(Exit::Usage, message).help(help.unwrap_or_default()))
}

/// Returns where presets are looked for before the program's own, in words.
pub(crate) fn places() -> String {
    let dirs: Vec<String> =
        user_preset_dirs().iter().map(|dir| dir.display().to_string()).collect();
    [vec![format!("{BESIDE}/ beside the scenario")], dirs].concat().join(", ")
}

fn dirs() -> Vec<PathBuf> {
    let mut dirs = vec![PathBuf::from(BESIDE)];
    dirs.extend(user_preset_dirs());
    dirs
}

fn of_dir(dir: &Path) -> Vec<Found> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    let found = entries.filter_map(|entry| {
        let path = entry.path();
        path.extension().filter(|ending| *ending == "toml")?;
        of_file(&path).ok()
    });
    found.collect()
}

fn of_file(path: &Path) -> io::Result<Found> {
    let text = std::fs::read_to_string(path)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Found { name, path: Some(path.to_owned()), text })
}

impl Found {
    /// Returns where it lies.
    pub(crate) fn place(&self) -> String {
        self.path
            .as_ref()
            .map_or_else(|| "the program".to_owned(), |path| path.display().to_string())
    }

    /// Returns the path by which a scenario in another directory names it; nothing where its name
    /// is enough.
    pub(crate) fn path_from(&self, dir: Option<&Path>) -> Option<PathBuf> {
        let path = typed::absolute(self.path.as_ref()?);
        let beside = dir.map(|dir| typed::absolute(&dir.join(BESIDE)));
        let found_in: Vec<PathBuf> = user_preset_dirs().into_iter().chain(beside).collect();
        let is_found = path.parent().is_some_and(|dir| found_in.iter().any(|it| it == dir));
        (!is_found).then_some(path)
    }

    /// Refuses one that starts nothing and names no server: a URL does.
    pub(crate) fn refuse_without_server(&self, help: &str) -> Result<(), Failure> {
        let table = self.table();
        let argv = table.get("argv").and_then(toml::Value::as_array);
        if !argv.is_some_and(Vec::is_empty) || table.contains_key("url") {
            return Ok(());
        }
        let message =
            format!("{} starts nothing: it stands for a server that runs already", self.name);
        Err(Failure::new(Exit::Usage, message).help(help))
    }

    /// Whether requests to its engine may ask for answers of a length.
    pub(crate) fn takes_ignore_eos(&self) -> bool {
        let table = self.table();
        let mut refused = Vec::new();
        collect_texts(table.get("quirks").and_then(|quirks| quirks.get("omit")), &mut refused);
        !refused.iter().any(|field| field == "ignore_eos")
    }

    /// Whether the command of its engine names a model, and the preset none.
    pub(crate) fn needs_model(&self) -> bool {
        let table = self.table();
        let mut words = Vec::new();
        collect_texts(table.get("argv"), &mut words);
        let is_model = |word: &String| matches!(word.as_str(), "{{ model }}" | "{{ model_path }}");
        !table.contains_key("model") && words.iter().any(is_model)
    }

    /// Whether its command names a file of weights, and no model by its name alone.
    pub(crate) fn takes_weights(&self) -> bool {
        let table = self.table();
        let mut words = Vec::new();
        collect_texts(table.get("argv"), &mut words);
        let has = |name: &str| words.iter().any(|word| word == name);
        has("{{ model_path }}") && !has("{{ model }}") && !table.contains_key("model-path")
    }

    /// Refuses precisions of a command line that it has no arguments for.
    pub(crate) fn refuse_unknown(&self, precisions: &[String]) -> Result<(), Failure> {
        let table = self.table();
        let known = table.get("precisions").and_then(toml::Value::as_table);
        let known: Vec<&str> =
            known.into_iter().flat_map(|it| it.keys()).map(String::as_str).collect();
        let Some(other) = precisions.iter().find(|it| !known.contains(&it.as_str())) else {
            return Ok(());
        };
        let help = did_you_mean(other, known, "it has");
        let message = format!("--precision {other}: {} has no such precision", self.name);
        Err(Failure::new(Exit::Usage, message)
            .help(help.unwrap_or_else(|| "it has none: leave --precision out".to_owned())))
    }

    /// Says that a model is needed and nobody named one.
    pub(crate) fn no_model(&self, help: &str) -> Failure {
        let message = format!("nothing says which model {} serves", self.name);
        Failure::new(Exit::Usage, message).help(help)
    }

    /// Returns what it says; nothing of a text that is no TOML, which the scenario's check tells.
    fn table(&self) -> toml::Table {
        self.text.parse().unwrap_or_default()
    }

    /// Whether it is a file of the user's.
    pub(crate) fn is_own(&self) -> bool {
        self.path.is_some()
    }

    /// Returns a launch that holds the preset's version and help commands and every flag that it
    /// may pass; nothing of one that names no version that it was held against.
    pub(crate) fn held(&self) -> Option<Launch> {
        let table: toml::Table = self.text.parse().ok()?;
        let texts = |key: &str| -> Vec<String> {
            let mut found = Vec::new();
            collect_texts(table.get(key), &mut found);
            found
        };
        let held_against = texts("held-against");
        let program = texts("program").pop()?;
        let filled = |key: &str| -> Vec<String> {
            texts(key).iter().map(|text| text.replace("{{ program }}", &program)).collect()
        };
        let flags = ["argv", "precisions", "flags", "speculators"].map(texts).concat();
        (!held_against.is_empty()).then(|| Launch {
            engine: self.name.clone(),
            preset: self.name.clone(),
            argv: flags.into_iter().filter(|text| text.starts_with("--")).collect(),
            version_argv: filled("version"),
            help_argv: filled("help"),
            held_against,
            ..Launch::default()
        })
    }

    fn summary(&self) -> String {
        let table: Option<toml::Table> = self.text.parse().ok();
        let summary = table.as_ref().and_then(|table| table.get("summary")?.as_str());
        summary
            .unwrap_or("it has no `summary`, or is no TOML: `bench check` a scenario with it")
            .to_owned()
    }
}

/// Collects the texts of a value, whatever they lie in.
fn collect_texts(value: Option<&toml::Value>, found: &mut Vec<String>) {
    match value {
        Some(toml::Value::String(text)) => found.push(text.clone()),
        Some(toml::Value::Array(items)) => {
            for item in items {
                collect_texts(Some(item), found);
            }
        }
        Some(toml::Value::Table(table)) => {
            for value in table.values() {
                collect_texts(Some(value), found);
            }
        }
        _ => {}
    }
}

fn list(found: &[Found]) -> String {
    let width = found.iter().map(|preset| preset.name.len()).max().unwrap_or_default();
    let place_width = found.iter().map(|preset| preset.place().len()).max().unwrap_or_default();
    let mut text = String::new();
    for preset in found {
        let (name, place, summary) = (&preset.name, preset.place(), preset.summary());
        let _ = writeln!(text, "{name:<width$}  {place:<place_width$}  {summary}");
    }
    text
}
