//! Makes answers comparable, and compares them.

use std::collections::BTreeSet;

use fancy_regex::Regex;

use crate::plan::cell::{CompareHow, Normalise};
use crate::score::extract::{GaveUp, PatternError, compile};

/// Relative difference up to which two numbers are the same: far below any answer's last
/// digit, far above the rounding of decimal text to a double.
const NUMERIC_TOLERANCE: f64 = 1e-9;

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

/// Whether two normalised answers are the same.
pub(crate) fn is_same(how: CompareHow, answer: &str, gold: &str) -> bool {
    match how {
        CompareHow::Exact => answer == gold,
        CompareHow::Numeric => match (number(answer), number(gold)) {
            (Some(answer), Some(gold)) => {
                (answer - gold).abs() <= NUMERIC_TOLERANCE * gold.abs().max(answer.abs())
            }
            _ => answer == gold,
        },
        CompareHow::Set => parts(answer) == parts(gold),
    }
}

/// Reads a number as people write it: `$1,234.50`, `12%`, `7.`.
fn number(text: &str) -> Option<f64> {
    let digits: String = text.chars().filter(|c| !matches!(c, ',' | '$' | '%' | ' ')).collect();
    // `parse` takes words for infinity, which are not answers.
    let value: f64 = digits.trim_end_matches('.').parse().ok()?;
    (value.is_finite() && digits.contains(|c: char| c.is_ascii_digit())).then_some(value)
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
        let check = |how, a, b, expected| assert_eq!(is_same(how, a, b), expected, "{a} {b}");
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
}
