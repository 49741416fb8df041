//! Stored answers graded again, and cells compared on the same items.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::analysis::golds::RunGolds;
use crate::analysis::records::{complete_trials, exchanges};
use crate::analysis::references::reference_comparisons;
use crate::metrics::reference::ReferenceComparison;
use crate::metrics::window::Window;
use crate::plan::Plan;
use crate::plan::cell::{Cell, ScorePlan};
use crate::score::answer::{Answer, Delivery};
use crate::score::classes::ItemClasses;
use crate::score::extract::PatternError;
use crate::score::grade::Graded;
use crate::score::scorer::{GoldError, Golds, Scorer};
use crate::store::error::StoreError;
use crate::store::reader::RunReader;
use crate::workload::error::DataError;
use crate::workload::input::Input;
use crate::workload::pairs::{PairColumns, pairs};

/// One scored cell, graded again.
pub(crate) struct CellScores {
    /// The cell's name.
    pub name: String,
    /// Its grades.
    pub graded: Graded,
    /// What answers were compared with.
    pub golds: Rc<Golds>,
    /// Against its references: flips by each extractor, and how long the texts agree.
    pub beside: Vec<ReferenceComparison>,
}

/// Why answers could not be graded again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RescoreError {
    /// The run directory could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An extractor's pattern is not usable.
    #[error("{0}")]
    Pattern(#[from] PatternError),
    /// A file of answers cannot be opened.
    #[error("failed to read {path}: {source}")]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// A row of it cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Its golds cannot be read.
    #[error(transparent)]
    Gold(#[from] GoldError),
}

/// Grades every scored cell again, with the score that `adapt` makes of the scenario's.
pub(crate) fn rescore(
    reader: &RunReader,
    adapt: &dyn Fn(&ScorePlan) -> ScorePlan,
) -> Result<Vec<CellScores>, RescoreError> {
    let plan = reader.plan()?.by_row();
    let mut golds = RunGolds::new(reader);
    let (mut by_cell, mut golds_by_cell) = (BTreeMap::new(), BTreeMap::new());
    let mut classes = BTreeMap::new();
    let mut measured = BTreeSet::new();
    for cell in &plan.cells {
        if !complete_trials(reader, cell)?.is_empty() {
            measured.insert(cell.id.clone());
        }
        let Some(score) = &cell.score else { continue };
        let scorer = Scorer::new(&adapt(&plan.scores[score]))?;
        let golds = golds.of(cell, score, &scorer)?;
        let graded = grade(reader, cell, &scorer, &golds)?;
        if !graded.items.is_empty() {
            classes.insert(cell.id.clone(), ItemClasses::of(&graded));
            by_cell.insert(cell.id.clone(), graded);
            golds_by_cell.insert(&cell.id, golds);
        }
    }
    let mut beside = reference_comparisons(reader, &plan, &measured, &classes)?;
    let mut scores = Vec::new();
    for cell in &plan.cells {
        let Some(graded) = by_cell.remove(&cell.id) else { continue };
        let beside = beside.remove(&cell.id).unwrap_or_default();
        let golds = golds_by_cell.remove(&cell.id).unwrap_or_default();
        scores.push(CellScores { name: cell.name.clone(), graded, golds, beside });
    }
    Ok(scores)
}

/// Returns what became of each item of a cell by the scenario's own score; `None` where it was not
/// scored or not measured.
pub(crate) fn item_classes(
    reader: &RunReader,
    plan: &Plan,
    cell: &Cell,
) -> Result<Option<ItemClasses>, RescoreError> {
    let Some(score) = &cell.score else { return Ok(None) };
    let scorer = Scorer::new(&plan.scores[score])?;
    let golds = RunGolds::new(reader).of(cell, score, &scorer)?;
    let graded = grade(reader, cell, &scorer, &golds)?;
    Ok((!graded.items.is_empty()).then(|| ItemClasses::of(&graded)))
}

/// Grades a file of answers: any table with a column of answers and one of golds.
pub(crate) fn score_file(
    path: &Path,
    columns: PairColumns<'_>,
    plan: &ScorePlan,
) -> Result<CellScores, RescoreError> {
    let scorer = Scorer::new(plan)?;
    let name = path.display().to_string();
    let file =
        File::open(path).map_err(|source| RescoreError::Open { path: path.to_owned(), source })?;
    let pairs = pairs(Input::file(&name, file), columns)?.collect::<Result<Vec<_>, _>>()?;
    let golds = scorer.golds(pairs.iter().map(|pair| (pair.row, pair.gold.as_deref())))?;
    let answers = pairs.iter().map(|pair| Answer {
        sample: pair.row,
        text: &pair.output,
        cut_off: false,
        delivery: Delivery::Answered,
    });
    let graded = scorer.grade(&golds, answers);
    Ok(CellScores { name, graded, golds: Rc::new(golds), beside: Vec::new() })
}

/// Grades the measured answers of a cell; nothing where it was not measured.
fn grade(
    reader: &RunReader,
    cell: &Cell,
    scorer: &Scorer,
    golds: &Golds,
) -> Result<Graded, RescoreError> {
    let trials = complete_trials(reader, cell)?;
    if trials.is_empty() {
        return Ok(Graded::default());
    }
    let mut grading = scorer.grading(golds);
    for trial in trials {
        let window = Window::of(&trial.record, cell);
        for exchange in exchanges(&trial)? {
            let (request, output) = exchange?;
            if window.measures_phase(request.phase) {
                grading.push(&Answer::of(&request, &output));
            }
        }
    }
    Ok(grading.finish())
}
