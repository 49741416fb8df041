//! Answers beside those of reference cells: what flipped, and where texts part.

use crate::metrics::reference_cell::ReferenceComparison;
use crate::metrics::summary::{CellSummary, Summary};
use crate::report::number::{counted, percent, rounded};
use crate::report::untrusted::line;
use crate::report::view::details::per_cell;
use crate::report::view::table::{Column, Table, TableCell};
use crate::score::fidelity::Fidelity;
use crate::score::pair::PairedAccuracy;

/// Sentences that the headline gives to references; the table has all.
pub(crate) const SENTENCES_MAX: usize = 3;

/// Builds the table of answers beside their references: one row per cell and reference.
pub(crate) fn references(summary: &Summary) -> Table {
    let columns = vec![
        Column::words("cell", 0),
        Column::words("beside", 0),
        Column::numbers("items", "", 2),
        Column::numbers("accuracy", "points", 1),
        Column::numbers("gained", "", 1),
        Column::numbers("lost", "", 1),
        Column::numbers("McNemar p", "", 1),
        Column::numbers("equal texts", "", 2),
        Column::numbers("agreement", "%", 4),
        Column::numbers("parts at word", "median", 3),
        Column::numbers("log probability", "mean difference", 5),
        Column::words("first divergence by word", 6),
    ];
    let row = |cell: &CellSummary, beside: &ReferenceComparison| {
        let mut row = vec![
            TableCell::text(line(&cell.name)),
            TableCell::text(line(&beside.reference)),
            TableCell::text(n_items(beside).to_string()),
        ];
        row.extend(flips(beside.accuracy.first()));
        row.extend(texts(beside.fidelity.as_ref()));
        row
    };
    per_cell(summary, columns, |cell| cell.beside.iter().map(|beside| row(cell, beside)).collect())
        .without_empty_columns()
}

/// Says of the first references what the table says, in a sentence each.
pub(crate) fn sentences(summary: &Summary) -> Vec<String> {
    // Of sampled answers that nothing grades there is nothing to say.
    let all = || {
        let all =
            summary.cells.iter().flat_map(|cell| cell.beside.iter().map(move |at| (cell, at)));
        all.filter(|(_, beside)| n_items(beside) > 0)
    };
    let mut sentences: Vec<String> = all()
        .take(SENTENCES_MAX)
        .map(|(cell, beside)| {
            let mut parts = Vec::new();
            if let Some(pair) = beside.accuracy.first() {
                parts.push(format!(
                    "{} gained and {} lost of {} items (exact McNemar p = {})",
                    pair.gained.len(),
                    pair.lost.len(),
                    pair.n,
                    p_value(pair.p_value)
                ));
            }
            if let Some(fidelity) = beside.fidelity.as_ref().filter(|fidelity| fidelity.n > 0) {
                let parts_at = fidelity.median_divergence().map_or_else(String::new, |word| {
                    format!(", the others part at word {word} (median)")
                });
                parts.push(format!(
                    "{} of {} texts equal{parts_at}",
                    fidelity.identical, fidelity.n
                ));
            }
            let (cell, reference) = (line(&cell.name), line(&beside.reference));
            format!("Answers of {cell} beside {reference}: {}.", parts.join("; "))
        })
        .collect();
    let n_more = all().count().saturating_sub(SENTENCES_MAX);
    if n_more > 0 {
        let pairs = counted(n_more as u64, "more pair");
        sentences.push(format!("Answers of {pairs} of cells: see the table."));
    }
    sentences
}

fn n_items(beside: &ReferenceComparison) -> u64 {
    let compared = beside.fidelity.as_ref().map_or(0, |fidelity| fidelity.n);
    beside.accuracy.first().map_or(compared, |pair| pair.n)
}

fn flips(pair: Option<&PairedAccuracy>) -> Vec<TableCell> {
    let Some(pair) = pair else { return vec![TableCell::default(); 4] };
    let points = |share: f64| format!("{:+.1}", share * 100.0);
    let spread = pair.interval.map(|(low, high)| format!("[{}, {}]", points(low), points(high)));
    vec![
        TableCell {
            text: pair.difference.map_or_else(|| "no data".to_owned(), points).into(),
            spread: spread.unwrap_or_default().into(),
            note: format!("by {}; adjusted Wald for paired data, 95 %", line(&pair.extractor))
                .into(),
            ..TableCell::default()
        },
        TableCell::text(pair.gained.len().to_string()),
        TableCell::text(pair.lost.len().to_string()),
        TableCell::text(p_value(pair.p_value)),
    ]
}

fn texts(fidelity: Option<&Fidelity>) -> Vec<TableCell> {
    let Some(fidelity) = fidelity else { return vec![TableCell::default(); 5] };
    let or_empty = |text: Option<String>| TableCell::text(text.unwrap_or_default());
    let logprobs = fidelity.logprob_difference_mean.map(|mean| TableCell {
        text: rounded(mean).into(),
        note: format!(
            "{} tokens of equal answers; at most {}",
            fidelity.n_logprobs,
            rounded(fidelity.logprob_difference_max.unwrap_or_default())
        )
        .into(),
        ..TableCell::default()
    });
    vec![
        TableCell::text(format!("{} of {}", fidelity.identical, fidelity.n)),
        or_empty(fidelity.agreement_mean.map(|share| percent(share).replace(" %", ""))),
        or_empty(fidelity.median_divergence().map(|word| word.to_string())),
        logprobs.unwrap_or_default(),
        TableCell::text(histogram(fidelity)),
    ]
}

/// Writes the histogram in a line; bins without an answer are left out.
fn histogram(fidelity: &Fidelity) -> String {
    let bins = fidelity.histogram();
    let bins = bins.iter().filter(|(_, n)| *n > 0);
    bins.map(|(bin, n)| format!("{bin}: {n}")).collect::<Vec<_>>().join(", ")
}

/// Prints a p-value to three digits after the point.
fn p_value(p: f64) -> String {
    if p < 0.0005 { "< 0.001".to_owned() } else { format!("{p:.3}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample_run;

    #[test]
    fn a_cell_beside_its_reference_is_a_row_and_a_sentence() {
        let table = references(&sample_run::summary());
        let lines: Vec<String> = table
            .rows
            .iter()
            .map(|row| row.iter().map(TableCell::line).collect::<Vec<_>>().join(" | "))
            .collect();
        insta::assert_snapshot!(
            lines.join("\n"),
            @"tiny-fp16 | tiny-fp32 | 397 | +0.5 [-1.0, +2.0] | 5 | 3 | 0.727 | 391 of 397 | 99.1 | 22 | 0.000830 | 0 to 4: 1, 15 to 19: 2, 20 to 24: 1, 40 and later: 2, equal to the end: 391"
        );
        insta::assert_snapshot!(
            sentences(&sample_run::summary()).join("\n"),
            @"Answers of tiny-fp16 beside tiny-fp32: 5 gained and 3 lost of 397 items (exact McNemar p = 0.727); 391 of 397 texts equal, the others part at word 22 (median)."
        );
    }

    #[test]
    fn of_answers_that_were_sampled_and_not_graded_nothing_is_said() {
        let mut summary = sample_run::summary();
        for beside in summary.cells.iter_mut().flat_map(|cell| &mut cell.beside) {
            (beside.accuracy, beside.fidelity) = (Vec::new(), None);
        }
        assert_eq!(sentences(&summary), [""; 0]);
    }

    #[test]
    fn a_small_p_value_is_not_printed_as_nothing() {
        assert_eq!([0.04, 0.000_4, 1.0].map(p_value), ["0.040", "< 0.001", "1.000"]);
    }
}
