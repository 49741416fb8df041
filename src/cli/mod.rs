//! The face: arguments, progress, exit codes.

use std::process::ExitCode;

/// Runs the program.
pub fn main() -> ExitCode {
    let args: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    match args.split_first() {
        Some((first, rest)) if first == crate::engine::guardian::SUBCOMMAND => {
            crate::engine::guardian::main(rest)
        }
        _ => ExitCode::SUCCESS,
    }
}
