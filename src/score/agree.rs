//! How far two extractors say the same.

use serde::{Deserialize, Serialize};

use crate::score::item::{Class, Item};
use crate::score::normalise::differs_by_format;
use crate::score::unread::Unread;

/// How far two extractors say the same of one cell's answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Agreement {
    /// First extractor.
    pub a: String,
    /// Second extractor.
    pub b: String,
    /// Items that were answered.
    pub n: u64,
    /// Items on which both found the same answer, or both none.
    pub same: u64,
    /// Items that only the first calls correct.
    pub only_a_correct: u64,
    /// Items that only the second calls correct.
    pub only_b_correct: u64,
}

impl Agreement {
    /// Returns each pair of extractors, with nothing counted.
    pub(crate) fn pairs(names: &[String]) -> Vec<Self> {
        let none = |(a, b): (usize, usize)| Self {
            a: names[a].clone(),
            b: names[b].clone(),
            n: 0,
            same: 0,
            only_a_correct: 0,
            only_b_correct: 0,
        };
        Self::places(names.len()).map(none).collect()
    }

    /// Returns the places of each pair of so many extractors.
    pub(crate) fn places(n: usize) -> impl Iterator<Item = (usize, usize)> {
        (0..n).flat_map(move |a| (a + 1..n).map(move |b| (a, b)))
    }

    /// Counts an item, of which these are the two extractors' places.
    pub(crate) fn push(&mut self, item: &Item, a: usize, b: usize) {
        if item.classes[a] == Class::RequestError {
            return;
        }
        let right = |place: usize| item.classes[place] == Class::Correct;
        self.n += 1;
        self.same += u64::from(is_same(&item.answers[a], &item.answers[b]));
        self.only_a_correct += u64::from(right(a) && !right(b));
        self.only_b_correct += u64::from(right(b) && !right(a));
    }
}

/// Whether both found the same answer, or both none; `1.50` and `1.5` are one number.
fn is_same(a: &Result<String, Unread>, b: &Result<String, Unread>) -> bool {
    match (a, b) {
        (Ok(a), Ok(b)) => a == b || differs_by_format(a, b),
        (Err(_), Err(_)) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extractors_are_compared_in_pairs() {
        let item = |classes: [Class; 2], answers: [Option<&str>; 2]| Item {
            classes: classes.to_vec(),
            answers: answers
                .map(|answer| answer.map(str::to_owned).ok_or(Unread::NoMatch))
                .to_vec(),
            degenerate: false,
            has_thinking: false,
        };
        let items = [
            item([Class::Correct, Class::Correct], [Some("1"), Some("1.0")]),
            item([Class::Unparsed, Class::Correct], [None, Some("2")]),
            item([Class::Unparsed, Class::Unparsed], [None, None]),
            item([Class::RequestError, Class::RequestError], [None, None]),
        ];
        let mut found = Agreement::pairs(&["strict".to_owned(), "flexible".to_owned()]);
        let [found] = found.as_mut_slice() else { panic!("one pair") };
        for item in &items {
            found.push(item, 0, 1);
        }
        assert_eq!((found.n, found.same), (3, 2));
        assert_eq!((found.only_a_correct, found.only_b_correct), (0, 1));
    }
}
