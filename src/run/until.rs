//! Ends a measured phase once what is asked of it is known.

use crate::load::spec::Control;
use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::{Quantity, Statistic};
use crate::metrics::request::RequestMetrics;
use crate::plan::cell::{Phase, Until};
use crate::record::request::RequestRecord;
use crate::stats::sequential::{Estimand, Sequential};

/// Watches the phases of a trial that end when a number is known. It works on the recorder's
/// thread; no load thread waits for it.
pub(super) struct UntilKnown {
    by_phase: Vec<Option<(MetricId, Sequential)>>,
}

impl UntilKnown {
    /// Begins to watch; `None` where no phase ends so.
    pub(super) fn of(phases: &[Phase]) -> Option<Self> {
        let by_phase: Vec<_> = phases.iter().map(|it| it.until.as_ref().and_then(begin)).collect();
        by_phase.iter().any(Option::is_some).then_some(Self { by_phase })
    }

    /// Takes a finished request in, and ends its phase where that is enough.
    pub(super) fn push(&mut self, record: &RequestRecord, control: &Control) {
        let place = self.by_phase.get_mut(usize::from(record.phase));
        let Some(Some((metric, samples))) = place else { return };
        let metrics = RequestMetrics::of(record);
        if let Some(value) = metrics.latency_ms(*metric).filter(|_| metrics.is_ok)
            && samples.push(value)
        {
            control.known(record.phase);
        }
    }
}

/// Begins the sample of a number that was checked with the scenario.
fn begin(until: &Until) -> Option<(MetricId, Sequential)> {
    let quantity = Quantity::try_from(until.metric.clone()).ok()?;
    let estimand = match quantity.statistic {
        Statistic::Mean => Estimand::Mean,
        Statistic::Percentile(p) => Estimand::Quantile(p / 100.0),
        Statistic::Value => return None,
    };
    Some((quantity.id(), Sequential::new(estimand, until.half_width)))
}
