//! Writes what a report is asked for as files of their own: figures, and the files that the source
//! of a published table writes.

use std::fs;
use std::path::Path;

use crate::analysis::request_rows;
use crate::analysis::run::RunAnalysis;
use crate::cli::args::FigureFormat;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::published;
use crate::report::figure::FigureView;
use crate::report::input::Input;
use crate::report::original::{self, Requests};
use crate::store::reader::RunReader;

/// Writes each figure as a file named after it.
pub(crate) fn figures(
    charts: &[FigureView],
    dir: &Path,
    format: FigureFormat,
) -> Result<(), Failure> {
    for chart in charts {
        match format {
            FigureFormat::Svg => {
                write(dir, &format!("{}.svg", chart.id), chart.file().as_bytes())?;
            }
            FigureFormat::Png => write(dir, &format!("{}.png", chart.id), &png(chart)?)?,
        }
    }
    output::message(&format!("{} figures are in {}", charts.len(), dir.display()));
    Ok(())
}

#[cfg(feature = "png")]
fn png(chart: &FigureView) -> Result<Vec<u8>, Failure> {
    crate::report::figure::png::render(chart)
        .map_err(|error| Failure::new(Exit::Internal, error.to_string()).help("take SVG instead"))
}

#[cfg(not(feature = "png"))]
fn png(_: &FigureView) -> Result<Vec<u8>, Failure> {
    let message = "this program was built without PNG";
    Err(Failure::new(Exit::Usage, message).help("take SVG, or build it with the feature `png`"))
}

/// Writes the files that the source of the scenario's published table writes.
pub(crate) fn as_published(
    reader: &RunReader,
    analysis: &RunAnalysis,
    dir: &Path,
) -> Result<(), Failure> {
    let mut requests = Requests::new();
    for request in request_rows::streamed(reader, analysis) {
        let request = request?;
        if request.row.measured {
            requests.entry(request.row.cell.clone()).or_default().push(request);
        }
    }
    let files = original::files(&Input::of(analysis, None), &requests);
    if files.is_empty() {
        let message = "the scenario names no published table, or nothing was measured";
        let help = format!(
            "add `[published]` with `table` to the scenario; there are {}",
            published::NAMES.join(", ")
        );
        return Err(Failure::new(Exit::Usage, message).help(help));
    }
    for file in &files {
        write(dir, &file.path, file.text.as_bytes())?;
    }
    output::message(&format!("{} files are in {}", files.len(), dir.display()));
    Ok(())
}

pub(crate) fn write(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), Failure> {
    let path = dir.join(name);
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::write(&path, bytes)).map_err(|source| {
        let message = format!("failed to write {}: {source}", path.display());
        Failure::new(Exit::CannotCreate, message).help("name a directory that can be written")
    })
}
