//! What became of each item of a cell, small enough to be kept for every cell of a run.

use std::sync::Arc;

use crate::score::grade::Graded;
use crate::score::item::Class;

/// Classes of a cell's items: a byte for each item and extractor.
///
/// Texts and extracted answers are not here: they stay in the records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ItemClasses {
    extractors: Vec<String>,
    /// Rows of the data set, ascending.
    rows: Arc<[u64]>,
    /// By row, then by extractor.
    classes: Vec<Class>,
}

impl ItemClasses {
    /// Takes the classes out of graded items.
    pub(crate) fn of(graded: &Graded) -> Self {
        Self {
            extractors: graded.extractors.clone(),
            rows: graded.items.keys().copied().collect(),
            classes: graded.items.values().flat_map(|item| item.classes.iter().copied()).collect(),
        }
    }

    /// Keeps the list of rows once when another cell was asked the same ones.
    pub(crate) fn share_rows(&mut self, other: &Self) {
        if self.rows == other.rows {
            self.rows = Arc::clone(&other.rows);
        }
    }

    /// Returns the class of a row by the first extractor.
    pub(crate) fn headline(&self, row: u64) -> Option<Class> {
        let at = self.rows.binary_search(&row).ok()?;
        self.classes.get(at * self.extractors.len()).copied()
    }

    /// Returns rows and classes by the extractor of that name; `None` if it was not used.
    pub(crate) fn by(&self, extractor: &str) -> Option<impl Iterator<Item = (u64, Class)>> {
        let place = self.extractors.iter().position(|name| name == extractor)?;
        let classes = self.classes.iter().skip(place).step_by(self.extractors.len());
        Some(self.rows.iter().copied().zip(classes.copied()))
    }

    /// Returns the names of the extractors, the headline first.
    pub(crate) fn extractors(&self) -> &[String] {
        &self.extractors
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::item::Item;
    use crate::score::unread::Unread;

    #[test]
    fn the_classes_of_graded_items_are_kept_a_byte_each() {
        use Class::{Correct, Unparsed, Wrong};
        let item = |classes: [Class; 2]| Item {
            classes: classes.into(),
            answers: vec![Err(Unread::NoMatch); 2],
            degenerate: false,
            has_thinking: false,
        };
        let graded = Graded {
            extractors: vec!["strict".to_owned(), "flexible".to_owned()],
            items: [(3, item([Correct, Wrong])), (9, item([Unparsed, Correct]))].into(),
            ..Graded::default()
        };
        let classes = ItemClasses::of(&graded);
        assert_eq!(size_of_val(classes.classes.as_slice()), 4);
        assert_eq!(
            [3, 4, 9].map(|row| classes.headline(row)),
            [Some(Correct), None, Some(Unparsed)]
        );
        let flexible: Vec<_> = classes.by("flexible").unwrap().collect();
        assert_eq!(flexible, [(3, Wrong), (9, Correct)]);
        assert!(classes.by("whole").is_none());
        let mut other = classes.clone();
        other.share_rows(&classes);
        assert!(Arc::ptr_eq(&other.rows, &classes.rows));
    }
}
