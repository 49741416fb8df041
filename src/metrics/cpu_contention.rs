//! Who else used the processors: neither `bench` nor the engine.

use std::collections::BTreeMap;

use crate::record::telemetry::{TelemetrySample, TelemetrySource};

/// Shortest time between two samples whose difference tells a share: `/proc/stat` counts in
/// hundredths of a second.
const SPAN_MIN_S: f64 = 1.0;

/// Processor time of machine, `bench` and engine in one trial.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProcessorLog {
    host: Edges,
    engine: Edges,
}

/// The first and the last sample that holds a quantity.
#[derive(Clone, Debug, Default)]
struct Edges(BTreeMap<String, (f64, f64)>);

impl Edges {
    fn push(&mut self, values: &BTreeMap<String, f64>) {
        for (name, value) in values.iter().filter(|(name, _)| name.ends_with("_s")) {
            self.0.entry(name.clone()).or_insert((*value, *value)).1 = *value;
        }
    }

    fn growth(&self, name: &str) -> Option<f64> {
        self.0.get(name).map(|(first, last)| last - first)
    }
}

impl ProcessorLog {
    /// Takes a sample in, if it tells processor time.
    pub(crate) fn push(&mut self, sample: &TelemetrySample) {
        match sample.source {
            TelemetrySource::Host => self.host.push(&sample.values),
            TelemetrySource::EngineProcess => self.engine.push(&sample.values),
            TelemetrySource::Gpu(_) | TelemetrySource::EngineMetrics => {}
        }
    }

    /// Returns the share of all processors that programs other than `bench` and the engine
    /// used over the trial; an engine that `bench` did not start is one of them.
    pub(crate) fn foreign_share(&self) -> Option<f64> {
        let all = self.host.growth("cpu_time_s").filter(|all| *all >= SPAN_MIN_S)?;
        let busy = self.host.growth("cpu_busy_s")?;
        // A process that ended took its time with it: then the difference says nothing.
        let engine = self.engine.growth("cpu_s").unwrap_or(0.0);
        let own = self.host.growth("own_cpu_s")?;
        (engine >= 0.0).then(|| ((busy - own - engine) / all).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Nanos;

    fn sample(source: TelemetrySource, values: &[(&str, f64)]) -> TelemetrySample {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        TelemetrySample { at: Nanos::ZERO, source, values, absent: BTreeMap::new() }
    }

    fn share(engine_after: f64, all_after: f64) -> Option<f64> {
        let mut log = ProcessorLog::default();
        let host = |busy, all, own| {
            let values = [("cpu_busy_s", busy), ("cpu_time_s", all), ("own_cpu_s", own)];
            sample(TelemetrySource::Host, &values)
        };
        let engine = |cpu| sample(TelemetrySource::EngineProcess, &[("cpu_s", cpu)]);
        log.push(&host(100.0, 1000.0, 1.0));
        log.push(&engine(5.0));
        log.push(&host(108.0, all_after, 2.0));
        log.push(&engine(engine_after));
        log.foreign_share()
    }

    #[test]
    fn what_neither_bench_nor_the_engine_used_is_foreign() {
        assert_eq!(share(7.0, 1010.0), Some(0.5));
        assert_eq!(share(13.0, 1010.0), Some(0.0));
    }

    #[test]
    fn too_short_a_time_and_a_process_that_ended_tell_nothing() {
        assert_eq!(share(7.0, 1000.5), None);
        assert_eq!(share(4.0, 1010.0), None);
        assert_eq!(ProcessorLog::default().foreign_share(), None);
    }
}
