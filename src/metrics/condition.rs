//! A condition on a number of a cell, as a gate says it: `ttft.p99 < 500ms`.

use std::fmt;

use thiserror::Error;

use crate::metrics::catalogue::{MetricId, Shape};
use crate::metrics::quantity::{Quantity, Statistic};
use crate::metrics::summary::PERCENTILES;

/// A number, how it must lie, and to what limit.
///
/// Text form: `NUMBER OPERATOR LIMIT`. The number is a metric with its statistic (`ttft.p99`,
/// `tpot.mean`, `output_throughput`), or accuracy by an extractor (`accuracy.strict`). The operator
/// is `<`, `<=`, `>` or `>=`. The limit has a unit (`500ms`, `0.5s`, `99%`), or is taken from a
/// baseline (`0.95 x baseline`, `+5%`; of a share that are points: `accuracy < -2%`).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Condition {
    /// The number.
    pub subject: Subject,
    /// How it must lie to the limit.
    pub operator: Operator,
    /// The limit.
    pub limit: Limit,
}

/// The number of a condition.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Subject {
    /// A figure, or a statistic of a distribution.
    Quantity(Quantity),
    /// Accuracy by the extractor of that name.
    AccuracyBy(String),
}

/// How a number lies to a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    /// `<`
    Below,
    /// `<=`
    AtMost,
    /// `>`
    Above,
    /// `>=`
    AtLeast,
}

/// The limit of a condition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Limit {
    /// A value in the metric's unit.
    Value(f64),
    /// So many times the baseline's number.
    OfBaseline(f64),
    /// So many percentage points above the baseline's share, or below it.
    Points(f64),
}

impl Limit {
    /// Whether it is taken from a baseline.
    pub(crate) fn is_relative(self) -> bool {
        match self {
            Self::Value(_) => false,
            Self::OfBaseline(_) | Self::Points(_) => true,
        }
    }
}

/// Why a text is no condition.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum ConditionError {
    /// There is no operator.
    #[error("`{0}` has no `<`, `<=`, `>` or `>=`")]
    NoOperator(String),
    /// The metric does not exist.
    #[error("`{0}` is not a metric")]
    UnknownMetric(String),
    /// A distribution without a statistic, a figure with one, or a percentile that is not computed.
    #[error("{0}")]
    Statistic(String),
    /// The limit cannot be read.
    #[error("{0}")]
    Limit(String),
}

impl Operator {
    const ALL: [(Self, &str); 4] =
        [(Self::AtMost, "<="), (Self::AtLeast, ">="), (Self::Below, "<"), (Self::Above, ">")];

    /// Whether a value satisfies it.
    pub(crate) fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Below => value < limit,
            Self::AtMost => value <= limit,
            Self::Above => value > limit,
            Self::AtLeast => value >= limit,
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = Self::ALL.iter().find(|(operator, _)| operator == self).map(|(_, text)| *text);
        f.write_str(text.unwrap_or_default())
    }
}

impl Subject {
    /// Returns the metric that it is a number of.
    pub(crate) fn metric(&self) -> MetricId {
        match self {
            Self::Quantity(quantity) => quantity.id(),
            Self::AccuracyBy(_) => MetricId::Accuracy,
        }
    }

    /// Returns the name for people, without the unit.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Quantity(quantity) => quantity.label(),
            Self::AccuracyBy(extractor) => {
                format!("{} ({extractor})", MetricId::Accuracy.row().name)
            }
        }
    }
}

impl Condition {
    /// Reads a condition.
    pub(crate) fn parse(text: &str) -> Result<Self, ConditionError> {
        let found = Operator::ALL.iter().find_map(|&(operator, sign)| {
            let (left, right) = text.split_once(sign)?;
            Some((left.trim(), operator, right.trim()))
        });
        let (left, operator, right) =
            found.ok_or_else(|| ConditionError::NoOperator(text.trim().to_owned()))?;
        let mut subject = subject(left)?;
        // Goodput is a rate; a share of requests is what a limit without a unit can only mean.
        let is_share = right.parse().is_ok_and(|share: f64| share <= 1.0) || right.ends_with('%');
        if subject == Subject::Quantity(Quantity::figure(MetricId::Goodput)) && is_share {
            subject = Subject::Quantity(Quantity::figure(MetricId::GoodputShare));
        }
        let limit = limit(right, subject.metric().unit())?;
        Ok(Self { subject, operator, limit })
    }
}

fn subject(text: &str) -> Result<Subject, ConditionError> {
    // Comparisons write `accuracy/strict` themselves.
    let part = text.strip_prefix("accuracy.").or_else(|| text.strip_prefix("accuracy/"));
    if let Some(extractor) = part.filter(|name| !name.is_empty()) {
        return Ok(Subject::AccuracyBy(extractor.to_owned()));
    }
    let name = text.split(['.', '/']).next().unwrap_or_default();
    if name.parse::<MetricId>().is_err() {
        return Err(ConditionError::UnknownMetric(name.to_owned()));
    }
    let quantity = Quantity::try_from(text.to_owned()).map_err(ConditionError::Statistic)?;
    let tag = &quantity.metric;
    let wrong = |why: String| Err(ConditionError::Statistic(why));
    match (quantity.id().row().shape, quantity.statistic) {
        (Shape::Distribution, _) if tag.part.is_some() => {
            wrong(format!("`{}` has no parts: `{tag}` is not a metric", quantity.id()))
        }
        (Shape::Distribution, Statistic::Value) => {
            wrong(format!("`{tag}` is a distribution: write {tag}.p50, {tag}.p99 or {tag}.mean"))
        }
        (Shape::Figure | Shape::Graded, Statistic::Mean | Statistic::Percentile(_)) => {
            wrong(format!("`{tag}` is one figure: write {tag} alone"))
        }
        (Shape::Distribution, Statistic::Percentile(p)) if !PERCENTILES.contains(&p) => {
            let known: Vec<String> = PERCENTILES.iter().map(|p| format!("p{p}")).collect();
            wrong(format!("p{p} of `{tag}` is not computed; there are {}", known.join(", ")))
        }
        _ => Ok(Subject::Quantity(quantity)),
    }
}

/// Reads a limit for a metric of that unit.
fn limit(text: &str, unit: &str) -> Result<Limit, ConditionError> {
    let wrong = |why: &str| Err(ConditionError::Limit(format!("`{text}` {why}")));
    let number_end =
        text.find(|c: char| !c.is_ascii_digit() && !"+-.".contains(c)).unwrap_or(text.len());
    let (number, rest) = text.split_at(number_end);
    let rest = rest.trim();
    let Ok(value) = number.parse::<f64>() else {
        return wrong("does not begin with a number");
    };
    let times_baseline = rest.trim_start_matches(['x', '*', '×']).trim() == "baseline";
    if times_baseline && rest != "baseline" {
        return if value > 0.0 { Ok(Limit::OfBaseline(value)) } else { wrong("is not above 0") };
    }
    if rest == "%" && number.starts_with(['+', '-']) {
        let times = 1.0 + value / 100.0;
        return match unit {
            _ if times <= 0.0 => wrong("is below -100 %"),
            // A share of right answers falls by points: -2% are two of a hundred.
            "%" => Ok(Limit::Points(value)),
            _ => Ok(Limit::OfBaseline(times)),
        };
    }
    let factor = match (rest, unit) {
        // Scenarios write shares as numbers up to 1.
        ("", "%") if (0.0..=1.0).contains(&value) => 100.0,
        ("", "%") => return wrong("is no share: write 0.9, or 90%"),
        ("", "ms" | "s") => return wrong("has no unit: write ms or s behind it"),
        // The micro sign, and the Greek letter that keyboards have.
        ("us" | "\u{b5}s" | "\u{3bc}s", "ms") | ("ms", "s") => 1e-3,
        ("s", "ms") => 1e3,
        ("", _) => 1.0,
        (given, unit) if given == unit => 1.0,
        (_, unit) => return wrong(&format!("is not in the metric's unit, {unit}")),
    };
    if value < 0.0 {
        return wrong("is below 0: a change from a baseline ends in %");
    }
    Ok(Limit::Value(value * factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit_of(text: &str) -> Limit {
        Condition::parse(text).unwrap().limit
    }

    #[test]
    fn a_condition_names_a_number_an_operator_and_a_limit_in_its_unit() {
        let found = Condition::parse("ttft.p99 < 500ms").unwrap();
        assert_eq!(found.subject, Subject::Quantity(Quantity::percentile(MetricId::Ttft, 99.0)));
        assert_eq!((found.operator, found.limit), (Operator::Below, Limit::Value(500.0)));
        assert_eq!(limit_of("ttft.p99<0.5s"), Limit::Value(500.0));
        for unit in ["us", "\u{b5}s", "\u{3bc}s"] {
            assert_eq!(limit_of(&format!("ttft.mean <= 250 {unit}")), Limit::Value(0.25));
        }
        assert_eq!(limit_of("load_time < 90s"), Limit::Value(90.0));
        assert_eq!(limit_of("output_throughput >= 1000 tok/s"), Limit::Value(1000.0));
        assert_eq!(limit_of("output_throughput >= 1000"), Limit::Value(1000.0));
        assert_eq!(limit_of("output_throughput >= 0.95 x baseline"), Limit::OfBaseline(0.95));
        assert_eq!(limit_of("tpot.p50 > +5%"), Limit::OfBaseline(1.05));
        assert_eq!(limit_of("accuracy.strict < -2%"), Limit::Points(-2.0));
        assert_eq!(limit_of("accuracy < 0.9 x baseline"), Limit::OfBaseline(0.9));
    }

    #[test]
    fn shares_are_written_as_everywhere_in_a_scenario() {
        let found = Condition::parse("accuracy.strict >= 0.9").unwrap();
        assert_eq!(found.subject, Subject::AccuracyBy("strict".to_owned()));
        assert_eq!(found.limit, Limit::Value(90.0));
        assert_eq!(Condition::parse("accuracy/strict >= 0.9").unwrap(), found);
        assert_eq!(limit_of("accuracy >= 90%"), Limit::Value(90.0));
        let metric = |text: &str| Condition::parse(text).unwrap().subject.metric();
        assert_eq!(metric("goodput >= 0.99"), MetricId::GoodputShare);
        assert_eq!(metric("goodput >= 12 req/s"), MetricId::Goodput);
    }

    #[test]
    fn what_is_no_condition_says_why() {
        for (text, expected) in [
            ("ttft.p99", "`ttft.p99` has no `<`, `<=`, `>` or `>=`"),
            ("tftt.p99 < 5ms", "`tftt` is not a metric"),
            ("ttft < 5ms", "`ttft` is a distribution: write ttft.p50, ttft.p99 or ttft.mean"),
            ("ttft/a.p50 < 5ms", "`ttft` has no parts: `ttft/a.p50` is not a metric"),
            ("load_time.p50 < 5s", "`load_time` is one figure: write load_time alone"),
            (
                "ttft.p42 < 5ms",
                "p42 of `ttft` is not computed; there are p50, p90, p95, p99, p99.9",
            ),
            ("ttft.p99 < 500", "`500` has no unit: write ms or s behind it"),
            ("ttft.p99 < soon", "`soon` does not begin with a number"),
            ("ttft.p99 < 5 parsecs", "`5 parsecs` is not in the metric's unit, ms"),
            ("accuracy >= 90", "`90` is no share: write 0.9, or 90%"),
            ("output_throughput >= -2 x baseline", "`-2 x baseline` is not above 0"),
            ("output_throughput < -5", "`-5` is below 0: a change from a baseline ends in %"),
        ] {
            assert_eq!(Condition::parse(text).unwrap_err().to_string(), expected);
        }
    }
}
