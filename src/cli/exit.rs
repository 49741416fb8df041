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

    /// Returns the exit that has this code below 100; a code without one is a defect.
    pub(crate) fn from_code(code: u8) -> Self {
        let known = [
            Self::Usage,
            Self::BadData,
            Self::NoInput,
            Self::Unavailable,
            Self::SystemLimit,
            Self::CannotCreate,
            Self::InputOutput,
            Self::TryAgain,
            Self::Permission,
            Self::Scenario,
            Self::Corrupt,
        ];
        known.into_iter().find(|exit| exit.code() == code).unwrap_or(Self::Internal)
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
    fn the_worst_of_several_outcomes_is_the_exit_code() {
        let worst = [Exit::Ok, Exit::Gate, Exit::CellFailed, Exit::CellInvalid]
            .into_iter()
            .fold(Exit::Ok, Exit::worse);
        assert_eq!(worst.code(), 100);
        assert_eq!(Exit::Signal(2).worse(Exit::CellFailed).code(), 130);
        assert_eq!(Exit::Dirty.worse(Exit::Signal(15)).code(), 106);
    }
}
