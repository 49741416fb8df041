//! What is sampled beside the load, and its way to the disk.

use std::sync::mpsc::Receiver;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::running::Engine;
use crate::plan::launch::Launch;
use crate::record::telemetry::TelemetrySample;
use crate::store::error::StoreError;
use crate::store::writer::TrialWriter;
use crate::telemetry::Probe;
use crate::telemetry::gpu::{self, GpuProbe};
use crate::telemetry::host::HostProbe;
use crate::telemetry::log_rates::LogRatesProbe;
use crate::telemetry::process::EngineProcessProbe;
use crate::telemetry::prometheus::PrometheusProbe;
use crate::telemetry::sampler::Sampler;

/// Time between two samples of a probe.
const EVERY: Duration = Duration::from_secs(1);

/// Starts to sample host, GPUs, the engine's processes, its metrics and the rates in its log.
/// `None` when threads for it cannot be had: the load is measured all the same.
pub(crate) fn start(
    engine: &Engine,
    launch: &Launch,
    epoch: Instant,
) -> Option<(Sampler, Receiver<TelemetrySample>)> {
    let mut probes: Vec<Box<dyn Probe>> = vec![Box::new(HostProbe::new())];
    if let Ok(gpus) = GpuProbe::new(gpu::library()) {
        probes.push(Box::new(gpus));
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
    Sampler::start(probes, EVERY, epoch).ok()
}

/// Writes samples until there are no more.
pub(crate) fn write(
    samples: &Receiver<TelemetrySample>,
    writer: &Mutex<TrialWriter>,
) -> Result<(), StoreError> {
    for sample in samples {
        writer.lock().unwrap_or_else(PoisonError::into_inner).telemetry(&sample)?;
    }
    Ok(())
}
