//! `bench baseline`: named runs that later ones are held against.

use std::fs;
use std::path::Path;

use crate::analysis::run::RunAnalysis;
use crate::cli::args::BaselineCommand;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::gate_flags::BASELINES;
use crate::cli::output;
use crate::metrics::summary::CellSummary;
use crate::report::json;
use crate::report::number::counted;
use crate::report::untrusted::line;
use crate::store::reader::RunReader;

/// Cells without numbers that are named.
const NAMED_MAX: usize = 5;

/// Saves or lists baselines of the working directory.
pub(crate) fn baseline(command: &BaselineCommand) -> Result<Exit, Failure> {
    match command {
        BaselineCommand::Save { name, dir } => save(name, dir),
        BaselineCommand::List => list(),
    }
}

/// Writes the summary of a run to `baselines/NAME.json`; one of the same name is replaced.
fn save(name: &str, dir: &Path) -> Result<Exit, Failure> {
    if name.is_empty() || name == "latest" || name.contains(['/', '.']) {
        let message = format!("`{name}` cannot be the name of a baseline");
        return Err(Failure::new(Exit::Usage, message)
            .help("take letters, digits and hyphens; `latest` is the newest run"));
    }
    let analysis = RunAnalysis::of(&RunReader::open(dir)?)?;
    if !analysis.summary.complete {
        return Err(Failure::input(format!("{} did not reach its end", dir.display()))
            .help(format!("go on with it: bench resume {}", dir.display())));
    }
    let missing: Vec<&CellSummary> =
        analysis.summary.cells.iter().filter(|cell| !cell.takes_part()).collect();
    if missing.len() == analysis.summary.cells.len() {
        return Err(Failure::input(format!("no cell of {} has numbers", dir.display()))
            .help("a baseline needs one that was measured: see `bench report`"));
    }
    let path = Path::new(BASELINES).join(format!("{name}.json"));
    let failed = |error: std::io::Error| {
        Failure::new(Exit::CannotCreate, format!("failed to write {}: {error}", path.display()))
    };
    fs::create_dir_all(BASELINES).map_err(failed)?;
    fs::write(&path, json::render(&analysis.summary)).map_err(failed)?;
    if !missing.is_empty() {
        output::message(&format!(
            "note: {} of {} has no numbers that a run can be held against: {}",
            missing.len(),
            counted(analysis.summary.cells.len() as u64, "cell"),
            named(&missing)
        ));
    }
    output::data(&format!("{}\n", path.display()))?;
    Ok(Exit::Ok)
}

/// Names cells with their states, the first ones of many.
fn named(cells: &[&CellSummary]) -> String {
    let told = cells.iter().take(NAMED_MAX);
    let told: Vec<String> = told
        .map(|cell| format!("{} ({})", line(&cell.name), cell.validity.status.word()))
        .collect();
    let more = cells.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    told.join(", ") + &more
}

/// Prints the names, one per line.
fn list() -> Result<Exit, Failure> {
    let mut names: Vec<String> = Vec::new();
    match fs::read_dir(BASELINES) {
        Ok(entries) => {
            for entry in entries {
                let path = entry?.path();
                if path.extension().is_some_and(|extension| extension == "json") {
                    names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
                }
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(Failure::input(format!("failed to read {BASELINES}: {error}")));
        }
    }
    names.sort();
    for name in names {
        output::data(&format!("{name}\n"))?;
    }
    Ok(Exit::Ok)
}
