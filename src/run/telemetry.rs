//! What is sampled beside the load, and its way to the disk.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::running::Engine;
use crate::plan::launch::Launch;
use crate::record::telemetry::{ProbeName, ProbeRecord, TelemetryRecord, TelemetrySource};
use crate::run::Notice;
use crate::store::error::StoreError;
use crate::store::writer::TrialWriter;
use crate::telemetry::Probe;
use crate::telemetry::busy_programs::ProgramWatch;
use crate::telemetry::gpu::{self, GpuProbe, Unseen};
use crate::telemetry::host::HostProbe;
use crate::telemetry::log_rates::LogRatesProbe;
use crate::telemetry::process::{EnginePids, EngineProcessProbe};
use crate::telemetry::prometheus::{self, PrometheusProbe};
use crate::telemetry::sampler::{Sampler, Samples};
use crate::units::Nanos;

/// Time between two samples of a probe.
const EVERY: Duration = Duration::from_secs(1);

/// What the samplings of a run share.
#[derive(Debug, Default)]
pub(crate) struct RunSampling {
    programs: ProgramWatch,
    /// Whether no GPU library could be loaded: it is not looked for before each trial.
    has_no_gpu: bool,
}

/// The sampling beside one load, and what was known to be lost before it began.
pub(crate) struct Sampling {
    /// `None` when threads for it cannot be had: the load is measured all the same.
    pub(crate) sampler: Option<Sampler>,
    lost: Vec<ProbeRecord>,
    engine: Option<EnginePids>,
}

impl Sampling {
    /// Ends the sampling; returns what the trial's record says of it.
    pub(crate) fn finish(mut self, run: &mut RunSampling) -> TelemetryRecord {
        let mut pids = || self.engine.as_mut()?().ok();
        let busy = run.programs.end(|| pids().unwrap_or_default());
        let mut record = self.sampler.map_or_else(unsampled, Sampler::finish);
        record.probes.extend(self.lost);
        (record.programs, record.programs_over) = (busy.programs, busy.over);
        record
    }
}

/// Starts to sample host, GPUs, the engine's processes, its metrics and the rates in its log.
pub(crate) fn start(
    engine: &Engine,
    launch: &Launch,
    epoch: Instant,
    run: &mut RunSampling,
) -> (Sampling, Option<Samples>) {
    let mut probes: Vec<Box<dyn Probe>> = vec![Box::new(HostProbe::new())];
    let mut lost = Vec::new();
    if !run.has_no_gpu {
        match GpuProbe::new(gpu::library()) {
            Ok(gpus) => probes.push(Box::new(gpus)),
            Err(Unseen::Absent(_)) => run.has_no_gpu = true,
            Err(Unseen::Silent(_)) => lost.push(gone(ProbeName::Gpus)),
        }
    }
    if let Some(pids) = engine.pids() {
        probes.push(Box::new(EngineProcessProbe::new(Box::new(pids))));
    }
    if let (Some(source), Some(metrics)) = (engine.metrics_source(), &launch.metrics) {
        probes.push(Box::new(PrometheusProbe::new(Box::new(source), metrics.names.clone())));
    }
    if let Some(rates) = engine.log_rates() {
        probes.push(Box::new(LogRatesProbe::new(Box::new(rates))));
    }
    let engine = engine.pids().map(|pids| Box::new(pids) as EnginePids);
    run.programs.begin();
    let names: Vec<ProbeName> = probes.iter().map(|probe| probe.name()).collect();
    if let Ok((sampler, queue)) = Sampler::start(probes, EVERY, epoch) {
        sampler.wait_for_first();
        (Sampling { sampler: Some(sampler), lost, engine }, Some(queue))
    } else {
        lost.extend(names.into_iter().map(gone));
        (Sampling { sampler: None, lost, engine }, None)
    }
}

fn unsampled() -> TelemetryRecord {
    TelemetryRecord { interval: Nanos::from(EVERY), ..TelemetryRecord::default() }
}

fn gone(probe: ProbeName) -> ProbeRecord {
    ProbeRecord { probe, n_due: 0, n_missed: 0, n_dropped: 0, is_gone: true }
}

/// Writes samples until the sampling ends, and tells observers of each. Returns when the engine's
/// metrics were last asked and told of no open request.
pub(crate) fn write(
    samples: Samples,
    writer: &Mutex<TrialWriter>,
    notify: &dyn Fn(Notice),
) -> Result<Option<Nanos>, StoreError> {
    let mut drained = None;
    for sample in samples {
        if sample.source == TelemetrySource::EngineMetrics
            && prometheus::n_open(&sample.values).is_some_and(|n_open| n_open < 0.5)
        {
            drained = Some(sample.at);
        }
        writer.lock().unwrap_or_else(PoisonError::into_inner).telemetry(&sample)?;
        notify(Notice::Sample(sample));
    }
    Ok(drained)
}
