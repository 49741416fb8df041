//! Facts of the machine and the program, recorded once per run.

use serde::{Deserialize, Serialize};

/// The machine that measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Version of `bench`.
    pub bench_version: String,
    /// Commit that `bench` was built from, when it runs inside its checkout.
    pub bench_commit: Option<String>,
    /// Kernel release.
    pub kernel: String,
    /// Distribution, as `/etc/os-release` says it.
    pub os: String,
    /// CPU model.
    pub cpu: String,
    /// CPUs this process may run on.
    pub n_cpus: u32,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// One-minute load average when the run began.
    pub load_average: f64,
    /// Scaling governor of CPU 0, where there is one.
    pub cpu_governor: Option<String>,
    /// Hypervisor flag of the CPU.
    pub virtual_machine: bool,
    /// GPUs.
    pub gpus: Vec<GpuFacts>,
    /// Why no GPU is listed, if none is.
    pub gpu_absent: Option<String>,
    /// Driver version.
    pub gpu_driver: Option<String>,
}

/// One GPU.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GpuFacts {
    /// Stable identity.
    pub uuid: String,
    /// Index in the driver's order.
    pub index: u32,
    /// Product name.
    pub name: String,
    /// Bytes of device memory.
    pub memory_bytes: u64,
    /// Enforced power limit, watts.
    pub power_limit_w: Option<f64>,
    /// CUDA compute capability, `9.0`.
    pub compute_capability: Option<String>,
}
