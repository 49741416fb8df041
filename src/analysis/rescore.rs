//! Stored answers graded again, and cells compared on the same items.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bytes::Bytes;

use crate::analysis::golds::RunGolds;
use crate::analysis::records::{complete_trials, exchanges};
use crate::analysis::references::reference_comparisons;
use crate::metrics::reference_cell::ReferenceComparison;
use crate::metrics::window::Window;
use crate::plan::Plan;
use crate::plan::cell::{Cell, ScorePlan};
use crate::score::answer::{Answer, Delivery};
use crate::score::as_published::PublishedScorer;
use crate::score::classes::ItemClasses;
use crate::score::findings::end_of;
use crate::score::grade::Graded;
use crate::score::item::Item;
use crate::score::pattern::PatternError;
use crate::score::scorer::{Gold, GoldError, Golds, Scorer};
use crate::score::tally::Tally;
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
    /// Ends of the answers to items that are to be shown, by row.
    pub ends: BTreeMap<u64, String>,
    /// What these items ask, where it is known.
    pub questions: BTreeMap<u64, String>,
    /// Against its references: flips by each extractor, and how long the texts agree.
    pub beside: Vec<ReferenceComparison>,
}

/// Characters of an answer's end that are shown.
pub(crate) const END_CHARS: usize = 200;

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
    /// A file of answers has none.
    #[error("{path} has no answer in it")]
    Empty {
        /// The file.
        path: PathBuf,
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
    is_shown: &dyn Fn(&Item) -> bool,
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
        let (own, asked) = (&plan.scores[score], adapt(&plan.scores[score]));
        let scorer = Scorer::new(&asked)?;
        let golds = if asked == *own {
            golds.of(cell, score, &scorer)?
        } else {
            golds.read(cell, score, &scorer, |raw| {
                Ok::<_, RescoreError>(scorer.golds(raw.iter())?)
            })?
        };
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
        let ends = ends(reader, cell, &graded, is_shown)?;
        let mut questions = BTreeMap::new();
        if !ends.is_empty() {
            questions = reader.questions(&cell.dataset)?;
            questions.retain(|row, _| ends.contains_key(row));
        }
        let name = cell.name.clone();
        scores.push(CellScores { name, graded, golds, ends, questions, beside });
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

/// A file of answers: any table with a column of answers and one of golds.
///
/// It is read from its beginning each time, so that memory does not grow with it; a pipe, which has
/// no beginning to go back to, is kept whole.
pub(crate) struct AnswerFile<'a> {
    path: &'a Path,
    piped: Option<Bytes>,
    columns: PairColumns<'a>,
    scorer: Scorer,
}

/// One row of a file of answers, graded.
pub(crate) struct FileItem<'a> {
    /// Its position, from 0.
    pub row: u64,
    /// What it answers, where the file says it.
    pub question: Option<&'a str>,
    /// The answer's text.
    pub text: &'a str,
    /// The right one.
    pub gold: &'a Gold,
    /// Its grades.
    pub item: Item,
}

impl<'a> AnswerFile<'a> {
    /// Takes a file to grade, or what a pipe gave in its place.
    ///
    /// # Errors
    /// If a pattern of the plan is not usable.
    pub(crate) fn new(
        path: &'a Path,
        piped: Option<Bytes>,
        columns: PairColumns<'a>,
        plan: &ScorePlan,
    ) -> Result<Self, RescoreError> {
        Ok(Self { path, piped, columns, scorer: Scorer::new(plan)? })
    }

    fn open(&self) -> Result<Input, RescoreError> {
        let name = self.path.display().to_string();
        if let Some(bytes) = &self.piped {
            return Ok(Input::bytes(name, bytes.clone()));
        }
        let file = File::open(self.path);
        let unopened = |source| RescoreError::Open { path: self.path.to_owned(), source };
        Ok(Input::file(name, file.map_err(unopened)?))
    }

    /// Returns the names of the extractors.
    pub(crate) fn extractors(&self) -> Vec<String> {
        self.scorer.extractors.iter().map(|extractor| extractor.name().to_owned()).collect()
    }

    /// Grades every row; a sink that returns false has seen enough.
    ///
    /// # Errors
    /// If a row cannot be read, or, after the last row, if a gold cannot or there was no row.
    pub(crate) fn each(
        &self,
        mut sink: impl FnMut(&FileItem<'_>) -> bool,
    ) -> Result<(), RescoreError> {
        let mut check = self.scorer.gold_check();
        let mut is_empty = true;
        for pair in pairs(self.open()?, self.columns)? {
            let pair = pair?;
            is_empty = false;
            let Some(mut gold) = check.read(pair.row, pair.gold.as_deref()) else { continue };
            gold.note_choices(pair.question.as_deref().unwrap_or_default());
            let answer = Answer {
                sample: pair.row,
                text: &pair.output,
                cut_off: false,
                delivery: Delivery::Answered,
            };
            let item = self.scorer.item(&answer, &gold);
            let (row, text) = (pair.row, pair.output.as_str());
            let question = pair.question.as_deref();
            if !sink(&FileItem { row, question, text, gold: &gold, item }) {
                return Ok(());
            }
        }
        if is_empty {
            return Err(RescoreError::Empty { path: self.path.to_owned() });
        }
        Ok(check.finish()?)
    }

    /// Grades the file and keeps no item.
    pub(crate) fn score(&self) -> Result<CellScores, RescoreError> {
        let mut tally = Tally::new(&self.extractors());
        let mut as_published = PublishedScorer::new();
        self.each(|found| {
            tally.push(&found.item);
            as_published.push(&found.gold.raw, found.text);
            true
        })?;
        let (accuracies, agreements) = tally.finish();
        let graded = Graded {
            extractors: self.extractors(),
            accuracies,
            agreements,
            as_published: as_published.finish(),
            ..Graded::default()
        };
        let (name, golds) = (self.path.display().to_string(), Rc::default());
        let (ends, questions) = (BTreeMap::new(), BTreeMap::new());
        Ok(CellScores { name, graded, golds, ends, questions, beside: Vec::new() })
    }
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

/// Returns the end of each answer that is to be shown: the first one to its item.
fn ends(
    reader: &RunReader,
    cell: &Cell,
    graded: &Graded,
    is_shown: &dyn Fn(&Item) -> bool,
) -> Result<BTreeMap<u64, String>, RescoreError> {
    let mut ends = BTreeMap::new();
    let rows: BTreeSet<u64> =
        graded.items.iter().filter(|(_, item)| is_shown(item)).map(|(row, _)| *row).collect();
    if rows.is_empty() {
        return Ok(ends);
    }
    for trial in complete_trials(reader, cell)? {
        let window = Window::of(&trial.record, cell);
        for exchange in exchanges(&trial)? {
            let (request, output) = exchange?;
            let answered = Delivery::of(&request) == Delivery::Answered;
            if answered && rows.contains(&request.sample) && window.measures_phase(request.phase) {
                ends.entry(request.sample).or_insert_with(|| end_of(&output.text, END_CHARS));
            }
        }
    }
    Ok(ends)
}
