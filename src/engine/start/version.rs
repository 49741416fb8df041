//! Whether an installed engine is of a version that its preset was held against, and which flags
//! it no longer knows.

use std::time::Duration;

use crate::engine::credentials;
use crate::engine::installed::script_version;
use crate::engine::log;
use crate::plan::launch::Launch;

/// Time that a command which prints something gets: some engines import all of `PyTorch` for it.
pub(in crate::engine) const LIMIT: Duration = Duration::from_mins(2);

/// Why a command printed nothing that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// It cannot be started, failed, or printed no version.
    Failed,
    /// It was still running when its time was over, and was ended.
    Late,
}

/// An installed version that the preset was not held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherVersion {
    /// Engine name in the scenario.
    pub engine: String,
    /// What the engine says of itself.
    pub installed: String,
    /// The versions that the preset was held against.
    pub held: Vec<String>,
    /// Flags of the command that the engine's `--help` does not know; absent where it has none.
    pub unknown_flags: Option<Vec<String>>,
}

impl OtherVersion {
    /// Returns what is found, in a sentence.
    pub fn told(&self) -> String {
        let flags = match &self.unknown_flags {
            None => String::new(),
            Some(flags) if flags.is_empty() => ", and its `--help` knows all flags".to_owned(),
            Some(flags) => format!(", and its `--help` does not know {}", flags.join(", ")),
        };
        let (engine, installed) = (&self.engine, &self.installed);
        format!(
            "{engine} is {installed}; its preset was held against {}{flags}",
            self.held.join(", ")
        )
    }
}

/// Compares the installed version with those of the preset. Where it is another one, the engine's
/// help is asked for the flags of the command; `told` is what the engine said of its version.
pub fn compare(launch: &Launch, told: Option<&str>) -> Option<OtherVersion> {
    if launch.held_against.is_empty() || !launch.is_started() {
        return None;
    }
    let installed = match told {
        Some(told) => told.to_owned(),
        None => installed(launch)?,
    };
    if is_held(launch, &installed)? {
        return None;
    }
    let help = output_of(launch, &launch.help_argv, LIMIT).ok();
    Some(OtherVersion {
        engine: launch.engine.clone(),
        held: launch.held_against.clone(),
        unknown_flags: help.map(|help| unknown_flags(&launch.argv, &help)),
        installed,
    })
}

/// Whether the preset was held against a version; none where it has no number.
pub(crate) fn is_held(launch: &Launch, version: &str) -> Option<bool> {
    let number = number(version)?;
    Some(launch.held_against.iter().any(|held| held == number))
}

/// Returns the version of the package that the version command's program is a script of, or else
/// what the command prints.
pub fn installed(launch: &Launch) -> Option<String> {
    packaged(launch).or_else(|| asked(launch, LIMIT).ok())
}

/// Returns the version of the package that the version command's program is a script of. It is
/// read from files: to say it, some engines import all of `PyTorch`.
pub(crate) fn packaged(launch: &Launch) -> Option<String> {
    script_version(launch, launch.version_argv.first()?)
}

/// Returns the version that the version command prints within the limit.
pub(crate) fn asked(launch: &Launch, limit: Duration) -> Result<String, Silence> {
    let text = output_of(launch, &launch.version_argv, limit)?;
    let line = version_line(&text).ok_or(Silence::Failed)?.trim();
    Ok(log::printable(line.strip_prefix("version: ").unwrap_or(line)))
}

/// Returns what a command prints in the launch's directory and environment, where it succeeds
/// within the limit.
pub(in crate::engine) fn output_of(
    launch: &Launch,
    words: &[String],
    limit: Duration,
) -> Result<String, Silence> {
    let (program, args) = words.split_first().ok_or(Silence::Failed)?;
    let mut command = duct::cmd(program, args).stdin_null().stderr_to_stdout().stdout_capture();
    for (name, value) in &launch.env {
        command = command.env(name, value);
    }
    for (name, variable) in launch.secret_env() {
        if let Some(value) = credentials::value(&variable) {
            command = command.env(name, value.expose());
        }
    }
    if let Some(cwd) = &launch.cwd {
        command = command.dir(cwd);
    }
    let failed = |_| Silence::Failed;
    let handle = command.unchecked().start().map_err(failed)?;
    let Some(output) = handle.wait_timeout(limit).map_err(failed)? else {
        // Its own children may hold the pipe; the program itself is all that was asked for.
        let _ = handle.kill();
        return Err(Silence::Late);
    };
    if !output.status.success() {
        return Err(Silence::Failed);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Programs print warnings, build facts and more around their version: it is the line that says
/// so, or else the last one, and it has a digit.
pub(in crate::engine) fn version_line(text: &str) -> Option<&str> {
    let numbered = || text.lines().filter(|line| line.contains(|char: char| char.is_ascii_digit()));
    let says_so = |line: &&str| line.trim_start().to_ascii_lowercase().starts_with("version");
    numbered().find(says_so).or_else(|| numbered().next_back())
}

/// Returns the number of a version without what is built or packaged: `0.32.0` of `0.32.0+cpu`.
fn number(version: &str) -> Option<&str> {
    let parts = version.split(|char: char| !char.is_ascii_digit() && char != '.');
    let parts = parts.map(|part| part.trim_matches('.'));
    parts.into_iter().find(|part| part.starts_with(|char: char| char.is_ascii_digit()))
}

fn unknown_flags(argv: &[String], help: &str) -> Vec<String> {
    let is_part = |char: char| char.is_ascii_alphanumeric() || "-_".contains(char);
    let known: Vec<&str> = help.split(|char| !is_part(char)).collect();
    let flags = argv.iter().filter(|arg| arg.starts_with("--"));
    let mut unknown: Vec<String> = flags
        .filter_map(|arg| arg.split('=').next())
        .filter(|flag| !known.contains(flag))
        .map(str::to_owned)
        .collect();
    unknown.dedup();
    unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_told_from_what_is_printed_around_it() {
        let llama = "version: 11669 (b11669-Debian)\nbuilt with GNU 16.2.0 for Linux x86_64\n";
        assert_eq!(version_line(llama), Some("version: 11669 (b11669-Debian)"));
        assert_eq!(version_line("WARNING 11-22 no GPU\n0.32.0+cpu\n"), Some("0.32.0+cpu"));
        assert_eq!(version_line("no version\n"), None);
        assert_eq!(number("version: 0.7.0 (build 11669, commit Debian)"), Some("0.7.0"));
        assert_eq!((number("0.32.0+cpu"), number("v5.23.")), (Some("0.32.0"), Some("5.23")));
        assert_eq!(number("unknown"), None);
    }

    fn launch(version: &str, held: &str) -> Launch {
        let words = |text: &str| ["sh", "-c", text].map(str::to_owned).to_vec();
        Launch {
            engine: "mine".to_owned(),
            argv: ["serve", "--old", "--port", "1", "--kept=2"].map(str::to_owned).to_vec(),
            version_argv: words(version),
            help_argv: words("echo '  --port N, --kept, --older'"),
            held_against: vec![held.to_owned()],
            ..Launch::default()
        }
    }

    #[test]
    fn another_version_is_told_with_the_flags_that_it_no_longer_knows() {
        let other = compare(&launch("echo 2.0.1", "1.0"), None).unwrap();
        assert_eq!(
            other.told(),
            "mine is 2.0.1; its preset was held against 1.0, and its `--help` does not know --old"
        );
        assert_eq!(compare(&launch("echo 1.0+local", "1.0"), None), None);
        assert_eq!(compare(&launch("echo 2.0", "1.0"), Some("1.0")), None);
        assert_eq!(compare(&launch("echo 2.0; exit 1", "1.0"), None), None, "it did not say");
        let silent = Launch { help_argv: Vec::new(), ..launch("echo 2", "1") };
        assert_eq!(compare(&silent, None).unwrap().unknown_flags, None);
    }

    #[test]
    fn a_command_that_takes_longer_than_it_may_is_told_from_one_that_fails() {
        let asked = |version| asked(&launch(version, "1"), Duration::from_millis(300));
        assert_eq!(asked("exec sleep 60"), Err(Silence::Late));
        assert_eq!(asked("echo 2; exit 1"), Err(Silence::Failed));
        assert_eq!(asked("echo version: 2"), Ok("2".to_owned()));
    }
}
