//! Facts of the machine and the program, recorded once per run.

use std::collections::BTreeMap;

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
    /// What `bench calibrate` found on this machine, if it was run there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
}

impl Environment {
    /// Returns the ids of the GPUs in the order in which the driver counts them.
    pub(crate) fn gpu_uuids(&self) -> Vec<String> {
        let mut gpus: Vec<_> = self.gpus.iter().collect();
        gpus.sort_by_key(|gpu| gpu.index);
        gpus.into_iter().map(|gpu| gpu.uuid.clone()).collect()
    }

    /// Returns the facts that tell one machine, or build of `bench`, from another, by name; empty
    /// where there is none.
    pub fn facts(&self) -> [(&'static str, String); 9] {
        let text = |fact: &Option<String>| fact.clone().unwrap_or_default();
        let gpus: Vec<String> = self.gpus.iter().map(GpuFacts::told).collect();
        [
            ("bench version", self.bench_version.clone()),
            ("bench commit", text(&self.bench_commit)),
            ("kernel", self.kernel.clone()),
            ("operating system", self.os.clone()),
            ("CPU", self.cpu.clone()),
            ("number of CPUs", self.n_cpus.to_string()),
            ("CPU governor", text(&self.cpu_governor)),
            ("GPUs", gpus.join("; ")),
            ("GPU driver", text(&self.gpu_driver)),
        ]
    }

    /// Returns the facts that are others now, `GPU driver: 550.54 -> 560.28`.
    pub fn changes(&self, now: &Self) -> Vec<String> {
        let text = |fact: String| if fact.is_empty() { "absent".to_owned() } else { fact };
        let both = self.facts().into_iter().zip(now.facts());
        both.filter(|(before, now)| before != now)
            .map(|((name, before), (_, now))| format!("{name}: {} -> {}", text(before), text(now)))
            .collect()
    }

    /// Returns the names of the facts in which another machine, or build of `bench`, differs.
    pub fn differs_in(&self, other: &Self) -> Vec<&'static str> {
        let both = self.facts().into_iter().zip(other.facts());
        both.filter(|(one, other)| one != other).map(|((name, _), _)| name).collect()
    }
}

/// What `bench` adds on a machine, by `bench calibrate`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// The day, in UTC.
    pub at: String,
    /// Version of `bench`.
    pub bench_version: String,
    /// Kernel release.
    pub kernel: String,
    /// CPU model.
    pub cpu: String,
    /// CPUs of the process.
    pub n_cpus: u32,
    /// One per load.
    pub rows: Vec<CalibrationRow>,
}

/// What `bench` adds under one load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationRow {
    /// Name of the cell of `scenarios/calibrate.toml`.
    pub load: String,
    /// What the cell is made of: swept key → value.
    #[serde(default)]
    pub keys: BTreeMap<String, String>,
    /// Whether the machine let the instrument work undisturbed.
    pub valid: bool,
    /// Median of the time from an engine's write to our stamp, milliseconds.
    pub added_p50_ms: Option<f64>,
    /// Its 99th percentile.
    pub added_p99_ms: Option<f64>,
    /// Its 99.9th percentile.
    pub added_p999_ms: Option<f64>,
    /// Median lateness of sending, milliseconds.
    pub send_lag_p50_ms: Option<f64>,
    /// Its 99th percentile.
    pub send_lag_p99_ms: Option<f64>,
    /// Token events per second.
    pub chunks_per_s: Option<f64>,
    /// Requests per second.
    pub requests_per_s: Option<f64>,
    /// Answers whose TTFT the engine knows, and how many of a hundred of them have a bound that
    /// holds it.
    pub ttft_bound_held: Option<(f64, u64)>,
    /// CPU time of all of `bench` per token event, microseconds.
    pub cpu_us_per_chunk: Option<f64>,
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

impl GpuFacts {
    /// Tells everything of a GPU in a line.
    fn told(&self) -> String {
        let limit = self.power_limit_w.map_or_else(String::new, |watts| format!(", {watts} W"));
        let capability = self.compute_capability.as_deref().unwrap_or("unknown");
        format!(
            "{} {} ({}, {} MiB, compute capability {capability}{limit})",
            self.index,
            self.name,
            self.uuid,
            self.memory_bytes >> 20
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_driver_gpu_and_build_are_told_with_both_values_and_load_is_not() {
        let gpu = |index, uuid: &str, power_limit_w| GpuFacts {
            uuid: uuid.to_owned(),
            index,
            name: "H200".to_owned(),
            memory_bytes: 1 << 37,
            power_limit_w,
            compute_capability: Some("9.0".to_owned()),
        };
        let before = Environment {
            bench_version: "0.1.0".to_owned(),
            gpus: vec![gpu(0, "GPU-a", Some(700.0))],
            gpu_driver: Some("550.54".to_owned()),
            load_average: 0.1,
            ..Environment::default()
        };
        assert_eq!(before.changes(&Environment { load_average: 9.0, ..before.clone() }), [""; 0]);
        let now = Environment {
            bench_version: "0.2.0".to_owned(),
            bench_commit: Some("abc".to_owned()),
            gpus: vec![gpu(0, "GPU-a", Some(500.0)), gpu(1, "GPU-b", None)],
            gpu_driver: Some("560.28".to_owned()),
            ..before.clone()
        };
        assert_eq!(
            before.changes(&now),
            [
                "bench version: 0.1.0 -> 0.2.0",
                "bench commit: absent -> abc",
                "GPUs: 0 H200 (GPU-a, 131072 MiB, compute capability 9.0, 700 W) -> 0 H200 \
                 (GPU-a, 131072 MiB, compute capability 9.0, 500 W); 1 H200 (GPU-b, \
                 131072 MiB, compute capability 9.0)",
                "GPU driver: 550.54 -> 560.28",
            ]
        );
    }
}
