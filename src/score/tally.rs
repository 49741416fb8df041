//! Counts of graded items, kept without the items.

use crate::score::Accuracy;
use crate::score::agree::Agreement;
use crate::score::item::{Class, Item};
use crate::stats::interval::Interval;
use crate::stats::proportion::wilson;

/// Confidence level of every accuracy.
pub(crate) const LEVEL: f64 = 0.95;

/// Counts graded items one by one, in memory that does not grow with them.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    accuracies: Vec<Accuracy>,
    agreements: Vec<Agreement>,
}

impl Tally {
    /// Begins to count for these extractors.
    pub(crate) fn new(extractors: &[String]) -> Self {
        let none = |name: &String| Accuracy { extractor: name.clone(), ..Accuracy::default() };
        Self {
            accuracies: extractors.iter().map(none).collect(),
            agreements: Agreement::pairs(extractors),
        }
    }

    /// Counts one item.
    pub(crate) fn push(&mut self, item: &Item) {
        for (found, class) in self.accuracies.iter_mut().zip(&item.classes) {
            let count = match class {
                Class::Correct => &mut found.correct,
                Class::Wrong => &mut found.wrong,
                Class::WrongByFormat => &mut found.wrong_by_format,
                Class::Unparsed => &mut found.unparsed,
                Class::Truncated => &mut found.truncated,
                Class::Empty => &mut found.empty,
                Class::RequestError => &mut found.request_errors,
            };
            *count += 1;
            if *class != Class::RequestError {
                found.n += 1;
                found.degenerate += u64::from(item.degenerate);
            }
        }
        let places = Agreement::places(self.accuracies.len());
        for (agreement, (a, b)) in self.agreements.iter_mut().zip(places) {
            agreement.push(item, a, b);
        }
    }

    /// Returns accuracies by extractor, and how far each pair agrees.
    pub(crate) fn finish(mut self) -> (Vec<Accuracy>, Vec<Agreement>) {
        for found in &mut self.accuracies {
            found.share = (found.n > 0).then(|| found.correct as f64 / found.n as f64);
            found.interval = wilson(found.correct, found.n, LEVEL).map(Interval::ends);
        }
        (self.accuracies, self.agreements)
    }
}
