//! Exit codes: one published table, one place.

use std::process::{ExitCode, Termination};

/// How the program ends. Codes below 100 follow sysexits; those from 100 on are about results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All that could run ran well.
    Ok,
    /// The command line is wrong.
    Usage,
    /// A data set or template is malformed.
    BadData,
    /// An input is missing.
    NoInput,
    /// An engine's program, Slurm or required telemetry is not there.
    Unavailable,
    /// A defect of `bench`, or its guardian was lost.
    Internal,
    /// A limit of the operating system: files, processes, memory.
    SystemLimit,
    /// The output cannot be created.
    CannotCreate,
    /// Reading or writing failed.
    InputOutput,
    /// Somebody else holds the run directory or the device; try again.
    TryAgain,
    /// Unsafe permissions.
    Permission,
    /// The scenario is invalid.
    Scenario,
    /// Finished, and at least one cell failed (or was skipped, with `--strict`).
    CellFailed,
    /// No cell could run: every engine failed to start.
    EngineStart,
    /// Finished, and at least one cell is invalid.
    CellInvalid,
    /// Finished and valid, but a gate failed.
    Gate,
    /// Something was left behind: processes, a port, device memory.
    Dirty,
    /// The run directory is corrupt or its inputs have changed.
    Corrupt,
    /// Ended by this signal after a clean teardown.
    Signal(u8),
}

impl Exit {
    /// Returns the number that the shell sees.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Usage => 2,
            Self::BadData => 65,
            Self::NoInput => 66,
            Self::Unavailable => 69,
            Self::Internal => 70,
            Self::SystemLimit => 71,
            Self::CannotCreate => 73,
            Self::InputOutput => 74,
            Self::TryAgain => 75,
            Self::Permission => 77,
            Self::Scenario => 78,
            Self::CellFailed => 100,
            Self::EngineStart => 102,
            Self::CellInvalid => 103,
            Self::Gate => 104,
            Self::Dirty => 106,
            Self::Corrupt => 107,
            Self::Signal(number) => 128 + number,
        }
    }

    /// Returns the exits that have a code of their own, by their codes.
    pub(crate) const ALL: &[Self] = &[
        Self::Ok,
        Self::Usage,
        Self::BadData,
        Self::NoInput,
        Self::Unavailable,
        Self::Internal,
        Self::SystemLimit,
        Self::CannotCreate,
        Self::InputOutput,
        Self::TryAgain,
        Self::Permission,
        Self::Scenario,
        Self::CellFailed,
        Self::EngineStart,
        Self::CellInvalid,
        Self::Gate,
        Self::Dirty,
        Self::Corrupt,
    ];

    /// Returns what a code tells, and the way on.
    pub(crate) fn meaning(self) -> (&'static str, &'static str) {
        match self {
            Self::Ok => {
                ("all that could run ran well", "`--strict` makes skipped rows count as well")
            }
            Self::Usage => ("the command line is wrong", "`bench COMMAND --help` shows examples"),
            Self::BadData => (
                "a data set, template or file of answers is malformed",
                "the message names file and row; `bench check` finds all at once",
            ),
            Self::NoInput => ("an input is missing", "the message says where it was looked for"),
            Self::Unavailable => (
                "a server, an engine's program, Slurm or a data source is not to be had",
                "the message says what was tried",
            ),
            Self::Internal => (
                "bench has a defect, or lost its guardian",
                "report it with the command and the scenario",
            ),
            Self::SystemLimit => (
                "the system has no files, processes or memory left to give",
                "`bench doctor` shows the limits",
            ),
            Self::CannotCreate => ("the output cannot be created", "another place: `--out DIR`"),
            Self::InputOutput => (
                "reading or writing failed, such as on a full disk",
                "what was measured is kept: `bench resume DIR`",
            ),
            Self::TryAgain => (
                "somebody else holds the run directory, or Slurm cannot be reached",
                "wait, or end the process that the message names; then the same command again",
            ),
            Self::Permission => ("permissions are unsafe or missing", "the message names the file"),
            Self::Scenario => {
                ("the scenario is invalid", "`bench check` shows every mistake with its place")
            }
            Self::CellFailed => (
                "a cell failed, or was skipped under `--strict`",
                "its row says why; the engine's log is in engines/",
            ),
            Self::EngineStart => (
                "no cell could run: every engine failed to start",
                "the rows have the last lines of their logs",
            ),
            Self::CellInvalid => (
                "a cell is INVALID: bench may have changed a number by more than 10 %",
                "a calmer machine, or cores of its own for bench: `bench help reading-reports`",
            ),
            Self::Gate => {
                ("a gate was missed", "the last lines of the report name it: `bench help gates`")
            }
            Self::Dirty => (
                "something was left behind: processes, a port, device memory",
                "`bench doctor --reap` ends what is left",
            ),
            Self::Corrupt => (
                "the run directory is corrupt, or its inputs have changed",
                "`bench verify DIR` says what; `bench run S.toml --resume DIR` takes what changed",
            ),
            Self::Signal(9) => (
                "killed at once, before bench could end anything: its engines are ended behind it",
                "`bench doctor --reap` ends what is left; `bench resume DIR` goes on",
            ),
            Self::Signal(_) => {
                ("ended by a signal, after engines were stopped", "`bench resume DIR` goes on")
            }
        }
    }

    /// Returns the exit that has this code below 100; a code without one is a defect.
    pub(crate) fn from_code(code: u8) -> Self {
        let known = Self::ALL
            .iter()
            .filter(|exit| exit.code() != 0 && exit.code() < 100 || **exit == Self::Corrupt);
        known.copied().find(|exit| exit.code() == code).unwrap_or(Self::Internal)
    }

    /// Returns the worse of two: what a caller most needs to know wins.
    #[must_use]
    pub(crate) fn worse(self, other: Self) -> Self {
        if other.rank() < self.rank() { other } else { self }
    }

    /// Position in the order of precedence; small is worse.
    fn rank(self) -> u8 {
        match self {
            Self::Dirty => 0,
            Self::InputOutput => 1,
            Self::Internal => 2,
            Self::Corrupt => 3,
            Self::Signal(_) => 4,
            Self::EngineStart => 5,
            Self::CellFailed => 6,
            Self::CellInvalid => 7,
            Self::Gate => 8,
            Self::Ok => 255,
            _ => 9,
        }
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_gates_has_every_code() {
        let page = include_str!("../help/gates.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
        let numbers = rows.flat_map(|(codes, _)| codes.split(", "));
        let told: Vec<u8> = numbers.filter_map(|code| code.parse().ok()).collect();
        let codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert_eq!(told, codes);
    }

    #[test]
    fn the_worst_of_several_outcomes_is_the_exit_code() {
        let worst = [Exit::Ok, Exit::Gate, Exit::CellFailed, Exit::CellInvalid]
            .into_iter()
            .fold(Exit::Ok, Exit::worse);
        assert_eq!(worst.code(), 100);
        assert_eq!(Exit::Signal(2).worse(Exit::CellFailed).code(), 130);
        assert_eq!(Exit::Dirty.worse(Exit::Signal(15)).code(), 106);
    }
}
