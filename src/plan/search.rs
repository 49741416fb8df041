//! The search for the highest load that meets the objectives: points so far in, next point out.

use serde::{Deserialize, Serialize};

use crate::ids::{CellId, content_hash};
use crate::plan::cell::{ArrivalsPlan, Cell};
use crate::plan::name::cell_name;
pub use crate::scenario::spec::{SearchOver, SearchPlan};

impl SearchOver {
    /// Returns the key that a cell's load stands under.
    pub fn key(self) -> &'static str {
        self.word()
    }

    /// Returns the unit of a load.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Concurrency => "streams",
            Self::Rate => "req/s",
        }
    }
}

/// A load that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchPoint {
    /// Streams, or requests per second.
    pub load: f64,
    /// Whether enough requests were good.
    pub met: bool,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    /// Try this load.
    Try(f64),
    /// The search is over.
    Done {
        /// Highest load that met the objectives; absent when none did.
        best: Option<f64>,
        /// Why it is over.
        reason: Reason,
    },
}

/// Why a search is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The highest load that met and the lowest that did not are near enough.
    Found,
    /// Even the highest load met the objectives.
    Ceiling,
    /// Not even the lowest load met them.
    Floor,
    /// The number of points is used up.
    PointsUsedUp,
}

impl SearchPlan {
    /// Returns the next load: doubling until one misses, then bisecting.
    ///
    /// A load that met above one that missed is taken for luck: the bracket is the lowest miss
    /// and the highest that met below it.
    pub fn next(&self, points: &[SearchPoint]) -> Next {
        let miss = points.iter().filter(|p| !p.met).map(|p| p.load).min_by(f64::total_cmp);
        let below = |load: f64| miss.is_none_or(|miss| load < miss);
        let best =
            points.iter().filter(|p| p.met && below(p.load)).map(|p| p.load).max_by(f64::total_cmp);
        let done = |reason| Next::Done { best, reason };
        let next = match (best, miss) {
            (None, None) => self.from,
            (None, Some(_)) => return done(Reason::Floor),
            (Some(best), None) if best >= self.to => return done(Reason::Ceiling),
            (Some(best), None) => (best * 2.0).min(self.to),
            (Some(best), Some(miss)) => match self.between(best, miss) {
                Some(load) => load,
                None => return done(Reason::Found),
            },
        };
        if points.len() >= self.max_points as usize {
            return done(Reason::PointsUsedUp);
        }
        Next::Try(self.whole(next))
    }

    /// Returns the arrivals at a load.
    pub fn arrivals(&self, load: f64) -> ArrivalsPlan {
        match self.over {
            SearchOver::Concurrency => ArrivalsPlan::Closed { concurrency: load.max(1.0) as u32 },
            SearchOver::Rate => ArrivalsPlan::Poisson { rate_per_s: load },
        }
    }

    /// Returns arrivals like those given, at another load: a search over rates keeps their spread.
    pub fn arrivals_like(&self, like: &ArrivalsPlan, load: f64) -> ArrivalsPlan {
        match (self.over, like) {
            (SearchOver::Rate, ArrivalsPlan::Constant { .. }) => {
                ArrivalsPlan::Constant { rate_per_s: load }
            }
            (SearchOver::Rate, ArrivalsPlan::Gamma { burstiness, .. }) => {
                ArrivalsPlan::Gamma { rate_per_s: load, burstiness: *burstiness }
            }
            _ => self.arrivals(load),
        }
    }

    /// Returns the cell that tries a load in place of the one that `cell` tries.
    ///
    /// A warm-up goes along if it is done at the measured load.
    pub fn point(&self, cell: &Cell, load: f64) -> Cell {
        let mut point = cell.clone();
        let searched: Vec<ArrivalsPlan> = cell
            .measured_phases()
            .map(|phase| phase.arrivals.clone())
            .chain(self.load_of(cell).map(|load| self.arrivals(load)))
            .collect();
        for phase in &mut point.phases {
            if searched.contains(&phase.arrivals) {
                phase.arrivals = self.arrivals_like(&phase.arrivals, load);
            }
        }
        point.keys.insert(self.over.key().to_owned(), load.to_string());
        point.id = CellId(content_hash(&(&cell.id, &point.phases)));
        point.name = cell_name(&point.keys);
        point
    }

    /// Returns the load that a cell tries.
    pub fn load_of(&self, cell: &Cell) -> Option<f64> {
        cell.keys.get(self.over.key())?.parse().ok()
    }

    /// Whether two cells are points of one search.
    pub fn is_same_search(&self, a: &Cell, b: &Cell) -> bool {
        let but_load = |cell: &Cell| {
            let mut keys = cell.keys.clone();
            keys.shift_remove(self.over.key());
            keys
        };
        but_load(a) == but_load(b)
    }

    fn between(&self, best: f64, miss: f64) -> Option<f64> {
        if (miss - best) / best <= self.precision {
            return None;
        }
        match self.over {
            SearchOver::Concurrency if miss - best <= 1.0 => None,
            SearchOver::Concurrency => Some(f64::midpoint(best, miss).floor()),
            SearchOver::Rate => Some(f64::midpoint(best, miss)),
        }
    }

    fn whole(&self, load: f64) -> f64 {
        match self.over {
            SearchOver::Concurrency => load.round().max(1.0),
            SearchOver::Rate => load,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plan(over: SearchOver, from: f64, to: f64) -> SearchPlan {
        SearchPlan { over, from, to, goodput: 0.99, precision: 0.05, max_points: 30 }
    }

    fn run(plan: &SearchPlan, capacity: f64) -> (Vec<f64>, Option<f64>, Reason) {
        let mut points = Vec::new();
        loop {
            match plan.next(&points) {
                Next::Try(load) => points.push(SearchPoint { load, met: load <= capacity }),
                Next::Done { best, reason } => {
                    return (points.iter().map(|p| p.load).collect(), best, reason);
                }
            }
        }
    }

    #[test]
    fn the_search_doubles_and_then_bisects() {
        let (tried, best, reason) = run(&plan(SearchOver::Concurrency, 1.0, 256.0), 37.0);
        assert_eq!(tried, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 48.0, 40.0, 36.0, 38.0, 37.0]);
        assert_eq!((best, reason), (Some(37.0), Reason::Found));
    }

    #[test]
    fn floor_ceiling_and_bounds_end_the_search() {
        let plan = plan(SearchOver::Rate, 2.0, 64.0);
        assert_eq!(run(&plan, 1.0), (vec![2.0], None, Reason::Floor));
        let (tried, best, reason) = run(&plan, 1e9);
        assert_eq!((tried.len(), best, reason), (6, Some(64.0), Reason::Ceiling));
        let short = SearchPlan { max_points: 3, ..plan };
        assert_eq!(run(&short, 30.0).2, Reason::PointsUsedUp);
    }

    #[test]
    fn a_lucky_point_above_a_miss_does_not_count() {
        let met = |load, met| SearchPoint { load, met };
        let points = [met(2.0, true), met(8.0, true), met(4.0, false)];
        assert_eq!(plan(SearchOver::Rate, 2.0, 64.0).next(&points), Next::Try(3.0));
    }

    proptest! {
        #[test]
        fn every_search_ends_next_to_the_capacity(
            capacity in 0.5_f64..2000.0, from in 0.5_f64..10.0, by_rate: bool,
        ) {
            let over = if by_rate { SearchOver::Rate } else { SearchOver::Concurrency };
            let plan = plan(over, from, 1024.0);
            let (tried, best, reason) = run(&plan, capacity);
            prop_assert!(tried.len() <= 30);
            prop_assert!(tried.iter().all(|load| *load <= 1024.0));
            if reason == Reason::Found {
                let best = best.unwrap();
                prop_assert!(best <= capacity);
                prop_assert!(capacity <= best * 1.05 || capacity < best + 1.0);
            }
        }
    }
}
