//! Rates that the engine writes to its log, at the moments at which it does.

use std::collections::BTreeMap;

use crate::record::gauge::Gauge;
use crate::record::telemetry::{ProbeName, TelemetrySample, TelemetrySource};
use crate::telemetry::Probe;
use crate::units::Nanos;

/// Brings new rates, if there are some.
pub type Rates = Box<dyn FnMut() -> Option<BTreeMap<Gauge, f64>> + Send>;

/// Samples what is new in the log; most of the time there is no sample.
pub struct LogRatesProbe {
    rates: Rates,
}

impl LogRatesProbe {
    /// Makes a probe.
    pub fn new(rates: Rates) -> Self {
        Self { rates }
    }
}

impl Probe for LogRatesProbe {
    fn name(&self) -> ProbeName {
        ProbeName::EngineLog
    }

    fn sample(&mut self, now: &dyn Fn() -> Nanos) -> Vec<TelemetrySample> {
        let at = now();
        let source = TelemetrySource::EngineMetrics;
        let values = (self.rates)();
        values
            .map(|values| TelemetrySample { at, source, values, absent: BTreeMap::new() })
            .into_iter()
            .collect()
    }
}
