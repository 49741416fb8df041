//! Alternatives against a baseline, cell by cell and quantity by quantity: ratio, interval, verdict.

pub(crate) mod gates;
mod matching;
mod not_shown;
pub(crate) mod sides;
mod verdicts;

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::metrics::bounds::{UNLIMITED, is_unlimited, optional_ends};
use crate::metrics::catalogue::MetricId;
use crate::metrics::compare::matching::Alone;
pub(crate) use crate::metrics::compare::matching::{Side, SideCell};
pub(crate) use crate::metrics::compare::not_shown::{NotShown, not_shown};
use crate::metrics::compare::verdicts::Drafted;
pub(crate) use crate::metrics::compare::verdicts::OFFERED;
use crate::metrics::condition::Subject;
use crate::metrics::per_trial;
use crate::metrics::quantity::{Quantity, Statistic};
use crate::metrics::summary::{Caveat, CellStatus, CellSummary, GateResult, Note};
use crate::plan::CompareSpec;
use crate::score::pair::PairedAccuracy;
use crate::stats::verdict::{EQUIVALENCE_MARGIN, Verdict};

/// Chance of error that the verdicts of a comparison share, where nobody says another.
const FAMILY_ALPHA: f64 = 0.01;

/// Whether a quantity is compared where nobody asks for all.
pub(crate) fn is_main(quantity: &Quantity) -> bool {
    match quantity.id() {
        MetricId::OutputThroughput | MetricId::Accuracy | MetricId::LoadTime => true,
        MetricId::Ttft => {
            [Statistic::Percentile(50.0), Statistic::Percentile(99.0)].contains(&quantity.statistic)
        }
        MetricId::Tpot | MetricId::E2e => quantity.statistic == Statistic::Percentile(50.0),
        _ => false,
    }
}

/// Whether a quantity is a rate over the whole run. Other tools know no measured window; runs of
/// `bench` are compared by it instead.
pub(crate) const fn is_of_whole_run(quantity: &Quantity) -> bool {
    matches!(
        quantity.id(),
        MetricId::RequestThroughputWhole
            | MetricId::OutputThroughputWhole
            | MetricId::TotalThroughputWhole
    )
}

/// Version of the form in which a comparison is written.
pub(crate) const COMPARISON_FORMAT: u32 = 1;

/// What verdicts are held to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rules {
    /// Chance that any verdict of a comparison calls a difference that is not there.
    pub alpha: f64,
    /// Share by which figures may differ and still be equivalent; of accuracies the difference.
    pub margin: f64,
}

impl Rules {
    /// Returns what a scenario asks for, and what holds where it asks for nothing.
    pub(crate) fn of(asked: Option<CompareSpec>) -> Self {
        let asked = asked.unwrap_or_default();
        Self {
            alpha: asked.alpha.unwrap_or(FAMILY_ALPHA),
            margin: asked.margin.unwrap_or(EQUIVALENCE_MARGIN),
        }
    }
}

/// Alternatives compared with a baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Comparison {
    /// [`COMPARISON_FORMAT`].
    pub format: u32,
    /// Chance that any verdict calls a difference that is not there.
    pub alpha: f64,
    /// Share within which figures are equivalent.
    pub margin: f64,
    /// Verdicts that share `alpha`: rows with more than one trial on both sides, and accuracies.
    pub n_judged: u64,
    /// Level of each interval: one minus `alpha` over `n_judged` (Bonferroni).
    pub level: f64,
    /// Names of what is compared, the baseline first.
    pub sides: Vec<String>,
    /// Pairs of cells, in the order of the baseline's cells, for each side after the first.
    pub cells: Vec<ComparedCells>,
    /// Cells that have no counterpart on the baseline's side, or on another one.
    pub unmatched: Vec<Place>,
    /// Files of sides that are no part of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// Numbers that both sides have and no row shows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_shown: Vec<NotShown>,
    /// What else differs between sides: versions, commands, data, machine.
    pub differences: Vec<Difference>,
    /// What became of each `--fail-if` in each pair.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateResult>,
}

/// A cell of a side that another has no counterpart of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Place {
    /// Index of the side.
    pub side: usize,
    /// Name of the cell.
    pub cell: String,
    /// Index of the side that has no counterpart.
    #[serde(default)]
    pub other: usize,
    /// What is said of its load, is no part of its name, and is otherwise on the other side.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub load: IndexMap<String, String>,
}

/// A file of a side that is no part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LeftOut {
    /// Index of the side.
    pub side: usize,
    /// The file, and why.
    pub what: String,
}

/// A setting that is not the same on all sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Difference {
    /// Index of the side that differs from the baseline.
    pub side: usize,
    /// What differs: `engine version`, `CPU`, `request.max-tokens`.
    pub what: String,
    /// Its value in the baseline; empty where it has none.
    pub baseline: String,
    /// Its value in the other.
    pub candidate: String,
}

/// Two cells compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ComparedCells {
    /// Index of the side that is compared with the baseline.
    pub side: usize,
    /// Keys that tell this pair from the others of the side.
    pub keys: IndexMap<String, String>,
    /// Name of the baseline's cell.
    pub baseline: String,
    /// Name of the other.
    pub candidate: String,
    /// Why their numbers are not compared; absent where they are.
    pub not_compared: Option<String>,
    /// Whether the other cell failed or did not come to its end, and the baseline's did.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_lost: bool,
    /// Whether it is lost for not having come to its end: nobody failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_incomplete: bool,
    /// One per quantity that both have, in the order of documents.
    pub rows: Vec<Compared>,
    /// Doubts about either cell's numbers, where they are compared.
    pub doubts: Vec<Doubt>,
}

/// A doubt about one side's numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Doubt {
    /// Index of the side.
    pub side: usize,
    /// The doubt.
    pub caveat: Caveat,
}

/// One quantity of two cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Compared {
    /// What is compared: `output_throughput`, `ttft.p50`.
    pub quantity: Quantity,
    /// Unit of both values.
    pub unit: Note,
    /// Value of the baseline.
    pub baseline: Sample,
    /// Value of the other.
    pub candidate: Sample,
    /// Extractor of an accuracy, where it is not the first on both sides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extractor: Option<String>,
    /// Whether `change` and `interval` are ratios or differences.
    pub scale: Scale,
    /// The other over the baseline, or minus it.
    pub change: f64,
    /// Interval of the change at the comparison's level; absent when one trial is all there is.
    #[serde(default, with = "optional_ends")]
    pub interval: Option<(f64, f64)>,
    /// Two-sided p-value of no change, not corrected for the number of verdicts.
    pub p_value: Option<f64>,
    /// What follows for the other side.
    pub verdict: Verdict,
    /// Trials of each side that would decide with a chance of 80 %, where nothing is decided, a
    /// spread between trials is known and a thousand would do.
    pub n_to_decide: Option<u64>,
    /// Estimator of the interval, or the reason of its absence.
    pub note: Note,
}

impl Compared {
    /// Returns the name of what is compared, for people.
    pub(crate) fn label(&self) -> String {
        let by = self.extractor.clone().map(Subject::AccuracyBy);
        by.map_or_else(|| self.quantity.label(), |by| by.label())
    }

    /// Returns the name of what is compared, for programs: `ttft.p50`, `accuracy.flexible`.
    pub(crate) fn tag(&self) -> String {
        let by = self.extractor.as_ref();
        by.map_or_else(|| self.quantity.to_string(), |by| format!("{}.{by}", self.quantity))
    }

    /// Returns the same seen from the other side: what the baseline is to the other.
    #[must_use]
    pub(crate) fn turned(&self) -> Self {
        let turn = |value: f64| match self.scale {
            Scale::Ratio if is_unlimited(value) => 0.0,
            Scale::Ratio => (1.0 / value).min(UNLIMITED),
            Scale::Points | Scale::Difference => -value,
        };
        Self {
            baseline: self.candidate,
            candidate: self.baseline,
            change: turn(self.change),
            interval: self.interval.map(|(low, high)| (turn(high), turn(low))),
            verdict: match self.verdict {
                Verdict::Better => Verdict::Worse,
                Verdict::Worse => Verdict::Better,
                same => same,
            },
            ..self.clone()
        }
    }
}

/// One side's value of a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sample {
    /// The number that tables have: of several trials that of all answers and all their time. Of a cell
    /// that has it by trial alone the geometric mean over trials, or the arithmetic one where a trial of
    /// either side has 0; of an accuracy the share of correct items in per cent.
    pub value: f64,
    /// Deviation between trials as a share of the value: the noise of repeating a cell.
    pub spread: Option<f64>,
    /// Trials or starts; of an accuracy the items.
    pub n: u64,
    /// Whether the value is the least that it can be: what nobody waited for to its end is in it at the
    /// time that it had waited.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_least: bool,
}

impl Sample {
    /// Returns a share of so many items, in per cent.
    const fn of_items(value: f64, n: u64) -> Self {
        Self { value, spread: None, n, is_least: false }
    }
}

/// How a change is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scale {
    /// A ratio.
    Ratio,
    /// A difference in percentage points.
    Points,
    /// A difference in the unit of the quantity, where a trial has 0: then there is no ratio.
    Difference,
}

/// Finds how the answers of two cells to the same items compare, by their names on both sides.
pub(crate) type PairItems<'f> = &'f dyn Fn(usize, &str, &str) -> Option<PairedAccuracy>;

/// Compares every side with the first, by the quantities for which `is_asked`.
///
/// All verdicts share `rules.alpha`, however many cells, sides and quantities there are.
/// `pair_items` gives the paired accuracy of a side's cell and the baseline's, where both answered
/// the same items.
pub(crate) fn compare(
    sides: &[Side<'_>],
    is_asked: &dyn Fn(&Quantity) -> bool,
    pair_items: PairItems<'_>,
    rules: Rules,
) -> Comparison {
    let mut unmatched = Vec::new();
    let mut drafts = Vec::new();
    let mut started = BTreeSet::new();
    let (baseline, others) = sides.split_first().expect("a comparison has a baseline");
    for (side, candidate) in (1..).zip(others) {
        let matched = matching::matched(baseline, candidate);
        let place = |side, other| {
            move |alone: Alone<'_>| {
                let load = alone.load.into_iter().collect();
                Place { side, cell: alone.cell.name.clone(), other, load }
            }
        };
        unmatched.extend(matched.only_baseline.into_iter().map(place(0, side)));
        unmatched.extend(matched.only_candidate.into_iter().map(place(side, 0)));
        for pair in matched.pairs {
            let of_baseline = || Some(format!("the baseline's {}", not_compared(pair.baseline)?));
            let not_compared = of_baseline().or_else(|| not_compared(pair.candidate));
            // Cells that differ in load alone share their engines' starts: these count once.
            let is_compared = not_compared.is_none();
            let is_first = is_compared
                && !is_same_start(pair.baseline, pair.candidate)
                && started.insert((side, pair.launches.clone()));
            let is_asked =
                |it: &Quantity| is_asked(it) && (is_first || it.id() != MetricId::LoadTime);
            let paired = |one: &str, other: &str| pair_items(side, one, other);
            let rows =
                if is_compared { verdicts::drafted(&pair, &is_asked, &paired) } else { Vec::new() };
            let cells = ComparedCells {
                side,
                keys: pair.keys,
                baseline: pair.baseline.name.clone(),
                candidate: pair.candidate.name.clone(),
                not_compared,
                is_lost: is_lost(pair.baseline, pair.candidate),
                is_incomplete: is_lost(pair.baseline, pair.candidate)
                    && pair.candidate.validity.status == CellStatus::Incomplete,
                rows: Vec::new(),
                doubts: [(0, pair.baseline), (side, pair.candidate)]
                    .into_iter()
                    .filter(|_| is_compared)
                    .flat_map(|(side, cell)| doubts(side, cell))
                    .collect(),
            };
            drafts.push((cells, rows));
        }
    }
    let n_judged = drafts.iter().flat_map(|(_, rows)| rows).filter(|row| row.is_judged()).count();
    let level = 1.0 - rules.alpha / n_judged.max(1) as f64;
    let judged = |(cells, rows): (ComparedCells, Vec<Drafted>)| ComparedCells {
        rows: rows.into_iter().map(|row| row.judged(level, rules.margin)).collect(),
        ..cells
    };
    Comparison {
        format: COMPARISON_FORMAT,
        alpha: rules.alpha,
        margin: rules.margin,
        n_judged: n_judged as u64,
        level,
        sides: sides.iter().map(|side| side.name.clone()).collect(),
        cells: drafts.into_iter().map(judged).collect(),
        unmatched,
        left_out: Vec::new(),
        not_shown: Vec::new(),
        differences: Vec::new(),
        gates: Vec::new(),
    }
}

/// Judges one quantity of two cells by their trials, with an interval of a level; `None` where
/// either lacks it or has an INVALID one.
pub(crate) fn judged(
    quantity: Quantity,
    [baseline, candidate]: [&CellSummary; 2],
    level: f64,
    margin: f64,
) -> Option<Compared> {
    Some(verdicts::of_trials(quantity, baseline, candidate)?.judged(level, margin))
}

/// Whether one engine's starts serve both cells: to the last digit no other takes as long.
pub(crate) fn is_same_start(one: &CellSummary, other: &CellSummary) -> bool {
    let times = |cell| per_trial::values(cell, &Quantity::figure(MetricId::LoadTime));
    !times(one).is_empty() && times(one) == times(other)
}

/// Says why the numbers of a cell are not compared.
fn not_compared(cell: &CellSummary) -> Option<String> {
    if cell.takes_part() {
        return None;
    }
    let how = match cell.validity.status {
        CellStatus::Failed => "failed".to_owned(),
        CellStatus::Skipped => "was skipped".to_owned(),
        status => format!("is {}", status.word()),
    };
    let reasons = cell.validity.reasons.join("; ");
    let colon = if reasons.is_empty() { "" } else { ": " };
    Some(format!("{} {how}{colon}{reasons}", cell.name))
}

/// Whether a cell was measured and its counterpart came to nothing. One that a machine cannot run, or
/// whose load was not what was asked for, says nothing of what is compared.
fn is_lost(baseline: &CellSummary, candidate: &CellSummary) -> bool {
    let status = candidate.validity.status;
    baseline.takes_part() && matches!(status, CellStatus::Failed | CellStatus::Incomplete)
}

/// Returns the doubts about a cell, the first of which is that its numbers have bounds that matter.
fn doubts(side: usize, cell: &CellSummary) -> impl Iterator<Item = Doubt> {
    let status = cell.validity.status;
    let advice = match status {
        CellStatus::Doubtful => Some("Differences of that size may be bench's own."),
        CellStatus::Invalid => Some("These numbers are not compared; the others are."),
        _ => None,
    };
    let bounds = advice.map(|advice| Caveat {
        code: status.word().into(),
        what: cell.validity.reasons.join("; ").into(),
        advice: advice.into(),
        metrics: Vec::new(),
    });
    bounds.into_iter().chain(cell.caveats.clone()).map(move |caveat| Doubt { side, caveat })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::rc::Rc;

    use super::*;
    use crate::metrics::summary::{
        Distribution, Figure, GateOutcome, NumberState, Percentile, Validity,
    };
    use crate::metrics::tests::fixture::{measured_cell, with_accuracy, with_figure};
    use crate::record::event::{LoadTimeline, PageCache};
    use crate::scenario::spec::Undecided;
    use crate::score::Accuracy;
    use crate::units::Nanos;

    const RULES: Rules = Rules { alpha: 0.01, margin: 0.02 };

    fn cell(name: &str, ttft_ms: &[f64]) -> CellSummary {
        let mut cell = measured_cell(name, "fp16");
        cell.n_trials = ttft_ms.len() as u32;
        cell.trials.insert(Quantity::percentile(MetricId::Ttft, 50.0), ttft_ms.to_vec());
        cell
    }

    fn side<'a>(name: &str, cells: &'a [CellSummary]) -> Side<'a> {
        let cells = cells.iter().map(|cell| SideCell {
            cell,
            keys: IndexMap::from([("rate".to_owned(), cell.name.clone())]),
            constants: BTreeMap::new(),
            load: None,
            length: None,
            counted_by: None,
            asked: Rc::default(),
            launch: String::new(),
        });
        Side { name: name.to_owned(), cells: cells.collect() }
    }

    fn compared(baseline: &[CellSummary], candidate: &[CellSummary]) -> Comparison {
        let sides = [side("old", baseline), side("new", candidate)];
        compare(&sides, &|_| true, &|_, _, _| None, RULES)
    }

    fn gated(
        condition: &str,
        baseline: &[CellSummary],
        candidate: &[CellSummary],
    ) -> Vec<GateResult> {
        let sides = [side("old", baseline), side("new", candidate)];
        let conditions = [condition.to_owned()];
        gates::judge(&compared(baseline, candidate), &sides, &conditions, Undecided::Pass)
    }

    #[test]
    fn a_difference_outside_the_noise_of_trials_is_called() {
        let found = compared(&[cell("1", &[40.0, 40.4, 39.8])], &[cell("1", &[90.0, 91.0, 89.5])]);
        let row = &found.cells[0].rows[0];
        assert_eq!((row.verdict, row.baseline.n, found.n_judged), (Verdict::Worse, 3, 1));
        assert!((row.change - 2.25).abs() < 0.02, "{row:?}");
        assert!(row.p_value.unwrap() < 0.001 && row.n_to_decide.is_none());
        let back = compared(&[cell("1", &[90.0, 91.0, 89.5])], &[cell("1", &[40.0, 40.4, 39.8])]);
        assert_eq!(back.cells[0].rows[0].verdict, Verdict::Better);
    }

    #[test]
    fn a_gate_is_decided_by_the_interval_of_the_change() {
        let outcome = |before: &[f64], now: &[f64]| {
            let gate = gated("ttft.p50 > +5%", &[cell("1", before)], &[cell("1", now)]).remove(0);
            (gate.outcome, gate.limit)
        };
        let before = [40.0, 40.2, 39.8, 40.1, 39.9];
        assert_eq!(outcome(&before, &[46.0, 46.3, 45.8]), (GateOutcome::Missed, Some(1.05)));
        assert_eq!(outcome(&before, &[40.1, 40.2, 39.9, 40.0]), (GateOutcome::Met, Some(1.05)));
        assert_eq!(outcome(&before, &[42.0, 42.4, 41.7]).0, GateOutcome::Undecided);
        assert_eq!(outcome(&[40.0], &[90.0]).0, GateOutcome::Undecided, "one trial of each");
        let both = [cell("1", &before), cell("2", &before)];
        let found = gated("ttft.p50 > +5%", &both, &both[..1]);
        assert_eq!(found[1].why.as_deref(), Some("the cell has no counterpart"));
    }

    #[test]
    fn a_gate_is_missed_by_a_cell_that_is_lost_and_not_by_one_that_is_mended() {
        let well = || cell("1", &[40.0, 40.1, 39.9]);
        let with = |status| CellSummary {
            validity: Validity::new(status, ["it died".to_owned()]),
            ..cell("1", &[])
        };
        let outcome = |before: CellSummary, now: CellSummary| {
            let gate = gated("ttft.p50 > +5%", &[before], &[now]).remove(0);
            (gate.outcome, gate.why.unwrap_or_default())
        };
        let (missed, open) = (GateOutcome::Missed, GateOutcome::Undecided);
        let of = |outcome, why: &str| (outcome, why.to_owned());
        let (failed, skipped) = (CellStatus::Failed, CellStatus::Skipped);
        assert_eq!(outcome(well(), with(failed)), of(missed, "1 failed: it died"));
        assert_eq!(outcome(with(failed), well()), of(open, "the baseline's 1 failed: it died"));
        assert_eq!(outcome(well(), with(skipped)), of(open, "1 was skipped: it died"));
    }

    #[test]
    fn a_gate_that_was_held_against_nothing_is_missed() {
        let of = |name: &str| cell(name, &[40.0, 40.1, 39.9]);
        let found = gated("ttft.p50 > +5%", &[of("1"), of("4")], &[of("2"), of("32")]);
        let outcomes = found.iter().map(|gate| (gate.outcome, gate.why.as_deref().unwrap()));
        let why = "no cell has a counterpart: nothing was held against the condition";
        assert_eq!(outcomes.collect::<Vec<_>>(), [(GateOutcome::Missed, why); 2]);
    }

    #[test]
    fn a_gate_is_not_about_cells_of_which_neither_side_has_the_number() {
        let reads = || cell("reads", &[40.0, 40.1, 39.9]);
        let graded = |correct| with_accuracy(cell("graded", &[]), correct, 1_000);
        let both = [reads(), graded(900)];
        let check = |condition: &str, now: &[CellSummary], expected: &[(&str, GateOutcome)]| {
            let found = gated(condition, &both, now);
            let found = found.iter().map(|gate| (gate.cell.as_str(), gate.outcome));
            assert_eq!(found.collect::<Vec<_>>(), expected, "{condition}");
        };
        let (met, missed) = (GateOutcome::Met, GateOutcome::Missed);
        check("ttft.p50 > +5%", &both, &[("reads", met)]);
        check("accuracy.strict < -5%", &both, &[("graded", met)]);
        check("accuracy.strict < -5%", &both[1..], &[("graded", met)]);
        check("ttft.p50 > +5%", &both[..1], &[("reads", met)]);
        // Lost on the other side alone, or had by none at all.
        let lost = [cell("reads", &[]), graded(900)];
        check("ttft.p50 > +5%", &lost, &[("reads", missed)]);
        check("tpot.p50 > +5%", &both, &[("reads", missed), ("graded", missed)]);
        check("accuracy.flexible < -5%", &both, &[("reads", missed), ("graded", missed)]);
    }

    #[test]
    fn a_gate_on_a_number_that_is_not_kept_by_trial_is_decided_as_a_run_decides_it() {
        let of = |p90: f64, share: f64| {
            let mut cell = cell("1", &[40.0, 40.1, 39.9]);
            let interval = Some((p90 * 0.99, p90 * 1.01));
            let told = Percentile { p: 90.0, value: Some(p90), interval, ..Percentile::default() };
            let ttft =
                Distribution { percentiles: [told].into(), n: 90, ..Distribution::default() };
            cell.distributions.insert(MetricId::Ttft, ttft);
            let cell = with_figure(cell, MetricId::SuccessShare, share, None);
            with_figure(cell, MetricId::GoodputShare, share, None)
        };
        let check = |condition: &str, expected: GateOutcome, why: Option<&str>| {
            let found = gated(condition, &[of(20.0, 100.0)], &[of(25.0, 90.0)]).remove(0);
            assert_eq!((found.outcome, found.why.as_deref()), (expected, why), "{condition}");
        };
        check("ttft.p90 > +5%", GateOutcome::Missed, None);
        check("ttft.p90 > +40%", GateOutcome::Met, None);
        let why = Some("it lies between 1.232 and 1.268 times the baseline's");
        check("ttft.p90 > +25%", GateOutcome::Undecided, why);
        check("success_share < -5%", GateOutcome::Missed, None);
        check("goodput < -5%", GateOutcome::Missed, None);
        check("success_share < -20%", GateOutcome::Met, None);
        // What nobody has shown passes no gate.
        check("e2e.p95 > +5%", GateOutcome::Missed, Some("the cell has no such number"));
        let found = gated("ttft.p90 > +5%", &[cell("1", &[40.0])], &[of(25.0, 90.0)]).remove(0);
        let why = Some("the baseline has no such number");
        assert_eq!((found.outcome, found.why.as_deref()), (GateOutcome::Undecided, why));
    }

    #[test]
    fn a_row_seen_from_the_other_side_is_that_of_a_comparison_the_other_way_round() {
        let (fast, slow) = ([cell("1", &[40.0, 40.4])], [cell("1", &[90.0, 91.0])]);
        let there = compared(&fast, &slow).cells[0].rows[0].turned();
        let back = compared(&slow, &fast).cells[0].rows[0].clone();
        let near = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-9, "{a} and {b}");
        near(there.change, back.change);
        near(there.interval.unwrap().0, back.interval.unwrap().0);
        near(there.interval.unwrap().1, back.interval.unwrap().1);
        assert_eq!((there.verdict, there.baseline), (back.verdict, back.baseline));
    }

    #[test]
    fn two_per_cent_from_single_runs_are_no_win() {
        let found = compared(&[cell("1", &[100.0])], &[cell("1", &[98.0])]);
        let row = &found.cells[0].rows[0];
        assert_eq!(
            (row.verdict, row.interval, row.n_to_decide),
            (Verdict::Inconclusive, None, None)
        );
        assert_eq!(found.n_judged, 0);
        insta::assert_snapshot!(row.note, @"one trial: nothing is known of the spread between trials");
        let one_side = compared(&[cell("1", &[100.0, 101.0])], &[cell("1", &[98.0])]);
        assert!(one_side.cells[0].rows[0].n_to_decide.is_some());
    }

    #[test]
    fn verdicts_share_one_chance_of_error() {
        let cells = |n: usize| -> Vec<CellSummary> {
            (0..n).map(|i| cell(&i.to_string(), &[1.0, 1.01])).collect()
        };
        let found = compared(&cells(4), &cells(4));
        assert_eq!((found.n_judged, found.level), (4, 1.0 - 0.01 / 4.0));
    }

    #[test]
    fn an_invalid_number_is_not_compared_and_the_others_of_its_cell_are() {
        let with_output = |state| {
            let mut cell = cell("1", &[40.0, 41.0]);
            cell.trials.insert(Quantity::figure(MetricId::OutputThroughput), vec![9.0, 9.1]);
            let figure = Figure { value: Some(9.0), state, ..Figure::default() };
            cell.figures.insert(MetricId::OutputThroughput.into(), figure);
            cell
        };
        let mut bad = with_output(Some(NumberState::Invalid));
        bad.validity = Validity::new(CellStatus::Invalid, ["output: slow".to_owned()]);
        let found = compared(&[with_output(None)], &[bad]);
        assert_eq!(found.cells[0].not_compared, None);
        let quantities = found.cells[0].rows.iter().map(|row| row.quantity.to_string());
        assert_eq!(quantities.collect::<Vec<_>>(), ["ttft.p50"]);
        assert_eq!(found.cells[0].doubts[0].caveat.code, "invalid");
    }

    #[test]
    fn a_cell_whose_load_was_not_what_was_asked_is_not_compared_and_says_why() {
        let mut bad = cell("1", &[90.0, 91.0]);
        bad.validity = Validity::new(CellStatus::Invalid, ["client: slow".to_owned()]);
        bad.counts.errors.insert("client-resources".to_owned(), 1);
        let found = compared(&[cell("1", &[40.0, 41.0]), cell("2", &[1.0])], &[bad]);
        assert_eq!(found.cells[0].not_compared.as_deref(), Some("1 is invalid: client: slow"));
        assert!(found.cells[0].rows.is_empty() && !found.cells[0].is_lost);
        let load = IndexMap::new();
        assert_eq!(found.unmatched, [Place { side: 0, cell: "2".to_owned(), other: 1, load }]);
    }

    #[test]
    fn starts_that_loads_share_are_compared_once_by_cells_that_are_compared() {
        let starts = |cell: &mut CellSummary, last: u64| {
            let start =
                |secs| LoadTimeline { first_token: Some(Nanos::from_secs(secs)), ..start() };
            cell.load = [start(3), start(last)].into();
        };
        let mut cells = [cell("1", &[40.0, 41.0]), cell("2", &[40.0, 41.0]), cell("4", &[40.0])];
        for cell in &mut cells {
            starts(cell, 4);
        }
        cells[0].validity = Validity::new(CellStatus::Failed, ["it died".to_owned()]);
        let mut later = cells.clone();
        for cell in &mut later {
            starts(cell, 5);
        }
        let found = compared(&cells, &later);
        let is_load_time = |row: &&Compared| row.quantity.id() == MetricId::LoadTime;
        let counts = found.cells.iter().map(|cells| cells.rows.iter().filter(is_load_time).count());
        assert_eq!(counts.collect::<Vec<_>>(), [0, 1, 0]);
        let gates = gated("load_time > +50%", &cells, &later);
        let outcomes = gates.iter().map(|gate| (gate.cell.as_str(), gate.outcome));
        let expected = [("1", GateOutcome::Undecided), ("2", GateOutcome::Undecided)];
        assert_eq!(outcomes.collect::<Vec<_>>(), expected, "a cell that failed, and two starts");
    }

    fn start() -> LoadTimeline {
        LoadTimeline {
            port_bound: None,
            healthy: None,
            first_token: None,
            log_stages: Vec::new(),
            page_cache: PageCache::AsFound,
        }
    }

    #[test]
    fn a_fall_to_nothing_is_a_row_that_is_worse_and_a_rise_from_it_is_better() {
        let goodput = |values: [f64; 3]| {
            let mut cell = cell("1", &[]);
            cell.n_trials = 3;
            cell.trials.insert(Quantity::figure(MetricId::Goodput), values.to_vec());
            [with_figure(cell, MetricId::Goodput, values[0], Some((values[0], values[0])))]
        };
        let (good, none) = (goodput([10.0, 10.1, 9.9]), goodput([0.0; 3]));
        let row = |one: &[CellSummary; 1], other: &[CellSummary; 1]| {
            let rows = compared(one, other).cells.remove(0).rows;
            rows.into_iter().find(|row| row.quantity.id() == MetricId::Goodput)
        };
        let fall = row(&good, &none).unwrap();
        assert_eq!((fall.scale, fall.verdict), (Scale::Difference, Verdict::Worse), "{fall:?}");
        assert!((fall.change + 10.0).abs() < 1e-9 && fall.interval.unwrap().1 < -9.0, "{fall:?}");
        let rise = row(&none, &good).unwrap();
        assert_eq!((rise.verdict, rise.turned().verdict), (Verdict::Better, Verdict::Worse));
        assert_eq!(row(&none, &none), None, "nothing on both sides");
        let gate = gated("goodput < 0.9 x baseline", &good, &none).remove(0);
        assert_eq!(gate.outcome, GateOutcome::Missed, "{gate:?}");
    }

    #[test]
    fn an_accuracy_is_that_of_the_extractor_that_comes_first_on_both_sides() {
        let scored = |by: &[(&str, u64)]| {
            let accuracy = by.iter().map(|(extractor, correct)| {
                let found = with_accuracy(cell("1", &[]), *correct, 1_000).accuracy.remove(0);
                Accuracy { extractor: (*extractor).to_owned(), ..found }
            });
            [CellSummary { accuracy: accuracy.collect(), ..cell("1", &[]) }]
        };
        let ours = scored(&[("number", 500), ("strict", 900), ("flexible", 910)]);
        let theirs = scored(&[("flexible", 960), ("strict", 950)]);
        for (one, other) in [(&ours, &theirs), (&theirs, &ours)] {
            let row = compared(one, other).cells.remove(0).rows.remove(0);
            assert_eq!(row.extractor.as_deref(), Some("strict"));
            assert_eq!(
                (row.label(), row.tag()),
                ("accuracy (strict)".into(), "accuracy.strict".into())
            );
            assert!((row.change.abs() - 5.0).abs() < 1e-9, "{row:?}");
        }
        assert_eq!(compared(&ours, &ours).cells[0].rows[0].extractor, None, "the first of both");
        let gate = |text: &str, one: &[CellSummary; 1], other: &[CellSummary; 1]| {
            let gate = gated(text, one, other).remove(0);
            (gate.outcome, gate.why.unwrap_or_default())
        };
        assert_eq!(gate("accuracy < -1%", &theirs, &ours).0, GateOutcome::Missed);
        assert_eq!(gate("accuracy < -1%", &ours, &theirs).0, GateOutcome::Met);
        assert_eq!(gate("accuracy.strict < -1%", &theirs, &ours).0, GateOutcome::Missed);
        assert_eq!(gate("accuracy.flexible < -1%", &theirs, &ours).0, GateOutcome::Missed);
        let why = "the baseline has no such number".to_owned();
        assert_eq!(gate("accuracy.number < -1%", &theirs, &ours), (GateOutcome::Undecided, why));
    }

    #[test]
    fn a_ratio_of_accuracies_is_judged_as_a_ratio() {
        let scored = |correct| [with_accuracy(cell("1", &[]), correct, 20_000)];
        let outcome = |condition: &str, correct| {
            gated(condition, &scored(2_000), &scored(correct)).remove(0).outcome
        };
        // 10 % before, 7 % now: 3 points less and 0.7 ×.
        assert_eq!(outcome("accuracy < 0.9 x baseline", 1_400), GateOutcome::Missed);
        assert_eq!(outcome("accuracy > 1.1 x baseline", 2_600), GateOutcome::Missed);
        assert_eq!(outcome("accuracy < 0.9 x baseline", 2_000), GateOutcome::Met);
        assert_eq!(outcome("accuracy < -5%", 1_400), GateOutcome::Met);
        assert_eq!(outcome("accuracy < -2%", 1_400), GateOutcome::Missed);
    }

    #[test]
    fn a_gate_and_a_cell_that_is_missing_name_their_side_where_there_are_several() {
        let old = [cell("1", &[40.0, 40.1, 39.9]), cell("2", &[40.0, 40.1, 39.9])];
        let slow = [cell("1", &[80.0, 80.1, 79.9])];
        let sides = [side("A", &old), side("B", &slow), side("C", &old)];
        let found = compare(&sides, &|_| true, &|_, _, _| None, RULES);
        let conditions = ["ttft.p50 > +5%".to_owned()];
        let gates = gates::judge(&found, &sides, &conditions, Undecided::Fail);
        let told =
            gates.iter().map(|it| (it.side.as_deref().unwrap(), it.cell.as_str(), it.outcome));
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                ("B", "1", GateOutcome::Missed),
                ("C", "1", GateOutcome::Met),
                ("C", "2", GateOutcome::Met),
                ("B", "2", GateOutcome::Undecided),
            ]
        );
        assert_eq!(gates.iter().filter(|it| it.fails()).count(), 2, "what is not decided fails");
        let places = found.unmatched.iter().map(|it| (it.side, it.other, it.cell.as_str()));
        assert_eq!(places.collect::<Vec<_>>(), [(0, 1, "2")]);
    }

    #[test]
    fn one_start_that_serves_both_cells_is_not_compared_with_itself() {
        let started = |seconds: u64| {
            let start = LoadTimeline { first_token: Some(Nanos::from_secs(seconds)), ..start() };
            CellSummary { load: vec![start].into(), ..cell("1", &[40.0, 40.1, 39.9]) }
        };
        let n_rows = |one: CellSummary, other: CellSummary| {
            let found = compared(&[one], &[other]);
            let is_start = |row: &&Compared| row.quantity.id() == MetricId::LoadTime;
            found.cells[0].rows.iter().filter(is_start).count()
        };
        assert_eq!(n_rows(started(9), started(9)), 0);
        assert_eq!(n_rows(started(9), started(10)), 1);
    }

    #[test]
    fn accuracies_of_different_items_are_compared_as_shares() {
        let scored = |correct| with_accuracy(cell("1", &[]), correct, 1_000);
        let found = compared(&[scored(900)], &[scored(800)]);
        let row = &found.cells[0].rows[0];
        assert_eq!((row.scale, row.verdict), (Scale::Points, Verdict::Worse));
        assert!((row.change + 10.0).abs() < 1e-9, "{row:?}");
        let (low, high) = row.interval.unwrap();
        assert!(low > -16.0 && high < -5.0, "{row:?}");
        let same = compared(&[scored(900)], &[scored(901)]);
        assert_eq!(same.cells[0].rows[0].verdict, Verdict::Inconclusive);
    }
}
