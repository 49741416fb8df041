//! What a test could not decide on this machine: said, and written where `.ci/run` counts it.

use std::fs::OpenOptions;
use std::io::Write as _;

/// Names the file that gets a line for each test that did not decide.
const FILE: &str = "BENCH_TEST_UNDECIDED";

/// Says what was not decided: `inconclusive: …` where the machine was too busy to hold something
/// against the truth, `skipped: …` where what a test needs is not here.
pub(crate) fn note(what: &str) {
    // A whole line in one write: tests of other processes append to the same file.
    let line = format!("{}: {what}\n", env!("CARGO_CRATE_NAME"));
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    if let Some(path) = std::env::var_os(FILE) {
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
}
