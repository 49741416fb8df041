//! A score plan made ready: patterns compiled, gold answers taken before any engine starts.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use thiserror::Error;

use crate::plan::cell::{CompareHow, Normalise, ScorePlan};
use crate::record::golds::{QuestionsRecord, accepted};
use crate::score::answer::{Answer, Delivery};
use crate::score::choice::{Choice, offered};
use crate::score::extract::Extractor;
use crate::score::final_number;
use crate::score::item::{Class, Item};
use crate::score::normalise::{Normaliser, differs_by_format, is_same};
use crate::score::number::{Number, TOLERANCE, read};
use crate::score::pattern::PatternError;
use crate::score::repeat::is_degenerate;
use crate::score::thinking::{Spoken, spoken};
use crate::score::unread::Unread;

/// A score plan made ready.
#[derive(Debug)]
pub(crate) struct Scorer {
    pub(crate) extractors: Vec<Extractor>,
    compare: CompareHow,
    tolerance: f64,
    normaliser: Normaliser,
    gold: Extractor,
    /// Reads golds where the headline is of letters.
    choice: Option<Choice>,
}

/// The gold answers of a data set as one score reads them, by row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Golds {
    by_sample: BTreeMap<u64, Gold>,
}

/// One gold answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Gold {
    /// As the data set writes it.
    pub raw: String,
    /// Extracted and normalised: an answer that is one of them is correct.
    pub answers: Vec<String>,
    /// The numbers that these are, as the data set writes them.
    pub numbers: Vec<Number>,
    /// Texts of the choices that its question lists; empty where they are not known.
    pub offers: Vec<String>,
}

/// How many rows an error names.
const MAX_NAMED_ROWS: usize = 10;
/// Characters of a row's answer that an error shows.
const EXCERPT_CHARS: usize = 60;

/// Gold answers that cannot be read: nothing could be scored against them.
///
/// An answer that is missing on both sides would otherwise count as correct; a published
/// accuracy of 99.7 % came from nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "the extractor `{extractor}` finds no {lacks} in the gold of {n_bad} of {n} rows: {}",
    name_rows(.rows, *.n_bad)
)]
pub(crate) struct GoldError {
    /// The extractor of golds.
    pub extractor: String,
    /// What it does not find: an answer, or what the headline's answers are.
    pub lacks: &'static str,
    /// Rows without a usable gold.
    pub n_bad: u64,
    /// Rows looked at.
    pub n: u64,
    /// The first such rows: their position from 0 and the beginning of what stands there.
    pub rows: Vec<(u64, String)>,
}

fn name_rows(rows: &[(u64, String)], n_bad: u64) -> String {
    let mut text = String::new();
    for (i, (row, excerpt)) in rows.iter().enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        // People count rows from 1, as all messages about data do.
        write!(text, "{comma}row {} ({excerpt})", row + 1)
            .expect("writing to a String does not fail");
    }
    if n_bad > rows.len() as u64 {
        text.push_str(", …");
    }
    text
}

impl Scorer {
    /// Compiles a score plan.
    ///
    /// # Errors
    /// If one of its patterns is not usable.
    pub(crate) fn new(plan: &ScorePlan) -> Result<Self, PatternError> {
        let extractors = plan
            .extractors
            .iter()
            .map(|extractor| Extractor::new(extractor, plan.think))
            .collect::<Result<Vec<_>, _>>()?;
        let gives_letters = extractors.first().is_some_and(Extractor::gives_letters);
        // The commas of a set separate its members.
        let is_comma = |step: &Normalise| *step == Normalise::Delete(",".to_owned());
        let is_kept = |step: &&Normalise| plan.compare != CompareHow::Set || !is_comma(step);
        let normalise: Vec<Normalise> = plan.normalise.iter().filter(is_kept).cloned().collect();
        Ok(Self {
            extractors,
            compare: plan.compare,
            tolerance: plan.tolerance.unwrap_or(TOLERANCE),
            normaliser: Normaliser::new(&normalise)?,
            gold: Extractor::of_golds(&plan.gold)?,
            choice: gives_letters.then(Choice::new).transpose()?,
        })
    }

    /// Takes the gold answers out of a data set, `(row, answer column)` per row.
    ///
    /// # Errors
    /// If a row has no gold or none that the plan's extractor can read; up to ten are named.
    pub(crate) fn golds<'a>(
        &self,
        samples: impl IntoIterator<Item = (u64, Option<&'a str>)>,
    ) -> Result<Golds, GoldError> {
        Self::all(self.gold_check(), samples)
    }

    /// Takes the gold answers of a run that is measured: those that no letter can meet are as wrong as
    /// they were then.
    ///
    /// # Errors
    /// As [`Self::golds`], but for golds that are no letters.
    pub(crate) fn golds_of_run<'a>(
        &self,
        samples: impl IntoIterator<Item = (u64, Option<&'a str>)>,
    ) -> Result<Golds, GoldError> {
        Self::all(GoldCheck { needs_letters: false, ..self.gold_check() }, samples)
    }

    fn all<'a>(
        mut check: GoldCheck<'_>,
        samples: impl IntoIterator<Item = (u64, Option<&'a str>)>,
    ) -> Result<Golds, GoldError> {
        let mut golds = Golds::default();
        for (row, raw) in samples {
            if let Some(gold) = check.read(row, raw) {
                golds.by_sample.insert(row, gold);
            }
        }
        check.finish()?;
        Ok(golds)
    }

    /// Whether a gold can be read.
    pub(crate) fn reads(&self, raw: &str) -> bool {
        self.read_gold(raw, self.choice.is_some()).is_some()
    }

    /// Whether letters of choices are read, so that the choices matter that questions list.
    pub(crate) fn reads_choices(&self) -> bool {
        self.extractors.iter().any(Extractor::gives_choices)
    }

    /// Begins to read golds one by one.
    pub(crate) fn gold_check(&self) -> GoldCheck<'_> {
        let extractor = self.gold.name().to_owned();
        let lacks = match (self.asks_for_numbers(), &self.choice) {
            (true, _) => "number",
            (false, Some(_)) => "letter of a choice (A to J)",
            (false, None) => "answer",
        };
        let error = GoldError { extractor, lacks, n_bad: 0, n: 0, rows: Vec::new() };
        GoldCheck { scorer: self, error, needs_letters: self.choice.is_some() }
    }

    /// Whether the headline is of numbers, so that a gold that is none can never be met.
    fn asks_for_numbers(&self) -> bool {
        self.extractors.first().is_some_and(Extractor::gives_numbers)
    }

    /// Returns the golds that can be read, if there are any. A pattern that gave up on a gold has
    /// not read it either.
    fn read_gold(&self, raw: &str, needs_letters: bool) -> Option<Gold> {
        let mut gold = Gold { raw: raw.to_owned(), ..Gold::default() };
        let mut is_met = !self.asks_for_numbers() && !needs_letters;
        for raw in accepted(raw).unwrap_or_else(|| vec![raw.to_owned()]) {
            let Ok(extracted) = self.gold.extract(&raw, &spoken(&raw)) else { continue };
            let normalised = self.normaliser.apply(&extracted);
            gold.answers.extend(normalised.ok().filter(|answer| !answer.is_empty()));
            // A letter behind which its choice stands, `B. Paris`, is met by the letter.
            if let Some(letter) = self.choice.as_ref().and_then(|choice| choice.of_gold(&extracted))
            {
                let letter = self.normaliser.apply(&letter).unwrap_or(letter);
                is_met = true;
                if !gold.answers.contains(&letter) {
                    gold.answers.push(letter);
                }
            }
            // A comma that is deleted would make one number of two.
            gold.numbers.extend(final_number::gold(&extracted));
        }
        is_met |= self.asks_for_numbers() && !gold.numbers.is_empty();
        (is_met && !gold.answers.is_empty()).then_some(gold)
    }

    /// Grades one answer by every extractor.
    pub(crate) fn item(&self, answer: &Answer<'_>, gold: &Gold) -> Item {
        let spoken = spoken(answer.text);
        let answers: Vec<_> = self
            .extractors
            .iter()
            .map(|extractor| self.extract(extractor, answer, &spoken, &gold.offers))
            .collect();
        let classes = self.extractors.iter().zip(&answers);
        Item {
            classes: classes
                .map(|(extractor, found)| {
                    self.class(extractor, answer, &spoken, found.as_deref().ok(), gold)
                })
                .collect(),
            answers,
            degenerate: is_degenerate(answer.text),
            has_thinking: spoken.has_thinking,
        }
    }

    fn extract(
        &self,
        extractor: &Extractor,
        answer: &Answer<'_>,
        spoken: &Spoken<'_>,
        offers: &[String],
    ) -> Result<String, Unread> {
        let extracted = extractor.extract_among(offers, answer.text, spoken)?;
        if extractor.gives_numbers() {
            return Ok(extracted);
        }
        let answer = self.normaliser.apply(&extracted).map_err(|_| Unread::GaveUp)?;
        if answer.is_empty() { Err(Unread::NoMatch) } else { Ok(answer) }
    }

    fn class(
        &self,
        extractor: &Extractor,
        answer: &Answer<'_>,
        spoken: &Spoken<'_>,
        found: Option<&str>,
        gold: &Gold,
    ) -> Class {
        let number = found.filter(|_| extractor.gives_numbers()).and_then(read);
        let any = |same: &dyn Fn(&str, &str) -> bool| {
            found.is_some_and(|found| gold.answers.iter().any(|gold| same(found, gold)))
        };
        let seen = if extractor.strips_thinking() { spoken.text } else { answer.text };
        let is_right = match &number {
            Some(number) => gold.numbers.iter().any(|gold| number.is_same(gold, self.tolerance)),
            None => any(&|found, gold| is_same(self.compare, self.tolerance, found, gold)),
        };
        if answer.delivery == Delivery::Failed {
            Class::RequestError
        } else if is_right {
            Class::Correct
        } else if answer.cut_off || spoken.is_open {
            Class::Truncated
        } else if seen.trim().is_empty() {
            Class::Empty
        } else if number.is_none() && any(&differs_by_format) {
            Class::WrongByFormat
        } else if found.is_some() {
            Class::Wrong
        } else {
            Class::Unparsed
        }
    }
}

/// Reads golds one by one, and keeps those that cannot be read.
#[derive(Debug)]
pub(crate) struct GoldCheck<'a> {
    scorer: &'a Scorer,
    error: GoldError,
    /// Whether a gold that is no letter is no gold.
    needs_letters: bool,
}

impl GoldCheck<'_> {
    /// Reads the gold of a row.
    pub(crate) fn read(&mut self, row: u64, raw: Option<&str>) -> Option<Gold> {
        let error = &mut self.error;
        error.n += 1;
        if let Some(gold) = raw.and_then(|raw| self.scorer.read_gold(raw, self.needs_letters)) {
            return Some(gold);
        }
        error.n_bad += 1;
        if error.rows.len() < MAX_NAMED_ROWS {
            error.rows.push((row, raw.map_or("no answer".to_owned(), excerpt)));
        }
        None
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// If a row had no gold that could be read.
    pub(crate) fn finish(self) -> Result<(), GoldError> {
        if self.error.n_bad == 0 { Ok(()) } else { Err(self.error) }
    }
}

impl Golds {
    /// Returns the gold of a row.
    pub(crate) fn get(&self, sample: u64) -> Option<&Gold> {
        self.by_sample.get(&sample)
    }

    /// Notes the choices that the questions to them list.
    pub(crate) fn note_choices(&mut self, questions: &QuestionsRecord) {
        for (row, gold) in &mut self.by_sample {
            gold.note_choices(questions.get(row).map_or("", String::as_str));
        }
    }
}

impl Gold {
    /// Notes the choices that its question lists. A list without the gold is another one.
    pub(crate) fn note_choices(&mut self, question: &str) {
        let offers = offered(question);
        let is_beyond = |gold: &String| {
            let letter = gold.bytes().next().filter(u8::is_ascii_alphabetic);
            letter.is_some_and(|it| usize::from(it.to_ascii_uppercase() - b'A') >= offers.len())
        };
        self.offers = if self.answers.iter().any(is_beyond) { Vec::new() } else { offers };
    }
}

/// Returns the beginning of a text in quotes, without control characters.
fn excerpt(text: &str) -> String {
    let shown: String = text.chars().take(EXCERPT_CHARS).collect();
    let dots = if shown.len() < text.len() { "…" } else { "" };
    format!("{:?}", shown + dots)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::plan::cell::{ExtractorPlan, Take};

    /// GSM8K as lm-evaluation-harness 0.4 scores it, and its chain-of-thought form.
    pub(crate) fn gsm8k() -> ScorePlan {
        let mut plan = ScorePlan::gsm8k();
        plan.extractors.push(ExtractorPlan::AnswerIs);
        plan
    }

    fn of_whole_golds(extractors: Vec<ExtractorPlan>) -> ScorePlan {
        ScorePlan { extractors, gold: ExtractorPlan::Whole, ..ScorePlan::gsm8k() }
    }

    fn class(scorer: &Scorer, golds: &Golds, sample: u64, text: &str) -> Class {
        let answer = Answer { sample, text, cut_off: false, delivery: Delivery::Answered };
        scorer.item(&answer, golds.get(sample).unwrap()).classes[0]
    }

    #[test]
    fn gold_is_taken_and_normalised() {
        let scorer = Scorer::new(&gsm8k()).unwrap();
        let golds = scorer
            .golds([(0, Some("so it is\n#### 1,234")), (3, Some("#### -5")), (4, Some("#### $9"))])
            .unwrap_err();
        assert_eq!(golds.rows, [(4, "\"#### $9\"".to_owned())]);
        let golds =
            scorer.golds([(0, Some("so it is\n#### 1,234")), (3, Some("#### -5"))]).unwrap();
        assert_eq!(golds.get(0).unwrap().answers, ["1234"]);
        assert_eq!(golds.get(3).unwrap().answers, ["-5"]);
        assert_eq!(golds.get(1), None);
    }

    #[test]
    fn gold_that_cannot_be_read_is_an_error_that_names_rows() {
        // The published extractor on golds of the published data set's form: it reads none.
        let mut plan = gsm8k();
        plan.gold = ExtractorPlan::Regex {
            name: "published".to_owned(),
            pattern: r"The answer is (\d+)".to_owned(),
            take: Take::First,
        };
        let scorer = Scorer::new(&plan).unwrap();
        let raw: Vec<String> = (0..12).map(|i| format!("{i} ducks\n#### {i}")).collect();
        let samples = raw.iter().enumerate().map(|(row, raw)| (row as u64, Some(raw.as_str())));
        let error = scorer.golds(samples).unwrap_err();
        assert_eq!((error.n_bad, error.n, error.rows.len()), (12, 12, 10));
        insta::assert_snapshot!(
            GoldError { rows: error.rows[..2].to_vec(), ..error },
            @r#"the extractor `published` finds no answer in the gold of 12 of 12 rows: row 1 ("0 ducks\n#### 0"), row 2 ("1 ducks\n#### 1"), …"#
        );
        let error = scorer.golds([(7, None)]).unwrap_err();
        assert_eq!(error.rows, [(7, "no answer".to_owned())]);
    }

    #[test]
    fn a_gold_that_is_no_number_is_an_error_where_numbers_are_asked_for() {
        let of = |extractors: Vec<ExtractorPlan>| {
            let plan = of_whole_golds(extractors);
            let raw =
                ["seventy", "(3,4)", "[]", "{\"a\":1}", "true", "6 - 5i", "[\"x\",\"7\"]", "1,250"];
            let rows = (0..).zip(raw.map(Some));
            Scorer::new(&plan).unwrap().golds(rows)
        };
        let error = of(vec![ExtractorPlan::Number, ExtractorPlan::Strict]).unwrap_err();
        assert_eq!(error.rows.iter().map(|row| row.0).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
        assert!(error.to_string().starts_with("the extractor `whole` finds no number in the gold"));
        // Other extractors may meet them.
        of(vec![ExtractorPlan::Whole, ExtractorPlan::Number]).unwrap();
    }

    #[test]
    fn a_gold_that_is_no_letter_is_an_error_where_letters_are_asked_for() {
        let of = |extractors: Vec<ExtractorPlan>| {
            let plan = ScorePlan { normalise: Vec::new(), ..of_whole_golds(extractors) };
            let raw =
                ["3", "the sun", "A bat", "K", "A, C", "b", "(C)", "D. Paris", "[\"x\",\"E\"]"];
            Scorer::new(&plan).unwrap().golds((0..).zip(raw.map(Some)))
        };
        for first in [ExtractorPlan::Choice, ExtractorPlan::AnswerLetter] {
            let error = of(vec![first, ExtractorPlan::Whole]).unwrap_err();
            let rows: Vec<u64> = error.rows.iter().map(|row| row.0).collect();
            assert_eq!(rows, [0, 1, 2, 3, 4], "{error}");
            let begins =
                "the extractor `whole` finds no letter of a choice (A to J) in the gold of";
            assert!(error.to_string().starts_with(begins), "{error}");
        }
        // Other extractors may meet them.
        of(vec![ExtractorPlan::Whole, ExtractorPlan::Choice]).unwrap();
    }

    #[test]
    fn golds_that_no_letter_meets_are_wrong_in_a_run_that_is_measured() {
        let scorer = Scorer::new(&of_whole_golds(vec![ExtractorPlan::Choice])).unwrap();
        assert!(scorer.golds([(0, Some("3"))]).is_err());
        let golds = scorer.golds_of_run([(0, Some("3"))]).unwrap();
        assert_eq!(golds.get(0).unwrap().answers, ["3"]);
        assert!(scorer.golds_of_run([(0, None)]).is_err());
    }

    #[test]
    fn a_letter_is_met_by_the_letter_alone() {
        let plan =
            ScorePlan { normalise: Vec::new(), ..of_whole_golds(vec![ExtractorPlan::Choice]) };
        let scorer = Scorer::new(&plan).unwrap();
        let golds = ["b", "(B)", "B. Paris", "[\"x\",\"B\"]"];
        let golds = scorer.golds((0..).zip(golds.map(Some))).unwrap();
        for sample in 0..4 {
            let class = |text| class(&scorer, &golds, sample, text);
            let found = [class("The answer is B."), class("The answer is C.")];
            assert_eq!(found, [Class::Correct, Class::Wrong], "{sample}");
        }
    }

    #[test]
    fn a_number_is_compared_with_the_gold_as_it_is_written() {
        let scorer = Scorer::new(&of_whole_golds(vec![ExtractorPlan::Number])).unwrap();
        let golds = scorer.golds([(0, Some("1.250,00 €"))]).unwrap();
        assert_eq!(golds.get(0).unwrap().numbers[0].to_string(), "1250");
    }

    #[test]
    fn the_choices_of_a_question_bound_the_letters_of_its_answers() {
        let scorer = Scorer::new(&of_whole_golds(vec![ExtractorPlan::Choice])).unwrap();
        let mut golds = scorer.golds([(0, Some("B")), (1, Some("E"))]).unwrap();
        let question = "Which?\nA. a worm\nB. a bacterium\nAnswer:".to_owned();
        golds.note_choices(&[(0, question.clone()), (1, question)].into());
        let found = |row| class(&scorer, &golds, row, "The answer is E. coli.");
        // A list that lacks the gold is not that of the choices.
        assert_eq!([found(0), found(1)], [Class::Unparsed, Class::Correct]);
    }

    #[test]
    fn the_commas_of_a_set_are_not_deleted() {
        let plan =
            ScorePlan { compare: CompareHow::Set, ..of_whole_golds(vec![ExtractorPlan::Whole]) };
        let scorer = Scorer::new(&plan).unwrap();
        let golds = scorer.golds([(0, Some("C, A"))]).unwrap();
        let class = |text| class(&scorer, &golds, 0, text);
        assert_eq!([class("A, C"), class("A, B")], [Class::Correct, Class::Wrong]);
    }
}
