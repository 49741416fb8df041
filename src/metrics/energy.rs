//! Energy of a device over a stretch of time, from its samples.

use crate::units::Nanos;

/// Share of a stretch that samples must cover: below it energy is absent, never guessed.
pub const MIN_COVERAGE: f64 = 0.95;
/// Gaps longer than this many median gaps are not covered: the sampler was away.
const MAX_GAP_IN_MEDIANS: f64 = 5.0;

/// One sample of a device's power or of its energy counter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PowerSample {
    /// When, from the trial's epoch.
    pub at: Nanos,
    /// Power, watts.
    pub power_w: Option<f64>,
    /// Energy counter, joules from an arbitrary zero.
    pub energy_j: Option<f64>,
}

/// Energy over a stretch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Energy {
    /// Joules.
    pub joules: f64,
    /// Share of the stretch that samples cover.
    pub coverage: f64,
    /// How it was had.
    pub from: EnergySource,
}

/// How energy was had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnergySource {
    /// Difference of the device's own counter.
    Counter,
    /// Integral of sampled power, by trapezoids.
    Integral,
}

/// Returns the energy of a device from `start` to `end`.
///
/// Its counter's difference where the counter has no gap and never falls, else the integral of
/// its power. What samples do not cover, at most 5 %, is taken to be like the rest.
///
/// # Errors
/// A reason in words when the samples do not suffice.
pub fn energy(samples: &[PowerSample], start: Nanos, end: Nanos) -> Result<Energy, String> {
    let column = |read: fn(&PowerSample) -> Option<f64>| -> Vec<(f64, f64)> {
        let valid = |value: &f64| value.is_finite() && *value >= 0.0;
        samples.iter().filter_map(|s| Some((s.at.as_secs_f64(), read(s).filter(valid)?))).collect()
    };
    let (start, end) = (start.as_secs_f64(), end.as_secs_f64());
    if end <= start {
        return Err("the window has no duration".to_owned());
    }
    let counter = column(|sample| sample.energy_j);
    if counter.len() > 1 && counter.windows(2).all(|pair| pair[0].1 <= pair[1].1) {
        let (low, high) = (start.max(counter[0].0), end.min(counter[counter.len() - 1].0));
        let coverage = (high - low).max(0.0) / (end - start);
        if coverage >= MIN_COVERAGE {
            let joules = (value_at(&counter, high) - value_at(&counter, low)) / coverage;
            return Ok(Energy { joules, coverage, from: EnergySource::Counter });
        }
    }
    integral(&column(|sample| sample.power_w), start, end)
}

fn integral(power: &[(f64, f64)], start: f64, end: f64) -> Result<Energy, String> {
    if power.len() < 2 {
        return Err("no power was sampled".to_owned());
    }
    let mut gaps: Vec<f64> = power.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    gaps.sort_by(f64::total_cmp);
    let max_gap = gaps[gaps.len() / 2] * MAX_GAP_IN_MEDIANS;
    let mut covered = 0.0;
    let mut joules = 0.0;
    for pair in power.windows(2) {
        let (low, high) = (pair[0].0.max(start), pair[1].0.min(end));
        if high <= low || pair[1].0 - pair[0].0 > max_gap {
            continue;
        }
        covered += high - low;
        joules += f64::midpoint(value_at(pair, low), value_at(pair, high)) * (high - low);
    }
    let coverage = covered / (end - start);
    if coverage < MIN_COVERAGE {
        return Err(format!("power samples cover {:.0} % of the window", coverage * 100.0));
    }
    Ok(Energy { joules: joules / coverage, coverage, from: EnergySource::Integral })
}

/// Interpolates between the samples around `at`; the nearest one's value outside of them.
fn value_at(series: &[(f64, f64)], at: f64) -> f64 {
    let after = series.partition_point(|(time, _)| *time < at);
    match (after.checked_sub(1).map(|before| series[before]), series.get(after)) {
        (Some((t0, v0)), Some(&(t1, v1))) if t1 > t0 => v0 + (v1 - v0) * (at - t0) / (t1 - t0),
        (_, Some(&(_, value))) | (Some((_, value)), None) => value,
        (None, None) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at_millis: u64, power_w: Option<f64>, energy_j: Option<f64>) -> PowerSample {
        PowerSample { at: Nanos::from_millis(at_millis), power_w, energy_j }
    }

    fn over(samples: &[PowerSample], from_millis: u64, to_millis: u64) -> Result<Energy, String> {
        energy(samples, Nanos::from_millis(from_millis), Nanos::from_millis(to_millis))
    }

    #[test]
    fn the_counter_goes_before_the_integral() {
        // 100 W by the counter, 90 W by the samples.
        let samples: Vec<_> = (0..=10)
            .map(|i| sample(i * 100, Some(90.0), Some(1_000.0 + 10.0 * i as f64)))
            .collect();
        let found = over(&samples, 50, 950).unwrap();
        assert_eq!(found.from, EnergySource::Counter);
        assert!((found.joules - 90.0).abs() < 1e-6 && (found.coverage - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_counter_that_falls_is_not_believed() {
        let mut samples: Vec<_> =
            (0..=10).map(|i| sample(i * 100, Some(90.0), Some(10.0 * i as f64))).collect();
        samples[5].energy_j = Some(0.0);
        let found = over(&samples, 0, 1_000).unwrap();
        assert_eq!(found.from, EnergySource::Integral);
        assert!((found.joules - 90.0).abs() < 1e-6);
    }

    #[test]
    fn a_ramp_of_power_integrates_to_its_area() {
        // 0 W to 100 W in one second: 50 J, of which the second half 37.5 J.
        let samples: Vec<_> =
            (0..=10).map(|i| sample(i * 100, Some(10.0 * i as f64), None)).collect();
        assert!((over(&samples, 0, 1_000).unwrap().joules - 50.0).abs() < 1e-6);
        assert!((over(&samples, 500, 1_000).unwrap().joules - 37.5).abs() < 1e-6);
    }

    #[test]
    fn energy_that_is_not_covered_is_absent_with_the_reason() {
        let mut samples: Vec<_> = (0..=20).map(|i| sample(i * 100, Some(90.0), None)).collect();
        samples.drain(5..15);
        let reason = over(&samples, 0, 2_000).unwrap_err();
        assert_eq!(reason, "power samples cover 45 % of the window");
        assert_eq!(over(&[], 0, 1_000).unwrap_err(), "no power was sampled");
        assert!(over(&samples, 1_000, 1_000).is_err());
    }

    #[test]
    fn five_per_cent_that_are_missing_are_like_the_rest() {
        let samples: Vec<_> = (0..=97).map(|i| sample(i * 10, Some(100.0), None)).collect();
        let found = over(&samples, 0, 1_000).unwrap();
        assert!((found.joules - 100.0).abs() < 1e-6 && (found.coverage - 0.97).abs() < 1e-9);
    }
}
