//! `[slurm]` of a scenario, checked as far as no Slurm is needed.

use std::path::{Path, PathBuf};

use crate::cli::slurm::submission::Settings;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::plan::Plan;
use crate::plan::phases::extract;
use crate::plan::share::{Share, shares};
use crate::scenario::Scenario;
use crate::scenario::layers::Layer;
use crate::scenario::spec::SlurmSpec;
use crate::slurm::script::{Array, ScriptError, TEMPLATE, render};
use crate::slurm::share::arrays;

/// Finds what keeps a scenario from being submitted; nothing of one that says nothing of Slurm.
pub(crate) fn check(scenario: &Scenario, plan: &Plan) -> Diagnostics {
    let is_written = |layer: &Layer| {
        layer.find(&["slurm"]).is_some() && layer.document.source.name != "defaults"
    };
    if !scenario.layers.list.iter().any(is_written) {
        return Diagnostics::default();
    }
    settings(scenario, plan).err().unwrap_or_default()
}

/// Returns what a submission is made with.
///
/// # Errors
/// Every value that no script can hold, or that Slurm cannot mean.
pub(super) fn settings(scenario: &Scenario, plan: &Plan) -> Result<Settings, Diagnostics> {
    let mut found = Diagnostics::default();
    let slurm: Option<SlurmSpec> = extract(scenario, &scenario.tree, &["slurm"], &mut found);
    let Some(slurm) = slurm else { return Err(found) };
    let template = match &slurm.template {
        None => TEMPLATE.to_owned(),
        Some(path) => {
            let path = scenario.dir.join(path);
            std::fs::read_to_string(&path).unwrap_or_else(|source| {
                let message = format!("failed to read {}: {source}", path.display());
                found.push(
                    Diagnostic::error("scenario/path", message)
                        .label(scenario.value_at(&["slurm", "template"]))
                        .help("a path is relative to the scenario file"),
                );
                String::new()
            })
        }
    };
    let cwd = std::env::current_dir().unwrap_or_default();
    let settings = Settings { slurm, template, cwd };
    let shares = shares(plan);
    // Scripts differ in their tasks alone.
    if let Some(error) = script_error(&settings, plan, &shares) {
        found.push(told(scenario, &error));
    }
    found.unless_errors(settings).map(|(settings, _)| settings)
}

fn script_error(settings: &Settings, plan: &Plan, shares: &[Share]) -> Option<ScriptError> {
    let shares: Vec<&Share> = shares.iter().collect();
    let bench = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("bench"));
    let arrays = arrays(&settings.slurm, &shares);
    arrays.iter().find_map(|(n_gpus, shares)| {
        let array = Array {
            id: "check",
            title: &plan.title,
            dir: Path::new("/runs/check"),
            cwd: Path::new("/runs"),
            bench: &bench,
            shares,
            n_gpus: *n_gpus,
        };
        render(&settings.template, &settings.slurm, &array).err()
    })
}

fn told(scenario: &Scenario, error: &ScriptError) -> Diagnostic {
    let (key, help) = match error {
        ScriptError::Value { key, .. } => (*key, "mend it here, or with `--slurm-set`"),
        ScriptError::Template(_) => ("template", "its variables are in `bench help cluster`"),
    };
    Diagnostic::error("scenario/slurm", format!("[slurm] {error}"))
        .label(scenario.value_at(&["slurm", key]))
        .help(help)
}
