//! GPUs through the vendor's library, loaded at run time; its absence is a reason, not a failure.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::{OsStr, OsString};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nvml_wrapper::enum_wrappers::device::{Clock, TemperatureSensor};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};

use crate::record::environment::GpuFacts;
use crate::record::gauge::Gauge;
use crate::record::telemetry::{ProbeName, TelemetrySample, TelemetrySource};
use crate::telemetry::Probe;
use crate::units::Nanos;

/// Names another library than the system's.
pub const LIBRARY_ENV: &str = "BENCH_NVML_LIBRARY";
/// Names by UUID, with commas, the GPUs that this process's engines have for themselves: samples,
/// memory and foreign processes of others are not theirs. Every GPU's are without it.
pub const OWN_GPUS_ENV: &str = "BENCH_OWN_GPUS";
/// Names the GPUs that CUDA shows to a program; Slurm sets it, too.
pub const VISIBLE_ENV: &str = "CUDA_VISIBLE_DEVICES";
/// The library's names; a driver installs the first, a development kit the second.
const LIBRARIES: [&str; 2] = ["libnvidia-ml.so.1", "libnvidia-ml.so"];
/// Time that a survey gets; a broken driver hangs its callers.
const SURVEY_LIMIT: Duration = Duration::from_secs(30);
/// Time that a survey gets while an engine is ready and waits for its load.
const PROBE_LIMIT: Duration = Duration::from_secs(2);
/// A call that has not come back after this time hangs.
const HUNG_AFTER: Duration = Duration::from_secs(3);
/// How often a survey that waits looks whether an earlier call hangs.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Pause before a lost library is loaded again.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// No GPU takes this much; such values come from broken sensors.
const POWER_W_MAX: f64 = 10_000.0;
/// Memory above the baseline that is not a leftover: drivers round and keep small pools.
const MEMORY_SLACK_BYTES: u64 = 64 << 20;

/// What can be said of the GPUs without load.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Survey {
    /// Driver version.
    pub driver: Option<String>,
    /// The GPUs.
    pub gpus: Vec<GpuFacts>,
    /// Used memory by UUID, of the GPUs that are this process's own.
    pub memory_used_bytes: BTreeMap<String, u64>,
    /// Compute processes on these.
    pub processes: Vec<GpuProcess>,
}

/// A process on a GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuProcess {
    /// The GPU.
    pub uuid: String,
    /// The pid, in the host's namespace even inside a container.
    pub pid: u32,
    /// Its memory on the GPU, where the driver tells.
    pub memory_bytes: Option<u64>,
}

/// Returns the library to load: [`LIBRARY_ENV`], or the system's.
pub fn library() -> Option<OsString> {
    env::var_os(LIBRARY_ENV)
}

/// A GPU that an engine can be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisibleGpu {
    /// Its name in [`VISIBLE_ENV`]: a number, or a UUID.
    pub name: String,
    /// Its UUID; absent of a GPU that the library does not list, such as a slice of one.
    pub uuid: Option<String>,
}

/// Returns the GPUs that engines of this process can be given: those that [`VISIBLE_ENV`] names,
/// else those that the library lists.
///
/// # Errors
/// Why none can be seen.
pub fn visible() -> Result<Vec<VisibleGpu>, Unseen> {
    let survey = survey();
    match env::var(VISIBLE_ENV) {
        Ok(named) => Ok(named_gpus(&named, &survey.unwrap_or_default().gpus)),
        Err(_) => survey.map(|survey| {
            let gpus = survey.gpus.into_iter();
            let gpu = |it: GpuFacts| VisibleGpu { name: it.index.to_string(), uuid: Some(it.uuid) };
            gpus.map(gpu).collect()
        }),
    }
}

/// Returns the GPUs that a value of [`VISIBLE_ENV`] names. As CUDA does, it stops at the first name
/// that names none, or one again; of what the library does not list any name is taken.
fn named_gpus(named: &str, listed: &[GpuFacts]) -> Vec<VisibleGpu> {
    let mut seen = BTreeSet::new();
    let gpu = |name: &str| {
        let is_new = seen.insert(name.to_owned());
        let by_number = |number: u32| listed.iter().find(|gpu| gpu.index == number);
        let found = match name.parse::<u32>() {
            Ok(number) => by_number(number),
            Err(_) => listed.iter().find(|gpu| gpu.uuid.starts_with(name)),
        };
        let is_name = name.starts_with("GPU-") || name.starts_with("MIG-");
        let is_one = match name.parse::<u32>() {
            Ok(_) => found.is_some() || listed.is_empty(),
            Err(_) => is_name,
        };
        let uuid = found.map(|gpu| gpu.uuid.clone());
        (is_one && is_new).then(|| VisibleGpu { name: name.to_owned(), uuid })
    };
    named.split(',').map(str::trim).map_while(gpu).collect()
}

/// Whether a GPU is one of those that [`OWN_GPUS_ENV`] leaves to this process.
fn is_own(own: Option<&str>, uuid: &str) -> bool {
    own.is_none_or(|own| own.split(',').any(|one| one == uuid))
}

fn own_gpus() -> Option<String> {
    env::var(OWN_GPUS_ENV).ok()
}

/// Why no GPU can be seen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unseen {
    /// There is no library, or it says why.
    #[error("{0}")]
    Absent(String),
    /// The library hangs.
    #[error("the GPU library did not answer within {0:?}")]
    Silent(Duration),
}

/// Surveys the GPUs of this machine.
///
/// # Errors
/// Why none can be seen.
pub fn survey() -> Result<Survey, Unseen> {
    survey_with(library().as_deref())
}

/// Surveys the GPUs through the given library, on a thread that a hanging driver may keep.
///
/// # Errors
/// Why none can be seen.
pub fn survey_with(library: Option<&OsStr>) -> Result<Survey, Unseen> {
    survey_within(library, SURVEY_LIMIT)
}

fn survey_within(library: Option<&OsStr>, limit: Duration) -> Result<Survey, Unseen> {
    let begin = Instant::now();
    // A library that hangs is not asked again: each call would cost its limit, and a thread.
    if let Some(silent) = Call::hung(library, begin) {
        return Err(Unseen::Silent(silent));
    }
    let (send, receive) = channel();
    let asked = library.map(OsStr::to_owned);
    thread::Builder::new()
        .name("gpu-survey".to_owned())
        .spawn(move || {
            let call = Call::begin(asked);
            let survey = open(call.library.as_deref()).and_then(|nvml| look(&nvml));
            drop(send.send(survey.map_err(|error| Unseen::Absent(reason(&error)))));
        })
        .map_err(|error| Unseen::Absent(error.to_string()))?;
    loop {
        match receive.recv_timeout(LOOK_EVERY) {
            Ok(survey) => return survey,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Unseen::Absent("the survey of the GPUs panicked".to_owned()));
            }
            Err(RecvTimeoutError::Timeout) if begin.elapsed() >= limit => {
                return Err(Unseen::Silent(limit));
            }
            // A call before this one may turn out to hang while this one waits.
            Err(RecvTimeoutError::Timeout) => {
                if let Some(silent) = Call::hung(library, begin) {
                    return Err(Unseen::Silent(silent));
                }
            }
        }
    }
}

/// Calls into GPU libraries that are under way in this process.
static CALLS: Mutex<Vec<(u64, Option<OsString>, Instant)>> = Mutex::new(Vec::new());
static N_CALLS: AtomicU64 = AtomicU64::new(0);

/// A call into a GPU library, for as long as it is under way.
struct Call {
    id: u64,
    library: Option<OsString>,
}

impl Call {
    fn begin(library: Option<OsString>) -> Self {
        let id = N_CALLS.fetch_add(1, Ordering::Relaxed);
        let mut calls = CALLS.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push((id, library.clone(), Instant::now()));
        Self { id, library }
    }

    /// Returns for how long a library has not answered a call that began before an instant, if
    /// that is too long for one that works.
    fn hung(library: Option<&OsStr>, before: Instant) -> Option<Duration> {
        let calls = CALLS.lock().unwrap_or_else(PoisonError::into_inner);
        let of_it = calls.iter().filter(|(_, called, begin)| {
            called.as_deref() == library && *begin < before && begin.elapsed() >= HUNG_AFTER
        });
        of_it.map(|(.., begin)| Duration::from_secs(begin.elapsed().as_secs())).max()
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut calls = CALLS.lock().unwrap_or_else(PoisonError::into_inner);
        calls.retain(|(id, ..)| *id != self.id);
    }
}

/// Waits until the memory of every GPU is back at its baseline; returns what is not, by UUID.
pub fn wait_for_memory(
    library: Option<&OsStr>,
    baseline: &BTreeMap<String, u64>,
    limit: Duration,
    stop_waiting: &dyn Fn() -> bool,
) -> BTreeMap<String, u64> {
    let deadline = Instant::now() + limit;
    loop {
        // A GPU that can no longer be seen has no memory to wait for; the survey before told so.
        let now = survey_with(library).unwrap_or_default();
        let left: BTreeMap<String, u64> = baseline
            .iter()
            .filter_map(|(uuid, before)| {
                let more = now.memory_used_bytes.get(uuid)?.saturating_sub(*before);
                (more > MEMORY_SLACK_BYTES).then(|| (uuid.clone(), more))
            })
            .collect();
        if left.is_empty() || Instant::now() >= deadline || stop_waiting() {
            return left;
        }
        thread::sleep(Duration::from_millis(200));
    }
}

fn open(library: Option<&OsStr>) -> Result<Nvml, NvmlError> {
    if let Some(library) = library {
        return Nvml::builder().lib_path(library).init();
    }
    let mut first = None;
    for name in LIBRARIES {
        match Nvml::builder().lib_path(OsStr::new(name)).init() {
            Ok(nvml) => return Ok(nvml),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.expect("at least one name was tried"))
}

fn look(nvml: &Nvml) -> Result<Survey, NvmlError> {
    let own = own_gpus();
    let mut survey = Survey { driver: nvml.sys_driver_version().ok(), ..Survey::default() };
    for index in 0..nvml.device_count()? {
        let device = nvml.device_by_index(index)?;
        let uuid = device.uuid()?;
        let memory = device.memory_info().ok();
        let is_own = is_own(own.as_deref(), &uuid);
        if let Some(memory) = memory.as_ref().filter(|_| is_own) {
            survey.memory_used_bytes.insert(uuid.clone(), memory.used);
        }
        let processes = device.running_compute_processes().unwrap_or_default();
        for process in processes.into_iter().filter(|_| is_own) {
            let memory_bytes = match process.used_gpu_memory {
                UsedGpuMemory::Used(n_bytes) => Some(n_bytes),
                UsedGpuMemory::Unavailable => None,
            };
            let pid = process.pid;
            survey.processes.push(GpuProcess { uuid: uuid.clone(), pid, memory_bytes });
        }
        survey.gpus.push(GpuFacts {
            uuid,
            index,
            name: device.name().unwrap_or_default(),
            memory_bytes: memory.map_or(0, |memory| memory.total),
            power_limit_w: device.enforced_power_limit().ok().map(|mw| f64::from(mw) / 1e3),
            compute_capability: device
                .cuda_compute_capability()
                .ok()
                .map(|capability| format!("{}.{}", capability.major, capability.minor)),
        });
    }
    Ok(survey)
}

/// Samples every GPU of this process's own: power, energy, memory, utilisation, temperature, clocks.
///
/// What a device does not support is absent with its reason. When the library fails as a whole
/// (a lost GPU, a reloaded driver), the known GPUs are absent with that reason, and the library
/// is loaded again after a pause.
pub struct GpuProbe {
    library: Option<OsString>,
    nvml: Option<Nvml>,
    retry_at: Option<Instant>,
    own: Option<String>,
    /// GPUs seen so far, with the last value of the energy counter in joules.
    seen: BTreeMap<String, f64>,
}

impl GpuProbe {
    /// Makes a probe.
    ///
    /// # Errors
    /// Why no GPU can be seen.
    pub fn new(library: Option<OsString>) -> Result<Self, Unseen> {
        let survey = survey_within(library.as_deref(), PROBE_LIMIT)?;
        if survey.gpus.is_empty() {
            return Err(Unseen::Absent("the driver lists no GPU".to_owned()));
        }
        let own = own_gpus();
        let uuids = survey.gpus.into_iter().map(|gpu| gpu.uuid);
        let seen = uuids.filter(|uuid| is_own(own.as_deref(), uuid)).map(|uuid| (uuid, 0.0));
        Ok(Self { library, nvml: None, retry_at: None, seen: seen.collect(), own })
    }

    fn all_absent(&self, at: Nanos, reason: &str) -> Vec<TelemetrySample> {
        self.seen
            .keys()
            .map(|uuid| TelemetrySample {
                at,
                source: TelemetrySource::Gpu(uuid.clone()),
                values: BTreeMap::new(),
                absent: [Gauge::PowerW, Gauge::EnergyJ, Gauge::MemoryBytes]
                    .map(|gauge| (gauge, reason.to_owned()))
                    .into(),
            })
            .collect()
    }

    fn read(&mut self, now: &dyn Fn() -> Nanos) -> Result<Vec<TelemetrySample>, NvmlError> {
        let nvml = match self.nvml.take() {
            Some(nvml) => nvml,
            None => open(self.library.as_deref())?,
        };
        let mut samples = Vec::new();
        for index in 0..nvml.device_count()? {
            let device = nvml.device_by_index(index)?;
            // Whether one of others is lost does not matter here.
            if self.own.is_none() || is_own(self.own.as_deref(), &device.uuid()?) {
                samples.push(read_device(&device, now, &mut self.seen)?);
            }
        }
        self.nvml = Some(nvml);
        Ok(samples)
    }
}

impl Probe for GpuProbe {
    fn name(&self) -> ProbeName {
        ProbeName::Gpus
    }

    fn sample(&mut self, now: &dyn Fn() -> Nanos) -> Vec<TelemetrySample> {
        if self.retry_at.is_some_and(|retry_at| Instant::now() < retry_at) {
            let reason = "the GPU library failed; it is loaded again after a pause";
            return self.all_absent(now(), reason);
        }
        let _call = Call::begin(self.library.clone());
        match self.read(now) {
            Ok(samples) => {
                self.retry_at = None;
                samples
            }
            Err(error) => {
                self.retry_at = Some(Instant::now() + RETRY_AFTER);
                self.all_absent(now(), &reason(&error))
            }
        }
    }
}

fn read_device(
    device: &Device<'_>,
    now: &dyn Fn() -> Nanos,
    seen: &mut BTreeMap<String, f64>,
) -> Result<TelemetrySample, NvmlError> {
    let uuid = device.uuid()?;
    let mut fields = Fields::default();
    let range = |name: &str, value: f64, valid: std::ops::RangeInclusive<f64>| {
        if valid.contains(&value) {
            Ok(value)
        } else {
            Err(format!("{name} of {value} is not credible"))
        }
    };
    let at = now();
    fields.put(Gauge::PowerW, device.power_usage(), |mw| {
        range("power", f64::from(mw) / 1e3, f64::MIN_POSITIVE..=POWER_W_MAX)
    })?;
    let before = seen.get(&uuid).copied().unwrap_or(0.0);
    fields.put(Gauge::EnergyJ, device.total_energy_consumption(), |mj| {
        let joules = mj as f64 / 1e3;
        seen.insert(uuid.clone(), joules);
        if joules < before {
            return Err(format!("the counter went back from {before} J to {joules} J"));
        }
        Ok(joules)
    })?;
    fields.put(Gauge::MemoryBytes, device.memory_info(), |memory| {
        range("memory", memory.used as f64, 0.0..=memory.total as f64)
    })?;
    fields.put(Gauge::UtilisationPct, device.utilization_rates(), |rates| {
        range("utilisation", f64::from(rates.gpu), 0.0..=100.0)
    })?;
    fields.put(Gauge::TemperatureC, device.temperature(TemperatureSensor::Gpu), |celsius| {
        range("temperature", f64::from(celsius), 0.0..=150.0)
    })?;
    fields.put(Gauge::ClockMhz, device.clock_info(Clock::SM), |mhz| {
        range("clock", f64::from(mhz), 1.0..=10_000.0)
    })?;
    fields.put(Gauge::ThrottleReasons, device.current_throttle_reasons(), |reasons| {
        Ok(reasons.bits() as f64)
    })?;
    let Fields { values, absent } = fields;
    Ok(TelemetrySample { at, source: TelemetrySource::Gpu(uuid), values, absent })
}

/// Values and reasons of one sample.
#[derive(Default)]
struct Fields {
    values: BTreeMap<Gauge, f64>,
    absent: BTreeMap<Gauge, String>,
}

impl Fields {
    /// Keeps a value, or the reason why there is none; `Err` if the library as a whole is lost.
    fn put<T>(
        &mut self,
        gauge: Gauge,
        value: Result<T, NvmlError>,
        check: impl FnOnce(T) -> Result<f64, String>,
    ) -> Result<(), NvmlError> {
        let checked = match value {
            Ok(value) => check(value),
            Err(
                error @ (NvmlError::GpuLost | NvmlError::Uninitialized | NvmlError::ResetRequired),
            ) => {
                return Err(error);
            }
            Err(error) => Err(reason(&error)),
        };
        match checked {
            Ok(value) => drop(self.values.insert(gauge, value)),
            Err(reason) => drop(self.absent.insert(gauge, reason)),
        }
        Ok(())
    }
}

fn reason(error: &NvmlError) -> String {
    match error {
        NvmlError::LibloadingError(_) => format!("no GPU library: {error}"),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visible_gpus_are_those_that_cuda_would_show() {
        let facts = |index: u32| GpuFacts {
            uuid: format!("GPU-{index}f"),
            index,
            name: "Fake".to_owned(),
            memory_bytes: 0,
            power_limit_w: None,
            compute_capability: None,
        };
        let listed = [facts(0), facts(1), facts(2)];
        let check = |named: &str, listed: &[GpuFacts], expected: &[(&str, Option<&str>)]| {
            let found = named_gpus(named, listed);
            let found: Vec<_> =
                found.iter().map(|it| (it.name.as_str(), it.uuid.as_deref())).collect();
            assert_eq!(found, expected, "{named}");
        };
        check("2, 0", &listed, &[("2", Some("GPU-2f")), ("0", Some("GPU-0f"))]);
        check("GPU-1", &listed, &[("GPU-1", Some("GPU-1f"))]);
        check("1,7,0", &listed, &[("1", Some("GPU-1f"))]);
        check("MIG-5a", &listed, &[("MIG-5a", None)]);
        check("0,-1,1", &listed, &[("0", Some("GPU-0f"))]);
        check("1,1", &listed, &[("1", Some("GPU-1f"))]);
        check("", &listed, &[]);
        // Without the library nobody knows better.
        check("0,3", &[], &[("0", None), ("3", None)]);
    }

    #[test]
    fn samples_are_of_the_gpus_that_are_left_to_this_process() {
        assert!(is_own(None, "GPU-1"));
        assert!(is_own(Some("GPU-0,GPU-1"), "GPU-1"));
        assert!(!is_own(Some("GPU-0,GPU-10"), "GPU-1"));
    }
}
