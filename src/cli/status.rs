//! `bench status`: the cells of a run, who measures them, and how long that will still take; of the
//! tasks of Slurm what it says of them.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::cli::args::StatusArgs;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::progress_line::shown;
use crate::cli::shares::merged_run;
use crate::cli::shares::progress::{
    Activity, By, CellProgress, CellState, ShareProgress, SharedRun,
};
use crate::cli::shares::times::Now;
use crate::cli::slurm::progress::{Seen, SlurmRun};
use crate::cli::{output, typed};
use crate::engine::process;
use crate::plan::Plan;
use crate::report::number::counted;
use crate::slurm::answer::Task;
use crate::store::lock::{HeldBy, RunLock};
use crate::store::reader::RunReader;

/// Prints how far a run is, once or until nothing is left to wait for.
pub(crate) fn status(args: &StatusArgs) -> Result<Exit, Failure> {
    let mut known: HashSet<String> = HashSet::new();
    let mut silence = Silence::default();
    loop {
        let Look { text, is_live, silent } = look(&args.dir)?;
        let is_new = |line: &&str| known.is_empty() || !line.is_empty() && !known.contains(*line);
        let news: String = text.lines().filter(is_new).flat_map(|line| [line, "\n"]).collect();
        output::data(&news)?;
        let is_first = silence.since.is_none();
        let is_too_long = silence.is_too_long(silent.is_some(), Instant::now());
        match silent {
            Some(failure) if !args.watch || is_too_long || failure.exit != Exit::TryAgain => {
                return Err(failure);
            }
            Some(failure) if is_first => output::message(&failure.render(false)),
            None if !is_live || !args.watch => return Ok(Exit::Ok),
            Some(_) | None => {}
        }
        known = text.lines().map(str::to_owned).collect();
        // Slurm's controller answers everybody on the cluster.
        thread::sleep(Duration::from_secs(args.every));
    }
}

/// How long `--watch` waits for a Slurm that does not answer. A controller that is started again
/// or replaced is back before that.
const SILENCE_MAX: Duration = Duration::from_mins(30);

/// Since when Slurm does not answer.
#[derive(Default)]
struct Silence {
    since: Option<Instant>,
}

impl Silence {
    /// Takes in whether Slurm is silent now; returns whether it has been so for too long.
    fn is_too_long(&mut self, is_silent: bool, now: Instant) -> bool {
        self.since = is_silent.then(|| self.since.unwrap_or(now));
        self.since.is_some_and(|since| now - since > SILENCE_MAX)
    }
}

/// What there is to see.
struct Look {
    text: String,
    /// Whether more is to come by itself.
    is_live: bool,
    /// Why it is not known whether some cells are measured.
    silent: Option<Failure>,
}

fn look(dir: &Path) -> Result<Look, Failure> {
    let Some(run) = SharedRun::open(dir)? else {
        let reader = RunReader::open(dir)?;
        let holder = RunLock::held_by(reader.dir());
        let share = ShareProgress::of_run(&reader, holder.is_some())?;
        let told = Told { dir, plan: &reader.plan()?, noun: None, is_here: true, holder };
        return Ok(told.look(&[share], None));
    };
    merged_run::update(&[dir]);
    match run.by {
        By::SideBySide => {
            let shares = run.progress()?;
            let holder = RunLock::held_by(&run.dir);
            let noun = Some("engine start");
            let told = Told { dir, plan: &run.plan, noun, is_here: true, holder };
            Ok(told.look(&shares, None))
        }
        By::Slurm => {
            let mut run = SlurmRun::of(run)?;
            let Seen { shares, note, silent } = run.look()?;
            let (plan, noun) = (&run.shared.plan, Some("task"));
            let told = Told { dir, plan, noun, is_here: false, holder: None };
            Ok(Look { silent, ..told.look(&shares, note.as_deref()) })
        }
    }
}

/// A run, and the words for it.
struct Told<'a> {
    dir: &'a Path,
    plan: &'a Plan,
    /// What each share is; absent where one process measures all cells.
    noun: Option<&'static str>,
    /// Whether processes of this machine measure, and not tasks.
    is_here: bool,
    /// The one that works on the run.
    holder: Option<HeldBy>,
}

impl Told<'_> {
    fn look(&self, shares: &[ShareProgress], note: Option<&str>) -> Look {
        let mut text = self.cells(shares);
        text.push('\n');
        text.push_str(&self.counts(shares));
        if self.is_here {
            text.push_str(&self.process(shares));
        }
        let open = shares.iter().filter(|share| !share.is_live() && !share.is_over());
        let states: Vec<&CellState> =
            open.flat_map(|share| &share.cells).map(|cell| &cell.state).collect();
        if !states.is_empty() {
            let does = if self.is_here { "measured" } else { "submitted" };
            let is_missing = states.iter().any(|state| matches!(state, CellState::Missing));
            let what = if is_missing {
                format!("what is missing is {does}")
            } else {
                "whether what was skipped can run by now is seen".to_owned()
            };
            let _ = writeln!(text, "{what} by: {}", typed::resume(self.dir));
        }
        if !self.is_here && shares.iter().any(is_out_of_time) {
            text.push_str(
                "longer tasks: `time` in [slurm], or `--slurm-set time=…` with `bench run`\n",
            );
        }
        if let Some(note) = note {
            let _ = writeln!(text, "{note}");
        }
        Look { text, is_live: shares.iter().any(ShareProgress::is_live), silent: None }
    }

    fn cells(&self, shares: &[ShareProgress]) -> String {
        let (task, slurm) = if self.is_here { ("", "") } else { ("task", "Slurm") };
        let head = ["cell", "state", task, slurm, ""];
        let mut rows = vec![head.map(str::to_owned)];
        for share in shares {
            rows.extend(share.cells.iter().map(|cell| row(share, cell)));
        }
        for cell in &self.plan.cells {
            if let Some(reason) = &cell.skip {
                rows.push([&cell.name, "invalid", "", "", reason].map(str::to_owned));
            }
        }
        table(&rows)
    }

    fn counts(&self, shares: &[ShareProgress]) -> String {
        let count = |state: fn(&CellState) -> bool| {
            shares.iter().flat_map(|it| &it.cells).filter(|cell| state(&cell.state)).count() as u64
        };
        let n_complete = count(|state| *state == CellState::Complete);
        let n_failed = count(|state| matches!(state, CellState::Failed(_)));
        let is_known = |share: &&ShareProgress| {
            matches!(share.activity, Activity::Waiting | Activity::Running)
        };
        let n_live = shares.iter().filter(is_known).count() as u64;
        let n_cells = counted(self.plan.cells.len() as u64, "cell");
        let mut text = format!("{n_complete} of {n_cells} complete");
        if n_failed > 0 {
            let _ = write!(text, ", {n_failed} failed");
        }
        if let Some(noun) = self.noun.filter(|_| n_live > 0) {
            let _ = write!(text, ", {} waiting or running", counted(n_live, noun));
        }
        text + "\n"
    }

    /// Says which process of this machine measures, for how long it has and will; else for how long
    /// it was measured.
    fn process(&self, shares: &[ShareProgress]) -> String {
        let Some(holder) = &self.holder else {
            let measured: Duration = shares.iter().map(|share| share.times.measured).sum();
            let is_over = shares.iter().all(ShareProgress::is_over);
            return match (is_over, self.noun) {
                (true, None) => format!("over; it was measured in {}\n", shown(measured)),
                (true, Some(_)) => String::new(),
                (false, _) => "no process measures it now\n".to_owned(),
            };
        };
        let is_gone = holder.here.is_some_and(|pid| {
            process::read(pid.cast_signed()).is_none_or(|process| !process.is_alive())
        });
        if is_gone {
            return format!("{}, was killed; its engine is being ended\n", holder.told);
        }
        let mut text = holder.told.clone();
        if let [share] = shares {
            if let Some(now) = share.times.now.as_ref().filter(|now| now.cell.is_none()) {
                let _ = write!(text, "; {}", now.told());
            }
            if let Some(elapsed) = share.times.elapsed() {
                let _ = write!(text, "; {} so far", shown(elapsed));
            }
            if let Some(left) = share.times.left() {
                let _ = write!(text, ", about {} left", shown(left));
            }
        }
        text + "\n"
    }
}

fn row(share: &ShareProgress, cell: &CellProgress) -> [String; 5] {
    let (state, detail) = match &cell.state {
        CellState::Complete => ("complete", String::new()),
        CellState::Failed(why) => ("failed", why.clone()),
        CellState::Skipped(why) if !share.is_live() => ("skipped", why.clone()),
        CellState::Skipped(_) | CellState::Missing => {
            let now = share.times.now.as_ref().filter(|_| share.activity == Activity::Running);
            let is_running = now.is_some_and(|now| now.cell.as_ref() == Some(&cell.name));
            let state = match () {
                () if is_running => "running",
                () if share.activity == Activity::Unknown => "unknown",
                () if share.is_live() => "waiting",
                () => "missing",
            };
            (state, waits(share, cell, is_running))
        }
    };
    let task = share.task.as_ref().map(Task::id).unwrap_or_default();
    let slurm = share.task.as_ref().map(|task| task.state.clone()).unwrap_or_default();
    [cell.name.clone(), state.to_owned(), task, slurm, detail]
}

/// Whether a task was ended before it had completed a trial, by other hands than those that cancel
/// it: its time limit.
fn is_out_of_time(share: &ShareProgress) -> bool {
    let is_cancelled = share.task.as_ref().is_some_and(|task| task.state == "CANCELLED");
    share.is_stopped_early && !share.is_live() && share.is_begun && !is_cancelled
}

/// Says why a cell is not there yet, and when it may be.
fn waits(share: &ShareProgress, cell: &CellProgress, is_running: bool) -> String {
    let trials = counted(u64::from(cell.n_trials), "trial");
    let mut parts = vec![format!("{} of {trials}", cell.n_done)];
    if is_out_of_time(share) {
        parts.push("ended by a signal before its first trial was complete".to_owned());
    }
    parts.extend(share.times.now.as_ref().filter(|_| is_running).map(Now::told));
    // Where one process measures all, its time is told below.
    let is_whole = share.share.id.is_empty();
    let left = share.times.left().filter(|_| is_running && !is_whole);
    let left = left.map(|left| format!("about {} left for its engine", shown(left)));
    let Some(task) = &share.task else {
        parts.extend(left);
        return parts.join(", ");
    };
    if !task.node.is_empty() {
        parts.push(format!("on {}", task.node));
    }
    if !task.reason.is_empty() {
        parts.push(task.reason.clone());
    }
    match task.state.as_str() {
        "PENDING" if !task.start.is_empty() => parts.push(format!("starts at {}", task.start)),
        "RUNNING" => {
            parts.extend(left);
            if !task.end.is_empty() {
                parts.push(format!("limit at {}", task.end));
            }
        }
        _ => {}
    }
    parts.join(", ")
}

/// Lays rows out in columns, without those that are empty; the last one is as long as it is.
fn table(rows: &[[String; 5]]) -> String {
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3].map(width);
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths).filter(|(_, width)| *width > 0) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        line.push_str(&row[4]);
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_outlives_a_controller_that_is_away_but_not_for_ever() {
        let begun = Instant::now();
        let secs = |secs| begun + Duration::from_secs(secs);
        let mut silence = Silence::default();
        assert!(!silence.is_too_long(true, secs(0)));
        assert!(!silence.is_too_long(true, secs(1_800)));
        // It was back, and went away again.
        assert!(!silence.is_too_long(false, secs(1_801)));
        assert!(!silence.is_too_long(true, secs(1_802)));
        assert!(!silence.is_too_long(true, secs(3_602)));
        assert!(silence.is_too_long(true, secs(3_603)));
    }
}
