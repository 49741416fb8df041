//! What is required of the numbers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::scenario::spec::Undecided;

/// Conditions on the numbers of every cell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatePlan {
    /// Whether a cell must be known to have been steady.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub steady: bool,
    /// What must hold: `[gate]`.
    pub must: Vec<String>,
    /// What must not hold: `--fail-if`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub must_not: Vec<String>,
    /// What a gate that the numbers do not decide is taken for.
    pub undecided: Undecided,
    /// What relative conditions are held against; absent when none was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<BaselinePlan>,
}

/// Numbers of an earlier run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaselinePlan {
    /// Where they come from.
    pub from: String,
    /// Cell → condition → its number there, in the metric's unit.
    pub cells: BTreeMap<String, BTreeMap<String, BaselineNumber>>,
    /// Cell → hash of what its requests were held to there, where that is known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub asked: BTreeMap<String, String>,
}

/// A number of an earlier run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaselineNumber {
    /// The value; above 0 where a ratio is taken to it.
    pub value: f64,
    /// Confidence interval, 95 %; absent where the run had none.
    pub interval: Option<(f64, f64)>,
    /// Whether it was measured once, so that nothing is known of another trial or start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_single: bool,
}
