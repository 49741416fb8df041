//! Which of many estimates is at least as good as another by three criteria, and better by one
//! beyond chance.

use std::cmp::Ordering;

use crate::stats::interval::{Estimate, Interval};

/// Returns for each point the index of one that dominates it, if there is one: at least as large by
/// every criterion, and by one of them larger beyond the intervals of both. More is better.
///
/// Each criterion in turn is the one that decides: going down its values, the points whose lower
/// end lies above the upper end of the one asked about are kept by a second criterion, with the
/// largest value of the third among all that are at least as good (a Fenwick tree of maxima).
///
/// Cost: `n log n`.
/// Source: H. T. Kung, F. Luccio, F. P. Preparata, "On Finding the Maxima of a Set of Vectors",
/// Journal of the ACM 22 (1975) 469–476.
pub(crate) fn dominators(points: &[[Estimate; 3]]) -> Vec<Option<usize>> {
    let points: Vec<[Estimate; 3]> = points.iter().map(|point| point.map(around)).collect();
    let mut found: Vec<Option<usize>> = vec![None; points.len()];
    for decides in 0..3 {
        let others = [(decides + 1) % 3, (decides + 2) % 3];
        sweep(&points, decides, others, &mut found);
    }
    found
}

/// An interval that holds its value.
fn around(estimate: Estimate) -> Estimate {
    let Estimate { value, interval: Interval { low, high } } = estimate;
    Estimate { value, interval: Interval::new(low.min(value), high.max(value)) }
}

fn sweep(
    points: &[[Estimate; 3]],
    decides: usize,
    [second, third]: [usize; 2],
    found: &mut [Option<usize>],
) {
    let by = |key: &dyn Fn(&[Estimate; 3]) -> f64| {
        let mut order: Vec<usize> = (0..points.len()).collect();
        order.sort_by(|a, b| descending(key(&points[*a]), key(&points[*b])));
        order
    };
    let asked = by(&|point| point[decides].interval.high);
    let mut better = by(&|point| point[decides].interval.low).into_iter().peekable();
    let mut ranks: Vec<f64> = points.iter().map(|point| point[second].value).collect();
    ranks.sort_by(|a, b| descending(*a, *b));
    let rank = |value: f64| ranks.partition_point(|known| *known >= value);
    let mut best = Maxima::new(points.len());
    for at in asked {
        let own = &points[at];
        let is_above =
            |other: usize| points[other][decides].interval.low > own[decides].interval.high;
        while let Some(other) = better.next_if(|other| is_above(*other)) {
            let point = &points[other];
            best.insert(rank(point[second].value), point[third].value, other);
        }
        let other =
            best.up_to(rank(own[second].value)).filter(|(value, _)| *value >= own[third].value);
        found[at] = found[at].or(other.map(|(_, other)| other));
    }
}

fn descending(a: f64, b: f64) -> Ordering {
    b.total_cmp(&a)
}

/// The largest value among the first so many places, with whose it is.
struct Maxima {
    tree: Vec<Option<(f64, usize)>>,
}

impl Maxima {
    fn new(n: usize) -> Self {
        Self { tree: vec![None; n + 1] }
    }

    /// Takes in a value at a place, from 1.
    fn insert(&mut self, place: usize, value: f64, whose: usize) {
        let mut at = place;
        while at < self.tree.len() {
            let known = &mut self.tree[at];
            if known.is_none_or(|(known, _)| value > known) {
                *known = Some((value, whose));
            }
            at += at & at.wrapping_neg();
        }
    }

    fn up_to(&self, place: usize) -> Option<(f64, usize)> {
        let mut best: Option<(f64, usize)> = None;
        let mut at = place;
        while at > 0 {
            if let Some(other) = self.tree[at]
                && best.is_none_or(|(known, _)| other.0 > known)
            {
                best = Some(other);
            }
            at -= at & at.wrapping_neg();
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn estimate(value: f64, around: f64) -> Estimate {
        Estimate { value, interval: Interval::new(value - around, value + around) }
    }

    /// The definition, pair by pair.
    fn dominates(one: &[Estimate; 3], other: &[Estimate; 3]) -> bool {
        let mut pairs = one.iter().zip(other);
        pairs.clone().all(|(a, b)| a.value >= b.value)
            && pairs.any(|(a, b)| a.interval.low > b.interval.high)
    }

    #[test]
    fn a_point_is_dominated_beyond_the_intervals_alone() {
        let point = |a, b, c| [a, b, c].map(|value| estimate(value, 0.5));
        let points = [
            point(5.0, 5.0, 5.0),
            point(5.0, 5.0, 3.0),
            point(5.0, 5.0, 4.5),
            point(9.0, 1.0, 1.0),
            point(5.0, 5.0, 5.0),
        ];
        let found = dominators(&points);
        assert_eq!(
            found.iter().map(Option::is_some).collect::<Vec<_>>(),
            [false, true, false, false, false]
        );
        assert!(dominators(&[]).is_empty());
    }

    #[test]
    fn ten_thousand_points_take_no_time_that_grows_with_their_pairs() {
        // All on the front: every pair would have to be looked at.
        let points: Vec<_> = (0..100_000)
            .map(|n| [f64::from(n), f64::from(-n), 0.0].map(|value| estimate(value, 0.25)))
            .collect();
        assert!(dominators(&points).iter().all(Option::is_none));
    }

    proptest! {
        #[test]
        fn it_finds_what_the_definition_finds(
            values in proptest::collection::vec(proptest::array::uniform3((0_u8..6, 0_u8..3)), 0..40),
        ) {
            let points: Vec<_> = values
                .iter()
                .map(|point| point.map(|(value, around)| {
                    estimate(f64::from(value), f64::from(around) / 2.0)
                }))
                .collect();
            for (own, found) in points.iter().zip(dominators(&points)) {
                let any = points.iter().any(|other| dominates(other, own));
                prop_assert_eq!(found.is_some(), any);
                if let Some(other) = found {
                    prop_assert!(dominates(&points[other], own));
                }
            }
        }
    }
}
