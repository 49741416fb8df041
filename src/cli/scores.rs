//! How grades are printed.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table};
use serde_json::{Map, Value, json};

use crate::analysis::rescore::CellScores;
use crate::metrics::reference::ReferenceComparison;
use crate::score::Accuracy;
use crate::score::grade::Graded;
use crate::score::item::Class;

/// Renders accuracies, agreement, flips and, if asked for, the items on which verdicts differ.
pub(crate) fn render(scores: &[CellScores], with_items: bool) -> String {
    let mut text = accuracies(scores);
    for cell in scores {
        let _ = writeln!(
            text,
            "\n{}\n  scored as the published TinyLlama table was (nothing equals nothing): {} of {} \"correct\", {} of them by absence on both sides; {} golds could be read",
            cell.name,
            cell.graded.as_published.correct,
            cell.graded.as_published.n,
            cell.graded.as_published.correct_by_absence,
            cell.graded.as_published.golds_parsed,
        );
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
        if with_items {
            text.push_str(&differing_items(&cell.graded));
        }
    }
    text
}

/// Renders every item as a line of JSON.
pub(crate) fn items(scores: &[CellScores]) -> String {
    let mut text = String::new();
    for cell in scores {
        for (row, item) in &cell.graded.items {
            let verdicts: Map<String, Value> = cell
                .graded
                .extractors
                .iter()
                .zip(item.classes.iter().zip(&item.answers))
                .map(|(name, (class, answer))| {
                    (name.clone(), json!({ "class": class, "answer": answer }))
                })
                .collect();
            let gold = cell.golds.get(*row).map(|gold| &gold.answer);
            let line = json!({
                "cell": cell.name, "row": row, "gold": gold, "extractors": verdicts,
                "degenerate": item.degenerate,
            });
            let _ = writeln!(text, "{line}");
        }
    }
    text
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

/// Items on which the first two extractors disagree.
fn differing_items(graded: &Graded) -> String {
    let mut text = String::new();
    for (row, item) in &graded.items {
        let is_right = |at: usize| item.classes.get(at).map(|class| *class == Class::Correct);
        let (Some(first), Some(second)) = (is_right(0), is_right(1)) else { continue };
        if first != second {
            let words: Vec<String> = graded
                .extractors
                .iter()
                .zip(&item.classes)
                .zip(&item.answers)
                .map(|((name, class), answer)| {
                    format!("{name}: {} ({})", class.name(), answer.as_deref().unwrap_or("-"))
                })
                .collect();
            let _ = writeln!(text, "  row {row}: {}", words.join("; "));
        }
    }
    text
}
