//! What searches for the highest load found.

use std::collections::BTreeSet;

use crate::ids::CellId;
use crate::metrics::catalogue::MetricId;
use crate::metrics::summary::{CellStatus, CellSummary, PointSummary, SearchSummary};
use crate::plan::Plan;
use crate::plan::cell::Cell;
use crate::plan::search::{Next, SearchPlan, SearchPoint};

/// Returns one search per engine, precision and whatever else the plan sweeps; `cells` are those
/// of the plan that are known so far.
pub(crate) fn searches(plan: &Plan, cells: &[CellSummary]) -> Vec<SearchSummary> {
    let Some(search) = &plan.search else { return Vec::new() };
    let firsts = plan.cells.iter().enumerate().filter(|(at, cell)| {
        !plan.cells[..*at].iter().any(|earlier| search.is_same_search(earlier, cell))
    });
    firsts.map(|(_, first)| one(plan, search, first, cells)).collect()
}

/// Returns the cells at loads above the highest that a search knows to be good; none of a search that
/// knows none.
pub(crate) fn beyond(plan: &Plan, cells: &[CellSummary]) -> BTreeSet<CellId> {
    let Some(search) = &plan.search else { return BTreeSet::new() };
    let highest = |found: &SearchSummary| {
        let met = found.points.iter().filter(|point| point.met).map(|point| point.load);
        found.best.as_ref().map(|best| best.load).or_else(|| met.max_by(f64::total_cmp))
    };
    let of_search = |found: SearchSummary| {
        let first = plan.cells.iter().find(|cell| cell.id == found.first);
        let limit = highest(&found);
        first.zip(limit).into_iter().flat_map(move |(first, limit)| {
            let same = plan.cells.iter().filter(move |cell| search.is_same_search(first, cell));
            same.filter(move |cell| search.load_of(cell).is_some_and(|load| load > limit))
        })
    };
    searches(plan, cells).into_iter().flat_map(of_search).map(|cell| cell.id.clone()).collect()
}

fn one(plan: &Plan, search: &SearchPlan, first: &Cell, cells: &[CellSummary]) -> SearchSummary {
    let same = plan.cells.iter().filter(|cell| search.is_same_search(first, cell));
    let points: Vec<PointSummary> = same
        .filter_map(|cell| {
            let summary = cells.iter().find(|summary| summary.id == cell.id)?;
            point(search, cell, summary)
        })
        .collect();
    let tried: Vec<SearchPoint> =
        points.iter().map(|point| SearchPoint { load: point.load, met: point.met }).collect();
    let by_load = |a: &&PointSummary, b: &&PointSummary| a.load.total_cmp(&b.load);
    let missed = points.iter().filter(|point| !point.met).min_by(by_load);
    let (best, reason, next) = match search.next(&tried) {
        Next::Done { best: Some(best), reason } => {
            (points.iter().find(|point| point.load.total_cmp(&best).is_eq()), Some(reason), None)
        }
        Next::Done { best: None, reason } => (None, Some(reason), None),
        Next::Try(load) => (None, None, Some(load)),
    };
    SearchSummary {
        first: first.id.clone(),
        keys: first.keys.iter().filter(|(key, _)| *key != search.over.key()).map(own).collect(),
        over: search.over,
        goodput: search.goodput,
        best: best.cloned(),
        missed: missed.cloned(),
        reason,
        next,
        points,
    }
}

fn own((key, value): (&String, &String)) -> (String, String) {
    (key.clone(), value.clone())
}

/// Returns what a load showed; `None` while it is not over, or when it could not be tried.
fn point(search: &SearchPlan, cell: &Cell, summary: &CellSummary) -> Option<PointSummary> {
    let good = summary.value(MetricId::GoodputShare);
    let is_blamed_on_client = match summary.validity.status {
        CellStatus::Ok | CellStatus::Failed => false,
        CellStatus::Doubtful | CellStatus::Invalid => true,
        CellStatus::Skipped | CellStatus::Incomplete => return None,
    };
    let met = good.is_some_and(|percent| percent >= search.goodput * 100.0);
    Some(PointSummary {
        load: search.load_of(cell)?,
        good,
        met,
        // A late client only adds to latencies: what met the objectives all the same has met them.
        doubtful: is_blamed_on_client && !met,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::gates;
    use crate::metrics::summary::{Figure, GateOutcome};
    use crate::metrics::tests::fixture::{measured_cell, plan};
    use crate::plan::gate::GatePlan;
    use crate::plan::search::{Reason, SearchOver};

    /// Carries out a search on an engine that serves `capacity` streams well.
    fn found(capacity: f64, at_points: impl Fn(&mut CellSummary, f64)) -> SearchSummary {
        carried_out(capacity, at_points).2
    }

    fn carried_out(
        capacity: f64,
        at_points: impl Fn(&mut CellSummary, f64),
    ) -> (Plan, Vec<CellSummary>, SearchSummary) {
        let mut plan = plan(&["first"]);
        let over = SearchOver::Concurrency;
        plan.search = Some(SearchPlan {
            over,
            from: 4.0,
            to: 64.0,
            goodput: 0.9,
            precision: 0.1,
            max_points: 9,
        });
        plan.cells[0].keys.insert("concurrency".to_owned(), "4".to_owned());
        let mut cells = Vec::new();
        loop {
            let cell = plan.cells.last().unwrap();
            let load = plan.search.as_ref().unwrap().load_of(cell).unwrap();
            let percent = if load <= capacity { 95.0 } else { 40.0 };
            let mut summary = CellSummary { id: cell.id.clone(), ..measured_cell("x", "fp16") };
            let value = Some(percent);
            let figure = Figure { value, unit: "%", n: 10, ..Figure::default() };
            summary.figures.insert(MetricId::GoodputShare.into(), figure);
            at_points(&mut summary, load);
            cells.push(summary);
            let all = searches(&plan, &cells);
            let [search] = all.as_slice() else { panic!("one search: {all:?}") };
            let Some(next) = search.next else { return (plan, cells, search.clone()) };
            let first = plan.cells[0].id.clone();
            plan.add_point(&first, next).unwrap();
        }
    }

    fn bounds(search: &SearchSummary) -> (Option<f64>, Option<f64>) {
        let load = |point: &Option<PointSummary>| point.as_ref().map(|point| point.load);
        (load(&search.best), load(&search.missed))
    }

    #[test]
    fn the_highest_load_that_met_and_the_lowest_that_missed_are_told() {
        let search = found(20.0, |_, _| ());
        let loads: Vec<f64> = search.points.iter().map(|point| point.load).collect();
        assert_eq!(loads, [4.0, 8.0, 16.0, 32.0, 24.0, 20.0, 22.0]);
        assert_eq!(bounds(&search), (Some(20.0), Some(22.0)));
        assert_eq!(search.reason, Some(Reason::Found));
    }

    #[test]
    fn a_miss_of_an_invalid_cell_is_doubtful_and_a_failed_one_is_a_miss() {
        let invalid = found(20.0, |cell, load| {
            if load > 20.0 {
                cell.validity.status = CellStatus::Invalid;
            }
        });
        assert_eq!(bounds(&invalid), (Some(20.0), Some(22.0)));
        assert!(invalid.points.iter().all(|point| point.doubtful == (point.load > 20.0)));
        let dead = found(20.0, |cell, load| {
            if load > 20.0 {
                cell.validity.status = CellStatus::Failed;
                cell.figures.clear();
            }
        });
        assert_eq!(bounds(&dead), (Some(20.0), Some(22.0)));
        assert!(dead.points.iter().all(|point| !point.doubtful));
    }

    #[test]
    fn gates_are_about_the_loads_up_to_the_one_that_was_found() {
        let name = |cell: &mut CellSummary, load: f64| cell.name = load.to_string();
        let must = vec!["goodput >= 0.9".to_owned()];
        let gate = Some(GatePlan { must, ..GatePlan::default() });
        let judged = |capacity: f64| {
            let (plan, cells, _) = carried_out(capacity, name);
            let gates = gates::results(&Plan { gate: gate.clone(), ..plan }, &cells);
            gates.into_iter().map(|it| (it.cell, it.outcome)).collect::<Vec<_>>()
        };
        let met = ["4", "8", "16", "20"].map(|load| (load.to_owned(), GateOutcome::Met));
        assert_eq!(judged(20.0), met);
        // Where no load is good, all that were tried say so.
        let missed = judged(0.5);
        assert!(missed.iter().all(|(_, it)| *it == GateOutcome::Missed), "{missed:?}");
        assert!(!missed.is_empty());
    }

    #[test]
    fn a_plan_without_search_finds_none() {
        assert!(searches(&plan(&["a"]), &[measured_cell("a", "fp16")]).is_empty());
    }
}
