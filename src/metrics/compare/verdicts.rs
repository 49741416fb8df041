//! One quantity of two cells: first what was found, then, once all that is judged is known, the verdict.

use crate::metrics::bounds::{UNLIMITED, is_lower_bound, is_unlimited};
use crate::metrics::catalogue::MetricId;
use crate::metrics::compare::matching::Pair;
use crate::metrics::compare::{Compared, Sample, Scale};
use crate::metrics::per_trial;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::{CellSummary, Note, NumberState};
use crate::score::Accuracy;
use crate::score::pair::PairedAccuracy;
use crate::stats::interval::Interval;
use crate::stats::proportion::{independent_difference, paired_difference};
use crate::stats::verdict::Verdict;
use crate::stats::welch::{DifferenceTest, LogSample, PlainSample, RatioTest, n_to_decide};

/// Why a latency of open loops that neither engine kept up with has no verdict.
const GROWING: &str = "neither kept up with the schedule, and one schedule is longer than the other: the \
                       longer it is, the longer requests wait";

/// Why a rate of an open loop that both kept up with has no verdict.
pub(crate) const OFFERED: &str =
    "an open loop offers it: both kept up, and the rate is that of the schedule";

/// More trials than this are no plan.
const N_MOST: u64 = 1_000;

/// A quantity of two cells before its verdict.
pub(super) struct Drafted {
    quantity: Quantity,
    baseline: Sample,
    candidate: Sample,
    /// Extractor of an accuracy, where it is not the first on both sides.
    extractor: Option<String>,
    evidence: Evidence,
}

/// What a verdict rests on.
enum Evidence {
    /// Values by trial.
    Trials {
        baseline: LogSample,
        candidate: LogSample,
        test: Option<RatioTest>,
        /// By which factors the change may be lower, and higher, for all that is known of doubtful
        /// numbers; absent where neither is.
        open: Option<(f64, f64)>,
    },
    /// Nothing, and why: the rate of an open loop that both kept up with is set by its schedule, which
    /// each trial replays, so that the spread between trials says nothing of another schedule.
    Nothing(&'static str),
    /// Values by trial of which one is 0: a ratio to it says nothing.
    WithZero { test: Option<DifferenceTest> },
    /// Shares of correct items, of which each side answered others or nobody knows.
    Shares { baseline: (u64, u64), candidate: (u64, u64) },
    /// Correct on one side alone, of the items that both answered.
    Paired(PairedAccuracy),
}

/// Drafts every quantity that both cells of a pair have by trial.
pub(super) fn drafted(
    pair: &Pair<'_>,
    is_asked: &dyn Fn(&Quantity) -> bool,
    pair_items: &dyn Fn(&str, &str) -> Option<PairedAccuracy>,
) -> Vec<Drafted> {
    let known = per_trial::quantities_of(pair.baseline);
    let asked = known.into_iter().filter(|quantity| is_asked(quantity));
    let all_keep_up =
        |is: bool| [pair.baseline, pair.candidate].iter().all(|cell| cell.keeps_up() == Some(is));
    let is_offered = pair.is_open_loop && all_keep_up(true);
    let is_growing = pair.is_open_loop && pair.is_longer && all_keep_up(false);
    let of_quantity = |quantity: Quantity| {
        let mut row = of_trials(quantity, pair.baseline, pair.candidate)?;
        if is_offered && is_rate(&row.quantity) {
            row.evidence = Evidence::Nothing(OFFERED);
        } else if is_growing && has_wait(&row.quantity) {
            row.evidence = Evidence::Nothing(GROWING);
        }
        Some(row)
    };
    let mut rows: Vec<Drafted> = asked.filter_map(of_quantity).collect();
    let paired = || pair_items(&pair.baseline.name, &pair.candidate.name);
    rows.extend(of_accuracy(pair.baseline, pair.candidate, is_asked, &paired));
    rows
}

/// Whether a quantity is a rate of requests or tokens.
fn is_rate(quantity: &Quantity) -> bool {
    matches!(
        quantity.id(),
        MetricId::RequestThroughput
            | MetricId::OutputThroughput
            | MetricId::TotalThroughput
            | MetricId::Goodput
            | MetricId::RequestThroughputWhole
            | MetricId::OutputThroughputWhole
            | MetricId::TotalThroughputWhole
    )
}

/// Whether a quantity has the time in it that a request waits, or depends on it.
fn has_wait(quantity: &Quantity) -> bool {
    matches!(
        quantity.id(),
        MetricId::Ttft
            | MetricId::TtftScheduled
            | MetricId::E2e
            | MetricId::E2eScheduled
            | MetricId::Goodput
            | MetricId::GoodputShare
    )
}

/// Drafts a quantity of two cells by the values of their trials.
pub(super) fn of_trials(
    quantity: Quantity,
    one: &CellSummary,
    other: &CellSummary,
) -> Option<Drafted> {
    let is_invalid = |cell| quantity.read(cell)?.state.filter(|it| *it == NumberState::Invalid);
    if [one, other].into_iter().any(|cell| is_invalid(cell).is_some()) {
        return None;
    }
    let values = [one, other].map(|cell| per_trial::values(cell, &quantity));
    let [Some(baseline), Some(candidate)] = [&values[0], &values[1]].map(|it| LogSample::of(it))
    else {
        return with_zero(quantity, [one, other], &values);
    };
    let (low, high) = (open_factors(&quantity, one), open_factors(&quantity, other));
    let open = ((low, high) != (NOT_OPEN, NOT_OPEN)).then(|| (high.0 / low.1, high.1 / low.0));
    let sample = |cell: &CellSummary, of: &LogSample| Sample {
        value: own(cell, &quantity, 0.0).unwrap_or_else(|| of.geometric_mean()),
        spread: of.relative_std(),
        n: of.n(),
        is_least: is_least(cell, &quantity),
    };
    let samples = (sample(one, &baseline), sample(other, &candidate));
    Some(Drafted {
        quantity,
        baseline: samples.0,
        candidate: samples.1,
        extractor: None,
        evidence: Evidence::Trials {
            test: RatioTest::of(&baseline, &candidate),
            baseline,
            candidate,
            open,
        },
    })
}

/// Drafts a quantity of which a trial has 0; `None` where no trial has anything else.
fn with_zero(
    quantity: Quantity,
    [one, other]: [&CellSummary; 2],
    values: &[Vec<f64>; 2],
) -> Option<Drafted> {
    let (baseline, candidate) = (PlainSample::of(&values[0])?, PlainSample::of(&values[1])?);
    if baseline.mean() <= 0.0 && candidate.mean() <= 0.0 {
        return None;
    }
    let sample = |cell: &CellSummary, of: &PlainSample| Sample {
        value: own(cell, &quantity, -f64::MIN_POSITIVE).unwrap_or_else(|| of.mean()),
        spread: of.relative_std(),
        n: of.n(),
        is_least: is_least(cell, &quantity),
    };
    let samples = (sample(one, &baseline), sample(other, &candidate));
    Some(Drafted {
        quantity,
        baseline: samples.0,
        candidate: samples.1,
        extractor: None,
        evidence: Evidence::WithZero { test: DifferenceTest::of(&baseline, &candidate) },
    })
}

/// Returns a cell's own number, which its tables have: of several trials the percentile of all answers,
/// or the rate of all their time. Cells of other tools may have numbers by trial alone.
fn own(cell: &CellSummary, quantity: &Quantity, above: f64) -> Option<f64> {
    quantity.value(cell).filter(|value| value.is_finite() && *value > above)
}

/// Whether a cell's number is the least that it can be.
fn is_least(cell: &CellSummary, quantity: &Quantity) -> bool {
    quantity.read(cell).is_some_and(|figure| is_lower_bound(quantity, &figure))
}

const NOT_OPEN: (f64, f64) = (1.0, 1.0);

/// Returns by which factors a number may be lower, and higher, where its bound makes it doubtful.
fn open_factors(quantity: &Quantity, cell: &CellSummary) -> (f64, f64) {
    let found = quantity.read(cell).filter(|it| it.state == Some(NumberState::Doubtful));
    match found.and_then(|it| it.value.zip(it.bound)) {
        Some((value, (low, high))) if value > 0.0 => {
            (low / value, if is_unlimited(high) { f64::INFINITY } else { high / value })
        }
        _ => NOT_OPEN,
    }
}

/// Drafts the accuracy by each extractor of both sides that is asked for: the headline's is the
/// accuracy itself and comes first, another one is a part of it.
fn of_accuracy(
    one: &CellSummary,
    other: &CellSummary,
    is_asked: &dyn Fn(&Quantity) -> bool,
    paired: &dyn Fn() -> Option<PairedAccuracy>,
) -> Vec<Drafted> {
    let quantity = |nth: usize, first: &Accuracy| match nth {
        0 => Quantity::figure(MetricId::Accuracy),
        _ => Quantity::part(MetricId::Accuracy, &first.extractor),
    };
    let asked = shared(one, other).into_iter().enumerate();
    let asked = asked.filter(|(nth, (_, first, _))| is_asked(&quantity(*nth, first)));
    let drafted = |(_, (rank, first, second))| of_extractor(rank == 0, first, second, paired);
    asked.filter_map(drafted).collect()
}

fn of_extractor(
    is_headline: bool,
    first: &Accuracy,
    second: &Accuracy,
    paired: &dyn Fn() -> Option<PairedAccuracy>,
) -> Option<Drafted> {
    let sample = |of: &Accuracy| Some(Sample::of_items(of.share? * 100.0, of.n));
    // Answers are paired by the first extractor.
    let paired = is_headline.then(paired).flatten();
    let (baseline, candidate, evidence) = if let Some(paired) = paired.filter(|it| it.n > 0) {
        // Both of the items that both answered: of all that each answered, they may be others.
        let of = |one_sided: &[u64]| {
            let n_correct = paired.both + one_sided.len() as u64;
            Sample::of_items(n_correct as f64 / paired.n as f64 * 100.0, paired.n)
        };
        (of(&paired.lost), of(&paired.gained), Evidence::Paired(paired))
    } else {
        let (baseline, candidate) = ((first.correct, first.n), (second.correct, second.n));
        (sample(first)?, sample(second)?, Evidence::Shares { baseline, candidate })
    };
    Some(Drafted {
        quantity: Quantity::figure(MetricId::Accuracy),
        baseline,
        candidate,
        extractor: (!is_headline).then(|| first.extractor.clone()),
        evidence,
    })
}

/// Returns the accuracies by the extractors of both sides, each with its place on the side where it
/// comes later: in the same order whichever side is the baseline.
fn shared<'a>(
    one: &'a CellSummary,
    other: &'a CellSummary,
) -> Vec<(usize, &'a Accuracy, &'a Accuracy)> {
    let both = one.accuracy.iter().enumerate().filter_map(|(here, first)| {
        let mut others = other.accuracy.iter().enumerate();
        let (there, second) = others.find(|(_, it)| it.extractor == first.extractor)?;
        Some(((here.max(there), here + there), first, second))
    });
    let mut both: Vec<_> = both.collect();
    both.sort_by_key(|(rank, first, _)| (*rank, &first.extractor));
    both.into_iter().map(|((rank, _), first, second)| (rank, first, second)).collect()
}

impl Drafted {
    /// Whether a verdict other than inconclusive is possible.
    pub(super) fn is_judged(&self) -> bool {
        !matches!(
            self.evidence,
            Evidence::Nothing(_)
                | Evidence::Trials { test: None, .. }
                | Evidence::WithZero { test: None }
        )
    }

    /// Returns the interval of the change at a level, on the scale of the change: that of the values by
    /// trial, widened where the change of the cells' own numbers lies outside.
    fn interval(&self, level: f64) -> Option<Interval> {
        match &self.evidence {
            Evidence::Trials { test, open, .. } => {
                let (lower, higher) = open.unwrap_or(NOT_OPEN);
                // Ends stay numbers: what nothing limits is 0 below, and the largest above.
                test.map(|test| widened(test.interval(level), self.ratio()))
                    .map(|it| Interval::new(it.low * lower, (it.high * higher).min(UNLIMITED)))
            }
            Evidence::Nothing(_) => None,
            Evidence::WithZero { test } => {
                test.map(|test| widened(test.interval(level), self.difference()))
            }
            Evidence::Shares { baseline, candidate } => {
                independent_difference(*candidate, *baseline, level)
            }
            Evidence::Paired(paired) => {
                let (n_gained, n_lost) = (paired.gained.len() as u64, paired.lost.len() as u64);
                paired_difference(n_gained, n_lost, paired.n, level)
            }
        }
    }

    fn ratio(&self) -> f64 {
        self.candidate.value / self.baseline.value
    }

    fn difference(&self) -> f64 {
        self.candidate.value - self.baseline.value
    }

    fn verdict(&self, interval: Option<Interval>, margin: f64) -> Verdict {
        let larger_is_better = self.quantity.larger_is_better().unwrap_or(false);
        match (interval, &self.evidence) {
            (None, _) | (_, Evidence::Nothing(_)) => Verdict::Inconclusive,
            (Some(ratio), Evidence::Trials { .. }) => Verdict::of(ratio, margin, larger_is_better),
            (Some(difference), Evidence::WithZero { .. }) => {
                let margin = margin * self.baseline.value.max(self.candidate.value);
                Verdict::of_difference(difference, margin, larger_is_better)
            }
            (Some(difference), Evidence::Shares { .. } | Evidence::Paired(_)) => {
                Verdict::of_difference(difference, margin, larger_is_better)
            }
        }
    }

    /// Judges by an interval of that level.
    pub(super) fn judged(self, level: f64, margin: f64) -> Compared {
        let interval = self.interval(level);
        let verdict = self.verdict(interval, margin);
        let is_open = verdict == Verdict::Inconclusive;
        let told = match &self.evidence {
            Evidence::Trials { baseline, candidate, test, open } => {
                let more = || n_to_decide(baseline, candidate, level, margin, N_MOST);
                Told {
                    scale: Scale::Ratio,
                    change: self.ratio(),
                    p_value: test.map(|test| test.p_value()),
                    // No number of trials narrows a bound.
                    n_to_decide: (is_open && open.is_none()).then(more).flatten(),
                    note: self.note_of_trials(test.is_some()),
                }
            }
            Evidence::Nothing(why) => Told {
                scale: Scale::Ratio,
                change: self.ratio(),
                p_value: None,
                n_to_decide: None,
                note: (*why).into(),
            },
            Evidence::WithZero { test } => Told {
                scale: Scale::Difference,
                change: self.difference(),
                p_value: test.map(|test| test.p_value()),
                n_to_decide: None,
                note: match test {
                    Some(_) => "Welch's t on the values of trials, one of which is 0".into(),
                    None => self.note_of_trials(false),
                },
            },
            Evidence::Shares { .. } => Told {
                scale: Scale::Points,
                change: self.difference(),
                p_value: None,
                n_to_decide: None,
                note: "Newcombe's interval of independent shares".into(),
            },
            Evidence::Paired(paired) => Told {
                scale: Scale::Points,
                change: paired.difference.unwrap_or_default() * 100.0,
                p_value: Some(paired.p_value),
                n_to_decide: None,
                note: format!(
                    "{} items that both answered, {} gained and {} lost; McNemar's exact p",
                    paired.n,
                    paired.gained.len(),
                    paired.lost.len(),
                )
                .into(),
            },
        };
        let in_unit = if told.scale == Scale::Points { 100.0 } else { 1.0 };
        Compared {
            unit: self.quantity.id().unit().into(),
            quantity: self.quantity,
            baseline: self.baseline,
            candidate: self.candidate,
            extractor: self.extractor,
            scale: told.scale,
            change: told.change,
            interval: interval.map(|it| (it.low * in_unit, it.high * in_unit)),
            p_value: told.p_value,
            verdict,
            n_to_decide: told.n_to_decide,
            note: told.note,
        }
    }

    fn note_of_trials(&self, is_tested: bool) -> Note {
        let is_start = self.quantity.id().is_of_start();
        let note = match (is_start, is_tested) {
            (_, true) if matches!(self.evidence, Evidence::Trials { open: Some(_), .. }) => {
                "Welch's t on the logarithms of trials, widened by the bounds of doubtful numbers"
            }
            (true, true) => "Welch's t on the logarithms of starts",
            (false, true) => "Welch's t on the logarithms of trials",
            (_, false) => per_trial::not_repeated(&self.quantity),
        };
        note.into()
    }
}

/// Widens an interval to a value.
fn widened(interval: Interval, value: f64) -> Interval {
    Interval::new(interval.low.min(value), interval.high.max(value))
}

/// What each kind of evidence says of a change in its own way.
struct Told {
    scale: Scale,
    change: f64,
    p_value: Option<f64>,
    n_to_decide: Option<u64>,
    note: Note,
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;
    use rand::rngs::ChaCha8Rng;
    use rand_distr::{Distribution as _, StandardNormal};

    use super::*;
    use crate::metrics::compare::is_main;
    use crate::metrics::summary::{Distribution as DistributionSummary, Percentile};
    use crate::metrics::tests::fixture::{measured_cell, with_figure};
    use crate::seed::Seed;

    const N_TRIALS: usize = 5;

    /// A cell whose quantities move together from trial to trial, as they do when a machine is
    /// slower for a while, and a little apart. `factor` makes it slower.
    fn cell(factor: f64, noise: f64, rng: &mut ChaCha8Rng) -> CellSummary {
        let mut normal = || -> f64 { StandardNormal.sample(rng) };
        let shared: Vec<f64> = (0..N_TRIALS).map(|_| normal()).collect();
        let mut cell = measured_cell("a", "fp16");
        cell.n_trials = N_TRIALS as u32;
        for quantity in per_trial::quantities() {
            let slower = if quantity.larger_is_better() == Some(true) { -1.0 } else { 1.0 };
            // Nine tenths of the variance is shared.
            let values = shared.iter().map(|shared| {
                let z = 0.9_f64.sqrt() * shared + 0.1_f64.sqrt() * normal();
                50.0 * (slower * (factor.ln() + noise * z)).exp()
            });
            cell.trials.insert(quantity, values.collect());
        }
        cell
    }

    /// Compares pairs of generated cells, each as a comparison of one cell does; returns the
    /// verdicts of each pair on the quantities for which `is_asked`.
    fn verdicts(
        n_pairs: usize,
        is_asked: &dyn Fn(&Quantity) -> bool,
        factor: f64,
        noise: f64,
        margin: f64,
    ) -> Vec<Vec<Verdict>> {
        let mut rng = Seed(11).stream("pairs");
        let pairs = (0..n_pairs).map(|_| {
            let (one, other) = (cell(1.0, noise, &mut rng), cell(factor, noise, &mut rng));
            let pair = Pair {
                keys: IndexMap::new(),
                baseline: &one,
                candidate: &other,
                launches: Default::default(),
                is_open_loop: false,
                is_longer: false,
            };
            let rows = drafted(&pair, is_asked, &|_, _| None);
            assert!(rows.iter().all(Drafted::is_judged));
            let level = 1.0 - 0.01 / rows.len() as f64;
            rows.iter().map(|row| row.verdict(row.interval(level), margin)).collect()
        });
        pairs.collect()
    }

    #[test]
    fn a_doubtful_number_is_better_only_if_all_that_it_may_be_is() {
        let tpot = Quantity::percentile(MetricId::Tpot, 50.0);
        let check = |bound: (f64, f64), state, expected| {
            let mut rng = Seed(3).stream("open");
            let (one, mut other) = (cell(1.0, 0.001, &mut rng), cell(0.85, 0.001, &mut rng));
            let found = Percentile {
                p: 50.0,
                value: Some(42.5),
                bound: Some(bound),
                state: Some(state),
                ..Percentile::default()
            };
            let percentiles = vec![found];
            let found = DistributionSummary { unit: "ms", percentiles, ..Default::default() };
            other.distributions.insert(MetricId::Tpot, found);
            let keys = IndexMap::new();
            let pair = Pair {
                keys,
                baseline: &one,
                candidate: &other,
                launches: Default::default(),
                is_open_loop: false,
                is_longer: false,
            };
            let row = drafted(&pair, &|it| *it == tpot, &|_, _| None).remove(0);
            let found = row.judged(0.99, 0.02);
            assert_eq!(found.verdict, expected, "{bound:?} {:?}", found.interval);
            assert_eq!(found.n_to_decide, None);
        };
        check((42.0, 43.0), NumberState::Ok, Verdict::Better);
        check((42.0, 45.0), NumberState::Doubtful, Verdict::Better);
        check((42.0, 90.0), NumberState::Doubtful, Verdict::Inconclusive);
        check((42.0, UNLIMITED), NumberState::Doubtful, Verdict::Inconclusive);
    }

    #[test]
    fn both_sides_have_the_numbers_of_their_tables_and_the_ratio_is_that_of_them() {
        let ttft = Quantity::percentile(MetricId::Ttft, 50.0);
        let cell = |trials: [f64; 3], own: Option<f64>| {
            let mut cell = measured_cell("a", "fp16");
            cell.n_trials = 3;
            cell.trials.insert(ttft.clone(), trials.to_vec());
            let percentiles = vec![Percentile { p: 50.0, value: own, ..Percentile::default() }];
            let found = DistributionSummary { n: 30, percentiles, ..Default::default() };
            if own.is_some() {
                cell.distributions.insert(MetricId::Ttft, found);
            }
            cell
        };
        let judged = |one: &CellSummary, other: &CellSummary| {
            of_trials(ttft.clone(), one, other).unwrap().judged(0.99, 0.02)
        };
        let (one, other) = ([99.0, 100.0, 101.0], [199.0, 200.0, 201.0]);
        let found = judged(&cell(one, Some(104.0)), &cell(other, Some(202.0)));
        assert_eq!((found.baseline.value, found.candidate.value), (104.0, 202.0));
        assert!((found.change - 202.0 / 104.0).abs() < 1e-12, "{found:?}");
        let (low, high) = found.interval.unwrap();
        assert!(low <= found.change && found.change < 2.0 && high > 2.0, "{found:?}");
        assert_eq!(found.verdict, Verdict::Worse);
        // Numbers that say the other way round are no verdict.
        let torn = judged(&cell(one, Some(104.0)), &cell(other, Some(103.0)));
        assert_eq!(torn.verdict, Verdict::Inconclusive, "{torn:?}");
        // Other tools tell trials alone.
        let foreign = judged(&cell(one, None), &cell(other, None));
        assert!((foreign.baseline.value - 99.997).abs() < 1e-3, "{foreign:?}");
    }

    fn share(verdicts: &[Vec<Verdict>], wanted: impl Fn(&Vec<Verdict>) -> bool) -> f64 {
        verdicts.iter().filter(|of_pair| wanted(of_pair)).count() as f64 / verdicts.len() as f64
    }

    #[test]
    fn a_cell_against_itself_is_hardly_ever_called_better_or_worse() {
        let found = verdicts(2_000, &|_| true, 1.0, 0.02, 0.02);
        let is_called = |it: &Verdict| matches!(it, Verdict::Better | Verdict::Worse);
        let n_false = share(&found, |of_pair| of_pair.iter().any(is_called));
        assert!(n_false <= 0.015, "{n_false}");
    }

    #[test]
    fn a_rate_that_an_open_loop_offers_has_no_verdict_and_one_that_was_not_kept_up_with_has() {
        let cell = |rate: f64, answered: f64| {
            let mut cell = measured_cell("a", "fp16");
            cell.n_trials = 3;
            let output = Quantity::figure(MetricId::OutputThroughput);
            cell.trials.insert(output, vec![answered * 8.0; 3]);
            let cell = with_figure(cell, MetricId::RequestThroughput, answered, None);
            with_figure(cell, MetricId::AttemptedRate, rate, None)
        };
        let judged = |one: &CellSummary, other: &CellSummary, is_open_loop, is_longer| {
            let pair = Pair {
                keys: IndexMap::new(),
                baseline: one,
                candidate: other,
                launches: Default::default(),
                is_open_loop,
                is_longer,
            };
            let row = drafted(&pair, &is_main, &|_, _| None).remove(0);
            let is_judged = row.is_judged();
            (is_judged, row.judged(0.99, 0.02).verdict)
        };
        // Two seeds of one engine: 47.4 and 43 requests/s were due.
        let (one, other) = (cell(47.4, 44.4), cell(43.0, 41.3));
        assert_eq!(judged(&one, &other, true, false), (false, Verdict::Inconclusive));
        assert_eq!(judged(&one, &other, false, false), (true, Verdict::Worse));
        let full = cell(47.4, 30.0);
        assert_eq!(judged(&one, &full, true, true), (true, Verdict::Worse), "it did not keep up");
    }

    #[test]
    fn waits_that_grow_with_the_length_of_the_schedule_have_no_verdict() {
        let cell = |answered: f64, wait_ms: f64| {
            let mut cell = measured_cell("a", "fp16");
            cell.n_trials = 3;
            for (metric, ms) in [(MetricId::Ttft, wait_ms), (MetricId::Tpot, 5.0)] {
                cell.trials.insert(Quantity::percentile(metric, 50.0), vec![ms; 3]);
            }
            let cell = with_figure(cell, MetricId::RequestThroughput, answered, None);
            with_figure(cell, MetricId::AttemptedRate, 80.0, None)
        };
        let judged = |one: &CellSummary, other: &CellSummary, is_longer| {
            let pair = Pair {
                keys: IndexMap::new(),
                baseline: one,
                candidate: other,
                launches: Default::default(),
                is_open_loop: true,
                is_longer,
            };
            let rows = drafted(&pair, &|_| true, &|_, _| None).into_iter();
            let rows = rows.map(|row| (row.quantity.id(), row.judged(0.99, 0.02)));
            rows.map(|(metric, row)| (metric, row.verdict, row.note)).collect::<Vec<_>>()
        };
        // 2 and 6 s at a rate of 80 on an engine that answers 59 a second.
        let (short, long) = (cell(59.0, 376.0), cell(59.0, 1_096.0));
        let found = judged(&short, &long, true);
        assert_eq!(found[0].0, MetricId::Ttft);
        assert_eq!((found[0].1, &*found[0].2), (Verdict::Inconclusive, GROWING));
        assert_eq!((found[1].0, found[1].1), (MetricId::Tpot, Verdict::Equivalent));
        assert_eq!(judged(&short, &long, false)[0].1, Verdict::Worse, "of one length");
        assert_eq!(judged(&cell(80.0, 50.0), &long, true)[0].1, Verdict::Worse, "one kept up");
    }

    #[test]
    fn fifteen_per_cent_are_found_in_five_trials() {
        let found = verdicts(400, &is_main, 1.15, 0.02, 0.02);
        let all_worse = share(&found, |of_pair| of_pair.iter().all(|it| *it == Verdict::Worse));
        assert!(all_worse >= 0.95, "{all_worse}");
        let of_all: Vec<Vec<Verdict>> = verdicts(400, &|_| true, 1.15, 0.02, 0.02)
            .concat()
            .into_iter()
            .map(|verdict| vec![verdict])
            .collect();
        let each = share(&of_all, |of_one| of_one[0] == Verdict::Worse);
        assert!(each >= 0.95, "{each}");
    }

    #[test]
    fn three_per_cent_are_never_within_one() {
        for noise in [0.001, 0.005, 0.02] {
            let found = verdicts(400, &|_| true, 1.03, noise, 0.01);
            let none = share(&found, |of_pair| !of_pair.contains(&Verdict::Equivalent));
            assert!(none >= 0.995, "{none} with noise {noise}");
        }
    }
}
