//! A number of a cell by name: a metric and what is taken of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::metrics::catalogue::{MetricId, MetricKey};
use crate::metrics::summary::{CellSummary, Distribution, Figure};

/// A metric and what is taken of it. Written as `load_time`, `ttft.p50` or `ttft.mean`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Quantity {
    /// The metric.
    pub metric: MetricKey,
    /// What is taken of it.
    pub statistic: Statistic,
}

/// What is taken of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistic {
    /// The figure itself.
    Value,
    /// Mean of a distribution.
    Mean,
    /// Percentile of a distribution.
    Percentile(f64),
}

impl Quantity {
    /// Returns the figure of a metric.
    pub const fn figure(metric: MetricId) -> Self {
        Self::of(metric, Statistic::Value)
    }

    /// Returns the mean of a distribution.
    pub const fn mean(metric: MetricId) -> Self {
        Self::of(metric, Statistic::Mean)
    }

    /// Returns a percentile of a distribution.
    pub const fn percentile(metric: MetricId, p: f64) -> Self {
        Self::of(metric, Statistic::Percentile(p))
    }

    const fn of(metric: MetricId, statistic: Statistic) -> Self {
        Self { metric: MetricKey { metric, part: None }, statistic }
    }

    /// Returns the metric.
    pub const fn id(&self) -> MetricId {
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

    /// Reads the quantity of a cell; `None` when the cell does not have it at all.
    pub fn read(&self, cell: &CellSummary) -> Option<Figure> {
        match self.statistic {
            Statistic::Value if self.id() == MetricId::Accuracy => accuracy(cell),
            Statistic::Value => cell.figures.get(&self.metric).cloned(),
            Statistic::Mean => cell.distributions.get(&self.id()).map(mean),
            Statistic::Percentile(p) => percentile(cell.distributions.get(&self.id())?, p),
        }
    }

    /// Reads the value alone; `None` when it is absent or not finite.
    pub(crate) fn value(&self, cell: &CellSummary) -> Option<f64> {
        self.read(cell)?.value.filter(|value| value.is_finite())
    }
}

fn accuracy(cell: &CellSummary) -> Option<Figure> {
    let accuracy = cell.accuracy.first()?;
    Some(Figure {
        value: accuracy.share.map(|share| share * 100.0),
        interval: accuracy.interval.map(|(low, high)| (low * 100.0, high * 100.0)),
        n: accuracy.n,
        unit: MetricId::Accuracy.unit().to_owned(),
        note: format!("extractor `{}`; Wilson interval, 95 %", accuracy.extractor),
    })
}

fn mean(distribution: &Distribution) -> Figure {
    Figure {
        value: distribution.mean,
        interval: None,
        n: distribution.n,
        unit: distribution.unit.clone(),
        note: distribution.note.clone().unwrap_or_default(),
    }
}

fn percentile(distribution: &Distribution, p: f64) -> Option<Figure> {
    let percentile = distribution.percentile(p)?;
    let note = if percentile.value.is_none() && distribution.n < percentile.n_floor {
        format!("n too small: p{p} needs {}, has {}", percentile.n_floor, distribution.n)
    } else {
        distribution.note.clone().unwrap_or_default()
    };
    Some(Figure {
        value: percentile.value,
        interval: percentile.interval,
        n: distribution.n,
        unit: distribution.unit.clone(),
        note,
    })
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
    use crate::metrics::tests::fixture::{measured_cell, with_accuracy, with_figure};

    #[test]
    fn a_quantity_reads_back_as_it_was_written() {
        let texts = ["load_time", "accuracy", "ttft.p99.9", "tpot.mean", "gpu_memory_max/GPU-1.5"];
        for text in texts {
            let quantity = Quantity::try_from(text.to_owned()).unwrap();
            assert_eq!(String::from(quantity), text);
        }
        for text in ["ttft.median", "no_such", "no_such.p50"] {
            assert!(Quantity::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn values_come_with_interval_and_count() {
        let cell = with_accuracy(measured_cell("a", "fp16"), 50, 100);
        let cell = with_figure(cell, MetricId::LoadTime, 3.0, Some((2.0, 4.0)));
        let load = Quantity::figure(MetricId::LoadTime).read(&cell).unwrap();
        assert_eq!((load.value, load.interval), (Some(3.0), Some((2.0, 4.0))));
        let accuracy = Quantity::figure(MetricId::Accuracy).read(&cell).unwrap();
        assert_eq!((accuracy.value, accuracy.n), (Some(50.0), 100));
        assert_eq!(Quantity::mean(MetricId::Ttft).read(&cell), None);
    }
}
