//! `bench decide`: which cell of a run is to be taken.

use crate::cli::args::{Colour, DecideArgs, DecideFormat};
use crate::cli::compare::{opened_run, tell_open};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::metrics::decide::decide;
use crate::report::decision::{json, markdown, terminal};

/// Prints what is recommended and why.
pub(crate) fn recommend(args: &DecideArgs, colour: Colour) -> Result<Exit, Failure> {
    let run = opened_run(&args.dir)?;
    tell_open(&run);
    let decisions = decide(&run.plan, &run.summary, args.rate);
    let text = match args.format {
        DecideFormat::Terminal => {
            let (width, is_coloured) = output::stdout_form(colour);
            terminal(&decisions, &run.summary, width, is_coloured)
        }
        DecideFormat::Markdown => markdown(&decisions, &run.summary),
        DecideFormat::Json => json(&decisions),
    };
    output::data(&text)?;
    Ok(Exit::Ok)
}
