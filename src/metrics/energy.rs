//! Energy of a device over a stretch of time, from its samples.

use crate::units::Nanos;

/// Share of a stretch that samples must cover: below it energy is absent, never guessed.
pub(crate) const MIN_COVERAGE: f64 = 0.95;
/// Gaps longer than this many intervals are not covered: the sampler was away.
const MAX_GAP_IN_INTERVALS: f64 = 2.5;
/// Counters of working devices move several times in this many seconds.
const STILL_S: f64 = 0.5;

/// One sample of a device's power or of its energy counter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PowerSample {
    /// When, from the trial's epoch.
    pub at: Nanos,
    /// Power, watts.
    pub power_w: Option<f64>,
    /// Energy counter, joules from an arbitrary zero.
    pub energy_j: Option<f64>,
}

/// Energy over a stretch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Energy {
    /// Joules.
    pub joules: f64,
    /// Share of the stretch that samples cover.
    pub coverage: f64,
    /// How it was had.
    pub from: EnergySource,
}

/// How energy was had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EnergySource {
    /// Difference of the device's own counter.
    Counter,
    /// Integral of sampled power, by trapezoids.
    Integral,
}

/// Returns the energy of a device from `start` to `end`; `interval` is the time between samples
/// that the sampler was to keep, zero where it is not known.
///
/// Its counter's difference where the counter never falls, never stands still and is known at
/// both ends, else the integral of its power. What samples of power do not cover, at most 5 %, is
/// taken to be like the rest; a counter counts through gaps.
///
/// # Errors
/// A reason in words when the samples do not suffice.
pub(crate) fn energy(
    samples: &[PowerSample],
    start: Nanos,
    end: Nanos,
    interval: Nanos,
) -> Result<Energy, String> {
    let stretch = Stretch { start: start.as_secs_f64(), end: end.as_secs_f64() };
    if stretch.length() <= 0.0 {
        return Err("the window has no duration".to_owned());
    }
    let counter = column(samples, |sample| sample.energy_j);
    let still_s = stretch.still_s(&counter);
    if still_s <= 0.0
        && counter.windows(2).all(|pair| pair[0].1 <= pair[1].1)
        && let Some(found) = difference(&counter, stretch, max_gap(&counter, interval))
    {
        return Ok(found);
    }
    let power = column(samples, |sample| sample.power_w);
    integral(&power, stretch, max_gap(&power, interval)).map_err(|reason| {
        if still_s > 0.0 {
            format!("the energy counter stood still for {still_s:.1} s, and {reason}")
        } else {
            reason
        }
    })
}

/// Returns for how long, in seconds, a device's energy counter kept one value while the device
/// must have used energy.
pub(crate) fn counter_still_s(samples: &[PowerSample], start: Nanos, end: Nanos) -> f64 {
    let stretch = Stretch { start: start.as_secs_f64(), end: end.as_secs_f64() };
    stretch.still_s(&column(samples, |sample| sample.energy_j))
}

/// Returns one quantity over time, where it is a number that a device can have.
fn column(samples: &[PowerSample], read: fn(&PowerSample) -> Option<f64>) -> Vec<(f64, f64)> {
    let valid = |value: &f64| value.is_finite() && *value >= 0.0;
    samples.iter().filter_map(|s| Some((s.at.as_secs_f64(), read(s).filter(valid)?))).collect()
}

/// From one instant to another, seconds.
#[derive(Clone, Copy)]
struct Stretch {
    start: f64,
    end: f64,
}

impl Stretch {
    fn length(self) -> f64 {
        self.end - self.start
    }

    /// Returns how much of the time between two samples lies inside.
    fn overlap(self, pair: &[(f64, f64)]) -> f64 {
        (pair[1].0.min(self.end) - pair[0].0.max(self.start)).max(0.0)
    }

    /// Returns the share that samples cover.
    fn coverage(self, series: &[(f64, f64)], max_gap: f64) -> f64 {
        let covered = series.windows(2).filter(|pair| pair[1].0 - pair[0].0 <= max_gap);
        covered.map(|pair| self.overlap(pair)).sum::<f64>() / self.length()
    }

    /// Returns for how long a counter kept one value for longer than a working one does.
    fn still_s(self, counter: &[(f64, f64)]) -> f64 {
        let runs = counter.chunk_by(|before, after| before.1.total_cmp(&after.1).is_eq());
        let stands = |run: &&[(f64, f64)]| run[run.len() - 1].0 - run[0].0 > STILL_S;
        runs.filter(stands).map(|run| self.overlap(&[run[0], run[run.len() - 1]])).sum()
    }
}

/// Returns the longest time between two samples that still counts as sampled.
fn max_gap(series: &[(f64, f64)], interval: Nanos) -> f64 {
    let mut gaps: Vec<f64> = series.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    gaps.sort_by(f64::total_cmp);
    let median = gaps.get(gaps.len() / 2).copied().unwrap_or(0.0);
    let interval = interval.as_secs_f64();
    MAX_GAP_IN_INTERVALS * if interval > 0.0 { interval } else { median }
}

/// Returns what a counter says, if samples bracket at least 95 % of the stretch closely enough.
fn difference(counter: &[(f64, f64)], stretch: Stretch, max_gap: f64) -> Option<Energy> {
    let (first, last) = (counter.first()?.0, counter.last()?.0);
    let (mut low, mut high) = (stretch.start.max(first), stretch.end.min(last));
    // Inside a gap the counter is not known, only at its ends.
    for pair in counter.windows(2).filter(|pair| pair[1].0 - pair[0].0 > max_gap) {
        let is_inside = |at: f64| pair[0].0 < at && at < pair[1].0;
        low = if is_inside(low) { pair[1].0 } else { low };
        high = if is_inside(high) { pair[0].0 } else { high };
    }
    let known = (high - low) / stretch.length();
    (known >= MIN_COVERAGE).then(|| Energy {
        joules: (value_at(counter, high) - value_at(counter, low)) / known,
        coverage: stretch.coverage(counter, max_gap),
        from: EnergySource::Counter,
    })
}

fn integral(power: &[(f64, f64)], stretch: Stretch, max_gap: f64) -> Result<Energy, String> {
    if power.len() < 2 {
        return Err("no power was sampled".to_owned());
    }
    let coverage = stretch.coverage(power, max_gap);
    if coverage < MIN_COVERAGE {
        return Err(format!("power samples cover {:.0} % of the window", coverage * 100.0));
    }
    let mut joules = 0.0;
    for pair in power.windows(2) {
        let (low, high) = (pair[0].0.max(stretch.start), pair[1].0.min(stretch.end));
        if high > low && pair[1].0 - pair[0].0 <= max_gap {
            joules += f64::midpoint(value_at(pair, low), value_at(pair, high)) * (high - low);
        }
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
        let ends = (Nanos::from_millis(from_millis), Nanos::from_millis(to_millis));
        energy(samples, ends.0, ends.1, Nanos::ZERO)
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
    fn a_counter_that_stands_still_is_not_believed_for_as_long_as_it_does() {
        // Three samples a second of 250 W; the counter never moves, or not for the first second.
        let samples = |starts_at: u64, power_w| -> Vec<_> {
            let joules = |i: u64| 5_000.0 + 80.0 * i.saturating_sub(starts_at) as f64;
            (0..=9).map(|i| sample(i * 333, power_w, Some(joules(i)))).collect()
        };
        let still = |samples: &[PowerSample]| {
            counter_still_s(samples, Nanos::ZERO, Nanos::from_millis(2_997))
        };
        for starts_at in [9, 3] {
            let found = over(&samples(starts_at, Some(250.0)), 0, 2_997).unwrap();
            assert_eq!(found.from, EnergySource::Integral);
            assert!((found.joules - 749.25).abs() < 0.1, "{found:?}");
            let still_s = starts_at as f64 * 0.333;
            assert!((still(&samples(starts_at, None)) - still_s).abs() < 1e-6);
        }
        let reason = over(&samples(9, None), 0, 2_997).unwrap_err();
        assert_eq!(reason, "the energy counter stood still for 3.0 s, and no power was sampled");
        // Two samples in one update of the counter are no standstill.
        assert!(still(&samples(0, None)) <= 0.0);
    }

    #[test]
    fn a_counter_counts_through_a_gap_that_its_coverage_shows() {
        // One sample a second, none between 3 s and 10 s.
        let samples: Vec<_> = (0..=14)
            .filter(|s| !(4..10).contains(s))
            .map(|s| sample(s * 1_000, None, Some(100.0 * s as f64)))
            .collect();
        let found = over(&samples, 1_000, 13_000).unwrap();
        assert!((found.joules - 1_200.0).abs() < 1e-6, "{found:?}");
        assert!((found.coverage - 5.0 / 12.0).abs() < 1e-9, "{found:?}");
        // An end inside the gap: how much of its energy fell before it is not known.
        assert!(over(&samples, 1_000, 7_000).is_err());
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
