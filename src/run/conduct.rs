//! Carries out a plan: each engine is started, serves its trials and is stopped.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use indicatif::BinaryBytes;

use crate::analysis::records::complete;
use crate::analysis::run::cell_summary;
use crate::diagnostic::suggest::{list, nearest};
use crate::engine::credentials::Credentials;
use crate::engine::interrupt::Interrupt;
use crate::engine::prefetch::Prefetch;
use crate::engine::ready::probe::ProbeRequest;
use crate::engine::running::Engine;
use crate::engine::start::requires;
use crate::engine::start::version;
use crate::engine::start::{NotStarted, StartContext, this_program};
use crate::engine::step::StartStep;
use crate::ids::{CellId, LaunchId, content_hash};
use crate::load::trial::check_descriptors;
use crate::metrics::load_search::searches;
use crate::metrics::summary::{CellSummary, SearchSummary};
use crate::metrics::wall_time::since_last_end;
use crate::plan::cell::{Cell, OutputLength, OverSaturation, RequestPlan};
use crate::plan::launch::Launch;
use crate::plan::{Plan, SkipAfter};
use crate::record::event::{
    CellOutcome, EngineFailure, EventRecord, FailureClass, PageCache, RunEvent,
};
use crate::record::outcomes::outcomes;
use crate::run::budget_order::{BudgetOrder, TrialsLeft};
use crate::run::busy_machine::busy_machine;
use crate::run::clients::Clients;
use crate::run::input_drift::FirstInputs;
use crate::run::prepare::Prepared;
use crate::run::schedule::{EngineSession, sessions};
use crate::run::session_budget::SessionBudget;
use crate::run::telemetry::RunSampling;
use crate::run::trial::{self, TrialEnd};
use crate::run::{Notice, RunError};
use crate::store::error::StoreError;
use crate::store::reader::RunReader;
use crate::store::trial_sync::{EndedTrial, TrialSync};
use crate::store::writer::RunWriter;

/// A run that is being carried out.
pub(crate) struct Conductor<'a> {
    /// Grows by the points that a search tries. Without one it is not copied: ten thousand cells are
    /// ten megabytes.
    plan: Cow<'a, Plan>,
    prepared: &'a Prepared,
    writer: RunWriter,
    interrupt: Interrupt,
    credentials: &'a Credentials,
    notify: &'a (dyn Fn(Notice) + Sync),
    /// Where each cell stands in the plan: it is asked for several times in each trial.
    places: HashMap<CellId, usize>,
    /// Where the cells of each launch stand in the plan.
    served: HashMap<LaunchId, Vec<usize>>,
    /// Cells that are over, whatever their outcome.
    over: BTreeSet<CellId>,
    /// Trials that each unfinished cell still needs.
    trials_left: BTreeMap<CellId, u32>,
    /// Numbers of the points of searches that are over.
    tried: Vec<CellSummary>,
    /// Starts of each launch so far, those of earlier sessions of this run included.
    n_starts: BTreeMap<LaunchId, u32>,
    /// Trials that have ended and are not known to be on the disk.
    syncing: RefCell<TrialSync>,
    sampling: RefCell<RunSampling>,
    clients: RefCell<Option<Clients>>,
    /// Commands whose engine's version was compared with those of its preset.
    compared: BTreeSet<Vec<String>>,
    /// Cells in which an engine failed so that those which contain them are not tried.
    failed: Vec<Cell>,
    /// Cells whose queue only grew so that higher rates are not tried.
    over_saturated: Vec<Cell>,
    /// What engines and data were when the run began.
    first: FirstInputs,
    /// The launch behind the present one, if there is one.
    next: Option<LaunchId>,
    prefetching: Option<Prefetching>,
    /// Launches whose model files were read while another engine was measured.
    prefetched: BTreeSet<LaunchId>,
}

/// The model files of the next engine, while they are read.
struct Prefetching {
    launch: LaunchId,
    /// Names of the engine and of the one that is measured meanwhile.
    engine: String,
    measured: String,
    reader: Prefetch,
}

/// How a run ended.
pub(crate) struct Conducted {
    /// Still open, for the last event.
    pub writer: RunWriter,
    /// The signal that ended it early.
    pub interrupted: Option<i32>,
    /// What an engine left behind, if one did.
    pub left_behind: Vec<String>,
}

/// What earlier sessions of a resumed run have done.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// Complete trials.
    pub trials: BTreeSet<(CellId, u32)>,
    /// Events so far.
    pub events: Vec<EventRecord>,
    /// Cells that have all their trials.
    pub kept: BTreeSet<CellId>,
    /// Cells whose engine failed, and that nobody asked to measure again.
    pub failed: BTreeMap<CellId, FailureClass>,
    /// Cells whose queue only grew.
    pub over_saturated: BTreeSet<CellId>,
    /// Cells that the last session skipped.
    pub skipped: BTreeSet<CellId>,
    /// Cells that this machine was found to be able to run, kept ones included.
    pub n_cells: usize,
    /// Whether there was an earlier session at all.
    pub is_resumed: bool,
    /// What its engines and data were.
    pub first: FirstInputs,
}

impl Done {
    /// Whether a cell that was skipped would be skipped again: it cannot run here, or what is not
    /// measured again has failed with less.
    pub(crate) fn stays_skipped(&self, cell: &Cell, plan: &Plan, cannot_run: bool) -> bool {
        let less = plan.cells.iter().filter(|it| it.id != cell.id && cell.contains(it));
        let mut less = less.filter(|it| {
            self.over_saturated.contains(&it.id) && skips_higher(it)
                || self.failed.get(&it.id).is_some_and(|class| excludes(plan, *class))
        });
        self.skipped.contains(&cell.id)
            && (cell.skip.is_some() || cannot_run || less.next().is_some())
    }

    /// Returns how many trials of a cell are complete.
    pub(crate) fn n_trials(&self, cell: &CellId) -> u32 {
        self.trials.range((cell.clone(), 0)..=(cell.clone(), u32::MAX)).count() as u32
    }
}

/// Carries out `plan`, leaving out what `done` says is there.
pub(crate) fn conduct<'a>(
    plan: &'a Plan,
    prepared: &'a Prepared,
    writer: RunWriter,
    done: &Done,
    interrupt: Interrupt,
    credentials: &'a Credentials,
    notify: &'a (dyn Fn(Notice) + Sync),
) -> Result<Conducted, RunError> {
    let mut conductor = Conductor {
        plan: Cow::Borrowed(plan),
        places: HashMap::new(),
        served: HashMap::new(),
        prepared,
        writer,
        interrupt,
        credentials,
        notify,
        over: BTreeSet::new(),
        trials_left: BTreeMap::new(),
        tried: Vec::new(),
        n_starts: starts_so_far(&done.events),
        syncing: RefCell::default(),
        sampling: RefCell::default(),
        clients: RefCell::default(),
        compared: BTreeSet::new(),
        failed: plan
            .cells
            .iter()
            .filter(|cell| done.failed.get(&cell.id).is_some_and(|class| excludes(plan, *class)))
            .cloned()
            .collect(),
        over_saturated: plan
            .cells
            .iter()
            .filter(|cell| done.over_saturated.contains(&cell.id) && skips_higher(cell))
            .cloned()
            .collect(),
        first: done.first.clone(),
        next: None,
        prefetching: None,
        prefetched: BTreeSet::new(),
    };
    (0..).zip(&plan.cells).for_each(|(at, cell)| conductor.place(at, cell));
    conductor.run(done)
}

impl Conductor<'_> {
    fn run(mut self, done: &Done) -> Result<Conducted, RunError> {
        let n_cells = self.plan.cells.len() as u32;
        self.event(RunEvent::RunStarted { resumed: done.is_resumed, n_cells })?;
        for record in &done.events {
            if let RunEvent::PointAdded { first, load } = &record.event {
                self.add_point(first, *load);
            }
        }
        self.over.extend(done.failed.keys().cloned());
        self.skip_what_cannot_run()?;
        for cell in self.plan.cells.iter().filter(|cell| !self.over.contains(&cell.id)) {
            let n_done = done.n_trials(&cell.id);
            self.trials_left.insert(cell.id.clone(), cell.n_trials.saturating_sub(n_done));
        }
        self.close_cells_without_trials_left(&done.events)?;
        self.go_on_searching()?;
        let sessions = sessions(&self.plan, |cell, trial| {
            self.over.contains(cell) || done.trials.contains(&(cell.clone(), trial))
        });
        if !sessions.is_empty() {
            let changed = |cell: &Cell, before: &_| self.prepared.changed_prompts(cell, before);
            for caveat in self.first.prompts(self.plan.cells.iter(), changed) {
                self.event(caveat)?;
            }
        }
        // A limit that is too low is told before an engine takes minutes to start.
        for (cell, _) in sessions.iter().flat_map(|session| &session.trials) {
            let cell = &self.plan.cells[self.places[cell]];
            let in_cell = |source| RunError::Load { cell: cell.name.clone(), source };
            check_descriptors(&cell.phases).map_err(in_cell)?;
        }
        if !sessions.is_empty()
            && let Some(caveat) = busy_machine(&self.prepared.programs)
        {
            self.event(caveat)?;
        }
        if let (Some(wanted), false) = (&self.plan.clients, sessions.is_empty()) {
            let clients =
                Clients::start(wanted, &self.plan, self.prepared.begun(), &self.interrupt);
            let first = sessions[0].trials[0].0.clone();
            let in_cell = |source| RunError::Clients { cell: self.cell(&first).name, source };
            self.clients = RefCell::new(clients.map_err(in_cell)?);
        }
        let mut left_behind = Vec::new();
        let spent = since_last_end(&done.events);
        let ends =
            self.plan.budget.map(|it| Instant::now() + Duration::from(it.saturating_sub(spent)));
        let n_sessions = sessions.len();
        let launches: Vec<LaunchId> = sessions.iter().map(|it| it.launch.clone()).collect();
        for (at, session) in sessions.into_iter().enumerate() {
            if self.interrupt.is_raised() {
                break;
            }
            // Every engine gets an equal part of what is left.
            let n_left = (n_sessions - at) as u32;
            let share = |end: Instant| end.saturating_duration_since(Instant::now()) / n_left;
            let mut budget = ends.map(|end| SessionBudget::new(Instant::now(), share(end)));
            self.next = launches.get(at + 1).cloned();
            let served = self.session(&session, budget.as_mut());
            // What cannot be written has its cause there, if the directory is gone.
            if let Err(RunError::Store(_)) = &served {
                self.writer.check_place()?;
            }
            left_behind.extend(served?);
            if !left_behind.is_empty() {
                // A further engine on this device would be measured beside the remains of this one.
                break;
            }
        }
        self.end_prefetch()?;
        self.writer.check_place()?;
        let interrupted = self.interrupt.signal();
        if let Some(signal) = self.interrupt.signal_name() {
            self.event(RunEvent::Interrupted { signal })?;
        }
        let ids: Vec<CellId> = self.plan.cells.iter().map(|cell| cell.id.clone()).collect();
        for id in ids.iter().filter(|id| !self.over.contains(*id)).collect::<Vec<_>>() {
            self.finish(id, CellOutcome::Interrupted)?;
        }
        Ok(Conducted { writer: self.writer, interrupted, left_behind })
    }

    /// Writes an event and tells observers.
    fn event(&mut self, event: RunEvent) -> Result<(), RunError> {
        self.writer.event(event.clone())?;
        (self.notify)(Notice::Event(Box::new(event)));
        Ok(())
    }

    fn skip_what_cannot_run(&mut self) -> Result<(), RunError> {
        let mut unmet: BTreeMap<&LaunchId, Option<String>> = BTreeMap::new();
        let mut skipped = Vec::new();
        for cell in self.plan.cells.iter().filter(|cell| !self.over.contains(&cell.id)) {
            let launch = &self.plan.launches[&cell.launch];
            let reason = cell.skip.clone().or_else(|| {
                let look = || requires::unmet(launch).map(|unmet| unmet.to_string());
                unmet.entry(&cell.launch).or_insert_with(look).clone()
            });
            skipped.extend(reason.map(|reason| (cell.id.clone(), reason)));
        }
        for (cell, reason) in skipped {
            self.skip(&cell, reason)?;
        }
        Ok(())
    }

    /// Closes cells whose trials were all complete in earlier sessions.
    fn close_cells_without_trials_left(&mut self, events: &[EventRecord]) -> Result<(), RunError> {
        let outcomes = outcomes(events.iter().map(|record| &record.event));
        let without: Vec<CellId> = self
            .trials_left
            .iter()
            .filter(|(_, left)| **left == 0)
            .map(|(cell, _)| cell.clone())
            .collect();
        for cell in without {
            if outcomes.get(&cell) == Some(&&CellOutcome::Complete) {
                self.over.insert(cell);
            } else {
                self.finish(&cell, CellOutcome::Complete)?;
            }
        }
        Ok(())
    }

    /// Makes a cell a row that says why it was not measured.
    fn skip(&mut self, cell: &CellId, reason: String) -> Result<(), RunError> {
        self.event(RunEvent::CellSkipped { cell: cell.clone(), reason: reason.clone() })?;
        self.finish(cell, CellOutcome::Skipped(reason))
    }

    /// Returns why a cell is not tried: the engine failed with what it asks for, or could not keep
    /// up with less.
    fn failed_before(&self, cell: &Cell) -> Option<String> {
        let is_less = |it: &&Cell| it.id != cell.id && cell.contains(it);
        if let Some(less) = self.over_saturated.iter().find(is_less) {
            let word = OverSaturation::StopAndSkip.word();
            let name = &less.name;
            return Some(format!("the queue only grew in {name}; `over-saturation = \"{word}\"`"));
        }
        let failed = self.failed.iter().find(|failed| cell.contains(failed))?;
        let word = self.plan.skip_after?.word();
        Some(format!("the engine failed in {}; `skip-after = \"{word}\"`", failed.name))
    }

    /// Takes note of a failure after which some cells are not tried.
    fn note_failure(&mut self, cell: &Cell, failure: &EngineFailure) {
        if excludes(&self.plan, failure.class) {
            self.failed.push(cell.clone());
        }
    }

    fn finish(&mut self, cell: &CellId, outcome: CellOutcome) -> Result<(), RunError> {
        self.over.insert(cell.clone());
        self.event(RunEvent::CellFinished { cell: cell.clone(), outcome })
    }

    /// Serves one session; returns what its engine left behind.
    ///
    /// An engine that dies takes its cell with it; the next cell gets a fresh start.
    fn session(
        &mut self,
        session: &EngineSession,
        mut budget: Option<&mut SessionBudget>,
    ) -> Result<Vec<String>, RunError> {
        let launch = &self.plan.launches[&session.launch].clone();
        let mut engine: Option<Engine> = None;
        let left_behind = self.extra_starts(session, launch)?;
        if self.interrupt.is_raised() || !left_behind.is_empty() {
            return Ok(left_behind);
        }
        let mut trials = TrialsLeft::from(session.trials.clone());
        let mut order = None;
        if budget.is_some() {
            let (of_sweeps, left) = BudgetOrder::new(&self.plan, &session.trials);
            (order, trials) = (Some(of_sweeps), left);
        }
        while let Some((cell_id, trial)) = self.next_trial(order.as_mut(), &mut trials)? {
            if self.interrupt.is_raised() {
                break;
            }
            if self.over.contains(&cell_id) {
                continue;
            }
            if let Err(gone) = self.writer.check_place() {
                engine.map(Engine::stop);
                return Err(gone.into());
            }
            let cell = &self.cell(&cell_id);
            if let Some(reason) = self.failed_before(cell) {
                self.skip(&cell_id, reason)?;
                continue;
            }
            let is_up = engine.is_some();
            if budget.as_mut().is_some_and(|budget| !budget.has_room(Instant::now(), is_up)) {
                self.leave_out(&cell_id)?;
                continue;
            }
            let began = Instant::now();
            let running = match engine.take() {
                Some(engine) => engine,
                None => match self.start(&session.launch, launch, cell)? {
                    Ok(engine) => {
                        if let Some(budget) = &mut budget {
                            budget.started(began, Instant::now());
                        }
                        self.prefetch_next(launch)?;
                        engine
                    }
                    Err(NotStarted::Interrupted) => break,
                    // Who ends this program may end its engines as well, as Slurm does.
                    Err(NotStarted::Failed(_) | NotStarted::Unguarded(_))
                        if self.interrupt.is_raised() =>
                    {
                        break;
                    }
                    Err(NotStarted::Unguarded(failure)) => {
                        return Err(unguarded(launch, *failure, Vec::new()));
                    }
                    Err(NotStarted::Failed(failure)) => {
                        self.fail_visit(session, &failure)?;
                        return Ok(Vec::new());
                    }
                },
            };
            if let Some(budget) = &mut budget {
                budget.begin(Instant::now());
            }
            match self.trial(cell, launch, trial, &running)? {
                TrialEnd::Complete { over_saturated } => {
                    if over_saturated && skips_higher(cell) {
                        self.over_saturated.push(cell.clone());
                    }
                    self.complete_synced()?;
                    engine = Some(running);
                }
                TrialEnd::Interrupted => {
                    engine = Some(running);
                    break;
                }
                TrialEnd::EngineFailed(_) if self.interrupt.is_raised() => {
                    engine = Some(running);
                    break;
                }
                // Its cell stays open, and is measured again by whoever goes on with the run.
                TrialEnd::EngineFailed(failure) if running.is_unguarded() => {
                    let left_behind = self.stop(&session.launch, running)?;
                    return Err(unguarded(launch, *failure, left_behind));
                }
                TrialEnd::EngineFailed(failure) => {
                    self.note_failure(cell, &failure);
                    self.finish(&cell_id, CellOutcome::Failed(*failure))?;
                    let left_behind = self.stop(&session.launch, running)?;
                    if !left_behind.is_empty() {
                        return Ok(left_behind);
                    }
                }
            }
            if trials.is_empty() {
                trials.extend(self.trials_of_new_points(&session.launch)?);
            }
        }
        match engine {
            Some(engine) => self.stop(&session.launch, engine),
            None => Ok(Vec::new()),
        }
    }

    /// Skips a cell for which there is no time left, unless its trials are measured and only not
    /// synced yet.
    fn leave_out(&mut self, cell: &CellId) -> Result<(), RunError> {
        self.complete_all()?;
        if self.over.contains(cell) {
            return Ok(());
        }
        let budget = self.plan.budget.unwrap_or_default();
        self.skip(cell, format!("left out by budget ({budget})"))
    }

    /// Returns the trials of the next points of searches that one launch serves.
    fn trials_of_new_points(&mut self, launch: &LaunchId) -> Result<Vec<(CellId, u32)>, RunError> {
        self.complete_all()?;
        let points = self.go_on_searching()?;
        let served_here = points.iter().filter(|cell| cell.launch == *launch);
        let trials =
            served_here.flat_map(|cell| (1..=cell.n_trials).map(|trial| (cell.id.clone(), trial)));
        Ok(trials.collect())
    }

    /// Starts an engine for its load time alone, as often as is asked for; returns what a stop left behind.
    fn extra_starts(
        &mut self,
        session: &EngineSession,
        launch: &Launch,
    ) -> Result<Vec<String>, RunError> {
        for _ in 0..launch.extra_starts {
            if self.interrupt.is_raised() {
                break;
            }
            let first = self.cell(&session.trials[0].0);
            match self.start(&session.launch, launch, &first)? {
                Ok(started) => {
                    let left_behind = self.stop(&session.launch, started)?;
                    if !left_behind.is_empty() {
                        return Ok(left_behind);
                    }
                }
                Err(NotStarted::Unguarded(failure)) if !self.interrupt.is_raised() => {
                    return Err(unguarded(launch, *failure, Vec::new()));
                }
                Err(_) => {}
            }
        }
        Ok(Vec::new())
    }

    /// Takes the next trial of a session: under a budget, of the cell that tells most.
    fn next_trial(
        &mut self,
        order: Option<&mut BudgetOrder>,
        left: &mut TrialsLeft,
    ) -> Result<Option<(CellId, u32)>, RunError> {
        let Some(order) = order else { return Ok(left.pop_front()) };
        if order.is_due(left) {
            self.complete_all()?;
            self.writer.sync()?;
            let reader = RunReader::open(self.writer.dir().path())?;
            order.choose(&self.plan, &reader, left)?;
        }
        let next = left.pop_front();
        if let Some((cell, _)) = &next {
            order.begin(cell);
        }
        Ok(next)
    }

    fn trial(
        &mut self,
        cell: &Cell,
        launch: &Launch,
        trial: u32,
        engine: &Engine,
    ) -> Result<TrialEnd, RunError> {
        self.event(RunEvent::TrialStarted {
            cell: cell.id.clone(),
            trial,
            launch: cell.launch.clone(),
        })?;
        let mut workload = self.prepared.workload(cell, launch, self.plan.seed, trial)?;
        if let Some(changed) = self.first.data(&workload.record) {
            self.event(changed)?;
        }
        let stays = self.plan.stays(cell);
        let stays = stays.and_then(|it| Some((it, workload.n_requests_of(it.phase)?)));
        let trial_writer = match stays {
            Some((stays, n_requests)) => {
                let facts = engine.facts();
                let served = (&facts.version, &facts.models, &facts.model_files);
                let inputs = content_hash(&(&workload.record.prompts_hash, served));
                match self.writer.trial_that_stays((cell, trial), inputs, stays, n_requests) {
                    Ok((writer, stayed)) => {
                        workload.leave_out(stays.phase, stayed);
                        writer
                    }
                    Err(damage @ StoreError::Corrupt { .. }) => {
                        self.event(RunEvent::Caveat {
                            what: format!("an interrupted trial started anew: {damage}"),
                            advice: "Its files are in attempts/ of its cell; check the disk."
                                .to_owned(),
                        })?;
                        self.writer.trial(&cell.name, trial)?
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            None => self.writer.trial(&cell.name, trial)?,
        };
        let context = trial::TrialContext {
            plan: &self.plan,
            cell,
            launch,
            trial,
            engine,
            interrupt: &self.interrupt,
            notify: self.notify,
            sampling: &self.sampling,
            clients: &self.clients,
            syncing: &self.syncing,
        };
        let writer = &mut self.writer;
        let notify = self.notify;
        let mut tell = |event: RunEvent| -> Result<(), RunError> {
            writer.event(event.clone())?;
            notify(Notice::Event(Box::new(event)));
            Ok(())
        };
        trial::carry_out(&context, workload, trial_writer, &mut tell)
    }

    /// Says of trials that they are complete, as far as they are on the disk.
    fn complete_synced(&mut self) -> Result<(), RunError> {
        let synced = self.syncing.get_mut().take_synced();
        let complete: Vec<EndedTrial> = synced.into_iter().filter(|it| it.is_complete).collect();
        for EndedTrial { cell, trial, .. } in &complete {
            self.writer.event(RunEvent::TrialFinished { cell: cell.clone(), trial: *trial })?;
        }
        if complete.is_empty() {
            return Ok(());
        }
        self.writer.sync()?;
        for EndedTrial { cell, trial, .. } in complete {
            let event = RunEvent::TrialFinished { cell: cell.clone(), trial };
            (self.notify)(Notice::Event(Box::new(event)));
            let left = self.trials_left.get_mut(&cell).expect("every unfinished cell has a count");
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.finish(&cell, CellOutcome::Complete)?;
            }
        }
        Ok(())
    }

    /// Waits until every trial that has ended is on the disk, and says that it is complete.
    fn complete_all(&mut self) -> Result<(), RunError> {
        self.syncing.get_mut().wait()?;
        self.complete_synced()
    }

    fn fail_visit(
        &mut self,
        session: &EngineSession,
        failure: &EngineFailure,
    ) -> Result<(), RunError> {
        for (cell, _) in &session.trials {
            if !self.over.contains(cell) {
                self.finish(cell, CellOutcome::Failed(failure.clone()))?;
            }
        }
        Ok(())
    }

    /// Begins to read the model files of the next engine, where the scenario asks for it. What
    /// the present engine serves itself needs no reading.
    fn prefetch_next(&mut self, present: &Launch) -> Result<(), RunError> {
        let Some(id) = self.next.clone().filter(|_| self.plan.prefetch) else { return Ok(()) };
        let next = &self.plan.launches[&id];
        let is_of_use =
            next.is_started() && !next.cold_page_cache && next.model_path != present.model_path;
        let Some(model) = next.model_path.clone().filter(|_| is_of_use) else { return Ok(()) };
        let engine = next.engine.clone();
        match Prefetch::start(&this_program(), &model) {
            Ok(reader) => {
                let measured = present.engine.clone();
                self.prefetching = Some(Prefetching { launch: id, engine, measured, reader });
                Ok(())
            }
            Err(why) => self.event(RunEvent::Caveat {
                what: format!("the model files of {engine} were not prefetched: {why}"),
                advice: "Its load time is of the page cache as found; leave `prefetch` out, or \
                         free some memory."
                    .to_owned(),
            }),
        }
    }

    /// Ends the reading of the next engine's model files, and says how far it came.
    fn end_prefetch(&mut self) -> Result<(), RunError> {
        let Some(Prefetching { launch, engine, measured, reader }) = self.prefetching.take() else {
            return Ok(());
        };
        let (n_read, n_bytes) = reader.progress();
        drop(reader);
        if n_read > 0 {
            self.prefetched.insert(launch);
        }
        let (read, all) = (BinaryBytes(n_read), BinaryBytes(n_bytes));
        self.event(RunEvent::Caveat {
            what: format!(
                "{read} of {all} of the model files of {engine} were read into the page cache \
                 while {measured} was measured"
            ),
            advice:
                "The load time is that of a warm page cache, and reading takes disk and memory \
                     bandwidth: leave `prefetch` out where either matters."
                    .to_owned(),
        })
    }

    /// Returns the request that proves an engine ready: one of the first cell that it serves. Fields
    /// in which its other cells differ are left out, as an engine that refuses one may serve the others.
    fn probe_request(&self, id: &LaunchId, launch: &Launch, cell: &Cell) -> ProbeRequest {
        let RequestPlan { api, path, stream, output, .. } = cell.request.clone();
        let mut fields = self.prepared.shared_fields(cell, launch);
        let served = self.served.get(id).into_iter().flatten().map(|at| &self.plan.cells[*at]);
        let is_other = |other: &&Cell| other.id != cell.id && !self.over.contains(&other.id);
        for other in served.filter(is_other) {
            let known = self.prepared.shared_fields(other, launch);
            fields.retain(|name, value| known.get(name) == Some(value));
        }
        let max_tokens = match output {
            OutputLength::Natural { max_tokens: tokens } | OutputLength::Fixed { tokens } => {
                Some(tokens)
            }
            OutputLength::FromData => None,
        };
        ProbeRequest { api, path, stream, fields, max_tokens }
    }

    fn start(
        &mut self,
        id: &LaunchId,
        launch: &Launch,
        cell: &Cell,
    ) -> Result<Result<Engine, NotStarted>, RunError> {
        self.end_prefetch()?;
        let attempt = self.n_starts.entry(id.clone()).or_insert(0);
        *attempt += 1;
        let attempt = *attempt;
        let (log_path, log) = self.writer.engine_log(id, attempt)?;
        let lock = self.writer.lock().for_a_guardian()?;
        let context = StartContext {
            program: this_program(),
            log_path,
            ledger_dir: self.writer.dir().path().to_owned(),
            run_id: self.plan.name.clone(),
            attempt,
            access: self.credentials.access(id),
            probe: self.probe_request(id, launch, cell),
            interrupt: self.interrupt.clone(),
            lock: Some(&lock),
        };
        let mut events = Vec::new();
        let mut steps = |step: StartStep| {
            let event = match step {
                StartStep::Spawning { port, argv } => RunEvent::EngineStarting {
                    launch: id.clone(),
                    engine: launch.engine.clone(),
                    attempt,
                    argv,
                    port,
                    log: log.display().to_string(),
                },
                StartStep::Stage { name, at } => {
                    RunEvent::EngineStage { launch: id.clone(), stage: name, at }
                }
                StartStep::Waiting { what, last, elapsed, limit } => {
                    // For eyes alone: the last answer is in the failure, if there is one.
                    let engine = launch.engine.clone();
                    return (self.notify)(Notice::Waiting { engine, what, last, elapsed, limit });
                }
            };
            events.push(self.writer.event(event.clone()).map(|_| ()));
            (self.notify)(Notice::Event(Box::new(event)));
        };
        let started = Engine::start(launch, &context, &mut steps);
        events.into_iter().collect::<Result<(), _>>()?;
        match &started {
            Ok(engine) => {
                let (mut timeline, facts) = (engine.timeline().clone(), engine.facts());
                if self.prefetched.contains(id) {
                    timeline.page_cache = PageCache::Prefetched;
                }
                let changed = self.first.engine(id, &launch.engine, &facts);
                let version = facts.version.clone();
                let unlisted = unlisted(launch, &facts.models);
                self.event(RunEvent::EngineReady { launch: id.clone(), timeline, facts })?;
                changed.map_or(Ok(()), |changed| self.event(changed))?;
                unlisted.map_or(Ok(()), |unlisted| self.event(unlisted))?;
                if version.is_some() {
                    self.compare_version(launch, version.as_deref())?;
                }
            }
            Err(NotStarted::Failed(failure)) => {
                let failure = failure.as_ref().clone();
                // It may not know a flag any more.
                let is_by_flags = failure.class == FailureClass::ExitedEarly;
                self.event(RunEvent::EngineFailed { launch: id.clone(), failure })?;
                if is_by_flags {
                    self.compare_version(launch, None)?;
                }
            }
            Err(NotStarted::Unguarded(_) | NotStarted::Interrupted) => {}
        }
        Ok(started)
    }

    /// Says, once for each command, where the engine is of a version that its preset was not held
    /// against.
    fn compare_version(&mut self, launch: &Launch, told: Option<&str>) -> Result<(), RunError> {
        if !self.compared.insert(launch.argv.clone()) {
            return Ok(());
        }
        let Some(other) = version::compare(launch, told) else { return Ok(()) };
        self.event(RunEvent::Caveat {
            what: other.told(),
            advice: format!(
                "Hold its flags, log patterns and metric names against that version: \
                 `bench presets {}` prints them",
                launch.preset
            ),
        })
    }

    /// Stops an engine; returns what it left behind.
    fn stop(&mut self, id: &LaunchId, engine: Engine) -> Result<Vec<String>, RunError> {
        self.complete_all()?;
        let stop = engine.stop();
        let mut left_behind = stop.survivors.clone();
        if !stop.port_free {
            let by_command = !self.plan.launches[id].stop_argv.is_empty();
            let hint =
                " (`stop-command` did not free it: the end of the engine's log has its words)";
            left_behind.push(format!("its port{}", if by_command { hint } else { "" }));
        }
        self.event(RunEvent::EngineStopped { launch: id.clone(), stop })?;
        Ok(left_behind)
    }

    /// Adds the next point of each search all of whose points are over.
    fn go_on_searching(&mut self) -> Result<Vec<Cell>, RunError> {
        if self.plan.search.is_none()
            || !self.plan.cells.iter().any(|cell| self.over.contains(&cell.id))
        {
            return Ok(Vec::new());
        }
        self.writer.sync()?;
        let reader = RunReader::open(self.writer.dir().path())?;
        for cell in self.plan.cells.iter().filter(|cell| self.over.contains(&cell.id)) {
            if !self.tried.iter().any(|known| known.id == cell.id) {
                self.tried.push(cell_summary(&reader, &self.plan, cell)?);
            }
        }
        let mut points = Vec::new();
        for search in searches(&self.plan, &self.tried) {
            let (Some(load), true) = (search.next, self.is_over(&search)) else { continue };
            self.event(RunEvent::PointAdded { first: search.first.clone(), load })?;
            let point = self.add_point(&search.first, load);
            let point = point.expect("searches begin with cells of the plan");
            self.trials_left.insert(point.id.clone(), point.n_trials);
            points.push(point);
        }
        Ok(points)
    }

    /// Whether every load that a search tried is over and tells something.
    fn is_over(&self, search: &SearchSummary) -> bool {
        let Some(plan) = &self.plan.search else { return true };
        let Some(first) = self.plan.cells.iter().find(|cell| cell.id == search.first) else {
            return true;
        };
        let tried = self.plan.cells.iter().filter(|cell| plan.is_same_search(first, cell));
        tried.count() == search.points.len()
    }

    /// Adds the cell that tries a load in a search.
    fn add_point(&mut self, first: &CellId, load: f64) -> Option<Cell> {
        let point = self.plan.to_mut().add_point(first, load)?.clone();
        self.place(self.plan.cells.len() - 1, &point);
        Some(point)
    }

    /// Takes note of where a cell stands in the plan.
    fn place(&mut self, at: usize, cell: &Cell) {
        self.places.insert(cell.id.clone(), at);
        self.served.entry(cell.launch.clone()).or_default().push(at);
    }

    fn cell(&self, id: &CellId) -> Cell {
        let at = self.places.get(id).expect("sessions are made of the plan's cells");
        self.plan.cells[*at].clone()
    }
}

/// Says that an engine was ended because its guardian was lost.
fn unguarded(launch: &Launch, failure: EngineFailure, left_behind: Vec<String>) -> RunError {
    RunError::Unguarded { engine: launch.engine.clone(), why: failure.message, left_behind }
}

/// Whether a plan does not try cells that contain one in which an engine failed so.
fn excludes(plan: &Plan, class: FailureClass) -> bool {
    match plan.skip_after {
        Some(SkipAfter::Oom) => class == FailureClass::OutOfMemory,
        Some(SkipAfter::Failure) => true,
        None => false,
    }
}

/// Whether rates above that of a cell are not tried once its queue only grows.
fn skips_higher(cell: &Cell) -> bool {
    cell.measured_phases().any(|phase| phase.over_saturation == Some(OverSaturation::StopAndSkip))
}

/// Returns how often each launch was started in earlier sessions.
fn starts_so_far(events: &[EventRecord]) -> BTreeMap<LaunchId, u32> {
    let mut n_starts = BTreeMap::new();
    for record in events {
        if let RunEvent::EngineStarting { launch, attempt, .. } = &record.event {
            let n: &mut u32 = n_starts.entry(launch.clone()).or_default();
            *n = (*n).max(*attempt);
        }
    }
    n_starts
}

/// Reads what earlier sessions of a run have done.
pub(crate) fn done(reader: &RunReader) -> Result<Done, RunError> {
    let mut done = Done::default();
    for event in reader.events()? {
        done.events.push(event?);
    }
    let is_start = |record: &EventRecord| matches!(record.event, RunEvent::RunStarted { .. });
    done.is_resumed = done.events.iter().any(is_start);
    done.skipped = skipped(&done.events);
    done.failed = failed(&done.events);
    done.first = FirstInputs::of(&done.events);
    for cell in &reader.plan()?.cells {
        // A trial that was lost is measured again.
        let trials = complete(reader.trials_on_disk(cell)?, cell);
        if trials.len() >= cell.n_trials as usize {
            done.kept.insert(cell.id.clone());
            done.failed.remove(&cell.id);
        }
        done.n_cells += usize::from(!done.skipped.contains(&cell.id));
        for trial in trials {
            // Those of one run have the same data, or it was told when they were measured.
            if let Some(dataset) = &trial.record.dataset {
                done.first.of_cell(&cell.id, dataset);
            }
            done.trials.insert((cell.id.clone(), trial.record.trial));
            if trial.record.phases.iter().any(|phase| phase.over_saturation.is_some()) {
                done.over_saturated.insert(cell.id.clone());
            }
        }
    }
    Ok(done)
}

/// Says that a server answers for a model that it does not list: of which one the numbers are is not
/// known.
fn unlisted(launch: &Launch, models: &[String]) -> Option<RunEvent> {
    let goes_without_list = launch.readiness.models.is_none() && !launch.is_started();
    (goes_without_list && !models.is_empty()).then(|| {
        let names = list(models.iter().map(String::as_str));
        let near = nearest(&launch.model, models.iter().map(String::as_str));
        let near = near.map_or_else(String::new, |near| format!(", such as `{near}`"));
        RunEvent::Caveat {
            what: format!(
                "{} lists {names}, and answers for `{}` all the same",
                launch.engine, launch.model
            ),
            advice: format!(
                "The numbers are of whatever it answers with: name a model that it lists{near}."
            ),
        }
    })
}

/// Returns the cells of which the last word is that their engine failed, and how.
fn failed(events: &[EventRecord]) -> BTreeMap<CellId, FailureClass> {
    let outcomes = outcomes(events.iter().map(|record| &record.event));
    let failed = outcomes.into_iter().filter_map(|(cell, outcome)| match outcome {
        CellOutcome::Failed(failure) => Some((cell.clone(), failure.class)),
        _ => None,
    });
    failed.collect()
}

/// Returns the cells that the last session could not run.
fn skipped(events: &[EventRecord]) -> BTreeSet<CellId> {
    let mut skipped = BTreeSet::new();
    for record in events {
        match &record.event {
            RunEvent::RunStarted { .. } => skipped.clear(),
            RunEvent::CellSkipped { cell, .. } => {
                skipped.insert(cell.clone());
            }
            _ => {}
        }
    }
    skipped
}
