//! Whether the paths that engines name are there: working directory, certificates, program.

use std::fs::File;

use crate::cli::failure::Failure;
use crate::diagnostic::{Diagnostic, Diagnostics, Label};
use crate::engine::start::requires::program_lack;
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
    }
    found
}

/// Refuses a plan with an engine whose working directory or certificates are not there.
pub(crate) fn refuse_missing(scenario: &Scenario, plan: &Plan) -> Result<(), Failure> {
    let mut found = Diagnostics::default();
    for launch in plan.launches.values() {
        files(scenario, launch, &mut found);
    }
    found.unless_errors(()).map(|((), _)| ()).map_err(Failure::scenario)
}

/// Finds a working directory or certificates that are not there: no engine can start so.
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
    if let Some(ca) = &launch.ca
        && let Err(error) = File::open(ca)
    {
        let message = format!("`ca` of engine `{}`: {}: {error}", launch.engine, ca.display());
        found.push(
            Diagnostic::error("scenario/path", message)
                .label(place(scenario, launch, "ca"))
                .help("name the PEM file; a path is relative to the scenario file"),
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

fn place(scenario: &Scenario, launch: &Launch, key: &str) -> Option<Label> {
    let engine = launch.engine.as_str();
    scenario
        .value_at(&["engine", engine, key])
        .filter(|label| !label.source.name.starts_with("preset "))
        .or_else(|| scenario.at(&["engine", engine], "this engine"))
}
