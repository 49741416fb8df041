//! A preset's file by itself: it is checked in a scenario that uses it.

use std::path::Path;

use toml::Table;

use crate::cli::new_scenario::quoted;
use crate::cli::scenario_file::{self, Examined};
use crate::scenario::engine_preset::BESIDE;
use crate::scenario::grammar::is_name;

/// Keys that an engine has and a scenario has not.
const OF_ENGINE: [&str; 6] = ["argv", "url", "program", "flags", "precisions", "health"];
/// Sections without which a text is no scenario.
const OF_SCENARIO: [&str; 5] = ["engine", "phase", "dataset", "matrix", "extends"];

/// Examines a text that is the body of an engine rather than a scenario; returns the name by which a
/// scenario uses it. Nothing of any other text.
pub(crate) fn look(path: &Path, text: &str) -> Option<(Examined, String)> {
    let table: Table = text.parse().ok()?;
    let has = |keys: &[&str]| keys.iter().any(|key| table.contains_key(*key));
    let lies_with_presets =
        path.parent().and_then(Path::file_name).is_some_and(|dir| dir == BESIDE);
    let is_of_engine = has(&OF_ENGINE) || lies_with_presets && !table.is_empty();
    if !is_of_engine || is_scenario(&table) {
        return None;
    }
    let file = path.file_name()?.to_str()?;
    let name = path.file_stem()?.to_str().filter(|name| is_name(name)).unwrap_or("own");
    let url = if has(&["argv", "url"]) { "" } else { "url = \"http://127.0.0.1:8000\"\n" };
    let model = if has(&["model", "model-path"]) { "" } else { "model = \"./model\"\n" };
    let (name_key, file) = (quoted(name), quoted(&format!("./{file}")));
    let scenario = format!(
        "[engine.{name_key}]\npreset = {file}\n{url}{model}\
         [dataset.words]\nsource = \"random\"\ninput-words = 9\n\
         [phase.load]\nconcurrency = 1\nrequests = 100\n"
    );
    let at = path.with_file_name("scenario.toml");
    Some((scenario_file::examine(&at, &scenario, None, &[]), name.to_owned()))
}

/// Whether a table has a section without which a text is no scenario.
pub(crate) fn is_scenario(table: &Table) -> bool {
    OF_SCENARIO.iter().any(|key| table.contains_key(*key))
}
