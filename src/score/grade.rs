//! Grades answers one by one.

use std::collections::BTreeMap;

use crate::score::Accuracy;
use crate::score::agree::Agreement;
use crate::score::answer::{Answer, Delivery};
use crate::score::as_published::{AsPublishedTinyllama, PublishedScorer};
use crate::score::findings::Findings;
use crate::score::item::{Class, Item};
use crate::score::scorer::{Golds, Scorer};
use crate::score::tally::Tally;
use crate::score::unread::Unread;

/// All items of a cell, graded.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Graded {
    /// Extractor names, in the plan's order.
    pub extractors: Vec<String>,
    /// Items by row of the data set. Each counts once, however often it was asked.
    pub items: BTreeMap<u64, Item>,
    /// Correctness by extractor, the headline first.
    pub accuracies: Vec<Accuracy>,
    /// How far each pair of extractors agrees.
    pub agreements: Vec<Agreement>,
    /// Further answers to items that had one already: other trials, or a data set that ran out.
    pub n_repeats: u64,
    /// Those among them whose headline answer differs from the first one.
    pub n_repeats_changed: u64,
    /// Correct answers by the headline extractor over all answers, repeats included.
    pub n_correct_answers: u64,
    /// Answers to rows without a gold: not graded.
    pub n_without_gold: u64,
    /// Texts on which a pattern ran into its limit of steps: counted as unparsed.
    pub n_gave_up: u64,
    /// What the grades say of the grader.
    pub findings: Findings,
    /// What the published way of scoring, in which nothing equals nothing, makes of the same
    /// answers.
    pub as_published: AsPublishedTinyllama,
}

/// Grades answers one by one, in bounded memory per item.
#[derive(Debug)]
pub(crate) struct Grading<'a> {
    scorer: &'a Scorer,
    golds: &'a Golds,
    graded: Graded,
    as_published: PublishedScorer,
}

impl<'a> Grading<'a> {
    pub(crate) fn new(scorer: &'a Scorer, golds: &'a Golds) -> Self {
        let extractors: Vec<String> =
            scorer.extractors.iter().map(|e| e.name().to_owned()).collect();
        let headline = extractors.first().cloned().unwrap_or_default();
        let findings = Findings::new(headline);
        let graded = Graded { extractors, findings, ..Graded::default() };
        Self { scorer, golds, graded, as_published: PublishedScorer::new() }
    }

    /// Grades one answer. Give answers in the order of trials: the first to an item counts.
    pub(crate) fn push(&mut self, answer: &Answer<'_>) {
        let Some(gold) = self.golds.get(answer.sample) else {
            self.graded.n_without_gold += 1;
            return;
        };
        let item = self.scorer.item(answer, gold);
        let n_gave_up =
            item.answers.iter().filter(|answer| **answer == Err(Unread::GaveUp)).count();
        self.graded.n_gave_up += n_gave_up as u64;
        let failed = answer.delivery == Delivery::Failed;
        if !failed && item.classes.first() == Some(&Class::Correct) {
            self.graded.n_correct_answers += 1;
        }
        let known = self.graded.items.get(&answer.sample).map(|item| item.classes.first());
        if !failed && known.is_none_or(|class| class == Some(&Class::RequestError)) {
            self.as_published.push(&gold.raw, answer.text);
            let sees_thinking = self.scorer.extractors.iter().any(|e| !e.strips_thinking());
            self.graded.findings.push(&item, answer, gold, sees_thinking);
        }
        match self.graded.items.get_mut(&answer.sample) {
            None => {
                self.graded.items.insert(answer.sample, item);
            }
            // A later trial may answer what an earlier one could not be asked.
            Some(first) if first.classes.first() == Some(&Class::RequestError) => *first = item,
            Some(_) if failed => {}
            Some(first) => {
                self.graded.n_repeats += 1;
                let changed = first.answers.first().map(|found| found.as_ref().ok())
                    != item.answers.first().map(|found| found.as_ref().ok());
                self.graded.n_repeats_changed += u64::from(changed);
            }
        }
    }

    /// Returns what was found.
    pub(crate) fn finish(mut self) -> Graded {
        let mut tally = Tally::new(&self.graded.extractors);
        self.graded.items.values().for_each(|item| tally.push(item));
        (self.graded.accuracies, self.graded.agreements) = tally.finish();
        self.graded.as_published = self.as_published.finish();
        self.graded
    }
}

impl Scorer {
    /// Begins to grade answers against these golds.
    pub(crate) fn grading<'a>(&'a self, golds: &'a Golds) -> Grading<'a> {
        Grading::new(self, golds)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::plan::cell::{ExtractorPlan, ScorePlan};
    use crate::score::findings::Finding;
    use crate::score::scorer::tests::gsm8k;

    fn answer(sample: u64, text: &str) -> Answer<'_> {
        Answer { sample, text, cut_off: false, delivery: Delivery::Answered }
    }

    /// Grades all answers.
    pub(crate) fn grade_all<'a>(
        scorer: &Scorer,
        golds: &Golds,
        answers: impl IntoIterator<Item = Answer<'a>>,
    ) -> Graded {
        let mut grading = scorer.grading(golds);
        for answer in answers {
            grading.push(&answer);
        }
        grading.finish()
    }

    fn grade(answers: &[Answer<'_>]) -> Graded {
        let scorer = Scorer::new(&gsm8k()).unwrap();
        let raw = ["#### 1,234", "#### -5", "#### 7"];
        let golds = scorer.golds(raw.iter().zip(0..).map(|(raw, row)| (row, Some(*raw)))).unwrap();
        grade_all(&scorer, &golds, answers.iter().copied())
    }

    #[test]
    fn every_item_falls_into_one_class() {
        let classes = |answer: Answer<'_>| grade(&[answer]).items[&0].classes.clone();
        let check = |answer, strict, flexible| {
            assert_eq!(classes(answer)[..2], [strict, flexible], "{answer:?}");
        };
        check(answer(0, "so\n#### 1234"), Class::Correct, Class::Correct);
        check(answer(0, "it is $1,234."), Class::Unparsed, Class::Correct);
        check(answer(0, "#### 12"), Class::Wrong, Class::Wrong);
        check(answer(0, " \n"), Class::Empty, Class::Empty);
        let cut = Answer { cut_off: true, ..answer(0, "we have 12") };
        check(cut, Class::Truncated, Class::Truncated);
        let cut_and_right = Answer { cut_off: true, ..answer(0, "#### 1234\n\nQuestion") };
        check(cut_and_right, Class::Correct, Class::Correct);
        let failed = Answer { delivery: Delivery::Failed, ..answer(0, "#### 1234") };
        check(failed, Class::RequestError, Class::RequestError);
    }

    #[test]
    fn failed_requests_are_shown_and_not_in_the_share() {
        let failed = Answer { delivery: Delivery::Failed, ..answer(1, "") };
        let graded = grade(&[answer(0, "#### 1234"), failed, answer(2, "#### 8")]);
        let strict = &graded.accuracies[0];
        assert_eq!((strict.n, strict.correct, strict.wrong, strict.request_errors), (2, 1, 1, 1));
        assert_eq!(strict.share, Some(0.5));
        let nothing = grade(&[]);
        assert_eq!((nothing.accuracies[0].share, nothing.accuracies[0].interval), (None, None));
    }

    #[test]
    fn an_item_counts_once_however_often_it_is_asked() {
        let failed = Answer { delivery: Delivery::Failed, ..answer(0, "") };
        let trials = [
            failed,
            answer(0, "#### 1234"),
            answer(0, "#### 1234"),
            answer(0, "#### 9"),
            answer(9, "#### 9"),
        ];
        let graded = grade(&trials);
        assert_eq!((graded.accuracies[0].n, graded.accuracies[0].correct), (1, 1));
        assert_eq!((graded.n_repeats, graded.n_repeats_changed), (2, 1));
        assert_eq!((graded.n_correct_answers, graded.n_without_gold), (2, 1));
        assert_eq!((graded.as_published.n, graded.as_published.correct), (1, 1));
    }

    #[test]
    fn the_gold_texts_themselves_score_in_full() {
        let raw = [
            "5 + 3 = <<5+3=8>>8 ducks\n#### 8",
            "She has $1,200 + $34 = $<<1200+34=1234>>1,234 left.\n#### 1,234",
            "It falls to <<2-9=-7>>-7 degrees.\n#### -7",
            "Half of it is 2.5\n#### 2.5",
        ];
        let scorer = Scorer::new(&gsm8k()).unwrap();
        let golds = scorer.golds(raw.iter().zip(0..).map(|(raw, row)| (row, Some(*raw)))).unwrap();
        let graded =
            grade_all(&scorer, &golds, raw.iter().zip(0..).map(|(raw, row)| answer(row, raw)));
        assert_eq!(graded.accuracies[0].correct, 4);
        assert_eq!(graded.accuracies[1].correct, 4);
        assert_eq!(graded.accuracies[2].unparsed, 4);
    }

    /// Class by `number`, and by `flexible` under an exact comparison.
    fn by_number(text: &str, gold: &str) -> [Class; 2] {
        let plan = ScorePlan {
            extractors: vec![ExtractorPlan::Number, ExtractorPlan::Flexible],
            gold: ExtractorPlan::Whole,
            ..ScorePlan::gsm8k()
        };
        let scorer = Scorer::new(&plan).unwrap();
        let golds = scorer.golds([(0, Some(gold))]).unwrap();
        grade_all(&scorer, &golds, [answer(0, text)]).items[&0].classes.clone().try_into().unwrap()
    }

    #[test]
    fn a_number_is_right_by_its_value_and_wrong_by_format_only_as_text() {
        use Class::{Correct, Empty, Truncated, Unparsed, Wrong, WrongByFormat};
        let check = |text: &str, gold, number, flexible| {
            assert_eq!(by_number(text, gold), [number, flexible], "{text}");
        };
        check("total is $29.00.", "29", Correct, WrongByFormat);
        check("total is 30.", "29", Wrong, Wrong);
        check("<think>#### 5</think>\n#### 7", "7", Correct, Correct);
        check("<think> I think 7", "8", Truncated, Truncated);
        check("<think>7</think>", "7", Empty, Correct);
        check("two", "7", Unparsed, Unparsed);
        check("\\boxed{7}, \\boxed{8}", "8", Correct, Correct);
        check("#### 7 \\boxed{8}", "8", Unparsed, Correct);
        check("#### 18", "[\"17\", \"eighteen\", \"18.0\"]", Correct, WrongByFormat);
        check("#### 19", "[\"17\", \"18\"]", Wrong, Wrong);
        check("12345678901234567", "12345678901234568", Wrong, Wrong);
    }

    #[test]
    fn what_the_grader_cannot_read_is_found_with_three_examples() {
        let texts = ["it is 1234.", "<think>no</think> 5", "so 8", "so 7"];
        let rows = [0, 1, 2, 9];
        let scorer = Scorer::new(&gsm8k()).unwrap();
        let golds = rows.map(|row| (row, Some("#### 7")));
        let golds = scorer.golds(golds).unwrap();
        let answers = rows.iter().zip(texts).map(|(row, text)| answer(*row, text));
        let found = grade_all(&scorer, &golds, answers).findings;
        assert_eq!((found.headline.as_str(), found.n), ("strict", 4));
        let (n, examples) = found.above(Finding::Unparsed, 0.5).unwrap();
        assert_eq!((n, examples.matches("row").count()), (4, 3));
        insta::assert_snapshot!(
            found.above(Finding::Thinking, 0.0).unwrap().1,
            @r#"row 2 ends "<think>no</think> 5": nothing matches and "5" and nothing matches, gold "7""#
        );
        assert_eq!(found.above(Finding::Differs, 0.05).unwrap().0, 1);
        assert_eq!(found.above(Finding::Differs, 0.25), None);
        assert_eq!(found.above(Finding::Truncated, 0.0), None);
    }
}
