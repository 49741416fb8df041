//! How far another precision says the same thing.

use serde::{Deserialize, Serialize};

/// How long the answers of one cell agree with those of a reference cell, at temperature 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fidelity {
    /// Answers compared.
    pub n: u64,
    /// Answers equal to the last character.
    pub identical: u64,
    /// Word at which each other answer leaves the reference, from 0, ascending.
    pub first_divergence: Vec<u32>,
    /// Share of the reference's characters before the first difference, mean over answers.
    pub agreement_mean: Option<f64>,
    /// Tokens whose log probabilities were compared: those of equal answers.
    pub n_logprobs: u64,
    /// Mean absolute difference of log probabilities over those tokens.
    pub logprob_difference_mean: Option<f64>,
    /// Largest such difference.
    pub logprob_difference_max: Option<f64>,
}

/// Collects pairs of answers to the same prompt.
#[derive(Clone, Debug, Default)]
pub(crate) struct FidelityMeter {
    found: Fidelity,
    agreement_sum: f64,
    logprob_sum: f64,
}

impl FidelityMeter {
    /// Takes the reference's answer and the other one.
    pub(crate) fn push(&mut self, reference: &str, other: &str) {
        self.found.n += 1;
        match first_difference(reference, other) {
            None => {
                self.found.identical += 1;
                self.agreement_sum += 1.0;
            }
            Some(place) => {
                self.found.first_divergence.push(place.word);
                let length = reference.chars().count().max(other.chars().count());
                self.agreement_sum += f64::from(place.character) / length as f64;
            }
        }
    }

    /// Takes the log probabilities of the tokens of two equal answers.
    ///
    /// Token ids are not known: where texts differ, tokens have no counterpart. Equal texts in
    /// different numbers of tokens have none either.
    pub(crate) fn push_logprobs(&mut self, reference: &[f32], other: &[f32]) {
        if reference.len() != other.len() {
            return;
        }
        for (a, b) in reference.iter().zip(other) {
            let difference = f64::from((a - b).abs());
            self.found.n_logprobs += 1;
            self.logprob_sum += difference;
            let max = self.found.logprob_difference_max.into_iter().chain([difference]);
            self.found.logprob_difference_max = max.reduce(f64::max);
        }
    }

    /// Returns what was found.
    pub(crate) fn finish(mut self) -> Fidelity {
        let mean = |sum: f64, n: u64| (n > 0).then(|| sum / n as f64);
        self.found.first_divergence.sort_unstable();
        self.found.agreement_mean = mean(self.agreement_sum, self.found.n);
        self.found.logprob_difference_mean = mean(self.logprob_sum, self.found.n_logprobs);
        self.found
    }
}

/// Words in a bin of the histogram of first divergences.
const BIN: u32 = 5;
/// Bins before the last one, which is open.
const BINS: u32 = 8;

impl Fidelity {
    /// Returns how many answers part from the reference in which words: the bins' names, and
    /// one more for those that never part.
    pub(crate) fn histogram(&self) -> Vec<(String, u64)> {
        let count = |words: std::ops::Range<u32>| {
            self.first_divergence.iter().filter(|word| words.contains(word)).count() as u64
        };
        let mut bins: Vec<_> = (0..BINS)
            .map(|at| (at * BIN, (at + 1) * BIN))
            .map(|(from, to)| (format!("{from} to {}", to - 1), count(from..to)))
            .collect();
        let last = BINS * BIN;
        bins.push((format!("{last} and later"), count(last..u32::MAX)));
        bins.push(("equal to the end".to_owned(), self.identical));
        bins
    }

    /// Returns the median word at which answers part, if any do.
    pub(crate) fn median_divergence(&self) -> Option<u32> {
        self.first_divergence.get(self.first_divergence.len() / 2).copied()
    }
}

/// Where two texts part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Character, from 0.
    pub character: u32,
    /// Word that it falls in, from 0.
    pub word: u32,
}

/// Returns where two texts part; `None` if they are equal.
pub(crate) fn first_difference(a: &str, b: &str) -> Option<Difference> {
    if a == b {
        return None;
    }
    let n_shared = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    let shared: String = a.chars().take(n_shared).collect();
    let in_a_word = shared.chars().last().is_some_and(|last| !last.is_whitespace())
        && [a, b]
            .iter()
            .any(|text| text.chars().nth(n_shared).is_some_and(|next| !next.is_whitespace()));
    let n_words = shared.split_whitespace().count() as u32;
    Some(Difference {
        character: n_shared as u32,
        word: if in_a_word { n_words - 1 } else { n_words },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_part_at_a_word() {
        let check = |a, b, expected: Option<(u32, u32)>| {
            let found = first_difference(a, b).map(|place| (place.character, place.word));
            assert_eq!(found, expected, "{a:?} {b:?}");
        };
        check("one two three", "one two three", None);
        check("one two three", "one twin three", Some((6, 1)));
        check("one two", "one two three", Some((7, 2)));
        check("one two", "one twos", Some((7, 1)));
        check("one", "two", Some((0, 0)));
        check("", "two", Some((0, 0)));
    }

    #[test]
    fn divergences_fall_into_bins_of_words() {
        let found = Fidelity {
            identical: 3,
            first_divergence: vec![0, 4, 5, 39, 40, 900],
            ..Fidelity::default()
        };
        let bins = found.histogram();
        assert_eq!(bins.len(), 10);
        let count = |name: &str| bins.iter().find(|(bin, _)| bin == name).unwrap().1;
        assert_eq!((count("0 to 4"), count("5 to 9"), count("35 to 39")), (2, 1, 1));
        assert_eq!((count("40 and later"), count("equal to the end")), (2, 3));
        assert_eq!(found.median_divergence(), Some(39));
        assert_eq!(Fidelity::default().median_divergence(), None);
    }

    #[test]
    fn fidelity_counts_equal_answers_and_where_the_others_part() {
        let mut meter = FidelityMeter::default();
        meter.push("a b c d", "a b c d");
        meter.push("a b c d", "a b x d");
        meter.push_logprobs(&[-1.0, -2.0], &[-1.5, -2.0]);
        meter.push_logprobs(&[-1.0], &[-1.0, -2.0]);
        let found = meter.finish();
        assert_eq!((found.n, found.identical), (2, 1));
        assert_eq!(found.first_divergence, [2]);
        // 1 for the first answer, 4 of 7 characters for the second.
        assert!((found.agreement_mean.unwrap() - f64::midpoint(1.0, 4.0 / 7.0)).abs() < 1e-12);
        assert_eq!(found.logprob_difference_mean, Some(0.25));
        assert_eq!(found.logprob_difference_max, Some(0.5));
        assert_eq!(FidelityMeter::default().finish().agreement_mean, None);
    }
}
