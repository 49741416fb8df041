//! How grades are printed.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table};
use serde_json::{Map, Value, json};

use crate::analysis::rescore::{CellScores, END_CHARS};
use crate::cli::args::ShownItems;
use crate::metrics::reference_cell::ReferenceComparison;
use crate::score::Accuracy;
use crate::score::findings::end_of;
use crate::score::item::{Class, Item};
use crate::score::scorer::Gold;

/// Renders accuracies, agreement, flips and, if asked for, the items on which verdicts differ.
pub(crate) fn render(scores: &[CellScores], shown: Option<ShownItems>) -> String {
    let mut text = accuracies(scores);
    for cell in scores {
        let told = of_cell(cell, shown);
        if !told.is_empty() {
            let _ = write!(text, "\n{}\n{told}", cell.name);
        }
    }
    text
}

fn of_cell(cell: &CellScores, shown: Option<ShownItems>) -> String {
    let mut text = String::new();
    let published = cell.graded.as_published;
    if published.n > 0 {
        let _ = writeln!(
            text,
            "  scored as the published TinyLlama table was (nothing equals nothing): {} of {} \"correct\", {} of them by absence on both sides; {} golds could be read",
            published.correct, published.n, published.correct_by_absence, published.golds_parsed,
        );
    }
    for agreement in &cell.graded.agreements {
        let _ = writeln!(
            text,
            "  {} and {}: same answer on {} of {}; correct by the first alone {}, by the second alone {}",
            agreement.a,
            agreement.b,
            agreement.same,
            agreement.n,
            agreement.only_a_correct,
            agreement.only_b_correct
        );
    }
    for beside in &cell.beside {
        text.push_str(&beside_reference(beside));
    }
    for (row, item) in cell.graded.items.iter().filter(|(_, item)| is_shown(shown, item)) {
        let end = cell.ends.get(row).map_or("", String::as_str);
        let told = ToldItem {
            row: *row,
            question: cell.questions.get(row).map(String::as_str),
            end,
            gold: cell.golds.get(*row),
        };
        text.push_str(&told_item(&cell.graded.extractors, item, &told));
    }
    text
}

/// Renders every item of cells as a line of JSON.
pub(crate) fn items(scores: &[CellScores]) -> String {
    let mut text = String::new();
    for cell in scores {
        for (row, item) in &cell.graded.items {
            let gold = cell.golds.get(*row);
            text.push_str(&item_line(&cell.name, &cell.graded.extractors, *row, item, gold));
        }
    }
    text
}

/// Renders an item as a line of JSON: its row from 1, what each extractor found, or why it found nothing.
pub(crate) fn item_line(
    cell: &str,
    extractors: &[String],
    row: u64,
    item: &Item,
    gold: Option<&Gold>,
) -> String {
    let found = item.classes.iter().zip(&item.answers);
    let verdicts: Map<String, Value> = extractors
        .iter()
        .zip(found)
        .map(|(name, (class, answer))| {
            let mut verdict = json!({ "class": class, "answer": answer.as_deref().ok() });
            if let Err(why) = answer {
                verdict["why"] = json!(why);
            }
            (name.clone(), verdict)
        })
        .collect();
    let gold = gold.map(|gold| match gold.answers.as_slice() {
        [answer] => json!(answer),
        answers => json!(answers),
    });
    let line = json!({
        "cell": cell, "row": row + 1, "gold": gold, "extractors": verdicts,
        "degenerate": item.degenerate,
    });
    format!("{line}\n")
}

fn accuracies(scores: &[CellScores]) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    let header = [
        "cell",
        "extractor",
        "accuracy %",
        "95 % interval",
        "correct",
        "wrong",
        "wrong by format",
        "unparsed",
        "truncated",
        "empty",
        "request errors",
        "degenerate",
        "n",
    ];
    table.set_header(header);
    for cell in scores {
        for accuracy in &cell.graded.accuracies {
            table.add_row(row(&cell.name, accuracy));
        }
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("{table}\n")
}

fn row(cell: &str, accuracy: &Accuracy) -> Vec<String> {
    let percent = |share: f64| format!("{:.1}", share * 100.0);
    let interval =
        accuracy.interval.map(|(low, high)| format!("{} to {}", percent(low), percent(high)));
    let mut row = vec![
        cell.to_owned(),
        accuracy.extractor.clone(),
        accuracy.share.map_or_else(|| "no data".to_owned(), percent),
        interval.unwrap_or_default(),
    ];
    let counts = [
        accuracy.correct,
        accuracy.wrong,
        accuracy.wrong_by_format,
        accuracy.unparsed,
        accuracy.truncated,
        accuracy.empty,
        accuracy.request_errors,
        accuracy.degenerate,
        accuracy.n,
    ];
    row.extend(counts.map(|count| count.to_string()));
    row
}

fn beside_reference(beside: &ReferenceComparison) -> String {
    let mut text = String::new();
    for pair in &beside.accuracy {
        let _ = writeln!(
            text,
            "  beside {} by {}: {} gained, {} lost of {} items; exact McNemar p = {:.3}",
            beside.reference,
            pair.extractor,
            pair.gained.len(),
            pair.lost.len(),
            pair.n,
            pair.p_value
        );
    }
    let Some(fidelity) = &beside.fidelity else { return text };
    let bins: Vec<String> = fidelity
        .histogram()
        .into_iter()
        .filter(|(_, n)| *n > 0)
        .map(|(bin, n)| format!("{bin}: {n}"))
        .collect();
    let _ = writeln!(
        text,
        "  beside {}, {} greedy texts by the word at which they part: {}",
        beside.reference,
        fidelity.n,
        bins.join(", ")
    );
    if let Some(mean) = fidelity.logprob_difference_mean {
        let _ = writeln!(
            text,
            "  log probabilities of {} tokens of equal texts differ by {mean:.2e} in the mean, {:.2e} at most",
            fidelity.n_logprobs,
            fidelity.logprob_difference_max.unwrap_or_default()
        );
    }
    text
}

/// Whether an item is among those that are asked for.
pub(crate) fn is_shown(shown: Option<ShownItems>, item: &Item) -> bool {
    let class = item.classes.first();
    match shown {
        None => false,
        Some(ShownItems::Differs) => item.differs(),
        Some(ShownItems::Wrong) => matches!(class, Some(Class::Wrong | Class::WrongByFormat)),
        Some(ShownItems::Unparsed) => class == Some(&Class::Unparsed),
        Some(ShownItems::Truncated) => class == Some(&Class::Truncated),
    }
}

/// What is told of an item beside its grades.
pub(crate) struct ToldItem<'a> {
    /// Position in the data, from 0.
    pub(crate) row: u64,
    /// What was asked, where it is known.
    pub(crate) question: Option<&'a str>,
    /// The answer's end.
    pub(crate) end: &'a str,
    /// The right one.
    pub(crate) gold: Option<&'a Gold>,
}

/// Renders an item for people: its row from 1, what each extractor found, the gold, the question
/// and the answer's end.
pub(crate) fn told_item(extractors: &[String], item: &Item, told: &ToldItem<'_>) -> String {
    let ToldItem { row, question, end, gold } = told;
    let found = item.classes.iter().zip(&item.answers);
    let words: Vec<String> = extractors
        .iter()
        .zip(found)
        .map(|(name, (class, answer))| match answer {
            Ok(answer) => format!("{name}: {} ({answer})", class.name()),
            Err(why) => format!("{name}: {} ({why})", class.name()),
        })
        .collect();
    let gold = gold.map(|gold| gold.answers.join(" or ")).unwrap_or_default();
    let asked = question.map(|question| format!("    asked: {:?}\n", end_of(question, END_CHARS)));
    let asked = asked.unwrap_or_default();
    let (row, words) = (row + 1, words.join("; "));
    format!("  row {row}: {words}; gold: {gold}\n{asked}    ended: {end:?}\n")
}
