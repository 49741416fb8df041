//! `bench score`: stored answers graded again; no engine is started.

use std::io::{self, Read as _};
use std::path::Path;

use bytes::Bytes;

use crate::analysis::rescore::{self, AnswerFile, FileItem};
use crate::cli::args::{ScoreArgs, ScoreFormat};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::scores::{self, ToldItem};
use crate::diagnostic::suggest::nearest;
use crate::plan::cell::{ExtractorPlan, Normalise, ScorePlan, Take};
use crate::score::findings::end_of;
use crate::store::reader::RunReader;
use crate::workload::pairs::PairColumns;

/// Bytes of items that are written to standard output at once.
const BATCH: usize = 1 << 16;

/// Grades stored answers again and prints the tables.
pub(crate) fn score(args: &ScoreArgs) -> Result<Exit, Failure> {
    let is_stdin = args.path == Path::new("-");
    if !is_stdin && !args.path.exists() {
        return Err(Failure::input(format!(
            "there is no file or directory {}",
            args.path.display()
        )));
    }
    let adapt = adaptation(args)?;
    if is_stdin || !args.path.is_dir() {
        return score_file(args, &adapt(&ScorePlan::gsm8k()));
    }
    let scores = rescore::rescore(&RunReader::open(&args.path)?, &adapt, &|item| {
        scores::is_shown(args.items, item)
    })?;
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

/// Returns what the command line changes in a score.
///
/// # Errors
/// For a word that is nearly one that is known.
fn adaptation(args: &ScoreArgs) -> Result<impl Fn(&ScorePlan) -> ScorePlan + use<>, Failure> {
    let extractors = args.extractors.iter().map(|text| extractor(text));
    let extractors = extractors.collect::<Result<Vec<ExtractorPlan>, _>>()?;
    let normalise = args.normalise.iter().map(|text| normalise(text));
    let normalise = normalise.collect::<Result<Vec<Normalise>, _>>()?;
    let gold = args.gold.as_deref().map(extractor).transpose()?;
    let (compare, think, tolerance) = (args.compare, args.think, args.tolerance);
    Ok(move |plan: &ScorePlan| ScorePlan {
        extractors: if extractors.is_empty() {
            plan.extractors.clone()
        } else {
            extractors.clone()
        },
        compare: compare.unwrap_or(plan.compare),
        normalise: if normalise.is_empty() { plan.normalise.clone() } else { normalise.clone() },
        gold: gold.clone().unwrap_or_else(|| plan.gold.clone()),
        think: think.or(plan.think),
        tolerance: tolerance.or(plan.tolerance),
    })
}

/// Grades a file, once for its sums and golds, and again for items where these are asked for:
/// none of them is kept.
fn score_file(args: &ScoreArgs, plan: &ScorePlan) -> Result<Exit, Failure> {
    let columns = PairColumns { output: &args.output_column, gold: &args.gold_column };
    let (path, piped) = opened(&args.path)?;
    let file = AnswerFile::new(path, piped, columns, plan)?;
    let found = [file.score()?];
    let (name, extractors) = (&found[0].name, &found[0].graded.extractors);
    match args.format {
        ScoreFormat::Terminal => {
            output::data(&scores::render(&found, None))?;
            if args.items.is_some() {
                print_items(&file, |found| {
                    scores::is_shown(args.items, &found.item).then(|| {
                        let end = end_of(found.text, rescore::END_CHARS);
                        let told = ToldItem {
                            row: found.row,
                            question: found.question,
                            end: &end,
                            gold: Some(found.gold),
                        };
                        scores::told_item(extractors, &found.item, &told)
                    })
                })?;
            }
        }
        ScoreFormat::Jsonl => print_items(&file, |found| {
            Some(scores::item_line(name, extractors, found.row, &found.item, Some(found.gold)))
        })?,
    }
    Ok(Exit::Ok)
}

/// Returns a file's name, and all that it gives where it is a pipe; `-` is standard input.
fn opened(path: &Path) -> Result<(&Path, Option<Bytes>), Failure> {
    let (name, read) = if path == Path::new("-") {
        let mut bytes = Vec::new();
        let read = io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes);
        (Path::new("standard input"), read)
    } else if path.is_file() {
        return Ok((path, None));
    } else {
        (path, std::fs::read(path))
    };
    let unread = |error| Failure::input(format!("failed to read {}: {error}", name.display()));
    Ok((name, Some(read.map_err(unread)?.into())))
}

fn print_items(
    file: &AnswerFile<'_>,
    told: impl Fn(&FileItem<'_>) -> Option<String>,
) -> Result<(), Failure> {
    let mut batch = String::new();
    let mut failed: Option<io::Error> = None;
    file.each(|found| {
        batch.extend(told(found));
        if batch.len() >= BATCH {
            failed = output::data(&batch).err();
            batch.clear();
        }
        failed.is_none()
    })?;
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(output::data(&batch)?),
    }
}

/// Extractors by the names that they have on the command line.
const EXTRACTORS: [(&str, ExtractorPlan); 8] = [
    ("strict", ExtractorPlan::Strict),
    ("flexible", ExtractorPlan::Flexible),
    ("number", ExtractorPlan::Number),
    ("answer-is", ExtractorPlan::AnswerIs),
    ("choice", ExtractorPlan::Choice),
    ("first-line", ExtractorPlan::FirstLine),
    ("answer-letter", ExtractorPlan::AnswerLetter),
    ("whole", ExtractorPlan::Whole),
];
/// Steps of a normalisation, likewise.
const STEPS: [(&str, Normalise); 2] =
    [("lowercase", Normalise::Lowercase), ("trim", Normalise::Trim)];

/// Reads an extractor as it is written on the command line: a name, else a pattern.
fn extractor(text: &str) -> Result<ExtractorPlan, Failure> {
    // As reports name it.
    if let Some(field) = text.strip_prefix("json:").filter(|field| !field.is_empty()) {
        return Ok(ExtractorPlan::JsonField(field.to_owned()));
    }
    let known = named(text, &EXTRACTORS, "--extract")?;
    Ok(known.unwrap_or_else(|| ExtractorPlan::Regex {
        name: text.to_owned(),
        pattern: text.to_owned(),
        take: Take::First,
    }))
}

/// Reads a normalisation: a name, else a pattern whose matches are deleted.
fn normalise(text: &str) -> Result<Normalise, Failure> {
    let known = named(text, &STEPS, "--normalise")?;
    Ok(known.unwrap_or_else(|| Normalise::Delete(text.to_owned())))
}

/// Returns what a name stands for; `None` for a pattern. A word that is nearly a name is none: it
/// would match nothing but itself.
fn named<T: Clone>(text: &str, known: &[(&str, T)], key: &str) -> Result<Option<T>, Failure> {
    if let Some((_, meant)) = known.iter().find(|(name, _)| *name == text) {
        return Ok(Some(meant.clone()));
    }
    let is_word = text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
    match nearest(text, known.iter().map(|(name, _)| *name)).filter(|_| is_word) {
        None => Ok(None),
        Some(name) => {
            let message =
                format!("{key} `{text}` is no name, and as a pattern it finds only itself");
            let help = format!("did you mean `{name}`? A group makes it a pattern: `({text})`");
            Err(Failure::new(Exit::Usage, message).help(help))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_nearly_a_name_is_no_pattern() {
        assert!(matches!(extractor("number"), Ok(ExtractorPlan::Number)));
        assert!(
            matches!(extractor("json:/answer"), Ok(ExtractorPlan::JsonField(field)) if field == "/answer")
        );
        for text in ["numbr", "Number", "flexibel", "answer_is"] {
            assert_eq!(extractor(text).unwrap_err().exit, Exit::Usage, "{text}");
        }
        for text in ["(numbr)", "[a-z]+", "####", "elephant", "Number:"] {
            assert!(matches!(extractor(text), Ok(ExtractorPlan::Regex { .. })), "{text}");
        }
        assert!(normalise("lowercas").is_err());
        assert!(matches!(normalise("[.]"), Ok(Normalise::Delete(_))));
    }
}
