//! Metrics over many runs: the value of each in every run, where its level changed, and which way it
//! drifts.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::metrics::axes::is_load;
use crate::metrics::bounds::is_lower_bound;
use crate::metrics::catalogue::MetricId;
use crate::metrics::compare::{is_main, is_of_whole_run, sides};
use crate::metrics::per_trial;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::{CellStatus, CellSummary, NumberState, Summary};
use crate::stats::change_point::{self, Step};
use crate::stats::drift::{self, Change, Drift};
use crate::stats::verdict::Verdict;
use crate::stats::welch::middle;

/// Version of the form in which a history is written.
const HISTORY_FORMAT: u32 = 1;

/// A run that is part of a history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PastRun<'a> {
    /// Name of its directory.
    pub(crate) name: &'a str,
    /// Name of its scenario: cells of two scenarios are two, whatever they are called.
    pub(crate) scenario: &'a str,
    /// When it began, as a date.
    pub(crate) started: &'a str,
    /// Commit of the checkout in which it was made; empty where none is recorded.
    pub(crate) commit: &'a str,
    /// Its numbers.
    pub(crate) summary: &'a Summary,
}

/// Metrics over runs, the oldest first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct History {
    /// Version of this form.
    pub(crate) format: u32,
    /// Chance that any series shows a step or a drift that is not there; all series share it.
    pub(crate) alpha: f64,
    /// The runs.
    pub(crate) runs: Vec<RunPoint>,
    /// One per cell and quantity, of the load time one per alternative.
    pub(crate) series: Vec<Series>,
    /// The least factor, above 1, by which the last run must differ from all before it for half of the
    /// series to show a step, at the noise of each; absent where no series has enough runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) least_step: Option<f64>,
    /// Cells and numbers that runs tried and could not measure.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unmeasured: Vec<Unmeasured>,
    /// Runs and numbers that are no part of it.
    pub(crate) left_out: Vec<LeftOut>,
}

/// A run or a number that is no part of a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LeftOut {
    /// The run's name, or the number.
    pub(crate) what: String,
    /// Why.
    pub(crate) why: String,
}

/// A cell that did not come to its end in some runs, or numbers of it that are INVALID there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Unmeasured {
    /// Name of the cell, as in its series.
    pub(crate) cell: String,
    /// The numbers; empty where it is the cell with all of them.
    pub(crate) quantities: Vec<Quantity>,
    /// What became of it in the last of these runs.
    pub(crate) state: CellStatus,
    /// Indexes of the runs.
    pub(crate) runs: Vec<usize>,
    /// The first run from which on it holds in every run that has the cell; absent where a later one
    /// was measured.
    pub(crate) since: Option<usize>,
    /// Why, in the last of these runs.
    pub(crate) why: String,
}

/// A run as a history names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RunPoint {
    /// Name of its directory.
    pub(crate) name: String,
    /// Name of its scenario.
    pub(crate) scenario: String,
    /// When it began.
    pub(crate) started: String,
    /// Commit; empty where none is recorded.
    pub(crate) commit: String,
}

/// One quantity of one cell over all runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Series {
    /// Name of the cell, by which it is found in each run; one that was asked something else under
    /// the same name is another one, and says so. Of the load time the alternative: cells that differ
    /// in load alone share their engine's starts.
    pub(crate) cell: String,
    /// Name of its alternative: the cell without its load, as series of the load time are called.
    #[serde(skip)]
    pub(crate) alternative: String,
    /// Index of the last run of its scenario, which should have the number.
    pub(crate) last: usize,
    /// The quantity.
    pub(crate) quantity: Quantity,
    /// Unit of the values.
    pub(crate) unit: String,
    /// Geometric mean over the trials of each run, the arithmetic one where a trial has 0; absent where
    /// the run has no such number.
    pub(crate) values: Vec<Option<f64>>,
    /// Indexes of the runs in which it is at least so much, as where the queue only grew.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) at_least: Vec<usize>,
    /// What a run has in place of the number, where it tried to measure it: the cell failed, or the
    /// number is INVALID.
    pub(crate) states: Vec<Option<CellStatus>>,
    /// Version of the engine in each run; absent where it is not known.
    pub(crate) versions: Vec<Option<String>>,
    /// Changes of level, the oldest first.
    pub(crate) steps: Vec<SeriesStep>,
    /// A steady drift; never beside steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) drift: Option<SeriesDrift>,
}

/// A steady drift over all runs that have the number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct SeriesDrift {
    /// By which factor a run follows the one before it that has the number: the median of all pairs
    /// of runs. Absent where a value is 0.
    pub(crate) ratio_per_run: Option<f64>,
    /// The same over all of them.
    pub(crate) ratio: Option<f64>,
    /// Chance of as steady an order without a drift.
    pub(crate) p_value: f64,
    /// Whether it gets better or worse.
    pub(crate) verdict: Verdict,
}

/// A change of level.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct SeriesStep {
    /// Index of the first run of the new level.
    pub(crate) run: usize,
    /// Index of the last run before it that has the number.
    pub(crate) after: usize,
    /// The new level over the one before; absent where that is 0.
    pub(crate) ratio: Option<f64>,
    /// Chance of a difference as large at the likeliest of all runs.
    pub(crate) p_value: f64,
    /// Whether the new level is better or worse.
    pub(crate) verdict: Verdict,
}

/// Lays runs beside each other, the oldest first; of two quantities or more where `all` is asked
/// for, else of the main ones. All series share `alpha`.
pub(crate) fn history(runs: &[PastRun<'_>], all: bool, alpha: f64) -> History {
    let mut quantities = per_trial::quantities();
    quantities.push(Quantity::figure(MetricId::Accuracy));
    quantities.retain(|it| is_main(it) || (all && !is_of_whole_run(it)));
    let mut known = KnownCells::default();
    let mut of_starts: HashMap<String, usize> = HashMap::new();
    let mut too_few: BTreeMap<(usize, usize), (LeftOut, usize)> = BTreeMap::new();
    // In the order in which cells first came, and of documents.
    let mut series: BTreeMap<(usize, usize), Series> = BTreeMap::new();
    let mut tries = Tries::default();
    let is_of_several = runs.iter().any(|run| run.scenario != runs[0].scenario);
    for (at, run) in runs.iter().enumerate() {
        let mut starts: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        let last = runs.iter().rposition(|it| it.scenario == run.scenario).unwrap_or(at);
        for cell in &run.summary.cells {
            let (place, name) = known.place(run.scenario, cell);
            let of_scenario = |name: String| {
                if is_of_several { format!("{}: {name}", run.scenario) } else { name }
            };
            let name = of_scenario(name);
            let alternative = of_scenario(alternative(cell));
            let state = (!cell.takes_part()).then_some(cell.validity.status);
            tries.add(place, None, at, &name, state.map(|state| (state, cell)));
            if state.is_some() {
                continue;
            }
            for (rank, quantity) in quantities.iter().enumerate() {
                if let Some(found) = quantity.read(cell) {
                    let is_invalid = found.state == Some(NumberState::Invalid);
                    let state = is_invalid.then_some((CellStatus::Invalid, cell));
                    tries.add(place, Some(rank), at, &name, state);
                }
                if let Some(why) = per_trial::too_few(cell, quantity) {
                    let what = || format!("{} of {name}", quantity.label());
                    let (_, n_runs) = too_few
                        .entry((place, rank))
                        .or_insert_with(|| (LeftOut { what: what(), why: why.into_owned() }, 0));
                    *n_runs += 1;
                }
                let (place, name, value) = if quantity.id() == MetricId::LoadTime {
                    let name = alternative.clone();
                    let place = *of_starts.entry(name.clone()).or_insert(place);
                    let known = starts.entry(place).or_default();
                    for start in values(cell, quantity) {
                        if !known.contains(&start) {
                            known.push(start);
                        }
                    }
                    (place, name, middle(known))
                } else {
                    (place, name.clone(), value(cell, quantity))
                };
                let Some(value) = value else { continue };
                let series = series.entry((place, rank)).or_insert_with(|| {
                    Series::new(name, alternative.clone(), last, quantity, runs.len())
                });
                series.values[at] = Some(value);
                let found = quantity.read(cell);
                if found.is_some_and(|found| is_lower_bound(quantity, &found)) {
                    series.at_least.push(at);
                }
                series.versions[at].clone_from(&cell.engine_version);
            }
        }
    }
    for ((place, rank), one) in &mut series {
        for (at, state) in tries.of(*place, *rank) {
            one.states[at] = Some(state).filter(|_| one.values[at].is_none());
        }
    }
    let mut series: Vec<Series> = series.into_values().collect();
    let n_judged = series.iter().filter(|it| it.n() >= change_point::N_LEAST).count();
    let alpha_each = alpha / n_judged.max(1) as f64;
    for one in &mut series {
        one.judge(alpha_each);
    }
    let least_step = least_step(&series, alpha_each);
    let point = |run: &PastRun<'_>| RunPoint {
        name: run.name.to_owned(),
        scenario: run.scenario.to_owned(),
        started: run.started.to_owned(),
        commit: run.commit.to_owned(),
    };
    let told = |(it, n_runs): (LeftOut, usize)| match n_runs {
        1 => it,
        n => LeftOut { why: format!("{}; too small in {n} of {} runs", it.why, runs.len()), ..it },
    };
    History {
        format: HISTORY_FORMAT,
        alpha,
        runs: runs.iter().map(point).collect(),
        series,
        least_step,
        unmeasured: tries.unmeasured(&quantities),
        left_out: too_few.into_values().map(told).collect(),
    }
}

/// A cell by its place, or a number of it by its rank, over the runs that have it.
#[derive(Default)]
struct Tries(BTreeMap<(usize, Option<usize>), Try>);

#[derive(Default)]
struct Try {
    name: String,
    /// Each run that has it, with what became of it and why where it was not measured.
    runs: Vec<(usize, Option<(CellStatus, String)>)>,
}

impl Tries {
    fn add(
        &mut self,
        place: usize,
        rank: Option<usize>,
        at: usize,
        name: &str,
        state: Option<(CellStatus, &CellSummary)>,
    ) {
        let one = self.0.entry((place, rank)).or_default();
        name.clone_into(&mut one.name);
        let why = |(state, cell): (_, &CellSummary)| (state, cell.validity.reasons.join("; "));
        one.runs.push((at, state.map(why)));
    }

    /// Returns the runs that did not measure a number, and why not.
    fn of(&self, place: usize, rank: usize) -> impl Iterator<Item = (usize, CellStatus)> {
        let both =
            [None, Some(rank)].into_iter().filter_map(move |rank| self.0.get(&(place, rank)));
        let runs = both.flat_map(|one| &one.runs);
        runs.filter_map(|(at, state)| Some((*at, state.as_ref()?.0)))
    }

    /// Returns what was not measured: numbers of one cell together that lack the same runs. What no
    /// run could try on its machine is left out.
    fn unmeasured(self, quantities: &[Quantity]) -> Vec<Unmeasured> {
        let mut found: Vec<Unmeasured> = Vec::new();
        for ((_, rank), one) in self.0 {
            let states = || one.runs.iter().filter_map(|(at, it)| Some((*at, it.as_ref()?)));
            let Some((_, (state, why))) = states().next_back() else { continue };
            if states().count() == one.runs.len()
                && states().all(|(_, it)| it.0 == CellStatus::Skipped)
            {
                continue;
            }
            let lasting = one.runs.iter().rev().take_while(|(_, it)| it.is_some());
            let next = Unmeasured {
                cell: one.name,
                quantities: rank.map(|rank| quantities[rank].clone()).into_iter().collect(),
                state: *state,
                runs: states().map(|(at, _)| at).collect(),
                since: lasting.last().map(|(at, _)| *at),
                why: why.clone(),
            };
            match found.last_mut() {
                Some(last) if rank.is_some() && last.is_beside(&next) => {
                    last.quantities.extend(next.quantities);
                }
                _ => found.push(next),
            }
        }
        found
    }
}

impl Unmeasured {
    /// Whether another number of the same cell lacks the same runs.
    fn is_beside(&self, other: &Self) -> bool {
        !self.quantities.is_empty() && self.cell == other.cell && self.runs == other.runs
    }
}

/// Returns the median over the series of the least step that each would show at its last run.
fn least_step(series: &[Series], alpha: f64) -> Option<f64> {
    let known = series.iter().map(|one| one.values.iter().flatten().copied().collect::<Vec<_>>());
    let mut least: Vec<f64> =
        known.filter_map(|values| drift::least_step(&values, alpha)).collect();
    least.sort_by(f64::total_cmp);
    least.get(least.len() / 2).copied()
}

/// Names what the starts of a cell's engine are those of, whatever its load.
fn alternative(cell: &CellSummary) -> String {
    let keys = cell.keys.iter().filter(|(key, _)| !is_load(key));
    let (keys, values): (Vec<String>, Vec<Option<String>>) =
        keys.map(|(key, value)| (key.clone(), Some(value.clone()))).unzip();
    if keys.is_empty() { "all cells".to_owned() } else { sides::name(&keys, &values) }
}

/// What a cell was asked, where its summary says it, and its place.
type Asked<'a> = (Option<&'a str>, usize);

/// The cells of a history, each with its place.
#[derive(Default)]
struct KnownCells<'a> {
    /// Scenario and name → what cells of this name were asked, and their places.
    by_name: HashMap<(&'a str, &'a str), Vec<Asked<'a>>>,
    n: usize,
}

impl<'a> KnownCells<'a> {
    /// Returns the place of a cell and what it is called. Of summaries that do not say what was asked,
    /// cells of one name are one.
    fn place(&mut self, scenario: &'a str, cell: &'a CellSummary) -> (usize, String) {
        let asked = cell.asked.as_deref();
        let of_name = self.by_name.entry((scenario, &cell.name)).or_default();
        let is_same = |(known, _): &(Option<&str>, usize)| {
            known.zip(asked).is_none_or(|(known, asked)| known == asked)
        };
        let nth = of_name.iter().position(is_same).unwrap_or_else(|| {
            of_name.push((asked, self.n));
            self.n += 1;
            of_name.len() - 1
        });
        let (known, place) = &mut of_name[nth];
        *known = known.or(asked);
        let name = match nth {
            0 => cell.name.clone(),
            1 => format!("{} (at another load, limit or length)", cell.name),
            nth => format!("{} (at another load, limit or length, {nth})", cell.name),
        };
        (*place, name)
    }
}

/// Returns a run's value of a quantity; `None` where it has none or one that is INVALID.
fn value(cell: &CellSummary, quantity: &Quantity) -> Option<f64> {
    if quantity.id() == MetricId::Accuracy {
        return quantity.believed(cell)?.value;
    }
    middle(&values(cell, quantity))
}

/// Returns its values by trial or start; none of an INVALID number.
fn values(cell: &CellSummary, quantity: &Quantity) -> Vec<f64> {
    let is_invalid = |it: NumberState| it == NumberState::Invalid;
    if quantity.read(cell).and_then(|figure| figure.state).is_some_and(is_invalid) {
        return Vec::new();
    }
    per_trial::values(cell, quantity)
}

impl Series {
    fn new(
        cell: String,
        alternative: String,
        last: usize,
        quantity: &Quantity,
        n_runs: usize,
    ) -> Self {
        Self {
            cell,
            alternative,
            last,
            quantity: quantity.clone(),
            unit: quantity.id().unit().to_owned(),
            values: vec![None; n_runs],
            at_least: Vec::new(),
            states: vec![None; n_runs],
            versions: vec![None; n_runs],
            steps: Vec::new(),
            drift: None,
        }
    }

    /// Returns how many runs have the number.
    pub(crate) fn n(&self) -> usize {
        self.values.iter().flatten().count()
    }

    /// Finds its steps, or its drift.
    fn judge(&mut self, alpha: f64) {
        let known: Vec<(usize, f64)> =
            self.values.iter().enumerate().filter_map(|(run, it)| Some((run, (*it)?))).collect();
        let values: Vec<f64> = known.iter().map(|(_, value)| *value).collect();
        let larger_is_better = self.quantity.larger_is_better().unwrap_or(false);
        let verdict = |rises: bool| {
            if rises == larger_is_better { Verdict::Better } else { Verdict::Worse }
        };
        let step = |step: Step| SeriesStep {
            run: known[step.at].0,
            after: known[step.at - 1].0,
            ratio: step.ratio(),
            p_value: step.p_value,
            verdict: verdict(step.level > step.before),
        };
        match drift::change(&values, alpha) {
            Change::None => {}
            Change::Steps(steps) => self.steps = steps.into_iter().map(step).collect(),
            Change::Drift(Drift { ratio, rises, p_value }) => {
                self.drift = Some(SeriesDrift {
                    ratio_per_run: ratio,
                    ratio: ratio.map(|ratio| ratio.powf(values.len() as f64 - 1.0)),
                    p_value,
                    verdict: verdict(rises),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::summary::{Distribution, Percentile, Validity};
    use crate::metrics::tests::fixture::{measured_cell, with_accuracy, with_figure};
    use crate::record::event::LoadTimeline;
    use crate::units::Nanos;

    fn run(output: f64, version: &str) -> Summary {
        let mut cell =
            with_figure(measured_cell("a", "fp16"), MetricId::OutputThroughput, output, None);
        cell.engine_version = Some(version.to_owned());
        Summary { cells: vec![cell], ..Summary::default() }
    }

    #[test]
    fn another_load_under_the_same_name_is_another_series() {
        let asked = |asked: Option<&str>, output| {
            let mut run = run(output, "1");
            run.cells[0].asked = asked.map(str::to_owned);
            run
        };
        let runs: Vec<Summary> = [100.0, 101.0, 99.5, 400.0, 402.0, 399.0, 100.3]
            .into_iter()
            .zip([None, Some("4"), Some("4"), Some("16"), Some("16"), Some("16"), Some("4")])
            .map(|(output, load)| asked(load, output))
            .collect();
        let past: Vec<PastRun<'_>> = runs
            .iter()
            .map(|summary| PastRun { name: "r", scenario: "s", started: "", commit: "", summary })
            .collect();
        let found = history(&past, false, 0.01);
        let [first, second] = &found.series[..] else { panic!("{found:?}") };
        assert_eq!((first.n(), second.n()), (4, 3));
        assert!(second.cell.ends_with("(at another load, limit or length)"), "{second:?}");
        assert!(found.series.iter().all(|series| series.steps.is_empty()), "{found:?}");
    }

    fn past(runs: &[Summary]) -> Vec<PastRun<'_>> {
        let run = |summary| PastRun { name: "r", scenario: "s", started: "", commit: "", summary };
        runs.iter().map(run).collect()
    }

    #[test]
    fn cells_of_two_scenarios_are_two_series_whatever_their_name() {
        let levels = [20.0, 60.0, 20.1, 60.2, 19.9, 59.8, 20.0, 90.0, 20.1, 90.2, 19.9, 90.1];
        let runs: Vec<Summary> = levels.iter().map(|level| run(*level, "1")).collect();
        let past = |scenarios: [&'static str; 2]| -> Vec<PastRun<'_>> {
            let one = |(at, summary)| PastRun {
                name: "r",
                scenario: scenarios[at % 2],
                started: "",
                commit: "",
                summary,
            };
            runs.iter().enumerate().map(one).collect()
        };
        let found = history(&past(["chat", "code"]), false, 0.01);
        let [chat, code] = &found.series[..] else { panic!("{found:?}") };
        assert_eq!([&*chat.cell, &*code.cell], ["chat: a", "code: a"]);
        assert_eq!((chat.n(), chat.steps.len()), (6, 0));
        assert_eq!((chat.last, code.last), (10, 11));
        assert_eq!(code.steps.iter().map(|step| step.run).collect::<Vec<_>>(), [7]);
        let found = history(&past(["chat", "chat"]), false, 0.01);
        assert_eq!(found.series.iter().map(|it| &*it.cell).collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn starts_that_loads_share_are_one_series_and_told_once() {
        let start = |secs: f64| LoadTimeline {
            first_token: Some(Nanos((secs * 1e9) as u64)),
            ..LoadTimeline::default()
        };
        let cell = |streams: &str, engine: &str, starts: &[f64]| {
            let mut cell = measured_cell(&format!("{engine} {streams}"), "fp16");
            cell.keys.insert("engine".to_owned(), engine.to_owned());
            cell.keys.insert("concurrency".to_owned(), streams.to_owned());
            cell.load = starts.iter().copied().map(start).collect();
            with_accuracy(cell, 50, 100)
        };
        let mut runs: Vec<Summary> = (0..2)
            .map(|_| {
                let starts: &[f64] = &[2.0, 8.0];
                let tiny = ["1", "4"].map(|streams| cell(streams, "tiny", starts));
                let large = [cell("1", "large", &[9.0]), cell("4", "large", &[9.0, 16.0])];
                Summary { cells: [tiny, large].concat(), ..Summary::default() }
            })
            .collect();
        // Of a start the other cells that it served tell it too.
        runs[1].cells[0].validity = Validity::new(CellStatus::Failed, []);
        let found = history(&past(&runs), false, 0.01);
        let is_start = |it: &&Series| it.quantity.id() == MetricId::LoadTime;
        let told = found.series.iter().filter(is_start).map(|it| (&*it.cell, &*it.values));
        let expected: [(&str, &[Option<f64>]); 2] =
            [("tiny fp16", &[Some(4.0); 2]), ("large fp16", &[Some(12.0); 2])];
        let told: Vec<_> = told
            .map(|(cell, values)| {
                let rounded = |it: &Option<f64>| it.map(|value| (value * 1e6).round() / 1e6);
                (cell, values.iter().map(rounded).collect::<Vec<_>>())
            })
            .collect();
        assert_eq!(told, expected.map(|(cell, values)| (cell, values.to_vec())));
        let names = found.series.iter().filter(|it| !is_start(it)).map(|it| &*it.cell);
        let names: Vec<&str> = names.collect();
        assert_eq!(names, ["tiny 1", "tiny 4", "large 1", "large 4"], "accuracies are the cells'");
    }

    #[test]
    fn a_percentile_below_its_floor_is_a_gap_and_named_with_the_runs_that_lack_it() {
        let p99 = Quantity::percentile(MetricId::Ttft, 99.0);
        let run = |n: u64| {
            let mut cell = measured_cell("a", "fp16");
            cell.n_trials = 2;
            cell.trials.insert(p99.clone(), vec![80.0, 80.0]);
            let value = (n >= 662).then_some(80.0);
            let p = Percentile { p: 99.0, value, n_floor: 662, ..Percentile::default() };
            let ttft = Distribution { n, percentiles: vec![p], ..Distribution::default() };
            cell.distributions.insert(MetricId::Ttft, ttft);
            Summary { cells: vec![cell], ..Summary::default() }
        };
        let told = |runs: &[Summary]| {
            let mut found = history(&past(runs), false, 0.01);
            found.series.retain(|it| it.quantity == p99);
            found.left_out.retain(|it| it.what.starts_with("TTFT p99"));
            let why = found.left_out.iter().map(|it| format!("{}: {}", it.what, it.why)).collect();
            (found.series.iter().map(Series::n).collect::<Vec<_>>(), why)
        };
        let few = "TTFT p99 of a: n too small: p99 needs 662, has 144".to_owned();
        let both: Vec<String> = vec![format!("{few}; too small in 2 of 2 runs")];
        assert_eq!(told(&[run(144), run(150)]), (Vec::new(), both));
        assert_eq!(told(&[run(144), run(700), run(700)]), (vec![2], vec![few]));
    }

    #[test]
    fn a_slower_engine_version_is_a_step_that_is_worse() {
        let mut runs: Vec<Summary> =
            [100.0, 101.0, 99.5, 100.2, 80.0, 80.5, 79.8].map(|output| run(output, "1")).to_vec();
        for run in &mut runs[4..] {
            run.cells[0].engine_version = Some("2".to_owned());
        }
        // A run that failed is a gap.
        runs[1].cells[0].validity = Validity::new(CellStatus::Failed, []);
        let past: Vec<PastRun<'_>> = runs
            .iter()
            .map(|summary| PastRun { name: "r", scenario: "s", started: "", commit: "", summary })
            .collect();
        let found = history(&past, false, 0.01);
        let series = &found.series[0];
        assert_eq!((found.series.len(), series.n(), series.values[1]), (1, 6, None));
        let [step] = series.steps[..] else { panic!("{series:?}") };
        assert_eq!((step.run, step.after, step.verdict), (4, 3, Verdict::Worse));
        assert_eq!(series.versions[step.after..=step.run], [Some("1".into()), Some("2".into())]);
        assert!((step.ratio.unwrap() - 0.8).abs() < 0.01, "{step:?}");
    }

    #[test]
    fn a_cell_that_fails_and_a_number_that_is_invalid_are_told_with_their_runs() {
        let p50 = Quantity::percentile(MetricId::Ttft, 50.0);
        let run = |status: CellStatus, state: Option<NumberState>| {
            let mut run = run(100.0, "1");
            let cell = &mut run.cells[0];
            let value = Some(40.0);
            let p = Percentile { p: 50.0, value, state, ..Percentile::default() };
            let ttft = Distribution { n: 100, percentiles: vec![p], ..Distribution::default() };
            cell.distributions.insert(MetricId::Ttft, ttft);
            cell.validity = Validity::new(status, ["it ended with exit code 1".to_owned()]);
            run
        };
        let ok = || run(CellStatus::Ok, None);
        let failed = || run(CellStatus::Failed, None);
        let invalid = || run(CellStatus::Invalid, Some(NumberState::Invalid));
        let told = |runs: &[Summary]| {
            let found = history(&past(runs), false, 0.01);
            let one = found.series.iter().find(|it| it.quantity == p50).unwrap().clone();
            (found.unmeasured, one)
        };
        let (unmeasured, one) = told(&[ok(), failed(), ok(), failed(), failed()]);
        let [cell] = &unmeasured[..] else { panic!("{unmeasured:?}") };
        assert_eq!((cell.cell.as_str(), cell.quantities.len()), ("a", 0));
        assert_eq!((cell.state, cell.since), (CellStatus::Failed, Some(3)));
        assert_eq!((&cell.runs[..], &*cell.why), (&[1, 3, 4][..], "it ended with exit code 1"));
        assert_eq!((one.values[4], one.states[4]), (None, Some(CellStatus::Failed)));
        assert_eq!((one.n(), one.states[0]), (2, None));

        let (unmeasured, one) = told(&[ok(), invalid(), ok()]);
        let [number] = &unmeasured[..] else { panic!("{unmeasured:?}") };
        assert_eq!(number.quantities, std::slice::from_ref(&p50), "the throughput is believed");
        assert_eq!((number.state, number.since), (CellStatus::Invalid, None));
        assert_eq!((one.values[1], one.states[1]), (None, Some(CellStatus::Invalid)));

        assert_eq!(told(&[ok(), ok()]).0, []);
        let skipped = || run(CellStatus::Skipped, None);
        let never = history(&past(&[skipped(), skipped()]), false, 0.01).unmeasured;
        assert_eq!(never, [], "a machine that cannot run a cell never lost it");
        assert_eq!(told(&[ok(), skipped()]).0[0].since, Some(1));
    }

    #[test]
    fn how_large_a_step_must_be_to_be_shown_falls_with_the_number_of_runs() {
        let luck = [1.002, 0.996, 1.003, 0.999, 1.004, 0.997, 1.001, 0.998, 1.003, 1.0, 0.996, 1.0];
        let least = |n: usize| {
            let runs: Vec<Summary> = luck[..n].iter().map(|luck| run(100.0 * luck, "1")).collect();
            history(&past(&runs), false, 0.01).least_step
        };
        assert_eq!(least(2), None);
        assert!(least(3).unwrap() > 1.3, "{:?}", least(3));
        let many = least(12).unwrap();
        assert!((1.005..1.03).contains(&many), "{many}");
        // What it promises holds: a step of that size at the last run is told, a smaller one is not.
        for (times, n_steps) in [(1.01, 1), (0.97, 0)] {
            let at = |at: usize| if at == 11 { many * times } else { 1.0 };
            let runs = luck.iter().enumerate().map(|(n, luck)| run(100.0 * luck * at(n), "1"));
            let found = history(&past(&runs.collect::<Vec<_>>()), false, 0.01);
            assert_eq!(found.series[0].steps.len(), n_steps, "{many} {:?}", found.series[0]);
        }
    }

    #[test]
    fn a_metric_that_drifts_by_a_little_each_run_is_a_drift_and_no_step() {
        let luck = [1.002, 0.999, 1.001, 0.998, 1.0, 1.003, 0.997, 1.001, 1.0, 0.999, 1.002, 1.0];
        let runs: Vec<Summary> =
            (0..).zip(luck).map(|(at, luck)| run(100.0 * 0.98_f64.powi(at) * luck, "1")).collect();
        let past: Vec<PastRun<'_>> = runs
            .iter()
            .map(|summary| PastRun { name: "r", scenario: "s", started: "", commit: "", summary })
            .collect();
        let found = history(&past, false, 0.01);
        let [series] = &found.series[..] else { panic!("{found:?}") };
        let drift = series.drift.unwrap();
        assert_eq!((series.steps.len(), drift.verdict), (0, Verdict::Worse));
        assert!((drift.ratio_per_run.unwrap() - 0.98).abs() < 0.002, "{drift:?}");
        assert!((drift.ratio.unwrap() - 0.98_f64.powi(11)).abs() < 0.01, "{drift:?}");
    }

    #[test]
    fn a_run_that_gets_nothing_right_or_good_is_a_step_and_no_gap() {
        let runs: Vec<Summary> = (0..8)
            .map(|at| {
                let mut cell = measured_cell("a", "fp16");
                cell.n_trials = 2;
                let goodput = if at < 4 { 10.0 } else { 0.0 };
                let goodput = vec![goodput, goodput];
                cell.trials.insert(Quantity::figure(MetricId::Goodput), goodput);
                let cell = with_accuracy(cell, if at < 4 { 90 } else { 0 }, 100);
                Summary { cells: vec![cell], ..Summary::default() }
            })
            .collect();
        let past: Vec<PastRun<'_>> = runs
            .iter()
            .map(|summary| PastRun { name: "r", scenario: "s", started: "", commit: "", summary })
            .collect();
        let found = history(&past, true, 0.01);
        for metric in [MetricId::Goodput, MetricId::Accuracy] {
            let is_of = |it: &&Series| it.quantity == Quantity::figure(metric);
            let series = found.series.iter().find(is_of).unwrap();
            let [step] = series.steps[..] else { panic!("{series:?}") };
            assert_eq!((step.run, step.ratio, step.verdict), (4, Some(0.0), Verdict::Worse));
            assert_eq!(series.values[7], Some(0.0));
        }
    }
}
