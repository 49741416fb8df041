//! The measurement that a command line asks for, and how it was asked for.

use std::path::Path;

use crate::cli::scenario_file::{self, Planned};
use crate::cli::today::today;
use crate::plan::Plan;
use crate::plan::paths::Host;
use crate::secrets::redact::Redactor;
use crate::store::run_dir::Invocation;
use crate::store::writer::NewRun;

/// The measurement that a command line asks for, and how it was asked for.
#[derive(Clone)]
pub(crate) struct RequestedRun {
    pub(crate) plan: Plan,
    /// The scenario as written.
    pub(crate) text: String,
    /// The scenario with all layers applied.
    pub(crate) resolved: String,
    pub(crate) invocation: Invocation,
    /// Text of the report template that lies beside the scenario; absent where the report is one
    /// of the program's.
    pub(crate) template: Option<String>,
    /// Whether the plan is a stored one, whose identities hold the day of the run's begin already.
    pub(crate) is_dated: bool,
}

impl RequestedRun {
    /// Takes a scenario from the command line of this process.
    pub(crate) fn of(planned: Planned, scenario: &Path) -> Self {
        let Host { bench_exe, assets_dir } = scenario_file::host();
        let invocation = Invocation {
            calibrates: false,
            slurm: false,
            side_by_side: false,
            scenario: scenario.to_owned(),
            cwd: std::env::current_dir().unwrap_or_default(),
            program: bench_exe,
            assets: assets_dir,
            template_date: today(),
        };
        let resolved = planned.loaded.resolved_toml;
        // What is wrong with it has been told when the scenario was checked.
        let template = scenario_file::own_template(&planned.loaded.scenario, &planned.plan)
            .and_then(|path| std::fs::read_to_string(path).ok());
        Self {
            plan: planned.plan,
            text: planned.text,
            resolved,
            invocation,
            template,
            is_dated: false,
        }
    }

    pub(crate) fn new_run<'a>(
        &'a self,
        out: Option<&'a Path>,
        redactor: &'a Redactor,
    ) -> NewRun<'a> {
        NewRun {
            root: Path::new("runs"),
            out,
            plan: &self.plan,
            scenario: &self.text,
            resolved: &self.resolved,
            template: self.template.as_deref(),
            redactor,
            invocation: &self.invocation,
        }
    }
}
