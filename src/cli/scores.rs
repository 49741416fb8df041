//! How grades are printed.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table};

use crate::run::rescore::{Against, CellScores};
use crate::score::Accuracy;
use crate::score::grade::{Class, Graded};

/// Renders accuracies, agreement, flips and, if asked for, the items on which verdicts differ.
pub(crate) fn render(scores: &[CellScores], with_items: bool) -> String {
    let mut text = accuracies(scores);
    for cell in scores {
        let _ = writeln!(
            text,
            "\n{}\n  scored as the published TinyLlama table was (nothing equals nothing): {} of {} \"correct\", {} of them by absence on both sides; {} golds could be read",
            cell.name,
            cell.as_published.correct,
            cell.as_published.n,
            cell.as_published.correct_by_absence,
            cell.as_published.golds_parsed,
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
        if let Some(against) = &cell.against_first {
            text.push_str(&beside_first(against));
        }
        if with_items {
            text.push_str(&differing_items(&cell.graded));
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

fn beside_first(against: &Against) -> String {
    let mut text = String::new();
    for pair in &against.pairs {
        let _ = writeln!(
            text,
            "  against {} by {}: {} gained, {} lost of {} items; exact McNemar p = {:.3}",
            against.first,
            pair.extractor,
            pair.gained.len(),
            pair.lost.len(),
            pair.n,
            pair.p_value
        );
    }
    let fidelity = &against.fidelity;
    let _ = writeln!(
        text,
        "  texts equal to the last character: {} of {}",
        fidelity.identical, fidelity.n
    );
    if !fidelity.first_divergence.is_empty() {
        let _ =
            writeln!(text, "  first divergence by word: {}", histogram(&fidelity.first_divergence));
    }
    text
}

/// Words at which texts part, in bins of five.
fn histogram(words: &[u32]) -> String {
    let mut bins: std::collections::BTreeMap<u32, u32> = std::collections::BTreeMap::new();
    for word in words {
        *bins.entry(word / 5 * 5).or_default() += 1;
    }
    let bins: Vec<String> =
        bins.iter().map(|(from, n)| format!("{from} to {}: {n}", from + 4)).collect();
    bins.join(", ")
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
