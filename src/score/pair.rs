//! Two cells on the same items: what flipped, and whether chance would do.

use serde::{Deserialize, Serialize};

use crate::score::classes::ItemClasses;
use crate::score::item::Class;
use crate::score::tally::LEVEL;
use crate::stats::proportion::{mcnemar_exact, paired_difference};

/// Correctness of two cells on the items that both answered, by one extractor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PairedAccuracy {
    /// Extractor.
    pub extractor: String,
    /// Items that both cells answered.
    pub n: u64,
    /// Correct in both.
    pub both: u64,
    /// Correct in neither.
    pub neither: u64,
    /// Rows that only the second cell has right.
    pub gained: Vec<u64>,
    /// Rows that only the first cell has right.
    pub lost: Vec<u64>,
    /// Share of the second cell minus share of the first.
    pub difference: Option<f64>,
    /// Interval of the difference, 95 %: adjusted Wald for paired data.
    pub interval: Option<(f64, f64)>,
    /// Two-sided p-value of `McNemar`'s exact test.
    pub p_value: f64,
}

/// Compares two cells by the extractor of that name.
///
/// `None` if one of them was not graded with it.
pub(crate) fn pair(
    first: &ItemClasses,
    second: &ItemClasses,
    extractor: &str,
) -> Option<PairedAccuracy> {
    let mut others = second.by(extractor)?.peekable();
    let mut found = PairedAccuracy {
        extractor: extractor.to_owned(),
        n: 0,
        both: 0,
        neither: 0,
        gained: Vec::new(),
        lost: Vec::new(),
        difference: None,
        interval: None,
        p_value: 1.0,
    };
    for (row, class_a) in first.by(extractor)? {
        while others.next_if(|(other, _)| *other < row).is_some() {}
        let Some((_, class_b)) = others.next_if(|(other, _)| *other == row) else { continue };
        if class_a == Class::RequestError || class_b == Class::RequestError {
            continue;
        }
        found.n += 1;
        match (class_a == Class::Correct, class_b == Class::Correct) {
            (true, true) => found.both += 1,
            (false, false) => found.neither += 1,
            (false, true) => found.gained.push(row),
            (true, false) => found.lost.push(row),
        }
    }
    let (n_gained, n_lost) = (found.gained.len() as u64, found.lost.len() as u64);
    found.p_value = mcnemar_exact(n_gained, n_lost);
    found.difference = (found.n > 0).then(|| (n_gained as f64 - n_lost as f64) / found.n as f64);
    found.interval = paired_difference(n_gained, n_lost, found.n, LEVEL)
        .map(crate::stats::interval::Interval::ends);
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::grade::Graded;
    use crate::score::item::Item;
    use crate::score::unread::Unread;

    fn graded(classes: &[(u64, Class)]) -> ItemClasses {
        let item = |class| Item {
            classes: vec![class],
            answers: vec![Err(Unread::NoMatch)],
            degenerate: false,
            has_thinking: false,
        };
        ItemClasses::of(&Graded {
            extractors: vec!["strict".to_owned()],
            items: classes.iter().map(|&(sample, class)| (sample, item(class))).collect(),
            ..Graded::default()
        })
    }

    #[test]
    fn only_items_that_both_answered_are_compared() {
        use Class::{Correct, RequestError, Wrong};
        let first = graded(&[(0, Correct), (1, Correct), (2, Wrong), (3, Correct), (4, Wrong)]);
        let second =
            graded(&[(0, Correct), (1, Wrong), (2, Correct), (3, RequestError), (5, Correct)]);
        let found = pair(&first, &second, "strict").unwrap();
        assert_eq!((found.n, found.both, found.neither), (3, 1, 0));
        assert_eq!((found.gained.as_slice(), found.lost.as_slice()), (&[2][..], &[1][..]));
        assert_eq!((found.difference, found.p_value), (Some(0.0), 1.0));
        assert_eq!(pair(&first, &second, "flexible"), None);
    }

    #[test]
    fn eight_flips_to_one_side_are_not_chance() {
        use Class::{Correct, Wrong};
        let first: Vec<_> = (0..20).map(|i| (i, if i < 8 { Wrong } else { Correct })).collect();
        let second: Vec<_> = (0..20).map(|i| (i, Correct)).collect();
        let found = pair(&graded(&first), &graded(&second), "strict").unwrap();
        assert!((found.p_value - 0.007_812_5).abs() < 1e-9);
        assert_eq!(found.difference, Some(0.4));
        assert!(found.interval.unwrap().0 > 0.0);
    }
}
