//! `bench decide`: which cell of a run is to be taken.

use std::io::IsTerminal as _;

use crate::cli::args::{Colour, DecideArgs, DecideFormat};
use crate::cli::compare::opened_run;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::metrics::decide::decide;
use crate::report::decision::{json, markdown, terminal};

/// Prints what is recommended and why.
pub(crate) fn recommend(args: &DecideArgs, colour: Colour) -> Result<Exit, Failure> {
    let run = opened_run(&args.dir)?;
    let decision = decide(&run.plan, &run.summary, args.rate);
    let text = match args.format {
        DecideFormat::Terminal => {
            let width = std::io::stdout().is_terminal().then(output::width).flatten();
            let is_coloured = output::is_coloured(colour, &std::io::stdout());
            terminal(&decision, &run.summary, width, is_coloured)
        }
        DecideFormat::Markdown => markdown(&decision, &run.summary),
        DecideFormat::Json => json(&decision),
    };
    output::data(&text)?;
    Ok(Exit::Ok)
}
