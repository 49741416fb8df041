//! The golds of a run, extracted from the raw ones that it keeps.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::plan::cell::Cell;
use crate::record::golds::GoldsRecord;
use crate::score::scorer::{Golds, Scorer};
use crate::store::error::StoreError;
use crate::store::reader::RunReader;

/// Golds as the scores of a run read them, extracted once for each data set and score.
pub(super) struct RunGolds<'a> {
    reader: &'a RunReader,
    by_score: BTreeMap<(String, String), Rc<Golds>>,
}

impl<'a> RunGolds<'a> {
    pub(super) fn new(reader: &'a RunReader) -> Self {
        Self { reader, by_score: BTreeMap::new() }
    }

    /// Returns the golds of a scored cell's data set, as `scorer`, its score, reads them.
    pub(super) fn of(
        &mut self,
        cell: &Cell,
        score: &str,
        scorer: &Scorer,
    ) -> Result<Rc<Golds>, StoreError> {
        // All were read before an engine was started.
        let plan = self.reader.dir().plan();
        let corrupt = |error| StoreError::Corrupt {
            path: plan,
            line: 1,
            offset: 0,
            why: format!("score `{score}` on data set `{}`: {error}", cell.dataset),
        };
        self.read(cell, score, scorer, |raw| scorer.golds_of_run(raw.iter()).map_err(corrupt))
    }

    /// Returns the golds as `read` takes them, where `scorer` is not the run's score of that name but
    /// what somebody asks for in its place: it may be one that they cannot meet.
    pub(super) fn read<E: From<StoreError>>(
        &mut self,
        cell: &Cell,
        score: &str,
        scorer: &Scorer,
        read: impl FnOnce(&GoldsRecord) -> Result<Golds, E>,
    ) -> Result<Rc<Golds>, E> {
        let key = (cell.dataset.clone(), score.to_owned());
        if let Some(known) = self.by_score.get(&key) {
            return Ok(Rc::clone(known));
        }
        let mut golds = read(&self.reader.golds(&cell.dataset)?)?;
        if scorer.reads_choices() {
            golds.note_choices(&self.reader.questions(&cell.dataset)?);
        }
        let golds = Rc::new(golds);
        self.by_score.insert(key, Rc::clone(&golds));
        Ok(golds)
    }
}
