//! Which cell is to be taken, and why: the answer in a sentence, what would change it, every cell.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::metrics::catalogue::MetricId;
use crate::metrics::compare::Scale;
use crate::metrics::decide::{CRITERIA, Decision, Margin, Weighed, decide};
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::{CellStatus, CellSummary, Summary};
use crate::plan::Plan;
use crate::report::cell_name::CellNames;
use crate::report::compare::change_of;
use crate::report::number::{self, ABSENT, counted, rounded};
use crate::report::untrusted::line;
use crate::report::view::results;
use crate::report::view::table::{Column, Table, TableCell, Tone};
use crate::stats::verdict::Verdict::{self, Better, Equivalent};

/// Money and energy that are shown where any cell has them.
const SPENT: [MetricId; 6] = [
    MetricId::CostPer1mTokens,
    MetricId::CostPerGoodRequest,
    MetricId::CostPerCorrectAnswer,
    MetricId::EnergyPerToken,
    MetricId::EnergyPerGoodRequest,
    MetricId::EnergyPerCorrectAnswer,
];

/// Cells that a report's table has; `bench decide` shows all.
const CELLS_MAX: usize = 40;

/// What a report says of the decision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct DecisionView {
    /// The recommended cell, the runner-up, the margin and whether it is noise, in a sentence.
    pub answer: String,
    /// The same at length, with what would change it.
    pub sentences: Vec<String>,
    /// The cells on the Pareto front and those that are told of.
    pub table: Table,
    /// What the front is.
    pub rules: String,
}

/// Whether a report decides: where the scenario says by objectives, gates or a price what is
/// wanted.
fn is_asked(plan: &Plan, summary: &Summary) -> bool {
    let asks = plan.gpu_hour_price.is_some()
        || plan.gate.as_ref().is_some_and(|gate| !gate.must.is_empty())
        || plan.cells.iter().any(|cell| cell.slo.is_some());
    asks && plan.report != results::CALIBRATE && summary.searches.is_empty()
}

/// Returns the decisions of a report that is asked for them: those in which there is a choice.
pub(in crate::report) fn choices(plan: &Plan, summary: &Summary) -> Vec<Decision> {
    let decisions = if is_asked(plan, summary) { decide(plan, summary, None) } else { Vec::new() };
    decisions.into_iter().filter(|decision| decision.cells.len() > 1).collect()
}

/// Decides for a report, where it is asked for that and there is a choice.
pub(super) fn of_report(plan: &Plan, summary: &Summary) -> Option<DecisionView> {
    let choices = choices(plan, summary);
    let told: Vec<Told> = choices.iter().map(|decision| Told::of(decision, summary)).collect();
    let mut rows: Vec<Vec<TableCell>> = told.iter().flat_map(Told::told_rows).collect();
    rows.truncate(CELLS_MAX);
    let (n_all, n_shown) = (choices.iter().map(|it| it.cells.len()).sum::<usize>(), rows.len());
    let mut table = table(rows);
    if n_shown < n_all {
        let left = counted((n_all - n_shown) as u64, "cell");
        table.left_out = format!("{left} left out; `bench decide DIR` shows all.");
    }
    (!told.is_empty()).then(|| DecisionView {
        answer: told.iter().map(Told::answer).collect::<Vec<_>>().join(" "),
        sentences: told.iter().flat_map(Told::sentences).collect(),
        table,
        rules: RULES.to_owned(),
    })
}

/// What a Pareto front is here.
pub(in crate::report) const RULES: &str = "Pareto front: no other cell is at least as good in output per GPU, TTFT and TPOT, and \
                     better in one beyond the intervals. Cells that are not on it are dim.";

/// A decision and how its cells are called.
pub(in crate::report) struct Told<'a> {
    decision: &'a Decision,
    cells: BTreeMap<&'a str, &'a CellSummary>,
    names: CellNames,
}

impl<'a> Told<'a> {
    pub(in crate::report) fn of(decision: &'a Decision, summary: &'a Summary) -> Self {
        let cells: BTreeMap<&str, &CellSummary> =
            summary.cells.iter().map(|cell| (cell.name.as_str(), cell)).collect();
        // As the main table tells them apart: which engine it is matters most where others failed.
        let shown = summary.cells.iter().filter(|cell| !results::is_skipped(cell));
        let names = CellNames::of(&shown.collect::<Vec<_>>());
        Self { decision, cells, names }
    }

    /// Says of which cells the decision is, where there are several.
    fn asked(&self) -> String {
        let keys: Vec<String> =
            self.decision.asked.iter().map(|(key, value)| format!("{key}={value}")).collect();
        if keys.is_empty() { String::new() } else { format!("{}: ", keys.join(", ")) }
    }

    fn name(&self, it: &Weighed) -> String {
        let cell = self.cells.get(it.cell.as_str());
        cell.map_or_else(|| line(&it.cell), |cell| self.names.name(cell))
    }

    /// Says in one sentence what is recommended.
    pub(in crate::report) fn answer(&self) -> String {
        let decision = self.decision;
        let named = |at: usize| self.told(&decision.cells[at]);
        let said = match (decision.best, decision.runner_up, decision.margin) {
            (None, ..) => {
                let near = decision.better_but.map(|at| {
                    format!(
                        "; the best of them is {}, but {}",
                        named(at),
                        decision.cells[at].against.join("; ")
                    )
                });
                format!(
                    "No cell is recommended: none meets what is required{}.",
                    near.unwrap_or_default()
                )
            }
            (Some(best), Some(other), Some(margin)) => {
                format!(
                    "Recommended: {}; runner-up {}, by {}, {}.",
                    named(best),
                    named(other),
                    by(&margin),
                    noise(&margin),
                )
            }
            (Some(best), ..) => {
                format!("Recommended: {}; {}.", named(best), self.no_rival())
            }
        };
        line(&(self.asked() + &said))
    }

    /// Says what is recommended, and why not something else.
    pub(in crate::report) fn sentences(&self) -> Vec<String> {
        let decision = self.decision;
        let told = |it: &Weighed| self.told(it);
        let Some(best) = decision.best.map(|at| &decision.cells[at]) else {
            let n = counted(decision.cells.len() as u64, "cell");
            let asked = self.asked();
            let mut said =
                vec![format!("{asked}Nothing is recommended: of {n} none meets what is required.")];
            if let Some(near) = decision.better_but.map(|at| &decision.cells[at]) {
                said.push(format!(
                    "The best of them is {}; {}.",
                    told(near),
                    near.against.join("; ")
                ));
            }
            return said.iter().map(|it| line(it)).collect();
        };
        let mut said = vec![format!("{}Recommended: {}.", self.asked(), told(best))];
        match (decision.runner_up.map(|at| &decision.cells[at]), decision.margin) {
            (Some(other), Some(margin)) => {
                let noise = noise(&margin);
                said.push(format!(
                    "Runner-up: {}; the margin is {}, {noise}.",
                    told(other),
                    by(&margin),
                ));
            }
            _ => said.push(format!("There is no runner-up: {}.", self.no_rival())),
        }
        if let Some(better) = decision.better_but.map(|at| &decision.cells[at]) {
            let against = better.against.join("; ");
            said.push(format!("It would be {}, but {against}.", told(better)));
        }
        said.extend(self.changes());
        if !best.undecided.is_empty() {
            said.push(format!("Not decided of it: {}.", best.undecided.join(", ")));
        }
        if !decision.has_objectives {
            said.push("Without `[slo]` no latency is required of it.".to_owned());
        }
        if let Some(capacity) = decision.capacity {
            let price =
                capacity.price_per_hour.map(|price| format!(", {} an hour", rounded(price)));
            let (most, why) = if capacity.is_at_most {
                ("at most ", ": one kept up with all that was offered to it")
            } else {
                ("", "")
            };
            said.push(format!(
                "{} req/s take {most}{} with {}{}{why}.",
                rounded(capacity.rate_per_s),
                counted(capacity.n_engines, "engine"),
                counted(capacity.n_gpus, "GPU"),
                price.unwrap_or_default(),
            ));
        }
        said.iter().map(|it| line(it)).collect()
    }

    /// Says why there is no runner-up.
    fn no_rival(&self) -> &'static str {
        let may =
            self.decision.cells.iter().filter(|it| it.against.is_empty() && it.goal.is_some());
        if may.count() > 1 {
            "its other loads that meet what is required were offered less"
        } else {
            "no other cell meets what is required"
        }
    }

    /// Says what would have to be otherwise for another cell to be recommended.
    fn changes(&self) -> Vec<String> {
        let decision = self.decision;
        let mut said = Vec::new();
        if let (Some(other), Some(margin)) = (decision.runner_up, decision.margin)
            && margin.ratio > 1.0
            && !margin.is_offered
        {
            // A price must fall by another share than an output must rise.
            let (verb, share) = match decision.goal.larger_is_better() {
                Some(true) => ("rose", margin.ratio - 1.0),
                _ => ("fell", 1.0 - 1.0 / margin.ratio),
            };
            let share = rounded(share * 100.0);
            let (other, goal) = (self.name(&decision.cells[other]), decision.goal.label());
            said.push(format!("{other} would take its place if its {goal} {verb} by {share} %."));
        }
        let below = decision.slack.iter().filter(|it| it.found_ms <= it.allowed_ms).map(|it| {
            let (found, allowed) = (rounded(it.found_ms), rounded(it.allowed_ms));
            format!("{} below {found} ms ({allowed} are allowed)", it.quantity.label())
        });
        let below: Vec<String> = below.collect();
        if !below.is_empty() {
            said.push(format!(
                "It would miss the objectives if they asked for {}.",
                below.join(" or ")
            ));
        }
        let is_open = |margin: Margin| {
            !margin.is_offered && !matches!(margin.verdict, Some(Better | Equivalent))
        };
        if decision.margin.is_some_and(is_open) {
            said.push("More trials would tell whether the margin is real.".to_owned());
        }
        said
    }

    /// Returns a row for every cell that was weighed.
    pub(in crate::report) fn all_rows(&self) -> Vec<Vec<TableCell>> {
        (0..self.decision.cells.len()).map(|at| self.row(at)).collect()
    }

    /// Returns a row for each cell that is told of, or on the Pareto front.
    fn told_rows(&self) -> Vec<Vec<TableCell>> {
        let decision = self.decision;
        let told = [decision.best, decision.runner_up, decision.better_but];
        let is_told =
            |at: &usize| told.contains(&Some(*at)) || decision.cells[*at].dominated_by.is_none();
        (0..decision.cells.len()).filter(is_told).map(|at| self.row(at)).collect()
    }

    fn row(&self, at: usize) -> Vec<TableCell> {
        let it = &self.decision.cells[at];
        let cell = self.cells.get(it.cell.as_str()).copied();
        let tone = if it.dominated_by.is_some() { Tone::Faint } else { Tone::Plain };
        let mut row = vec![
            TableCell { tone, ..TableCell::text(self.name(it)) },
            standing(self.decision, at, cell),
        ];
        row.extend(shown_quantities().map(|quantity| {
            let text = cell.map_or_else(String::new, |cell| shown(&quantity, cell));
            TableCell { tone, ..TableCell::text(text) }
        }));
        row
    }

    /// Names a cell with its value of the goal.
    fn told(&self, it: &Weighed) -> String {
        let decision = self.decision;
        let value = it.goal.map_or_else(|| ABSENT.to_owned(), rounded);
        // A price is in the currency of the scenario.
        let unit = decision.goal.id().unit().replace("price", "");
        let goal = decision.goal.label();
        format!("{} ({})", self.name(it), format!("{goal} {value} {unit}").trim_end())
    }
}

/// The numbers that a table of weighed cells has.
fn shown_quantities() -> impl Iterator<Item = Quantity> {
    let others = [MetricId::GoodputShare, MetricId::Accuracy].map(Quantity::figure);
    CRITERIA.into_iter().chain(others).chain(SPENT.map(Quantity::figure))
}

/// Makes a table of rows of cells that were weighed.
pub(in crate::report) fn table(rows: Vec<Vec<TableCell>>) -> Table {
    let mut columns = vec![Column::words("cell", 0), Column::words("standing", 0)];
    columns.extend(
        shown_quantities()
            .zip(1..)
            .map(|(quantity, rank)| Column::numbers(quantity.label(), quantity.id().unit(), rank)),
    );
    Table { columns, rows: rows.into(), left_out: String::new() }.without_empty_columns()
}

/// Prints a margin with its interval, where there is one.
fn by(margin: &Margin) -> String {
    change_of(Scale::Ratio, margin.ratio, margin.interval)
}

fn noise(margin: &Margin) -> &'static str {
    match margin.verdict {
        None if margin.is_offered => "which is what their schedules offered",
        Some(Better) => "outside the noise",
        Some(Equivalent) => "which is equivalent: take either",
        Some(Verdict::Worse | Verdict::Inconclusive) => "within the noise: take either",
        None => "one trial, so nobody knows the noise",
    }
}

fn shown(quantity: &Quantity, cell: &CellSummary) -> String {
    quantity.believed(cell).map_or_else(String::new, |figure| {
        let number = number::of_figure(quantity, &figure);
        format!("{} {}", number.value, number.spread).trim_end().to_owned()
    })
}

/// Says in a word how a cell stands.
fn standing(decision: &Decision, at: usize, cell: Option<&CellSummary>) -> TableCell {
    let it = &decision.cells[at];
    let (text, tone) = if decision.best == Some(at) {
        ("recommended", Tone::Good)
    } else if cell.is_some_and(|cell| cell.validity.status == CellStatus::Invalid) {
        ("INVALID", Tone::Bad)
    } else if !it.against.is_empty() {
        ("misses", Tone::Bad)
    } else if decision.runner_up == Some(at) {
        ("runner-up", Tone::Plain)
    } else if it.dominated_by.is_some() {
        ("dominated", Tone::Faint)
    } else {
        ("", Tone::Plain)
    };
    TableCell { tone, note: it.against.join("; ").into(), ..TableCell::text(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::decide::Slack;

    fn decision(margin: Margin) -> Decision {
        let cell = |name: &str, price, against: &[&str]| Weighed {
            cell: name.to_owned(),
            against: against.iter().map(|why| (*why).to_owned()).collect(),
            undecided: Vec::new(),
            goal: Some(price),
            dominated_by: None,
        };
        Decision {
            asked: indexmap::IndexMap::new(),
            goal: Quantity::figure(MetricId::CostPer1mTokens),
            has_objectives: true,
            cells: vec![
                cell("fast 8", 1.0, &[]),
                cell("slow 8", 1.25, &[]),
                cell("fast 32", 0.5, &["80.0 % of its requests met the objectives, 99 % must"]),
            ],
            best: Some(0),
            runner_up: Some(1),
            margin: Some(margin),
            better_but: Some(2),
            slack: vec![Slack {
                quantity: Quantity::percentile(MetricId::TtftScheduled, 99.0),
                allowed_ms: 500.0,
                found_ms: 123.0,
            }],
            capacity: None,
        }
    }

    #[test]
    fn the_answer_is_a_sentence_and_what_would_change_it_follows() {
        let clear = decision(Margin {
            ratio: 1.25,
            interval: Some((1.1, 1.4)),
            verdict: Some(Better),
            is_offered: false,
        });
        let summary = Summary::default();
        let of = Told::of(&clear, &summary);
        insta::assert_snapshot!(of.answer());
        insta::assert_snapshot!(of.sentences().join("\n"));
        let close = decision(Margin {
            ratio: 1.25,
            interval: Some((0.9, 1.7)),
            verdict: Some(Verdict::Inconclusive),
            is_offered: false,
        });
        let of = Told::of(&close, &summary);
        assert!(of.answer().ends_with("within the noise: take either."), "{}", of.answer());
        let told = of.sentences().join(" ");
        assert!(told.contains("More trials would tell"), "{told}");
        let offered = Margin { ratio: 4.0, interval: None, verdict: None, is_offered: true };
        let mut offered = decision(offered);
        let of = Told::of(&offered, &summary);
        let set = "which is what their schedules offered.";
        assert!(of.answer().ends_with(set), "{}", of.answer());
        let told = of.sentences().join(" ");
        assert!(!told.contains("More trials") && !told.contains("take its place"), "{told}");
        (offered.runner_up, offered.margin) = (None, None);
        let of = Told::of(&offered, &summary);
        let alone = "; its other loads that meet what is required were offered less.";
        assert!(of.answer().ends_with(alone), "{}", of.answer());
    }

    #[test]
    fn a_recommended_cell_is_named_by_its_engine_also_where_the_others_failed() {
        let mut choice =
            decision(Margin { ratio: 1.25, interval: None, verdict: None, is_offered: false });
        let cell = |name: &str, engine: &str, streams: &str| {
            let mut cell = crate::metrics::tests::fixture::measured_cell(name, "fp16");
            cell.keys.insert("engine".to_owned(), engine.to_owned());
            cell.keys.insert("concurrency".to_owned(), streams.to_owned());
            cell
        };
        let mut failed = cell("gone 8", "gone", "8");
        failed.validity.status = CellStatus::Failed;
        let cells = [
            cell("fast 8", "fast", "8"),
            cell("slow 8", "fast", "4"),
            cell("fast 32", "fast", "32"),
        ];
        let summary =
            Summary { cells: cells.into_iter().chain([failed]).collect(), ..Summary::default() };
        choice.cells.truncate(3);
        let told = crate::report::decision::terminal(&[choice], &summary, None, false);
        let line = told.lines().find(|line| line.starts_with("Recommended: ")).unwrap();
        assert!(line.contains("fast") && line.contains('8'), "{told}");
    }

    #[test]
    fn an_invalid_cell_misses_nothing_and_says_so() {
        let clear =
            decision(Margin { ratio: 1.25, interval: None, verdict: None, is_offered: false });
        let mut cell = crate::metrics::tests::fixture::measured_cell("fast 32", "fp16");
        assert_eq!(&*standing(&clear, 2, Some(&cell)).text, "misses");
        cell.validity.status = CellStatus::Invalid;
        assert_eq!(&*standing(&clear, 2, Some(&cell)).text, "INVALID");
    }
}
