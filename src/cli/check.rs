//! `bench check`: every mistake of a scenario that can be seen before a run, in one pass.

use std::path::Path;

use crate::cli::args::{CheckArgs, Colour};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::scenario_file::{self, Examined};
use crate::cli::{check_data, check_paths, output, side_by_side, too_few_requests};

/// Checks several scenarios; one bad file does not hide the mistakes of the next.
pub(crate) fn check(args: &CheckArgs, colour: Colour) -> Result<Exit, Failure> {
    let mut exit = Exit::Ok;
    let on_stderr = output::is_coloured(colour, &std::io::stderr());
    for path in &args.scenarios {
        let text = scenario_file::read(path);
        let path = scenario_file::place(path);
        let found =
            text.map(|text| look(path, &text, args)).and_then(|(examined, n_cells, lines)| {
                let ((), warnings) = examined.found.unless_errors(()).map_err(Failure::scenario)?;
                Ok((warnings, n_cells, lines))
            });
        match found {
            Ok((warnings, n_cells, lines)) => {
                if let Some(warnings) = scenario_file::warnings(&warnings, on_stderr) {
                    output::message(&warnings);
                }
                let cells = if n_cells == 1 { "cell" } else { "cells" };
                let lines: Vec<String> = lines.iter().map(|line| format!("  {line}\n")).collect();
                let lines = lines.concat();
                output::data(&format!("{}: ok, {n_cells} {cells}\n{lines}", path.display()))?;
            }
            Err(failure) => {
                output::message(&failure.render(on_stderr));
                exit = exit.worse(failure.exit);
            }
        }
    }
    Ok(exit)
}

/// Examines a scenario, and what it names on this machine.
fn look(path: &Path, text: &str, args: &CheckArgs) -> (Examined, usize, Vec<String>) {
    let mut examined = scenario_file::examine(path, text, args.profile.as_deref(), &args.sets);
    let Some(expanded) = &examined.expanded else { return (examined, 0, Vec::new()) };
    let n_cells = expanded.plan.cells.len();
    let mut seen = check_paths::look(&examined.scenario, expanded);
    let has_errors = examined.found.has_errors();
    let data = check_data::look(&examined.scenario, expanded, path, has_errors);
    seen.extend(data.found);
    seen.extend(too_few_requests::look(&examined.scenario, &expanded.plan));
    examined.scenario.add(seen, &mut examined.found);
    examined.found.sort();
    let beside = side_by_side::lines(&expanded.plan);
    let lines = beside.lines().map(str::to_owned).chain(data.lines).collect();
    (examined, n_cells, lines)
}
