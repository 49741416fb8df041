//! `bench score`: stored answers graded again; no engine is started.

use crate::analysis::rescore;
use crate::cli::args::{ScoreArgs, ScoreFormat};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::scores;
use crate::plan::cell::{ExtractorPlan, ScorePlan, Take};
use crate::store::reader::RunReader;
use crate::workload::pairs::PairColumns;

/// Grades stored answers again and prints the tables.
pub(crate) fn score(args: &ScoreArgs) -> Result<Exit, Failure> {
    let extractors: Vec<ExtractorPlan> =
        args.extractors.iter().map(|text| extractor(text)).collect();
    let with_extractors = |plan: &ScorePlan| {
        if extractors.is_empty() {
            plan.clone()
        } else {
            ScorePlan { extractors: extractors.clone(), ..plan.clone() }
        }
    };
    let scores = if args.path.is_file() {
        let columns = PairColumns { output: &args.output_column, gold: &args.gold_column };
        let plan = ScorePlan { gold: extractor(&args.gold), ..ScorePlan::gsm8k() };
        vec![rescore::score_file(&args.path, columns, &with_extractors(&plan))?]
    } else {
        let reader = RunReader::open(&args.path)?;
        rescore::rescore(&reader, &with_extractors)?
    };
    if scores.is_empty() {
        return Err(Failure::new(
            Exit::NoInput,
            format!("{} has no scored cells", args.path.display()),
        )
        .help("name a score in the scenario: [score.answer]"));
    }
    output::data(&match args.format {
        ScoreFormat::Terminal => scores::render(&scores, args.items),
        ScoreFormat::Jsonl => scores::items(&scores),
    })?;
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
