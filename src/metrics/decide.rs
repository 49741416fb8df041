//! Which cell is to be taken: what meets the objectives and gates, at what price, by what margin,
//! and what would change the answer.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::Serialize;

use crate::metrics::axes::{arrivals_word, asked_by_plan, is_asked, is_load, is_scheduled};
use crate::metrics::catalogue::MetricId;
use crate::metrics::compare::{Rules, judged};
use crate::metrics::quantity::Quantity;
use crate::metrics::required_share::required_pct;
use crate::metrics::summary::{
    CellStatus, CellSummary, GateOutcome, GateResult, Summary, Validity,
};
use crate::plan::Plan;
use crate::plan::cell::Cell;
use crate::record::trial::PhaseKind;
use crate::stats::dominance::dominators;
use crate::stats::interval::{Estimate, Interval};
use crate::stats::verdict::Verdict;

/// What cells are weighed by beside their price: output of a GPU, and what a user waits for.
pub(crate) const CRITERIA: [Quantity; 3] = [
    Quantity::figure(MetricId::OutputThroughputPerGpu),
    Quantity::percentile(MetricId::Ttft, 50.0),
    Quantity::percentile(MetricId::Tpot, 50.0),
];

/// A decision among the cells of a run that are asked the same.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Decision {
    /// What they are asked, by swept keys and the phase; empty where all cells are asked the same.
    pub(crate) asked: IndexMap<String, String>,
    /// What is to be least, or most: the price of a million tokens, else the output of a GPU.
    pub(crate) goal: Quantity,
    /// Whether objectives are asked for.
    pub(crate) has_objectives: bool,
    /// The cells that take part, in the order of the plan.
    pub(crate) cells: Vec<Weighed>,
    /// Index of the recommended one; absent where none may be taken.
    pub(crate) best: Option<usize>,
    /// Index of the best one of another alternative, else of another load.
    pub(crate) runner_up: Option<usize>,
    /// How much better the recommended one is.
    pub(crate) margin: Option<Margin>,
    /// Index of one that would be better and may not be taken.
    pub(crate) better_but: Option<usize>,
    /// Limits of the objectives below which the recommended one would fall out.
    pub(crate) slack: Vec<Slack>,
    /// Machines for the rate that was asked for.
    pub(crate) capacity: Option<Capacity>,
}

/// A cell and what speaks for and against it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Weighed {
    /// Its name.
    pub(crate) cell: String,
    /// Why it may not be taken; empty where it may.
    pub(crate) against: Vec<String>,
    /// Gates that are not decided.
    pub(crate) undecided: Vec<String>,
    /// Its value of the goal; absent where it has none that can be believed.
    pub(crate) goal: Option<f64>,
    /// Name of a cell that is at least as good by every criterion and better by one beyond the
    /// intervals; absent on the Pareto front.
    pub(crate) dominated_by: Option<String>,
}

/// By how much the recommended cell is better than the runner-up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Margin {
    /// The goal of the runner-up over that of the recommended cell, or the other way round where
    /// more is better.
    pub(crate) ratio: f64,
    /// Interval of the ratio; absent where one of both has a single trial.
    pub(crate) interval: Option<(f64, f64)>,
    /// What the interval says, as in a comparison; absent without one.
    pub(crate) verdict: Option<Verdict>,
    /// Whether schedules set the outputs of both, which then have no interval.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_offered: bool,
}

/// How far an objective could be tightened before the recommended cell misses it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Slack {
    /// The percentile at which as many requests miss as may: `ttft_scheduled.p99`.
    pub(crate) quantity: Quantity,
    /// What the scenario allows, milliseconds.
    pub(crate) allowed_ms: f64,
    /// What the recommended cell has, milliseconds.
    pub(crate) found_ms: f64,
}

/// Machines for a rate of requests, at the load of the recommended cell, or at the highest that a
/// schedule offered to its engine and that may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Capacity {
    /// Requests per second that were asked for.
    pub(crate) rate_per_s: f64,
    /// Engines like that of the cell, rounded up.
    pub(crate) n_engines: u64,
    /// Their GPUs.
    pub(crate) n_gpus: u64,
    /// Price of an hour of them, where a GPU-hour has one.
    pub(crate) price_per_hour: Option<f64>,
    /// Whether a schedule set what one engine did, which kept up with it: fewer may do.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_at_most: bool,
}

/// Decides by the keys that a scenario has: `[slo]`, `[gate]` and `[cost]`, once for each thing that
/// is asked: data sets, lengths and phases are no choice.
///
/// Only cells whose numbers take part are weighed. Of those that meet the objectives and miss no
/// gate the one with the best goal is recommended. Objectives are met where as many requests meet
/// them as a gate on their share asks for, else 99 %.
pub(crate) fn decide(plan: &Plan, summary: &Summary, rate_per_s: Option<f64>) -> Vec<Decision> {
    let cells: Vec<&CellSummary> = summary.cells.iter().filter(|it| it.takes_part()).collect();
    let by_plan = asked_by_plan(plan);
    let is_asked = |key: &str| is_asked(key) || by_plan.contains(key);
    let told = cells.iter().map(|cell| asked(cell, &is_asked));
    let told: Vec<IndexMap<String, String>> = told.collect();
    let varies = |key: &String| told.iter().any(|other| other.get(key) != told[0].get(key));
    let mut groups: Vec<(IndexMap<String, String>, Vec<&CellSummary>)> = Vec::new();
    for (cell, mut asked) in cells.into_iter().zip(told.clone()) {
        asked.retain(|key, _| varies(key));
        match groups.iter_mut().find(|(known, _)| *known == asked) {
            Some((_, group)) => group.push(cell),
            None => groups.push((asked, vec![cell])),
        }
    }
    if groups.is_empty() {
        groups.push((IndexMap::new(), Vec::new()));
    }
    let of_group = |(asked, cells): (IndexMap<String, String>, Vec<&CellSummary>)| Decision {
        asked,
        ..among(&cells, plan, summary, rate_per_s)
    };
    groups.into_iter().map(of_group).collect()
}

/// Returns what a cell is asked, as far as that is swept.
fn asked(cell: &CellSummary, is_asked: &dyn Fn(&str) -> bool) -> IndexMap<String, String> {
    let keys = cell.keys.iter().filter(|(key, _)| is_asked(key));
    let phase = cell.phase.iter().map(|phase| ("phase".to_owned(), phase.clone()));
    keys.map(|(key, value)| (key.clone(), value.clone())).chain(phase).collect()
}

/// Decides among cells that are asked the same.
fn among(
    cells: &[&CellSummary],
    plan: &Plan,
    summary: &Summary,
    rate_per_s: Option<f64>,
) -> Decision {
    let goal = match plan.gpu_hour_price {
        Some(_) => Quantity::figure(MetricId::CostPer1mTokens),
        None => Quantity::figure(MetricId::OutputThroughputPerGpu),
    };
    let has_objectives = plan.cells.iter().any(|cell| cell.slo.is_some());
    let good_pct = required_pct(plan);
    let planned = plan.cells_by_id();
    let is_offered = |cell: &&CellSummary| {
        planned.get(&cell.id).is_some_and(|planned| is_offered(planned, cell))
    };
    let offered: Vec<bool> = cells.iter().map(is_offered).collect();
    let mut gates: BTreeMap<&str, Vec<&GateResult>> = BTreeMap::new();
    for gate in &summary.gates {
        gates.entry(&gate.cell).or_default().push(gate);
    }
    let gates_of = |cell: &CellSummary, is_wanted: fn(&GateResult) -> bool| {
        let of_cell = gates.get(cell.name.as_str()).into_iter().flatten();
        let wanted = of_cell.filter(|gate| is_wanted(gate));
        wanted.map(|gate| gate.condition.clone()).collect::<Vec<_>>()
    };
    let is_open = |gate: &GateResult| gate.outcome == GateOutcome::Undecided && !gate.fails();
    let mut weighed: Vec<Weighed> = cells
        .iter()
        .map(|cell| Weighed {
            cell: cell.name.clone(),
            against: against(cell, has_objectives, good_pct, gates_of(cell, GateResult::fails)),
            undecided: gates_of(cell, is_open),
            goal: goal.believed(cell).and_then(|figure| figure.value),
            dominated_by: None,
        })
        .collect();
    let known = cells.iter().enumerate().filter_map(|(at, cell)| Some((at, criteria(cell)?)));
    let (places, criteria): (Vec<usize>, Vec<Criteria>) = known.unzip();
    for (at, better) in places.iter().zip(dominators(&criteria)) {
        weighed[*at].dominated_by = better.map(|other| cells[places[other]].name.clone());
    }
    let sign = if goal.larger_is_better() == Some(true) { 1.0 } else { -1.0 };
    let score = |at: usize| weighed[at].goal.map(|value| sign * value);
    let best_of = |is_wanted: &dyn Fn(usize) -> bool| {
        let known = (0..cells.len()).filter(|at| is_wanted(*at));
        let scored = known.filter_map(|at| Some((at, score(at)?)));
        // Of equals the first one of the scenario.
        scored.rev().max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(at, _)| at)
    };
    let may = |at: usize| weighed[at].against.is_empty();
    let best = best_of(&may);
    let rivals: Vec<usize> = best.map_or_else(Vec::new, |best| {
        let known = |at: &usize| may(*at) && *at != best && score(*at).is_some();
        let (other_loads, others): (Vec<usize>, Vec<usize>) = (0..cells.len())
            .filter(known)
            .partition(|at| alternative(cells[*at]) == alternative(cells[best]));
        if !others.is_empty() {
            others
        } else if offered[best] {
            // Of loads that schedules offered, the higher is no better than the lower.
            Vec::new()
        } else {
            other_loads
        }
    });
    let runner_up = best_of(&|at| rivals.contains(&at));
    let margin = best.zip(runner_up).and_then(|(best, other)| {
        let seen = (score(best)? / score(other)?).powf(sign);
        if offered[best] && offered[other] {
            let none = Margin { ratio: seen, interval: None, verdict: None, is_offered: true };
            return Some(none);
        }
        Some(margin([cells[best], cells[other]], seen, rivals.len(), Rules::of(plan.compare)))
    });
    let better_but = best_of(&|at| {
        let is_better = match (score(at), best.and_then(score)) {
            (Some(one), Some(best)) => one > best,
            (one, None) => one.is_some(),
            (None, _) => false,
        };
        !may(at) && is_better
    });
    let slack = best.map_or_else(Vec::new, |best| slack(plan, cells[best], good_pct));
    let capacity = best.zip(rate_per_s).and_then(|(best, rate)| {
        let of = |at: usize| capacity(cells[at], offered[at], rate, plan.gpu_hour_price);
        // Of what schedules offered to one engine, the highest says most of what it can do.
        let is_more = |at: &usize| {
            offered[best]
                && offered[*at]
                && may(*at)
                && alternative(cells[*at]) == alternative(cells[best])
        };
        let more = (0..cells.len()).filter(is_more).filter_map(of);
        more.chain(of(best)).min_by_key(|it| it.n_engines)
    });
    Decision {
        asked: IndexMap::new(),
        goal,
        has_objectives,
        cells: weighed,
        best,
        runner_up,
        margin,
        better_but,
        slack,
        capacity,
    }
}

/// Whether a schedule set the output of a cell, which kept up with it.
fn is_offered(planned: &Cell, cell: &CellSummary) -> bool {
    let mut measured = planned.phases.iter().filter(|phase| {
        let is_own = cell.phase.as_ref().is_none_or(|name| *name == phase.name);
        phase.kind == PhaseKind::Measure && is_own
    });
    measured.any(|phase| is_scheduled(&arrivals_word(&phase.arrivals)))
        && cell.keeps_up() == Some(true)
}

/// Says why a cell may not be taken: numbers that bench cannot answer for recommend nothing.
fn against(
    cell: &CellSummary,
    has_objectives: bool,
    good_pct: f64,
    missed: Vec<String>,
) -> Vec<String> {
    let Validity { status, reasons } = &cell.validity;
    let invalid = (*status == CellStatus::Invalid)
        .then(|| format!("it is {}: {}", status.word().to_uppercase(), reasons.join("; ")));
    let share = Quantity::figure(MetricId::GoodputShare).believed(cell).and_then(|it| it.value);
    let objectives = match share {
        Some(good) if good < good_pct => {
            Some(format!("{good:.1} % of its requests met the objectives, {good_pct} % must"))
        }
        None if has_objectives => Some("it is not known how many met the objectives".to_owned()),
        _ => None,
    };
    invalid
        .into_iter()
        .chain(objectives)
        .chain(missed.into_iter().map(|gate| format!("it misses {gate}")))
        .collect()
}

/// Returns by how much each objective of a cell could be tightened.
fn slack(plan: &Plan, cell: &CellSummary, good_pct: f64) -> Vec<Slack> {
    let planned = plan.cells.iter().find(|planned| planned.id == cell.id);
    let Some(slo) = planned.and_then(|planned| planned.slo.as_ref()) else { return Vec::new() };
    let limits = [
        (MetricId::TtftScheduled, slo.ttft),
        (MetricId::Tpot, slo.tpot),
        (MetricId::E2eScheduled, slo.e2e),
    ];
    let found = limits.into_iter().filter_map(|(metric, limit)| {
        let quantity = Quantity::percentile(metric, good_pct);
        let found_ms = quantity.believed(cell)?.value?;
        Some(Slack { quantity, allowed_ms: limit?.as_millis_f64(), found_ms })
    });
    found.collect()
}

/// Returns the swept keys that are no load, with their values.
fn alternative(cell: &CellSummary) -> Vec<(&String, &String)> {
    cell.keys.iter().filter(|(key, _)| !is_load(key)).collect()
}

/// Says by how much a cell is better than another, by the rules of a comparison. The runner-up is
/// chosen after the fact, so the best one's pairs with all its rivals share the chance of error.
/// Cells that may not be taken, its own other loads and pairs of rivals have no part in it: they
/// cannot become the pair. That the best one is chosen as well costs nothing, as of equal cells the
/// two best lie closer together the more there are.
///
/// Source: S. Gutmann and Z. Maymin, "Is the selected population the best?", Annals of Statistics 15
/// (1987) 456–461.
///
/// Both goals are in the ratio of the outputs, per GPU; `seen` is the ratio where those say nothing.
fn margin([best, other]: [&CellSummary; 2], seen: f64, n_rivals: usize, rules: Rules) -> Margin {
    let output = Quantity::figure(MetricId::OutputThroughput);
    let level = 1.0 - rules.alpha / n_rivals as f64;
    let found = judged(output, [other, best], level, rules.margin);
    let Some((found, (low, high))) = found.and_then(|it| Some((it.change, it.interval?))) else {
        return Margin { ratio: seen, interval: None, verdict: None, is_offered: false };
    };
    let per_gpu = f64::from(other.n_gpus.max(1)) / f64::from(best.n_gpus.max(1));
    let (low, high) = (low * per_gpu, high * per_gpu);
    Margin {
        ratio: found * per_gpu,
        interval: Some((low, high)),
        verdict: Some(Verdict::of(Interval::new(low, high), rules.margin, true)),
        is_offered: false,
    }
}

/// Values by which a cell is weighed, with their intervals, turned so that more is better.
type Criteria = [Estimate; 3];

/// Returns the criteria of a cell; `None` where it lacks one.
fn criteria(cell: &CellSummary) -> Option<Criteria> {
    let mut found = [Estimate { value: 0.0, interval: Interval::new(0.0, 0.0) }; 3];
    for (quantity, place) in CRITERIA.iter().zip(&mut found) {
        let figure = quantity.believed(cell)?;
        let value = figure.value?;
        let (low, high) = figure.interval.unwrap_or((value, value));
        *place = match quantity.larger_is_better() {
            Some(true) => Estimate { value, interval: Interval::new(low, high) },
            _ => Estimate { value: -value, interval: Interval::new(-high, -low) },
        };
    }
    Some(found)
}

fn capacity(
    cell: &CellSummary,
    is_at_most: bool,
    rate_per_s: f64,
    price: Option<f64>,
) -> Option<Capacity> {
    let of_one = Quantity::figure(MetricId::RequestThroughput).believed(cell)?.value?;
    let n_engines = (rate_per_s / of_one).ceil();
    (of_one > 0.0 && n_engines.is_finite()).then(|| {
        let n_gpus = n_engines as u64 * u64::from(cell.n_gpus.max(1));
        Capacity {
            rate_per_s,
            n_engines: n_engines as u64,
            n_gpus,
            price_per_hour: price.map(|price| price * n_gpus as f64),
            is_at_most,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::catalogue::MetricKey;
    use crate::metrics::summary::Distribution;
    use crate::metrics::summary::Percentile;
    use crate::metrics::tests::fixture::{measured_cell, plan, with_figure};
    use crate::plan::cell::{ArrivalsPlan, Slo};
    use crate::plan::gate::GatePlan;
    use crate::units::Nanos;

    /// A cell of an engine with its price, its share of good requests, and its median latencies.
    fn cell(engine: &str, streams: u32, price: f64, good: f64, ms: f64) -> CellSummary {
        let mut cell = measured_cell(engine, "fp16");
        cell.name = format!("{engine} {streams}");
        cell.keys.insert("engine".to_owned(), engine.to_owned());
        cell.keys.insert("concurrency".to_owned(), streams.to_string());
        for metric in [MetricId::Ttft, MetricId::Tpot] {
            let median = Percentile {
                p: 50.0,
                value: Some(ms),
                interval: Some((ms * 0.99, ms * 1.01)),
                ..Percentile::default()
            };
            let found = Distribution { percentiles: vec![median], ..Distribution::default() };
            cell.distributions.insert(metric, found);
        }
        let output = 1_000.0 / price;
        let figures = [
            (MetricId::CostPer1mTokens, price),
            (MetricId::OutputThroughputPerGpu, output),
            (MetricId::RequestThroughput, output / 100.0),
            (MetricId::GoodputShare, good),
        ];
        let mut cell = figures.into_iter().fold(cell, |cell, (metric, value)| {
            with_figure(cell, metric, value, Some((value * 0.98, value * 1.02)))
        });
        let trials = [0.99, 0.995, 1.0, 1.005, 1.01].map(|luck| luck * output);
        cell.n_trials = 5;
        cell.trials.insert(Quantity::figure(MetricId::OutputThroughput), trials.to_vec());
        cell
    }

    fn decided(cells: Vec<CellSummary>, gates: Vec<GateResult>, rate: Option<f64>) -> Decision {
        let mut found = all_decided(cells, gates, rate);
        assert_eq!(found.len(), 1);
        found.remove(0)
    }

    fn all_decided(
        cells: Vec<CellSummary>,
        gates: Vec<GateResult>,
        rate: Option<f64>,
    ) -> Vec<Decision> {
        let mut plan = plan(&["a"]);
        plan.gpu_hour_price = Some(2.0);
        decide(&plan, &Summary { cells, gates, ..Summary::default() }, rate)
    }

    #[test]
    fn cells_that_are_asked_other_things_are_not_held_against_each_other() {
        let of = |engine: &str, dataset: &str, price: f64| {
            let mut cell = cell(engine, 8, price, 100.0, 20.0);
            cell.name = format!("{engine} {dataset}");
            cell.keys.insert("dataset".to_owned(), dataset.to_owned());
            cell
        };
        let cells = vec![of("a", "long", 2.0), of("b", "long", 3.0), of("a", "short", 1.0)];
        let found = all_decided(cells, Vec::new(), None);
        let told: Vec<_> = found
            .iter()
            .map(|it| (&*it.asked["dataset"], &*it.cells[it.best.unwrap()].cell, it.runner_up))
            .collect();
        assert_eq!(told, [("long", "a long", Some(1)), ("short", "a short", None)]);
    }

    #[test]
    fn a_margin_is_judged_as_a_comparison_judges() {
        let verdict = |price: f64, of: &dyn Fn(&mut CellSummary)| {
            let mut other = cell("b", 8, price, 100.0, 20.0);
            of(&mut other);
            let found = decided(vec![cell("a", 8, 1.0, 100.0, 20.0), other], Vec::new(), None);
            found.margin.unwrap().verdict
        };
        let output = Quantity::figure(MetricId::OutputThroughput);
        assert_eq!(verdict(1.5, &|_| ()), Some(Verdict::Better));
        // Real, perhaps, and too small to matter.
        assert_eq!(verdict(1.0001, &|_| ()), Some(Verdict::Equivalent));
        // Two trials a few per cent apart decide nothing, whatever the interval of the figure.
        let few = |cell: &mut CellSummary| {
            cell.trials.insert(output.clone(), vec![500.0, 640.0]);
        };
        assert_eq!(verdict(1.8, &few), Some(Verdict::Inconclusive));
        assert_eq!(
            verdict(1.5, &|cell| drop(cell.trials.insert(output.clone(), vec![660.0]))),
            None
        );
    }

    /// Cells of two engines at `n_loads` loads each; of each load, how much slower than the one of
    /// the first engine at the first load it is.
    fn sweep(n_loads: u32, slower: impl Fn(&str, u32) -> f64) -> Vec<CellSummary> {
        let loads = (0..n_loads).flat_map(|load| [("a", load), ("b", load)]);
        loads
            .map(|(engine, load)| cell(engine, 1 << load, slower(engine, load), 100.0, 20.0))
            .collect()
    }

    #[test]
    fn loads_that_cannot_be_the_pair_do_not_make_the_margin_stricter() {
        let slower = |engine: &str, load: u32| match (engine, load) {
            ("a", 0) => 1.0,
            ("a", _) => 3.0,
            ("b", 0) => 1.028,
            _ => 4.0,
        };
        let verdict = |n_loads: u32, may_of_b: u32| {
            let mut cells = sweep(n_loads, slower);
            for cell in &mut cells {
                let load = cell.keys["concurrency"].parse::<u32>().unwrap();
                if cell.keys["engine"] == "b" && load > 1 << (may_of_b - 1) {
                    let missed = Validity::new(CellStatus::Invalid, ["it fell behind".to_owned()]);
                    cell.validity = missed;
                }
            }
            decided(cells, Vec::new(), None).margin.unwrap().verdict
        };
        assert_eq!(verdict(1, 1), Some(Verdict::Better));
        assert_eq!(verdict(8, 1), Some(Verdict::Better), "one rival at many loads");
        assert_eq!(verdict(8, 8), Some(Verdict::Better), "eight rivals");
    }

    #[test]
    fn of_equal_cells_none_is_called_better_more_often_than_was_asked() {
        use rand_distr::{Distribution as _, StandardNormal};
        let mut rng = crate::seed::Seed(5).stream("decide");
        let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
        let output = Quantity::figure(MetricId::OutputThroughput);
        let mut n_false = 0;
        for _ in 0..400 {
            let mut cells = sweep(4, |_, _| 1.0);
            for cell in &mut cells {
                let trials: Vec<f64> = (0..5).map(|_| 1e3 * (0.03 * normal()).exp()).collect();
                let mean = trials.iter().sum::<f64>() / 5.0;
                cell.trials.insert(output.clone(), trials);
                let price =
                    cell.figures.get_mut(&MetricKey::from(MetricId::CostPer1mTokens)).unwrap();
                price.value = Some(1e3 / mean);
            }
            let verdict = decided(cells, Vec::new(), None).margin.unwrap().verdict;
            n_false += usize::from(verdict == Some(Verdict::Better));
        }
        assert!(n_false <= 8, "{n_false} of 400");
    }

    #[test]
    fn the_cheapest_cell_that_meets_the_objectives_is_recommended() {
        let cells = vec![
            cell("a", 1, 4.0, 100.0, 10.0),
            cell("a", 8, 1.0, 99.5, 20.0),
            cell("a", 32, 0.5, 80.0, 60.0),
            cell("b", 8, 1.5, 100.0, 21.0),
        ];
        let found = decided(cells, Vec::new(), Some(25.0));
        let name = |at: Option<usize>| found.cells[at.unwrap()].cell.as_str();
        assert_eq!((name(found.best), name(found.runner_up)), ("a 8", "b 8"));
        let margin = found.margin.unwrap();
        assert!((margin.ratio - 1.5).abs() < 1e-9 && margin.verdict == Some(Verdict::Better));
        assert_eq!(name(found.better_but), "a 32");
        assert!(found.cells[2].against[0].starts_with("80.0 % of its requests"), "{found:?}");
        // 1,000 tokens per second are 10 requests: 25 of them take three engines of one GPU.
        let capacity = found.capacity.unwrap();
        assert_eq!(
            (capacity.n_engines, capacity.n_gpus, capacity.price_per_hour, capacity.is_at_most),
            (3, 3, Some(6.0), false)
        );
        let dominated: Vec<_> = found.cells.iter().map(|it| it.dominated_by.as_deref()).collect();
        assert_eq!(dominated, [None, None, None, Some("a 8")]);
    }

    #[test]
    fn as_many_requests_must_meet_the_objectives_as_the_gate_asks_for() {
        let found = |must: &[&str], must_not: &[&str]| {
            let mut plan = plan(&["a"]);
            plan.gpu_hour_price = Some(2.0);
            let of = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
            let gate = GatePlan { must: of(must), must_not: of(must_not), ..GatePlan::default() };
            plan.gate = Some(gate);
            let cells = vec![cell("a", 8, 1.0, 97.7, 20.0), cell("b", 8, 3.0, 100.0, 20.0)];
            decide(&plan, &Summary { cells, ..Summary::default() }, None).remove(0)
        };
        assert_eq!(found(&[], &[]).best, Some(1));
        assert_eq!(found(&["goodput >= 0.9"], &[]).best, Some(0));
        assert_eq!(found(&[], &["goodput < 0.95"]).best, Some(0));
        assert_eq!(found(&["ttft.p99 < 90ms"], &[]).best, Some(1));
        let strict = found(&["goodput >= 0.9", "goodput > 98.5%"], &[]);
        assert_eq!(strict.best, Some(1));
        let against = "97.7 % of its requests met the objectives, 98.5 % must";
        assert_eq!(strict.cells[0].against, [against]);
    }

    #[test]
    fn rates_that_schedules_offered_are_not_held_against_each_other() {
        let mut plan = plan(&["a"]);
        plan.gpu_hour_price = Some(2.0);
        plan.cells[0].phases[0].arrivals = ArrivalsPlan::Poisson { rate_per_s: 10.0 };
        let at = |engine: &str, rate: u32, price: f64, keeps_up: bool| {
            let mut cell = cell(engine, rate, price, 100.0, 20.0);
            cell.id = plan.cells[0].id.clone();
            let sent = cell.value(MetricId::RequestThroughput).unwrap();
            let sent = if keeps_up { sent } else { sent * 2.0 };
            with_figure(cell, MetricId::AttemptedRate, sent, None)
        };
        let found = |cells: Vec<CellSummary>| {
            decide(&plan, &Summary { cells, ..Summary::default() }, None).remove(0)
        };
        // 10 and 2.5 requests a second were offered to one engine, and 2.5 are the cheaper ones.
        let cells = vec![at("a", 10, 1.0, true), at("a", 40, 4.0, true)];
        let cells = cells.into_iter().zip([2.0, 1.0]).map(|(cell, price)| {
            with_figure(cell, MetricId::CostPer1mTokens, price, Some((price, price)))
        });
        let summary = Summary { cells: cells.collect(), ..Summary::default() };
        let found_at = decide(&plan, &summary, Some(25.0)).remove(0);
        let capacity = found_at.capacity.unwrap();
        assert_eq!((found_at.best, capacity.n_engines, capacity.is_at_most), (Some(1), 3, true));
        let one = found(vec![at("a", 10, 4.0, true), at("a", 40, 1.0, true)]);
        assert_eq!((one.best, one.runner_up, one.margin), (Some(1), None, None));
        let two = found(vec![at("a", 40, 1.0, true), at("b", 10, 4.0, true)]);
        let margin = two.margin.unwrap();
        assert_eq!((two.runner_up, margin.interval, margin.verdict), (Some(1), None, None));
        assert!(margin.is_offered && (margin.ratio - 4.0).abs() < 1e-9);
        // What fell behind shows what it can do.
        let full = found(vec![at("a", 40, 1.0, true), at("b", 40, 4.0, false)]);
        assert_eq!(full.margin.unwrap().verdict, Some(Verdict::Better));
    }

    #[test]
    fn an_objective_can_be_tightened_down_to_what_the_recommended_cell_has() {
        let mut plan = plan(&["a"]);
        let ms = |millis| Some(Nanos::from_millis(millis));
        plan.cells[0].slo = Some(Slo { ttft: ms(500), tpot: ms(50), e2e: None });
        let mut cell = cell("a", 8, 1.0, 100.0, 20.0);
        cell.id = plan.cells[0].id.clone();
        let p99 = Percentile { p: 99.0, value: Some(123.0), ..Percentile::default() };
        let found = Distribution { percentiles: vec![p99], ..Distribution::default() };
        cell.distributions.insert(MetricId::TtftScheduled, found);
        let found = &decide(&plan, &Summary { cells: vec![cell], ..Summary::default() }, None)[0];
        let slack: Vec<_> = found.slack.iter().map(|it| (it.allowed_ms, it.found_ms)).collect();
        assert_eq!(slack, [(500.0, 123.0)], "TPOT has no p99 here, E2E no limit");
    }

    #[test]
    fn a_missed_gate_takes_a_cell_out_and_an_open_one_is_told() {
        let gate = |cell: &str, outcome| GateResult {
            outcome,
            ..GateResult::missed(cell, "ttft.p99 < 500ms", true, "TTFT p99".to_owned())
        };
        let cells = vec![cell("a", 8, 1.0, 100.0, 20.0), cell("b", 8, 1.01, 100.0, 20.0)];
        let gates = vec![gate("a 8", GateOutcome::Missed), gate("b 8", GateOutcome::Undecided)];
        let found = decided(cells.clone(), gates, None);
        assert_eq!((found.best, found.runner_up, found.better_but), (Some(1), None, Some(0)));
        assert_eq!(found.cells[0].against, ["it misses ttft.p99 < 500ms"]);
        assert_eq!(found.cells[1].undecided, ["ttft.p99 < 500ms"]);
        let taken = GateResult { counts_as_missed: true, ..gate("b 8", GateOutcome::Undecided) };
        let found = decided(cells.clone(), vec![taken], None);
        assert_eq!((found.best, found.cells[1].undecided.len()), (Some(0), 0));
        assert_eq!(found.cells[1].against, ["it misses ttft.p99 < 500ms"]);
        let close = decided(cells, Vec::new(), None);
        assert_ne!(close.margin.unwrap().verdict, Some(Verdict::Better));
    }

    #[test]
    fn an_invalid_cell_is_neither_recommended_nor_runner_up() {
        let mut cells = vec![cell("a", 8, 1.0, 100.0, 20.0), cell("b", 8, 2.0, 100.0, 20.0)];
        let why = "TPOT p50 (1 ms) may be up to 0.2 ms high".to_owned();
        cells[0].validity = Validity::new(CellStatus::Invalid, [why]);
        let found = decided(cells.clone(), Vec::new(), None);
        assert_eq!((found.best, found.runner_up, found.better_but), (Some(1), None, Some(0)));
        let against = "it is INVALID: TPOT p50 (1 ms) may be up to 0.2 ms high";
        assert_eq!(found.cells[0].against, [against]);
        cells.reverse();
        cells.truncate(2);
        cells[0].validity = cells[1].validity.clone();
        let found = decided(cells, Vec::new(), None);
        assert_eq!((found.best, found.better_but), (None, Some(1)));
    }

    #[test]
    fn nothing_is_recommended_where_nothing_may_be_taken() {
        let found = decided(vec![cell("a", 8, 1.0, 50.0, 20.0)], Vec::new(), Some(1.0));
        assert_eq!((found.best, found.margin, found.capacity), (None, None, None));
        assert_eq!(found.better_but, Some(0));
    }
}
