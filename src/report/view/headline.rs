//! The answer: which alternative is better at equal load and by how much, and what load each bears.

use std::collections::HashMap;

use crate::metrics::bounds::{is_lower_bound, is_unlimited};
use crate::metrics::catalogue::MetricId;
use crate::metrics::compare::sides::usable_sides;
use crate::metrics::compare::{Comparison, Side};
use crate::metrics::quantity::Quantity;
use crate::metrics::required_share::required_pct;
use crate::metrics::saturation::{LoadCurve, Saturation, Share, load_curves};
use crate::metrics::summarise::OUTPUT_TOKENS_DIFFER;
use crate::metrics::summary::{
    CellSummary, Figure, NumberState, PointSummary, SearchSummary, Summary,
};
use crate::plan::Plan;
use crate::plan::search::{Reason, SearchOver};
use crate::report::compare::sentence::{self, load_words};
use crate::report::number::{self, Printed, counted, rounded};
use crate::report::untrusted;
use crate::report::view::{client_overhead, results};

/// Sentences that loads of one alternative, or rows that are no rivals, get at most.
const SENTENCES_MAX: usize = 4;

/// Says what was found: alternatives against each other at equal load, and how far the load of one
/// alternative can rise. Loads are never ranked. No number that is INVALID takes part.
pub(crate) fn headline(
    summary: &Summary,
    plan: &Plan,
    comparison: Option<&Comparison>,
) -> Vec<String> {
    if plan.report == results::CALIBRATE {
        // Loads are no rivals: what counts is what bench adds under each.
        return client_overhead::found(&summary.cells).into_iter().collect();
    }
    if !summary.searches.is_empty() {
        return summary.searches.iter().map(searched).collect();
    }
    let sides = usable_sides(plan, summary);
    match (comparison, sides.as_slice()) {
        (_, []) => vec!["No cell has numbers that may be used.".to_owned()],
        (Some(comparison), _) => compared(comparison, &sides, summary, required_pct(plan)),
        (None, sides) => alone(sides, required_pct(plan)),
    }
}

/// Says what the leader is to each of the others, whose answers are longer, and where both saturate
/// and no longer have `good_pct` of their requests meet the objectives.
fn compared(
    comparison: &Comparison,
    sides: &[Side<'_>],
    summary: &Summary,
    good_pct: f64,
) -> Vec<String> {
    let side_of = |name: &str| sides.iter().find(|side| side.name == name);
    let limits = |name: &str| side_of(name).map(load_curves).unwrap_or_default();
    let leader = limits(&comparison.sides[0]);
    let cells: HashMap<&str, &CellSummary> =
        summary.cells.iter().map(|cell| (cell.name.as_str(), cell)).collect();
    let sentence = |(told, side): (String, usize)| {
        let mut more = vec![lengths(comparison, side, &cells)];
        // With several curves of each, the table tells.
        if let ([one], [other]) = (&leader[..], &limits(&comparison.sides[side])[..])
            && one.key == other.key
        {
            more.extend([saturations(one, other), objectives(one, other, good_pct)]);
        }
        format!("{told}{}.", more.into_iter().flatten().collect::<String>())
    };
    let mut sentences: Vec<String> =
        sentence::of_leader(comparison).into_iter().zip(1..).map(sentence).collect();
    if comparison.n_judged == 0 && comparison.cells.iter().any(|cells| !cells.rows.is_empty()) {
        sentences.push(
            "One trial each decides nothing: the spread between trials does; set `trials` to 5."
                .to_owned(),
        );
    }
    let n_more = sides.len() - comparison.sides.len();
    if n_more > 0 {
        let more = counted(n_more as u64, "more alternative");
        sentences.push(format!("{more}: `bench compare DIR --by KEY` compares all."));
    }
    sentences
}

/// Says which side's answers are longer, where they are by so much that whole answers are other work.
fn lengths(
    comparison: &Comparison,
    side: usize,
    cells: &HashMap<&str, &CellSummary>,
) -> Option<String> {
    let mean = |name: &str| cells.get(name)?.distributions.get(&MetricId::OutputTokens)?.mean;
    let pairs = comparison.cells.iter().filter(|pair| pair.side == side);
    let pairs = pairs.filter_map(|pair| Some((mean(&pair.baseline)?, mean(&pair.candidate)?)));
    let pairs = pairs.filter(|(one, other)| one.min(*other) > 0.0);
    let apart = |(one, other): &(f64, f64)| one.max(*other) / one.min(*other);
    let (one, other) = pairs.max_by(|a, b| apart(a).total_cmp(&apart(b)))?;
    let longer = &comparison.sides[if one > other { 0 } else { side }];
    (apart(&(one, other)) > 1.0 + OUTPUT_TOKENS_DIFFER).then(|| {
        let longer = untrusted::line(longer);
        let (most, least) = (one.max(other), one.min(other));
        format!("; the answers of {longer} are longer: {most:.1} against {least:.1} tokens")
    })
}

fn saturations(one: &LoadCurve<'_>, other: &LoadCurve<'_>) -> Option<String> {
    Some(both_saturations(one.saturation()?, other.saturation()?, &one.key))
}

fn both_saturations(one: Saturation, other: Saturation, key: &str) -> String {
    let load = |it: Saturation| match it {
        Saturation::At(load) | Saturation::Above(load) | Saturation::Between(_, load) => load,
    };
    let (own, its) = (load(one), load_words(key, &[load(other)]));
    match (one, other) {
        (Saturation::At(_), Saturation::At(_)) if one == other => {
            format!("; both saturate at {its}")
        }
        (Saturation::At(_), Saturation::At(_)) => {
            format!("; saturates at {own} against at {its}")
        }
        (Saturation::Above(_), Saturation::Above(_)) if one == other => {
            format!("; neither saturates up to {its}")
        }
        (Saturation::Above(_), Saturation::Above(_)) => {
            format!("; not saturated up to {own}, the other not up to {its}")
        }
        (Saturation::Above(_), Saturation::At(_)) => {
            format!("; not saturated up to {own}, the other saturates at {its}")
        }
        (Saturation::At(_), Saturation::Above(_)) => {
            format!("; saturates at {own}, the other not up to {its}")
        }
        (one, other) if one == other => {
            format!("; both {}", saturates(key, one).replacen("saturates", "saturate", 1))
        }
        (one, other) => {
            format!("; {}, the other {}", saturates(key, one), saturates(key, other))
        }
    }
}

/// Says where an alternative saturates.
fn saturates(key: &str, saturation: Saturation) -> String {
    let at = |loads: &[f64]| load_words(key, loads);
    match saturation {
        Saturation::At(load) => format!("saturates at {}", at(&[load])),
        Saturation::Between(Some(low), high) => format!("saturates between {}", at(&[low, high])),
        Saturation::Between(None, high) => format!("saturates below {}", at(&[high])),
        Saturation::Above(load) => format!("not saturated up to {}", at(&[load])),
    }
}

fn objectives(one: &LoadCurve<'_>, other: &LoadCurve<'_>, good_pct: f64) -> Option<String> {
    let up_to = |curve: &LoadCurve<'_>| {
        let (met, _) = curve.objectives(good_pct)?;
        Some(met.map_or_else(
            || "at no load".to_owned(),
            |(load, _)| format!("up to {}", load_words(&curve.key, &[load])),
        ))
    };
    Some(format!("; meets the objectives {} against {}", up_to(one)?, up_to(other)?))
}

/// Says of alternatives that nothing compares, most often of one, what they did.
fn alone(sides: &[Side<'_>], good_pct: f64) -> Vec<String> {
    let mut sentences = Vec::new();
    for side in sides {
        let curves = load_curves(side);
        let rising = curves.iter().filter(|curve| curve.points.len() > 1);
        let told: Vec<String> = rising.filter_map(|curve| limits(side, curve, good_pct)).collect();
        if told.is_empty() {
            sentences.extend(side.cells.iter().map(|cell| row(cell.cell)));
        } else {
            sentences.extend(told);
        }
    }
    let n_more = sentences.len().saturating_sub(SENTENCES_MAX);
    sentences.truncate(SENTENCES_MAX);
    if n_more > 0 {
        sentences.push(format!("{} in the table.", counted(n_more as u64, "more row")));
    }
    sentences
}

/// Says where the output of one alternative has its peak, where it saturates, and up to which load
/// it meets the objectives.
fn limits(side: &Side<'_>, curve: &LoadCurve<'_>, good_pct: f64) -> Option<String> {
    let (load, peak) = curve.peak()?;
    let output = Quantity::figure(MetricId::OutputThroughput);
    let at = |load: f64| load_words(&curve.key, &[load]);
    let mut told = vec![format!("at most {} at {}", with_unit(&output, &peak), at(load))];
    told.extend(curve.saturation().map(|it| saturates(&curve.key, it)));
    let share = |(load, good): Share| format!("{} ({good:.1} %)", at(load));
    told.extend(curve.objectives(good_pct).and_then(|it| match it {
        (Some(met), None) => Some(format!("meets the objectives up to {}", share(met))),
        (Some(met), Some(missed)) => {
            Some(format!("meets the objectives up to {}, not at {}", share(met), share(missed)))
        }
        (None, Some(missed)) => Some(format!("misses the objectives from {} on", share(missed))),
        (None, None) => None,
    }));
    let keys: Vec<String> = curve.at.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let names = [vec![name(side)], keys].concat();
    let told = format!("{}: {}.", names.join(", "), told.join("; "));
    Some(untrusted::line(&told))
}

/// Names an alternative; one that stands alone by its engine.
fn name(side: &Side<'_>) -> String {
    let first = side.cells.first();
    let engine = || first.and_then(|cell| cell.cell.keys.get("engine")).cloned();
    let is_unnamed = side.name.is_empty();
    if is_unnamed { engine().unwrap_or_else(|| "the engine".to_owned()) } else { side.name.clone() }
}

/// Says the main numbers of a row that has nothing to be compared with.
fn row(cell: &CellSummary) -> String {
    let questions = [
        (Quantity::figure(MetricId::OutputThroughput), ""),
        (Quantity::percentile(MetricId::Ttft, 50.0), "TTFT p50 "),
        (Quantity::percentile(MetricId::Tpot, 50.0), "TPOT p50 "),
        (Quantity::figure(MetricId::Accuracy), "accuracy "),
    ];
    let known = questions.into_iter().filter_map(|(quantity, label)| {
        let reading = quantity.believed(cell)?;
        Some(format!("{label}{}", with_unit(&quantity, &reading)))
    });
    let known: Vec<String> = known.collect();
    let told = if known.is_empty() {
        let verb = if cell.counts.ok == 1 { "was" } else { "were" };
        format!("{} {verb} answered", counted(cell.counts.ok, "request"))
    } else {
        known.join(", ")
    };
    untrusted::line(&format!("{}: {told}.", cell.name))
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

fn with_unit(quantity: &Quantity, reading: &Figure) -> String {
    let Printed { value, spread } = number::of_figure(quantity, reading);
    let unit = reading.unit;
    let told = match spread.chars().next() {
        None => format!("{value} {unit}"),
        Some('±') => format!("{value} {spread} {unit}"),
        Some(_) => format!("{value} {unit} {spread}"),
    };
    let is_doubtful = reading.state == Some(NumberState::Doubtful);
    match reading.bound.filter(|_| is_doubtful && !is_lower_bound(quantity, reading)) {
        Some((low, high)) if is_unlimited(high) => {
            format!("{told}, and at least {} {unit}", rounded(low))
        }
        Some((low, high)) => {
            format!("{told}, for sure between {} and {} {unit}", rounded(low), rounded(high))
        }
        None => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::catalogue::MetricKey;
    use crate::metrics::compare::sides::within;
    use crate::metrics::summary::Distribution;
    use crate::metrics::tests::fixture::{measured_cell, plan, with_figure};
    use crate::plan::gate::GatePlan;
    use crate::report::tests::sample_run;

    #[test]
    fn where_two_saturate_is_a_sentence_whatever_is_known_of_them() {
        use Saturation::{Above, At};
        let told = |one, other| both_saturations(one, other, "concurrency");
        assert_eq!(told(At(4.0), At(4.0)), "; both saturate at 4 streams");
        assert_eq!(told(At(4.0), At(8.0)), "; saturates at 4 against at 8 streams");
        assert_eq!(told(Above(16.0), Above(16.0)), "; neither saturates up to 16 streams");
        let open = "; not saturated up to 16, the other saturates at 8 streams";
        assert_eq!(told(Above(16.0), At(8.0)), open);
        let other_open = "; saturates at 8, the other not up to 16 streams";
        assert_eq!(told(At(8.0), Above(16.0)), other_open);
    }

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

    fn of(summary: &Summary) -> Vec<String> {
        let plan = sample_run::plan();
        let comparison = within(&plan, summary, &|_, _| None);
        headline(summary, &plan, comparison.as_ref())
    }

    #[test]
    fn an_invalid_number_takes_no_part_and_the_others_of_its_cell_do() {
        let mut summary = sample_run::summary();
        let cell = summary.cells.iter_mut().find(|cell| cell.name.contains("int8")).unwrap();
        cell.counts.errors.clear();
        let output = cell.figures.get_mut(&MetricKey::from(MetricId::OutputThroughput)).unwrap();
        output.state = Some(NumberState::Invalid);
        let sentences = of(&summary);
        let of_int8 = sentences.iter().find(|sentence| sentence.contains("int8")).unwrap();
        assert!(of_int8.contains("TTFT p50") && !of_int8.contains("output"), "{of_int8}");
        assert!(!of_int8.contains("TPOT"), "a median of 5 answers: {of_int8}");
    }

    #[test]
    fn the_side_whose_answers_are_longer_is_named() {
        let mut summary = sample_run::summary();
        let longer = |summary: &Summary| -> Vec<String> {
            of(summary).into_iter().filter(|told| told.contains("are longer")).collect()
        };
        assert_eq!(longer(&summary), [""; 0]);
        for (name, mean) in [("tiny-fp16", 29.4), ("tiny-fp32", 32.0)] {
            let cell = summary.cells.iter_mut().find(|cell| cell.name == name).unwrap();
            let tokens =
                Distribution { mean: Some(mean), ..cell.distributions[&MetricId::Ttft].clone() };
            cell.distributions.insert(MetricId::OutputTokens, tokens);
        }
        let told = longer(&summary);
        let expected = "; the answers of fp32 are longer: 32.0 against 29.4 tokens";
        assert!(told.len() == 1 && told[0].contains(expected), "{told:?}");
    }

    #[test]
    fn a_cell_that_had_another_load_than_was_asked_takes_no_part() {
        let sentences = of(&sample_run::summary());
        assert!(!sentences.iter().any(|sentence| sentence.contains("int8")), "{sentences:?}");
        insta::assert_snapshot!(sentences.join("\n"));
    }

    #[test]
    fn the_numbers_of_the_answer_are_those_of_the_table_below_it() {
        let view = sample_run::view();
        for label in ["TTFT p50", "TPOT p50"] {
            let columns = &view.results.columns;
            let at = columns.iter().position(|it| it.header == label).expect("its column");
            let column: Vec<&str> = view.results.rows.iter().map(|row| &*row[at].text).collect();
            let clause = view.headline[0].split(&format!("{label} better: ")).nth(1).unwrap();
            let values = clause.split(" ms").next().unwrap().split(" against ");
            let values: Vec<&str> = values.collect();
            assert_eq!(values.len(), 2, "{clause}");
            for value in values {
                assert!(column.contains(&value), "{label} {value}: {column:?}");
            }
        }
    }

    #[test]
    fn objectives_are_met_where_as_many_requests_meet_them_as_the_gate_asks_for() {
        let mut plan = plan(&["a", "b"]);
        let cell = |id: &str, streams: &str, good: f64| {
            let mut cell = measured_cell(id, "fp16");
            cell.keys.insert("concurrency".to_owned(), streams.to_owned());
            let cell = with_figure(cell, MetricId::OutputThroughput, 900.0, None);
            with_figure(cell, MetricId::GoodputShare, good, None)
        };
        let cells = vec![cell("a", "4", 99.5), cell("b", "8", 97.7)];
        let summary = Summary { cells, ..Summary::default() };
        let told = |plan: &Plan| headline(&summary, plan, None).join(" ");
        let without = told(&plan);
        let expected = "up to 4 streams (99.5 %), not at 8 streams (97.7 %)";
        assert!(without.contains(expected), "{without}");
        let must = vec!["goodput >= 0.9".to_owned()];
        plan.gate = Some(GatePlan { must, ..GatePlan::default() });
        let with_gate = told(&plan);
        assert!(with_gate.contains("up to 8 streams (97.7 %)."), "{with_gate}");
    }

    #[test]
    fn a_doubtful_number_is_told_with_its_bound() {
        let output = Quantity::figure(MetricId::OutputThroughput);
        let told = |bound, state| {
            let (bound, state) = (Some(bound), Some(state));
            let figure =
                Figure { value: Some(4.882), unit: "ms", n: 9, bound, state, ..Figure::default() };
            with_unit(&output, &figure)
        };
        assert_eq!(told((4.85, 21.15), NumberState::Ok), "4.88 ms");
        let doubtful = told((4.85, 21.15), NumberState::Doubtful);
        assert_eq!(doubtful, "4.88 ms, for sure between 4.85 and 21.1 ms");
        let unlimited = told((4.85, f64::MAX), NumberState::Doubtful);
        assert_eq!(unlimited, "4.88 ms, and at least 4.85 ms");
        let least = Figure {
            value: Some(3_064.0),
            unit: "ms",
            bound: Some((3_063.9, f64::MAX)),
            state: Some(NumberState::Doubtful),
            ..Figure::default()
        };
        let ttft = Quantity::percentile(MetricId::Ttft, 50.0);
        assert_eq!(with_unit(&ttft, &least), "≥ 3064 ms");
    }

    #[test]
    fn a_row_alone_is_told_by_its_numbers() {
        let mut summary = sample_run::summary();
        summary.cells.truncate(5);
        insta::assert_snapshot!(of(&summary).join("\n"));
    }
}
