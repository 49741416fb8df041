//! `[gate]`.

use serde::Deserialize;

use crate::scenario::grammar::{table, words};

table! {
    /// `[gate]`: what is required of the numbers of every cell.
    #[derive(Clone, Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(crate) struct GateSpec {
        /// Conditions that must hold: `ttft.p99 < 500ms`, `accuracy.strict >= 0.9`,
        /// `output_throughput >= 0.95 x baseline`.
        pub(crate) must [default]: Vec<String>,
        /// Whether a cell must be known to have been steady.
        pub(crate) steady [default]: bool,
        /// What a condition is taken for whose limit lies within the number's interval.
        pub(crate) undecided [default]: Undecided,
    }
}

words! {
    /// What a gate that the numbers do not decide is taken for.
    #[derive(Default)]
    pub enum Undecided {
        /// Passed.
        #[default]
        Pass = "pass",
        /// Missed.
        Fail = "fail",
    }
}
