//! The scenario as written and layered; engine presets.

pub(crate) mod check;
pub(crate) mod check_engine;
pub(crate) mod check_secrets;
pub(crate) mod diff;
pub(crate) mod engine_preset;
pub(crate) mod grammar;
pub(crate) mod json_schema;
pub(crate) mod layers;
pub(crate) mod mend;
pub(crate) mod overrides;
pub(crate) mod paths;
pub(crate) mod resolved;
pub(crate) mod spec;
pub(crate) mod synonyms;
#[cfg(test)]
mod tests;
pub(crate) mod toml_tree;
pub(crate) mod validate;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use crate::diagnostic::suggest::{did_you_mean, nearest};
use crate::diagnostic::{Diagnostic, Diagnostics, Label};
use crate::scenario::check_secrets::Hidden;
use crate::scenario::engine_preset::Presets;
use crate::scenario::layers::{Layer, Layers};
use crate::scenario::mend::Mends;
use crate::scenario::paths::normalise;
use crate::scenario::toml_tree::{Document, Node};
use crate::scenario::validate::{Findings, FlagsByEngine};

/// The lowest layer, and the list of all keys.
pub(crate) const DEFAULTS: &str = include_str!("../../scenarios/defaults/defaults.toml");
/// Deepest chain of `extends`.
const MAX_EXTENDS: usize = 16;

/// Everything that a scenario is made from.
pub(crate) struct Input<'a> {
    /// Path of the scenario file; its directory is what relative paths are relative to.
    pub path: &'a Path,
    /// Text of the scenario file.
    pub text: &'a str,
    /// Reads files named by `extends`, and presets of the user.
    pub read: &'a dyn Fn(&Path) -> io::Result<String>,
    /// Environment variables; only those that begin with `BENCH_` matter.
    pub env: &'a [(String, String)],
    /// `--set` arguments, `phase.load.rate=3`.
    pub sets: &'a [String],
    /// `--profile`.
    pub profile: Option<&'a str>,
    /// Directories with presets of the user, behind `engines/` beside the scenario; a file there
    /// replaces the program's preset of its name.
    pub user_preset_dirs: &'a [PathBuf],
}

/// A scenario without errors.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The scenario.
    pub scenario: Scenario,
    /// The scenario with all layers merged, as TOML that loads to the same plan.
    pub resolved_toml: String,
    /// Warnings.
    pub warnings: Diagnostics,
}

/// A scenario as far as it can be read, and all mistakes that were found in it.
#[derive(Debug)]
pub(crate) struct Read {
    /// The scenario; what is wrong in it is left out or stands in for what was meant.
    pub scenario: Scenario,
    /// The scenario with all layers merged, as TOML that loads to the same plan.
    pub resolved_toml: String,
    /// Every mistake and warning.
    pub found: Diagnostics,
    /// Whether all of the text could be read, and says something; if not, an error is among what was
    /// found, and nothing is said of what may be missing.
    pub is_whole: bool,
}

/// A scenario: all layers merged, and the places where each key was set.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// File stem.
    pub(crate) name: String,
    /// Directory that paths are relative to.
    pub(crate) dir: PathBuf,
    /// All layers merged.
    pub(crate) tree: toml::Table,
    /// The layers, for places and order.
    pub(crate) layers: Layers,
    /// Preset of each engine; absent for engines without one.
    pub(crate) presets: BTreeMap<String, String>,
    /// Engines whose preset is not known, so that nothing can be said of their launch.
    pub(crate) unknown: BTreeSet<String>,
    /// The stand-ins for mistakes.
    pub(crate) mends: Mends,
    /// Secrets that no message shows.
    pub(crate) hidden: Vec<Hidden>,
}

impl Scenario {
    /// Returns the file stem: what run directories are named after.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the names of a section (`engine`, `phase`, …) in the order of the files.
    pub fn names(&self, section: &str) -> Vec<String> {
        self.layers.names(&[section])
    }

    /// Whether a value of a table was wrong, so that nothing can be concluded from it.
    pub(crate) fn is_guess(&self, path: &[&str]) -> bool {
        self.layers.list.iter().any(|layer| {
            layer.find(path).is_some_and(|(_, node)| self.mends.touch(&layer.document, node))
        })
    }

    /// Adds what a later stage found, but for what follows from mistakes that are told already.
    pub(crate) fn add(&self, later: Diagnostics, found: &mut Diagnostics) {
        found.extend(later.into_iter().filter(|finding| !self.mends.explain(finding)));
        for hidden in &self.hidden {
            found.hide(&hidden.source, &hidden.spans, &hidden.texts);
        }
    }

    /// Returns the place where a value is written, if a file or an override writes it.
    pub(crate) fn value_at(&self, path: &[&str]) -> Option<Label> {
        self.layers.value(path, "")
    }

    /// Returns a label at the key of a path.
    pub(crate) fn at(&self, path: &[&str], text: impl Into<String>) -> Option<Label> {
        self.layers.key(path, text)
    }
}

/// Returns the text of a scenario file.
///
/// # Errors
/// A diagnostic that names the encoding when the bytes are not UTF-8.
pub(crate) fn decode(path: &Path, bytes: Vec<u8>) -> Result<String, Diagnostics> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        let message = format!("{} is UTF-16; a scenario is UTF-8", path.display());
        return Err(Diagnostic::error("scenario/encoding", message)
            .help("save it again as UTF-8")
            .into());
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].split(|byte| *byte == b'\n').count();
        let message = format!("{} is not UTF-8 at line {line} (byte {at})", path.display());
        Diagnostic::error("scenario/encoding", message).help("save it again as UTF-8").into()
    })
}

/// Merges all layers of a scenario and checks them.
///
/// # Errors
/// Every mistake that was found, each with its place.
#[cfg(test)]
pub(crate) fn load(input: &Input<'_>) -> Result<Loaded, Diagnostics> {
    let Read { scenario, resolved_toml, found, .. } = read(input);
    let (scenario, warnings) = found.unless_errors(scenario)?;
    Ok(Loaded { scenario, resolved_toml, warnings })
}

/// Merges all layers of a scenario and checks them; a mistake hides no other one.
pub(crate) fn read(input: &Input<'_>) -> Read {
    let mut findings = Findings::default();
    let mut layers = Layers::default();
    let defaults = Document::parse("defaults", DEFAULTS, &mut findings.found);
    layers.list.extend(written_layers(input, &mut findings.found));
    let is_empty = layers.list.iter().all(|layer| layer.document.says_nothing());
    add_profile(input, &mut layers, &mut findings.found);
    add_overrides(input, &mut layers, &mut findings.found);
    // Messages show a mended text as it is written.
    let mut written = layers.clone();
    check_layers(&mut layers, &mut findings, validate::sections);
    let dir = input.path.parent().map(Path::to_path_buf).unwrap_or_default();
    let presets = Presets::of(&dir, input.user_preset_dirs, input.read);
    let EnginePresets { mut beneath, by_engine, unknown } =
        preset_layers(&layers, &presets, &mut findings.found);
    let mut flags = flags(&beneath);
    // What a preset that is not there has for options nobody knows: they are no second mistake.
    for engine in &unknown {
        flags.entry(engine.clone()).or_insert_with(|| layers.names(&["engine", engine]));
    }
    check_layers(&mut layers, &mut findings, |document, findings| {
        validate::scenario(document, &flags, findings);
    });
    for layer in &mut beneath {
        validate::preset(&layer.document, &mut findings);
        findings.mends.apply(&mut layer.document);
    }
    layers.list.splice(0..0, std::iter::once(Layer::whole(defaults)).chain(beneath));
    written.list.splice(0..0, layers.list.iter().filter(|l| !l.mount.is_empty()).cloned());
    let mut tree = layers.merge(&mut findings.found);
    make_presets_absolute(&mut tree, &presets);
    let Findings { mut found, mends } = findings;
    let hidden = check_secrets::secrets(&written, &mut found);
    let scenario = Scenario {
        name: input.path.file_stem().map_or("scenario".into(), |s| s.to_string_lossy().into()),
        dir,
        tree,
        layers,
        presets: by_engine,
        unknown,
        mends,
        hidden,
    };
    // One half of a text does not show that the other half lacks something; what an empty one lacks
    // is told in one.
    let is_whole = !is_empty && scenario.layers.list.iter().all(|layer| layer.document.is_whole());
    let mut later = Diagnostics::default();
    if is_whole {
        check::scenario(&scenario, &mut later);
        check_engine::engines(&scenario, &mut later);
    }
    // It hides secrets in all that was found.
    scenario.add(later, &mut found);
    let resolved_toml = resolved::to_toml(&scenario);
    found.sort();
    Read { scenario, resolved_toml, found, is_whole }
}

/// Checks each document once and mends its mistakes.
fn check_layers(
    layers: &mut Layers,
    findings: &mut Findings,
    check: impl Fn(&Document, &mut Findings),
) {
    for layer in layers.list.iter().filter(|layer| layer.part.is_empty()) {
        check(&layer.document, findings);
    }
    for layer in &mut layers.list {
        findings.mends.apply(&mut layer.document);
    }
}

/// Returns the scenario file on top of the files it extends.
fn written_layers(input: &Input<'_>, found: &mut Diagnostics) -> Vec<Layer> {
    let name = input.path.display().to_string();
    let document = Document::parse(&name, input.text, found);
    if document.says_nothing() && document.is_whole() {
        found.push(
            Diagnostic::error("scenario/empty", format!("{name} says nothing"))
                .help("a scenario has at least an engine, a data set and a measured phase"),
        );
    }
    let mut layers = Vec::new();
    let mut chain = vec![normalise(input.path)];
    extend(input, document, &mut chain, &mut layers, found);
    layers
}

fn extend(
    input: &Input<'_>,
    document: Document,
    chain: &mut Vec<PathBuf>,
    layers: &mut Vec<Layer>,
    found: &mut Diagnostics,
) {
    let dir = chain.last().and_then(|path| path.parent()).map(Path::to_path_buf);
    for (span, target) in document.strings(&["extends"]) {
        let path = normalise(&dir.clone().unwrap_or_default().join(&target));
        let label = Some(document.label(span, String::new()));
        if chain.contains(&path) || chain.len() > MAX_EXTENDS {
            let links = chain.iter().chain([&path]).map(|link| link.display().to_string());
            let message =
                format!("files extend each other: {}", links.collect::<Vec<_>>().join(" -> "));
            found.push(
                Diagnostic::error("scenario/extends-cycle", message)
                    .label(label)
                    .help("remove one of these `extends`"),
            );
            continue;
        }
        match (input.read)(&path) {
            Ok(text) => {
                let below = Document::parse(&path.display().to_string(), &text, found);
                chain.push(path);
                extend(input, below, chain, layers, found);
                chain.pop();
            }
            Err(error) => found.push(
                Diagnostic::error(
                    "scenario/unreadable",
                    format!("cannot read {}: {error}", path.display()),
                )
                .label(label)
                .help("a file named by `extends` is relative to the file that names it"),
            ),
        }
    }
    layers.push(Layer::whole(document));
}

fn add_profile(input: &Input<'_>, layers: &mut Layers, found: &mut Diagnostics) {
    let Some(profile) = input.profile else { return };
    let of_profile: Vec<Layer> = layers
        .list
        .iter()
        .filter(|layer| layer.document.has(&["profile", profile]))
        .map(|layer| Layer {
            document: layer.document.clone(),
            part: vec!["profile".into(), profile.into()],
            mount: Vec::new(),
        })
        .collect();
    if of_profile.is_empty() {
        let known = layers.names(&["profile"]);
        let help = did_you_mean(profile, known.iter().map(String::as_str), "defined profiles")
            .unwrap_or_else(|| "this scenario defines no profile".into());
        found.push(
            Diagnostic::error("scenario/profile", format!("there is no profile `{profile}`"))
                .help(help),
        );
    }
    layers.list.extend(of_profile);
}

fn add_overrides(input: &Input<'_>, layers: &mut Layers, found: &mut Diagnostics) {
    let mut env: Vec<&(String, String)> = input.env.iter().collect();
    env.sort();
    for (name, value) in env {
        let document = overrides::from_env(name, value, layers, found);
        layers.list.extend(document.map(Layer::whole));
    }
    for set in input.sets {
        let document = overrides::from_set(set, layers, found);
        layers.list.extend(document.map(Layer::whole));
    }
}

/// Returns the preset beneath each engine, and its name.
fn preset_layers(layers: &Layers, presets: &Presets<'_>, found: &mut Diagnostics) -> EnginePresets {
    let mut list = Vec::new();
    let (mut by_engine, mut unknown) = (BTreeMap::new(), BTreeSet::new());
    for engine in layers.names(&["engine"]) {
        let named = layers.find(&["engine", &engine, "preset"]);
        // What is no text is told with the types.
        let is_other = named.is_some_and(|node| node.as_text().is_none());
        let named = named.and_then(Node::as_text);
        if is_other {
            unknown.insert(engine);
            continue;
        }
        let preset = named.unwrap_or(&engine).to_string();
        let n_found = found.iter().count();
        if let Some(document) = presets.load(&preset, found) {
            let mount = vec!["engine".into(), engine.clone()];
            list.push(Layer { document, part: Vec::new(), mount });
            by_engine.insert(engine, preset_name(&preset));
            continue;
        }
        // A file that cannot be read is told of already.
        if found.iter().count() > n_found {
            unknown.insert(engine);
            continue;
        }
        let stands_alone =
            ["argv", "url"].iter().any(|key| layers.find(&["engine", &engine, key]).is_some());
        if named.is_none() && stands_alone {
            continue;
        }
        let label = match named {
            Some(_) => layers.value(&["engine", &engine, "preset"], "this preset"),
            None => layers.key(&["engine", &engine], "and it gives no `argv` or `url`"),
        };
        let near = nearest(&preset, engine_preset::names());
        // Its options are checked as those of the preset that was meant.
        if let Some(document) = near.and_then(|near| presets.load(near, found)) {
            let mount = vec!["engine".into(), engine.clone()];
            list.push(Layer { document, part: Vec::new(), mount });
        }
        let named = did_you_mean(&preset, engine_preset::names(), "presets in the program");
        let named =
            named.filter(|_| !engine_preset::is_path(&preset)).map(|named| format!("{named}; "));
        let help = named.unwrap_or_default() + &presets.searched(&preset);
        let message = format!("there is no preset `{preset}` for engine `{engine}`");
        found.push(Diagnostic::error("scenario/preset", message).label(label).help(help));
        unknown.insert(engine);
    }
    EnginePresets { beneath: list, by_engine, unknown }
}

/// The presets of a scenario's engines.
struct EnginePresets {
    beneath: Vec<Layer>,
    by_engine: BTreeMap<String, String>,
    unknown: BTreeSet<String>,
}

/// Returns the name of a preset: of a file, without directory and ending.
fn preset_name(preset: &str) -> String {
    let stem = Path::new(preset).file_stem().filter(|_| engine_preset::is_path(preset));
    stem.map_or_else(|| preset.to_owned(), |stem| stem.to_string_lossy().into_owned())
}

/// Writes the paths of presets so that they mean the same file from anywhere.
fn make_presets_absolute(tree: &mut toml::Table, presets: &Presets<'_>) {
    let Some(toml::Value::Table(engines)) = tree.get_mut("engine") else { return };
    for (_, engine) in engines.iter_mut() {
        let Some(toml::Value::String(preset)) = engine.get_mut("preset") else { continue };
        if engine_preset::is_path(preset) {
            let path = presets.path(preset);
            *preset = std::path::absolute(&path).unwrap_or(path).display().to_string();
        }
    }
}

fn flags(presets: &[Layer]) -> FlagsByEngine {
    presets
        .iter()
        .map(|layer| {
            let engine = layer.mount.last().cloned().unwrap_or_default();
            let flags = layer.document.keys(&["flags"]);
            (engine, flags.into_iter().map(str::to_string).collect())
        })
        .collect()
}
