//! What a run that goes on keeps of the one before.
//!
//! One rule: a cell's identity decides. A cell whose identity is in the new plan keeps its
//! trials, any other starts anew, and what is no part of the identity (scores, objectives,
//! trials, titles, report) follows the new plan for all cells.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::Table;

use crate::analysis::records::complete;
use crate::cli::args::Retry;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::requested_run::RequestedRun;
use crate::cli::{killed_session, output, retry, scenario_file, typed};
use crate::ids::CellId;
use crate::plan::Plan;
use crate::plan::cell::Cell;
use crate::record::event::{EventRecord, RunEvent};
use crate::record::golds::GoldsRecord;
use crate::report::number::counted;
use crate::run::conduct::{self, Done};
use crate::scenario::diff::{self, Change};
use crate::secrets::redact::Redactor;
use crate::store::error::StoreError;
use crate::store::reader::RunReader;
use crate::store::writer::RunWriter;

/// Returns which keys differ from those of the stored run, and tells them with what each means.
///
/// # Errors
/// 107 when the stored run has results and the new plan would keep none of them.
pub(crate) fn changes(
    dir: &Path,
    job: &RequestedRun,
    redactor: &Redactor,
) -> Result<Vec<String>, Failure> {
    let reader = RunReader::open(dir)?;
    let begun = reader.plan_on_disk()?;
    let before = reader.with_points(begun.clone())?;
    let (resolved, changes) = scenario_changes(&reader, job, redactor)?;
    let (ids_before, ids_now) = (ids(&before), ids(&job.plan));
    let mut lines = vec![String::new()];
    for change in &changes {
        lines.push(format!("{change}{}", effect(change, &changes, &resolved, job)));
    }
    let told = lines.join("\n  ");
    if ids_before.is_disjoint(&ids_now) && !conduct::done(&reader)?.trials.is_empty() {
        let message = format!(
            "no cell of {} would be kept, because the scenario has changed:{told}",
            dir.display()
        );
        return Err(Failure::new(Exit::Corrupt, message).help(format!(
            "go on as it was begun with `{}`, or start a new run with `--out`",
            typed::resume(dir)
        )));
    }
    let mut anew = Vec::new();
    for cell in job.plan.cells.iter().filter(|cell| !ids_before.contains(&cell.id)) {
        // It may have been left out for a while.
        if complete(reader.trials_on_disk(cell)?, cell).len() < cell.n_trials as usize {
            anew.push(cell.name.as_str());
        }
    }
    let n_gone = begun.cells.iter().filter(|cell| !ids_now.contains(&cell.id)).count();
    if !changes.is_empty() {
        output::message(&format!(
            "the scenario has changed since {} was begun:{told}",
            dir.display()
        ));
    }
    if !anew.is_empty() || n_gone > 0 {
        output::message(&anew_and_gone(&anew, n_gone));
    }
    Ok(changes.iter().map(ToString::to_string).collect())
}

/// Returns the scenario of a run, and which keys of the job's differ from it.
pub(crate) fn scenario_changes(
    reader: &RunReader,
    job: &RequestedRun,
    redactor: &Redactor,
) -> Result<(Table, Vec<Change>), Failure> {
    scenario_differences(&reader.resolved_on_disk()?, &redactor.text(&job.resolved))
}

/// Returns a scenario with all layers applied, and which keys of another one differ from it.
pub(crate) fn scenario_differences(
    before: &str,
    now: &str,
) -> Result<(Table, Vec<Change>), Failure> {
    let parse = |text: &str| {
        toml::from_str::<Table>(text).map_err(|why| {
            let message = format!("failed to read the scenario of the run: {why}");
            Failure::new(Exit::Corrupt, message).help("start a new run")
        })
    };
    let before = parse(before)?;
    let changes = diff::changes(&before, &parse(now)?);
    Ok((before, changes))
}

fn ids(plan: &Plan) -> BTreeSet<CellId> {
    plan.cells.iter().map(|cell| cell.id.clone()).collect()
}

/// Returns what one change means, in brackets: the plan is made once more with it alone, so
/// that nothing but the identities themselves says what they are made of.
///
/// Empty where that would take long, or where the change makes no scenario by itself.
fn effect(change: &Change, all: &[Change], before: &Table, job: &RequestedRun) -> String {
    /// Plans of so many cells take milliseconds.
    const MAX_CELLS: usize = 200;
    const MAX_CHANGES: usize = 20;
    if job.plan.cells.len() > MAX_CELLS || all.len() > MAX_CHANGES {
        return String::new();
    }
    let plan_of = |scenario: &Table| {
        let text = scenario.to_string();
        let planned = scenario_file::plan_text(&job.invocation.scenario, &text, None, &[]);
        planned.ok().map(|planned| ids(&planned.plan))
    };
    let mut changed = before.clone();
    change.apply(&mut changed);
    let (Some(before), Some(now)) = (plan_of(before), plan_of(&changed)) else {
        return String::new();
    };
    match now.difference(&before).count() as u64 {
        0 if now == before => " (applied to all cells)".to_owned(),
        0 => format!(" (leaves out {})", counted(before.difference(&now).count() as u64, "cell")),
        n => format!(" (begins {} anew)", counted(n, "cell")),
    }
}

/// Returns which cells of the plan are to be measured, and how many of the run are in it no more.
fn anew_and_gone(anew: &[&str], n_gone: usize) -> String {
    const SHOWN: usize = 8;
    let mut lines = Vec::new();
    if !anew.is_empty() {
        let shown = anew[..anew.len().min(SHOWN)].join("; ");
        let more = if anew.len() > SHOWN { "; …" } else { "" };
        lines.push(format!("  begun anew: {} ({shown}{more})", counted(anew.len() as u64, "cell")));
    }
    if n_gone > 0 {
        let gone = counted(n_gone as u64, "cell");
        lines.push(format!("  no longer asked for: {gone}, whose records stay on the disk"));
    }
    lines.join("\n")
}

/// Tells chat templates the day on which the run was begun, and not today's: the prompts of its
/// cells stay the same.
pub(crate) fn take_day(dir: &Path, job: &mut RequestedRun) -> Result<(), Failure> {
    let reader = RunReader::open(dir)?;
    let begun = reader.manifest().invocation.as_ref().map(|begun| begun.template_date.clone());
    if let Some(day) = begun.filter(|day| !day.is_empty()) {
        job.invocation.template_date = day;
    }
    Ok(())
}

/// Opens the run directory to go on with it, under the plan of the job.
pub(crate) fn open(
    dir: &Path,
    job: &RequestedRun,
    changes: Vec<String>,
    kinds: &[Retry],
    redactor: &Redactor,
) -> Result<(RunWriter, Done), Failure> {
    killed_session::wait_for_guardian(dir, &job.plan);
    let mut writer = RunWriter::resume(dir, redactor)?;
    killed_session::end_orphans(dir)?;
    let reader = RunReader::open(dir)?;
    let before = reader.plan_on_disk()?;
    if !is_same(&reader, &before, job, &changes) {
        writer.change(&before, &job.new_run(None, redactor), changes)?;
    }
    if let Some(template) = &job.template {
        writer.template(template)?;
    }
    retry::ask(&mut writer, kinds)?;
    let done = conduct::done(&RunReader::open(dir)?)?;
    tell(dir, &done);
    Ok((writer, done))
}

/// Whether nothing is missing of a run that is to go on as it is: it ended with these golds, and
/// each of its cells is over. Tells so, and changes nothing.
pub(crate) fn is_over(
    dir: &Path,
    job: &RequestedRun,
    changes: &[String],
    kinds: &[Retry],
    golds: &BTreeMap<String, GoldsRecord>,
) -> Result<bool, Failure> {
    let reader = RunReader::open(dir)?;
    if reader.is_in_progress()
        || !is_same(&reader, &reader.plan_on_disk()?, job, changes)
        || !retry::wanted(&reader, kinds)?.is_empty()
    {
        return Ok(false);
    }
    let done = conduct::done(&reader)?;
    let is_ended = |record: &EventRecord| matches!(record.event, RunEvent::RunFinished { .. });
    let plan = reader.plan()?;
    let skips = scenario_file::skips(&job.plan);
    let is_over = |cell: &Cell| {
        done.kept.contains(&cell.id)
            || done.failed.contains_key(&cell.id)
            || done.stays_skipped(cell, &plan, skips.contains_key(&cell.launch))
    };
    let is_over = done.events.last().is_some_and(is_ended) && plan.cells.iter().all(is_over);
    // Of a run that was killed early they may not be there yet.
    for (dataset, now) in golds.iter().filter(|_| is_over) {
        if reader.golds(dataset)? != *now {
            return Ok(false);
        }
    }
    if is_over {
        killed_session::end_orphans(dir)?;
        tell(dir, &done);
    }
    Ok(is_over)
}

fn is_same(reader: &RunReader, before: &Plan, job: &RequestedRun, changes: &[String]) -> bool {
    *before == job.plan && reader.check_scenario().is_ok() && changes.is_empty()
}

fn tell(dir: &Path, done: &Done) {
    let (n_kept, n_cells) = (done.kept.len(), done.n_cells);
    let n_trials = done.trials.iter().filter(|(cell, _)| !done.kept.contains(cell)).count();
    let more = match n_trials {
        0 => String::new(),
        n => format!(", and {} of others", counted(n as u64, "trial")),
    };
    let dir = dir.display();
    output::message(&format!("going on with {dir}: {n_kept} of {n_cells} cells kept{more}"));
    let (again, given_up): (Vec<&CellId>, Vec<&CellId>) =
        done.failed.keys().partition(|cell| retry::is_left(cell, &done.events));
    if !again.is_empty() {
        let failed = counted(again.len() as u64, "cell");
        output::message(&format!(
            "  failed before: {failed}; `--retry failed` measures them again"
        ));
    }
    if !given_up.is_empty() {
        let failed = counted(given_up.len() as u64, "cell");
        output::message(&format!(
            "  failed again and again: {failed}; a new run measures them anew"
        ));
    }
}

/// Returns what a run directory holds, and how to go on with it: for a run that failed. Nothing of
/// one that is no longer there.
pub(crate) fn kept(dir: &Path) -> Option<String> {
    let opened = RunReader::open(dir);
    if matches!(opened, Err(StoreError::NotARun { .. })) {
        return None;
    }
    let kept = match opened.ok().and_then(|reader| conduct::done(&reader).ok()) {
        Some(Done { kept, n_cells, .. }) => format!("{} of {n_cells} cells are", kept.len()),
        None => "what was measured so far is".to_owned(),
    };
    Some(format!("{kept} in {}; go on with: {}", dir.display(), typed::resume(dir)))
}
