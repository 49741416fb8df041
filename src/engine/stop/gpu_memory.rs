//! GPU memory before a start. It must return to this level after the stop.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use indicatif::BinaryBytes;

use crate::engine::process;
use crate::plan::launch::Launch;
use crate::telemetry::gpu::{self, GpuProcess, Survey};

/// Longest wait for memory to return. Drivers take up to a minute after a SIGKILL.
const BACK_LIMIT: Duration = Duration::from_mins(2);

/// Memory and processes on the GPUs before a start.
#[derive(Clone, Debug)]
pub(crate) struct GpuBaseline {
    library: Option<OsString>,
    memory_used_bytes: BTreeMap<String, u64>,
    foreign: Vec<String>,
}

impl GpuBaseline {
    fn new(library: Option<OsString>, survey: Survey) -> Self {
        let foreign = survey.processes.iter().map(describe).collect();
        Self { library, memory_used_bytes: survey.memory_used_bytes, foreign }
    }

    /// Returns the processes that were on the GPUs, in words.
    pub(crate) fn foreign(&self) -> &[String] {
        &self.foreign
    }

    /// Keeps only the GPUs on which the loaded engine has taken memory. Memory that others take on
    /// the remaining GPUs is not waited for.
    pub(crate) fn keep_used(&mut self) {
        if let Ok(now) = gpu::survey_with(self.library.as_deref()) {
            self.memory_used_bytes
                .retain(|uuid, before| now.memory_used_bytes.get(uuid) > Some(before));
        }
    }

    /// Waits after a failed start for the GPUs on which it has taken memory. Returns the bytes
    /// that are still missing, summed over these GPUs.
    pub(crate) fn wait_until_back_if_used(mut self, stop_waiting: &dyn Fn() -> bool) -> u64 {
        self.keep_used();
        self.wait_until_back(stop_waiting).values().sum()
    }

    /// Waits until all memory has returned. Returns the missing bytes by UUID.
    pub(crate) fn wait_until_back(&self, stop_waiting: &dyn Fn() -> bool) -> BTreeMap<String, u64> {
        let library = self.library.as_deref();
        gpu::wait_for_memory(library, &self.memory_used_bytes, BACK_LIMIT, stop_waiting)
    }
}

/// Reads the state of the GPUs if the launch uses any and they are visible.
pub(crate) fn baseline(launch: &Launch) -> Option<GpuBaseline> {
    if launch.n_gpus == 0 || !launch.is_started() {
        return None;
    }
    let library = gpu::library();
    let survey = gpu::survey_with(library.as_deref()).ok()?;
    Some(GpuBaseline::new(library, survey))
}

fn describe(row: &GpuProcess) -> String {
    let GpuProcess { uuid, pid, memory_bytes } = row;
    // The driver reports the host's pid. In a container it may belong to another process, or to
    // none.
    let command = process::command(pid.cast_signed());
    let memory = memory_bytes
        .map_or_else(|| "unknown memory".to_owned(), |n_bytes| BinaryBytes(n_bytes).to_string());
    format!("pid {pid} ({command}) on {uuid}: {memory}")
}
