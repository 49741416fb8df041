//! `bench export`: a run for other programs.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::Path;

use crate::analysis::request_rows::{self, RequestRow};
use crate::analysis::run::RunAnalysis;
use crate::cli::args::{ExportArgs, ExportFormat};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::{output, report_files, run_report};
use crate::report::csv;
use crate::report::export::{benchmark_report, jsonl, latex, parquet, prometheus};
use crate::report::input::Input;
use crate::report::number::counted;
use crate::report::original::lineup_tree;
use crate::store::reader::RunReader;

/// Writes a run in another form.
pub(crate) fn export(args: &ExportArgs) -> Result<Exit, Failure> {
    if let Some(tree) = &args.tree {
        return write_tree(&args.dir, tree);
    }
    let format = args.format.expect("without a tree there is a format");
    if format == ExportFormat::Parquet && args.out.is_none() && io::stdout().is_terminal() {
        return Err(Failure::new(Exit::Usage, "Parquet is nothing for a terminal")
            .help("name a file with --out, or pipe it into one"));
    }
    let reader = RunReader::open(&args.dir)?;
    let analysis = RunAnalysis::of(&reader)?;
    match &args.out {
        None => written(format, &reader, &analysis, output::stream(), &"to standard output"),
        Some(path) => {
            let file = File::create(path).map_err(|error| {
                Failure::new(
                    Exit::CannotCreate,
                    format!("failed to create {}: {error}", path.display()),
                )
            })?;
            written(format, &reader, &analysis, file, &path.display())
        }
    }?;
    if let Some(path) = &args.out {
        told(path);
    }
    Ok(Exit::Ok)
}

/// Writes the output tree of the lineup's programs, with the logs of the engines.
fn write_tree(dir: &Path, tree: &Path) -> Result<Exit, Failure> {
    let analysis = RunAnalysis::of(&RunReader::open(dir)?)?;
    let folders = lineup_tree::folders(&Input::of(&analysis, None));
    for folder in &folders {
        for file in &folder.files {
            report_files::write(tree, &file.path, file.text.as_bytes())?;
        }
        let Some((log, place)) = &folder.log else { continue };
        // A server that runs elsewhere has none.
        if let Ok(bytes) = std::fs::read(dir.join(log)) {
            report_files::write(tree, place, &bytes)?;
        }
    }
    if folders.is_empty() {
        let message = format!("nothing of {} was measured", dir.display());
        return Err(Failure::new(Exit::NoInput, message).help("`bench resume` goes on with a run"));
    }
    let n_undivided = folders.iter().filter(|folder| folder.is_undivided).count() as u64;
    if n_undivided > 0 {
        output::message(&format!(
            "note: the plan, of an earlier version, does not record how the GPUs of {} are divided: `tp` \
             in the folder's name has all of them",
            counted(n_undivided, "cell")
        ));
    }
    told(tree);
    Ok(Exit::Ok)
}

fn told(path: &Path) {
    output::message(&format!("written: {}", path.display()));
}

fn written(
    format: ExportFormat,
    reader: &RunReader,
    analysis: &RunAnalysis,
    out: impl Write + Send,
    place: &dyn Display,
) -> Result<(), Failure> {
    let failed = |error: &dyn Display| {
        Failure::new(Exit::InputOutput, format!("failed to write {place}: {error}"))
    };
    let mut out = BufWriter::new(out);
    let mut trouble = None;
    let rows = request_rows::rows(reader, analysis)
        .map_while(|row: Result<RequestRow, _>| row.map_err(|error| trouble = Some(error)).ok());
    match format {
        ExportFormat::Parquet => parquet::write(&mut out, rows).map_err(|error| failed(&error))?,
        ExportFormat::Csv => {
            csv::write_requests(&mut out, rows).map_err(|error| failed(&error))?;
        }
        ExportFormat::Jsonl => jsonl::write(&mut out, rows).map_err(|error| failed(&error))?,
        ExportFormat::Prometheus | ExportFormat::BenchmarkReport | ExportFormat::Latex => {
            drop(rows);
            let text = text(format, analysis);
            out.write_all(text.as_bytes()).map_err(|error| failed(&error))?;
        }
    }
    out.flush().map_err(|error| failed(&error))?;
    trouble.map_or(Ok(()), |error| Err(error.into()))
}

fn text(format: ExportFormat, analysis: &RunAnalysis) -> String {
    let RunAnalysis { run, plan, summary, environment, .. } = analysis;
    match format {
        ExportFormat::Prometheus => prometheus::render(&run.name, summary),
        ExportFormat::Latex => latex::render(&run_report::view(analysis)),
        _ => benchmark_report::render(run, &environment.bench_version, plan, summary),
    }
}
