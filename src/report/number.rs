//! Rounds numbers for people: the only place where digits are dropped.

use serde::Serialize;

use crate::metrics::bounds::{is_lower_bound, is_unlimited};
use crate::metrics::quantity::{Quantity, Statistic};
use crate::metrics::summary::Figure;
use crate::units::decimals_for;

/// A number made ready to print.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Printed {
    /// The value, without its unit.
    pub value: String,
    /// `± 2.1` where the interval is about symmetric, else `[50.1, 55.0]`; empty without one.
    pub spread: String,
}

/// Upper end of what nothing limits.
const NO_END: &str = "∞";

/// What stands where a number cannot be had.
pub(crate) const ABSENT: &str = "–";

/// What stands before a lower bound.
pub(crate) const AT_LEAST: &str = "≥ ";

/// Rounds a figure, or says in a word why it cannot be had.
pub(crate) fn of_figure(quantity: &Quantity, figure: &Figure) -> Printed {
    if let Some(value) = figure.value {
        let mut printed = printed(value, figure.interval, figure.unit);
        if is_lower_bound(quantity, figure) {
            printed.value.insert_str(0, AT_LEAST);
        }
        return printed;
    }
    let word = match quantity.statistic {
        _ if figure.n == 0 => "no data",
        // What has samples lacks a percentile only below its sample floor.
        Statistic::Percentile(_) => "n too small",
        Statistic::Value | Statistic::Mean => ABSENT,
    };
    Printed { value: word.to_owned(), spread: String::new() }
}

/// Rounds a value and its interval.
///
/// The value keeps three to four significant digits (all digits before the point are kept),
/// as its uncertainty deserves; the uncertainty keeps two. Percentages keep one decimal,
/// numbers of GPUs none.
pub(crate) fn printed(value: f64, interval: Option<(f64, f64)>, unit: &str) -> Printed {
    if !value.is_finite() {
        return Printed { value: ABSENT.to_owned(), spread: String::new() };
    }
    let interval = interval.filter(|(low, high)| low.is_finite() && high.is_finite());
    if unit == "%" {
        return Printed {
            value: fixed(value, 1),
            spread: interval.map_or_else(String::new, |(low, high)| bracket(low, high, 1)),
        };
    }
    if unit == "GPUs" {
        // The only rounding that reproduces the published capacities.
        return Printed {
            value: fixed(value, 0),
            spread: interval.map_or_else(String::new, |(low, high)| bracket(low, high, 0)),
        };
    }
    let Some((low, high)) = interval else {
        return Printed { value: rounded(value), spread: String::new() };
    };
    if !is_plain(value) {
        return Printed { value: rounded(value), spread: bracket_rounded(low, high) };
    }
    // Where it has no end the part below is what tells its width.
    let width = if is_unlimited(high) { value - low } else { high - low };
    let half_width = width.abs() / 2.0;
    let decimals = decimals_for(half_width, 2)
        .clamp(decimals_for(value, 3), decimals_for(value, 4).max(decimals_for(value, 3)));
    let spread = if is_symmetric(value, low, high) {
        format!("± {}", significant(half_width, 2))
    } else {
        bracket(low, high, decimals)
    };
    Printed { value: fixed(value, decimals), spread }
}

/// Rounds to three significant digits, four where the first is a 1, so that the relative
/// step is about even. Digits before the point are never replaced by zeros.
pub(crate) fn rounded(value: f64) -> String {
    if !value.is_finite() {
        return ABSENT.to_owned();
    }
    if !is_plain(value) {
        return format!("{value:.2e}");
    }
    let digits = if first_digit(value) == '1' { 4 } else { 3 };
    significant(value, digits)
}

/// Prints a share (0 to 1) as a percentage with one decimal.
pub(crate) fn percent(share: f64) -> String {
    if share.is_finite() { format!("{} %", fixed(share * 100.0, 1)) } else { ABSENT.to_owned() }
}

/// Prints a ratio as `1.31×`.
pub(crate) fn times(ratio: f64) -> String {
    if ratio.is_finite() { format!("{}×", significant(ratio, 3)) } else { ABSENT.to_owned() }
}

/// Whether the interval of a ratio says nothing: neither which side is larger, nor by how much.
pub(crate) fn is_any(low: f64, high: f64) -> bool {
    (low..=high).contains(&1.0) && (low < 0.01 || high > 100.0)
}

/// Decimals at most that tell a ratio from 1.
const TELLING_MAX: usize = 6;

/// Prints the ratio of a level to one before, which may have been 0, with as many digits as tell it
/// from 1.
pub(crate) fn times_before(ratio: Option<f64>) -> String {
    let Some(ratio) = ratio else { return "up from 0".to_owned() };
    let told = times(ratio);
    let is_told = |decimals: &usize| fixed(ratio, *decimals) != fixed(1.0, *decimals);
    let decimals = (3..=TELLING_MAX).find(is_told).filter(|_| told == times(1.0));
    decimals.map_or(told, |decimals| format!("{}×", fixed(ratio, decimals)))
}

/// Prints the ratio of a run to the one before, of a metric that drifts; one that comes to 0 has none.
pub(crate) fn per_run(ratio: Option<f64>) -> String {
    ratio.map_or_else(
        || "a little each run".to_owned(),
        |ratio| format!("{:+.2} % a run", (ratio - 1.0) * 100.0),
    )
}

/// Prints a count and its noun, with an `s` where there is not exactly one.
pub(crate) fn counted(n: u64, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

fn is_plain(value: f64) -> bool {
    value == 0.0 || (1e-6..1e15).contains(&value.abs())
}

fn is_symmetric(value: f64, low: f64, high: f64) -> bool {
    let half_width = (high - low).abs() / 2.0;
    let centre = f64::midpoint(low, high);
    // A quarter of the half-width is what a reader would not notice in a `±`.
    (value - centre).abs() <= half_width / 4.0
}

fn first_digit(value: f64) -> char {
    format!("{:.2e}", value.abs()).chars().next().unwrap_or('0')
}

fn significant(value: f64, digits: usize) -> String {
    fixed(value, decimals_for(value, digits))
}

fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    // A rounded-away negative is a plain zero.
    if text.starts_with('-') && !text.contains(|c: char| ('1'..='9').contains(&c)) {
        return text.trim_start_matches('-').to_owned();
    }
    text
}

fn bracket(low: f64, high: f64, decimals: usize) -> String {
    if is_unlimited(high) {
        return format!("[{}, {NO_END})", fixed(low, decimals));
    }
    format!("[{}, {}]", fixed(low, decimals), fixed(high, decimals))
}

fn bracket_rounded(low: f64, high: f64) -> String {
    if is_unlimited(high) {
        return format!("[{}, {NO_END})", rounded(low));
    }
    format!("[{}, {}]", rounded(low), rounded(high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_keeps_the_digits_that_its_uncertainty_deserves() {
        let check = |value, interval, expected: &str| {
            let printed = printed(value, interval, "tok/s");
            assert_eq!(format!("{} {}", printed.value, printed.spread).trim_end(), expected);
        };
        check(109.31, Some((107.24, 111.38)), "109.3 ± 2.1");
        check(52.34, Some((39.3, 65.4)), "52.3 ± 13");
        check(1109.08, None, "1109");
        check(365.46, None, "365");
        check(128.44, None, "128.4");
        check(0.012_345, None, "0.01235");
        check(9.9996, None, "10.00");
        check(0.999_6, None, "0.9996");
        check(0.0, Some((0.0, 0.0)), "0 ± 0");
        check(-0.000_4, None, "-0.000400");
        check(50.0, Some((49.0, 61.0)), "50.0 [49.0, 61.0]");
        check(6.134, Some((2.95, crate::metrics::bounds::UNLIMITED)), "6.13 [2.95, ∞)");
        check(123_456.7, Some((123_000.0, 123_900.0)), "123457 ± 450");
    }

    #[test]
    fn a_change_of_level_has_the_digits_that_tell_it_from_none() {
        let told = |ratio| times_before(Some(ratio));
        assert_eq!([told(1.002), told(0.999_96), told(1.25)], ["1.002×", "0.99996×", "1.25×"]);
        assert_eq!([told(1.0), times_before(None)], ["1.00×", "up from 0"]);
    }

    #[test]
    fn what_is_not_a_number_is_not_printed_as_one() {
        assert_eq!(printed(f64::NAN, None, "ms").value, ABSENT);
        assert_eq!(printed(f64::INFINITY, Some((0.0, 1.0)), "ms").value, ABSENT);
        assert_eq!(printed(5.0, Some((f64::NAN, 1.0)), "ms").spread, "");
        assert_eq!(percent(f64::NAN), ABSENT);
        assert_eq!(rounded(1e-9), "1.00e-9");
    }

    #[test]
    fn a_latency_of_which_a_lower_bound_is_known_is_printed_as_one() {
        let ttft = Quantity::percentile(crate::metrics::catalogue::MetricId::Ttft, 50.0);
        let bound = Some((3_063.9, crate::metrics::bounds::UNLIMITED));
        let figure = Figure { value: Some(3_063.9), unit: "ms", bound, ..Figure::default() };
        assert_eq!(of_figure(&ttft, &figure).value, "≥ 3064");
    }

    #[test]
    fn percentages_have_one_decimal() {
        let printed = printed(70.96, Some((66.2, 75.38)), "%");
        assert_eq!((printed.value.as_str(), printed.spread.as_str()), ("71.0", "[66.2, 75.4]"));
        assert_eq!(percent(0.1234), "12.3 %");
    }

    #[test]
    fn machines_are_rounded_to_the_nearest() {
        // Published rows: 16,616 tok/s per GPU is 17 GPUs, 5,427 is 51.
        assert_eq!(printed(1e9 / 3600.0 / 16_616.0, None, "GPUs").value, "17");
        assert_eq!(printed(1e9 / 3600.0 / 5_427.0, None, "GPUs").value, "51");
    }

    #[test]
    fn a_rounded_away_negative_is_a_plain_zero() {
        assert_eq!(printed(-0.01, None, "%").value, "0.0");
    }
}
