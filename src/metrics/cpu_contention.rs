//! Who else used the processors: neither `bench` nor the engine.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::record::gauge::Gauge;
use crate::record::telemetry::{ProgramRecord, TelemetrySample, TelemetrySource};
use crate::units::Nanos;

/// Shortest time between two samples whose difference tells a share: `/proc/stat` counts in
/// hundredths of a second.
const SPAN_MIN_S: f64 = 1.0;

/// Share of all processors that other programs may use without a word.
pub(crate) const FOREIGN_CPU: f64 = 0.05;

/// Share of all processors from which other programs make a busy machine: a quarter is half a
/// processor of two.
pub(crate) const BUSY_MACHINE: f64 = 0.25;

/// Returns what used the processors, in words: `93.0 % of all CPU time: python3 (pid 7) 98 % of a
/// core`.
pub(crate) fn in_words(share: f64, programs: &[ProgramRecord], over: Nanos) -> String {
    let mut words = format!("{:.1} % of all CPU time", share * 100.0);
    let secs = over.as_secs_f64();
    for (at, ProgramRecord { pid, name, cpu }) in programs.iter().enumerate() {
        let between = if at == 0 { ": " } else { ", " };
        let of_core = cpu.as_secs_f64() / secs * 100.0;
        let _ = write!(words, "{between}{name} (pid {pid}) {of_core:.0} % of a core");
    }
    words
}

/// Processor time of machine, `bench` and engine in one trial.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProcessorLog {
    host: Edges,
    engine: Edges,
    /// Why the engine's processes cannot be seen.
    hidden: Option<String>,
}

/// The first and the last sample that holds a quantity.
#[derive(Clone, Debug, Default)]
struct Edges(BTreeMap<Gauge, (f64, f64)>);

impl Edges {
    fn push(&mut self, values: &BTreeMap<Gauge, f64>) {
        for (gauge, value) in values {
            self.0.entry(*gauge).or_insert((*value, *value)).1 = *value;
        }
    }

    fn growth(&self, gauge: Gauge) -> Option<f64> {
        self.0.get(&gauge).map(|(first, last)| last - first)
    }
}

impl ProcessorLog {
    /// Takes a sample in, if it tells processor time.
    pub(crate) fn push(&mut self, sample: &TelemetrySample) {
        match sample.source {
            TelemetrySource::Host => self.host.push(&sample.values),
            TelemetrySource::EngineProcess => {
                self.engine.push(&sample.values);
                let why = sample.absent.get(&Gauge::CpuS);
                self.hidden = self.hidden.take().or_else(|| why.cloned());
            }
            TelemetrySource::Gpu(_) | TelemetrySource::EngineMetrics => {}
        }
    }

    /// Returns why nothing is known of an engine's processes, though it runs on this machine.
    pub(crate) fn hidden_engine(&self) -> Option<&str> {
        self.hidden.as_deref().filter(|_| self.engine.growth(Gauge::CpuS).is_none())
    }

    /// Returns the share of all processors that programs other than `bench` and the engine
    /// used over the trial; unknown where the engine's processes cannot be told from others.
    pub(crate) fn foreign_share(&self) -> Option<f64> {
        if self.hidden_engine().is_some() {
            return None;
        }
        let all = self.host.growth(Gauge::CpuTimeS).filter(|all| *all >= SPAN_MIN_S)?;
        let busy = self.host.growth(Gauge::CpuBusyS)?;
        // A process that ended took its time with it: then the difference says nothing.
        let engine = self.engine.growth(Gauge::CpuS).unwrap_or(0.0);
        let own = self.host.growth(Gauge::OwnCpuS)?;
        (engine >= 0.0).then(|| ((busy - own - engine) / all).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(source: TelemetrySource, values: &[(Gauge, f64)]) -> TelemetrySample {
        let values = values.iter().copied().collect();
        TelemetrySample { at: Nanos::ZERO, source, values, absent: BTreeMap::new() }
    }

    fn share(engine_after: f64, all_after: f64) -> Option<f64> {
        let mut log = ProcessorLog::default();
        let host = |busy, all, own| {
            let values = [(Gauge::CpuBusyS, busy), (Gauge::CpuTimeS, all), (Gauge::OwnCpuS, own)];
            sample(TelemetrySource::Host, &values)
        };
        let engine = |cpu| sample(TelemetrySource::EngineProcess, &[(Gauge::CpuS, cpu)]);
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

    #[test]
    fn an_engine_that_cannot_be_seen_leaves_the_share_of_others_unknown() {
        let mut log = ProcessorLog::default();
        for (busy, all) in [(100.0, 1_000.0), (108.0, 1_010.0)] {
            let values = [(Gauge::CpuBusyS, busy), (Gauge::CpuTimeS, all), (Gauge::OwnCpuS, 1.0)];
            log.push(&sample(TelemetrySource::Host, &values));
        }
        assert_eq!(log.foreign_share(), Some(0.8), "an engine elsewhere uses nothing here");
        let mut hidden = sample(TelemetrySource::EngineProcess, &[]);
        hidden.absent.insert(Gauge::CpuS, "another user's".to_owned());
        log.push(&hidden);
        assert_eq!((log.foreign_share(), log.hidden_engine()), (None, Some("another user's")));
    }

    #[test]
    fn programs_are_told_by_name_pid_and_share_of_a_core() {
        let program = |name: &str, pid, millis| ProgramRecord {
            pid,
            name: name.to_owned(),
            cpu: Nanos::from_millis(millis),
        };
        let programs = [program("python3", 123, 1_960), program("cc1", 9, 400)];
        let told = in_words(0.93, &programs, Nanos::from_secs(2));
        let expected = "93.0 % of all CPU time: python3 (pid 123) 98 % of a core, cc1 (pid 9) 20 % \
                        of a core";
        assert_eq!(told, expected);
        assert_eq!(in_words(0.3, &[], Nanos::ZERO), "30.0 % of all CPU time");
    }
}
