//! Whether what engines name is there and can be used: working directory, certificates, weights,
//! program, proxy.

use crate::cli::failure::Failure;
use crate::diagnostic::{Diagnostic, Diagnostics, Label};
use crate::engine::http::trust;
use crate::engine::start::requires::{program_lack, unmet};
use crate::load::transport::proxy::Proxy;
use crate::plan::Plan;
use crate::plan::expand::Expanded;
use crate::plan::launch::{Launch, Requires};
use crate::scenario::Scenario;

/// Returns what the engines of a scenario name and this machine does not have.
pub(crate) fn look(scenario: &Scenario, expanded: &Expanded) -> Diagnostics {
    let mut found = Diagnostics::default();
    for launch in expanded.plan.launches.values().chain(&expanded.parts.launches) {
        files(scenario, launch, &mut found);
        program(scenario, launch, &mut found);
        weights(scenario, launch, &mut found);
    }
    found
}

/// Refuses a plan with an engine that lacks a file which it names.
pub(crate) fn refuse_missing(scenario: &Scenario, plan: &Plan) -> Result<(), Failure> {
    let mut found = Diagnostics::default();
    for launch in plan.launches.values() {
        files(scenario, launch, &mut found);
    }
    found.unless_errors(()).map(|((), _)| ()).map_err(Failure::scenario)
}

/// Finds what no engine can start without, or be reached.
fn files(scenario: &Scenario, launch: &Launch, found: &mut Diagnostics) {
    if let Some(cwd) = launch.cwd.as_ref().filter(|cwd| !cwd.is_dir()) {
        let what = if cwd.exists() { "is not a directory" } else { "does not exist" };
        let message = format!("`cwd` of engine `{}` {what}: {}", launch.engine, cwd.display());
        found.push(
            Diagnostic::error("scenario/path", message).label(place(scenario, launch, "cwd")).help(
                "a path is relative to the scenario file; make the directory, or name another",
            ),
        );
    }
    let base_url = launch.base_url_at(1);
    if let Some(ca) = &launch.ca
        && let Err(error) = trust::tls(&base_url, Some(ca))
    {
        let message = format!("`ca` of engine `{}`: failed to {error}", launch.engine);
        found.push(
            Diagnostic::error("scenario/path", message)
                .label(place(scenario, launch, "ca"))
                .help("name the PEM file; a path is relative to the scenario file"),
        );
    }
    let proxy = launch.http.proxy.as_deref();
    if let Some(Err(why)) = proxy.map(|proxy| Proxy::between(proxy, &base_url)) {
        let message = format!("`proxy` of engine `{}`: {why}", launch.engine);
        found.push(
            Diagnostic::error("scenario/value", message)
                .label(place(scenario, launch, "proxy"))
                .help("write `proxy = \"http://host:port\"`, or `environment`; \"\" for none"),
        );
    }
}

/// A program that `requires` names makes its rows skipped; any other would fail each of them.
fn program(scenario: &Scenario, launch: &Launch, found: &mut Diagnostics) {
    let Some(program) = launch.argv.first() else { return };
    if launch.cwd.as_ref().is_some_and(|cwd| !cwd.is_dir()) {
        return;
    }
    let Some(lack) = program_lack(launch, program) else { return };
    let required = launch.requires.iter().find(|requirement| match &requirement.what {
        Requires::Program(required) => required == program,
        Requires::PythonModule { python, .. } => python == program,
        _ => false,
    });
    let message = format!("engine `{}`: {lack}", launch.engine);
    found.push(match required {
        Some(requirement) => Diagnostic::warning("scenario/program", message)
            .label(place(scenario, launch, "program"))
            .help(format!("its cells are skipped; {}", requirement.hint)),
        None => Diagnostic::error("scenario/program", message)
            .label(place(scenario, launch, "argv"))
            .help(if lack.ends_with("not executable") {
                format!("make it executable: `chmod +x {program}`")
            } else {
                "install it, or give its path: one that begins with `./` is relative to the \
                 scenario file"
                    .to_string()
            }),
    });
}

/// A path may be one inside a container that the command starts, so that weights which are not here
/// are only doubtful. Those that `requires` names make rows skipped.
fn weights(scenario: &Scenario, launch: &Launch, found: &mut Diagnostics) {
    let Some(weights) = launch.model_path.as_ref().filter(|path| !path.exists()) else { return };
    if !launch.is_started() || unmet(launch).is_some() {
        return;
    }
    let key = ["model-path", "model"]
        .into_iter()
        .find(|key| scenario.value_at(&["engine", launch.engine.as_str(), key]).is_some());
    let message =
        format!("engine `{}`: there are no weights at {}", launch.engine, weights.display());
    found.push(
        Diagnostic::warning("scenario/path", message)
            .label(place(scenario, launch, key.unwrap_or("model")))
            .help(
                "a path is relative to the scenario file; a model of the hub begins without `./`",
            ),
    );
}

fn place(scenario: &Scenario, launch: &Launch, key: &str) -> Option<Label> {
    let engine = launch.engine.as_str();
    scenario
        .value_at(&["engine", engine, key])
        .filter(|label| !label.source.name.starts_with("preset "))
        .or_else(|| scenario.at(&["engine", engine], "this engine"))
}
