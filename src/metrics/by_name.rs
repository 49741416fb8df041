//! Reads numbers out of a cell by their names.

use crate::metrics::bounds::is_lower_bound;
use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::{Quantity, Statistic};
use crate::metrics::summary::{CellSummary, Distribution, Figure, NumberState};
use crate::score::Accuracy;

impl Quantity {
    /// Reads the quantity of a cell; `None` when the cell does not have it at all.
    pub(crate) fn read(&self, cell: &CellSummary) -> Option<Figure> {
        let part = self.metric.part.as_deref();
        match self.statistic {
            Statistic::Value if self.id() == MetricId::Accuracy => {
                let is_asked = |it: &&Accuracy| part.is_none_or(|name| it.extractor == name);
                cell.accuracy.iter().find(is_asked).map(accuracy_by)
            }
            Statistic::Value => cell.figures.get(&self.metric).cloned(),
            // Of a part nothing but figures is known.
            Statistic::Mean | Statistic::Percentile(_) if part.is_some() => None,
            Statistic::Mean => cell.distributions.get(&self.id()).map(mean),
            Statistic::Percentile(p) => percentile(cell.distributions.get(&self.id())?, p),
        }
    }

    /// Reads the quantity where its value may be believed: it is there, finite and not INVALID.
    pub(crate) fn believed(&self, cell: &CellSummary) -> Option<Figure> {
        let is_finite = |figure: &Figure| figure.value.is_some_and(f64::is_finite);
        self.read(cell).filter(|it| is_finite(it) && it.state != Some(NumberState::Invalid))
    }

    /// Reads the quantity where its value may be believed and is no lower bound, for forms that have no
    /// words for one.
    pub(crate) fn exact(&self, cell: &CellSummary) -> Option<Figure> {
        self.believed(cell).filter(|figure| !is_lower_bound(self, figure))
    }

    /// Reads the value alone; `None` when it is absent or not finite.
    pub(crate) fn value(&self, cell: &CellSummary) -> Option<f64> {
        self.read(cell)?.value.filter(|value| value.is_finite())
    }
}

/// Returns accuracy by one extractor as a figure, in percent.
pub(crate) fn accuracy_by(accuracy: &Accuracy) -> Figure {
    Figure {
        value: accuracy.share.map(|share| share * 100.0),
        interval: accuracy.interval.map(|(low, high)| (low * 100.0, high * 100.0)),
        n: accuracy.n,
        unit: MetricId::Accuracy.unit(),
        note: format!("extractor `{}`; Wilson interval, 95 %", accuracy.extractor).into(),
        ..Figure::default()
    }
}

fn mean(distribution: &Distribution) -> Figure {
    Figure {
        value: distribution.mean,
        interval: None,
        n: distribution.n,
        unit: distribution.unit,
        note: distribution.note.clone().unwrap_or_default(),
        bound: distribution.mean_bound,
        state: distribution.mean_state,
    }
}

fn percentile(distribution: &Distribution, p: f64) -> Option<Figure> {
    let percentile = distribution.percentile(p)?;
    let note = if percentile.value.is_none() && distribution.n < percentile.n_floor {
        format!("n too small: p{p} needs {}, has {}", percentile.n_floor, distribution.n).into()
    } else {
        distribution.note.clone().unwrap_or_default()
    };
    Some(Figure {
        value: percentile.value,
        interval: percentile.interval,
        n: distribution.n,
        unit: distribution.unit,
        note,
        bound: percentile.bound,
        state: percentile.state,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::fixture::{measured_cell, with_accuracy, with_figure};

    #[test]
    fn values_come_with_interval_and_count() {
        let cell = with_accuracy(measured_cell("a", "fp16"), 50, 100);
        let cell = with_figure(cell, MetricId::LoadTime, 3.0, Some((2.0, 4.0)));
        let load = Quantity::figure(MetricId::LoadTime).read(&cell).unwrap();
        assert_eq!((load.value, load.interval), (Some(3.0), Some((2.0, 4.0))));
        let accuracy = Quantity::figure(MetricId::Accuracy).read(&cell).unwrap();
        assert_eq!((accuracy.value, accuracy.n), (Some(50.0), 100));
        assert_eq!(Quantity::mean(MetricId::Ttft).read(&cell), None);
        let of = |part: &str| Quantity::part(MetricId::Accuracy, part).read(&cell);
        assert_eq!(of(&cell.accuracy[0].extractor), Some(accuracy));
        assert_eq!(of("nope"), None, "the number of another extractor");
    }
}
