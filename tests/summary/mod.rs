//! `summary.json` with the words of each doubt at its cell, and the numbers that are the same as
//! others, where the file has them once.

use serde_json::Value;

/// Reads a summary.
pub(crate) fn parse(text: &str) -> Value {
    let mut summary: Value = serde_json::from_str(text).unwrap();
    let (doubts, metrics) = (summary["doubts"].clone(), summary["metrics"].clone());
    for cell in summary["cells"].as_array_mut().unwrap() {
        for (metric, of) in metrics.as_object().unwrap() {
            for numbers in ["figures", "distributions"] {
                let numbers = cell[numbers].as_object_mut().unwrap();
                let same = of["same_as"].as_str().and_then(|other| numbers.get(other)).cloned();
                if let Some(same) = same {
                    numbers.entry(metric).or_insert(same);
                }
            }
        }
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
