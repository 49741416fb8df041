//! The answer in one line: which cell wins on what, and whether that is outside the noise.

use crate::metrics::compare::compare;
use crate::metrics::summary::{CellSummary, Summary, Validity};
use crate::score::Accuracy;
use crate::stats::verdict::{EQUIVALENCE_MARGIN, Verdict};

/// Returns the one-line answer of a run; `None` when no cell was measured.
pub fn headline(summary: &Summary) -> Option<String> {
    let valid: Vec<&CellSummary> = summary
        .cells
        .iter()
        .filter(|cell| cell.verdict == Validity::Valid && throughput(cell).is_some())
        .collect();
    let fastest = best(&valid, throughput)?;
    let rate = throughput(fastest)?;
    if valid.len() == 1 {
        let what = format!("{} makes {} output tokens per second", fastest.name, digits(rate));
        return Some(match fastest.accuracy.first().and_then(share) {
            Some(share) => format!("{what} and answers {share} correctly."),
            None => format!("{what}."),
        });
    }
    let others: Vec<&CellSummary> =
        valid.iter().copied().filter(|cell| cell.id != fastest.id).collect();
    let second = best(&others, throughput)?;
    let speed = format!(
        "{} is the fastest: {} output tokens per second, {:.2} × {} ({})",
        fastest.name,
        digits(rate),
        rate / throughput(second)?,
        second.name,
        noise(second, fastest)
    );
    Some(match accuracy_sentence(&valid) {
        Some(accuracy) => format!("{speed}. {accuracy}"),
        None => format!("{speed}."),
    })
}

fn throughput(cell: &CellSummary) -> Option<f64> {
    cell.figures.get("output_throughput")?.value
}

fn best<'a>(
    cells: &[&'a CellSummary],
    of: impl Fn(&CellSummary) -> Option<f64>,
) -> Option<&'a CellSummary> {
    let found = cells.iter().filter_map(|&cell| Some((cell, of(cell)?)));
    found.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(cell, _)| cell)
}

fn noise(second: &CellSummary, first: &CellSummary) -> &'static str {
    let comparison = compare(second, first, None, EQUIVALENCE_MARGIN);
    let row = comparison.rows.iter().find(|row| row.tag == "output_throughput");
    match row.map(|row| (row.verdict, row.interval)) {
        Some((Verdict::Better, _)) => "outside the noise",
        Some((Verdict::Equivalent, _)) => "equivalent within 2 %",
        Some((_, Some(_))) => "within the noise",
        _ => "too few trials to tell from noise",
    }
}

fn accuracy_sentence(cells: &[&CellSummary]) -> Option<String> {
    let headline = |cell: &CellSummary| cell.accuracy.first().and_then(|found| found.share);
    let most = best(cells, headline)?;
    let least = best(cells, |cell| headline(cell).map(|share| -share))?;
    if most.id == least.id {
        return None;
    }
    let (high, low) = (most.accuracy.first()?, least.accuracy.first()?);
    let apart = high.interval?.0 > low.interval?.1;
    Some(if apart {
        format!(
            "{} answers most correctly: {}, against {} of {}, outside both intervals.",
            most.name,
            share(high)?,
            share(low)?,
            least.name
        )
    } else {
        format!(
            "Accuracies of {} to {} do not differ beyond their intervals.",
            share(low)?,
            share(high)?
        )
    })
}

fn share(accuracy: &Accuracy) -> Option<String> {
    Some(format!("{:.1} %", accuracy.share? * 100.0))
}

/// Prints a rate with three figures or all digits before the point.
fn digits(rate: f64) -> String {
    match rate {
        rate if rate < 10.0 => format!("{rate:.2}"),
        rate if rate < 100.0 => format!("{rate:.1}"),
        rate => format!("{rate:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::fixture::{measured_cell, with_accuracy, with_figure};

    fn told(cells: Vec<CellSummary>) -> String {
        headline(&Summary { cells, ..Summary::default() }).unwrap()
    }

    fn cell(name: &str, rate: f64, half_width: Option<f64>, n_correct: u64) -> CellSummary {
        let interval = half_width.map(|half| (rate - half, rate + half));
        let cell = with_figure(measured_cell(name, "fp16"), "output_throughput", rate, interval);
        with_accuracy(cell, n_correct, 100)
    }

    #[test]
    fn the_winner_is_told_with_its_margin() {
        insta::assert_snapshot!(
            told(vec![cell("fp32", 100.0, Some(1.0), 70), cell("fp16", 150.0, Some(1.0), 71)]),
            @"fp16 is the fastest: 150 output tokens per second, 1.50 × fp32 (outside the noise). Accuracies of 70.0 % to 71.0 % do not differ beyond their intervals."
        );
        insta::assert_snapshot!(
            told(vec![cell("fp32", 100.0, None, 90), cell("int4", 101.0, None, 20)]),
            @"int4 is the fastest: 101 output tokens per second, 1.01 × fp32 (too few trials to tell from noise). fp32 answers most correctly: 90.0 %, against 20.0 % of int4, outside both intervals."
        );
        insta::assert_snapshot!(
            told(vec![cell("tiny", 99.5, None, 70)]),
            @"tiny makes 99.5 output tokens per second and answers 70.0 % correctly."
        );
    }

    #[test]
    fn a_cell_that_is_not_valid_wins_nothing() {
        let mut invalid = cell("a", 900.0, None, 70);
        invalid.verdict = Validity::Invalid(vec!["client".to_owned()]);
        assert!(told(vec![invalid.clone(), cell("b", 10.0, None, 70)]).starts_with("b makes"));
        assert_eq!(headline(&Summary { cells: vec![invalid], ..Summary::default() }), None);
    }
}
