//! `summary.json` with the words of each doubt at its cell, where the file has them once.

use serde_json::Value;

/// Reads a summary.
pub(crate) fn parse(text: &str) -> Value {
    let mut summary: Value = serde_json::from_str(text).unwrap();
    let doubts = summary["doubts"].clone();
    for cell in summary["cells"].as_array_mut().unwrap() {
        for caveat in cell["caveats"].as_array_mut().into_iter().flatten() {
            let usual = &doubts[caveat["code"].as_str().unwrap()];
            for member in ["what", "advice"] {
                if caveat[member].is_null() {
                    caveat[member] = usual[member].clone();
                }
            }
        }
    }
    summary
}
