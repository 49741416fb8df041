//! `bench check`: every mistake of a scenario that can be seen before a run, in one pass.

use std::path::Path;

use crate::cli::args::{CheckArgs, Colour};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::new_scenario::key;
use crate::cli::scenario_file::{self, Examined};
use crate::cli::slurm::settings;
use crate::cli::{
    check_data, check_paths, check_preset, output, side_by_side, too_few_descriptors,
    too_few_requests,
};
use crate::report::number::counted;

/// Checks several scenarios; one bad file does not hide the mistakes of the next.
pub(crate) fn check(args: &CheckArgs, colour: Colour) -> Result<Exit, Failure> {
    let mut exit = Exit::Ok;
    let on_stderr = output::is_coloured(colour, &std::io::stderr());
    for path in &args.scenarios {
        let text = scenario_file::read(path);
        let path = scenario_file::place(path);
        let found = text.map(|text| look(path, &text, args)).and_then(|(examined, what, lines)| {
            let ((), warnings) = examined.found.unless_errors(()).map_err(Failure::scenario)?;
            Ok((warnings, what, lines))
        });
        match found {
            Ok((warnings, what, lines)) => {
                if let Some(warnings) = scenario_file::warnings(&warnings, on_stderr) {
                    output::message(&warnings);
                }
                let lines: Vec<String> = lines.iter().map(|line| format!("  {line}\n")).collect();
                let lines = lines.concat();
                output::data(&format!("{}: ok, {what}\n{lines}", path.display()))?;
            }
            Err(failure) => {
                output::message(&failure.render(on_stderr));
                exit = exit.worse(failure.exit);
            }
        }
    }
    Ok(exit)
}

/// Examines a scenario, and what it names on this machine, or a preset; says how much it is.
fn look(path: &Path, text: &str, args: &CheckArgs) -> (Examined, String, Vec<String>) {
    if let Some((examined, name)) = check_preset::look(path, text) {
        let what = format!("a preset: a scenario uses it as [engine.{}]", key(&name));
        return (examined, what, Vec::new());
    }
    let mut examined = scenario_file::examine(path, text, args.profile.as_deref(), &args.sets);
    let Some(expanded) = &examined.expanded else { return (examined, String::new(), Vec::new()) };
    let what = counted(expanded.plan.cells.len() as u64, "cell");
    let mut seen = check_paths::look(&examined.scenario, expanded);
    let data = check_data::look(&examined.scenario, expanded, path, &examined.found);
    seen.extend(data.found);
    seen.extend(too_few_requests::look(&examined.scenario, &expanded.plan));
    seen.extend(too_few_descriptors::look(&examined.scenario, &expanded.plan));
    seen.extend(settings::check(&examined.scenario, &expanded.plan));
    examined.scenario.add(seen, &mut examined.found);
    examined.found.sort();
    let beside = side_by_side::lines(&expanded.plan);
    let lines = beside.lines().map(str::to_owned).chain(data.lines).collect();
    (examined, what, lines)
}
