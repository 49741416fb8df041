//! Ends a measured phase once what is asked of it is known, or once its queue only grows.

use crate::load::spec::{Control, LoadReport, PhaseLoad};
use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::{Quantity, Statistic};
use crate::metrics::request::RequestMetrics;
use crate::plan::cell::{Phase, Until};
use crate::record::request::RequestRecord;
use crate::record::trial::OverSaturationRecord;
use crate::stats::growing_queue::{GrowingQueue, Growth};
use crate::stats::sequential::{Estimand, Sequential};
use crate::units::Nanos;
use crate::workload::arrivals::Arrivals;

/// Watches the phases of a trial that may end before their cap. It works on the recorder's thread;
/// no load thread waits for it.
pub(super) struct UntilKnown {
    by_phase: Vec<PhaseWatch>,
}

/// What is watched of one phase.
struct PhaseWatch {
    known: Option<(MetricId, Sequential)>,
    queue: Option<Queue>,
}

/// The queue of an open loop: what was due and is not over.
struct Queue {
    growing: GrowingQueue<Box<dyn Iterator<Item = u64> + Send>>,
    schedule: Arrivals,
    /// When the phase began, once a request tells.
    start: Option<Nanos>,
    last: Nanos,
    found: Option<Growth>,
}

impl UntilKnown {
    /// Begins to watch; `None` where no phase ends so.
    pub(super) fn of(phases: &[PhaseLoad]) -> Option<Self> {
        let by_phase: Vec<_> = phases.iter().map(PhaseWatch::of).collect();
        by_phase.iter().any(PhaseWatch::is_of_use).then_some(Self { by_phase })
    }

    /// Takes a finished request in, and ends its phase where that is enough.
    pub(super) fn push(&mut self, record: &RequestRecord, control: &Control) {
        let Some(watch) = self.by_phase.get_mut(usize::from(record.phase)) else { return };
        if let Some((metric, samples)) = &mut watch.known {
            let metrics = RequestMetrics::of(record);
            if let Some(value) = metrics.latency_ms(*metric).filter(|_| metrics.is_ok)
                && samples.push(value)
            {
                control.known(record.phase);
            }
        }
        if let Some(queue) = &mut watch.queue
            && queue.push(record)
        {
            control.over_saturated(record.phase);
        }
    }

    /// Tells of each phase that ended so in its record. They are in the same order: those that were
    /// not begun have none.
    pub(super) fn tell(&self, report: &mut LoadReport) {
        for (phase, watch) in report.phases.iter_mut().zip(&self.by_phase) {
            phase.over_saturation = watch.queue.as_ref().and_then(|queue| {
                let (found, start) = (queue.found?, queue.start?);
                Some(OverSaturationRecord {
                    since: start + Nanos(found.since),
                    until: start + Nanos(found.until),
                    n_due: found.n_come,
                    n_open_before: found.n_before,
                    n_open_after: found.n_after,
                })
            });
        }
    }
}

impl PhaseWatch {
    fn of(phase: &PhaseLoad) -> Self {
        let Phase { until, over_saturation, .. } = &phase.plan;
        let schedule = || phase.arrivals.from_start();
        let queue = over_saturation.map(|_| Queue {
            growing: GrowingQueue::new(Box::new(schedule().map(|due| due.0))),
            schedule: schedule(),
            start: None,
            last: Nanos::ZERO,
            found: None,
        });
        Self { known: until.as_ref().and_then(begin), queue }
    }

    fn is_of_use(&self) -> bool {
        self.known.is_some() || self.queue.is_some()
    }
}

impl Queue {
    /// Takes a request in that is over. Returns whether the queue is known to grow only.
    fn push(&mut self, record: &RequestRecord) -> bool {
        // Further turns of a conversation are due when answers are over, whatever the schedule is.
        if record.turn > 0 || self.found.is_some() {
            return false;
        }
        let start = *self.start.get_or_insert_with(|| {
            let due = self.schedule.nth(record.index as usize).unwrap_or_default();
            record.scheduled.saturating_sub(due)
        });
        // One that failed may bear no stamp of its end: it was not over before those before it.
        let stamped = record.done.or(record.events.iter().last().map(|(at, _)| at));
        self.last = self.last.max(stamped.unwrap_or_default().saturating_sub(start));
        self.found = self.growing.gone(record.index, self.last.0);
        self.found.is_some()
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
