//! `bench history`: metrics over many runs, and where they changed for good.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::analysis::compared::ComparedRun;
use crate::cli::args::{Colour, HistoryArgs, HistoryFormat};
use crate::cli::compare::unread;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::{output, report_files};
use crate::metrics::compare::Rules;
use crate::metrics::history::{LeftOut, PastRun, history};
use crate::report::figure;
use crate::report::history::{json, markdown, terminal};
use crate::report::view::utc;
use crate::store::error::StoreError;
use crate::store::run_dir::RunDir;

/// Prints what the runs show over time.
pub(crate) fn show(args: &HistoryArgs, colour: Colour) -> Result<Exit, Failure> {
    let mut runs = Vec::new();
    let (mut left_out, mut none) = (Vec::new(), None);
    for dir in found(&args.dirs)? {
        let out = |why: String| LeftOut { what: name(&dir), why };
        match opened(&dir) {
            Ok((begun, run)) if run.summary.complete => runs.push((begun, run)),
            // It has numbers of some cells only.
            Ok(_) => left_out.push(out("it did not come to its end".to_owned())),
            // What is no run has been named by mistake; a run may be under way.
            Err(error) if !is_run(&dir) => return Err(unread(&dir, error)),
            Err(error) => {
                left_out.push(out(error.to_string()));
                none.get_or_insert(unread(&dir, error));
            }
        }
    }
    let Some((_, newest)) = runs.iter().max_by_key(|(begun, _)| *begun) else {
        let unfinished = || {
            Failure::input("there is no finished run to look at".to_owned())
                .help("name run directories, or a folder of them such as runs")
        };
        return Err(none.unwrap_or_else(unfinished));
    };
    let alpha = args.alpha.unwrap_or(Rules::of(newest.plan.compare).alpha);
    runs.sort_by_key(|(begun, _)| *begun);
    let mut seen: HashMap<(u64, String), PathBuf> = HashMap::new();
    runs.retain(|(begun, run)| {
        let first = seen.entry((*begun, run.name().to_owned())).or_insert(run.dir().to_owned());
        // A run without events does not say when it began.
        let is_first = *begun == 0 || first == run.dir();
        if !is_first {
            let why = format!("it is the same run as {}", first.display());
            left_out.push(LeftOut { what: name(run.dir()), why });
        }
        is_first
    });
    let dates: Vec<String> = runs.iter().map(|(begun, _)| utc(*begun)).collect();
    let past = runs.iter().zip(&dates).map(|((_, run), started)| PastRun {
        name: run.name(),
        scenario: &run.plan.name,
        started,
        commit: run.commit(),
        summary: &run.summary,
    });
    let mut history = history(&past.collect::<Vec<_>>(), args.all, alpha);
    left_out.append(&mut history.left_out);
    history.left_out = left_out;
    if let Some(dir) = &args.figures {
        report_files::figures(&figure::history::figures(&history), dir, args.figure_format)?;
    }
    let text = match args.format {
        HistoryFormat::Terminal => {
            let (width, is_coloured) = output::stdout_form(colour);
            terminal(&history, width, is_coloured)
        }
        HistoryFormat::Markdown => markdown(&history),
        HistoryFormat::Json => json(&history),
    };
    output::data(&text)?;
    Ok(Exit::Ok)
}

/// Opens a run, and tells when it began.
fn opened(dir: &Path) -> Result<(u64, ComparedRun), StoreError> {
    let run = ComparedRun::open(dir)?;
    Ok((run.started_unix_ns()?, run))
}

fn name(dir: &Path) -> String {
    let own = dir.file_name().map(|name| name.to_string_lossy().into_owned());
    own.unwrap_or_else(|| dir.display().to_string())
}

fn is_run(dir: &Path) -> bool {
    RunDir::at(dir).manifest().is_file()
}

/// Returns run directories, each once; of a folder that is none itself, those that lie in it.
fn found(dirs: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for dir in dirs {
        if is_run(dir) || !dir.is_dir() {
            found.push(dir.clone());
            continue;
        }
        for entry in std::fs::read_dir(dir)? {
            found.push(entry?.path());
        }
        found.retain(|it| it == dir || dirs.contains(it) || is_run(it));
    }
    // The test takes runs for independent: one that is named twice is one.
    let mut seen = HashSet::new();
    found.retain(|it| seen.insert(it.canonicalize().unwrap_or_else(|_| it.clone())));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_is_named_by_itself_and_by_its_folder_is_one() {
        let home = tempfile::tempdir().unwrap();
        let runs = home.path().join("runs");
        for name in ["a", "b"] {
            let manifest = RunDir::at(runs.join(name)).manifest();
            std::fs::create_dir_all(manifest.parent().unwrap()).unwrap();
            std::fs::write(manifest, "{}").unwrap();
        }
        let named = [runs.clone(), runs.join("a"), runs.join("../runs/b"), runs.clone()];
        assert_eq!(found(&named).unwrap().len(), 2);
        assert_eq!(found(&named[1..2]).unwrap(), [runs.join("a")]);
    }
}
