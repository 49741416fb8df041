//! Stored answers graded again, and cells compared on the same items.

use std::collections::BTreeMap;

use crate::ids::CellId;
use crate::metrics::window::Window;
use crate::plan::cell::{Cell, ScorePlan};
use crate::run::RunError;
use crate::run::digest::{complete_trials, exchanges, golds};
use crate::score::answer::Answer;
use crate::score::fidelity::{Fidelity, FidelityMeter};
use crate::score::grade::Graded;
use crate::score::missing::{MissingEqualsMissing, PUBLISHED_PATTERN, missing_equals_missing};
use crate::score::pair::{PairedAccuracy, pair};
use crate::score::scorer::Scorer;
use crate::store::error::StoreError;
use crate::store::reader::RunReader;

/// One scored cell, graded again.
pub struct CellScores {
    /// The cell's name.
    pub name: String,
    /// Its grades.
    pub graded: Graded,
    /// What scoring as the published `TinyLlama` table did would say.
    pub as_published: MissingEqualsMissing,
    /// Against the first scored cell: flips by each extractor, and how long the texts agree.
    pub against_first: Option<Against>,
}

/// A cell beside the first one on the same items.
pub struct Against {
    /// The first cell's name.
    pub first: String,
    /// Pairs by extractor.
    pub pairs: Vec<PairedAccuracy>,
    /// Agreement of the texts.
    pub fidelity: Fidelity,
}

/// Why answers could not be graded again.
#[derive(Debug, thiserror::Error)]
pub enum RescoreError {
    /// The run directory could not be read.
    #[error(transparent)]
    Run(#[from] RunError),
    /// An extractor's pattern is not usable.
    #[error("{0}")]
    Pattern(#[from] crate::score::extract::PatternError),
}

impl From<StoreError> for RescoreError {
    fn from(error: StoreError) -> Self {
        Self::Run(error.into())
    }
}

/// Grades every scored cell again, with the score that `adapt` makes of the scenario's.
pub fn rescore(
    reader: &RunReader,
    adapt: &dyn Fn(&ScorePlan) -> ScorePlan,
) -> Result<Vec<CellScores>, RescoreError> {
    let plan = reader.plan()?;
    let mut scores: Vec<CellScores> = Vec::new();
    let mut reference: Option<(CellId, BTreeMap<u64, String>)> = None;
    for cell in &plan.cells {
        let Some(score) = &cell.score else { continue };
        let texts = first_answers(reader, cell)?;
        if texts.is_empty() {
            continue;
        }
        let graded = grade(reader, cell, &adapt(&plan.scores[score]))?;
        let golds = golds(reader, cell)?;
        let pairs = texts
            .iter()
            .filter_map(|(row, text)| Some((golds.get(*row)?.raw.as_str(), text.as_str())));
        let as_published = missing_equals_missing(PUBLISHED_PATTERN, pairs)?;
        let against_first =
            reference.as_ref().zip(scores.first()).map(|((_, first_texts), first)| {
                let names = graded.extractors.iter();
                Against {
                    first: first.name.clone(),
                    pairs: names.filter_map(|name| pair(&first.graded, &graded, name)).collect(),
                    fidelity: fidelity(first_texts, &texts),
                }
            });
        scores.push(CellScores { name: cell.name.clone(), graded, as_published, against_first });
        reference.get_or_insert((cell.id.clone(), texts));
    }
    Ok(scores)
}

fn grade(reader: &RunReader, cell: &Cell, score: &ScorePlan) -> Result<Graded, RescoreError> {
    let scorer = Scorer::new(score)?;
    let golds = golds(reader, cell)?;
    let mut grading = scorer.grading(&golds);
    for trial in complete_trials(reader, cell)? {
        let window = Window::of(&trial.record, cell);
        for exchange in exchanges(&trial)? {
            let (request, output) = exchange?;
            if window.measures_phase(request.phase) {
                grading.push(&Answer::of(&request, output.as_ref()));
            }
        }
    }
    Ok(grading.finish())
}

/// Returns the first measured answer to each item.
fn first_answers(reader: &RunReader, cell: &Cell) -> Result<BTreeMap<u64, String>, StoreError> {
    let mut texts = BTreeMap::new();
    for trial in complete_trials(reader, cell)? {
        let window = Window::of(&trial.record, cell);
        for exchange in exchanges(&trial)? {
            let (request, output) = exchange?;
            if let (true, Some(output)) = (window.measures_phase(request.phase), output) {
                texts.entry(request.sample).or_insert(output.text);
            }
        }
    }
    Ok(texts)
}

fn fidelity(reference: &BTreeMap<u64, String>, other: &BTreeMap<u64, String>) -> Fidelity {
    let mut meter = FidelityMeter::default();
    for (row, text) in reference {
        if let Some(other) = other.get(row) {
            meter.push(text, other);
        }
    }
    meter.finish()
}
