//! The published way of scoring, in which nothing equals nothing.

use crate::plan::cell::{ExtractorPlan, Take, Think};
use crate::score::extract::Extractor;
use crate::score::thinking::spoken;
use serde::{Deserialize, Serialize};

/// The pattern of the published TinyLlama table. It is looked for in answer and gold alike, and
/// GSM8K's golds never contain it: they end in `#### 18`.
pub(crate) const PUBLISHED_PATTERN: &str = r"The answer is (\d+)";

/// Stands in front of the number in each of these golds.
const GOLD_MARK: &str = "#### ";

/// What the published way of scoring finds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub(crate) struct AsPublishedTinyllama {
    /// Items compared.
    pub n: u64,
    /// Golds in which the pattern was found.
    pub golds_parsed: u64,
    /// Answers in which the pattern was found.
    pub answers_parsed: u64,
    /// "Correct" items: found in both and equal, or found in neither.
    pub correct: u64,
    /// Those among them in which nothing was found on either side.
    pub correct_by_absence: u64,
}

/// Scores gold and answer texts as the published table did.
///
/// For explanation only: an answer without an answer counts as correct wherever the gold
/// could not be read either.
#[derive(Debug)]
pub(crate) struct PublishedScorer {
    extractor: Extractor,
    found: AsPublishedTinyllama,
}

impl PublishedScorer {
    /// Creates a scorer by the published pattern.
    pub(crate) fn new() -> Self {
        let plan = ExtractorPlan::Regex {
            name: "published".to_owned(),
            pattern: PUBLISHED_PATTERN.to_owned(),
            take: Take::First,
        };
        let extractor =
            Extractor::new(&plan, Some(Think::Keep)).expect("the published pattern compiles");
        Self { extractor, found: AsPublishedTinyllama::default() }
    }

    /// Takes one item. The table was of GSM8K: what its pattern finds in other golds says nothing.
    pub(crate) fn push(&mut self, gold: &str, answer: &str) {
        if !gold.contains(GOLD_MARK) {
            return;
        }
        // The original's `re.search` has no limit of steps; the published pattern needs none.
        let read = |text| self.extractor.extract(text, &spoken(text)).ok();
        let (gold, answer) = (read(gold), read(answer));
        self.found.n += 1;
        self.found.golds_parsed += u64::from(gold.is_some());
        self.found.answers_parsed += u64::from(answer.is_some());
        self.found.correct += u64::from(gold == answer);
        self.found.correct_by_absence += u64::from(gold.is_none() && answer.is_none());
    }

    /// Returns what was found.
    pub(crate) fn finish(self) -> AsPublishedTinyllama {
        self.found
    }
}

impl Default for PublishedScorer {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_without_an_answer_count_as_correct_when_no_gold_is_read() {
        // The published figure in small: of 1,319 items 4 answers held the pattern, no gold
        // did, and 1,315 / 1,319 = 99.7 % were "correct".
        let mut scorer = PublishedScorer::new();
        for i in 0..1_319 {
            let answer = if i < 4 { "The answer is 18" } else { "Janet has 9 ducks left." };
            scorer.push("#### 18", answer);
        }
        let found = scorer.finish();
        assert_eq!((found.n, found.golds_parsed, found.answers_parsed), (1_319, 0, 4));
        assert_eq!((found.correct, found.correct_by_absence), (1_315, 1_315));
        let share = found.correct as f64 / found.n as f64;
        assert!((share * 100.0 - 99.7).abs() < 0.05);
        // Golds of other data were in no such table.
        let mut scorer = PublishedScorer::new();
        scorer.push("18", "The answer is 18");
        assert_eq!(scorer.finish(), AsPublishedTinyllama::default());
    }
}
