//! `bench score`: stored answers graded again; no engine is started.

use crate::cli::args::ScoreArgs;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::say;
use crate::cli::scores;
use crate::plan::cell::{ExtractorPlan, ScorePlan, Take};
use crate::run::rescore::{self, CellScores};
use crate::store::reader::RunReader;

/// Grades the answers of a run again and prints the tables.
pub(crate) fn score(args: &ScoreArgs) -> Result<Exit, Failure> {
    let reader = RunReader::open(&args.dir)?;
    let extractors: Vec<ExtractorPlan> =
        args.extractors.iter().map(|text| extractor(text)).collect();
    let with_extractors = |plan: &ScorePlan| {
        if extractors.is_empty() {
            plan.clone()
        } else {
            ScorePlan { extractors: extractors.clone(), ..plan.clone() }
        }
    };
    let scores: Vec<CellScores> = rescore::rescore(&reader, &with_extractors).map_err(|error| {
        Failure::new(Exit::BadData, error.to_string()).help("`bench score --help` shows examples")
    })?;
    if scores.is_empty() {
        return Err(Failure::new(
            Exit::NoInput,
            format!("{} has no scored cells", args.dir.display()),
        )
        .help("name a score in the scenario: [score.answer]"));
    }
    say::data(&scores::render(&scores, args.items))?;
    Ok(Exit::Ok)
}

/// Reads an extractor as it is written on the command line: a name, else a pattern.
fn extractor(text: &str) -> ExtractorPlan {
    match text {
        "strict" => ExtractorPlan::Strict,
        "flexible" => ExtractorPlan::Flexible,
        "answer-is" => ExtractorPlan::AnswerIs,
        "choice" => ExtractorPlan::Choice,
        "whole" => ExtractorPlan::Whole,
        pattern => ExtractorPlan::Regex {
            name: pattern.to_owned(),
            pattern: pattern.to_owned(),
            take: Take::First,
        },
    }
}
