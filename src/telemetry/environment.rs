//! Facts of this machine and this program.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use procfs::{CpuInfo, Current as _, Meminfo};

use crate::record::environment::Environment;
use crate::telemetry::gpu;
use crate::telemetry::host::load_1m;

/// Time that `git` gets.
const GIT_LIMIT: Duration = Duration::from_secs(5);

/// Gathers the facts; a fact that cannot be read is empty or absent.
pub fn environment() -> Environment {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = CpuInfo::current().ok();
    let (gpus, gpu_driver, gpu_absent) = match gpu::survey() {
        Ok(survey) => (survey.gpus, survey.driver, None),
        Err(unseen) => (Vec::new(), None, Some(unseen.to_string())),
    };
    Environment {
        bench_version: env!("CARGO_PKG_VERSION").to_owned(),
        bench_commit: checkout().and_then(|checkout| commit(&checkout)),
        kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
        os: os_name(&text("/etc/os-release")),
        cpu: cpu.as_ref().and_then(|cpu| cpu.model_name(0)).unwrap_or_default().to_owned(),
        n_cpus: thread::available_parallelism().map_or(1, |n_cpus| n_cpus.get() as u32),
        memory_bytes: Meminfo::current().map_or(0, |memory| memory.mem_total),
        load_average: load_1m().unwrap_or(0.0),
        cpu_governor: fs::read_to_string("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
            .ok()
            .map(|governor| governor.trim().to_owned()),
        virtual_machine: cpu
            .and_then(|cpu| cpu.flags(0).map(|flags| flags.contains(&"hypervisor")))
            .unwrap_or(false),
        gpus,
        gpu_absent,
        gpu_driver,
        calibration: None,
    }
}

/// Returns the checkout that this program was built in, if it still lies there.
fn checkout() -> Option<PathBuf> {
    let program = env::current_exe().ok()?;
    let root = program.ancestors().find(|directory| {
        fs::read_to_string(directory.join("Cargo.toml"))
            .is_ok_and(|manifest| manifest.lines().any(|line| line == "name = \"bench\""))
    })?;
    Some(root.to_owned())
}

/// Returns the commit, `-dirty` where files differ from it.
fn commit(checkout: &Path) -> Option<String> {
    let commit = git(checkout, &["describe", "--always", "--abbrev=12", "--exclude=*"])?;
    // `describe --dirty` would lock the index, and leave the lock if it is killed with us.
    let changed = ["--no-optional-locks", "status", "--porcelain", "--untracked-files=no"];
    let dirty = if git(checkout, &changed)?.is_empty() { "" } else { "-dirty" };
    (!commit.is_empty()).then(|| format!("{commit}{dirty}"))
}

/// Returns what Git says, without the white space around it.
fn git(checkout: &Path, args: &[&str]) -> Option<String> {
    let handle = duct::cmd("git", args)
        .dir(checkout)
        .stdin_null()
        .stderr_null()
        .stdout_capture()
        .unchecked()
        .start()
        .ok()?;
    let Ok(Some(output)) = handle.wait_timeout(GIT_LIMIT) else {
        let _ = handle.kill();
        return None;
    };
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

fn os_name(release: &str) -> String {
    release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .map(|name| name.trim_matches('"').to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_called_by_its_pretty_name() {
        assert_eq!(
            os_name("ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n"),
            "Debian GNU/Linux 12"
        );
    }

    #[test]
    fn this_machine_has_a_kernel_memory_and_either_gpus_or_a_reason() {
        let facts = environment();
        assert!(!facts.kernel.is_empty() && facts.memory_bytes > 0 && facts.n_cpus > 0);
        assert_eq!(facts.gpus.is_empty(), facts.gpu_absent.is_some());
    }
}
