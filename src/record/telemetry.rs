//! Samples of the machine and the engine, taken beside the load.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::units::Nanos;

/// What one probe saw at one instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetrySample {
    /// Monotonic nanoseconds from the trial's epoch.
    pub at: Nanos,
    /// What was sampled.
    pub source: TelemetrySource,
    /// Quantities by name; the unit is the name's last part (`power_w`, `energy_j`,
    /// `memory_bytes`, `utilisation_pct`, `temperature_c`, `clock_mhz`).
    pub values: BTreeMap<String, f64>,
    /// Quantities that could not be had, with the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub absent: BTreeMap<String, String>,
}

/// What a sample is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TelemetrySource {
    /// A GPU, by UUID.
    Gpu(String),
    /// The host.
    Host,
    /// The engine's process tree.
    EngineProcess,
    /// The engine's own metrics endpoint, names as the preset maps them, and the rates in its
    /// log (`prompt_tps`, `output_tps`), each of the time since the one before.
    EngineMetrics,
}
