//! What both sides have and a comparison does not show, and why.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::metrics::catalogue::MetricId;
use crate::metrics::compare::{Comparison, Side, is_of_whole_run};
use crate::metrics::per_trial;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::Note;

/// A number that both sides have and that is not shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) enum NotShown {
    /// A percentile of fewer samples than it needs.
    TooFew {
        /// The percentile.
        quantity: Quantity,
        /// Index of the first side that has too few.
        side: usize,
        /// Name of its cell.
        cell: String,
        /// How many it has and needs.
        why: Note,
        /// Further pairs of cells of which it holds.
        n_more: u64,
    },
    /// Metrics of which nothing is shown, since nobody asked for all.
    NotAsked(BTreeSet<MetricId>),
}

/// Returns what both cells of a pair have and the comparison does not show. Statistics of a metric of
/// which others are shown are not missed.
pub(crate) fn not_shown(
    comparison: &Comparison,
    sides: &[Side<'_>],
    is_asked: &dyn Fn(&Quantity) -> bool,
) -> Vec<NotShown> {
    let by_name: Vec<_> = sides.iter().map(Side::by_name).collect();
    let mut all_too_few: Vec<NotShown> = Vec::new();
    let mut not_asked = BTreeSet::new();
    for cells in comparison.cells.iter().filter(|cells| cells.not_compared.is_none()) {
        let pair = [(0, &cells.baseline), (cells.side, &cells.candidate)]
            .map(|(side, name)| (side, by_name[side][&**name]));
        for quantity in per_trial::quantities_of(pair[0].1) {
            let why = pair.map(|(_, cell)| per_trial::too_few(cell, &quantity));
            let has = |at: usize| {
                why[at].is_some() || !per_trial::values(pair[at].1, &quantity).is_empty()
            };
            if !has(0) || !has(1) || is_of_whole_run(&quantity) {
                continue;
            }
            if !is_asked(&quantity) {
                not_asked.insert(quantity.id());
                continue;
            }
            let Some(((side, cell), why)) =
                pair.into_iter().zip(why).find_map(|(of, why)| Some((of, why?)))
            else {
                continue;
            };
            let known = all_too_few.iter_mut().find_map(|it| match it {
                NotShown::TooFew { quantity: known, n_more, .. } if *known == quantity => {
                    Some(n_more)
                }
                _ => None,
            });
            if let Some(n_more) = known {
                *n_more += 1;
            } else {
                let cell = cell.name.clone();
                all_too_few.push(NotShown::TooFew { quantity, side, cell, why, n_more: 0 });
            }
        }
    }
    for row in comparison.cells.iter().flat_map(|cells| &cells.rows) {
        not_asked.remove(&row.quantity.id());
    }
    let not_asked = Some(NotShown::NotAsked(not_asked));
    let not_asked = not_asked.filter(|it| !matches!(it, NotShown::NotAsked(of) if of.is_empty()));
    all_too_few.into_iter().chain(not_asked).collect()
}
