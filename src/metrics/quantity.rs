//! A number of a cell by name: a metric and what is taken of it.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::metrics::catalogue::{MetricId, MetricKey};

/// A metric and what is taken of it. Written as `load_time`, `ttft.p50` or `ttft.mean`.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Quantity {
    /// The metric.
    pub metric: MetricKey,
    /// What is taken of it.
    pub statistic: Statistic,
}

/// What is taken of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Statistic {
    /// The figure itself.
    Value,
    /// Mean of a distribution.
    Mean,
    /// Percentile of a distribution.
    Percentile(f64),
}

impl Eq for Statistic {}

/// The figure first, then the mean, then percentiles, ascending.
impl Ord for Statistic {
    fn cmp(&self, other: &Self) -> Ordering {
        let place = |statistic: &Self| match statistic {
            Self::Value => (0, 0.0),
            Self::Mean => (1, 0.0),
            Self::Percentile(p) => (2, *p),
        };
        let ((kind, p), (other_kind, other_p)) = (place(self), place(other));
        kind.cmp(&other_kind).then(p.total_cmp(&other_p))
    }
}

impl PartialOrd for Statistic {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Quantity {
    /// Returns the figure of a metric.
    pub(crate) const fn figure(metric: MetricId) -> Self {
        Self::of(metric, Statistic::Value)
    }

    /// Returns the mean of a distribution.
    pub(crate) const fn mean(metric: MetricId) -> Self {
        Self::of(metric, Statistic::Mean)
    }

    /// Returns a percentile of a distribution.
    pub(crate) const fn percentile(metric: MetricId, p: f64) -> Self {
        Self::of(metric, Statistic::Percentile(p))
    }

    /// Returns the figure of a part of a metric.
    pub(crate) fn part(metric: MetricId, part: &str) -> Self {
        let metric = MetricKey { metric, part: Some(part.into()) };
        Self { metric, statistic: Statistic::Value }
    }

    const fn of(metric: MetricId, statistic: Statistic) -> Self {
        Self { metric: MetricKey { metric, part: None }, statistic }
    }

    /// Returns the metric.
    pub(crate) const fn id(&self) -> MetricId {
        self.metric.metric
    }

    /// Returns the name for people, without the unit.
    pub(crate) fn label(&self) -> String {
        let label = self.metric.label();
        match self.statistic {
            Statistic::Value => label,
            Statistic::Mean => format!("{label} mean"),
            Statistic::Percentile(p) => format!("{label} p{p}"),
        }
    }

    /// Whether more is better; `None` where it is a matter of purpose.
    pub(crate) const fn larger_is_better(&self) -> Option<bool> {
        self.id().row().larger_is_better
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.statistic {
            Statistic::Value => write!(f, "{}", self.metric),
            Statistic::Mean => write!(f, "{}.mean", self.metric),
            Statistic::Percentile(p) => write!(f, "{}.p{p}", self.metric),
        }
    }
}

impl From<Quantity> for String {
    fn from(quantity: Quantity) -> Self {
        quantity.to_string()
    }
}

impl TryFrom<String> for Quantity {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let key =
            |tag: &str| MetricKey::try_from(tag.to_owned()).map_err(|unknown| unknown.to_string());
        // The name of a part may hold a point; of what a distribution has, none does.
        if let Ok(metric) = key(&text) {
            return Ok(Self { metric, statistic: Statistic::Value });
        }
        let Some((tag, of)) = text.split_once('.') else {
            return Ok(Self { metric: key(&text)?, statistic: Statistic::Value });
        };
        let p = of.strip_prefix('p').and_then(|p| p.parse().ok());
        let p = p.filter(|p| (0.0..=100.0).contains(p));
        let statistic = match (of, p) {
            ("mean", _) => Statistic::Mean,
            (_, Some(p)) => Statistic::Percentile(p),
            (_, None) => {
                return Err(format!(
                    "`{of}` in `{text}` is neither `mean` nor a percentile like `p99`"
                ));
            }
        };
        Ok(Self { metric: key(tag)?, statistic })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_reads_back_as_it_was_written() {
        let texts = ["load_time", "accuracy", "ttft.p99.9", "tpot.mean", "gpu_memory_max/GPU-1.5"];
        for text in texts {
            let quantity = Quantity::try_from(text.to_owned()).unwrap();
            assert_eq!(String::from(quantity), text);
        }
        for text in ["ttft.median", "no_such", "no_such.p50", "ttft.pnan", "ttft.p101"] {
            assert!(Quantity::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
