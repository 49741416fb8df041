//! Grades answers one by one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::score::Accuracy;
use crate::score::agree::{Agreement, agreements};
use crate::score::answer::{Answer, Delivery};
use crate::score::as_published::{AsPublishedTinyllama, PublishedScorer};
use crate::score::extract::{Extractor, GaveUp};
use crate::score::item::{Class, Item};
use crate::score::normalise::is_same;
use crate::score::repeat::is_degenerate;
use crate::score::scorer::{Golds, Scorer};
use crate::stats::proportion::wilson;

/// Confidence level of every accuracy.
pub(crate) const LEVEL: f64 = 0.95;

/// All items of a cell, graded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Graded {
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
        let extractors = scorer.extractors.iter().map(|e| e.name().to_owned()).collect();
        let graded = Graded { extractors, ..Graded::default() };
        Self { scorer, golds, graded, as_published: PublishedScorer::new() }
    }

    /// Grades one answer. Give answers in the order of trials: the first to an item counts.
    pub(crate) fn push(&mut self, answer: &Answer<'_>) {
        let Some(gold) = self.golds.get(answer.sample) else {
            self.graded.n_without_gold += 1;
            return;
        };
        let item = self.item(answer, &gold.answer);
        let failed = answer.delivery == Delivery::Failed;
        if !failed && item.classes.first() == Some(&Class::Correct) {
            self.graded.n_correct_answers += 1;
        }
        let known = self.graded.items.get(&answer.sample).map(|item| item.classes.first());
        if !failed && known.is_none_or(|class| class == Some(&Class::RequestError)) {
            self.as_published.push(&gold.raw, answer.text);
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
                let changed = first.answers.first() != item.answers.first();
                self.graded.n_repeats_changed += u64::from(changed);
            }
        }
    }

    fn item(&mut self, answer: &Answer<'_>, gold: &str) -> Item {
        let mut classes = Vec::with_capacity(self.scorer.extractors.len());
        let mut answers = Vec::with_capacity(self.scorer.extractors.len());
        for extractor in &self.scorer.extractors {
            let extracted = self.extract(extractor, answer).unwrap_or_else(|GaveUp| {
                self.graded.n_gave_up += 1;
                None
            });
            let is_correct =
                extracted.as_deref().is_some_and(|text| is_same(self.scorer.compare, text, gold));
            classes.push(class(answer, extracted.is_some(), is_correct));
            answers.push(extracted);
        }
        Item { classes, answers, degenerate: is_degenerate(answer.text) }
    }

    fn extract(
        &self,
        extractor: &Extractor,
        answer: &Answer<'_>,
    ) -> Result<Option<String>, GaveUp> {
        let Some(extracted) = extractor.extract(answer.text)? else { return Ok(None) };
        let answer = self.scorer.normaliser.apply(&extracted)?;
        Ok(Some(answer).filter(|answer| !answer.is_empty()))
    }

    /// Returns what was found.
    pub(crate) fn finish(mut self) -> Graded {
        let names = &self.graded.extractors;
        let items = &self.graded.items;
        self.graded.accuracies =
            (0..names.len()).map(|place| accuracy(&names[place], place, items.values())).collect();
        self.graded.agreements = agreements(names, &items.values().collect::<Vec<_>>());
        self.graded.as_published = self.as_published.finish();
        self.graded
    }
}

fn class(answer: &Answer<'_>, is_extracted: bool, is_correct: bool) -> Class {
    if answer.delivery == Delivery::Failed {
        Class::RequestError
    } else if is_correct {
        Class::Correct
    } else if answer.cut_off {
        Class::Truncated
    } else if answer.text.trim().is_empty() {
        Class::Empty
    } else if is_extracted {
        Class::Wrong
    } else {
        Class::Unparsed
    }
}

fn accuracy<'i>(name: &str, place: usize, items: impl Iterator<Item = &'i Item>) -> Accuracy {
    let mut found = Accuracy {
        extractor: name.to_owned(),
        n: 0,
        correct: 0,
        wrong: 0,
        unparsed: 0,
        truncated: 0,
        empty: 0,
        request_errors: 0,
        degenerate: 0,
        share: None,
        interval: None,
    };
    for item in items {
        let count = match item.classes[place] {
            Class::Correct => &mut found.correct,
            Class::Wrong => &mut found.wrong,
            Class::Unparsed => &mut found.unparsed,
            Class::Truncated => &mut found.truncated,
            Class::Empty => &mut found.empty,
            Class::RequestError => &mut found.request_errors,
        };
        *count += 1;
        if item.classes[place] != Class::RequestError {
            found.n += 1;
            found.degenerate += u64::from(item.degenerate);
        }
    }
    found.share = (found.n > 0).then(|| found.correct as f64 / found.n as f64);
    found.interval =
        wilson(found.correct, found.n, LEVEL).map(crate::stats::interval::Interval::ends);
    found
}

impl Scorer {
    /// Begins to grade answers against these golds.
    pub(crate) fn grading<'a>(&'a self, golds: &'a Golds) -> Grading<'a> {
        Grading::new(self, golds)
    }

    /// Grades answers of measured requests; those of warm-up must not be among them.
    pub(crate) fn grade<'a>(
        &self,
        golds: &Golds,
        answers: impl IntoIterator<Item = Answer<'a>>,
    ) -> Graded {
        let mut grading = self.grading(golds);
        for answer in answers {
            grading.push(&answer);
        }
        grading.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::scorer::tests::gsm8k;

    fn answer(sample: u64, text: &str) -> Answer<'_> {
        Answer { sample, text, cut_off: false, delivery: Delivery::Answered }
    }

    fn grade(answers: &[Answer<'_>]) -> Graded {
        let scorer = Scorer::new(&gsm8k()).unwrap();
        let raw = ["#### 1,234", "#### -5", "#### 7"];
        let golds = scorer.golds(raw.iter().zip(0..).map(|(raw, row)| (row, Some(*raw)))).unwrap();
        scorer.grade(&golds, answers.iter().copied())
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
        let graded = scorer.grade(&golds, raw.iter().zip(0..).map(|(raw, row)| answer(row, raw)));
        assert_eq!(graded.accuracies[0].correct, 4);
        assert_eq!(graded.accuracies[1].correct, 4);
        assert_eq!(graded.accuracies[2].unparsed, 4);
    }
}
