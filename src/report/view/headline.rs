//! The answer in a sentence: which cell leads on what, and whether the margin is outside the noise.

use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::{
    CellSummary, Figure, NumberState, PointSummary, SearchSummary, Summary,
};
use crate::plan::Plan;
use crate::plan::search::{Reason, SearchOver};
use crate::report::number::{self, Printed, counted, rounded, times};
use crate::report::untrusted;
use crate::report::view::caveats::Marks;
use crate::report::view::table::TableCell;
use crate::report::view::{instrument, results};

/// Says one sentence per question that the measured cells can answer.
///
/// A cell takes part only when it may be used, and no number that is INVALID; a doubt about one of the two numbers is
/// pointed at.
/// The margin is called outside the noise when both readings have intervals and these do not
/// overlap: a cautious rule, as intervals of 95 % may overlap slightly for a real difference.
pub fn headline(summary: &Summary, plan: &Plan, marks: &Marks) -> Vec<String> {
    if plan.report == results::CALIBRATE {
        // Loads are no rivals: what counts is what bench adds under each.
        return instrument::found(&summary.cells).into_iter().collect();
    }
    let questions = [
        ("Output throughput", Quantity::figure(MetricId::OutputThroughput)),
        ("Time to first token (p50)", Quantity::percentile(MetricId::Ttft, 50.0)),
        ("Load time", Quantity::figure(MetricId::LoadTime)),
        ("Accuracy", Quantity::figure(MetricId::Accuracy)),
    ];
    let mut sentences: Vec<String> = summary.searches.iter().map(searched).collect();
    if sentences.is_empty() {
        for phase in phases(summary) {
            let cells: Vec<&CellSummary> =
                summary.cells.iter().filter(|cell| cell.phase.as_deref() == phase).collect();
            let within = phase.map_or_else(String::new, |phase| format!(" in phase `{phase}`"));
            let answers = questions
                .iter()
                .filter_map(|(name, of)| sentence(&cells, marks, &format!("{name}{within}"), of));
            sentences.extend(answers);
        }
    }
    if sentences.is_empty() {
        sentences.push(nothing_to_compare(summary));
    }
    sentences
}

/// Returns the phases that rows are of, in their order: those of one cell are no rivals.
fn phases(summary: &Summary) -> Vec<Option<&str>> {
    let mut phases = Vec::new();
    for cell in &summary.cells {
        if !phases.contains(&cell.phase.as_deref()) {
            phases.push(cell.phase.as_deref());
        }
    }
    phases
}

/// Says what a search found. Cells of a search differ in load alone: none of them leads.
fn searched(search: &SearchSummary) -> String {
    let keys: Vec<String> =
        search.keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let what = untrusted::line(&keys.join(","));
    let unit = search.over.unit();
    let goal = format!("{} % of requests good", rounded(search.goodput * 100.0));
    let n = counted(search.points.len() as u64, "load");
    let at = |point: &PointSummary| {
        let load = match search.over {
            SearchOver::Concurrency => point.load.to_string(),
            SearchOver::Rate => rounded(point.load),
        };
        match point.good {
            Some(good) => format!("{load} {unit} ({} %)", rounded(good)),
            None => format!("{load} {unit} (failed)"),
        }
    };
    let missed = search.missed.as_ref();
    let missed = missed.map_or_else(String::new, |missed| format!(", missed at {}", at(missed)));
    match (&search.best, search.reason) {
        (_, None) => format!("{what}: the search for {goal} did not come to its end."),
        (None, Some(_)) => format!("{what}: no load had {goal}{missed}."),
        (Some(best), Some(reason)) => {
            let why = match reason {
                Reason::Ceiling => ": the highest load that was allowed",
                Reason::PointsUsedUp => ": the search had no points left",
                Reason::Found | Reason::Floor => "",
            };
            format!("{what}: {goal} up to {}{missed}; {n} tried{why}.", at(best))
        }
    }
}

fn sentence(
    cells: &[&CellSummary],
    marks: &Marks,
    name: &str,
    quantity: &Quantity,
) -> Option<String> {
    let mut ranked: Vec<(&CellSummary, Figure, f64)> = cells
        .iter()
        .copied()
        .filter(|cell| cell.validity.status.is_usable())
        .filter_map(|cell| {
            let reading = quantity.read(cell)?;
            if reading.state == Some(NumberState::Invalid) {
                return None;
            }
            let value = reading.value.filter(|value| value.is_finite())?;
            Some((cell, reading, value))
        })
        .collect();
    if quantity.larger_is_better()? {
        ranked.sort_by(|a, b| b.2.total_cmp(&a.2));
    } else {
        ranked.sort_by(|a, b| a.2.total_cmp(&b.2));
    }
    let [(first, best, best_value), (second, next, next_value), ..] = ranked.as_slice() else {
        return None;
    };
    let margin = match overlap(best, next) {
        Some(true) => "the 95 % intervals overlap: within the noise",
        Some(false) => "the 95 % intervals do not overlap: outside the noise",
        None => "without an interval on both the margin is not decided",
    };
    let mut doubts = marks.of_metric(&first.caveats, quantity.id());
    doubts.extend(marks.of_metric(&second.caveats, quantity.id()));
    doubts.sort_unstable();
    doubts.dedup();
    let doubts = TableCell { marks: doubts, ..TableCell::default() }.marks_text();
    let mut doubts = if doubts.is_empty() { doubts } else { format!("; see caveat {doubts}") };
    for (cell, reading) in [(first, best), (second, next)] {
        if reading.state == Some(NumberState::Doubtful) {
            doubts.extend(["; that of ", &untrusted::line(&cell.name), " is doubtful"]);
        }
    }
    if with_unit(quantity, best) == with_unit(quantity, next) {
        let (first, second) = (untrusted::line(&first.name), untrusted::line(&second.name));
        return Some(format!(
            "{name}: {first} and {second} both have {}{doubts}.",
            with_unit(quantity, best)
        ));
    }
    Some(format!(
        "{name}: {} leads with {}, {} has {} ({}); {margin}{doubts}.",
        untrusted::line(&first.name),
        with_unit(quantity, best),
        untrusted::line(&second.name),
        with_unit(quantity, next),
        margin_words(quantity, *best_value, *next_value),
    ))
}

fn with_unit(quantity: &Quantity, reading: &Figure) -> String {
    let Printed { value, spread } = number::of_figure(quantity, reading);
    let unit = &reading.unit;
    match spread.chars().next() {
        None => format!("{value} {unit}"),
        Some('±') => format!("{value} {spread} {unit}"),
        Some(_) => format!("{value} {unit} {spread}"),
    }
}

fn margin_words(quantity: &Quantity, best: f64, next: f64) -> String {
    if quantity.id() == MetricId::Accuracy {
        return format!("{:.1} points", best - next);
    }
    times(if best >= next { best / next } else { next / best })
}

fn overlap(a: &Figure, b: &Figure) -> Option<bool> {
    let ((a_low, a_high), (b_low, b_high)) = (a.interval?, b.interval?);
    Some(a_low <= b_high && b_low <= a_high)
}

fn nothing_to_compare(summary: &Summary) -> String {
    let n_valid = summary.cells.iter().filter(|cell| cell.validity.status.is_usable()).count();
    match n_valid {
        0 => "No cell has a valid result.".to_owned(),
        1 => "One cell has a valid result: there is nothing to compare it with.".to_owned(),
        n if phases(summary).len() > 1 => {
            format!("{n} rows have valid results; phases are not compared with each other.")
        }
        n => {
            format!("{n} cells have valid results; none of the headline figures is in two of them.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample_run;

    #[test]
    fn a_search_says_where_the_limit_is() {
        let point = |load, good, met| PointSummary { load, good, met, doubtful: false };
        let search = SearchSummary {
            first: crate::ids::CellId("c0".to_owned()),
            keys: [("engine".to_owned(), "sim".to_owned())].into(),
            over: SearchOver::Concurrency,
            goodput: 0.95,
            best: Some(point(8.0, Some(100.0), true)),
            missed: Some(point(9.0, Some(61.25), false)),
            reason: Some(Reason::Found),
            next: None,
            points: vec![point(8.0, Some(100.0), true), point(9.0, Some(61.25), false)],
        };
        insta::assert_snapshot!(searched(&search), @"engine=sim: 95.0 % of requests good up to 8 streams (100.0 %), missed at 9 streams (61.2 %); 2 loads tried.");
        let failed = point(2.0, None, false);
        let rate = SearchSummary {
            over: SearchOver::Rate,
            best: None,
            missed: Some(failed.clone()),
            reason: Some(Reason::Floor),
            points: vec![failed],
            ..search.clone()
        };
        insta::assert_snapshot!(searched(&rate), @"engine=sim: no load had 95.0 % of requests good, missed at 2.00 req/s (failed).");
        insta::assert_snapshot!(searched(&SearchSummary { reason: None, ..search }), @"engine=sim: the search for 95.0 % of requests good did not come to its end.");
    }

    #[test]
    fn an_invalid_cell_never_leads_and_doubts_are_pointed_at() {
        let sentences = sample_run::view().headline;
        assert!(!sentences.iter().any(|sentence| sentence.contains("int8")), "{sentences:?}");
        assert!(sentences[1].ends_with("outside the noise; see caveat [2]."), "{}", sentences[1]);
    }

    #[test]
    fn one_valid_cell_has_nothing_to_lead_over() {
        let mut summary = sample_run::summary();
        summary.cells.truncate(5);
        let expected = "One cell has a valid result: there is nothing to compare it with.";
        assert_eq!(headline(&summary, &sample_run::plan(), &Marks::default()), [expected]);
    }

    #[test]
    fn phases_of_one_load_are_no_rivals() {
        let mut summary = sample_run::summary();
        for (place, cell) in summary.cells.iter_mut().enumerate() {
            cell.phase = Some(format!("phase {place}"));
        }
        let told = headline(&summary, &sample_run::plan(), &Marks::default());
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].ends_with("phases are not compared with each other."), "{told:?}");
        for cell in &mut summary.cells {
            cell.phase = Some("load".to_owned());
        }
        let told = headline(&summary, &sample_run::plan(), &Marks::default());
        assert!(told[0].starts_with("Output throughput in phase `load`: "), "{told:?}");
    }
}
