//! Answers that are not as long as they were asked to be.

use crate::metrics::request::{CountSource, RequestMetrics};
use crate::record::request::RequestRecord;

/// Share of the tokens asked for by which answers may miss them without a word.
const OFF_SHARE: f64 = 0.01;
/// Share by which a tokenizer's count of an answer's text may miss the engine's own.
const COUNTED_SHARE: f64 = 0.10;

/// Answers of a cell that are not as long as asked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Lengths {
    /// Tokens that all answers of a known length were asked for.
    n_asked: u64,
    shorter: Off,
    longer: Off,
}

/// Answers that miss what they were asked for in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Off {
    n: u64,
    asked: Range,
    came: Range,
}

/// Numbers of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Range {
    sum: u64,
    least: u32,
    most: u32,
}

impl Lengths {
    /// Adds a complete answer.
    pub(crate) fn push(&mut self, record: &RequestRecord, metrics: &RequestMetrics) {
        let Some((asked, came)) = record.max_tokens.zip(metrics.output.tokens) else { return };
        self.n_asked += u64::from(asked);
        // Reasoning that is not shown may not be in what was asked for.
        let hidden = record.usage.and_then(|usage| usage.reasoning).unwrap_or_default();
        let may_miss = match metrics.output.source {
            CountSource::Engine => 0.0,
            CountSource::Tokenizer | CountSource::Unknown => COUNTED_SHARE * f64::from(asked),
        };
        if f64::from(asked.saturating_sub(came)) > may_miss {
            self.shorter.push(asked, came);
        }
        if f64::from(came.saturating_sub(hidden).saturating_sub(asked)) > may_miss {
            self.longer.push(asked, came);
        }
    }

    /// Returns so many answers of one length.
    #[cfg(test)]
    pub(crate) fn of(n: u64, asked: u32, came: u32) -> Self {
        let mut lengths = Self { n_asked: n * u64::from(asked), ..Self::default() };
        (0..n).for_each(|_| lengths.shorter.push(asked, came));
        lengths
    }

    /// Forgets answers that are shorter, where nobody asked for a least length.
    pub(crate) fn may_be_shorter(&mut self) {
        self.shorter = Off::default();
    }

    /// Says how many of so many answers are not as long as asked, if their tokens matter.
    pub(crate) fn told(&self, n_ok: u64) -> Option<String> {
        let n_off = self.shorter.n_tokens() + self.longer.n_tokens();
        (n_off as f64 > OFF_SHARE * self.n_asked as f64).then(|| {
            let told = |off: Off, how: &str| {
                let (came, asked) = (off.came.told(off.n), off.asked.told(off.n));
                (off.n > 0).then(|| {
                    format!(
                        "{} of {n_ok} answers are {how} than asked: {came} tokens, not {asked}",
                        off.n
                    )
                })
            };
            let both = [told(self.shorter, "shorter"), told(self.longer, "longer")];
            both.into_iter().flatten().collect::<Vec<_>>().join("; ")
        })
    }
}

impl Off {
    fn push(&mut self, asked: u32, came: u32) {
        self.asked.push(asked, self.n == 0);
        self.came.push(came, self.n == 0);
        self.n += 1;
    }

    fn n_tokens(&self) -> u64 {
        self.asked.sum.abs_diff(self.came.sum)
    }
}

impl Range {
    fn push(&mut self, n: u32, is_first: bool) {
        self.sum += u64::from(n);
        self.least = if is_first { n } else { self.least.min(n) };
        self.most = self.most.max(n);
    }

    fn told(&self, n: u64) -> String {
        if self.least == self.most {
            return self.least.to_string();
        }
        let mean = self.sum as f64 / n as f64;
        format!("{mean:.1} in the mean ({} to {})", self.least, self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::request::tests::{request, usage};

    fn lengths(answers: &[(Option<u32>, u32)]) -> Lengths {
        let mut lengths = Lengths::default();
        for (asked, came) in answers {
            let mut record = request(0, 1_000, 1_000, &[1_100, 1_200]);
            (record.max_tokens, record.usage) = (*asked, Some(usage(9, *came)));
            lengths.push(&record, &RequestMetrics::of(&record));
        }
        lengths
    }

    #[test]
    fn answers_that_miss_what_they_were_asked_for_are_told_with_both_lengths() {
        let check = |answers: &[(Option<u32>, u32)], expected: Option<&str>| {
            assert_eq!(lengths(answers).told(answers.len() as u64).as_deref(), expected);
        };
        check(&[(Some(32), 32), (None, 9)], None);
        check(
            &[(Some(32), 10); 3],
            Some("3 of 3 answers are shorter than asked: 10 tokens, not 32"),
        );
        check(
            &[(Some(32), 64), (Some(16), 20), (Some(32), 32)],
            Some(
                "2 of 3 answers are longer than asked: 42.0 in the mean (20 to 64) tokens, not 24.0 in the mean (16 to 32)",
            ),
        );
        // One token of two hundred does not matter.
        check(&[(Some(100), 100), (Some(100), 101)], None);
        let mut natural = lengths(&[(Some(32), 10), (Some(32), 200)]);
        natural.may_be_shorter();
        assert_eq!(
            natural.told(2).unwrap(),
            "1 of 2 answers are longer than asked: 200 tokens, not 32"
        );
    }

    #[test]
    fn reasoning_beside_the_answer_is_not_an_answer_too_long() {
        let mut record = request(0, 1_000, 1_000, &[1_100, 1_200]);
        (record.max_tokens, record.usage) = (Some(32), Some(usage(9, 90)));
        record.usage =
            record.usage.map(|it| crate::record::request::Usage { reasoning: Some(58), ..it });
        let mut lengths = Lengths::default();
        lengths.push(&record, &RequestMetrics::of(&record));
        assert_eq!(lengths.told(1), None);
    }
}
