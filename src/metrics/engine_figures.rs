//! What the engine says of itself, beside what was measured.

use crate::metrics::catalogue::MetricId;
use crate::metrics::engine_counters::{EngineLog, Growth};
use crate::metrics::figures::Figures;
use crate::metrics::totals::Totals;
use crate::metrics::window::Window;
use crate::record::gauge::Gauge;
use crate::stats::mean::Moments;
use crate::units::Nanos;

/// Share of the measured time that the CPU time of the engine must be known of.
const CPU_SHARE_MIN: f64 = 0.5;
/// Share from which on it is all of it: probes take their time at the edges.
const CPU_SHARE_WHOLE: f64 = 0.95;
const BYTES_PER_GIB: f64 = (1_u64 << 30) as f64;

/// What the engine's metrics say, summed over trials.
#[derive(Clone, Debug, Default)]
pub(crate) struct EngineTotals {
    prefix: Ratio,
    spec: Ratio,
    /// Means of the gauge, for engines that do not count drafted tokens.
    spec_ratios: Vec<f64>,
    preemptions: Option<f64>,
    output: Option<Growth>,
    log_output: Option<Growth>,
    kv_usage_max: Option<f64>,
    waiting: Vec<f64>,
    cpu: Option<Growth>,
    /// Time that is measured, and how much of it lies between two looks at the CPU time.
    measured: Nanos,
    cpu_covered: Nanos,
    memory_bytes_max: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Ratio {
    of: f64,
    part: f64,
}

impl Ratio {
    fn add(&mut self, part: Option<Growth>, of: Option<Growth>) {
        if let (Some(part), Some(of)) = (part, of) {
            self.part += part.amount;
            self.of += of.amount;
        }
    }

    fn pct(self) -> Option<f64> {
        (self.of > 0.0).then(|| self.part / self.of * 100.0)
    }
}

impl EngineTotals {
    /// Says of which time the CPU time of the engine is known; `None` where that is less than half of
    /// what was measured: an engine that was killed has used no CPU since, and says nothing of the
    /// load.
    fn cpu_note(&self) -> Option<String> {
        let note = "CPU time of its processes between the samples at the window's edges";
        let share = self.cpu_covered.as_secs_f64() / self.measured.as_secs_f64();
        (share >= CPU_SHARE_MIN).then(|| match share {
            whole if whole >= CPU_SHARE_WHOLE => note.to_owned(),
            part => format!(
                "{note}; these were there in {:.0} % of the measured time",
                (part * 100.0).floor()
            ),
        })
    }

    /// Takes one trial in.
    pub(crate) fn push(&mut self, log: &EngineLog, window: &Window) {
        let growth = |gauge| log.growth(gauge, window);
        self.prefix.add(growth(Gauge::PrefixCacheHits), growth(Gauge::PrefixCacheQueries));
        self.spec.add(growth(Gauge::SpecAccepted), growth(Gauge::SpecDrafted));
        self.spec_ratios.extend(log.gauge(Gauge::SpecAcceptedRatio, window).0.mean());
        if let Some(found) = growth(Gauge::Preemptions) {
            *self.preemptions.get_or_insert(0.0) += found.amount;
        }
        add(&mut self.output, growth(Gauge::OutputTokens));
        add(&mut self.log_output, log.rate(Gauge::OutputTps, window));
        let kv_usage = log.gauge(Gauge::KvCacheUsageRatio, window).1;
        self.kv_usage_max = self.kv_usage_max.into_iter().chain(kv_usage).reduce(f64::max);
        self.waiting.extend(log.gauge(Gauge::RequestsWaiting, window).0.mean());
        add(&mut self.cpu, growth(Gauge::CpuS));
        self.measured += window.duration();
        self.cpu_covered += log.covered(Gauge::CpuS, window);
        let memory = log.gauge(Gauge::MemoryBytes, window).1;
        self.memory_bytes_max = self.memory_bytes_max.into_iter().chain(memory).reduce(f64::max);
    }
}

fn add(sum: &mut Option<Growth>, found: Option<Growth>) {
    if let Some(found) = found {
        let sum = sum.get_or_insert_default();
        sum.amount += found.amount;
        sum.secs += found.secs;
    }
}

/// Sets what the engine's metrics say; what they do not say is left out.
pub(crate) fn figures(figures: &mut Figures, engine: &EngineTotals, trials: &[Totals]) {
    let n_trials = trials.len() as u64;
    let mean = |values: &[f64]| values.iter().copied().collect::<Moments>().mean();
    let cached: u64 = trials.iter().map(|trial| trial.cached_tokens).sum();
    let cacheable: u64 = trials.iter().map(|trial| trial.cacheable_tokens).sum();
    if let (Some(Growth { amount, secs }), Some(note)) = (engine.cpu, engine.cpu_note()) {
        figures.set(MetricId::EngineCpu, amount / secs, n_trials, note);
    }
    if let Some(bytes) = engine.memory_bytes_max {
        let note = "highest sample; pages that processes share count for each";
        figures.set(MetricId::EngineMemoryMax, bytes / BYTES_PER_GIB, n_trials, note);
    }
    if let Some(pct) = engine.prefix.pct() {
        let note = "by the engine's counters at the window's edges";
        figures.set(MetricId::PrefixCacheHitRate, pct, engine.prefix.of as u64, note);
    } else if cacheable > 0 {
        let pct = cached as f64 / cacheable as f64 * 100.0;
        figures.set(
            MetricId::PrefixCacheHitRate,
            pct,
            cacheable,
            "cached of prompt tokens by usage",
        );
    }
    if let Some(pct) = engine.spec.pct() {
        let note = "accepted of drafted tokens, by the engine's counters";
        figures.set(MetricId::SpecAcceptance, pct, engine.spec.of as u64, note);
    } else if let Some(ratio) = mean(&engine.spec_ratios) {
        let note = "mean of samples of the engine's gauge";
        figures.set(MetricId::SpecAcceptance, ratio * 100.0, n_trials, note);
    }
    if let Some(n) = engine.preemptions {
        figures.set(MetricId::Preemptions, n, n_trials, "by the engine's counter");
    }
    if let Some(usage) = engine.kv_usage_max {
        figures.set(MetricId::KvCacheUsageMax, usage * 100.0, n_trials, "highest sample");
    }
    if let Some(waiting) = mean(&engine.waiting) {
        figures.set(MetricId::RequestsWaitingMean, waiting, n_trials, "mean of samples");
    }
    if let Some(output) = engine.output {
        let rate = output.amount / output.secs;
        let note = "the engine's counter between the samples next to the window's edges";
        figures.set(MetricId::EngineOutputThroughput, rate, output.amount as u64, note);
    }
    if let Some(output) = engine.log_output {
        let note = format!("mean of the rates in the engine's log over {:.0} s", output.secs);
        let rate = output.amount / output.secs;
        figures.set(MetricId::EngineLogThroughput, rate, n_trials, note);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::engine_counters::tests::log_of;
    use crate::metrics::tests::fixture::{cell, phase_record, trial};
    use crate::plan::cell::ArrivalsPlan;
    use crate::record::telemetry::{TelemetrySample, TelemetrySource};
    use crate::record::trial::PhaseKind;

    #[test]
    fn the_hit_rate_is_that_of_the_window_alone() {
        let trial = trial(&[phase_record(PhaseKind::Measure, 1_000, 2_000, 3_000)]);
        let window = Window::of(&trial, &cell(ArrivalsPlan::Constant { rate_per_s: 1.0 }));
        let mut log = EngineLog::default();
        for (millis, queries, hits) in [(1_000, 100.0, 90.0), (2_000, 200.0, 100.0)] {
            log.push(&TelemetrySample {
                at: Nanos::from_millis(millis),
                source: TelemetrySource::EngineMetrics,
                values: [
                    (Gauge::PrefixCacheQueries, queries),
                    (Gauge::PrefixCacheHits, hits),
                    (Gauge::OutputTokens, queries),
                ]
                .into(),
                absent: [].into(),
            });
        }
        let mut engine = EngineTotals::default();
        engine.push(&log, &window);
        let mut found = Figures::default();
        figures(&mut found, &engine, &[]);
        assert_eq!(found.value(MetricId::PrefixCacheHitRate), Some(10.0));
        assert_eq!(found.value(MetricId::EngineOutputThroughput), Some(100.0));
        assert_eq!(found.value(MetricId::SpecAcceptance), None);
    }

    #[test]
    fn an_engine_that_was_killed_has_no_cpu_of_the_time_that_it_was_not_there() {
        let trial = trial(&[phase_record(PhaseKind::Measure, 1_000, 2_000, 3_000)]);
        let window = Window::of(&trial, &cell(ArrivalsPlan::Constant { rate_per_s: 1.0 }));
        let cpu = |samples: &[(u64, f64)]| {
            let mut engine = EngineTotals::default();
            engine.push(&log_of(Gauge::CpuS, samples), &window);
            let mut found = Figures::default();
            figures(&mut found, &engine, &[Totals::default()]);
            let figure = found.by_key.get(&MetricId::EngineCpu.into())?;
            let millicores = (figure.value.unwrap() * 1e3).round() as u64;
            Some((millicores, format!("{:?}", figure.note).contains("of the measured")))
        };
        assert_eq!(cpu(&[(1_000, 5.0), (2_000, 6.0)]), Some((1_000, false)));
        // The last look was at 1.8 s, and no process was there at 2 s.
        assert_eq!(cpu(&[(900, 5.0), (1_800, 5.9)]), Some((1_000, true)));
        assert_eq!(cpu(&[(900, 5.0), (1_001, 5.0)]), None, "unknown, and not 0");
        assert_eq!(cpu(&[(1_000, 5.0)]), None);
    }

    #[test]
    fn a_gauge_tells_the_acceptance_where_the_engine_does_not_count() {
        let trial = trial(&[phase_record(PhaseKind::Measure, 1_000, 2_000, 3_000)]);
        let window = Window::of(&trial, &cell(ArrivalsPlan::Constant { rate_per_s: 1.0 }));
        let mut log = EngineLog::default();
        for (millis, ratio) in [(900, 0.1), (1_200, 0.6), (1_800, 0.8)] {
            log.push(&TelemetrySample {
                at: Nanos::from_millis(millis),
                source: TelemetrySource::EngineMetrics,
                values: [(Gauge::SpecAcceptedRatio, ratio)].into(),
                absent: [].into(),
            });
        }
        let mut engine = EngineTotals::default();
        engine.push(&log, &window);
        let mut found = Figures::default();
        figures(&mut found, &engine, &[]);
        let acceptance = found.value(MetricId::SpecAcceptance).unwrap();
        assert!((acceptance - 70.0).abs() < 1e-9, "{acceptance}");
    }

    #[test]
    fn usage_tells_the_hit_rate_where_the_engine_has_no_counters() {
        let totals = Totals { cached_tokens: 30, cacheable_tokens: 100, ..Totals::default() };
        let mut found = Figures::default();
        figures(&mut found, &EngineTotals::default(), &[totals]);
        assert_eq!(found.value(MetricId::PrefixCacheHitRate), Some(30.0));
    }
}
