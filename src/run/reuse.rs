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
pub(crate) struct Here<'a> {
    /// The machine.
    pub(crate) machine: &'a Environment,
    /// The data.
    pub(crate) prepared: &'a Prepared,
    /// What hides secrets in what engines tell.
    pub(crate) redactor: &'a Redactor,
}

/// Takes the cells of a plan that another run has measured, whole ones only, into a new run.
///
/// What was taken is said in the run's events before the first file is there: a run that is killed
/// in between measures what it has not got.
///
/// # Errors
/// When either run cannot be read or written.
pub(crate) fn take(
    from: &RunReader,
    plan: &Plan,
    here: &Here<'_>,
    writer: &mut RunWriter,
) -> Result<Taken, RunError> {
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
    let cells: Vec<CellId> = found.iter().map(|(cell, _)| cell.id.clone()).collect();
    if !cells.is_empty() {
        let place = from.dir().path().display().to_string();
        writer.event(RunEvent::Reused { from: place, cells: cells.clone() })?;
        for event in offers.engine_events(&found) {
            writer.event(event)?;
        }
        writer.sync()?;
    }
    for (cell, trials) in &found {
        reused::take(writer.dir(), cell, trials)?;
        reused::take_logs(writer.dir(), from, &cell.launch)?;
    }
    Ok(Taken { cells, unequal: offers.unequal })
}

/// The other run, and how it differs from what is here.
struct Offers<'a> {
    starts: Starts,
    machine: Vec<String>,
    sums: BTreeMap<String, String>,
    plan: &'a Plan,
    redactor: &'a Redactor,
    /// Whether a start that was asked about is as one here would be.
    equal: BTreeMap<usize, bool>,
    unequal: Vec<String>,
}

impl<'a> Offers<'a> {
    fn of(from: &RunReader, plan: &'a Plan, here: &Here<'a>) -> Result<Self, RunError> {
        let machine = from.environment()?.unwrap_or_default().changes(here.machine);
        Ok(Self {
            starts: Starts::of(&from.events()?.collect::<Result<Vec<_>, _>>()?),
            machine,
            sums: here.prepared.data_sums(),
            plan,
            redactor: here.redactor,
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

    /// Whether what a start told is what one here would tell, on the same machine.
    fn is_equal_start(&mut self, at: usize) -> bool {
        if let Some(known) = self.equal.get(&at) {
            return *known;
        }
        let start = &self.starts.all[at];
        let launch = &self.plan.launches[&start.launch];
        let changed = match (&start.machine, start.facts()) {
            (Some(machine), _) => vec![machine.clone()],
            (None, Some(before)) => {
                let now = facts::foreseen(launch, self.redactor);
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
