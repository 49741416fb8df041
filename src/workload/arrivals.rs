//! When requests are due: instants from a plan and a seed, and nothing else.

use std::sync::Arc;

use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use rand_distr::{Distribution, Gamma};
use sha2::{Digest, Sha256};

use crate::ids::hex;
use crate::plan::cell::{ArrivalsPlan, Phase, RampShape};
use crate::seed::Seed;
use crate::units::Nanos;

/// The instants at which requests are due, as offsets from the start of their phase.
///
/// An iterator with a few words of state, whatever the number of requests. Loops that are
/// driven by answers (closed, batches, everything at once) have every request due at once;
/// what holds them back is the [`Gate`].
#[derive(Debug)]
pub struct Arrivals {
    process: Process,
    seed: Seed,
    /// Requests so far.
    n_drawn: u64,
    n_requests: Option<u64>,
    duration: Option<Nanos>,
}

/// What holds a due request back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Nothing.
    Open,
    /// At most this many at once.
    Cap(u32),
    /// This many at once, and the next ones when the last answer of these is over.
    Batch(u32),
}

#[derive(Debug)]
enum Process {
    AtOnce,
    Constant { rate_per_s: f64 },
    Poisson { rate_per_s: f64, at_s: f64, rng: Box<ChaCha8Rng> },
    Gamma { gaps: Gamma<f64>, at_s: f64, rng: Box<ChaCha8Rng> },
    Linear { from_per_s: f64, slope: f64 },
    Exponential { from_per_s: f64, growth: f64 },
    Trace { times: Arc<[Nanos]>, speedup: f64 },
}

/// A plan of arrivals that cannot be carried out.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ArrivalsError {
    /// A rate, shape or speed-up that is not a positive number.
    #[error("{name} is {value}, but must be a positive number")]
    NotPositive {
        /// Which.
        name: &'static str,
        /// The value found.
        value: f64,
    },
    /// A ramp that nothing ends.
    #[error("a ramp needs a duration or a number of requests")]
    EndlessRamp,
    /// A trace whose data set has no time stamps.
    #[error("a trace needs a time stamp in every row")]
    NoTimes,
}

impl Arrivals {
    /// Returns the arrivals of a phase.
    ///
    /// `times` are the data set's own time stamps, used by a trace alone.
    pub fn new(
        plan: &ArrivalsPlan,
        n_requests: Option<u64>,
        duration: Option<Nanos>,
        seed: Seed,
        times: &[Nanos],
    ) -> Result<Self, ArrivalsError> {
        let rng = || Box::new(seed.stream("arrivals"));
        let process = match *plan {
            ArrivalsPlan::Closed { .. } | ArrivalsPlan::Batch { .. } | ArrivalsPlan::AllAtOnce => {
                Process::AtOnce
            }
            ArrivalsPlan::Constant { rate_per_s } => {
                Process::Constant { rate_per_s: positive("rate", rate_per_s)? }
            }
            ArrivalsPlan::Poisson { rate_per_s } => {
                let rate_per_s = positive("rate", rate_per_s)?;
                Process::Poisson { rate_per_s, at_s: 0.0, rng: rng() }
            }
            ArrivalsPlan::Gamma { rate_per_s, burstiness } => {
                let shape = positive("burstiness", burstiness)?;
                let scale = 1.0 / (positive("rate", rate_per_s)? * shape);
                let gaps = Gamma::new(shape, scale)
                    .map_err(|_| ArrivalsError::NotPositive { name: "burstiness", value: shape })?;
                Process::Gamma { gaps, at_s: 0.0, rng: rng() }
            }
            ArrivalsPlan::Ramp { from_per_s, to_per_s, shape } => {
                ramp(from_per_s, to_per_s, shape, n_requests, duration)?
            }
            ArrivalsPlan::Trace { speedup } => {
                let speedup = positive("speed-up", speedup)?;
                if times.is_empty() {
                    return Err(ArrivalsError::NoTimes);
                }
                Process::Trace { times: times.into(), speedup }
            }
        };
        Ok(Self { process, seed, n_drawn: 0, n_requests, duration })
    }

    /// Returns the same arrivals from their beginning.
    #[must_use]
    pub fn from_start(&self) -> Self {
        let rng = || Box::new(self.seed.stream("arrivals"));
        let process = match &self.process {
            Process::AtOnce => Process::AtOnce,
            Process::Constant { rate_per_s } => Process::Constant { rate_per_s: *rate_per_s },
            Process::Poisson { rate_per_s, .. } => {
                Process::Poisson { rate_per_s: *rate_per_s, at_s: 0.0, rng: rng() }
            }
            Process::Gamma { gaps, .. } => Process::Gamma { gaps: *gaps, at_s: 0.0, rng: rng() },
            Process::Linear { from_per_s, slope } => {
                Process::Linear { from_per_s: *from_per_s, slope: *slope }
            }
            Process::Exponential { from_per_s, growth } => {
                Process::Exponential { from_per_s: *from_per_s, growth: *growth }
            }
            Process::Trace { times, speedup } => {
                Process::Trace { times: Arc::clone(times), speedup: *speedup }
            }
        };
        Self { process, n_drawn: 0, ..*self }
    }

    /// Returns what the whole schedule amounts to, without using it up.
    ///
    /// It is walked once: 30 ns per request.
    pub fn outline(&self) -> Outline {
        let mut hasher = Sha256::new();
        let mut last = None;
        let mut is_cut = false;
        if !self.is_driven_by_answers() {
            let mut all = self.from_start();
            for at in all.by_ref() {
                hasher.update(at.0.to_le_bytes());
                last = Some(at);
            }
            let next = all.process.at(all.n_drawn);
            is_cut = next.zip(all.duration).is_some_and(|(next, duration)| next < duration);
        }
        let mut hash = hex(&hasher.finalize());
        hash.truncate(12);
        Outline { hash, last, is_cut }
    }

    /// Returns how many requests a phase sends that its clock counts, and nothing else.
    ///
    /// `None` for loops that answers or a trace drive, and for more than a million requests.
    pub(crate) fn n_by_clock(phase: &Phase, seed: Seed) -> Option<u64> {
        const COUNTED_MAX: usize = 1_000_000;
        let is_timed = phase.n_requests.is_none() && phase.duration.is_some();
        let all = Self::new(&phase.arrivals, None, phase.duration, seed, &[]).ok()?;
        if !is_timed || all.is_driven_by_answers() {
            return None;
        }
        let n = all.take(COUNTED_MAX + 1).count();
        (n <= COUNTED_MAX).then_some(n as u64)
    }

    /// Whether answers, not the clock, decide when requests are sent.
    pub fn is_driven_by_answers(&self) -> bool {
        matches!(self.process, Process::AtOnce)
    }
}

/// What a schedule amounts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// First twelve digits of the SHA-256 over all instants as little-endian nanoseconds; over
    /// none for loops that answers drive.
    pub hash: String,
    /// The last instant; `None` for loops that answers drive and for empty schedules.
    pub last: Option<Nanos>,
    /// Whether the number of requests ends it before its time.
    pub is_cut: bool,
}

impl Gate {
    /// Returns what holds the requests of a phase back.
    pub fn new(plan: &ArrivalsPlan, max_in_flight: Option<u32>) -> Self {
        match (plan, max_in_flight) {
            (ArrivalsPlan::Closed { concurrency }, cap) => {
                Self::Cap((*concurrency).min(cap.unwrap_or(u32::MAX)))
            }
            (ArrivalsPlan::Batch { size }, cap) => {
                Self::Batch((*size).min(cap.unwrap_or(u32::MAX)))
            }
            (_, Some(cap)) => Self::Cap(cap),
            (_, None) => Self::Open,
        }
    }
}

fn positive(name: &'static str, value: f64) -> Result<f64, ArrivalsError> {
    if value.is_finite() && value > 0.0 {
        Ok(value)
    } else {
        Err(ArrivalsError::NotPositive { name, value })
    }
}

/// Request k is due when the integral of the rate reaches k, so a ramp is as even as a
/// constant rate at each of its moments.
fn ramp(
    from_per_s: f64,
    to_per_s: f64,
    shape: RampShape,
    n_requests: Option<u64>,
    duration: Option<Nanos>,
) -> Result<Process, ArrivalsError> {
    // A linear ramp may begin or end at no rate at all.
    let may_be_zero = |other: f64| shape == RampShape::Linear && other > 0.0;
    let ends =
        [("start of the ramp", from_per_s, to_per_s), ("end of the ramp", to_per_s, from_per_s)];
    for (name, rate, other) in ends {
        if rate.abs() > 0.0 || !may_be_zero(other) {
            positive(name, rate)?;
        }
    }
    let is_flat = (to_per_s - from_per_s).abs() < 1e-9 * from_per_s;
    if is_flat {
        return Ok(Process::Constant { rate_per_s: from_per_s });
    }
    let mean_per_s = match shape {
        RampShape::Linear => f64::midpoint(from_per_s, to_per_s),
        RampShape::Exponential => (to_per_s - from_per_s) / (to_per_s / from_per_s).ln(),
    };
    let length_s = match (duration, n_requests) {
        (Some(duration), _) => positive("duration", duration.as_secs_f64())?,
        (None, Some(n_requests)) => positive("duration", n_requests as f64 / mean_per_s)?,
        (None, None) => return Err(ArrivalsError::EndlessRamp),
    };
    Ok(match shape {
        RampShape::Linear => {
            Process::Linear { from_per_s, slope: (to_per_s - from_per_s) / length_s }
        }
        RampShape::Exponential => {
            Process::Exponential { from_per_s, growth: (to_per_s / from_per_s).ln() / length_s }
        }
    })
}

impl Process {
    /// Returns when the request with index `k` is due; `None` where the process ends.
    fn at(&mut self, k: u64) -> Option<Nanos> {
        let k_f64 = k as f64;
        let at_s = match self {
            Self::AtOnce => return Some(Nanos::ZERO),
            Self::Constant { rate_per_s } => k_f64 / *rate_per_s,
            Self::Poisson { rate_per_s, at_s, rng } => {
                // The inverse of the distribution function: 1 - u is in (0, 1].
                let u: f64 = rng.random();
                *at_s += -(1.0 - u).ln() / *rate_per_s;
                *at_s
            }
            Self::Gamma { gaps, at_s, rng } => {
                *at_s += gaps.sample(rng);
                *at_s
            }
            Self::Linear { from_per_s, slope } => {
                // The root of slope/2 · t² + from · t = k in the form that does not cancel.
                let under_root = *from_per_s * *from_per_s + 2.0 * *slope * k_f64;
                if under_root < 0.0 {
                    return None;
                }
                let divisor = *from_per_s + under_root.sqrt();
                if k == 0 { 0.0 } else { 2.0 * k_f64 / divisor }
            }
            Self::Exponential { from_per_s, growth } => {
                let argument = *growth * k_f64 / *from_per_s;
                if argument <= -1.0 {
                    return None;
                }
                argument.ln_1p() / *growth
            }
            Self::Trace { times, speedup } => {
                times.get(usize::try_from(k).ok()?)?.as_secs_f64() / *speedup
            }
        };
        at_s.is_finite().then(|| Nanos::from_secs_f64(at_s))
    }
}

impl Iterator for Arrivals {
    type Item = Nanos;

    fn next(&mut self) -> Option<Nanos> {
        if self.n_requests.is_some_and(|n_requests| self.n_drawn >= n_requests) {
            return None;
        }
        let at = self.process.at(self.n_drawn)?;
        if self.duration.is_some_and(|duration| at >= duration) {
            return None;
        }
        self.n_drawn += 1;
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn arrivals(plan: &ArrivalsPlan, n: Option<u64>, secs: Option<u64>) -> Arrivals {
        Arrivals::new(plan, n, secs.map(Nanos::from_secs), Seed(7), &[]).unwrap()
    }

    fn millis(plan: &ArrivalsPlan, n: u64, secs: Option<u64>) -> Vec<u64> {
        arrivals(plan, Some(n), secs).map(|at| at.0 / 1_000_000).collect()
    }

    #[test]
    fn a_constant_rate_is_even_and_ends_with_the_count_or_the_time() {
        let plan = ArrivalsPlan::Constant { rate_per_s: 4.0 };
        assert_eq!(millis(&plan, 4, None), [0, 250, 500, 750]);
        assert_eq!(arrivals(&plan, None, Some(2)).count(), 8);
        assert_eq!(arrivals(&plan, Some(3), Some(2)).count(), 3);
    }

    #[test]
    fn a_schedule_that_its_count_ends_before_its_time_is_cut() {
        let plan = ArrivalsPlan::Constant { rate_per_s: 4.0 };
        let is_cut = |n, secs| arrivals(&plan, n, secs).outline().is_cut;
        assert!(is_cut(Some(7), Some(2)));
        assert!(!is_cut(Some(8), Some(2)), "the next one is due when it is over");
        assert!(!is_cut(Some(7), None), "a count alone");
        assert!(!is_cut(None, Some(2)), "a time alone");
        let closed = ArrivalsPlan::Closed { concurrency: 2 };
        assert!(!arrivals(&closed, Some(7), Some(2)).outline().is_cut);
    }

    #[test]
    fn loops_that_answers_drive_have_everything_due_at_once() {
        for plan in [
            ArrivalsPlan::Closed { concurrency: 2 },
            ArrivalsPlan::Batch { size: 2 },
            ArrivalsPlan::AllAtOnce,
        ] {
            assert_eq!(millis(&plan, 3, Some(1)), [0, 0, 0]);
        }
    }

    #[test]
    fn a_gate_is_the_tighter_of_plan_and_cap() {
        let closed = ArrivalsPlan::Closed { concurrency: 8 };
        let constant = ArrivalsPlan::Constant { rate_per_s: 1.0 };
        assert_eq!(Gate::new(&closed, None), Gate::Cap(8));
        assert_eq!(Gate::new(&closed, Some(3)), Gate::Cap(3));
        assert_eq!(Gate::new(&ArrivalsPlan::Batch { size: 8 }, None), Gate::Batch(8));
        assert_eq!(Gate::new(&constant, None), Gate::Open);
        assert_eq!(Gate::new(&constant, Some(5)), Gate::Cap(5));
    }

    #[test]
    fn ramps_invert_the_integral_of_their_rate() {
        let ramp = |from_per_s, to_per_s, shape| ArrivalsPlan::Ramp { from_per_s, to_per_s, shape };
        // From 0 to 20 per second in 10 s: t²  requests are due by t.
        let linear = ramp(0.0, 20.0, RampShape::Linear);
        assert_eq!(arrivals(&linear, None, Some(10)).count(), 100);
        let due: Vec<_> = arrivals(&linear, None, Some(10)).collect();
        assert_eq!((due[0].0, due[25], due[81]), (0, Nanos::from_secs(5), Nanos::from_secs(9)));
        // Downwards it takes as many; the mean rate is the same.
        let down = ramp(20.0, 0.0, RampShape::Linear);
        assert_eq!(arrivals(&down, None, Some(10)).count(), 100);
        // From 1 to e per second in 1000 s: 1000 (e - 1) = 1718.28 requests.
        let exponential = ramp(1.0, std::f64::consts::E, RampShape::Exponential);
        assert_eq!(arrivals(&exponential, None, Some(1000)).count(), 1719);
        // The count alone gives the length by the mean rate.
        let last = arrivals(&linear, Some(100), None).last().unwrap();
        assert!((last.as_secs_f64() - 9.95).abs() < 0.01, "{last}");
    }

    #[test]
    fn a_trace_is_replayed_at_its_speed() {
        let times = [Nanos::ZERO, Nanos::from_secs(2), Nanos::from_secs(3)];
        let plan = ArrivalsPlan::Trace { speedup: 2.0 };
        let due = Arrivals::new(&plan, None, None, Seed(0), &times).unwrap();
        assert_eq!(due.map(|at| at.0 / 1_000_000).collect::<Vec<_>>(), [0, 1000, 1500]);
        let missing = Arrivals::new(&plan, None, None, Seed(0), &[]);
        assert_eq!(missing.unwrap_err(), ArrivalsError::NoTimes);
    }

    #[test]
    fn rates_that_are_no_rates_are_refused() {
        for rate_per_s in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            for plan in
                [ArrivalsPlan::Constant { rate_per_s }, ArrivalsPlan::Poisson { rate_per_s }]
            {
                assert!(Arrivals::new(&plan, Some(1), None, Seed(0), &[]).is_err());
            }
        }
        let flat = ArrivalsPlan::Ramp { from_per_s: 0.0, to_per_s: 0.0, shape: RampShape::Linear };
        assert!(Arrivals::new(&flat, None, Some(Nanos::from_secs(1)), Seed(0), &[]).is_err());
    }

    /// Golden values: a schedule must stay the same from release to release.
    #[test]
    fn random_schedules_do_not_change_between_versions() {
        let check = |plan: &ArrivalsPlan, expected: &str| {
            let first: Vec<_> = arrivals(plan, Some(3), None).map(|at| at.0).collect();
            let hash = arrivals(plan, Some(1000), None).outline().hash;
            assert_eq!(format!("{first:?} {hash}"), expected);
        };
        check(
            &ArrivalsPlan::Poisson { rate_per_s: 200.0 },
            "[345772, 1883788, 6258953] 028193653263",
        );
        check(
            &ArrivalsPlan::Gamma { rate_per_s: 200.0, burstiness: 0.5 },
            "[10440, 1096689, 1163879] 804dd8f473d7",
        );
    }

    /// The Kolmogorov–Smirnov statistic of gaps against a distribution function.
    fn ks_statistic(mut gaps: Vec<f64>, cdf: impl Fn(f64) -> f64) -> f64 {
        gaps.sort_unstable_by(f64::total_cmp);
        let n = gaps.len() as f64;
        gaps.iter()
            .enumerate()
            .map(|(i, &gap)| {
                let expected = cdf(gap);
                (expected - i as f64 / n).abs().max(((i + 1) as f64 / n - expected).abs())
            })
            .fold(0.0, f64::max)
    }

    fn gaps_s(plan: &ArrivalsPlan, n: u64) -> Vec<f64> {
        let due: Vec<_> = arrivals(plan, Some(n), None).map(Nanos::as_secs_f64).collect();
        due.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    #[test]
    fn poisson_gaps_are_exponential() {
        let gaps = gaps_s(&ArrivalsPlan::Poisson { rate_per_s: 200.0 }, 12_000);
        let statistic = ks_statistic(gaps, |gap| 1.0 - (-200.0 * gap).exp());
        // 1.63 / sqrt(n) is the 1 % point of the Kolmogorov distribution.
        assert!(statistic < 1.63 / 12_000_f64.sqrt(), "{statistic}");
    }

    #[test]
    fn burstiness_is_the_shape_of_the_gaps() {
        for burstiness in [0.25, 1.0, 4.0] {
            let gaps = gaps_s(&ArrivalsPlan::Gamma { rate_per_s: 100.0, burstiness }, 40_000);
            let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
            let variance =
                gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
            assert!((mean * 100.0 - 1.0).abs() < 0.04, "{mean}");
            // The squared coefficient of variation of a Gamma distribution is 1 / shape.
            let shape = mean * mean / variance;
            assert!((shape / burstiness - 1.0).abs() < 0.1, "{shape} for {burstiness}");
        }
    }

    proptest! {
        #[test]
        fn every_schedule_ascends_and_repeats(
            rate_per_s in 0.1_f64..10_000.0,
            end_per_s in 0.1_f64..10_000.0,
            burstiness in 0.1_f64..10.0,
            n in 1_u64..300,
        ) {
            for plan in [
                ArrivalsPlan::Constant { rate_per_s },
                ArrivalsPlan::Poisson { rate_per_s },
                ArrivalsPlan::Gamma { rate_per_s, burstiness },
                ArrivalsPlan::Ramp { from_per_s: rate_per_s, to_per_s: end_per_s, shape: RampShape::Linear },
                ArrivalsPlan::Ramp { from_per_s: rate_per_s, to_per_s: end_per_s, shape: RampShape::Exponential },
            ] {
                let due: Vec<_> = arrivals(&plan, Some(n), None).collect();
                prop_assert!(due.is_sorted());
                prop_assert!(due.len() as u64 >= n - 1, "{plan:?} {}", due.len());
                prop_assert_eq!(arrivals(&plan, Some(n), None).collect::<Vec<_>>(), due);
            }
        }
    }
}
