//! `bench report`: the same report again, from the run directory alone.

use crate::analysis::run::RunAnalysis;
use crate::cli::args::{Colour, ReportArgs, ReportFormat};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::run_report::{self, OwnTemplate};
use crate::cli::{gate_flags, output, report_files};
use crate::report::{csv, html, json, junit, long_csv, template_variables, terminal};
use crate::store::reader::RunReader;

/// Makes the report of a run directory again.
pub(crate) fn report(args: &ReportArgs, colour: Colour) -> Result<Exit, Failure> {
    let own = args.template.as_deref().map(OwnTemplate::read).transpose()?;
    let reader = RunReader::open(&args.dir)?;
    let mut analysis = RunAnalysis::of(&reader)?;
    let mut view = run_report::view(&analysis);
    if reader.is_in_progress() {
        output::message(
            "note: this run is still going on; the report is of what is complete so far",
        );
    } else {
        run_report::bring_up_to_date(&analysis, &view)?;
    }
    if let Some(dir) = &args.figures {
        report_files::figures(&view.charts, dir, args.figure_format)?;
    }
    if let Some(dir) = &args.as_published {
        report_files::as_published(&reader, &analysis, dir)?;
    }
    // The files tell what the run was held to; what this command line adds is told here alone.
    if gate_flags::judge(&mut analysis, &args.gates)? {
        output::message(
            "note: what this command line asks for is told here; the files tell the run's own gates",
        );
        view = run_report::view(&analysis);
    }
    view.full = args.full;
    if args.print_view || own.is_some() {
        view = view.with_cells(&analysis.summary);
    }
    if args.print_view {
        output::data(&template_variables::render(&view))?;
        return Ok(gate_flags::exit(&analysis.summary.gates));
    }
    if let Some(own) = &own {
        output::data(&own.render(&view)?)?;
        return Ok(gate_flags::exit(&analysis.summary.gates));
    }
    let text = match args.format {
        ReportFormat::Terminal => {
            let (width, is_coloured) = output::stdout_form(colour);
            terminal::render(&view, width, is_coloured)
        }
        ReportFormat::Markdown => run_report::markdown(&analysis.dir, &view)?,
        ReportFormat::Html => html::render(&view)?,
        ReportFormat::Json => json::render(&analysis.summary),
        ReportFormat::Csv => csv::render_summary(&analysis.summary),
        ReportFormat::CsvLong => {
            for part in long_csv::parts(&analysis.run, &analysis.plan, &analysis.summary) {
                output::data(&part)?;
            }
            return Ok(gate_flags::exit(&analysis.summary.gates));
        }
        ReportFormat::Junit => junit::render(&analysis.summary),
    };
    output::data(&text)?;
    Ok(gate_flags::exit(&analysis.summary.gates))
}
