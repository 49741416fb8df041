//! A confidence interval.

use serde::{Deserialize, Serialize};

/// A confidence interval with both ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Returns the interval between two numbers.
    pub fn new(low: f64, high: f64) -> Self {
        Self { low, high }
    }

    /// Returns both ends.
    pub fn ends(self) -> (f64, f64) {
        (self.low, self.high)
    }

    /// Whether `value` lies inside or on an end.
    pub fn contains(self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

impl From<(f64, f64)> for Interval {
    fn from((low, high): (f64, f64)) -> Self {
        Self { low, high }
    }
}
