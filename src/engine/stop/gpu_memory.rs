//! The GPUs' memory before a start, to which it must return after the stop.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use crate::engine::process;
use crate::plan::launch::Launch;
use crate::telemetry::gpu::{self, GpuProcess, Survey};
use crate::units::bytes_for_people;

/// Time that memory gets to come back; drivers take up to a minute after a SIGKILL.
const BACK_LIMIT: Duration = Duration::from_mins(2);

/// What was on the GPUs before a start.
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

    /// Keeps only the GPUs that the engine, now loaded, has taken memory on: what others do on
    /// theirs is not to be waited for.
    pub(crate) fn keep_used(&mut self) {
        if let Ok(now) = gpu::survey_with(self.library.as_deref()) {
            self.memory_used_bytes
                .retain(|uuid, before| now.memory_used_bytes.get(uuid) > Some(before));
        }
    }

    /// Waits after a start that failed, where it has taken memory; returns the bytes that are
    /// not back on all GPUs together.
    pub(crate) fn wait_until_back_if_used(mut self, stop_waiting: &dyn Fn() -> bool) -> u64 {
        self.keep_used();
        self.wait_until_back(stop_waiting).values().sum()
    }

    /// Waits until all memory is back; returns what is not, by UUID.
    pub(crate) fn wait_until_back(&self, stop_waiting: &dyn Fn() -> bool) -> BTreeMap<String, u64> {
        let library = self.library.as_deref();
        gpu::wait_for_memory(library, &self.memory_used_bytes, BACK_LIMIT, stop_waiting)
    }
}

/// Looks at the GPUs if the launch uses any and they can be seen.
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
    // The driver's pid is the host's; inside a container it may mean somebody else, or nobody.
    let command = process::command(pid.cast_signed());
    let memory = memory_bytes.map_or_else(|| "unknown memory".to_owned(), bytes_for_people);
    format!("pid {pid} ({command}) on {uuid}: {memory}")
}
