//! Whether this machine has what a launch needs.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use crate::plan::launch::Launch;
use crate::plan::launch::{Requirement, Requires};
use crate::telemetry::gpu;

/// Time that an interpreter gets to look for a module.
const PYTHON_LIMIT: Duration = Duration::from_secs(30);
/// Bytes of a script's first line that Linux reads (`BINPRM_BUF_SIZE`).
const INTERPRETER_BYTES: u64 = 256;

/// A requirement that is not met: `vllm: not on PATH; pip install vllm`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unmet {
    /// What this machine lacks.
    pub(crate) lack: String,
    /// The way to meet it; may be empty.
    pub(crate) hint: String,
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gap = if self.hint.is_empty() { "" } else { "; " };
        write!(f, "{}{gap}{}", self.lack, self.hint)
    }
}

/// Returns the first requirement that is not met.
pub(crate) fn unmet(launch: &Launch) -> Option<Unmet> {
    launch.requires.iter().find_map(|Requirement { what, hint }| {
        Some(Unmet { lack: lack(launch, what)?, hint: hint.clone() })
    })
}

fn lack(launch: &Launch, what: &Requires) -> Option<String> {
    match what {
        Requires::Program(program) => program_lack(launch, program),
        Requires::Gpus(n_gpus) => match gpu::survey().map(|survey| survey.gpus) {
            Ok(gpus) if gpus.len() as u32 >= *n_gpus => None,
            Ok(gpus) => Some(format!("{n_gpus} GPUs: this machine has {}", gpus.len())),
            Err(reason) => Some(format!("{n_gpus} GPUs: none can be seen ({reason})")),
        },
        Requires::ComputeCapability(least) => capability_lack(least),
        Requires::Path(path) => {
            (!path.exists()).then(|| format!("{}: no such file or directory", path.display()))
        }
        Requires::PythonModule { python, module } => module_lack(launch, python, module),
        Requires::Env(name) => {
            let is_set = launch.env.contains_key(name)
                || env::var_os(name).is_some_and(|value| !value.is_empty());
            (!is_set).then(|| format!("environment variable {name}: not set"))
        }
    }
}

/// Returns why a program cannot be started in a launch's directory and environment.
pub(crate) fn program_lack(launch: &Launch, program: &str) -> Option<String> {
    if program.contains('/') {
        let path = launch.cwd.clone().unwrap_or_default().join(program);
        return match path.is_file() {
            _ if is_executable(&path) => interpreter_lack(program, &path),
            true => Some(format!("{program}: not executable")),
            false => Some(format!("{program}: no such file")),
        };
    }
    let path = launch.env.get("PATH").map(OsString::from).or_else(|| env::var_os("PATH"));
    let is_there = env::split_paths(&path.unwrap_or_default())
        .any(|directory| is_executable(&directory.join(program)));
    (!is_there).then(|| format!("{program}: not on PATH"))
}

/// Returns why a script cannot be started: the system tells of its interpreter as if the script
/// were missing.
fn interpreter_lack(program: &str, path: &Path) -> Option<String> {
    let mut first = Vec::new();
    fs::File::open(path).ok()?.take(INTERPRETER_BYTES).read_to_end(&mut first).ok()?;
    let line = first.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let interpreter = std::str::from_utf8(line).ok()?.split_whitespace().next()?;
    let is_there = is_executable(Path::new(interpreter));
    (!is_there)
        .then(|| format!("{program}: its first line names {interpreter}, which is not there"))
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

fn capability_lack(least: &str) -> Option<String> {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    match gpu::survey().map(|survey| survey.gpus) {
        Ok(gpus) if gpus.is_empty() => Some(format!("compute capability {least}: no GPU")),
        Ok(gpus) => gpus.iter().find_map(|gpu| {
            let has = gpu.compute_capability.as_deref().unwrap_or("unknown");
            let is_enough = number(has) >= number(least) && number(has).is_some();
            (!is_enough).then(|| format!("compute capability {least}: {} has {has}", gpu.name))
        }),
        Err(reason) => Some(format!("compute capability {least}: no GPU can be seen ({reason})")),
    }
}

fn module_lack(launch: &Launch, python: &str, module: &str) -> Option<String> {
    if let Some(lack) = program_lack(launch, python) {
        return Some(lack);
    }
    // Found, not imported: importing an engine takes seconds.
    let code =
        "import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)";
    let mut command = duct::cmd(python, ["-c", code, module])
        .stdin_null()
        .stdout_null()
        .stderr_null()
        .unchecked();
    for (name, value) in &launch.env {
        command = command.env(name, value);
    }
    let found = command.start().and_then(|handle| {
        let status = handle.wait_timeout(PYTHON_LIMIT)?.map(|output| output.status);
        if status.is_none() {
            handle.kill()?;
        }
        Ok(status)
    });
    match found {
        Ok(Some(status)) if status.success() => None,
        Ok(Some(_)) => Some(format!("Python module {module}: not found by {python}")),
        Ok(None) => Some(format!("Python module {module}: {python} did not answer in time")),
        Err(error) => Some(format!("{python}: {error}")),
    }
}
