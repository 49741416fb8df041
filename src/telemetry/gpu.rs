//! GPUs through the vendor's library, loaded at run time; its absence is a reason, not a failure.

use nvml_wrapper::Nvml;

use crate::record::environment::GpuFacts;

/// Returns the GPUs of this machine.
///
/// # Errors
/// Why none can be seen.
pub fn facts() -> Result<Vec<GpuFacts>, String> {
    let nvml = Nvml::init().map_err(|error| error.to_string())?;
    let n_gpus = nvml.device_count().map_err(|error| error.to_string())?;
    (0..n_gpus)
        .map(|index| {
            let device = nvml.device_by_index(index).map_err(|error| error.to_string())?;
            Ok(GpuFacts {
                uuid: device.uuid().map_err(|error| error.to_string())?,
                index,
                name: device.name().unwrap_or_default(),
                memory_bytes: device.memory_info().map_or(0, |memory| memory.total),
                power_limit_w: device.enforced_power_limit().ok().map(|mw| f64::from(mw) / 1e3),
                compute_capability: device
                    .cuda_compute_capability()
                    .ok()
                    .map(|capability| format!("{}.{}", capability.major, capability.minor)),
            })
        })
        .collect()
}
