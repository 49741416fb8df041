//! How far two extractors say the same.

use serde::{Deserialize, Serialize};

use crate::score::item::{Class, Item};

/// How far two extractors say the same of one cell's answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
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

/// Compares each pair of extractors.
pub(crate) fn agreements(names: &[String], items: &[&Item]) -> Vec<Agreement> {
    let pairs = (0..names.len()).flat_map(|a| (a + 1..names.len()).map(move |b| (a, b)));
    pairs
        .map(|(a, b)| {
            let mut found = Agreement {
                a: names[a].clone(),
                b: names[b].clone(),
                n: 0,
                same: 0,
                only_a_correct: 0,
                only_b_correct: 0,
            };
            for item in items.iter().filter(|item| item.classes[a] != Class::RequestError) {
                let (right_a, right_b) =
                    (item.classes[a] == Class::Correct, item.classes[b] == Class::Correct);
                found.n += 1;
                found.same += u64::from(item.answers[a] == item.answers[b]);
                found.only_a_correct += u64::from(right_a && !right_b);
                found.only_b_correct += u64::from(right_b && !right_a);
            }
            found
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extractors_are_compared_in_pairs() {
        let item = |classes: [Class; 2], answers: [Option<&str>; 2]| Item {
            classes: classes.to_vec(),
            answers: answers.iter().map(|answer| answer.map(str::to_owned)).collect(),
            degenerate: false,
        };
        let items = [
            item([Class::Correct, Class::Correct], [Some("1"), Some("1")]),
            item([Class::Unparsed, Class::Correct], [None, Some("2")]),
            item([Class::Unparsed, Class::Unparsed], [None, None]),
            item([Class::RequestError, Class::RequestError], [None, None]),
        ];
        let found = agreements(
            &["strict".to_owned(), "flexible".to_owned()],
            &items.iter().collect::<Vec<_>>(),
        );
        let [found] = found.as_slice() else { panic!("one pair") };
        assert_eq!((found.n, found.same), (3, 2));
        assert_eq!((found.only_a_correct, found.only_b_correct), (0, 1));
    }
}
