//! How far the load of one alternative can rise: its peak, where it saturates, what it can bear.

use indexmap::{IndexMap, IndexSet};

use crate::metrics::axes::is_load;
use crate::metrics::catalogue::MetricId;
use crate::metrics::compare::Side;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::{CellStatus, CellSummary, Figure, SteadyStatus};

/// Keys of which a higher value is more load, the likeliest first.
const RISING: [&str; 3] = ["concurrency", "rate", "batch"];

/// Share by which output must rise with the load to be called rising at all.
const RISE: f64 = 1.05;

/// Power of the load by which output must rise: doubling the load must bring 19 % more.
const RISE_POWER: f64 = 0.25;

/// One alternative at rising load, all else equal.
#[derive(Clone, Debug)]
pub(crate) struct LoadCurve<'a> {
    /// The key that varies: `concurrency`, `phase.load.rate`.
    pub key: String,
    /// Values of the other keys of the load that tell this curve from the alternative's others.
    pub at: IndexMap<String, String>,
    /// Loads, ascending, with the cell of each.
    pub points: Vec<(f64, &'a CellSummary)>,
}

/// A load and the per cent of its requests that met the objectives.
pub(crate) type Share = (f64, f64);

/// Where output stops rising with the load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Saturation {
    /// From this load on.
    At(f64),
    /// Above the first load, of which the engine answered what was sent, and below the second, of
    /// which it did not; the first is absent where no lower load was answered.
    Between(Option<f64>, f64),
    /// Not up to this load, the highest that was tried.
    Above(f64),
}

/// Returns the curves of an alternative; none where its load does not rise.
pub(crate) fn load_curves<'a>(side: &Side<'a>) -> Vec<LoadCurve<'a>> {
    let keys: IndexSet<&String> = side.cells.iter().flat_map(|cell| cell.keys.keys()).collect();
    let values = |key: &str| -> IndexSet<Option<&String>> {
        side.cells.iter().map(|cell| cell.keys.get(key)).collect()
    };
    let rises = |key: &&&String| {
        let values = values(key);
        let is_number = |value: Option<&String>| value.is_some_and(|it| it.parse::<f64>().is_ok());
        is_load(key) && values.len() > 1 && values.iter().all(|value| is_number(*value))
    };
    let is_of = |name: &str, key: &str| key.rsplit('.').next() == Some(name);
    let found = RISING.iter().find_map(|name| {
        keys.iter().filter(|key| is_of(name, key)).find(|key| rises(key)).map(|key| (*key).clone())
    });
    let Some(rising) = found else { return Vec::new() };
    let others: Vec<&String> =
        keys.iter().copied().filter(|key| **key != rising && values(key).len() > 1).collect();
    let mut curves: IndexMap<Vec<Option<&String>>, LoadCurve<'a>> = IndexMap::new();
    for cell in &side.cells {
        let Some(load) = cell.keys.get(&rising).and_then(|value| value.parse().ok()) else {
            continue;
        };
        let at = others.iter().map(|key| cell.keys.get(*key)).collect();
        let own = |key: &&String| Some(((*key).clone(), cell.keys.get(*key)?.clone()));
        let new = || LoadCurve {
            key: rising.clone(),
            at: others.iter().filter_map(own).collect(),
            points: Vec::new(),
        };
        curves.entry(at).or_insert_with(new).points.push((load, cell.cell));
    }
    let mut curves: Vec<LoadCurve<'a>> = curves.into_values().collect();
    for curve in &mut curves {
        curve.points.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    }
    curves
}

impl LoadCurve<'_> {
    /// Returns the highest output with its load.
    pub(crate) fn peak(&self) -> Option<(f64, Figure)> {
        let of = |figure: &Figure| figure.value.unwrap_or(f64::NEG_INFINITY);
        self.outputs().max_by(|(_, a), (_, b)| of(a).total_cmp(&of(b)))
    }

    /// Returns the lowest load beyond which output hardly rises: no higher load has 5 % more, or
    /// 19 % more for each time that the load doubles. Of a rate that is sent and not answered it is
    /// known that the engine saturates below it. `None` for fewer than two loads.
    pub(crate) fn saturation(&self) -> Option<Saturation> {
        let points: Vec<(f64, f64)> =
            self.outputs().filter_map(|(load, figure)| Some((load, figure.value?))).collect();
        let (last, _) = *points.last().filter(|_| points.len() > 1)?;
        let is_more = |(load, output): (f64, f64), (other, more): (f64, f64)| {
            more / output > RISE.max((other / load).powf(RISE_POWER))
        };
        let mut knees = points
            .iter()
            .enumerate()
            .filter(|(at, point)| !points[at + 1..].iter().any(|higher| is_more(**point, *higher)));
        let (_, (knee, _)) = knees.next()?;
        // What is so near to the highest load could not show that output still rises.
        let is_inside = last / *knee > RISE;
        // There the engine did what it can, whatever the highest load is.
        let is_over =
            |(load, cell): &(f64, &CellSummary)| load <= knee && cell.counts.n_over_saturated() > 0;
        let is_found = is_inside || self.points.iter().any(is_over);
        Some(if let Some(between) = self.unanswered(is_found.then_some(*knee)) {
            between
        } else if is_found {
            Saturation::At(*knee)
        } else {
            Saturation::Above(last)
        })
    }

    /// Returns between which rates the engine saturates, where the knee, or without one the highest
    /// rate, was sent and not answered.
    fn unanswered(&self, knee: Option<f64>) -> Option<Saturation> {
        let is_rate = self.key.rsplit('.').next() == Some("rate");
        let upto = |(load, _): &&(f64, &CellSummary)| knee.is_none_or(|knee| *load <= knee);
        let points: Vec<_> = self.points.iter().filter(upto).filter(|_| is_rate).collect();
        let (_, highest) = points.last()?;
        // Without a knee a short window may just have missed the last answers of long ones.
        let is_queue = knee.is_some() || highest.steady.status == SteadyStatus::NotSteady;
        let is_behind = |cell: &CellSummary| cell.keeps_up() == Some(false);
        if !is_queue || !is_behind(highest) {
            return None;
        }
        let n_answered =
            points.iter().rposition(|(_, cell)| !is_behind(cell)).map_or(0, |at| at + 1);
        let answered = n_answered.checked_sub(1).map(|at| points[at].0);
        Some(Saturation::Between(answered, points[n_answered].0))
    }

    /// Returns the highest load at which `required_pct` of requests met the objectives, and the
    /// lowest at which they did not, each with its share in per cent. A load that met them above
    /// one that missed is taken for luck. `None` where no load has such a share.
    pub(crate) fn objectives(&self, required_pct: f64) -> Option<(Option<Share>, Option<Share>)> {
        // The share rests on the latencies: where one is INVALID, so is it.
        let share = |(load, cell): &(f64, &CellSummary)| {
            let is_known = cell.validity.status != CellStatus::Invalid;
            Some((*load, cell.value(MetricId::GoodputShare).filter(|_| is_known)?))
        };
        let shares: Vec<(f64, f64)> = self.points.iter().filter_map(share).collect();
        let missed = shares.iter().position(|(_, good)| *good < required_pct);
        let met = missed.unwrap_or(shares.len()).checked_sub(1).map(|at| shares[at]);
        (!shares.is_empty()).then(|| (met, missed.map(|at| shares[at])))
    }

    fn outputs(&self) -> impl Iterator<Item = (f64, Figure)> {
        self.points.iter().filter_map(|(load, cell)| {
            let figure = Quantity::figure(MetricId::OutputThroughput).believed(cell)?;
            figure.value.is_some_and(|value| value > 0.0).then_some((*load, figure))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::rc::Rc;

    use super::*;
    use crate::metrics::compare::SideCell;
    use crate::metrics::tests::fixture::{measured_cell, with_figure};

    fn cells(outputs: &[f64], good: &[f64]) -> Vec<CellSummary> {
        let cell = |at: usize| {
            let cell = measured_cell("a", "fp16");
            let cell = match outputs.get(at) {
                Some(output) => with_figure(cell, MetricId::OutputThroughput, *output, None),
                None => cell,
            };
            match good.get(at) {
                Some(good) => with_figure(cell, MetricId::GoodputShare, *good, None),
                None => cell,
            }
        };
        (0..outputs.len().max(good.len())).map(cell).collect()
    }

    fn side<'a>(loads: &[&str], cells: &'a [CellSummary]) -> Side<'a> {
        let cell = |(load, cell): (&&str, &'a CellSummary)| SideCell {
            cell,
            keys: load
                .split(',')
                .filter_map(|pair| pair.split_once('='))
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            constants: BTreeMap::new(),
            load: None,
            length: None,
            counted_by: None,
            asked: Rc::default(),
            launch: String::new(),
        };
        Side { name: "a".to_owned(), cells: loads.iter().zip(cells).map(cell).collect() }
    }

    #[test]
    fn output_saturates_where_more_load_brings_no_more_of_it() {
        let check = |outputs: &[f64], expected: Option<Saturation>| {
            let loads = ["rate=1", "rate=4", "rate=16", "rate=64"];
            let cells = cells(outputs, &[]);
            let curves = load_curves(&side(&loads, &cells));
            assert_eq!(curves.first().and_then(LoadCurve::saturation), expected, "{outputs:?}");
        };
        // A server of 16 slots, then one of 8 that is full between two loads.
        check(&[105.0, 422.0, 1684.0, 1700.0], Some(Saturation::At(16.0)));
        check(&[52.0, 208.0, 417.0, 417.0], Some(Saturation::At(16.0)));
        check(&[50.0, 200.0, 700.0, 2_000.0], Some(Saturation::Above(64.0)));
        check(&[100.0, 99.0, 101.0, 98.0], Some(Saturation::At(1.0)));
        check(&[100.0, 400.0, 300.0, 200.0], Some(Saturation::At(4.0)));
        check(&[100.0], None);
    }

    #[test]
    fn a_load_whose_queue_only_grew_saturates_the_engine_though_it_is_the_highest() {
        let mut cells = cells(&[150.0, 395.0], &[]);
        let saturation = |cells: &[CellSummary]| {
            let curves = load_curves(&side(&["rate=150", "rate=1200"], cells));
            curves[0].saturation()
        };
        assert_eq!(saturation(&cells), Some(Saturation::Above(1_200.0)));
        cells[1].counts.cancelled.insert("over-saturated".to_owned(), 256);
        assert_eq!(saturation(&cells), Some(Saturation::At(1_200.0)));
    }

    #[test]
    fn an_open_loop_saturates_below_a_rate_that_was_not_answered() {
        // A server of two slots that answers 21 requests per second.
        let check = |rates: &[(f64, f64)], n_over: u64, expected| {
            let outputs: Vec<f64> = rates.iter().map(|(_, answered)| answered * 16.0).collect();
            let mut cells = cells(&outputs, &[]);
            for (cell, (sent, answered)) in cells.iter_mut().zip(rates) {
                let with = with_figure(cell.clone(), MetricId::AttemptedRate, *sent, None);
                *cell = with_figure(with, MetricId::RequestThroughput, *answered, None);
            }
            let last = cells.last_mut().unwrap();
            last.counts.cancelled.insert("over-saturated".to_owned(), n_over);
            last.steady.status = SteadyStatus::NotSteady;
            let loads: Vec<String> = rates.iter().map(|(sent, _)| format!("rate={sent}")).collect();
            let loads: Vec<&str> = loads.iter().map(String::as_str).collect();
            assert_eq!(load_curves(&side(&loads, &cells))[0].saturation(), expected, "{rates:?}");
        };
        let between = |low, high| Some(Saturation::Between(low, high));
        check(&[(5.0, 5.0), (200.0, 21.0)], 878, between(Some(5.0), 200.0));
        let four = [(5.0, 5.0), (15.0, 15.0), (30.0, 21.0), (200.0, 21.0)];
        check(&four, 878, between(Some(15.0), 30.0));
        check(&four[..3], 0, between(Some(15.0), 30.0));
        check(&four[2..], 0, between(None, 30.0));
        check(&four[..2], 0, Some(Saturation::Above(15.0)));
    }

    #[test]
    fn near_loads_do_not_hide_that_output_rises() {
        let loads: Vec<String> = (16..32).map(|load| format!("concurrency={load}")).collect();
        let loads: Vec<&str> = loads.iter().map(String::as_str).collect();
        let outputs: Vec<f64> = (16..32).map(f64::from).collect();
        let cells = cells(&outputs, &[]);
        let curves = load_curves(&side(&loads, &cells));
        assert_eq!(curves[0].saturation(), Some(Saturation::Above(31.0)));
        assert_eq!(curves[0].peak().map(|(load, _)| load), Some(31.0));
    }

    #[test]
    fn objectives_are_met_up_to_the_first_load_that_misses_them() {
        let check = |good: &[f64], expected| {
            let loads = ["rate=20", "rate=80", "rate=160", "rate=320"];
            let cells = cells(&[1.0; 4], good);
            let found = load_curves(&side(&loads, &cells))[0].objectives(99.0);
            assert_eq!(found, expected, "{good:?}");
        };
        let at = |load, good| Some((load, good));
        check(&[100.0, 99.5, 60.0, 99.0], Some((at(80.0, 99.5), at(160.0, 60.0))));
        check(&[100.0, 99.5, 99.0, 99.0], Some((at(320.0, 99.0), None)));
        check(&[10.0, 9.0, 8.0, 7.0], Some((None, at(20.0, 10.0))));
        check(&[], None);
    }

    #[test]
    fn what_else_the_load_sweeps_parts_curves() {
        let cells = cells(&[1.0, 2.0, 3.0, 4.0], &[]);
        let loads = ["rate=1,max-tokens=8", "rate=2,max-tokens=8", "rate=1,max-tokens=9", "rate=2"];
        let curves = load_curves(&side(&loads, &cells));
        let sizes: Vec<usize> = curves.iter().map(|curve| curve.points.len()).collect();
        assert_eq!(sizes, [2, 1, 1]);
        assert_eq!(curves[0].at["max-tokens"], "8");
        let loads = ["dataset=a", "dataset=b", "dataset=c", "dataset=d"];
        assert!(load_curves(&side(&loads, &cells)).is_empty());
    }
}
