//! The faces of a decision: what is recommended, by what margin, and every cell that was weighed.

use crate::metrics::catalogue::MetricId;
use crate::metrics::decide::{CRITERIA, Decision, Weighed};
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::{CellSummary, Summary};
use crate::report::markdown::escape::escaped;
use crate::report::markdown::table;
use crate::report::number::{self, ABSENT, counted, rounded};
use crate::report::terminal::{Ink, Screen};
use crate::report::untrusted::line;
use crate::report::view::table::{Column, Table, TableCell, Tone};

/// Money and energy that are shown where any cell has them.
const SPENT: [MetricId; 6] = [
    MetricId::CostPer1mTokens,
    MetricId::CostPerGoodRequest,
    MetricId::CostPerCorrectAnswer,
    MetricId::EnergyPerToken,
    MetricId::EnergyPerGoodRequest,
    MetricId::EnergyPerCorrectAnswer,
];

/// Renders a decision as JSON.
pub(crate) fn json(decision: &Decision) -> String {
    let mut text = serde_json::to_string_pretty(decision).expect("a decision is plain data");
    text.push('\n');
    text
}

/// Renders a decision for a terminal of `width` columns; `None` for a pipe.
pub(crate) fn terminal(
    decision: &Decision,
    summary: &Summary,
    width: Option<u16>,
    colour: bool,
) -> String {
    let screen = Screen::new(width, colour);
    let mut out = String::new();
    screen.table(&mut out, &weighed(decision, summary));
    screen.prose(&mut out, "", RULES, Ink::Faint);
    out.push('\n');
    for (at, sentence) in sentences(decision).iter().enumerate() {
        screen.prose(&mut out, "", sentence, if at == 0 { Ink::Strong } else { Ink::Plain });
    }
    out
}

/// Renders a decision as Markdown.
pub(crate) fn markdown(decision: &Decision, summary: &Summary) -> String {
    let mut lines = vec!["### Decision".to_owned(), String::new()];
    lines.extend(sentences(decision).iter().map(|sentence| format!("{}  ", escaped(sentence))));
    lines.push(String::new());
    lines.extend(table::lines(&weighed(decision, summary)));
    lines.extend([String::new(), format!("<sub>{}</sub>", escaped(RULES))]);
    lines.join("\n") + "\n"
}

const RULES: &str = "Pareto front: no other cell is at least as good in output per GPU, TTFT and TPOT, and \
                     better in one beyond the intervals. Cells that are not on it are dim.";

/// Says what is recommended, and why not something else.
fn sentences(decision: &Decision) -> Vec<String> {
    let goal = decision.goal.label();
    let unit = decision.goal.id().unit();
    let told = |it: &Weighed| {
        let value = it.goal.map_or_else(|| ABSENT.to_owned(), rounded);
        format!("{} ({goal} {value} {unit})", it.cell)
    };
    let Some(best) = decision.best.map(|at| &decision.cells[at]) else {
        let n = counted(decision.cells.len() as u64, "cell");
        let mut said = vec![format!("Nothing is recommended: of {n} none meets what is required.")];
        if let Some(near) = decision.better_but.map(|at| &decision.cells[at]) {
            said.push(format!("The best of them is {}; {}.", told(near), near.against.join("; ")));
        }
        return said.iter().map(|it| line(it)).collect();
    };
    let mut said = vec![format!("Recommended: {}.", told(best))];
    match (decision.runner_up.map(|at| &decision.cells[at]), decision.margin) {
        (Some(other), Some(margin)) => {
            let noise = match margin.is_outside_noise() {
                Some(true) => "outside the noise",
                Some(false) => "within the noise: take either",
                None => "one trial, so nobody knows the noise",
            };
            let ends = margin.interval.map(|(low, high)| format!(" ({low:.2}–{high:.2})"));
            said.push(format!(
                "Runner-up: {}; the margin is {}{}, {noise}.",
                told(other),
                number::times(margin.ratio),
                ends.unwrap_or_default(),
            ));
        }
        _ => said.push("No other cell meets what is required.".to_owned()),
    }
    if let Some(better) = decision.better_but.map(|at| &decision.cells[at]) {
        let against = better.against.join("; ");
        said.push(format!("It would be {}, but {against}.", told(better)));
    }
    if !best.undecided.is_empty() {
        said.push(format!("Not decided of it: {}.", best.undecided.join(", ")));
    }
    if !decision.has_objectives {
        said.push("Without `[slo]` no latency is required of it.".to_owned());
    }
    if let Some(capacity) = decision.capacity {
        let price = capacity.price_per_hour.map(|price| format!(", {} an hour", rounded(price)));
        said.push(format!(
            "{} req/s take {} with {}{}.",
            rounded(capacity.rate_per_s),
            counted(capacity.n_engines, "engine"),
            counted(capacity.n_gpus, "GPU"),
            price.unwrap_or_default(),
        ));
    }
    said.iter().map(|it| line(it)).collect()
}

fn weighed(decision: &Decision, summary: &Summary) -> Table {
    let (criteria, spent) = (CRITERIA, SPENT.map(Quantity::figure));
    let share = Quantity::figure(MetricId::GoodputShare);
    let accuracy = Quantity::figure(MetricId::Accuracy);
    let quantities: Vec<&Quantity> =
        criteria.iter().chain([&share, &accuracy]).chain(&spent).collect();
    let mut columns = vec![Column::words("cell", 0), Column::words("", 0)];
    columns.extend(
        quantities
            .iter()
            .zip(1..)
            .map(|(quantity, rank)| Column::numbers(quantity.label(), quantity.id().unit(), rank)),
    );
    let row = |(at, it): (usize, &Weighed)| {
        let cell = summary.cells.iter().find(|cell| cell.name == it.cell);
        let tone = if it.dominated_by.is_some() { Tone::Faint } else { Tone::Plain };
        let mut row =
            vec![TableCell { tone, ..TableCell::text(line(&it.cell)) }, standing(decision, at, it)];
        row.extend(quantities.iter().map(|quantity| {
            let text = cell.map_or_else(String::new, |cell| shown(quantity, cell));
            TableCell { tone, ..TableCell::text(text) }
        }));
        row
    };
    let rows = decision.cells.iter().enumerate().map(row).collect();
    Table { columns, rows, left_out: String::new() }.without_empty_columns()
}

fn shown(quantity: &Quantity, cell: &CellSummary) -> String {
    quantity.believed(cell).map_or_else(String::new, |figure| {
        let number = number::of_figure(quantity, &figure);
        format!("{} {}", number.value, number.spread).trim_end().to_owned()
    })
}

/// Says in a word how a cell stands.
fn standing(decision: &Decision, at: usize, it: &Weighed) -> TableCell {
    let (text, tone) = if decision.best == Some(at) {
        ("recommended", Tone::Good)
    } else if !it.against.is_empty() {
        ("misses", Tone::Bad)
    } else if decision.runner_up == Some(at) {
        ("runner-up", Tone::Plain)
    } else if it.dominated_by.is_some() {
        ("dominated", Tone::Faint)
    } else {
        ("", Tone::Plain)
    };
    TableCell { tone, note: it.against.join("; "), ..TableCell::text(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::decide::decide;
    use crate::report::tests::sample_run;

    #[test]
    fn a_decision_says_what_and_by_how_much_and_what_would_change_it() {
        let (plan, summary) = (sample_run::plan(), sample_run::summary());
        let decision = decide(&plan, &summary, Some(100.0));
        insta::assert_snapshot!(terminal(&decision, &summary, Some(100), false));
        insta::assert_snapshot!(markdown(&decision, &summary));
    }
}
