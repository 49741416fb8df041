//! What the bounds of numbers mean: which of them are narrow enough, and what is said of the
//! others.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::metrics::catalogue::{MetricId, MetricKey};
use crate::metrics::latencies::OpenEnds;
use crate::metrics::quantity::{Quantity, Statistic};
use crate::metrics::summary::{CellSummary, Distribution, Figure, NumberState};
use crate::plan::cell::ValidityLimits;
use crate::units::decimals_for;

/// The numbers of the main table that a cell stands or falls with. Latencies from the schedule
/// have states of their own: late sends are in them on purpose.
const JUDGED: [Quantity; 7] = [
    Quantity::figure(MetricId::OutputThroughput),
    Quantity::figure(MetricId::RequestThroughput),
    Quantity::percentile(MetricId::Ttft, 50.0),
    Quantity::percentile(MetricId::Ttft, 99.0),
    Quantity::percentile(MetricId::Tpot, 50.0),
    Quantity::percentile(MetricId::E2e, 50.0),
    Quantity::percentile(MetricId::E2e, 99.0),
];

/// Unit of the numbers that are lengths of time of the scale that the limit in time is meant for.
const MILLIS: &str = "ms";

/// What the stamps of two kernels' sides of one hand-over may differ by, however quick bench is: the
/// soft interrupt that delivers a segment may run a little after the write that sent it. Seen over
/// loopback: up to 0.013 ms.
pub(crate) const RESOLUTION_MS: f64 = 0.02;

/// The upper end of a bound that nothing limits; files say `null`.
pub(crate) const UNLIMITED: f64 = f64::MAX;

/// Two ends as files have them: the upper is `null` where nothing limits it, as JSON has no infinity.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub(crate) struct Ends(f64, Option<f64>);

impl From<(f64, f64)> for Ends {
    fn from((low, high): (f64, f64)) -> Self {
        Self(low, (!is_unlimited(high)).then_some(high))
    }
}

impl From<Ends> for (f64, f64) {
    fn from(Ends(low, high): Ends) -> Self {
        (low, high.unwrap_or(UNLIMITED))
    }
}

/// Writes and reads an interval as [`Ends`].
pub(crate) mod optional_ends {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use super::Ends;

    pub(crate) fn serialize<E, S>(ends: &E, serializer: S) -> Result<S::Ok, S::Error>
    where
        E: Copy + Into<Option<(f64, f64)>>,
        S: Serializer,
    {
        let ends: Option<(f64, f64)> = (*ends).into();
        ends.map(Ends::from).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<(f64, f64)>, D::Error> {
        Ok(Option::<Ends>::deserialize(deserializer)?.map(Into::into))
    }
}

/// Of a bound as wide as so many times its number the share says nothing.
const WIDTHS_TOLD: f64 = 10.0;

/// Whether nothing limits the upper end of a bound, or of one that was divided by some count. Samples
/// are kept in single precision, so that theirs end below 1e39.
pub(crate) fn is_unlimited(high: f64) -> bool {
    high > 1e30
}

/// Whether a number is the least that its quantity can be: what nobody waited for to its end is in it
/// at the time that it had waited.
pub(crate) fn is_lower_bound(quantity: &Quantity, figure: &Figure) -> bool {
    // The value of a figure lies within its bound.
    quantity.statistic != Statistic::Value
        && figure.bound.is_some_and(|(_, high)| is_unlimited(high))
}

/// Returns what a bound means for its value.
pub(crate) fn state(
    limits: &ValidityLimits,
    value: f64,
    (low, high): (f64, f64),
    unit: &str,
) -> NumberState {
    let width = high - low;
    let is_short = unit == MILLIS && width <= limits.ok_time.as_millis_f64();
    if is_short || width <= limits.ok_share * value.abs() {
        NumberState::Ok
    } else if width <= limits.doubtful_share * value.abs() {
        NumberState::Doubtful
    } else {
        NumberState::Invalid
    }
}

/// Sets the state of every number that has a bound.
pub(crate) fn judge(
    limits: &ValidityLimits,
    figures: &mut BTreeMap<MetricKey, Figure>,
    distributions: &mut BTreeMap<MetricId, Distribution>,
) {
    let of = |value: Option<f64>, bound: Option<(f64, f64)>, unit: &str| {
        Some(state(limits, value?, bound?, unit))
    };
    for figure in figures.values_mut() {
        figure.state = of(figure.value, figure.bound, figure.unit);
    }
    for found in distributions.values_mut().filter(|found| found.unit == MILLIS) {
        let resolved =
            |(low, high): (f64, f64)| ((low - RESOLUTION_MS).max(0.0), high + RESOLUTION_MS);
        found.mean_bound = found.mean_bound.map(resolved);
        for at in &mut found.percentiles {
            at.bound = at.bound.map(resolved);
        }
    }
    for found in distributions.values_mut() {
        found.mean_state = of(found.mean, found.mean_bound, found.unit);
        for at in &mut found.percentiles {
            at.state = of(at.value, at.bound, found.unit);
        }
    }
}

/// Widens the bounds of a distribution to those of another, of which it is known that the numbers
/// are not worse than `worst` for it, however wide the bounds are.
fn widen(
    limits: &ValidityLimits,
    found: &mut Distribution,
    wide: &Distribution,
    worst: NumberState,
) {
    let wider = |value: Option<f64>, bound: Option<(f64, f64)>, wide: Option<(f64, f64)>| {
        let ((low, high), (least, most)) = (bound?, wide?);
        let bound = (low.min(least), high.max(most));
        Some((bound, state(limits, value?, bound, found.unit).min(worst)))
    };
    if let Some((bound, state)) = wider(found.mean, found.mean_bound, wide.mean_bound) {
        (found.mean_bound, found.mean_state) = (Some(bound), found.mean_state.max(Some(state)));
    }
    let widened: Vec<_> = (found.percentiles.iter().zip(&wide.percentiles))
        .map(|(at, wide)| wider(at.value, at.bound, wide.bound))
        .collect();
    for (at, widened) in found.percentiles.iter_mut().zip(widened) {
        if let Some((bound, state)) = widened {
            (at.bound, at.state) = (Some(bound), at.state.max(Some(state)));
        }
    }
}

/// Widens the bounds of latencies to what they can be with the requests that a phase left waiting as
/// it was ended, since its queue only grew.
///
/// A lower bound is what can be known of requests that an engine never answered: a doubt, and no
/// fault of the instrument.
pub(crate) fn widen_by_cut(
    limits: &ValidityLimits,
    distributions: &mut BTreeMap<MetricId, Distribution>,
    open: &OpenEnds,
) {
    let wider = |value: Option<f64>, bound: Option<(f64, f64)>, cut: Option<(f64, f64)>| {
        let (value, (low, high)) = (value?, cut?);
        let (low, high) = bound.map_or((low, high), |it| (it.0.min(low), it.1.max(high)));
        let bound = (low, if is_unlimited(high) { UNLIMITED } else { high });
        Some((bound, state(limits, value, bound, MILLIS).min(NumberState::Doubtful)))
    };
    for (metric, cut) in &open.cut {
        let Some(found) = distributions.get_mut(metric) else { continue };
        // Of what was cut off its wait alone is known: the longest is no most, nor is a spread one.
        (found.min, found.max, found.std) = (cut.min, None, None);
        if let Some((bound, state)) = wider(found.mean, found.mean_bound, cut.mean_bound) {
            (found.mean_bound, found.mean_state) = (Some(bound), found.mean_state.max(Some(state)));
        }
        for (at, cut) in found.percentiles.iter_mut().zip(&cut.percentiles) {
            let Some((bound, state)) = wider(at.value, at.bound, cut.bound) else { continue };
            if at.bound.is_none_or(|(_, high)| high < bound.1) {
                // Ranks among values that are at least so much are no ends of an interval.
                (at.interval, at.with_failures) = (None, None);
            }
            (at.bound, at.state) = (Some(bound), at.state.max(Some(state)));
        }
    }
}

/// Widens the bounds of TPOT by the streams of which bench saw too little.
///
/// Why bench looked late has nothing to do with how fast a stream was, so those that it saw speak
/// for the others: the numbers are doubtful, with what they could be if those did not.
pub(crate) fn widen_by_unseen(limits: &ValidityLimits, tpot: &mut Distribution, open: &OpenEnds) {
    if let Some(with_unseen) = &open.with_unseen {
        widen(limits, tpot, with_unseen, NumberState::Doubtful);
    }
}

/// Widens the bounds of TPOT to what it can be where nobody says how many tokens came first.
///
/// What nobody counted, or a proxy held back, makes a number doubtful, however wide the bound: the
/// instrument did not fail, and the bound says what is known.
pub(crate) fn widen_by_uncounted(
    limits: &ValidityLimits,
    tpot: &mut Distribution,
    open: &OpenEnds,
) {
    if let Some(most) = &open.most {
        widen(limits, tpot, most, NumberState::Doubtful);
    }
}

/// Returns what a bound leaves open, in the number's own unit: `TTFT p99 (82.1 ms) may be up to
/// 1.3 ms high, 1.6 %`. The share is that of the whole width, which decides over the state. Nothing
/// of a number that is ok or has no bound.
pub(crate) fn told(quantity: &Quantity, figure: &Figure) -> Option<String> {
    let (value, (low, high)) = (figure.value?, figure.bound?);
    if figure.state? == NumberState::Ok {
        return None;
    }
    let unit = figure.unit;
    let number = |number: f64| format!("{} {unit}", brief(number));
    let sides = [(value - low, "high"), (high - value, "low")];
    let resolution = if unit == MILLIS { RESOLUTION_MS } else { 0.0 };
    // Halves of a thousandth are of the subtraction.
    let open = sides.iter().filter(|(open, _)| *open > resolution * 1.0005);
    let open: Vec<_> = open.filter(|(open, _)| !is_unlimited(*open)).collect();
    let percent = |width: f64| format!("{:.1} %", width / value.abs() * 100.0);
    let width = percent(high - low);
    let is_all = matches!(open[..], [(open, _)] if percent(*open) == width);
    let width = if (high - low) / value.abs() < WIDTHS_TOLD {
        format!(", {width}{}", if is_all { "" } else { " in all" })
    } else {
        String::new()
    };
    let mut open: Vec<String> =
        open.into_iter().map(|(open, side)| format!("{} {side}", number(*open))).collect();
    if let Some(first) = open.first_mut() {
        first.insert_str(0, "up to ");
    }
    if is_unlimited(high) {
        open.push("low by any amount".to_owned());
    }
    let (name, value) = (quantity.label(), number(value));
    Some(format!("{name} ({value}) may be {}{width}", open.join(" or ")))
}

/// Returns what is said of the numbers that a cell stands or falls with and that are in a state.
pub(crate) fn reasons(
    limits: &ValidityLimits,
    cell: &CellSummary,
    state: NumberState,
) -> Vec<String> {
    let limit = match state {
        NumberState::Ok | NumberState::Doubtful => limits.ok_share,
        NumberState::Invalid => limits.doubtful_share,
    };
    JUDGED
        .into_iter()
        .filter_map(|quantity| {
            let figure = quantity.read(cell).filter(|figure| figure.state == Some(state))?;
            told(&quantity, &figure)
        })
        .map(|told| format!("{told}; limit {} %", brief(limit * 100.0)))
        .collect()
}

/// Prints three significant digits, and no zeros behind them.
fn brief(value: f64) -> String {
    let decimals = decimals_for(value, 3);
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::fixture::{limits, measured_cell, with_figure};

    #[test]
    fn a_bound_is_held_against_its_number_and_against_what_nobody_sees() {
        use NumberState::{Doubtful, Invalid, Ok};
        let check = |value, bound, unit, expected| {
            assert_eq!(state(&limits(), value, bound, unit), expected, "{value} {bound:?} {unit}");
        };
        check(50.0, (49.5, 50.0), "ms", Ok);
        check(50.0, (49.4, 50.0), "ms", Doubtful);
        check(50.0, (44.9, 50.0), "ms", Invalid);
        check(0.5, (0.41, 0.5), "ms", Ok);
        check(0.0, (0.0, 0.05), "ms", Ok);
        check(0.0, (0.0, 0.2), "ms", Invalid);
        check(100.0, (100.0, 101.0), "tok/s", Ok);
        check(0.5, (0.41, 0.5), "req/s", Invalid);
    }

    #[test]
    fn an_open_number_is_told_in_its_own_unit() {
        let told = |value, bound, unit: &'static str, state| {
            let (value, bound, state) = (Some(value), Some(bound), Some(state));
            let figure = Figure { value, unit, bound, state, ..Figure::default() };
            super::told(&Quantity::percentile(MetricId::Ttft, 99.0), &figure)
        };
        let doubtful = NumberState::Doubtful;
        assert_eq!(
            told(82.1, (80.8, 82.1), "ms", doubtful).unwrap(),
            "TTFT p99 (82.1 ms) may be up to 1.3 ms high, 1.6 %"
        );
        assert_eq!(
            told(1_200.0, (1_190.0, 1_260.0), "tok/s", doubtful).unwrap(),
            "TTFT p99 (1200 tok/s) may be up to 10 tok/s high or 60 tok/s low, 5.8 % in all"
        );
        assert_eq!(told(82.1, (80.8, 82.1), "ms", NumberState::Ok), None);
        // The resolution, which is on both sides of any time, is a part of what decides.
        assert_eq!(
            told(1.0, (0.914, 1.02), "ms", NumberState::Invalid).unwrap(),
            "TTFT p99 (1 ms) may be up to 0.086 ms high, 10.6 % in all"
        );
        let invalid = NumberState::Invalid;
        assert_eq!(
            told(1_200.0, (1_190.0, UNLIMITED), "tok/s", invalid).unwrap(),
            "TTFT p99 (1200 tok/s) may be up to 10 tok/s high or low by any amount"
        );
        assert_eq!(
            told(1_200.0, (1_200.0, UNLIMITED), "tok/s", invalid).unwrap(),
            "TTFT p99 (1200 tok/s) may be low by any amount"
        );
    }

    #[test]
    fn a_cell_stands_or_falls_with_the_numbers_of_its_main_table() {
        let mut cell = measured_cell("a", "fp16");
        let mut figures = BTreeMap::new();
        for metric in [MetricId::OutputThroughput, MetricId::PromptThroughput] {
            cell = with_figure(cell, metric, 100.0, None);
            let bound = Some((100.0, 120.0));
            let figure = Figure { bound, ..cell.figure(metric).unwrap().clone() };
            figures.insert(metric.into(), figure);
        }
        judge(&limits(), &mut figures, &mut BTreeMap::new());
        cell.figures = figures.into_iter().collect();
        assert_eq!(
            reasons(&limits(), &cell, NumberState::Invalid),
            ["output throughput (100 tok/s) may be up to 20 tok/s low, 20.0 %; limit 10 %"]
        );
        assert!(reasons(&limits(), &cell, NumberState::Doubtful).is_empty());
    }

    #[test]
    fn what_nobody_counted_is_doubtful_at_most() {
        let distribution = |value: f64| {
            let mut samples = crate::metrics::distribution::Samples::default();
            (0..100).for_each(|_| samples.push_within(value, Some((value, value))));
            samples.distribution("ms", 0, None)
        };
        let mut found = BTreeMap::from([(MetricId::Tpot, distribution(10.0))]);
        judge(&limits(), &mut BTreeMap::new(), &mut found);
        let tpot = found.get_mut(&MetricId::Tpot).unwrap();
        assert_eq!(tpot.percentiles[0].state, Some(NumberState::Ok));
        let open = OpenEnds { most: Some(distribution(40.0)), ..OpenEnds::default() };
        widen_by_uncounted(&limits(), tpot, &open);
        let median = &tpot.percentiles[0];
        assert_eq!((median.bound, median.state), (Some((9.98, 40.0)), Some(NumberState::Doubtful)));
    }

    #[test]
    fn streams_that_bench_did_not_see_are_doubts() {
        let check = |n_unseen: usize, expected| {
            let mut samples = crate::metrics::distribution::Samples::default();
            (0..100).for_each(|_| samples.push_within(10.0, Some((10.0, 10.0))));
            (0..n_unseen).for_each(|_| samples.push_unseen((0.0, 500.0)));
            let open = OpenEnds {
                n_unseen: samples.n_unseen(),
                with_unseen: samples.with_unseen().map(|all| all.distribution("ms", 0, None)),
                ..OpenEnds::default()
            };
            let tpot = samples.distribution("ms", 0, None);
            let mut found = BTreeMap::from([(MetricId::Tpot, tpot)]);
            judge(&limits(), &mut BTreeMap::new(), &mut found);
            let tpot = found.get_mut(&MetricId::Tpot).unwrap();
            widen_by_unseen(&limits(), tpot, &open);
            let states = [50.0, 90.0].map(|p| tpot.percentile(p).unwrap().state.unwrap());
            assert_eq!(states, expected, "{n_unseen} unseen");
        };
        check(0, [NumberState::Ok, NumberState::Ok]);
        check(20, [NumberState::Ok, NumberState::Doubtful]);
        check(99, [NumberState::Ok, NumberState::Doubtful]);
    }
}
