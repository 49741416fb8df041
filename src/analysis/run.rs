//! From the records of a run directory to its numbers: what report, verify and score share.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::analysis::golds::RunGolds;
use crate::analysis::input::{CellSeries, EngineStart, RunFacts, RunSeries, engine_starts};
use crate::analysis::records::{complete_trials, corrupt, exchanges};
use crate::analysis::references::reference_comparisons;
use crate::analysis::reused_cells;
use crate::analysis::series::SeriesBuilder;
use crate::ids::{CellId, LaunchId};
use crate::metrics::accumulate::CellAccumulator;
use crate::metrics::client_lag::longest_wait;
use crate::metrics::compare::Comparison;
use crate::metrics::compare::sides::within;
use crate::metrics::gates;
use crate::metrics::neighbours::EngineTimes;
use crate::metrics::summarise::{run_caveat, summary};
use crate::metrics::summary::{Caveat, CellSummary, Summary};
use crate::metrics::wall_time::{TimesByTrial, TrialTimes, wall_time};
use crate::metrics::window::Window;
use crate::plan::Plan;
use crate::plan::cell::Cell;
use crate::record::environment::Environment;
use crate::record::event::{CellOutcome, EngineFacts, EventRecord, LoadTimeline, RunEvent};
use crate::record::outcomes::outcomes;
use crate::record::trial::DatasetRecord;
use crate::score::answer::Answer;
use crate::score::classes::ItemClasses;
use crate::score::grade::Grading;
use crate::score::pair::{PairedAccuracy, pair};
use crate::score::scorer::Scorer;
use crate::store::error::StoreError;
use crate::store::reader::RunReader;

/// A run, read and computed.
pub(crate) struct RunAnalysis {
    /// The run directory.
    pub dir: PathBuf,
    /// The plan; each measured phase is a row.
    pub plan: Plan,
    /// The numbers.
    pub summary: Summary,
    /// The alternatives of the run at equal load; absent where there are no two.
    pub comparison: Option<Comparison>,
    /// What became of each item of each scored cell.
    pub classes: BTreeMap<CellId, ItemClasses>,
    /// The machine that measured.
    pub environment: Environment,
    pub(crate) run: RunFacts,
    pub(crate) engines: Vec<EngineStart>,
    /// How often an engine was ready, one that was attached to as well.
    n_ready: usize,
    pub(crate) datasets: Vec<DatasetRecord>,
    pub(crate) series: BTreeMap<CellId, CellSeries>,
}

impl RunAnalysis {
    /// Reads a run directory and computes its numbers.
    ///
    /// Of a finished cell its summary stays, at most 200 points of each curve, and a byte for
    /// each item and extractor. While a cell is read, exact percentiles take four bytes for
    /// each request and metric.
    pub(crate) fn of(reader: &RunReader) -> Result<Self, StoreError> {
        let plan = reader.plan()?.by_row();
        let events = reader.events()?.collect::<Result<Vec<_>, _>>()?;
        let environment = reader.environment()?.unwrap_or_default();
        let mut cells = Vec::new();
        let by_owner = EventsByOwner::of(&events);
        let mut measured = BTreeSet::new();
        let mut classes: BTreeMap<CellId, ItemClasses> = BTreeMap::new();
        let mut series = RunSeries::default();
        let mut starts: HashMap<&LaunchId, Arc<[LoadTimeline]>> = HashMap::new();
        let mut datasets: Vec<DatasetRecord> = Vec::new();
        let mut times = TimesByTrial::new();
        let mut golds = RunGolds::new(reader);
        let engine_times = engine_times(reader, &events);
        for cell in &plan.cells {
            let owned = (&by_owner, &engine_times);
            let mut analysed = analyse_cell(reader, &plan, cell, owned, &mut golds)?;
            let known = starts.entry(&cell.launch).or_insert_with(|| analysed.summary.load.clone());
            if *known == analysed.summary.load {
                analysed.summary.load = Arc::clone(known);
            }
            cells.push(analysed.summary);
            series.push(cell, analysed.series.finish(&environment.gpus));
            times.extend(analysed.times);
            if analysed.is_measured {
                measured.insert(cell.id.clone());
            }
            if let Some(mut of_cell) = analysed.classes {
                if let Some((_, other)) = classes.last_key_value() {
                    of_cell.share_rows(other);
                }
                classes.insert(cell.id.clone(), of_cell);
            }
            for dataset in analysed.datasets {
                if !datasets.iter().any(|known| known.name == dataset.name) {
                    datasets.push(dataset);
                }
            }
        }
        let mut beside = reference_comparisons(reader, &plan, &measured, &classes)?;
        for cell in &mut cells {
            cell.beside = beside.remove(&cell.id).unwrap_or_default();
            // Room for four of each was made, and there may be ten thousand such cells.
            cell.beside.iter_mut().for_each(|found| found.accuracy.shrink_to_fit());
            cell.beside.shrink_to_fit();
        }
        let mut caveats = run_caveats(&events);
        caveats.extend(reused_cells::caveats(&events, &plan));
        let (is_complete, facts) = (is_complete(&events), facts(&events));
        caveats.extend(untold_starts(&plan, &measured, &facts));
        let mut summary = summary(&plan, is_complete, cells, &facts, &times, caveats);
        summary.wall_time = wall_time(&events, &times);
        let planned = plan.cells_by_name();
        let pair_items = |one: &str, other: &str| {
            paired(planned.get(one).copied()?, planned.get(other).copied()?, &classes)
        };
        let comparison = within(&plan, &summary, &pair_items);
        Ok(Self {
            comparison,
            dir: reader.dir().path().to_owned(),
            environment,
            run: run_facts(reader, &events),
            engines: engine_starts(&events),
            n_ready: events
                .iter()
                .filter(|it| matches!(it.event, RunEvent::EngineReady { .. }))
                .count(),
            plan,
            summary,
            classes,
            datasets,
            series: series.by_cell,
        })
    }

    /// Notes that the run is over, as its last event says.
    pub(crate) fn finished(&mut self) {
        self.summary.complete = true;
    }

    /// Judges the plan's gates again, after it got others.
    pub(crate) fn judge_gates(&mut self) {
        self.summary.gates = gates::results(&self.plan, &self.summary.cells);
    }

    /// Whether any engine of the run ever answered.
    pub(crate) fn any_engine_was_ready(&self) -> bool {
        self.n_ready > 0
    }
}

/// Compares the answers of two cells of a run, where they were asked the same and graded alike.
fn paired(
    one: &Cell,
    other: &Cell,
    classes: &BTreeMap<CellId, ItemClasses>,
) -> Option<PairedAccuracy> {
    if (&one.dataset, &one.score) != (&other.dataset, &other.score) {
        return None;
    }
    let (first, second) = (classes.get(&one.id)?, classes.get(&other.id)?);
    pair(first, second, first.extractors().first()?)
}

/// Computes the numbers of one cell.
pub(crate) fn cell_summary(
    reader: &RunReader,
    plan: &Plan,
    cell: &Cell,
) -> Result<CellSummary, StoreError> {
    let events = reader.events()?.collect::<Result<Vec<_>, _>>()?;
    let events = EventsByOwner::of(&events);
    let alone = EngineTimes::default();
    Ok(analyse_cell(reader, plan, cell, (&events, &alone), &mut RunGolds::new(reader))?.summary)
}

struct CellAnalysis {
    summary: CellSummary,
    classes: Option<ItemClasses>,
    series: SeriesBuilder,
    datasets: Vec<DatasetRecord>,
    times: Vec<((CellId, u32), TrialTimes)>,
    is_measured: bool,
}

/// The events of each launch, in their order, and the last word on each cell.
struct EventsByOwner<'e> {
    launches: HashMap<&'e LaunchId, Vec<&'e RunEvent>>,
    outcomes: BTreeMap<&'e CellId, &'e CellOutcome>,
}

impl<'e> EventsByOwner<'e> {
    fn of(events: &'e [EventRecord]) -> Self {
        let mut launches: HashMap<_, Vec<_>> = HashMap::new();
        for EventRecord { event, .. } in events {
            match event {
                RunEvent::EngineReady { launch, .. } | RunEvent::EngineStopped { launch, .. } => {
                    launches.entry(launch).or_default().push(event);
                }
                _ => {}
            }
        }
        Self { launches, outcomes: outcomes(events.iter().map(|record| &record.event)) }
    }
}

fn analyse_cell(
    reader: &RunReader,
    plan: &Plan,
    cell: &Cell,
    (events, engine_times): (&EventsByOwner<'_>, &EngineTimes),
    golds: &mut RunGolds<'_>,
) -> Result<CellAnalysis, StoreError> {
    let mut accumulator = CellAccumulator::new(plan, cell);
    for event in events.launches.get(&cell.launch).into_iter().flatten() {
        match event {
            RunEvent::EngineReady { timeline, facts, .. } => accumulator.engine(timeline, facts),
            RunEvent::EngineStopped { stop, .. } => accumulator.stopped(stop),
            _ => {}
        }
    }
    if let Some(outcome) = events.outcomes.get(cell.run_id()) {
        accumulator.outcome(outcome);
    }
    let trials = complete_trials(reader, cell)?;
    if trials.len() < cell.n_trials as usize {
        // More trials are asked for than when the cell was closed.
        accumulator.lacks_trials();
    }
    // The golds are there before the first trial is.
    let scoring = match cell.score.as_ref().filter(|_| !trials.is_empty()) {
        Some(score) => {
            let scorer = Scorer::new(&plan.scores[score])
                .map_err(|error| corrupt(reader.dir().plan(), error.to_string()))?;
            let golds = golds.of(cell, score, &scorer)?;
            Some((scorer, golds))
        }
        None => None,
    };
    let mut grading = scoring.as_ref().map(|(scorer, golds)| scorer.grading(golds));
    let mut series = SeriesBuilder::default();
    for trial in &trials {
        let window = Window::of(&trial.record, cell);
        accumulator.begin_trial(&trial.record);
        accumulator.beside(engine_times.beside(&cell.launch, &trial.record, plan));
        series.begin_trial(&window, longest_wait(&trial.record));
        for sample in trial.telemetry()? {
            let sample = sample?;
            series.telemetry(&sample);
            accumulator.telemetry(&sample);
        }
        for exchange in exchanges(trial)? {
            let (request, output) = exchange?;
            accumulator.request(&request);
            let is_measured = window.measures_phase(request.phase);
            if !window.is_earlier(&request) {
                series.request(&request, is_measured);
            }
            if let Some(grading) = grading.as_mut().filter(|_| is_measured) {
                grading.push(&Answer::of(&request, &output));
            }
        }
        accumulator.end_trial();
    }
    let graded = grading.map(Grading::finish);
    if let Some(graded) = &graded {
        accumulator.graded(graded);
    }
    let times = trials.iter().map(|trial| {
        let record = &trial.record;
        ((cell.run_id().clone(), record.trial), TrialTimes::of(record, cell))
    });
    Ok(CellAnalysis {
        times: times.collect(),
        summary: accumulator.finish(),
        classes: graded.as_ref().map(ItemClasses::of),
        is_measured: !trials.is_empty(),
        series,
        datasets: trials.into_iter().filter_map(|trial| trial.record.dataset).collect(),
    })
}

/// Returns when engines ran, where a run had several at once on this machine.
fn engine_times(reader: &RunReader, events: &[EventRecord]) -> EngineTimes {
    let begun = reader.manifest().invocation.as_ref();
    if begun.is_some_and(|begun| begun.side_by_side) {
        EngineTimes::of(events, reader.is_in_progress())
    } else {
        EngineTimes::default()
    }
}

/// Whether the last session of the run came to its end without being interrupted.
fn is_complete(events: &[EventRecord]) -> bool {
    let is_start = |record: &EventRecord| matches!(record.event, RunEvent::RunStarted { .. });
    let last_session = events.rsplit(is_start).next().unwrap_or_default();
    matches!(last_session.last(), Some(EventRecord { event: RunEvent::RunFinished { .. }, .. }))
        && !last_session.iter().any(|record| matches!(record.event, RunEvent::Interrupted { .. }))
}

/// Returns what each engine said of itself at its last start.
fn facts(events: &[EventRecord]) -> BTreeMap<LaunchId, EngineFacts> {
    let ready = events.iter().filter_map(|record| match &record.event {
        RunEvent::EngineReady { launch, facts, .. } => Some((launch.clone(), facts.clone())),
        _ => None,
    });
    ready.collect()
}

/// Engines that served trials and of whose start no event tells: a kill loses the end of the events
/// at most, and what is cut off there may be more.
fn untold_starts(
    plan: &Plan,
    measured: &BTreeSet<CellId>,
    facts: &BTreeMap<LaunchId, EngineFacts>,
) -> Option<Caveat> {
    let served = plan.cells.iter().filter(|cell| measured.contains(&cell.id));
    let untold = served.map(|cell| &cell.launch).filter(|launch| !facts.contains_key(*launch));
    let names: BTreeSet<&str> =
        untold.filter_map(|launch| Some(plan.launches.get(launch)?.engine.as_str())).collect();
    let names: Vec<&str> = names.into_iter().collect();
    (!names.is_empty()).then(|| {
        run_caveat(
            &format!("no event tells of a start of {}, which served trials", names.join(", ")),
            "The end of events.jsonl was lost, with load times and what engines told of themselves: \
             restore it, or measure in a new run.",
        )
    })
}

fn run_caveats(events: &[EventRecord]) -> Vec<Caveat> {
    let mut counted: IndexMap<(&str, &str), usize> = IndexMap::new();
    for record in events {
        if let RunEvent::Caveat { what, advice } = &record.event {
            *counted.entry((what, advice)).or_default() += 1;
        }
    }
    let caveat = |((what, advice), n): ((&str, &str), usize)| match n {
        1 => run_caveat(what, advice),
        n => run_caveat(&format!("{what} ({n} times)"), advice),
    };
    counted.into_iter().map(caveat).collect()
}

fn run_facts(reader: &RunReader, events: &[EventRecord]) -> RunFacts {
    RunFacts {
        name: reader.manifest().name.clone(),
        started_unix_ns: events.first().map_or(0, |record| record.unix_ns),
        report_at: reader.dir().path().join("report.html").display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caveat_that_comes_with_many_trials_is_told_once_with_its_count() {
        let record = |what: &str| EventRecord {
            seq: 0,
            unix_ns: 0,
            event: RunEvent::Caveat { what: what.to_owned(), advice: "Do.".to_owned() },
        };
        let told = run_caveats(&[record("a"), record("b"), record("a"), record("a")]);
        let told: Vec<&str> = told.iter().map(|caveat| &*caveat.what).collect();
        assert_eq!(told, ["a (3 times)", "b"]);
    }

    #[test]
    fn a_resumed_run_is_complete_when_its_last_session_is() {
        let check = |events: &[RunEvent], expected: bool| {
            let record =
                |event: &RunEvent| EventRecord { seq: 0, unix_ns: 0, event: event.clone() };
            let events: Vec<EventRecord> = events.iter().map(record).collect();
            assert_eq!(is_complete(&events), expected, "{events:?}");
        };
        let started = RunEvent::RunStarted { resumed: false, n_cells: 1 };
        let interrupted = RunEvent::Interrupted { signal: "SIGINT".to_owned() };
        let finished = RunEvent::RunFinished { code: 0 };
        check(&[], false);
        check(std::slice::from_ref(&started), false);
        check(&[started.clone(), finished.clone()], true);
        check(&[started.clone(), interrupted.clone(), finished.clone()], false);
        check(&[started.clone(), interrupted, finished.clone(), started, finished], true);
    }
}
