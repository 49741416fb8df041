//! `bench status`: the cells of a run whose shares are measured apart, beside what Slurm says of its
//! tasks.

use std::fmt::Write as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::cli::args::StatusArgs;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::shares::merged_run;
use crate::cli::shares::progress::{
    Activity, By, CellProgress, CellState, ShareProgress, SharedRun,
};
use crate::cli::slurm::commands;
use crate::cli::slurm::progress::SlurmRun;
use crate::cli::typed;
use crate::report::number::counted;
use crate::slurm::answer::Task;

/// Prints how far a run is, once or until nothing is left to wait for.
pub(crate) fn status(args: &StatusArgs) -> Result<Exit, Failure> {
    let mut shown = String::new();
    loop {
        let (text, is_live) = look(&args.dir)?;
        if text != shown {
            output::data(&text)?;
            shown = text;
        }
        if !is_live || !args.watch {
            return Ok(Exit::Ok);
        }
        // Slurm's controller answers everybody on the cluster.
        thread::sleep(Duration::from_secs(args.every));
    }
}

fn look(dir: &Path) -> Result<(String, bool), Failure> {
    let Some(run) = SharedRun::open(dir)? else {
        let message =
            format!("{} is no run of `bench run --slurm`, nor of `parallel`", dir.display());
        let failure = Failure::new(Exit::NoInput, message);
        return Err(if dir.is_dir() {
            failure.help(format!(
                "`bench report {}` shows what a run has measured so far",
                typed::path(dir)
            ))
        } else {
            failure.help("there is no such directory")
        });
    };
    merged_run::update(&[dir]);
    let (run, shares, unknown) = match run.by {
        By::SideBySide => {
            let shares = run.progress()?;
            (run, shares, Vec::new())
        }
        By::Slurm => {
            let mut run = SlurmRun::of(run)?;
            let (tasks, unknown) = tasks(&mut run);
            let shares = run.progress(&tasks)?;
            (run.shared, shares, unknown)
        }
    };
    Ok((told(dir, &run, &shares, &unknown), shares.iter().any(ShareProgress::is_live)))
}

/// Returns what Slurm says of tasks, and why it does not say it of all.
fn tasks(run: &mut SlurmRun) -> (Vec<Task>, Vec<String>) {
    let mut unknown = Vec::new();
    let mut tasks = run.live_tasks().unwrap_or_else(|failure| {
        unknown.push(failure.render(false));
        Vec::new()
    });
    unknown.extend(add_ended(run, &mut tasks));
    (tasks, unknown)
}

/// Adds the tasks that the controller has forgotten, from accounts; returns why there are none
/// where some are missing.
fn add_ended(run: &SlurmRun, tasks: &mut Vec<Task>) -> Option<String> {
    let is_known = |job: u64| tasks.iter().any(|task| task.job == job);
    let forgotten: Vec<_> =
        run.submissions.iter().filter(|it| it.job.is_some_and(|job| !is_known(job))).collect();
    let oldest = forgotten.iter().map(|it| it.unix_ns).min()?;
    let names: Vec<String> = forgotten.iter().map(|it| it.name.clone()).collect();
    match commands::sacct(&names, &day(oldest)) {
        Ok(ended) => {
            tasks.extend(ended);
            None
        }
        Err(why) => Some(format!(
            "note: how {} of earlier submissions ended is not known, as Slurm keeps no accounts \
             that can be read ({why}); their logs are in {}",
            counted(forgotten.len() as u64, "job"),
            run.shared.dir.slurm().display()
        )),
    }
}

/// Returns the day before a time, as `sacct` reads it: clocks and zones differ.
fn day(unix_ns: u64) -> String {
    const DAY_NS: u64 = 86_400_000_000_000;
    let before = i128::from(unix_ns.saturating_sub(DAY_NS));
    jiff::Timestamp::from_nanosecond(before)
        .map_or_else(|_| "now-7days".to_owned(), |at| at.strftime("%Y-%m-%d").to_string())
}

fn told(dir: &Path, run: &SharedRun, shares: &[ShareProgress], unknown: &[String]) -> String {
    let (head, noun, goes_on) = match run.by {
        By::Slurm => (["cell", "state", "task", "Slurm", ""], "task", "is submitted by"),
        By::SideBySide => (["cell", "state", "", "", ""], "engine start", "is measured by"),
    };
    let mut rows = vec![head.map(str::to_owned)];
    for share in shares {
        rows.extend(share.cells.iter().map(|cell| row(share, cell)));
    }
    for cell in &run.plan.cells {
        if let Some(reason) = &cell.skip {
            rows.push([&cell.name, "invalid", "", "", reason].map(str::to_owned));
        }
    }
    let mut text = table(&rows);
    let count = |state: fn(&CellState) -> bool| {
        shares.iter().flat_map(|it| &it.cells).filter(|cell| state(&cell.state)).count() as u64
    };
    let n_complete = count(|state| *state == CellState::Complete);
    let n_failed = count(|state| matches!(state, CellState::Failed(_)));
    let n_live = shares.iter().filter(|share| share.is_live()).count() as u64;
    let _ =
        write!(text, "\n{n_complete} of {} complete", counted(run.plan.cells.len() as u64, "cell"));
    if n_failed > 0 {
        let _ = write!(text, ", {n_failed} failed");
    }
    if n_live > 0 {
        let _ = write!(text, ", {} waiting or running", counted(n_live, noun));
    }
    text.push('\n');
    if shares.iter().any(|share| !share.is_live() && !share.is_over()) {
        let _ = writeln!(text, "what is missing {goes_on}: {}", typed::resume(dir));
    }
    for why in unknown {
        let _ = writeln!(text, "{why}");
    }
    text
}

fn row(share: &ShareProgress, cell: &CellProgress) -> [String; 5] {
    let progress = format!("{} of {}", cell.n_done, counted(u64::from(cell.n_trials), "trial"));
    let (state, detail) = match &cell.state {
        CellState::Complete => ("complete", String::new()),
        CellState::Failed(why) => ("failed", why.clone()),
        CellState::Skipped(why) if !share.is_live() => ("skipped", why.clone()),
        CellState::Skipped(_) | CellState::Missing => {
            (if share.is_live() { "waiting" } else { "missing" }, waits(share, &progress))
        }
    };
    let is_running = share.activity == Activity::Running && state == "waiting";
    let state = if is_running { "running" } else { state };
    let task = share.task.as_ref().map(Task::id).unwrap_or_default();
    let slurm = share.task.as_ref().map(|task| task.state.clone()).unwrap_or_default();
    [cell.name.clone(), state.to_owned(), task, slurm, detail]
}

/// Says why a cell is not there yet, and when it may be.
fn waits(share: &ShareProgress, progress: &str) -> String {
    let left = share.secs_per_trial.filter(|_| share.activity == Activity::Running);
    let left =
        left.map(|secs| format!("about {} left", spoken(secs * f64::from(share.trials_left()))));
    let Some(task) = &share.task else {
        return [progress].into_iter().chain(left.as_deref()).collect::<Vec<_>>().join(", ");
    };
    let mut parts = vec![progress.to_owned()];
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

fn spoken(secs: f64) -> String {
    let minutes = (secs / 60.0).ceil() as u64;
    if minutes < 90 { format!("{minutes} min") } else { format!("{} h", minutes.div_ceil(60)) }
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
