//! How long a whole run will take, from what its plan says and from what was seen of it.

use std::collections::{BTreeMap, HashMap};
use std::ops::{AddAssign, SubAssign};
use std::time::Duration;

use crate::ids::CellId;
use crate::plan::Plan;
use crate::plan::cell::{ArrivalsPlan, Cell, Phase};
use crate::plan::estimate;
use crate::run::conduct::Done;
use crate::run::schedule::sessions;

/// What a plan tells of the time that trials take.
#[derive(Clone, Copy, Debug, Default)]
struct Length {
    /// Seconds of phases that the clock ends.
    clocked: f64,
    /// Rounds of requests, each stream one, of phases that answers end.
    rounds: f64,
}

impl AddAssign for Length {
    fn add_assign(&mut self, other: Self) {
        self.clocked += other.clocked;
        self.rounds += other.rounds;
    }
}

impl SubAssign for Length {
    fn sub_assign(&mut self, other: Self) {
        self.clocked -= other.clocked;
        self.rounds -= other.rounds;
    }
}

/// The trials of a cell that are not over.
struct CellLeft {
    /// Of one trial.
    length: Length,
    /// Trial → the start of an engine that serves it.
    trials: BTreeMap<u32, usize>,
}

/// The pace of a run. Times are those since the run began.
pub(crate) struct Pace {
    cells: HashMap<CellId, CellLeft>,
    /// Of all trials that are not over, the running one included.
    left: Length,
    /// Start of an engine → its trials that are not over.
    starts: HashMap<usize, u32>,
    running: Option<Running>,
    /// Starts that served a trial, and the last of them.
    n_starts_seen: u32,
    start: Option<usize>,
    /// Of trials that are over: their length by the plan and by the clock.
    seen: Length,
    seen_for: Duration,
}

struct Running {
    length: Length,
    since: Duration,
}

impl Pace {
    /// Knows the trials of a plan that are not done.
    pub(crate) fn new(plan: &Plan, done: &Done) -> Self {
        let mut pace = Self {
            cells: HashMap::new(),
            left: Length::default(),
            starts: HashMap::new(),
            running: None,
            n_starts_seen: 0,
            start: None,
            seen: Length::default(),
            seen_for: Duration::ZERO,
        };
        let cells: HashMap<&CellId, &Cell> = plan.cells.iter().map(|it| (&it.id, it)).collect();
        let is_out = |cell: &CellId, trial| {
            cells[cell].skip.is_some()
                || done.kept.contains(cell)
                || done.failed.contains_key(cell)
                || done.trials.contains(&(cell.clone(), trial))
        };
        for (start, session) in sessions(plan, is_out).into_iter().enumerate() {
            for (cell, trial) in session.trials {
                pace.add(cells[&cell], trial, start);
            }
        }
        pace
    }

    /// Takes note of a cell that the plan has more, served by the engine that runs.
    pub(crate) fn added(&mut self, cell: &Cell) {
        for trial in 1..=cell.n_trials {
            self.add(cell, trial, self.start.unwrap_or(0));
        }
    }

    fn add(&mut self, cell: &Cell, trial: u32, start: usize) {
        let length = length(cell);
        let left = CellLeft { length, trials: BTreeMap::new() };
        self.cells.entry(cell.id.clone()).or_insert(left).trials.insert(trial, start);
        self.left += length;
        *self.starts.entry(start).or_default() += 1;
    }

    /// Takes note of a trial that began.
    pub(crate) fn trial_started(&mut self, cell: &CellId, trial: u32, at: Duration) {
        let Some(left) = self.cells.get(cell) else { return };
        let start = left.trials.get(&trial).copied();
        if start.is_some() && start != self.start {
            self.start = start;
            self.n_starts_seen += 1;
        }
        self.running = Some(Running { length: left.length, since: at });
    }

    /// Takes note of a trial that is complete.
    pub(crate) fn trial_finished(&mut self, cell: &CellId, trial: u32, at: Duration) {
        if let Some(running) = self.running.take() {
            self.seen += running.length;
            self.seen_for += at.saturating_sub(running.since);
        }
        let Some(left) = self.cells.get_mut(cell) else { return };
        if let Some(start) = left.trials.remove(&trial) {
            let length = left.length;
            self.forget(length, start);
        }
    }

    /// Takes note of a cell of which nothing more is measured.
    pub(crate) fn cell_over(&mut self, cell: &CellId) {
        let Some(over) = self.cells.remove(cell) else { return };
        for start in over.trials.into_values() {
            // A trial that failed in its midst is none whose length is known.
            self.running = None;
            self.forget(over.length, start);
        }
    }

    fn forget(&mut self, length: Length, start: usize) {
        self.left -= length;
        if let Some(n_left) = self.starts.get_mut(&start) {
            *n_left -= 1;
            if *n_left == 0 {
                self.starts.remove(&start);
            }
        }
    }

    /// Returns how long the whole run will take; nothing while something of that was never seen:
    /// an engine's start, or an answer where answers end what is left.
    pub(crate) fn whole(&self, elapsed: Duration) -> Option<Duration> {
        let per_round = match self.seen.rounds {
            0.0 => None,
            rounds => Some((self.seen_for.as_secs_f64() - self.seen.clocked).max(0.0) / rounds),
        };
        let takes = |length: Length| match per_round {
            None if length.rounds > f64::EPSILON => None,
            per_round => Some(length.clocked.max(0.0) + length.rounds * per_round.unwrap_or(0.0)),
        };
        if self.n_starts_seen == 0 {
            return None;
        }
        let running_for =
            self.running.as_ref().map(|running| elapsed.saturating_sub(running.since));
        let running_for = running_for.unwrap_or_default();
        // What is over of the running trial is not to come again, however long it takes.
        let over = match &self.running {
            Some(running) => takes(running.length)?.min(running_for.as_secs_f64()),
            None => 0.0,
        };
        let between = elapsed.saturating_sub(self.seen_for + running_for);
        let is_served = self.start.is_some_and(|start| self.starts.contains_key(&start));
        let n_starts = self.starts.len() - usize::from(is_served);
        let starting = between.as_secs_f64() / f64::from(self.n_starts_seen) * n_starts as f64;
        let to_come = (takes(self.left)? - over).max(0.0) + starting;
        Some(elapsed + Duration::from_secs_f64(to_come))
    }
}

/// Returns what the plan tells of one trial of a cell.
fn length(cell: &Cell) -> Length {
    let mut length = Length::default();
    for phase in &cell.phases {
        match estimate::length(phase) {
            Some(clocked) => length.clocked += clocked.as_secs_f64(),
            None => length.rounds += rounds(phase),
        }
    }
    length
}

/// Returns how many rounds a phase takes that answers end; its cap in seconds where it has only
/// that: trials of one plan are held against each other alone.
fn rounds(phase: &Phase) -> f64 {
    let at_once = match phase.arrivals {
        ArrivalsPlan::Closed { concurrency } => concurrency,
        ArrivalsPlan::Batch { size } => size,
        _ => 1,
    };
    match (phase.n_requests, phase.duration) {
        (Some(n), _) => (n as f64 / f64::from(at_once)).ceil(),
        (None, Some(cap)) => cap.as_secs_f64(),
        (None, None) => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::fixture::{self, launch};
    use crate::plan::TrialOrder;
    use crate::units::Nanos;

    fn secs(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    /// Two engines, one cell each.
    fn plan(n_trials: u32, n_requests: Option<u64>, duration: Option<Nanos>) -> Plan {
        let mut plan = fixture::plan(&["a", "b"]);
        for cell in &mut plan.cells {
            plan.launches.insert(cell.launch.clone(), launch(1));
            cell.phases = fixture::cell(ArrivalsPlan::Closed { concurrency: 4 }).phases;
            cell.phases[0].n_requests = n_requests;
            cell.phases[0].duration = duration;
            cell.n_trials = n_trials;
        }
        plan
    }

    #[test]
    fn what_the_clock_ends_is_known_from_the_first_trial_on() {
        let plan = plan(3, None, Some(Nanos::from_secs(60)));
        let [a, b] = [&plan.cells[0].id, &plan.cells[1].id];
        let mut pace = Pace::new(&plan, &Done::default());
        assert_eq!(pace.whole(secs(5)), None, "no engine was started");
        // 20 s of starting come once more.
        pace.trial_started(a, 1, secs(20));
        assert_eq!(pace.whole(secs(20)), Some(secs(40 + 360)));
        assert_eq!(pace.whole(secs(50)), Some(secs(40 + 360)));
        pace.trial_finished(a, 1, secs(80));
        assert_eq!(pace.whole(secs(80)), Some(secs(40 + 360)));
        // Of an engine that fails, nothing more comes.
        pace.cell_over(b);
        assert_eq!(pace.whole(secs(80)), Some(secs(20 + 180)));
    }

    #[test]
    fn what_answers_end_follows_from_the_trials_that_are_over() {
        let mut plan = plan(2, Some(40), None);
        plan.cells[1].phases[0].n_requests = Some(400);
        let [a, b] = [&plan.cells[0].id, &plan.cells[1].id];
        let mut pace = Pace::new(&plan, &Done::default());
        pace.trial_started(a, 1, secs(1));
        assert_eq!(pace.whole(secs(5)), None, "no answer was seen");
        pace.trial_finished(a, 1, secs(11));
        // One second a round: 10 + 10, and 100 twice.
        assert_eq!(pace.whole(secs(11)), Some(secs(2 + 220)));
        pace.trial_started(a, 2, secs(11));
        pace.trial_finished(a, 2, secs(21));
        pace.cell_over(a);
        pace.trial_started(b, 1, secs(22));
        assert_eq!(pace.whole(secs(52)), Some(secs(222)));
    }

    #[test]
    fn interleaved_trials_count_from_the_first_on_and_each_has_its_start() {
        let mut plan = plan(2, None, Some(Nanos::from_secs(10)));
        plan.order = TrialOrder::Interleaved;
        let [a, b] = [&plan.cells[0].id, &plan.cells[1].id];
        let mut pace = Pace::new(&plan, &Done::default());
        pace.trial_started(a, 1, secs(1));
        pace.trial_finished(a, 1, secs(11));
        pace.trial_started(b, 1, secs(12));
        assert_eq!(pace.whole(secs(12)), Some(secs(44)));
        pace.trial_finished(b, 1, secs(22));
        assert_eq!(pace.whole(secs(22)), Some(secs(44)));
    }

    #[test]
    fn trials_that_were_done_before_take_no_time() {
        let plan = plan(2, None, Some(Nanos::from_secs(10)));
        let mut done = Done::default();
        done.trials.insert((plan.cells[0].id.clone(), 1));
        done.kept.insert(plan.cells[1].id.clone());
        let mut pace = Pace::new(&plan, &done);
        pace.trial_started(&plan.cells[0].id, 2, secs(0));
        assert_eq!(pace.whole(secs(3)), Some(secs(10)));
    }
}
