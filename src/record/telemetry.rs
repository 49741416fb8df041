//! Samples of the machine and the engine, taken beside the load.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::record::gauge::Gauge;
use crate::units::Nanos;

/// The values that one probe read at one instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetrySample {
    /// Monotonic nanoseconds from the trial's epoch.
    pub at: Nanos,
    /// The sampled thing.
    pub source: TelemetrySource,
    /// Quantities and their values.
    pub values: BTreeMap<Gauge, f64>,
    /// Quantities that could not be read, with the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub absent: BTreeMap<Gauge, String>,
}

impl TelemetrySample {
    /// Turns its stamp from another epoch into that from one that is `by` nanoseconds earlier.
    pub(crate) fn shift(&mut self, by: i64) {
        self.at.0 = self.at.0.saturating_add_signed(by);
    }
}

/// Counts of taken and lost samples of one trial. Written with the trial's record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryRecord {
    /// Time between two samples of a probe.
    pub interval: Nanos,
    /// One per probe.
    pub probes: Vec<ProbeRecord>,
    /// The programs, other than bench and the engine, that used most processor time while the
    /// trial was sampled, busiest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<ProgramRecord>,
    /// Time between the two looks at the programs.
    #[serde(default)]
    pub programs_over: Nanos,
}

/// A program and the processor time that it used between two looks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramRecord {
    /// Its pid.
    pub pid: i32,
    /// Short name, at most 15 bytes, as the kernel keeps it.
    pub name: String,
    /// User and system time.
    pub cpu: Nanos,
}

/// Counts of taken and lost samples of one probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeRecord {
    /// The probe.
    pub probe: ProbeName,
    /// Intervals at which it was to be sampled.
    pub n_due: u64,
    /// Intervals without a sample, because the probe was still busy with an earlier one or gone.
    pub n_missed: u64,
    /// Samples that found no room on their way to the disk.
    pub n_dropped: u64,
    /// Whether the probe did not come back: it hung in a call, panicked or could not be started.
    pub is_gone: bool,
}

/// The thing that a probe looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeName {
    /// The host.
    Host,
    /// The GPUs.
    Gpus,
    /// The engine's process tree.
    EngineProcesses,
    /// The engine's metrics endpoint.
    EngineMetrics,
    /// The rates in the engine's log.
    EngineLog,
}

/// The thing that a sample describes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TelemetrySource {
    /// A GPU, by UUID.
    Gpu(String),
    /// The host.
    Host,
    /// The engine's process tree.
    EngineProcess,
    /// The engine's own metrics endpoint, and the rates in its log, each of the time since the
    /// one before.
    EngineMetrics,
}
