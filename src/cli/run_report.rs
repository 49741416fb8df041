//! Writes the files of a report and makes its faces.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::analysis::request_rows;
use crate::analysis::run::RunAnalysis;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::{output, typed};
use crate::published;
use crate::report::input::Input;
use crate::report::view::ReportView;
use crate::report::{csv, html, json, markdown, template};
use crate::store::reader::RunReader;
use crate::store::run_dir::RunDir;

/// A template of the user's: its file name and text.
pub(crate) struct OwnTemplate {
    file: String,
    text: String,
}

impl OwnTemplate {
    /// Reads a template.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|source| {
            Failure::input(format!("failed to read {}: {source}", path.display()))
        })?;
        Ok(Self { file: path.display().to_string(), text })
    }

    /// Renders it.
    pub(crate) fn render(&self, view: &ReportView) -> Result<String, Failure> {
        Ok(template::render_text(&self.file, &self.text, view)?)
    }
}

/// Writes the files of a report, or says that they stay as they were: a colleague's run, or one on a
/// read-only mount, can be read all the same.
pub(crate) fn bring_up_to_date(analysis: &RunAnalysis, view: &ReportView) -> Result<(), Failure> {
    if can_write(&analysis.dir) {
        return write_files(analysis, view);
    }
    let dir = typed::path(&analysis.dir);
    output::message(&format!("note: {dir} cannot be written: its files are as they were"));
    Ok(())
}

fn can_write(dir: &Path) -> bool {
    let is_refused = |error: std::io::Error| {
        matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
    };
    !tempfile::tempfile_in(dir).is_err_and(is_refused)
}

/// Writes `summary.json`, `summary.csv`, `requests.csv`, `report.md` and `report.html`.
pub(crate) fn write_files(analysis: &RunAnalysis, view: &ReportView) -> Result<(), Failure> {
    let dir = RunDir::at(&analysis.dir);
    dir.replace_with("summary.json", |file| json::write(&analysis.summary, file))?;
    dir.replace_with("summary.csv", |file| csv::write_summary(&analysis.summary, file))?;
    dir.replace("report.md", markdown(&analysis.dir, view)?.as_bytes())?;
    dir.replace("report.html", html::render(view)?.as_bytes())?;
    write_requests(analysis)?;
    Ok(())
}

/// Returns what all faces of the report show.
pub(crate) fn view(analysis: &RunAnalysis) -> ReportView {
    let table = analysis.plan.published.as_ref();
    let published = table
        .and_then(|published| published::table(&published.table).ok())
        .map(|table| table.with_gpus(&analysis.environment.gpu_uuids()));
    let view = ReportView::new(&Input::of(analysis, published.as_ref()));
    if template::shows_cells(&view.template) { view.with_cells(&analysis.summary) } else { view }
}

/// Writes `requests.csv`, one request at a time.
fn write_requests(analysis: &RunAnalysis) -> Result<(), Failure> {
    let path = analysis.dir.join("requests.csv");
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::InputOutput, format!("failed to write {}: {error}", path.display()))
    };
    let folder = tempfile::Builder::new()
        // Less what the umask takes away, as for the other files of a run.
        .permissions(PermissionsExt::from_mode(0o666))
        .tempfile_in(&analysis.dir)
        .map_err(|error| failed(&error))?;
    let reader = RunReader::open(&analysis.dir)?;
    let mut trouble = None;
    let rows = request_rows::rows(&reader, analysis)
        .map_while(|row| row.map_err(|error| trouble = Some(error)).ok());
    let file = std::io::BufWriter::new(folder.as_file());
    csv::write_requests(file, rows).map_err(|error| failed(&error))?;
    if let Some(error) = trouble {
        return Err(error.into());
    }
    folder.persist(&path).map_err(|error| failed(&error))?;
    Ok(())
}

/// The markdown face: by the template that lay beside the scenario, else by one of the program's.
pub(crate) fn markdown(dir: &Path, view: &ReportView) -> Result<String, Failure> {
    let own = RunDir::at(dir).template();
    if !template::names().contains(&view.template.as_str()) && own.is_file() {
        return OwnTemplate::read(&own)?.render(view);
    }
    Ok(markdown::render(view)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_may_write_into_is_told_from_what_can_be_written() {
        let dir = tempfile::TempDir::new().unwrap();
        assert!(can_write(dir.path()));
        // Not even root makes a file there.
        assert!(!can_write(Path::new("/sys")));
        assert!(can_write(&dir.path().join("gone")), "that it is not there is another trouble");
    }
}
