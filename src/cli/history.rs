//! `bench history`: metrics over many runs, and where they changed for good.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::cli::args::{Colour, HistoryArgs, HistoryFormat};
use crate::cli::compare::opened_run;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::{output, report_files};
use crate::metrics::compare::Rules;
use crate::metrics::history::{PastRun, history};
use crate::report::figure;
use crate::report::history::{json, markdown, terminal};
use crate::report::number::counted;
use crate::report::view::utc;
use crate::store::run_dir::RunDir;

/// Prints what the runs show over time.
pub(crate) fn show(args: &HistoryArgs, colour: Colour) -> Result<Exit, Failure> {
    let mut runs = Vec::new();
    let mut n_open = 0;
    for dir in found(&args.dirs)? {
        let run = opened_run(&dir)?;
        let begun = run.started_unix_ns()?;
        // What did not come to its end has numbers of some cells only.
        if run.summary.complete { runs.push((begun, run)) } else { n_open += 1 }
    }
    if n_open > 0 {
        output::message(&format!(
            "note: {} that did not come to an end left out",
            counted(n_open, "run")
        ));
    }
    let Some((_, newest)) = runs.iter().max_by_key(|(begun, _)| *begun) else {
        return Err(Failure::input("there is no finished run to look at".to_owned())
            .help("name run directories, or a folder of them such as runs"));
    };
    let alpha = args.alpha.unwrap_or(Rules::of(newest.plan.compare).alpha);
    runs.sort_by_key(|(begun, _)| *begun);
    let dates: Vec<String> = runs.iter().map(|(begun, _)| utc(*begun)).collect();
    let past = runs.iter().zip(&dates).map(|((_, run), started)| PastRun {
        name: run.name(),
        started,
        commit: run.commit(),
        summary: &run.summary,
    });
    let history = history(&past.collect::<Vec<_>>(), args.all, alpha);
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

/// Returns run directories, each once; of a folder that is none itself, those that lie in it.
fn found(dirs: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let is_run = |dir: &Path| RunDir::at(dir).manifest().is_file();
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
