//! Doubts about the client and its host.

use std::collections::BTreeSet;

use crate::metrics::catalogue::MetricId;
use crate::metrics::caveats::{Case, caveat, counted, pct, share};
use crate::metrics::cpu_contention::{FOREIGN_CPU, in_words};
use crate::metrics::evidence::{LATE, ProbeLoss};
use crate::metrics::summary::Caveat;
use crate::record::telemetry::ProbeName;
use crate::units::Nanos;

/// p99 of the sentinel's wake lag that an idle machine keeps.
const WAKE_LAG_MS: f64 = 1.0;
/// Share of the median TTFT that this lag may reach without a word.
const WAKE_LAG_SHARE_OF_TTFT: f64 = 0.01;
/// Error of other machines' clocks that a fast way to them does not have.
const CLOCK_ERROR: Nanos = Nanos::from_millis(1);
/// Share of late sends that deserves a word.
const LATE_SHARE: f64 = 0.001;
/// CPU share of load threads from which queueing for them begins to show.
const CLIENT_CPU_HIGH: f64 = 0.7;
/// Share of chunk gaps that may be hidden in one read.
const COALESCED: f64 = 0.01;
/// Drift of the wall clock that no synchronisation makes by itself.
const DRIFT: f64 = 0.01;
/// A silence of the sentinel that no scheduler makes by itself.
const SUSPENDED: Nanos = Nanos::from_secs(1);
/// Share of a probe's samples that may be missed without a word.
const MISSED: f64 = 0.05;
/// Share of stolen CPU time that deserves a word.
const STEAL: f64 = 0.02;

pub(super) fn late_sends(case: &Case<'_>) -> Option<Caveat> {
    let late = share(case.evidence.n_late, case.evidence.n_sent);
    (late > LATE_SHARE).then(|| {
        let p99 = case.evidence.lags.send_p99_ms.unwrap_or_default();
        let what =
            format!("{} of requests left more than {LATE} late (p99 lag {p99:.1} ms)", pct(late));
        if case.evidence.is_capped {
            let advice =
                "The cap on requests in flight made them wait: read the scheduled latencies.";
            caveat(
                "late-sends",
                format!("requests waited for a place: {what}"),
                advice,
                &[MetricId::Ttft, MetricId::E2e],
            )
        } else {
            let advice = "Lower the rate, or give bench its own cores.";
            caveat(
                "late-sends",
                format!("the generator fell behind: {what}"),
                advice,
                &[MetricId::Ttft, MetricId::E2e],
            )
        }
    })
}

pub(super) fn wake_lag(case: &Case<'_>) -> Option<Caveat> {
    let lags = case.evidence.lags;
    let limit = WAKE_LAG_MS.max(lags.ttft_median_ms.unwrap_or(0.0) * WAKE_LAG_SHARE_OF_TTFT);
    let lag = lags.wake_p99_ms.filter(|&lag| lag > limit)?;
    let what = format!("the sentinel woke {lag:.1} ms late at p99");
    let advice = "Others need the CPU: give bench and the engine cores of their own.";
    Some(caveat("wake-lag", what, advice, &[MetricId::Ttft, MetricId::SendLag]))
}

pub(super) fn client_clocks(case: &Case<'_>) -> Option<Caveat> {
    let error = case.evidence.clock_error_max;
    (error > CLOCK_ERROR).then(|| {
        let what = format!("the clocks of the clients that shared the load are known to {error}");
        let advice = "Latencies are of one clock each; rates and simultaneous starts are not: \
                      synchronise the machines' clocks, or use a quicker way to the clients.";
        let metrics = [MetricId::OutputThroughput, MetricId::RequestThroughput];
        caveat("client-clocks", what, advice, &metrics)
    })
}

pub(super) fn client_cpu(case: &Case<'_>) -> Option<Caveat> {
    let busy = case.evidence.client_cpu_max.filter(|&share| share > CLIENT_CPU_HIGH)?;
    let what = format!("load threads were busy {} of the time", pct(busy));
    Some(caveat("client-cpu", what, "Give bench more cores, or lower the load.", &[]))
}

pub(super) fn recorder_stalled(case: &Case<'_>) -> Option<Caveat> {
    let n = case.evidence.recorder_stalls;
    (n > 0).then(|| {
        let what = format!("{n} finished exchanges had to wait to be decoded and written");
        let advice = "Give bench more cores, or the run directory a faster disk.";
        caveat("recorder-stalled", what, advice, &[])
    })
}

pub(super) fn stood_still(case: &Case<'_>) -> Option<Caveat> {
    let stalls = case.evidence.stalls;
    let (phase, into) = case.evidence.longest_stall.as_ref()?;
    let what = format!(
        "bench neither sent nor read for {} in all ({}, the longest {} from {into} into phase `{phase}`): \
         its records found no room",
        stalls.total,
        counted(stalls.n, "time"),
        stalls.longest,
    );
    let advice = "Give the run directory a faster disk, or bench more cores: rates are too low and \
                  requests late by as much.";
    let touched = [
        MetricId::OutputThroughput,
        MetricId::RequestThroughput,
        MetricId::TtftScheduled,
        MetricId::E2eScheduled,
        MetricId::SendLag,
    ];
    Some(caveat("stood-still", what, advice, &touched))
}

pub(super) fn suspended(case: &Case<'_>) -> Option<Caveat> {
    let gap = case.evidence.wake_gap_max;
    (gap > SUSPENDED).then(|| {
        let what = format!("bench did not run for {gap}");
        let advice = "It was stopped, or the machine was suspended: look for what did that.";
        caveat("suspended", what, advice, &[])
    })
}

pub(super) fn steal(case: &Case<'_>) -> Option<Caveat> {
    let stolen = case.evidence.steal_share_max;
    (stolen > STEAL).then(|| {
        let what = format!("the hypervisor took {} of a CPU", pct(stolen));
        caveat("steal", what, "Measure on a machine of your own.", &[])
    })
}

pub(super) fn foreign_cpu(case: &Case<'_>) -> Option<Caveat> {
    let foreign = case.evidence.foreign_cpu_max.filter(|&share| share > FOREIGN_CPU)?;
    let (programs, over) = &case.evidence.busy_programs;
    let what = format!("other programs used {}", in_words(foreign, programs, *over));
    let advice = "They slow bench, or an engine on this machine: end them and measure again.";
    Some(caveat("foreign-cpu", what, advice, &[]))
}

pub(super) fn wall_drift(case: &Case<'_>) -> Option<Caveat> {
    let drift = case.evidence.drift_share_max;
    (drift > DRIFT).then(|| {
        let what = format!("the wall clock moved by {} against the monotonic clock", pct(drift));
        let advice = "Latencies are not touched; times of day in the events are.";
        caveat("wall-drift", what, advice, &[])
    })
}

pub(super) fn userspace_stamps(case: &Case<'_>) -> Option<Caveat> {
    let n = case.evidence.n_userspace;
    (n > 0).then(|| {
        let what =
            format!("{n} of {} answers were stamped by bench, not by the kernel", case.counts.ok);
        let advice = "Stamps are late by bench's own lag; use http:// and no proxy.";
        caveat("userspace-stamps", what, advice, &[MetricId::Ttft, MetricId::Icl, MetricId::Itl])
    })
}

pub(super) fn coalesced(case: &Case<'_>) -> Option<Caveat> {
    let hidden = share(case.evidence.n_coalesced, case.evidence.n_gaps);
    (hidden > COALESCED).then(|| {
        let what = format!("{} of chunks arrived in one read with the chunk before", pct(hidden));
        let advice = "Their gap is 0 by reading, not by the engine: compare TPOT.";
        caveat("coalesced", what, advice, &[MetricId::Icl, MetricId::Itl])
    })
}

pub(super) fn telemetry_lost(case: &Case<'_>) -> Option<Caveat> {
    let is_telling = |loss: &ProbeLoss| {
        loss.trials_gone > 0 || loss.n_dropped > 0 || share(loss.n_missed, loss.n_due) > MISSED
    };
    let lost: Vec<_> = case.evidence.probes.iter().filter(|(_, loss)| is_telling(loss)).collect();
    (!lost.is_empty()).then(|| {
        let told: Vec<String> = lost.iter().map(|(probe, loss)| lost_by(**probe, loss)).collect();
        let advice = "Figures from these samples cover less than the window; their notes say how \
                      much. See what hangs or is slow: the driver, or the engine's metrics.";
        let metrics: BTreeSet<MetricId> =
            lost.iter().flat_map(|(probe, _)| figures_of(**probe)).copied().collect();
        let metrics: Vec<MetricId> = metrics.into_iter().collect();
        caveat(
            "telemetry-lost",
            format!("samples are missing: {}", told.join("; ")),
            advice,
            &metrics,
        )
    })
}

fn lost_by(probe: ProbeName, loss: &ProbeLoss) -> String {
    let what = match probe {
        ProbeName::Host => "the host's probe",
        ProbeName::Gpus => "the GPUs' probe",
        ProbeName::EngineProcesses => "the probe of the engine's processes",
        ProbeName::EngineMetrics => "the probe of the engine's metrics",
        ProbeName::EngineLog => "the probe of the engine's log",
    };
    let mut told = Vec::new();
    if loss.n_missed > 0 {
        told.push(format!("missed {} of {} samples", loss.n_missed, loss.n_due));
    }
    if loss.n_dropped > 0 {
        told.push(format!("lost {} on the way to the disk", loss.n_dropped));
    }
    if loss.trials_gone > 0 {
        told.push(format!(
            "did not come back in {}",
            counted(u64::from(loss.trials_gone), "trial")
        ));
    }
    format!("{what} {}", told.join(" and "))
}

fn figures_of(probe: ProbeName) -> &'static [MetricId] {
    match probe {
        ProbeName::Gpus => &[
            MetricId::Energy,
            MetricId::EnergyPerToken,
            MetricId::PowerMean,
            MetricId::GpuUtilisation,
        ],
        ProbeName::EngineMetrics => {
            &[MetricId::EngineOutputThroughput, MetricId::PrefixCacheHitRate]
        }
        ProbeName::EngineLog => &[MetricId::EngineLogThroughput],
        // They tell what others used, which is a doubt and no figure.
        ProbeName::Host | ProbeName::EngineProcesses => &[],
    }
}

pub(super) fn counter_stood_still(case: &Case<'_>) -> Option<Caveat> {
    let still_s = case.evidence.counter_still_s;
    (still_s > 0.0).then(|| {
        let what = format!("a GPU's energy counter stood still for {still_s:.1} s of the window");
        let advice = "It is not believed: energy is the integral of sampled power, or absent without samples.";
        caveat("energy-counter", what, advice, &[MetricId::Energy, MetricId::EnergyPerToken, MetricId::PowerMean])
    })
}
