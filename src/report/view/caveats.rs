//! Doubts, numbered once, so that every number can point at those that touch it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::metrics::catalogue::MetricId;
use crate::metrics::summary::{Caveat, Summary};
use crate::report::untrusted;

/// One kind of doubt with all places where it arose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CaveatView {
    /// Its number in the report.
    pub mark: usize,
    /// Stable name of the kind.
    pub code: String,
    /// What to do.
    pub advice: String,
    /// Where it arose and what was seen.
    pub places: Vec<CaveatPlace>,
}

/// One place where a doubt arose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CaveatPlace {
    /// Name of the cell; empty for the whole run.
    pub cell: String,
    /// What is doubtful, with the measured value.
    pub what: String,
}

/// Finds the marks of a cell's number.
#[derive(Debug, Default)]
pub struct Marks {
    by_kind: BTreeMap<(String, String), usize>,
}

/// Numbers all doubts of a summary: those of the run first, then in the order of its cells.
pub fn collect(summary: &Summary) -> (Vec<CaveatView>, Marks) {
    let of_run = summary.caveats.iter().map(|caveat| ("", caveat));
    let of_cells = summary
        .cells
        .iter()
        .flat_map(|cell| cell.caveats.iter().map(|caveat| (cell.name.as_str(), caveat)));
    let mut views: Vec<CaveatView> = Vec::new();
    let mut marks = Marks::default();
    for (cell, caveat) in of_run.chain(of_cells) {
        let next = views.len() + 1;
        let mark = *marks.by_kind.entry(kind_of(caveat)).or_insert(next);
        if mark == next {
            views.push(CaveatView {
                mark,
                code: untrusted::line(&caveat.code),
                advice: untrusted::line(&caveat.advice),
                places: Vec::new(),
            });
        }
        let (cell, what) = (untrusted::line(cell), untrusted::line(&caveat.what));
        let places = &mut views[mark - 1].places;
        // What is the same in several cells is said once.
        match places.iter_mut().find(|place| place.what == what) {
            Some(place) => place.cell = format!("{}; {cell}", place.cell),
            None => places.push(CaveatPlace { cell, what }),
        }
    }
    (views, marks)
}

fn kind_of(caveat: &Caveat) -> (String, String) {
    (caveat.code.clone(), caveat.advice.clone())
}

impl Marks {
    /// Returns the marks of the doubts that name a metric.
    pub fn of_metric(&self, caveats: &[Caveat], metric: MetricId) -> Vec<usize> {
        self.of(caveats, |caveat| caveat.metrics.contains(&metric))
    }

    /// Returns the marks of the doubts that touch everything of a cell.
    pub fn of_all(&self, caveats: &[Caveat]) -> Vec<usize> {
        self.of(caveats, |caveat| caveat.metrics.is_empty())
    }

    fn of(&self, caveats: &[Caveat], is_wanted: impl Fn(&Caveat) -> bool) -> Vec<usize> {
        let mut marks: Vec<usize> = caveats
            .iter()
            .filter(|caveat| is_wanted(caveat))
            .filter_map(|caveat| self.by_kind.get(&kind_of(caveat)).copied())
            .collect();
        marks.sort_unstable();
        marks.dedup();
        marks
    }
}
