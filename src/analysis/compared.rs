//! Runs and alternatives that are compared: what their summaries, plans and machines say.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use toml::Table;

use crate::analysis::records::{complete_trials, corrupt};
use crate::analysis::rescore::{RescoreError, item_classes};
use crate::metrics::axes;
use crate::metrics::compare::Side;
use crate::metrics::compare::sides::{alternatives, side_cells, sides_by};
use crate::metrics::summary::{CellSummary, Summary};
use crate::metrics::summary_file;
use crate::plan::Plan;
use crate::plan::cell::Cell;
use crate::plan::render::shell_word;
use crate::record::environment::Environment;
use crate::scenario::diff;
use crate::score::pair::{PairedAccuracy, pair};
use crate::store::error::StoreError;
use crate::store::reader::RunReader;

/// A run as a comparison sees it. Its summary is read as it lies there; records are read only
/// where answers to the same items are held against each other.
pub(crate) struct ComparedRun {
    reader: RunReader,
    /// What was done; each measured phase is a row.
    pub(crate) plan: Plan,
    /// The numbers.
    pub(crate) summary: Summary,
    environment: Environment,
    resolved: Table,
    /// Places of rows in the plan by their names.
    planned: HashMap<String, usize>,
    /// Places of cells in the summary by their names.
    measured: HashMap<String, usize>,
}

/// Keys of a scenario that say nothing of what is measured, or that engines' commands tell.
const NOT_TOLD: [&str; 5] = ["title", "description", "report", "engine", "profile"];

/// Reads the numbers of a run from where they were written.
///
/// # Errors
/// [`StoreError::Missing`]; [`StoreError::Corrupt`] for what is no summary of this format.
pub(crate) fn read_summary(path: &Path) -> Result<Summary, StoreError> {
    let text =
        fs::read(path).map_err(|source| StoreError::Missing { path: path.to_owned(), source })?;
    summary_file::parse(&text).map_err(|why| corrupt(path.to_owned(), why.to_string()))
}

impl ComparedRun {
    /// Opens a run directory.
    ///
    /// # Errors
    /// [`StoreError::NotARun`]; [`StoreError::Missing`] without a summary;
    /// [`StoreError::Corrupt`] and those for other formats.
    pub(crate) fn open(dir: &Path) -> Result<Self, StoreError> {
        let reader = RunReader::open(dir)?;
        let summary = read_summary(&summary_path(&reader))?;
        let resolved = toml::from_str(&reader.resolved()?)
            .map_err(|why| corrupt(reader.dir().resolved(), why.message().to_owned()))?;
        let plan = reader.plan()?.by_row();
        let environment = reader.environment()?.unwrap_or_default();
        let planned = plan.cells.iter().map(|cell| cell.name.clone()).zip(0..).collect();
        let measured = summary.cells.iter().map(|cell| cell.name.clone()).zip(0..).collect();
        Ok(Self { reader, plan, summary, environment, resolved, planned, measured })
    }

    /// Returns the run's directory.
    pub(crate) fn dir(&self) -> &Path {
        self.reader.dir().path()
    }

    /// Returns the run's name.
    pub(crate) fn name(&self) -> &str {
        &self.reader.manifest().name
    }

    /// Returns the version of `bench` that made the run.
    pub(crate) fn version(&self) -> &str {
        &self.environment.bench_version
    }

    /// Returns the model of a cell.
    pub(crate) fn model(&self, cell: &str) -> Option<&str> {
        Some(&self.plan.launches.get(&self.planned(cell)?.launch)?.model)
    }

    /// Returns the data set of a cell, by its name in the scenario.
    pub(crate) fn dataset(&self, cell: &str) -> Option<&str> {
        Some(&self.planned(cell)?.dataset)
    }

    /// Returns the commit of the checkout in which the run was made; empty where none is known.
    pub(crate) fn commit(&self) -> &str {
        self.environment.bench_commit.as_deref().unwrap_or_default()
    }

    /// Returns when the run began, nanoseconds since the Unix epoch; 0 for one without events.
    pub(crate) fn started_unix_ns(&self) -> Result<u64, StoreError> {
        let first = self.reader.events()?.next().transpose()?;
        Ok(first.map_or(0, |record| record.unix_ns))
    }

    /// Returns all cells as one side.
    pub(crate) fn side(&self, name: String) -> Side<'_> {
        Side { name, cells: side_cells(&self.plan, &self.summary) }
    }

    /// Returns a side for each value of a swept key, in the order of the cells.
    pub(crate) fn sides_by(&self, key: &str) -> Vec<Side<'_>> {
        let mut cells = side_cells(&self.plan, &self.summary);
        cells.retain(|cell| cell.keys.contains_key(key));
        sides_by(cells, &[key.to_owned()])
    }

    /// Returns the alternatives that the run sweeps over more than one value, in their order.
    pub(crate) fn alternatives(&self) -> Vec<String> {
        alternatives(&side_cells(&self.plan, &self.summary))
    }

    /// Whether a swept key is part of the load or says what is asked, by its name or by the plan.
    pub(crate) fn is_load(&self, key: &str) -> bool {
        axes::is_load(key) || axes::asked_by_plan(&self.plan).contains(key)
    }

    fn planned(&self, name: &str) -> Option<&Cell> {
        self.planned.get(name).map(|at| &self.plan.cells[*at])
    }

    /// Returns a cell's numbers by its name.
    pub(crate) fn measured(&self, name: &str) -> Option<&CellSummary> {
        self.measured.get(name).map(|at| &self.summary.cells[*at])
    }

    /// Returns data sets by name with the hash of what was sent, from the first trial of a cell.
    fn datasets(&self) -> Result<BTreeMap<String, String>, StoreError> {
        let mut found = BTreeMap::new();
        for cell in &self.plan.cells {
            if found.contains_key(&cell.dataset) {
                continue;
            }
            let trials = complete_trials(&self.reader, cell)?;
            if let Some(dataset) = trials.into_iter().find_map(|trial| trial.record.dataset) {
                found.insert(cell.dataset.clone(), dataset.sha256);
            }
        }
        Ok(found)
    }
}

/// Returns where a run keeps its summary.
fn summary_path(reader: &RunReader) -> PathBuf {
    reader.dir().path().join("summary.json")
}

/// Compares the answers of two cells to the same items; `None` where they were not asked the
/// same, or not graded alike.
pub(crate) fn paired_accuracy(
    (one, cell): (&ComparedRun, &str),
    (other, other_cell): (&ComparedRun, &str),
) -> Result<Option<PairedAccuracy>, RescoreError> {
    let (Some(cell), Some(other_cell)) = (one.planned(cell), other.planned(other_cell)) else {
        return Ok(None);
    };
    let golds = |run: &ComparedRun, cell: &Cell| {
        let score = run.plan.scores.get(cell.score.as_ref()?)?.clone();
        let golds = run.reader.dir().golds(&cell.dataset).ok()?;
        let name = run.reader.dir().name_of(&golds);
        Some((score, run.reader.manifest().sha256.get(&name)?.clone()))
    };
    if golds(one, cell).is_none() || golds(one, cell) != golds(other, other_cell) {
        return Ok(None);
    }
    let classes = (
        item_classes(&one.reader, &one.plan, cell)?,
        item_classes(&other.reader, &other.plan, other_cell)?,
    );
    let (Some(first), Some(second)) = classes else { return Ok(None) };
    let headline = first.extractors().first();
    Ok(headline.and_then(|name| pair(&first, &second, name)))
}

/// Tells what else is not the same of two runs: the machine, the scenario, data, engines and their
/// commands.
pub(crate) fn told_apart<'a>(
    one: &ComparedRun,
    other: &ComparedRun,
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
    told: &mut dyn FnMut(&str, String, String),
) -> Result<(), StoreError> {
    // What explains numbers comes before what a scenario has in many lines.
    for (baseline, candidate) in pairs {
        of_engines(one, baseline, other, candidate, told);
    }
    if std::ptr::eq(one, other) {
        return Ok(());
    }
    let (before, now) = (one.environment.facts(), other.environment.facts());
    for ((what, before), (_, now)) in before.into_iter().zip(now) {
        told(what, before, now);
    }
    let (before, now) = (one.datasets()?, other.datasets()?);
    for (name, sha256) in before {
        if let Some(other) = now.get(&name) {
            told(&format!("data set {name}"), sha256, other.clone());
        }
    }
    for change in diff::changes(&one.resolved, &other.resolved) {
        if NOT_TOLD.contains(&change.section()) {
            continue;
        }
        if let Some((table, is_now)) = change.whole_table(&one.resolved, &other.resolved) {
            let (there, gone) = ("defined".to_owned(), "absent".to_owned());
            let (before, now) = if is_now { (gone, there) } else { (there, gone) };
            told(&table, before, now);
        } else {
            let (before, now) = change.values();
            told(&change.key(), before, now);
        }
    }
    Ok(())
}

fn of_engines(
    one: &ComparedRun,
    cell: &str,
    other: &ComparedRun,
    other_cell: &str,
    told: &mut dyn FnMut(&str, String, String),
) {
    let version = |run: &ComparedRun, cell: &str| {
        run.measured(cell).and_then(|cell| cell.engine_version.clone()).unwrap_or_default()
    };
    told("engine version", version(one, cell), version(other, other_cell));
    let launch =
        |run: &ComparedRun, cell: &str| run.plan.launches.get(&run.planned(cell)?.launch).cloned();
    let (Some(before), Some(now)) = (launch(one, cell), launch(other, other_cell)) else { return };
    told("model", before.own_model().to_owned(), now.own_model().to_owned());
    let (before_alone, now_alone) = apart(&before.argv, &now.argv);
    told("command", before_alone, now_alone);
    let text = |env: &BTreeMap<String, String>| {
        let pairs: Vec<String> =
            env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join(" ")
    };
    told("environment", text(&before.env), text(&now.env));
}

/// What stands for words that two commands share between others.
const SHARED: &str = "…";

/// Returns what two commands do not share, the option in front of a value with it.
fn apart(before: &[String], now: &[String]) -> (String, String) {
    if before == now {
        return (String::new(), String::new());
    }
    let behind = shared_behind(before, now);
    let (mut at, mut now_at) = (0, 0);
    let (mut one, mut other) = (Vec::new(), Vec::new());
    while at < before.len() || now_at < now.len() {
        let from = at;
        while at < before.len() && now_at < now.len() && before[at] == now[now_at] {
            (at, now_at) = (at + 1, now_at + 1);
        }
        let option = before[from..at].last().filter(|word| word.starts_with('-'));
        let n_shared = at - from;
        let (begin, now_begin) = (at, now_at);
        while before.get(at) != now.get(now_at) {
            let is_gone = now_at == now.len()
                || at < before.len() && behind[at + 1][now_at] >= behind[at][now_at + 1];
            if is_gone { at += 1 } else { now_at += 1 }
        }
        let (gone, new) = (&before[begin..at], &now[now_begin..now_at]);
        // A word that begins an option of its own is no value of the one before.
        let is_value = gone.iter().take(1).chain(new.first()).all(|word| !word.starts_with('-'));
        let option = option.filter(|_| is_value);
        for (told, words) in [(&mut one, gone), (&mut other, new)] {
            if words.is_empty() {
                continue;
            }
            if !told.is_empty() && n_shared > usize::from(option.is_some()) {
                told.push(SHARED.to_owned());
            }
            told.extend(option.into_iter().chain(words).map(|word| shell_word(word)));
        }
    }
    (one.join(" "), other.join(" "))
}

/// Returns how many words two commands share, in order, behind each pair of places.
fn shared_behind(before: &[String], now: &[String]) -> Vec<Vec<usize>> {
    let mut behind = vec![vec![0; now.len() + 1]; before.len() + 1];
    for (at, word) in before.iter().enumerate().rev() {
        for (now_at, other) in now.iter().enumerate().rev() {
            behind[at][now_at] = if word == other {
                behind[at + 1][now_at + 1] + 1
            } else {
                behind[at + 1][now_at].max(behind[at][now_at + 1])
            };
        }
    }
    behind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_of_two_commands_is_told() {
        let check = |before: &str, now: &str, expected: (&str, &str)| {
            let argv = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
            let (before, now) = apart(&argv(before), &argv(now));
            assert_eq!((before.as_str(), now.as_str()), expected);
        };
        let ttft = ("--ttft 40ms", "--ttft 90ms");
        check("sim --ttft 40ms --port 1", "sim --ttft 90ms --port 1", ttft);
        check("sim --port 1", "sim --eager --port 1", ("", "--eager"));
        check("sim --eager --port 1", "sim --eager --slow --port 1", ("", "--slow"));
        check("a b", "a b", ("", ""));
        check("a b", "c d e", ("a b", "c d e"));
        let ends = ("/old/sim … --seed 1", "/new/sim … --seed 2");
        check("/old/sim --port 1 --eager --seed 1", "/new/sim --port 1 --eager --seed 2", ends);
    }
}
