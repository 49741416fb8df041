//! Tools in requests to an engine that refuses them as it is started.

use std::collections::BTreeSet;
use std::path::Path;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::plan::Plan;
use crate::plan::cell::{Api, Cell};
use crate::plan::launch::Launch;
use crate::scenario::Scenario;
use crate::workload::body::TOOLS;

/// The flag without which vLLM answers requests with tools by 400: `"auto" tool choice requires
/// --enable-auto-tool-choice and --tool-call-parser to be set`. Models with Mistral's own tokenizer and
/// gpt-oss are served without.
///
/// Source: vllm-project/vllm, `create_chat_completion` of `entrypoints/openai`, and its issue 9986.
const AUTO: &str = "--enable-auto-tool-choice";
/// A file of flags, of which nothing is known here.
const CONFIG: &str = "--config";
/// What a request says itself of tools.
const CHOICE: &str = "tool_choice";

/// Returns a warning for each engine that refuses the requests of a data set whose rows have tools.
pub(crate) fn look(scenario: &Scenario, plan: &Plan, dataset: &str) -> Diagnostics {
    let mut found = Diagnostics::default();
    let mut seen = BTreeSet::new();
    let cells = plan.cells.iter().filter(|cell| cell.dataset == dataset);
    for launch in cells.filter_map(|cell| refusing(cell, &plan.launches[&cell.launch])) {
        if !seen.insert(&launch.engine) {
            continue;
        }
        let name = dataset.split('~').next().unwrap_or(dataset);
        let message = format!(
            "vLLM refuses requests with tools unless it is started with `{AUTO}` and \
             `--tool-call-parser`; data set `{name}` has some"
        );
        let label = scenario.at(&["engine", launch.engine.as_str()], "started without");
        found.push(Diagnostic::warning("scenario/tools", message).label(label).help(format!(
            "write `extra-args = [\"{AUTO}\", \"--tool-call-parser\", \"hermes\"]` with the parser \
             of its model; or leave tools out with `quirks = {{ omit = [\"{TOOLS}\"] }}`, or have \
             none called with `extra-body = {{ {CHOICE} = \"none\" }}` in `[request]`"
        )));
    }
    found
}

/// Returns the engine of a cell, where it refuses the tools of its requests.
fn refusing<'p>(cell: &Cell, launch: &'p Launch) -> Option<&'p Launch> {
    let is_sent = cell.request.api == Api::Chat
        && !launch.quirks.omit.iter().any(|name| name == TOOLS)
        && !cell.request.extra_body.contains_key(CHOICE);
    let is_vllm = launch.argv.iter().any(|word| {
        Path::new(word).file_name().is_some_and(|name| name == "vllm") || word.starts_with("vllm.")
    });
    let has = |flag: &str| {
        let is_flag = |word: &String| word == flag || word.starts_with(&format!("{flag}="));
        launch.argv.iter().any(is_flag)
    };
    (is_sent && is_vllm && !has(AUTO) && !has(CONFIG)).then_some(launch)
}
