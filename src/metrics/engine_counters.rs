//! What the engine's own metrics say of the window.

use std::collections::BTreeMap;

use crate::metrics::window::Window;
use crate::record::gauge::Gauge;
use crate::record::telemetry::{TelemetrySample, TelemetrySource};
use crate::stats::mean::Moments;
use crate::units::Nanos;

/// Samples of the engine's metrics endpoint, its log and its processes in one trial.
#[derive(Clone, Debug, Default)]
pub(crate) struct EngineLog {
    samples: Vec<(Nanos, BTreeMap<Gauge, f64>)>,
}

/// Growth of a counter over the window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Growth {
    /// By how much.
    pub amount: f64,
    /// Between which instants, seconds apart: the samples next to the window's edges.
    pub secs: f64,
}

impl EngineLog {
    /// Takes a sample in, if it is of the engine.
    pub(crate) fn push(&mut self, sample: &TelemetrySample) {
        match sample.source {
            TelemetrySource::EngineMetrics | TelemetrySource::EngineProcess => {
                self.samples.push((sample.at, sample.values.clone()));
            }
            TelemetrySource::Host | TelemetrySource::Gpu(_) => {}
        }
    }

    /// Returns how much a counter grew over the window, between the samples of [`Self::edges`].
    /// `None` without these, or when the counter fell: then the engine began anew.
    pub(crate) fn growth(&self, gauge: Gauge, window: &Window) -> Option<Growth> {
        let mut sum = Growth::default();
        for [before, after] in self.edges(gauge, window)? {
            if after.1 < before.1 {
                return None;
            }
            sum.amount += after.1 - before.1;
            sum.secs += (after.0 - before.0).as_secs_f64();
        }
        (sum.secs > 0.0).then_some(sum)
    }

    /// Returns how much of the window lies between the samples of [`Self::edges`].
    pub(crate) fn covered(&self, gauge: Gauge, window: &Window) -> Nanos {
        let spans = window.spans().zip(self.edges(gauge, window).unwrap_or_default());
        let within = spans.map(|((start, end), [before, after])| {
            after.0.min(end).saturating_sub(before.0.max(start))
        });
        within.sum()
    }

    /// Returns the samples of a counter next to the edges of each stretch of the window: the last
    /// one at or before it (else the first one), and the first at or after it (else the last one).
    /// `None` where these are not two.
    pub(crate) fn edges(&self, gauge: Gauge, window: &Window) -> Option<Vec<[(Nanos, f64); 2]>> {
        let series: Vec<(Nanos, f64)> = self.series(gauge).collect();
        let edges = window.spans().map(|(start, end)| {
            let before = series.iter().rev().find(|(at, _)| *at <= start).or(series.first())?;
            let after = series.iter().find(|(at, _)| *at >= end).or(series.last())?;
            (after.0 > before.0).then_some([*before, *after])
        });
        edges.collect()
    }

    /// Returns the sum of a rate over the window and the seconds that it covers.
    ///
    /// A value is the rate since the value before it, so that only values count whose predecessor
    /// lies in the same stretch of the window. `None` without such a pair.
    pub(crate) fn rate(&self, gauge: Gauge, window: &Window) -> Option<Growth> {
        let mut sum = Growth::default();
        for (start, end) in window.spans() {
            let inside: Vec<_> =
                self.series(gauge).filter(|(at, _)| (start..=end).contains(at)).collect();
            for pair in inside.windows(2) {
                let secs = pair[1].0.saturating_sub(pair[0].0).as_secs_f64();
                sum.amount += pair[1].1 * secs;
                sum.secs += secs;
            }
        }
        (sum.secs > 0.0).then_some(sum)
    }

    /// Returns the moments of a gauge inside the window, and its highest value.
    pub(crate) fn gauge(&self, gauge: Gauge, window: &Window) -> (Moments, Option<f64>) {
        let inside = || self.series(gauge).filter(|(at, _)| window.contains(*at)).map(|(_, v)| v);
        (inside().collect(), inside().reduce(f64::max))
    }

    fn series(&self, gauge: Gauge) -> impl Iterator<Item = (Nanos, f64)> {
        self.samples.iter().filter_map(move |(at, values)| {
            values.get(&gauge).filter(|value| value.is_finite()).map(|&value| (*at, value))
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::metrics::tests::fixture::{cell, phase_record, trial};
    use crate::plan::cell::ArrivalsPlan;
    use crate::record::trial::PhaseKind;

    /// An engine that was asked for a gauge at these times, in milliseconds.
    pub(crate) fn log_of(gauge: Gauge, samples: &[(u64, f64)]) -> EngineLog {
        let mut log = EngineLog::default();
        for &(millis, value) in samples {
            log.push(&TelemetrySample {
                at: Nanos::from_millis(millis),
                source: TelemetrySource::EngineMetrics,
                values: BTreeMap::from([(gauge, value)]),
                absent: BTreeMap::new(),
            });
        }
        log
    }

    fn log(samples: &[(u64, f64)]) -> EngineLog {
        log_of(Gauge::PrefixCacheHits, samples)
    }

    /// Measured from 1 s to 2 s.
    pub(crate) fn window() -> Window {
        let trial = trial(&[phase_record(PhaseKind::Measure, 1_000, 2_000, 3_000)]);
        Window::of(&trial, &cell(ArrivalsPlan::Constant { rate_per_s: 1.0 }))
    }

    #[test]
    fn a_counter_grows_between_the_samples_next_to_the_edges() {
        let log = log(&[(0, 5.0), (900, 10.0), (1_500, 12.0), (2_100, 30.0), (3_000, 90.0)]);
        let found = log.growth(Gauge::PrefixCacheHits, &window()).unwrap();
        assert!((found.amount - 20.0).abs() < 1e-9 && (found.secs - 1.2).abs() < 1e-9);
        assert_eq!(log.gauge(Gauge::PrefixCacheHits, &window()).1, Some(12.0));
        assert_eq!(log.growth(Gauge::PrefixCacheQueries, &window()), None);
    }

    #[test]
    fn a_rate_in_the_log_counts_where_its_whole_time_lies_in_the_window() {
        let samples = [(900, 1.0), (1_100, 50.0), (1_600, 100.0), (1_900, 200.0), (2_100, 9.0)];
        let found = log(&samples).rate(Gauge::PrefixCacheHits, &window()).unwrap();
        assert!((found.secs - 0.8).abs() < 1e-9, "{found:?}");
        assert!((found.amount - (0.5 * 100.0 + 0.3 * 200.0)).abs() < 1e-9, "{found:?}");
        assert_eq!(log(&[(1_500, 50.0)]).rate(Gauge::PrefixCacheHits, &window()), None);
    }

    #[test]
    fn a_counter_that_begins_anew_says_nothing() {
        assert_eq!(
            log(&[(900, 10.0), (2_100, 3.0)]).growth(Gauge::PrefixCacheHits, &window()),
            None
        );
        assert_eq!(log(&[(900, 10.0)]).growth(Gauge::PrefixCacheHits, &window()), None);
    }
}
