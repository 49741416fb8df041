//! Where the records of each cell lie, seen from the report beside them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::ids::CellId;
use crate::plan::Plan;

/// Files of one trial, the most asked for first.
pub(super) const FILES: [&str; 3] = ["requests.jsonl", "outputs.jsonl", "telemetry.jsonl"];

/// Returns the name of each cell's directory; rows of one cell share it.
pub(super) fn folders(plan: &Plan) -> BTreeMap<CellId, String> {
    let cells = plan.cells.iter();
    cells.map(|cell| (cell.id.clone(), cell.as_run().name.clone())).collect()
}

/// Returns the address of a trial's requests.
pub(super) fn requests(folder: &str, trial: u32) -> String {
    address(folder, trial, FILES[0])
}

/// Returns the address of a file of a trial.
pub(super) fn address(folder: &str, trial: u32, file: &str) -> String {
    format!("cells/{}/trial-{trial}/{file}", in_url(folder))
}

/// Writes a name as one part of a URL's path or as its fragment.
pub(super) fn in_url(name: &str) -> String {
    let mut url = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~,=".contains(&byte) {
            url.push(char::from(byte));
        } else {
            write!(url, "%{byte:02X}").expect("writing to a String does not fail");
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_part_of_a_path_whatever_is_in_it() {
        assert_eq!(in_url("vllm,c=4"), "vllm,c=4");
        assert_eq!(in_url("a b/50%#?\"é"), "a%20b%2F50%25%23%3F%22%C3%A9");
        assert_eq!(requests("a b", 2), "cells/a%20b/trial-2/requests.jsonl");
    }
}
