//! Quantities and how they print.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Deserializer, Serialize, de};

/// A duration, or an instant as a distance from an epoch that the context names.
///
/// Units: nanoseconds. Seconds and milliseconds exist only where figures are printed.
/// Read from a count of them, as run directories have it, or from `90s`, as scenarios say it.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct Nanos(pub u64);

impl<'de> Deserialize<'de> for Nanos {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct CountOrText;
        impl de::Visitor<'_> for CountOrText {
            type Value = Nanos;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a count of nanoseconds, or a length of time such as \"90s\"")
            }

            fn visit_u64<E: de::Error>(self, count: u64) -> Result<Nanos, E> {
                Ok(Nanos(count))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Nanos, E> {
                Nanos::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        from.deserialize_any(CountOrText)
    }
}

impl Nanos {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// Returns the length of time that a text says: `250ms`, `90s`, `1h 30m`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let duration: jiff::SignedDuration = text.parse().ok()?;
        u64::try_from(duration.as_nanos()).ok().map(Self)
    }

    /// Returns a whole number of seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs * 1_000_000_000)
    }

    /// Returns a whole number of milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1_000_000)
    }

    /// Returns a number of seconds, rounded to the nanosecond; negative values become zero.
    pub fn from_secs_f64(secs: f64) -> Self {
        Self((secs * 1e9).round().max(0.0) as u64)
    }

    /// Returns seconds.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Returns milliseconds.
    pub fn as_millis_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Returns the time since `earlier`, or zero if `earlier` is later.
    #[must_use]
    pub fn saturating_sub(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }

    /// Returns the time since `earlier`, or `None` if `earlier` is later.
    pub fn checked_sub(self, earlier: Self) -> Option<Self> {
        self.0.checked_sub(earlier.0).map(Self)
    }
}

impl Add for Nanos {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for Nanos {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Sub for Nanos {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Sum for Nanos {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

impl From<std::time::Duration> for Nanos {
    fn from(duration: std::time::Duration) -> Self {
        Self(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl From<Nanos> for std::time::Duration {
    fn from(nanos: Nanos) -> Self {
        Self::from_nanos(nanos.0)
    }
}

/// Returns the decimals that show so many significant digits of a value, as rounded to them:
/// 9.996 with three of them is 10.0. Digits before the point always show.
pub(crate) fn decimals_for(value: f64, digits: usize) -> usize {
    if value == 0.0 || !value.is_finite() {
        return 0;
    }
    let text = format!("{:.*e}", digits - 1, value.abs());
    let exponent: i32 = text.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
    let before_point = exponent + 1;
    if before_point >= 0 {
        digits.saturating_sub(before_point.unsigned_abs() as usize)
    } else {
        (digits + before_point.unsigned_abs() as usize).min(12)
    }
}

impl fmt::Display for Nanos {
    /// Prints three significant figures in the unit a person would choose.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, unit) = match self.0 {
            0..1_000 => return f.pad(&format!("{} ns", self.0)),
            1_000..1_000_000 => (self.0 as f64 / 1e3, "µs"),
            1_000_000..1_000_000_000 => (self.0 as f64 / 1e6, "ms"),
            1_000_000_000..60_000_000_000 => (self.0 as f64 / 1e9, "s"),
            _ => {
                let secs = self.0 / 1_000_000_000;
                let text = match (secs / 3600, secs / 60 % 60, secs % 60) {
                    (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
                    (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
                };
                return f.pad(&text);
            }
        };
        let decimals = decimals_for(value, 3);
        f.pad(&format!("{value:.decimals$} {unit}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_print_three_figures_in_a_human_unit() {
        let check = |nanos: u64, expected: &str| assert_eq!(Nanos(nanos).to_string(), expected);
        check(999, "999 ns");
        check(1_500, "1.50 µs");
        check(52_300_000, "52.3 ms");
        check(9_996_000, "10.0 ms");
        check(1_234_000_000, "1.23 s");
        check(83_000_000_000, "1 min 23 s");
        check(7_500_000_000_000, "2 h 05 min");
    }
}
