//! `bench verify`: every figure again from the records, and every record against its checksum.

use crate::analysis::run::RunAnalysis;
use crate::cli::args::VerifyArgs;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::metrics::summary::Summary;
use crate::metrics::summary_file;
use crate::report::json;
use crate::report::number::counted;
use crate::store::reader::RunReader;
use crate::store::verify;

/// Recomputes a run's figures and compares them with what its files say.
pub(crate) fn verify(args: &VerifyArgs) -> Result<Exit, Failure> {
    let reader = RunReader::open(&args.dir)?;
    refuse_damaged(&reader)?;
    let analysis = RunAnalysis::of(&reader)?;
    let n_requests: u64 = analysis.summary.cells.iter().map(|cell| cell.counts.scheduled).sum();
    let cells = &analysis.summary.cells;
    let n_measured = cells.iter().filter(|cell| cell.n_trials > 0).count();
    let of = match cells.len() {
        n if n == n_measured => counted(n as u64, "cell"),
        n => format!("{n_measured} of {} measured", counted(n as u64, "cell")),
    };
    let requests = counted(n_requests, "measured request");
    output::data(&format!("records: whole ({of}, {requests})\n"))?;
    let path = args.dir.join("summary.json");
    let stored = match std::fs::read_to_string(&path) {
        Ok(stored) => stored,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            output::data("summary.json: not there yet; `bench report` writes it\n")?;
            return Ok(Exit::Ok);
        }
        Err(error) => {
            return Err(Failure::input(format!("failed to read {}: {error}", path.display())));
        }
    };
    let again = json::render(&analysis.summary);
    if stored == again {
        output::data("summary.json: every figure follows from the records\n")?;
        return Ok(Exit::Ok);
    }
    let place = first_difference(&stored, &again, &analysis.summary);
    Err(Failure::new(
        Exit::Corrupt,
        format!("{} does not follow from the records: {place}", path.display()),
    )
    .help("`bench report` writes it again from the records"))
}

/// Requires that all that a run directory holds is what was written.
pub(crate) fn refuse_damaged(reader: &RunReader) -> Result<(), Failure> {
    let checked = verify::verify(reader)?;
    if checked.is_sound() {
        return Ok(());
    }
    let problems: Vec<String> = checked.problems.iter().map(ToString::to_string).collect();
    let dir = reader.dir().path().display();
    let message = format!("{dir} is damaged:\n  {}", problems.join("\n  "));
    Err(Failure::new(Exit::Corrupt, message)
        .help("restore these files; figures of damaged records are not shown"))
}

/// Says where a stored summary departs from the one that the records give.
fn first_difference(stored: &str, again: &str, summary: &Summary) -> String {
    if let Err(error) = summary_file::parse(stored.as_bytes()) {
        return error.to_string();
    }
    let lines = stored.lines().zip(again.lines()).enumerate();
    let mut different = lines.filter(|(_, (stored, again))| stored != again);
    different.next().map_or_else(
        || format!("it has another length than the summary of {} cells", summary.cells.len()),
        |(i, (stored, again))| {
            format!("line {} says `{}`, the records say `{}`", i + 1, stored.trim(), again.trim())
        },
    )
}
