//! Takes cells of another run instead of measuring them again: those that have the same identity, and
//! whose machine, engine and data are still what they were.

use std::collections::{BTreeMap, BTreeSet};

use crate::analysis::records::complete;
use crate::engine::running::facts;
use crate::ids::{CellId, LaunchId};
use crate::plan::Plan;
use crate::plan::cell::Cell;
use crate::record::environment::Environment;
use crate::record::event::RunEvent;
use crate::run::prepare::Prepared;
use crate::run::starts::Starts;
use crate::run::{RunError, input_drift};
use crate::secrets::redact::Redactor;
use crate::store::reader::{RunReader, TrialReader};
use crate::store::reused;
use crate::store::writer::RunWriter;

/// What was taken of another run.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// The cells, in the order of the plan.
    pub(crate) cells: Vec<CellId>,
    /// Why others of the same identity were not, field by field.
    pub(crate) unequal: Vec<String>,
}

/// What is here now.
#[derive(Clone, Copy)]
pub(crate) struct Here<'a> {
    /// The machine, which also has the engines; absent where others measure that cannot be looked at
    /// from here.
    pub(crate) machine: Option<&'a Environment>,
    /// The data.
    pub(crate) prepared: &'a Prepared,
    /// What hides secrets in what engines tell.
    pub(crate) redactor: &'a Redactor,
}

/// The cells of a plan that another run has measured, and that are the same.
pub(crate) struct Equal<'a> {
    from: &'a RunReader,
    found: Vec<(&'a Cell, Vec<TrialReader>)>,
    offers: Offers<'a>,
}

impl<'a> Equal<'a> {
    /// Finds them, whole ones only.
    ///
    /// # Errors
    /// When the other run cannot be read.
    pub(crate) fn find(
        from: &'a RunReader,
        plan: &'a Plan,
        here: Here<'a>,
    ) -> Result<Self, RunError> {
        let mut offers = Offers::of(from, plan, here)?;
        let mut found: Vec<(&Cell, Vec<TrialReader>)> = Vec::new();
        let before = from.plan()?;
        let by_identity: BTreeMap<(&CellId, &LaunchId), &Cell> =
            before.cells.iter().map(|cell| ((&cell.id, &cell.launch), cell)).collect();
        for cell in &plan.cells {
            let Some(earlier) = by_identity.get(&(&cell.id, &cell.launch)) else { continue };
            let trials = complete(from.trials_on_disk(earlier)?, cell);
            if offers.is_equal(cell, &trials) {
                found.push((cell, trials));
            }
        }
        Ok(Self { from, found, offers })
    }

    /// Returns the cells, in the order of the plan.
    pub(crate) fn cells(&self) -> impl Iterator<Item = &'a Cell> {
        self.found.iter().map(|(cell, _)| *cell)
    }

    /// Returns what would be taken.
    pub(crate) fn into_taken(self) -> Taken {
        let cells = self.cells().map(|cell| cell.id.clone()).collect();
        Taken { cells, unequal: self.offers.unequal }
    }

    /// Takes them into a new run.
    ///
    /// What was taken is said in the run's events before the first file is there: a run that is
    /// killed in between measures what it has not got.
    ///
    /// # Errors
    /// When either run cannot be read or written.
    pub(crate) fn take(mut self, writer: &mut RunWriter) -> Result<Taken, RunError> {
        let cells: Vec<CellId> = self.cells().map(|cell| cell.id.clone()).collect();
        if !cells.is_empty() {
            let place = self.from.dir().path().display().to_string();
            writer.event(RunEvent::Reused { from: place, cells })?;
            for event in self.offers.engine_events(&self.found) {
                writer.event(event)?;
            }
            writer.sync()?;
        }
        for (cell, trials) in &self.found {
            reused::take(writer.dir(), cell, trials)?;
            reused::take_logs(writer.dir(), self.from, &cell.launch)?;
        }
        Ok(self.into_taken())
    }
}

/// The other run, and how it differs from what is here.
struct Offers<'a> {
    starts: Starts,
    machine: Vec<String>,
    sums: BTreeMap<String, String>,
    plan: &'a Plan,
    here: Here<'a>,
    /// Whether a start that was asked about is as one here would be.
    equal: BTreeMap<usize, bool>,
    unequal: Vec<String>,
}

impl<'a> Offers<'a> {
    fn of(from: &RunReader, plan: &'a Plan, here: Here<'a>) -> Result<Self, RunError> {
        let before = from.environment()?.unwrap_or_default();
        let machine = here.machine.map(|machine| before.changes(machine)).unwrap_or_default();
        Ok(Self {
            starts: Starts::of(&from.events()?.collect::<Result<Vec<_>, _>>()?),
            machine,
            sums: here.prepared.data_sums(),
            plan,
            here,
            equal: BTreeMap::new(),
            unequal: Vec::new(),
        })
    }

    /// Whether a cell can be taken; else says why not, once.
    fn is_equal(&mut self, cell: &Cell, trials: &[TrialReader]) -> bool {
        let n_wanted = cell.n_trials as usize;
        if trials.len() < n_wanted {
            let (n, name) = (trials.len(), &cell.name);
            return self.no(format!("cell {name}: {n} of {n_wanted} trials are complete"));
        }
        if !self.machine.is_empty() {
            for change in self.machine.clone() {
                self.no(format!("machine: {change}"));
            }
            return false;
        }
        let Some(sum) = self.sums.get(&cell.dataset).cloned() else { return false };
        for trial in trials {
            let before = trial.record.dataset.as_ref().map_or("absent", |it| &it.sha256);
            if before != sum {
                let what = &cell.dataset;
                return self.no(format!("data set `{what}`: SHA-256: {before} -> {sum}"));
            }
            let data = trial.record.dataset.as_ref();
            let changed = data.and_then(|data| self.here.prepared.changed_prompts(cell, data));
            if let Some(changed) = changed {
                return self.no(format!("data set `{}`: {changed}", cell.dataset));
            }
            if let Err(damage) = reused::check(trial) {
                return self.no(format!("cell {}: {damage}", cell.name));
            }
        }
        let mut served: BTreeSet<usize> = BTreeSet::new();
        for trial in trials {
            let starts = self.starts.of_trial(cell, trial.record.trial);
            if starts.is_empty() {
                return self.no(format!("cell {}: nothing is told of its engine", cell.name));
            }
            served.extend(starts);
        }
        // All of them are asked, so that all that is not the same is told.
        served.into_iter().filter(|start| !self.is_equal_start(*start)).count() == 0
    }

    fn no(&mut self, why: String) -> bool {
        if !self.unequal.contains(&why) {
            self.unequal.push(why);
        }
        false
    }

    /// Whether what a start told is what one here would tell, on the same machine. Of engines that
    /// start elsewhere nothing is known here.
    fn is_equal_start(&mut self, at: usize) -> bool {
        if let Some(known) = self.equal.get(&at) {
            return *known;
        }
        let start = &self.starts.all[at];
        let launch = &self.plan.launches[&start.launch];
        let changed = match (&start.machine, start.facts()) {
            (Some(machine), _) => vec![machine.clone()],
            (None, Some(_)) if self.here.machine.is_none() => Vec::new(),
            (None, Some(before)) => {
                let now = facts::foreseen(launch, self.here.redactor);
                input_drift::foreseen(launch, before, now)
            }
            (None, None) => vec!["it told nothing of itself".to_owned()],
        };
        let name = &launch.engine;
        for change in &changed {
            self.no(format!("engine `{name}`: {change}"));
        }
        self.equal.insert(at, changed.is_empty());
        changed.is_empty()
    }

    /// Returns the events of the engines that some cells are of, as far as their starts are as ones
    /// here would be: what these told, and how long they took, belongs to the cells.
    fn engine_events(&mut self, cells: &[(&Cell, Vec<TrialReader>)]) -> Vec<RunEvent> {
        let launches: BTreeSet<&LaunchId> = cells.iter().map(|(cell, _)| &cell.launch).collect();
        let mut events = Vec::new();
        for at in 0..self.starts.all.len() {
            let is_ready = self.starts.all[at].facts().is_some();
            if launches.contains(&self.starts.all[at].launch) && is_ready && self.is_equal_start(at)
            {
                events.extend(self.starts.all[at].events.iter().cloned());
            }
        }
        events
    }
}
