//! Doubts, numbered once, so that every number can point at those that touch it.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::Serialize;

use crate::metrics::catalogue::MetricId;
use crate::metrics::summary::{Caveat, Summary};
use crate::report::untrusted;

/// Cells that are named where a doubt is the same in several.
const CELLS_MAX: usize = 20;

/// One kind of doubt with all places where it arose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct CaveatView {
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
pub(crate) struct CaveatPlace {
    /// Names of its first cells; empty for the whole run.
    pub cell: String,
    /// How many cells there are; 1 for the whole run.
    pub n_cells: usize,
    /// What is doubtful, with the measured value.
    pub what: String,
}

/// Doubts that one thing would help against, in a line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct RemedyView {
    /// Numbers of the doubts: `[2][5]`.
    pub marks: String,
    /// What was seen, at the first place of each doubt.
    pub what: String,
    /// In how many further places; empty where there is none.
    pub more: String,
    /// What to do.
    pub advice: String,
}

/// Puts doubts with the same advice together, in the order in which they come.
pub(crate) fn by_remedy(caveats: &[CaveatView]) -> Vec<RemedyView> {
    let mut by_advice: IndexMap<&str, Vec<&CaveatView>> = IndexMap::new();
    for caveat in caveats {
        by_advice.entry(&caveat.advice).or_default().push(caveat);
    }
    let remedy = |(advice, caveats): (&str, Vec<&CaveatView>)| {
        let places = caveats.iter().flat_map(|caveat| &caveat.places);
        let n: usize = places.map(|place| place.n_cells).sum();
        let firsts = caveats.iter().filter_map(|caveat| caveat.places.first());
        let whats: Vec<&str> = firsts.map(|place| place.what.as_str()).collect();
        let n_more = n.saturating_sub(whats.len());
        let marks: Vec<String> =
            caveats.iter().map(|caveat| format!("[{}]", caveat.mark)).collect();
        RemedyView {
            marks: marks.concat(),
            what: whats.join("; "),
            more: if n_more > 0 { format!(" (and in {n_more} more)") } else { String::new() },
            advice: advice.to_owned(),
        }
    };
    by_advice.into_iter().map(remedy).collect()
}

/// Finds the marks of a cell's number.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    by_kind: BTreeMap<(String, String), usize>,
}

/// Numbers all doubts of a summary: those of the run first, then in the order of its cells.
pub(crate) fn collect(summary: &Summary) -> (Vec<CaveatView>, Marks) {
    let of_run = summary.caveats.iter().map(|caveat| ("", caveat));
    let of_cells = summary
        .cells
        .iter()
        .flat_map(|cell| cell.caveats.iter().map(|caveat| (cell.name.as_str(), caveat)));
    let mut views: Vec<CaveatView> = Vec::new();
    let mut marks = Marks::default();
    // What is the same in several cells is said once.
    let mut places: IndexMap<(usize, String), Vec<String>> = IndexMap::new();
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
        let place = places.entry((mark, untrusted::line(&caveat.what))).or_default();
        place.push(untrusted::line(cell));
    }
    for ((mark, what), cells) in places {
        let shown = &cells[..cells.len().min(CELLS_MAX)];
        let more = match cells.len() - shown.len() {
            0 => String::new(),
            n => format!("; and {n} more"),
        };
        let cell = format!("{}{more}", shown.join("; "));
        views[mark - 1].places.push(CaveatPlace { cell, n_cells: cells.len(), what });
    }
    (views, marks)
}

fn kind_of(caveat: &Caveat) -> (String, String) {
    (caveat.code.to_string(), caveat.advice.to_string())
}

impl Marks {
    /// Returns the marks of the doubts that name a metric.
    pub(crate) fn of_metric(&self, caveats: &[Caveat], metric: MetricId) -> Vec<usize> {
        self.of(caveats, |caveat| caveat.metrics.contains(&metric))
    }

    /// Returns the marks of the doubts that touch everything of a cell.
    pub(crate) fn of_all(&self, caveats: &[Caveat]) -> Vec<usize> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubts_that_one_thing_would_help_against_are_one_line() {
        let caveat = |mark: usize, advice: &str, cells: &[&str]| CaveatView {
            mark,
            advice: advice.to_owned(),
            places: cells
                .iter()
                .map(|cell| CaveatPlace {
                    cell: (*cell).to_owned(),
                    n_cells: cell.split("; ").count(),
                    what: format!("seen {mark}"),
                })
                .collect(),
            ..CaveatView::default()
        };
        let found = by_remedy(&[
            caveat(1, "End them.", &[""]),
            caveat(2, "Wait.", &["a"]),
            caveat(3, "End them.", &["a; b", "c"]),
        ]);
        let told: Vec<String> = found
            .iter()
            .map(|it| format!("{} {}{}: {}", it.marks, it.what, it.more, it.advice))
            .collect();
        assert_eq!(told, ["[1][3] seen 1; seen 3 (and in 2 more): End them.", "[2] seen 2: Wait."]);
    }
}
