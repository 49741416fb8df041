//! Makes answers comparable, and compares them.

use std::collections::BTreeSet;

use fancy_regex::Regex;

use crate::plan::cell::{CompareHow, Normalise};
use crate::score::number::{TOLERANCE, read};
use crate::score::pattern::{GaveUp, PatternError, compile};

/// Normalisations in order.
#[derive(Debug)]
pub(crate) struct Normaliser {
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Delete(Regex),
    Lowercase,
    Trim,
}

impl Normaliser {
    /// Creates a normaliser.
    ///
    /// # Errors
    /// If a pattern does not compile.
    pub(crate) fn new(plan: &[Normalise]) -> Result<Self, PatternError> {
        let steps = plan.iter().map(|step| {
            Ok(match step {
                Normalise::Delete(pattern) => Step::Delete(compile(pattern)?),
                Normalise::Lowercase => Step::Lowercase,
                Normalise::Trim => Step::Trim,
            })
        });
        Ok(Self { steps: steps.collect::<Result<_, _>>()? })
    }

    /// Returns the normalised answer.
    ///
    /// # Errors
    /// If a pattern with look-around ran into its limit of steps.
    pub(crate) fn apply(&self, answer: &str) -> Result<String, GaveUp> {
        self.steps.iter().try_fold(answer.to_owned(), |text, step| match step {
            Step::Delete(pattern) => {
                pattern.try_replacen(&text, 0, "").map(Into::into).map_err(|_| GaveUp)
            }
            Step::Lowercase => Ok(text.to_lowercase()),
            Step::Trim => Ok(text.trim().to_owned()),
        })
    }
}

/// Whether two normalised answers are the same; numbers may differ by a share of the larger.
pub(crate) fn is_same(how: CompareHow, tolerance: f64, answer: &str, gold: &str) -> bool {
    match how {
        CompareHow::Exact => answer == gold,
        CompareHow::Numeric => match (read(answer), read(gold)) {
            (Some(answer), Some(gold)) => answer.is_same(&gold, tolerance),
            _ => answer == gold,
        },
        CompareHow::Set => parts(answer) == parts(gold),
    }
}

/// Whether two different answers say the same in another form: numbers of one value, or the same
/// words apart from case, blanks and punctuation.
pub(crate) fn differs_by_format(answer: &str, gold: &str) -> bool {
    match (read(answer), read(gold)) {
        (Some(answer), Some(gold)) => answer.is_same(&gold, TOLERANCE),
        (None, None) => {
            let words = |text: &str| {
                let letters = text.chars().filter(|c| c.is_alphanumeric());
                letters.flat_map(char::to_lowercase).collect::<String>()
            };
            let (answer, gold) = (words(answer), words(gold));
            // A point or a minus between digits is more than form.
            answer == gold && !gold.is_empty() && !gold.contains(|c: char| c.is_ascii_digit())
        }
        _ => false,
    }
}

fn parts(text: &str) -> BTreeSet<&str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::cell::ScorePlan;

    fn gsm8k() -> Normaliser {
        Normaliser::new(&ScorePlan::gsm8k().normalise).unwrap()
    }

    #[test]
    fn gsm8k_answers_lose_their_dress() {
        let check = |text, expected| assert_eq!(gsm8k().apply(text).unwrap(), expected);
        check("$1,250.", "1250");
        check("five\nso 3\n#### -7", "-7");
        check("1.50", "1.50");
        check("ABC", "abc");
    }

    #[test]
    fn answers_are_compared_as_asked() {
        use CompareHow::{Exact, Numeric, Set};
        let check =
            |how, a, b, expected| assert_eq!(is_same(how, TOLERANCE, a, b), expected, "{a} {b}");
        check(Exact, "5", "5", true);
        check(Exact, "5.0", "5", false);
        check(Numeric, "5.0", "5", true);
        check(Numeric, "$1,000", "1000.", true);
        check(Numeric, "0.3", "0.30000000000001", true);
        check(Numeric, "5.1", "5", false);
        check(Numeric, "five", "five", true);
        check(Numeric, "inf", "infinity", false);
        check(Numeric, "0", "-0", true);
        check(Set, "b, a", "a,b", true);
        check(Set, "a", "a,b", false);
    }

    #[test]
    fn another_form_of_the_same_answer_is_told_from_a_wrong_one() {
        let check = |a, b, expected| assert_eq!(differs_by_format(a, b), expected, "{a} {b}");
        check("29.00", "29", true);
        check("$1 250", "1250", true);
        check("**Paris**.", "paris", true);
        check("30", "29", false);
        check("1.5 a 2", "15 a 2", false);
        check("five", "5", false);
        check("", "", false);
    }
}
